//! Time, and how the API writes it.

use jiff::Timestamp;

use crate::switches::{self, Switches};

/// This machine's time, in milliseconds since 1970.
pub fn real_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// The API's time, which a switch can put ahead or behind.
pub fn api_ms(switches: &Switches) -> i64 {
    real_ms() + switches.signed(&switches::CLOCK_OFFSET_MS)
}

/// A timestamp in UTC with a `Z`: the vendor's Go client fails on any other offset.
pub fn timestamp(ms: i64, millis: bool) -> String {
    let format = if millis {
        "%Y-%m-%dT%H:%M:%S.%3fZ"
    } else {
        "%Y-%m-%dT%H:%M:%SZ"
    };
    at(ms).strftime(format).to_string()
}

/// A date as HTTP headers have it.
pub fn http_date(ms: i64) -> String {
    at(ms).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(timestamp(1_683_812_270_123, false), "2023-05-11T13:37:50Z");
        assert_eq!(timestamp(1_683_812_270_123, true), "2023-05-11T13:37:50.123Z");
        assert_eq!(http_date(1_683_812_270_123), "Thu, 11 May 2023 13:37:50 GMT");
    }
}
