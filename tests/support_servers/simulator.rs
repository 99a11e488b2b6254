//! The vendors' APIs, simulated on the test's PostgreSQL. Its admin API is described in simulator/README.md.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use serde_json::{Value, json};

use super::{Outcome, Postgres, Process};

const START_TIMEOUT: Duration = Duration::from_secs(20);

/// The token that every simulator accepts at first.
pub const TOKEN: &str = "canary-token-6f1d2c";

/// The app and the addon that it simulates.
pub const APP: &str = "my-app";
pub const ADDON_ID: &str = "ad-9be0fc04-bee6-4981-a403-a9ddbee7bd1f";

/// The id of the cluster that it simulates.
pub const CLUSTER_ID: &str = "498ae72f-411f-11eb-9d07-046c59cc737e";

/// A running simulator.
pub struct Simulator {
    process: Mutex<Option<Process>>,
    arguments: Vec<String>,
    address: SocketAddr,
    log: PathBuf,
    http: reqwest::Client,
}

impl Simulator {
    /// Starts one with switches (`duplicate=409`).
    pub async fn start(dir: &Path, postgres: &Postgres, switches: &[&str]) -> Outcome<Simulator> {
        let mut arguments: Vec<String> = [
            "--token",
            TOKEN,
            "--cluster-id",
            CLUSTER_ID,
            "--dns-name",
            "localhost",
            "--scalingo-api-token",
            TOKEN,
            "--scalingo-app",
            APP,
            "--scalingo-addon-id",
            ADDON_ID,
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.extend(["--postgres".to_owned(), postgres.superuser_dsn()]);
        for switch in switches {
            arguments.extend(["--switch".to_owned(), (*switch).to_owned()]);
        }
        let log = dir.join("simulator.log");
        let (process, address) = run(&arguments, "127.0.0.1:0", &log).await?;
        Ok(Simulator {
            process: Mutex::new(Some(process)),
            arguments,
            address,
            log,
            http: reqwest::Client::builder().no_proxy().build()?,
        })
    }

    /// The address of the API of IONOS, as a server's `endpoint`.
    pub fn endpoint(&self) -> String {
        format!("{}/databases/postgresql", self.base())
    }

    /// The address of Scalingo's APIs, as each of a server's `endpoints`.
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, as a vendor's outage does.
    pub fn stop(&self) {
        *self.process.lock().unwrap() = None;
    }

    /// Starts it again on the same port. What it held in memory (metadata, the journal, faults) begins anew.
    pub async fn start_again(&self) -> Outcome {
        self.stop();
        let _ = std::fs::rename(&self.log, self.log.with_extension("previous.log"));
        let (process, _) = run(&self.arguments, &self.address.to_string(), &self.log).await?;
        *self.process.lock().unwrap() = Some(process);
        Ok(())
    }

    /// Sets switches: `{"busy-ms": 500}`.
    pub async fn switches(&self, values: Value) -> Outcome {
        self.admin("PUT", "switches", Some(values)).await.map(drop)
    }

    /// Orders a fault, as in `{"route": "users.create", "count": 1, "fault": {"type": "drop", "when":
    /// "after-commit"}}`.
    pub async fn fault(&self, fault: Value) -> Outcome {
        self.admin("POST", "faults", Some(fault)).await.map(drop)
    }

    /// Ends all faults.
    pub async fn no_faults(&self) -> Outcome {
        self.admin("DELETE", "faults", None).await.map(drop)
    }

    /// Every request so far, in order of arrival.
    pub async fn journal(&self) -> Outcome<Vec<Value>> {
        let journal = self.admin("GET", "journal", None).await?;
        Ok(journal["entries"].as_array().cloned().unwrap_or_default())
    }

    /// Totals by route: `{"users.list": {"requests": 3, "committed": 0, "byStatus": {"200": 3}}}`.
    pub async fn counts(&self) -> Outcome<Value> {
        self.admin("GET", "counts", None).await
    }

    /// How many requests a route has had.
    pub async fn requests(&self, route: &str) -> Outcome<u64> {
        Ok(self.counts().await?[route]["requests"].as_u64().unwrap_or(0))
    }

    /// How many different passwords a user was given by requests of the API that were executed.
    pub async fn passwords_committed(&self, username: &str) -> Outcome<usize> {
        let journal = self.journal().await?;
        let ours = journal
            .iter()
            .filter(|entry| entry["username"] == username && entry["committed"] == true);
        let hashes = ours.filter_map(|entry| entry["passwordHash"].as_str());
        Ok(hashes.collect::<std::collections::BTreeSet<_>>().len())
    }

    /// What somebody else does: `{"action": "delete", "username": "benjamin", "via": "sql"}`.
    pub async fn outside(&self, action: Value) -> Outcome {
        self.admin("POST", "outside", Some(action)).await.map(drop)
    }

    /// Its users, with what no API tells.
    pub async fn users(&self) -> Outcome<Value> {
        self.admin("GET", "users", None).await
    }

    /// Replaces the tokens that are accepted.
    pub async fn tokens(&self, tokens: &[&str]) -> Outcome {
        self.admin("POST", "tokens", Some(json!({"tokens": tokens})))
            .await
            .map(drop)
    }

    /// Changes the cluster: `{"state": "DESTROYING"}`, `{"gone": true}`.
    pub async fn cluster(&self, change: Value) -> Outcome {
        self.admin("POST", "cluster", Some(change)).await.map(drop)
    }

    /// A request to the admin API.
    pub async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Outcome<Value> {
        let url = format!("http://{}/_sim/{path}", self.address);
        self.request(method, &url, None, body).await
    }

    /// A request to the API below a cluster, as its client with the token: `("GET", "users?limit=10", None)`.
    pub async fn api(&self, method: &str, path: &str, body: Option<Value>) -> Outcome<Value> {
        let url = format!("{}/clusters/{CLUSTER_ID}/{path}", self.endpoint());
        self.request(method, &url, Some(TOKEN), body).await
    }

    async fn request(
        &self,
        method: &str,
        url: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Outcome<Value> {
        let mut request = self.http.request(method.parse()?, url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            return Err(format!("{method} {url}: {status} {text}").into());
        }
        Ok(if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text)?
        })
    }
}

/// The program: beside the operator's, where cargo puts both.
fn program() -> Outcome<PathBuf> {
    let path = Path::new(env!("CARGO_BIN_EXE_pguser-operator")).with_file_name("pguser-simulator");
    if !path.exists() {
        return Err(format!(
            "{} is missing: cargo build --package pguser-simulator",
            path.display()
        )
        .into());
    }
    Ok(path)
}

async fn run(arguments: &[String], listen: &str, log: &Path) -> Outcome<(Process, SocketAddr)> {
    let mut command = Process::command(program()?);
    command.args(["--listen", listen]).args(arguments);
    let mut process = Process::spawn("the simulator", command, log)?;
    let address = process.line("listening on http://", START_TIMEOUT).await?;
    Ok((process, address.trim().parse()?))
}
