//! Many users of one server: what one of them needs, or does, holds up nobody else (R11, I7).

use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{
    Handle, Options, Outcome, PATIENCE, SERVER, Simulator, Vendor, World, eventually, pause, trials,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        a_hundred_users_on_a_quiet_cluster_do_not_wait_for_a_look_each,
        deletions_go_on_at_the_limit_that_is_shipped,
        a_user_that_cannot_be_read_or_changed_holds_up_nobody_else,
        a_login_that_somebody_else_made_anew_while_its_deletion_was_queued_is_left,
        a_user_that_is_to_be_retained_while_its_deletion_is_queued_keeps_its_login,
        a_user_that_is_suspended_while_it_is_queued_is_not_made,
        a_rotation_request_of_any_length_is_handled,
        whoever_waits_for_the_rate_limit_tries_new_credentials_at_once,
        a_user_made_anew_at_once_is_not_struck_by_the_deletion_before,
        a_deletion_that_never_takes_effect_is_told_of_the_server_object,
        a_login_that_is_refused_is_tried_less_and_less_often,
    )
}

/// A server that may be asked as often as it takes.
const UNLIMITED: &str = "limits: {requestsPerMinute: 60000}";

async fn set_up(
    world: &World,
    switches: &[&str],
    options: Options,
    more: &str,
) -> Outcome<(Vendor, crate::support::Operator)> {
    let vendor = world.start_vendor(switches).await?;
    let operator = world.start_operator(options).await?;
    world.apply_server_with(SERVER, &vendor, more).await?;
    world.wait_for("PostgresServer", SERVER, "Ready", "True").await?;
    Ok((vendor, operator))
}

fn users(from: usize, to: usize) -> String {
    let user = |number| {
        format!(
            "---\napiVersion: pguser.dev/v1alpha1\nkind: PostgresUser\nmetadata: {{name: user-{number}}}\nspec: \
             {{serverRef: {{name: {SERVER}}}}}\n"
        )
    };
    (from..to).map(user).collect()
}

async fn ready(world: &World) -> Outcome<usize> {
    let all = world.api("PostgresUser").list(&Default::default()).await?;
    let is_ready = |data: &Value| {
        let conditions = data["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    Ok(all.iter().filter(|user| is_ready(&user.data)).count())
}

async fn all_ready(world: &World, count: usize, patience: Duration) -> Outcome {
    eventually(
        &format!("{count} users to be Ready"),
        patience,
        async || match ready(world).await? {
            ready if ready == count => Ok(()),
            ready => {
                pause(300).await;
                Err(format!("{ready} are").into())
            }
        },
    )
    .await
}

async fn a_hundred_users_on_a_quiet_cluster_do_not_wait_for_a_look_each(world: &World) -> Outcome {
    let (vendor, _operator) = set_up(world, &[], Options::as_shipped(), UNLIMITED).await?;
    let before = vendor.requests("cluster.get").await?;
    let started = std::time::Instant::now();
    world.apply(&users(0, 100)).await?;
    all_ready(world, 100, Duration::from_secs(120)).await?;
    let looks = vendor.requests("cluster.get").await? - before;
    // Those that end a batch, and those that somebody waits for, which are a third of a second apart.
    let most = 40 + 3 * started.elapsed().as_secs();
    assert!(looks <= most, "{looks} looks at the cluster for 100 users");
    Ok(())
}

/// Four hundred deletions take more than a minute at this limit: what matters is that they go on all the while.
async fn deletions_go_on_at_the_limit_that_is_shipped(world: &World) -> Outcome {
    let (vendor, _operator) = set_up(world, &[], Options::as_shipped(), UNLIMITED).await?;
    world.apply(&users(0, 400)).await?;
    all_ready(world, 400, Duration::from_secs(240)).await?;
    let limits = |value: Value| json!({"spec": {"limits": value}});
    world
        .merge(
            "PostgresServer",
            SERVER,
            limits(json!({"requestsPerMinute": null})),
        )
        .await?;
    // The limit is of any minute, that of the creations included.
    pause(61_000).await;
    let (gets, deletes) = (
        vendor.requests("users.get").await?,
        vendor.requests("users.delete").await?,
    );
    world
        .kubectl(&["delete", "pguser", "--all", "--wait=false"])
        .await?;
    pause(10_000).await;
    let gets = vendor.requests("users.get").await? - gets;
    assert!(gets < 20, "{gets} users were read by themselves");
    let after = vendor.requests("users.delete").await? - deletes;
    assert!(after > 20, "only {after} deletions in ten seconds");
    world
        .merge(
            "PostgresServer",
            SERVER,
            limits(json!({"requestsPerMinute": 60000})),
        )
        .await?;
    eventually("the end of all deletions", Duration::from_secs(90), async || {
        let left = world
            .api("PostgresUser")
            .list(&Default::default())
            .await?
            .items
            .len();
        if left == 0 {
            Ok(())
        } else {
            pause(500).await;
            Err(format!("{left} are left").into())
        }
    })
    .await?;
    assert_eq!(world.roles().await?, Vec::<String>::new());
    Ok(())
}

async fn status_fault(simulator: &Simulator, route: &str, username: &str, status: u16) -> Outcome {
    let fault = json!({"route": route, "username": username, "fault": {"type": "status", "status": status}});
    simulator.fault(fault).await
}

async fn a_user_that_cannot_be_read_or_changed_holds_up_nobody_else(world: &World) -> Outcome {
    let (vendor, operator) = set_up(world, &[], Options::default(), UNLIMITED).await?;
    world.apply(&users(0, 2)).await?;
    all_ready(world, 2, PATIENCE).await?;
    world.quiet(&operator).await?;
    for route in ["users.get", "users.patch", "users.delete"] {
        status_fault(&vendor, route, "user-0", 500).await?;
    }
    world.rotate("user-0", "now").await?;
    pause(500).await;
    world.apply(&users(2, 50)).await?;
    all_ready(world, 50, PATIENCE).await?;
    assert_eq!(
        world
            .condition("PostgresServer", SERVER, "Ready")
            .await?
            .map(|it| it.status),
        Some("True".to_string())
    );
    // What holds it up is told of the user, and not of the server.
    let told = world
        .user_is("user-0", "Reconciling", "True", "Progressing")
        .await?;
    assert!(
        told.contains("about this login fails") && told.contains("500"),
        "{told}"
    );
    world.delete("PostgresUser", "user-0").await?;
    world.deletion_blocked("user-0", "about this login fails").await?;
    let annotation = json!({"metadata": {"annotations": {"pguser.dev/force-finalize": "user-0"}}});
    world.merge("PostgresUser", "user-0", annotation).await?;
    world.gone("PostgresUser", "user-0", PATIENCE).await
}

/// An operator that finds the cluster BUSY, so that whoever wants something is queued.
async fn busy_cluster(world: &World) -> Outcome<(Vendor, crate::support::Operator)> {
    let (vendor, operator) = set_up(world, &[], Options::default(), UNLIMITED).await?;
    world.apply(&users(0, 3)).await?;
    all_ready(world, 3, PATIENCE).await?;
    world.quiet(&operator).await?;
    world.journal_empty().await?;
    vendor.cluster(json!({"state": "BUSY"})).await?;
    let refresh = json!({"metadata": {"annotations": {"pguser.dev/refresh": "busy"}}});
    world.merge("PostgresServer", SERVER, refresh).await?;
    // The first that wants something finds out, has the only turn, and waits.
    world.rotate("user-2", "while it is busy").await?;
    pause(1500).await;
    Ok((vendor, operator))
}

async fn a_login_that_somebody_else_made_anew_while_its_deletion_was_queued_is_left(
    world: &World,
) -> Outcome {
    let (vendor, _operator) = busy_cluster(world).await?;
    world.delete("PostgresUser", "user-0").await?;
    world.delete("PostgresUser", "user-1").await?;
    pause(1500).await;
    vendor.make_again("user-1", "of-somebody-else").await?;
    // Looks that are a second old are not deleted on.
    pause(1500).await;
    vendor.cluster(json!({"state": "AVAILABLE"})).await?;
    world.gone("PostgresUser", "user-0", PATIENCE).await?;
    world.gone("PostgresUser", "user-1", PATIENCE).await?;
    assert!(world.postgres().accepts("user-1", "of-somebody-else").await?);
    Ok(())
}

async fn a_user_that_is_to_be_retained_while_its_deletion_is_queued_keeps_its_login(
    world: &World,
) -> Outcome {
    let (vendor, _operator) = busy_cluster(world).await?;
    let password = world.password_of("user-1").await?;
    for name in ["user-0", "user-1"] {
        world.delete("PostgresUser", name).await?;
    }
    pause(500).await;
    world.retain("user-1").await?;
    world.gone("PostgresUser", "user-1", PATIENCE).await?;
    vendor.cluster(json!({"state": "AVAILABLE"})).await?;
    world.gone("PostgresUser", "user-0", PATIENCE).await?;
    assert!(world.postgres().accepts("user-1", &password).await?);
    Ok(())
}

async fn a_user_that_is_suspended_while_it_is_queued_is_not_made(world: &World) -> Outcome {
    let (vendor, _operator) = busy_cluster(world).await?;
    world.apply_user("late", SERVER).await?;
    pause(500).await;
    world
        .merge("PostgresUser", "late", json!({"spec": {"suspend": true}}))
        .await?;
    world.user_not_ready("late", "Suspended").await?;
    vendor.cluster(json!({"state": "AVAILABLE"})).await?;
    world.user_ready("user-2").await?;
    pause(1000).await;
    assert!(!world.postgres().has_role("late").await?);
    world.journal_empty().await?;
    world
        .merge("PostgresUser", "late", json!({"spec": {"suspend": false}}))
        .await?;
    world.user_ready("late").await?;
    world.login_of("late").await
}

async fn a_rotation_request_of_any_length_is_handled(world: &World) -> Outcome {
    let (_vendor, operator) = set_up(world, &[], Options::default(), UNLIMITED).await?;
    let password = world.ready_user("checkout").await?;
    world.rotate("checkout", &"x".repeat(200_000)).await?;
    world.rotated("checkout", &password).await?;
    world.quiet(&operator).await?;
    let journal = world.mark()?;
    pause(1500).await;
    assert!(
        world.writes_since(journal, &operator)?.is_empty(),
        "it is tried again and again"
    );
    Ok(())
}

async fn whoever_waits_for_the_rate_limit_tries_new_credentials_at_once(world: &World) -> Outcome {
    let (vendor, _operator) = set_up(world, &[], Options::default(), UNLIMITED).await?;
    world.ready_user("checkout").await?;
    let fault = json!({
        "route": "*", "count": 1, "fault": {"type": "status", "status": 429, "retryAfter": "3000"},
    });
    vendor.fault(fault).await?;
    world.server_is(SERVER, "False", "Throttled").await?;
    vendor.accept(&["another-token"]).await?;
    world.apply_credentials(SERVER, &vendor, "another-token").await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    world.ready_user("next").await.map(drop)
}

/// The deletion takes effect long after it was accepted.
async fn a_user_made_anew_at_once_is_not_struck_by_the_deletion_before(world: &World) -> Outcome {
    let switches = ["delete=async", "delete-lag-ms=1500", "delete-while-deleting=422"];
    let (_vendor, operator) = set_up(world, &switches, Options::default(), UNLIMITED).await?;
    let before = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    world.delete("PostgresUser", "checkout").await?;
    world.gone("PostgresUser", "checkout", PATIENCE).await?;
    world.apply_user("checkout", SERVER).await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await?;
    world.journal_empty().await?;
    pause(2500).await;
    world.login_of("checkout").await?;
    assert_ne!(world.password_of("checkout").await?, before);
    Ok(())
}

async fn a_deletion_that_never_takes_effect_is_told_of_the_server_object(world: &World) -> Outcome {
    let switches = ["delete=async", "delete-lag-ms=3600000"];
    let (_vendor, operator) = set_up(world, &switches, Options::default(), UNLIMITED).await?;
    world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    world.delete("PostgresUser", "checkout").await?;
    world.gone("PostgresUser", "checkout", PATIENCE).await?;
    let told = eventually("the condition", PATIENCE, async || {
        let found = world
            .condition("PostgresServer", SERVER, "DeletionPending")
            .await?;
        found.map(|it| it.message).ok_or_else(|| "none".into())
    })
    .await?;
    assert!(
        told.contains("checkout") && told.contains("force-finalize"),
        "{told}"
    );
    world.delete("PostgresServer", SERVER).await?;
    pause(1000).await;
    assert!(
        world.get("PostgresServer", SERVER).await?.is_some(),
        "the server object went before"
    );
    let annotation = json!({"metadata": {"annotations": {"pguser.dev/force-finalize": "checkout"}}});
    world.merge("PostgresServer", SERVER, annotation).await?;
    world.gone("PostgresServer", SERVER, PATIENCE).await?;
    let kept = world.kept_users().await?;
    assert!(kept.iter().any(|user| user["username"] == "checkout"), "{kept:?}");
    Ok(())
}

/// What the operator was told is not so: the roles have other passwords, as on another server.
async fn a_login_that_is_refused_is_tried_less_and_less_often(world: &World) -> Outcome {
    // No login is tried before the passwords are other ones, however busy the machine is.
    let options = Options::default()
        .flag("--state-lag", "12s")
        .flag("--t-live", "120s");
    let (vendor, operator) = set_up(world, &[], options, UNLIMITED).await?;
    world.apply(&users(0, 5)).await?;
    eventually("five users to be made", PATIENCE, async || {
        match vendor.requests("users.create").await? {
            5 => Ok(()),
            made => Err(format!("{made} are").into()),
        }
    })
    .await?;
    for number in 0..5 {
        let sql = format!("alter role \"user-{number}\" password 'of-another-server'");
        world.postgres().sql(&sql).await?;
    }
    let told = world
        .user_is("user-0", "CredentialsVerified", "False", "LoginRefused")
        .await?;
    assert!(told.contains("a login with it is refused"), "{told}");
    pause(8_000).await;
    let tried = operator.logs().matches("verification login").count();
    assert!(tried > 0, "no login was tried");
    assert!(
        tried < 40,
        "{tried} logins were tried for five users in some ten seconds"
    );
    Ok(())
}
