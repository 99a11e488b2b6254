//! What an HTTP answer says beyond its body: when it was given, how long to wait, what it means.

use std::time::Duration;

use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use crate::domain::password::Password;
use crate::provider::memory::Share;
use crate::provider::{Answer, ErrorClass, RemoteError, lenient};

/// The longest wait that is told apart from longer ones; a century is enough for anybody.
const LONGEST_WAIT: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Headers in which servers name a request, for their support to find it.
const REQUEST_ID: &[&str] = &["x-request-id", "request-id", "x-correlation-id", "x-trace-id"];

/// What is odd of an answer of which nothing is understood.
pub(in crate::provider) const UNREADABLE: &str = "the answer cannot be read";
/// What is odd of an answer that names somebody else.
pub(in crate::provider) const ANOTHER: &str = "the answer is about another user";

/// A whole answer, whatever its status.
pub(in crate::provider) struct Reply {
    pub(in crate::provider) status: StatusCode,
    /// When the remote gave it, by its own clock.
    pub(in crate::provider) date: Option<Timestamp>,
    /// How long it asks to wait.
    pub(in crate::provider) after: Option<Duration>,
    /// The remote's name for the request, fit to be shown.
    pub(in crate::provider) request_id: Option<String>,
    /// Whether it says that its body is a web page, so that a proxy or a portal is speaking.
    pub(in crate::provider) html: bool,
    /// The body; `None` if it broke off or is larger than it may be. It may echo a password.
    pub(in crate::provider) body: Option<Zeroizing<Vec<u8>>>,
    /// The room that it takes among all that is read, if that is counted.
    pub(in crate::provider) room: Option<Share>,
}

impl Reply {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: Option<Zeroizing<Vec<u8>>>) -> Self {
        let date = text(headers, DATE.as_str()).and_then(http_date);
        let now = date.unwrap_or_else(Timestamp::now);
        Self {
            status,
            date,
            after: text(headers, RETRY_AFTER.as_str()).and_then(|value| retry_after(value, now)),
            request_id: REQUEST_ID
                .iter()
                .find_map(|name| text(headers, name))
                .map(presentable)
                .filter(|id| !id.is_empty()),
            html: text(headers, CONTENT_TYPE.as_str())
                .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("text/html"))
                || body.as_deref().is_some_and(|body| begins_like_html(body)),
            body,
            room: None,
        }
    }

    /// A refusal with this body, of which nothing else is known: for the fuzz targets.
    #[cfg(feature = "fuzzing")]
    pub(in crate::provider) fn of_body(body: &[u8]) -> Self {
        let body = Some(Zeroizing::new(body.to_vec()));
        Self::new(StatusCode::BAD_REQUEST, &HeaderMap::new(), body)
    }

    /// The body, if it is a JSON object of this shape. A list of a struct's values in their order would be read as that, too:
    /// no API writes so, and [`Self::has_more_than`] counts no users there.
    pub(in crate::provider) fn json<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        let body = self.body.as_deref()?;
        let is_object = body.trim_ascii_start().first() == Some(&b'{');
        is_object.then(|| serde_json::from_slice(body).ok()).flatten()
    }

    /// Whether the body is JSON, of any shape.
    pub(in crate::provider) fn is_json(&self) -> bool {
        let body = self.body.as_deref();
        body.is_some_and(|body| serde_json::from_slice::<IgnoredAny>(body).is_ok())
    }

    /// Whether the list in one of these fields has more items than this; found out without keeping any.
    pub(in crate::provider) fn has_more_than(&self, most: usize, fields: &'static [&'static str]) -> bool {
        let body = self.body.as_deref();
        let count = body.and_then(|body| lenient::count(body, fields, most));
        count.is_some_and(|count| count > most)
    }

    /// What this answer says, with when it was said.
    pub(in crate::provider) fn answer<T>(&self, value: T) -> Answer<T> {
        Answer {
            value,
            date: self.date,
        }
    }

    /// The error that this answer stands for if it is a success by its status and makes no sense.
    pub(in crate::provider) fn odd(
        &self,
        operation: &'static str,
        purpose: Purpose,
        what: &str,
    ) -> RemoteError {
        let what = format!("HTTP {}, {what}", self.status.as_u16());
        RemoteError::new(operation, purpose.broken(self.after), &what)
    }

    /// Whether the body is there and says nothing.
    pub(in crate::provider) fn is_empty(&self) -> bool {
        self.body
            .as_deref()
            .is_some_and(|body| body.trim_ascii().is_empty())
    }

    /// What may be shown of a refusal: its status, the API's own codes, the request's id. Of these, what holds a
    /// secret that the API was sent is left out. Starts with a space.
    pub(in crate::provider) fn detail(
        &self,
        codes: impl IntoIterator<Item = String>,
        secrets: &[Option<&Password>],
    ) -> String {
        // What is odd in a text becomes `_`, which may be what is odd in the text and not in the secret.
        let leaks = |text: &str| {
            let shown = presentable(text);
            let has = |secret: &str| text.contains(secret) || shown.contains(secret);
            secrets.iter().flatten().any(|secret| {
                let secret = secret.reveal().trim();
                !secret.is_empty() && (has(secret) || has(&presentable(secret)))
            })
        };
        let codes = codes.into_iter();
        let codes = codes.filter(|code| !code.is_empty() && !leaks(code)).take(3);
        let mut text = format!(" (HTTP {}", self.status.as_u16());
        for code in codes {
            text.push_str(", ");
            text.push_str(&presentable(&code));
        }
        if let Some(id) = self.request_id.as_deref().filter(|id| !leaks(id)) {
            text.push_str(", request ");
            text.push_str(id);
        }
        if self.status.is_redirection() {
            text.push_str(", a redirect, which is not followed");
        }
        text.push(')');
        text
    }
}

/// What a call was meant to do, which decides what a failure leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::provider) enum Purpose {
    /// Changes nothing, whatever happens.
    Read,
    /// May have changed something unless an answer says that it has not.
    Mutation,
}

impl Purpose {
    /// The class of a call that broke off, or was answered in a way that says nothing, after it was sent.
    pub(in crate::provider) fn broken(self, after: Option<Duration>) -> ErrorClass {
        match self {
            Purpose::Read => ErrorClass::Unreachable { after },
            Purpose::Mutation => ErrorClass::Unknown { after },
        }
    }

    /// What an answer that is no success means.
    pub(in crate::provider) fn class(self, reply: &Reply) -> ErrorClass {
        let after = reply.after;
        match reply.status.as_u16() {
            // A web page instead of the API's own answer is somebody else's word, and "there is no such
            // user" is too much to believe of them.
            404 if reply.html => self.broken(after),
            404 => ErrorClass::NotFound,
            409 => ErrorClass::Conflict,
            401..=403 => ErrorClass::Unauthorized,
            // From the proxy, so the remote has not seen the request.
            407 => ErrorClass::Unreachable { after },
            // The server gave up waiting for the request, of which it may have seen enough.
            408 => self.broken(after),
            423 => ErrorClass::Busy,
            429 => ErrorClass::RateLimited { after },
            // A redirect is not followed and the same request would meet it again.
            300..=499 => ErrorClass::Invalid,
            _ => self.broken(after),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn begins_like_html(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

/// An HTTP date, as every server writes it today (RFC 9110: IMF-fixdate), which has whole seconds.
fn http_date(value: &str) -> Option<Timestamp> {
    static PARSER: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);
    PARSER.parse_timestamp(value.trim()).ok()
}

/// `Retry-After`: seconds, or a date, which is taken relative to when the answer was given so that neither
/// clock has to be right.
fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are more than the longest wait.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST_WAIT));
    }
    let wait = http_date(value)?.duration_since(now);
    Some(Duration::try_from(wait).unwrap_or_default().min(LONGEST_WAIT))
}

/// A code or id that the remote sent, fit to be shown: what such things are made of, and not much of it.
/// Anything else, control characters above all, becomes `_`.
fn presentable(text: &str) -> String {
    text.chars()
        .take(64)
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._:-/".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn after(value: &str) -> Option<u64> {
        retry_after(value, http_date(NOW).unwrap()).map(|wait| wait.as_secs())
    }

    #[test]
    fn an_http_date_is_a_timestamp() {
        assert_eq!(http_date(NOW), Some("1994-11-06T08:49:37Z".parse().unwrap()));
        assert_eq!(http_date("1994-11-06"), None);
        assert_eq!(http_date(""), None);
    }

    #[test]
    fn a_wait_is_seconds_or_a_date_relative_to_the_answer() {
        assert_eq!(after("0"), Some(0));
        assert_eq!(after(" 120 "), Some(120));
        assert_eq!(after("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(after("Sun, 06 Nov 1994 08:40:00 GMT"), Some(0));
    }

    #[test]
    fn a_huge_wait_saturates_and_garbage_is_ignored() {
        assert_eq!(after("99999999999999999999999999"), Some(LONGEST_WAIT.as_secs()));
        assert_eq!(after("18446744073709551615"), Some(LONGEST_WAIT.as_secs()));
        for garbage in ["", "-1", "1.5", "soon", "+3", "0x10"] {
            assert_eq!(after(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn what_the_remote_sent_is_shown_without_surprises() {
        assert_eq!(presentable("paas-db-3"), "paas-db-3");
        assert_eq!(presentable("a\n\u{1b}[31m b\u{202e}"), "a___31m_b_");
        assert_eq!(presentable(&"x".repeat(500)).len(), 64);
    }

    fn reply(body: &str) -> Reply {
        let body = Zeroizing::new(body.as_bytes().to_vec());
        Reply::new(StatusCode::OK, &HeaderMap::new(), Some(body))
    }

    #[test]
    fn a_code_that_shows_a_secret_is_left_out_however_it_is_spelt() {
        let secret = Password::new("p_ss word");
        let detail = |code: &str| reply("").detail([code.to_string()], &[Some(&secret)]);
        assert_eq!(detail("bad-1"), " (HTTP 200, bad-1)");
        for code in [
            "is p_ss word",
            "is p_ss_word",
            "is p ss word",
            "is p\u{e4}ss\tword",
        ] {
            assert_eq!(detail(code), " (HTTP 200)", "{code}");
        }
    }

    /// Users are counted by the name of the field that they are in.
    #[test]
    fn a_list_of_values_does_not_pass_for_an_object() {
        #[derive(serde::Deserialize)]
        struct Page {
            items: Vec<u8>,
        }
        let items = |body: &str| reply(body).json::<Page>().map(|page| page.items.len());
        assert_eq!(items(" {\"items\": [1, 2]}"), Some(2));
        assert_eq!(items("[[1, 2]]"), None);
        assert!(reply("[[1, 2]]").is_json() && !reply("<html>").is_json());
    }

    fn class(purpose: Purpose, status: u16) -> ErrorClass {
        purpose.class(&Reply::new(
            StatusCode::from_u16(status).unwrap(),
            &HeaderMap::new(),
            Some(Zeroizing::default()),
        ))
    }

    #[test]
    fn a_status_means_the_same_to_reads_and_mutations_unless_it_leaves_the_outcome_open() {
        use ErrorClass::*;
        let table = [
            (301, Invalid),
            (307, Invalid),
            (400, Invalid),
            (401, Unauthorized),
            (402, Unauthorized),
            (403, Unauthorized),
            (404, NotFound),
            (405, Invalid),
            (409, Conflict),
            (415, Invalid),
            (422, Invalid),
            (423, Busy),
            (429, RateLimited { after: None }),
        ];
        for (status, expected) in table {
            assert_eq!(class(Purpose::Read, status), expected, "{status}");
            assert_eq!(class(Purpose::Mutation, status), expected, "{status}");
        }
        for open in [408, 500, 502, 503, 504, 599, 999] {
            assert_eq!(class(Purpose::Read, open), Unreachable { after: None }, "{open}");
            assert_eq!(class(Purpose::Mutation, open), Unknown { after: None }, "{open}");
        }
    }
}
