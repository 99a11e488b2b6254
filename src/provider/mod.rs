//! Remote systems: one trait, one folder for each, with the wire types private to it.

pub mod error;
pub mod gate;
pub mod http;
pub mod ionos;
pub mod login;
pub mod tls;

use std::future::Future;

use jiff::Timestamp;

use crate::domain::password::Password;
pub use crate::domain::remote::{Capabilities, Cluster, ClusterState, Creator, RemoteUser};
pub use error::{ErrorClass, RemoteError};

/// An answer, and when the remote gave it by its own clock (its `Date` header).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// What was answered.
    pub value: T,
    /// The remote's `Date`; `None` where it sends none that can be read.
    pub date: Option<Timestamp>,
}

/// All users of a remote cluster, system users included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The users, in the order they came; a name that came on two pages is here once.
    pub users: Vec<RemoteUser>,
    /// How many calls it took. An absence seen in more than one page has to be confirmed by a read.
    pub pages: u32,
}

/// A remote system that keeps PostgreSQL logins.
///
/// Every method is one attempt (a list: one for each page): no method retries, since the caller decides
/// whether a mutation may be repeated (R0). All are bounded in time and in the size of the answer. Dropping
/// a future abandons the call; a mutation abandoned so is to be treated as [`ErrorClass::Unknown`].
pub trait Provider: Send + Sync {
    /// What this provider can do and asks for.
    fn capabilities(&self) -> &Capabilities;

    /// The cluster itself. [`ErrorClass::NotFound`] if the remote says there is none.
    fn cluster(&self) -> impl Future<Output = Result<Answer<Cluster>, RemoteError>> + Send;

    /// All users.
    fn list(&self) -> impl Future<Output = Result<Answer<Listing>, RemoteError>> + Send;

    /// One user; `None` if there is none of that name. Where the remote cannot read one user
    /// ([`Capabilities::direct_read`]), a fresh list is made and filtered.
    fn get(
        &self,
        username: &str,
    ) -> impl Future<Output = Result<Answer<Option<RemoteUser>>, RemoteError>> + Send;

    /// Makes a user with this password. The answer is the user as made, where the remote says.
    fn create(
        &self,
        username: &str,
        password: &Password,
    ) -> impl Future<Output = Result<Answer<Option<RemoteUser>>, RemoteError>> + Send;

    /// Gives an existing user this password. The answer is the user as changed, where the remote says.
    fn set_password(
        &self,
        username: &str,
        password: &Password,
    ) -> impl Future<Output = Result<Answer<Option<RemoteUser>>, RemoteError>> + Send;

    /// Deletes a user. A user that is not there is [`ErrorClass::NotFound`].
    fn delete(&self, username: &str) -> impl Future<Output = Result<Answer<()>, RemoteError>> + Send;
}

/// One of the remote systems that are known.
#[derive(Debug)]
pub enum AnyProvider {
    /// IONOS DBaaS PostgreSQL.
    Ionos(ionos::Ionos),
}

impl Provider for AnyProvider {
    fn capabilities(&self) -> &Capabilities {
        match self {
            AnyProvider::Ionos(ionos) => ionos.capabilities(),
        }
    }

    async fn cluster(&self) -> Result<Answer<Cluster>, RemoteError> {
        match self {
            AnyProvider::Ionos(ionos) => ionos.cluster().await,
        }
    }

    async fn list(&self) -> Result<Answer<Listing>, RemoteError> {
        match self {
            AnyProvider::Ionos(ionos) => ionos.list().await,
        }
    }

    async fn get(&self, username: &str) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        match self {
            AnyProvider::Ionos(ionos) => ionos.get(username).await,
        }
    }

    async fn create(&self, username: &str, password: &Password) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        match self {
            AnyProvider::Ionos(ionos) => ionos.create(username, password).await,
        }
    }

    async fn set_password(
        &self,
        username: &str,
        password: &Password,
    ) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        match self {
            AnyProvider::Ionos(ionos) => ionos.set_password(username, password).await,
        }
    }

    async fn delete(&self, username: &str) -> Result<Answer<()>, RemoteError> {
        match self {
            AnyProvider::Ionos(ionos) => ionos.delete(username).await,
        }
    }
}
