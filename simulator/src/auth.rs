//! Credentials: which are accepted, and whose they are.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::{HeaderMap, header::AUTHORIZATION};
use sha2::Sha256;
use uuid::Uuid;

/// The credentials that are accepted.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// Bearer tokens.
    pub tokens: Vec<String>,
    /// `USER:PASS` pairs.
    pub basic: Vec<String>,
}

/// What a request brought along.
pub enum Presented {
    /// `Basic`, decoded.
    Basic(Option<String>),
    /// `Bearer`.
    Bearer(String),
    /// Nothing, or a scheme that the API does not know.
    None,
}

impl Presented {
    /// Reads the Authorization header; schemes are case-insensitive.
    pub fn read(headers: &HeaderMap) -> Presented {
        let header = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let (scheme, value) = header.split_once(' ').unwrap_or((header, ""));
        let value = value.trim();
        if scheme.eq_ignore_ascii_case("basic") {
            let decoded = BASE64_STANDARD.decode(value).ok();
            Presented::Basic(decoded.and_then(|bytes| String::from_utf8(bytes).ok()))
        } else if scheme.eq_ignore_ascii_case("bearer") {
            Presented::Bearer(value.to_owned())
        } else {
            Presented::None
        }
    }

    /// The journal's word for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Presented::Basic(_) => "basic",
            Presented::Bearer(_) => "bearer",
            Presented::None => "none",
        }
    }

    /// The secret in it: the token, or the password.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Presented::Basic(Some(pair)) => pair.split_once(':').map(|(_, password)| password),
            Presented::Bearer(token) => Some(token),
            Presented::Basic(None) | Presented::None => None,
        }
    }

    /// The caller's id if the credentials are accepted. Tokens of one account would have one id at the vendor; here
    /// every credential is an account, so that tests can tell who did what.
    pub fn caller(&self, accepted: &Credentials, prints: &Fingerprints) -> Option<String> {
        match self {
            Presented::Basic(Some(pair)) if accepted.basic.contains(pair) => {
                Some(caller_id(pair.split(':').next().unwrap_or_default()))
            }
            Presented::Bearer(token) if accepted.tokens.contains(token) => Some(caller_id(&prints.of(token))),
            _ => None,
        }
    }
}

/// The id of an account, the same for ever.
pub fn caller_id(account: &str) -> String {
    Uuid::new_v5(
        &Uuid::NAMESPACE_URL,
        format!("ionos:iam:cloud::{account}").as_bytes(),
    )
    .to_string()
}

/// Makes fingerprints of secrets: equal secrets have equal ones, and without the key nothing can be guessed from them.
pub struct Fingerprints(String);

impl Fingerprints {
    /// Fingerprints under this key.
    pub fn new(key: String) -> Self {
        Fingerprints(key)
    }

    /// The fingerprint of a secret.
    pub fn of(&self, secret: &str) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()) else {
            return String::new();
        };
        mac.update(secret.as_bytes());
        mac.finalize()
            .into_bytes()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented(header: &str) -> Presented {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, header.parse().expect("a header"));
        Presented::read(&headers)
    }

    #[test]
    fn only_accepted_credentials_have_a_caller() {
        let accepted = Credentials {
            tokens: vec!["token".to_owned()],
            basic: vec!["anna:pass:word".to_owned()],
        };
        let prints = Fingerprints::new("key".to_owned());
        let caller = |header: &str| presented(header).caller(&accepted, &prints);
        assert!(caller("Bearer token").is_some());
        assert!(caller("bearer token").is_some());
        assert!(caller("Bearer other").is_none());
        assert!(caller("Bearer").is_none());
        assert!(caller("token").is_none());
        let pair = BASE64_STANDARD.encode("anna:pass:word");
        assert!(caller(&format!("Basic {pair}")).is_some());
        assert!(caller("Basic anna:pass:word").is_none());
    }

    #[test]
    fn fingerprints_compare_and_tell_nothing() {
        let prints = Fingerprints::new("key".to_owned());
        assert_eq!(prints.of("TopSecret!"), prints.of("TopSecret!"));
        assert_ne!(prints.of("TopSecret!"), prints.of("TopSecret?"));
        assert_ne!(
            prints.of("TopSecret!"),
            Fingerprints::new("other".to_owned()).of("TopSecret!")
        );
    }
}
