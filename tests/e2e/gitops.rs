//! What GitOps tools make of our objects: by what they wait, what they call a difference, and what they write.

use std::{path::Path, time::Duration};

use kube::{ResourceExt as _, api::DynamicObject};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{
    ADMIN, Fate, Handle, Judge, Operator, Options, Outcome, Provider, REPOSITORY, SERVER, TOKEN, Vendor,
    World, eventually, pause, trials, user_manifest,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    let judged = trials!(environment;
        what_the_operator_has_not_seen_is_in_progress,
        a_user_is_in_progress_until_it_is_published,
        a_rotation_is_in_progress_until_the_new_password_is_published,
        a_user_that_needs_a_person_has_failed_published_or_not,
        a_suspended_user_is_suspended_and_current_only_if_it_is_published,
        a_published_user_stays_current_while_its_server_is_in_trouble,
        what_is_being_deleted_is_terminating_also_while_something_is_in_its_way,
        a_new_server_is_in_progress_until_its_credentials_work,
        a_server_that_stalls_has_failed,
        a_cluster_server_is_judged_like_another,
    );
    let applied = trials!(environment, Provider::Postgresql;
        applying_the_same_again_changes_nothing,
        applying_the_same_again_server_side_changes_nothing,
        what_was_read_can_be_applied_and_changes_no_spec,
    );
    let owned = trials!(environment;
        a_field_that_goes_from_the_manifest_goes_and_what_the_operator_wrote_stays,
        what_tools_track_by_is_not_copied_to_the_secret,
    );
    judged.into_iter().chain(applied).chain(owned).collect()
}

// ------------------------------------------------------------------------------------------------------- by phases

const UNSEEN: (&str, &str, &str) = ("InProgress", "Progressing", "Pending");
const READY: (&str, &str, &str) = ("Current", "Healthy", "Published");
const REACHABLE: (&str, &str, &str) = ("Current", "Healthy", "Reachable");
const GOING: (&str, &str, &str) = ("Terminating", "Progressing", "Pending deletion");

async fn what_the_operator_has_not_seen_is_in_progress(world: &World) -> Outcome {
    let judge = Judge::new(world).await?;
    let (_vendor, mut operator) = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    judge.finds("PostgresUser", "checkout", READY).await?;
    judge.finds("PostgresServer", SERVER, REACHABLE).await?;

    operator.terminate().await?;
    world.apply_user("latecomer", SERVER).await?;
    judge.finds("PostgresUser", "latecomer", UNSEEN).await?;
    // A spec that it has not seen is another one, whatever the status says of the last.
    let change = json!({"spec": {"deletionPolicy": "Retain"}});
    world.merge("PostgresUser", "checkout", change).await?;
    judge.finds("PostgresUser", "checkout", UNSEEN).await?;
    let change = json!({"spec": {"refreshInterval": "2s"}});
    world.merge("PostgresServer", SERVER, change).await?;
    judge.finds("PostgresServer", SERVER, UNSEEN).await
}

async fn a_user_is_in_progress_until_it_is_published(world: &World) -> Outcome {
    let judge = Judge::new(world).await?;
    let (vendor, _operator) =
        tokio::try_join!(world.start_vendor(&[]), world.start_operator(Options::default()))?;
    world.apply_user("checkout", SERVER).await?;
    let waiting = |reason| ("InProgress", "Progressing", reason);
    judge
        .finds("PostgresUser", "checkout", waiting("ServerNotFound"))
        .await?;
    world.apply(&world.server_manifest(SERVER, &vendor, "")).await?;
    judge
        .finds("PostgresUser", "checkout", waiting("CredentialsNotFound"))
        .await?;

    let _slow = vendor.strike("users.create", Fate::Slow).await?;
    world.apply_credentials(SERVER, &vendor, TOKEN).await?;
    judge
        .finds("PostgresUser", "checkout", waiting("Creating"))
        .await?;
    judge.finds("PostgresUser", "checkout", READY).await
}

async fn a_rotation_is_in_progress_until_the_new_password_is_published(world: &World) -> Outcome {
    let judge = Judge::new(world).await?;
    let (vendor, _operator) = world.set_up(&[]).await?;
    let first = world.ready_user("checkout").await?;
    judge.finds("PostgresUser", "checkout", READY).await?;
    let _slow = vendor.strike("users.patch", Fate::Slow).await?;
    world.rotate("checkout", "now").await?;
    // It is Ready throughout: the Secret works until the very moment.
    let rotating = ("InProgress", "Progressing", "Published");
    judge.finds("PostgresUser", "checkout", rotating).await?;
    judge.finds("PostgresUser", "checkout", READY).await?;
    assert_ne!(world.password_of("checkout").await?, first);
    Ok(())
}

async fn a_user_that_needs_a_person_has_failed_published_or_not(world: &World) -> Outcome {
    let judge = Judge::new(world).await?;
    let (vendor, _operator) = world.set_up(&[]).await?;
    let failed = |reason| ("Failed", "Degraded", reason);
    vendor.make("checkout", "somebody-elses-password").await?;
    world.apply_user("checkout", SERVER).await?;
    judge
        .finds("PostgresUser", "checkout", failed("AlreadyExists"))
        .await?;

    world.apply_password("own", "a-password-of-ones-own").await?;
    world
        .apply_user_with("billing", "password: {secretRef: {name: own}}")
        .await?;
    judge.finds("PostgresUser", "billing", READY).await?;
    world.apply_password("own", "short").await?;
    judge
        .finds("PostgresUser", "billing", failed("InvalidPassword"))
        .await?;
    world.user_ready("billing").await?;
    world.login_of("billing").await
}

async fn a_suspended_user_is_suspended_and_current_only_if_it_is_published(world: &World) -> Outcome {
    let judge = Judge::new(world).await?;
    let (_vendor, _operator) = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    world.apply_user_with("checkout", "suspend: true").await?;
    judge
        .finds("PostgresUser", "checkout", ("Current", "Suspended", "Suspended"))
        .await?;
    world.apply_user_with("billing", "suspend: true").await?;
    judge
        .finds(
            "PostgresUser",
            "billing",
            ("InProgress", "Suspended", "Suspended"),
        )
        .await
}

async fn a_published_user_stays_current_while_its_server_is_in_trouble(world: &World) -> Outcome {
    let judge = Judge::new(world).await?;
    let (vendor, _operator) = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    vendor.stop();
    // It has worked before, so it is not on its way any more.
    judge
        .finds(
            "PostgresServer",
            SERVER,
            ("InProgress", "Degraded", "Unreachable"),
        )
        .await?;
    judge.finds("PostgresUser", "checkout", READY).await?;
    world.apply_user("latecomer", SERVER).await?;
    judge
        .finds(
            "PostgresUser",
            "latecomer",
            ("InProgress", "Progressing", "Unreachable"),
        )
        .await?;

    vendor.start_again().await?;
    vendor.accept_only("another").await?;
    judge
        .finds(
            "PostgresServer",
            SERVER,
            ("InProgress", "Degraded", "Unauthorized"),
        )
        .await?;
    judge.finds("PostgresUser", "checkout", READY).await
}

async fn what_is_being_deleted_is_terminating_also_while_something_is_in_its_way(world: &World) -> Outcome {
    let judge = Judge::new(world).await?;
    let (vendor, _operator) = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    world.ready_user("billing").await?;
    let _slow = vendor.strike("users.delete", Fate::Slow).await?;
    world.delete("PostgresUser", "checkout").await?;
    judge.finds("PostgresUser", "checkout", GOING).await?;
    world
        .gone("PostgresUser", "checkout", crate::support::PATIENCE)
        .await?;

    world.delete("PostgresServer", SERVER).await?;
    world.server_is(SERVER, "False", "InUse").await?;
    judge.finds("PostgresServer", SERVER, GOING).await?;
    vendor.accept_only("another").await?;
    world.delete("PostgresUser", "billing").await?;
    world.deletion_blocked("billing", "Unauthorized").await?;
    judge.finds("PostgresUser", "billing", GOING).await
}

async fn a_new_server_is_in_progress_until_its_credentials_work(world: &World) -> Outcome {
    let judge = Judge::new(world).await?;
    let (vendor, _operator) =
        tokio::try_join!(world.start_vendor(&[]), world.start_operator(Options::default()))?;
    let waiting = |reason| ("InProgress", "Progressing", reason);
    world.apply(&world.server_manifest(SERVER, &vendor, "")).await?;
    judge
        .finds("PostgresServer", SERVER, waiting("CredentialsNotFound"))
        .await?;
    world.apply_credentials(SERVER, &vendor, "another").await?;
    judge
        .finds("PostgresServer", SERVER, waiting("Unauthorized"))
        .await?;
    world.apply_credentials(SERVER, &vendor, TOKEN).await?;
    judge.finds("PostgresServer", SERVER, REACHABLE).await
}

async fn a_server_that_stalls_has_failed(world: &World) -> Outcome {
    let judge = Judge::new(world).await?;
    let nowhere = Options::default().without("--allow-endpoint");
    let _setting = world.set_up_with(&[], nowhere).await?;
    let failed = ("Failed", "Degraded", "EndpointNotAllowed");
    judge.finds("PostgresServer", SERVER, failed).await?;
    world.apply_user("checkout", SERVER).await?;
    judge.finds("PostgresUser", "checkout", failed).await
}

async fn a_cluster_server_is_judged_like_another(world: &World) -> Outcome {
    let judge = Judge::new(world).await?;
    let vendor = world.start_vendor(&[]).await?;
    world.apply_cluster_server(&vendor, "").await?;
    let (kind, name) = ("ClusterPostgresServer", world.namespace());
    judge.finds(kind, name, UNSEEN).await?;
    let options = Options::default().with_cluster_servers(world, name);
    let _operator = world.start_operator(options).await?;
    judge.finds(kind, name, REACHABLE).await
}

// --------------------------------------------------------------------------------------------- the same once more

/// A server that allows what the sample asks for, the smallest user there is, and the sample with every field; all with
/// their namespace, as they are after `kustomize build`.
async fn manifests(world: &World, vendor: &Vendor) -> Outcome<String> {
    let roles = "create role shop_readers nologin; create role shop_archive nologin";
    world.postgres().sql(roles).await?;
    for role in ["shop_readers", "shop_archive"] {
        world
            .postgres()
            .sql(&format!("grant {role} to {ADMIN} with admin option"))
            .await?;
    }
    let sample = Path::new(REPOSITORY).join("deploy/samples/user_with_all_fields.yaml");
    let sample = std::fs::read_to_string(sample)?;
    assert!(
        sample.contains("  namespace: shop\n"),
        "it is the test's that is put in"
    );
    let allowed = "postgresql: {allowed: {roles: [shop_readers], reassignOwnedTo: [shop_archive]}, ";
    let server = world
        .server_manifest(SERVER, vendor, "")
        .replace("postgresql: {", allowed);
    let here = format!("metadata: {{namespace: {}, ", world.namespace());
    let smallest = user_manifest("checkout", SERVER, "");
    let short = [server, smallest].join("---").replace("metadata: {", &here);
    let sample = sample.replace("namespace: shop", &format!("namespace: {}", world.namespace()));
    Ok([short, sample].join("\n---\n"))
}

async fn applying_the_same_again_changes_nothing(world: &World) -> Outcome {
    changes_nothing_when_applied_again(world, &[]).await
}

async fn applying_the_same_again_server_side_changes_nothing(world: &World) -> Outcome {
    // The manager that Argo CD is, so that its own ways to compare speak of the same.
    changes_nothing_when_applied_again(world, &["--server-side", "--field-manager=argocd-controller"]).await
}

async fn changes_nothing_when_applied_again(world: &World, flags: &[&str]) -> Outcome {
    let (_vendor, operator, manifests) = applied(world, flags).await?;
    let before = objects(world).await?;

    let mark = world.mark()?;
    for _ in 0..2 {
        world.kubectl_apply(&manifests, flags).await?;
    }
    pause(2000).await;
    let writes = world.writes_since(mark, &operator)?;
    assert!(writes.is_empty(), "{writes:?}");
    assert_eq!(versions(&objects(world).await?), versions(&before));

    let file = world.dir().join("manifests.yaml");
    let file = file.to_string_lossy();
    let said = world
        .kubectl(&[&["diff", "--filename", &file], flags].concat())
        .await?;
    assert_eq!(said, "");
    let judge = Judge::new(world).await?;
    for diff in judge.diff(&manifests).await? {
        assert_eq!(diff.ways(), ["", "", ""], "{}", diff.name);
    }
    // Where there is a difference, it is seen.
    let other = manifests.replace("deletionPolicy: Retain", "deletionPolicy: Delete");
    let found = judge.diff(&other).await?;
    let reporting = found
        .iter()
        .find(|diff| diff.name == "reporting")
        .ok_or("not compared")?;
    for way in reporting.ways() {
        assert!(way.contains("\"deletionPolicy\":\"Delete\""), "{reporting:?}");
    }
    Ok(())
}

/// A remote side, an operator at rest, and manifests that it has dealt with.
async fn applied(world: &World, flags: &[&str]) -> Outcome<(Vendor, Operator, String)> {
    let (vendor, operator) =
        tokio::try_join!(world.start_vendor(&[]), world.start_operator(Options::default()))?;
    let manifests = manifests(world, &vendor).await?;
    world.apply_credentials(SERVER, &vendor, TOKEN).await?;
    world.kubectl_apply(&manifests, flags).await?;
    for user in ["checkout", "reporting"] {
        world.user_ready(user).await?;
    }
    world.quiet(&operator).await?;
    Ok((vendor, operator, manifests))
}

async fn objects(world: &World) -> Outcome<Vec<DynamicObject>> {
    let mut found = Vec::new();
    for (kind, name) in [
        ("PostgresServer", SERVER),
        ("PostgresUser", "checkout"),
        ("PostgresUser", "reporting"),
        ("v1/Secret", "checkout-postgres"),
        ("v1/Secret", "reporting-database"),
    ] {
        found.push(world.get(kind, name).await?.ok_or(format!("no {kind} {name}"))?);
    }
    Ok(found)
}

/// What moves when an object is written.
fn versions(objects: &[DynamicObject]) -> Vec<(String, Option<String>, Option<i64>)> {
    let version = |object: &DynamicObject| {
        (
            object.name_any(),
            object.resource_version(),
            object.metadata.generation,
        )
    };
    objects.iter().map(version).collect()
}

async fn what_was_read_can_be_applied_and_changes_no_spec(world: &World) -> Outcome {
    let (_vendor, operator, _manifests) = applied(world, &[]).await?;
    let specs = |objects: &[DynamicObject]| -> Vec<_> {
        objects
            .iter()
            .map(|object| (object.metadata.generation, object.data["spec"].clone()))
            .collect()
    };
    let before = specs(&objects(world).await?);
    let read = world
        .kubectl(&["get", "pguser,pgserver", "--output", "yaml"])
        .await?;
    let mark = world.mark()?;
    world.kubectl_apply(&read, &[]).await?;
    pause(2000).await;
    let writes = world.writes_since(mark, &operator)?;
    assert!(writes.is_empty(), "{writes:?}");
    assert_eq!(specs(&objects(world).await?), before);
    Ok(())
}

// ------------------------------------------------------------------------------------------------- whose field it is

/// As Flux applies, and never by force: a conflict would fail the test.
const FLUX: [&str; 2] = ["--server-side", "--field-manager=kustomize-controller"];

async fn a_field_that_goes_from_the_manifest_goes_and_what_the_operator_wrote_stays(
    world: &World,
) -> Outcome {
    let (_vendor, operator) = world.set_up(&[]).await?;
    let more = "secret: {labels: {team: checkout}}\n  deletionPolicy: Retain";
    world
        .kubectl_apply(&user_manifest("checkout", SERVER, more), &FLUX)
        .await?;
    world.user_ready("checkout").await?;
    world.quiet(&operator).await?;
    let before = world.get("PostgresUser", "checkout").await?.ok_or("no user")?;
    assert!(before.annotations().contains_key("pguser.dev/claim"));

    world
        .kubectl_apply(&user_manifest("checkout", SERVER, ""), &FLUX)
        .await?;
    world.user_ready("checkout").await?;
    let after = world.get("PostgresUser", "checkout").await?.ok_or("no user")?;
    assert_eq!(after.data["spec"]["secret"], json!(null));
    assert_eq!(after.data["spec"]["deletionPolicy"], json!(null));
    assert_eq!(after.annotations(), before.annotations());
    assert_eq!(after.finalizers(), before.finalizers());
    assert_eq!(after.finalizers(), ["pguser.dev/remote-user"]);
    eventually("the Secret's label to go", Duration::from_secs(10), async || {
        let secret = world
            .get("v1/Secret", "checkout-postgres")
            .await?
            .ok_or("no Secret")?;
        match secret.labels().contains_key("team") {
            false => Ok(()),
            true => Err("it is there".into()),
        }
    })
    .await?;
    world.login_of("checkout").await
}

async fn what_tools_track_by_is_not_copied_to_the_secret(world: &World) -> Outcome {
    const TRACKING: &str = "labels: {app.kubernetes.io/instance: shop, argocd.argoproj.io/instance: shop, \
                            kustomize.toolkit.fluxcd.io/name: shop, kustomize.toolkit.fluxcd.io/namespace: shop}, \
                            annotations: {argocd.argoproj.io/tracking-id: 'shop:pguser.dev/PostgresUser:shop/checkout'}";
    let _setting = world.set_up(&[]).await?;
    let tracked = format!("metadata: {{{TRACKING}, name:");
    let manifest = user_manifest("checkout", SERVER, "").replace("metadata: {name:", &tracked);
    world.kubectl_apply(&manifest, &FLUX).await?;
    world.user_ready("checkout").await?;
    let secret = world
        .get("v1/Secret", "checkout-postgres")
        .await?
        .ok_or("no Secret")?;
    let names = secret.labels().keys().chain(secret.annotations().keys());
    for name in names {
        let is_ours = name.starts_with("pguser.dev/") || name == "app.kubernetes.io/managed-by";
        assert!(is_ours, "{name}");
    }
    Ok(())
}
