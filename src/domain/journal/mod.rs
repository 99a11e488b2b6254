//! The journal: the write-ahead log of remote mutations, as data. [`protocol`] has the rules of who may write
//! and send, [`bounds`] what fits; `controller::journal_store` keeps it in a Secret.

pub mod bounds;
pub mod codec;
mod entries;
pub mod protocol;
mod unknown;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::identity::Mark;
use super::password::Password;
use super::role::RoleSettings;
use super::time::read_whole_seconds;
use super::wish::read_short;
pub use entries::Entries;
pub use unknown::Unknown;

/// Names an entry within its journal. Never used twice in one lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId(pub u64);

/// The PostgresUser that an entry belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID: an object of the same name made later is another owner.
    pub uid: String,
}

/// What is to be done to the remote user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Make it, with the password.
    Create,
    /// Give it the password.
    SetPassword,
    /// Take over a user that existed before, by giving it the password.
    Adopt,
    /// Give it the attributes and memberships that it should have. Leaves the password as it is.
    Configure,
    /// Delete it.
    Delete,
}

/// Why an entry was made: what has to be recorded once it is done.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// The user does not exist yet.
    Missing,
    /// The user does not exist any more, although there is a record of it.
    Vanished,
    /// The annotation `pguser.dev/rotate` has this value.
    Rotation(#[serde(deserialize_with = "read_short")] String),
    /// The password is as old as `spec.rotation` lets it get.
    Scheduled,
    /// Another login is to be published than the one that is, since `spec.rotation.strategy` has changed.
    StrategyChanged,
    /// Nobody is to log in with this one any more, since another one was published.
    Retirement,
    /// The user's own Secret holds another password.
    OwnPassword,
    /// The output Secret is gone or its password was changed.
    SecretDamaged,
    /// The password was changed from outside.
    SetBack,
    /// The user existed and is taken over.
    Adoption,
    /// The user is the resource's already, by another way to the same database or of an earlier life of the
    /// resource: taken over with the password that is published.
    Moved,
    /// Attributes or memberships are not as they should be.
    Settings,
    /// The resource is being deleted.
    Deletion,
}

impl Cause {
    /// Why a password was changed, in a word for status; none where it was not.
    pub fn of_new_password(&self) -> Option<&'static str> {
        Some(match self {
            Cause::Missing | Cause::Vanished => "Created",
            Cause::Adoption | Cause::Moved => "Adopted",
            Cause::Rotation(_) => "Requested",
            Cause::Scheduled => "Scheduled",
            Cause::StrategyChanged => "StrategyChanged",
            Cause::OwnPassword => "OwnPassword",
            Cause::SecretDamaged => "SecretDamaged",
            Cause::SetBack => "Reverted",
            Cause::Settings | Cause::Retirement | Cause::Deletion => return None,
        })
    }
}

/// What was known of the remote user when the entry was decided, by the remote's clock: the evidence by which
/// a user that "exists" is later weighed (R9).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Seen {
    /// The remote's `Date` when it was read; `None` where it sends none.
    #[serde(
        default,
        deserialize_with = "read_whole_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub at: Option<Timestamp>,
    /// When the user was made, if it was there and the remote said.
    #[serde(
        default,
        deserialize_with = "read_whole_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub created: Option<Timestamp>,
    /// Whether the user was there.
    pub present: bool,
    /// Whose mark it carried, if any: only with this one, or with our own, is it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
}

/// One remote mutation that has been decided and whose outcome is not yet settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in the journal.
    pub id: EntryId,
    /// Whose it is.
    pub owner: Owner,
    /// The remote user.
    pub username: String,
    /// What to do.
    pub kind: Kind,
    /// Why.
    pub cause: Cause,
    /// The password to set; none for a deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// What was known when it was decided.
    pub seen: Seen,
    /// Whether the remote user has been shown to be ours since (an owner record, or R9's weighing).
    #[serde(default, skip_serializing_if = "is_default")]
    pub proven_ours: bool,
    /// What the login should be besides, when this was decided.
    #[serde(default, skip_serializing_if = "is_default")]
    pub settings: RoleSettings,
    /// The login is to be kept when its resource goes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retain: bool,
    /// The epoch that stamped it.
    pub epoch: u64,
}

/// What is as usual is not written down: thousands of accepted deletions have to fit.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Who writes the journal, and which of its states this is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Header {
    /// The identity of the process that wrote last.
    pub holder: String,
    /// Rises by one whenever another process takes over: the fence between an old leader and a new one.
    pub epoch: u64,
    /// A random name given when the journal was first made: another one is another journal.
    pub lineage: String,
    /// Rises by one with every write: a lower one than was seen before means that the journal was put back.
    pub sequence: u64,
    /// The next entry's id.
    pub next_id: u64,
    /// Random, and another with every write: what carries the token of a write is that write (R1). Earlier versions
    /// wrote none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token: String,
}

/// The journal of one server object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// Whose and which.
    pub header: Header,
    /// What is not yet settled.
    pub entries: Entries,
    /// Entries of a format that this version does not know: kept as they are.
    pub unknown: Vec<Unknown>,
}

impl Journal {
    /// How many bytes the entries take, written down.
    pub fn bytes(&self) -> usize {
        let unknown: usize = self.unknown.iter().map(Unknown::size).sum();
        // Each is counted with a comma, of which there is one fewer; and there are two brackets.
        (self.entries.bytes() + unknown + 1).max(2)
    }
}
