//! The simulated APIs, behind one listener. Which one a request is for, its path says.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    answer::{Answer, Call},
    arrival::Arrival,
    ionos, scalingo,
    sim::Sim,
    switches::Switches,
};

/// A simulated API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// IONOS DBaaS PostgreSQL.
    Ionos,
    /// Scalingo.
    Scalingo,
}

impl Api {
    /// The API that a path belongs to.
    pub fn of(path: &str) -> Api {
        if scalingo::has(path) {
            Api::Scalingo
        } else {
            Api::Ionos
        }
    }

    /// The API's error of this status; a status that is no error has no body.
    pub fn error(self, switches: &Switches, status: u16) -> Answer {
        match self {
            Api::Ionos => ionos::error(switches, status),
            Api::Scalingo => scalingo::error(switches, status),
        }
    }
}

/// A request, as its API understands it.
pub enum Request {
    /// Of IONOS.
    Ionos(ionos::Request),
    /// Of Scalingo.
    Scalingo(scalingo::Request),
}

impl Request {
    /// Takes a request in.
    pub fn arrive(sim: &Sim, call: Call) -> Request {
        match Api::of(&call.path) {
            Api::Ionos => Request::Ionos(ionos::Request::arrive(sim, call)),
            Api::Scalingo => Request::Scalingo(scalingo::Request::arrive(sim, call)),
        }
    }

    /// What was decided when it arrived.
    pub fn arrival(&self) -> &Arrival {
        match self {
            Request::Ionos(request) => &request.arrival,
            Request::Scalingo(request) => &request.arrival,
        }
    }

    /// Answers it.
    pub async fn handle(&self, sim: &Arc<Sim>) -> Answer {
        match self {
            Request::Ionos(request) => ionos::handle(sim, request).await,
            Request::Scalingo(request) => scalingo::handle(sim, request).await,
        }
    }
}
