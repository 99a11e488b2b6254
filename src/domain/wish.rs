//! What people write into annotations, as far as it is kept: they may write up to 256 KiB there.

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Deserializer, Serialize};

use super::mac::{hex, short_digest};

/// The longest value that is kept as it is.
pub const LONGEST: usize = 253;

/// A value to be known again by: itself, or, if it is long, a digest of it. The same again of what is short already.
#[must_use]
pub fn short(value: &str) -> String {
    match value.len() <= LONGEST {
        true => value.to_string(),
        false => format!("sha256:{}", hex(digest(&SHA256, value.as_bytes()).as_ref())),
    }
}

/// A short name for something that is wished for, the same for the same.
#[must_use]
pub fn digest_of(wish: &impl Serialize) -> String {
    short_digest(&serde_json::to_vec(wish).unwrap_or_default())
}

/// Whether two values are the same wish; either may be kept short or, by an earlier version, whole.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    one == other || short(one) == short(other)
}

/// Reads a value that an earlier version may have kept whole.
///
/// # Errors
/// If it is no text.
pub fn read_short<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|value| short(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_is_kept_as_it_is() {
        for value in ["", "2026-11-22", &"x".repeat(LONGEST)] {
            assert_eq!(short(value), value);
        }
    }

    #[test]
    fn long_values_are_told_apart_and_known_again() {
        let long = |end: &str| "x".repeat(300_000) + end;
        assert_eq!(short(&long("a")), short(&long("a")));
        assert_ne!(short(&long("a")), short(&long("b")));
        assert!(short(&long("a")).len() < LONGEST);
    }

    #[test]
    fn shortening_twice_changes_nothing() {
        let once = short(&"ä".repeat(200));
        assert_eq!(short(&once), once);
        assert!(same(&once, &"ä".repeat(200)) && !same(&once, "ä"));
    }
}
