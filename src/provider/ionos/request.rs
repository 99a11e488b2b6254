//! The parts of a request, and what is shown of a refusal.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::Credentials;
use super::wire::ErrorResponse;
use crate::domain::password::Password;
use crate::provider::http::{Reply, presentable};

/// Everything but RFC 3986's unreserved characters.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A text as one segment of a path. `None` for what no URL can carry as a segment: nothing at all, which would
/// be the collection, and `.` and `..`, which name other places however they are escaped.
pub(super) fn segment(text: &str) -> Option<String> {
    (!matches!(text, "" | "." | "..")).then(|| utf8_percent_encode(text, ESCAPED).to_string())
}

/// The `Authorization` header. Line breaks at the end of a secret are the file's that it came from.
pub(super) fn authorization(credentials: &Credentials) -> Option<HeaderValue> {
    let secret =
        |password: &Password| Zeroizing::new(password.reveal().trim_end_matches(['\r', '\n']).to_string());
    let value = match credentials {
        Credentials::Bearer(token) => Zeroizing::new(format!("Bearer {}", secret(token).trim())),
        // A colon would move the border between the two.
        Credentials::Basic { username, .. } if username.contains(':') => return None,
        Credentials::Basic { username, password } => {
            let pair = Zeroizing::new(format!("{}:{}", username.trim(), *secret(password)));
            Zeroizing::new(format!(
                "Basic {}",
                *Zeroizing::new(STANDARD.encode(pair.as_bytes()))
            ))
        }
    };
    let mut value = HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What may be shown of a refusal: its status, the API's own codes, the request's id. Of these, what holds a
/// secret that the API was sent is left out.
pub(super) fn detail(reply: &Reply, secrets: &[Option<&Password>]) -> String {
    let leaks = |text: &str| {
        secrets.iter().flatten().any(|secret| {
            let secret = secret.reveal().trim();
            !secret.is_empty() && (text.contains(secret) || text.contains(&presentable(secret)))
        })
    };
    let codes = reply
        .json::<ErrorResponse>()
        .into_iter()
        .flat_map(ErrorResponse::codes);
    let codes = codes.filter(|code| !code.is_empty() && !leaks(code)).take(3);
    let mut text = format!(" (HTTP {}", reply.status.as_u16());
    for code in codes {
        text.push_str(", ");
        text.push_str(&presentable(&code));
    }
    if let Some(id) = reply.request_id.as_deref().filter(|id| !leaks(id)) {
        text.push_str(", request ");
        text.push_str(id);
    }
    if reply.status.is_redirection() {
        text.push_str(", a redirect, which is not followed");
    }
    text.push(')');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_holds_any_username_but_those_that_name_another_place() {
        assert_eq!(segment("we ird/na%me").as_deref(), Some("we%20ird%2Fna%25me"));
        assert_eq!(segment("a.b-c_d~e").as_deref(), Some("a.b-c_d~e"));
        assert_eq!(segment("?#&+:@").as_deref(), Some("%3F%23%26%2B%3A%40"));
        assert_eq!(segment("🦀").as_deref(), Some("%F0%9F%A6%80"));
        assert_eq!(segment("%2e%2e").as_deref(), Some("%252e%252e"));
        assert_eq!(segment("...").as_deref(), Some("..."));
        for nowhere in ["", ".", ".."] {
            assert_eq!(segment(nowhere), None, "{nowhere:?}");
        }
    }

    #[test]
    fn the_authorization_is_marked_sensitive() {
        let bearer = authorization(&Credentials::Bearer(Password::new("abc\n"))).unwrap();
        assert_eq!(bearer.to_str().unwrap(), "Bearer abc");
        assert!(!format!("{bearer:?}").contains("abc"));
        let basic = authorization(&Credentials::Basic {
            username: "Aladdin".to_string(),
            password: Password::new("open sesame"),
        });
        assert_eq!(
            basic.unwrap().to_str().unwrap(),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        assert!(authorization(&Credentials::Bearer(Password::new("a\nb"))).is_none());
    }
}
