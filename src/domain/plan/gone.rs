//! R5: an entry whose resource is gone (its finalizer was taken away by force) is resolved all the same.

use super::evidence::{Verdict, weigh};
use super::fresh;
use super::types::*;
use crate::domain::attempts::Outcome;
use crate::domain::journal::{Cause, Kind, Seen};
use crate::domain::settings::{Rule, Settings};
use crate::domain::time::Mono;

/// The next step for an entry without a resource. `observed` needs the server, the sight, the last write and
/// the entry; a rival means that another PostgresUser has the remote user by now.
pub fn plan_gone(observed: &Observed, now: Mono, settings: &Settings) -> Plan {
    let Some(staged) = &observed.entry else {
        return Plan::default();
    };
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
    if server.gone || staged.attempts.never_sent() {
        return settle;
    }
    if staged.attempts.in_flight {
        return wait(settings);
    }
    let Some(sight) = fresh::settled_sight(observed, server, settings) else {
        return look(observed, server, now, settings);
    };
    match &sight.user {
        None if sight.conclusive => settle,
        None => look(observed, server, now, settings),
        Some(_) if observed.rival.is_some() || staged.entry.kind == Kind::Adopt => settle,
        Some(user) => match (staged.entry.kind, verdict(staged, user, server, settings)) {
            (_, Verdict::Foreign) => settle,
            (_, Verdict::Unclaimed) => wait(settings),
            (Kind::Delete, Verdict::Ours) => send(staged, server, now, settings),
            (_, Verdict::Ours) => replace(staged, sight, user.created),
        },
    }
}

fn verdict(
    staged: &StagedEntry,
    user: &crate::domain::remote::RemoteUser,
    server: &Server,
    settings: &Settings,
) -> Verdict {
    let made_again =
        matches!((staged.entry.seen.created, user.created), (Some(then), Some(now)) if then != now);
    if staged.entry.kind == Kind::Delete && made_again {
        return Verdict::Foreign;
    }
    let accepted = matches!(staged.attempts.outcome, Some(Outcome::Accepted { .. }));
    match accepted && !user.protected {
        true => Verdict::Ours,
        false => weigh(user, staged, server, settings),
    }
}

fn wait(settings: &Settings) -> Plan {
    Plan {
        again: Some(settings.t_live),
        ..Plan::default()
    }
}

fn look(observed: &Observed, server: &Server, now: Mono, settings: &Settings) -> Plan {
    let from = fresh::quiet_from(observed, server, settings);
    if now < from {
        return Plan {
            again: Some(from - now),
            ..Plan::default()
        };
    }
    match server.trouble {
        Some(_) => wait(settings),
        None => Plan {
            step: Some(Step::Read),
            ..Plan::default()
        },
    }
}

fn send(staged: &StagedEntry, server: &Server, now: Mono, settings: &Settings) -> Plan {
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

fn replace(staged: &StagedEntry, sight: &Sight, created: Option<jiff::Timestamp>) -> Plan {
    let draft = Draft {
        replaces: Some(staged.entry.id),
        kind: Kind::Delete,
        cause: Cause::Deletion,
        password: DraftPassword::None,
        seen: Seen {
            at: sight.date,
            created,
            present: true,
        },
        proven_ours: true,
    };
    Plan {
        step: Some(Step::Stage(draft)),
        ..Plan::default()
    }
}
