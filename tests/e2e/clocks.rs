//! A clock on the wall that is set while the operator runs: nothing is lost, nothing comes in heaps, and nothing waits for the clock
//! to get where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{
    Clock, Handle, Operator, Options, Outcome, PATIENCE, Vendor, World, eventually, pause, trials,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        an_operator_that_was_down_for_three_intervals_rotates_each_password_once,
        a_clock_that_is_set_ahead_by_three_intervals_brings_one_rotation,
        a_clock_that_is_set_back_brings_neither_many_rotations_nor_none,
        an_overlap_is_as_long_as_promised_where_the_clock_is_set_ahead,
        an_overlap_ends_where_the_clock_is_set_back,
    )
}

const HOUR: i64 = 3600;

/// An operator that leads, with a clock of its own, and a server.
async fn with_clock(world: &World, ahead: i64) -> Outcome<(Vendor, Operator, Clock)> {
    let clock = Clock::ahead(world, ahead).await?;
    let options = Options::default().leader_elect().flag("--lease-duration", "3s");
    let (vendor, operator) = world.set_up_with(&[], clock.of(options)).await?;
    Ok((vendor, operator, clock))
}

async fn rotate_by(world: &World, rotation: Value) -> Outcome {
    let spec = json!({"spec": {"rotation": rotation}});
    world.merge("PostgresUser", "checkout", spec).await
}

async fn status(world: &World) -> Outcome<Value> {
    let user = world.get("PostgresUser", "checkout").await?;
    Ok(user.ok_or("there is no checkout")?.data["status"].clone())
}

/// How many hours ahead of the machine's clock the operator's was when the password was changed.
async fn hours_ahead(world: &World) -> Outcome<i64> {
    let changed = status(world).await?["password"]["lastChanged"].clone();
    let changed: Timestamp = serde_json::from_value(changed)?;
    let ahead = changed.duration_since(Timestamp::now());
    // What was changed half a minute ago was changed now.
    Ok((ahead + SignedDuration::from_mins(30)).as_hours())
}

/// Which process leads, and how often that has changed.
async fn leadership(world: &World) -> Outcome<String> {
    let namespace = world.operator_namespace();
    let output = "jsonpath={.spec.holderIdentity} {.spec.leaseTransitions}";
    let path = [
        "get",
        "lease",
        "pguser-operator",
        "--namespace",
        namespace,
        "--output",
        output,
    ];
    world.kubectl(&path).await
}

async fn an_operator_that_was_down_for_three_intervals_rotates_each_password_once(world: &World) -> Outcome {
    let (vendor, mut operator, clock) = with_clock(world, 0).await?;
    let mut passwords = BTreeMap::new();
    for name in ["anna", "bert", "carl", "dora", "emil"] {
        let more = "rotation: {interval: 1h, jitter: 0s}";
        world.apply_user_with(name, more).await?;
        passwords.insert(name, world.user_works(name).await?);
    }
    world.quiet(&operator).await?;
    let before = vendor.requests("users.patch").await?;
    operator.terminate().await?;
    clock.set(3 * HOUR + 60)?;
    operator.start()?;
    operator.ready().await?;
    for (name, password) in &passwords {
        world.rotated(name, password).await?;
    }
    world.quiet(&operator).await?;
    let changed = vendor.requests("users.patch").await? - before;
    assert_eq!(changed, passwords.len() as u64);
    Ok(())
}

async fn a_clock_that_is_set_ahead_by_three_intervals_brings_one_rotation(world: &World) -> Outcome {
    let (_vendor, operator, clock) = with_clock(world, 0).await?;
    let password = world.ready_user("checkout").await?;
    rotate_by(world, json!({"interval": "1h", "jitter": "0s"})).await?;
    world.quiet(&operator).await?;
    assert_eq!(world.password_of("checkout").await?, password);
    let leads = leadership(world).await?;
    clock.set(3 * HOUR + 60)?;
    let new = world.rotated("checkout", &password).await?;
    assert_eq!(hours_ahead(world).await?, 3);
    world.quiet(&operator).await?;
    assert_eq!(world.password_of("checkout").await?, new);
    // Longer than the Lease lasts.
    pause(4000).await;
    assert_eq!(leadership(world).await?, leads);
    world.user_works("checkout").await.map(drop)
}

async fn a_clock_that_is_set_back_brings_neither_many_rotations_nor_none(world: &World) -> Outcome {
    // Certificates are not valid before they were made, so it is set back to what is ahead still.
    let (_vendor, _operator, clock) = with_clock(world, 2 * HOUR).await?;
    let first = world.ready_user("checkout").await?;
    rotate_by(world, json!({"interval": "5s", "jitter": "0s"})).await?;
    world.rotated("checkout", &first).await?;
    assert_eq!(hours_ahead(world).await?, 2);
    let leads = leadership(world).await?;
    clock.set(HOUR)?;
    let (set_back, mut passwords) = (Instant::now(), BTreeSet::new());
    // As long as three intervals take.
    while set_back.elapsed() < Duration::from_secs(15) {
        passwords.insert(world.password_of("checkout").await?);
        pause(200).await;
    }
    assert!(
        (2..=5).contains(&passwords.len()),
        "{} passwords",
        passwords.len()
    );
    assert_eq!(hours_ahead(world).await?, 1);
    assert_eq!(leadership(world).await?, leads);
    // With a longer interval, for what follows.
    rotate_by(world, json!({"interval": "1h", "jitter": "0s"})).await?;
    world.user_works("checkout").await.map(drop)
}

/// What the Secret says.
async fn published(world: &World) -> Outcome<(String, String)> {
    let secret = world.secret("checkout-postgres").await?;
    let secret = secret.ok_or("there is no Secret")?;
    let key = |key: &str| secret.get(key).cloned().ok_or(format!("there is no {key}"));
    Ok((key("username")?, key("password")?))
}

async fn works(world: &World, (username, password): &(String, String)) -> Outcome<bool> {
    world.postgres().accepts(username, password).await
}

/// The login of before stops working in the end, and the published one goes on.
async fn the_overlap_ends(world: &World, before: &(String, String)) -> Outcome {
    eventually("the end of the overlap", PATIENCE, async || {
        match works(world, before).await? {
            true => Err("the login of before works".into()),
            false => Ok(()),
        }
    })
    .await?;
    assert!(works(world, &published(world).await?).await?);
    Ok(())
}

/// Two logins of which the second has just been published: that of before.
async fn turned_over(world: &World, overlap: &str) -> Outcome<(String, String)> {
    let rotation = format!("rotation: {{strategy: Alternating, overlap: {overlap}}}");
    world.apply_user_with("checkout", &rotation).await?;
    world.user_ready("checkout").await?;
    let before = published(world).await?;
    world.rotate("checkout", "1").await?;
    eventually("the other login", PATIENCE, async || {
        match published(world).await? {
            now if now.0 == before.0 => Err("it is the one of before".into()),
            _ => Ok(()),
        }
    })
    .await?;
    eventually("the record of it", PATIENCE, async || {
        let status = status(world).await?;
        match status["lastHandledRotation"] == "1" {
            true => Ok(()),
            false => Err(format!("{status}").into()),
        }
    })
    .await?;
    Ok(before)
}

async fn an_overlap_is_as_long_as_promised_where_the_clock_is_set_ahead(world: &World) -> Outcome {
    let (_vendor, _operator, clock) = with_clock(world, 0).await?;
    let began = Instant::now();
    let before = turned_over(world, "12s").await?;
    clock.set(3 * HOUR)?;
    // Whatever has it looked at again.
    for number in 0..8 {
        rotate_by(world, json!({"interval": format!("{}h", 900 + number)})).await?;
        let works = works(world, &before).await?;
        assert!(
            works || began.elapsed() > Duration::from_secs(12),
            "the overlap was shortened"
        );
        pause(500).await;
    }
    the_overlap_ends(world, &before).await
}

async fn an_overlap_ends_where_the_clock_is_set_back(world: &World) -> Outcome {
    let (_vendor, _operator, clock) = with_clock(world, 2 * HOUR).await?;
    let before = turned_over(world, "4s").await?;
    clock.set(HOUR)?;
    the_overlap_ends(world, &before).await
}
