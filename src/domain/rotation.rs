//! When a password is changed without anybody asking. No clock: times come from the caller.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use cronexpr::{Crontab, FallbackTimezoneOption, ParseOptions, parse_crontab_with};
use jiff::{SignedDuration, Timestamp};

use super::time::duration;
use crate::api;

/// What part of an interval a password may be changed early by, unless the spec says otherwise: passwords of one age are not
/// all changed at once then.
const USUAL_JITTER: u32 = 10;

/// When a password is changed.
#[derive(Debug, Clone)]
pub struct Rotation {
    when: When,
    jitter: Duration,
}

#[derive(Debug, Clone)]
enum When {
    /// So long after the last change at the latest.
    Interval(Duration),
    /// At the next of these times after the last change.
    Schedule(Crontab),
}

impl Rotation {
    /// What a spec asks for; none if it leaves it to the annotation. No interval is shorter than `least`.
    ///
    /// # Errors
    /// What is wrong with it, for a person: CRDs can check neither a schedule nor the name of a time zone.
    pub fn of(spec: &api::Rotation, least: Duration) -> Result<Option<Self>, String> {
        let jitter = spec.jitter.as_deref().and_then(duration);
        if let Some(schedule) = &spec.schedule {
            let crontab = crontab(schedule, spec.time_zone.as_deref())?;
            return Ok(Some(Self {
                when: When::Schedule(crontab),
                jitter: jitter.unwrap_or_default(),
            }));
        }
        let Some(interval) = &spec.interval else {
            let is_for_more = spec.strategy.is_some() || spec.end_sessions.is_some();
            return match is_for_more {
                true => Ok(None),
                false => Err("spec.rotation: set either interval or schedule".to_string()),
            };
        };
        let interval =
            duration(interval).ok_or("spec.rotation.interval is no duration: write one such as 720h")?;
        let interval = interval.max(least);
        Ok(Some(Self {
            when: When::Interval(interval),
            jitter: jitter.unwrap_or(interval / USUAL_JITTER).min(interval / 2),
        }))
    }

    /// What a server object asks for: no password gets older than this.
    pub fn by_age(oldest: Duration, least: Duration) -> Self {
        let interval = oldest.max(least);
        Self {
            when: When::Interval(interval),
            jitter: interval / USUAL_JITTER,
        }
    }

    /// When a password that was set at `last` is to be changed; none if never again. By an interval it is up to the jitter
    /// earlier, so that none gets older than that; by a schedule up to the jitter later. The same for the same PostgresUser and
    /// `last`, whatever the version of this program: it is stored.
    pub fn due(&self, last: Timestamp, uid: &str) -> Option<Timestamp> {
        let jitter = self.jitter.mul_f64(share_of(uid, last));
        let due = match &self.when {
            When::Interval(interval) => last.checked_add(signed(*interval - jitter)),
            When::Schedule(crontab) => {
                let next = crontab.find_next(last).ok()?.timestamp();
                next.checked_add(signed(jitter))
            }
        };
        due.ok()
    }
}

fn crontab(schedule: &str, time_zone: Option<&str>) -> Result<Crontab, String> {
    if schedule.split_ascii_whitespace().count() != 5 {
        return Err(format!(
            "spec.rotation.schedule is {schedule:?}: write five fields, minute, hour, day of the month, month and day of the week, \
             such as \"0 3 * * 0\", and the time zone into spec.rotation.timeZone"
        ));
    }
    let zone = time_zone.unwrap_or("UTC");
    if jiff::tz::TimeZone::get(zone).is_err() {
        return Err(format!(
            "spec.rotation.timeZone is {zone:?}, which is no time zone: write a name of the IANA database, such as Europe/Berlin"
        ));
    }
    let mut options = ParseOptions::default();
    options.fallback_timezone_option = FallbackTimezoneOption::None;
    parse_crontab_with(&format!("{schedule} {zone}"), options).map_err(|_| {
        format!(
            "spec.rotation.schedule is {schedule:?}, which is no schedule: write five fields as in crontab(5), such as \
             \"0 3 * * 0\" for Sundays at three"
        )
    })
}

/// Anything from 0 to 1.
fn share_of(uid: &str, last: Timestamp) -> f64 {
    let hash = digest(&SHA256, format!("{uid}/{}", last.as_second()).as_bytes());
    let first = hash.as_ref().first_chunk().copied().unwrap_or_default();
    f64::from(u16::from_be_bytes(first)) / f64::from(u16::MAX)
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LEAST: Duration = Duration::from_secs(3600);

    fn rotation(spec: serde_json::Value) -> Result<Rotation, String> {
        let rotation = Rotation::of(&serde_json::from_value(spec).unwrap(), LEAST)?;
        rotation.ok_or_else(|| "nothing".to_string())
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_password_is_never_older_than_the_interval_and_a_thousand_are_spread() {
        let rotation = rotation(json!({"interval": "100h"})).unwrap();
        let last = at("2026-01-01T00:00:00Z");
        let mut hours = [0; 10];
        for number in 0..1000 {
            let due = rotation.due(last, &format!("uid-{number}")).unwrap();
            let age = due.duration_since(last).as_secs();
            assert!((90 * 3600..=100 * 3600).contains(&age), "{age}");
            hours[usize::try_from((age - 90 * 3600) / 3600).unwrap().min(9)] += 1;
        }
        assert!(hours.iter().all(|hour| (60..150).contains(hour)), "{hours:?}");
        assert_eq!(rotation.due(last, "u"), rotation.due(last, "u"));
    }

    #[test]
    fn an_interval_has_a_floor_and_jitter_is_at_most_half_of_it() {
        let last = at("2026-01-01T00:00:00Z");
        let exact = rotation(json!({"interval": "1m", "jitter": "0s"})).unwrap();
        assert_eq!(exact.due(last, "u"), Some(at("2026-01-01T01:00:00Z")));
        let wild = rotation(json!({"interval": "10h", "jitter": "1000h"})).unwrap();
        assert!(wild.due(last, "u").unwrap() >= at("2026-01-01T05:00:00Z"));
    }

    /// The clock goes from 2:00 to 3:00 on the 29th of March 2026 in Berlin, and back from 3:00 to 2:00 on the 25th of October.
    #[test]
    fn a_schedule_goes_by_the_clock_on_the_wall() {
        let nightly = rotation(json!({"schedule": "30 4 * * *", "timeZone": "Europe/Berlin"})).unwrap();
        for (last, next) in [
            ("2026-03-28T12:00:00Z", "2026-03-29T02:30:00Z"),
            ("2026-03-27T12:00:00Z", "2026-03-28T03:30:00Z"),
            ("2026-10-24T12:00:00Z", "2026-10-25T03:30:00Z"),
        ] {
            assert_eq!(nightly.due(at(last), "u"), Some(at(next)), "{last}");
        }
        // A time that there is not is made up for, and one that there is twice comes twice.
        let in_the_gap = rotation(json!({"schedule": "30 2 * * *", "timeZone": "Europe/Berlin"})).unwrap();
        for (from, days) in [("2026-03-28T02:00:00Z", 3), ("2026-10-24T01:00:00Z", 3)] {
            let mut last = at(from);
            for _ in 0..days {
                let next = in_the_gap.due(last, "u").unwrap();
                let hours = next.duration_since(last).as_hours();
                assert!((1..=48).contains(&hours), "{last} {next}");
                last = next;
            }
        }
        // After three times that were missed, one is due.
        let missed = nightly.due(at("2026-06-01T12:00:00Z"), "u").unwrap();
        assert!(missed < at("2026-06-04T12:00:00Z"));
    }

    #[test]
    fn what_is_no_schedule_is_said_with_the_way_out() {
        for (spec, part) in [
            (json!({"schedule": "daily"}), "five fields"),
            (json!({"schedule": "0 3 * * 0 UTC"}), "five fields"),
            (json!({"schedule": "61 3 * * 0"}), "no schedule"),
            (
                json!({"schedule": "0 3 * * 0", "timeZone": "Europe/Nowhere"}),
                "Europe/Berlin",
            ),
            (json!({}), "either interval or schedule"),
        ] {
            let message = rotation(spec.clone()).unwrap_err();
            assert!(message.contains(part), "{spec}: {message}");
        }
    }
}
