//! Reading fields of which nobody knows what a server will put there one day.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value, or nothing where it is absent, null or of another type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::provider) struct Lenient<T>(pub(in crate::provider) Option<T>);

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either<T> {
            Value(T),
            Other(IgnoredAny),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Value(value) => Self(Some(value)),
            Either::Other(_) => Self(None),
        })
    }
}

/// Whether a user is the vendor's own. What cannot be understood counts as yes: a user too many is spared.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::provider) struct Flag(pub(in crate::provider) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a boolean")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(value))
            }

            fn visit_unit<E>(self) -> Result<Flag, E> {
                Ok(Flag(false))
            }

            fn visit_str<E>(self, value: &str) -> Result<Flag, E> {
                Ok(Flag(!value.eq_ignore_ascii_case("false")))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Flag, E> {
                Ok(Flag(true))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Flag, E> {
                Ok(Flag(value != 0))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Flag, E> {
                Ok(Flag(true))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Flag, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Flag(true))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Flag, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Flag(true))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}
