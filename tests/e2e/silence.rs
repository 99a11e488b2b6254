//! Nothing that is secret shows anywhere but in Secrets (I6), at the highest log level and whatever happens.

use std::collections::BTreeSet;

use kube::{
    Api,
    api::{DynamicObject, ListParams},
    core::{ApiResource, GroupVersionKind, Request},
};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{
    Handle, Options, Outcome, SERVER, Scene, TOKEN, World, eventually, pause, poison, trials,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment; nothing_secret_shows_anywhere_but_in_secrets)
}

const OWN: &str = "own+pass/word canary%7&=?";
const OWN_LATER: &str = "another own \"canary\" {later}";

/// All that must not show, and the shapes that it must not show in.
#[derive(Default)]
struct Canaries(BTreeSet<String>);

impl Canaries {
    fn add(&mut self, secret: &str) {
        self.0.insert(secret.to_owned());
        self.0.insert(base64(secret.as_bytes()));
        self.0.insert(percent(secret));
        let json = Value::from(secret).to_string();
        self.0.insert(json.trim_matches('"').to_owned());
    }

    /// As it would stand in a header of Basic authentication, or in the middle of a longer text in base64.
    fn add_token(&mut self, token: &str) {
        self.add(token);
        for before in 0..3 {
            let text = base64(&[&vec![b' '; before][..], token.as_bytes()].concat());
            // Without the ends, which depend on what stands beside.
            self.0.insert(text[4..text.len() - 4].to_owned());
        }
    }

    fn in_text(&self, place: &str, text: &str) -> Vec<String> {
        let found = self.0.iter().filter(|canary| text.contains(canary.as_str()));
        found
            .map(|canary| {
                let at = text.find(canary.as_str()).unwrap_or_default();
                let before: String = text[..at].chars().rev().take(200).collect();
                let before: String = before.chars().rev().collect();
                format!("{place} shows {canary:?} after …{before}")
            })
            .collect()
    }
}

fn base64(bytes: &[u8]) -> String {
    let encoded = serde_json::to_value(k8s_openapi::ByteString(bytes.to_vec()));
    encoded
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Every password that there is now, in Secrets and journals.
async fn gather(world: &World, canaries: &mut Canaries, users: &[&str]) -> Outcome {
    for user in users {
        if let Some(password) = world.password(user).await? {
            canaries.add(&password);
        }
    }
    for entry in world.journal_entries().await? {
        if let Some(password) = entry["password"].as_str() {
            canaries.add(password);
        }
    }
    Ok(())
}

const USERS: [&str; 4] = ["shop", "own", "echoed", "crashed"];

async fn nothing_secret_shows_anywhere_but_in_secrets(world: &World) -> Outcome {
    let mut canaries = Canaries::default();
    for token in [TOKEN, "another-canary-token-0b9e"] {
        canaries.add_token(token);
    }
    canaries.add(OWN);
    canaries.add(OWN_LATER);
    let mark = world.audit()?.mark().is_ok();
    let options = Options::quick().env("PGUSER_LOG", "trace");
    let mut scene = Scene::with(world, &[], options).await?;
    scene.make_user("shop").await?;
    gather(world, &mut canaries, &USERS).await?;
    own_password(&scene).await?;
    rotations(&scene, &mut canaries).await?;
    answers_that_echo(&scene, &mut canaries).await?;
    unreadable_metadata(&scene, &mut canaries).await?;
    refusals(&scene).await?;
    crash(&mut scene, &mut canaries).await?;
    gather(world, &mut canaries, &USERS).await?;
    let metrics = scene.operator.get("metrics").await?;
    for user in USERS {
        world.delete("PostgresUser", user).await?;
        gather(world, &mut canaries, &USERS).await?;
    }
    for user in USERS {
        world.gone("PostgresUser", user, crate::support::PATIENCE).await?;
    }
    scene.operator.terminate().await?;

    let mut leaks = canaries.in_text("a metric", &metrics);
    leaks.extend(canaries.in_text("a log", &scene.operator.logs()));
    leaks.extend(canaries.in_text("an Event", &world.events().await?.join("\n")));
    for (place, text) in objects(world).await? {
        leaks.extend(canaries.in_text(&place, &text));
    }
    assert!(mark);
    leaks.extend(canaries.in_text("the audit log", &world.audit()?.text()?));
    assert!(
        scene.operator.logs().contains("TRACE"),
        "nothing was logged at level trace"
    );
    assert!(canaries.0.len() >= 25, "too few canaries: {}", canaries.0.len());
    println!(
        "{} canaries, {} bytes of logs",
        canaries.0.len(),
        scene.operator.logs().len()
    );
    leaks.truncate(20);
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    Ok(())
}

async fn own_password(scene: &Scene<'_>) -> Outcome {
    let world = scene.world;
    world.apply_password("own-source", OWN).await?;
    world
        .apply_user_with("own", "password: {secretRef: {name: own-source}}")
        .await?;
    world.user_works("own").await?;
    world.apply_password("own-source", OWN_LATER).await?;
    eventually("the later password", crate::support::PATIENCE, async || {
        match world.password("own").await?.as_deref() == Some(OWN_LATER) {
            true => Ok(()),
            false => Err("not yet".into()),
        }
    })
    .await
}

async fn rotations(scene: &Scene<'_>, canaries: &mut Canaries) -> Outcome {
    let world = scene.world;
    let before = world.user_works("shop").await?;
    let lost = json!({"route": "users.patch", "count": 1, "fault": {"type": "drop", "when": "after-commit"}});
    scene.vendor.fault(lost).await?;
    world.rotate("shop", "1").await?;
    gather(world, canaries, &USERS).await?;
    world.rotated("shop", &before).await?;
    gather(world, canaries, &USERS).await
}

/// Answers that are no answers, and that repeat what was sent.
async fn answers_that_echo(scene: &Scene<'_>, canaries: &mut Canaries) -> Outcome {
    let world = scene.world;
    let bodies = [
        (
            200,
            "application/json",
            format!("{{\"properties\": {{\"password\": \"{OWN_LATER}\", \"x\": "),
        ),
        (
            200,
            "application/json",
            json!({"id": OWN, "properties": {"username": 7, "password": OWN}}).to_string(),
        ),
        (
            400,
            "application/problem+json",
            json!({"httpStatus": 400, "messages": [{"errorCode": OWN, "message": OWN}]}).to_string(),
        ),
        (
            422,
            "text/html",
            format!("<html>{OWN} Authorization: Bearer {TOKEN}</html>"),
        ),
        (
            500,
            "application/json",
            json!({"message": OWN, "token": TOKEN}).to_string(),
        ),
    ];
    for (status, kind, body) in bodies {
        let fault = json!({"type": "body", "status": status, "body": body, "contentType": kind});
        scene
            .vendor
            .fault(json!({"route": "users.create", "count": 1, "fault": fault}))
            .await?;
        let list = json!({"type": "body", "status": status, "body": body, "contentType": kind});
        scene
            .vendor
            .fault(json!({"route": "users.list", "count": 1, "fault": list}))
            .await?;
    }
    world.apply_user("echoed", SERVER).await?;
    for _ in 0..20 {
        gather(world, canaries, &USERS).await?;
        pause(200).await;
    }
    scene.vendor.no_faults().await?;
    // Whatever it came to: a person would ask for it again.
    world.rotate("echoed", "again").await?;
    world.user_works("echoed").await?;
    gather(world, canaries, &USERS).await
}

async fn refusals(scene: &Scene<'_>) -> Outcome {
    let world = scene.world;
    scene.vendor.tokens(&["another-canary-token-0b9e"]).await?;
    world.wait_for("PostgresServer", SERVER, "Ready", "False").await?;
    world
        .apply_token("orders-credentials", "another-canary-token-0b9e")
        .await?;
    world.wait_for("PostgresServer", SERVER, "Ready", "True").await?;
    // A login that is refused: somebody else has set another password.
    let outside =
        json!({"action": "set-password", "username": "shop", "password": "somebody-elses-password"});
    scene.vendor.outside(outside).await?;
    pause(1500).await;
    Ok(())
}

/// Secrets whose metadata holds what no type can hold are read all the same, and shown to nobody.
async fn unreadable_metadata(scene: &Scene<'_>, canaries: &mut Canaries) -> Outcome {
    let world = scene.world;
    let before = world.user_works("own").await?;
    let shop = world.user_works("shop").await?;
    for secret in [
        "orders-credentials",
        "own-source",
        "shop-postgres",
        "own-postgres",
    ] {
        poison(world, "v1/Secret", secret).await?;
    }
    for (kind, name) in [
        ("PostgresServer", SERVER),
        ("PostgresUser", "shop"),
        ("PostgresUser", "own"),
    ] {
        poison(world, kind, name).await?;
    }
    let refresh = json!({"metadata": {"annotations": {"pguser.dev/refresh": "poisoned"}}});
    world.merge("PostgresServer", SERVER, refresh).await?;
    world.rotate("shop", "poisoned").await?;
    world.rotate("own", "poisoned").await?;
    let after = world.rotated("shop", &shop).await?;
    canaries.add(&before);
    canaries.add(&after);
    world.wait_for("PostgresServer", SERVER, "Ready", "True").await?;
    gather(world, canaries, &USERS).await
}

async fn crash(scene: &mut Scene<'_>, canaries: &mut Canaries) -> Outcome {
    let world = scene.world;
    scene
        .operator
        .reconfigure(|options| options.env("PGUSER_FAILPOINT", "remote-create:after"));
    scene.operator.restart().await?;
    world.apply_user("crashed", SERVER).await?;
    if cfg!(feature = "failpoints") {
        scene.operator.exit().await?;
    }
    gather(world, canaries, &USERS).await?;
    scene
        .operator
        .reconfigure(|options| options.env("PGUSER_FAILPOINT", ""));
    scene.operator.restart().await?;
    world.user_works("crashed").await.map(drop)
}

/// All objects in both namespaces that are no Secrets.
async fn objects(world: &World) -> Outcome<Vec<(String, String)>> {
    let kinds = [
        ("", "v1", "ConfigMap"),
        ("", "v1", "Event"),
        ("events.k8s.io", "v1", "Event"),
        ("coordination.k8s.io", "v1", "Lease"),
        ("pguser.dev", "v1alpha1", "PostgresUser"),
        ("pguser.dev", "v1alpha1", "PostgresServer"),
    ];
    let mut texts = Vec::new();
    for namespace in [world.namespace(), world.operator_namespace()] {
        for (group, version, kind) in kinds {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            let api: Api<DynamicObject> = Api::namespaced_with(world.client().clone(), namespace, &resource);
            let list = Request::new(api.resource_url()).list(&ListParams::default())?;
            texts.push((format!("a {kind}"), world.client().request_text(list).await?));
        }
        // Of Secrets, what everybody sees who watches metadata.
        let secrets: Api<k8s_openapi::api::core::v1::Secret> =
            Api::namespaced(world.client().clone(), namespace);
        let list = Request::new(secrets.resource_url()).list_metadata(&ListParams::default())?;
        texts.push((
            "a Secret's metadata".to_owned(),
            world.client().request_text(list).await?,
        ));
    }
    Ok(texts)
}
