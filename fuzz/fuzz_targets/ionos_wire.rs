//! Whatever IONOS answers is read or refused. What is read keeps what everything else rests on: dates in whole seconds, the
//! vendor's own users protected, each name once in a list, no list longer than it may be, nothing of a secret in an error.
//!
//! The input is one answer, or the pages of a list with a zero byte between them.
#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use pguser_operator::domain::password::Password;
use pguser_operator::provider::ionos::fuzzing;
use pguser_operator::provider::{Creator, RemoteUser};
use pguser_operator_fuzz::{SECRET, assert_connectable, assert_shown};

/// The most users that a list may have here.
const MOST: usize = 5;

fuzz_target!(|data: &[u8]| {
    if let Some(user) = fuzzing::user(data) {
        is_sound(&user);
    }
    if let Some(cluster) = fuzzing::cluster(data) {
        assert_connectable(&cluster);
    }
    assert_shown(&fuzzing::refusal(data, &Password::new(SECRET)));
    for limit in [1, 2, 1000] {
        is_put_together_well(data, limit);
    }
});

fn is_sound(user: &RemoteUser) {
    let dates = [user.created, user.modified].into_iter().flatten();
    for date in dates {
        assert_eq!(date.subsec_nanosecond(), 0);
        assert!(date.as_second() >= 0);
    }
    assert!(user.protected || user.creator != Creator::System);
}

fn is_put_together_well(data: &[u8], limit: u64) {
    let pages = || data.split(|byte| *byte == 0);
    let Some(listing) = fuzzing::list(pages(), limit, MOST) else {
        return;
    };
    assert!(listing.users.len() <= MOST);
    let mut listed = HashMap::new();
    for user in &listing.users {
        is_sound(user);
        let before = listed.insert(&user.username, user.protected);
        assert_eq!(before, None, "{} is there twice", user.username);
    }
    for page in pages().take(listing.pages as usize) {
        let users = fuzzing::page(page, MOST).expect("a list is made of pages");
        for user in users {
            let protected = listed.get(&user.username).copied();
            assert_eq!(protected.map(|listed| listed || !user.protected), Some(true));
        }
    }
}
