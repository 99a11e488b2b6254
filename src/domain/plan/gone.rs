//! R5: an entry whose resource is gone (its finalizer was taken away by force) is resolved all the same.

use super::delete::{gives_login_back, is_accepted_deletion, lacks_login};
use super::entry::is_another;
use super::evidence::{Verdict, evidence_to_gather, weigh};
use super::fresh::{self, Quiet};
use super::types::*;
use crate::domain::attempts::Outcome;
use crate::domain::journal::Kind;
use crate::domain::remote::RemoteUser;
use crate::domain::schedule::Class;
use crate::domain::settings::{Rule, Settings};
use crate::domain::time::Mono;

/// The next step for an entry without a resource. `observed` needs the server, the sight, the last write, the turn and
/// the entry; a rival means that another PostgresUser has the remote user by now.
pub fn plan_gone(observed: &Observed, now: Mono, settings: &Settings) -> Plan {
    let settings = &super::for_server(&observed.server, settings);
    let Some(staged) = &observed.entry else {
        return Plan::default();
    };
    let plan = decide(observed, staged, now, settings);
    let needs_turn = matches!(plan.step, Some(Step::Send(_) | Step::Stage(_)));
    if needs_turn && !observed.turn && settings.rules.hold(Rule::R11) {
        return Plan {
            step: Some(Step::AskTurn(Class::Unfinished)),
            ..wait(settings)
        };
    }
    Plan {
        keeps_turn: needs_turn || staged.attempts.in_flight,
        ..plan
    }
}

fn decide(observed: &Observed, staged: &StagedEntry, now: Mono, settings: &Settings) -> Plan {
    let settle = Plan {
        step: Some(Step::Settle(staged.entry.id)),
        ..Plan::default()
    };
    if !settings.rules.hold(Rule::R5) {
        return settle;
    }
    let ServerView::Usable(server) = &observed.server else {
        return wait(settings);
    };
    // A deletion, or its end, was decided while the resource was there; anything else that nobody has sent is void.
    let is_decided = staged.entry.kind == Kind::Delete || gives_login_back(staged);
    let void = staged.attempts.never_sent() && !is_decided;
    if server.gone || void {
        return settle;
    }
    if staged.attempts.in_flight {
        return wait(settings);
    }
    if is_accepted_deletion(staged) && staged.attempts.is_definite() {
        return deleted(observed, staged, server, now, settings);
    }
    let Some(sight) = fresh::settled_sight(observed, server, now, settings) else {
        return look(observed, server, now, settings);
    };
    if let (Some(_), Some(step)) = (&sight.user, evidence_to_gather(sight, staged, server, settings))
        && !was_accepted(staged)
    {
        return when_usable(server, step, settings);
    }
    match &sight.user {
        None if sight.conclusive => settle,
        None => look(observed, server, now, settings),
        Some(_) if observed.rival.is_some() || staged.entry.kind == Kind::Adopt => settle,
        Some(user) if gives_login_back(staged) && lacks_login(user) && staged.attempts.outcome.is_none() => {
            match is_another(user, staged, server, false) {
                true => settle,
                false => send(staged, sight, server, now, settings),
            }
        }
        Some(_) if gives_login_back(staged) => settle,
        // A login that has been published is kept, as its resource asked.
        Some(_) if staged.entry.retain && staged.entry.kind != Kind::Create => settle,
        Some(user) => match (staged.entry.kind, verdict(staged, user, sight, server, settings)) {
            (_, Verdict::Foreign) => settle,
            (_, Verdict::Unclaimed) => unclaimed(staged, settings),
            (Kind::Delete, Verdict::Ours) => send(staged, sight, server, now, settings),
            (_, Verdict::Ours) => replace(staged, sight),
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
    settings: &Settings,
) -> Plan {
    let settle = Plan {
        step: Some(Step::Settle(staged.entry.id)),
        ..Plan::default()
    };
    let from = fresh::quiet_by_time(observed, server, settings);
    if now < from && settings.rules.hold(Rule::R6) {
        return Plan {
            again: Some(from - now),
            ..Plan::default()
        };
    }
    let sight = observed.sight.as_ref();
    let Some(sight) = sight.filter(|sight| sight.started >= from || !settings.rules.hold(Rule::R6)) else {
        return when_usable(server, Step::List, settings);
    };
    match &sight.user {
        None if sight.conclusive => settle,
        None => when_usable(server, Step::List, settings),
        Some(_) if observed.rival.is_some() => settle,
        Some(user) if is_another(user, staged, server, !server.capabilities.marks) => settle,
        Some(_) => still_there(staged, sight, server, now, settings),
    }
}

/// Our user is shown although its deletion was accepted: it takes its time, or does not happen.
fn still_there(staged: &StagedEntry, sight: &Sight, server: &Server, now: Mono, settings: &Settings) -> Plan {
    let last = staged.attempts.last.unwrap_or_default();
    let since = now - last;
    if since <= settings.t_live {
        // Looked at again at growing intervals, by a list that serves all who wait.
        let pause = settings.read_lag.max(since / 2);
        let due = sight.started + pause;
        return match now < due {
            true => Plan {
                again: Some(due - now),
                ..Plan::default()
            },
            false => when_usable(server, Step::List, settings),
        };
    }
    let mut plan = match fresh::is_busy(server, settings) {
        true => when_usable(server, Step::PollCluster, settings),
        false => send(staged, sight, server, now, settings),
    };
    plan.report.stalled = Some(Stalled {
        reason: "DeletionNotInEffect",
        message: staged.entry.username.clone(),
    });
    plan
}

fn verdict(
    staged: &StagedEntry,
    user: &RemoteUser,
    sight: &Sight,
    server: &Server,
    settings: &Settings,
) -> Verdict {
    if staged.entry.kind != Kind::Create && is_another(user, staged, server, !server.capabilities.marks) {
        return Verdict::Foreign;
    }
    match was_accepted(staged) && !user.protected {
        true => Verdict::Ours,
        false => weigh(user, sight, staged, None, server, settings),
    }
}

fn was_accepted(staged: &StagedEntry) -> bool {
    matches!(staged.attempts.outcome, Some(Outcome::Accepted { .. }))
}

/// No resource is there to carry a condition: whoever carries this out has to say it of the server.
fn unclaimed(staged: &StagedEntry, settings: &Settings) -> Plan {
    let mut plan = wait(settings);
    plan.report.stalled = Some(Stalled {
        reason: "Unclaimed",
        message: format!(
            "a creation of the login {:?} had no answer, its PostgresUser is gone, and a login of that name exists: \
             nothing tells whether it is what was made. Delete it on the server if it is, or make a PostgresUser with \
             spec.adoptionPolicy: Adopt",
            staged.entry.username
        ),
    });
    plan
}

fn when_usable(server: &Server, step: Step, settings: &Settings) -> Plan {
    match server.trouble {
        Some(_) => wait(settings),
        None => Plan {
            step: Some(step),
            ..Plan::default()
        },
    }
}

fn wait(settings: &Settings) -> Plan {
    Plan {
        again: Some(settings.t_live),
        ..Plan::default()
    }
}

fn look(observed: &Observed, server: &Server, now: Mono, settings: &Settings) -> Plan {
    match fresh::quiet(observed, server, now, settings) {
        Quiet::From(from) if now < from => Plan {
            again: Some(from - now),
            ..Plan::default()
        },
        Quiet::From(_) => when_usable(server, Step::Read, settings),
        Quiet::AfterPoll => when_usable(server, Step::PollCluster, settings),
    }
}

fn send(staged: &StagedEntry, sight: &Sight, server: &Server, now: Mono, settings: &Settings) -> Plan {
    if now - sight.started > settings.fresh_for {
        return when_usable(server, Step::Read, settings);
    }
    let lately = staged
        .attempts
        .last
        .is_some_and(|last| now - last <= settings.t_live);
    let answered = staged.attempts.outcome.is_some();
    match server.trouble.is_some() || (answered && lately) {
        true => Plan {
            again: Some(settings.read_lag),
            step: answered.then_some(Step::Read),
            ..Plan::default()
        },
        false => Plan {
            step: Some(Step::Send(staged.entry.id)),
            ..Plan::default()
        },
    }
}

fn replace(staged: &StagedEntry, sight: &Sight) -> Plan {
    let draft = Draft::deletion(Some(staged.entry.id), sight.as_seen());
    Plan {
        step: Some(Step::Stage(draft)),
        ..Plan::default()
    }
}
