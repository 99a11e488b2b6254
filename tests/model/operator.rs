//! An operator process: observe, plan, act, report. The deciding is done by the production functions.

use pguser_operator::domain::journal::protocol::{self, Fate};
use pguser_operator::domain::plan::{DraftPassword, Plan, plan, plan_gone};
use pguser_operator::domain::settings::Rule;

use crate::numbers::*;
use crate::scenario::{FRESH, LAG, Scenario, WINDOW};
use crate::translate;
use crate::world::*;

/// What a process works on: the resource, or an entry whose resource is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum About {
    Resource,
    Entry(EntryNo),
}

/// Everything that there is to work on.
pub fn work(world: &World) -> Vec<About> {
    let living = world.resource.as_ref().map(|resource| resource.uid);
    let gone = world
        .journal
        .entries
        .iter()
        .filter(|entry| Some(entry.uid) != living);
    let gone = gone.map(|entry| About::Entry(entry.id));
    world
        .resource
        .iter()
        .map(|_| About::Resource)
        .chain(gone)
        .collect()
}

/// What the planner says to this process.
pub fn ask(world: &World, who: usize, about: About, scenario: &Scenario) -> Plan {
    let operator = &world.operators[who];
    let (now, settings) = (translate::mono(world.now), scenario.settings());
    match (about, &world.resource) {
        (About::Resource, Some(resource)) => {
            let entry = entry_about(world, about);
            let observed = translate::observed(world, operator, Some(resource), entry, scenario);
            plan(&translate::desired(resource, scenario), &observed, now, &settings)
        }
        (About::Resource, None) => Plan::default(),
        (About::Entry(id), _) => {
            let observed = translate::observed(world, operator, None, world.entry(id), scenario);
            plan_gone(&observed, now, &settings)
        }
    }
}

fn entry_about(world: &World, about: About) -> Option<&JournalEntry> {
    match about {
        About::Entry(id) => world.entry(id),
        About::Resource => {
            let uid = world.resource.as_ref()?.uid;
            world.journal.entries.iter().find(|entry| entry.uid == uid)
        }
    }
}

/// What a process would do now.
pub fn decide(world: &World, who: usize, about: About, scenario: &Scenario) -> Decision {
    let said = ask(world, who, about, scenario);
    let resource = world.resource.as_ref().filter(|_| about == About::Resource);
    let entry = entry_about(world, about);
    let uid = resource
        .map(|resource| resource.uid)
        .or(entry.map(|entry| entry.uid));
    let published = resource.and_then(|resource| resource.status.published);
    let published = published.map(|published| published.password);
    let step = match (&said.step, uid) {
        (Some(step), Some(uid)) => translate::todo(step, uid, entry, published),
        _ => Todo::Nothing,
    };
    Decision {
        step,
        status: translate::status_write(&said.report, resource),
    }
}

impl Decision {
    /// Whether doing it changes nothing in the world.
    pub fn is_idle(&self) -> bool {
        matches!(self.step, Todo::Nothing) && !self.status.says_something()
    }
}

impl StatusWrite {
    fn says_something(&self) -> bool {
        self.record.is_some() || self.published.is_some() || self.handled.is_some() || self.set_back
    }
}

pub fn inherited_until(tenure: &Tenure, scenario: &Scenario) -> pguser_operator::domain::time::Mono {
    protocol::inherited_until(&real_tenure(tenure), &scenario.settings())
}

fn real_tenure(tenure: &Tenure) -> protocol::Tenure {
    protocol::Tenure {
        epoch: u64::from(tenure.epoch.0),
        began: translate::mono(tenure.began),
        last_write_started: translate::mono(tenure.written),
        inherited: Default::default(),
    }
}

/// Takes the journal over (R1), reading and writing in one go: a write in between would be refused.
pub fn take_over(world: &mut World, who: usize) {
    let next = protocol::taken_over(&translate::real_journal(&world.journal), &who.to_string());
    world.journal.holder = who;
    world.journal.epoch = Epoch(u8::try_from(next.header.epoch).unwrap());
    world.journal.sequence = Sequence(u8::try_from(next.header.sequence).unwrap());
    for (entry, stamped) in world.journal.entries.iter_mut().zip(next.entries.values()) {
        entry.epoch = Epoch(u8::try_from(stamped.epoch).unwrap());
    }
    let now = world.now;
    let operator = &mut world.operators[who];
    operator.tenure = Some(Tenure {
        epoch: world.journal.epoch,
        began: now,
        written: now,
        base_epoch: world.journal.epoch,
        base: world.journal.sequence,
    });
    operator.attempts.clear();
    operator.pending = None;
    for entry in &world.journal.entries {
        let sendings = operator.sendings(entry.id);
        sendings.inherited = true;
        sendings.unknown = true;
        sendings.last = Some(Tick(now.0 + WINDOW));
    }
    for request in world
        .wire
        .iter_mut()
        .filter(|request| request.awaited_by == Some(who))
    {
        request.awaited_by = None;
    }
}

/// Ends a process: it loses its memory and starts again as a standby.
pub fn restart(world: &mut World, who: usize) {
    world.operators[who] = Operator::started();
    for request in world
        .wire
        .iter_mut()
        .filter(|request| request.awaited_by == Some(who))
    {
        request.awaited_by = None;
    }
}

/// Does what was decided. The status write that follows is a step of its own.
pub fn carry_out(world: &mut World, who: usize, decision: Decision, scenario: &Scenario) {
    let done = match &decision.step {
        Todo::Nothing => true,
        Todo::Claim => claim(world, &decision.status, scenario),
        Todo::Look => {
            look(world, who, false, scenario);
            true
        }
        Todo::Poll => {
            poll(world, who);
            true
        }
        Todo::Stage(draft) => stage(world, who, draft, scenario),
        Todo::Send(entry) => send(world, who, entry, scenario),
        Todo::Verify(entry) => verify(world, who, entry),
        Todo::Publish { entry, on } => return publish(world, who, entry.as_ref(), on, decision.status),
        Todo::Settle(id) => settle(world, who, *id, scenario),
        Todo::ReleaseSecret(version) => release_secret(world, *version),
        Todo::LetGo { kept } => let_go(world, &decision.status, *kept, scenario),
    };
    if done && decision.status.says_something() && world.operators[who].tenure.is_some() {
        world.operators[who].pending = Some(Pending::WriteStatus(decision.status));
    }
}

/// R2: the resource, if it is the same, and still as it was, when the plan was made.
fn unchanged<'a>(
    world: &'a mut World,
    status: &StatusWrite,
    scenario: &Scenario,
) -> Option<&'a mut Resource> {
    let conditional = scenario.rules.hold(Rule::R2);
    let resource = world.resource.as_mut()?;
    let same = Some(resource.uid) == status.uid && Some(resource.version) == status.version;
    (same || !conditional).then_some(resource)
}

fn claim(world: &mut World, status: &StatusWrite, scenario: &Scenario) -> bool {
    if let Some(resource) = unchanged(world, status, scenario)
        && !resource.deleting
    {
        resource.claimed = true;
        resource.version = resource.version.next();
    }
    false
}

pub fn write_status(world: &mut World, write: &StatusWrite, scenario: &Scenario) {
    let Some(resource) = unchanged(world, write, scenario) else {
        return;
    };
    let before = resource.status.clone();
    let status = &mut resource.status;
    if let Some(record) = &write.record {
        status.record = Some(record.clone());
    }
    status.published = write.published.or(status.published);
    status.handled = write.handled.unwrap_or(status.handled);
    status.set_backs += u8::from(write.set_back);
    if resource.status != before {
        resource.version = resource.version.next();
    }
}

/// Reads the remote user; `stale`: as it was before the last change.
pub fn look(world: &mut World, who: usize, stale: bool, scenario: &Scenario) {
    let now = world.now;
    let user = match (&world.remote.before, stale) {
        (Some(before), true) => before.user,
        _ => world.remote.user,
    };
    let date = world.date;
    let operator = &mut world.operators[who];
    operator.absent_since = match user {
        Some(_) => None,
        None => operator.absent_since.or(Some(now)),
    };
    let twice = operator.absent_since.is_some_and(|since| now.0 >= since.0 + LAG);
    operator.sight = Some(Sight {
        user: user.map(|user| user.view()),
        started: now,
        date,
        conclusive: scenario.provider.direct_read || twice,
    });
}

fn poll(world: &mut World, who: usize) {
    let (now, available) = (world.now, world.remote.coming.is_none());
    let operator = &mut world.operators[who];
    operator.poll = Some(Poll {
        available,
        started: now,
    });
    if !available {
        operator.last_busy = Some(now);
    }
}

/// A journal write, conditional on what this process knows of the journal. A refusal ends the process if another
/// leads (R1); otherwise the write is made again on what was read.
fn write_journal(
    world: &mut World,
    who: usize,
    scenario: &Scenario,
    change: impl FnOnce(&mut World),
) -> bool {
    if !is_base(world, who) && !resolve(world, who, None, scenario) {
        return false;
    }
    change(world);
    world.journal.sequence = world.journal.sequence.next();
    world.journal.holder = who;
    let (now, epoch, sequence) = (world.now, world.journal.epoch, world.journal.sequence);
    if let Some(tenure) = &mut world.operators[who].tenure {
        tenure.written = now;
        tenure.base_epoch = epoch;
        tenure.base = sequence;
    }
    true
}

fn is_base(world: &World, who: usize) -> bool {
    let tenure = world.operators[who].tenure.as_ref();
    tenure.is_some_and(|tenure| tenure.base == world.journal.sequence)
}

/// Reads what became of a journal write that was refused or not answered. False: this process has ended.
pub fn resolve(world: &mut World, who: usize, attempted: Option<Sequence>, scenario: &Scenario) -> bool {
    let Some(tenure) = world.operators[who].tenure.clone() else {
        return false;
    };
    let base = translate::header(who, tenure.base_epoch, tenure.base);
    let attempted = attempted.unwrap_or(tenure.base.next());
    let attempted = translate::header(who, tenure.base_epoch, attempted);
    let found = translate::header(world.journal.holder, world.journal.epoch, world.journal.sequence);
    match protocol::fate(&attempted, &base, &found, scenario.rules) {
        Fate::Replaced => {
            restart(world, who);
            false
        }
        Fate::Stored | Fate::Rebase => {
            let (epoch, sequence) = (world.journal.epoch, world.journal.sequence);
            if let Some(tenure) = &mut world.operators[who].tenure {
                tenure.base_epoch = epoch;
                tenure.base = sequence;
            }
            true
        }
    }
}

fn stage(world: &mut World, who: usize, draft: &Draft, scenario: &Scenario) -> bool {
    let Some(password) = password_for(world, draft) else {
        return false;
    };
    let Some(epoch) = world.operators[who].tenure.as_ref().map(|tenure| tenure.epoch) else {
        return false;
    };
    write_journal(world, who, scenario, |world| {
        let id = world.journal.next_id;
        world.journal.next_id = id.next();
        if let Some(replaced) = draft.replaces {
            world.journal.entries.retain(|entry| entry.id != replaced);
            carry_over(&mut world.operators[who], replaced, id);
        }
        world.journal.entries.push(JournalEntry {
            id,
            uid: draft.uid,
            kind: draft.kind,
            cause: draft.cause.clone(),
            password,
            seen: draft.seen,
            proven_ours: draft.proven_ours,
            epoch,
        });
    })
}

/// The password of a draft; none if it cannot be had any more.
fn password_for(world: &World, draft: &Draft) -> Option<Option<Pw>> {
    match draft.password {
        DraftPassword::None => Some(None),
        DraftPassword::New => Some(Some(Pw(unused(world, Sort::Password)))),
        DraftPassword::Published => {
            let held = world.secret.as_ref().map(|secret| secret.password);
            (held.is_some() && held == draft.published).then_some(held)
        }
        DraftPassword::Same => world.entry(draft.replaces?).map(|entry| entry.password),
    }
}

/// A number of this sort that nobody has yet.
fn unused(world: &World, wanted: Sort) -> u8 {
    let mut highest = 0;
    world.clone().visit(&mut |sort, number| {
        if sort == wanted {
            highest = highest.max(*number);
        }
    });
    highest + 1
}

/// What was known of the sendings of an entry holds for the one that takes its place.
fn carry_over(operator: &mut Operator, replaced: EntryNo, id: EntryNo) {
    let earlier = operator.sendings(replaced).clone();
    operator.attempts.retain(|sendings| sendings.entry != replaced);
    let never_sent = !earlier.in_flight && !earlier.unknown && earlier.last.is_none();
    if !never_sent {
        operator.attempts.push(Sendings {
            inherited: earlier.inherited,
            unknown: earlier.unknown,
            last: earlier.last,
            last_by_remote: earlier.last_by_remote,
            ..Sendings::none(id)
        });
    }
}

fn send(world: &mut World, who: usize, entry: &JournalEntry, scenario: &Scenario) -> bool {
    let Some(tenure) = &world.operators[who].tenure else {
        return false;
    };
    let now = translate::mono(world.now);
    let real = translate::real_entry(entry);
    if !protocol::may_send(&real, &real_tenure(tenure), now, &scenario.settings()) {
        // The window is closed: a touch opens it, or shows that another leads. The sending is planned anew.
        write_journal(world, who, scenario, |_| {});
        return false;
    }
    let (now, date) = (world.now, world.date);
    let known = |user: &User| !user.ours && user.born.0 + FRESH + LAG < now.0;
    let knowingly = world.remote.user.as_ref().is_some_and(known);
    world.wire.push(Request {
        entry: entry.id,
        kind: entry.kind,
        password: entry.password,
        sent: now,
        knowingly,
        awaited_by: Some(who),
        answer: None,
    });
    let operator = &mut world.operators[who];
    operator.last_write = Some(now);
    let sendings = operator.sendings(entry.id);
    sendings.in_flight = true;
    sendings.last = sendings.last.max(Some(now));
    sendings.last_by_remote = Some(date);
    true
}

fn verify(world: &mut World, who: usize, entry: &JournalEntry) -> bool {
    let works = world
        .remote
        .user
        .is_some_and(|user| user.password.is_some() && user.password == entry.password);
    let now = world.now;
    world.operators[who].sendings(entry.id).login = match works {
        true => Login::Accepted,
        false => Login::Refused(now),
    };
    true
}

/// The first of the two writes of a publication.
fn publish(world: &mut World, who: usize, entry: Option<&JournalEntry>, on: &On, mut status: StatusWrite) {
    let there = world.secret.as_ref().map(|secret| secret.version);
    let allowed = match on {
        On::Absent => there.is_none(),
        On::At(version) => there == Some(*version),
        On::Nothing => true,
    };
    let staged = entry.and_then(|entry| entry.password);
    let Some(password) = staged.or(world.secret.as_ref().map(|secret| secret.password)) else {
        return;
    };
    // A Secret for a resource that is gone is garbage-collected at once.
    if !allowed || world.resource_of(status.uid).is_none() {
        return;
    }
    if !world.remote.accepted.contains(&password) {
        world.breaks("I2");
    }
    let version = SecretVersion(unused(world, Sort::SecretVersion));
    let owned = world.secret.as_ref().is_none_or(|secret| secret.owned);
    world.secret = Some(OutputSecret {
        version,
        password,
        owned,
    });
    status.published = Some(Published { version, password });
    world.operators[who].pending = Some(Pending::WriteStatus(status));
}

fn settle(world: &mut World, who: usize, id: EntryNo, scenario: &Scenario) -> bool {
    let done = write_journal(world, who, scenario, |world| {
        world.journal.entries.retain(|entry| entry.id != id);
    });
    if done {
        world.operators[who]
            .attempts
            .retain(|sendings| sendings.entry != id);
    }
    done
}

fn release_secret(world: &mut World, version: SecretVersion) -> bool {
    if let Some(secret) = world.secret.as_mut().filter(|secret| secret.version == version) {
        secret.owned = false;
        secret.version = version.next();
    }
    false
}

fn let_go(world: &mut World, status: &StatusWrite, kept: bool, scenario: &Scenario) -> bool {
    if let Some(resource) = unchanged(world, status, scenario)
        && resource.deleting
    {
        remove_resource(world);
        world.kept |= kept;
    }
    false
}

/// The resource is gone, and with it what it owns.
pub fn remove_resource(world: &mut World) {
    world.resource = None;
    world.secret = world.secret.take().filter(|secret| !secret.owned);
}
