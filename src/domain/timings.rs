//! The times that the journal's rules speak of, and the rules themselves.

use std::time::Duration;

use super::remote::Capabilities;

/// How long things take, at most. Set by the administrator; ARCHITECTURE.md has the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProtocolTimings {
    /// T_live: the longest time that a request can live after it was sent.
    pub t_live: Duration,
    /// W: how long after the start of a journal write a request may be started.
    pub write_window: Duration,
    /// Lag: how long reads may trail writes.
    pub read_lag: Duration,
    /// How long a user's absence, once seen, is fresh enough to decide on a creation.
    pub fresh_for: Duration,
    /// How long a cluster's state may trail its changes: a look sooner after one proves nothing of it (R7).
    pub state_lag: Duration,
    /// How long a cluster must have answered 404 (or two reads must be apart) before it counts as gone.
    pub gone_after: Duration,
    /// How many times within an hour a password is set back before it counts as a fight.
    pub reverts_in_an_hour: usize,
    /// Users carry marks, and are changed behind the same lock as the look at the mark: what was seen of one before need not
    /// be from just now (see [`ProtocolTimings::on`]).
    pub guarded: bool,
    /// Which of the journal's rules hold: all, but in the model check.
    pub rules: Rules,
}

/// Long enough not to ask in a hurry, short enough not to be noticed.
const NO_LAG: Duration = Duration::from_millis(200);

impl ProtocolTimings {
    /// The times as they are on a server that can do this: nobody waits for reads to catch up where they cannot trail, nor for
    /// a state that no change moves (R7).
    #[must_use]
    pub fn on(&self, capabilities: &Capabilities) -> Self {
        Self {
            read_lag: match capabilities.reads_trail {
                true => self.read_lag,
                false => self.read_lag.min(NO_LAG),
            },
            state_lag: match capabilities.turns_busy {
                true => self.state_lag,
                false => Duration::ZERO,
            },
            guarded: capabilities.marks,
            ..*self
        }
    }
}

impl Default for ProtocolTimings {
    fn default() -> Self {
        Self {
            t_live: Duration::from_secs(120),
            write_window: Duration::from_secs(10),
            read_lag: Duration::from_secs(5),
            fresh_for: Duration::from_secs(15),
            state_lag: Duration::from_secs(1),
            gone_after: Duration::from_secs(300),
            reverts_in_an_hour: 3,
            guarded: false,
            rules: Rules::all(),
        }
    }
}

/// One of the journal's rules (ARCHITECTURE.md has them in words).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// Store, then send; the same, or nothing.
    R0,
    /// A new leader writes its epoch before it acts; whoever finds another's epoch stops.
    R1,
    /// Every write to Kubernetes carries what the plan was made from.
    R2,
    /// A request starts only within W of a journal write; inherited entries wait W + T_live.
    R3,
    /// Only entries of one's own stamp are sent.
    R4,
    /// Nothing is dropped for want of a resource.
    R5,
    /// Settling and absence rest on reads that started late enough.
    R6,
    /// Accepted means in effect.
    R7,
    /// Publish, record, settle.
    R8,
    /// "Exists" is weighed.
    R9,
    /// Waiting is done on the waiter's own clock.
    R10,
    /// Nothing is staged or sent without a turn, and what has one is planned anew.
    R11,
}

impl Rule {
    /// All of them.
    pub const ALL: [Rule; 12] = [
        Rule::R0,
        Rule::R1,
        Rule::R2,
        Rule::R3,
        Rule::R4,
        Rule::R5,
        Rule::R6,
        Rule::R7,
        Rule::R8,
        Rule::R9,
        Rule::R10,
        Rule::R11,
    ];
}

/// The rules that hold. The operator always runs with [`Rules::all`]; the model check leaves one out at a time
/// and shows that something then goes wrong, since a rule that nothing misses is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rules(u16);

impl Rules {
    /// Every rule.
    pub const fn all() -> Self {
        Self(u16::MAX)
    }

    /// Every rule but this one. For the model check alone.
    #[must_use]
    pub const fn without(rule: Rule) -> Self {
        Self(!(1 << rule as u16))
    }

    /// Whether a rule holds.
    pub const fn hold(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u16) != 0
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_changes_make_a_cluster_busy_may_its_state_trail_them() {
        let timings = ProtocolTimings::default();
        let quiet = Capabilities::PLAIN;
        assert_eq!(timings.on(&quiet).state_lag, Duration::ZERO);
        let busy = Capabilities {
            turns_busy: true,
            ..quiet
        };
        assert_eq!(timings.on(&busy).state_lag, timings.state_lag);
    }
}
