//! What others change is put right, and a new password comes when one is asked for.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, WatchEvent, WatchParams},
};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{
    Handle, Operator, Options, Outcome, PATIENCE, World, eventually, trials, trials_everywhere,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    let everywhere = trials_everywhere!(environment;
        a_user_deleted_outside_comes_back_with_its_password,
        a_password_changed_outside_is_set_back,
        the_third_change_outside_is_a_conflict_until_a_rotation,
        a_deleted_secret_is_made_anew_with_another_password,
        a_damaged_password_is_replaced_by_a_new_one,
        a_missing_password_is_replaced_by_a_new_one,
        a_damaged_key_is_put_back_without_the_remote,
        an_added_key_is_removed_and_added_labels_stay,
        a_rotation_gives_a_new_password_and_ends_the_old_one,
        a_rotation_changes_the_secret_in_one_write,
        a_rotation_is_handled_once,
        two_rotations_in_a_row_end_with_one_password_that_works,
    );
    let by_date = trials!(environment;
        a_user_deleted_by_sql_comes_back_with_its_password,
        a_password_changed_by_sql_is_not_seen_until_a_rotation,
        a_password_changed_by_sql_is_set_back_where_the_remote_dates_it,
        a_cluster_that_gets_another_address_shows_in_the_secret,
        dates_with_fractions_of_a_second_are_equal_to_themselves,
    );
    everywhere.chain(by_date).collect()
}

/// So short that a change from outside need not wait long to be told from one of ours.
fn short_lives() -> Options {
    Options::default().flag("--t-live", "1s")
}

/// Longer than T_live, by dates of whole seconds.
async fn later() {
    tokio::time::sleep(Duration::from_millis(2100)).await;
}

async fn change_by_sql(world: &World, password: &str) -> Outcome {
    let sql = format!("alter role checkout password '{password}'");
    world.postgres().sql(&sql).await.map(drop)
}

async fn rotate(world: &World, value: &str) -> Outcome {
    let change = json!({"metadata": {"annotations": {"pguser.dev/rotate": value}}});
    world.merge("PostgresUser", "checkout", change).await
}

// --------------------------------------------------------------------------------------------------------- the user

async fn a_user_deleted_outside_comes_back_with_its_password(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    vendor.delete("checkout").await?;
    comes_back(world, &operator, &password).await
}

async fn a_user_deleted_by_sql_comes_back_with_its_password(world: &World) -> Outcome {
    let (_vendor, operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    world.postgres().sql("drop role checkout").await?;
    comes_back(world, &operator, &password).await
}

async fn comes_back(world: &World, operator: &Operator, password: &str) -> Outcome {
    world.accepts_eventually("checkout", password, true).await?;
    world.quiet(operator).await?;
    assert_eq!(world.password_of("checkout").await?, password);
    world.user_ready("checkout").await?;
    world.login_of("checkout").await
}

async fn a_password_changed_outside_is_set_back(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up_with(&[], short_lives()).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    vendor.set_password("checkout", "changed-outside").await?;
    world.accepts_eventually("checkout", &password, true).await?;
    assert!(!world.postgres().accepts("checkout", "changed-outside").await?);
    world.quiet(&operator).await?;
    assert_eq!(world.password_of("checkout").await?, password);
    // Once is enough.
    vendor.had("users.patch", 1).await?;
    Ok(())
}

async fn the_third_change_outside_is_a_conflict_until_a_rotation(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up_with(&[], short_lives()).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    for round in 1..=2 {
        vendor
            .set_password("checkout", &format!("changed-outside-{round}"))
            .await?;
        world.accepts_eventually("checkout", &password, true).await?;
        world.quiet(&operator).await?;
        later().await;
    }
    vendor.set_password("checkout", "changed-outside-3").await?;
    let found = world.user_not_ready("checkout", "Conflict").await?;
    assert!(found.message.contains("pguser.dev/rotate"), "{}", found.message);
    world.quiet(&operator).await?;
    assert!(world.postgres().accepts("checkout", "changed-outside-3").await?);

    rotate(world, "stopped it").await?;
    world.user_ready("checkout").await?;
    world.other_password("checkout", &password).await?;
    world.login_of("checkout").await?;
    assert!(!world.postgres().accepts("checkout", "changed-outside-3").await?);
    world.user_is_not("checkout", "Stalled").await
}

async fn a_password_changed_by_sql_is_not_seen_until_a_rotation(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up_with(&[], short_lives()).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    change_by_sql(world, "changed-by-sql").await?;
    // Nothing that the API tells has changed, so nothing is done: this is what is not promised.
    world.quiet(&operator).await?;
    vendor.had("users.patch", 0).await?;
    assert!(world.postgres().accepts("checkout", "changed-by-sql").await?);
    rotate(world, "1").await?;
    world.other_password("checkout", &password).await?;
    world.login_of("checkout").await
}

async fn a_password_changed_by_sql_is_set_back_where_the_remote_dates_it(world: &World) -> Outcome {
    let switches = ["sql-password-change=moves-last-modified"];
    let (_vendor, operator) = world.set_up_with(&switches, short_lives()).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    change_by_sql(world, "changed-by-sql").await?;
    world.accepts_eventually("checkout", &password, true).await
}

// ------------------------------------------------------------------------------------------------------- the Secret

async fn a_deleted_secret_is_made_anew_with_another_password(world: &World) -> Outcome {
    let (_simulator, operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    world.delete("v1/Secret", "checkout-postgres").await?;
    world.other_password("checkout", &password).await?;
    world.login_of("checkout").await?;
    assert!(!world.postgres().accepts("checkout", &password).await?);
    world.user_ready("checkout").await.map(drop)
}

async fn damage(world: &World, key: &str, value: Option<&str>) -> Outcome {
    let value = value.map(|value| BASE64_STANDARD.encode(value));
    world
        .merge("v1/Secret", "checkout-postgres", json!({"data": {key: value}}))
        .await
}

async fn a_damaged_password_is_replaced_by_a_new_one(world: &World) -> Outcome {
    replaced_when_damaged(world, Some("a-damaged-password")).await
}

async fn a_missing_password_is_replaced_by_a_new_one(world: &World) -> Outcome {
    replaced_when_damaged(world, None).await
}

async fn replaced_when_damaged(world: &World, with: Option<&str>) -> Outcome {
    let (_simulator, operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    damage(world, "password", with).await?;
    let new = eventually("a new password", PATIENCE, async || {
        match world.password_of("checkout").await? {
            found if found == password || Some(found.as_str()) == with => Err("it is the old one".into()),
            found => Ok(found),
        }
    })
    .await?;
    world.login_of("checkout").await?;
    assert!(!world.postgres().accepts("checkout", &password).await?);
    world.quiet(&operator).await?;
    assert_eq!(world.password_of("checkout").await?, new);
    world.user_ready("checkout").await?;
    let uri = world.key_of("checkout", "uri").await?;
    assert_eq!(
        world.postgres().psql(&uri, "select current_user").await?,
        "checkout"
    );
    Ok(())
}

async fn a_damaged_key_is_put_back_without_the_remote(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    let before = world.secret("checkout-postgres").await?;
    for (key, value) in [("host", Some("elsewhere.example")), ("uri", None)] {
        damage(world, key, value).await?;
        eventually("the key to be put back", PATIENCE, async || {
            match world.secret("checkout-postgres").await? == before {
                true => Ok(()),
                false => Err(format!("{key} is still damaged").into()),
            }
        })
        .await?;
    }
    world.user_ready("checkout").await?;
    assert_eq!(world.password_of("checkout").await?, password);
    vendor.had("users.patch", 0).await?;
    Ok(())
}

async fn an_added_key_is_removed_and_added_labels_stay(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    let labels = json!({"metadata": {"labels": {"somebody": "else"}}});
    world.merge("v1/Secret", "checkout-postgres", labels).await?;
    damage(world, "added", Some("by hand")).await?;
    eventually("the added key to go", PATIENCE, async || {
        match world
            .secret("checkout-postgres")
            .await?
            .unwrap_or_default()
            .contains_key("added")
        {
            false => Ok(()),
            true => Err("it is there".into()),
        }
    })
    .await?;
    world.quiet(&operator).await?;
    let secret = world
        .get("v1/Secret", "checkout-postgres")
        .await?
        .ok_or("no Secret")?;
    assert_eq!(secret.metadata.labels.unwrap_or_default()["somebody"], "else");
    vendor.had("users.patch", 0).await?;
    Ok(())
}

async fn a_cluster_that_gets_another_address_shows_in_the_secret(world: &World) -> Outcome {
    let (vendor, mut operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    vendor.cluster(json!({"dnsName": "moved.example.com"})).await?;
    // It is looked at once in an hour, and by whoever starts.
    operator.restart().await?;
    eventually("the Secret to follow", PATIENCE, async || {
        match world.key_of("checkout", "host").await?.as_str() {
            "moved.example.com" => Ok(()),
            other => Err(other.into()),
        }
    })
    .await?;
    assert_eq!(world.password_of("checkout").await?, password);
    vendor.had("users.patch", 0).await
}

// --------------------------------------------------------------------------------------------------------- rotation

async fn a_rotation_gives_a_new_password_and_ends_the_old_one(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    let mut password = world.ready_user("checkout").await?;
    for round in ["1", "2"] {
        rotate(world, round).await?;
        let new = world.other_password("checkout", &password).await?;
        world.login_of("checkout").await?;
        assert!(!world.postgres().accepts("checkout", &password).await?);
        password = new;
    }
    vendor.had("users.patch", 2).await?;
    world.user_ready("checkout").await.map(drop)
}

/// Every password that a Secret comes to hold from now on, as somebody sees it who watches.
async fn watch_passwords(world: &World) -> Outcome<Arc<Mutex<Vec<String>>>> {
    let secrets: Api<Secret> = Api::namespaced(world.client().clone(), world.namespace());
    let now = secrets.get("checkout-postgres").await?;
    let version = now.metadata.resource_version.unwrap_or_default();
    let params = WatchParams::default().fields("metadata.name=checkout-postgres");
    let mut changes = Box::pin(secrets.watch(&params, &version).await?);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seen_by_task = seen.clone();
    tokio::spawn(async move {
        while let Some(Ok(change)) = changes.next().await {
            if let WatchEvent::Added(secret) | WatchEvent::Modified(secret) = change {
                let password = secret
                    .data
                    .unwrap_or_default()
                    .remove("password")
                    .unwrap_or_default();
                let text = String::from_utf8_lossy(&password.0).into_owned();
                seen_by_task.lock().unwrap().push(text);
            }
        }
    });
    Ok(seen)
}

async fn a_rotation_changes_the_secret_in_one_write(world: &World) -> Outcome {
    let (_simulator, operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    let seen = watch_passwords(world).await?;
    rotate(world, "1").await?;
    let new = world.other_password("checkout", &password).await?;
    world.quiet(&operator).await?;
    assert_eq!(*seen.lock().unwrap(), [new]);
    world.login_of("checkout").await
}

async fn a_rotation_is_handled_once(world: &World) -> Outcome {
    let (vendor, mut operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    rotate(world, "2026-11-22").await?;
    let new = world.other_password("checkout", &password).await?;
    eventually("the rotation to be recorded", PATIENCE, async || {
        let user = world.get("PostgresUser", "checkout").await?.ok_or("no user")?;
        match &user.data["status"]["lastHandledRotation"] {
            handled if handled == "2026-11-22" => Ok(()),
            handled => Err(handled.to_string().into()),
        }
    })
    .await?;
    operator.restart().await?;
    world.quiet(&operator).await?;
    assert_eq!(world.password_of("checkout").await?, new);
    // What was not settled before the restart may be sent once more, but never another password (R0).
    vendor.gave("checkout", 2).await?;
    world.login_of("checkout").await
}

async fn two_rotations_in_a_row_end_with_one_password_that_works(world: &World) -> Outcome {
    let (_simulator, operator) = world.set_up(&["busy-ms=300"]).await?;
    let password = world.ready_user("checkout").await?;
    rotate(world, "1").await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    rotate(world, "2").await?;
    eventually("the second rotation to be recorded", PATIENCE, async || {
        let user = world.get("PostgresUser", "checkout").await?.ok_or("no user")?;
        match &user.data["status"]["lastHandledRotation"] {
            handled if handled == "2" => Ok(()),
            handled => Err(handled.to_string().into()),
        }
    })
    .await?;
    world.quiet(&operator).await?;
    assert_ne!(world.password_of("checkout").await?, password);
    world.user_ready("checkout").await?;
    world.login_of("checkout").await
}

/// A status keeps no fractions: what is compared with it must have none either, or no change is ever settled.
async fn dates_with_fractions_of_a_second_are_equal_to_themselves(world: &World) -> Outcome {
    let (_simulator, operator) = world.set_up(&["timestamps=millis"]).await?;
    let before = world.ready_user("checkout").await?;
    rotate(world, "1").await?;
    world.other_password("checkout", &before).await?;
    let secrets: Api<Secret> = Api::namespaced(world.client().clone(), world.operator_namespace());
    let journals = ListParams::default().labels("pguser.dev/component=journal");
    eventually("the journal to be empty", PATIENCE, async || {
        for journal in secrets.list(&journals).await? {
            let entries = journal.annotations().get("pguser.dev/entries").cloned();
            if entries.as_deref() != Some("0") {
                return Err(format!("{entries:?} entries").into());
            }
        }
        Ok(())
    })
    .await?;
    world.quiet(&operator).await
}
