//! The command line.

use std::net::SocketAddr;

use clap::{ArgAction, Args, Parser};
use tokio_postgres::Config;
use uuid::Uuid;

use crate::{
    scalingo::AcceptedTokens,
    switches::{self, Switches},
};

/// The users APIs of IONOS DBaaS PostgreSQL and of Scalingo, simulated on a real PostgreSQL.
///
/// The APIs' users are login roles of that PostgreSQL, so that passwords work or fail in earnest. After binding it
/// prints one line on stdout, `listening on http://ADDRESS:PORT`; logs go to stderr. Faults, switches, the journal and
/// everything else that a test needs are under /_sim/ (see README.md).
#[derive(Debug, Parser)]
#[command(version, after_long_help = switches::help(), after_help = "Switches are listed by --help.")]
pub struct Cli {
    /// Address to listen on; port 0 takes a free one. /_sim/ needs no credentials, so keep to loopback.
    #[arg(long, env = "PGUSER_SIM_LISTEN", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

    /// Another address to listen on, for the same; each prints a line of its own. Can be repeated.
    #[arg(long, env = "PGUSER_SIM_ALSO_LISTEN", value_delimiter = ',')]
    pub also_listen: Vec<SocketAddr>,

    /// A superuser's connection to the PostgreSQL, as libpq keywords and values.
    #[arg(
        long,
        env = "PGUSER_SIM_POSTGRES",
        default_value = "host=127.0.0.1 port=5432 user=postgres dbname=postgres",
        hide_env_values = true
    )]
    pub postgres: Config,

    /// The id of the cluster that the PostgreSQL stands for.
    #[arg(
        long,
        env = "PGUSER_SIM_CLUSTER_ID",
        default_value = "498ae72f-411f-11eb-9d07-046c59cc737e"
    )]
    pub cluster_id: String,

    /// Id of a cluster of another contract, which answers 403. Can be repeated.
    #[arg(
        long,
        env = "PGUSER_SIM_FOREIGN_CLUSTER_ID",
        value_delimiter = ',',
        default_value = "f0f0f0f0-411f-11eb-9d07-046c59cc737e"
    )]
    pub foreign_cluster_id: Vec<String>,

    /// A bearer token that is accepted. Can be repeated.
    #[arg(
        long,
        env = "PGUSER_SIM_TOKEN",
        value_delimiter = ',',
        default_value = "token",
        hide_env_values = true
    )]
    pub token: Vec<String>,

    /// USER:PASS that is accepted as basic authentication. Can be repeated.
    #[arg(long, env = "PGUSER_SIM_BASIC", hide_env_values = true)]
    pub basic: Vec<String>,

    /// The dnsName of the cluster.
    #[arg(long, env = "PGUSER_SIM_DNS_NAME", default_value = "localhost")]
    pub dns_name: String,

    /// The location of the cluster.
    #[arg(long, env = "PGUSER_SIM_LOCATION", default_value = "de/txl")]
    pub location: String,

    /// The contract number in resource URNs.
    #[arg(long, env = "PGUSER_SIM_CONTRACT", default_value = "11274857")]
    pub contract: String,

    /// Whether there are system users (one for each reserved name).
    #[arg(
        long,
        env = "PGUSER_SIM_SEED_SYSTEM",
        action = ArgAction::Set,
        num_args = 0..=1,
        default_value_t = true,
        default_missing_value = "true"
    )]
    pub seed_system: bool,

    /// A login role to make by SQL at the start, unless it exists: an unmanaged user. Can be repeated.
    #[arg(long, env = "PGUSER_SIM_SEED_SQL_USER", value_delimiter = ',')]
    pub seed_sql_user: Vec<String>,

    /// The path under which the API of IONOS is served, besides the root.
    #[arg(long, env = "PGUSER_SIM_BASE_PATH", default_value = "/databases/postgresql")]
    pub base_path: String,

    /// NAME=VALUE of a switch, see below. Can be repeated.
    #[arg(
        long = "switch",
        env = "PGUSER_SIM_SWITCHES",
        value_delimiter = ';',
        value_name = "NAME=VALUE"
    )]
    pub switches: Vec<String>,

    /// What concerns Scalingo alone.
    #[command(flatten)]
    pub scalingo: Scalingo,
}

/// The app and the addon that the PostgreSQL stands for at Scalingo.
#[derive(Debug, Args)]
#[command(next_help_heading = "Scalingo")]
pub struct Scalingo {
    /// The name of the app.
    #[arg(
        long = "scalingo-app",
        env = "PGUSER_SIM_SCALINGO_APP",
        default_value = "my-app"
    )]
    pub app: String,

    /// An app of another account, which answers 403. Can be repeated.
    #[arg(
        long = "scalingo-foreign-app",
        env = "PGUSER_SIM_SCALINGO_FOREIGN_APP",
        value_delimiter = ',',
        default_value = "foreign-app"
    )]
    pub foreign_app: Vec<String>,

    /// The id of the addon, which is the id of its database, too.
    #[arg(
        long = "scalingo-addon-id",
        env = "PGUSER_SIM_SCALINGO_ADDON_ID",
        default_value = "ad-9be0fc04-bee6-4981-a403-a9ddbee7bd1f"
    )]
    pub addon_id: String,

    /// The id of the addon's resource, and the name of the app's own user and database.
    #[arg(
        long = "scalingo-resource-id",
        env = "PGUSER_SIM_SCALINGO_RESOURCE_ID",
        default_value = "my_app_4553"
    )]
    pub resource_id: String,

    /// Whether the app's own user is a role, with a database of its name (it is in lists in any case).
    #[arg(
        long = "scalingo-seed-default-user",
        env = "PGUSER_SIM_SCALINGO_SEED_DEFAULT_USER"
    )]
    pub seed_default_user: bool,

    /// The password of the app's own user.
    #[arg(
        long = "scalingo-default-password",
        env = "PGUSER_SIM_SCALINGO_DEFAULT_PASSWORD",
        default_value = "the_password_of_the_default_user",
        hide_env_values = true
    )]
    pub default_password: String,

    /// HOST:PORT of the database; the DNS name of the cluster and the port of --postgres if it is not given.
    #[arg(long = "scalingo-hostname", env = "PGUSER_SIM_SCALINGO_HOSTNAME")]
    pub hostname: Option<String>,

    /// The name of the region.
    #[arg(
        long = "scalingo-region",
        env = "PGUSER_SIM_SCALINGO_REGION",
        default_value = "osc-fr1"
    )]
    pub region: String,

    /// The URL of the main API in the list of regions; where that was asked for if it is not given.
    #[arg(long = "scalingo-api-url", env = "PGUSER_SIM_SCALINGO_API_URL")]
    pub api_url: Option<String>,

    /// The URL of the Database API in the list of regions; where that was asked for if it is not given.
    #[arg(
        long = "scalingo-database-api-url",
        env = "PGUSER_SIM_SCALINGO_DATABASE_API_URL"
    )]
    pub database_api_url: Option<String>,

    /// An API token that is accepted. Can be repeated.
    #[arg(
        long = "scalingo-api-token",
        env = "PGUSER_SIM_SCALINGO_API_TOKEN",
        value_delimiter = ',',
        default_value = "tk-us-token",
        hide_env_values = true
    )]
    pub api_token: Vec<String>,

    /// A token of the database that is accepted without having been issued. Can be repeated.
    #[arg(
        long = "scalingo-database-token",
        env = "PGUSER_SIM_SCALINGO_DATABASE_TOKEN",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub database_token: Vec<String>,
}

impl Scalingo {
    /// The id of the app.
    pub fn app_id(&self) -> String {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, self.app.as_bytes());
        id.simple().to_string().chars().take(24).collect()
    }

    /// The tokens that are accepted without having been issued.
    pub fn tokens(&self) -> AcceptedTokens {
        AcceptedTokens {
            api: self.api_token.clone(),
            database: self.database_token.clone(),
        }
    }
}

impl Cli {
    /// Host and port of Scalingo's database.
    pub fn hostname(&self) -> String {
        let port = self.postgres.get_ports().first().copied().unwrap_or(5432);
        self.scalingo
            .hostname
            .clone()
            .unwrap_or_else(|| format!("{}:{port}", self.dns_name))
    }

    /// The switches as the command line sets them.
    pub fn switches(&self) -> Result<Switches, switches::SwitchError> {
        let mut switches = Switches::default();
        for pair in &self.switches {
            switches.set_pair(pair)?;
        }
        Ok(switches)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_database_is_where_the_postgresql_is_unless_told_otherwise() {
        let hostname = |args: &[&str]| Cli::parse_from([&["sim"], args].concat()).hostname();
        assert_eq!(hostname(&["--dns-name", "db.example"]), "db.example:5432");
        assert_eq!(
            hostname(&["--postgres", "host=/tmp port=54321"]),
            "localhost:54321"
        );
        assert_eq!(
            hostname(&["--scalingo-hostname", "pg.example:35123"]),
            "pg.example:35123"
        );
    }

    #[test]
    fn switches_are_taken_from_the_command_line() {
        let cli = Cli::parse_from([
            "sim",
            "--switch",
            "duplicate=409",
            "--switch=busy-after=create,patch",
        ]);
        let switches = cli.switches().expect("valid switches");
        assert!(switches.is(&switches::DUPLICATE, "409"));
        assert!(!switches.has(&switches::BUSY_AFTER, "delete"));
        let bad = Cli::parse_from(["sim", "--switch", "duplicate=7"]);
        assert!(bad.switches().is_err());
    }
}
