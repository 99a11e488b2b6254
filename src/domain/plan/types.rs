//! What the planner reads and what it says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::{DeletionBlocker, Reason, ServerRef};
use crate::domain::alternation::Part;
use crate::domain::attempts::{Attempts, Login};
use crate::domain::identity::{Claim, RemoteIdentity};
use crate::domain::journal::{Cause, Entry, EntryId, Kind, Seen};
use crate::domain::remote::{Capabilities, ClusterState, RemoteUser};
use crate::domain::role::{Memberships, RoleSettings};
use crate::domain::schedule::Class;
use crate::domain::time::Mono;

/// What the resource asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Desired {
    /// The login's name.
    pub username: String,
    /// What the login is there for.
    pub part: Part,
    /// `spec.username`, which is another name where two logins take turns.
    pub principal: String,
    /// The PostgresUser has other logins, which are recorded and stay after this one.
    pub has_others: bool,
    /// Nobody is to log in with this login any more.
    pub retiring: bool,
    /// It is not retired before it has no session left, or this moment has come; none if that does not matter.
    pub unused_by: Option<Mono>,
    /// Of a login of before: from when on it is told that the workloads that use the Secret are not all restarted yet.
    pub rollout_by: Option<Mono>,
    /// What an entry of the journal has begun for this login is not wanted any more.
    pub withdrawn: bool,
    /// When the login of before, which still works, may be retired.
    pub overlap_ends: Option<Mono>,
    /// Why the spec cannot be done on this server, if so: found by the rules of `username` and `generate`.
    pub invalid: Option<Invalid>,
    /// Why the server object does not allow all that the spec asks for, if so. `settings` has what it allows: no login is made
    /// with less than was asked for, and one that is there gets no more.
    pub beyond: Option<Invalid>,
    /// The value of the annotation that asks for a new password.
    pub rotate: Option<String>,
    /// Where the password comes from.
    pub password: WantedPassword,
    /// What the login should be besides its name and its password.
    pub settings: RoleSettings,
    /// Take over a user that exists.
    pub adopt: bool,
    /// Keep the login and the Secret when the resource goes.
    pub retain: bool,
    /// Do nothing but delete.
    pub suspended: bool,
    /// The resource is being deleted.
    pub deleting: bool,
    /// The annotation that lets go of it names this username.
    pub force_finalize: bool,
    /// A digest of everything that the output Secret should hold besides the password.
    pub content_digest: String,
    /// The address that an output Secret should name; none while it is not known.
    pub address: Option<String>,
    /// When the password is as old as the spec lets it get; none if it may get any age.
    pub rotation_due: Option<Mono>,
    /// Names this wish for a password: while it is the one that was refused, it is not sent again. The MAC of
    /// the user's own password, or the generation and rotation that ask for a generated one.
    pub wish: String,
    /// Names this wish for settings, likewise.
    pub settings_wish: String,
}

/// A spec that this server cannot fulfil.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Invalid {
    /// The condition's reason: `InvalidUsername`, `InvalidPassword`.
    pub reason: Reason,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// Where the password comes from, as far as the planner has to know.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WantedPassword {
    /// Generated.
    Generated,
    /// The user's own, with this MAC.
    Own {
        /// The MAC of what the user's Secret holds.
        mac: String,
    },
    /// The user's own, and it cannot be had; the text says why.
    Missing(String),
}

/// Everything that was observed for one resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Observed {
    /// The resource's UID.
    pub uid: String,
    /// The finalizer is there.
    pub finalizer: bool,
    /// The claim that the resource carries.
    pub claim: Option<Claim>,
    /// The claim that it should carry on this installation and server.
    pub own_claim: Option<Claim>,
    /// The record of ownership, from status.
    pub record: Option<Record>,
    /// The Secret as published, from status.
    pub published: Option<Published>,
    /// The rotation that was last handled, from status.
    pub handled_rotation: Option<String>,
    /// The wish for a password that the remote refused, from status.
    pub rejected: Option<Rejected>,
    /// The wish for settings that the remote refused, from status.
    pub rejected_settings: Option<Rejected>,
    /// How often the password was set back within the last hour, from status.
    pub reverts: usize,
    /// The output Secret as it is.
    pub secret: SecretView,
    /// The server.
    pub server: ServerView,
    /// The remote user, as last read.
    pub observation: Option<Observation>,
    /// When this process last changed the remote user (after a restart: when it began).
    pub last_write: Option<Mono>,
    /// The journal's entry for this resource.
    pub entry: Option<StagedEntry>,
    /// Another PostgresUser to whom the remote user belongs. For an entry without a resource: one whose *record*
    /// has it, since a mere claim waits for that entry.
    pub rival: Option<Rival>,
    /// What became of the last login with the published password, and when the next is due.
    pub tried: Tried,
    /// When settings that were refused may be asked for again.
    pub settings_due: Mono,
    /// The name under which the remote shows the login that carries this resource's mark, if that is another one than its own:
    /// somebody has renamed it.
    pub renamed: Option<String>,
    /// The journal's entry of another resource for the same remote user, if there is one.
    pub predecessor: Predecessor,
    /// The resource has a turn of its server's scheduler (R11).
    pub turn: bool,
    /// What goes wrong with requests about this login, while the server itself is in order.
    pub difficulty: Option<Trouble>,
    /// What of the last step was not taken by the Kubernetes API, or by the journal.
    pub refusal: Option<Trouble>,
    /// The restart of workloads for what is published; none if nobody asks for one.
    pub restart: Option<Restarting>,
}

/// What is known of a restart of workloads for what is published.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Restarting {
    /// All of them were restarted, which is on record.
    pub done: bool,
    /// What went wrong last.
    pub failure: Option<RestartFailure>,
    /// The last look at them.
    pub rollout: Option<Rollout>,
}

/// A restart, or a look at one, that did not go through.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RestartFailure {
    /// What a person has to see to, if that is so.
    pub trouble: Option<Trouble>,
    /// When it is tried again.
    pub again: Mono,
}

/// A look at workloads that were restarted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rollout {
    /// When it was begun.
    pub seen: Mono,
    /// Which of them have Pods of before still, or Pods that are not available yet; none if all are through.
    pub unfinished: Option<String>,
}

/// What another resource has left on its way for the same remote user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Predecessor {
    /// Nothing.
    #[default]
    None,
    /// A request that may still take effect: until its entry is settled, a different request to that user waits (R0).
    Blocks,
    /// A deletion that was accepted, with nothing unknown before it: a creation may take its place in the journal.
    Deleted {
        /// Its entry.
        entry: EntryId,
        /// When it was answered.
        answered: Mono,
    },
}

impl Observed {
    /// The wish for a password, if it is the one that the remote refused.
    pub fn refused_password(&self, desired: &Desired) -> Option<&Rejected> {
        let rejected = self.rejected.as_ref();
        rejected.filter(|rejected| rejected.wish == desired.wish)
    }

    /// The wish for settings, if it is the one that the remote refused.
    pub fn refused_settings(&self, desired: &Desired) -> Option<&Rejected> {
        let rejected = self.rejected_settings.as_ref();
        rejected.filter(|rejected| rejected.wish == desired.settings_wish)
    }
}

/// What is known of the published password by logging in with it, where the remote does not show its changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tried {
    /// What became of the last login on this server since the login was last changed.
    pub login: Login,
    /// When it is to be tried again.
    pub due: Mono,
}

/// The record of ownership.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// The server object by which it came to be ours; none in records of before this was kept.
    pub server: Option<ServerRef>,
    /// The cluster that it was made on.
    pub identity: RemoteIdentity,
    /// Taken over, not made.
    pub adopted: bool,
    /// It was adopted from an earlier server object of the same resource, for which it had been made.
    pub moved: bool,
    /// When the user was made, by the remote's clock.
    pub created: Option<Timestamp>,
    /// The date of last change that our own last change left, by the remote's clock.
    pub last_set: Option<Timestamp>,
    /// What told the password's changes after our own last change, where the remote shows such a thing.
    pub password_stamp: Option<String>,
    /// The memberships that were granted because the spec asked for them.
    pub memberships: Memberships,
    /// The parameters that were set because the spec asked for them.
    pub config: BTreeSet<String>,
    /// Nobody can log in with it any more, since another login was published in its place.
    pub retired: bool,
}

/// The Secret as published.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Published {
    /// Its resourceVersion.
    pub resource_version: String,
    /// The MAC of its password.
    pub mac: String,
    /// The digest of the rest.
    pub content_digest: String,
    /// The address that it names, where that is on record.
    pub address: Option<String>,
    /// When its MAC is made anew, if it is of an earlier form.
    pub renewed_at: Option<Mono>,
}

/// A wish that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rejected {
    /// Which: see [`Desired::wish`].
    pub wish: String,
    /// What the remote said, fit to be shown.
    pub message: String,
}

/// The output Secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretView {
    /// There is none.
    Absent,
    /// There is one that is not this resource's; the text says whose, as far as may be told.
    Foreign(String),
    /// This resource's, and being deleted: until the finalizers of others are gone it can be neither changed nor replaced.
    /// The text names them.
    Leaving(String),
    /// This resource's.
    Ours {
        /// Its resourceVersion.
        resource_version: String,
        /// It is garbage-collected with its resource, or does not say yet that it was retained.
        owned: bool,
        /// What it holds, if it was read.
        content: Option<SecretContent>,
    },
}

/// What an output Secret holds, as far as the planner has to know.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretContent {
    /// The MAC of its password; none if the key is missing.
    pub mac: Option<String>,
    /// Everything in it is as it should be with that password.
    pub intact: bool,
}

/// The server as far as one user is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerView {
    /// It cannot be used, and why. The text is fit to be shown to the user's namespace.
    Unusable(Unusable),
    /// It is there.
    Usable(Box<Server>),
}

/// Why a server cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unusable {
    /// The condition's reason: `ServerNotFound`, `ServerNotReady`.
    pub reason: Reason,
    /// What is wrong.
    pub message: String,
}

impl Unusable {
    /// The same as what is wrong with a server now.
    pub fn as_trouble(&self) -> Trouble {
        Trouble {
            reason: self.reason,
            message: self.message.clone(),
            stalled: false,
        }
    }
}

/// A server that is there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// The server object, as the resource refers to it.
    pub reference: ServerRef,
    /// The remote cluster.
    pub identity: RemoteIdentity,
    /// What its provider can do.
    pub capabilities: Capabilities,
    /// Users may be taken over here.
    pub allow_adoption: bool,
    /// An installation whose claims may be taken over.
    pub take_over_from: Option<String>,
    /// The credentials have worked with this cluster (in this process, or a record says so).
    pub credentials_worked: bool,
    /// The remote cluster counts as gone (design, "Deletion").
    pub gone: bool,
    /// What is wrong with it now, if anything: nothing is sent, but reads and deletions go on as they can.
    pub trouble: Option<Trouble>,
    /// Why nothing new is begun here, if so: the server object is being deleted, or admits the resource no longer. What
    /// was accepted before is finished.
    pub closed: Option<Unusable>,
    /// The last state that was read, and when that read was started.
    pub state: Option<(ClusterState, Mono)>,
    /// The reads that showed the cluster AVAILABLE, the oldest first; the last few.
    pub available: Arc<[Look]>,
    /// When the cluster was last seen not AVAILABLE.
    pub last_not_available: Option<Mono>,
    /// Whether published credentials can be tried by a login from here.
    pub verifiable: bool,
    /// Why not, in words that may be shown; none if they can, or nobody has said.
    pub unverifiable: Option<String>,
    /// Nothing is published that has not logged in.
    pub must_log_in: bool,
    /// When a login that could not be tried may be tried again.
    pub log_in_again: Option<Mono>,
    /// The id under which this server's credentials make users, if one was seen.
    pub creator_id: Option<String>,
}

/// A read of the cluster's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Look {
    /// When it was started, on this process's clock.
    pub started: Mono,
    /// The remote's `Date`.
    pub date: Option<Timestamp>,
}

/// What is wrong with a server now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Trouble {
    /// The condition's reason: `Unauthorized`, `Throttled`, `Unreachable`, `EndpointNotAllowed`, …
    pub reason: Reason,
    /// What is wrong.
    pub message: String,
    /// A person must act.
    pub stalled: bool,
}

impl Trouble {
    /// The same as what a person has to see to.
    pub fn as_stalled(&self) -> Stalled {
        Stalled {
            reason: self.reason,
            message: self.message.clone(),
        }
    }
}

/// What a read showed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Observation {
    /// The user; none if it was not there.
    pub user: Option<RemoteUser>,
    /// When the read was started, on this process's clock.
    pub started: Mono,
    /// The remote's `Date`.
    pub date: Option<Timestamp>,
    /// Whether an absence may be believed: a direct read, a list of one page, or (where there is no direct
    /// read) the second of two lists that are Lag apart.
    pub proves_absence: bool,
}

impl Observation {
    /// What an entry that is decided on this read keeps of it.
    pub fn as_seen(&self) -> Seen {
        let user = self.user.as_ref();
        Seen {
            at: self.date,
            created: user.and_then(|user| user.created),
            present: user.is_some(),
            mark: user.and_then(|user| user.mark().cloned()),
        }
    }
}

/// The journal's entry for a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedEntry {
    /// The entry.
    pub entry: Entry,
    /// What is known of its sendings.
    pub attempts: Attempts,
    /// The MAC of its password.
    pub mac: Option<String>,
    /// When an inherited request can no longer take effect, on this process's clock.
    pub inherited_until: Option<Mono>,
}

impl std::hash::Hash for StagedEntry {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.entry.id.hash(state);
        self.entry.kind.hash(state);
        self.entry.epoch.hash(state);
        self.attempts.hash(state);
        self.mac.hash(state);
        self.inherited_until.hash(state);
    }
}

/// Another PostgresUser with a better right to the remote user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rival {
    /// Who, if this resource's namespace may know: the same namespace. Otherwise none.
    pub named: Option<String>,
}

/// What to do next, what to report, when to look again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The next step, if there is one.
    pub step: Option<Step>,
    /// What to report of the resource.
    pub report: Report,
    /// Look again after this long at the latest, even if nothing happens.
    pub again: Option<Duration>,
    /// Whether a turn that the resource has is still needed (R11).
    pub keeps_turn: bool,
}

/// One side effect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// Ask the server's scheduler for a turn: whatever comes next is planned once it is given (R11).
    AskTurn(Class),
    /// Add the finalizer and the claim, in one conditional write.
    Claim,
    /// Put finalizer and claim back, which somebody has taken away. Begins nothing, so it needs no turn.
    Guard,
    /// Read all remote users (shared by all who ask).
    List,
    /// Read this remote user.
    Read,
    /// Read the cluster's state (shared by all who ask).
    PollCluster,
    /// Read the output Secret's content.
    ReadSecret,
    /// Store an entry.
    Stage(Draft),
    /// Send an entry.
    Send(EntryId),
    /// Restart the workloads that use the Secret.
    Restart,
    /// See whether the workloads that were restarted are through with it.
    LookAtRollouts,
    /// Log in with an entry's password.
    Verify(EntryId),
    /// Log in with the published password.
    TryPublished,
    /// Write the output Secret.
    Publish(Publication),
    /// Take an entry out of the journal.
    Settle(EntryId),
    /// Make the Secret independent of its resource, for it is retained.
    ReleaseSecret {
        /// The resourceVersion that the plan was made from.
        resource_version: String,
    },
    /// Forget what is recorded of this login, which is gone or somebody else's: the resource has others.
    Forget(ReleaseReason),
    /// Let the resource go. Only after a touch of the journal that was begun after the plan was made has succeeded
    /// (R1): a leader that was replaced may remember an absence of before its successor made the user.
    RemoveFinalizer(ReleaseReason),
}

/// An entry to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Draft {
    /// The entry that this one takes the place of, in the same write.
    pub replaces: Option<EntryId>,
    /// What to do.
    pub kind: Kind,
    /// Why.
    pub cause: Cause,
    /// Which password.
    pub password: DraftPassword,
    /// What was known when it was decided.
    pub seen: Seen,
    /// The user has been shown to be ours.
    pub proven_ours: bool,
}

impl Draft {
    /// The deletion of a user that has been shown to be ours.
    pub fn deletion(replaces: Option<EntryId>, seen: Seen) -> Self {
        Self {
            replaces,
            kind: Kind::Delete,
            cause: Cause::Deletion,
            password: DraftPassword::None,
            seen,
            proven_ours: true,
        }
    }
}

/// Which password to stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DraftPassword {
    /// A new one, generated or the user's own.
    New,
    /// The one that is published, read from the output Secret.
    Published,
    /// The one of the entry that is replaced.
    Same,
    /// None: a deletion.
    None,
}

/// A write of the output Secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Publication {
    /// The entry whose password is published; none if only other keys are put right.
    pub entry: Option<EntryId>,
    /// What the write depends on (R2).
    pub precondition: Precondition,
}

/// What a write of the output Secret depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Precondition {
    /// There is none yet.
    Absent,
    /// It is still at this resourceVersion.
    At(String),
    /// Nothing. Only without R2.
    Nothing,
}

/// Why a resource may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReleaseReason {
    /// The remote user is gone.
    Deleted,
    /// It was kept, as the spec asks.
    Retained,
    /// There never was one of ours.
    NeverOwned,
    /// The remote cluster is gone.
    ClusterGone,
    /// Somebody said so.
    Forced,
    /// The user of that name is somebody else's by now.
    NotOurs,
}

/// What to report of the resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The condition `Ready`.
    pub ready: Readiness,
    /// Something goes on that will end by itself.
    pub reconciling: bool,
    /// A person must act: reason and message. May be true of a resource that is Ready.
    pub stalled: Option<Stalled>,
    /// What is known of the credentials.
    pub verified: Verified,
    /// Ownership to be recorded.
    pub record: Option<Record>,
    /// A rotation that has been handled.
    pub handled_rotation: Option<String>,
    /// A password that was refused.
    pub rejected: Option<Rejected>,
    /// Settings that were refused.
    pub rejected_settings: Option<Rejected>,
    /// The password was set back once more.
    pub reverted: bool,
    /// What holds up what goes on, where that is worth telling of a resource that is Ready.
    pub obstacle: Option<String>,
    /// What on the server keeps the login from being deleted, thing by thing.
    pub blockers: Vec<DeletionBlocker>,
    /// How long this has to last before it is told.
    pub lasting: Lasting,
    /// The record holds nothing new but dates that the remote settled since: no reason to write by itself.
    pub record_can_wait: bool,
}

/// How long a state has to last before it is told: what passes by itself is neither status nor Event (I7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lasting {
    /// The resource rests in it.
    #[default]
    Rests,
    /// It passes within seconds, unless something is slow.
    Passes,
    /// The resource waits for its turn among others.
    Queues,
}

/// Why a person must act.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stalled {
    /// The condition's reason.
    pub reason: Reason,
    /// What is wrong and the ways out.
    pub message: String,
}

/// The condition `Ready`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Readiness {
    /// Its status.
    pub ready: bool,
    /// Its reason.
    pub reason: Reason,
    /// Its message.
    pub message: String,
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            ready: false,
            reason: Reason::Pending,
            message: String::new(),
        }
    }
}

/// The condition `CredentialsVerified`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Verified {
    /// As it was.
    #[default]
    Unchanged,
    /// The Secret's content was seen to log in.
    Yes,
    /// It cannot be tried from here; why.
    Unknown(String),
    /// It was refused.
    No(String),
}
