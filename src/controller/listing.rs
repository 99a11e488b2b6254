//! What has been listed: of what has not, nobody knows whether it is there, or who has what.
//!
//! One namespace that may not be listed holds back what is in it, and nothing else. What could harm it is put off until all
//! is known: nothing is adopted, and no server object goes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock;
use crate::domain::time::Mono;
use crate::metrics::Metrics;

/// The scopes that are to be listed, each a kind in a namespace.
#[derive(Debug)]
pub struct Listing {
    scopes: watch::Sender<BTreeMap<Scope, ScopeState>>,
    nothing_since: Mutex<Option<Mono>>,
    metrics: Arc<Metrics>,
}

/// A kind in a namespace; in an empty one, wherever there may be such objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// The kind.
    pub kind: &'static str,
    /// The namespace.
    pub namespace: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct ScopeState {
    /// It has been listed, if only once.
    known: bool,
    /// The last list has failed.
    failing: bool,
}

impl Scope {
    /// A kind in a namespace.
    pub fn new(kind: &'static str, namespace: &str) -> Self {
        Self {
            kind,
            namespace: namespace.to_string(),
        }
    }

    fn matters_to(&self, namespace: Option<&str>) -> bool {
        self.namespace.is_empty() || Some(self.namespace.as_str()) == namespace
    }
}

impl Listing {
    /// Nothing is to be listed yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            scopes: watch::Sender::default(),
            nothing_since: Mutex::default(),
            metrics,
        }
    }

    /// This is to be listed.
    pub fn expect(&self, scope: Scope) {
        self.scopes.send_modify(|scopes| {
            scopes.insert(scope, ScopeState::default());
        });
        let mut since = self.nothing_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.get_or_insert_with(clock::now);
        self.count();
    }

    /// It has been listed. Says whether that was the first time.
    pub fn listed(&self, scope: &Scope) -> bool {
        *self.nothing_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let mut first = false;
        self.change(scope, |state| {
            first = !state.known;
            ScopeState {
                known: true,
                failing: false,
            }
        });
        first
    }

    /// It could not be listed. It is tried again.
    pub fn failed(&self, scope: &Scope) {
        self.change(scope, |state| ScopeState {
            failing: true,
            ..state
        });
    }

    fn change(&self, scope: &Scope, change: impl FnOnce(ScopeState) -> ScopeState) {
        let changed = self.scopes.send_if_modified(|scopes| {
            let Some(state) = scopes.get_mut(scope) else {
                return false;
            };
            let before = std::mem::replace(state, change(*state));
            before != *state
        });
        if changed {
            self.count();
        }
    }

    fn count(&self) {
        let missing = |state: &&ScopeState| !state.known || state.failing;
        let count = self.scopes.borrow().values().filter(missing).count();
        self.metrics.set_not_listed(count);
    }

    /// Waits until each has been listed, or has been tried in vain.
    pub async fn tried(&self) {
        let tried = |state: &ScopeState| state.known || state.failing;
        self.wait(|scopes| scopes.values().all(tried)).await;
    }

    /// Waits until all is known that has to do with a namespace, or, for none, with objects that are in none.
    pub async fn knows(&self, namespace: Option<&str>) {
        self.wait(|scopes| {
            let mut concerned = scopes.iter().filter(|(scope, _)| scope.matters_to(namespace));
            concerned.all(|(_, state)| state.known)
        })
        .await;
    }

    async fn wait(&self, enough: impl Fn(&BTreeMap<Scope, ScopeState>) -> bool) {
        let _ = self.scopes.subscribe().wait_for(|scopes| enough(scopes)).await;
    }

    /// What is not known.
    pub fn unknown(&self) -> Vec<Scope> {
        let scopes = self.scopes.borrow();
        let unknown = scopes.iter().filter(|(_, state)| !state.known);
        unknown.map(|(scope, _)| scope.clone()).collect()
    }

    /// Whether all is known.
    pub fn is_complete(&self) -> bool {
        self.scopes.borrow().values().all(|state| state.known)
    }

    /// For how long nothing at all has been listed, though something is to be.
    pub fn nothing_for(&self) -> Option<Duration> {
        let since = self.nothing_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map(|since| clock::now() - since)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn listing(namespaces: &[&str]) -> Listing {
        let listing = Listing::new(Arc::new(Metrics::new()));
        for namespace in namespaces {
            for kind in ["PostgresUser", "Secret"] {
                listing.expect(Scope::new(kind, namespace));
            }
        }
        listing
    }

    fn all_listed(listing: &Listing, namespace: &str) {
        listing.listed(&Scope::new("PostgresUser", namespace));
        listing.listed(&Scope::new("Secret", namespace));
    }

    #[test]
    fn a_namespace_that_cannot_be_listed_holds_back_only_itself() {
        let listing = listing(&["shop", "closed"]);
        all_listed(&listing, "shop");
        assert!(
            listing.tried().now_or_never().is_none(),
            "closed may yet be listed"
        );
        listing.failed(&Scope::new("PostgresUser", "closed"));
        listing.failed(&Scope::new("Secret", "closed"));
        assert!(listing.tried().now_or_never().is_some());
        assert!(listing.knows(Some("shop")).now_or_never().is_some());
        assert!(listing.knows(Some("closed")).now_or_never().is_none());
        assert!(!listing.is_complete());
        all_listed(&listing, "closed");
        assert!(listing.knows(Some("closed")).now_or_never().is_some() && listing.is_complete());
    }

    #[test]
    fn what_is_in_no_namespace_concerns_all() {
        let listing = listing(&["shop"]);
        listing.expect(Scope::new("ClusterPostgresServer", ""));
        all_listed(&listing, "shop");
        assert!(listing.knows(Some("shop")).now_or_never().is_none());
        listing.listed(&Scope::new("ClusterPostgresServer", ""));
        assert!(
            listing.knows(Some("shop")).now_or_never().is_some()
                && listing.knows(None).now_or_never().is_some()
        );
    }

    #[test]
    fn what_was_listed_once_stays_known_while_the_next_list_fails() {
        let listing = listing(&["shop"]);
        all_listed(&listing, "shop");
        listing.failed(&Scope::new("Secret", "shop"));
        assert!(listing.is_complete());
        assert!(
            listing
                .metrics
                .text(crate::metrics::Format::accepted(""))
                .contains("pguser_scopes_not_listed 1")
        );
    }

    #[test]
    fn it_is_known_for_how_long_nothing_was_listed() {
        let listing = listing(&["shop", "closed"]);
        std::thread::sleep(Duration::from_millis(20));
        assert!(listing.nothing_for() >= Some(Duration::from_millis(20)));
        all_listed(&listing, "shop");
        assert_eq!(listing.nothing_for(), None);
    }
}
