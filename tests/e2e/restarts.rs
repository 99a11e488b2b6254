//! Workloads that use the Secret are restarted after what it holds has changed, once, and waited for before a login is retired.

use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{Handle, Outcome, PATIENCE, SERVER, World, eventually, trials};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        what_uses_the_secret_is_restarted_once_for_each_password,
        a_crash_after_a_restart_makes_no_second_one,
        a_right_that_is_missing_is_said_and_used_once_it_is_there,
        named_and_selected_workloads_are_restarted_and_no_others,
        a_login_of_before_works_until_the_rollout_is_complete,
        a_rollout_that_does_not_finish_is_told_and_ends_nobodys_login,
        what_cannot_be_restarted_is_refused,
    )
}

const DEPLOYMENT: &str = "apps/v1/Deployment";
const STATEFUL_SET: &str = "apps/v1/StatefulSet";
const DAEMON_SET: &str = "apps/v1/DaemonSet";

const FILE: &str = "containers: [{name: c, image: example.com/c}], volumes: [{name: v, secret: {secretName: checkout-postgres}}]";
const PROJECTED: &str = "containers: [{name: c, image: example.com/c}], volumes: [{name: v, projected: {sources: [{secret: {name: checkout-postgres}}]}}]";
const VARIABLES: &str =
    "containers: [{name: c, image: example.com/c, envFrom: [{secretRef: {name: checkout-postgres}}]}]";
const INITIAL: &str = "containers: [{name: c, image: example.com/c}], initContainers: [{name: i, image: example.com/i, \
                       env: [{name: P, valueFrom: {secretKeyRef: {name: checkout-postgres, key: password}}}]}]";
const OTHER: &str =
    "containers: [{name: c, image: example.com/c, envFrom: [{secretRef: {name: other-postgres}}]}]";

/// Makes a workload: its kind and version, its name, more of its spec, and its Pods.
async fn make(world: &World, kind: &str, name: &str, more: &str, pods: &str) -> Outcome {
    let kind = kind.rsplit('/').next().unwrap_or_default();
    world
        .apply(&format!(
            "
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{{pods}}}}}
{more}"
        ))
        .await
}

async fn make_deployment(world: &World, name: &str, pods: &str) -> Outcome {
    make(world, DEPLOYMENT, name, "  replicas: 0\n", pods).await
}

async fn apply(world: &World, more: &str) -> Outcome {
    world.apply_user_with("checkout", more).await?;
    world.user_ready("checkout").await.map(drop)
}

/// What of a workload a restart changes: how often its spec has changed, and the annotations of its Pods.
async fn template(world: &World, kind: &str, name: &str) -> Outcome<(i64, Value)> {
    let object = world
        .get(kind, name)
        .await?
        .ok_or(format!("there is no {kind} {name}"))?;
    let annotations = object.data["spec"]["template"]["metadata"]["annotations"].clone();
    Ok((object.metadata.generation.unwrap_or_default(), annotations))
}

async fn untouched(world: &World, kind: &str, name: &str) -> Outcome {
    assert_eq!(
        template(world, kind, name).await?,
        (1, Value::Null),
        "{kind} {name}"
    );
    Ok(())
}

async fn status(world: &World) -> Outcome<Value> {
    let user = world
        .get("PostgresUser", "checkout")
        .await?
        .ok_or("there is no checkout")?;
    Ok(user.data["status"].clone())
}

/// Waits until the restart for another publication than this one is on record, and gives it.
async fn restarted(world: &World, before: &Value) -> Outcome<Value> {
    eventually("the restart", PATIENCE, async || {
        let restart = status(world).await?["restart"].clone();
        match restart["at"].is_null() || restart["for"] == before["for"] {
            true => Err(format!("status.restart is {restart}").into()),
            false => Ok(restart),
        }
    })
    .await
}

/// That a workload was restarted so often, the last time for this publication.
async fn is_restarted(world: &World, kind: &str, name: &str, times: i64, restart: &Value) -> Outcome {
    let (generation, annotations) = template(world, kind, name).await?;
    assert_eq!(generation, 1 + times, "{kind} {name}: {annotations}");
    let annotations = annotations.as_object().ok_or("there are no annotations")?;
    assert!(annotations.contains_key("kubectl.kubernetes.io/restartedAt"));
    let ours = annotations
        .iter()
        .find(|(key, _)| key.starts_with("restarted-for.pguser.dev/"));
    assert_eq!(ours.map(|(_, value)| value), Some(&restart["for"]));
    Ok(())
}

async fn what_uses_the_secret_is_restarted_once_for_each_password(world: &World) -> Outcome {
    let (_vendor, operator) = world.set_up(&[]).await?;
    world.grant_restarts().await?;
    make_deployment(world, "file", FILE).await?;
    make_deployment(world, "projected", PROJECTED).await?;
    make_deployment(world, "other", OTHER).await?;
    make(
        world,
        STATEFUL_SET,
        "variables",
        "  replicas: 0\n  serviceName: v\n",
        VARIABLES,
    )
    .await?;
    make(world, DAEMON_SET, "initial", "", INITIAL).await?;
    let users = [
        (DEPLOYMENT, "file"),
        (DEPLOYMENT, "projected"),
        (STATEFUL_SET, "variables"),
        (DAEMON_SET, "initial"),
    ];
    apply(world, "restart: {mode: Rolling}").await?;
    world.quiet(&operator).await?;
    // What they were started with is the first password.
    for (kind, name) in users {
        untouched(world, kind, name).await?;
    }
    let mut restart = Value::Null;
    for times in 1..=2 {
        world.rotate("checkout", &times.to_string()).await?;
        restart = restarted(world, &restart).await?;
        world.quiet(&operator).await?;
        assert_eq!(restart["count"], 4, "{restart}");
        for (kind, name) in users {
            is_restarted(world, kind, name, times, &restart).await?;
        }
    }
    untouched(world, DEPLOYMENT, "other").await?;
    let events = world.events().await?;
    let told = events.iter().filter(|it| it.contains("WorkloadsRestarted"));
    assert!(
        told.count() >= 1 && events.iter().any(|it| it.contains("deployment/file")),
        "{events:?}"
    );
    // Nothing that anybody logs in with changes by that.
    let label = json!({"spec": {"secret": {"labels": {"team": "shop"}}}});
    world.merge("PostgresUser", "checkout", label).await?;
    eventually("the label", PATIENCE, async || {
        let secret = world
            .get("v1/Secret", "checkout-postgres")
            .await?
            .ok_or("no Secret")?;
        let label = secret
            .metadata
            .labels
            .and_then(|labels| labels.get("team").cloned());
        label.map(drop).ok_or_else(|| "there is none".into())
    })
    .await?;
    world.quiet(&operator).await?;
    is_restarted(world, DEPLOYMENT, "file", 2, &restart).await
}

async fn a_crash_after_a_restart_makes_no_second_one(world: &World) -> Outcome {
    let (_vendor, mut operator) = world.set_up(&[]).await?;
    world.grant_restarts().await?;
    make_deployment(world, "file", FILE).await?;
    make_deployment(world, "projected", PROJECTED).await?;
    apply(world, "restart: {mode: Rolling}").await?;
    let mark = world.dir().join("crashed");
    let mut before = Value::Null;
    for (times, side) in [(1, "before"), (2, "after")] {
        let file = mark.to_string_lossy().into_owned();
        operator.reconfigure(|options| {
            options
                .env("PGUSER_FAILPOINT", &format!("restart:{side}"))
                .env("PGUSER_FAILPOINT_MARK", &file)
        });
        operator.restart().await?;
        world.rotate("checkout", &times.to_string()).await?;
        operator.exit().await?;
        assert!(mark.exists(), "the operator ended, but not at the crash point");
        std::fs::remove_file(&mark)?;
        operator.reconfigure(|options| options.env("PGUSER_FAILPOINT", ""));
        operator.restart().await?;
        before = restarted(world, &before).await?;
        world.quiet(&operator).await?;
        for name in ["file", "projected"] {
            is_restarted(world, DEPLOYMENT, name, times, &before).await?;
        }
    }
    world.login_of("checkout").await
}

async fn a_right_that_is_missing_is_said_and_used_once_it_is_there(world: &World) -> Outcome {
    let (_vendor, operator) = world.set_up(&[]).await?;
    make_deployment(world, "file", FILE).await?;
    apply(world, "restart: {mode: Rolling}").await?;
    world.rotate("checkout", "1").await?;
    let said = world
        .user_is("checkout", "Stalled", "True", "RestartForbidden")
        .await?;
    assert!(
        said.contains("restartWorkloads.enabled=true") && said.contains("deploy/components/restarts"),
        "{said}"
    );
    world.user_ready("checkout").await?;
    world.login_of("checkout").await?;
    untouched(world, DEPLOYMENT, "file").await?;
    world.grant_restarts().await?;
    let restart = restarted(world, &Value::Null).await?;
    world.quiet(&operator).await?;
    is_restarted(world, DEPLOYMENT, "file", 1, &restart).await?;
    let stalled = world.condition("PostgresUser", "checkout", "Stalled").await?;
    assert!(stalled.is_none(), "{stalled:?}");
    Ok(())
}

async fn named_and_selected_workloads_are_restarted_and_no_others(world: &World) -> Outcome {
    let (_vendor, operator) = world.set_up(&[]).await?;
    world.grant_restarts().await?;
    for (name, pods) in [("file", FILE), ("other", OTHER), ("third", OTHER)] {
        make_deployment(world, name, pods).await?;
    }
    apply(
        world,
        "restart: {mode: Rolling, names: [Deployment/other, statefulset/file]}",
    )
    .await?;
    world.rotate("checkout", "1").await?;
    let named = restarted(world, &Value::Null).await?;
    is_restarted(world, DEPLOYMENT, "other", 1, &named).await?;
    assert_eq!(named["workloads"], json!(["deployment/other"]));
    assert_eq!(named["missing"], json!(["statefulset/file"]));
    eventually("the Event", PATIENCE, async || {
        let events = world.events().await?;
        let told = |it: &String| it.contains("WorkloadNotFound") && it.contains("statefulset/file");
        match events.iter().any(told) {
            true => Ok(()),
            false => Err(format!("{events:?}").into()),
        }
    })
    .await?;
    let change = json!({"spec": {"restart": {"names": null, "selector": {
        "matchExpressions": [{"key": "app", "operator": "In", "values": ["third"]}],
    }}}});
    world.merge("PostgresUser", "checkout", change).await?;
    world.rotate("checkout", "2").await?;
    let selected = restarted(world, &named).await?;
    world.quiet(&operator).await?;
    is_restarted(world, DEPLOYMENT, "third", 1, &selected).await?;
    is_restarted(world, DEPLOYMENT, "other", 1, &named).await?;
    untouched(world, DEPLOYMENT, "file").await
}

/// What the Secret says: who logs in, and with what.
async fn published(world: &World) -> Outcome<(String, String)> {
    Ok((
        world.key_of("checkout", "username").await?,
        world.key_of("checkout", "password").await?,
    ))
}

/// Rotates, waits until the other login is published and its overlap is over, and gives the one of before.
async fn turn_over(world: &World) -> Outcome<(String, String)> {
    let before = published(world).await?;
    world.rotate("checkout", "1").await?;
    eventually("the other login", PATIENCE, async || {
        match published(world).await?.0 == before.0 {
            true => Err("it is the one of before".into()),
            false => Ok(()),
        }
    })
    .await?;
    sleep(Duration::from_secs(5)).await;
    Ok(before)
}

async fn works(world: &World, login: &(String, String), expected: bool) -> Outcome {
    let answer = world.postgres().accepts(&login.0, &login.1).await?;
    assert_eq!(answer, expected, "{}", login.0);
    Ok(())
}

async fn a_login_of_before_works_until_the_rollout_is_complete(world: &World) -> Outcome {
    let (_vendor, operator) = world.set_up(&[]).await?;
    world.grant_restarts().await?;
    // No node runs its Pod, so it never becomes available.
    make(world, DEPLOYMENT, "file", "  replicas: 1\n", FILE).await?;
    apply(
        world,
        "rotation: {strategy: Alternating, overlap: 1s}\n  restart: {mode: Rolling}",
    )
    .await?;
    let before = turn_over(world).await?;
    let restart = restarted(world, &Value::Null).await?;
    is_restarted(world, DEPLOYMENT, "file", 1, &restart).await?;
    works(world, &before, true).await?;
    let stalled = world.condition("PostgresUser", "checkout", "Stalled").await?;
    assert!(stalled.is_none(), "it has a day: {stalled:?}");
    let none = json!({"spec": {"replicas": 0}});
    world.merge(DEPLOYMENT, "file", none).await?;
    world.accepts_eventually(&before.0, &before.1, false).await?;
    works(world, &published(world).await?, true).await?;
    world.quiet(&operator).await
}

async fn a_rollout_that_does_not_finish_is_told_and_ends_nobodys_login(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    world.grant_restarts().await?;
    let by_hand = "  replicas: 2\n  serviceName: v\n  updateStrategy: {type: OnDelete}\n";
    make(world, STATEFUL_SET, "variables", by_hand, VARIABLES).await?;
    let seen = |updated: i32| {
        json!({"status": {
            "observedGeneration": 2, "replicas": 2, "readyReplicas": 2, "availableReplicas": 2, "updatedReplicas": updated,
        }})
    };
    apply(
        world,
        "rotation: {strategy: Alternating, overlap: 1s, maxWait: 2s}\n  restart: {mode: Rolling}",
    )
    .await?;
    let before = turn_over(world).await?;
    restarted(world, &Value::Null).await?;
    world.merge_status(STATEFUL_SET, "variables", seen(1)).await?;
    let said = eventually("the message", PATIENCE, async || {
        let message = world
            .user_is("checkout", "Stalled", "True", "RetirementBlocked")
            .await?;
        match message.contains("statefulset/variables (1 of 2 Pods are replaced, and OnDelete") {
            true => Ok(message),
            false => Err(message.into()),
        }
    })
    .await?;
    assert!(said.contains("spec.restart.mode: None"), "{said}");
    world.user_ready("checkout").await?;
    works(world, &before, true).await?;
    // Somebody deletes the Pods of before.
    world.merge_status(STATEFUL_SET, "variables", seen(2)).await?;
    world.accepts_eventually(&before.0, &before.1, false).await?;
    eventually("no condition", PATIENCE, async || {
        match world.condition("PostgresUser", "checkout", "Stalled").await? {
            None => Ok(()),
            found => Err(format!("{found:?}").into()),
        }
    })
    .await
}

async fn what_cannot_be_restarted_is_refused(world: &World) -> Outcome {
    for (more, says) in [
        (
            "restart: {mode: Rolling, names: [deployment/a], selector: {matchLabels: {a: b}}}",
            "spec.restart: set either names or selector",
        ),
        ("restart: {mode: Rolling, names: [job/a]}", "spec.restart.names"),
        (
            "restart: {mode: Rolling, selector: {matchExpressions: [{key: a, operator: In}]}}",
            "spec.restart.selector.matchExpressions: In and NotIn need values",
        ),
        (
            "restart: {mode: None}\n  rotation: {strategy: Alternating, maxWait: 1h}",
            "spec.rotation.maxWait is for rotation.retire: WhenUnused, and for restart.mode: Rolling",
        ),
    ] {
        let refused = world.apply_user_with("checkout", more).await;
        let refusal = refused
            .err()
            .ok_or(format!("{more} was admitted on {SERVER}"))?
            .to_string();
        assert!(refusal.contains(says), "{more}: {refusal}");
    }
    world
        .apply_user_with(
            "checkout",
            "restart: {mode: Rolling}\n  rotation: {strategy: Alternating, maxWait: 1h}",
        )
        .await
}
