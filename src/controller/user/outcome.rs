//! What has come of a step.

use std::time::Duration;

use crate::api::{PostgresUser, PublishedSecret};
use crate::domain::plan::*;

/// What a step came to.
#[derive(Debug, Default)]
pub struct Done {
    /// The object as it is after a write to it.
    pub user: Option<PostgresUser>,
    /// What is to be recorded of it.
    pub outcome: Outcome,
    /// What the Secret was read to hold, and at which resourceVersion.
    pub content: Option<(String, SecretContent)>,
    /// What is to happen next.
    pub then: Then,
}

/// What of a step is to be recorded.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was published.
    pub published: Option<Publishing>,
    /// The login is not this PostgresUser's any more.
    pub forgotten: bool,
    /// What was restarted.
    pub restarted: Option<Restarted>,
}

/// Workloads that were restarted.
#[derive(Debug)]
pub struct Restarted {
    /// For which publication.
    pub publication: String,
    /// Which, as `deployment/shop`.
    pub workloads: Vec<String>,
    /// Those that were to be, and are not there.
    pub missing: Vec<String>,
}

/// What was published.
#[derive(Debug)]
pub struct Publishing {
    /// The Secret.
    pub secret: PublishedSecret,
    /// Why its password is another than before, if it is.
    pub new_password: Option<&'static str>,
}

/// What is to happen after a step.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// Observe and plan again at once.
    #[default]
    Again,
    /// Something will trigger the next pass.
    Wait,
    /// Look again after this long.
    WaitFor(Duration),
    /// The object is let go.
    Gone,
}

impl Done {
    /// Nothing more is to be done before something triggers the next pass.
    pub fn wait() -> Self {
        Self {
            then: Then::Wait,
            ..Self::default()
        }
    }
}
