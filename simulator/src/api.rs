//! The simulated APIs, on the same addresses. Which one a request is for, its path says.

use std::sync::Arc;

use hyper::StatusCode;
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

    /// The answer to a request that was too large to be taken in.
    pub fn too_large(self, switches: &Switches) -> Answer {
        match self {
            Api::Ionos => ionos::too_large(switches),
            Api::Scalingo => scalingo::too_large(switches),
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

    /// The error of this status that its API could have answered; a status that is no error has no body.
    pub fn error(&self, status: u16) -> Answer {
        match StatusCode::from_u16(status) {
            Ok(status) if status.is_success() => Answer::empty(status),
            status => {
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                match self {
                    Request::Ionos(request) => ionos::error(request, status),
                    Request::Scalingo(request) => scalingo::error(request, status),
                }
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_which_api_it_is() {
        for path in [
            "/v1/tokens/exchange",
            "/v1",
            "/api/databases/ad-1/users",
            "/api/databases",
        ] {
            assert_eq!(Api::of(path), Api::Scalingo, "{path}");
        }
        for path in [
            "/databases/postgresql/clusters",
            "/clusters",
            "/v10",
            "/api/databasesx",
            "/",
        ] {
            assert_eq!(Api::of(path), Api::Ionos, "{path}");
        }
    }
}
