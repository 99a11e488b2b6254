//! What there is: Kubernetes, the remote system, the requests between, and two operator processes.

use pguser_operator::domain::journal::{Cause, Kind};
use pguser_operator::domain::plan::DraftPassword;

use crate::family::{Each, Name};
use crate::numbers::*;

/// Everything. Two worlds that are equal behave alike for ever.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub now: Tick,
    /// What the remote's clock shows.
    pub date: Date,
    pub resource: Option<Resource>,
    pub secret: Option<OutputSecret>,
    pub journal: Stored,
    pub remote: Remote,
    pub wire: Vec<Request>,
    /// Journal writes on their way to the API server.
    pub puts: Vec<JournalWrite>,
    pub operators: [Operator; 2],
    pub budget: Budget,
    /// The server object is being deleted.
    pub closed: bool,
    /// The remote user was kept on purpose, or a person let go of it.
    pub kept: bool,
    /// That was by the operator.
    pub retained: bool,
    /// What was published before another login was.
    pub formers: Vec<Former>,
    /// A promise that was broken in the last step.
    pub broken: Option<&'static str>,
}

/// How many more faults and acts of others there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Budget {
    /// Answers of the remote that are lost.
    pub lost_answers: u8,
    /// Processes that end.
    pub crashes: u8,
    /// Takings over while another process leads, or leads again.
    pub takeovers: u8,
    /// Times that a process stands still between deciding and doing, or between a request and its answer.
    pub pauses: u8,
    /// Journal writes whose answer is lost.
    pub lost_writes: u8,
    /// Reads that trail the truth.
    pub stale_reads: u8,
    pub rotations: u8,
    /// Changes of the strategy, between one login and two that take turns.
    pub switches: u8,
    pub deletions: u8,
    /// Finalizers taken away by a person.
    pub forced: u8,
    /// Resources made again under the same name.
    pub recreations: u8,
    /// Users that an outsider makes, or makes anew in place of what is there.
    pub outsider_creates: u8,
    pub outsider_deletes: u8,
    pub outsider_passwords: u8,
    /// Jumps of the remote's clock.
    pub clock_jumps: u8,
    /// Times that a process sees the resource as it was for a while.
    pub watch_lags: u8,
    /// Turns that go on to others before their holder is done.
    pub reclaims: u8,
    /// Changes of `deletionPolicy`, of `suspend`, and between a valid and an invalid spec.
    pub retains: u8,
    pub suspends: u8,
    pub misspecs: u8,
    /// Server objects that are deleted.
    pub closings: u8,
    /// Times that a process reads what another has left in the journal.
    pub journal_reads: u8,
    /// Deletions that were accepted and never take effect.
    pub failed_deletions: u8,
    /// Changes of another user of the same server, sent between the same two looks as ours.
    pub neighbours: u8,
    /// Times that a cluster which has turned BUSY with several changes keeps none of them.
    pub drops: u8,
}

/// The PostgresUser.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource {
    pub uid: Uid,
    pub version: ResourceVersion,
    pub deleting: bool,
    /// Finalizer and claim, which one write adds.
    pub claimed: bool,
    /// The claim is of the names of all logins.
    pub wide: bool,
    /// How many rotations were asked for.
    pub rotate: u8,
    pub will: Will,
    pub status: Status,
}

/// What else a person wants, and changes at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Will {
    pub retain: bool,
    pub suspended: bool,
    pub invalid: bool,
    /// Two logins are to take turns.
    pub alternates: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Status {
    pub records: Each<Option<Record>>,
    pub published: Option<Published>,
    pub handled: u8,
    pub reverts: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    pub adopted: bool,
    pub created: Option<Date>,
    pub last_set: Option<Date>,
    /// Until when it goes on working at least, since another one was published.
    pub retire_after: Option<Tick>,
    pub retired: bool,
}

/// What was published before, for as long as a login has that password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Former {
    pub name: Name,
    pub password: Pw,
    /// The end of its overlap, counted from when another one was published.
    pub until: Tick,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Published {
    pub name: Name,
    pub version: SecretVersion,
    pub password: Pw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutputSecret {
    pub name: Name,
    pub version: SecretVersion,
    pub password: Pw,
    pub owned: bool,
}

/// The journal, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stored {
    pub holder: usize,
    pub epoch: Epoch,
    pub sequence: Sequence,
    /// Names the write. Since each is stored once at most, it is the resourceVersion as well.
    pub token: Token,
    pub next_id: EntryNo,
    pub entries: Vec<JournalEntry>,
}

/// A write of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JournalWrite {
    /// The resourceVersion that it depends on.
    pub base: Token,
    pub next: Stored,
    /// What it is for.
    pub change: Change,
    pub started: Tick,
}

/// A change of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    Touch,
    Settle(EntryNo),
    Stage(Draft, Option<Pw>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JournalEntry {
    pub id: EntryNo,
    pub uid: Uid,
    pub name: Name,
    pub kind: Kind,
    pub cause: Cause,
    pub password: Option<Pw>,
    pub seen: Seen,
    pub proven_ours: bool,
    pub retain: bool,
    /// Somebody is to log in.
    pub login: bool,
    pub epoch: Epoch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seen {
    pub at: Option<Date>,
    pub created: Option<Date>,
    pub present: bool,
}

/// The remote system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Remote {
    pub users: Each<Option<User>>,
    /// What reads that trail may still show, and when that ended to be so.
    pub before: Option<Before>,
    /// A change that was accepted and is not yet in effect: the cluster is BUSY.
    pub coming: Option<Coming>,
    /// Another user's change is not yet in effect either; when it was accepted.
    pub crowd: Option<Tick>,
    /// Deletions that were accepted and are not yet in effect: they delete whoever has the name then.
    pub late: Vec<Late>,
    /// Passwords that were in effect at some time.
    pub accepted: Vec<Pw>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Before {
    pub name: Name,
    pub user: Option<User>,
    pub until: Tick,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Coming {
    pub name: Name,
    pub user: Option<User>,
    /// When it was accepted: for a while the state may not show it yet.
    pub since: Tick,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Late {
    pub uid: Uid,
    pub name: Name,
    /// When it was sent.
    pub since: Tick,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct User {
    /// Made by a request of ours.
    pub ours: bool,
    /// An outsider's that we were told to take over.
    pub adopted: bool,
    /// The resource whose mark it carries, where users are marked.
    pub mark: Option<Uid>,
    /// The resource that it was made for, or taken over, last; where resources are made again.
    pub maker: Option<Uid>,
    /// It may log in: the first step of a deletion takes that away.
    pub login: bool,
    /// None: a password that an outsider has set.
    pub password: Option<Pw>,
    /// That is one which nobody is to be told.
    pub idle: bool,
    pub created: Date,
    pub modified: Date,
    /// When it was made, by the true clock. Matters while others may not know of it yet.
    pub born: Tick,
}

/// A request that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Request {
    pub entry: EntryNo,
    pub uid: Uid,
    pub name: Name,
    pub kind: Kind,
    pub password: Option<Pw>,
    /// Somebody is to log in.
    pub login: bool,
    /// Nobody is to log in any more.
    pub retires: bool,
    /// When its entry was sent first, two logins were to take turns, by all that the sender knew.
    pub in_turn: bool,
    pub sent: Tick,
    /// When it was sent, the user was an outsider's, and had been for long enough to be known.
    pub knowingly: bool,
    /// The first step of a deletion is done.
    pub half: bool,
    /// Which process waits for the answer.
    pub awaited_by: Option<usize>,
    /// It took effect, and the answer is on its way.
    pub answer: Option<Answer>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    Accepted(Option<View>),
    Exists,
    NotFound,
}

/// What the remote shows of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct View {
    pub ours: bool,
    pub mark: Option<Uid>,
    /// As in [`User`].
    pub login: bool,
    pub created: Date,
    pub modified: Date,
}

/// A process of the operator.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Operator {
    /// None: a standby.
    pub term: Option<Term>,
    /// When it last changed each remote user; none: longer ago than reads may trail.
    pub last_write: Each<Option<Tick>>,
    pub observations: Each<Option<Observation>>,
    /// Since when lists show no user.
    pub absent_since: Each<Option<Tick>>,
    pub poll: Option<Poll>,
    pub last_busy: Option<Tick>,
    /// When another user's change was answered of which no look has proven that it is in effect.
    pub crowd: Option<Tick>,
    pub attempts: Vec<Sendings>,
    pub pending: Option<Pending>,
    /// The resource as the watch shows it; none: as it is.
    pub watched: Option<Watched>,
    /// Who has, or waits for, a turn (R11).
    pub turns: Vec<Turn>,
}

/// What the watch shows while it lags.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Watched {
    pub resource: Option<Resource>,
}

/// A turn of the scheduler, or a wish for one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Turn {
    pub uid: Uid,
    pub given: Option<Given>,
}

/// A turn that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Given {
    /// The resource was read, or written, since.
    pub current: bool,
    /// What counted when it was given.
    pub counts: Counts,
}

/// What a person had said of a resource before the scheduler worked on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Counts {
    /// The user is to be kept when the resource goes.
    pub kept: bool,
    /// Nothing new is to be done.
    pub held: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Term {
    pub epoch: Epoch,
    pub began: Tick,
    pub written: Tick,
    /// The journal as this process knows it.
    pub copy: Stored,
    /// The resourceVersion that its next write depends on.
    pub version: Token,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Observation {
    pub user: Option<View>,
    pub started: Tick,
    pub date: Date,
    pub proves_absence: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Poll {
    pub available: bool,
    pub started: Tick,
}

/// What a process remembers of the sendings of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sendings {
    pub entry: EntryNo,
    pub in_flight: bool,
    /// It is to be sent, and waits for that.
    pub queued: bool,
    pub inherited: bool,
    pub unknown: bool,
    pub last: Option<Tick>,
    pub last_by_remote: Option<Date>,
    pub outcome: Option<Outcome>,
    pub login: Login,
    /// When the deletion was answered that this creation took the place of.
    pub after_deletion: Option<Tick>,
    /// It was sent, and no look has proven since that it is in effect, or shown that the cluster is BUSY.
    pub unproven: bool,
    /// The cluster turned BUSY while others were unproven, too.
    pub doubtful: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Outcome {
    pub at: Tick,
    pub answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Login {
    NotTried,
    Accepted,
    Refused(Tick),
}

/// What a process has decided and not yet done.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pending {
    Do(Decision),
    WriteStatus(StatusWrite),
    /// A journal write without an answer.
    Unsure(Box<JournalWrite>),
}

/// A step, and what it was decided from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decision {
    /// Whose turn is of no use any more.
    pub gives_back: Option<Uid>,
    /// Before it is done, the resource itself is read: as it was when this was decided, it must be still.
    pub begins: Option<ResourceVersion>,
    pub step: Todo,
    pub status: StatusWrite,
}

/// The planner's steps, with the entries that they need copied at the time of the decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Todo {
    Nothing,
    AskTurn(Uid),
    Claim,
    Look,
    Poll,
    Stage(Draft),
    Send(JournalEntry),
    Verify(JournalEntry),
    Publish {
        entry: Option<JournalEntry>,
        on: On,
    },
    Settle(EntryNo),
    ReleaseSecret(SecretVersion),
    /// Of one of several logins, which is gone, nothing is recorded any more.
    Forget,
    LetGo {
        kept: bool,
    },
}

/// What a write of the output Secret depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum On {
    Absent,
    At(SecretVersion),
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Draft {
    pub uid: Uid,
    pub name: Name,
    pub replaces: Option<EntryNo>,
    pub kind: Kind,
    pub cause: Cause,
    pub password: DraftPassword,
    /// The password that is published, where that is asked for.
    pub published: Option<Pw>,
    pub seen: Seen,
    pub proven_ours: bool,
    pub retain: bool,
    pub login: bool,
}

/// A write of the status, conditional on the resource as it was when it was decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StatusWrite {
    pub uid: Option<Uid>,
    pub version: Option<ResourceVersion>,
    /// The login that it is about.
    pub name: Name,
    pub record: Option<Record>,
    pub forgotten: bool,
    pub published: Option<Published>,
    /// Until when the login goes on working that was published before.
    pub until: Option<Tick>,
    pub handled: Option<u8>,
    pub reverted: bool,
}

impl Operator {
    /// A process that has just started.
    pub fn started() -> Self {
        Self {
            term: None,
            last_write: Each::default(),
            observations: Each::default(),
            absent_since: Each::default(),
            poll: None,
            last_busy: None,
            crowd: None,
            attempts: Vec::new(),
            pending: None,
            watched: None,
            turns: Vec::new(),
        }
    }

    pub fn turn(&self, uid: Uid) -> Option<&Turn> {
        self.turns.iter().find(|turn| turn.uid == uid)
    }

    /// Whether an entry was never sent, as far as this process knows.
    pub fn was_never_sent(&self, entry: EntryNo) -> bool {
        let mut sent = self.attempts.iter().filter(|sendings| sendings.last.is_some());
        !sent.any(|sendings| sendings.entry == entry)
    }

    pub fn given(&mut self, uid: Uid) -> Option<&mut Given> {
        let turn = self.turns.iter_mut().find(|turn| turn.uid == uid);
        turn.and_then(|turn| turn.given.as_mut())
    }

    pub fn sendings(&mut self, entry: EntryNo) -> &mut Sendings {
        let at = self.attempts.iter().position(|sendings| sendings.entry == entry);
        let at = at.unwrap_or_else(|| {
            self.attempts.push(Sendings::none(entry));
            self.attempts.len() - 1
        });
        &mut self.attempts[at]
    }
}

impl Stored {
    pub fn entry(&self, id: EntryNo) -> Option<&JournalEntry> {
        self.entries.iter().find(|entry| entry.id == id)
    }
}

impl Sendings {
    pub fn none(entry: EntryNo) -> Self {
        Self {
            entry,
            in_flight: false,
            queued: false,
            inherited: false,
            unknown: false,
            last: None,
            last_by_remote: None,
            outcome: None,
            login: Login::NotTried,
            after_deletion: None,
            unproven: false,
            doubtful: false,
        }
    }
}

impl Remote {
    /// Since when the cluster has been BUSY.
    pub fn busy_since(&self) -> Option<Tick> {
        let coming = self.coming.as_ref().map(|change| change.since);
        coming.into_iter().chain(self.crowd).min()
    }
}

impl User {
    /// Whether this password lets in.
    pub fn takes(&self, password: Pw) -> bool {
        self.login && self.password == Some(password)
    }

    pub fn view(&self) -> View {
        View {
            ours: self.ours,
            mark: self.mark,
            login: self.login,
            created: self.created,
            modified: self.modified,
        }
    }
}

impl World {
    /// The journal as this process knows it.
    pub fn known_to(&self, who: usize) -> &Stored {
        let term = self.operators[who].term.as_ref();
        term.map_or(&self.journal, |term| &term.copy)
    }

    /// The journal as it is, as processes know it, and as it is about to be.
    pub fn journals(&mut self) -> impl Iterator<Item = &mut Stored> {
        let known = self.operators.iter_mut().flat_map(|operator| {
            let copy = operator.term.iter_mut().map(|term| &mut term.copy);
            let next = operator.pending.iter_mut().filter_map(|pending| match pending {
                Pending::Unsure(write) => Some(&mut write.next),
                _ => None,
            });
            copy.chain(next)
        });
        let puts = self.puts.iter_mut().map(|write| &mut write.next);
        std::iter::once(&mut self.journal).chain(known).chain(puts)
    }

    /// The live resource of this UID.
    pub fn resource_of(&mut self, uid: Option<Uid>) -> Option<&mut Resource> {
        self.resource
            .as_mut()
            .filter(|resource| Some(resource.uid) == uid)
    }

    /// The resource as this process sees it.
    pub fn seen_by(&self, who: usize) -> Option<&Resource> {
        match &self.operators[who].watched {
            Some(watched) => watched.resource.as_ref(),
            None => self.resource.as_ref(),
        }
    }

    /// What a person has said by now of the resource of this UID.
    pub fn counts(&self, uid: Uid) -> Counts {
        let resource = self.resource.as_ref().filter(|resource| resource.uid == uid);
        resource.map_or(Counts::default(), |resource| Counts {
            kept: resource.will.retain && resource.status.published.is_some(),
            held: resource.will.suspended || resource.will.invalid || self.closed,
        })
    }

    pub fn breaks(&mut self, promise: &'static str) {
        self.broken.get_or_insert(promise);
    }
}
