//! Where a server may be found: at its own address, and at those of replicas that may become the primary.
//!
//! Addresses are tried as libpq does it with `target_session_attrs=read-write`, but that the one which worked last comes first:
//! after a failover, that is the new primary. An address that leads to no primary is passed over; a login that is refused is
//! refused for all of them.
//!
//! Another server would have other logins, and among them those of the same names. So every address that answers is asked which
//! server it is, and only the one that answered first is gone on with. That is kept in memory: after a restart, and after a
//! change of the spec or of the credentials, whichever answers first counts.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::endpoint::Host;
use crate::provider::{ErrorClass, RemoteError};

/// Where a server may be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: Host,
    pub(super) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// All addresses of a server, and what is known of them.
#[derive(Debug)]
pub(super) struct Hosts {
    addresses: Vec<Address>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Where the primary was found last.
    primary: Option<Address>,
    /// Which server answered first, and where.
    first: Option<(Address, i64)>,
}

impl Hosts {
    /// These addresses, of which one that is named twice is tried once.
    pub(super) fn new(named: Vec<Address>) -> Self {
        let mut addresses = Vec::with_capacity(named.len());
        for address in named {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Self {
            addresses,
            known: Mutex::default(),
        }
    }

    /// Whether there is more than one.
    pub(super) fn are_several(&self) -> bool {
        self.addresses.len() > 1
    }

    /// The addresses in the order in which they are tried.
    pub(super) fn in_order(&self) -> Vec<Address> {
        let primary = self.known().primary.clone();
        let others = self.addresses.iter().filter(|it| Some(*it) != primary.as_ref());
        primary.iter().chain(others).cloned().collect()
    }

    /// Notes that the primary is here.
    pub(super) fn found_primary(&self, address: &Address) {
        self.known().primary = Some(address.clone());
    }

    /// Notes which server answers here. Where another one has answered before, says where that was. At one and the same
    /// address another one may answer: a server that was set up anew, as it may be where there is but one address.
    pub(super) fn contradicted(&self, address: &Address, identifier: i64) -> Option<Address> {
        let mut known = self.known();
        match &known.first {
            Some((place, first)) if place != address => (*first != identifier).then(|| place.clone()),
            _ => {
                known.first = Some((address.clone(), identifier));
                None
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a failure to connect is the same at all addresses: the login is refused, or cannot work.
pub(super) fn is_of_all(error: &RemoteError) -> bool {
    matches!(error.class, ErrorClass::Unauthorized | ErrorClass::Invalid)
}

/// No address is of use, each for its reason.
pub(super) fn no_primary(operation: &'static str, mut tried: Vec<(Address, RemoteError)>) -> RemoteError {
    if tried.len() == 1
        && let Some((_, error)) = tried.pop()
    {
        return error;
    }
    let is_forbidden = |(_, error): &(Address, RemoteError)| error.class == ErrorClass::EndpointNotAllowed;
    let class = match tried.iter().all(is_forbidden) {
        true => ErrorClass::EndpointNotAllowed,
        false => ErrorClass::UNREACHABLE,
    };
    let reasons = tried
        .iter()
        .map(|(address, error)| format!("{address}{}", error.detail));
    let reasons = reasons.collect::<Vec<_>>().join(", ");
    RemoteError::new(
        operation,
        class,
        &format!("no address leads to the primary: {reasons}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(name: &str) -> Address {
        Address {
            host: Host::parse(name).unwrap(),
            port: 5432,
        }
    }

    fn hosts(names: &[&str]) -> Hosts {
        Hosts::new(names.iter().map(|name| address(name)).collect())
    }

    #[track_caller]
    fn assert_order(hosts: &Hosts, expected: &[&str]) {
        let expected: Vec<_> = expected.iter().map(|name| address(name)).collect();
        assert_eq!(hosts.in_order(), expected);
    }

    fn failure(class: ErrorClass, what: &str) -> RemoteError {
        RemoteError::new("list users", class, what)
    }

    #[test]
    fn the_last_primary_is_tried_first_and_the_others_as_they_are_named() {
        let hosts = hosts(&["a", "b", "c", "B"]);
        assert!(hosts.are_several());
        assert_order(&hosts, &["a", "b", "c"]);
        hosts.found_primary(&address("c"));
        assert_order(&hosts, &["c", "a", "b"]);
        hosts.found_primary(&address("b"));
        assert_order(&hosts, &["b", "a", "c"]);
    }

    #[test]
    fn the_server_that_answers_first_is_the_one() {
        let hosts = hosts(&["a", "b", "c"]);
        let (a, b, c) = (address("a"), address("b"), address("c"));
        assert_eq!(hosts.contradicted(&b, 7), None);
        assert_eq!(hosts.contradicted(&a, 7), None);
        assert_eq!(hosts.contradicted(&c, 8), Some(b.clone()));
        assert_eq!(hosts.contradicted(&a, 8), Some(b.clone()));
        assert_eq!(hosts.contradicted(&b, 8), None, "it was set up anew");
        assert_eq!(hosts.contradicted(&c, 8), None);
        assert_eq!(hosts.contradicted(&a, 7), Some(b));
    }

    #[test]
    fn a_refused_login_is_refused_for_all_and_what_is_down_is_not() {
        for (class, expected) in [
            (ErrorClass::Unauthorized, true),
            (ErrorClass::Invalid, true),
            (ErrorClass::Busy, false),
            (ErrorClass::EndpointNotAllowed, false),
            (ErrorClass::UNREACHABLE, false),
        ] {
            assert_eq!(is_of_all(&failure(class.clone(), "x")), expected, "{class}");
        }
    }

    #[test]
    fn each_address_is_named_with_its_reason() {
        let standby = || failure(ErrorClass::UNREACHABLE, "the server is a standby");
        let forbidden = || failure(ErrorClass::EndpointNotAllowed, "not on the list");
        let (a, b) = (address("a"), address("2001:db8::1"));
        assert_eq!(
            no_primary("list users", vec![(a.clone(), forbidden())]),
            forbidden()
        );

        let both = no_primary(
            "list users",
            vec![(a.clone(), standby()), (b.clone(), forbidden())],
        );
        let words = " (no address leads to the primary: a:5432 (the server is a standby), [2001:db8::1]:5432 (not on the list))";
        assert_eq!(
            (both.class, both.detail.as_str()),
            (ErrorClass::UNREACHABLE, words)
        );

        let none = no_primary("list users", vec![(a, forbidden()), (b, forbidden())]);
        assert_eq!(none.class, ErrorClass::EndpointNotAllowed);
    }
}
