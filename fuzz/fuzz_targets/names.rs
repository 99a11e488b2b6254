//! A pattern matches what an exhaustive search finds that it matches; a username that is taken keeps to every rule, and one that
//! is refused is told in words without control characters.
//!
//! The input is pattern, namespace, username and, if there is one, prefix, with line ends between them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pguser_operator::api::Usernames;
use pguser_operator::domain::username::{Policy, check, matches};
use pguser_operator::provider::{ionos, postgresql, scalingo};

fuzz_target!(|text: &str| {
    let mut parts = text.splitn(4, '\n');
    let mut next = || parts.next().unwrap_or_default();
    let (pattern, namespace, username) = (next(), next(), next());
    let prefix = parts.next();

    let expanded = |text: &str| text.replace("{namespace}", namespace);
    let literal: Vec<String> = pattern.split('*').map(expanded).collect();
    let found = matches(pattern, username, namespace);
    assert_eq!(found, can_be_filled_in(&literal, username));

    let usernames = Usernames {
        prefix: prefix.map(str::to_string),
        allowed: vec![pattern.to_string()],
    };
    let policy = Policy {
        usernames: Some(&usernames),
        namespace,
    };
    for capabilities in [
        ionos::CAPABILITIES,
        scalingo::CAPABILITIES,
        postgresql::CAPABILITIES,
    ] {
        let refusal = check(username, &policy, &capabilities);
        if let Some(refusal) = refusal {
            assert!(
                !refusal.message.chars().any(char::is_control),
                "{}",
                refusal.message
            );
            continue;
        }
        let characters = username.chars().count();
        assert!((capabilities.username_min..=capabilities.username_max).contains(&characters));
        assert!((1..=63).contains(&username.len()));
        assert!(!username.chars().any(char::is_control));
        assert!(!username.to_lowercase().starts_with("pg_"));
        assert!(found && username.starts_with(&expanded(prefix.unwrap_or_default())));
    }
});

/// Whether a text is these parts with any text between each and the next, found by following every way at once.
fn can_be_filled_in(literal: &[String], text: &str) -> bool {
    let mut ends = vec![0];
    for (at, part) in literal.iter().enumerate() {
        let begins: Vec<usize> = match (at, ends.iter().min()) {
            (0, _) => ends,
            (_, Some(first)) => (*first..=text.len()).collect(),
            (_, None) => return false,
        };
        let follows = |begin: &usize| text.get(*begin..).is_some_and(|rest| rest.starts_with(part));
        ends = begins
            .into_iter()
            .filter(follows)
            .map(|begin| begin + part.len())
            .collect();
    }
    ends.contains(&text.len())
}
