//! What is searched: a provider's ways, what may go wrong and how often, and the rules that hold.

use std::time::Duration;

use pguser_operator::domain::timings::{ProtocolTimings, Rules};

use crate::family::{Each, Name};
use crate::numbers::*;
use crate::world::*;

/// The ways of a provider.
#[derive(Debug, Clone, Copy)]
pub struct Provider {
    pub turns_busy: bool,
    pub direct_read: bool,
    /// The operator can log in.
    pub verifiable: bool,
    /// Users show who made them.
    pub creators: bool,
    /// Users show when they were made and changed.
    pub dates: bool,
    /// Users carry the mark of the resource that they were made for, and a change for another one is refused.
    pub marks: bool,
    /// A deletion is accepted first, and in effect within T_live.
    pub deletes_late: bool,
    /// A deletion is made of two steps, each of which is committed by itself.
    pub deletes_in_steps: bool,
}

/// One search.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub name: &'static str,
    pub provider: Provider,
    pub budget: Budget,
    pub adopt: bool,
    pub retain: bool,
    /// At the start, two logins are to take turns.
    pub alternates: bool,
    pub start: Start,
    /// Turns are asked for and given, and what is to be sent waits for that; else both are at once.
    pub scheduled: bool,
    /// A token proves a journal write (R1); else whatever has the same holder, epoch and sequence.
    pub tokens: bool,
    /// A journal write is given up where no read answers; else nothing is done until it is known what became of it (R1).
    pub gives_up: bool,
    /// When a change is doubted that was under way with others as the cluster turned BUSY (R7).
    pub doubt: Doubt,
    /// Reads happen that nobody asked for, when the last is old: the periodic refresh, or for another user.
    pub refresh: bool,
    /// What is done wrong on purpose, with two logins.
    pub slip: Option<Slip>,
    pub rules: Rules,
}

/// What would go wrong with two logins, were it not for one thing that is done, or left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slip {
    /// The login of before is retired as soon as another one is published.
    NoOverlap,
    /// It is the published login that gets another password.
    InPlace,
    /// The login of before is never retired.
    NeverRetired,
    /// A resource is let go as soon as one of its logins is gone.
    OneIsAll,
    /// Which login is seen to is decided as if nothing was under way.
    EntryIgnored,
}

/// Until when a change is doubted, should the cluster turn BUSY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Until a look proves that it is in effect.
    UntilProven,
    /// Until any look shows the cluster AVAILABLE, which may trail the change.
    UntilAnyLook,
    /// It never is.
    Never,
}

/// What there is at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The resource was just created.
    Created,
    /// The user is made and its Secret published.
    Ready,
    /// The second of two users in turn was published just now, in place of the first.
    TurnedOver,
    /// The resource was just created, and an outsider's user of that name exists.
    Taken,
}

/// The first moment; what there is then was made long before.
const START: u8 = 9;
pub const T_LIVE: u8 = 2;
pub const WINDOW: u8 = 1;
pub const LAG: u8 = 1;
pub const FRESH: u8 = 1;
/// How long the cluster's state may trail its changes.
pub const STATE_LAG: u8 = 1;
/// How long a login of before goes on working.
pub const OVERLAP: u8 = 1;
/// How many milliseconds a tick has.
pub const TICK: u64 = 1000;

impl Scenario {
    pub fn without(mut self, rule: pguser_operator::domain::timings::Rule) -> Self {
        self.rules = Rules::without(rule);
        self
    }

    /// Whether two logins take turns, now or later.
    pub fn takes_turns(&self) -> bool {
        self.alternates || self.budget.switches > 0
    }

    /// Whether one login owns what two others make.
    pub fn has_owner(&self, resource: &Resource) -> bool {
        self.provider.marks && resource.will.alternates
    }

    /// The logins that there may be.
    pub fn names(&self) -> &'static [Name] {
        match self.takes_turns() {
            false => &[Name::Own],
            true if self.provider.marks || self.budget.switches > 0 => &Name::ALL,
            true => &[Name::A, Name::B],
        }
    }

    pub fn slipping(mut self, slip: Slip) -> Self {
        self.slip = Some(slip);
        self
    }

    /// The production settings, with every wait as short as keeps their order.
    pub fn settings(&self) -> ProtocolTimings {
        let ticks = |count: u8| Duration::from_millis(u64::from(count) * TICK);
        ProtocolTimings {
            t_live: ticks(T_LIVE),
            write_window: ticks(WINDOW),
            read_lag: ticks(LAG),
            fresh_for: ticks(FRESH),
            state_lag: ticks(STATE_LAG),
            rules: self.rules,
            ..ProtocolTimings::default()
        }
    }

    /// Whether the remote's clock runs with ours for ever.
    pub fn one_clock(&self) -> bool {
        self.budget.clock_jumps == 0
    }

    pub fn start(&self) -> World {
        let now = Tick(START);
        let journal = Stored {
            holder: 0,
            epoch: Epoch(1),
            sequence: Sequence(1),
            token: Token(1),
            next_id: EntryNo(1),
            entries: Vec::new(),
        };
        let mut leader = Operator::started();
        leader.term = Some(Term {
            epoch: Epoch(1),
            began: now,
            written: now,
            copy: journal.clone(),
            version: journal.token,
        });
        let mut world = World {
            now,
            date: Date(START),
            resource: Some(Resource {
                uid: Uid(1),
                version: ResourceVersion(1),
                deleting: false,
                claimed: false,
                wide: false,
                rotate: 0,
                will: Will {
                    retain: self.retain,
                    alternates: self.alternates,
                    ..Will::default()
                },
                status: Status::default(),
            }),
            secret: None,
            journal,
            remote: Remote {
                users: Each::default(),
                before: None,
                coming: None,
                crowd: None,
                late: Vec::new(),
                accepted: Vec::new(),
            },
            wire: Vec::new(),
            puts: Vec::new(),
            operators: [leader, Operator::started()],
            budget: self.budget,
            closed: false,
            kept: false,
            retained: false,
            formers: Vec::new(),
            broken: None,
        };
        match self.start {
            Start::Created => {}
            Start::Ready => ready(&mut world, self),
            Start::TurnedOver => turned_over(&mut world, self),
            Start::Taken => world.remote.users[Name::Own] = Some(user(false, None, None)),
        }
        world
    }
}

fn user(ours: bool, password: Option<Pw>, mark: Option<Uid>) -> User {
    User {
        ours,
        adopted: false,
        mark,
        maker: None,
        login: true,
        password,
        idle: false,
        created: Date(1),
        modified: Date(1),
        born: Tick(1),
    }
}

fn ready(world: &mut World, scenario: &Scenario) {
    let mark = scenario.provider.marks.then_some(Uid(1));
    if scenario.alternates && scenario.provider.marks {
        let owner = user(true, None, mark);
        world.remote.users[Name::Own] = Some(User {
            login: false,
            ..owner
        });
        record(world, scenario, Name::Own);
    }
    let name = if scenario.alternates { Name::A } else { Name::Own };
    let (version, password) = (SecretVersion(1), Pw(1));
    world.remote.users[name] = Some(user(true, Some(password), mark));
    record(world, scenario, name);
    world.remote.accepted = vec![password];
    world.secret = Some(OutputSecret {
        name,
        version,
        password,
        owned: !scenario.retain,
    });
    if let Some(resource) = &mut world.resource {
        resource.claimed = true;
        resource.wide = scenario.alternates;
        resource.status.published = Some(Published {
            name,
            version,
            password,
        });
    }
}

fn record(world: &mut World, scenario: &Scenario, name: Name) {
    let date = scenario.provider.dates.then_some(Date(1));
    if let Some(resource) = &mut world.resource {
        resource.status.records[name] = Some(Record {
            adopted: false,
            created: date,
            last_set: date,
            retire_after: None,
            retired: false,
        });
    }
}

/// As it is when the second of two logins has been published.
fn turned_over(world: &mut World, scenario: &Scenario) {
    ready(world, scenario);
    let (name, version, password) = (Name::B, SecretVersion(2), Pw(2));
    let mark = scenario.provider.marks.then_some(Uid(1));
    let until = Tick(world.now.0 + OVERLAP);
    world.remote.users[name] = Some(user(true, Some(password), mark));
    record(world, scenario, name);
    world.remote.accepted.push(password);
    let former = world.secret.replace(OutputSecret {
        name,
        version,
        password,
        owned: !scenario.retain,
    });
    world.formers.extend(former.map(|former| Former {
        name: former.name,
        password: former.password,
        until,
    }));
    if let Some(resource) = &mut world.resource {
        resource.status.published = Some(Published {
            name,
            version,
            password,
        });
        for former in resource.status.records[Name::A].iter_mut() {
            former.retire_after = Some(until);
        }
    }
}
