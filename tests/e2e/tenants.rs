//! What a tenant writes is a wish, not a fact: who may not have a login stands in nobody's way, and what one namespace leaves
//! behind takes no room from others. The bad neighbour always comes first.

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::adoption::{two_namespaces, user_of_cluster_server};
use crate::support::{
    Handle, Operator, Options, Outcome, PATIENCE, SERVER, Scene, Vendor, World, eventually, trials,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        a_namespace_that_is_not_selected_stands_in_nobodys_way,
        a_username_that_is_not_allowed_stands_in_nobodys_way,
        a_server_object_without_working_credentials_stands_in_nobodys_way_and_learns_nothing,
        a_namespace_has_no_more_logins_than_it_may,
        made_up_objects_leave_no_record,
        records_of_an_earlier_version_are_moved_to_their_places,
        many_that_are_kept_at_once_are_recorded_together,
        a_server_with_more_users_than_are_kept_is_not_believed,
        callers_who_say_nothing_keep_nobody_from_the_probes,
    )
}

// ---------------------------------------------------------------------------------------------------- who contends

/// The claim of a login that a namespace has, with another login's name: as a tenant would write it by hand.
async fn made_up_claim(world: &World, username: &str) -> Outcome<String> {
    user_of_cluster_server(world, world.namespace(), "probe", "").await?;
    world.user_ready("probe").await?;
    let probe = world.get("PostgresUser", "probe").await?.ok_or("no probe")?;
    let annotations = probe.metadata.annotations.unwrap_or_default();
    let claim = annotations.get("pguser.dev/claim").ok_or("no claim")?;
    Ok(claim.replace("probe", username))
}

/// An object of the other namespace that asks for a login of the ClusterPostgresServer, with all that a tenant can write.
async fn squat(world: &World, other: &str, username: &str, claim: &str) -> Outcome {
    let object = json!({
        "apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresUser",
        "metadata": {
            "name": "squatter", "namespace": other,
            "annotations": {"pguser.dev/claim": claim}, "finalizers": ["pguser.dev/remote-user"],
        },
        "spec": {
            "serverRef": {"kind": "ClusterPostgresServer", "name": world.namespace()}, "username": username,
        },
    });
    world.apply(&object.to_string()).await?;
    // Ages are compared in seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    Ok(())
}

async fn squatter_is(world: &World, other: &str, reason: &str) -> Outcome<String> {
    world.user_in(other, "squatter", "False", reason).await
}

/// The ClusterPostgresServer goes although the squatter names it.
async fn is_not_in_use(world: &World) -> Outcome {
    for name in ["rightful", "probe"] {
        world.delete("PostgresUser", name).await?;
        world.gone("PostgresUser", name, PATIENCE).await?;
    }
    world.delete("ClusterPostgresServer", world.namespace()).await?;
    world
        .gone("ClusterPostgresServer", world.namespace(), PATIENCE)
        .await
}

async fn a_namespace_that_is_not_selected_stands_in_nobodys_way(world: &World) -> Outcome {
    let (vendor, _operator, other) = two_namespaces(world).await?;
    let ours = format!(
        "namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {}}}}}",
        world.namespace()
    );
    world.apply_cluster_server(&vendor, &ours).await?;
    let claim = made_up_claim(world, "shared").await?;
    squat(world, &other, "shared", &claim).await?;
    squatter_is(world, &other, "ServerNotFound").await?;
    user_of_cluster_server(world, world.namespace(), "rightful", "username: shared").await?;
    world.user_ready("rightful").await?;
    world.login_of("rightful").await?;
    squatter_is(world, &other, "ServerNotFound").await?;
    is_not_in_use(world).await
}

async fn a_username_that_is_not_allowed_stands_in_nobodys_way(world: &World) -> Outcome {
    let (vendor, _operator, other) = two_namespaces(world).await?;
    let own_names = "namespaceSelector: {}\n  usernames: {allowed: ['probe', '{namespace}.*']}";
    world.apply_cluster_server(&vendor, own_names).await?;
    let username = format!("{}.app", world.namespace());
    let claim = made_up_claim(world, &username).await?;
    squat(world, &other, &username, &claim).await?;
    squatter_is(world, &other, "InvalidUsername").await?;
    let rightful = format!("username: {username}");
    user_of_cluster_server(world, world.namespace(), "rightful", &rightful).await?;
    world.user_ready("rightful").await?;
    world.login_of("rightful").await?;
    squatter_is(world, &other, "InvalidUsername").await?;
    is_not_in_use(world).await
}

async fn a_server_object_without_working_credentials_stands_in_nobodys_way_and_learns_nothing(
    world: &World,
) -> Outcome {
    let (vendor, _operator, other) = two_namespaces(world).await?;
    world
        .apply_in(&other, &vendor.credentials("theirs", "a-token-that-is-wrong")?)
        .await?;
    let selected = format!("metadata: {{labels: {{pguser-test: {}}}, ", world.namespace());
    let manifest = world.server_manifest("theirs", &vendor, "");
    world
        .apply_in(&other, &manifest.replace("metadata: {", &selected))
        .await?;
    let squatter = "{apiVersion: pguser.dev/v1alpha1, kind: PostgresUser, metadata: {name: squatter}, \
        spec: {serverRef: {name: theirs}, username: shared}}";
    world.apply_in(&other, squatter).await?;
    squatter_is(world, &other, "Unauthorized").await?;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    world
        .apply_cluster_server(&vendor, "namespaceSelector: {}")
        .await?;
    user_of_cluster_server(world, world.namespace(), "rightful", "username: shared").await?;
    world.user_ready("rightful").await?;
    world.login_of("rightful").await?;
    // That the login is taken is not for whoever cannot look for himself.
    let annotate = json!({"metadata": {"annotations": {"example.com/look": "again"}}});
    world
        .api_in(&other, "PostgresUser")
        .patch(
            "squatter",
            &Default::default(),
            &kube::api::Patch::Merge(annotate),
        )
        .await?;
    world
        .stays(
            "the squatter hears of its own credentials alone",
            PATIENCE / 20,
            async || squatter_is(world, &other, "Unauthorized").await.map(drop),
        )
        .await
}

// ---------------------------------------------------------------------------------------------- a namespace's share

async fn a_namespace_has_no_more_logins_than_it_may(world: &World) -> Outcome {
    let (vendor, _operator, other) = two_namespaces(world).await?;
    world
        .apply_cluster_server(
            &vendor,
            "namespaceSelector: {}\n  limits: {requestsPerMinute: 6000, loginsPerNamespace: 2}",
        )
        .await?;
    let ours = world.namespace();
    for name in ["first", "second"] {
        user_of_cluster_server(world, ours, name, "").await?;
        world.user_ready(name).await?;
    }
    user_of_cluster_server(world, ours, "third", "").await?;
    let found = world.user_not_ready("third", "TooManyLogins").await?;
    assert!(
        found.message.contains("spec.limits.loginsPerNamespace"),
        "{}",
        found.message
    );
    assert!(!world.postgres().has_role("third").await?);
    user_of_cluster_server(world, &other, "theirs", "").await?;
    world.user_in(&other, "theirs", "True", "Published").await?;
    world.delete("PostgresUser", "first").await?;
    world.user_ready("third").await?;
    world.login_of("second").await?;
    world.login_of("third").await
}

// ------------------------------------------------------------------------------------------------ what was left behind

async fn made_up_objects_leave_no_record(world: &World) -> Outcome {
    let scene = Scene::new(world).await?;
    for number in 0..5 {
        let name = format!("made-up-{number}");
        let object = json!({
            "apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresUser",
            "metadata": {
                "name": name, "finalizers": ["pguser.dev/remote-user"],
                "annotations": {"pguser.dev/force-finalize": name},
            },
            "spec": {"serverRef": {"name": "nowhere"}},
        });
        world.apply(&object.to_string()).await?;
        world.delete("PostgresUser", &name).await?;
        world.gone("PostgresUser", &name, PATIENCE).await?;
    }
    assert_eq!(world.kept_users().await?, Vec::<Value>::new());
    // A login that is really left is recorded all the same.
    let password = scene.make_user("checkout").await?;
    world.retain("checkout").await?;
    world.delete("PostgresUser", "checkout").await?;
    world.gone("PostgresUser", "checkout", PATIENCE).await?;
    assert!(world.postgres().accepts("checkout", &password).await?);
    let kept = world.kept_users().await?;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(kept[0]["username"], "checkout");
    assert!(
        kept[0]["server"].as_str().is_some_and(|it| it.ends_with(SERVER)),
        "{kept:?}"
    );
    Ok(())
}

async fn records_of_an_earlier_version_are_moved_to_their_places(world: &World) -> Outcome {
    let record = |namespace: &str, number: usize| {
        let text = json!({
            "postgresUser": format!("{namespace}/u{number}"), "cluster": "ionos/c", "username": format!("u{number}"),
            "why": "Retained", "when": "2026-01-01T00:00:00Z",
        });
        (format!("{namespace}-{number}"), Value::from(text.to_string()))
    };
    let many = (0..300).map(|number| record("shop", number));
    let data: serde_json::Map<_, _> = many.chain((0..10).map(|number| record("bank", number))).collect();
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"name": "pguser-kept-users", "labels": {"pguser.dev/component": "kept-users"}},
    });
    world
        .apply_in(world.operator_namespace(), &map.to_string())
        .await?;
    let _scene = Scene::new(world).await?;
    let maps = world.api_in(world.operator_namespace(), "v1/ConfigMap");
    eventually("the records to be moved", PATIENCE, async || {
        let old = maps.get("pguser-kept-users").await?;
        match &old.data["data"] {
            Value::Null => Ok(()),
            _ => Err("they are where they were".into()),
        }
    })
    .await?;
    assert_eq!(world.kept_users().await?.len(), 310);
    let labelled = kube::api::ListParams::default().labels("pguser.dev/kept-of");
    let pieces = maps.list(&labelled).await?.items;
    let sizes: Vec<_> = pieces
        .iter()
        .map(|piece| piece.data["data"].as_object().map_or(0, serde_json::Map::len))
        .collect();
    assert_eq!(sizes.iter().sum::<usize>(), 310);
    assert!(
        pieces.len() == 3 && sizes.iter().all(|size| *size <= 200),
        "{sizes:?}"
    );
    Ok(())
}

async fn many_that_are_kept_at_once_are_recorded_together(world: &World) -> Outcome {
    let _scene = Scene::new(world).await?;
    let names: Vec<String> = (0..24).map(|number| format!("user-{number}")).collect();
    for name in &names {
        world.apply_user_with(name, "deletionPolicy: Retain").await?;
    }
    for name in &names {
        world.user_ready(name).await?;
    }
    for name in &names {
        world.delete("PostgresUser", name).await?;
    }
    for name in &names {
        world.gone("PostgresUser", name, PATIENCE).await?;
    }
    let kept = world.kept_users().await?;
    assert_eq!(kept.len(), names.len());
    for name in &names {
        assert!(
            kept.iter().any(|record| record["username"] == **name),
            "{name}: {kept:?}"
        );
    }
    Ok(())
}

// ----------------------------------------------------------------------------------------------------------- sizes

async fn a_server_with_more_users_than_are_kept_is_not_believed(world: &World) -> Outcome {
    let options = Options::default().flag("--max-users-per-server", "6");
    let (vendor, _operator): (Vendor, Operator) = world.set_up_with(&[], options).await?;
    let password = world.ready_user("checkout").await?;
    for number in 0..6 {
        vendor
            .make(&format!("other-{number}"), "somebody-elses-password")
            .await?;
    }
    let message = world.server_is(SERVER, "False", "Unreachable").await?;
    assert!(message.contains("--max-users-per-server"), "{message}");
    // What there is is not thought to be gone, and goes on working.
    world.user_ready("checkout").await?;
    assert_eq!(world.password_of("checkout").await?, password);
    vendor.had("users.create", 1).await?;
    for number in 0..6 {
        vendor.delete(&format!("other-{number}")).await?;
    }
    world.server_is(SERVER, "True", "Reachable").await?;
    world.login_of("checkout").await
}

async fn callers_who_say_nothing_keep_nobody_from_the_probes(world: &World) -> Outcome {
    let (_vendor, operator) = world.set_up(&[]).await?;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(tokio::net::TcpStream::connect(operator.address()).await?);
    }
    eventually("the probe to be answered", PATIENCE, async || {
        operator.get("livez").await.map(drop)
    })
    .await?;
    drop(silent);
    Ok(())
}
