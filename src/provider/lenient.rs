//! Reading fields of which nobody knows what a server will put there one day.

use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

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

/// How many items the list in one of these fields of a JSON object has, counted without keeping any; one more than `most`, if
/// there are more than that. None if it is no such object, or has no such list.
pub(in crate::provider) fn count(body: &[u8], fields: &'static [&'static str], most: usize) -> Option<usize> {
    let found = Cell::new(None);
    let object = Object {
        fields,
        most,
        found: &found,
    };
    let read = object.deserialize(&mut serde_json::Deserializer::from_slice(body));
    match found.get() {
        Some(count) if count > most => Some(count),
        count => read.ok().and(count),
    }
}

struct Object<'a> {
    fields: &'static [&'static str],
    most: usize,
    found: &'a Cell<Option<usize>>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match self.fields.contains(&key.as_str()) {
                true => map.next_value_seed(Items {
                    most: self.most,
                    found: self.found,
                })?,
                false => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// The items of a list; there may be null in its place.
struct Items<'a> {
    most: usize,
    found: &'a Cell<Option<usize>>,
}

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.found.set(Some(0));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut count = 0;
        while items.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
            self.found.set(Some(count));
            if count > self.most {
                return Err(serde::de::Error::custom("too many"));
            }
        }
        self.found.set(Some(count));
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_counted_up_to_one_more_than_there_may_be() {
        let count = |text: &str| count(text.as_bytes(), &["items", "users"], 3);
        assert_eq!(
            count(r#"{"id": {"items": 7}, "items": [{"a": [1, 2]}, {}, null]}"#),
            Some(3)
        );
        assert_eq!(
            count(r#"{"users": [1, 2, 3, 4, 5"#),
            Some(4),
            "the rest is not even read"
        );
        assert_eq!(count(r#"{"items": []}"#), Some(0));
        assert_eq!(count(r#"{"items": null}"#), Some(0));
        for nonsense in [
            r#"{"other": []}"#,
            "[]",
            "",
            r#"{"items": [1"#,
            r#"{"items": "a"}"#,
        ] {
            assert_eq!(count(nonsense), None, "{nonsense}");
        }
    }
}
