//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{ArgAction, Args, Parser, Subcommand};

use crate::api::crd;
use crate::controller::context::Options;
use crate::controller::server::task::RetryPolicy;
use crate::domain::endpoint::AllowList;
use crate::domain::mac::hex;
use crate::domain::timings::{ProtocolTimings, Rules};
use crate::objects::Selector;
use crate::provider::MOST_USERS;
use crate::provider::http::HttpSettings;
use crate::provider::login::LoginSettings;
use crate::provider::memory::Memory;
use crate::provider::postgresql::SqlSettings;
use crate::provider::tls::Trust;
use crate::runtime::leader::LeaseSettings;
use crate::runtime::memory;
use crate::runtime::operator::{self, Setup};
use crate::runtime::telemetry::{self, LogFormat};

/// Gives every application its own PostgreSQL login.
#[derive(Debug, Parser)]
#[command(name = "pguser-operator", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator.
    Run(Box<Run>),
    /// Print the CustomResourceDefinitions, or write them to files.
    Crd {
        /// The folder to write them to, one file each.
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct Run {
    /// The namespaces whose objects are looked after, separated by commas. Default: all.
    #[arg(long, env = "PGUSER_WATCH_NAMESPACES", value_delimiter = ',')]
    watch_namespaces: Vec<String>,
    /// Look after ClusterPostgresServers, which needs cluster-wide permissions. Default: when all namespaces are watched.
    #[arg(long, env = "PGUSER_CLUSTER_SERVERS", action = ArgAction::Set)]
    cluster_servers: Option<bool>,
    /// Look after server objects with these labels only, as in `kubectl get --selector`.
    #[arg(long, env = "PGUSER_SELECTOR")]
    selector: Option<Selector>,
    /// The operator's own namespace: journals, keys and the Lease are there.
    #[arg(long, env = "PGUSER_JOURNAL_NAMESPACE")]
    journal_namespace: String,
    /// Where the credentials of ClusterPostgresServers are. Default: the operator's own namespace.
    #[arg(long, env = "PGUSER_CLUSTER_RESOURCE_NAMESPACE")]
    cluster_resource_namespace: Option<String>,
    /// An address that may be dialled, API or database: HOST:PORT, where HOST is a name, *.a.domain, an address or a
    /// network, and PORT a number or *. May be given more than once, or separated by commas. The vendors' own APIs
    /// are always allowed.
    #[arg(long, env = "PGUSER_ALLOW_ENDPOINT", value_delimiter = ',')]
    allow_endpoint: Vec<String>,
    /// Allow APIs to be spoken to over plain http. For tests.
    #[arg(long, env = "PGUSER_ALLOW_HTTP")]
    allow_http: bool,
    /// Allow servers of the provider postgresql to be spoken to without TLS (spec.postgresql.sslmode: disable, prefer).
    #[arg(long, env = "PGUSER_ALLOW_INSECURE_POSTGRESQL")]
    allow_insecure_postgresql: bool,
    /// A file of PEM certificates to be trusted besides the system's.
    #[arg(long, env = "PGUSER_EXTRA_CA")]
    extra_ca: Option<PathBuf>,
    /// Where /livez, /readyz and /metrics are served. [::] is all of IPv6 and IPv4, and IPv4 alone where there is no IPv6.
    #[arg(long, env = "PGUSER_ADMIN_ADDR", default_value = "[::]:8080")]
    admin_addr: SocketAddr,
    /// Stand for election by Lease, so that several replicas can run.
    #[arg(long, env = "PGUSER_LEADER_ELECT", action = ArgAction::Set, default_value_t = true)]
    leader_elect: bool,
    /// The name of the Lease. Operators that share the work by --selector need one each.
    #[arg(long, env = "PGUSER_LEASE_NAME", default_value = "pguser-operator")]
    lease_name: String,
    /// How long the Lease lasts.
    #[arg(long, env = "PGUSER_LEASE_DURATION", value_parser = duration, default_value = "15s")]
    lease_duration: Duration,
    /// Try published credentials by a login, where the server can be reached from here.
    #[arg(long, env = "PGUSER_VERIFY_LOGINS", action = ArgAction::Set, default_value_t = true)]
    verify_logins: bool,
    /// How long one verification login may take.
    #[arg(long, env = "PGUSER_LOGIN_TIMEOUT", value_parser = duration, default_value = "5s")]
    login_timeout: Duration,
    /// T_live: the longest time that a request can live after it was sent.
    #[arg(long, env = "PGUSER_T_LIVE", value_parser = duration, default_value = "120s")]
    t_live: Duration,
    /// W: how long after a journal write a request may be started.
    #[arg(long, env = "PGUSER_WRITE_WINDOW", value_parser = duration, default_value = "10s")]
    write_window: Duration,
    /// Lag: how long reads may trail writes.
    #[arg(long, env = "PGUSER_READ_LAG", value_parser = duration, default_value = "5s")]
    read_lag: Duration,
    /// How long the state of a cluster that changes make BUSY may trail them: a look sooner after a change proves nothing.
    #[arg(long, env = "PGUSER_STATE_LAG", value_parser = duration, default_value = "1s")]
    state_lag: Duration,
    /// How long a remote cluster has to answer "not found" before it counts as gone.
    #[arg(long, env = "PGUSER_GONE_AFTER", value_parser = duration, default_value = "5m")]
    gone_after: Duration,
    /// The floor of spec.refreshInterval.
    #[arg(long, env = "PGUSER_MIN_REFRESH_INTERVAL", value_parser = duration, default_value = "30s")]
    min_refresh_interval: Duration,
    /// The floor of spec.rotation.interval.
    #[arg(long, env = "PGUSER_MIN_ROTATION_INTERVAL", value_parser = duration, default_value = "1h")]
    min_rotation_interval: Duration,
    /// How long a remote call may take.
    #[arg(long, env = "PGUSER_REQUEST_TIMEOUT", value_parser = duration, default_value = "30s")]
    request_timeout: Duration,
    /// The most requests in a minute with the same credentials, whatever server objects ask for. Default: the provider's
    /// usual limit, or the highest that a server object with these credentials asks for.
    #[arg(long, env = "PGUSER_REQUESTS_PER_MINUTE_PER_CREDENTIALS", value_parser = clap::value_parser!(u32).range(1..=60000))]
    requests_per_minute_per_credentials: Option<u32>,
    /// The most users of one server that are kept in memory. A server with more is not looked after.
    #[arg(long, env = "PGUSER_MAX_USERS_PER_SERVER", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000), default_value_t = MOST_USERS)]
    max_users_per_server: usize,
    /// How much memory the users of all servers may take together, those that belong to nobody here included: a number of bytes,
    /// or of Ki, Mi or Gi. As much again while they are read. Default: an eighth of the container's memory limit, or 32Mi.
    #[arg(long, env = "PGUSER_MAX_LIST_MEMORY", value_parser = bytes)]
    max_list_memory: Option<usize>,
    /// The first pause after a remote call has failed; it doubles up to --retry-cap.
    #[arg(long, env = "PGUSER_RETRY_BASE", value_parser = duration, default_value = "1s")]
    retry_base: Duration,
    /// The longest pause after remote calls have failed.
    #[arg(long, env = "PGUSER_RETRY_CAP", value_parser = duration, default_value = "2m")]
    retry_cap: Duration,
    /// The pause between two looks at a cluster that stays busy; a quarter more at most.
    #[arg(long, env = "PGUSER_BUSY_POLL_INTERVAL", value_parser = duration, default_value = "1s")]
    busy_poll_interval: Duration,
    /// What is logged: a level, or a list of target=level.
    #[arg(long, env = "PGUSER_LOG", default_value = "info")]
    log: String,
    /// How it is logged.
    #[arg(long, env = "PGUSER_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
}

/// Reads a number of bytes, as Kubernetes writes quantities of memory.
///
/// # Errors
/// If it is none.
pub fn bytes(text: &str) -> Result<usize, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: Option<usize> = number.parse().ok();
    let unit: Option<usize> = match unit {
        "" => Some(1),
        "Ki" => Some(1 << 10),
        "Mi" => Some(1 << 20),
        "Gi" => Some(1 << 30),
        _ => None,
    };
    let bytes = number
        .zip(unit)
        .and_then(|(number, unit)| number.checked_mul(unit));
    bytes.filter(|bytes| *bytes >= 1 << 20).ok_or_else(|| {
        format!("{text:?} is no amount of memory: write 1Mi or more, as in 64Mi, 1Gi or 67108864")
    })
}

/// A duration: `500ms`, `90s`, `5m`, `1h`.
///
/// # Errors
/// What is wrong with the text.
pub fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number
        .parse()
        .map_err(|_| format!("{text:?} does not start with a whole number"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        "h" => Ok(Duration::from_secs(number * 3600)),
        _ => Err(format!(
            "{text:?} has no unit: write ms, s, m or h after the number"
        )),
    }
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// A message for whoever typed it.
    pub fn run(self) -> Result<(), String> {
        match self.command {
            Command::Crd { out } => write_crds(out),
            Command::Run(run) => run.run(),
        }
    }
}

fn write_crds(out: Option<PathBuf>) -> Result<(), String> {
    for (name, crd) in crd::all().map_err(|error| error.to_string())? {
        let text = crd::to_yaml(&crd).map_err(|error| error.to_string())?;
        match &out {
            None => print!("---\n{text}"),
            Some(folder) => {
                std::fs::create_dir_all(folder)
                    .map_err(|error| format!("make {}: {error}", folder.display()))?;
                let path = folder.join(name);
                std::fs::write(&path, text).map_err(|error| format!("write {}: {error}", path.display()))?;
            }
        }
    }
    Ok(())
}

impl Run {
    fn run(self) -> Result<(), String> {
        let _telemetry = telemetry::init(&self.log, self.log_format)?;
        let setup = self.setup()?;
        // One thread has time enough: it waits for the network. Several would share one heap in ever smaller pieces, a tenth more.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("start the runtime: {error}"))?;
        runtime
            .block_on(operator::run(setup))
            .map_err(|error| error.to_string())
    }

    fn setup(self) -> Result<Setup, String> {
        let rules = self.allow_endpoint.iter().map(String::as_str);
        let allow = Arc::new(AllowList::parse(rules).map_err(|error| format!("--allow-endpoint: {error}"))?);
        let extra_ca = match &self.extra_ca {
            Some(path) => {
                vec![std::fs::read(path).map_err(|error| format!("--extra-ca {}: {error}", path.display()))?]
            }
            None => Vec::new(),
        };
        let list_memory = self.max_list_memory.unwrap_or_else(memory::for_lists);
        let reading = Memory::new(list_memory);
        let trust = Trust::load(&extra_ca).map_err(|error| format!("--extra-ca: {error}"))?;
        let http = HttpSettings {
            allow_http: self.allow_http,
            request_timeout: self.request_timeout,
            most_users: self.max_users_per_server,
            reading,
            connect_timeout: self.request_timeout.min(Duration::from_secs(10)) / 2,
            ..HttpSettings::new(allow.clone(), trust.clone())
        };
        let timings = ProtocolTimings {
            t_live: self.t_live,
            write_window: self.write_window,
            read_lag: self.read_lag,
            state_lag: self.state_lag,
            gone_after: self.gone_after,
            // A list that takes as long as a call may take is still fresh when it comes.
            fresh_for: ProtocolTimings::default()
                .fresh_for
                .max(self.request_timeout + self.read_lag),
            rules: Rules::all(),
            ..ProtocolTimings::default()
        };
        Ok(Setup {
            sql: SqlSettings {
                connect_timeout: http.connect_timeout,
                request_timeout: http.request_timeout,
                most_users: http.most_users,
                reading: http.reading.clone(),
                ..SqlSettings::new(allow.clone(), trust.clone())
            },
            login: LoginSettings {
                allow,
                trust,
                timeout: self.login_timeout,
            },
            http,
            timings,
            retries: RetryPolicy {
                retry_base: self.retry_base,
                retry_cap: self.retry_cap,
                busy_poll: self.busy_poll_interval,
            },
            admin: self.admin_addr,
            lease: self.leader_elect.then_some(LeaseSettings {
                name: self.lease_name,
                duration: self.lease_duration,
            }),
            options: Options {
                cluster_servers: self.cluster_servers.unwrap_or(self.watch_namespaces.is_empty()),
                namespaces: self.watch_namespaces,
                selector: self.selector.unwrap_or_default(),
                cluster_resource_namespace: self
                    .cluster_resource_namespace
                    .unwrap_or_else(|| self.journal_namespace.clone()),
                journal_namespace: self.journal_namespace,
                min_refresh_interval: self.min_refresh_interval,
                min_rotation_interval: self.min_rotation_interval,
                verify_logins: self.verify_logins,
                list_memory,
                requests_per_minute_per_credentials: self.requests_per_minute_per_credentials,
                allow_insecure_postgresql: self.allow_insecure_postgresql,
                holder: holder(),
            },
        })
    }
}

/// This process, among all that ever run: the Pod's name and something random.
fn holder() -> String {
    let mut random = [0; 6];
    let _ = getrandom::fill(&mut random);
    let name = std::env::var("HOSTNAME").unwrap_or_else(|_| "operator".to_string());
    let name: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(63)
        .collect();
    format!("{name}-{}", hex(&random))
}
