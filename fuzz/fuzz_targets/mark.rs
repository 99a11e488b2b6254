//! A mark that is written is read, and written once more changes nothing; whatever else a comment says stays, line by line.
//!
//! The input is installation, UID and comment, with line ends between them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pguser_operator::domain::identity::Mark;
use pguser_operator::provider::postgresql::fuzzing::{mark_in, with_mark};

fuzz_target!(|text: &str| {
    let mut parts = text.splitn(3, '\n');
    let mut next = || parts.next().unwrap_or_default();
    let (installation, uid, comment) = (next(), next(), next());

    if let Ok(Some(mark)) = mark_in(comment) {
        assert!(is_id(&mark.installation) && is_id(&mark.uid), "{mark:?}");
        assert_eq!(with_mark(comment, &mark), comment);
    }
    if !is_id(installation) || !is_id(uid) {
        return;
    }
    let mark = Mark {
        installation: installation.to_string(),
        uid: uid.to_string(),
    };
    let marked = with_mark(comment, &mark);
    assert_eq!(mark_in(&marked), Ok(Some(mark.clone())));
    assert_eq!(with_mark(&marked, &mark), marked);
    if !comment.is_empty() {
        assert_eq!(of_people(&marked), of_people(comment));
    }
});

/// What an id is made of.
fn is_id(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !text.is_empty() && text.len() <= 128 && text.chars().all(plain)
}

/// The lines of a comment that are no marks.
fn of_people(comment: &str) -> Vec<&str> {
    let lines = comment.split('\n');
    lines
        .filter(|line| !line.trim_start().starts_with("managed by pguser-operator:"))
        .collect()
}
