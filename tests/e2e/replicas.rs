//! Several operators: one leads, the others stand by, and a leader that was replaced does no harm (R1, R3, R4).

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{
    Handle, Operator, Options, Outcome, PATIENCE, SERVER, Simulator, Vendor, World, eventually, pause, trials,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        one_leads_and_the_other_stands_by_and_both_are_ready,
        the_other_takes_over_from_a_leader_that_was_killed_in_a_creation,
        a_leader_that_slept_through_a_creation_does_no_harm,
        a_leader_that_slept_through_a_rotation_does_no_harm,
        a_leader_that_is_asked_to_end_finishes_its_step_and_gives_the_lease_back,
        operators_without_election_keep_each_other_out_by_the_journal,
    )
}

const LEASE_SECONDS: u64 = 3;

fn electing() -> Options {
    Options::quick().leader_elect().flag("--lease-duration", "3s")
}

/// Two replicas, of which the first leads, and a server.
async fn two(world: &World) -> Outcome<(Vendor, Operator, Operator)> {
    let simulator = world.start_vendor(&[]).await?;
    let first = world.start_operator(electing()).await?;
    eventually("the first to lead", PATIENCE, async || {
        match leads(&first).await? {
            true => Ok(()),
            false => Err("it does not".into()),
        }
    })
    .await?;
    let second = world.start_operator(electing()).await?;
    world.apply_server(SERVER, &simulator).await?;
    world.wait_for("PostgresServer", SERVER, "Ready", "True").await?;
    Ok((simulator, first, second))
}

async fn leads(operator: &Operator) -> Outcome<bool> {
    let metrics = operator.get("metrics").await?;
    let line = metrics.lines().find(|line| line.starts_with("pguser_leader"));
    Ok(line.ok_or("no metric of leadership")?.ends_with(" 1"))
}

async fn holder(world: &World) -> Outcome<Option<String>> {
    let path = [
        "get",
        "lease",
        "pguser-operator",
        "--namespace",
        world.operator_namespace(),
        "--output",
        "jsonpath={.spec.holderIdentity}",
    ];
    let holder = world.kubectl(&path).await?;
    Ok(Some(holder).filter(|holder| !holder.is_empty()))
}

/// The next request of a route takes this long before and after it is done.
async fn slow(simulator: &Simulator, route: &str, before: u64, after: u64) -> Outcome {
    let latency = json!({"type": "latency", "beforeMs": before, "afterMs": after});
    simulator
        .fault(json!({"route": route, "count": 1, "fault": latency}))
        .await
}

async fn one_leads_and_the_other_stands_by_and_both_are_ready(world: &World) -> Outcome {
    let (_simulator, first, second) = two(world).await?;
    world.apply_user("shop", SERVER).await?;
    world.user_works("shop").await?;
    first.get("readyz").await?;
    second.get("readyz").await?;
    assert!(leads(&first).await?);
    assert!(!leads(&second).await?);
    Ok(())
}

async fn the_other_takes_over_from_a_leader_that_was_killed_in_a_creation(world: &World) -> Outcome {
    let (simulator, mut first, second) = two(world).await?;
    slow(&simulator, "users.create", 300, 1000).await?;
    world.apply_user("shop", SERVER).await?;
    world.requested(&simulator, "users.create", 1).await?;
    first.kill();
    let killed = Instant::now();
    eventually("the second to lead", PATIENCE, async || {
        match leads(&second).await? {
            true => Ok(()),
            false => Err("it does not".into()),
        }
    })
    .await?;
    let took = killed.elapsed();
    println!("a killed leader was replaced after {took:?}");
    assert!(took < Duration::from_secs(3 * LEASE_SECONDS), "{took:?}");
    world.user_works("shop").await?;
    one_user(world).await
}

async fn one_user(world: &World) -> Outcome {
    world.journal_empty().await?;
    assert_eq!(world.roles().await?, ["shop"]);
    Ok(())
}

/// The first sleeps while its request is on the way, the second finishes the work, the first wakes up.
async fn wakes_up_and_is_replaced(world: &World, mut first: Operator, second: &Operator) -> Outcome {
    first.signal("STOP")?;
    eventually("the second to lead", PATIENCE, async || {
        match leads(second).await? {
            true => Ok(()),
            false => Err("it does not".into()),
        }
    })
    .await?;
    // In a password change the Secret follows the server, and here after a long while.
    eventually("the login", PATIENCE, async || world.user_works("shop").await).await?;
    first.signal("CONT")?;
    let status = first.exit().await?;
    assert!(!status.success(), "a leader that was replaced ends with {status}");
    let password = world.user_works("shop").await?;
    pause(3000).await;
    assert_eq!(world.user_works("shop").await?, password);
    one_user(world).await
}

async fn a_leader_that_slept_through_a_creation_does_no_harm(world: &World) -> Outcome {
    let (simulator, first, second) = two(world).await?;
    slow(&simulator, "users.create", 500, 0).await?;
    world.apply_user("shop", SERVER).await?;
    world.requested(&simulator, "users.create", 1).await?;
    wakes_up_and_is_replaced(world, first, &second).await
}

async fn a_leader_that_slept_through_a_rotation_does_no_harm(world: &World) -> Outcome {
    let (simulator, first, second) = two(world).await?;
    world.apply_user("shop", SERVER).await?;
    let before = world.user_works("shop").await?;
    slow(&simulator, "users.patch", 500, 0).await?;
    world.rotate("shop", "1").await?;
    world.requested(&simulator, "users.patch", 1).await?;
    wakes_up_and_is_replaced(world, first, &second).await?;
    world.rotated("shop", &before).await.map(drop)
}

async fn a_leader_that_is_asked_to_end_finishes_its_step_and_gives_the_lease_back(world: &World) -> Outcome {
    let simulator = world.start_vendor(&[]).await?;
    let mut operator = world
        .start_operator(electing().flag("--lease-duration", "30s"))
        .await?;
    world.apply_server(SERVER, &simulator).await?;
    world.wait_for("PostgresServer", SERVER, "Ready", "True").await?;
    assert!(holder(world).await?.is_some());
    slow(&simulator, "users.create", 1000, 500).await?;
    world.apply_user("shop", SERVER).await?;
    world.requested(&simulator, "users.create", 1).await?;
    let status = operator.terminate().await?;
    assert!(status.success(), "{status}");
    assert_eq!(holder(world).await?, None);
    // The request that was under way has been waited for: nothing is cut off in the middle.
    let journal = simulator.journal().await?;
    let creation = journal.iter().find(|entry| entry["route"] == "users.create");
    assert_eq!(creation.ok_or("no creation")?["status"], json!(200));
    let asked = Instant::now();
    operator.restart().await?;
    world.user_works("shop").await?;
    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "a lease that was given back is had at once"
    );
    one_user(world).await
}

async fn operators_without_election_keep_each_other_out_by_the_journal(world: &World) -> Outcome {
    let simulator = world.start_vendor(&[]).await?;
    let mut first = world.start_operator(Options::quick()).await?;
    world.apply_server(SERVER, &simulator).await?;
    world.apply_user("shop", SERVER).await?;
    let before = world.user_works("shop").await?;
    world.journal_empty().await?;
    let _second = world.start_operator(Options::quick()).await?;
    pause(500).await;
    world.rotate("shop", "1").await?;
    world.rotated("shop", &before).await?;
    world.rotate("shop", "2").await?;
    eventually("the second rotation", PATIENCE, async || {
        let user = world.get("PostgresUser", "shop").await?.ok_or("no user")?;
        match user.data["status"]["lastHandledRotation"] == "2" {
            true => Ok(()),
            false => Err("not handled".into()),
        }
    })
    .await?;
    eventually("the login", PATIENCE, async || world.user_works("shop").await).await?;
    let _ = first.signal("KILL");
    one_user(world).await
}
