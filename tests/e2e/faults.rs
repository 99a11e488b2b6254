//! A remote that fails, throttles, lags and loses answers: in the end there is one password, and it logs in.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{
    Fate, Handle, Options, Outcome, PATIENCE, Provider, SERVER, Vendor, World, eventually, trials,
    trials_everywhere,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    let everywhere = trials_everywhere!(environment;
        refused_credentials_stop_nobody_who_is_published_and_new_ones_help_at_once,
        an_outage_shows_on_the_server_and_ends_by_itself,
        an_endpoint_that_is_not_allowed_is_not_dialled,
        a_life_with_a_connection_dropped_after_the_commit_each_time,
        a_life_with_a_late_commit_each_time,
        a_rotation_waits_for_one_that_may_still_arrive,
        a_rotation_goes_on_after_a_restart_of_the_operator,
        a_late_deletion_does_not_strike_the_next_user_of_that_name,
    );
    let behind_an_api = [Provider::Ionos, Provider::Scalingo]
        .into_iter()
        .flat_map(|provider| {
            trials!(environment, provider;
                a_life_with_a_503_each_time,
                a_life_with_a_500_after_the_commit_each_time,
                a_life_with_a_gateways_page_each_time,
                a_life_with_a_connection_dropped_before_the_commit_each_time,
                a_life_with_a_truncated_answer_each_time,
                a_life_in_a_storm_of_503,
                a_list_that_cannot_be_read_changes_nothing,
                a_life_where_new_users_show_late,
                a_life_where_reads_trail_writes,
                a_life_where_deletions_take_their_time,
            )
        });
    let by_date_or_mark = [Provider::Ionos, Provider::Postgresql].into_iter().flat_map(
        |provider| trials!(environment, provider; a_lost_answer_to_a_creation_is_weighed_without_a_login),
    );
    let at_ionos = trials!(environment;
        retry_after_in_seconds_is_honoured_in_full,
        retry_after_as_a_date_is_honoured_in_full,
        a_database_that_is_not_allowed_is_not_dialled,
        plain_http_is_refused_unless_allowed,
        a_life_with_a_connection_dropped_in_the_answer_each_time,
        a_lost_answer_to_a_creation_is_weighed_where_duplicates_are_conflicts,
        a_life_while_the_cluster_takes_changes_when_busy,
        a_life_while_the_cluster_answers_409_when_busy,
        a_life_while_the_cluster_answers_422_when_busy,
        a_life_while_the_cluster_answers_423_when_busy,
        a_life_while_the_cluster_answers_503_when_busy,
        a_life_where_changes_take_effect_after_the_busy_spell,
        a_life_where_deletions_take_their_time_and_show_as_404,
        a_life_where_deletions_take_their_time_and_show_as_422,
        a_life_without_metadata,
        a_life_where_dates_never_move,
        a_life_where_duplicates_are_conflicts,
        a_life_where_the_remotes_clock_is_wrong,
    );
    let at_scalingo = trials!(environment, Provider::Scalingo;
        a_lost_answer_that_nothing_can_weigh_stops_and_asks,
        a_life_where_answers_are_without_a_root,
        a_life_where_changes_are_answered_with_nothing,
        a_life_where_names_are_those_of_the_reference,
        a_life_where_names_are_those_of_the_guides,
    );
    let once = at_ionos.into_iter().chain(at_scalingo);
    everywhere
        .chain(behind_an_api)
        .chain(by_date_or_mark)
        .chain(once)
        .collect()
}

async fn rotate(world: &World, name: &str) -> Outcome {
    let change = json!({"metadata": {"annotations": {"pguser.dev/rotate": "now"}}});
    world.merge("PostgresUser", name, change).await
}

// ------------------------------------------------------------------------------------------- a life, come what may

/// What happens to the next request of a route.
#[derive(Clone)]
enum Trouble {
    Nothing,
    Fault(Value),
    Fate(Fate),
}

/// A user is made, gets another password and is deleted, with this fault each time.
async fn life_with(world: &World, fault: Value) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    life(world, &vendor, Trouble::Fault(fault)).await
}

/// The same with this fate.
async fn life_under(world: &World, fate: Fate) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    life(world, &vendor, Trouble::Fate(fate)).await
}

/// The same without faults, but with these switches.
async fn life_where(world: &World, switches: &[&str], options: Options) -> Outcome {
    let (vendor, _operator) = world.set_up_with(switches, options).await?;
    tokio::try_join!(
        life(world, &vendor, Trouble::Nothing),
        world.ready_user("neighbour"),
    )?;
    world.login_of("neighbour").await?;
    vendor.gave("neighbour", 1).await
}

async fn life(world: &World, vendor: &Vendor, trouble: Trouble) -> Outcome {
    strike(vendor, "users.create", &trouble).await?;
    let first = world.ready_user("checkout").await?;
    vendor.gave("checkout", 1).await?;

    strike(vendor, "users.patch", &trouble).await?;
    rotate(world, "checkout").await?;
    let second = world.other_password("checkout", &first).await?;
    world.logs_in_eventually("checkout").await?;
    world.accepts_eventually("checkout", &first, false).await?;
    world.user_ready("checkout").await?;
    assert_eq!(world.password_of("checkout").await?, second);
    vendor.gave("checkout", 2).await?;

    strike(vendor, "users.delete", &trouble).await?;
    world.delete("PostgresUser", "checkout").await?;
    world.gone("PostgresUser", "checkout", PATIENCE).await?;
    // Where deletions take their time, the login goes after its object.
    eventually("the end of the role", PATIENCE, async || {
        match world.postgres().has_role("checkout").await? {
            true => Err("it is there".into()),
            false => Ok(()),
        }
    })
    .await?;
    world.journal_empty().await?;
    match trouble {
        Trouble::Fault(_) => all_struck(vendor).await,
        _ => Ok(()),
    }
}

/// The next request of a route has trouble.
async fn strike(vendor: &Vendor, route: &'static str, trouble: &Trouble) -> Outcome {
    match trouble {
        Trouble::Nothing => Ok(()),
        Trouble::Fault(fault) => {
            let fault = json!({"route": route, "username": "checkout", "count": 1, "fault": fault});
            vendor.fault(fault).await
        }
        Trouble::Fate(fate) => vendor.strike(route, *fate).await.map(drop),
    }
}

/// What was ordered has happened, or the test shows nothing.
async fn all_struck(vendor: &Vendor) -> Outcome {
    let journal = vendor.journal().await?;
    for route in ["users.create", "users.patch", "users.delete"] {
        let struck = journal.iter().any(|entry| {
            entry["route"] == route && entry["faults"].as_array().is_some_and(|it| !it.is_empty())
        });
        assert!(struck, "no fault struck {route}");
    }
    Ok(())
}

async fn a_life_with_a_503_each_time(world: &World) -> Outcome {
    life_with(world, json!({"type": "status", "status": 503})).await
}

async fn a_life_with_a_500_after_the_commit_each_time(world: &World) -> Outcome {
    life_with(
        world,
        json!({"type": "status", "status": 500, "when": "after-commit"}),
    )
    .await
}

async fn a_life_with_a_gateways_page_each_time(world: &World) -> Outcome {
    let page = json!({"type": "body", "status": 502, "body": "<html>Bad Gateway</html>", "contentType": "text/html"});
    life_with(world, page).await
}

async fn a_life_with_a_connection_dropped_before_the_commit_each_time(world: &World) -> Outcome {
    life_with(world, json!({"type": "drop", "when": "before-commit"})).await
}

async fn a_life_with_a_connection_dropped_after_the_commit_each_time(world: &World) -> Outcome {
    life_under(world, Fate::AnswerLost).await
}

async fn a_life_with_a_connection_dropped_in_the_answer_each_time(world: &World) -> Outcome {
    life_with(world, json!({"type": "drop", "when": "mid-body"})).await
}

async fn a_life_with_a_late_commit_each_time(world: &World) -> Outcome {
    life_under(world, Fate::CommittedLate(1500)).await
}

async fn a_life_with_a_truncated_answer_each_time(world: &World) -> Outcome {
    life_with(world, json!({"type": "truncate"})).await
}

async fn a_life_in_a_storm_of_503(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    for skip in [3, 12, 20, 31] {
        let storm =
            json!({"route": "*", "skip": skip, "count": 4, "fault": {"type": "status", "status": 503}});
        vendor.fault(storm).await?;
    }
    life(world, &vendor, Trouble::Nothing).await
}

/// Without a login to prove it: the dates and the maker of a user tell that it is ours.
async fn a_lost_answer_to_a_creation_is_weighed_without_a_login(world: &World) -> Outcome {
    lost_creation(world, &[]).await
}

async fn a_lost_answer_to_a_creation_is_weighed_where_duplicates_are_conflicts(world: &World) -> Outcome {
    lost_creation(world, &["duplicate=409"]).await
}

async fn lost_creation(world: &World, switches: &[&str]) -> Outcome {
    let options = Options::default().flag("--verify-logins", "false");
    let (vendor, operator) = world.set_up_with(switches, options).await?;
    vendor.strike("users.create", Fate::AnswerLost).await?;
    world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    vendor.gave("checkout", 1).await?;
    world.login_of("checkout").await
}

/// R9: neither dates nor makers are shown, and no login can be tried.
async fn a_lost_answer_that_nothing_can_weigh_stops_and_asks(world: &World) -> Outcome {
    let options = Options::default().flag("--verify-logins", "false");
    let (vendor, operator) = world.set_up_with(&[], options).await?;
    vendor.strike("users.create", Fate::AnswerLost).await?;
    world.apply_user("checkout", SERVER).await?;
    world.user_not_ready("checkout", "Unclaimed").await?;
    world.quiet(&operator).await?;
    assert!(world.secret("checkout-postgres").await?.is_none());
    // A person who has looked decides.
    vendor.delete("checkout").await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await
}

/// R0: while a request that had no answer may still take effect, no other password is sent.
async fn a_rotation_waits_for_one_that_may_still_arrive(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    let first = world.ready_user("checkout").await?;
    let late = vendor.strike("users.patch", Fate::CommittedLate(1800)).await?;
    rotate(world, "checkout").await?;
    late.is_under_way().await?;
    let again = json!({"metadata": {"annotations": {"pguser.dev/rotate": "again"}}});
    world.merge("PostgresUser", "checkout", again).await?;
    let second = world.other_password("checkout", &first).await?;
    world.other_password("checkout", &second).await?;
    world.quiet(&operator).await?;
    world.user_ready("checkout").await?;
    vendor.gave("checkout", 3).await?;
    world.login_of("checkout").await
}

async fn a_rotation_goes_on_after_a_restart_of_the_operator(world: &World) -> Outcome {
    let (vendor, mut operator) = world.set_up(&[]).await?;
    let first = world.ready_user("checkout").await?;
    vendor.strike("users.patch", Fate::AnswerLost).await?;
    rotate(world, "checkout").await?;
    world.accepts_eventually("checkout", &first, false).await?;
    operator.restart().await?;
    world.other_password("checkout", &first).await?;
    world.quiet(&operator).await?;
    vendor.gave("checkout", 2).await?;
    world.login_of("checkout").await
}

async fn a_late_deletion_does_not_strike_the_next_user_of_that_name(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    vendor.strike("users.delete", Fate::CommittedLate(2000)).await?;
    world.delete("PostgresUser", "checkout").await?;
    world.gone("PostgresUser", "checkout", PATIENCE).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    assert_eq!(world.password_of("checkout").await?, password);
    vendor.had("users.create", 2).await?;
    world.login_of("checkout").await
}

async fn a_list_that_cannot_be_read_changes_nothing(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    for fault in [
        json!({"type": "truncate"}),
        json!({"type": "body", "status": 200, "body": "<html>maintenance</html>", "contentType": "text/html"}),
        json!({"type": "body", "status": 200, "body": "{}", "contentType": "application/json"}),
    ] {
        let fault = json!({"route": "users.list", "count": 2, "fault": fault});
        vendor.fault(fault).await?;
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
    world.server_is(SERVER, "True", "Reachable").await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await?;
    vendor.had("users.create", 1).await?;
    vendor.had("users.patch", 0).await?;
    Ok(())
}

// -------------------------------------------------------------------------------------- remotes of another character

async fn busy(world: &World, answer: &str) -> Outcome {
    let answer = format!("while-busy={answer}");
    life_where(world, &["busy-ms=400", &answer], Options::default()).await
}

async fn a_life_while_the_cluster_takes_changes_when_busy(world: &World) -> Outcome {
    busy(world, "accept").await
}

async fn a_life_while_the_cluster_answers_409_when_busy(world: &World) -> Outcome {
    busy(world, "409").await
}

async fn a_life_while_the_cluster_answers_422_when_busy(world: &World) -> Outcome {
    busy(world, "422").await
}

async fn a_life_while_the_cluster_answers_423_when_busy(world: &World) -> Outcome {
    busy(world, "423").await
}

async fn a_life_while_the_cluster_answers_503_when_busy(world: &World) -> Outcome {
    busy(world, "503").await
}

async fn a_life_where_changes_take_effect_after_the_busy_spell(world: &World) -> Outcome {
    let switches = ["busy-ms=700", "in-effect=after-busy", "while-busy=409"];
    life_where(world, &switches, Options::default()).await
}

/// An operator that is told how far this remote's reads trail its writes.
fn patient() -> Options {
    Options::default().flag("--read-lag", "1s")
}

async fn a_life_where_new_users_show_late(world: &World) -> Outcome {
    life_where(world, &["create-lag-ms=800"], patient()).await
}

async fn a_life_where_reads_trail_writes(world: &World) -> Outcome {
    life_where(world, &["get-lag-ms=800", "list-lag-ms=800"], patient()).await
}

async fn a_life_where_deletions_take_their_time(world: &World) -> Outcome {
    life_where(world, &["delete=async", "delete-lag-ms=1200"], Options::default()).await
}

async fn a_life_where_deletions_take_their_time_and_show_as_404(world: &World) -> Outcome {
    let switches = ["delete=async", "delete-lag-ms=4000", "delete-while-deleting=404"];
    life_where(world, &switches, Options::default()).await
}

async fn a_life_where_deletions_take_their_time_and_show_as_422(world: &World) -> Outcome {
    let switches = ["delete=async", "delete-lag-ms=4000", "delete-while-deleting=422"];
    life_where(world, &switches, Options::default()).await
}

async fn a_life_without_metadata(world: &World) -> Outcome {
    life_where(world, &["metadata=absent"], Options::default()).await
}

async fn a_life_where_dates_never_move(world: &World) -> Outcome {
    life_where(world, &["last-modified=never"], Options::default()).await
}

async fn a_life_where_duplicates_are_conflicts(world: &World) -> Outcome {
    life_where(
        world,
        &["duplicate=409", "error-content-type=html"],
        Options::default(),
    )
    .await
}

async fn a_life_where_the_remotes_clock_is_wrong(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&["clock-offset-ms=-7200000"]).await?;
    life(world, &vendor, Trouble::Fate(Fate::AnswerLost)).await
}

async fn a_life_where_answers_are_without_a_root(world: &World) -> Outcome {
    let switches = [
        "scalingo-shape=unrooted",
        "scalingo-patch-answer=unrooted",
        "scalingo-create-password=generated",
        "scalingo-dbms-attributes=absent",
    ];
    life_where(world, &switches, Options::default()).await
}

async fn a_life_where_changes_are_answered_with_nothing(world: &World) -> Outcome {
    let switches = ["scalingo-patch-answer=empty", "scalingo-duplicate=409"];
    life_where(world, &switches, Options::default()).await
}

async fn a_life_where_names_are_those_of_the_reference(world: &World) -> Outcome {
    life_where(world, &["scalingo-names=seed"], Options::default()).await
}

async fn a_life_where_names_are_those_of_the_guides(world: &World) -> Outcome {
    life_where(world, &["scalingo-names=docs"], Options::default()).await
}

// ------------------------------------------------------------------------------------------- trouble with the server

async fn refused_credentials_stop_nobody_who_is_published_and_new_ones_help_at_once(
    world: &World,
) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    vendor.accept_only("another-token").await?;
    world.server_is(SERVER, "False", "Unauthorized").await?;
    world.apply_user("latecomer", SERVER).await?;
    world.user_not_ready("latecomer", "Unauthorized").await?;
    let before = vendor.attempts().await?;
    world
        .stays("the user is Ready", Duration::from_secs(2), async || {
            world.user_ready("checkout").await?;
            Ok(())
        })
        .await?;
    let asked = vendor.attempts().await? - before;
    assert!(asked <= 5, "{asked} requests in 2 s that could only be refused");

    world.apply_credentials(SERVER, &vendor, "another-token").await?;
    let fixed = tokio::time::Instant::now();
    world.user_ready("latecomer").await?;
    assert!(fixed.elapsed() < Duration::from_secs(5), "{:?}", fixed.elapsed());
    world.login_of("latecomer").await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    world.login_of("checkout").await
}

async fn retry_after_in_seconds_is_honoured_in_full(world: &World) -> Outcome {
    retry_after(world, "3", SignedDuration::from_millis(2950)).await
}

/// A date has whole seconds, so that up to one of them is lost.
async fn retry_after_as_a_date_is_honoured_in_full(world: &World) -> Outcome {
    retry_after(world, "date+4", SignedDuration::from_millis(2950)).await
}

async fn retry_after(world: &World, header: &str, at_least: SignedDuration) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    world.ready_user("the-first").await?;
    world.quiet(&operator).await?;
    let fault = json!({"type": "status", "status": 429, "retryAfter": header});
    vendor
        .fault(json!({"route": "users.create", "count": 1, "fault": fault}))
        .await?;
    world.apply_user("second", SERVER).await?;
    world.user_not_ready("second", "Throttled").await?;
    world.server_is(SERVER, "False", "Throttled").await?;
    world.user_ready("the-first").await?;
    world.user_ready("second").await?;
    world.login_of("second").await?;

    let journal = vendor.journal().await?;
    let time = |entry: &Value| entry["time"].as_str().unwrap_or_default().parse::<Timestamp>();
    let throttled = journal
        .iter()
        .position(|entry| entry["status"] == 429)
        .ok_or("no 429")?;
    let pause = time(&journal[throttled + 1])?.duration_since(time(&journal[throttled])?);
    assert!(pause >= at_least, "asked again after {pause:#}");
    Ok(())
}

async fn an_outage_shows_on_the_server_and_ends_by_itself(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    let mark = world.mark()?;
    vendor.stop();
    world.server_is(SERVER, "False", "Unreachable").await?;
    world.apply_user("latecomer", SERVER).await?;
    world.user_not_ready("latecomer", "Unreachable").await?;
    world.user_ready("checkout").await?;
    rotate(world, "checkout").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.login_of("checkout").await?;
    let writes = world.writes_since(mark, &operator)?;
    let storm = writes
        .iter()
        .filter(|write| write.name == "checkout" && write.resource == "postgresusers/status")
        .count();
    assert!(storm <= 1, "{writes:?}");

    vendor.start_again().await?;
    world.user_ready("latecomer").await?;
    world.login_of("latecomer").await?;
    eventually("the end of the outage", PATIENCE, async || {
        world.server_is(SERVER, "True", "Reachable").await
    })
    .await?;
    world.other_password("checkout", &password).await?;
    world.login_of("checkout").await
}

async fn an_endpoint_that_is_not_allowed_is_not_dialled(world: &World) -> Outcome {
    let options = Options::default().without("--allow-endpoint");
    let (vendor, _operator) = world.set_up_with(&[], options).await?;
    let message = world.server_is(SERVER, "False", "EndpointNotAllowed").await?;
    assert!(message.contains("--allow-endpoint"), "{message}");
    world
        .wait_for("PostgresServer", SERVER, "Stalled", "True")
        .await?;
    world.apply_user("checkout", SERVER).await?;
    world.user_not_ready("checkout", "EndpointNotAllowed").await?;
    world
        .user_is("checkout", "Stalled", "True", "EndpointNotAllowed")
        .await?;
    assert_eq!(vendor.attempts().await?, 0);
    Ok(())
}

async fn a_database_that_is_not_allowed_is_not_dialled(world: &World) -> Outcome {
    let vendor = world.start_vendor(&[]).await?;
    let url: url::Url = vendor.endpoint().parse()?;
    let api = format!("127.0.0.1:{}", url.port().ok_or("no port")?);
    let _operator = world
        .start_operator(Options::default().flag("--allow-endpoint", &api))
        .await?;
    world.apply_server(SERVER, &vendor).await?;
    // The second one is not tried, soon after the first, and told the same.
    for name in ["checkout", "billing"] {
        world.ready_user(name).await?;
        let message = world
            .user_is(name, "CredentialsVerified", "Unknown", "Unverifiable")
            .await?;
        assert!(message.contains("allow"), "{name}: {message}");
    }
    Ok(())
}

async fn plain_http_is_refused_unless_allowed(world: &World) -> Outcome {
    let options = Options::default().without("--allow-http");
    let (vendor, _operator) = world.set_up_with(&[], options).await?;
    let message = world.server_is(SERVER, "False", "EndpointNotAllowed").await?;
    assert!(message.contains("--allow-http"), "{message}");
    world.apply_user("checkout", SERVER).await?;
    world.user_not_ready("checkout", "EndpointNotAllowed").await?;
    assert!(vendor.journal().await?.is_empty());
    Ok(())
}
