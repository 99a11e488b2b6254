//! The operator goes, or moves: the commands of docs/install/removing.md, as they are written there.

use std::path::Path;

use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Handle, Options, Outcome, PATIENCE, REPOSITORY, SERVER, World, eventually, trials};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        everything_goes_logins_included,
        the_resources_go_and_the_logins_stay,
        the_operator_moves_with_what_it_has_begun,
        the_operators_namespace_can_be_deleted_at_any_time,
    )
}

const GUIDE: &str = "docs/install/removing.md";

/// Runs the commands under a heading of the guide, on the namespaces of a test; gives what they print.
async fn follow(world: &World, heading: &str) -> Outcome<String> {
    let guide = std::fs::read_to_string(Path::new(REPOSITORY).join(GUIDE))?;
    let (_, section) = guide
        .split_once(&format!("\n## {heading}\n"))
        .ok_or(format!("{GUIDE} has no {heading:?}"))?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut said = String::new();
    let mut blocks = section.split("```sh\n").skip(1).peekable();
    assert!(blocks.peek().is_some(), "{heading:?} has no commands");
    for block in blocks {
        let commands = block.split("```").next().unwrap_or_default();
        let commands = commands
            .replace("pguser-system", world.operator_namespace())
            .replace("pguser-new", &elsewhere(world))
            .replace("--namespace shop", &format!("--namespace {}", world.namespace()));
        said += &world.shell(&commands).await?;
    }
    Ok(said)
}

/// Where the operator moves to.
fn elsewhere(world: &World) -> String {
    format!("{}-new", world.namespace())
}

/// The Deployment of the operator, to be scaled: what works in a test is a process.
async fn deployment(world: &World) -> Outcome {
    let labels = json!({"app.kubernetes.io/name": "pguser-operator"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "pguser-operator"},
        "spec": {"selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "operator", "image": "pguser-operator"}]},
        }},
    });
    world
        .apply_in(world.operator_namespace(), &deployment.to_string())
        .await
}

async fn everything_goes_logins_included(world: &World) -> Outcome {
    let (_vendor, _operator) = world.set_up(&[]).await?;
    let passwords = [
        world.ready_user("checkout").await?,
        world.ready_user("orders").await?,
    ];
    let said = follow(world, "Everything goes, logins included").await?;
    for (user, password) in ["checkout", "orders"].into_iter().zip(&passwords) {
        world.login_gone(user, password).await?;
    }
    assert!(world.operator_secrets("journal").await?.is_empty(), "{said}");
    Ok(())
}

async fn the_resources_go_and_the_logins_stay(world: &World) -> Outcome {
    let (_vendor, _operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    follow(world, "The resources go, the logins stay").await?;
    assert!(world.get("PostgresUser", "checkout").await?.is_none());
    assert!(world.get("PostgresServer", SERVER).await?.is_none());
    assert_eq!(world.password_of("checkout").await?, password);
    world.login_of("checkout").await?;
    assert_eq!(world.kept_users().await?.len(), 1);
    Ok(())
}

async fn the_operator_moves_with_what_it_has_begun(world: &World) -> Outcome {
    let (vendor, mut operator) = world.set_up_with(&[], Options::quick()).await?;
    let at_rest = world.ready_user("at-rest").await?;
    let before = world.ready_user("checkout").await?;
    world.journal_empty().await?;
    world.quiet(&operator).await?;
    let lost = json!({"route": "users.patch", "fault": {"type": "drop", "when": "before-commit"}});
    vendor.fault(lost).await?;
    world.rotate("checkout", "1").await?;
    world.requested(&vendor, "users.patch", 1).await?;
    deployment(world).await?;
    operator.terminate().await?;
    vendor.no_faults().await?;

    follow(world, "To another namespace").await?;
    let untouched = world.get("PostgresUser", "at-rest").await?;
    let mut moved = world.operator_in(&elsewhere(world), Options::quick()).await?;
    moved.start()?;
    moved.ready().await?;
    let old = world.operator_namespace();
    world
        .shell(&format!("kubectl delete namespace {old} --timeout 60s"))
        .await?;
    let password = world.rotated("checkout", &before).await?;
    assert_eq!(world.password_of("checkout").await?, password);
    world.login_of("checkout").await?;
    world.quiet(&moved).await?;
    let version =
        |user: Option<kube::api::DynamicObject>| user.and_then(|user| user.metadata.resource_version);
    assert_eq!(
        version(world.get("PostgresUser", "at-rest").await?),
        version(untouched)
    );
    assert_eq!(world.password_of("at-rest").await?, at_rest);
    world.login_of("at-rest").await
}

async fn the_operators_namespace_can_be_deleted_at_any_time(world: &World) -> Outcome {
    let (vendor, mut operator) = world.set_up_with(&[], Options::quick()).await?;
    let before = world.ready_user("checkout").await?;
    // Something of each kind is there: a journal with an entry, and a copy of credentials.
    let lost = json!({"route": "users.patch", "fault": {"type": "drop", "when": "after-commit"}});
    vendor.fault(lost).await?;
    world.rotate("checkout", "1").await?;
    world.requested(&vendor, "users.patch", 1).await?;
    let namespace = world.operator_namespace();
    let deletion = format!("kubectl delete namespace {namespace} --timeout 60s");
    world.shell(&deletion).await?;
    operator.kill();
    vendor.no_faults().await?;

    let new = elsewhere(world);
    world.create_namespace(&new).await?;
    let mut operator = world.operator_in(&new, Options::quick()).await?;
    operator.start()?;
    operator.ready().await?;
    // Without the key nothing can be recognised: a new password, that logs in.
    world.other_password("checkout", &before).await?;
    world.user_ready("checkout").await?;
    eventually("the rotation to be over", PATIENCE, async || {
        let user = world.get("PostgresUser", "checkout").await?.ok_or("no user")?;
        match user.data["status"]["lastHandledRotation"] == "1" {
            true => Ok(()),
            false => Err("it is not".into()),
        }
    })
    .await?;
    world.quiet(&operator).await?;
    world.login_of("checkout").await?;
    let password = world.password_of("checkout").await?;
    world.delete("PostgresUser", "checkout").await?;
    world.user_gone("checkout", &password).await
}
