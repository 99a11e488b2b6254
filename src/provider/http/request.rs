//! The parts that requests to every vendor are made of.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use zeroize::Zeroizing;

use crate::domain::password::Password;
use crate::provider::{ErrorClass, RemoteError};

/// Everything but RFC 3986's unreserved characters.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A text as one segment of a path. `None` for what no URL can carry as a segment: nothing at all, which would
/// be the collection, and `.` and `..`, which name other places however they are escaped.
pub(in crate::provider) fn segment(text: &str) -> Option<String> {
    (!matches!(text, "" | "." | "..")).then(|| utf8_percent_encode(text, ESCAPED).to_string())
}

/// A username as the last segment of a user's URL.
pub(in crate::provider) fn user_segment(
    operation: &'static str,
    username: &str,
) -> Result<String, RemoteError> {
    let what = "a username that is empty, \".\" or \"..\" cannot be part of a URL";
    segment(username).ok_or_else(|| RemoteError::new(operation, ErrorClass::Invalid, what))
}

/// A URL that arrives as it is written. `None` where the URL library would resolve dot segments or more, and a call
/// would reach something else.
pub(in crate::provider) fn exact_url(url: &str) -> Option<Url> {
    Url::parse(url).ok().filter(|parsed| parsed.as_str() == url)
}

/// An `Authorization` header with a token. `None` if no header can carry it.
pub(in crate::provider) fn bearer(token: &Password) -> Option<HeaderValue> {
    sensitive(Zeroizing::new(format!("Bearer {}", secret(token).trim())))
}

/// An `Authorization` header with a name and a password. `None` if no header can carry them, or if the name has a
/// colon, which would move the border between the two.
pub(in crate::provider) fn basic(username: &str, password: &Password) -> Option<HeaderValue> {
    if username.contains(':') {
        return None;
    }
    let pair = Zeroizing::new(format!("{username}:{}", secret(password)));
    let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
    sensitive(Zeroizing::new(format!("Basic {}", *encoded)))
}

/// A secret without line breaks at its end, which are the file's that it came from.
fn secret(password: &Password) -> &str {
    password.reveal().trim_end_matches(['\r', '\n'])
}

fn sensitive(text: Zeroizing<String>) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
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
    fn a_url_that_would_arrive_otherwise_is_none() {
        assert!(exact_url("https://h/a%20b/c").is_some());
        for other in [
            "https://h/a/../b",
            "https://h/a b",
            "https://H/a",
            "https://h",
            "h",
        ] {
            assert!(exact_url(other).is_none(), "{other}");
        }
    }

    #[test]
    fn the_authorization_is_marked_sensitive() {
        let bearer_header = bearer(&Password::new("abc\n")).unwrap();
        assert_eq!(bearer_header.to_str().unwrap(), "Bearer abc");
        assert!(!format!("{bearer_header:?}").contains("abc"));
        assert!(bearer(&Password::new("a\nb")).is_none());
        let basic_header = basic("", &Password::new("tk-us-abc\r\n")).unwrap();
        assert_eq!(basic_header.to_str().unwrap(), "Basic OnRrLXVzLWFiYw==");
        assert!(!format!("{basic_header:?}").contains("OnRr"));
        assert!(basic("a:b", &Password::new("c")).is_none());
    }
}
