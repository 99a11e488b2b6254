//! Text within other text, by the rules of whoever reads it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

/// All but RFC 3986's unreserved characters. What is left means the same to libpq, to pgjdbc (which reads `+`
/// as a space) and to every other reader of URIs.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The same without what a URL's path may hold as it is. node-postgres decodes a path with `decodeURI`, which leaves these
/// alone where they are encoded.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED
    .remove(b';')
    .remove(b'/')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'$')
    .remove(b',');

/// Percent-encoded, for any part of a URI.
pub fn percent(text: &str) -> Zeroizing<String> {
    Zeroizing::new(utf8_percent_encode(text, RESERVED).to_string())
}

/// Percent-encoded as far as a URL's path needs it.
pub fn percent_in_path(text: &str) -> Zeroizing<String> {
    Zeroizing::new(utf8_percent_encode(text, RESERVED_IN_PATH).to_string())
}

/// One field of a line of a password file. A field that is a lone `*` would match anything.
pub fn pgpass(field: &str) -> Zeroizing<String> {
    if field == "*" {
        return Zeroizing::new("\\*".to_string());
    }
    Zeroizing::new(field.replace('\\', "\\\\").replace(':', "\\:"))
}

/// A value of libpq's `keyword = value` strings, with its quotes.
pub fn conninfo(value: &str) -> Zeroizing<String> {
    let mut quoted = Zeroizing::new(String::with_capacity(value.len() * 2 + 2));
    quoted.push('\'');
    for c in value.chars() {
        if matches!(c, '\'' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('\'');
    quoted
}

/// A value of a .NET connection string (`DbConnectionStringBuilder`), with quotes where it needs them.
pub fn dotnet(value: &str) -> Zeroizing<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if !value.is_empty() && value.chars().all(is_plain) {
        return Zeroizing::new(value.to_string());
    }
    let mut quoted = Zeroizing::new(String::with_capacity(value.len() * 2 + 2));
    quoted.push('"');
    for c in value.chars() {
        if c == '"' {
            quoted.push('"');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}
