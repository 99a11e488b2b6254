//! A subject on a stage: clients of it, orders, trouble, and what is asked of the PostgreSQL behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use pguser_operator::clock;
use pguser_operator::domain::endpoint::AllowList;
use pguser_operator::domain::identity::Mark;
use pguser_operator::domain::password::Password;
use pguser_operator::domain::remote::SslMode;
use pguser_operator::domain::role::RoleSettings;
use pguser_operator::provider::gate::Gate;
use pguser_operator::provider::http::HttpSettings;
use pguser_operator::provider::postgresql::{PostgresqlConfig, SqlSettings};
use pguser_operator::provider::tls::Trust;
use pguser_operator::provider::{
    AnyProvider, ErrorClass, Listing, Mutation, Provider, RemoteError, RemoteUser, ionos, postgresql,
    scalingo,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::proxy::{Proxy, Then};
use crate::servers::{ADDON_ID, APP, CLUSTER_ID, Outcome, TOKEN};
use crate::stage::Stage;
use crate::subject::{Admin, Op, Shape, Subject, When};

/// In every password, so that it can be looked for.
pub const SECRET: &str = "pLaInTeXt";
/// Of the operator's own login.
pub const ADMIN_PASSWORD: &str = "pLaInTeXt-of-the-administrator";
pub const INSTALLATION: &str = "4e0c7a3e-0000-4000-8000-000000000001";
pub const OWNER: &str = "8b1f51d2-0000-4000-8000-000000000002";
pub const STRANGER: &str = "8b1f51d2-0000-4000-8000-000000000003";

/// A password that every provider takes.
pub fn password(which: u32) -> String {
    format!("{SECRET}-{which}-of-twenty-four-and-more")
}

pub fn mark(uid: &str) -> Mark {
    Mark {
        installation: INSTALLATION.to_string(),
        uid: uid.to_string(),
    }
}

/// The mark as a role's comment has it.
pub fn mark_text(mark: &Mark) -> String {
    format!(
        "managed by pguser-operator: installation={} object={}",
        mark.installation, mark.uid
    )
}

/// A name as SQL has it.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// An order, with all that it borrows.
#[derive(Debug, Clone)]
pub struct Job {
    pub username: String,
    pub owner: String,
    pub settings: RoleSettings,
    pub adopt: bool,
    pub former: Option<Mark>,
}

pub fn job(username: &str) -> Job {
    Job {
        username: username.to_string(),
        owner: OWNER.to_string(),
        settings: RoleSettings::default(),
        adopt: false,
        former: None,
    }
}

impl Job {
    pub fn mutation(&self) -> Mutation<'_> {
        Mutation {
            username: &self.username,
            owner: &self.owner,
            settings: &self.settings,
            adopt: self.adopt,
            former: self.former.as_ref(),
        }
    }

    pub fn adopting(self) -> Self {
        Self { adopt: true, ..self }
    }
}

/// How a client is made.
#[derive(Debug, Clone)]
pub struct How {
    pub timeout: Duration,
    /// The token, or the administrator's password; none: the right one.
    pub secret: Option<String>,
    /// Whom it may dial.
    pub allow: &'static [&'static str],
    /// Where it dials instead of the subject itself: a URL's beginning, or a host's port.
    pub instead: Option<Instead>,
    pub page_size: u32,
}

/// Another place to dial.
#[derive(Debug, Clone, Copy)]
pub enum Instead {
    /// In the clear.
    Port(u16),
    /// Over TLS.
    Tls(u16),
}

impl Default for How {
    fn default() -> Self {
        Self {
            timeout: PATIENT,
            secret: None,
            allow: &["localhost:*", "127.0.0.1:*"],
            instead: None,
            page_size: 1000,
        }
    }
}

/// How long a client waits that is not to wait for long.
pub const SHORT: Duration = Duration::from_millis(1000);

/// The timeout of a client whose calls are to be answered or cut, however busy the machine is.
pub const PATIENT: Duration = Duration::from_secs(60);

pub struct Case {
    pub subject: Subject,
    pub stage: Stage,
    proxy: OnceCell<Proxy>,
}

impl Case {
    pub async fn new(subject: Subject, stage: Stage) -> Outcome<Self> {
        match subject {
            Subject::Ionos => {}
            Subject::Scalingo(shape) => {
                let shape = match shape {
                    Shape::Rooted => "rooted",
                    Shape::Unrooted => "unrooted",
                };
                let switches = json!({"scalingo-shape": shape, "scalingo-patch-answer": shape});
                stage.simulator.switches(switches).await?;
            }
            Subject::Postgresql(admin) => {
                let rights = match admin {
                    Admin::Superuser => "SUPERUSER",
                    Admin::Createrole => "CREATEROLE",
                };
                let sql = format!("CREATE ROLE admin_of_ours {rights} LOGIN PASSWORD '{ADMIN_PASSWORD}'");
                stage.postgres.sql(&sql).await?;
            }
        }
        Ok(Self {
            subject,
            stage,
            proxy: OnceCell::new(),
        })
    }

    // ------------------------------------------------------------------------------------------ clients

    /// A client as the operator makes it.
    pub fn desk(&self) -> Desk {
        self.desk_with(&How::default())
    }

    pub fn desk_with(&self, how: &How) -> Desk {
        self.try_desk(how).unwrap()
    }

    /// A client through whatever makes trouble.
    pub async fn troubled(&self, timeout: Duration) -> Desk {
        let instead = match self.subject.is_sql() {
            true => Some(Instead::Port(self.proxy().await.port)),
            false => None,
        };
        self.desk_with(&How {
            timeout,
            instead,
            ..How::default()
        })
    }

    pub fn try_desk(&self, how: &How) -> Result<Desk, RemoteError> {
        let gate = Gate::closed();
        gate.open_until(clock::now() + Duration::from_secs(3600));
        let provider = self.provider(how, gate.clone()).inspect_err(|error| {
            met(self.subject, error);
        })?;
        Ok(Desk {
            subject: self.subject,
            provider: Arc::new(provider),
            gate,
        })
    }

    fn trust(&self) -> Trust {
        let ca = std::fs::read(self.stage.postgres.ca_file()).unwrap();
        Trust::only(&ca).unwrap()
    }

    fn provider(&self, how: &How, gate: Gate) -> Result<AnyProvider, RemoteError> {
        let allow = Arc::new(AllowList::parse(how.allow.iter().copied()).unwrap());
        let http = HttpSettings {
            allow_http: true,
            connect_timeout: how.timeout / 2,
            request_timeout: how.timeout,
            ..HttpSettings::new(Arc::clone(&allow), self.trust())
        };
        let base = match how.instead {
            None => self.stage.simulator.base(),
            Some(Instead::Port(port)) => format!("http://127.0.0.1:{port}"),
            Some(Instead::Tls(port)) => format!("https://localhost:{port}"),
        };
        match self.subject {
            Subject::Ionos => {
                let token = Password::new(how.secret.as_deref().unwrap_or(TOKEN));
                let config = ionos::IonosConfig {
                    endpoint: format!("{base}/databases/postgresql"),
                    page_size: how.page_size,
                    ..ionos::IonosConfig::new(CLUSTER_ID, ionos::Credentials::Bearer(token))
                };
                ionos::Ionos::new(config, &http, gate).map(AnyProvider::Ionos)
            }
            Subject::Scalingo(_) => {
                let token = Password::new(how.secret.as_deref().unwrap_or(TOKEN));
                let config = scalingo::ScalingoConfig {
                    app: Some(APP.to_string()),
                    addon_id: ADDON_ID.to_string(),
                    auth_endpoint: base.clone(),
                    api_endpoint: base.clone(),
                    database_endpoint: base,
                    credentials: scalingo::Credentials::ApiToken(token),
                };
                scalingo::Scalingo::new(config, &http, gate).map(AnyProvider::Scalingo)
            }
            Subject::Postgresql(_) => {
                let settings = SqlSettings {
                    connect_timeout: how.timeout / 2,
                    request_timeout: how.timeout,
                    ..SqlSettings::new(allow, self.trust())
                };
                let config = self.sql_config(how);
                postgresql::Postgresql::new(config, &settings, gate).map(AnyProvider::Postgresql)
            }
        }
    }

    fn sql_config(&self, how: &How) -> PostgresqlConfig {
        let (host, port, sslmode) = match how.instead {
            None => ("localhost", self.stage.postgres.port(), SslMode::VerifyFull),
            Some(Instead::Port(port)) => ("127.0.0.1", port, SslMode::Disable),
            Some(Instead::Tls(port)) => ("localhost", port, SslMode::VerifyFull),
        };
        PostgresqlConfig {
            host: host.to_string(),
            port,
            hosts: Vec::new(),
            database: "postgres".to_string(),
            sslmode,
            ca: None,
            username: "admin_of_ours".to_string(),
            password: Password::new(how.secret.as_deref().unwrap_or(ADMIN_PASSWORD)),
            installation: INSTALLATION.to_string(),
            allow_insecure: sslmode == SslMode::Disable,
            send_plaintext_passwords: false,
        }
    }

    // ------------------------------------------------------------------------------------------ trouble

    pub async fn proxy(&self) -> &Proxy {
        let port = self.stage.postgres.port();
        self.proxy.get_or_init(|| Proxy::start(port)).await
    }

    /// The route of a call in the simulator.
    pub fn route(&self, op: Op) -> &'static str {
        match (op, self.subject) {
            (Op::Create, _) => "users.create",
            (Op::Set, _) => "users.patch",
            (Op::Delete, _) => "users.delete",
            (Op::Get, Subject::Ionos) => "users.get",
            (Op::List | Op::Get, _) => "users.list",
        }
    }

    /// From now on these calls meet a fault of the simulator.
    pub async fn fault(&self, op: Op, fault: Value) {
        let fault = json!({"route": self.route(op), "fault": fault});
        self.stage.simulator.fault(fault).await.unwrap();
    }

    pub async fn switch(&self, switches: Value) {
        self.stage.simulator.switches(switches).await.unwrap();
    }

    /// From now on the connection is lost on the way of these calls.
    pub async fn lose(&self, op: Op, when: When) {
        if self.subject.is_api() {
            let when = match when {
                When::Before => "before-commit",
                When::After => "after-commit",
            };
            return self.fault(op, json!({"type": "drop", "when": when})).await;
        }
        let proxy = self.proxy().await;
        match (when, op) {
            (When::After, _) => proxy.when("COMMIT\0", Then::HandOnAndCut),
            (When::Before, Op::Create) => proxy.when("CREATE ROLE", Then::HandOnAndCut),
            (When::Before, _) => proxy.when("ALTER ROLE", Then::HandOnAndCut),
        }
    }

    /// From now on these calls are answered only when nobody waits any more, and executed or not.
    pub async fn stall(&self, op: Op, when: When) {
        const LONG: u64 = 1500;
        if self.subject.is_api() {
            let fault = match when {
                When::Before => json!({"type": "latency", "beforeMs": LONG}),
                When::After => json!({"type": "latency", "afterMs": LONG}),
            };
            return self.fault(op, fault).await;
        }
        let text = match op {
            Op::Create | Op::Set | Op::Delete => "COMMIT\0",
            Op::List | Op::Get => "pg_shdescription",
        };
        let then = match when {
            When::Before => Then::Stall,
            When::After => Then::HandOnAndStall,
        };
        self.proxy().await.when(text, then);
    }

    /// No trouble any more.
    pub async fn calm(&self) {
        self.stage.simulator.no_faults().await.unwrap();
        if let Some(proxy) = self.proxy.get() {
            proxy.harmless();
        }
    }

    // ------------------------------------------------------------------------------------------ what is so

    /// Does something by SQL, as the superuser.
    pub async fn sql(&self, sql: &str) -> Vec<Vec<String>> {
        let result = self.stage.postgres.sql(sql).await;
        result.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// A login that somebody makes by SQL.
    pub async fn by_hand(&self, name: &str, password: &str) {
        let password = password.replace('\'', "''");
        self.sql(&format!(
            "CREATE ROLE {} LOGIN PASSWORD '{password}'",
            ident(name)
        ))
        .await;
    }

    /// Gives the operator's login what it needs to take this role over, where that needs anything.
    pub async fn may_administer(&self, name: &str) {
        if self.subject == Subject::Postgresql(Admin::Createrole) && self.version().await >= 160_000 {
            let sql = format!("GRANT {} TO admin_of_ours WITH ADMIN OPTION", ident(name));
            self.sql(&sql).await;
        }
    }

    pub async fn version(&self) -> u32 {
        self.sql("SHOW server_version_num").await[0][0].parse().unwrap()
    }

    pub async fn exists(&self, name: &str) -> bool {
        let name = name.replace('\'', "''");
        let sql = format!(
            "SELECT 1 FROM pg_roles WHERE rolname = E'{}'",
            name.replace('\\', "\\\\")
        );
        !self.sql(&sql).await.is_empty()
    }

    /// The question: does this password log in?
    pub async fn logs_in(&self, name: &str, password: &str) -> bool {
        match self.stage.postgres.accepts(name, password).await {
            Ok(accepted) => accepted,
            Err(error) if error.to_string().contains("is not permitted to log in") => false,
            Err(error) => panic!("{name}: {error}"),
        }
    }

    /// This password logs in, and the others do not.
    pub async fn only(&self, name: &str, right: u32, wrong: &[u32]) {
        assert!(self.logs_in(name, &password(right)).await, "{name}: {right}");
        for other in wrong {
            assert!(!self.logs_in(name, &password(*other)).await, "{name}: {other}");
        }
    }

    /// How many requests of a call have arrived.
    pub async fn requests(&self, op: Op) -> u64 {
        self.stage.simulator.requests(self.route(op)).await.unwrap()
    }
}

// ---------------------------------------------------------------------------------------------- calls

/// A client, and its gate, which is open.
#[derive(Clone)]
pub struct Desk {
    pub subject: Subject,
    pub provider: Arc<AnyProvider>,
    pub gate: Gate,
}

impl Desk {
    pub async fn create(&self, job: &Job, which: u32) -> Result<Option<RemoteUser>, RemoteError> {
        self.create_with(job, &password(which)).await
    }

    pub async fn create_with(&self, job: &Job, password: &str) -> Result<Option<RemoteUser>, RemoteError> {
        let password = Password::new(password);
        let answer = self.provider.create(&job.mutation(), &password).await;
        self.heard(answer).map(|answer| answer.value)
    }

    pub async fn set(&self, job: &Job, which: u32) -> Result<Option<RemoteUser>, RemoteError> {
        self.set_with(job, &password(which)).await
    }

    pub async fn set_with(&self, job: &Job, password: &str) -> Result<Option<RemoteUser>, RemoteError> {
        let password = Password::new(password);
        let answer = self.provider.set_password(&job.mutation(), &password).await;
        self.heard(answer).map(|answer| answer.value)
    }

    pub async fn configure(&self, job: &Job) -> Result<Option<RemoteUser>, RemoteError> {
        self.heard(self.provider.configure(&job.mutation()).await)
            .map(|answer| answer.value)
    }

    pub async fn delete(&self, job: &Job) -> Result<(), RemoteError> {
        self.heard(self.provider.delete(&job.mutation()).await)
            .map(|answer| answer.value)
    }

    pub async fn try_list(&self) -> Result<Listing, RemoteError> {
        self.heard(self.provider.list().await).map(|answer| answer.value)
    }

    pub async fn try_get(&self, name: &str) -> Result<Option<RemoteUser>, RemoteError> {
        self.heard(self.provider.get(name).await)
            .map(|answer| answer.value)
    }

    pub async fn list(&self) -> Listing {
        self.try_list().await.unwrap()
    }

    pub async fn get(&self, name: &str) -> Option<RemoteUser> {
        self.try_get(name).await.unwrap()
    }

    /// A mutation, whichever; a create and a change with this password.
    pub async fn mutate(&self, op: Op, job: &Job, which: u32) -> Result<(), RemoteError> {
        match op {
            Op::Create => self.create(job, which).await.map(drop),
            Op::Set => self.set(job, which).await.map(drop),
            Op::Delete => self.delete(job).await,
            Op::List | Op::Get => panic!("no mutation"),
        }
    }

    /// Nothing that is said of an answer gives a secret away.
    fn heard<T: Debug>(&self, answer: Result<T, RemoteError>) -> Result<T, RemoteError> {
        let text = match &answer {
            Ok(answer) => format!("{answer:?} {:?}", self.provider),
            Err(error) => {
                met(self.subject, error);
                format!("{error} {error:?} {:?}", self.provider)
            }
        };
        for secret in [SECRET, TOKEN] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        answer
    }
}

#[track_caller]
pub fn assert_class<T: Debug>(result: Result<T, RemoteError>, class: &ErrorClass) -> RemoteError {
    assert_classes(result, std::slice::from_ref(class))
}

#[track_caller]
pub fn assert_classes<T: Debug>(result: Result<T, RemoteError>, classes: &[ErrorClass]) -> RemoteError {
    let error = result.unwrap_err();
    assert!(classes.contains(&error.class), "{error}, not {classes:?}");
    error
}

// ---------------------------------------------------------------------------------------------- classes met

/// Every class there is.
const CLASSES: [&str; 10] = [
    "not_found",
    "conflict",
    "invalid",
    "busy",
    "unauthorised",
    "rate_limited",
    "unreachable",
    "unknown",
    "endpoint_not_allowed",
    "gate_closed",
];

type Met = BTreeMap<Subject, BTreeSet<&'static str>>;

static MET: LazyLock<Mutex<Met>> = LazyLock::new(Mutex::default);

fn met(subject: Subject, error: &RemoteError) {
    let label = error.class.label();
    assert!(CLASSES.contains(&label), "{label} is new");
    MET.lock().unwrap().entry(subject).or_default().insert(label);
}

/// Whether every class of errors was met with every subject that knows it. Says which was not.
pub fn every_class_was_met() -> bool {
    let met = MET.lock().unwrap();
    let mut all = true;
    for subject in Subject::ALL {
        let seen = met.get(&subject).cloned().unwrap_or_default();
        for class in CLASSES {
            let known = !subject.never().contains(&class);
            if known != seen.contains(class) {
                all = false;
                eprintln!(
                    "{}: {class} {}",
                    subject.name(),
                    if known { "was never met" } else { "was met" }
                );
            }
        }
    }
    all
}
