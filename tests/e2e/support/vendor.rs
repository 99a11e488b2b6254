//! The remote side of a test, whichever provider it is run on, and what others do there meanwhile.

use std::{ops::Deref, path::Path, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    ADDON_ID, APP, CLUSTER_ID, Outcome, PATIENCE, Postgres, Simulator, TOKEN, commits, eventually, wire::Wire,
};

/// The operator's own role, where it speaks SQL: not a superuser.
pub const ADMIN: &str = "pguser_admin";

/// What a trial is run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    Ionos,
    Scalingo,
    Postgresql,
}

impl Provider {
    pub const ALL: [Provider; 3] = [Provider::Ionos, Provider::Scalingo, Provider::Postgresql];

    /// As in the API.
    pub fn name(self) -> &'static str {
        match self {
            Provider::Ionos => "ionos",
            Provider::Scalingo => "scalingo",
            Provider::Postgresql => "postgresql",
        }
    }

    /// What follows the name of a trial.
    pub fn suffix(self) -> String {
        match self {
            Provider::Ionos => String::new(),
            other => format!(" [{}]", other.name()),
        }
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is executed, and nobody hears of it.
    AnswerLost,
    /// The connection is lost at once, and so many milliseconds later it is executed.
    CommittedLate(u64),
    /// It takes its time.
    Slow,
}

/// A request that something becomes of.
pub enum Struck<'a> {
    Api {
        simulator: &'a Simulator,
        route: &'static str,
        before: u64,
    },
    Sql(watch::Receiver<bool>),
}

impl Struck<'_> {
    /// Waits until it is under way.
    pub async fn is_under_way(&self) -> Outcome {
        eventually("the request", PATIENCE, async || {
            let is_there = match self {
                Struck::Api {
                    simulator,
                    route,
                    before,
                } => simulator.requests(route).await? > *before,
                Struck::Sql(waiting) => *waiting.borrow(),
            };
            is_there.then_some(()).ok_or_else(|| "there is none".into())
        })
        .await
    }
}

/// A vendor's API or a PostgreSQL that is spoken to in SQL. Where it is an API, it can be used as the [`Simulator`].
pub struct Vendor {
    provider: Provider,
    postgres: Arc<Postgres>,
    behind: Behind,
}

enum Behind {
    Api(Simulator),
    Sql(Arc<Wire>),
}

impl Deref for Vendor {
    type Target = Simulator;

    fn deref(&self) -> &Simulator {
        match &self.behind {
            Behind::Api(simulator) => simulator,
            Behind::Sql(_) => panic!("this trial asks for what SQL does not have"),
        }
    }
}

impl Vendor {
    /// One on a PostgreSQL, with switches of the simulator where it is one.
    pub async fn start(
        provider: Provider,
        dir: &Path,
        postgres: &Arc<Postgres>,
        switches: &[&str],
    ) -> Outcome<Vendor> {
        let behind = match provider {
            Provider::Postgresql => {
                let make = format!("create role {ADMIN} login createrole password '{TOKEN}'");
                postgres.sql(&make).await?;
                Behind::Sql(Arc::new(Wire::start(postgres.port()).await?))
            }
            _ => Behind::Api(Simulator::start(dir, postgres, switches).await?),
        };
        Ok(Vendor {
            provider,
            postgres: postgres.clone(),
            behind,
        })
    }

    /// Which it is.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The PostgreSQL that its users are on.
    pub fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    // ---------------------------------------------------------------------------------------- how it is spoken of

    /// What a server object says of it, as lines of its spec.
    pub fn spec(&self, server: &str) -> String {
        let credentials = format!("credentialsSecretRef: {{name: {server}-credentials}}");
        match &self.behind {
            Behind::Api(api) if self.provider == Provider::Scalingo => {
                let base = api.base();
                let endpoints = format!("{{auth: \"{base}\", api: \"{base}\", database: \"{base}\"}}");
                format!(
                    "scalingo: {{app: {APP}, addonId: {ADDON_ID}, endpoints: {endpoints}, {credentials}}}"
                )
            }
            Behind::Api(api) => {
                let endpoint = api.endpoint();
                format!("ionos: {{clusterId: {CLUSTER_ID}, endpoint: \"{endpoint}\", {credentials}}}")
            }
            Behind::Sql(wire) => {
                let (port, ca) = (wire.port(), format!("{{secretKeyRef: {{name: {server}-ca}}}}"));
                format!("postgresql: {{host: localhost, port: {port}, ca: {ca}, {credentials}}}")
            }
        }
    }

    /// The Secret that the spec's credentials are in, and what else the spec refers to; `secret` is the token or
    /// password.
    pub fn credentials(&self, server: &str, secret: &str) -> Outcome<String> {
        let data = match self.provider {
            Provider::Ionos => json!({"token": secret}),
            Provider::Scalingo => json!({"apiToken": secret}),
            Provider::Postgresql => json!({"username": ADMIN, "password": secret}),
        };
        let object = |name: &str, data: Value| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("{server}-{name}")},
                "stringData": data})
        };
        let mut manifests = object("credentials", data).to_string();
        if self.provider == Provider::Postgresql {
            let ca = std::fs::read_to_string(self.postgres.ca_file())?;
            manifests += &format!("\n---\n{}", object("ca", json!({"ca.crt": ca})));
        }
        Ok(manifests)
    }

    // -------------------------------------------------------------------------------------------- what others do

    /// Somebody else makes a login.
    pub async fn make(&self, username: &str, password: &str) -> Outcome {
        match &self.behind {
            Behind::Api(_) => self.act("create-api", username, Some(password)).await,
            Behind::Sql(_) => self.make_by_sql(username, password).await,
        }
    }

    /// Somebody else makes a login by SQL.
    pub async fn make_by_sql(&self, username: &str, password: &str) -> Outcome {
        let make = format!("create role \"{username}\" login password '{password}'");
        self.postgres.sql(&make).await?;
        self.give(username).await
    }

    /// Lets the operator change a role that it has not made: from version 16 on, somebody has to.
    pub async fn give(&self, role: &str) -> Outcome {
        let give = format!(
            "do $$ begin if current_setting('server_version_num')::int >= 160000 and exists (select from pg_roles \
             where rolname = '{ADMIN}') then execute 'grant \"{role}\" to {ADMIN} with admin option'; end if; end $$"
        );
        self.postgres.sql(&give).await.map(drop)
    }

    /// Somebody else deletes a login.
    pub async fn delete(&self, username: &str) -> Outcome {
        match &self.behind {
            Behind::Api(_) => self.act("delete", username, None).await,
            Behind::Sql(_) => {
                let sql = format!("drop role \"{username}\"");
                self.postgres.sql(&sql).await.map(drop)
            }
        }
    }

    /// Somebody else deletes a login and makes it again.
    pub async fn make_again(&self, username: &str, password: &str) -> Outcome {
        match &self.behind {
            Behind::Api(_) => self.act("recreate", username, Some(password)).await,
            Behind::Sql(_) => {
                self.delete(username).await?;
                self.make(username, password).await
            }
        }
    }

    /// Somebody else changes a login's password.
    pub async fn set_password(&self, username: &str, password: &str) -> Outcome {
        match &self.behind {
            Behind::Api(_) => self.act("set-password", username, Some(password)).await,
            Behind::Sql(_) => {
                let sql = format!("alter role \"{username}\" password '{password}'");
                self.postgres.sql(&sql).await.map(drop)
            }
        }
    }

    async fn act(&self, action: &str, username: &str, password: Option<&str>) -> Outcome {
        let action = json!({"action": action, "username": username, "password": password});
        self.outside(action).await
    }

    // ------------------------------------------------------------------------------------------- trouble with it

    /// From now on no other token or password than this lets the operator in.
    pub async fn accept_only(&self, secret: &str) -> Outcome {
        if let Behind::Sql(wire) = &self.behind {
            let sql = format!("alter role {ADMIN} password '{secret}'");
            self.postgres.sql(&sql).await?;
            wire.cut();
            return Ok(());
        }
        self.accept(&[secret]).await?;
        let all = json!({"jwts": true, "addonTokens": true});
        self.admin("POST", "revoke", Some(all)).await.map(drop)
    }

    /// From now on these tokens let the operator in, and no others.
    pub async fn accept(&self, tokens: &[&str]) -> Outcome {
        let tokens = match self.provider {
            Provider::Scalingo => json!({"apiTokens": tokens}),
            _ => json!({"tokens": tokens}),
        };
        self.admin("POST", "tokens", Some(tokens)).await.map(drop)
    }

    /// The whole cluster is gone.
    pub async fn vanish(&self) -> Outcome {
        self.be_gone(true).await
    }

    /// It was a mistake.
    pub async fn reappear(&self) -> Outcome {
        self.be_gone(false).await
    }

    async fn be_gone(&self, gone: bool) -> Outcome {
        let (path, change) = match (self.provider, gone) {
            (Provider::Scalingo, true) => ("database", json!({"gone": "addon"})),
            (Provider::Scalingo, false) => ("database", json!({"gone": "nothing"})),
            _ => ("cluster", json!({"gone": gone})),
        };
        self.admin("POST", path, Some(change)).await.map(drop)
    }

    /// Something becomes of the next request of a route, or of the next change by SQL.
    pub async fn strike(&self, route: &'static str, fate: Fate) -> Outcome<Struck<'_>> {
        let simulator = match &self.behind {
            Behind::Api(simulator) => simulator,
            Behind::Sql(wire) => {
                let (cut, pause) = match fate {
                    Fate::AnswerLost => (true, 0),
                    Fate::CommittedLate(pause) => (true, pause),
                    Fate::Slow => (false, 3000),
                };
                let pause = Duration::from_millis(pause);
                let waiting = commits::delay_next(&self.postgres, wire, cut, pause).await?;
                return Ok(Struck::Sql(waiting));
            }
        };
        let fault = match fate {
            Fate::AnswerLost => json!({"type": "drop", "when": "after-commit"}),
            Fate::CommittedLate(pause) => json!({"type": "late-commit", "afterMs": pause}),
            Fate::Slow => json!({"type": "latency", "beforeMs": 3000, "afterMs": 500}),
        };
        let before = simulator.requests(route).await?;
        let fault = json!({"route": route, "count": 1, "fault": fault});
        simulator.fault(fault).await?;
        Ok(Struck::Api {
            simulator,
            route,
            before,
        })
    }

    /// All open connections end, where it keeps any.
    pub fn cut(&self) {
        if let Behind::Sql(wire) = &self.behind {
            wire.cut();
        }
    }

    /// It cannot be reached any more. The database can, for those who ask it directly.
    pub fn stop(&self) {
        match &self.behind {
            Behind::Api(simulator) => simulator.stop(),
            Behind::Sql(wire) => wire.stop(),
        }
    }

    /// It can be reached again, where it was.
    pub async fn start_again(&self) -> Outcome {
        match &self.behind {
            Behind::Api(simulator) => simulator.start_again().await,
            Behind::Sql(wire) => wire.start_again().await,
        }
    }

    // ---------------------------------------------------------------------------------------- what it was asked

    /// How often it was asked for something; SQL, how often it was connected to.
    pub async fn attempts(&self) -> Outcome<usize> {
        match &self.behind {
            Behind::Api(simulator) => Ok(simulator.journal().await?.len()),
            Behind::Sql(wire) => Ok(wire.connections()),
        }
    }

    /// Checks how many requests of a route there were. SQL is not counted.
    pub async fn had(&self, route: &str, requests: u64) -> Outcome {
        if let Behind::Api(simulator) = &self.behind {
            assert_eq!(simulator.requests(route).await?, requests, "requests of {route}");
        }
        Ok(())
    }

    /// Checks, once all requests have ended, how many of a route were executed. SQL is not counted.
    pub async fn executed(&self, route: &str, requests: usize) -> Outcome {
        let Behind::Api(simulator) = &self.behind else {
            return Ok(());
        };
        let entries = eventually("the requests to have ended", PATIENCE, async || {
            let entries = simulator.journal().await?;
            match entries.iter().all(|entry| entry["done"] == true) {
                true => Ok(entries),
                false => Err("some are under way".into()),
            }
        })
        .await?;
        let executed = entries
            .iter()
            .filter(|entry| entry["route"] == route && entry["committed"] == true);
        assert_eq!(executed.count(), requests, "executions of {route}");
        Ok(())
    }

    /// Checks how many passwords a login was given by executed requests. SQL is not counted.
    pub async fn gave(&self, username: &str, passwords: usize) -> Outcome {
        if let Behind::Api(simulator) = &self.behind {
            let found = simulator.passwords_committed(username).await?;
            assert_eq!(found, passwords, "passwords of {username}");
        }
        Ok(())
    }
}
