//! Whether logins are tried now. Where one after another is refused, it is the address that is wrong, or the server's own
//! rules: then one tries, after growing pauses, and not everybody. No IO.

use std::collections::HashSet;
use std::time::Duration;

use crate::domain::schedule::{Circuit, CircuitSettings};
use crate::domain::time::Mono;

/// How many logins have to be refused, with none that works between, before that speaks of more than one login.
const REFUSED_IN_A_ROW: usize = 3;

const CIRCUIT: CircuitSettings = CircuitSettings {
    failures: 1,
    first: Duration::from_secs(2),
    longest: Duration::from_secs(300),
    probe_limit: Duration::from_secs(30),
};

/// What came of the logins that were tried on a server.
#[derive(Debug)]
pub struct Logins {
    refused: HashSet<String>,
    circuit: Circuit,
}

impl Default for Logins {
    fn default() -> Self {
        Self {
            refused: HashSet::new(),
            circuit: Circuit::new(CIRCUIT),
        }
    }
}

impl Logins {
    /// Whether a login may be tried now; if not, when to ask again. Who may owes a result.
    pub fn may_try(&mut self, now: Mono) -> Result<(), Mono> {
        match self.circuit.may_call(now) {
            true => Ok(()),
            false => Err(self.circuit.next_probe().unwrap_or(now)),
        }
    }

    /// A login has worked, or could not be refused.
    pub fn worked(&mut self) {
        self.refused.clear();
        self.circuit.reset();
    }

    /// A login was refused.
    pub fn refused(&mut self, username: &str, now: Mono, jitter: f64) {
        self.refused.insert(username.to_string());
        if self.refused.len() >= REFUSED_IN_A_ROW {
            self.circuit.on_failure(now, None, jitter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_login_that_is_refused_again_and_again_holds_nobody_else_back() {
        let mut logins = Logins::default();
        for _ in 0..10 {
            assert!(logins.may_try(Mono(0)).is_ok());
            logins.refused("a", Mono(0), 0.0);
        }
    }

    #[test]
    fn where_all_are_refused_one_tries_after_growing_pauses() {
        let mut logins = Logins::default();
        for name in ["a", "b", "c"] {
            assert!(logins.may_try(Mono(0)).is_ok());
            logins.refused(name, Mono(0), 0.0);
        }
        assert_eq!(logins.may_try(Mono(0)), Err(Mono(2000)));
        assert!(logins.may_try(Mono(2000)).is_ok());
        assert!(logins.may_try(Mono(2000)).is_err());
        logins.refused("d", Mono(2000), 0.0);
        assert_eq!(logins.may_try(Mono(3000)), Err(Mono(6000)));
        assert!(logins.may_try(Mono(6000)).is_ok());
        logins.worked();
        assert!(logins.may_try(Mono(6000)).is_ok());
    }
}
