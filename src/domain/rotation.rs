//! When a password is changed without anybody asking. No clock: times come from the caller.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use cronexpr::{Crontab, FallbackTimezoneOption, ParseOptions, parse_crontab_with};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::time::duration;
use crate::api;

/// What part of an interval a password may be changed early by, unless the spec says otherwise: passwords of one age are not
/// all changed at once then.
const USUAL_JITTER: u32 = 10;

/// How far the clocks of two machines may be apart without anybody having set one.
const APART: SignedDuration = SignedDuration::from_mins(1);

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
    Schedule(Schedule),
}

/// Times by the clock on the wall somewhere.
#[derive(Debug, Clone)]
struct Schedule {
    /// As if that clock went by UTC, which never goes forward or back.
    crontab: Crontab,
    zone: TimeZone,
}

impl Rotation {
    /// What a spec asks for; none if it leaves it to the annotation. No interval is shorter than `least`.
    ///
    /// # Errors
    /// What is wrong with it, for a person: CRDs can check neither a schedule nor the name of a time zone.
    pub fn of(spec: &api::Rotation, least: Duration) -> Result<Option<Self>, String> {
        let jitter = spec.jitter.as_deref().and_then(duration);
        if let Some(schedule) = &spec.schedule {
            let schedule = Schedule::read(schedule, spec.time_zone.as_deref())?;
            return Ok(Some(Self {
                when: When::Schedule(schedule),
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

    /// When a password that was set at `last` is to be changed, by a clock that says `now`; none if never again. How old a password is
    /// that was set later than that nobody knows: another clock was ahead, or this one was set back. It is as if it were set now, and
    /// what was `said` before of when it is changed is not put off.
    pub fn due_by(
        &self,
        last: Timestamp,
        now: Timestamp,
        said: Option<Timestamp>,
        uid: &str,
    ) -> Option<Timestamp> {
        if last.duration_since(now) <= APART {
            return self.due(last, uid);
        }
        let anew = self.after(now, share_of(uid, last))?;
        Some(said.map_or(anew, |said| said.min(anew)))
    }

    /// When a password that was set at `last` is to be changed; none if never again. By an interval it is up to the jitter
    /// earlier, so that none gets older than that; by a schedule up to the jitter later. The same for the same PostgresUser and
    /// `last`, whatever the version of this program: it is stored.
    pub fn due(&self, last: Timestamp, uid: &str) -> Option<Timestamp> {
        self.after(last, share_of(uid, last))
    }

    fn after(&self, last: Timestamp, share: f64) -> Option<Timestamp> {
        let jitter = self.jitter.mul_f64(share);
        let due = match &self.when {
            When::Interval(interval) => last.checked_add(signed(*interval - jitter)),
            When::Schedule(schedule) => schedule.after(last)?.checked_add(signed(jitter)),
        };
        due.ok()
    }
}

impl Schedule {
    fn read(schedule: &str, time_zone: Option<&str>) -> Result<Self, String> {
        if schedule.split_ascii_whitespace().count() != 5 {
            return Err(format!(
                "spec.rotation.schedule is {schedule:?}: write five fields, minute, hour, day of the month, month and day of the week, \
                 such as \"0 3 * * 0\", and the time zone into spec.rotation.timeZone"
            ));
        }
        let zone = time_zone.unwrap_or("UTC");
        let zone = TimeZone::get(zone).map_err(|_| {
            format!(
                "spec.rotation.timeZone is {zone:?}, which is no time zone: write a name of the IANA database, such as Europe/Berlin"
            )
        })?;
        let mut options = ParseOptions::default();
        options.fallback_timezone_option = FallbackTimezoneOption::UTC;
        let crontab = parse_crontab_with(schedule, options).map_err(|_| {
            format!(
                "spec.rotation.schedule is {schedule:?}, which is no schedule: write five fields as in crontab(5), such as \
                 \"0 3 * * 0\" for Sundays at three"
            )
        })?;
        Ok(Self { crontab, zone })
    }

    /// The first of its times after `last`. One that there is not, as the clock goes forward, comes as much later; one that there is
    /// twice comes once. The crate is not asked for that: it leaves out the first, and where a clock goes back by half an hour it
    /// looks for ever.
    fn after(&self, last: Timestamp) -> Option<Timestamp> {
        let wall = TimeZone::UTC.to_timestamp(self.zone.to_datetime(last)).ok()?;
        let next = self.crontab.find_next(wall).ok()?.datetime();
        let next = self.zone.to_ambiguous_timestamp(next);
        let first = next.compatible().ok()?;
        match first > last {
            true => Some(first),
            false => next.later().ok(),
        }
    }
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

    #[test]
    fn a_password_of_a_time_to_come_is_not_kept_until_then() {
        let hourly = rotation(json!({"interval": "1h", "jitter": "0s"})).unwrap();
        let (last, now) = (at("2026-01-01T12:00:00Z"), at("2026-01-01T02:00:00Z"));
        let said = hourly.due_by(last, now, Some(at("2026-01-01T13:00:00Z")), "u");
        assert_eq!(said, Some(at("2026-01-01T03:00:00Z")));
        // What was said stands, however often it is asked.
        let later = at("2026-01-01T02:59:00Z");
        assert_eq!(hourly.due_by(last, later, said, "u"), said);
        assert_eq!(
            hourly.due_by(last, later, None, "u"),
            Some(at("2026-01-01T03:59:00Z"))
        );
        // Two machines, and a clock that is ahead again.
        for now in [
            "2026-01-01T11:59:30Z",
            "2026-01-01T12:00:30Z",
            "2026-01-05T12:00:00Z",
        ] {
            let due = hourly.due_by(last, at(now), said, "u");
            assert_eq!(due, Some(at("2026-01-01T13:00:00Z")), "{now}");
        }
        let nightly = rotation(json!({"schedule": "0 3 * * *"})).unwrap();
        assert_eq!(
            nightly.due_by(last, now, Some(at("2026-01-02T03:00:00Z")), "u"),
            Some(at("2026-01-01T03:00:00Z"))
        );
    }

    #[test]
    fn what_is_asked_anew_of_a_time_to_come_is_spread_as_ever() {
        let rotation = rotation(json!({"interval": "100h"})).unwrap();
        let (last, now) = (at("2026-01-02T00:00:00Z"), at("2026-01-01T00:00:00Z"));
        let all: std::collections::BTreeSet<_> = (0..100)
            .filter_map(|number| rotation.due_by(last, now, None, &format!("uid-{number}")))
            .collect();
        assert!(all.len() > 90, "{}", all.len());
        let hours = |due: &Timestamp| due.duration_since(now).as_hours();
        assert!(all.iter().all(|due| (90..=100).contains(&hours(due))), "{all:?}");
    }

    /// What a schedule comes to, from one time to the next.
    fn times(schedule: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let rotation = rotation(json!({"schedule": schedule, "timeZone": zone})).unwrap();
        let mut last = at(from);
        let next = |_| {
            last = rotation.due(last, "u").unwrap();
            last.to_string()
        };
        (0..count).map(next).collect()
    }

    /// The clock goes from 2:00 to 3:00 on the 29th of March 2026 in Berlin, and back from 3:00 to 2:00 on the 25th of October.
    #[test]
    fn a_schedule_goes_by_the_clock_on_the_wall() {
        let nightly = |from| times("30 4 * * *", "Europe/Berlin", from, 2);
        assert_eq!(
            nightly("2026-03-27T12:00:00Z"),
            ["2026-03-28T03:30:00Z", "2026-03-29T02:30:00Z"]
        );
        assert_eq!(
            nightly("2026-10-23T12:00:00Z"),
            ["2026-10-24T02:30:00Z", "2026-10-25T03:30:00Z"]
        );
    }

    #[test]
    fn a_time_that_there_is_not_comes_later_and_one_that_there_is_twice_comes_once() {
        let nightly = |from| times("30 2 * * *", "Europe/Berlin", from, 3);
        assert_eq!(
            nightly("2026-03-28T00:00:00Z"),
            [
                "2026-03-28T01:30:00Z",
                "2026-03-29T01:30:00Z",
                "2026-03-30T00:30:00Z"
            ]
        );
        assert_eq!(
            nightly("2026-10-24T00:00:00Z"),
            [
                "2026-10-24T00:30:00Z",
                "2026-10-25T00:30:00Z",
                "2026-10-26T01:30:00Z"
            ]
        );
        // A password that was changed between the two of them.
        let between = times("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 2);
        assert_eq!(between, ["2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"]);
        // Changes are on Sundays: a weekly one would be left out for a week, a yearly one for a year.
        let weekly = times("30 2 * * 0", "America/New_York", "2026-03-07T12:00:00Z", 2);
        assert_eq!(weekly, ["2026-03-08T07:30:00Z", "2026-03-15T06:30:00Z"]);
    }

    /// On Lord Howe Island the clock goes back from 2:00 to 1:30 on the 5th of April 2026, and from 2:00 to 2:30 on the 4th of October.
    #[test]
    fn a_clock_may_be_changed_by_half_an_hour() {
        let nightly = |from| times("15 2 * * *", "Australia/Lord_Howe", from, 3);
        assert_eq!(
            nightly("2026-04-03T12:00:00Z"),
            [
                "2026-04-03T15:15:00Z",
                "2026-04-04T15:45:00Z",
                "2026-04-05T15:45:00Z"
            ]
        );
        assert_eq!(
            nightly("2026-10-02T12:00:00Z"),
            [
                "2026-10-02T15:45:00Z",
                "2026-10-03T15:45:00Z",
                "2026-10-04T15:15:00Z"
            ]
        );
    }

    #[test]
    fn no_day_of_a_year_is_left_out_and_none_comes_twice_wherever_it_is() {
        for zone in [
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "Asia/Tehran",
            "UTC",
        ] {
            for schedule in ["30 2 * * *", "45 1 * * *", "0 0 * * *", "5 3 * * *"] {
                let all = times(schedule, zone, "2026-01-01T12:00:00Z", 365);
                let zone = TimeZone::get(zone).unwrap();
                let days: Vec<_> = all.iter().map(|time| zone.to_datetime(at(time)).date()).collect();
                for pair in days.windows(2) {
                    assert_eq!(pair[0].tomorrow().unwrap(), pair[1], "{schedule} {zone:?}");
                }
            }
        }
    }

    #[test]
    fn of_three_times_that_were_missed_the_first_is_due() {
        let missed = times("30 4 * * *", "Europe/Berlin", "2026-06-01T12:00:00Z", 1);
        assert_eq!(missed, ["2026-06-02T02:30:00Z"]);
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
