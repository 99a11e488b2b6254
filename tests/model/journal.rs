//! How a process takes over, writes and reads the journal. It plans from its own copy.

use pguser_operator::domain::journal::protocol::{self, Fate, Onto};
use pguser_operator::domain::plan::DraftPassword;

use crate::numbers::*;
use crate::operator::restart;
use crate::scenario::{Scenario, WINDOW};
use crate::translate;
use crate::world::*;

/// Takes the journal over (R1), reading and writing in one go: a write in between would be refused.
pub fn take_over(world: &mut World, who: usize, scenario: &Scenario) {
    let next = protocol::taken_over(
        &translate::real_journal(&world.journal, scenario),
        &who.to_string(),
    );
    let token = Token(unused(world, Sort::Token));
    world.journal.holder = who;
    world.journal.token = token;
    world.journal.epoch = Epoch(u8::try_from(next.header.epoch).unwrap());
    world.journal.sequence = Sequence(u8::try_from(next.header.sequence).unwrap());
    for (entry, stamped) in world.journal.entries.iter_mut().zip(next.entries.values()) {
        entry.epoch = Epoch(u8::try_from(stamped.epoch).unwrap());
    }
    let now = world.now;
    let operator = &mut world.operators[who];
    operator.term = Some(Term {
        epoch: world.journal.epoch,
        began: now,
        written: now,
        copy: world.journal.clone(),
        version: token,
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

/// The journal with a change made on what this process knows; none if the change was decided on what is no more.
pub fn compose(world: &World, who: usize, change: &Change) -> Option<JournalWrite> {
    let term = world.operators[who].term.as_ref()?;
    let mut next = term.copy.clone();
    next.holder = who;
    next.sequence = next.sequence.next();
    next.token = Token(unused(world, Sort::Token));
    match change {
        Change::Touch => {}
        Change::Settle(id) => next.entries.retain(|entry| entry.id != *id),
        Change::Stage(draft, password) => {
            if let Some(replaced) = draft.replaces {
                next.entries.iter().find(|entry| entry.id == replaced)?;
                next.entries.retain(|entry| entry.id != replaced);
            }
            if next.entries.iter().any(|entry| entry.uid == draft.uid) {
                return None;
            }
            next.entries.push(JournalEntry {
                id: next.next_id,
                uid: draft.uid,
                name: draft.name,
                kind: draft.kind,
                cause: draft.cause.clone(),
                password: *password,
                seen: draft.seen,
                proven_ours: draft.proven_ours,
                retain: draft.retain,
                login: draft.login,
                epoch: term.epoch,
            });
            next.next_id = next.next_id.next();
        }
    }
    Some(JournalWrite {
        base: term.version,
        next,
        change: change.clone(),
        started: world.now,
    })
}

/// A journal write, conditional on what this process knows of the journal, and answered at once. A refusal ends the
/// process if another leads (R1).
pub fn write_journal(world: &mut World, who: usize, scenario: &Scenario, change: &Change) -> bool {
    let Some(write) = compose(world, who, change) else {
        return false;
    };
    put(world, who, &write, scenario)
}

/// Stores a write, if what it was made from is still there; else finds out what became of it.
pub fn put(world: &mut World, who: usize, write: &JournalWrite, scenario: &Scenario) -> bool {
    if store(world, write) {
        accept(world, who, write);
        return true;
    }
    look_into(world, who, write, scenario)
}

/// The write reaches the API server.
pub fn store(world: &mut World, write: &JournalWrite) -> bool {
    let stands = write.base == world.journal.token;
    if stands {
        world.journal = write.next.clone();
    }
    stands
}

/// Reads what became of a write that was refused or not answered. True: it is stored, or made again and stored.
pub fn look_into(world: &mut World, who: usize, write: &JournalWrite, scenario: &Scenario) -> bool {
    let Some(term) = world.operators[who].term.clone() else {
        return false;
    };
    let base = translate::header(&term.copy, scenario);
    let attempted = translate::header(&write.next, scenario);
    let found = translate::header(&world.journal, scenario);
    let moved = world.journal.token != write.base;
    match protocol::fate(&attempted, Some(&base), &found, moved, scenario.rules) {
        Fate::Stored => {
            accept(world, who, write);
            true
        }
        // The very same write is repeated.
        Fate::Open => put(world, who, write, scenario),
        Fate::Replaced => {
            restart(world, who);
            false
        }
        Fate::Rebase(onto) => {
            let journal = world.journal.clone();
            if let Some(term) = &mut world.operators[who].term {
                term.version = journal.token;
                if onto == Onto::Foreign {
                    term.copy = journal;
                }
            }
            let decided = !matches!(write.change, Change::Touch);
            let outdated = onto == Onto::Foreign && decided;
            !outdated && write_journal(world, who, scenario, &write.change)
        }
    }
}

/// It is stored: what waited for that goes on.
fn accept(world: &mut World, who: usize, write: &JournalWrite) {
    let operator = &mut world.operators[who];
    let Some(term) = &mut operator.term else {
        return;
    };
    let before = std::mem::replace(&mut term.copy, write.next.clone());
    // What is there is this write, by all that this process can tell.
    term.version = world.journal.token;
    term.written = write.started;
    match &write.change {
        Change::Touch => {}
        Change::Settle(id) => operator.attempts.retain(|sendings| sendings.entry != *id),
        Change::Stage(draft, _) => {
            if let Some(replaced) = draft.replaces {
                let mut replaced_ones = before.entries.iter().filter(|entry| entry.id == replaced);
                let succeeded = replaced_ones.any(|entry| entry.uid != draft.uid);
                carry_over(operator, replaced, before.next_id, succeeded);
            }
        }
    }
}

/// What stages a draft; none if its password cannot be had any more.
pub fn staging(world: &World, who: usize, draft: &Draft) -> Option<Change> {
    let password = match draft.password {
        DraftPassword::None => None,
        DraftPassword::New => Some(Pw(unused(world, Sort::Password))),
        DraftPassword::Published => {
            let held = world.secret.as_ref().map(|secret| secret.password);
            Some(held.filter(|_| held == draft.published)?)
        }
        DraftPassword::Same => world.known_to(who).entry(draft.replaces?)?.password,
    };
    Some(Change::Stage(draft.clone(), password))
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
