//! Between the model's small words and the planner's own types.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use pguser_operator::api::{Reason, ServerKind, ServerRef};
use pguser_operator::domain::alternation::Login as Member;
use pguser_operator::domain::attempts::{Attempts, Login as RealLogin, Outcome as RealOutcome};
use pguser_operator::domain::identity::{Claim, Mark, RemoteIdentity};
use pguser_operator::domain::journal::{
    Cause, Entry, EntryId, Header, Journal, Kind, Owner, Seen as RealSeen,
};
use pguser_operator::domain::password::Password;
use pguser_operator::domain::plan::{
    self, Desired, Observed, Predecessor, SecretView, ServerView, Step, WantedPassword,
};
use pguser_operator::domain::remote::{Capabilities, ClusterState, Creator, RemoteUser};
use pguser_operator::domain::role::{FoundRole, Memberships, RoleOptions, RoleSettings, Traits};
use pguser_operator::domain::time::Mono;
use pguser_operator::domain::timings::Rule;

use crate::family::{self, Name};
use crate::numbers::*;
use crate::scenario::{Scenario, TICK};
use crate::world::*;

/// What the provider knows a member's acting as its owner by.
const ROLE: &str = "role";

pub fn mono(tick: Tick) -> Mono {
    Mono(u64::from(tick.0) * TICK)
}

fn timestamp(date: Date) -> Timestamp {
    Timestamp::from_second(i64::from(date.0)).unwrap()
}

fn date(timestamp: Timestamp) -> Date {
    Date(u8::try_from(timestamp.as_second()).unwrap())
}

fn identity() -> RemoteIdentity {
    RemoteIdentity {
        provider: "model".to_string(),
        cluster: "c".to_string(),
    }
}

fn claim(alternating: bool) -> Claim {
    Claim {
        installation: "i".to_string(),
        identity: identity(),
        username: Name::Own.text().to_string(),
        server: None,
        alternating,
    }
}

fn reference() -> ServerRef {
    ServerRef {
        kind: ServerKind::PostgresServer,
        name: "s".to_string(),
    }
}

fn mac(password: Pw) -> String {
    format!("mac{}", password.0)
}

fn version(version: SecretVersion) -> String {
    version.0.to_string()
}

/// What the spec asks for besides a login: of users without marks nothing can be asked.
pub fn settings(scenario: &Scenario) -> RoleSettings {
    RoleSettings {
        options: (scenario.takes_turns() && scenario.provider.marks).then(RoleOptions::default),
        ..RoleSettings::default()
    }
}

pub fn desired(
    resource: &Resource,
    login: &Member,
    entry: Option<&JournalEntry>,
    now: Tick,
    scenario: &Scenario,
) -> Desired {
    let family::Wanted {
        has_others,
        retiring,
        withdrawn,
        mut settings,
    } = family::wanted(resource, login, entry, now, scenario);
    let name = family::name(login);
    if let (Some(options), Some(_)) = (&mut settings.options, &resource.status.records[name]) {
        options.applied = memberships(name, scenario);
        options.applied_config = config(name, scenario).into_keys().collect();
    }
    Desired {
        username: login.username.clone(),
        part: login.part.clone(),
        principal: Name::Own.text().to_string(),
        has_others,
        retiring,
        unused_by: None,
        rollout_by: None,
        withdrawn,
        overlap_ends: None,
        invalid: resource.will.invalid.then(|| plan::Invalid {
            reason: Reason::InvalidUsername,
            message: String::new(),
        }),
        beyond: None,
        rotate: (resource.rotate > 0).then(|| resource.rotate.to_string()),
        password: WantedPassword::Generated,
        settings,
        adopt: scenario.adopt,
        retain: resource.will.retain,
        suspended: resource.will.suspended,
        deleting: resource.deleting,
        force_finalize: false,
        content_digest: "d".to_string(),
        address: None,
        rotation_due: None,
        wish: resource.rotate.to_string(),
        settings_wish: String::new(),
    }
}

pub fn capabilities(scenario: &Scenario) -> Capabilities {
    let provider = scenario.provider;
    Capabilities {
        name: "model",
        direct_read: provider.direct_read,
        turns_busy: provider.turns_busy,
        marks: provider.marks,
        ..Capabilities::PLAIN
    }
}

fn server(operator: &Operator, closed: bool, scenario: &Scenario) -> plan::Server {
    let provider = scenario.provider;
    plan::Server {
        reference: reference(),
        identity: identity(),
        capabilities: capabilities(scenario),
        allow_adoption: scenario.adopt,
        take_over_from: None,
        credentials_worked: true,
        gone: false,
        trouble: None,
        state: operator
            .poll
            .as_ref()
            .map(|poll| (state(poll.available), mono(poll.started))),
        closed: closed.then(|| plan::Unusable {
            reason: Reason::ServerNotReady,
            message: String::new(),
        }),
        available: operator
            .poll
            .iter()
            .filter(|poll| poll.available)
            .map(|poll| plan::Look {
                started: mono(poll.started),
                date: None,
            })
            .collect(),
        last_not_available: operator.last_busy.map(mono),
        verifiable: provider.verifiable,
        must_log_in: false,
        log_in_again: None,
        unverifiable: None,
        creator_id: provider.creators.then(|| "us".to_string()),
    }
}

fn state(available: bool) -> ClusterState {
    match available {
        true => ClusterState::Available,
        false => ClusterState::Busy,
    }
}

/// What a member is given when it is made, and keeps: the owner's rights, and to act as it.
fn memberships(name: Name, scenario: &Scenario) -> Memberships {
    let is_member = scenario.provider.marks && name != Name::Own;
    let owner = is_member.then(|| (Name::Own.text().to_string(), None));
    owner.into_iter().collect()
}

fn config(name: Name, scenario: &Scenario) -> BTreeMap<String, String> {
    let all = memberships(name, scenario).into_keys();
    all.map(|owner| (ROLE.to_string(), owner)).collect()
}

fn found_role(view: &View, name: Name, scenario: &Scenario) -> FoundRole {
    let all = memberships(name, scenario);
    FoundRole {
        login: view.login,
        granted: all.keys().cloned().collect(),
        just_granted: all,
        config: config(name, scenario),
        ..FoundRole::as_created()
    }
}

fn remote_user(view: &View, name: Name, scenario: &Scenario) -> RemoteUser {
    let provider = scenario.provider;
    let creator = match view.mark {
        Some(uid) => Creator::Marked(Mark {
            installation: "i".to_string(),
            uid: uid.0.to_string(),
        }),
        None if provider.marks => Creator::Unmanaged,
        None if !provider.creators => Creator::Unknown,
        None if view.ours => Creator::Account("us".to_string()),
        None => Creator::Unmanaged,
    };
    RemoteUser {
        username: name.text().to_string(),
        protected: false,
        creator,
        created: scenario.provider.dates.then(|| timestamp(view.created)),
        modified: scenario.provider.dates.then(|| timestamp(view.modified)),
        traits: Traits {
            role: provider.marks.then(|| Arc::new(found_role(view, name, scenario))),
            ..Traits::default()
        },
    }
}

pub fn observation(observation: &Observation, name: Name, scenario: &Scenario) -> plan::Observation {
    plan::Observation {
        user: observation
            .user
            .as_ref()
            .map(|view| remote_user(view, name, scenario)),
        started: mono(observation.started),
        date: Some(timestamp(observation.date)),
        proves_absence: observation.proves_absence,
    }
}

/// What a process observes: of a login of a resource and the resource's entry, or of an entry without a resource.
pub fn observed(
    world: &World,
    who: usize,
    resource: Option<&Resource>,
    name: Name,
    entry: Option<&JournalEntry>,
    scenario: &Scenario,
) -> Observed {
    let operator = &world.operators[who];
    let status = resource
        .map(|resource| resource.status.clone())
        .unwrap_or_default();
    let claimed = resource.is_some_and(|resource| resource.claimed);
    // Of a server object that is being deleted, what is being deleted itself does not hear.
    let closed = world.closed && resource.is_some_and(|resource| !resource.deleting);
    let uid = resource
        .map(|resource| resource.uid)
        .or(entry.map(|entry| entry.uid));
    let given = |uid: Uid| operator.turn(uid).is_some_and(|turn| turn.given.is_some());
    Observed {
        uid: uid.map(|uid| uid.0.to_string()).unwrap_or_default(),
        rejected_settings: None,
        // Passwords are shown to be changed by date, or not at all.
        tried: plan::Tried {
            login: RealLogin::NotTried,
            due: Mono(u64::MAX),
        },
        finalizer: claimed,
        claim: resource.filter(|_| claimed).map(|resource| claim(resource.wide)),
        own_claim: Some(claim(resource.is_some_and(family::is_large))),
        record: status.records[name]
            .as_ref()
            .map(|record| real_record(record, name, scenario)),
        published: status.published.map(|published| plan::Published {
            resource_version: version(published.version),
            mac: mac(published.password),
            content_digest: "d".to_string(),
            address: None,
            renewed_at: None,
        }),
        handled_rotation: (status.handled > 0).then(|| status.handled.to_string()),
        rejected: None,
        reverts: usize::from(status.reverts),
        secret: secret(world.secret.as_ref().filter(|_| resource.is_some())),
        server: ServerView::Usable(Box::new(server(operator, closed, scenario))),
        observation: operator.observations[name]
            .as_ref()
            .map(|seen| observation(seen, name, scenario)),
        last_write: operator.last_write[name].map(mono),
        entry: entry.map(|entry| staged(entry, operator, scenario)),
        rival: rival(world, resource, name),
        settings_due: Mono(u64::MAX),
        renamed: None,
        predecessor: predecessor(world, who, resource, name, scenario),
        turn: !scenario.scheduled || uid.is_some_and(given),
        difficulty: None,
        refusal: None,
        restart: None,
    }
}

/// For an entry without a resource: a resource made since whose record has the user.
fn rival(world: &World, resource: Option<&Resource>, name: Name) -> Option<plan::Rival> {
    let other = world.resource.as_ref().filter(|_| resource.is_none())?;
    other.status.records[name]
        .as_ref()
        .map(|_| plan::Rival { named: None })
}

/// R0 is about the remote user: an entry of another resource for it counts, but for a deletion that was accepted, whose place
/// a creation may take.
fn predecessor(
    world: &World,
    who: usize,
    resource: Option<&Resource>,
    name: Name,
    scenario: &Scenario,
) -> Predecessor {
    let Some(resource) = resource.filter(|_| scenario.rules.hold(Rule::R0)) else {
        return Predecessor::None;
    };
    let operator = &world.operators[who];
    let mut others = world
        .known_to(who)
        .entries
        .iter()
        .filter(|entry| entry.uid != resource.uid && entry.name == name);
    match (others.next(), others.next()) {
        (None, _) => Predecessor::None,
        (Some(entry), None) => match answered_deletion(entry, operator, scenario) {
            Some(answered) => Predecessor::Deleted {
                entry: EntryId(u64::from(entry.id.0)),
                answered,
            },
            None => Predecessor::Blocks,
        },
        _ => Predecessor::Blocks,
    }
}

/// When a deletion was answered of which nothing can still arrive.
fn answered_deletion(entry: &JournalEntry, operator: &Operator, scenario: &Scenario) -> Option<Mono> {
    let attempts = attempts(entry, operator, scenario);
    let deleted = matches!(
        attempts.outcome,
        Some(RealOutcome::Accepted { .. } | RealOutcome::NotFound)
    );
    attempts
        .last
        .filter(|_| entry.kind == Kind::Delete && deleted && attempts.is_definite())
}

fn secret(secret: Option<&OutputSecret>) -> SecretView {
    let Some(secret) = secret else {
        return SecretView::Absent;
    };
    SecretView::Ours {
        resource_version: version(secret.version),
        owned: secret.owned,
        content: Some(plan::SecretContent {
            mac: Some(mac(secret.password)),
            intact: true,
        }),
    }
}

/// What a process knows of the sendings of an entry.
pub fn attempts(entry: &JournalEntry, operator: &Operator, scenario: &Scenario) -> Attempts {
    let none = Sendings::none(entry.id);
    let mut known = operator.attempts.iter();
    let sendings = known.find(|sendings| sendings.entry == entry.id).unwrap_or(&none);
    Attempts {
        in_flight: sendings.in_flight,
        inherited: sendings.inherited,
        unknown: sendings.unknown,
        last: sendings.last.map(mono),
        last_by_remote: sendings.last_by_remote.map(timestamp),
        outcome: sendings
            .outcome
            .as_ref()
            .map(|outcome| real_outcome(outcome, entry.name, scenario)),
        login: match &sendings.login {
            Login::NotTried => RealLogin::NotTried,
            Login::Accepted => RealLogin::Accepted,
            Login::Refused(at) => RealLogin::Refused(mono(*at)),
        },
        login_refusals: 0,
        after_deletion: sendings.after_deletion.map(mono),
        doubtful: sendings.doubtful,
    }
}

fn staged(entry: &JournalEntry, operator: &Operator, scenario: &Scenario) -> plan::StagedEntry {
    let attempts = attempts(entry, operator, scenario);
    let inherited_until = operator
        .term
        .as_ref()
        .filter(|_| attempts.inherited)
        .map(|term| crate::operator::inherited_until(term, scenario));
    plan::StagedEntry {
        entry: real_entry(entry, scenario),
        attempts,
        mac: entry.password.map(mac),
        inherited_until,
    }
}

fn real_outcome(outcome: &Outcome, name: Name, scenario: &Scenario) -> RealOutcome {
    match &outcome.answer {
        Answer::Accepted(view) => RealOutcome::Accepted {
            at: mono(outcome.at),
            user: view.as_ref().map(|view| remote_user(view, name, scenario)),
        },
        Answer::Exists => RealOutcome::Exists("409".to_string()),
        Answer::NotFound => RealOutcome::NotFound,
    }
}

pub fn real_entry(entry: &JournalEntry, scenario: &Scenario) -> Entry {
    let mut settings = settings(scenario);
    if let Some(options) = &mut settings.options {
        options.login = entry.login;
        options.member_of = memberships(entry.name, scenario).into_keys().collect();
        options.config = config(entry.name, scenario);
    }
    Entry {
        id: EntryId(u64::from(entry.id.0)),
        owner: Owner {
            namespace: "n".to_string(),
            name: "u".to_string(),
            uid: entry.uid.0.to_string(),
        },
        username: entry.name.text().to_string(),
        kind: entry.kind,
        cause: entry.cause.clone(),
        password: entry
            .password
            .map(|password| Password::new(password.0.to_string())),
        seen: RealSeen {
            at: entry.seen.at.map(timestamp),
            created: entry.seen.created.map(timestamp),
            present: entry.seen.present,
            mark: None,
        },
        proven_ours: entry.proven_ours,
        settings,
        retain: entry.retain,
        epoch: u64::from(entry.epoch.0),
    }
}

pub fn header(stored: &Stored, scenario: &Scenario) -> Header {
    let Stored {
        holder,
        epoch,
        sequence,
        token,
        ..
    } = stored;
    Header {
        holder: holder.to_string(),
        epoch: u64::from(epoch.0),
        lineage: "l".to_string(),
        sequence: u64::from(sequence.0),
        next_id: 0,
        token: match scenario.tokens {
            true => token.0.to_string(),
            false => format!("{holder}/{}/{}", epoch.0, sequence.0),
        },
    }
}

pub fn real_journal(stored: &Stored, scenario: &Scenario) -> Journal {
    let entries = stored
        .entries
        .iter()
        .map(|entry| real_entry(entry, scenario))
        .map(|entry| (entry.id, entry));
    Journal {
        header: Header {
            holder: stored.holder.to_string(),
            epoch: u64::from(stored.epoch.0),
            lineage: "l".to_string(),
            sequence: u64::from(stored.sequence.0),
            next_id: 0,
            token: String::new(),
        },
        entries: entries.collect(),
        unknown: Vec::new(),
    }
}

fn real_record(record: &Record, name: Name, scenario: &Scenario) -> plan::Record {
    plan::Record {
        server: Some(reference()),
        identity: identity(),
        adopted: record.adopted,
        moved: false,
        created: record.created.map(timestamp),
        last_set: record.last_set.map(timestamp),
        password_stamp: None,
        memberships: memberships(name, scenario),
        config: config(name, scenario).into_keys().collect(),
        retired: record.retired,
    }
}

fn small_record(record: &plan::Record) -> Record {
    Record {
        adopted: record.adopted,
        created: record.created.map(date),
        last_set: record.last_set.map(date),
        retire_after: None,
        retired: record.retired,
    }
}

pub fn status_write(report: &plan::Report, resource: Option<&Resource>, name: Name) -> StatusWrite {
    StatusWrite {
        uid: resource.map(|resource| resource.uid),
        version: resource.map(|resource| resource.version),
        name,
        record: report.record.as_ref().map(small_record),
        forgotten: false,
        published: None,
        until: None,
        handled: report
            .handled_rotation
            .as_ref()
            .map(|value| value.parse().unwrap()),
        reverted: report.reverted,
    }
}

fn number(id: EntryId) -> EntryNo {
    EntryNo(u8::try_from(id.0).unwrap())
}

/// A step in the model's words. `entry` is the one that the planner was shown; `login`: somebody is to log in.
pub fn todo(
    step: &Step,
    (uid, name): (Uid, Name),
    login: bool,
    entry: Option<&JournalEntry>,
    resource: Option<&Resource>,
) -> Todo {
    let published = resource.and_then(|resource| resource.status.published);
    let published = published.map(|published| published.password);
    match step {
        Step::Claim | Step::Guard => Todo::Claim,
        Step::AskTurn(_) => Todo::AskTurn(uid),
        Step::List | Step::Read => Todo::Look,
        Step::PollCluster => Todo::Poll,
        Step::ReadSecret => Todo::Nothing,
        Step::Stage(draft) => Todo::Stage(Draft {
            uid,
            name,
            replaces: draft.replaces.map(number),
            kind: draft.kind,
            cause: draft.cause.clone(),
            password: draft.password,
            published,
            seen: Seen {
                at: draft.seen.at.map(date),
                created: draft.seen.created.map(date),
                present: draft.seen.present,
            },
            proven_ours: draft.proven_ours,
            retain: resource.map_or(entry.is_some_and(|entry| entry.retain), |resource| {
                resource.will.retain
            }),
            // A deletion asks for nothing of the kind, and neither does what gives back what one has taken.
            login: login || draft.cause == Cause::Deletion,
        }),
        Step::Send(_) => Todo::Send(entry.unwrap().clone()),
        Step::Verify(_) => Todo::Verify(entry.unwrap().clone()),
        Step::TryPublished | Step::Restart | Step::LookAtRollouts => panic!("never due in the model"),
        Step::Publish(publication) => Todo::Publish {
            entry: publication.entry.map(|_| entry.unwrap().clone()),
            on: match &publication.precondition {
                plan::Precondition::Absent => On::Absent,
                plan::Precondition::At(version) => On::At(SecretVersion(version.parse().unwrap())),
                plan::Precondition::Nothing => On::Nothing,
            },
        },
        Step::Settle(id) => Todo::Settle(number(*id)),
        Step::ReleaseSecret { resource_version } => {
            Todo::ReleaseSecret(SecretVersion(resource_version.parse().unwrap()))
        }
        Step::Forget(_) => Todo::Forget,
        Step::RemoveFinalizer(release) => Todo::LetGo {
            kept: matches!(
                release,
                plan::ReleaseReason::Retained | plan::ReleaseReason::Forced
            ),
        },
    }
}
