//! What a failed call says of the server, and how long it is left alone.

use std::time::Duration;

use super::server_task::ServerTask;
use super::state::Topic;
use crate::api::Reason;
use crate::clock;
use crate::domain::pause::Growth;
use crate::domain::plan::Trouble;
use crate::provider::{ErrorClass, RemoteError};

/// Notes a failure: everybody is held back, and one call will find out when things are in order again.
pub(super) fn failed(server: &ServerTask, error: &RemoteError) {
    let trouble = trouble_of(error);
    tracing::warn!(server = %server.key, %error, "remote call failed");
    let changed = {
        let mut state = server.state();
        let asked = error.class.retry_after();
        state.circuit.on_failure(clock::now(), asked, clock::jitter());
        state.turns.slow_down();
        if matches!(error.class, ErrorClass::RateLimited { .. }) {
            let until = state.circuit.next_probe().unwrap_or_default();
            server.link().bucket.pause(until - clock::now());
        }
        if error.class == ErrorClass::Unauthorized {
            state.worked = false;
        }
        let changed = state.trouble.as_ref().map(|trouble| trouble.reason) != Some(trouble.reason);
        state.trouble = Some(trouble);
        changed
    };
    if changed {
        // Those who wait for anything are told once what they wait for now.
        let waiting = {
            let mut state = server.state();
            let mut all = state.take_waiting(&Topic::List);
            all.extend(state.looks.take_all());
            all
        };
        server.trigger(waiting);
        server.report();
    }
}

/// The pause after an entry was sent this many times in vain.
pub(super) fn backoff(server: &ServerTask, tries: u32) -> Duration {
    let growth = Growth {
        first: server.retries.retry_base,
        longest: server.retries.retry_cap,
    };
    growth.after(tries.saturating_add(1), clock::jitter())
}

fn trouble_of(error: &RemoteError) -> Trouble {
    let (reason, message, stalled) = match &error.class {
        ErrorClass::Unauthorized => (
            Reason::Unauthorized,
            "the server does not accept the credentials, or they are not enough",
            false,
        ),
        ErrorClass::RateLimited { .. } => (Reason::Throttled, "the server asks for fewer requests", false),
        ErrorClass::EndpointNotAllowed => (
            Reason::EndpointNotAllowed,
            "the address is not on the operator's allow-list: an administrator has to add it with --allow-endpoint",
            true,
        ),
        ErrorClass::NotFound => (Reason::ClusterNotFound, "the server knows no such cluster", false),
        ErrorClass::Busy | ErrorClass::Conflict => {
            (Reason::ClusterBusy, "the cluster takes no changes now", false)
        }
        ErrorClass::Invalid => (Reason::UnexpectedAnswer, "the server refused the request", false),
        _ => (
            Reason::Unreachable,
            "the server cannot be reached or does not answer",
            false,
        ),
    };
    Trouble {
        reason,
        message: format!("{message} ({error})"),
        stalled,
    }
}
