//! The simulator's state.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    auth::{Credentials, Fingerprints},
    cli::Cli,
    clock,
    faults::Faults,
    history::History,
    ionos::ClusterState,
    journal::Journal,
    ratelimit::RateLimits,
    roles::{RoleError, Roles, create_role_sql},
    scalingo::{self, AcceptedTokens, DatabaseState, Issued},
    switches::{SwitchError, Switches},
    users::HashError,
};

/// What is decided when a request arrives, all under one lock.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// The journal.
    pub journal: Journal,
    /// The faults.
    pub faults: Faults,
    /// The rate limits.
    pub rate: RateLimits,
}

/// Everything that the simulator knows.
pub struct Sim {
    /// The command line.
    pub cli: Cli,
    /// The PostgreSQL behind it.
    pub roles: Roles,
    /// Fingerprints of secrets, for the journal.
    pub prints: Fingerprints,
    /// What JWTs are signed with.
    pub jwt_key: Vec<u8>,
    /// When this PostgreSQL was first used, in milliseconds since 1970: the cluster's creation.
    pub born_ms: i64,
    /// Held by a mutation while it runs: mutations within a cluster come one after another.
    pub gate: tokio::sync::Mutex<()>,
    start_switches: Switches,
    switches: RwLock<Switches>,
    credentials: RwLock<Credentials>,
    scalingo_tokens: RwLock<AcceptedTokens>,
    issued: Mutex<Issued>,
    database: Mutex<DatabaseState>,
    arrivals: Mutex<Arrivals>,
    cluster: Mutex<ClusterState>,
    history: Mutex<History>,
    next_due_ms: Mutex<Option<i64>>,
    lists: AtomicU64,
}

/// Why the simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A switch of the command line is wrong.
    #[error(transparent)]
    Switch(#[from] SwitchError),
    /// There is no randomness.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// The default user's password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// PostgreSQL cannot be used.
    #[error("cannot use the PostgreSQL of --postgres: {0}")]
    Postgres(#[from] RoleError),
}

impl Sim {
    /// Starts on what PostgreSQL holds.
    pub async fn start(cli: Cli) -> Result<Sim, StartError> {
        let start_switches = cli.switches()?;
        let roles = Roles::open(&cli.postgres).await?;
        let key = roles
            .setting(
                "fingerprint-key",
                "gen_random_uuid()::text || gen_random_uuid()::text",
            )
            .await?;
        let born = roles
            .setting("born-ms", "(extract(epoch FROM now()) * 1000)::bigint")
            .await?;
        for name in &cli.seed_sql_user {
            match roles.outside(&create_role_sql(name, None, false)).await {
                Ok(()) | Err(RoleError::Exists) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut jwt_key = vec![0; 32];
        getrandom::fill(&mut jwt_key)?;
        let sim = Sim {
            jwt_key,
            prints: Fingerprints::new(key),
            born_ms: born.parse().unwrap_or_else(|_| clock::real_ms()),
            gate: tokio::sync::Mutex::new(()),
            switches: RwLock::new(start_switches.clone()),
            start_switches,
            credentials: RwLock::new(start_credentials(&cli)),
            scalingo_tokens: RwLock::new(cli.scalingo.tokens()),
            issued: Mutex::default(),
            database: Mutex::new(DatabaseState::new(cli.hostname())),
            arrivals: Mutex::default(),
            cluster: Mutex::new(ClusterState::new(cli.dns_name.clone())),
            history: Mutex::default(),
            // What an earlier run put off is due at once.
            next_due_ms: Mutex::new(Some(0)),
            lists: AtomicU64::new(0),
            roles,
            cli,
        };
        if sim.cli.scalingo.seed_default_user {
            scalingo::seed_default_user(&sim).await?;
        }
        Ok(sim)
    }

    /// The switches as they are now.
    pub fn switches(&self) -> Switches {
        self.switches
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces the switches.
    pub fn set_switches(&self, switches: Switches) {
        *self.switches.write().unwrap_or_else(PoisonError::into_inner) = switches;
    }

    /// The credentials that are accepted now.
    pub fn credentials(&self) -> Credentials {
        self.credentials
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces the credentials that are accepted.
    pub fn set_credentials(&self, credentials: Credentials) {
        *self.credentials.write().unwrap_or_else(PoisonError::into_inner) = credentials;
    }

    /// The tokens of Scalingo that are accepted without having been issued.
    pub fn scalingo_tokens(&self) -> AcceptedTokens {
        self.scalingo_tokens
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces them.
    pub fn set_scalingo_tokens(&self, tokens: AcceptedTokens) {
        *self
            .scalingo_tokens
            .write()
            .unwrap_or_else(PoisonError::into_inner) = tokens;
    }

    /// The tokens that were issued.
    pub fn issued(&self) -> MutexGuard<'_, Issued> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of Scalingo's database.
    pub fn database(&self) -> MutexGuard<'_, DatabaseState> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Journal, faults and rate limits.
    pub fn arrivals(&self) -> MutexGuard<'_, Arrivals> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of the cluster of IONOS.
    pub fn cluster(&self) -> MutexGuard<'_, ClusterState> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The recent changes, for reads that lag.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next change that was put off is due.
    pub fn next_due_ms(&self) -> Option<i64> {
        *self.next_due()
    }

    /// Says when the next change that was put off is due.
    pub fn set_next_due_ms(&self, due_ms: Option<i64>) {
        *self.next_due() = due_ms;
    }

    /// A change was put off until then, if to any time.
    pub fn put_off(&self, due_ms: Option<i64>) {
        let mut next = self.next_due();
        *next = match (*next, due_ms) {
            (Some(next), Some(due)) => Some(next.min(due)),
            (next, due) => next.or(due),
        };
    }

    fn next_due(&self) -> MutexGuard<'_, Option<i64>> {
        self.next_due_ms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of this list request, for lists in an unstable order.
    pub fn next_list(&self) -> u64 {
        self.lists.fetch_add(1, Ordering::Relaxed)
    }

    /// The names of the system users.
    pub fn system_names(&self, switches: &Switches) -> BTreeSet<String> {
        if !self.cli.seed_system {
            return BTreeSet::new();
        }
        let names = switches.get(&crate::switches::RESERVED_NAMES).split(',');
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// Puts everything but the users back to how it was at the start.
    pub fn reset(&self) {
        self.set_switches(self.start_switches.clone());
        self.set_credentials(start_credentials(&self.cli));
        self.set_scalingo_tokens(self.cli.scalingo.tokens());
        self.issued().revoke(|_| true);
        *self.database() = DatabaseState::new(self.cli.hostname());
        let mut arrivals = self.arrivals();
        arrivals.journal.clear();
        arrivals.faults.clear();
        arrivals.rate.clear();
        drop(arrivals);
        *self.cluster() = ClusterState::new(self.cli.dns_name.clone());
        *self.history() = History::default();
        self.set_next_due_ms(Some(0));
    }
}

fn start_credentials(cli: &Cli) -> Credentials {
    Credentials {
        tokens: cli.token.clone(),
        basic: cli.basic.clone(),
    }
}
