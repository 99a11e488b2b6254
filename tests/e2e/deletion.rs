//! Deletion: it always ends, what was ours is gone, and what was not is left alone (I3, I4).

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;
use kube::{Api, api::DeleteParams};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{
    Fate, Handle, Options, Outcome, PATIENCE, Provider, SERVER, Scene, TOKEN, World, eventually, pause,
    trials, trials_everywhere,
};

/// How long garbage collection takes, in a cluster that has known our kinds only for a moment.
const COLLECTION: Duration = Duration::from_secs(150);

pub fn trials(environment: &Handle) -> Vec<Trial> {
    let everywhere = trials_everywhere!(environment;
        a_deleted_user_is_gone_with_its_secret_and_its_login,
        a_deleted_namespace_ends_by_itself_and_its_logins_with_it,
        a_server_deleted_first_waits_for_its_users_and_names_them,
        a_server_deleted_with_its_users_goes_after_them,
        credentials_deleted_first_are_kept_for_deletion_alone_and_removed_afterwards,
        credentials_that_come_back_end_the_copy,
        server_and_credentials_deleted_first_do_not_keep_users_from_going,
        a_retained_user_keeps_login_and_secret_and_is_on_record,
        retaining_ends_a_deletion_that_is_blocked,
        a_deletion_with_credentials_that_are_refused_says_the_ways_out_and_goes_on_when_they_work,
        a_deletion_from_a_server_that_cannot_be_reached_says_the_ways_out_and_goes_on_when_it_can,
        an_annotation_lets_go_of_a_user_that_cannot_be_deleted,
        a_login_that_was_deleted_already_is_no_obstacle,
        a_login_that_owns_objects_blocks_until_they_are_gone,
        a_user_deleted_right_after_its_creation_leaves_nothing,
        a_user_deleted_while_its_creation_is_under_way_leaves_nothing,
        a_suspended_user_is_deleted,
        a_login_made_for_a_user_that_was_torn_away_is_removed,
    );
    let behind_an_api = [Provider::Ionos, Provider::Scalingo]
        .into_iter()
        .flat_map(|provider| {
            trials!(environment, provider;
                credentials_that_go_after_the_last_user_are_kept_until_its_login_is_gone,
                a_cluster_that_is_gone_for_long_enough_releases_its_users,
                a_cluster_that_was_never_seen_makes_no_user_and_lets_it_go,
                a_cluster_never_seen_with_these_credentials_does_not_count_as_gone,
                a_login_that_is_deleted_late_is_waited_for,
            )
        });
    // Scalingo shows neither dates nor makers.
    let by_date_or_mark = [Provider::Ionos, Provider::Postgresql]
        .into_iter()
        .flat_map(|provider| trials!(environment, provider; a_login_that_somebody_made_again_is_left_alone));
    let once = trials!(environment;
        an_annotation_that_names_another_user_does_nothing,
        a_cluster_that_is_being_destroyed_releases_its_users,
        a_login_that_owns_objects_blocks_with_a_server_error_too,
    );
    everywhere
        .chain(behind_an_api)
        .chain(by_date_or_mark)
        .chain(once)
        .collect()
}

async fn a_deleted_user_is_gone_with_its_secret_and_its_login(world: &World) -> Outcome {
    let (scene, password) = Scene::with_user(world, "webshop").await?;
    world.delete("PostgresUser", "webshop").await?;
    world.user_gone("webshop", &password).await?;
    scene.vendor.had("users.delete", 1).await?;
    world.journal_empty().await?;
    world.gone("v1/Secret", "webshop-postgres", COLLECTION).await
}

async fn a_deleted_namespace_ends_by_itself_and_its_logins_with_it(world: &World) -> Outcome {
    let scene = Scene::new(world).await?;
    let names: Vec<String> = (0..6).map(|number| format!("user-{number}")).collect();
    for name in &names {
        world.apply_user(name, SERVER).await?;
    }
    for name in &names {
        world.user_works(name).await?;
    }
    world.apply_user("latecomer", SERVER).await?;
    let namespaces: Api<Namespace> = Api::all(world.client().clone());
    namespaces
        .delete(world.namespace(), &DeleteParams::default())
        .await?;
    eventually("the namespace's end", PATIENCE * 2, async || {
        match namespaces.get_opt(world.namespace()).await? {
            None => Ok(()),
            Some(namespace) => Err(format!("{:?}", namespace.status).into()),
        }
    })
    .await?;
    assert_eq!(world.roles().await?, Vec::<String>::new());
    let left = [
        world.operator_secrets("journal").await?,
        world.operator_secrets("credentials-for-deletion").await?,
    ];
    assert_eq!(left.concat(), Vec::<String>::new());
    drop(scene);
    Ok(())
}

async fn a_server_deleted_first_waits_for_its_users_and_names_them(world: &World) -> Outcome {
    let (_scene, password) = Scene::with_user(world, "webshop").await?;
    world.delete("PostgresServer", SERVER).await?;
    let condition = eventually("the server to be in use", PATIENCE, async || {
        let found = world.condition("PostgresServer", SERVER, "Ready").await?;
        found
            .filter(|found| found.reason == "InUse")
            .ok_or_else(|| "not InUse".into())
    })
    .await?;
    assert!(condition.message.contains("/webshop"), "{}", condition.message);
    assert!(world.postgres().accepts("webshop", &password).await?);
    world.delete("PostgresUser", "webshop").await?;
    world.user_gone("webshop", &password).await?;
    world.gone("PostgresServer", SERVER, PATIENCE).await
}

async fn a_server_deleted_with_its_users_goes_after_them(world: &World) -> Outcome {
    let (scene, password) = Scene::with_user(world, "webshop").await?;
    let other = scene.make_user("another").await?;
    world.delete("PostgresServer", SERVER).await?;
    world.delete("PostgresUser", "webshop").await?;
    world.delete("v1/Secret", "orders-credentials").await?;
    world.delete("PostgresUser", "another").await?;
    world.user_gone("webshop", &password).await?;
    world.user_gone("another", &other).await?;
    world.gone("PostgresServer", SERVER, PATIENCE).await?;
    world.gone("v1/Secret", "orders-credentials", PATIENCE).await
}

async fn credentials_deleted_first_are_kept_for_deletion_alone_and_removed_afterwards(
    world: &World,
) -> Outcome {
    let (scene, password) = Scene::with_user(world, "webshop").await?;
    world.delete("v1/Secret", "orders-credentials").await?;
    world.gone("v1/Secret", "orders-credentials", PATIENCE).await?;
    assert_eq!(world.operator_secrets("credentials-for-deletion").await?.len(), 1);
    // For deletions alone: nobody is made with it.
    world.apply_user("latecomer", SERVER).await?;
    world.user_not_ready("latecomer", "CredentialsNotFound").await?;
    scene.vendor.had("users.create", 1).await?;
    world.delete("PostgresUser", "webshop").await?;
    world.user_gone("webshop", &password).await?;
    world.delete("PostgresUser", "latecomer").await?;
    world.gone("PostgresUser", "latecomer", PATIENCE).await?;
    world.delete("PostgresServer", SERVER).await?;
    world.gone("PostgresServer", SERVER, PATIENCE).await?;
    assert!(
        world
            .operator_secrets("credentials-for-deletion")
            .await?
            .is_empty()
    );
    Ok(())
}

async fn credentials_that_come_back_end_the_copy(world: &World) -> Outcome {
    let (scene, password) = Scene::with_user(world, "webshop").await?;
    world.delete("v1/Secret", "orders-credentials").await?;
    world.gone("v1/Secret", "orders-credentials", PATIENCE).await?;
    world.apply_server(SERVER, &scene.vendor).await?;
    eventually("the end of the copy", PATIENCE, async || {
        match world.operator_secrets("credentials-for-deletion").await?.len() {
            0 => Ok(()),
            _ => Err("it is there".into()),
        }
    })
    .await?;
    scene.make_user("latecomer").await?;
    assert!(world.postgres().accepts("webshop", &password).await?);
    Ok(())
}

async fn server_and_credentials_deleted_first_do_not_keep_users_from_going(world: &World) -> Outcome {
    let (scene, password) = Scene::with_user(world, "webshop").await?;
    let other = scene.make_user("another").await?;
    world.delete("v1/Secret", "orders-credentials").await?;
    world.delete("PostgresServer", SERVER).await?;
    world.gone("v1/Secret", "orders-credentials", PATIENCE).await?;
    pause(500).await;
    world.delete("PostgresUser", "another").await?;
    world.delete("PostgresUser", "webshop").await?;
    world.user_gone("webshop", &password).await?;
    world.user_gone("another", &other).await?;
    world.gone("PostgresServer", SERVER, PATIENCE).await?;
    assert!(
        world
            .operator_secrets("credentials-for-deletion")
            .await?
            .is_empty()
    );
    Ok(())
}

async fn a_retained_user_keeps_login_and_secret_and_is_on_record(world: &World) -> Outcome {
    let (scene, password) = Scene::with_user(world, "webshop").await?;
    world.retain("webshop").await?;
    world.quiet(&scene.operator).await?;
    world.delete("PostgresUser", "webshop").await?;
    world.gone("PostgresUser", "webshop", PATIENCE).await?;
    let secret = world
        .get("v1/Secret", "webshop-postgres")
        .await?
        .ok_or("no Secret")?;
    assert_eq!(
        secret
            .annotations()
            .get("pguser.dev/retained")
            .map(String::as_str),
        Some("true")
    );
    // Longer than garbage collection takes.
    pause(3000).await;
    assert_eq!(world.login_with_secret("webshop-postgres").await?, "webshop");
    assert_eq!(world.password("webshop").await?.as_deref(), Some(&*password));
    scene.vendor.had("users.delete", 0).await?;
    let kept = world.kept_users().await?;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(
        (&kept[0]["username"], &kept[0]["why"]),
        (&json!("webshop"), &json!("Retained"))
    );
    let events = world.events().await?;
    let with = |words: &str| events.iter().filter(|event| event.contains(words)).count();
    let told = (with("LoginRetained"), with("the login is being deleted"));
    assert_eq!(told, (1, 0), "{events:?}");
    let logs = scene.operator.logs();
    assert_eq!(logs.matches("\"let go\"").count(), 1, "{logs}");
    Ok(())
}

async fn retaining_ends_a_deletion_that_is_blocked(world: &World) -> Outcome {
    let (scene, password) = Scene::with_user(world, "webshop").await?;
    scene.vendor.accept_only("another").await?;
    world.delete("PostgresUser", "webshop").await?;
    world.deletion_blocked("webshop", "Unauthorized").await?;
    world.retain("webshop").await?;
    world.gone("PostgresUser", "webshop", PATIENCE).await?;
    pause(2000).await;
    assert_eq!(world.login_with_secret("webshop-postgres").await?, "webshop");
    assert!(world.postgres().accepts("webshop", &password).await?);
    assert_eq!(world.kept_users().await?.len(), 1);
    Ok(())
}

async fn a_deletion_with_credentials_that_are_refused_says_the_ways_out_and_goes_on_when_they_work(
    world: &World,
) -> Outcome {
    let (scene, password) = Scene::with_user(world, "webshop").await?;
    scene.vendor.accept_only("another").await?;
    world.delete("PostgresUser", "webshop").await?;
    world.deletion_blocked("webshop", "Unauthorized").await?;
    assert!(world.postgres().accepts("webshop", &password).await?);
    scene.vendor.accept_only(TOKEN).await?;
    world.user_gone("webshop", &password).await
}

async fn a_deletion_from_a_server_that_cannot_be_reached_says_the_ways_out_and_goes_on_when_it_can(
    world: &World,
) -> Outcome {
    let (scene, password) = Scene::with_user(world, "webshop").await?;
    scene.vendor.stop();
    world.delete("PostgresUser", "webshop").await?;
    world.deletion_blocked("webshop", "Unreachable").await?;
    scene.vendor.start_again().await?;
    world.user_gone("webshop", &password).await
}

async fn force(world: &World, name: &str, value: &str) -> Outcome {
    let change = json!({"metadata": {"annotations": {"pguser.dev/force-finalize": value}}});
    world.merge("PostgresUser", name, change).await
}

async fn an_annotation_lets_go_of_a_user_that_cannot_be_deleted(world: &World) -> Outcome {
    let (scene, password) = Scene::with_user(world, "webshop").await?;
    scene.vendor.stop();
    world.delete("PostgresUser", "webshop").await?;
    world.deletion_blocked("webshop", "Unreachable").await?;
    force(world, "webshop", "webshop").await?;
    world.gone("PostgresUser", "webshop", PATIENCE).await?;
    assert!(world.postgres().accepts("webshop", &password).await?);
    let kept = world.kept_users().await?;
    assert_eq!(kept[0]["why"], "Forced", "{kept:?}");
    Ok(())
}

async fn an_annotation_that_names_another_user_does_nothing(world: &World) -> Outcome {
    let (scene, _) = Scene::with_user(world, "webshop").await?;
    scene.vendor.stop();
    world.delete("PostgresUser", "webshop").await?;
    force(world, "webshop", "true").await?;
    world.deletion_blocked("webshop", "Unreachable").await?;
    pause(1500).await;
    assert!(world.get("PostgresUser", "webshop").await?.is_some());
    Ok(())
}

async fn a_cluster_that_is_gone_for_long_enough_releases_its_users(world: &World) -> Outcome {
    let (scene, _) = Scene::with_user(world, "webshop").await?;
    let gone = std::time::Instant::now();
    scene.vendor.vanish().await?;
    world.delete("PostgresUser", "webshop").await?;
    world.gone("PostgresUser", "webshop", PATIENCE).await?;
    assert!(
        gone.elapsed() >= Duration::from_secs(2),
        "released after {:?}",
        gone.elapsed()
    );
    assert_eq!(world.kept_users().await?[0]["why"], "ClusterGone");
    world.delete("PostgresServer", SERVER).await?;
    world.gone("PostgresServer", SERVER, PATIENCE).await
}

async fn a_cluster_that_is_being_destroyed_releases_its_users(world: &World) -> Outcome {
    let (scene, _) = Scene::with_user(world, "webshop").await?;
    scene.vendor.cluster(json!({"state": "DESTROYING"})).await?;
    world.delete("PostgresUser", "webshop").await?;
    world.gone("PostgresUser", "webshop", PATIENCE).await
}

async fn a_cluster_that_was_never_seen_makes_no_user_and_lets_it_go(world: &World) -> Outcome {
    let vendor = world.start_vendor(&[]).await?;
    vendor.vanish().await?;
    let _operator = world.start_operator(Options::quick()).await?;
    world.apply_server(SERVER, &vendor).await?;
    world.apply_user("webshop", SERVER).await?;
    world.user_not_ready("webshop", "ClusterNotFound").await?;
    assert_eq!(vendor.requests("users.create").await?, 0);
    world.delete("PostgresUser", "webshop").await?;
    world.gone("PostgresUser", "webshop", PATIENCE).await?;
    world.delete("PostgresServer", SERVER).await?;
    world.gone("PostgresServer", SERVER, PATIENCE).await
}

/// A token of somebody else's account: to it, the cluster does not exist.
async fn a_cluster_never_seen_with_these_credentials_does_not_count_as_gone(world: &World) -> Outcome {
    let (scene, password) = Scene::with_user(world, "webshop").await?;
    scene.vendor.vanish().await?;
    scene.vendor.accept(&[TOKEN, "somebody-elses"]).await?;
    let other = "somebody-elses";
    world.apply_credentials(SERVER, &scene.vendor, other).await?;
    world.wait_for("PostgresServer", SERVER, "Ready", "False").await?;
    world.delete("PostgresUser", "webshop").await?;
    world.deletion_blocked("webshop", "ClusterNotFound").await?;
    pause(5000).await;
    assert!(
        world.get("PostgresUser", "webshop").await?.is_some(),
        "let go on a bare 404"
    );
    scene.vendor.reappear().await?;
    world.user_gone("webshop", &password).await
}

async fn a_login_that_was_deleted_already_is_no_obstacle(world: &World) -> Outcome {
    let (scene, password) = Scene::with_user(world, "webshop").await?;
    world
        .merge("PostgresUser", "webshop", json!({"spec": {"suspend": true}}))
        .await?;
    scene.vendor.delete("webshop").await?;
    world.delete("PostgresUser", "webshop").await?;
    world.user_gone("webshop", &password).await
}

async fn a_login_that_somebody_made_again_is_left_alone(world: &World) -> Outcome {
    let (scene, _) = Scene::with_user(world, "webshop").await?;
    world
        .merge("PostgresUser", "webshop", json!({"spec": {"suspend": true}}))
        .await?;
    // No refresh will tell; and dates are whole seconds.
    world
        .merge(
            "PostgresServer",
            SERVER,
            json!({"spec": {"refreshInterval": "10m"}}),
        )
        .await?;
    pause(2500).await;
    scene
        .vendor
        .make_again("webshop", "somebody-elses-password")
        .await?;
    pause(1500).await;
    world.delete("PostgresUser", "webshop").await?;
    world.gone("PostgresUser", "webshop", PATIENCE).await?;
    assert!(
        world
            .postgres()
            .accepts("webshop", "somebody-elses-password")
            .await?
    );
    assert_eq!(world.kept_users().await?[0]["why"], "NotOurs");
    Ok(())
}

async fn owns_objects(world: &World, switch: &str) -> Outcome {
    let mut scene = Scene::with(world, &[switch], Options::quick()).await?;
    let password = scene.make_user("webshop").await?;
    world
        .postgres()
        .sql("create table t (); alter table t owner to webshop")
        .await?;
    world.delete("PostgresUser", "webshop").await?;
    eventually("the deletion to be blocked", PATIENCE, async || {
        let found = world.condition("PostgresUser", "webshop", "Ready").await?;
        match found.filter(|found| found.reason == "DeletionBlocked") {
            Some(_) => Ok(()),
            None => Err("not blocked".into()),
        }
    })
    .await?;
    assert!(world.postgres().accepts("webshop", &password).await?);
    world.postgres().sql("alter table t owner to postgres").await?;
    if world.provider() != Provider::Ionos {
        // It is tried again by itself after a minute; once is enough to wait for that.
        scene.operator.restart().await?;
    }
    world
        .gone("PostgresUser", "webshop", Duration::from_secs(100))
        .await?;
    world.user_gone("webshop", &password).await
}

async fn a_login_that_owns_objects_blocks_until_they_are_gone(world: &World) -> Outcome {
    owns_objects(world, "owned-objects=422").await
}

async fn a_login_that_owns_objects_blocks_with_a_server_error_too(world: &World) -> Outcome {
    owns_objects(world, "owned-objects=500").await
}

async fn a_login_that_is_deleted_late_is_waited_for(world: &World) -> Outcome {
    let switches = ["delete=async", "delete-lag-ms=1500"];
    let scene = Scene::with(world, &switches, Options::quick()).await?;
    let password = scene.make_user("webshop").await?;
    world.delete("PostgresUser", "webshop").await?;
    world.gone("PostgresUser", "webshop", PATIENCE).await?;
    // I4: the login goes after its object, and the journal has the deletion until it has gone.
    let entries = world.journal_entries().await?;
    assert!(
        entries.iter().any(|entry| entry["kind"] == "Delete"),
        "{entries:?}"
    );
    world.journal_empty().await?;
    world.login_gone("webshop", &password).await
}

/// Found by the deletion of a namespace, which deletes users, credentials and server object within a fraction of a second:
/// with no user left nobody took a copy of the credentials, and the entry that asked for them kept the server object for ever.
async fn credentials_that_go_after_the_last_user_are_kept_until_its_login_is_gone(world: &World) -> Outcome {
    let switches = ["delete=async", "delete-lag-ms=2500"];
    let scene = Scene::with(world, &switches, Options::quick()).await?;
    let password = scene.make_user("webshop").await?;
    world.delete("PostgresUser", "webshop").await?;
    world.gone("PostgresUser", "webshop", PATIENCE).await?;
    world.delete("v1/Secret", "orders-credentials").await?;
    world.gone("v1/Secret", "orders-credentials", PATIENCE).await?;
    assert!(!world.journal_entries().await?.is_empty(), "that is no test");
    assert_eq!(world.operator_secrets("credentials-for-deletion").await?.len(), 1);
    world.delete("PostgresServer", SERVER).await?;
    world.gone("PostgresServer", SERVER, PATIENCE).await?;
    world.login_gone("webshop", &password).await?;
    let left = [
        world.operator_secrets("journal").await?,
        world.operator_secrets("credentials-for-deletion").await?,
    ];
    assert_eq!(left.concat(), Vec::<String>::new());
    Ok(())
}

async fn a_user_deleted_right_after_its_creation_leaves_nothing(world: &World) -> Outcome {
    let _scene = Scene::new(world).await?;
    for round in 0..5 {
        let name = format!("webshop-{round}");
        world.apply_user(&name, SERVER).await?;
        pause(round * 30).await;
        world.delete("PostgresUser", &name).await?;
    }
    for round in 0..5 {
        world
            .gone("PostgresUser", &format!("webshop-{round}"), PATIENCE)
            .await?;
    }
    world.journal_empty().await?;
    assert_eq!(world.roles().await?, Vec::<String>::new());
    Ok(())
}

async fn a_user_deleted_while_its_creation_is_under_way_leaves_nothing(world: &World) -> Outcome {
    let scene = Scene::new(world).await?;
    let slow = scene.vendor.strike("users.create", Fate::Slow).await?;
    world.apply_user("webshop", SERVER).await?;
    slow.is_under_way().await?;
    world.delete("PostgresUser", "webshop").await?;
    world.gone("PostgresUser", "webshop", PATIENCE).await?;
    world.journal_empty().await?;
    assert_eq!(world.roles().await?, Vec::<String>::new());
    Ok(())
}

async fn a_suspended_user_is_deleted(world: &World) -> Outcome {
    let (_scene, password) = Scene::with_user(world, "webshop").await?;
    world
        .merge("PostgresUser", "webshop", json!({"spec": {"suspend": true}}))
        .await?;
    world.delete("PostgresUser", "webshop").await?;
    world.user_gone("webshop", &password).await
}

/// R5: somebody takes the finalizer away by force while the creation is under way.
async fn a_login_made_for_a_user_that_was_torn_away_is_removed(world: &World) -> Outcome {
    let scene = Scene::new(world).await?;
    let slow = scene.vendor.strike("users.create", Fate::Slow).await?;
    world.apply_user("webshop", SERVER).await?;
    slow.is_under_way().await?;
    world.delete("PostgresUser", "webshop").await?;
    world
        .merge(
            "PostgresUser",
            "webshop",
            json!({"metadata": {"finalizers": null}}),
        )
        .await?;
    world.gone("PostgresUser", "webshop", PATIENCE).await?;
    world.journal_empty().await?;
    scene.vendor.executed("users.create", 1).await?;
    assert_eq!(world.roles().await?, Vec::<String>::new());
    Ok(())
}
