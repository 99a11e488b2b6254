//! Bounds that came after objects were stored which break them: what is made anew is refused, what is there is looked after.

use std::path::Path;

use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::beyond::{self, Beyond};
use crate::support::{Handle, Options, Outcome, PATIENCE, REPOSITORY, World, eventually, trials, try_out};

/// The version before these bounds.
const EARLIER: &str = "tests/upgrade/0.1.0-alpha.2/crds";
/// A finalizer that no controller knows.
const OURS: &str = "test.example.com/hold";

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment; what_was_stored_before_a_bound_is_reported_changed_and_deleted)
}

async fn what_was_stored_before_a_bound_is_reported_changed_and_deleted(world: &World) -> Outcome {
    let environment = world.environment().apart("bounds").await?;
    let control_plane = environment.control_plane();
    let repository = Path::new(REPOSITORY);
    control_plane.install_crds(&repository.join(EARLIER)).await?;
    let mut world = World::new(&environment, "bounds", world.provider()).await?;
    let all = beyond::all();
    for it in &all {
        let manifest = json!({
            "apiVersion": "pguser.dev/v1alpha1", "kind": it.kind, "metadata": {"name": it.name}, "spec": it.spec,
        });
        let stored = world.apply(&manifest.to_string()).await;
        stored.map_err(|error| format!("{:?} was not stored: {error}", it.bound))?;
    }
    control_plane.install_crds(&repository.join("crds")).await?;
    for it in &all {
        is_refused_anew(&world, it).await?;
    }
    let options = Options::quick().flag("--cluster-servers", "true");
    let operator = world.start_operator(options).await?;
    for it in &all {
        let looked_after = is_looked_after(&world, it).await;
        looked_after.map_err(|error| format!("{:?}: {error}", it.bound))?;
    }
    drop(operator);
    world.clean_up().await;
    Ok(())
}

/// What the API server has just been taught takes it a moment.
async fn is_refused_anew(world: &World, it: &Beyond) -> Outcome {
    let another = it.name.replace('n', "m");
    eventually(it.says, PATIENCE, async || {
        match try_out(world, it.kind, &another, &it.spec).await? {
            Err(refusal) if refusal.contains(it.says) => Ok(()),
            Err(refusal) => Err(format!("{:?}: refused, but: {refusal}", it.bound).into()),
            Ok(_) => Err(format!("{:?} is taken", it.bound).into()),
        }
    })
    .await
}

/// The operator reports on it, others change what is around the bound, and it goes when it is deleted.
async fn is_looked_after(world: &World, it: &Beyond) -> Outcome {
    let name = it.name.as_str();
    eventually("conditions", PATIENCE, async || {
        let object = world.get(it.kind, name).await?.ok_or("it is gone")?;
        match object.data["status"]["conditions"].as_array() {
            Some(conditions) if !conditions.is_empty() => Ok(()),
            _ => Err(format!("{}", object.data["status"]).into()),
        }
    })
    .await?;
    let change = match it.kind {
        "PostgresUser" => json!({"suspend": true}),
        _ => json!({"refreshInterval": "11m"}),
    };
    world.merge(it.kind, name, json!({"spec": change})).await?;
    change_finalizers(world, it, |finalizers| finalizers.push(OURS.to_string())).await?;
    world.delete(it.kind, name).await?;
    change_finalizers(world, it, |finalizers| finalizers.retain(|it| it != OURS)).await?;
    world.gone(it.kind, name, PATIENCE).await
}

/// As somebody else does it who holds an object: on the version that was read, again if it has moved.
async fn change_finalizers(world: &World, it: &Beyond, change: impl Fn(&mut Vec<String>)) -> Outcome {
    eventually("a change of finalizers", PATIENCE, async || {
        let object = world.get(it.kind, &it.name).await?.ok_or("it is gone")?;
        let mut finalizers = object.finalizers().to_vec();
        change(&mut finalizers);
        let metadata: Value = json!({"resourceVersion": object.resource_version(), "finalizers": finalizers});
        world
            .merge(it.kind, &it.name, json!({"metadata": metadata}))
            .await
    })
    .await
}
