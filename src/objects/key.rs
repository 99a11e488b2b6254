//! Which object.

use std::fmt;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::api::{PostgresUser, ServerKind, ServerRef};

/// A PostgresUser, as triggers name it.
pub type UserRef = ObjectRef<PostgresUser>;

/// Which server object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerKey {
    /// Its kind.
    pub kind: ServerKind,
    /// Its namespace; none for a ClusterPostgresServer.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ServerKey {
    /// Which server object a reference in this namespace means.
    pub fn of(reference: &ServerRef, namespace: &str) -> Self {
        Self {
            kind: reference.kind,
            namespace: (reference.kind == ServerKind::PostgresServer).then(|| namespace.to_string()),
            name: reference.name.clone(),
        }
    }

    /// Which server object a PostgresUser refers to.
    pub fn named_by(user: &PostgresUser) -> Self {
        Self::of(&user.spec.server_ref, &user.namespace().unwrap_or_default())
    }

    /// As a PostgresUser refers to it.
    pub fn reference(&self) -> ServerRef {
        ServerRef {
            kind: self.kind,
            name: self.name.clone(),
        }
    }
}

impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "PostgresServer {namespace}/{}", self.name),
            None => write!(f, "ClusterPostgresServer {}", self.name),
        }
    }
}
