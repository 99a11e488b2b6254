//! Passwords that are changed without anybody asking: by age, or by a schedule.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::support::{Handle, Outcome, PATIENCE, SERVER, World, eventually, trials, trials_everywhere};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    let everywhere = trials_everywhere!(environment;
        a_password_is_changed_when_it_is_as_old_as_the_spec_lets_it_get,
        an_operator_that_was_down_makes_up_for_what_it_missed_once,
        a_client_that_reads_the_secret_again_gets_in_after_each_of_ten_rotations_and_three_crashes,
    );
    let once = trials!(environment;
        nothing_is_rotated_while_it_is_suspended,
        what_cannot_be_followed_is_refused_or_said,
        a_schedule_shows_when_a_password_is_changed_next,
        a_server_object_lets_no_password_get_too_old,
        a_server_object_lets_no_password_be_too_short,
        nothing_is_published_that_has_not_logged_in_where_that_is_asked_for,
    );
    everywhere.chain(once).collect()
}

async fn of_the_server(world: &World, spec: Value) -> Outcome {
    world.merge("PostgresServer", SERVER, json!({"spec": spec})).await
}

async fn a_server_object_lets_no_password_get_too_old(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    let first = world.ready_user("checkout").await?;
    world.apply_password("mine", "a password of my own 1").await?;
    let own = "password: {secretRef: {name: mine}}";
    world.apply_user_with("own", own).await?;
    world.user_ready("own").await?;
    of_the_server(world, json!({"passwords": {"maxAge": "4s"}})).await?;
    world.rotated("checkout", &first).await?;
    assert_eq!(status_of_password(world).await?["reason"], "Scheduled");
    world.user_is("own", "Stalled", "True", "PasswordOverdue").await?;
    world.user_ready("own").await?;
    of_the_server(world, json!({"passwords": null})).await?;
    world.user_is_not("own", "Stalled").await?;
    assert_eq!(world.password_of("own").await?, "a password of my own 1");
    world.login_of("checkout").await
}

async fn a_server_object_lets_no_password_be_too_short(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    of_the_server(world, json!({"passwords": {"minLength": 44}})).await?;
    // What the watch shows may be of before, to the first that is made.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.ready_user("checkout").await?.len(), 44);
    world.apply_password("mine", "only 23 characters long").await?;
    world
        .apply_user_with("own", "password: {secretRef: {name: mine}}")
        .await?;
    let refused = world.user_not_ready("own", "InvalidPassword").await?;
    let says = "has 23 characters, and the server object asks for 44";
    assert!(refused.message.contains(says), "{}", refused.message);
    world
        .apply_password("mine", &"a long password ".repeat(3))
        .await?;
    world.user_ready("own").await?;
    world.login_of("own").await
}

async fn nothing_is_published_that_has_not_logged_in_where_that_is_asked_for(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    let port: Value = world
        .get("PostgresServer", SERVER)
        .await?
        .ok_or("no server")?
        .data["spec"]["connection"]["port"]
        .clone();
    let nowhere = json!({"verification": "Require", "connection": {"port": 1}});
    of_the_server(world, nowhere).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.apply_user("checkout", SERVER).await?;
    let held = world.user_not_ready("checkout", "NotVerified").await?;
    assert!(
        held.message.contains("spec.verification: Require"),
        "{}",
        held.message
    );
    assert!(
        world.secret("checkout-postgres").await?.is_none(),
        "it was published"
    );
    // As before, such a login is published where nobody asks for more.
    of_the_server(world, json!({"verification": null})).await?;
    world.user_ready("checkout").await?;
    of_the_server(
        world,
        json!({"verification": "Require", "connection": {"port": port}}),
    )
    .await?;
    world
        .user_is("checkout", "CredentialsVerified", "True", "LoginSucceeded")
        .await?;
    of_the_server(world, json!({"verification": "Never"})).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.apply_user("unseen", SERVER).await?;
    world.user_ready("unseen").await?;
    let verified = world
        .condition("PostgresUser", "unseen", "CredentialsVerified")
        .await?;
    assert!(verified.is_none_or(|it| it.status != "True"), "a login was tried");
    world.login_of("unseen").await
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

/// What a client has seen that connects every 50 ms.
#[derive(Debug, Clone, Default)]
struct Client {
    /// With which password it got in last.
    password: String,
    /// Since when it has been refused, if it is.
    refused: Option<Instant>,
    logins: usize,
    gaps: Vec<Duration>,
}

/// Reads the Secret when it is refused, and only then. What it reads is either what was refused, or gets it in.
async fn connect_again_and_again(world: &World, seen: &watch::Sender<Client>) -> Outcome {
    let mut mounted = world.password_of("checkout").await?;
    loop {
        let accepted = world.postgres().accepts("checkout", &mounted).await?;
        let before = seen.borrow().clone();
        let is_new = before.password != mounted;
        seen.send_modify(|seen| match accepted {
            true => {
                seen.gaps.extend(seen.refused.take().map(|since| since.elapsed()));
                (seen.password, seen.logins) = (mounted.clone(), seen.logins + 1);
            }
            false => drop(seen.refused.get_or_insert_with(Instant::now)),
        });
        match before.refused {
            _ if is_new && !accepted => return Err("what the Secret says anew is refused".into()),
            Some(_) if accepted && !is_new => return Err("what was refused gets in again".into()),
            _ => {}
        }
        if !accepted {
            let read = world.password_of("checkout").await?;
            if std::mem::replace(&mut mounted, read) != mounted {
                continue;
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn a_client_that_reads_the_secret_again_gets_in_after_each_of_ten_rotations_and_three_crashes(
    world: &World,
) -> Outcome {
    let (_vendor, mut operator) = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    let (client, mut seen) = watch::channel(Client::default());
    let rotations = async {
        for number in 1..=10 {
            let before = seen
                .wait_for(|seen| !seen.password.is_empty())
                .await?
                .password
                .clone();
            world.rotate("checkout", &number.to_string()).await?;
            if number % 3 == 0 {
                // It has a new password on the server then, and mostly not in the Secret.
                timeout(
                    PATIENCE,
                    seen.wait_for(|seen| seen.refused.is_some() || seen.password != before),
                )
                .await??;
                operator.kill();
                operator.start()?;
            }
            timeout(PATIENCE * 2, seen.wait_for(|seen| seen.password != before)).await??;
        }
        Ok(())
    };
    let ended: Outcome = tokio::select! {
        rotated = rotations => rotated,
        failed = connect_again_and_again(world, &client) => failed,
    };
    ended?;
    let Client {
        gaps,
        logins,
        refused,
        ..
    } = client.borrow().clone();
    assert_eq!(
        (gaps.len(), refused),
        (10, None),
        "each rotation is one gap, and each ends"
    );
    println!(
        "{} in place: {logins} logins through ten rotations and three crashes, the longest time without one was {:?}",
        world.provider().name(),
        gaps.iter().max().unwrap_or(&Duration::ZERO),
    );
    Ok(())
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
        world.rotation_is_refused("checkout", rotation, says).await?;
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
        world.rotation_is_invalid("checkout", rotation, says).await?;
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
