//! Everything that can happen next: to requests, to processes, by users, by an outsider, and by time.

use crate::family::Name;
use crate::journal;
use crate::numbers::*;
use crate::operator::{self, About};
use crate::people::act_of_person;
use crate::remote::{change_user, commit, delete_late};
use crate::scenario::{FRESH, Scenario, T_LIVE};
use crate::tidy::tidy;
use crate::world::*;

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A tick passes.
    Tick,
    /// A process observes, plans and does the step.
    Act(usize, About),
    /// A process observes and plans, and stands still before it does the step.
    Pause(usize, About),
    /// A process does what it has decided earlier.
    Resume(usize),
    /// A process refreshes what it knows of the remote users; the list may trail the truth.
    Look(usize, bool),
    /// A process reads the cluster's state, which trails the last change.
    PollTrailing(usize),
    /// A journal write: stored, or on its way still, and the answer lost.
    LoseWrite(usize, About, bool),
    /// It reaches the API server.
    PutArrives(usize),
    /// A process reads the entries that are stored, whoever has stamped them.
    ReadEntries(usize),
    /// A process that can read nothing gives a journal write up.
    GiveUpWrite(usize),
    /// A request takes effect (or turns the cluster busy), and is answered.
    Commit(usize),
    /// The same, but the answer takes its time.
    CommitSlowly(usize),
    /// The answer arrives.
    Answer(usize),
    /// The sender gives up; the request lives on.
    GiveUp(usize),
    /// What turned the cluster busy is in effect.
    TakeEffect,
    /// A process sends a change of another user, between the same two looks.
    NeighbourSends(usize),
    /// What turned the cluster busy is not kept.
    DropBatch,
    /// A deletion that was accepted takes effect.
    DeleteLate(usize),
    /// It never will.
    ForgetDeletion(usize),
    TakeOver(usize),
    Crash(usize),
    Rotate,
    Switch,
    Delete,
    Force,
    Recreate,
    OutsiderCreates,
    OutsiderDeletes,
    OutsiderSetsPassword,
    ClockJumps,
    Retain,
    Suspend,
    Misspecify,
    CloseServer,
    /// From here on a process sees the resource as it is now, until its watch catches up.
    WatchLags(usize),
    WatchCatchesUp(usize),
    /// The scheduler gives a turn.
    GiveTurn(usize, Uid),
    /// A turn goes on to others.
    Reclaim(usize, Uid),
    /// What waits to be sent is sent.
    Dispatch(usize, EntryNo),
}

pub fn actions(world: &World, scenario: &Scenario) -> Vec<Action> {
    let mut all = Vec::new();
    if may_tick(world) {
        all.push(Action::Tick);
    }
    for who in 0..world.operators.len() {
        of_operator(world, who, scenario, &mut all);
    }
    for (at, request) in world.wire.iter().enumerate() {
        of_request(world, at, request, scenario, &mut all);
    }
    if world.remote.busy_since().is_some() {
        all.push(Action::TakeEffect);
    }
    if may_drop(world) {
        all.push(Action::DropBatch);
    }
    all.extend((0..world.puts.len()).map(Action::PutArrives));
    for at in 0..world.remote.late.len() {
        all.push(Action::DeleteLate(at));
        if world.budget.failed_deletions > 0 {
            all.push(Action::ForgetDeletion(at));
        }
    }
    of_people(world, &mut all);
    all
}

/// A single change is kept, and that it is BUSY is seen before a cluster drops anything.
fn may_drop(world: &World) -> bool {
    let (Some(coming), Some(crowd)) = (&world.remote.coming, world.remote.crowd) else {
        return false;
    };
    let since = coming.since.max(crowd);
    let mut seen = world.operators.iter().filter_map(|operator| operator.last_busy);
    world.budget.drops > 0 && seen.any(|seen| seen >= since)
}

/// Time stands still while it would make an answer be lost that may not be.
fn may_tick(world: &World) -> bool {
    let urgent = |request: &Request| {
        request.awaited_by.is_some() && request.answer.is_none() && world.now.0 + 1 >= request.sent.0 + T_LIVE
    };
    let overdue = |late: &Late| world.now.0 + 1 >= late.since.0 + T_LIVE;
    !world.wire.iter().any(urgent) && !world.remote.late.iter().any(overdue)
}

fn of_operator(world: &World, who: usize, scenario: &Scenario, all: &mut Vec<Action>) {
    let operator = &world.operators[who];
    let others_lead = world.operators.iter().any(|other| other.term.is_some());
    // Which of two standbys leads next makes no difference.
    if world.budget.takeovers > 0 || (!others_lead && who == 0) {
        all.push(Action::TakeOver(who));
    }
    if operator.term.is_none() {
        return;
    }
    if world.budget.crashes > 0 {
        all.push(Action::Crash(who));
    }
    if world.budget.journal_reads > 0 && world.known_to(who).entries != world.journal.entries {
        all.push(Action::ReadEntries(who));
    }
    of_scheduler(world, who, all);
    let quiet = operator.poll.as_ref().is_some_and(|poll| poll.available);
    if world.budget.neighbours > 0 && world.remote.crowd.is_none() && quiet {
        all.push(Action::NeighbourSends(who));
    }
    match &operator.watched {
        Some(_) => all.push(Action::WatchCatchesUp(who)),
        None if world.budget.watch_lags > 0 && are_people_about(world) => all.push(Action::WatchLags(who)),
        None => {}
    }
    if let Some(pending) = &operator.pending {
        all.push(Action::Resume(who));
        if matches!(pending, Pending::Unsure(_)) && scenario.gives_up {
            all.push(Action::GiveUpWrite(who));
        }
        return;
    }
    let trailing = world.remote.before.is_some() && world.budget.stale_reads > 0;
    let is_old = |observation: &Observation| observation.started.0 + FRESH < world.now.0;
    let mut observations = scenario.names().iter().map(|name| &operator.observations[*name]);
    let old = observations.any(|observation| observation.as_ref().is_none_or(is_old));
    let mut look = old && scenario.refresh;
    for about in operator::work(world, who) {
        look |= of_work(world, who, about, scenario, all);
    }
    if look {
        all.push(Action::Look(who, false));
    }
    if look && trailing {
        all.push(Action::Look(who, true));
    }
}

/// What the scheduler of a process may do, whatever else it is about.
fn of_scheduler(world: &World, who: usize, all: &mut Vec<Action>) {
    let operator = &world.operators[who];
    for uid in waiting_for_turns(operator) {
        all.push(Action::GiveTurn(who, uid));
    }
    let given = operator.turns.iter().filter(|turn| turn.given.is_some());
    all.extend(
        given
            .filter(|_| world.budget.reclaims > 0)
            .map(|turn| Action::Reclaim(who, turn.uid)),
    );
    all.extend(queued(operator).map(|entry| Action::Dispatch(who, entry)));
}

/// Who may be given a turn: one is out at most.
pub fn waiting_for_turns(operator: &Operator) -> impl Iterator<Item = Uid> {
    let is_out = operator.turns.iter().any(|turn| turn.given.is_some());
    operator
        .turns
        .iter()
        .filter(move |_| !is_out)
        .map(|turn| turn.uid)
}

/// What waits to be sent.
pub fn queued(operator: &Operator) -> impl Iterator<Item = EntryNo> {
    let queued = operator.attempts.iter().filter(|sendings| sendings.queued);
    queued.map(|sendings| sendings.entry)
}

/// Whether a person may yet change the resource.
fn are_people_about(world: &World) -> bool {
    let Budget {
        deletions,
        retains,
        suspends,
        misspecs,
        rotations,
        switches,
        ..
    } = world.budget;
    deletions + retains + suspends + misspecs + rotations + switches > 0
}

/// What a process may do for one of its works. True if that is to read.
fn of_work(world: &World, who: usize, about: About, scenario: &Scenario, all: &mut Vec<Action>) -> bool {
    let decision = operator::decide(world, who, about, scenario);
    if decision.is_idle() || matches!(decision.step, Todo::Look) {
        return matches!(decision.step, Todo::Look);
    }
    if matches!(decision.step, Todo::Poll) && operator::state_trails(world, who) {
        all.push(Action::PollTrailing(who));
    }
    all.push(Action::Act(who, about));
    if world.budget.pauses > 0 {
        all.push(Action::Pause(who, about));
    }
    if world.budget.lost_writes > 0 && matches!(decision.step, Todo::Stage(_) | Todo::Settle(_)) {
        all.push(Action::LoseWrite(who, about, true));
        all.push(Action::LoseWrite(who, about, false));
    }
    false
}

/// Whether a request may be answered now. A change that is sent again after BUSY is not answered in the tick in which that was
/// seen: it is the order of the two that tells which change BUSY speaks of.
pub fn may_commit(world: &World, scenario: &Scenario) -> bool {
    let mut seen = world.operators.iter().filter_map(|operator| operator.last_busy);
    let crowded = scenario.budget.neighbours > 0;
    world.remote.coming.is_none() && !(crowded && seen.any(|seen| seen == world.now))
}

fn of_request(world: &World, at: usize, request: &Request, scenario: &Scenario, all: &mut Vec<Action>) {
    if request.answer.is_some() {
        all.push(Action::Answer(at));
    } else if may_commit(world, scenario) {
        all.push(Action::Commit(at));
        if world.budget.pauses > 0 && request.awaited_by.is_some() {
            all.push(Action::CommitSlowly(at));
        }
    }
    if request.awaited_by.is_some() && world.budget.lost_answers > 0 {
        all.push(Action::GiveUp(at));
    }
}

fn of_people(world: &World, all: &mut Vec<Action>) {
    let budget = &world.budget;
    let mut may = |allowed: bool, action| allowed.then(|| all.push(action));
    let resource = world.resource.as_ref();
    let deleting = resource.is_some_and(|resource| resource.deleting);
    let living = resource.is_some() && !deleting;
    may(living && budget.rotations > 0, Action::Rotate);
    may(living && budget.switches > 0, Action::Switch);
    may(living && budget.deletions > 0, Action::Delete);
    may(deleting && budget.forced > 0, Action::Force);
    may(resource.is_none() && budget.recreations > 0, Action::Recreate);
    let own = world.remote.users[Name::Own];
    let outsiders = |user: Option<User>| user.is_none_or(|user| !user.ours);
    let creates = budget.outsider_creates > 0 && outsiders(own) && !is_date_of_user(world);
    may(creates, Action::OutsiderCreates);
    let ours = own.is_some_and(|user| user.ours);
    may(budget.outsider_deletes > 0 && ours, Action::OutsiderDeletes);
    may(
        budget.outsider_passwords > 0 && shows_drift(world),
        Action::OutsiderSetsPassword,
    );
    may(budget.clock_jumps > 0, Action::ClockJumps);
    may(resource.is_some() && budget.retains > 0, Action::Retain);
    may(living && budget.suspends > 0, Action::Suspend);
    may(living && budget.misspecs > 0, Action::Misspecify);
    may(living && budget.closings > 0, Action::CloseServer);
}

/// Whether a user was made just now: two users are told apart by when they were made, so no two are made at once.
fn is_date_of_user(world: &World) -> bool {
    let record = world
        .resource
        .as_ref()
        .and_then(|resource| resource.status.records[Name::Own].as_ref());
    let recorded = record.and_then(|record| record.created);
    let observations = world
        .operators
        .iter()
        .filter_map(|operator| operator.observations[Name::Own].as_ref());
    let seen = observations
        .filter_map(|observation| observation.user)
        .map(|view| view.created);
    let staged = world
        .journal
        .entries
        .iter()
        .filter_map(|entry| entry.seen.created);
    recorded
        .into_iter()
        .chain(seen)
        .chain(staged)
        .any(|created| created == world.date)
}

/// Whether a change from outside can be told from one of ours: nothing of ours is under way or recent.
fn shows_drift(world: &World) -> bool {
    let recent = |user: User| user.modified.0 + T_LIVE >= world.date.0;
    world.remote.users[Name::Own].is_some_and(|user| !recent(user))
        && world.wire.is_empty()
        && world.journal.entries.is_empty()
}

/// The world after an action, in its normal form.
pub fn after(world: &World, action: Action, scenario: &Scenario) -> World {
    let mut next = world.clone();
    act(&mut next, action, scenario);
    tidy(&mut next, scenario);
    normalise(&mut next, scenario.one_clock());
    next
}

fn act(world: &mut World, action: Action, scenario: &Scenario) {
    match action {
        Action::Tick => tick(world),
        Action::Act(who, about) => {
            let decision = operator::decide(world, who, about, scenario);
            operator::carry_out(world, who, decision, scenario);
        }
        Action::Pause(who, about) => {
            world.budget.pauses -= 1;
            let decision = operator::decide(world, who, about, scenario);
            world.operators[who].pending = Some(Pending::Do(decision));
        }
        Action::Resume(who) => resume(world, who, scenario),
        Action::Look(who, stale) => {
            world.budget.stale_reads -= u8::from(stale);
            operator::look(world, who, stale, scenario);
        }
        Action::PollTrailing(who) => operator::poll(world, who, true, scenario),
        Action::LoseWrite(who, about, stored) => lose_write(world, who, about, stored, scenario),
        Action::PutArrives(at) => {
            let write = world.puts.remove(at);
            journal::store(world, &write);
        }
        Action::ReadEntries(who) => {
            world.budget.journal_reads -= 1;
            let entries = world.journal.entries.clone();
            if let Some(term) = &mut world.operators[who].term {
                term.copy.entries = entries;
            }
        }
        Action::GiveUpWrite(who) => world.operators[who].pending = None,
        Action::Commit(at) => {
            commit(world, at, scenario);
            if world.wire[at].answer.is_some() {
                answer(world, at);
            }
        }
        Action::CommitSlowly(at) => {
            world.budget.pauses -= 1;
            commit(world, at, scenario);
        }
        Action::Answer(at) => answer(world, at),
        Action::GiveUp(at) => {
            world.budget.lost_answers -= 1;
            give_up(world, at);
        }
        Action::TakeEffect => {
            world.remote.crowd = None;
            if let Some(change) = world.remote.coming.take() {
                change_user(world, change.name, change.user);
            }
        }
        Action::NeighbourSends(who) => {
            world.budget.neighbours -= 1;
            world.remote.crowd = Some(world.now);
            world.operators[who].crowd = Some(world.now);
        }
        Action::DropBatch => {
            world.budget.drops -= 1;
            world.remote.crowd = None;
            world.remote.coming = None;
        }
        Action::WatchLags(who) => {
            world.budget.watch_lags -= 1;
            let resource = world.resource.clone();
            world.operators[who].watched = Some(Watched { resource });
        }
        Action::WatchCatchesUp(who) => world.operators[who].watched = None,
        Action::GiveTurn(who, uid) => operator::give_turn(world, who, uid),
        Action::Reclaim(who, uid) => {
            world.budget.reclaims -= 1;
            world.operators[who].turns.retain(|turn| turn.uid != uid);
        }
        Action::Dispatch(who, entry) => operator::dispatch(world, who, entry, scenario),
        Action::DeleteLate(at) => delete_late(world, at),
        Action::ForgetDeletion(at) => {
            world.budget.failed_deletions -= 1;
            world.remote.late.remove(at);
        }
        Action::TakeOver(who) => {
            let leads = world.operators.iter().any(|operator| operator.term.is_some());
            world.budget.takeovers = world.budget.takeovers.saturating_sub(u8::from(leads));
            journal::take_over(world, who, scenario);
        }
        Action::Crash(who) => {
            world.budget.crashes -= 1;
            operator::restart(world, who);
        }
        _ => act_of_person(world, action),
    }
}

fn resume(world: &mut World, who: usize, scenario: &Scenario) {
    match world.operators[who].pending.take() {
        Some(Pending::Do(decision)) => operator::carry_out(world, who, decision, scenario),
        Some(Pending::WriteStatus(write)) => operator::write_status(world, who, &write, scenario),
        Some(Pending::Unsure(write)) => {
            journal::look_into(world, who, &write, scenario);
        }
        None => {}
    }
}

/// A journal write whose answer is lost: what the process knows stays as it was, until it reads.
fn lose_write(world: &mut World, who: usize, about: About, stored: bool, scenario: &Scenario) {
    world.budget.lost_writes -= 1;
    let change = match operator::decide(world, who, about, scenario).step {
        Todo::Stage(draft) => journal::staging(world, who, &draft),
        Todo::Settle(id) => Some(Change::Settle(id)),
        _ => None,
    };
    let write = change.and_then(|change| journal::compose(world, who, &change));
    let Some(write) = write else { return };
    if !stored {
        world.puts.push(write.clone());
    } else if !journal::store(world, &write) {
        return;
    }
    world.operators[who].pending = Some(Pending::Unsure(Box::new(write)));
}

fn tick(world: &mut World) {
    let now = world.now.next();
    world.now = now;
    world.date = world.date.next();
    world
        .wire
        .retain(|request| request.answer.is_some() || now.0 < request.sent.0 + T_LIVE);
}

fn answer(world: &mut World, at: usize) {
    let request = world.wire.remove(at);
    let (Some(who), Some(answer)) = (request.awaited_by, request.answer) else {
        return;
    };
    let (now, date) = (world.now, world.date);
    let operator = &mut world.operators[who];
    operator.last_write[request.name] = Some(now);
    // What the answer says of the user is worth no more than a read that started before it.
    let patched = match &answer {
        Answer::Accepted(view) => Some(*view),
        Answer::Exists | Answer::NotFound => None,
    };
    let older = operator.observations[request.name]
        .as_ref()
        .is_none_or(|observation| observation.started <= request.sent);
    if let Some(user) = patched.filter(|_| older) {
        operator.observations[request.name] = Some(Observation {
            user,
            started: request.sent,
            date,
            proves_absence: false,
        });
    }
    let sendings = operator.sendings(request.entry);
    sendings.in_flight = false;
    sendings.last = sendings.last.max(Some(now));
    sendings.last_by_remote = Some(date);
    sendings.doubtful = false;
    sendings.outcome = Some(Outcome { at: now, answer });
}

fn give_up(world: &mut World, at: usize) {
    let Some(who) = world.wire[at].awaited_by.take() else {
        return;
    };
    let (now, date) = (world.now, world.date);
    let (entry, name) = (world.wire[at].entry, world.wire[at].name);
    if world.wire[at].answer.is_some() {
        world.wire.remove(at);
    }
    let operator = &mut world.operators[who];
    operator.last_write[name] = Some(now);
    let sendings = operator.sendings(entry);
    sendings.in_flight = false;
    sendings.unknown = true;
    sendings.last = sendings.last.max(Some(now));
    sendings.last_by_remote = Some(date);
}
