//! Names and commands of SQL, as they are sent and as they are shown to a person.

use std::fmt::Write;

/// A name as SQL has it: in double quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name as SQL has it, in characters that print: what a person copies from a terminal is what was meant.
pub fn identifier(name: &str) -> String {
    if name.chars().all(prints) {
        return quoted(name);
    }
    let mut text = String::from("U&\"");
    for c in name.chars() {
        // Writing to a String cannot fail.
        let _ = match c {
            '"' | '\\' => write!(text, "{c}{c}"),
            _ if prints(c) => write!(text, "{c}"),
            _ if u32::from(c) <= 0xffff => write!(text, "\\{:04x}", u32::from(c)),
            _ => write!(text, "\\+{:06x}", u32::from(c)),
        };
    }
    text.push('"');
    text
}

/// How the command ends that lets the operator's login change a login (PostgreSQL 16 and later).
const ADMIN_OPTION: &str = " WITH ADMIN OPTION";

/// The command that lets the operator's login, `operator`, change a login (PostgreSQL 16 and later), to be shown.
pub fn admin_grant(login: &str, operator: &str) -> String {
    admin_grant_to(login, &identifier(operator))
}

/// The same, the operator's login as SQL has it.
pub fn admin_grant_to(login: &str, operator: &str) -> String {
    format!("GRANT {} TO {operator}{ADMIN_OPTION}", identifier(login))
}

/// The operator's login, as SQL has it, if a message has [`admin_grant`] of this login.
pub fn admin_grant_in<'a>(message: &'a str, login: &str) -> Option<&'a str> {
    let (_, rest) = message.split_once(&format!("GRANT {} TO ", identifier(login)))?;
    let (operator, _) = rest.split_once(ADMIN_OPTION)?;
    is_identifier(operator).then_some(operator)
}

/// Whether this is one name as [`identifier`] writes it, and nothing else.
fn is_identifier(text: &str) -> bool {
    let quoted = text.strip_prefix("U&").unwrap_or(text);
    let name = quoted.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    name.is_some_and(|name| !name.replace("\"\"", "").contains('"') && name.chars().all(prints))
}

/// Whether a character is seen for what it is, and leaves the text around it as it is.
pub fn prints(c: char) -> bool {
    c == ' ' || (!c.is_control() && !c.is_whitespace() && !is_invisible(c))
}

/// What would turn the text around it over, or hide in it.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_whatever_is_in_it() {
        assert_eq!(quoted("we\"ird x"), "\"we\"\"ird x\"");
    }

    #[test]
    fn a_name_is_quoted_in_characters_that_print() {
        assert_eq!(identifier("it's My \\ \"table\""), "\"it's My \\ \"\"table\"\"\"");
        assert_eq!(
            identifier("a\n\"\\\u{202e}\u{e0001}ü"),
            "U&\"a\\000a\"\"\\\\\\202e\\+0e0001ü\""
        );
    }

    #[test]
    fn a_grant_is_found_in_a_message_and_names_the_operators_login() {
        for (login, operator) in [("app", "clerk"), ("we\"ird TO x", "a\"b"), ("a\u{202e}b", "ü\nx")] {
            let message = format!(
                "refused. A superuser gives it: {}; and more",
                admin_grant(login, operator)
            );
            assert_eq!(
                admin_grant_in(&message, login),
                Some(identifier(operator).as_str())
            );
            assert_eq!(admin_grant_in(&message, "other"), None);
        }
        // What a message has been cut to, or a server has made up, is no name.
        for odd in [
            "GRANT \"app\" TO \"cle",
            "GRANT \"app\" TO clerk WITH ADMIN OPTION",
            "GRANT \"app\" TO \"x\"; DROP ROLE \"y\" WITH ADMIN OPTION",
            "GRANT \"app\" TO \" WITH ADMIN OPTION",
        ] {
            assert_eq!(admin_grant_in(odd, "app"), None, "{odd}");
        }
    }
}
