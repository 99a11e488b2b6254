//! The tokens that were issued: JWTs for the account, opaque ones for a database. They are valid while they are in the
//! table, whatever is written on them.

use std::collections::HashMap;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::clock;

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The auth service and the main API.
    Jwt,
    /// The database of this addon.
    Addon(String),
}

#[derive(Debug)]
struct Token {
    kind: Kind,
    account: String,
    until_ms: i64,
}

/// The tokens that are valid.
#[derive(Debug, Default)]
pub struct Issued(HashMap<String, Token>);

impl Issued {
    /// Makes a token valid from now on.
    pub fn issue(&mut self, token: String, kind: Kind, account: &str, lifetime_ms: i64) {
        let now = clock::real_ms();
        self.0.retain(|_, token| token.until_ms > now);
        let account = account.to_owned();
        self.0.insert(
            token,
            Token {
                kind,
                account,
                until_ms: now + lifetime_ms,
            },
        );
    }

    /// What a token is for, and whose it is.
    pub fn find(&self, token: &str) -> Option<(&Kind, &str)> {
        let found = self.0.get(token)?;
        (found.until_ms > clock::real_ms()).then_some((&found.kind, found.account.as_str()))
    }

    /// Revokes every token of which this holds; how many those were.
    pub fn revoke(&mut self, revoked: impl Fn(&Kind) -> bool) -> usize {
        let before = self.0.len();
        self.0.retain(|_, token| !revoked(&token.kind));
        before - self.0.len()
    }
}

/// A JWT, signed with HS256. The vendor's clients read its `exp` and check no signature.
pub fn jwt(key: &[u8], claims: &Value) -> String {
    let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!(
        "{}.{}",
        part(&json!({"alg": "HS256", "typ": "JWT"})),
        part(claims)
    );
    let mac = Hmac::<Sha256>::new_from_slice(key).map(|mut mac| {
        mac.update(signed.as_bytes());
        mac.finalize().into_bytes()
    });
    let signature = mac.map(|mac| BASE64_URL_SAFE_NO_PAD.encode(mac));
    format!("{signed}.{}", signature.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwt_is_signed_as_rfc_7515_says() {
        let token = jwt(b"key", &json!({"exp": 1_700_000_000, "sub": "us-1"}));
        let parts: Vec<&str> = token.split('.').collect();
        let read = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url");
        assert_eq!(parts.len(), 3);
        assert_eq!(read(parts[0]), br#"{"alg":"HS256","typ":"JWT"}"#);
        assert_eq!(read(parts[1]), br#"{"exp":1700000000,"sub":"us-1"}"#);
        assert_eq!(read(parts[2]).len(), 32);
        assert_ne!(
            token,
            jwt(b"other", &json!({"exp": 1_700_000_000, "sub": "us-1"}))
        );
    }

    #[test]
    fn tokens_end_by_time_or_when_they_are_revoked() {
        let mut issued = Issued::default();
        let addon = || Kind::Addon("ad-1".to_owned());
        issued.issue("over".to_owned(), Kind::Jwt, "anna", 0);
        assert_eq!(issued.find("over"), None);
        issued.issue("jwt".to_owned(), Kind::Jwt, "anna", 60_000);
        issued.issue("addon".to_owned(), addon(), "anna", 60_000);
        assert_eq!(issued.find("jwt"), Some((&Kind::Jwt, "anna")));
        assert_eq!(issued.revoke(|kind| *kind == Kind::Jwt), 1);
        assert_eq!(issued.find("jwt"), None);
        assert_eq!(issued.find("addon"), Some((&addon(), "anna")));
    }
}
