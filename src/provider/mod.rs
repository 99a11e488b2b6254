//! Remote systems: one trait, one folder for each, with the wire types private to it.

pub mod bundle;
mod dial;
pub mod error;
pub mod gate;
pub mod http;
pub mod ionos;
mod lenient;
pub mod login;
pub mod memory;
pub mod postgresql;
pub mod scalingo;
mod sqlstate;
pub mod tls;

use std::future::Future;

use jiff::Timestamp;

use crate::domain::identity::Mark;
use crate::domain::password::Password;
pub use crate::domain::remote::{Capabilities, Cluster, ClusterState, Creator, RemoteUser};
use crate::domain::role::RoleSettings;
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

    /// Makes a user with this password and these settings. The answer is the user as made, where the remote says.
    fn create(
        &self,
        mutation: &Mutation<'_>,
        password: &Password,
    ) -> impl Future<Output = Result<Answer<Option<RemoteUser>>, RemoteError>> + Send;

    /// Gives an existing user this password, and nothing else but our mark, where there are marks. The answer is
    /// the user as changed, where the remote says. A user that is there but not whom the order means, where that
    /// can be told, is [`ErrorClass::NotFound`].
    fn set_password(
        &self,
        mutation: &Mutation<'_>,
        password: &Password,
    ) -> impl Future<Output = Result<Answer<Option<RemoteUser>>, RemoteError>> + Send;

    /// Gives an existing user the settings of the order, and leaves its password as it is. Refused as
    /// [`ErrorClass::Invalid`] where a user's settings cannot be changed.
    fn configure(
        &self,
        mutation: &Mutation<'_>,
    ) -> impl Future<Output = Result<Answer<Option<RemoteUser>>, RemoteError>> + Send;

    /// Deletes a user. A user that is not there, or is there but not whom the order means, is
    /// [`ErrorClass::NotFound`].
    fn delete(&self, mutation: &Mutation<'_>)
    -> impl Future<Output = Result<Answer<()>, RemoteError>> + Send;
}

/// The most users of one server that are kept, unless an administrator says otherwise.
pub const MOST_USERS: usize = 50_000;

/// How much memory lists of users may take by default where it is not known how much the process has: 32 MiB.
pub const LIST_MEMORY: usize = 32 << 20;

/// What is said of a server that has more.
pub(crate) const TOO_MANY: &str = "the server has more users than are kept in memory: an administrator can raise the limit \
                                   with --max-users-per-server";

/// Whom a mutation is for.
#[derive(Debug, Clone, Copy)]
pub struct Mutation<'a> {
    /// The user's name.
    pub username: &'a str,
    /// The UID of the PostgresUser. Where roles carry marks, only a role with the mark of this object (or with
    /// `former`) is changed, and it carries it afterwards.
    pub owner: &'a str,
    /// What the user should be besides its name and password.
    pub settings: &'a RoleSettings,
    /// Takes over a user that exists: one without any mark, or with `former`.
    pub adopt: bool,
    /// The mark that the user carried when its adoption was decided.
    pub former: Option<&'a Mark>,
}

/// One of the remote systems that are known.
#[derive(Debug)]
pub enum AnyProvider {
    /// IONOS DBaaS PostgreSQL.
    Ionos(ionos::Ionos),
    /// Scalingo's Database API.
    Scalingo(scalingo::Scalingo),
    /// Any PostgreSQL, by SQL.
    Postgresql(postgresql::Postgresql),
}

/// The same call on whichever it is.
macro_rules! each {
    ($self:expr, $provider:ident => $call:expr) => {
        match $self {
            AnyProvider::Ionos($provider) => $call,
            AnyProvider::Scalingo($provider) => $call,
            AnyProvider::Postgresql($provider) => $call,
        }
    };
}

impl Provider for AnyProvider {
    fn capabilities(&self) -> &Capabilities {
        each!(self, provider => provider.capabilities())
    }

    async fn cluster(&self) -> Result<Answer<Cluster>, RemoteError> {
        each!(self, provider => provider.cluster().await)
    }

    async fn list(&self) -> Result<Answer<Listing>, RemoteError> {
        each!(self, provider => provider.list().await)
    }

    async fn get(&self, username: &str) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        each!(self, provider => provider.get(username).await)
    }

    async fn create(
        &self,
        mutation: &Mutation<'_>,
        password: &Password,
    ) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        each!(self, provider => provider.create(mutation, password).await)
    }

    async fn set_password(
        &self,
        mutation: &Mutation<'_>,
        password: &Password,
    ) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        each!(self, provider => provider.set_password(mutation, password).await)
    }

    async fn configure(&self, mutation: &Mutation<'_>) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        each!(self, provider => provider.configure(mutation).await)
    }

    async fn delete(&self, mutation: &Mutation<'_>) -> Result<Answer<()>, RemoteError> {
        each!(self, provider => provider.delete(mutation).await)
    }
}
