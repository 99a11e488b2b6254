//! The logins of a resource where two take turns. Which of them is seen to, what is wanted of it and what is recorded of it is
//! decided by the production functions.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::ops::{Index, IndexMut};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use pguser_operator::api::{Ownership, RemoteUserRecord};
use pguser_operator::domain::alternation::{self, Family, Login, Part, Underway};
use pguser_operator::domain::journal::Cause;
use pguser_operator::domain::plan::{Desired, Plan};
use pguser_operator::domain::role::RoleSettings;

use crate::numbers::*;
use crate::scenario::{Scenario, Slip};
use crate::translate;
use crate::world::*;

/// The name of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Name {
    /// That of the resource: the only login, or, where users are marked, the owner of what the other two make.
    #[default]
    Own,
    A,
    B,
}

impl Name {
    pub const ALL: [Name; 3] = [Name::Own, Name::A, Name::B];

    pub fn text(self) -> &'static str {
        match self {
            Name::Own => "app",
            Name::A => "app_a",
            Name::B => "app_b",
        }
    }

    fn of(text: &str) -> Self {
        let mut all = Self::ALL.into_iter();
        all.find(|name| name.text() == text).unwrap()
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(*self as u8);
    }
}

/// One of these for each login.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Each<T>([T; 3]);

/// Of most logins there is nothing in most searches, which has to cost nothing.
impl<T: Default + PartialEq + Hash> Hash for Each<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (name, one) in (1..).zip(&self.0) {
            if *one != T::default() {
                state.write_u8(name);
                one.hash(state);
            }
        }
        state.write_u8(0);
    }
}

impl<T> Index<Name> for Each<T> {
    type Output = T;

    fn index(&self, name: Name) -> &T {
        &self.0[name as usize]
    }
}

impl<T> IndexMut<Name> for Each<T> {
    fn index_mut(&mut self, name: Name) -> &mut T {
        &mut self.0[name as usize]
    }
}

impl<T> Each<T> {
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
    }

    pub fn named(&self) -> impl Iterator<Item = (Name, &T)> {
        Name::ALL.into_iter().zip(&self.0)
    }
}

impl<T: Numbered> Numbered for Each<T> {
    fn visit(&mut self, f: &mut dyn FnMut(Sort, &mut u8)) {
        self.0.iter_mut().for_each(|inner| inner.visit(f));
    }
}

/// The clock on the wall of every process.
fn wall(tick: Tick) -> Timestamp {
    Timestamp::from_second(i64::from(tick.0)).unwrap()
}

fn tick(time: &Time) -> Tick {
    Tick(u8::try_from(time.0.as_second()).unwrap())
}

/// What of a resource says which of its logins is seen to, as production has it.
fn with_family<T>(
    resource: &Resource,
    now: Tick,
    scenario: &Scenario,
    ask: impl FnOnce(Family<'_>) -> T,
) -> T {
    let records = real_records(&resource.status.records);
    let published = resource.status.published.map(|published| published.name.text());
    let asked = resource.rotate > 0 && resource.rotate != resource.status.handled;
    let cause = Cause::Rotation(resource.rotate.to_string());
    ask(Family {
        username: Name::Own.text(),
        alternates: resource.will.alternates,
        has_owner: scenario.provider.marks,
        published,
        records: &records,
        deleting: resource.deleting,
        wanted: asked.then_some(&cause),
        kept: None,
        now: wall(now),
    })
}

/// Whether a resource has, or is to have, more than one login.
pub fn is_large(resource: &Resource) -> bool {
    let Status {
        records, published, ..
    } = &resource.status;
    let is_member = |published: &Published| published.name != Name::Own;
    resource.will.alternates
        || published.as_ref().is_some_and(is_member)
        || records[Name::A].is_some()
        || records[Name::B].is_some()
}

/// The logins to be looked at, in this order, until one has something to do.
pub fn logins(
    resource: &Resource,
    entry: Option<&JournalEntry>,
    now: Tick,
    scenario: &Scenario,
) -> VecDeque<Login> {
    if !is_large(resource) && (entry.is_none() || !scenario.takes_turns()) {
        return VecDeque::from([alone()]);
    }
    let real = entry.map(|entry| translate::real_entry(entry, scenario));
    let underway = real.as_ref().map(Underway::of);
    let underway = underway.filter(|_| scenario.slip != Some(Slip::EntryIgnored));
    let mut logins = with_family(resource, now, scenario, |family| {
        alternation::parts(&family, underway)
    });
    slip(&mut logins, entry, scenario);
    logins.into()
}

/// What is done wrong on purpose.
fn slip(logins: &mut Vec<Login>, entry: Option<&JournalEntry>, scenario: &Scenario) {
    match scenario.slip {
        Some(Slip::InPlace) => {
            logins.retain(|login| !matches!(login.part, Part::Next(Cause::Rotation(_))));
            for login in logins.iter_mut().filter(|login| login.part == Part::Published) {
                login.part = Part::Sole;
            }
        }
        Some(Slip::NeverRetired) => {
            logins.retain(|login| entry.is_some() || login.part != Part::Retired);
        }
        Some(Slip::NoOverlap | Slip::OneIsAll | Slip::EntryIgnored) | None => {}
    }
}

/// A login that is the only one.
pub fn alone() -> Login {
    Login {
        username: Name::Own.text().to_string(),
        part: Part::Sole,
    }
}

pub fn name(login: &Login) -> Name {
    Name::of(&login.username)
}

/// The member that takes the place of the published one, whose password would be given up; none if it would not, or there is none.
pub fn instead(
    plan: &Plan,
    desired: &Desired,
    resource: &Resource,
    now: Tick,
    scenario: &Scenario,
) -> Option<Login> {
    let lost = plan.loses_what_is_published(desired);
    lost.then(|| with_family(resource, now, scenario, |family| family.instead()))?
}

/// What is wanted of a login, beyond what is wanted of one that is alone.
pub struct Wanted {
    pub has_others: bool,
    pub retiring: bool,
    pub withdrawn: bool,
    pub settings: RoleSettings,
}

pub fn wanted(
    resource: &Resource,
    login: &Login,
    entry: Option<&JournalEntry>,
    now: Tick,
    scenario: &Scenario,
) -> Wanted {
    let name = name(login);
    let records = resource.status.records.named();
    let others = records.filter(|(other, record)| *other != name && record.is_some());
    let asked = translate::settings(scenario);
    let mut wanted = Wanted {
        has_others: others.count() > 0 && scenario.slip != Some(Slip::OneIsAll),
        retiring: false,
        withdrawn: false,
        settings: asked.clone(),
    };
    if scenario.takes_turns() {
        with_family(resource, now, scenario, |family| {
            wanted.retiring = family.is_retiring(login);
            wanted.withdrawn = entry.is_some() && family.is_withdrawn(login);
            wanted.settings = family.settings(asked, login);
        });
    }
    wanted
}

/// What status says of logins, after a publication of this one.
pub fn turn_over(records: &mut Each<Option<Record>>, before: Option<Name>, name: Name, until: Option<Tick>) {
    change(records, |real| {
        alternation::turn_over(real, before.map(Name::text), name.text(), until.map(wall));
    });
}

/// What status says of logins, with what was found out of this one.
pub fn note(records: &mut Each<Option<Record>>, name: Name, record: &Record, now: Tick) {
    change(records, |real| {
        alternation::note_login(real, real_record(name, record), record.retired, wall(now));
    });
}

fn change(records: &mut Each<Option<Record>>, change: impl FnOnce(&mut Vec<RemoteUserRecord>)) {
    let mut real = real_records(records);
    change(&mut real);
    for name in Name::ALL {
        let found = real.iter().find(|record| record.username == name.text());
        records[name] = found.map(|found| Record {
            adopted: found.ownership != Ownership::Owned,
            created: found.created.as_ref().map(|time| Date(tick(time).0)),
            last_set: found.last_set.as_ref().map(|time| Date(tick(time).0)),
            retire_after: found.retire_after.as_ref().map(tick),
            retired: found.retired.is_some(),
        });
    }
}

fn real_records(records: &Each<Option<Record>>) -> Vec<RemoteUserRecord> {
    let there = records.named();
    let there = there.filter_map(|(name, record)| Some(real_record(name, record.as_ref()?)));
    there.collect()
}

fn real_record(name: Name, record: &Record) -> RemoteUserRecord {
    let time = |number: u8| Time(wall(Tick(number)));
    RemoteUserRecord {
        username: name.text().to_string(),
        provider: "model".to_string(),
        cluster: "c".to_string(),
        server_ref: None,
        ownership: match record.adopted {
            true => Ownership::Adopted,
            false => Ownership::Owned,
        },
        created: record.created.map(|date| time(date.0)),
        last_set: record.last_set.map(|date| time(date.0)),
        password_stamp: None,
        memberships: None,
        config: Vec::new(),
        retire_after: record.retire_after.map(|after| time(after.0)),
        retired: record.retired.then(|| time(0)),
    }
}
