//! Configuration parameters that a role sets for its sessions (`ALTER ROLE … SET`).

use std::collections::BTreeMap;

/// Parameters by their names, in lower case, with their values as a person writes them in `postgresql.conf`.
pub type Parameters = BTreeMap<String, String>;

/// The parameters whose value is a list of names, each of which PostgreSQL keeps in quotes where it needs them: a list that
/// were passed as one text would be one odd name. As in `variable_is_guc_list_quote` of PostgreSQL 18's pg_dump.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// Those of them that are lists of identifiers: without quotes, upper case is lower case.
const IDENTIFIERS: [&str; 2] = ["search_path", "temp_tablespaces"];

/// What a value means, as texts that `SET … TO` takes one by one.
pub fn items(name: &str, value: &str) -> Vec<String> {
    if !LISTS.contains(&name) {
        return vec![value.to_string()];
    }
    let folds = IDENTIFIERS.contains(&name);
    let items = split(value).into_iter().map(|item| unquoted(item, folds));
    items.collect()
}

/// Whether two values of a parameter mean the same.
pub fn is_same(name: &str, one: &str, other: &str) -> bool {
    one == other || items(name, one) == items(name, other)
}

/// Whether a pattern of `allowed.config` is of this parameter: its name, or what is before the dot of one that an extension or
/// an application has made, followed by `.*`.
pub fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(class) => name.split_once('.').is_some_and(|(prefix, _)| prefix == class),
        None => pattern == name,
    }
}

/// The parts between the commas that are not in double quotes.
fn split(value: &str) -> Vec<&str> {
    let mut in_quotes = false;
    let parts = value.split(|c| {
        in_quotes ^= c == '"';
        c == ',' && !in_quotes
    });
    parts.map(str::trim).collect()
}

fn unquoted(item: &str, folds: bool) -> String {
    let inner = item.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) => inner.replace("\"\"", "\""),
        None if folds => item.to_ascii_lowercase(),
        None => item.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_names_is_taken_apart_and_other_values_are_not() {
        for (value, expected) in [
            ("app, public", vec!["app", "public"]),
            ("App,PUBLIC", vec!["app", "public"]),
            ("\"$user\", public", vec!["$user", "public"]),
            ("\"a, b\"", vec!["a, b"]),
            ("\"say \"\"it\"\"\", x", vec!["say \"it\"", "x"]),
            ("", vec![""]),
            ("\"\"", vec![""]),
        ] {
            assert_eq!(items("search_path", value), expected, "{value}");
        }
        assert_eq!(items("datestyle", "ISO, DMY"), ["ISO, DMY"]);
        assert_eq!(items("local_preload_libraries", "A, b"), ["A", "b"]);
    }

    #[test]
    fn what_postgresql_has_made_of_a_list_is_the_same() {
        assert!(is_same("search_path", "$user, App", "\"$user\", app"));
        assert!(!is_same("search_path", "app, public", "\"app, public\""));
        assert!(!is_same("statement_timeout", "5s", "5000"));
    }

    #[test]
    fn a_pattern_is_a_name_or_all_of_one_class() {
        assert!(matches("search_path", "search_path"));
        assert!(matches("app.*", "app.tenant"));
        for name in ["app", "apple.tenant", "search_path", "app_x.y"] {
            assert!(!matches("app.*", name), "{name}");
        }
    }
}
