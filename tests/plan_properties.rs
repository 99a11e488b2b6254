//! What holds of every plan, whatever was observed: properties of the planner over random worlds.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pguser_operator::api::{Reason, ServerKind, ServerRef};
use pguser_operator::domain::alternation::Part;
use pguser_operator::domain::attempts::{Attempts, Login, Outcome};
use pguser_operator::domain::identity::{Claim, Mark, RemoteIdentity};
use pguser_operator::domain::journal::{Cause, Entry, EntryId, Kind, Owner, Seen};
use pguser_operator::domain::password::Password;
use pguser_operator::domain::plan::*;
use pguser_operator::domain::remote::{Capabilities, ClusterState, Creator, RemoteUser};
use pguser_operator::domain::role::{FoundRole, RoleOptions, RoleSettings, Traits};
use pguser_operator::domain::time::Mono;
use pguser_operator::domain::timings::ProtocolTimings;
use proptest::option::of;
use proptest::prelude::*;

const NOW: u64 = 1_000_000;

fn now() -> Mono {
    Mono(NOW)
}

/// Moments of before now, close enough together to meet every wait.
fn moment() -> impl Strategy<Value = Mono> {
    (0u64..400).prop_map(|seconds| Mono(NOW - seconds * 1000))
}

fn date() -> impl Strategy<Value = Timestamp> {
    (0i64..400).prop_map(|seconds| Timestamp::from_second(10_000 - seconds).unwrap())
}

fn identity() -> impl Strategy<Value = RemoteIdentity> {
    prop_oneof![9 => Just("c"), 1 => Just("other")].prop_map(|cluster| RemoteIdentity {
        provider: "p".to_string(),
        cluster: cluster.to_string(),
    })
}

fn claim() -> impl Strategy<Value = Claim> {
    (prop_oneof![9 => Just("i"), 1 => Just("j")], identity()).prop_map(|(installation, identity)| Claim {
        installation: installation.to_string(),
        identity,
        username: "app".to_string(),
        server: None,
        alternating: false,
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just("1".to_string()), Just("2".to_string())]
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        6 => Just(Part::Sole),
        1 => Just(Part::Published),
        1 => Just(Part::Next(Cause::Scheduled)),
        1 => Just(Part::Owner),
        1 => Just(Part::Retired),
        1 => Just(Part::Removed),
    ]
}

prop_compose! {
    fn desired()(
        part in part(),
        (has_others, retiring, withdrawn) in any::<(bool, bool, bool)>(),
        (unused_by, overlap_ends, rollout_by) in (of(moment()), of(moment()), of(moment())),
        (invalid, beyond) in (prop::bool::weighted(0.1), prop::bool::weighted(0.1)),
        rotate in of(text()),
        password in prop_oneof![
            4 => Just(WantedPassword::Generated),
            2 => text().prop_map(|mac| WantedPassword::Own { mac }),
            1 => Just(WantedPassword::Missing("no Secret".to_string())),
        ],
        (adopt, retain, deleting) in any::<(bool, bool, bool)>(),
        suspended in prop::bool::weighted(0.1),
        force_finalize in prop::bool::weighted(0.1),
        (content_digest, address, wish, settings_wish, rotation_due) in (text(), of(text()), text(), text(), of(moment())),
        settings in settings(),
    ) -> Desired {
        let invalid = invalid.then(|| Invalid { reason: Reason::InvalidUsername, message: "too long".to_string() });
        let beyond = beyond.then(|| Invalid { reason: Reason::InvalidSettings, message: "too much".to_string() });
        Desired {
            username: "app".to_string(), part, principal: "app".to_string(), has_others, retiring,
            unused_by, rollout_by, withdrawn, overlap_ends, invalid, beyond, rotate, password, adopt, retain, suspended, deleting,
            force_finalize, content_digest, address, rotation_due, wish, settings, settings_wish,
        }
    }
}

fn reference() -> impl Strategy<Value = ServerRef> {
    prop_oneof![Just("s"), Just("t")].prop_map(|name| ServerRef {
        kind: ServerKind::PostgresServer,
        name: name.to_string(),
    })
}

prop_compose! {
    fn mark()(installation in text(), uid in prop_oneof![Just("u"), Just("v")]) -> Mark {
        Mark { installation, uid: uid.to_string() }
    }
}

prop_compose! {
    fn settings()((read_only, adopts_power) in any::<(bool, bool)>(), limit in of(1..3), reassign_to in of(text())) -> RoleSettings {
        RoleSettings {
            read_only,
            options: limit.map(|connection_limit| RoleOptions { connection_limit, ..RoleOptions::default() }),
            reassign_owned_to: reassign_to,
            reassign_is_named: false,
            own: Default::default(),
            adopts_power,
            end_sessions: false,
        }
    }
}

prop_compose! {
    fn traits()(
        (read_only, login) in (of(any::<bool>()), prop::bool::weighted(0.8)), limit in of(1..3), password_stamp in of(text()),
    ) -> Traits {
        let role = limit.map(|connection_limit| FoundRole {
            login, connection_limit, valid_until: None, create_database: false, create_role: false, inherit: true,
            bypass_rls: false, unattainable: false, granted: Default::default(), granted_by_others: Default::default(), just_granted: Default::default(),
            config: Default::default(),
        });
        Traits { read_only, role: role.map(std::sync::Arc::new), password_stamp, sessions: None }
    }
}

prop_compose! {
    fn user()(
        protected in prop::bool::weighted(0.1),
        creator in prop_oneof![
            Just(Creator::Account("us".to_string())),
            Just(Creator::Account("them".to_string())),
            Just(Creator::Unmanaged),
            Just(Creator::System),
            Just(Creator::Unknown),
            mark().prop_map(Creator::Marked),
        ],
        created in of(date()),
        modified in of(date()),
        traits in traits(),
    ) -> RemoteUser {
        RemoteUser { username: "app".to_string(), protected, creator, created, modified, traits }
    }
}

prop_compose! {
    fn server()(
        identity in identity(),
        (direct_read, turns_busy, allow_adoption, verifiable) in any::<(bool, bool, bool, bool)>(),
        (marks, reads_trail, must_log_in) in any::<(bool, bool, bool)>(),
        log_in_again in of(moment()),
        reference in reference(),
        take_over_from in of(Just("j".to_string())),
        credentials_worked in prop::bool::weighted(0.9),
        gone in prop::bool::weighted(0.05),
        trouble in of(any::<bool>().prop_map(|stalled| Trouble {
            reason: Reason::Unreachable, message: "no route".to_string(), stalled,
        })),
        state in of((prop_oneof![
            3 => Just(ClusterState::Available),
            1 => Just(ClusterState::Busy),
            1 => Just(ClusterState::Impaired),
        ], moment())),
        last_not_available in of(moment()),
        creator_id in of(Just("us".to_string())),
    ) -> Server {
        Server {
            reference, identity,
            capabilities: Capabilities {
                direct_read, turns_busy, marks, reads_trail, ..Capabilities::PLAIN
            },
            allow_adoption, take_over_from, credentials_worked, gone, trouble,
            closed: None, available: available(state), state, last_not_available, verifiable, must_log_in, log_in_again,
            unverifiable: None, creator_id,
        }
    }
}

/// A state that was read AVAILABLE was read so when it was read.
fn available(state: Option<(ClusterState, Mono)>) -> Arc<[Look]> {
    let read = state.filter(|(state, _)| *state == ClusterState::Available);
    read.map(|(_, started)| Look { started, date: None })
        .into_iter()
        .collect()
}

fn server_view() -> impl Strategy<Value = ServerView> {
    let unusable = Unusable {
        reason: Reason::ServerNotFound,
        message: "there is none".to_string(),
    };
    prop_oneof![
        1 => Just(ServerView::Unusable(unusable)),
        12 => server().prop_map(|server| ServerView::Usable(Box::new(server))),
    ]
}

prop_compose! {
    fn record()(
        identity in identity(), (adopted, moved) in any::<(bool, bool)>(), created in of(date()), last_set in of(date()),
        server in of(reference()), password_stamp in of(text()),
    ) -> Record {
        Record { server, identity, adopted, moved, created, last_set, password_stamp, memberships: Default::default(), config: Default::default(), retired: false }
    }
}

prop_compose! {
    fn observation()(user in of(user()), started in moment(), date in of(date()), proves_absence in any::<bool>()) -> Observation {
        Observation { user, started, date, proves_absence }
    }
}

fn secret() -> impl Strategy<Value = SecretView> {
    let content = (of(text()), any::<bool>()).prop_map(|(mac, intact)| SecretContent { mac, intact });
    let ours = (text(), any::<bool>(), of(content)).prop_map(|(resource_version, owned, content)| {
        SecretView::Ours {
            resource_version,
            owned,
            content,
        }
    });
    prop_oneof![
        2 => Just(SecretView::Absent),
        1 => Just(SecretView::Foreign("somebody's".to_string())),
        5 => ours,
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        (moment(), of(user())).prop_map(|(at, user)| Outcome::Accepted { at, user }),
        Just(Outcome::Exists("409".to_string())),
        Just(Outcome::NotFound),
        Just(Outcome::Refused {
            message: "no".to_string(),
            blockers: Vec::new(),
        }),
    ]
}

fn login() -> impl Strategy<Value = Login> {
    prop_oneof![
        Just(Login::NotTried),
        Just(Login::Accepted),
        moment().prop_map(Login::Refused),
        Just(Login::Unverifiable("no route".to_string())),
    ]
}

fn rejected() -> impl Strategy<Value = Rejected> {
    text().prop_map(|wish| Rejected {
        wish,
        message: "no".to_string(),
    })
}

prop_compose! {
    fn attempts()(
        (in_flight, inherited, unknown) in any::<(bool, bool, bool)>(),
        last in of(moment()),
        last_by_remote in of(date()),
        outcome in of(outcome()),
        login in login(),
        (after_deletion, doubtful) in (of(moment()), prop::bool::weighted(0.1)),
    ) -> Attempts {
        Attempts { in_flight, inherited, unknown, last, last_by_remote, outcome, login, login_refusals: 0, after_deletion, doubtful }
    }
}

prop_compose! {
    fn staged()(
        kind in prop_oneof![
            Just(Kind::Create), Just(Kind::SetPassword), Just(Kind::Adopt), Just(Kind::Configure), Just(Kind::Delete),
        ],
        rotation in of(text()),
        seen in (of(date()), of(date()), any::<bool>()),
        proven_ours in any::<bool>(),
        (mark, settings, retain) in (of(mark()), settings(), any::<bool>()),
        attempts in attempts(),
        mac in text(),
        inherited_until in of(moment()),
    ) -> StagedEntry {
        let cause = match (kind, rotation) {
            (Kind::Delete, _) => Cause::Deletion,
            (Kind::Adopt, _) => Cause::Adoption,
            (Kind::Configure, _) => Cause::Settings,
            (_, Some(value)) => Cause::Rotation(value),
            (_, None) => Cause::Missing,
        };
        let owner = Owner { namespace: "n".to_string(), name: "app".to_string(), uid: "u".to_string() };
        let with_password = !matches!(kind, Kind::Delete | Kind::Configure);
        let entry = Entry {
            id: EntryId(7), owner, username: "app".to_string(), kind, cause,
            password: with_password.then(|| Password::new("s")),
            seen: Seen { at: seen.0, created: seen.1, present: seen.2, mark },
            proven_ours, settings, retain, epoch: 1,
        };
        StagedEntry { entry, attempts, mac: with_password.then_some(mac), inherited_until }
    }
}

prop_compose! {
    fn restarting()(
        done in any::<bool>(),
        failure in of((any::<bool>(), moment())),
        rollout in of((moment(), of(text()))),
    ) -> Restarting {
        let trouble = || Trouble { reason: Reason::RestartForbidden, message: "no right".to_string(), stalled: true };
        Restarting {
            done,
            failure: failure.map(|(told, again)| RestartFailure { trouble: told.then(trouble), again }),
            rollout: rollout.map(|(seen, unfinished)| Rollout { seen, unfinished }),
        }
    }
}

prop_compose! {
    fn observed()(
        finalizer in prop::bool::weighted(0.9),
        claim in of(claim()).boxed(),
        own_claim in of(claim()).boxed(),
        record in of(record()).boxed(),
        published in of((text(), text(), text(), of(text())).prop_map(|(resource_version, mac, content_digest, address)| Published {
            resource_version, mac, content_digest, address, renewed_at: None,
        })),
        handled_rotation in of(text()),
        (rejected, rejected_settings) in (of(rejected()), of(rejected())),
        (tried, due, settings_due) in (login(), moment(), moment()),
        reverts in 0usize..4,
        secret in secret().boxed(),
        server in server_view().boxed(),
        (observation, last_write) in (of(observation()), of(moment())).boxed(),
        entry in of(staged()).boxed(),
        (rival, unsettled, renamed) in (
            prop::bool::weighted(0.1), prop::bool::weighted(0.1), prop::option::weighted(0.1, text()),
        ),
        (turn, restart) in (prop::bool::weighted(0.8), of(restarting())),
    ) -> Observed {
        Observed {
            uid: "u".to_string(), rejected_settings, tried: Tried { login: tried, due }, finalizer, claim, own_claim, record, published, handled_rotation, rejected, reverts, secret,
            server, observation, last_write, entry, rival: rival.then_some(Rival { named: None }),
            predecessor: if unsettled { Predecessor::Blocks } else { Predecessor::None }, turn, difficulty: None, refusal: None, restart,
            settings_due, renamed,
        }
    }
}

fn planned(desired: &Desired, observed: &Observed) -> Plan {
    plan(desired, observed, now(), &ProtocolTimings::default())
}

/// Whether a step changes the remote system, or prepares to.
fn mutation<'a>(step: Option<&Step>, observed: &'a Observed) -> Option<(Kind, Option<&'a StagedEntry>)> {
    match step? {
        Step::Stage(draft) => Some((draft.kind, None)),
        Step::Send(_) => observed
            .entry
            .as_ref()
            .map(|staged| (staged.entry.kind, Some(staged))),
        _ => None,
    }
}

fn seen_user(observed: &Observed) -> Option<&RemoteUser> {
    observed.observation.as_ref()?.user.as_ref()
}

fn reads_or_waits(step: Option<&Step>) -> bool {
    matches!(
        step,
        None | Some(
            Step::List
                | Step::Guard
                | Step::Read
                | Step::PollCluster
                | Step::ReadSecret
                | Step::Verify(_)
                | Step::TryPublished
                | Step::Restart
                | Step::LookAtRollouts
        )
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_is_made_for_every_world_and_is_the_same_each_time(desired in desired(), observed in observed()) {
        prop_assert_eq!(planned(&desired, &observed), planned(&desired, &observed));
        let _ = plan_ownerless(&observed, now(), &ProtocolTimings::default());
    }

    #[test]
    fn a_deletion_needs_a_resource_that_is_being_deleted_and_a_user_that_is_ours(
        desired in desired(), observed in observed(),
    ) {
        let plan = planned(&desired, &observed);
        if let Some((Kind::Delete, sent)) = mutation(plan.step.as_ref(), &observed) {
            prop_assert!(desired.deleting || desired.part == Part::Removed);
            prop_assert!(!desired.force_finalize || !desired.deleting);
            let staged = observed.entry.as_ref();
            let accepted = staged.is_some_and(|staged| {
                matches!(staged.attempts.outcome, Some(Outcome::Accepted { .. }))
            });
            let proven = staged.is_some_and(|staged| staged.entry.proven_ours || staged.entry.kind != Kind::Create);
            let weighed = staged.is_some_and(|staged| staged.attempts.unknown);
            prop_assert!(sent.is_some() || observed.record.is_some() || accepted || proven || weighed);
        }
    }

    #[test]
    fn a_deletion_is_sent_only_to_a_user_that_was_just_seen(desired in desired(), observed in observed()) {
        let plan = planned(&desired, &observed);
        if let Some((Kind::Delete, Some(staged))) = mutation(plan.step.as_ref(), &observed) {
            let observation = observed.observation.as_ref().unwrap();
            prop_assert!(now() - observation.started <= ProtocolTimings::default().fresh_for);
            let user = observation.user.as_ref().unwrap();
            let dates = staged.entry.seen.created.zip(user.created);
            prop_assert!(dates.is_none_or(|(then, now)| then == now));
        }
    }

    #[test]
    fn a_protected_user_is_never_changed(desired in desired(), observed in observed()) {
        let plan = planned(&desired, &observed);
        let protected = seen_user(&observed).is_some_and(|user| user.protected);
        if let Some((kind, _)) = mutation(plan.step.as_ref(), &observed).filter(|_| protected) {
            // A creation changes nothing that exists; an answer that spoke of a user of ours outweighs a list.
            let accepted = observed.entry.as_ref().is_some_and(|staged| {
                matches!(staged.attempts.outcome, Some(Outcome::Accepted { .. }))
            });
            let staging = matches!(plan.step, Some(Step::Stage(_)));
            prop_assert!(kind == Kind::Create || (accepted && staging), "{:?}", plan.step);
        }
    }

    #[test]
    fn a_login_that_is_not_to_be_published_is_neither_published_nor_logged_in_with(
        desired in desired(), observed in observed(),
    ) {
        let plan = planned(&desired, &observed);
        let logs_in = matches!(plan.step, Some(Step::Publish(_) | Step::TryPublished));
        prop_assert!(desired.part.is_published() || !logs_in, "{:?}", plan.step);
    }

    #[test]
    fn a_resource_goes_only_if_it_is_being_deleted_and_loses_a_login_only_if_it_has_another(
        desired in desired(), observed in observed(),
    ) {
        let plan = planned(&desired, &observed);
        let goes = matches!(plan.step, Some(Step::RemoveFinalizer(_)));
        prop_assert!(desired.deleting || !goes, "{:?}", plan.step);
        let forgets = matches!(plan.step, Some(Step::Forget(_)));
        prop_assert!(!forgets || desired.has_others || desired.part == Part::Removed, "{:?}", plan.step);
    }

    #[test]
    fn what_goes_on_beside_the_published_login_leaves_it_ready(desired in desired(), observed in observed()) {
        let intact = |published: &Published| match &observed.secret {
            SecretView::Ours { resource_version, .. } => *resource_version == published.resource_version,
            _ => false,
        };
        let is_published = observed.published.as_ref().is_some_and(intact);
        let beside = !matches!(desired.part, Part::Sole | Part::Published) && !desired.deleting;
        let unread = matches!(&observed.secret, SecretView::Ours { content: None, .. });
        if is_published && beside && unread && !desired.suspended {
            prop_assert!(planned(&desired, &observed).report.ready.ready);
        }
    }

    #[test]
    fn a_suspended_resource_changes_nothing_on_the_server_unless_it_is_deleted(
        desired in desired(), observed in observed(),
    ) {
        let desired = Desired { suspended: true, deleting: false, ..desired };
        let plan = planned(&desired, &observed);
        let asks = matches!(plan.step, Some(Step::AskTurn(_) | Step::Claim | Step::Stage(_) | Step::Send(_)));
        prop_assert!(!asks, "{:?}", plan.step);
        let guards = plan.step == Some(Step::Guard);
        prop_assert!(observed.entry.is_some() || plan.step.is_none() || guards, "{:?}", plan.step);
    }

    #[test]
    fn nothing_is_claimed_stored_or_sent_without_a_turn(desired in desired(), observed in observed()) {
        let observed = Observed { turn: false, ..observed };
        for plan in [planned(&desired, &observed), plan_ownerless(&observed, now(), &ProtocolTimings::default())] {
            let acts = matches!(plan.step, Some(Step::Claim | Step::Stage(_) | Step::Send(_)));
            prop_assert!(!acts, "{:?}", plan.step);
        }
    }

    #[test]
    fn a_turn_is_kept_as_long_as_something_of_it_is_under_way(desired in desired(), observed in observed()) {
        let observed = Observed { turn: true, ..observed };
        let plan = planned(&desired, &observed);
        let acts = matches!(plan.step, Some(Step::Claim | Step::Stage(_) | Step::Send(_)));
        prop_assert!(plan.keeps_turn || !acts, "{:?}", plan.step);
        let known = observed.entry.as_ref().is_some_and(|staged| !staged.attempts.unknown);
        let goes = matches!(plan.step, Some(Step::RemoveFinalizer(_)));
        prop_assert!(plan.keeps_turn || !known || goes, "{:?}", plan.step);
    }

    #[test]
    fn a_publication_always_depends_on_what_was_seen(desired in desired(), observed in observed()) {
        if let Some(Step::Publish(publication)) = planned(&desired, &observed).step {
            match (&publication.precondition, &observed.secret) {
                (Precondition::Absent, SecretView::Absent) => {}
                (Precondition::At(version), SecretView::Ours { resource_version, .. }) => {
                    prop_assert_eq!(version, resource_version);
                }
                (other, _) => prop_assert!(false, "{:?}", other),
            }
        }
    }

    #[test]
    fn a_password_is_published_only_after_an_acceptance(desired in desired(), observed in observed()) {
        if let Some(Step::Publish(Publication { entry: Some(_), .. })) = planned(&desired, &observed).step {
            let staged = observed.entry.as_ref().unwrap();
            let accepted = matches!(staged.attempts.outcome, Some(Outcome::Accepted { .. }));
            prop_assert!(accepted && staged.entry.kind != Kind::Delete);
        }
    }

    #[test]
    fn a_user_in_order_asks_for_nothing(observed in observed(), date in date()) {
        let (desired, observed) = in_order(observed, date);
        let plan = planned(&desired, &observed);
        prop_assert!(plan.step.is_none(), "{:?}", plan.step);
        prop_assert!(plan.report.ready.ready);
        prop_assert_eq!(&plan.report.record, &None);
        prop_assert!(!plan.report.reverted && plan.report.handled_rotation.is_none());
    }

    #[test]
    fn whatever_is_reported_is_said_in_words(desired in desired(), observed in observed()) {
        let observed = Observed { finalizer: true, ..observed };
        let report = planned(&desired, &observed).report;
        let words = report.ready.message.contains(' ') && report.ready.message != report.ready.reason.as_str();
        prop_assert!(words, "{:?}", report.ready);
        prop_assert!(report.stalled.is_none_or(|stalled| stalled.message.contains(' ')));
    }

    #[test]
    fn a_login_that_stays_is_not_said_to_be_deleted(desired in desired(), observed in observed()) {
        let desired = Desired { deleting: true, retain: true, ..desired };
        let observed = Observed { entry: None, ..observed };
        let message = planned(&desired, &observed).report.ready.message;
        prop_assert!(observed.record.is_none() || !message.contains("being deleted"), "{}", message);
    }

    #[test]
    fn a_blocked_deletion_names_both_ways_out(desired in desired(), observed in observed()) {
        let desired = Desired { deleting: true, ..desired };
        let ready = planned(&desired, &observed).report.ready;
        if ready.reason == Reason::DeletionBlocked {
            prop_assert!(ready.message.contains("deletionPolicy: Retain"), "{}", ready.message);
            prop_assert!(ready.message.contains("force-finalize=app"), "{}", ready.message);
        }
    }

    #[test]
    fn whoever_lets_go_by_force_is_never_kept_waiting(desired in desired(), observed in observed()) {
        let desired = Desired { deleting: true, force_finalize: true, ..desired };
        let observed = Observed { finalizer: true, ..observed };
        let step = planned(&desired, &observed).step;
        let goes = matches!(step, Some(Step::Settle(_) | Step::ReleaseSecret { .. } | Step::RemoveFinalizer(_)));
        prop_assert!(goes, "{:?}", step);
    }

    #[test]
    fn whatever_waits_without_a_person_says_when_it_looks_again(desired in desired(), observed in observed()) {
        let plan = planned(&desired, &observed);
        let idle = plan.step.is_none() && plan.report.reconciling;
        if idle {
            prop_assert!(plan.again.is_some_and(|again| again > Duration::ZERO), "{:?}", plan);
        }
        let finished = plan.report.ready.ready || plan.report.stalled.is_some();
        let gone = desired.deleting && !observed.finalizer;
        let held = desired.suspended && !desired.deleting;
        prop_assert!(plan.step.is_some() || plan.again.is_some() || finished || gone || held, "{:?}", plan);
    }

    #[test]
    fn while_a_request_is_under_way_nothing_else_is_begun(desired in desired(), observed in observed()) {
        let mut observed = observed;
        if let Some(staged) = &mut observed.entry {
            staged.attempts.in_flight = true;
            let forced = desired.deleting && desired.force_finalize;
            let step = planned(&desired, &observed).step;
            let gone = matches!(&observed.server, ServerView::Usable(server) if server.gone);
            let unusable = matches!(&observed.server, ServerView::Unusable(_));
            if !forced && !gone && !unusable {
                prop_assert!(reads_or_waits(step.as_ref()), "{:?}", step);
            }
        }
    }

    #[test]
    fn nothing_is_staged_for_a_user_that_another_request_may_still_change(
        desired in desired(), observed in observed(),
    ) {
        let desired = Desired { deleting: false, ..desired };
        let observed = Observed { entry: None, predecessor: Predecessor::Blocks, ..observed };
        prop_assert!(reads_or_waits(planned(&desired, &observed).step.as_ref()));
    }
}

/// A world in which everything is as the spec asks, with everything else at random.
fn in_order(observed: Observed, date: Timestamp) -> (Desired, Observed) {
    let identity = RemoteIdentity {
        provider: "p".to_string(),
        cluster: "c".to_string(),
    };
    let claim = Claim {
        installation: "i".to_string(),
        identity: identity.clone(),
        username: "app".to_string(),
        server: None,
        alternating: false,
    };
    let reference = ServerRef {
        kind: ServerKind::PostgresServer,
        name: "s".to_string(),
    };
    let desired = Desired {
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
        rotate: observed.handled_rotation.clone(),
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
        settings_wish: "w".to_string(),
    };
    let user = RemoteUser {
        username: "app".to_string(),
        protected: false,
        creator: Creator::Unknown,
        created: Some(date),
        modified: Some(date),
        traits: Default::default(),
    };
    let server = match observed.server {
        ServerView::Usable(server) => Server {
            reference: reference.clone(),
            identity: identity.clone(),
            // The user below carries no mark.
            capabilities: Capabilities {
                marks: false,
                ..server.capabilities.clone()
            },
            ..*server
        },
        ServerView::Unusable(_) => return in_order_with_default_server(observed, date),
    };
    let record = Record {
        server: Some(reference),
        password_stamp: None,
        memberships: Default::default(),
        config: Default::default(),
        retired: false,
        identity,
        adopted: false,
        moved: false,
        created: Some(date),
        last_set: Some(date),
    };
    let observation = observed.observation.map(|observation| Observation {
        user: Some(user.clone()),
        ..observation
    });
    let observed = Observed {
        finalizer: true,
        claim: Some(claim.clone()),
        own_claim: Some(claim),
        record: Some(record),
        published: Some(Published {
            resource_version: "5".to_string(),
            mac: "m".to_string(),
            content_digest: "d".to_string(),
            address: None,
            renewed_at: None,
        }),
        rejected: None,
        rejected_settings: None,
        tried: Tried {
            login: Login::NotTried,
            due: now(),
        },
        secret: SecretView::Ours {
            resource_version: "5".to_string(),
            owned: true,
            content: None,
        },
        server: ServerView::Usable(Box::new(server)),
        observation: observation.or(Some(Observation {
            user: Some(user),
            started: now(),
            date: None,
            proves_absence: true,
        })),
        entry: None,
        rival: None,
        settings_due: now(),
        renamed: None,
        predecessor: Predecessor::None,
        turn: true,
        difficulty: None,
        refusal: None,
        restart: None,
        ..observed
    };
    (desired, observed)
}

fn in_order_with_default_server(observed: Observed, date: Timestamp) -> (Desired, Observed) {
    let server = Server {
        reference: ServerRef {
            kind: ServerKind::PostgresServer,
            name: "s".to_string(),
        },
        identity: RemoteIdentity {
            provider: "p".to_string(),
            cluster: "c".to_string(),
        },
        capabilities: Capabilities {
            turns_busy: true,
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
    };
    let server = ServerView::Usable(Box::new(server));
    in_order(Observed { server, ..observed }, date)
}
