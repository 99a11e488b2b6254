//! What a remote system says about its users and about itself, in the words every provider shares.

use jiff::Timestamp;

use super::identity::Mark;
use super::role::Traits;
pub use crate::api::{DeletionBlocker, SslMode};

/// A user as the remote system shows it. It never shows a password.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteUser {
    /// The login's name, exactly as the remote has it.
    pub username: String,
    /// A system or protected user: never changed, never deleted, whatever the spec says (I3).
    pub protected: bool,
    /// Who the remote says made it.
    pub creator: Creator,
    /// When it was made, by the remote's clock; `None` where the remote does not say.
    pub created: Option<Timestamp>,
    /// When it was last changed, by the remote's clock; `None` where the remote does not say.
    pub modified: Option<Timestamp>,
    /// What else is shown of it.
    pub traits: Traits,
}

impl RemoteUser {
    /// Whether no password lets it in.
    pub fn lacks_login(&self) -> bool {
        self.traits.role.as_ref().is_some_and(|role| !role.login)
    }

    /// About how many bytes it takes in memory, without what it shares with others.
    pub fn bytes(&self) -> usize {
        let creator = match &self.creator {
            Creator::Account(id) => id.len(),
            Creator::Marked(mark) => mark.installation.len() + mark.uid.len(),
            Creator::Unmanaged | Creator::System | Creator::Unknown => 0,
        };
        let stamp = self.traits.password_stamp.as_ref().map_or(0, String::len);
        // What an allocator adds to each text.
        const EACH: usize = 16;
        size_of::<Self>() + self.username.len() + creator + stamp + 4 * EACH
    }

    /// Whose mark it carries.
    pub fn mark(&self) -> Option<&Mark> {
        match &self.creator {
            Creator::Marked(mark) => Some(mark),
            _ => None,
        }
    }
}

/// Who made a remote user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Creator {
    /// Made through the API by the account with this id.
    Account(String),
    /// Made or taken over by an operator, which left this mark on it (PostgreSQL by SQL).
    Marked(Mark),
    /// Made outside the API (IONOS: `createdBy` ends with `_unmanaged_`; by SQL: without a mark), so not by this
    /// operator.
    Unmanaged,
    /// Made by the vendor (IONOS: `createdBy` ends with `_system_`).
    System,
    /// The remote does not say.
    Unknown,
}

/// What state a remote cluster is in, as far as changing its users goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClusterState {
    /// Changes are in effect, new ones are welcome.
    Available,
    /// A change is on its way; it is not yet certain to be in effect.
    Busy,
    /// Not in order, by the remote's own word; often passes by itself (IONOS: FAILED, DEGRADED, UNKNOWN or
    /// any word that is not known here).
    Impaired,
    /// Being taken down for good.
    Destroying,
}

/// Where and how clients connect, as far as the remote says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// The host.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The database.
    pub database: Option<String>,
    /// What `sslmode` has to be at least.
    pub sslmode: Option<SslMode>,
}

impl Address {
    /// This, and what it leaves open from the other.
    pub fn or(self, other: Address) -> Address {
        Address {
            host: self.host.or(other.host),
            port: self.port.or(other.port),
            database: self.database.or(other.database),
            sslmode: self.sslmode.or(other.sslmode),
        }
    }
}

/// The remote cluster itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Whether changes are in effect.
    pub state: ClusterState,
    /// Where clients connect to, as the remote says; `None` where it does not.
    pub host: Option<String>,
    /// The port clients connect to, as the remote says; `None` where it does not (IONOS never does).
    pub port: Option<u16>,
    /// The database that clients use, as the remote says; `None` where it does not.
    pub database: Option<String>,
    /// What clients need to set `sslmode` to at least, as the remote says; `None` where it does not.
    pub sslmode: Option<SslMode>,
}

/// Which characters a provider takes in a username.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UsernameCharacters {
    /// Whatever PostgreSQL takes.
    Any,
    /// Lower-case letters, digits, hyphens and underscores, with no hyphen or underscore at either end and no two
    /// hyphens in a row.
    LowercaseWords,
}

/// What a provider can do and what it asks of names and passwords: data that the planner reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Capabilities {
    /// The provider's name, as in the spec and in the output Secret's `provider` key.
    pub name: &'static str,
    /// The fewest characters a username may have.
    pub username_min: usize,
    /// The most characters a username may have.
    pub username_max: usize,
    /// Which characters a username may have.
    pub username_characters: UsernameCharacters,
    /// The fewest characters a password may have.
    pub password_min: usize,
    /// The most characters a password may have.
    pub password_max: usize,
    /// Characters that a password must not have.
    pub password_excludes: &'static str,
    /// Names that the provider keeps for itself, compared without regard to case.
    pub reserved: &'static [&'static str],
    /// Whether one user can be read by itself. Without, absence needs two lists (R6).
    pub direct_read: bool,
    /// Whether a change makes the whole cluster busy, so that acceptance is not yet effect (R7).
    pub turns_busy: bool,
    /// Whether reads may trail writes (Lag). Where they cannot, nobody waits for it.
    pub reads_trail: bool,
    /// Whether users carry marks, so that one without a mark is nobody's of ours.
    pub marks: bool,
    /// How many requests are made in a minute where the server object does not say.
    pub requests_per_minute: u32,
}

impl Capabilities {
    /// A provider that asks for nothing beyond PostgreSQL's own rules and of which nothing good is assumed: what
    /// the others are written against.
    pub const PLAIN: Capabilities = Capabilities {
        name: "plain",
        username_min: 1,
        username_max: 63,
        username_characters: UsernameCharacters::Any,
        password_min: 1,
        password_max: 128,
        password_excludes: "",
        reserved: &[],
        direct_read: true,
        turns_busy: false,
        reads_trail: true,
        marks: false,
        requests_per_minute: 300,
    };
}
