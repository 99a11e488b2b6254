//! Server objects, one by one.

use jiff::Timestamp;

use crate::api::Reason;
use crate::clock;
use crate::controller::context::Context;
use crate::controller::server::reconcile::remote_users;
use crate::controller::server::task::ServerTask;
use crate::controller::server::task::turns::Turns;
use crate::controller::server::view;
use crate::domain::conditions::READY;
use crate::domain::time::Mono;
use crate::metrics::census::{AtWork, Census, ForReason, ServerCensus, ServerName, TurnsCensus};
use crate::objects::ServerObject;

/// Counts the server objects.
pub fn count(context: &Context, census: &mut Census) {
    let all = context.server_objects().into_iter();
    for object in all.filter(|object| context.options.selector.selects(object)) {
        let provider = object.provider().map_or("none", |it| it.capabilities().name);
        let conditions = object.status().into_iter().flat_map(|status| &status.conditions);
        let ready = conditions
            .filter(|condition| condition.type_ == READY)
            .map(|condition| condition.reason.clone())
            .next();
        let reason = ready.unwrap_or_else(|| Reason::Pending.to_string());
        *census.reasons.entry(ForReason { provider, reason }).or_default() += 1;
        let key = object.key();
        let name = ServerName {
            server_namespace: key.namespace.unwrap_or_default(),
            server: key.name,
            provider,
        };
        census.servers.insert(name, look_at(context, &object));
    }
}

fn look_at(context: &Context, object: &ServerObject) -> ServerCensus {
    let interval = object.refresh_interval(context.options.min_refresh_interval);
    let server = context.server(&object.key());
    let server = server.filter(|server| server.uid == object.uid());
    ServerCensus {
        ready: server.as_ref().is_some_and(|server| is_ready(server)),
        at_work: server.map(|server| at_work(context, &server)),
        refresh_interval: i64::try_from(interval.as_secs()).unwrap_or(i64::MAX),
    }
}

fn is_ready(server: &ServerTask) -> bool {
    let link = server.link();
    let state = server.state();
    state.cluster.is_some() && view::trouble(&link, &state, false).is_none()
}

fn at_work(context: &Context, server: &ServerTask) -> AtWork {
    let changes = server
        .journal
        .view(|journal, _| journal.map_or(0, |journal| journal.entries.len()));
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let users = remote_users(server, context);
    let state = server.state();
    AtWork {
        circuit_open: !state.circuit.is_closed(),
        throttled: state
            .trouble
            .as_ref()
            .is_some_and(|trouble| trouble.reason == Reason::Throttled),
        refreshed: state.refreshed.map(|time| time.as_second()),
        users,
        changes: count(changes),
        orphans: count(state.orphans),
        never_deleted: count(state.never_deleted.len()),
        turns: turns(&state.turns),
    }
}

fn turns(turns: &Turns) -> TurnsCensus {
    let census = turns.census();
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let since = |moment: Mono| {
        let waited = clock::now() - moment;
        Timestamp::now().as_second() - i64::try_from(waited.as_secs()).unwrap_or_default()
    };
    TurnsCensus {
        waiting: count(census.waiting),
        oldest: since(census.oldest.unwrap_or_else(clock::now)),
        out: count(census.out),
        given: i64::try_from(census.given).unwrap_or(i64::MAX),
    }
}
