//! What the tests share: one server, its two administrators, and orders.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pguser_operator::clock;
use pguser_operator::domain::endpoint::AllowList;
use pguser_operator::domain::identity::Mark;
use pguser_operator::domain::password::Password;
use pguser_operator::domain::remote::SslMode;
use pguser_operator::domain::role::{FoundRole, RoleSettings};
use pguser_operator::provider::gate::Gate;
use pguser_operator::provider::login::{LoginResult, LoginSettings, LoginTarget, verify};
use pguser_operator::provider::postgresql::{Postgresql, PostgresqlConfig, SqlSettings};
use pguser_operator::provider::tls::Trust;
use pguser_operator::provider::{ErrorClass, Mutation, Provider, RemoteError, RemoteUser};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_postgres::NoTls;

use crate::postgres::Postgres;

pub type Handle = Arc<Mutex<Option<Arc<World>>>>;

/// Lists tests: async functions that take the world.
macro_rules! tests {
    ($($name:ident,)*) => {
        pub fn trials(world: &crate::support::Handle) -> Vec<libtest_mimic::Trial> {
            let module = module_path!().rsplit("::").next().unwrap();
            vec![$({
                let world = std::sync::Arc::clone(world);
                libtest_mimic::Trial::test(format!("{module}::{}", stringify!($name)), move || {
                    let world = std::sync::Arc::clone(world.lock().unwrap().as_ref().unwrap());
                    tokio::runtime::Runtime::new().unwrap().block_on($name(&world));
                    Ok(())
                })
            }),*]
        }
    };
}
pub(crate) use tests;

/// In every password, so that it can be looked for.
pub const SECRET: &str = "pLaInTeXt";
/// Of both administrators.
pub const ADMIN_PASSWORD: &str = "pLaInTeXt-of-the-administrator";
pub const ADMINS: [&str; 2] = ["boss", "clerk"];
pub const INSTALLATION: &str = "4e0c7a3e-0000-4000-8000-000000000001";
pub const OWNER: &str = "8b1f51d2-0000-4000-8000-000000000002";

/// An authority, and a server's certificate for `localhost` from it.
pub struct Pki {
    pub ca: String,
    pub certificate: String,
    pub key: String,
}

pub fn pki(name: &str) -> Pki {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_string()]).unwrap();
    let certificate = params.signed_by(&key, &ca).unwrap();
    Pki {
        ca: ca.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

const HBA: &str = "\
host all md5   127.0.0.1/32 md5
host all clear 127.0.0.1/32 password
host all all   127.0.0.1/32 scram-sha-256
local replication all trust
";

pub struct World {
    pub server: Postgres,
    pub pki: Pki,
    /// 140000 and more.
    pub version: i32,
}

impl World {
    pub fn start() -> Self {
        let pki = pki("Test CA");
        let sql = format!(
            "SET password_encryption = 'scram-sha-256'; \
             CREATE ROLE boss SUPERUSER LOGIN PASSWORD '{ADMIN_PASSWORD}'; \
             CREATE ROLE clerk CREATEROLE LOGIN PASSWORD '{ADMIN_PASSWORD}'; \
             CREATE ROLE clear SUPERUSER LOGIN PASSWORD '{ADMIN_PASSWORD}'; \
             SET password_encryption = 'md5'; \
             CREATE ROLE md5 SUPERUSER LOGIN PASSWORD '{ADMIN_PASSWORD}'"
        );
        let server = Postgres::start(&pki.certificate, &pki.key, HBA, &sql);
        // From here on, and not for who makes roles for the tests: it would show their passwords.
        server.sql("ALTER ROLE postgres SET log_statement = 'none'");
        server.sql("ALTER SYSTEM SET log_statement = 'all'");
        server.sql("SELECT pg_reload_conf()");
        let version = server.rows("SHOW server_version_num")[0][0].clone().unwrap();
        Self {
            server,
            pki,
            version: version.parse().unwrap(),
        }
    }

    /// Whether who may administer a role is a matter of ADMIN OPTION.
    pub fn has_admin_option(&self) -> bool {
        self.version >= 160_000
    }

    pub fn config(&self, admin: &str) -> PostgresqlConfig {
        PostgresqlConfig {
            host: "localhost".to_string(),
            port: self.server.port,
            hosts: Vec::new(),
            database: "postgres".to_string(),
            sslmode: SslMode::VerifyFull,
            ca: Some(self.pki.ca.clone().into_bytes()),
            username: admin.to_string(),
            password: Password::new(ADMIN_PASSWORD),
            installation: INSTALLATION.to_string(),
            allow_insecure: false,
            send_plaintext_passwords: false,
        }
    }

    pub fn client(&self, admin: &str) -> Client {
        Client::new(self.config(admin), Duration::from_secs(30))
    }

    /// Whether a password logs in, asked of the server as the operator asks.
    pub async fn login(&self, username: &str, password: &str) -> LoginResult {
        let settings = LoginSettings {
            allow: allow(),
            trust: Trust::load(&[self.pki.ca.clone().into_bytes()]).unwrap(),
            timeout: Duration::from_secs(10),
        };
        let target = LoginTarget {
            host: "localhost".to_string(),
            port: self.server.port,
            database: "postgres".to_string(),
            username: username.to_string(),
            password: Password::new(password),
        };
        verify(&target, &settings).await
    }

    pub async fn logs_in(&self, username: &str, password: &str) -> bool {
        match self.login(username, password).await {
            LoginResult::Accepted => true,
            LoginResult::Refused => false,
            LoginResult::Unverifiable { reason } if reason.contains("28000") => false,
            other => panic!("{other:?}"),
        }
    }

    /// A connection of somebody's own.
    pub async fn session(&self, username: &str, password: &str, database: &str) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::Config::new()
            .host("127.0.0.1")
            .port(self.server.port)
            .user(username)
            .password(password)
            .dbname(database)
            .connect(NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        client
    }

    pub async fn superuser(&self) -> tokio_postgres::Client {
        self.session("boss", ADMIN_PASSWORD, "postgres").await
    }

    /// One value.
    pub fn value(&self, sql: &str) -> Option<String> {
        self.server.rows(sql).pop()?.pop()?
    }

    pub fn exists(&self, role: &str) -> bool {
        let role = role.replace('\'', "''");
        self.value(&format!("SELECT count(*) FROM pg_roles WHERE rolname = '{role}'"))
            .unwrap()
            == "1"
    }

    pub fn comment(&self, role: &str) -> Option<String> {
        self.value(&format!(
            "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = '{role}'"
        ))
    }
}

pub fn allow() -> Arc<AllowList> {
    Arc::new(AllowList::parse(["localhost:*", "127.0.0.1:*"]).unwrap())
}

pub fn settings(timeout: Duration) -> SqlSettings {
    SqlSettings {
        request_timeout: timeout,
        // Nobody, unless a test says whom.
        ..SqlSettings::new(allow(), Trust::only(pki("Nobody").ca.as_bytes()).unwrap())
    }
}

/// A provider, and its gate, which is open.
pub struct Client {
    pub provider: Arc<Postgresql>,
    pub gate: Gate,
}

impl Client {
    pub fn new(config: PostgresqlConfig, timeout: Duration) -> Self {
        let gate = Gate::closed();
        gate.open_until(clock::now() + Duration::from_secs(3600));
        let provider = Postgresql::new(config, &settings(timeout), gate.clone()).unwrap();
        let provider = Arc::new(provider);
        Self { provider, gate }
    }

    pub async fn create(&self, job: &Job, password: &str) -> Result<RemoteUser, RemoteError> {
        let answer = self
            .provider
            .create(&job.mutation(), &Password::new(password))
            .await?;
        Ok(answer.value.unwrap())
    }

    pub async fn set(&self, job: &Job, password: &str) -> Result<RemoteUser, RemoteError> {
        let answer = self
            .provider
            .set_password(&job.mutation(), &Password::new(password))
            .await?;
        Ok(answer.value.unwrap())
    }

    pub async fn configure(&self, job: &Job) -> Result<RemoteUser, RemoteError> {
        Ok(self.provider.configure(&job.mutation()).await?.value.unwrap())
    }

    pub async fn delete(&self, job: &Job) -> Result<(), RemoteError> {
        self.provider
            .delete(&job.mutation())
            .await
            .map(|answer| answer.value)
    }

    pub async fn get(&self, name: &str) -> Option<RemoteUser> {
        self.provider.get(name).await.unwrap().value
    }
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

pub fn mark(installation: &str, uid: &str) -> Mark {
    Mark {
        installation: installation.to_string(),
        uid: uid.to_string(),
    }
}

pub fn ours() -> Mark {
    mark(INSTALLATION, OWNER)
}

pub fn mark_text(mark: &Mark) -> String {
    format!(
        "managed by pguser-operator: installation={} object={}",
        mark.installation, mark.uid
    )
}

pub fn role(user: &RemoteUser) -> &FoundRole {
    user.traits.role.as_ref().unwrap()
}

#[track_caller]
pub fn assert_class<T: std::fmt::Debug>(result: Result<T, RemoteError>, class: ErrorClass) -> RemoteError {
    let error = result.unwrap_err();
    assert_eq!(error.class, class, "{error}");
    assert!(!error.to_string().contains(SECRET), "{error}");
    error
}

#[track_caller]
pub fn assert_says(error: &RemoteError, part: &str) {
    assert!(error.detail.contains(part), "{part:?} in {error}");
}
