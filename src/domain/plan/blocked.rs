//! What holds a deletion up.

use std::fmt;

use super::types::{Stalled, Trouble, Unusable};
use crate::api::Reason;
use crate::api::names::FORCE_FINALIZE;

/// What holds a deletion up. As text it is `Reason: detail`, and so the message of the condition begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Blocked {
    /// Why, as the same trouble is called where nothing is deleted.
    pub reason: Reason,
    /// What is wrong.
    pub detail: String,
}

impl Blocked {
    /// The condition's message for the PostgresUser of this username, with the ways to end the wait.
    pub fn with_remediation(&self, username: &str) -> String {
        format!("{self}; {}", remediation(username))
    }

    /// The reason that the message of a condition begins with.
    pub fn reason_in(message: &str) -> Option<Reason> {
        let (reason, _) = message.split_once(": ")?;
        Reason::named(reason)
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

/// What is wrong elsewhere holds a deletion up under the same reason.
macro_rules! holds_up {
    ($($type:ty),*) => {
        $(impl From<&$type> for Blocked {
            fn from(why: &$type) -> Self {
                Self {
                    reason: why.reason,
                    detail: why.message.clone(),
                }
            }
        })*
    };
}

holds_up!(Trouble, Unusable, Stalled);

/// What lets go of a resource whose deletion is blocked.
pub fn remediation(username: &str) -> String {
    format!(
        "to let this object go and leave the login on the server, set spec.deletionPolicy: Retain; if even that does \
         not help, set the annotation {FORCE_FINALIZE}={username}"
    )
}

/// The login of before cannot be retired.
pub(super) fn retirement_blocked(username: &str, why: &str) -> Stalled {
    Stalled {
        reason: Reason::RetirementBlocked,
        message: format!(
            "the login {username:?}, in whose place another one was published, cannot be retired and still works ({why}): it is \
             tried again each minute. The next rotation waits for it"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_in_the_message() {
        let blocked = Blocked {
            reason: Reason::Rejected,
            detail: "it owns: a table".to_string(),
        };
        let message = blocked.with_remediation("app");
        assert_eq!(Blocked::reason_in(&message), Some(Reason::Rejected));
        assert_eq!(Blocked::reason_in("the login is being deleted"), None);
    }
}
