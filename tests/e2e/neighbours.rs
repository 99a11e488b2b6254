//! Others at the same remote cluster: another installation, another operator, and a great many users.

use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{
    Handle, Operator, Options, Outcome, PATIENCE, SERVER, Simulator, TOKEN, Vendor, World, eventually, trials,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        two_operators_that_fight_over_a_user_notice_and_stop,
        an_object_of_another_installation_changes_nothing_until_it_is_taken_over,
        a_restored_object_that_is_deleted_deletes_nothing,
        absence_in_a_list_of_many_pages_is_confirmed_by_another_list,
    )
}

// ------------------------------------------------------------------------------------------------- another operator

/// Two operators that know nothing of each other, each for its own namespace, on one remote cluster.
async fn two_operators(world: &World) -> Outcome<(Vendor, [Operator; 2], String)> {
    let other = format!("{}-other", world.namespace());
    world.create_namespace(&other).await?;
    let simulator = world.start_vendor(&[]).await?;
    let options = || Options::default().flag("--t-live", "1s");
    let first = world.start_operator(options()).await?;
    let second = world
        .start_operator(options().flag("--watch-namespaces", &other))
        .await?;
    world.apply_server(SERVER, &simulator).await?;
    let credentials = simulator.credentials(SERVER, TOKEN)?;
    world.apply_in(&other, &credentials).await?;
    let manifest = world.server_manifest(SERVER, &simulator, "");
    world.apply_in(&other, &manifest).await?;
    Ok((simulator, [first, second], other))
}

async fn two_operators_that_fight_over_a_user_notice_and_stop(world: &World) -> Outcome {
    let (simulator, operators, other) = two_operators(world).await?;
    for namespace in [world.namespace(), &other] {
        change_server(world, namespace, json!({"spec": {"refreshInterval": "1h"}})).await?;
    }
    world.ready_user("checkout").await?;
    later().await;
    world
        .apply(&format!(
            "{{apiVersion: pguser.dev/v1alpha1, kind: PostgresUser, metadata: {{name: checkout, namespace: {other}}}, \
             spec: {{serverRef: {{name: {SERVER}}}, adoptionPolicy: Adopt}}}}"
        ))
        .await?;
    world.user_in(&other, "checkout", "True", "Published").await?;
    let mut turns = 0;
    while !has_given_up(world, &other).await? {
        assert!(turns < 8, "after {turns} turns both go on");
        later().await;
        take_turn(world, &simulator, [world.namespace(), &other][turns % 2], &other).await?;
        turns += 1;
    }
    for operator in &operators {
        world.quiet(operator).await?;
    }
    let patches = simulator.requests("users.patch").await?;
    later().await;
    change_server(
        world,
        world.namespace(),
        json!({"metadata": {"annotations": {"pguser.dev/refresh": "once more"}}}),
    )
    .await?;
    later().await;
    assert_eq!(
        simulator.requests("users.patch").await?,
        patches,
        "the fight goes on"
    );
    Ok(())
}

/// Dates are whole seconds, and a change within T_live of one's own counts as one's own.
async fn later() {
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
}

async fn change_server(world: &World, namespace: &str, change: serde_json::Value) -> Outcome {
    let servers = world.api_in(namespace, "PostgresServer");
    servers
        .patch(SERVER, &Default::default(), &kube::api::Patch::Merge(change))
        .await?;
    Ok(())
}

/// One of the two looks, finds that the other has changed the password, and sets it back or gives up.
async fn take_turn(world: &World, simulator: &Simulator, namespace: &str, other: &str) -> Outcome {
    let before = simulator.requests("users.patch").await?;
    let refresh = json!({"metadata": {"annotations": {"pguser.dev/refresh": before.to_string()}}});
    change_server(world, namespace, refresh).await?;
    eventually("an answer to the other's change", PATIENCE, async || {
        let answered =
            simulator.requests("users.patch").await? > before || has_given_up(world, other).await?;
        if answered { Ok(()) } else { Err("none".into()) }
    })
    .await
}

async fn has_given_up(world: &World, other: &str) -> Outcome<bool> {
    for namespace in [world.namespace(), other] {
        let user = world.api_in(namespace, "PostgresUser").get("checkout").await?;
        if user.data["status"]["conditions"].to_string().contains("Conflict") {
            return Ok(true);
        }
    }
    Ok(false)
}

// --------------------------------------------------------------------------------------------- another installation

const STRANGER: &str = "00000000-0000-0000-0000-00000000feed";

/// A PostgresUser as a backup of another Kubernetes cluster would bring it: with that cluster's claim.
async fn restored(world: &World, simulator: &Simulator) -> Outcome {
    let endpoint = simulator.endpoint();
    let cluster = endpoint.trim_start_matches("http://").trim_end_matches('/');
    let claim = json!({
        "installation": STRANGER, "provider": "ionos", "cluster": format!("{cluster}/{}", crate::support::CLUSTER_ID),
        "username": "checkout",
    });
    world
        .apply(&format!(
            "
apiVersion: pguser.dev/v1alpha1
kind: PostgresUser
metadata:
  name: checkout
  annotations: {{pguser.dev/claim: '{claim}'}}
  finalizers: [pguser.dev/remote-user]
spec: {{serverRef: {{name: {SERVER}}}}}"
        ))
        .await
}

async fn an_object_of_another_installation_changes_nothing_until_it_is_taken_over(world: &World) -> Outcome {
    let (simulator, operator) = world.set_up(&[]).await?;
    restored(world, &simulator).await?;
    let found = world.user_not_ready("checkout", "Restored").await?;
    assert!(
        found.message.contains("pguser.dev/take-over-from"),
        "{}",
        found.message
    );
    world.quiet(&operator).await?;
    assert_eq!(simulator.requests("users.create").await?, 0);
    let allowed = json!({"metadata": {"annotations": {"pguser.dev/take-over-from": STRANGER}}});
    world.merge("PostgresServer", SERVER, allowed).await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await
}

async fn a_restored_object_that_is_deleted_deletes_nothing(world: &World) -> Outcome {
    let (simulator, _operator) = world.set_up(&[]).await?;
    let action = json!({"action": "create-api", "username": "checkout", "password": "the-original-password"});
    simulator.outside(action).await?;
    restored(world, &simulator).await?;
    world.user_not_ready("checkout", "Restored").await?;
    world.delete("PostgresUser", "checkout").await?;
    world.gone("PostgresUser", "checkout", PATIENCE).await?;
    assert!(
        world
            .postgres()
            .accepts("checkout", "the-original-password")
            .await?
    );
    assert_eq!(simulator.requests("users.delete").await?, 0);
    Ok(())
}

// --------------------------------------------------------------------------------------------------------- many users

async fn absence_in_a_list_of_many_pages_is_confirmed_by_another_list(world: &World) -> Outcome {
    let simulator = world.start_vendor(&[]).await?;
    world
        .postgres()
        .sql("DO $$ BEGIN FOR i IN 1..1100 LOOP EXECUTE format('CREATE ROLE crowd_%s LOGIN', i); END LOOP; END $$")
        .await?;
    let _operator = world.start_operator(Options::default()).await?;
    world.apply_server(SERVER, &simulator).await?;
    eventually("the crowd to be counted", PATIENCE, async || {
        let server = world.get("PostgresServer", SERVER).await?.ok_or("no server")?;
        match server.data["status"]["users"]["unmanaged"].as_i64() {
            Some(1100) => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    })
    .await?;
    world.ready_user("checkout").await?;
    // Two lists that are Lag apart, each of two pages, in which it is not; nobody is read by itself.
    let journal = simulator.journal().await?;
    let before = journal
        .iter()
        .take_while(|entry| entry["route"] != "users.create");
    let lists = before
        .filter(|entry| entry["route"] == "users.list" && entry["status"] == 200)
        .count();
    assert!(lists >= 4, "the absence was believed after {lists} pages");
    assert_eq!(simulator.requests("users.get").await?, 0);
    Ok(())
}
