//! What the Kubernetes API does not take is told, on time and in its own words, and ends by itself; and no password is changed
//! that nobody could be told.

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{
    Handle, Outcome, PATIENCE, SERVER, Scene, World, eventually, pause, trials, trials_everywhere,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        a_quota_without_room_for_the_secret_is_told_and_ends,
        a_secret_that_waits_for_a_foreign_finalizer_keeps_its_password,
        a_policy_against_the_secret_is_told_in_its_own_words,
        a_policy_against_the_journal_is_told_and_nothing_is_made,
        a_policy_against_a_server_objects_status_is_told_in_an_event,
        a_deletion_that_may_not_end_says_so,
        a_finalizer_and_a_claim_that_were_taken_away_are_put_back,
        an_object_that_goes_without_its_finalizer_is_recorded,
        a_lost_key_costs_nobody_a_password,
    )
    .into_iter()
    .chain(trials_everywhere!(environment;
        a_secret_that_may_not_be_changed_keeps_a_password_that_works,
    ))
    .collect()
}

/// The user's Secret.
const SECRET: &str = "shop-postgres";

async fn stalled(world: &World, name: &str, words: &str) -> Outcome {
    let message = world.user_is(name, "Stalled", "True", "WriteRefused").await?;
    assert!(message.contains(words), "{message}");
    Ok(())
}

async fn has_event(world: &World, words: &str) -> Outcome {
    eventually(&format!("an Event with {words:?}"), PATIENCE, async || {
        let events = world.events().await?;
        match events.iter().any(|event| event.contains(words)) {
            true => Ok(()),
            false => Err(format!("{events:?}").into()),
        }
    })
    .await
}

async fn a_quota_without_room_for_the_secret_is_told_and_ends(world: &World) -> Outcome {
    let scene = Scene::new(world).await?;
    world
        .apply("{apiVersion: v1, kind: ResourceQuota, metadata: {name: few}, spec: {hard: {secrets: '0'}}}")
        .await?;
    // As the controller would, which is not here.
    let status = json!({"status": {"hard": {"secrets": "0"}, "used": {"secrets": "0"}}});
    world.merge_status("v1/ResourceQuota", "few", status).await?;
    world.apply_user("shop", SERVER).await?;
    stalled(world, "shop", "exceeded quota: few").await?;
    let ready = world.user_not_ready("shop", "WriteRefused").await?;
    assert!(ready.message.contains("exceeded quota"), "{}", ready.message);
    has_event(world, "exceeded quota").await?;
    scene.vendor.gave("shop", 1).await?;
    world.delete("v1/ResourceQuota", "few").await?;
    world.user_works("shop").await?;
    scene.vendor.gave("shop", 1).await?;
    world.user_is_not("shop", "Stalled").await
}

async fn a_secret_that_may_not_be_changed_keeps_a_password_that_works(world: &World) -> Outcome {
    let (_scene, password) = Scene::with_user(world, "checkout").await?;
    world
        .merge("v1/Secret", "checkout-postgres", json!({"immutable": true}))
        .await?;
    world.rotate("checkout", "1").await?;
    stalled(world, "checkout", "immutable").await?;
    has_event(world, "immutable").await?;
    pause(1500).await;
    assert_eq!(
        world.password("checkout").await?.as_deref(),
        Some(password.as_str())
    );
    assert!(
        world.postgres().accepts("checkout", &password).await?,
        "the login's password was changed"
    );
    world.user_ready("checkout").await?;
    world.delete("v1/Secret", "checkout-postgres").await?;
    world.rotated("checkout", &password).await?;
    world.user_is_not("checkout", "Stalled").await
}

async fn a_secret_that_waits_for_a_foreign_finalizer_keeps_its_password(world: &World) -> Outcome {
    let (scene, password) = Scene::with_user(world, "shop").await?;
    let held = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    world.merge("v1/Secret", SECRET, held).await?;
    world.delete("v1/Secret", SECRET).await?;
    let message = world
        .user_is("shop", "Stalled", "True", "SecretTerminating")
        .await?;
    assert!(message.contains("example.com/hold"), "{message}");
    pause(2000).await;
    scene.vendor.gave("shop", 1).await?;
    assert!(world.postgres().accepts("shop", &password).await?);
    world
        .merge("v1/Secret", SECRET, json!({"metadata": {"finalizers": null}}))
        .await?;
    world.rotated("shop", &password).await?;
    world.user_is_not("shop", "Stalled").await
}

/// A policy of a platform team that denies some writes in a namespace, until it is dropped.
struct Policy<'a> {
    world: &'a World,
    name: String,
}

impl<'a> Policy<'a> {
    /// In force when this returns. `rule` is a condition that writes to Secrets have to meet; `probe` names a Secret that
    /// does not, and `sound` is what every write is told.
    async fn deny(world: &'a World, namespace: &str, resource: &str, rule: &str) -> Outcome<Policy<'a>> {
        let name = format!("{namespace}-{}", resource.replace('/', "-"));
        let group = match resource {
            "secrets" => "",
            _ => "pguser.dev",
        };
        world
            .apply(&format!(
                "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{{apiGroups: ['{group}'], apiVersions: ['*'], operations: [CREATE, UPDATE], resources: [{resource}]}}]
  validations: [{{expression: \"{rule}\", message: the platform team says no}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec:
  policyName: {name}
  validationActions: [Deny]
  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}}}
"
            ))
            .await?;
        Ok(Policy { world, name })
    }

    /// Waits until it is in force: until a Secret of this name and label is refused, which is made for that alone.
    async fn in_force(self, namespace: &str, name: &str, label: &str) -> Outcome<Policy<'a>> {
        let secret: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": {"pguser.dev/component": label}},
        }))?;
        let secrets = self.world.api_in(namespace, "v1/Secret");
        eventually("the policy to be in force", PATIENCE, async || {
            let params = PatchParams {
                dry_run: true,
                ..PatchParams::apply("probe").force()
            };
            match secrets.patch(name, &params, &Patch::Apply(&secret)).await {
                Err(kube::Error::Api(status)) if status.message.contains("says no") => Ok(()),
                other => Err(format!("{:?}", other.map(|_| ())).into()),
            }
        })
        .await?;
        Ok(self)
    }

    async fn end(self) -> Outcome {
        for kind in ["ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"] {
            let kind = format!("admissionregistration.k8s.io/v1/{kind}");
            self.world
                .api(&kind)
                .delete(&self.name, &DeleteParams::default())
                .await?;
        }
        Ok(())
    }
}

async fn a_policy_against_the_secret_is_told_in_its_own_words(world: &World) -> Outcome {
    let (_scene, password) = Scene::with_user(world, "another").await?;
    let rule = format!("object.metadata.name != '{SECRET}'");
    let policy = Policy::deny(world, world.namespace(), "secrets", &rule).await?;
    let policy = policy.in_force(world.namespace(), SECRET, "none").await?;
    world.apply_user("shop", SERVER).await?;
    stalled(world, "shop", "the platform team says no").await?;
    // And it is nobody else's trouble.
    world.rotate("another", "1").await?;
    world.rotated("another", &password).await?;
    policy.end().await?;
    world.user_works("shop").await?;
    world.user_is_not("shop", "Stalled").await
}

async fn a_policy_against_the_journal_is_told_and_nothing_is_made(world: &World) -> Outcome {
    let scene = Scene::new(world).await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    let namespace = world.operator_namespace();
    let rule = "!has(object.metadata.labels) || !('pguser.dev/component' in object.metadata.labels)";
    let policy = Policy::deny(world, namespace, "secrets", rule).await?;
    let policy = policy.in_force(namespace, "probe", "journal").await?;
    world.apply_user("shop", SERVER).await?;
    stalled(world, "shop", "the platform team says no").await?;
    eventually("a line in the log", PATIENCE, async || {
        match scene.operator.logs().contains("the platform team says no") {
            true => Ok(()),
            false => Err("none yet".into()),
        }
    })
    .await?;
    assert!(world.roles().await?.is_empty(), "sent, and not stored");
    // It is the server object's trouble, and whoever keeps that hears of it there.
    let told = world.server_is(SERVER, "False", "WriteRefused").await?;
    assert!(told.contains("the platform team says no"), "{told}");
    policy.end().await?;
    world.user_works("shop").await?;
    world.user_is_not("shop", "Stalled").await?;
    world.server_is(SERVER, "True", "Reachable").await.map(drop)
}

async fn a_policy_against_a_server_objects_status_is_told_in_an_event(world: &World) -> Outcome {
    let scene = Scene::new(world).await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    let rule = "object.metadata.name != 'second'";
    let policy = Policy::deny(world, world.namespace(), "postgresservers/status", rule).await?;
    pause(2000).await;
    world.apply_server("second", &scene.vendor).await?;
    has_event(world, "the platform team says no").await?;
    // The other one goes on.
    world.apply_user("shop", SERVER).await?;
    world.user_works("shop").await?;
    policy.end().await?;
    world.server_is("second", "True", "Reachable").await.map(drop)
}

async fn a_deletion_that_may_not_end_says_so(world: &World) -> Outcome {
    let (_scene, password) = Scene::with_user(world, "shop").await?;
    let rule = "object.metadata.name != 'shop' || has(object.metadata.finalizers)";
    let policy = Policy::deny(world, world.namespace(), "postgresusers", rule).await?;
    pause(2000).await;
    world.delete("PostgresUser", "shop").await?;
    world
        .deletion_blocked("shop", "the platform team says no")
        .await?;
    policy.end().await?;
    world.user_gone("shop", &password).await
}

async fn a_finalizer_and_a_claim_that_were_taken_away_are_put_back(world: &World) -> Outcome {
    let (scene, password) = Scene::with_user(world, "shop").await?;
    // As `kubectl replace` does, and Argo CD with Replace=true.
    let mut user = world.get("PostgresUser", "shop").await?.ok_or("no user")?;
    user.metadata.finalizers = None;
    user.metadata.annotations = None;
    user.metadata.managed_fields = None;
    let users = world.api("PostgresUser");
    users.replace("shop", &Default::default(), &user).await?;
    eventually("finalizer and claim", PATIENCE, async || {
        let user = world.get("PostgresUser", "shop").await?.ok_or("no user")?;
        let claimed = user
            .metadata
            .annotations
            .iter()
            .flatten()
            .any(|(name, _)| name == "pguser.dev/claim");
        match user.metadata.finalizers.is_some() && claimed {
            true => Ok(()),
            false => Err("not there".into()),
        }
    })
    .await?;
    assert_eq!(world.password("shop").await?.as_deref(), Some(password.as_str()));
    scene.vendor.gave("shop", 1).await?;
    world.delete("PostgresUser", "shop").await?;
    world.user_gone("shop", &password).await
}

async fn an_object_that_goes_without_its_finalizer_is_recorded(world: &World) -> Outcome {
    let (mut scene, password) = Scene::with_user(world, "shop").await?;
    scene.operator.signal("STOP")?;
    world
        .merge("PostgresUser", "shop", json!({"metadata": {"finalizers": null}}))
        .await?;
    world.delete("PostgresUser", "shop").await?;
    world.gone("PostgresUser", "shop", PATIENCE).await?;
    scene.operator.signal("CONT")?;
    eventually("a record of it", PATIENCE, async || {
        match world.kept_users().await?.first() {
            Some(kept) if kept["username"] == "shop" && kept["why"] == "Unguarded" => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    })
    .await?;
    assert!(
        world.postgres().accepts("shop", &password).await?,
        "it is nobody's to delete"
    );
    assert!(scene.operator.logs().contains("without its finalizer"));
    Ok(())
}

async fn mac(world: &World) -> Outcome<String> {
    let user = world.get("PostgresUser", "shop").await?.ok_or("no user")?;
    let mac = user.data["status"]["secret"]["passwordMac"].as_str();
    Ok(mac.ok_or("no MAC")?.to_owned())
}

async fn a_lost_key_costs_nobody_a_password(world: &World) -> Outcome {
    let (mut scene, password) = Scene::with_user(world, "shop").await?;
    let before = mac(world).await?;
    let keys = world.api_in(world.operator_namespace(), "v1/Secret");
    keys.delete("pguser-operator-key", &DeleteParams::default())
        .await?;
    scene.operator.restart().await?;
    scene.make_user("another").await?;
    pause(1000).await;
    assert_eq!(world.password("shop").await?.as_deref(), Some(password.as_str()));
    // What is published next is known under the new key, and is the same password.
    let labels = json!({"spec": {"secret": {"labels": {"team": "payments"}}}});
    world.merge("PostgresUser", "shop", labels).await?;
    eventually("another MAC", PATIENCE, async || {
        match mac(world).await? != before {
            true => Ok(()),
            false => Err("it is the old one".into()),
        }
    })
    .await?;
    assert_eq!(world.password("shop").await?.as_deref(), Some(password.as_str()));
    scene.vendor.gave("shop", 1).await?;
    world.user_works("shop").await?;
    Ok(())
}
