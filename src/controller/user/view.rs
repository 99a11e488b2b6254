//! A PostgresUser with all that was found of it.

use std::sync::Arc;

use kube::ResourceExt;

use super::family;
use crate::api::{DeniedMembership, PostgresUser, names};
use crate::controller::server::task::ServerTask;
use crate::domain::connection::ConnectionDetails;
use crate::domain::plan::*;
use crate::objects::ServerObject;

/// Everything that a pass over one PostgresUser works on.
pub struct View {
    /// The object, as last seen or written.
    pub user: PostgresUser,
    /// Which of its logins is seen to.
    pub login: family::Login,
    /// The server at work, if there is one.
    pub server: Option<Arc<ServerTask>>,
    /// The server object, if there is one.
    pub object: Option<ServerObject>,
    /// How clients connect, as far as is known.
    pub details: Option<ConnectionDetails>,
    /// What is wanted.
    pub desired: Desired,
    /// What was found.
    pub observed: Observed,
    /// The memberships that there are and that the server object does not allow.
    pub denied: Vec<DeniedMembership>,
}

/// Whether the operator is asked before a PostgresUser goes.
pub fn has_finalizer(user: &PostgresUser) -> bool {
    let mut finalizers = user.finalizers().iter();
    finalizers.any(|finalizer| finalizer == names::USER_FINALIZER)
}
