//! Decisions of the planner that a reader would look up, one by one.

#![allow(clippy::unwrap_used, clippy::panic)]

use jiff::Timestamp;
use pguser_operator::domain::attempts::{Attempts, Login, Outcome};
use pguser_operator::domain::identity::{Claim, RemoteIdentity};
use pguser_operator::domain::journal::{Cause, Entry, EntryId, Kind, Owner, Seen};
use pguser_operator::domain::password::Password;
use pguser_operator::domain::plan::*;
use pguser_operator::domain::remote::{Capabilities, ClusterState, Creator, RemoteUser};
use pguser_operator::domain::settings::Settings;
use pguser_operator::domain::time::Mono;

const NOW: u64 = 10_000;

/// So many seconds ago, on the process's clock.
fn ago(seconds: u64) -> Mono {
    Mono((NOW - seconds) * 1000)
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
        invalid: None,
        rotate: None,
        password: WantedPassword::Generated,
        adopt: false,
        retain: false,
        suspended: false,
        deleting: false,
        force_finalize: false,
        content_digest: "d".to_string(),
        wish: "w".to_string(),
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

fn sight(user: Option<RemoteUser>, seconds: u64) -> Option<Sight> {
    Some(Sight {
        user,
        started: ago(seconds),
        date: Some(date_ago(seconds)),
        conclusive: true,
    })
}

fn server() -> Server {
    Server {
        identity: identity(),
        capabilities: Capabilities {
            name: "p",
            password_min: 1,
            password_max: 99,
            reserved: &[],
            direct_read: true,
            turns_busy: false,
        },
        allow_adoption: false,
        take_over_from: None,
        credentials_worked: true,
        gone: false,
        trouble: None,
        state: None,
        available: Vec::new(),
        last_not_available: None,
        verifiable: false,
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
        identity: identity(),
        adopted: false,
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
    };
    Observed {
        finalizer: true,
        claim: Some(claim.clone()),
        own_claim: Some(claim),
        record: None,
        published: None,
        handled_rotation: None,
        rejected: None,
        set_backs: 0,
        secret: SecretView::Absent,
        server: ServerView::Usable(Box::new(server)),
        sight: sight(None, 0),
        last_write: None,
        entry: None,
        rival: None,
        unsettled: false,
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

fn seen(made: Option<u64>, at: u64) -> Seen {
    Seen {
        at: Some(date_ago(at)),
        created: made.map(date_ago),
        present: made.is_some(),
    }
}

fn step(desired: &Desired, observed: &Observed) -> Option<Step> {
    plan(desired, observed, ago(0), &Settings::default()).step
}

#[test]
fn a_deletion_without_an_answer_is_not_sent_again_before_a_look() {
    let mut world = observed(server());
    world.record = record(5000);
    world.entry = staged(Kind::Delete, unanswered(30), seen(Some(5000), 40));
    world.sight = sight(Some(user(5000)), 40);
    assert_eq!(step(&deleting(), &world), Some(Step::Read));
    world.sight = sight(Some(user(5000)), 2);
    assert_eq!(step(&deleting(), &world), Some(Step::Send(EntryId(7))));
}

#[test]
fn a_user_that_was_made_anew_by_somebody_else_is_not_deleted() {
    let mut world = observed(server());
    world.record = record(5000);
    world.entry = staged(Kind::Delete, unanswered(200), seen(Some(5000), 210));
    world.sight = sight(Some(user(100)), 2);
    assert_eq!(step(&deleting(), &world), Some(Step::Settle(EntryId(7))));
}

#[test]
fn a_creation_that_is_not_in_effect_yet_is_not_taken_for_absent() {
    let mut world = observed(busy_kind());
    world.last_write = Some(ago(60));
    let accepted = Outcome::Accepted {
        at: ago(60),
        user: None,
    };
    let attempts = Attempts {
        last: Some(ago(60)),
        outcome: Some(accepted),
        ..Attempts::none()
    };
    world.entry = staged(Kind::Create, attempts, seen(None, 70));
    world.sight = sight(None, 2);
    assert_eq!(step(&deleting(), &world), Some(Step::PollCluster));
}

#[test]
fn an_absence_is_believed_only_after_the_cluster_was_available() {
    let mut server = busy_kind();
    server.state = Some((ClusterState::Available, ago(20)));
    server.available = vec![ago(20)];
    let mut world = observed(server);
    world.record = record(5000);
    world.last_write = Some(ago(60));
    world.sight = sight(None, 30);
    assert_eq!(step(&deleting(), &world), Some(Step::Read));
    world.sight = sight(None, 2);
    assert_eq!(
        step(&deleting(), &world),
        Some(Step::RemoveFinalizer(Farewell::Deleted))
    );
}

#[test]
fn a_creation_that_an_earlier_process_left_is_known_by_its_date() {
    let mut world = observed(server());
    let attempts = Attempts::inherited(ago(300));
    world.entry = staged(Kind::Create, attempts, seen(None, 400));
    world.sight = sight(Some(user(350)), 2);
    assert!(matches!(step(&desired(), &world), Some(Step::Stage(draft)) if draft.proven_ours));
    // Made after the last moment at which a request of ours could still have made it.
    world.sight = sight(Some(user(50)), 2);
    assert_eq!(step(&desired(), &world), Some(Step::Settle(EntryId(7))));
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
    world.sight = sight(Some(undated), 2);
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
    let accepted = Outcome::Accepted {
        at: ago(200),
        user: Some(user(200)),
    };
    let attempts = Attempts {
        last: Some(ago(200)),
        outcome: Some(accepted),
        login: Login::Refused(ago(10)),
        ..Attempts::none()
    };
    world.entry = staged(Kind::Create, attempts, seen(None, 210));
    world.sight = sight(Some(user(200)), 2);
    assert!(matches!(step(&desired(), &world), Some(Step::Stage(draft)) if draft.kind == Kind::SetPassword));
}

#[test]
fn a_new_resource_waits_for_what_an_earlier_one_of_its_name_has_sent() {
    let mut world = observed(server());
    assert!(matches!(step(&desired(), &world), Some(Step::Stage(_))));
    world.unsettled = true;
    let waiting = plan(&desired(), &world, ago(0), &Settings::default());
    assert_eq!(waiting.step, None);
    assert!(waiting.again.is_some() && waiting.report.reconciling);
}

#[test]
fn a_deletion_that_nobody_has_sent_is_carried_out_although_its_resource_is_gone() {
    let mut world = observed(server());
    world.entry = staged(Kind::Delete, Attempts::none(), seen(Some(5000), 10));
    world.sight = sight(Some(user(5000)), 2);
    let next = plan_gone(&world, ago(0), &Settings::default()).step;
    assert_eq!(next, Some(Step::Send(EntryId(7))));
}
