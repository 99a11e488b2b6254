//! R5: an entry whose resource is gone (its finalizer was taken away by force) is resolved all the same.

use super::delete::{gives_login_back, is_accepted_deletion};
use super::ownership::{Verdict, evidence_to_gather, is_another, weigh};
use super::read_age::{self, Quiet};
use super::types::*;
use crate::api::Reason;
use crate::domain::attempts::Outcome;
use crate::domain::journal::Kind;
use crate::domain::remote::RemoteUser;
use crate::domain::schedule::Class;
use crate::domain::time::Mono;
use crate::domain::timings::{ProtocolTimings, Rule};

/// The next step for an entry without a resource. `observed` needs the server, the observation, the last write, the turn and
/// the entry; a rival means that another PostgresUser has the remote user by now.
pub fn plan_ownerless(observed: &Observed, now: Mono, timings: &ProtocolTimings) -> Plan {
    let timings = &super::for_server(&observed.server, timings);
    let Some(staged) = &observed.entry else {
        return Plan::default();
    };
    let plan = decide(observed, staged, now, timings);
    let needs_turn = matches!(plan.step, Some(Step::Send(_) | Step::Stage(_)));
    if needs_turn && !observed.turn && timings.rules.hold(Rule::R11) {
        return Plan {
            step: Some(Step::AskTurn(Class::Unfinished)),
            ..wait(timings)
        };
    }
    Plan {
        keeps_turn: needs_turn || staged.attempts.in_flight,
        ..plan
    }
}

fn decide(observed: &Observed, staged: &StagedEntry, now: Mono, timings: &ProtocolTimings) -> Plan {
    let settle = Plan {
        step: Some(Step::Settle(staged.entry.id)),
        ..Plan::default()
    };
    if !timings.rules.hold(Rule::R5) {
        return settle;
    }
    let ServerView::Usable(server) = &observed.server else {
        return wait(timings);
    };
    // A deletion, or its end, was decided while the resource was there; anything else that nobody has sent is void.
    let is_decided = staged.entry.kind == Kind::Delete || gives_login_back(staged);
    let void = staged.attempts.never_sent() && !is_decided;
    if server.gone || void {
        return settle;
    }
    if staged.attempts.in_flight {
        return wait(timings);
    }
    if is_accepted_deletion(staged) && staged.attempts.is_definite() {
        return deleted(observed, staged, server, now, timings);
    }
    let Some(observation) = read_age::settled_observation(observed, server, now, timings) else {
        return look(observed, server, now, timings);
    };
    if let (Some(_), Some(step)) = (
        &observation.user,
        evidence_to_gather(observation, staged, server, timings),
    ) && !was_accepted(staged)
    {
        return when_usable(server, step, timings);
    }
    match &observation.user {
        None if observation.proves_absence => settle,
        None => look(observed, server, now, timings),
        Some(_) if observed.rival.is_some() || staged.entry.kind == Kind::Adopt => settle,
        Some(user) if gives_login_back(staged) && user.lacks_login() && staged.attempts.outcome.is_none() => {
            match is_another(user, staged, server, false) {
                true => settle,
                false => send(staged, observation, server, now, timings),
            }
        }
        Some(_) if gives_login_back(staged) => settle,
        // A login that has been published is kept, as its resource asked.
        Some(_) if staged.entry.retain && staged.entry.kind != Kind::Create => settle,
        Some(user) => match (
            staged.entry.kind,
            verdict(staged, user, observation, server, timings),
        ) {
            (_, Verdict::Foreign) => settle,
            (_, Verdict::Unclaimed) => unclaimed(staged, timings),
            (Kind::Delete, Verdict::Ours) => send(staged, observation, server, now, timings),
            (_, Verdict::Ours) => replace(staged, observation),
        },
    }
}

/// Deleted by the remote's word, and let go. The entry stays until a read of late enough shows the absence; what is never
/// seen to go is deleted again, once nothing of the last request can arrive any more.
fn deleted(
    observed: &Observed,
    staged: &StagedEntry,
    server: &Server,
    now: Mono,
    timings: &ProtocolTimings,
) -> Plan {
    let settle = Plan {
        step: Some(Step::Settle(staged.entry.id)),
        ..Plan::default()
    };
    let from = read_age::quiet_by_time(observed, server, timings);
    if now < from && timings.rules.hold(Rule::R6) {
        return Plan {
            again: Some(from - now),
            ..Plan::default()
        };
    }
    let observation = observed.observation.as_ref();
    let Some(observation) =
        observation.filter(|observation| observation.started >= from || !timings.rules.hold(Rule::R6))
    else {
        return when_usable(server, Step::List, timings);
    };
    match &observation.user {
        None if observation.proves_absence => settle,
        None => when_usable(server, Step::List, timings),
        Some(_) if observed.rival.is_some() => settle,
        Some(user) if is_another(user, staged, server, !server.capabilities.marks) => settle,
        Some(_) => still_there(staged, observation, server, now, timings),
    }
}

/// Our user is shown although its deletion was accepted: it takes its time, or does not happen.
fn still_there(
    staged: &StagedEntry,
    observation: &Observation,
    server: &Server,
    now: Mono,
    timings: &ProtocolTimings,
) -> Plan {
    let last = staged.attempts.last.unwrap_or_default();
    let since = now - last;
    if since <= timings.t_live {
        // Looked at again at growing intervals, by a list that serves all who wait.
        let pause = timings.read_lag.max(since / 2);
        let due = observation.started + pause;
        return match now < due {
            true => Plan {
                again: Some(due - now),
                ..Plan::default()
            },
            false => when_usable(server, Step::List, timings),
        };
    }
    let mut plan = match read_age::is_busy(server, timings) {
        true => when_usable(server, Step::PollCluster, timings),
        false => send(staged, observation, server, now, timings),
    };
    plan.report.stalled = Some(Stalled {
        reason: Reason::DeletionNotInEffect,
        message: staged.entry.username.clone(),
    });
    plan
}

fn verdict(
    staged: &StagedEntry,
    user: &RemoteUser,
    observation: &Observation,
    server: &Server,
    timings: &ProtocolTimings,
) -> Verdict {
    if staged.entry.kind != Kind::Create && is_another(user, staged, server, !server.capabilities.marks) {
        return Verdict::Foreign;
    }
    match was_accepted(staged) && !user.protected {
        true => Verdict::Ours,
        false => weigh(user, observation, staged, None, server, timings),
    }
}

fn was_accepted(staged: &StagedEntry) -> bool {
    matches!(staged.attempts.outcome, Some(Outcome::Accepted { .. }))
}

/// No resource is there to carry a condition: whoever carries this out has to say it of the server.
fn unclaimed(staged: &StagedEntry, timings: &ProtocolTimings) -> Plan {
    let mut plan = wait(timings);
    plan.report.stalled = Some(Stalled {
        reason: Reason::Unclaimed,
        message: format!(
            "a creation of the login {:?} had no answer, its PostgresUser is gone, and a login of that name exists: \
             nothing tells whether it is what was made. Delete it on the server if it is, or make a PostgresUser with \
             spec.adoptionPolicy: Adopt",
            staged.entry.username
        ),
    });
    plan
}

fn when_usable(server: &Server, step: Step, timings: &ProtocolTimings) -> Plan {
    match server.trouble {
        Some(_) => wait(timings),
        None => Plan {
            step: Some(step),
            ..Plan::default()
        },
    }
}

fn wait(timings: &ProtocolTimings) -> Plan {
    Plan {
        again: Some(timings.t_live),
        ..Plan::default()
    }
}

fn look(observed: &Observed, server: &Server, now: Mono, timings: &ProtocolTimings) -> Plan {
    match read_age::quiet(observed, server, now, timings) {
        Quiet::From(from) if now < from => Plan {
            again: Some(from - now),
            ..Plan::default()
        },
        Quiet::From(_) => when_usable(server, Step::Read, timings),
        Quiet::AfterPoll => when_usable(server, Step::PollCluster, timings),
    }
}

fn send(
    staged: &StagedEntry,
    observation: &Observation,
    server: &Server,
    now: Mono,
    timings: &ProtocolTimings,
) -> Plan {
    if now - observation.started > timings.fresh_for {
        return when_usable(server, Step::Read, timings);
    }
    let lately = staged
        .attempts
        .last
        .is_some_and(|last| now - last <= timings.t_live);
    let answered = staged.attempts.outcome.is_some();
    match server.trouble.is_some() || (answered && lately) {
        true => Plan {
            again: Some(timings.read_lag),
            step: answered.then_some(Step::Read),
            ..Plan::default()
        },
        false => Plan {
            step: Some(Step::Send(staged.entry.id)),
            ..Plan::default()
        },
    }
}

fn replace(staged: &StagedEntry, observation: &Observation) -> Plan {
    let draft = Draft::deletion(Some(staged.entry.id), observation.as_seen());
    Plan {
        step: Some(Step::Stage(draft)),
        ..Plan::default()
    }
}
