//! Taking a request in, whichever API it is for.

use crate::{
    answer::Call,
    api::Api,
    clock,
    faults::Struck,
    journal::Entry,
    ratelimit::Budget,
    route::RouteName,
    sim::Sim,
    switches::{self, Switches},
};

/// What an API makes of a request at first sight.
pub struct About {
    /// Which API that is.
    pub api: Api,
    /// Its route.
    pub route: RouteName,
    /// The user that it is about.
    pub username: Option<String>,
    /// The kind of its credentials.
    pub authorization: &'static str,
    /// The secret among them.
    pub credential: Option<String>,
    /// The password in its body.
    pub password: Option<String>,
    /// What it draws on, if its rate is limited.
    pub budget: Option<Budget>,
}

/// A request with all that was decided when it arrived.
pub struct Arrival {
    /// The request.
    pub call: Call,
    /// Its place in the journal.
    pub seq: u64,
    /// The faults that strike it.
    pub struck: Struck,
    /// The switches at its arrival.
    pub switches: Switches,
    /// Whether the rate limit admits it, or in how many milliseconds it would.
    pub admitted: Result<(), i64>,
}

impl Arrival {
    /// Takes a request in: its place in the journal, its faults and its share of the rate limit are settled in one
    /// step, so that requests that run at once cannot change places.
    pub fn record(sim: &Sim, call: Call, switches: Switches, about: About) -> Arrival {
        let entry = Entry {
            seq: 0,
            time: clock::timestamp(clock::real_ms(), true),
            api: about.api,
            route: about.route,
            method: call.method.to_string(),
            host: call.header("host").map(str::to_owned),
            path: call.path.clone(),
            query: call.query.clone(),
            status: None,
            done: false,
            committed: false,
            username: about.username,
            authorization: about.authorization,
            credential_hash: about.credential.map(|secret| sim.prints.of(&secret)),
            password_hash: about.password.map(|password| sim.prints.of(&password)),
            user_agent: call.header("user-agent").map(str::to_owned),
            content_type: call.header("content-type").map(str::to_owned),
            faults: Vec::new(),
        };
        let mut arrivals = sim.arrivals();
        let struck = arrivals
            .faults
            .strike(entry.api, entry.route, entry.username.as_deref());
        let window = i64::try_from(switches.number(&switches::RATE_WINDOW_MS)).unwrap_or(i64::MAX);
        let admitted = match &about.budget {
            Some(budget) => arrivals.rate.admit(budget, clock::real_ms(), window),
            None => Ok(()),
        };
        let seq = arrivals.journal.open(Entry {
            faults: struck.ids.clone(),
            ..entry
        });
        drop(arrivals);
        Arrival {
            call,
            seq,
            struck,
            switches,
            admitted,
        }
    }
}
