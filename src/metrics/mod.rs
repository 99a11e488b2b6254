//! What is counted, for `/metrics`. Labels are bounded: never a name of a user, an object or an address.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Call {
    provider: &'static str,
    operation: &'static str,
    class: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reconciled {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Users {
    reason: String,
}

/// All that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Family<Call, Counter>,
    reconciled: Family<Reconciled, Counter>,
    users: Family<Users, Gauge>,
    kept: Counter,
    leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("pguser");
        let (calls, reconciled, users) = (Family::default(), Family::default(), Family::default());
        let (kept, leader) = (Counter::default(), Gauge::default());
        registry.register(
            "remote_calls",
            "Remote calls, by what came of them",
            calls.clone(),
        );
        registry.register(
            "reconciliations",
            "Reconciliations, by what came of them",
            reconciled.clone(),
        );
        registry.register(
            "users",
            "PostgresUsers, by the reason of their Ready condition",
            users.clone(),
        );
        registry.register(
            "kept_users",
            "Remote users that were left when their PostgresUser went",
            kept.clone(),
        );
        registry.register("leader", "1 while this process leads", leader.clone());
        Self {
            registry,
            calls,
            reconciled,
            users,
            kept,
            leader,
        }
    }

    /// Counts a remote call.
    pub fn remote_call(&self, provider: &'static str, operation: &'static str, class: &'static str) {
        self.calls
            .get_or_create(&Call {
                provider,
                operation,
                class,
            })
            .inc();
    }

    /// Counts a reconciliation.
    pub fn reconciled(&self, kind: &'static str, ok: bool) {
        let outcome = if ok { "ok" } else { "error" };
        self.reconciled.get_or_create(&Reconciled { kind, outcome }).inc();
    }

    /// Sets how many PostgresUsers there are, by the reason of their Ready condition.
    pub fn set_users(&self, by_reason: impl IntoIterator<Item = (String, i64)>) {
        self.users.clear();
        for (reason, users) in by_reason {
            self.users.get_or_create(&Users { reason }).set(users);
        }
    }

    /// Counts a remote user that was left behind on purpose or by force.
    pub fn kept_user(&self) {
        self.kept.inc();
    }

    /// Notes whether this process leads.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// All of it, in OpenMetrics' text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(_) => String::new(),
        }
    }
}
