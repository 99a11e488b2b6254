//! Names and texts as they are written in a statement.

use std::error::Error;
use std::fmt::Write;

use tokio_postgres::types::{FromSql, Type};

use crate::domain::sql::prints;
pub(super) use crate::domain::sql::{identifier, quoted as ident};

/// The most bytes that a name has; of a longer one PostgreSQL would silently take the beginning.
const LONGEST: usize = 63;

/// Whether a role or a database can have this name.
pub(super) fn is_name(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && !name.contains('\0')
}

/// A text in single quotes, in the one spelling that means the same whatever `standard_conforming_strings` is.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    match text.contains('\\') {
        true => format!(" E'{}'", quoted.replace('\\', "\\\\")),
        false => format!("'{quoted}'"),
    }
}

/// A name that is shown to a person: in double quotes, what does not print escaped, and not much of it.
pub(super) fn shown(name: &str) -> String {
    let mut text = String::from("\"");
    for (place, c) in name.chars().enumerate() {
        if place == LONGEST {
            text.push('…');
            break;
        }
        // Writing to a String cannot fail.
        let _ = match c {
            '"' | '\\' => write!(text, "\\{c}"),
            _ if prints(c) => write!(text, "{c}"),
            _ => write!(text, "{}", c.escape_unicode()),
        };
    }
    text.push('"');
    text
}

/// A text as a server keeps it: bytes, which may be in the encoding of whoever wrote them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bytes(Vec<u8>);

impl Bytes {
    /// The text, if it is UTF-8; else one in which the other bytes are escaped, to be shown.
    pub(super) fn text(self) -> Result<String, String> {
        let bytes = match String::from_utf8(self.0) {
            Ok(text) => return Ok(text),
            Err(error) => error.into_bytes(),
        };
        let mut text = String::new();
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            for byte in chunk.invalid() {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
        Err(text)
    }

    /// The text, to be shown.
    pub(super) fn into_shown(self) -> String {
        self.text().unwrap_or_else(|escaped| escaped)
    }
}

impl<'a> FromSql<'a> for Bytes {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::TEXT | Type::NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_utf_8_is_escaped() {
        let bytes = |text: &[u8]| Bytes(text.to_vec()).text();
        assert_eq!(bytes("müller".as_bytes()), Ok("müller".to_string()));
        assert_eq!(bytes(b"m\xfcller"), Err("m\\xfcller".to_string()));
        assert_eq!(bytes(b"\xff\xfe"), Err("\\xff\\xfe".to_string()));
    }

    #[test]
    fn quotes_are_doubled_and_backslashes_mean_themselves() {
        assert_eq!(ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), " E'a\\\\''b'");
    }

    #[test]
    fn a_name_is_not_too_long_and_has_no_nul() {
        assert!(is_name("x") && is_name(&"x".repeat(63)));
        assert!(!is_name("") && !is_name(&"ü".repeat(32)) && !is_name("a\0b"));
    }

    #[test]
    fn a_name_is_shown_without_surprises() {
        assert_eq!(shown("app"), "\"app\"");
        assert_eq!(shown("a\"\n\u{202e}\u{1b}b"), "\"a\\\"\\u{a}\\u{202e}\\u{1b}b\"");
        assert!(shown(&"x".repeat(500)).len() < 80);
    }
}
