//! What is counted, for `/metrics`: `docs/metrics.md` says what each is good for. Labels are bounded: never a name of a
//! user, a PostgresUser or an address. Server objects are named, up to [`census::MOST_SERVERS`] of them.

pub mod census;
mod text;

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use self::census::{Census, Latest};
pub use self::text::Format;

/// From the quickest vendor to what nobody waits for without asking.
const FIRST_SECRET_BUCKETS: [f64; 12] = [
    0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0,
];

/// The kinds of objects that are reconciled.
const KINDS: [&str; 3] = ["PostgresUser", "PostgresServer", "ClusterPostgresServer"];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallLabels {
    provider: &'static str,
    operation: &'static str,
    class: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Provider {
    provider: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reconciled {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfKind {
    kind: String,
}

/// All that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    waited: Family<Provider, Counter<f64>>,
    reconciled: Family<Reconciled, Counter>,
    first_secret: Histogram,
    password_changes: Counter,
    kept: Counter,
    undecodable: Family<OfKind, Gauge>,
    not_listed: Gauge,
    leader: Gauge,
    census: Latest,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let mut new = Self {
            registry: Registry::with_prefix("pguser"),
            calls: Family::default(),
            waited: Family::default(),
            reconciled: Family::default(),
            first_secret: Histogram::new(FIRST_SECRET_BUCKETS),
            password_changes: Counter::default(),
            kept: Counter::default(),
            undecodable: Family::default(),
            not_listed: Gauge::default(),
            leader: Gauge::default(),
            census: Latest::default(),
        };
        new.register();
        // What has not happened yet is 0, not unknown: shares and rates need both.
        for kind in KINDS {
            new.reconciled_counter(kind, true).inc_by(0);
            new.reconciled_counter(kind, false).inc_by(0);
            new.set_undecodable(kind, 0);
        }
        new
    }

    fn register(&mut self) {
        let all = &mut self.registry;
        all.register("leader", "1 while this process leads", self.leader.clone());
        all.register(
            "remote_calls",
            "Remote calls, by what came of them",
            self.calls.clone(),
        );
        all.register_with_unit(
            "rate_limit_wait",
            "How long remote calls were held back by the rate limit or by a pause that the remote asked for",
            Unit::Seconds,
            self.waited.clone(),
        );
        all.register(
            "reconciliations",
            "Reconciliations, by what came of them",
            self.reconciled.clone(),
        );
        all.register_with_unit(
            "time_to_first_secret",
            "From the creation of a PostgresUser to the first publication of its Secret",
            Unit::Seconds,
            self.first_secret.clone(),
        );
        all.register(
            "password_changes",
            "Published passwords that were replaced by other ones",
            self.password_changes.clone(),
        );
        all.register(
            "kept_users",
            "Remote users that were left when their PostgresUser went",
            self.kept.clone(),
        );
        all.register(
            "undecodable_objects",
            "Objects of which something cannot be read, and that are left as they are",
            self.undecodable.clone(),
        );
        all.register(
            "scopes_not_listed",
            "Kinds in a namespace that could not be listed yet, or not again",
            self.not_listed.clone(),
        );
        all.register_collector(Box::new(self.census.clone()));
    }

    /// Counts a remote call.
    pub fn remote_call(&self, provider: &'static str, operation: &'static str, class: &'static str) {
        self.calls
            .get_or_create(&CallLabels {
                provider,
                operation,
                class,
            })
            .inc();
    }

    /// Adds to how long remote calls were held back.
    pub fn waited(&self, provider: &'static str, pause: Duration) {
        let counter = self.waited.get_or_create(&Provider { provider });
        counter.inc_by(pause.as_secs_f64());
    }

    /// Counts a reconciliation.
    pub fn reconciled(&self, kind: &'static str, ok: bool) {
        self.reconciled_counter(kind, ok).inc();
    }

    fn reconciled_counter(&self, kind: &'static str, ok: bool) -> Counter {
        let outcome = if ok { "ok" } else { "error" };
        self.reconciled.get_or_create_owned(&Reconciled { kind, outcome })
    }

    /// Notes how long a PostgresUser has waited for its first Secret.
    pub fn first_secret(&self, waited: Duration) {
        self.first_secret.observe(waited.as_secs_f64());
    }

    /// Counts a published password that took the place of another one.
    pub fn password_changed(&self) {
        self.password_changes.inc();
    }

    /// Counts a remote user that was left behind on purpose or by force.
    pub fn kept_user(&self) {
        self.kept.inc();
    }

    /// Notes how many objects of a kind cannot be read as a whole.
    pub fn set_undecodable(&self, kind: &str, count: usize) {
        let kind = kind.to_string();
        let gauge = self.undecodable.get_or_create_owned(&OfKind { kind });
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Notes how many scopes are not listed.
    pub fn set_not_listed(&self, count: usize) {
        self.not_listed.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Notes whether this process leads.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Replaces what is told of PostgresUsers and server objects, all at once.
    pub fn set_census(&self, census: Census) {
        self.census.set(census);
    }

    /// All of it, as text.
    pub fn text(&self, format: Format) -> String {
        text::encode(&self.registry, format)
    }
}
