//! What this process remembers of the sendings of an entry. Never stored: after a restart every entry counts
//! as sent, with an unknown outcome.

use jiff::Timestamp;

use super::remote::RemoteUser;
use super::time::Mono;
use crate::api::DeletionBlocker;

/// The sendings of one entry, as far as this process knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Attempts {
    /// A request is on its way right now.
    pub in_flight: bool,
    /// Another process may have sent the entry.
    pub inherited: bool,
    /// The outcome of some attempt is unknown (true of every inherited entry).
    pub unknown: bool,
    /// The end of the last attempt on this process's clock; for an inherited entry, the latest moment at which
    /// the earlier leader may have started one.
    pub last: Option<Mono>,
    /// The same by the remote's clock, where it is known.
    pub last_by_remote: Option<Timestamp>,
    /// The last definite answer.
    pub outcome: Option<Outcome>,
    /// Whether the staged password was seen to log in, or not to.
    pub login: Login,
    /// How many times in a row it was seen not to.
    pub login_refusals: u32,
    /// When the deletion that this creation took the place of was answered: until its effect has been seen, "exists" may
    /// mean the user that is on its way out.
    pub after_deletion: Option<Mono>,
    /// The cluster turned BUSY while several changes, this one among them, were under way: none of them is certain to
    /// have been kept until a list shows it (R7).
    pub doubtful: bool,
}

impl Attempts {
    /// Of an entry that this process has just stored.
    pub fn none() -> Self {
        Self::default()
    }

    /// Of an entry that an earlier leader left: it may have been sent until `last`.
    pub fn inherited(last: Mono) -> Self {
        Self {
            inherited: true,
            unknown: true,
            last: Some(last),
            ..Self::default()
        }
    }

    /// Whether every attempt, and every attempt of the entries that this one replaced, has a definite outcome: then
    /// nothing of it can still arrive.
    pub fn is_definite(&self) -> bool {
        !self.unknown && !self.in_flight && self.outcome.is_some()
    }

    /// Whether the last answer was that it is done.
    pub fn is_accepted(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Accepted { .. }))
    }

    /// Whether the entry was never sent by anyone.
    pub fn never_sent(&self) -> bool {
        !self.in_flight && !self.unknown && self.last.is_none()
    }
}

/// A definite answer to a mutation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Done; when the answer came, and the user as it is now where the remote said.
    Accepted {
        /// When the answer came, on this process's clock.
        at: Mono,
        /// The user as made or changed.
        user: Option<RemoteUser>,
    },
    /// A creation was refused in words that may mean that the name is taken, or that the request is bad:
    /// a read tells which. The text is fit to be shown.
    Exists(String),
    /// There is no such user.
    NotFound,
    /// Refused for good: sending the same again is no use.
    Refused {
        /// Why, fit to be shown.
        message: String,
        /// What keeps the login from being deleted, where the remote says it thing by thing.
        blockers: Vec<DeletionBlocker>,
    },
}

/// What a login with the staged password showed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Login {
    /// It was not tried.
    #[default]
    NotTried,
    /// It works.
    Accepted,
    /// The server says that the password is wrong; when it was tried.
    Refused(Mono),
    /// The server cannot be asked from here, or not safely. The text is fit to be shown.
    Unverifiable(String),
}
