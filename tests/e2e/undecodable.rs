//! What the operator cannot read stops nobody else, and is not taken for what is not there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use libtest_mimic::Trial;
use pguser_operator::api::crd;
use serde_json::json;

use crate::support::{
    Environment, Handle, Operator, Options, Outcome, PATIENCE, Person, REPOSITORY, SERVER, Scene, World,
    eventually, pause, poison, trials, user_manifest,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        objects_that_cannot_be_read_stop_nobody_else,
        managed_fields_are_no_trouble_whatever_is_in_them,
        a_ready_user_that_becomes_unreadable_keeps_its_login_and_says_so,
        an_unreadable_user_is_deleted_if_all_that_this_goes_by_is_known,
        an_unreadable_user_is_let_go_by_annotation,
        an_unreadable_owner_keeps_its_login_over_a_restart,
        an_unreadable_server_object_loses_nothing,
        the_plugin_shows_what_it_can_read,
        a_namespace_that_cannot_be_listed_holds_back_only_itself,
    )
}

async fn undecodable(scene: &Scene<'_>, kind: &str, count: usize) -> Outcome {
    let line = format!("pguser_undecodable_objects{{kind=\"{kind}\"}} {count}");
    eventually(&line, PATIENCE, async || {
        let metrics = scene.operator.get("metrics").await?;
        match metrics.contains(&line) {
            true => Ok(()),
            false => Err("not yet".into()),
        }
    })
    .await
}

/// A world on a control plane whose CRDs a test may change.
async fn world_of_its_own(world: &World, name: &str) -> Outcome<(Arc<Environment>, World)> {
    let environment = world.environment().apart(name).await?;
    environment.control_plane().install_crds(&crds()).await?;
    let world = World::new(&environment, name, world.provider()).await?;
    Ok((environment, world))
}

fn crds() -> PathBuf {
    Path::new(REPOSITORY).join("crds")
}

/// Stores a date that today's CRDs refuse, as those took it which had no bound there.
async fn store_unreadable(world: &World, name: &str) -> Outcome {
    let (file, mut users) = crd::all()?.into_iter().next().ok_or("no CRD")?;
    let field =
        "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/postgresql/properties/validUntil";
    *users.pointer_mut(field).ok_or("no such field")? = json!({"type": "string", "format": "date-time"});
    let folder = world.dir().join("unbounded");
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join(file), users.to_string())?;
    let control_plane = world.environment().control_plane();
    control_plane.install_crds(&folder).await?;
    let date = json!({"spec": {"postgresql": {"validUntil": "9999-12-31T23:59:59Z"}}});
    eventually("the CRD to be taken up", PATIENCE, async || {
        world.merge("PostgresUser", name, date.clone()).await
    })
    .await?;
    control_plane.install_crds(&crds()).await
}

async fn objects_that_cannot_be_read_stop_nobody_else(world: &World) -> Outcome {
    let (mut scene, password) = Scene::with_user(world, "shop").await?;
    world.apply(&user_manifest("odd", SERVER, "")).await?;
    world.user_works("odd").await?;
    hide_the_record(world, "odd").await?;
    undecodable(&scene, "PostgresUser", 1).await?;
    scene.operator.restart().await?;
    undecodable(&scene, "PostgresUser", 1).await?;
    world.rotate("shop", "1").await?;
    world.rotated("shop", &password).await?;
    scene.make_user("another").await?;
    let logs = scene.operator.logs();
    assert!(logs.contains("cannot be read as a whole") && logs.contains("status.remoteUsers.0.created"));
    assert!(!logs.contains("9999-12-31"), "a log repeats what was read");
    Ok(())
}

async fn managed_fields_are_no_trouble_whatever_is_in_them(world: &World) -> Outcome {
    let (mut scene, password) = Scene::with_user(world, "shop").await?;
    poison(world, "PostgresUser", "shop").await?;
    poison(world, "PostgresServer", SERVER).await?;
    poison(world, "v1/Secret", "shop-postgres").await?;
    scene.operator.restart().await?;
    world.rotate("shop", "1").await?;
    let later = world.rotated("shop", &password).await?;
    poison(world, "PostgresUser", "shop").await?;
    poison(world, "v1/Secret", "shop-postgres").await?;
    world.rotate("shop", "2").await?;
    let last = world.rotated("shop", &later).await?;
    undecodable(&scene, "PostgresUser", 0).await?;
    world.delete("PostgresUser", "shop").await?;
    world.user_gone("shop", &last).await
}

async fn a_ready_user_that_becomes_unreadable_keeps_its_login_and_says_so(world: &World) -> Outcome {
    let (environment, mut world) = world_of_its_own(world, "unreadable").await?;
    let ends = becomes_unreadable(&world).await;
    world.clean_up().await;
    drop(environment);
    ends
}

async fn becomes_unreadable(world: &World) -> Outcome {
    let (scene, password) = Scene::with_user(world, "shop").await?;
    store_unreadable(world, "shop").await?;
    undecodable(&scene, "PostgresUser", 1).await?;
    let stalled = world.user_is("shop", "Stalled", "True", "Undecodable").await?;
    assert!(stalled.contains("spec.postgresql.validUntil"), "{stalled}");
    eventually("an Event", PATIENCE, async || {
        match world
            .events()
            .await?
            .iter()
            .any(|event| event.contains("Undecodable"))
        {
            true => Ok(()),
            false => Err("none".into()),
        }
    })
    .await?;
    world.rotate("shop", "1").await?;
    pause(1500).await;
    assert_eq!(world.password("shop").await?.as_deref(), Some(password.as_str()));
    assert!(world.postgres().accepts("shop", &password).await?);
    world
        .merge("PostgresUser", "shop", json!({"spec": {"postgresql": null}}))
        .await?;
    world.rotated("shop", &password).await?;
    world.user_is_not("shop", "Stalled").await?;
    undecodable(&scene, "PostgresUser", 0).await
}

async fn an_unreadable_user_is_deleted_if_all_that_this_goes_by_is_known(world: &World) -> Outcome {
    let (environment, mut world) = world_of_its_own(world, "undeletable").await?;
    let ends = is_deleted_unread(&world).await;
    world.clean_up().await;
    drop(environment);
    ends
}

async fn is_deleted_unread(world: &World) -> Outcome {
    let (mut scene, password) = Scene::with_user(world, "shop").await?;
    store_unreadable(world, "shop").await?;
    scene.operator.restart().await?;
    undecodable(&scene, "PostgresUser", 1).await?;
    world.delete("PostgresUser", "shop").await?;
    world.user_gone("shop", &password).await?;
    undecodable(&scene, "PostgresUser", 0).await
}

/// The record of ownership cannot be read any more: nobody can say that there is nothing to delete.
async fn hide_the_record(world: &World, name: &str) -> Outcome {
    let user = world.get("PostgresUser", name).await?.ok_or("no user")?;
    let mut record = user.data["status"]["remoteUsers"][0].clone();
    record["created"] = json!("9999-12-31T23:59:59Z");
    let status = json!({"status": {"remoteUsers": [record]}});
    world.merge_status("PostgresUser", name, status).await
}

async fn an_unreadable_user_is_let_go_by_annotation(world: &World) -> Outcome {
    let (mut scene, password) = Scene::with_user(world, "shop").await?;
    hide_the_record(world, "shop").await?;
    scene.operator.restart().await?;
    undecodable(&scene, "PostgresUser", 1).await?;
    world.delete("PostgresUser", "shop").await?;
    pause(2000).await;
    assert!(
        world.get("PostgresUser", "shop").await?.is_some(),
        "it was let go unasked"
    );
    let force = json!({"metadata": {"annotations": {"pguser.dev/force-finalize": "shop"}}});
    world.merge("PostgresUser", "shop", force).await?;
    world.gone("PostgresUser", "shop", PATIENCE).await?;
    assert!(
        world.postgres().accepts("shop", &password).await?,
        "the login is gone"
    );
    assert_eq!(world.kept_users().await?[0]["username"], "shop");
    Ok(())
}

async fn an_unreadable_owner_keeps_its_login_over_a_restart(world: &World) -> Outcome {
    let (mut scene, password) = Scene::with_user(world, "shop").await?;
    hide_the_record(world, "shop").await?;
    scene.operator.restart().await?;
    undecodable(&scene, "PostgresUser", 1).await?;
    let more = format!("{{serverRef: {{name: {SERVER}}}, username: shop, adoptionPolicy: Adopt}}");
    world
        .apply(&format!(
            "{{apiVersion: pguser.dev/v1alpha1, kind: PostgresUser, metadata: {{name: thief}}, spec: {more}}}"
        ))
        .await?;
    world.user_not_ready("thief", "Conflict").await?;
    assert!(world.postgres().accepts("shop", &password).await?);
    world.delete("PostgresServer", SERVER).await?;
    world.delete("PostgresUser", "thief").await?;
    world.gone("PostgresUser", "thief", PATIENCE).await?;
    pause(1500).await;
    assert!(
        world.get("PostgresServer", SERVER).await?.is_some(),
        "nobody counted the unreadable user"
    );
    Ok(())
}

/// The conditions are the operator's own to write: those that it cannot read it makes anew.
async fn an_unreadable_server_object_loses_nothing(world: &World) -> Outcome {
    let (mut scene, password) = Scene::with_user(world, "shop").await?;
    scene.operator.kill();
    let condition = json!({"type": "Ready", "status": "True", "reason": "Reachable", "message": "",
        "lastTransitionTime": "9999-12-31T23:59:59Z"});
    let status = json!({"status": {"observedGeneration": 1, "conditions": [condition]}});
    world.merge_status("PostgresServer", SERVER, status).await?;
    scene.operator.restart().await?;
    world.rotate("shop", "1").await?;
    world.rotated("shop", &password).await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    assert!(
        scene
            .operator
            .logs()
            .contains("status.conditions.0.lastTransitionTime")
    );
    undecodable(&scene, "PostgresServer", 0).await
}

async fn the_plugin_shows_what_it_can_read(world: &World) -> Outcome {
    let (_scene, _) = Scene::with_user(world, "shop").await?;
    world.apply(&user_manifest("odd", SERVER, "")).await?;
    world.user_works("odd").await?;
    hide_the_record(world, "odd").await?;
    poison(world, "PostgresUser", "shop").await?;
    poison(world, "v1/Secret", "shop-postgres").await?;
    let person = Person::administrator(world)?;
    let answer = person
        .pguser(&["status", "--namespace", world.namespace()])
        .await?;
    assert!(
        answer.stdout.contains("shop") && answer.stdout.contains("odd"),
        "{answer:#?}"
    );
    assert!(answer.stderr.contains("remoteUsers"), "{answer:#?}");
    Ok(())
}

/// The operator may do in some namespaces what it is shipped to do everywhere, and nothing elsewhere.
async fn confine(world: &World, operator: &Operator, namespaces: &[&str]) -> Outcome {
    let name = format!("pguser-operator-{}", world.operator_namespace());
    let account = operator.user().rsplit(':').next().unwrap_or_default().to_owned();
    for namespace in namespaces {
        let binding = format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, \
             metadata: {{name: confined, namespace: {namespace}}}, \
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: pguser-operator}}, \
             subjects: [{{kind: ServiceAccount, name: {account}, namespace: {}}}]}}",
            world.operator_namespace()
        );
        world.apply_in(namespace, &binding).await?;
    }
    world
        .kubectl(&["delete", "clusterrolebinding", &name])
        .await
        .map(drop)
}

async fn a_namespace_that_cannot_be_listed_holds_back_only_itself(world: &World) -> Outcome {
    let closed = format!("{}-closed", world.namespace());
    world.create_namespace(&closed).await?;
    let vendor = world.start_vendor(&[]).await?;
    let watched = format!("{},{closed}", world.namespace());
    let mut operator = world
        .operator(Options::quick().flag("--watch-namespaces", &watched))
        .await?;
    confine(world, &operator, &[world.namespace(), world.operator_namespace()]).await?;
    operator.start()?;
    operator.ready().await?;
    world.apply_server(SERVER, &vendor).await?;
    world.apply_user("shop", SERVER).await?;
    world.user_works("shop").await?;
    let metrics = operator.get("metrics").await?;
    assert!(metrics.contains("pguser_scopes_not_listed 3"), "{metrics}");
    assert!(operator.logs().contains(&closed), "nobody is told which");
    operator.get("readyz").await?;
    confine(world, &operator, &[&closed]).await.ok();
    eventually(
        "all to be listed",
        std::time::Duration::from_secs(150),
        async || match operator
            .get("metrics")
            .await?
            .contains("pguser_scopes_not_listed 0")
        {
            true => Ok(()),
            false => Err("not yet".into()),
        },
    )
    .await
}
