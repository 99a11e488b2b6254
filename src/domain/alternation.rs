//! Two logins that take turns (`spec.rotation.strategy: Alternating`): which of a PostgresUser's logins is to be seen to.
//!
//! | by SQL | by a users API | |
//! |---|---|---|
//! | `app` | - | the owner: has the grants and what is made, cannot log in |
//! | `app_a`, `app_b` | `app_a`, `app_b` | the members: log in; by SQL each acts as the owner |
//!
//! The planner sees to one login at a time, as if the PostgresUser had no other. What a login is there for is its [`Part`];
//! [`parts`] says which ones have to be looked at, and in which order: whoever has nothing to do leaves it to the next. A change
//! of password is a step from the published member to the other one, which is why the published one is never written.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::journal::{Cause, Entry, Kind};
use super::role::{RoleOptions, RoleSettings};
use super::time::{duration, whole_seconds};
use crate::api;

/// The parameter by which a session acts as another role from its beginning.
const ROLE: &str = "role";

/// For how long a login goes on working after another one was published, unless the spec says otherwise.
const OVERLAP: Duration = Duration::from_secs(3600);
/// How long an unused login is waited for after that, unless the spec says otherwise.
const MOST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// What a login is there for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Part {
    /// It is the only one, and is or will be published.
    #[default]
    Sole,
    /// It is published, or will be; its password is changed by publishing the other one.
    Published,
    /// It is to be published in place of the one that is, and why.
    Next(Cause),
    /// By SQL: it has the grants and what is made, and does not log in. It may still do so after a change of strategy.
    Owner,
    /// It was published before, and nobody is to log in with it any more.
    Retired,
    /// It was published before, and is not needed any more.
    Removed,
}

impl Part {
    /// Whether the login is there to be published.
    pub fn is_published(&self) -> bool {
        matches!(self, Part::Sole | Part::Published | Part::Next(_))
    }

    /// Why the login is made: to take another one's place, or, of any other, for this.
    pub fn cause_or(&self, usual: Cause) -> Cause {
        match self {
            Part::Next(cause) => cause.clone(),
            _ => usual,
        }
    }
}

/// A login, and what it is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Its name.
    pub username: String,
    /// What it is there for.
    pub part: Part,
}

/// The names of the two logins that take turns.
pub fn members(username: &str) -> [String; 2] {
    ["a", "b"].map(|suffix| format!("{username}_{suffix}"))
}

/// What of a PostgresUser says which of its logins has to be seen to.
#[derive(Debug, Clone, Copy)]
pub struct Family<'a> {
    /// `spec.username`.
    pub username: &'a str,
    /// Two logins are to take turns.
    pub alternates: bool,
    /// The provider has roles, so that `username` owns what the members make.
    pub has_owner: bool,
    /// The login that is published, if any is.
    pub published: Option<&'a str>,
    /// What is recorded.
    pub records: &'a [api::RemoteUserRecord],
    /// The PostgresUser is being deleted.
    pub deleting: bool,
    /// Another password is wanted, and why.
    pub wanted: Option<&'a Cause>,
    /// The login of before that the Secret has, too: it is taken out before that is retired.
    pub kept: Option<&'a str>,
    /// The clock on the wall.
    pub now: Timestamp,
}

/// What of an entry of the journal says what its login is there for.
#[derive(Debug, Clone, Copy)]
pub struct Underway<'a> {
    /// The login that it is for.
    pub username: &'a str,
    /// What is done to it.
    pub kind: Kind,
    /// Why.
    pub cause: &'a Cause,
    /// Somebody is to log in with it then.
    pub logs_in: bool,
}

impl<'a> Underway<'a> {
    /// The same of an entry.
    pub fn of(entry: &'a Entry) -> Self {
        Self {
            username: &entry.username,
            kind: entry.kind,
            cause: &entry.cause,
            logs_in: entry.settings.logs_in(),
        }
    }

    /// Whether the login gets a password by it.
    fn gives_password(&self) -> bool {
        matches!(self.kind, Kind::Create | Kind::Adopt | Kind::SetPassword)
    }
}

impl Family<'_> {
    fn record(&self, username: &str) -> Option<&api::RemoteUserRecord> {
        self.records.iter().find(|record| record.username == username)
    }

    /// Whether there is, was, and is to be no login but one.
    pub fn is_one(&self) -> bool {
        let is_own = |record: &api::RemoteUserRecord| record.username == self.username;
        !self.alternates
            && self.published.is_none_or(|name| name == self.username)
            && self.records.iter().all(is_own)
    }

    /// The one that is to be published first, or is.
    fn current(&self) -> String {
        let [first, _] = members(self.username);
        match (self.published, self.alternates) {
            (Some(published), _) => published.to_string(),
            (None, true) => first,
            (None, false) => self.username.to_string(),
        }
    }

    /// The one that is to take its place.
    fn other(&self) -> String {
        if !self.alternates {
            return self.username.to_string();
        }
        let [first, second] = members(self.username);
        match self.published {
            Some(published) if published == first => second,
            _ => first,
        }
    }

    /// The login that was published before and works still, and until when it does at least.
    fn overlapping(&self) -> Option<(&str, Timestamp)> {
        let current = self.current();
        let mut records = self.records.iter().filter(|record| record.username != current);
        let found = records.find(|record| record.retired.is_none() && record.retire_after.is_some())?;
        Some((&found.username, found.retire_after.as_ref()?.0))
    }

    /// Until when the login of before goes on working at least.
    pub fn overlap_ends(&self) -> Option<Timestamp> {
        self.overlapping().map(|(_, until)| until)
    }

    /// The part of the login that an entry is for. The strategy may have changed since that was begun: a password that somebody
    /// is to log in with is published or given up, and nobody is told another one.
    fn part_of(&self, underway: Underway<'_>) -> Part {
        let Underway {
            username,
            kind,
            cause,
            logs_in,
        } = underway;
        let is_current = username == self.current();
        let gives_password = underway.gives_password();
        match (kind, cause) {
            _ if self.deleting => Part::Sole,
            _ if gives_password && !logs_in => Part::Owner,
            _ if self.is_one() => Part::Sole,
            (Kind::Delete, _) => Part::Removed,
            (_, Cause::Retirement) => Part::Retired,
            _ if is_current && self.alternates => Part::Published,
            _ if is_current => Part::Sole,
            _ if self.alternates && username == self.username && !gives_password => Part::Owner,
            (Kind::Configure, _) => Part::Next(Cause::StrategyChanged),
            (_, cause) => Part::Next(cause.clone()),
        }
    }

    /// Why the other login is to be published in place of the one that is, if it is.
    fn turn_over(&self) -> Option<Cause> {
        let published = self.published?;
        let is_member = members(self.username).iter().any(|member| member == published);
        let overlap_is_over = self.overlap_ends().is_none_or(|until| until <= self.now);
        if is_member != self.alternates {
            return overlap_is_over.then_some(Cause::StrategyChanged);
        }
        // Without alternation the only one changes in place.
        let wanted = self
            .wanted
            .filter(|_| self.alternates && self.overlapping().is_none());
        wanted.cloned()
    }

    /// Whether nobody is to log in with a login any more.
    pub fn is_retiring(&self, login: &Login) -> bool {
        match login.part {
            Part::Retired => true,
            Part::Owner => self.is_over(&login.username) == Some(true),
            _ => false,
        }
    }

    /// Whether the overlap of a login of before is over, and the Secret does not name it any more; none of one that was never
    /// published.
    fn is_over(&self, username: &str) -> Option<bool> {
        let record = self.record(username)?;
        let until = record.retire_after.as_ref()?;
        let is_over = record.retired.is_some() || until.0 <= self.now;
        Some(is_over && self.kept != Some(username))
    }

    /// Whether what has been begun for a login would not be begun any more.
    pub fn is_withdrawn(&self, login: &Login) -> bool {
        let is_next = match &login.part {
            Part::Sole | Part::Published | Part::Next(Cause::SecretDamaged | Cause::Vanished) => {
                return false;
            }
            Part::Next(_) => true,
            Part::Owner | Part::Retired | Part::Removed => false,
        };
        let same = |it: &Login| {
            it.username == login.username
                && match &it.part {
                    Part::Next(_) | Part::Sole | Part::Published => is_next,
                    Part::Owner => matches!(login.part, Part::Owner | Part::Retired),
                    part => *part == login.part,
                }
        };
        !parts(self, None).iter().any(same)
    }

    /// The member that is not published, if it is free to take the place of the other one, whose password is lost.
    pub fn instead(&self) -> Option<Login> {
        let damaged = Cause::SecretDamaged;
        let family = Family {
            wanted: Some(&damaged),
            ..*self
        };
        let mut all = parts(&family, None).into_iter();
        all.find(|login| login.part == Part::Next(damaged.clone()))
    }

    /// What is wanted of a login besides its name and its password: what the spec asks for goes to the owner; the members are
    /// members of it, act as it, and have what PostgreSQL does not let a role inherit.
    pub fn settings(&self, mut settings: RoleSettings, login: &Login) -> RoleSettings {
        // What has been begun as an owner is one until it is settled, whatever the strategy is by now.
        let has_others = !self.is_one() || login.part == Part::Owner;
        if !self.has_owner || !has_others {
            return settings;
        }
        let owner = self.username;
        if login.username != owner {
            let asked = settings.options.take().unwrap_or_default();
            settings.options = Some(of_member(asked, owner, login));
            // What it has made without acting as the owner goes to the owner with it.
            settings.reassign_owned_to = self.record(owner).map(|_| owner.to_string());
            settings.reassign_is_named = true;
        } else if matches!(login.part, Part::Owner | Part::Retired) {
            let asked = settings.options.take().unwrap_or_default();
            settings.options = Some(self.of_owner(asked));
            settings.reassign_owned_to = None;
            settings.reassign_is_named = false;
        }
        settings
    }

    fn of_owner(&self, asked: RoleOptions) -> RoleOptions {
        // It was published itself before the members were.
        if self.is_over(self.username) == Some(false) {
            return asked;
        }
        let plain = RoleOptions::default();
        RoleOptions {
            login: false,
            connection_limit: plain.connection_limit,
            valid_until: plain.valid_until,
            config: plain.config,
            ..asked
        }
    }
}

fn of_member(asked: RoleOptions, owner: &str, login: &Login) -> RoleOptions {
    let group = BTreeSet::from([owner.to_string()]);
    let mut config = asked.config;
    config.insert(ROLE.to_string(), owner.to_string());
    RoleOptions {
        login: !matches!(login.part, Part::Retired | Part::Removed),
        member_of: group.clone(),
        named: group,
        connection_limit: asked.connection_limit,
        valid_until: asked.valid_until,
        config,
        ..RoleOptions::default()
    }
}

/// The logins to be looked at, in this order, until one has something to do. The last is the one that is published, or will be.
pub fn parts(family: &Family<'_>, underway: Option<Underway<'_>>) -> Vec<Login> {
    let login = |username: &str, part: Part| Login {
        username: username.to_string(),
        part,
    };
    if let Some(underway) = underway {
        return vec![login(underway.username, family.part_of(underway))];
    }
    if family.is_one() {
        return vec![login(family.username, Part::Sole)];
    }
    let [first, second] = members(family.username);
    if family.deleting {
        let all = [first.as_str(), second.as_str(), family.username];
        let left = all.into_iter().find(|name| family.record(name).is_some());
        return vec![login(left.unwrap_or(family.username), Part::Sole)];
    }
    let mut parts = Vec::new();
    let current = family.current();
    if family.alternates && family.has_owner && current != family.username {
        parts.push(login(family.username, Part::Owner));
        if family.record(family.username).is_none() {
            // A member is made a member of it.
            return parts;
        }
    }
    let turn_over = family.turn_over();
    let next = turn_over.is_some().then(|| family.other());
    let others = family.records.iter().filter(|record| record.username != current);
    // What is about to be published is not retired once more on its way there.
    let others = others.filter(|record| next.as_ref() != Some(&record.username));
    for record in others.filter(|record| record.username != family.username || !family.has_owner) {
        let until = record.retire_after.as_ref();
        let is_over = record.retired.is_some() || until.is_none_or(|until| until.0 <= family.now);
        match family.alternates {
            _ if !is_over || family.kept == Some(&record.username) => {}
            true => parts.push(login(&record.username, Part::Retired)),
            // Only once the one that stays has taken its place.
            false if current == family.username => parts.push(login(&record.username, Part::Removed)),
            false => {}
        }
    }
    if let (Some(cause), Some(next)) = (turn_over, next) {
        parts.push(login(&next, Part::Next(cause)));
    }
    let part = if family.alternates {
        Part::Published
    } else {
        Part::Sole
    };
    parts.push(login(&current, part));
    parts
}

/// Notes that a login is published from now on: the one of before, if that was another one, goes on working until then.
pub fn turn_over(
    records: &mut [api::RemoteUserRecord],
    before: Option<&str>,
    username: &str,
    until: Option<Timestamp>,
) {
    for record in records {
        if record.username == username {
            (record.retire_after, record.retired) = (None, None);
        } else if before == Some(&record.username) && before != Some(username) {
            record.retire_after = until.map(|until| Time(whole_seconds(until)));
        }
    }
}

/// Records what is known of a login, and since when it is retired.
pub fn note_login(
    records: &mut Vec<api::RemoteUserRecord>,
    mut new: api::RemoteUserRecord,
    retired: bool,
    now: Timestamp,
) {
    let before = records.iter().position(|record| record.username == new.username);
    let old = before.map(|before| &records[before]);
    let was_retired = old.and_then(|old| old.retired.clone());
    (new.retire_after, new.retired) = match (retired, was_retired) {
        (true, before) => (
            old.and_then(|old| old.retire_after.clone()),
            before.or_else(|| Some(Time(whole_seconds(now)))),
        ),
        // It is used again.
        (false, Some(_)) => (None, None),
        (false, None) => (old.and_then(|old| old.retire_after.clone()), None),
    };
    match before {
        Some(before) => records[before] = new,
        None => records.push(new),
    }
}

/// For how long the login of before goes on working, as a spec asks.
pub fn overlap(spec: Option<&api::Rotation>) -> Duration {
    let asked = spec.and_then(|spec| spec.overlap.as_deref());
    asked.and_then(duration).unwrap_or(OVERLAP)
}

/// How long after that it is waited until nobody uses it, as a spec asks; none if it is not waited for.
pub fn wait_for_unused(spec: Option<&api::Rotation>) -> Option<Duration> {
    let spec = spec.filter(|spec| spec.retire == Some(api::Retire::WhenUnused))?;
    Some(most_wait(Some(spec)))
}

/// How long after the overlap anything is waited for, as a spec asks.
pub fn most_wait(spec: Option<&api::Rotation>) -> Duration {
    let asked = spec.and_then(|spec| spec.max_wait.as_deref());
    asked.and_then(duration).unwrap_or(MOST_WAIT)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(minutes * 60).unwrap()
    }

    fn record(username: &str, retire_after: Option<i64>, retired: Option<i64>) -> api::RemoteUserRecord {
        let record = json!({"username": username, "provider": "p", "cluster": "c", "ownership": "Owned"});
        let mut record: api::RemoteUserRecord = serde_json::from_value(record).unwrap();
        (record.retire_after, record.retired) = (
            retire_after.map(|it| Time(at(it))),
            retired.map(|it| Time(at(it))),
        );
        record
    }

    fn family<'a>(published: Option<&'a str>, records: &'a [api::RemoteUserRecord]) -> Family<'a> {
        Family {
            username: "app",
            alternates: true,
            has_owner: true,
            published,
            records,
            deleting: false,
            wanted: None,
            kept: None,
            now: at(100),
        }
    }

    fn shown(family: &Family<'_>) -> Vec<String> {
        let all = parts(family, None).into_iter();
        all.map(|login| {
            let part = match login.part {
                Part::Next(cause) => format!("next, {cause:?}"),
                part => format!("{part:?}").to_lowercase(),
            };
            format!("{}: {part}", login.username)
        })
        .collect()
    }

    #[test]
    fn the_owner_is_there_before_the_members() {
        assert_eq!(shown(&family(None, &[])), ["app: owner"]);
        let owner = [record("app", None, None)];
        assert_eq!(shown(&family(None, &owner)), ["app: owner", "app_a: published"]);
        let without = Family {
            has_owner: false,
            ..family(None, &[])
        };
        assert_eq!(shown(&without), ["app_a: published"]);
    }

    #[test]
    fn a_change_is_a_step_to_the_other_member_and_waits_for_the_one_of_before() {
        let rotation = Cause::Scheduled;
        let wanted = |published, records| {
            shown(&Family {
                wanted: Some(&rotation),
                ..family(published, records)
            })
        };
        let first = [record("app", None, None), record("app_a", None, None)];
        assert_eq!(
            wanted(Some("app_a"), &first),
            ["app: owner", "app_b: next, Scheduled", "app_a: published"]
        );
        let overlapping = [
            record("app", None, None),
            record("app_a", Some(101), None),
            record("app_b", None, None),
        ];
        assert_eq!(
            wanted(Some("app_b"), &overlapping),
            ["app: owner", "app_b: published"]
        );
        let over = [
            record("app", None, None),
            record("app_a", Some(99), None),
            record("app_b", None, None),
        ];
        // Until it is retired, nothing is set in its place.
        assert_eq!(
            wanted(Some("app_b"), &over),
            ["app: owner", "app_a: retired", "app_b: published"]
        );
        let retired = [
            record("app", None, None),
            record("app_a", Some(99), Some(99)),
            record("app_b", None, None),
        ];
        assert_eq!(
            wanted(Some("app_b"), &retired),
            ["app: owner", "app_a: next, Scheduled", "app_b: published"]
        );
    }

    #[test]
    fn a_login_that_is_retired_is_looked_at_whatever_the_clock_says_of_its_overlap() {
        let records = [
            record("app", None, None),
            record("app_a", Some(900), Some(99)),
            record("app_b", None, None),
        ];
        assert_eq!(
            shown(&family(Some("app_b"), &records)),
            ["app: owner", "app_a: retired", "app_b: published"]
        );
        let back = Family {
            alternates: false,
            has_owner: false,
            ..family(Some("app"), &records)
        };
        assert_eq!(shown(&back)[0], "app_a: removed");
    }

    #[test]
    fn a_change_of_strategy_waits_for_no_request_but_for_the_overlap() {
        let in_place = [record("app", None, None)];
        assert_eq!(
            shown(&family(Some("app"), &in_place)),
            ["app_a: next, StrategyChanged", "app: published"]
        );
        let back = |records| {
            shown(&Family {
                alternates: false,
                ..family(Some("app_b"), records)
            })
        };
        let retired = [
            record("app", Some(9), Some(9)),
            record("app_a", Some(99), Some(99)),
            record("app_b", None, None),
        ];
        assert_eq!(back(&retired), ["app: next, StrategyChanged", "app_b: sole"]);
        let overlapping = [
            record("app", Some(9), Some(9)),
            record("app_a", Some(101), None),
            record("app_b", None, None),
        ];
        assert_eq!(back(&overlapping), ["app_b: sole"]);
        let again_in_place = [
            record("app", None, None),
            record("app_a", Some(99), Some(99)),
            record("app_b", Some(101), None),
        ];
        let last = Family {
            alternates: false,
            ..family(Some("app"), &again_in_place)
        };
        assert_eq!(shown(&last), ["app_a: removed", "app: sole"]);
    }

    #[test]
    fn members_go_before_their_owner() {
        let all = [
            record("app", None, None),
            record("app_a", None, None),
            record("app_b", None, None),
        ];
        for left in [&all[..], &all[..2], &all[..1]] {
            let deleting = Family {
                deleting: true,
                ..family(Some("app_a"), left)
            };
            let expected = ["app: sole", "app_a: sole", "app_a: sole"][left.len() - 1];
            assert_eq!(shown(&deleting), [expected]);
        }
    }

    #[test]
    fn what_is_under_way_is_finished_first() {
        let all = [record("app", None, None), record("app_a", None, None)];
        let part = |username, kind, cause: Cause| {
            let underway = Underway {
                username,
                kind,
                cause: &cause,
                logs_in: username != "app",
            };
            let mut parts = parts(&family(Some("app_a"), &all), Some(underway));
            (parts.len(), parts.remove(0).part)
        };
        assert_eq!(
            part("app_b", Kind::Create, Cause::Scheduled),
            (1, Part::Next(Cause::Scheduled))
        );
        assert_eq!(
            part("app_a", Kind::SetPassword, Cause::SetBack),
            (1, Part::Published)
        );
        assert_eq!(part("app", Kind::Configure, Cause::Settings), (1, Part::Owner));
        assert_eq!(
            part("app_b", Kind::Configure, Cause::Retirement),
            (1, Part::Retired)
        );
        assert_eq!(part("app_b", Kind::Delete, Cause::Deletion), (1, Part::Removed));
    }

    #[test]
    fn what_was_begun_before_a_change_of_strategy_is_published_only_if_somebody_can_log_in() {
        let part = |alternates, published, logs_in, cause: Cause| {
            let underway = Underway {
                username: "app",
                kind: Kind::Create,
                cause: &cause,
                logs_in,
            };
            let family = Family {
                alternates,
                ..family(published, &[])
            };
            parts(&family, Some(underway)).remove(0).part
        };
        // The owner of two others has no password.
        assert_eq!(part(false, None, false, Cause::Missing), Part::Owner);
        assert_eq!(part(true, None, false, Cause::Missing), Part::Owner);
        // The only login has one, which is published all the same.
        assert_eq!(part(false, None, true, Cause::Missing), Part::Sole);
        assert_eq!(part(true, None, true, Cause::Missing), Part::Next(Cause::Missing));
        assert_eq!(
            part(true, Some("app_a"), true, Cause::StrategyChanged),
            Part::Next(Cause::StrategyChanged)
        );
        assert_eq!(part(true, Some("app"), true, Cause::Vanished), Part::Published);
    }

    #[test]
    fn what_was_begun_as_an_owner_gets_no_login_after_a_change_of_strategy() {
        let logs_in = |part| {
            let family = Family {
                alternates: false,
                ..family(None, &[])
            };
            let username = "app".to_string();
            let settings = family.settings(RoleSettings::default(), &Login { username, part });
            settings.logs_in()
        };
        assert!(logs_in(Part::Sole) && !logs_in(Part::Owner));
    }

    #[test]
    fn what_was_begun_in_another_place_is_withdrawn_with_it() {
        let owner = [record("app", None, None), record("app_a", None, None)];
        let withdrawn = |alternates, part| {
            let family = Family {
                alternates,
                ..family(Some("app_a"), &owner)
            };
            let username = "app".to_string();
            family.is_withdrawn(&Login { username, part })
        };
        let next = Part::Next(Cause::StrategyChanged);
        assert!(withdrawn(true, next.clone()) && !withdrawn(false, next));
        assert!(withdrawn(false, Part::Owner) && !withdrawn(true, Part::Owner));
    }
}
