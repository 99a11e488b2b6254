//! Passwords that are changed without anybody asking: by age, or by a schedule.

use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{Handle, Outcome, PATIENCE, SERVER, World, eventually, trials, trials_everywhere};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    let everywhere = trials_everywhere!(environment;
        a_password_is_changed_when_it_is_as_old_as_the_spec_lets_it_get,
        an_operator_that_was_down_makes_up_for_what_it_missed_once,
    );
    let once = trials!(environment;
        nothing_is_rotated_while_it_is_suspended,
        what_cannot_be_followed_is_refused_or_said,
        a_schedule_shows_when_a_password_is_changed_next,
    );
    everywhere.chain(once).collect()
}

async fn every(world: &World, interval: &str) -> Outcome {
    let rotation = json!({"spec": {"rotation": {"interval": interval, "jitter": "0s"}}});
    world.merge("PostgresUser", "checkout", rotation).await
}

async fn status_of_password(world: &World) -> Outcome<Value> {
    let user = world
        .get("PostgresUser", "checkout")
        .await?
        .ok_or("there is no checkout")?;
    Ok(user.data["status"]["password"].clone())
}

async fn a_password_is_changed_when_it_is_as_old_as_the_spec_lets_it_get(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    let mut password = world.ready_user("checkout").await?;
    assert_eq!(status_of_password(world).await?["reason"], "Created");
    every(world, "4s").await?;
    for _ in 0..2 {
        password = world.rotated("checkout", &password).await?;
        let status = status_of_password(world).await?;
        assert_eq!(status["reason"], "Scheduled", "{status}");
    }
    let stop = json!({"spec": {"rotation": null}});
    world.merge("PostgresUser", "checkout", stop).await?;
    eventually("no next rotation", PATIENCE, async || {
        match status_of_password(world).await?["nextRotation"].is_null() {
            true => Ok(()),
            false => Err("there is one".into()),
        }
    })
    .await?;
    world.login_of("checkout").await
}

async fn an_operator_that_was_down_makes_up_for_what_it_missed_once(world: &World) -> Outcome {
    let (_vendor, mut operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    operator.terminate().await?;
    every(world, "3s").await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    // Longer from here on, so that a second rotation would be one too many.
    every(world, "8s").await?;
    operator.start()?;
    operator.ready().await?;
    let new = world.rotated("checkout", &password).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.password("checkout").await?.as_ref(), Some(&new));
    world.login_of("checkout").await
}

async fn nothing_is_rotated_while_it_is_suspended(world: &World) -> Outcome {
    let (_vendor, operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    let suspend = |suspend: bool| json!({"spec": {"suspend": suspend}});
    world.merge("PostgresUser", "checkout", suspend(true)).await?;
    every(world, "1s").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.quiet(&operator).await?;
    assert_eq!(world.password("checkout").await?.as_ref(), Some(&password));
    world.merge("PostgresUser", "checkout", suspend(false)).await?;
    world.rotated("checkout", &password).await.map(drop)
}

async fn what_cannot_be_followed_is_refused_or_said(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    for (rotation, says) in [
        (
            json!({"interval": "1h", "schedule": "0 3 * * 0"}),
            "either interval or schedule",
        ),
        (json!({"jitter": "1h"}), "either interval or schedule"),
        (
            json!({"interval": "1h", "timeZone": "UTC"}),
            "spec.rotation.timeZone is for schedule",
        ),
        (
            json!({"interval": "30d"}),
            "spec.rotation.interval must be a duration",
        ),
        (
            json!({"interval": "1h", "jitter": "-1h"}),
            "spec.rotation.jitter must be a duration",
        ),
    ] {
        let change = json!({"spec": {"rotation": rotation}});
        let refused = world.merge("PostgresUser", "checkout", change).await;
        let refusal = refused
            .err()
            .ok_or(format!("{rotation} was admitted"))?
            .to_string();
        assert!(refusal.contains(says), "{rotation}: {refusal}");
    }
    let own = format!(
        "
apiVersion: pguser.dev/v1alpha1
kind: PostgresUser
metadata: {{name: own}}
spec:
  serverRef: {{name: {SERVER}}}
  password: {{secretRef: {{name: mine}}}}
  rotation: {{interval: 1h}}
"
    );
    let refusal = world
        .apply(&own)
        .await
        .expect_err("a password of one's own with a rotation")
        .to_string();
    assert!(
        refusal.contains("spec.rotation is for generated passwords"),
        "{refusal}"
    );
    for (rotation, says) in [
        (
            json!({"interval": null, "schedule": "61 3 * * 0"}),
            "which is no schedule",
        ),
        (
            json!({"schedule": "0 3 * * 0", "timeZone": "Europe/Nowhere"}),
            "which is no time zone",
        ),
    ] {
        let change = json!({"spec": {"rotation": rotation}});
        world.merge("PostgresUser", "checkout", change).await?;
        let found = eventually("the message", PATIENCE, async || {
            let found = world.condition("PostgresUser", "checkout", "Stalled").await?;
            let found = found.filter(|found| found.message.contains(says));
            found.ok_or_else(|| format!("{says} is not said").into())
        })
        .await?;
        assert_eq!(found.reason, "InvalidRotation");
        assert_eq!(world.password("checkout").await?.as_ref(), Some(&password));
    }
    world.login_of("checkout").await
}

async fn a_schedule_shows_when_a_password_is_changed_next(world: &World) -> Outcome {
    let (_vendor, operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    // Never within the time that this takes: the 29th of February.
    let rotation = json!({"spec": {"rotation": {"schedule": "0 3 29 2 *", "timeZone": "Europe/Berlin"}}});
    world.merge("PostgresUser", "checkout", rotation).await?;
    let next = eventually("the next rotation", PATIENCE, async || {
        let status = status_of_password(world).await?;
        let next = status["nextRotation"].as_str().map(str::to_string);
        next.ok_or_else(|| format!("{status}").into())
    })
    .await?;
    assert!(next.ends_with("-02-29T02:00:00Z"), "{next}");
    world.quiet(&operator).await?;
    assert_eq!(world.password("checkout").await?.as_ref(), Some(&password));
    Ok(())
}
