//! Whatever Scalingo answers is read or refused. What is read keeps what everything else rests on: an answer means the same
//! under its root and bare, no list is longer than it may be, no token is good for longer than an hour, and there is nothing
//! of a secret in an error.
#![no_main]

use std::time::Duration;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use pguser_operator::domain::password::Password;
use pguser_operator::provider::scalingo::fuzzing;
use pguser_operator_fuzz::{SECRET, assert_connectable, assert_shown};
use serde_json::Value;

/// The most users that a list may have here.
const MOST: usize = 3;
const HOUR: Duration = Duration::from_secs(60 * 60);

fuzz_target!(|data: &[u8]| {
    if let Some(cluster) = fuzzing::database(data) {
        assert_connectable(&cluster);
    }
    if let Some(users) = fuzzing::list(data, MOST) {
        assert!(users.len() <= MOST);
    }
    assert_shown(&fuzzing::refusal(data, &Password::new(SECRET)));
    means_the_same_under_its_root(data);
    if let Ok(token) = std::str::from_utf8(data) {
        is_good_for_an_hour_at_most(token);
    }
});

fn means_the_same_under_its_root(data: &[u8]) {
    // The parser has an end to how deep it goes; and what has the root already is not bare.
    let depth = data.iter().filter(|byte| b"[{".contains(byte)).count();
    let Ok(Value::Object(bare)) = serde_json::from_slice(data) else {
        return;
    };
    let roots = ["database_user", "database-user", "database"];
    if depth > 100 || roots.iter().any(|root| bare.contains_key(*root)) {
        return;
    }
    let under = |root: &str| [b"{\"", root.as_bytes(), b"\":", data, b"}"].concat();
    for root in ["database_user", "database-user"] {
        assert_eq!(fuzzing::user(&under(root)), fuzzing::user(data));
    }
    assert_eq!(fuzzing::database(&under("database")), fuzzing::database(data));
}

fn is_good_for_an_hour_at_most(token: &str) {
    let token = Password::new(token);
    for date in [None, Some(Timestamp::UNIX_EPOCH), Some(Timestamp::MAX)] {
        let life = fuzzing::token_life(&token, date);
        assert!(life.is_none_or(|life| life <= HOUR));
    }
}
