//! What there is at one moment: PostgresUsers by state, server objects one by one. Only who leads takes it, so a standby
//! tells none of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// How many server objects are told of one by one, the first by namespace and name: labels are to be bounded, whoever
/// may make server objects. The counts by reason have all of them.
pub const MOST_SERVERS: usize = 500;

/// In which state a PostgresUser is, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
pub struct InState {
    /// In one word.
    pub state: &'static str,
    /// The reason of the condition that tells.
    pub reason: String,
}

/// Why a server object is ready or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
pub struct ForReason {
    /// Its provider.
    pub provider: &'static str,
    /// The reason of its Ready condition.
    pub reason: String,
}

/// A server object. `namespace` alone would be taken for that of the scraped Pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
pub struct ServerName {
    /// Its namespace; empty for a ClusterPostgresServer.
    pub server_namespace: String,
    /// Its name.
    pub server: String,
    /// Its provider.
    pub provider: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct OfServer {
    #[prometheus(flatten)]
    server: ServerName,
    owner: &'static str,
}

/// What is told of one server object.
#[derive(Clone, Debug, Default)]
pub struct ServerCensus {
    /// Its remote cluster answers and accepts the credentials.
    pub ready: bool,
    /// What is known while it is being worked on.
    pub at_work: Option<AtWork>,
    /// How often all users are to be read, in seconds.
    pub refresh_interval: i64,
}

/// What is known of a server object that is being worked on.
#[derive(Clone, Debug, Default)]
pub struct AtWork {
    /// Calls are held back after a failure.
    pub circuit_open: bool,
    /// The remote asks for fewer calls.
    pub throttled: bool,
    /// When all users were last read, in seconds since 1970.
    pub refreshed: Option<i64>,
    /// Users of the last read, by whom they belong to.
    pub users: Option<RemoteUsers>,
    /// Changes in the journal.
    pub changes: i64,
    /// Those whose PostgresUser is gone.
    pub orphans: i64,
    /// Logins whose deletion was accepted, and does not take effect.
    pub never_deleted: i64,
    /// Who waits for a turn, and who has one.
    pub turns: TurnsCensus,
}

/// Who waits for a turn on a server, and who has one.
#[derive(Clone, Copy, Debug, Default)]
pub struct TurnsCensus {
    /// How many wait.
    pub waiting: i64,
    /// Since when the one that has waited longest does, in seconds since 1970; now, if nobody waits.
    pub oldest: i64,
    /// How many turns are out.
    pub out: i64,
    /// How many were given since this process began.
    pub given: i64,
}

/// The users of a remote cluster, by whom they belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoteUsers {
    /// To a PostgresUser.
    pub managed: usize,
    /// To nobody here.
    pub unmanaged: usize,
    /// To the provider.
    pub system: usize,
}

/// What there is at one moment.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// How many PostgresUsers there are.
    pub users: BTreeMap<InState, i64>,
    /// Since when the one that has been longest in a state has been in it, in seconds since 1970.
    pub longest: BTreeMap<&'static str, i64>,
    /// How many wait for a rotation that was asked for.
    pub rotations_due: i64,
    /// How many of these for too long.
    pub rotations_overdue: i64,
    /// How many server objects there are.
    pub reasons: BTreeMap<ForReason, i64>,
    /// The server objects.
    pub servers: BTreeMap<ServerName, ServerCensus>,
}

/// The last census, if there was one.
#[derive(Clone, Debug, Default)]
pub struct Latest(Arc<Mutex<Option<Census>>>);

impl Latest {
    /// Replaces it.
    pub fn set(&self, census: Census) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(census);
    }
}

impl Collector for Latest {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(census) => {
                census.tell_users(&mut encoder)?;
                census.tell_servers(&mut encoder)
            }
            None => Ok(()),
        }
    }
}

impl Census {
    fn tell_users(&self, to: &mut DescriptorEncoder) -> fmt::Result {
        let users = self.users.iter().map(|(labels, count)| (labels, *count));
        tell(to, "users", "PostgresUsers, by state and reason", None, users)?;
        let longest = self
            .longest
            .iter()
            .map(|(state, since)| (StateLabel { state }, *since));
        let longest: Vec<_> = longest.collect();
        tell(
            to,
            "oldest_user_timestamp",
            "Since when the PostgresUser that has been longest in this state has been in it",
            Some(&Unit::Seconds),
            longest.iter().map(|(labels, since)| (labels, *since)),
        )?;
        let due = "PostgresUsers that wait for a rotation that was asked for";
        to.encode_descriptor("rotations_due", due, None, MetricType::Gauge)?
            .encode_gauge(&self.rotations_due)?;
        let overdue = "Those of them that have waited for too long";
        to.encode_descriptor("rotations_overdue", overdue, None, MetricType::Gauge)?
            .encode_gauge(&self.rotations_overdue)
    }

    fn tell_servers(&self, to: &mut DescriptorEncoder) -> fmt::Result {
        let reasons = self.reasons.iter().map(|(labels, count)| (labels, *count));
        let help = "Server objects, by the reason of their Ready condition";
        tell(to, "servers", help, None, reasons)?;
        for (name, help, unit, value) in &OF_A_SERVER {
            let each = self.servers.iter().take(MOST_SERVERS);
            let each = each.filter_map(|(labels, server)| Some((labels, value(server)?)));
            tell(to, name, help, unit.as_ref(), each)?;
        }
        let users: Vec<_> = self
            .servers
            .iter()
            .take(MOST_SERVERS)
            .flat_map(remote_users)
            .collect();
        let users = users.iter().map(|(labels, count)| (labels, *count));
        tell(
            to,
            "server_users",
            "Users of the server, by whom they belong to",
            None,
            users,
        )
    }
}

type OfAServer = (
    &'static str,
    &'static str,
    Option<Unit>,
    fn(&ServerCensus) -> Option<i64>,
);

/// What is told of each server object: name, description, unit, and value, if there is one.
const OF_A_SERVER: [OfAServer; 12] = [
    (
        "server_ready",
        "1 if the server answers and accepts the credentials",
        None,
        |server| Some(i64::from(server.ready)),
    ),
    (
        "server_refresh_interval",
        "How often all users of the server are to be read",
        Some(Unit::Seconds),
        |server| Some(server.refresh_interval),
    ),
    (
        "server_refresh_timestamp",
        "When they were last read",
        Some(Unit::Seconds),
        |server| server.at_work.as_ref()?.refreshed,
    ),
    (
        "server_circuit_open",
        "1 while calls are held back after a failure",
        None,
        |server| Some(i64::from(server.at_work.as_ref()?.circuit_open)),
    ),
    (
        "server_throttled",
        "1 while the server asks for fewer calls",
        None,
        |server| Some(i64::from(server.at_work.as_ref()?.throttled)),
    ),
    (
        "server_changes",
        "Changes of users that are decided and not settled yet",
        None,
        |server| Some(server.at_work.as_ref()?.changes),
    ),
    (
        "server_orphans",
        "Those of them whose PostgresUser is gone",
        None,
        |server| Some(server.at_work.as_ref()?.orphans),
    ),
    (
        "server_deletions_not_in_effect",
        "Logins whose deletion the server has accepted, and that it shows still",
        None,
        |server| Some(server.at_work.as_ref()?.never_deleted),
    ),
    (
        "server_turns_waiting",
        "PostgresUsers that wait for their turn to be changed on the server",
        None,
        |server| Some(server.at_work.as_ref()?.turns.waiting),
    ),
    (
        "server_turns_waiting_since_timestamp",
        "Since when the one of them that has waited longest does",
        Some(Unit::Seconds),
        |server| Some(server.at_work.as_ref()?.turns.oldest),
    ),
    (
        "server_turns_out",
        "PostgresUsers that are being changed on the server now",
        None,
        |server| Some(server.at_work.as_ref()?.turns.out),
    ),
    (
        "server_turns_given",
        "Turns given since this process began to work on the server",
        None,
        |server| Some(server.at_work.as_ref()?.turns.given),
    ),
];

fn remote_users((server, census): (&ServerName, &ServerCensus)) -> Vec<(OfServer, i64)> {
    let users = census.at_work.as_ref().and_then(|at_work| at_work.users);
    let Some(users) = users else { return Vec::new() };
    let of = |owner, count: usize| {
        let server = server.clone();
        (
            OfServer { server, owner },
            i64::try_from(count).unwrap_or(i64::MAX),
        )
    };
    vec![
        of("managed", users.managed),
        of("unmanaged", users.unmanaged),
        of("system", users.system),
    ]
}

/// Writes a gauge with all its series.
fn tell<'a, L: EncodeLabelSet + 'a>(
    to: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    series: impl Iterator<Item = (&'a L, i64)>,
) -> fmt::Result {
    let mut metric = to.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    for (labels, value) in series {
        metric.encode_family(labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Format, Metrics};

    fn with_servers(count: usize) -> Census {
        let name = |number| ServerName {
            server_namespace: "shop".to_string(),
            server: format!("s{number:04}"),
            provider: "ionos",
        };
        Census {
            servers: (0..count)
                .map(|number| (name(number), ServerCensus::default()))
                .collect(),
            ..Census::default()
        }
    }

    fn lines(metrics: &Metrics, start: &str) -> Vec<String> {
        let text = metrics.text(Format::Prometheus);
        let lines = text.lines().filter(|line| line.starts_with(start));
        lines.map(str::to_string).collect()
    }

    #[test]
    fn nothing_is_told_before_there_was_a_census() {
        let metrics = Metrics::new();
        assert_eq!(lines(&metrics, "pguser_rotations_due"), [""; 0]);
        metrics.set_census(Census::default());
        assert_eq!(
            lines(&metrics, "pguser_rotations_due"),
            ["pguser_rotations_due 0"]
        );
    }

    #[test]
    fn what_is_not_there_any_more_is_not_told_any_more() {
        let metrics = Metrics::new();
        metrics.set_census(with_servers(2));
        assert_eq!(lines(&metrics, "pguser_server_ready").len(), 2);
        metrics.set_census(with_servers(1));
        assert_eq!(
            lines(&metrics, "pguser_server_ready"),
            [r#"pguser_server_ready{server_namespace="shop",server="s0000",provider="ionos"} 0"#]
        );
    }

    #[test]
    fn series_of_servers_are_bounded() {
        let metrics = Metrics::new();
        metrics.set_census(with_servers(MOST_SERVERS + 1));
        assert_eq!(lines(&metrics, "pguser_server_ready").len(), MOST_SERVERS);
    }
}
