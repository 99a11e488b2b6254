//! Which usernames may be asked for: PostgreSQL's rules, the provider's, and those of the server object.

use super::plan::Invalid;
use super::remote::{Capabilities, UsernameCharacters};
use crate::api::{Reason, Usernames};

/// PostgreSQL keeps this many bytes of a name and drops the rest without an error.
const MOST_BYTES: usize = 63;

/// What stands for the PostgresUser's namespace in a prefix or a pattern.
const NAMESPACE: &str = "{namespace}";

/// Names that PostgreSQL itself gives a meaning in the place of a role.
const MEANINGFUL: &[&str] = &["public", "none"];

/// What the server object allows to the PostgresUsers of one namespace.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// `spec.usernames` of the server object.
    pub usernames: Option<&'a Usernames>,
    /// The PostgresUser's namespace.
    pub namespace: &'a str,
}

/// Why a username cannot be had on this server, or must not be.
///
/// The message quotes patterns of the server object only as far as they speak of the user's own namespace:
/// the others may name other teams.
pub fn check(username: &str, policy: &Policy<'_>, capabilities: &Capabilities) -> Option<Invalid> {
    let message = fault(username, policy, capabilities)?;
    Some(Invalid {
        reason: Reason::InvalidUsername,
        message: format!("spec.username (default: the object's name) is {username:?}: {message}"),
    })
}

/// The same of a login that takes turns with another one.
pub fn check_member(username: &str, policy: &Policy<'_>, capabilities: &Capabilities) -> Option<Invalid> {
    let message = fault(username, policy, capabilities)?;
    Some(Invalid {
        reason: Reason::InvalidUsername,
        message: format!(
            "spec.rotation.strategy is Alternating, which makes logins of spec.username followed by _a and by _b, such as \
             {username:?}: {message}"
        ),
    })
}

/// Whether a name matches a pattern of a server object: `*` stands for any text, `{namespace}` for the namespace.
pub fn matches(pattern: &str, name: &str, namespace: &str) -> bool {
    let policy = Policy {
        usernames: None,
        namespace,
    };
    policy.matches(pattern, name)
}

fn fault(username: &str, policy: &Policy<'_>, capabilities: &Capabilities) -> Option<String> {
    malformed(username)
        .or_else(|| reserved(username, capabilities))
        .or_else(|| unfit(username, capabilities))
        .or_else(|| policy.refuses(username))
}

/// No two names may become one role, and every name must be one that a person can see.
fn malformed(username: &str) -> Option<String> {
    if username.is_empty() {
        return Some("a username must not be empty: name one".to_string());
    }
    let characters = username.chars().count();
    if characters > MOST_BYTES {
        return Some(format!(
            "it has {characters} characters, and PostgreSQL keeps {MOST_BYTES}: choose a shorter one"
        ));
    }
    if username.len() > MOST_BYTES {
        return Some(format!(
            "it has {} bytes in UTF-8, and PostgreSQL would silently drop what is beyond {MOST_BYTES}: choose a \
             shorter one, or one with fewer characters outside ASCII",
            username.len()
        ));
    }
    username
        .chars()
        .any(char::is_control)
        .then(|| "it holds a control character: leave it out".to_string())
        .or_else(|| unaddressable(username))
}

/// APIs name users in the path of a URL, where these two never arrive.
fn unaddressable(username: &str) -> Option<String> {
    matches!(username, "." | "..").then(|| {
        "the server's API names users by URL, which cannot hold this name: choose another one".to_string()
    })
}

fn reserved(username: &str, capabilities: &Capabilities) -> Option<String> {
    let is = |name: &&str| username.to_lowercase() == name.to_lowercase();
    if capabilities.reserved.iter().any(is) {
        return Some(format!(
            "{} keeps this name for itself: choose another one",
            capabilities.name
        ));
    }
    if MEANINGFUL.iter().any(is) {
        return Some("PostgreSQL gives this name a meaning of its own: choose another one".to_string());
    }
    username.to_lowercase().starts_with("pg_").then(|| {
        "PostgreSQL keeps names that start with pg_ for its own roles: choose another start".to_string()
    })
}

/// What the provider asks for beyond PostgreSQL's own rules.
fn unfit(username: &str, capabilities: &Capabilities) -> Option<String> {
    let Capabilities {
        name,
        username_min,
        username_max,
        ..
    } = capabilities;
    let characters = username.chars().count();
    let wrong = match characters {
        few if few < *username_min => Some(("short", "longer")),
        many if many > *username_max => Some(("long", "shorter")),
        _ => None,
    };
    if let Some((too, choose)) = wrong {
        return Some(format!(
            "it is too {too}, for {name} takes usernames of {username_min} to {username_max} characters: choose a {choose} \
             one"
        ));
    }
    match capabilities.username_characters {
        UsernameCharacters::Any => None,
        UsernameCharacters::LowercaseWords => not_words(username, name),
    }
}

fn not_words(username: &str, provider: &str) -> Option<String> {
    let fits = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(*c);
    if let Some(other) = username.chars().find(|c| !fits(c)) {
        return Some(format!(
            "it holds {other:?}, and {provider} takes lower-case letters (a to z), digits, hyphens and underscores only: \
             leave it out"
        ));
    }
    if username.starts_with(['-', '_']) || username.ends_with(['-', '_']) {
        return Some(format!(
            "it begins or ends with a hyphen or an underscore, which {provider} takes only between other characters: \
             leave it out"
        ));
    }
    username
        .contains("--")
        .then(|| format!("it has two hyphens in a row, and {provider} takes one: leave the other out"))
}

impl Policy<'_> {
    fn refuses(&self, username: &str) -> Option<String> {
        let usernames = self.usernames?;
        self.wrong_start(username, usernames)
            .or_else(|| self.matches_none(username, usernames))
    }

    fn wrong_start(&self, username: &str, usernames: &Usernames) -> Option<String> {
        let prefix = self.expand(usernames.prefix.as_deref()?);
        (!username.starts_with(&prefix)).then(|| {
            format!(
                "the server object asks for usernames that start with {prefix:?} (spec.usernames.prefix): choose one, or \
                 ask whoever keeps the server object"
            )
        })
    }

    fn matches_none(&self, username: &str, usernames: &Usernames) -> Option<String> {
        let allowed = &usernames.allowed;
        if allowed.is_empty() || allowed.iter().any(|pattern| self.matches(pattern, username)) {
            return None;
        }
        let own: Vec<String> = allowed
            .iter()
            .filter(|pattern| pattern.contains(NAMESPACE))
            .map(|pattern| format!("{:?}", self.expand(pattern)))
            .collect();
        let which = match own.is_empty() {
            true => String::new(),
            false => format!(", of which {} are for this namespace", own.join(", ")),
        };
        Some(format!(
            "it matches none of the patterns that the server object allows (spec.usernames.allowed{which}): choose one \
             that does, or ask whoever keeps the server object"
        ))
    }

    fn expand(&self, text: &str) -> String {
        text.replace(NAMESPACE, self.namespace)
    }

    /// Whether `*` can be filled in so that the pattern is the text. All else stands for itself.
    fn matches(&self, pattern: &str, text: &str) -> bool {
        let mut parts: Vec<String> = pattern.split('*').map(|part| self.expand(part)).collect();
        let Some(last) = parts.pop() else {
            return false;
        };
        let Some((first, middle)) = parts.split_first() else {
            return text == last;
        };
        let Some(mut rest) = text
            .strip_prefix(first.as_str())
            .and_then(|rest| rest.strip_suffix(last.as_str()))
        else {
            return false;
        };
        // The earliest place is always good enough, for it leaves the most to the parts that follow.
        for part in middle {
            match rest.split_once(part.as_str()) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IONOS: Capabilities = Capabilities {
        name: "ionos",
        password_min: 10,
        password_max: 63,
        reserved: &["postgres", "admin"],
        turns_busy: true,
        ..Capabilities::PLAIN
    };
    const SCALINGO: Capabilities = Capabilities {
        name: "scalingo",
        username_min: 6,
        username_max: 32,
        username_characters: UsernameCharacters::LowercaseWords,
        ..Capabilities::PLAIN
    };
    const ANY: Policy<'static> = Policy {
        usernames: None,
        namespace: "shop",
    };

    fn refused(username: &str) -> Option<String> {
        check(username, &ANY, &IONOS).map(|invalid| invalid.message)
    }

    fn under(usernames: &Usernames, username: &str) -> Option<String> {
        let policy = Policy {
            usernames: Some(usernames),
            namespace: "shop",
        };
        check(username, &policy, &IONOS).map(|invalid| invalid.message)
    }

    fn allowing(patterns: &[&str]) -> Usernames {
        Usernames {
            prefix: None,
            allowed: patterns.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn names_that_look_odd_are_names() {
        for name in [
            "checkout",
            "Check Out",
            "o'neil",
            "we\"ird/na%me",
            "🦀",
            "a",
            &"x".repeat(63),
        ] {
            assert_eq!(refused(name), None, "{name}");
        }
    }

    #[test]
    fn two_names_never_become_one_by_being_cut() {
        assert!(refused(&"x".repeat(64)).unwrap().contains("64 characters"));
        let crabs = "🦀".repeat(16);
        assert!(refused(&crabs).unwrap().contains("64 bytes"));
        assert_eq!(refused(&"🦀".repeat(15)), None);
    }

    #[test]
    fn control_characters_are_refused_and_shown_escaped() {
        for name in ["a\0b", "a\nb", "a\u{7f}", "a\u{85}b"] {
            let message = refused(name).unwrap();
            assert!(
                message.contains("control character") && !message.contains(name),
                "{message}"
            );
        }
        assert!(refused("").unwrap().contains("must not be empty"));
    }

    #[test]
    fn reserved_names_are_refused_in_any_case() {
        for name in [
            "postgres",
            "Postgres",
            "ADMIN",
            "pg_signal_backend",
            "PG_x",
            "public",
            "None",
        ] {
            assert!(refused(name).is_some(), "{name}");
        }
        assert_eq!(refused("pgbouncer"), None);
        assert_eq!(refused("postgres2"), None);
    }

    #[test]
    fn a_name_is_as_long_as_the_provider_wants() {
        let refused = |name: &str| check(name, &ANY, &SCALINGO).map(|invalid| invalid.message);
        for name in ["abcdef", &"x".repeat(32)] {
            assert_eq!(refused(name), None, "{name}");
        }
        let short = refused("abcde").unwrap();
        for part in ["spec.username", "too short", "scalingo", "6 to 32", "longer"] {
            assert!(short.contains(part), "{part}: {short}");
        }
        let long = refused(&"x".repeat(33)).unwrap();
        assert!(long.contains("too long") && long.contains("shorter"), "{long}");
    }

    #[test]
    fn a_name_has_the_characters_that_the_provider_takes() {
        let refused = |name: &str| check(name, &ANY, &SCALINGO).map(|invalid| invalid.message);
        for name in ["my-user", "my_user", "my_app_4553_rw", "a__b-c", "4553-app"] {
            assert_eq!(refused(name), None, "{name}");
        }
        for (name, part) in [
            ("Checkout", "'C'"),
            ("check.out", "'.'"),
            ("o'neil-x", "'\\''"),
            ("bücher-shop", "'ü'"),
            ("check out", "' '"),
            ("-checkout", "begins or ends"),
            ("checkout_", "begins or ends"),
            ("check--out", "two hyphens"),
        ] {
            let message = refused(name).unwrap();
            assert!(
                message.contains(part) && message.contains("scalingo"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_prefix_speaks_of_the_users_own_namespace() {
        let usernames = Usernames {
            prefix: Some("{namespace}_".to_string()),
            allowed: Vec::new(),
        };
        assert_eq!(under(&usernames, "shop_checkout"), None);
        let message = under(&usernames, "bank_checkout").unwrap();
        assert!(
            message.contains("\"shop_\"") && message.contains("spec.usernames.prefix"),
            "{message}"
        );
    }

    #[test]
    fn patterns_are_literal_but_for_star_and_namespace() {
        let cases = [
            ("app-*", "app-", true),
            ("app-*", "app-x", true),
            ("app-*", "xapp-x", false),
            ("*-ro", "shop-ro", true),
            ("*-ro", "-ro-", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-bb-bc", true),
            ("a*b*c", "ac", false),
            ("a*a", "a", false),
            ("{namespace}-*", "shop-x", true),
            ("{namespace}-*", "bank-x", false),
            ("*{namespace}*", "a-shop-b", true),
            ("a.c", "abc", false),
            ("[ab]", "a", false),
            ("a?", "ab", false),
            ("(a|b)+", "(a|b)+", true),
            ("*", "anything at all", true),
            ("**", "x", true),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ];
        for (pattern, name, matches) in cases {
            let found = under(&allowing(&[pattern]), name);
            assert_eq!(found.is_none(), matches, "{pattern} {name}: {found:?}");
        }
    }

    #[test]
    fn one_pattern_of_several_is_enough() {
        assert_eq!(under(&allowing(&["a-*", "b-*"]), "b-1"), None);
        assert_eq!(under(&allowing(&[]), "b-1"), None);
    }

    #[test]
    fn a_refusal_does_not_tell_of_other_namespaces() {
        let message = under(&allowing(&["bank-*", "{namespace}-*"]), "checkout").unwrap();
        assert!(
            message.contains("shop-*") && !message.contains("bank"),
            "{message}"
        );
        let message = under(&allowing(&["bank-*"]), "checkout").unwrap();
        assert!(!message.contains("bank"), "{message}");
    }

    /// The same question answered by trying everything.
    fn matches_by_search(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| matches_by_search(rest, &text[skip..])),
            Some((c, rest)) => text.first() == Some(c) && matches_by_search(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_an_exhaustive_search(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(ANY.matches(&pattern, &text), matches_by_search(&chars(&pattern), &chars(&text)));
        }

        #[test]
        fn no_name_that_is_taken_is_longer_than_postgresql_keeps(name in any::<String>()) {
            prop_assert!(refused(&name).is_some() || (!name.is_empty() && name.len() <= 63));
        }
    }
}
