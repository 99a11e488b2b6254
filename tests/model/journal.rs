//! How a process takes over, writes and reads the journal.

use pguser_operator::domain::journal::protocol::{self, Fate};
use pguser_operator::domain::plan::DraftPassword;

use crate::numbers::*;
use crate::operator::restart;
use crate::scenario::{Scenario, WINDOW};
use crate::translate;
use crate::world::*;

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
    operator.turns.clear();
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

/// A journal write, conditional on what this process knows of the journal. A refusal ends the process if another
/// leads (R1); otherwise the write is made again on what was read.
pub fn write_journal(
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
    let moved = (world.journal.epoch, world.journal.sequence) != (tenure.base_epoch, tenure.base);
    match protocol::fate(&attempted, Some(&base), &found, moved, scenario.rules) {
        Fate::Replaced => {
            restart(world, who);
            false
        }
        Fate::Stored | Fate::Open | Fate::Rebase(_) => {
            let (epoch, sequence) = (world.journal.epoch, world.journal.sequence);
            if let Some(tenure) = &mut world.operators[who].tenure {
                tenure.base_epoch = epoch;
                tenure.base = sequence;
            }
            true
        }
    }
}

pub fn stage(world: &mut World, who: usize, draft: &Draft, scenario: &Scenario) -> bool {
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
            let succeeded = world.entry(replaced).is_some_and(|entry| entry.uid != draft.uid);
            world.journal.entries.retain(|entry| entry.id != replaced);
            carry_over(&mut world.operators[who], replaced, id, succeeded);
        }
        world.journal.entries.push(JournalEntry {
            id,
            uid: draft.uid,
            kind: draft.kind,
            cause: draft.cause.clone(),
            password,
            seen: draft.seen,
            proven_ours: draft.proven_ours,
            retain: draft.retain,
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
pub fn unused(world: &World, wanted: Sort) -> u8 {
    let mut highest = 0;
    world.clone().visit(&mut |sort, number| {
        if sort == wanted {
            highest = highest.max(*number);
        }
    });
    highest + 1
}

/// What was known of the sendings of an entry holds for the one that takes its place.
fn carry_over(operator: &mut Operator, replaced: EntryNo, id: EntryNo, deletion: bool) {
    let earlier = operator.sendings(replaced).clone();
    operator.attempts.retain(|sendings| sendings.entry != replaced);
    if earlier.unknown {
        operator.attempts.push(Sendings {
            inherited: earlier.inherited,
            unknown: earlier.unknown,
            last: earlier.last,
            last_by_remote: earlier.last_by_remote,
            login: earlier.login,
            after_deletion: earlier.after_deletion,
            ..Sendings::none(id)
        });
    } else if deletion {
        operator.attempts.push(Sendings {
            after_deletion: earlier.last,
            ..Sendings::none(id)
        });
    }
}

pub fn settle(world: &mut World, who: usize, id: EntryNo, scenario: &Scenario) -> bool {
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
