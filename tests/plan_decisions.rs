//! Decisions of the planner that a reader would look up, one by one.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pguser_operator::api::{DeletionBlocker, Reason, ServerKind, ServerRef};
use pguser_operator::domain::alternation::Part;
use pguser_operator::domain::attempts::{Attempts, Login, Outcome};
use pguser_operator::domain::identity::{Claim, Mark, RemoteIdentity};
use pguser_operator::domain::journal::{Cause, Entry, EntryId, Kind, Owner, Seen};
use pguser_operator::domain::password::Password;
use pguser_operator::domain::plan::*;
use pguser_operator::domain::remote::{Capabilities, ClusterState, Creator, RemoteUser};
use pguser_operator::domain::role::{FoundRole, RoleOptions, RoleSettings, Traits};
use pguser_operator::domain::schedule::Class;
use pguser_operator::domain::time::Mono;
use pguser_operator::domain::timings::ProtocolTimings;

const NOW: u64 = 10_000;

/// So many seconds ago, on the process's clock.
fn ago(seconds: u64) -> Mono {
    Mono((NOW - seconds) * 1000)
}

fn look(seconds: u64) -> Look {
    Look {
        started: ago(seconds),
        date: Some(date_ago(seconds)),
    }
}

/// The same on the remote's clock.
fn date_ago(seconds: u64) -> Timestamp {
    Timestamp::from_second(i64::try_from(NOW - seconds).unwrap()).unwrap()
}

fn identity() -> RemoteIdentity {
    RemoteIdentity {
        provider: "p".to_string(),
        cluster: "c".to_string(),
    }
}

fn desired() -> Desired {
    Desired {
        username: "app".to_string(),
        part: Part::Sole,
        principal: "app".to_string(),
        has_others: false,
        retiring: false,
        unused_by: None,
        rollout_by: None,
        withdrawn: false,
        overlap_ends: None,
        invalid: None,
        beyond: None,
        rotate: None,
        password: WantedPassword::Generated,
        adopt: false,
        retain: false,
        suspended: false,
        deleting: false,
        force_finalize: false,
        content_digest: "d".to_string(),
        address: None,
        rotation_due: None,
        wish: "w".to_string(),
        settings: RoleSettings::default(),
        settings_wish: "s".to_string(),
    }
}

fn deleting() -> Desired {
    Desired {
        deleting: true,
        ..desired()
    }
}

fn user(made: u64) -> RemoteUser {
    RemoteUser {
        username: "app".to_string(),
        protected: false,
        creator: Creator::Unknown,
        created: Some(date_ago(made)),
        modified: Some(date_ago(made)),
        traits: Default::default(),
    }
}

fn observation(user: Option<RemoteUser>, seconds: u64) -> Option<Observation> {
    Some(Observation {
        user,
        started: ago(seconds),
        date: Some(date_ago(seconds)),
        proves_absence: true,
    })
}

fn reference(name: &str) -> ServerRef {
    ServerRef {
        kind: ServerKind::PostgresServer,
        name: name.to_string(),
    }
}

fn server() -> Server {
    Server {
        reference: reference("s"),
        identity: identity(),
        capabilities: Capabilities {
            turns_busy: false,
            ..Capabilities::PLAIN
        },
        allow_adoption: false,
        take_over_from: None,
        credentials_worked: true,
        gone: false,
        trouble: None,
        state: None,
        closed: None,
        available: Arc::new([]),
        last_not_available: None,
        verifiable: false,
        must_log_in: false,
        log_in_again: None,
        unverifiable: None,
        creator_id: None,
    }
}

fn busy_kind() -> Server {
    let mut server = server();
    server.capabilities.turns_busy = true;
    server
}

fn record(made: u64) -> Option<Record> {
    Some(Record {
        server: Some(reference("s")),
        password_stamp: None,
        memberships: Default::default(),
        config: Default::default(),
        retired: false,
        identity: identity(),
        adopted: false,
        moved: false,
        created: Some(date_ago(made)),
        last_set: Some(date_ago(made)),
    })
}

/// A claimed resource whose user is not there.
fn observed(server: Server) -> Observed {
    let claim = Claim {
        installation: "i".to_string(),
        identity: identity(),
        username: "app".to_string(),
        server: None,
        alternating: false,
    };
    Observed {
        uid: "u".to_string(),
        rejected_settings: None,
        tried: Tried {
            login: Login::NotTried,
            due: ago(0) + Duration::from_secs(3600),
        },
        finalizer: true,
        claim: Some(claim.clone()),
        own_claim: Some(claim),
        record: None,
        published: None,
        handled_rotation: None,
        rejected: None,
        reverts: 0,
        secret: SecretView::Absent,
        server: ServerView::Usable(Box::new(server)),
        observation: observation(None, 0),
        last_write: None,
        entry: None,
        rival: None,
        settings_due: ago(0) + Duration::from_secs(60),
        renamed: None,
        predecessor: Predecessor::None,
        turn: true,
        difficulty: None,
        refusal: None,
        restart: None,
    }
}

fn staged(kind: Kind, attempts: Attempts, seen: Seen) -> Option<StagedEntry> {
    let owner = Owner {
        namespace: "n".to_string(),
        name: "app".to_string(),
        uid: "u".to_string(),
    };
    let entry = Entry {
        id: EntryId(7),
        owner,
        username: "app".to_string(),
        kind,
        cause: Cause::Missing,
        password: (kind != Kind::Delete).then(|| Password::new("s")),
        seen,
        proven_ours: kind != Kind::Create,
        settings: RoleSettings::default(),
        retain: false,
        epoch: 1,
    };
    Some(StagedEntry {
        entry,
        attempts,
        mac: Some("m".to_string()),
        inherited_until: None,
    })
}

/// An attempt without an answer.
fn unanswered(seconds: u64) -> Attempts {
    Attempts {
        unknown: true,
        last: Some(ago(seconds)),
        ..Attempts::none()
    }
}

/// An attempt that was accepted at once, with what the answer showed.
fn accepted(seconds: u64, user: Option<RemoteUser>) -> Attempts {
    Attempts {
        last: Some(ago(seconds)),
        outcome: Some(Outcome::Accepted {
            at: ago(seconds),
            user,
        }),
        ..Attempts::none()
    }
}

fn seen(made: Option<u64>, at: u64) -> Seen {
    Seen {
        at: Some(date_ago(at)),
        created: made.map(date_ago),
        present: made.is_some(),
        mark: None,
    }
}

fn step(desired: &Desired, observed: &Observed) -> Option<Step> {
    plan(desired, observed, ago(0), &ProtocolTimings::default()).step
}

#[test]
fn a_deletion_without_an_answer_is_not_sent_again_before_a_look() {
    let mut world = observed(server());
    world.record = record(5000);
    world.entry = staged(Kind::Delete, unanswered(30), seen(Some(5000), 40));
    world.observation = observation(Some(user(5000)), 40);
    assert_eq!(step(&deleting(), &world), Some(Step::Read));
    world.observation = observation(Some(user(5000)), 2);
    assert_eq!(step(&deleting(), &world), Some(Step::Send(EntryId(7))));
}

#[test]
fn a_user_that_was_made_anew_by_somebody_else_is_not_deleted() {
    let mut world = observed(server());
    world.record = record(5000);
    world.entry = staged(Kind::Delete, unanswered(200), seen(Some(5000), 210));
    world.observation = observation(Some(user(100)), 2);
    assert_eq!(step(&deleting(), &world), Some(Step::Settle(EntryId(7))));
}

#[test]
fn a_creation_that_is_not_in_effect_yet_is_not_taken_for_absent() {
    let mut world = observed(busy_kind());
    world.last_write = Some(ago(60));
    world.entry = staged(Kind::Create, accepted(60, None), seen(None, 70));
    world.observation = observation(None, 2);
    assert_eq!(step(&deleting(), &world), Some(Step::PollCluster));
}

#[test]
fn an_absence_is_believed_only_after_the_cluster_was_available() {
    let mut server = busy_kind();
    server.state = Some((ClusterState::Available, ago(20)));
    server.available = [look(20)].into();
    let mut world = observed(server);
    world.record = record(5000);
    world.last_write = Some(ago(60));
    world.observation = observation(None, 30);
    assert_eq!(step(&deleting(), &world), Some(Step::Read));
    world.observation = observation(None, 2);
    assert_eq!(
        step(&deleting(), &world),
        Some(Step::RemoveFinalizer(ReleaseReason::Deleted))
    );
}

#[test]
fn a_creation_that_an_earlier_process_left_is_known_by_its_date() {
    let mut world = observed(server());
    let attempts = Attempts::inherited(ago(300));
    world.entry = staged(Kind::Create, attempts, seen(None, 400));
    world.observation = observation(Some(user(350)), 2);
    assert!(matches!(step(&desired(), &world), Some(Step::Stage(draft)) if draft.proven_ours));
    // Made after the last moment at which a request of ours could still have made it.
    world.observation = observation(Some(user(50)), 2);
    assert_eq!(step(&desired(), &world), Some(Step::Settle(EntryId(7))));
}

#[test]
fn a_creation_that_is_on_record_is_ours_but_not_one_that_was_decided_in_spite_of_a_record() {
    let undated = RemoteUser {
        created: None,
        modified: None,
        ..user(0)
    };
    let mut world = observed(server());
    world.observation = observation(Some(undated), 2);
    world.entry = staged(Kind::Create, unanswered(10), seen(None, 20));
    assert_eq!(stalled_as(&desired(), &world), Reason::Unclaimed);
    world.record = record(5000);
    assert_eq!(
        staged_kind(step(&desired(), &world)),
        Some((Kind::SetPassword, Cause::Missing, DraftPassword::Same))
    );
    if let Some(staged) = &mut world.entry {
        staged.entry.cause = Cause::Vanished;
    }
    assert_eq!(stalled_as(&desired(), &world), Reason::Unclaimed);
}

/// Why it is not Ready.
fn stalled_as(desired: &Desired, observed: &Observed) -> Reason {
    plan(desired, observed, ago(0), &ProtocolTimings::default())
        .report
        .ready
        .reason
}

#[test]
fn a_login_tells_whose_user_it_is_when_a_resource_is_deleted_early() {
    let server = Server {
        verifiable: true,
        ..server()
    };
    let mut world = observed(server);
    world.entry = staged(Kind::Create, unanswered(300), Seen::default());
    let undated = RemoteUser {
        created: None,
        modified: None,
        ..user(0)
    };
    world.observation = observation(Some(undated), 2);
    assert_eq!(step(&deleting(), &world), Some(Step::Verify(EntryId(7))));
    if let Some(staged) = &mut world.entry {
        staged.attempts.login = Login::Accepted;
    }
    assert!(matches!(step(&deleting(), &world), Some(Step::Stage(draft)) if draft.kind == Kind::Delete));
}

#[test]
fn what_was_made_and_does_not_log_in_is_given_its_password_again_rather_than_made_again() {
    let server = Server {
        verifiable: true,
        ..server()
    };
    let mut world = observed(server);
    let attempts = Attempts {
        login: Login::Refused(ago(10)),
        ..accepted(200, Some(user(200)))
    };
    world.entry = staged(Kind::Create, attempts, seen(None, 210));
    world.observation = observation(Some(user(200)), 2);
    assert!(matches!(step(&desired(), &world), Some(Step::Stage(draft)) if draft.kind == Kind::SetPassword));
}

#[test]
fn who_is_not_tried_is_told_why_nobody_could_be() {
    let why = "the certificate has expired";
    let server = Server {
        unverifiable: Some(why.to_string()),
        ..server()
    };
    let mut world = observed(server);
    world.entry = staged(Kind::Create, accepted(200, Some(user(200))), seen(None, 210));
    world.observation = observation(Some(user(200)), 2);
    let plan = plan(&desired(), &world, ago(0), &ProtocolTimings::default());
    assert!(matches!(plan.step, Some(Step::Publish(_))), "{plan:?}");
    assert_eq!(plan.report.verified, Verified::Unknown(why.to_string()));
}

#[test]
fn a_new_resource_waits_for_what_an_earlier_one_of_its_name_has_sent() {
    let mut world = observed(server());
    assert!(matches!(step(&desired(), &world), Some(Step::Stage(_))));
    world.predecessor = Predecessor::Blocks;
    let waiting = plan(&desired(), &world, ago(0), &ProtocolTimings::default());
    assert_eq!(waiting.step, None);
    assert!(waiting.again.is_some() && waiting.report.reconciling);
}

#[test]
fn a_deletion_that_nobody_has_sent_is_carried_out_although_its_resource_is_gone() {
    let mut world = observed(server());
    world.entry = staged(Kind::Delete, Attempts::none(), seen(Some(5000), 10));
    world.observation = observation(Some(user(5000)), 2);
    let next = plan_ownerless(&world, ago(0), &ProtocolTimings::default()).step;
    assert_eq!(next, Some(Step::Send(EntryId(7))));
}

/// A server that marks roles, reads them at once and shows what they are: by SQL.
fn sql() -> Server {
    let mut server = server();
    server.capabilities.marks = true;
    server.capabilities.reads_trail = false;
    server.verifiable = true;
    server
}

fn mark(uid: &str) -> Creator {
    Creator::Marked(Mark {
        installation: "i".to_string(),
        uid: uid.to_string(),
    })
}

fn role(creator: Creator) -> RemoteUser {
    RemoteUser {
        username: "app".to_string(),
        protected: false,
        creator,
        created: None,
        modified: None,
        traits: Traits {
            role: Some(Arc::new(FoundRole::as_created())),
            ..Traits::default()
        },
    }
}

/// A published login of this resource on such a server.
fn published_on(server: Server) -> Observed {
    let mut world = observed(server);
    world.record = Some(Record {
        server: Some(reference("s")),
        password_stamp: None,
        memberships: Default::default(),
        config: Default::default(),
        retired: false,
        identity: identity(),
        adopted: false,
        moved: false,
        created: None,
        last_set: None,
    });
    world.published = Some(Published {
        resource_version: "5".to_string(),
        mac: "m".to_string(),
        content_digest: "d".to_string(),
        address: None,
        renewed_at: None,
    });
    world.secret = SecretView::Ours {
        resource_version: "5".to_string(),
        owned: true,
        content: None,
    };
    world.observation = observation(Some(role(mark("u"))), 2);
    world
}

fn staged_kind(step: Option<Step>) -> Option<(Kind, Cause, DraftPassword)> {
    match step? {
        Step::Stage(draft) => Some((draft.kind, draft.cause, draft.password)),
        _ => None,
    }
}

fn stalled(desired: &Desired, observed: &Observed) -> Option<Reason> {
    let plan = plan(desired, observed, ago(0), &ProtocolTimings::default());
    plan.report.stalled.map(|stalled| stalled.reason)
}

#[test]
fn a_role_with_the_mark_of_another_resource_is_not_changed_and_not_deleted() {
    let mut world = published_on(sql());
    world.observation = observation(Some(role(mark("v"))), 0);
    assert_eq!(step(&desired(), &world), None);
    assert_eq!(
        step(&deleting(), &world),
        Some(Step::RemoveFinalizer(ReleaseReason::NotOurs))
    );
}

#[test]
fn a_role_whose_mark_was_taken_off_is_not_ours_any_more_even_if_it_was_adopted() {
    let mut world = published_on(sql());
    world.record.as_mut().unwrap().adopted = true;
    world.observation = observation(Some(role(Creator::Unmanaged)), 0);
    assert_eq!(stalled(&desired(), &world), Some(Reason::Conflict));
    assert_eq!(
        step(&deleting(), &world),
        Some(Step::RemoveFinalizer(ReleaseReason::NotOurs))
    );
}

#[test]
fn a_role_with_the_mark_of_another_installation_is_not_adopted_unless_an_administrator_says_so() {
    let mut server = sql();
    server.allow_adoption = true;
    let adopting = Desired {
        adopt: true,
        ..desired()
    };
    let foreign = Creator::Marked(Mark {
        installation: "elsewhere".to_string(),
        uid: "v".to_string(),
    });
    let mut world = observed(server.clone());
    world.observation = observation(Some(role(foreign)), 0);
    assert_eq!(stalled(&adopting, &world), Some(Reason::Conflict));
    server.take_over_from = Some("elsewhere".to_string());
    world.server = ServerView::Usable(Box::new(server));
    let staged = staged_kind(step(&adopting, &world));
    assert_eq!(staged, Some((Kind::Adopt, Cause::Adoption, DraftPassword::New)));
}

#[test]
fn settings_that_differ_are_put_right_without_touching_the_password_and_refused_ones_are_not_tried_again() {
    let mut world = published_on(sql());
    let limited = Desired {
        settings: RoleSettings {
            options: Some(RoleOptions {
                connection_limit: 3,
                ..RoleOptions::default()
            }),
            ..RoleSettings::default()
        },
        ..desired()
    };
    let staged = staged_kind(step(&limited, &world));
    assert_eq!(
        staged,
        Some((Kind::Configure, Cause::Settings, DraftPassword::None))
    );
    world.rejected_settings = Some(Rejected {
        wish: "s".to_string(),
        message: "no".to_string(),
    });
    let plan = plan(&limited, &world, ago(0), &ProtocolTimings::default());
    assert_eq!(plan.step, None);
    assert_eq!(plan.report.stalled.unwrap().reason, Reason::SettingsRejected);
    assert!(plan.report.ready.ready);
    assert_eq!(plan.again, Some(Duration::from_secs(60)));

    // What was in their way may have been mended meanwhile.
    world.settings_due = ago(0);
    assert_eq!(
        staged_kind(step(&limited, &world)),
        Some((Kind::Configure, Cause::Settings, DraftPassword::None))
    );
}

#[test]
fn a_login_that_was_renamed_is_neither_made_anew_nor_let_go() {
    let mut world = published_on(sql());
    world.observation = observation(None, 0);
    world.last_write = None;
    world.renamed = Some("other \"x\"".to_string());
    let plan_of = |desired: &Desired| plan(desired, &world, ago(0), &ProtocolTimings::default());
    let plan = plan_of(&desired());
    assert_eq!(plan.step, None);
    let stalled = plan.report.stalled.unwrap();
    assert_eq!(stalled.reason, Reason::Conflict);
    let command = r#"ALTER ROLE "other ""x""" RENAME TO "app""#;
    assert!(stalled.message.contains(command), "{}", stalled.message);

    let plan = plan_of(&deleting());
    assert_eq!(plan.step, None);
    assert_eq!(plan.report.ready.reason, Reason::DeletionBlocked);
    assert!(
        plan.report.ready.message.contains(command),
        "{}",
        plan.report.ready.message
    );
}

#[test]
fn a_rotation_is_not_held_up_by_settings_that_were_refused() {
    let mut world = published_on(sql());
    world.rejected_settings = Some(Rejected {
        wish: "s".to_string(),
        message: "no".to_string(),
    });
    let wanted = Desired {
        rotate: Some("1".to_string()),
        settings: RoleSettings {
            options: Some(RoleOptions {
                create_role: true,
                ..RoleOptions::default()
            }),
            ..RoleSettings::default()
        },
        ..desired()
    };
    let staged = staged_kind(step(&wanted, &world));
    let rotation = Cause::Rotation("1".to_string());
    assert_eq!(staged, Some((Kind::SetPassword, rotation, DraftPassword::New)));
}

#[test]
fn a_stamp_that_moved_sets_the_published_password_back_and_one_that_is_first_seen_is_recorded() {
    let mut world = published_on(sql());
    let mut found = role(mark("u"));
    found.traits.password_stamp = Some("b".to_string());
    world.observation = observation(Some(found), 0);
    let first = plan(&desired(), &world, ago(0), &ProtocolTimings::default());
    assert_eq!(first.step, None);
    assert_eq!(first.report.record.unwrap().password_stamp, Some("b".to_string()));
    world.record.as_mut().unwrap().password_stamp = Some("a".to_string());
    let staged = staged_kind(step(&desired(), &world));
    assert_eq!(
        staged,
        Some((Kind::SetPassword, Cause::SetBack, DraftPassword::Published))
    );
}

#[test]
fn where_changes_are_not_shown_the_published_password_is_tried_when_due_and_set_back_when_refused() {
    let mut world = published_on(sql());
    let waiting = plan(&desired(), &world, ago(0), &ProtocolTimings::default());
    assert_eq!(waiting.step, None);
    assert_eq!(waiting.again, Some(Duration::from_secs(3600)));
    world.tried.due = ago(0);
    let due = plan(&desired(), &world, ago(0), &ProtocolTimings::default());
    assert_eq!(due.step, Some(Step::TryPublished));
    assert!(due.report.ready.ready && !due.report.reconciling);
    world.tried.login = Login::Refused(ago(0));
    let staged = staged_kind(step(&desired(), &world));
    assert_eq!(
        staged,
        Some((Kind::SetPassword, Cause::SetBack, DraftPassword::Published))
    );
}

/// A resource that was pointed from another server object to this one.
fn moving(mut server: Server) -> Observed {
    server.reference = reference("new");
    let mut world = published_on(server);
    let old = RemoteIdentity {
        provider: "p".to_string(),
        cluster: "old".to_string(),
    };
    world.record.as_mut().unwrap().identity = old.clone();
    world.claim.as_mut().unwrap().identity = old;
    world.observation = observation(Some(role(Creator::Unmanaged)), 0);
    world
}

#[test]
fn a_move_needs_the_published_password_to_log_in_on_the_new_server() {
    let mut world = moving(sql());
    assert_eq!(step(&desired(), &world), Some(Step::TryPublished));
    world.tried.login = Login::Refused(ago(0));
    assert_eq!(stalled(&desired(), &world), Some(Reason::RemoteChanged));
    world.tried.login = Login::Accepted;
    assert_eq!(step(&desired(), &world), Some(Step::Claim));
    world.claim = world.own_claim.clone();
    let staged = staged_kind(step(&desired(), &world));
    assert_eq!(
        staged,
        Some((Kind::Adopt, Cause::Moved, DraftPassword::Published))
    );
}

#[test]
fn a_move_to_where_there_is_no_such_login_changes_nothing_and_the_secret_stays_ready() {
    let mut world = moving(sql());
    world.observation = observation(None, 0);
    let plan = plan(&desired(), &world, ago(0), &ProtocolTimings::default());
    assert_eq!(plan.step, None);
    assert_eq!(plan.report.stalled.unwrap().reason, Reason::RemoteChanged);
    assert!(plan.report.ready.ready);
}

#[test]
fn a_server_object_that_names_another_cluster_is_no_move() {
    let mut world = moving(sql());
    world.record.as_mut().unwrap().server = Some(reference("new"));
    world.tried.login = Login::Accepted;
    assert_eq!(step(&desired(), &world), None);
    assert_eq!(stalled(&desired(), &world), Some(Reason::RemoteChanged));
}

#[test]
fn a_deletion_that_was_refused_is_staged_anew_when_somebody_is_named_to_get_what_the_login_owns() {
    let mut world = published_on(sql());
    let blocker = DeletionBlocker {
        object: "\"public\".\"t\"".to_string(),
        ..DeletionBlocker::default()
    };
    let attempts = Attempts {
        last: Some(ago(1)),
        outcome: Some(Outcome::Refused {
            message: "it owns 3 tables".to_string(),
            blockers: vec![blocker.clone()],
        }),
        ..Attempts::none()
    };
    world.entry = staged(Kind::Delete, attempts, seen(None, 5));
    let blocked = plan(&deleting(), &world, ago(0), &ProtocolTimings::default());
    assert_eq!(blocked.step, None);
    assert_eq!(blocked.report.ready.reason, Reason::DeletionBlocked);
    assert_eq!(blocked.report.blockers, [blocker]);
    let heir = Desired {
        settings: RoleSettings {
            reassign_owned_to: Some("heir".to_string()),
            ..RoleSettings::default()
        },
        ..deleting()
    };
    let staged = staged_kind(step(&heir, &world));
    assert_eq!(staged, Some((Kind::Delete, Cause::Deletion, DraftPassword::None)));
}

#[test]
fn an_entry_of_a_retained_login_whose_resource_is_gone_leaves_the_login() {
    let mut world = published_on(sql());
    let mut entry = staged(Kind::SetPassword, unanswered(300), seen(None, 310)).unwrap();
    entry.entry.retain = true;
    world.entry = Some(entry);
    world.observation = observation(Some(role(mark("u"))), 1);
    let plan = plan_ownerless(&world, ago(0), &ProtocolTimings::default());
    assert_eq!(plan.step, Some(Step::Settle(EntryId(7))));
}

/// A login that is to stay, whose deletion was begun and came to no end.
fn half_deleted(login: bool) -> Observed {
    let mut world = published_on(sql());
    world.entry = staged(Kind::Delete, unanswered(300), seen(None, 310));
    let mut found = role(mark("u"));
    found.traits.role = Some(Arc::new(FoundRole {
        login,
        ..FoundRole::as_created()
    }));
    world.observation = observation(Some(found), 1);
    world
}

#[test]
fn a_login_that_is_kept_after_a_deletion_was_broken_off_gets_login_back() {
    let retaining = Desired {
        retain: true,
        ..deleting()
    };
    let given = Some((Kind::Configure, Cause::Deletion, DraftPassword::None));
    assert_eq!(staged_kind(step(&retaining, &half_deleted(false))), given);
    let settle = Some(Step::Settle(EntryId(7)));
    assert_eq!(step(&retaining, &half_deleted(true)), settle);
    // An answer that came is no word that LOGIN was given back: the connection may have been lost by then.
    let mut refused = half_deleted(false);
    let attempts = &mut refused.entry.as_mut().unwrap().attempts;
    attempts.unknown = false;
    attempts.outcome = Some(Outcome::Refused {
        message: "somebody else holds a lock".to_string(),
        blockers: Vec::new(),
    });
    assert_eq!(staged_kind(step(&retaining, &refused)), given);
    // As long as the deletion may be under way, nothing is done against it.
    let mut young = half_deleted(false);
    young.entry = staged(Kind::Delete, unanswered(5), seen(None, 10));
    assert_eq!(step(&retaining, &young), None);
    // Whoever wants it deleted after all has it deleted.
    assert_eq!(
        step(&deleting(), &half_deleted(false)),
        Some(Step::Send(EntryId(7)))
    );
}

#[test]
fn login_is_given_back_before_the_object_is_let_go_and_whatever_comes_of_it_lets_it_go() {
    let retaining = Desired {
        retain: true,
        ..deleting()
    };
    let with = |attempts| {
        let mut world = half_deleted(false);
        let mut entry = staged(Kind::Configure, attempts, seen(None, 1)).unwrap();
        entry.entry.cause = Cause::Deletion;
        entry.entry.retain = true;
        world.entry = Some(entry);
        world
    };
    let send = Some(Step::Send(EntryId(7)));
    assert_eq!(step(&retaining, &with(Attempts::none())), send);
    assert_eq!(step(&retaining, &with(unanswered(300))), send);
    let answered = |outcome| Attempts {
        last: Some(ago(1)),
        outcome: Some(outcome),
        ..Attempts::none()
    };
    let refused = Outcome::Refused {
        message: "no ADMIN OPTION".to_string(),
        blockers: Vec::new(),
    };
    for outcome in [
        Outcome::Accepted {
            at: ago(1),
            user: None,
        },
        Outcome::NotFound,
        refused,
    ] {
        let settle = Some(Step::Settle(EntryId(7)));
        assert_eq!(step(&retaining, &with(answered(outcome))), settle);
    }
    // Who has changed their mind has it deleted.
    assert_eq!(
        step(&deleting(), &with(Attempts::none())),
        Some(Step::Settle(EntryId(7)))
    );
    // The object was let go by force: what was begun is brought to its end.
    let gone = plan_ownerless(&with(unanswered(300)), ago(0), &ProtocolTimings::default());
    assert_eq!(gone.step, send);
}

#[test]
fn a_role_whose_mark_cannot_be_read_is_somebodys_and_is_left_alone() {
    let mut server = sql();
    server.allow_adoption = true;
    let adopting = Desired {
        adopt: true,
        ..desired()
    };
    let mut world = observed(server.clone());
    world.observation = observation(Some(role(Creator::Unknown)), 0);
    assert_eq!(stalled(&adopting, &world), Some(Reason::Conflict));
    assert_eq!(step(&adopting, &world), None);
    let mut world = published_on(server);
    world.observation = observation(Some(role(Creator::Unknown)), 0);
    assert_eq!(
        step(&deleting(), &world),
        Some(Step::RemoveFinalizer(ReleaseReason::NotOurs))
    );
}

#[test]
fn a_move_that_could_not_be_made_is_tried_again_after_a_while() {
    let mut world = moving(sql());
    world.tried.login = Login::Refused(ago(40));
    assert_eq!(step(&desired(), &world), Some(Step::TryPublished));
    world.tried.login = Login::Refused(ago(10));
    let waiting = plan(&desired(), &world, ago(0), &ProtocolTimings::default());
    assert_eq!(waiting.step, None);
    assert_eq!(waiting.again, Some(Duration::from_secs(30)));
}

#[test]
fn a_spec_that_cannot_be_read_changes_nothing_and_is_told_of_whatever_its_server_is_like() {
    let unreadable = Desired {
        invalid: Some(Invalid {
            reason: Reason::Undecodable,
            message: "spec.postgresql cannot be read".to_string(),
        }),
        ..desired()
    };
    let mut world = observed(server());
    assert_eq!(stalled(&unreadable, &world), Some(Reason::Undecodable));
    assert_eq!(step(&unreadable, &world), None);
    world.server = ServerView::Unusable(Unusable {
        reason: Reason::ServerNotFound,
        message: String::new(),
    });
    assert_eq!(stalled(&unreadable, &world), Some(Reason::Undecodable));
    assert_eq!(step(&unreadable, &world), None);
}

#[test]
fn a_change_that_was_accepted_is_recorded_with_its_date_before_it_is_settled() {
    let changed = RemoteUser {
        modified: Some(date_ago(1)),
        ..user(60)
    };
    let mut world = observed(server());
    world.record = record(60);
    world.entry = staged(
        Kind::SetPassword,
        accepted(1, Some(changed.clone())),
        Seen::default(),
    );
    let mac = world.entry.as_ref().unwrap().mac.clone().unwrap();
    world.published = Some(Published {
        resource_version: "5".to_string(),
        mac,
        content_digest: "d".to_string(),
        address: None,
        renewed_at: None,
    });
    world.secret = SecretView::Ours {
        resource_version: "5".to_string(),
        owned: true,
        content: None,
    };
    let first = plan(&desired(), &world, ago(0), &ProtocolTimings::default());
    assert_eq!(first.step, None);
    let recorded = first.report.record.expect("a record");
    assert_eq!(recorded.last_set, Some(date_ago(1)));

    world.record = Some(recorded);
    let then = plan(&desired(), &world, ago(0), &ProtocolTimings::default());
    assert!(matches!(then.step, Some(Step::Settle(_))));
}

#[test]
fn a_finalizer_or_a_claim_that_was_taken_away_is_put_back_before_anything_else() {
    let whole = published_on(server());
    assert_eq!(step(&desired(), &whole), None);
    let suspended = Desired {
        suspended: true,
        ..desired()
    };
    for wish in [desired(), suspended] {
        let mut world = whole.clone();
        world.turn = false;
        world.finalizer = false;
        assert_eq!(step(&wish, &world), Some(Step::Guard));
        world.finalizer = true;
        world.claim = None;
        assert_eq!(step(&wish, &world), Some(Step::Guard));
    }
    // Of what is on another cluster than the server object names now, a claim would say something wrong.
    let mut elsewhere = whole;
    elsewhere.finalizer = false;
    elsewhere.record.as_mut().unwrap().identity.cluster = "before".to_string();
    assert_eq!(step(&desired(), &elsewhere), None);
}

#[test]
fn a_published_password_is_not_changed_while_its_secret_cannot_be_replaced() {
    let mut world = published_on(server());
    world.secret = SecretView::Leaving("example.com/hold".to_string());
    let rotating = Desired {
        rotate: Some("now".to_string()),
        ..desired()
    };
    let plan = plan(&rotating, &world, ago(0), &ProtocolTimings::default());
    assert_eq!(plan.step, None);
    assert!(plan.report.ready.ready, "what is in it still works");
    let stalled = plan.report.stalled.unwrap();
    assert_eq!(stalled.reason, Reason::SecretTerminating);
    assert!(stalled.message.contains("example.com/hold"));
}

fn refusal() -> Option<Trouble> {
    Some(Trouble {
        reason: Reason::WriteRefused,
        message: "exceeded quota".to_string(),
        stalled: true,
    })
}

#[test]
fn what_the_api_server_refuses_is_told_and_ready_says_whether_the_published_password_works() {
    let mut world = published_on(server());
    world.entry = staged(Kind::SetPassword, accepted(1, Some(user(60))), Seen::default());
    world.entry.as_mut().unwrap().mac = Some("another".to_string());
    world.refusal = refusal();
    let told = plan(&desired(), &world, ago(0), &ProtocolTimings::default());
    assert!(
        matches!(told.step, Some(Step::Publish(_))),
        "it goes on being tried"
    );
    assert_eq!(
        (told.report.ready.ready, told.report.ready.reason),
        (false, Reason::WriteRefused)
    );
    assert!(told.report.ready.message.contains("exceeded quota"));
    assert_eq!(told.report.stalled.unwrap().reason, Reason::WriteRefused);

    // Nothing was sent yet: the old one works.
    world.entry.as_mut().unwrap().attempts = Attempts::none();
    let told = plan(&desired(), &world, ago(0), &ProtocolTimings::default());
    assert!(told.report.ready.ready);
    assert_eq!(told.report.stalled.unwrap().reason, Reason::WriteRefused);

    // And what is deleted says what holds it.
    world.entry = None;
    let told = plan(&deleting(), &world, ago(0), &ProtocolTimings::default());
    assert_eq!(told.report.ready.reason, Reason::DeletionBlocked);
    assert!(told.report.ready.message.contains("exceeded quota"));
}

#[test]
fn a_refusal_is_told_no_more_once_nothing_is_wanted() {
    let mut world = published_on(server());
    world.refusal = refusal();
    let told = plan(&desired(), &world, ago(0), &ProtocolTimings::default());
    assert_eq!(told.step, None);
    assert!(told.report.ready.ready && told.report.stalled.is_none());
}

#[test]
fn a_login_that_is_not_on_record_is_not_let_go_while_its_server_is_in_trouble() {
    let retaining = Desired {
        retain: true,
        ..deleting()
    };
    let mut troubled = server();
    troubled.trouble = refusal();
    let mut world = observed(troubled);
    world.entry = staged(Kind::Delete, unanswered(300), Seen::default());
    world.observation = observation(Some(user(500)), 2);
    assert_eq!(step(&retaining, &world), None);
    assert_eq!(stalled_as(&retaining, &world), Reason::DeletionBlocked);
    world.record = record(500);
    assert_eq!(step(&retaining, &world), Some(Step::Settle(EntryId(7))));

    // Nor without a server; what nobody has sent made nothing.
    world.record = None;
    world.server = ServerView::Unusable(Unusable {
        reason: Reason::ServerNotFound,
        message: "there is none".to_string(),
    });
    assert_eq!(step(&retaining, &world), None);
    assert_eq!(stalled_as(&retaining, &world), Reason::DeletionBlocked);
    world.entry.as_mut().unwrap().attempts = Attempts::none();
    assert_eq!(step(&retaining, &world), Some(Step::Settle(EntryId(7))));
}

#[test]
fn what_becomes_of_the_login_is_said_while_its_object_is_let_go() {
    let said = |desired: &Desired, observed: &Observed| {
        let plan = plan(desired, observed, ago(0), &ProtocolTimings::default());
        (plan.step, plan.report.ready.message)
    };
    let stays = "this object is being let go: the login stays on the server".to_string();
    let deletes = "the login is being deleted on the server".to_string();
    let retaining = Desired {
        retain: true,
        ..deleting()
    };
    let mut world = published_on(sql());
    let release = Step::ReleaseSecret {
        resource_version: "5".to_string(),
    };
    assert_eq!(said(&retaining, &world), (Some(release), stays.clone()));
    assert_eq!(said(&deleting(), &world).1, deletes);

    // A deletion that nobody has sent is taken back; one without an answer may have deleted it.
    world.entry = staged(Kind::Delete, Attempts::none(), Seen::default());
    let settle = Step::Settle(EntryId(7));
    assert_eq!(said(&retaining, &world), (Some(settle), stays));
    world.entry = staged(Kind::Delete, unanswered(1), Seen::default());
    assert_ne!(
        said(&retaining, &world).1,
        said(&retaining, &published_on(sql())).1
    );
}

/// The Secret names `one`, the server object `other`.
fn moved_address(verifiable: bool, login: Login) -> (Desired, Observed) {
    let mut world = published_on(Server { verifiable, ..sql() });
    let published = world.published.as_mut().unwrap();
    published.address = Some("one:5432/db".to_string());
    world.tried.login = login;
    let desired = Desired {
        content_digest: "other".to_string(),
        address: Some("other:5432/db".to_string()),
        ..desired()
    };
    (desired, world)
}

#[test]
fn another_address_is_published_once_a_login_works_there_or_cannot_be_tried() {
    let publishes =
        |(desired, world): (Desired, Observed)| matches!(step(&desired, &world), Some(Step::Publish(_)));
    assert!(publishes(moved_address(true, Login::Accepted)));
    assert!(publishes(moved_address(
        true,
        Login::Unverifiable("no TLS".to_string())
    )));
    assert!(publishes(moved_address(false, Login::NotTried)));
    let (desired, world) = moved_address(true, Login::NotTried);
    assert_eq!(step(&desired, &world), Some(Step::TryPublished));
    // What was published before addresses were on record goes on as it did.
    let (desired, mut world) = moved_address(true, Login::NotTried);
    world.published.as_mut().unwrap().address = None;
    assert!(publishes((desired, world)));
}

#[test]
fn an_address_that_refuses_the_password_is_not_published_and_shows_no_drift() {
    let (desired, world) = moved_address(true, Login::Refused(ago(1)));
    assert_eq!(step(&desired, &world), None);
    assert_eq!(stalled(&desired, &world), Some(Reason::AddressRefused));
    let held = plan(&desired, &world, ago(0), &ProtocolTimings::default());
    assert!(
        held.again.is_some_and(|again| again <= Duration::from_secs(60)),
        "{held:?}"
    );
    let (desired, world) = moved_address(true, Login::Refused(ago(61)));
    assert_eq!(step(&desired, &world), Some(Step::TryPublished));
    // At the address that is published it does.
    let (desired, mut world) = moved_address(true, Login::Refused(ago(1)));
    world.published.as_mut().unwrap().address = desired.address.clone();
    assert!(matches!(step(&desired, &world), Some(Step::Stage(draft)) if draft.cause == Cause::SetBack));
}

#[test]
fn a_password_that_is_old_enough_is_changed_behind_everybody_who_waits() {
    let world = published_on(sql());
    let due = |due: u64| Desired {
        rotation_due: Some(ago(due)),
        ..desired()
    };
    assert_eq!(
        staged_kind(step(&due(0), &world)),
        Some((Kind::SetPassword, Cause::Scheduled, DraftPassword::New))
    );
    let without_turn = Observed {
        turn: false,
        ..world.clone()
    };
    assert_eq!(step(&due(0), &without_turn), Some(Step::AskTurn(Class::Periodic)));
    // Not before, not while nothing is to be changed, and no password of a person's own.
    let later = Desired {
        rotation_due: Some(Mono(NOW * 1000 + 5000)),
        ..desired()
    };
    let plan = plan(&later, &world, ago(0), &ProtocolTimings::default());
    assert_eq!((plan.step, plan.again), (None, Some(Duration::from_secs(5))));
    let suspended = Desired {
        suspended: true,
        ..due(60)
    };
    assert_eq!(step(&suspended, &world), None);
    let own = Desired {
        password: WantedPassword::Own { mac: "m".to_string() },
        ..due(60)
    };
    assert_eq!(step(&own, &world), None);
    // One that the server refuses is not asked for again and again.
    let mut refused = world;
    refused.rejected = Some(Rejected {
        wish: "w".to_string(),
        message: "too weak".to_string(),
    });
    assert_eq!(step(&due(60), &refused), None);
}

#[test]
fn nothing_is_published_that_has_not_logged_in_where_the_server_object_asks_for_that() {
    let server = Server {
        must_log_in: true,
        ..sql()
    };
    let mut world = published_on(server);
    let attempts = Attempts {
        login: Login::Unverifiable("no route".to_string()),
        ..accepted(5, None)
    };
    world.entry = staged(Kind::SetPassword, attempts, seen(None, 10));
    world.entry.as_mut().unwrap().mac = Some("another".to_string());
    let try_again_at = |world: &mut Observed, at: Option<Mono>| match &mut world.server {
        ServerView::Usable(server) => server.log_in_again = at,
        ServerView::Unusable(_) => unreachable!(),
    };
    try_again_at(&mut world, Some(ago(0) + Duration::from_secs(20)));
    assert_eq!(stalled(&desired(), &world), Some(Reason::NotVerified));
    let held = plan(&desired(), &world, ago(0), &ProtocolTimings::default());
    assert_eq!((held.step, held.again), (None, Some(Duration::from_secs(20))));
    try_again_at(&mut world, Some(ago(1)));
    assert_eq!(step(&desired(), &world), Some(Step::Verify(EntryId(7))));
}

#[test]
fn a_password_of_ones_own_that_is_too_old_is_told_of_and_goes_on_working() {
    let world = published_on(sql());
    let own = Desired {
        password: WantedPassword::Own {
            mac: world.published.as_ref().unwrap().mac.clone(),
        },
        rotation_due: Some(ago(1)),
        ..desired()
    };
    let told = plan(&own, &world, ago(0), &ProtocolTimings::default());
    assert!(told.report.ready.ready && told.step.is_none(), "{told:?}");
    assert_eq!(stalled(&own, &world), Some(Reason::PasswordOverdue));
    let suspended = Desired {
        suspended: true,
        password: WantedPassword::Generated,
        ..own
    };
    assert_eq!(stalled(&suspended, &world), Some(Reason::PasswordOverdue));
}

/// A login of before, whose overlap is over.
fn retiring(options: Option<RoleOptions>) -> Desired {
    Desired {
        part: Part::Retired,
        retiring: true,
        has_others: true,
        settings: RoleSettings {
            options: options.map(|options| RoleOptions {
                login: false,
                ..options
            }),
            ..RoleSettings::default()
        },
        ..desired()
    }
}

#[test]
fn a_login_of_before_loses_its_password_in_the_way_that_its_server_has() {
    let world = published_on(sql());
    let by_sql = retiring(Some(RoleOptions::default()));
    assert_eq!(
        staged_kind(step(&by_sql, &world)),
        Some((Kind::Configure, Cause::Retirement, DraftPassword::None))
    );
    assert_eq!(
        staged_kind(step(&retiring(None), &world)),
        Some((Kind::SetPassword, Cause::Retirement, DraftPassword::New))
    );
    // Once it is on record, nothing is done any more.
    let mut done = world;
    done.record.as_mut().unwrap().retired = true;
    let plan = plan(&retiring(None), &done, ago(0), &ProtocolTimings::default());
    assert!(plan.step.is_none() && plan.report.ready.ready, "{plan:?}");
}

#[test]
fn a_login_of_before_that_is_used_is_waited_for() {
    let mut world = published_on(sql());
    let desired = Desired {
        unused_by: Some(ago(0) + Duration::from_secs(60)),
        ..retiring(Some(RoleOptions::default()))
    };
    assert_eq!(step(&desired, &world), Some(Step::Read));
    let with = |world: &mut Observed, sessions| {
        let observation = world.observation.as_mut().unwrap();
        observation.started = ago(1);
        observation.user.as_mut().unwrap().traits.sessions = Some(sessions);
    };
    with(&mut world, 2);
    let waits = plan(&desired, &world, ago(0), &ProtocolTimings::default());
    assert!(
        waits.step.is_none() && waits.again.is_some() && waits.report.ready.ready,
        "{waits:?}"
    );
    let long_enough = Desired {
        unused_by: Some(ago(1)),
        ..desired.clone()
    };
    assert!(staged_kind(step(&long_enough, &world)).is_some());
    with(&mut world, 0);
    assert!(staged_kind(step(&desired, &world)).is_some());
}

#[test]
fn a_retirement_that_is_refused_is_told_and_tried_again_each_minute() {
    let mut world = published_on(sql());
    let refused = |seconds| Attempts {
        last: Some(ago(seconds)),
        outcome: Some(Outcome::Refused {
            message: "a lock".to_string(),
            blockers: Vec::new(),
        }),
        ..Attempts::none()
    };
    let desired = retiring(Some(RoleOptions::default()));
    let entry = |attempts| {
        let mut entry = staged(Kind::Configure, attempts, seen(None, 100));
        let staged = entry.as_mut().unwrap();
        (staged.entry.cause, staged.entry.settings) = (Cause::Retirement, desired.settings.clone());
        entry
    };
    world.entry = entry(refused(5));
    assert_eq!(stalled(&desired, &world), Some(Reason::RetirementBlocked));
    let held = plan(&desired, &world, ago(0), &ProtocolTimings::default());
    assert!(held.report.ready.ready && held.step.is_none(), "{held:?}");
    world.entry = entry(refused(61));
    assert_eq!(step(&desired, &world), Some(Step::Send(EntryId(7))));
}

#[test]
fn a_rotation_in_place_that_nobody_has_sent_is_given_up_once_two_logins_take_turns() {
    let mut world = published_on(sql());
    let asked = Desired {
        rotate: Some("1".to_string()),
        ..desired()
    };
    let in_turn = Desired {
        part: Part::Published,
        ..asked.clone()
    };
    for cause in [Cause::Rotation("1".to_string()), Cause::Scheduled] {
        world.entry = staged(Kind::SetPassword, Attempts::none(), seen(Some(5000), 2));
        world.entry.as_mut().unwrap().entry.cause = cause;
        assert_eq!(step(&asked, &world), Some(Step::Send(EntryId(7))));
        assert_eq!(step(&in_turn, &world), Some(Step::Settle(EntryId(7))));
    }
    // What was sent may have been done.
    world.entry.as_mut().unwrap().attempts = unanswered(30);
    assert_eq!(step(&in_turn, &world), Some(Step::Send(EntryId(7))));
}

#[test]
fn a_login_gets_login_before_it_gets_a_password() {
    let mut world = published_on(sql());
    let desired = Desired {
        settings: RoleSettings {
            options: Some(RoleOptions::default()),
            ..RoleSettings::default()
        },
        ..desired()
    };
    world.published = None;
    let kind = |world: &Observed| staged_kind(step(&desired, world)).map(|(kind, ..)| kind);
    assert_eq!(kind(&world), Some(Kind::SetPassword));
    let user = world.observation.as_mut().unwrap().user.as_mut().unwrap();
    user.traits.role = Some(Arc::new(FoundRole {
        login: false,
        ..FoundRole::as_created()
    }));
    assert_eq!(kind(&world), Some(Kind::Configure));
}

fn restarting(done: bool) -> Restarting {
    Restarting {
        done,
        failure: None,
        rollout: None,
    }
}

fn failed(again: Mono) -> Option<RestartFailure> {
    let trouble = Trouble {
        reason: Reason::RestartForbidden,
        message: "no right".to_string(),
        stalled: true,
    };
    Some(RestartFailure {
        trouble: Some(trouble),
        again,
    })
}

#[test]
fn workloads_are_restarted_once_nothing_else_is_to_be_done() {
    let mut world = published_on(sql());
    world.restart = Some(restarting(false));
    assert_eq!(step(&desired(), &world), Some(Step::Restart));
    for not in [
        Desired {
            suspended: true,
            ..desired()
        },
        Desired {
            part: Part::Owner,
            ..desired()
        },
        deleting(),
    ] {
        assert_ne!(step(&not, &world), Some(Step::Restart), "{not:?}");
    }
    let due = Desired {
        rotate: Some("1".to_string()),
        ..desired()
    };
    assert!(staged_kind(step(&due, &world)).is_some());
    world.restart = Some(restarting(true));
    assert_eq!(step(&desired(), &world), None);
}

#[test]
fn a_restart_that_is_refused_is_told_and_tried_again_later() {
    let mut world = published_on(sql());
    let with = |again| {
        Some(Restarting {
            failure: failed(again),
            ..restarting(false)
        })
    };
    world.restart = with(ago(0) + Duration::from_secs(7));
    let plan = plan(&desired(), &world, ago(0), &ProtocolTimings::default());
    assert!(plan.step.is_none() && plan.report.ready.ready, "{plan:?}");
    assert_eq!(
        plan.report.stalled.map(|stalled| stalled.reason),
        Some(Reason::RestartForbidden)
    );
    assert!(plan.again.is_some_and(|again| again <= Duration::from_secs(7)));
    world.restart = with(ago(1));
    assert_eq!(step(&desired(), &world), Some(Step::Restart));
}

#[test]
fn a_login_of_before_waits_for_workloads_however_long_that_takes() {
    let mut world = published_on(sql());
    let retiring = |by: Mono| Desired {
        rollout_by: Some(by),
        ..retiring(Some(RoleOptions::default()))
    };
    let (later, over) = (retiring(ago(0) + Duration::from_secs(60)), retiring(ago(1)));
    let seen = |seconds, unfinished: Option<&str>| {
        Some(Restarting {
            rollout: Some(Rollout {
                seen: ago(seconds),
                unfinished: unfinished.map(str::to_string),
            }),
            ..restarting(true)
        })
    };
    // Until they are restarted there is nothing to look at.
    world.restart = Some(restarting(false));
    assert_eq!(step(&later, &world), None);
    world.restart = Some(restarting(true));
    assert_eq!(step(&later, &world), Some(Step::LookAtRollouts));
    world.restart = seen(3, Some("deployment/shop (it is paused)"));
    let waits = plan(&later, &world, ago(0), &ProtocolTimings::default());
    assert!(
        waits.step.is_none() && waits.report.stalled.is_none() && waits.report.ready.ready,
        "{waits:?}"
    );
    assert_eq!(waits.again, Some(Duration::from_secs(12)));
    let told = plan(&over, &world, ago(0), &ProtocolTimings::default());
    let stalled = told.report.stalled.unwrap();
    assert!(told.step.is_none() && told.report.ready.ready);
    assert_eq!(stalled.reason, Reason::RetirementBlocked);
    assert!(
        stalled.message.contains("deployment/shop (it is paused)"),
        "{}",
        stalled.message
    );
    // A look grows old, whatever it has shown.
    for unfinished in [None, Some("deployment/shop (it is paused)")] {
        world.restart = seen(16, unfinished);
        assert_eq!(step(&over, &world), Some(Step::LookAtRollouts));
    }
    world.restart = seen(3, None);
    assert!(staged_kind(step(&later, &world)).is_some() && staged_kind(step(&over, &world)).is_some());
    // Nobody asks for restarts any more.
    world.restart = None;
    assert!(staged_kind(step(&over, &world)).is_some());
}

#[test]
fn a_login_that_is_not_needed_any_more_waits_for_workloads_too() {
    let mut world = published_on(sql());
    let removed = Desired {
        part: Part::Removed,
        has_others: true,
        rollout_by: Some(ago(0) + Duration::from_secs(60)),
        ..desired()
    };
    world.restart = Some(restarting(true));
    assert_eq!(step(&removed, &world), Some(Step::LookAtRollouts));
    world.restart = None;
    assert_ne!(step(&removed, &world), None);
    assert_ne!(step(&removed, &world), Some(Step::LookAtRollouts));
}
