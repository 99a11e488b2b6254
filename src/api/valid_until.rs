//! Until when a password is valid, in the words of a spec.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// PostgreSQL's word for a date that never comes.
const INFINITY: &str = "infinity";

/// What a date looks like. [`rule`] says which of them are dates.
const SHAPE: &str = "^(infinity|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2}))$";
/// The longest date: nine digits of fraction, and an offset.
const MAX_LENGTH: u32 = 35;

/// Every day of the calendar.
const DAY: &str = "([0-9]{4}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)\
    |([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)";
/// Every second of a day, and every offset that RFC 3339 has.
const TIME: &str =
    "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])";

const MESSAGE: &str = "spec.postgresql.validUntil must be infinity, or a date from 0001-01-02 to 9999-12-30T22:00:00Z with a time \
    and an offset of less than a day, such as 2030-01-01T00:00:00Z: for a password that is valid for ever write infinity";

/// Until when a login's password is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValidUntil {
    /// For ever.
    Infinity,
    /// Until this moment.
    At(Timestamp),
}

impl ValidUntil {
    /// The moment; none if it never comes.
    pub fn moment(self) -> Option<Timestamp> {
        match self {
            ValidUntil::Infinity => None,
            ValidUntil::At(moment) => Some(moment),
        }
    }
}

impl fmt::Display for ValidUntil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValidUntil::Infinity => f.write_str(INFINITY),
            ValidUntil::At(moment) => moment.fmt(f),
        }
    }
}

impl Serialize for ValidUntil {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ValidUntil {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        match text.as_ref() {
            INFINITY => Ok(ValidUntil::Infinity),
            date => date.parse().map(ValidUntil::At).map_err(D::Error::custom),
        }
    }
}

/// The rule in CEL. Days and offsets that there are not would be an error of `timestamp()`, whose text helps nobody, so they
/// are told by a pattern; the ends are those of what can be read here and written in SQL.
fn rule() -> String {
    format!(
        "self == '{INFINITY}' || (self.matches('^{DAY}[Tt]{TIME}$') && self >= '0001-01-02' && self < '9999-12-31' && \
         timestamp(self.upperAscii()) <= timestamp('9999-12-30T22:00:00Z'))"
    )
}

impl JsonSchema for ValidUntil {
    fn schema_name() -> Cow<'static, str> {
        "ValidUntil".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": MAX_LENGTH,
            "pattern": SHAPE,
            "x-kubernetes-validations": [{"rule": rule(), "message": MESSAGE}],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<ValidUntil> {
        serde_json::from_value(text.into()).ok()
    }

    #[test]
    fn infinity_is_no_moment_and_is_written_as_it_was() {
        assert_eq!(read("infinity"), Some(ValidUntil::Infinity));
        assert_eq!(ValidUntil::Infinity.moment(), None);
        assert_eq!(serde_json::to_value(ValidUntil::Infinity).unwrap(), "infinity");
        for other in ["Infinity", "-infinity", "", "never"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_date_is_the_same_moment_in_any_offset() {
        let moment = read("2030-01-01T00:00:00Z").and_then(ValidUntil::moment);
        assert!(moment.is_some());
        for text in [
            "2030-01-01t00:00:00.000000000z",
            "2030-01-01T23:59:00+23:59",
            "2029-12-31T00:01:00-23:59",
        ] {
            assert_eq!(read(text).and_then(ValidUntil::moment), moment, "{text}");
        }
    }

    #[test]
    fn the_ends_of_the_rule_can_be_read() {
        for text in [
            "0001-01-02T00:00:00+23:59",
            "9999-12-30T22:00:00Z",
            "9999-12-30T23:59:59.999999999+23:59",
        ] {
            assert!(read(text).is_some(), "{text}");
        }
        assert_eq!(read("9999-12-31T23:59:59Z"), None);
    }
}
