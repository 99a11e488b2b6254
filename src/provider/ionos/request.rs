//! How requests to IONOS are authorised, and what codes its refusals hold.

use http::HeaderValue;

use super::Credentials;
use super::wire::ErrorResponse;
use crate::provider::http::{Reply, basic, bearer};

/// The `Authorization` header.
pub(super) fn authorization(credentials: &Credentials) -> Option<HeaderValue> {
    match credentials {
        Credentials::Bearer(token) => bearer(token),
        Credentials::Basic { username, password } => basic(username.trim(), password),
    }
}

/// The API's own codes in a refusal.
pub(super) fn codes(reply: &Reply) -> impl Iterator<Item = String> {
    let response = reply.json::<ErrorResponse>();
    response.into_iter().flat_map(ErrorResponse::codes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::password::Password;

    #[test]
    fn the_authorization_is_of_the_kind_of_the_credentials() {
        let bearer = authorization(&Credentials::Bearer(Password::new("abc\n"))).unwrap();
        assert_eq!(bearer.to_str().unwrap(), "Bearer abc");
        let basic = authorization(&Credentials::Basic {
            username: " Aladdin ".to_string(),
            password: Password::new("open sesame"),
        });
        assert_eq!(
            basic.unwrap().to_str().unwrap(),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
    }
}
