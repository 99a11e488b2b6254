//! The command line.

use std::net::SocketAddr;

use clap::{ArgAction, Parser};
use tokio_postgres::Config;

use crate::switches::{self, Switches};

/// The IONOS DBaaS PostgreSQL users API, simulated on a real PostgreSQL.
///
/// The API's users are login roles of that PostgreSQL, so that passwords work or fail in earnest. After binding it
/// prints one line on stdout, `listening on http://ADDRESS:PORT`; logs go to stderr. Faults, switches, the journal and
/// everything else that a test needs are under /_sim/ (see README.md).
#[derive(Debug, Parser)]
#[command(version, after_long_help = switches::help(), after_help = "Switches are listed by --help.")]
pub struct Cli {
    /// Address to listen on; port 0 takes a free one. /_sim/ needs no credentials, so keep to loopback.
    #[arg(long, env = "PGUSER_SIM_LISTEN", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

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

    /// The path under which the API is served, besides the root.
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
}

impl Cli {
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
