//! Whose turn it is on one server, and whether the server may be called at all.
//!
//! [`Queue`] says what to do next, so that what somebody waits for goes before what nobody does and one
//! namespace's thousand do not starve another's one. [`Circuit`] holds everyone back from a server that
//! fails, and lets one probe it (I7).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use super::pause::Growth;
use super::time::Mono;

/// Why something is to be looked at, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Something of it is stored already, and may have been sent.
    Unfinished,
    /// It is being deleted.
    Deletion,
    /// Somebody has just made it.
    New,
    /// Somebody has changed it.
    Changed,
    /// It is time again.
    Periodic,
}

/// What goes before what: as long as there is something in one tier, nothing of the next is served.
const TIERS: usize = 3;

impl Class {
    fn tier(self) -> usize {
        match self {
            Class::Unfinished => 0,
            Class::Deletion | Class::New | Class::Changed => 1,
            Class::Periodic => 2,
        }
    }
}

/// What is to be done on one server, each key once.
///
/// - What is unfinished goes before all else, and all that is urgent (deletions, new and changed objects) before all
///   that is periodic: as long as there is urgent work, there is no periodic work.
/// - Within each of these three, namespaces take turns: who has work is served within as many pops as there are
///   namespaces with work.
/// - Within a namespace's urgent work, deletions go before new objects and these before changed ones; within
///   a class, first come, first served; what is periodic by since when it has been due, if that is known.
#[derive(Debug, Clone)]
pub struct Queue<K> {
    tiers: [Turns<K>; TIERS],
    places: HashMap<K, QueuePosition>,
    next: u64,
}

/// Where a key waits: among those of its class first by how early it was due, then by its arrival.
type Rank = (Class, u64, u64);

#[derive(Debug, Clone)]
struct QueuePosition {
    namespace: String,
    order: Rank,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            tiers: Default::default(),
            places: HashMap::new(),
            next: 0,
        }
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key. One that waits already keeps its place, unless `class` is more urgent: then it goes to the
    /// end of that class. A key always has the same namespace.
    pub fn push(&mut self, class: Class, namespace: &str, key: K) {
        self.push_due(class, namespace, key, 0);
    }

    /// The same of one that has been due since a moment, in seconds of any clock that all are measured by.
    pub fn push_due(&mut self, class: Class, namespace: &str, key: K, due: u64) {
        if self.places.get(&key).is_some_and(|place| place.order.0 <= class) {
            return;
        }
        self.remove(&key);
        let order = (class, due, self.next);
        self.next += 1;
        self.turns(class).add(namespace, order, key.clone());
        let namespace = namespace.to_string();
        self.places.insert(key, QueuePosition { namespace, order });
    }

    /// Takes the next key, and why it is here.
    pub fn pop(&mut self) -> Option<(Class, K)> {
        let (order, key) = self.tiers.iter_mut().find_map(Turns::next)?;
        self.places.remove(&key);
        Some((order.0, key))
    }

    /// Takes a key out of its turn; whether it was there.
    pub fn remove(&mut self, key: &K) -> bool {
        let Some(place) = self.places.remove(key) else {
            return false;
        };
        self.turns(place.order.0).remove(&place);
        true
    }

    /// How many keys wait.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn turns(&mut self, class: Class) -> &mut Turns<K> {
        &mut self.tiers[class.tier()]
    }
}

/// Namespaces that take turns. Every namespace in `turns` has a lane with something in it, and the other way
/// round.
#[derive(Debug, Clone)]
struct Turns<K> {
    lanes: HashMap<String, BTreeMap<Rank, K>>,
    turns: VecDeque<String>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self {
            lanes: HashMap::new(),
            turns: VecDeque::new(),
        }
    }
}

impl<K> Turns<K> {
    fn add(&mut self, namespace: &str, order: Rank, key: K) {
        if !self.lanes.contains_key(namespace) {
            self.turns.push_back(namespace.to_string());
        }
        self.lanes
            .entry(namespace.to_string())
            .or_default()
            .insert(order, key);
    }

    fn next(&mut self) -> Option<(Rank, K)> {
        let namespace = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&namespace)?;
        let first = lane.pop_first();
        if lane.is_empty() {
            self.lanes.remove(&namespace);
        } else {
            self.turns.push_back(namespace);
        }
        first
    }

    fn remove(&mut self, place: &QueuePosition) {
        let Some(lane) = self.lanes.get_mut(&place.namespace) else {
            return;
        };
        lane.remove(&place.order);
        if lane.is_empty() {
            self.lanes.remove(&place.namespace);
            self.turns.retain(|namespace| *namespace != place.namespace);
        }
    }
}

/// How a [`Circuit`] behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CircuitSettings {
    /// How many failures in a row open it.
    pub failures: u32,
    /// How long it is open the first time; twice as long each time after.
    pub first: Duration,
    /// How long it is open at most, unless the remote asks for more.
    pub longest: Duration,
    /// After how long a probe of which nothing is heard counts as lost.
    pub probe_limit: Duration,
}

impl Default for CircuitSettings {
    fn default() -> Self {
        Self {
            failures: 3,
            first: Duration::from_secs(2),
            longest: Duration::from_secs(300),
            probe_limit: Duration::from_secs(120),
        }
    }
}

/// The longest pause that a remote may ask for: after that it is probed all the same, by one.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// Whether one remote may be called: closed (yes), open (not before some time), or half open (one probe is
/// under way, and everyone waits for what it finds).
///
/// Which failures count is the caller's to say: those that speak of the remote as a whole (unreachable, 5xx,
/// throttled, unauthorised), not those that speak of one user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Circuit {
    settings: CircuitSettings,
    state: CircuitState,
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum CircuitState {
    Closed,
    Open { until: Mono },
    HalfOpen { since: Mono },
}

impl Circuit {
    /// A closed one.
    pub fn new(settings: CircuitSettings) -> Self {
        Self {
            settings,
            state: CircuitState::Closed,
            failures: 0,
        }
    }

    /// Whether the remote may be called now. If the circuit was open, `true` makes the caller the one probe,
    /// which owes an [`on_success`](Self::on_success) or [`on_failure`](Self::on_failure).
    #[must_use]
    pub fn may_call(&mut self, now: Mono) -> bool {
        match self.next_probe() {
            None => true,
            Some(from) if now < from => false,
            Some(_) => {
                self.state = CircuitState::HalfOpen { since: now };
                true
            }
        }
    }

    /// Whether everyone may call.
    pub fn is_closed(&self) -> bool {
        self.state == CircuitState::Closed
    }

    /// When the next probe may start; `None` if everyone may call. While a probe is under way, this is when it
    /// would count as lost.
    pub fn next_probe(&self) -> Option<Mono> {
        match self.state {
            CircuitState::Closed => None,
            CircuitState::Open { until } => Some(until),
            CircuitState::HalfOpen { since } => Some(since + self.settings.probe_limit),
        }
    }

    /// A call has worked. While the circuit is open this is a late answer to an earlier call: the time that the
    /// remote may have asked for is kept all the same.
    pub fn on_success(&mut self) {
        if !matches!(self.state, CircuitState::Open { .. }) {
            self.state = CircuitState::Closed;
            self.failures = 0;
        }
    }

    /// A call has failed. `retry_after` is what the remote asked for, and is honoured at once, up to an hour, after which
    /// one probe finds out; `jitter`, from 0 to 1, takes up to half off the delay that is ours to choose.
    pub fn on_failure(&mut self, now: Mono, retry_after: Option<Duration>, jitter: f64) {
        let asked = now + retry_after.unwrap_or_default().min(LONGEST_ASKED);
        if let CircuitState::Open { until } = self.state {
            // A late answer to a call from before: only what the remote asks for is news.
            self.state = CircuitState::Open {
                until: until.max(asked),
            };
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let was_probe = !self.is_closed();
        if was_probe || retry_after.is_some() || self.failures >= self.settings.failures {
            let until = asked.max(now + self.delay(jitter));
            self.state = CircuitState::Open { until };
        }
    }

    /// Lets the next probe start at this moment at the latest: somebody has asked for it.
    pub fn probe_from(&mut self, now: Mono) {
        if let CircuitState::Open { until } = self.state {
            self.state = CircuitState::Open {
                until: until.min(now),
            };
        }
    }

    /// Closes it: what failed before says nothing of what comes (new credentials).
    pub fn reset(&mut self) {
        *self = Self::new(self.settings);
    }

    /// The first delay, doubled for each failure after the one that opened the circuit.
    fn delay(&self, jitter: f64) -> Duration {
        let growth = Growth {
            first: self.settings.first,
            longest: self.settings.longest,
        };
        let after_opening = self.failures.saturating_sub(self.settings.failures);
        growth.after(after_opening.saturating_add(1), jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drained(mut queue: Queue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.pop()).map(|(_, key)| key).collect()
    }

    #[test]
    fn what_has_been_due_for_longest_goes_first_however_late_it_comes() {
        let mut queue = Queue::new();
        for (key, due) in [("young", 30), ("old", 10), ("middle", 20), ("as old", 10)] {
            queue.push_due(Class::Periodic, "shop", key, due);
        }
        queue.push(Class::Changed, "shop", "a person's");
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, key)| key).collect();
        assert_eq!(order, ["a person's", "old", "as old", "middle", "young"]);
    }

    #[test]
    fn what_somebody_waits_for_goes_before_what_nobody_does() {
        let mut queue = Queue::new();
        queue.push(Class::Periodic, "a", "periodic");
        queue.push(Class::Changed, "a", "changed");
        queue.push(Class::New, "a", "new");
        queue.push(Class::Deletion, "a", "deletion");
        queue.push(Class::Unfinished, "a", "unfinished");
        assert_eq!(
            drained(queue),
            ["unfinished", "deletion", "new", "changed", "periodic"]
        );
    }

    #[test]
    fn first_come_first_served_within_a_namespace_and_class() {
        let mut queue = Queue::new();
        for key in ["1", "2", "3"] {
            queue.push(Class::New, "a", key);
        }
        assert_eq!(drained(queue), ["1", "2", "3"]);
    }

    #[test]
    fn namespaces_take_turns() {
        let mut queue = Queue::new();
        for key in ["a1", "a2", "a3"] {
            queue.push(Class::Deletion, "a", key);
        }
        queue.push(Class::Changed, "b", "b1");
        queue.push(Class::New, "c", "c1");
        assert_eq!(drained(queue), ["a1", "b1", "c1", "a2", "a3"]);
    }

    #[test]
    fn a_key_waits_once_and_is_raised_but_never_lowered() {
        let mut queue = Queue::new();
        queue.push(Class::Periodic, "a", "x");
        queue.push(Class::Periodic, "a", "y");
        queue.push(Class::New, "a", "y");
        queue.push(Class::Periodic, "a", "y");
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.pop(), Some((Class::New, "y")));
        assert_eq!(queue.pop(), Some((Class::Periodic, "x")));
        assert_eq!(queue.pop(), None);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_removed_key_is_not_served() {
        let mut queue = Queue::new();
        queue.push(Class::New, "a", "x");
        queue.push(Class::New, "b", "y");
        assert!(queue.remove(&"x"));
        assert!(!queue.remove(&"x"));
        assert_eq!(drained(queue), ["y"]);
    }

    fn classes() -> impl Strategy<Value = Class> {
        prop_oneof![
            Just(Class::Deletion),
            Just(Class::New),
            Just(Class::Changed),
            Just(Class::Periodic)
        ]
    }

    proptest! {
        #[test]
        fn a_namespace_with_one_urgent_item_is_served_within_one_round(
            crowd in proptest::collection::vec((classes(), 0..6_u8, 0..60_u8), 0..120),
            class in classes(),
            served_before in 0..20_usize,
        ) {
            prop_assume!(class.tier() == 1);
            let mut queue = Queue::new();
            for (class, namespace, key) in &crowd {
                queue.push(*class, &namespace.to_string(), (*namespace, *key));
            }
            for _ in 0..served_before {
                queue.pop();
            }
            let lonely = (99, 0);
            queue.push(class, "lonely", lonely);
            let namespaces = 7;
            let served = (0..namespaces).filter_map(|_| {
                // The crowd never stops.
                queue.push(Class::Deletion, "0", (0, 100));
                queue.pop()
            });
            prop_assert!(served.map(|(_, key)| key).any(|key| key == lonely));
        }

        #[test]
        fn everything_pushed_is_popped_once_in_its_best_class(
            pushes in proptest::collection::vec((classes(), 0..4_u8, 0..20_u8), 0..100),
        ) {
            let mut queue = Queue::new();
            let mut best: BTreeMap<(u8, u8), Class> = BTreeMap::new();
            for (class, namespace, key) in pushes {
                queue.push(class, &namespace.to_string(), (namespace, key));
                best.entry((namespace, key)).and_modify(|it| *it = class.min(*it)).or_insert(class);
            }
            prop_assert_eq!(queue.len(), best.len());
            let popped: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
            let urgent = popped.iter().take_while(|(class, _)| class.tier() < 2).count();
            prop_assert!(popped[urgent..].iter().all(|(class, _)| class.tier() == 2));
            let found: BTreeMap<_, _> = popped.iter().map(|(class, key)| (*key, *class)).collect();
            prop_assert_eq!(found.len(), popped.len());
            prop_assert_eq!(found, best);
            prop_assert!(queue.tiers.iter().all(|tier| tier.lanes.is_empty() && tier.turns.is_empty()));
        }
    }

    const fn at(seconds: u64) -> Mono {
        Mono(seconds * 1000)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn open() -> Circuit {
        let mut circuit = Circuit::new(CircuitSettings::default());
        for _ in 0..3 {
            assert!(circuit.may_call(at(0)));
            circuit.on_failure(at(0), None, 0.0);
        }
        circuit
    }

    #[test]
    fn a_circuit_opens_after_some_failures_in_a_row() {
        let mut circuit = Circuit::new(CircuitSettings::default());
        for _ in 0..5 {
            circuit.on_failure(at(0), None, 0.0);
            circuit.on_failure(at(0), None, 0.0);
            circuit.on_success();
        }
        assert!(circuit.is_closed() && circuit.may_call(at(0)));
        assert_eq!(open().next_probe(), Some(at(2)));
    }

    #[test]
    fn an_open_circuit_lets_one_probe_through_at_a_time() {
        let mut circuit = open();
        assert!(!circuit.may_call(Mono(1_999)));
        assert!(circuit.may_call(at(2)));
        assert!(!circuit.may_call(at(2)));
        circuit.on_success();
        assert!(circuit.may_call(at(2)) && circuit.may_call(at(2)));
    }

    #[test]
    fn each_probe_that_fails_doubles_the_delay_up_to_a_limit() {
        let mut circuit = open();
        let mut delays = Vec::new();
        for _ in 0..10 {
            let now = circuit.next_probe().unwrap();
            assert!(circuit.may_call(now));
            circuit.on_failure(now, None, 0.0);
            delays.push((circuit.next_probe().unwrap() - now).as_secs());
        }
        assert_eq!(delays, [4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    }

    #[test]
    fn what_the_remote_asks_for_is_honoured_in_full_and_at_once() {
        let mut circuit = Circuit::new(CircuitSettings::default());
        circuit.on_failure(at(0), Some(seconds(3600)), 1.0);
        assert_eq!(circuit.next_probe(), Some(at(3600)));
        // Late answers to calls from before neither shorten nor close it.
        circuit.on_success();
        circuit.on_failure(at(1), Some(seconds(10)), 0.0);
        assert_eq!(circuit.next_probe(), Some(at(3600)));
        circuit.on_failure(at(2), Some(seconds(3600)), 0.0);
        assert_eq!(circuit.next_probe(), Some(at(3602)));
    }

    #[test]
    fn late_failures_do_not_lengthen_the_delay() {
        let mut circuit = open();
        for _ in 0..50 {
            circuit.on_failure(at(1), None, 0.0);
        }
        assert_eq!(circuit.next_probe(), Some(at(2)));
    }

    #[test]
    fn a_probe_that_is_lost_makes_room_for_another() {
        let mut circuit = open();
        assert!(circuit.may_call(at(2)));
        assert!(!circuit.may_call(at(121)));
        assert!(circuit.may_call(at(122)));
    }

    #[test]
    fn new_credentials_close_it() {
        let mut circuit = open();
        circuit.reset();
        assert!(circuit.may_call(at(1)));
    }

    proptest! {
        #[test]
        fn no_circuit_is_called_early_or_by_two_or_stays_open(
            events in proptest::collection::vec((0..400_u64, 0..3_u8, proptest::option::of(0..900_u64), 0.0..=1.0_f64), 0..60),
        ) {
            let mut circuit = Circuit::new(CircuitSettings::default());
            let mut now = at(0);
            let mut asked_until = at(0);
            let mut probing_since = None;
            for (wait, event, retry_after, jitter) in events {
                now = now + seconds(wait);
                let was_closed = circuit.is_closed();
                if circuit.may_call(now) {
                    prop_assert!(now >= asked_until);
                    let alone = probing_since.is_none_or(|since| now - since >= seconds(120));
                    prop_assert!(was_closed || alone);
                    probing_since = (!was_closed).then_some(now);
                } else {
                    prop_assert!(circuit.next_probe().unwrap() > now);
                }
                match event {
                    0 => circuit.on_success(),
                    1 => {
                        let after = retry_after.map(seconds);
                        circuit.on_failure(now, after, jitter);
                        asked_until = asked_until.max(now + after.unwrap_or_default());
                    }
                    _ => continue,
                }
                probing_since = None;
            }
            let probe = circuit.next_probe().unwrap_or(now).max(now);
            prop_assert!(circuit.may_call(probe));
            circuit.on_success();
            prop_assert!(circuit.is_closed());
            prop_assert!(probe - now <= seconds(900));
        }
    }
}
