//! What is said where the server refuses a password, or settings.

use super::types::*;
use crate::api::Reason;

/// What is said of a password, or a name, that the server does not take.
pub fn rejection(message: &str) -> Stalled {
    Stalled {
        reason: Reason::Rejected,
        message: format!(
            "the server refused the request ({message}): change spec.password, the Secret it names, or the annotation \
             {}, and it is tried again; what worked before goes on working",
            crate::api::names::ROTATE
        ),
    }
}

/// What is said of attributes or memberships that the server does not give.
pub fn settings_rejection(message: &str) -> Stalled {
    Stalled {
        reason: Reason::SettingsRejected,
        message: format!(
            "the server refused spec.postgresql ({message}): change it, or mend what is missing; it is tried again after a minute \
             and then less often, and at once when the annotation {} of the server object gets a new value. The login works as \
             it is",
            crate::api::names::REFRESH
        ),
    }
}
