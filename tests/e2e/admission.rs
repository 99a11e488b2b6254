//! What is refused at once, with a message that a person can act on.

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{
    CLUSTER_ID, Handle, Outcome, PATIENCE, SERVER, World, eventually, trials, try_out, user_manifest,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        a_username_cannot_change,
        a_username_is_neither_long_nor_unprintable,
        a_password_has_one_source,
        rules_for_passwords_can_be_met,
        a_server_reference_may_change,
        settings_of_a_provider_are_within_bounds,
        a_server_has_one_provider,
        an_address_of_any_provider_cannot_change,
        a_secrets_name_cannot_change,
        a_secret_is_called_and_carries_what_kubernetes_takes,
        a_server_names_a_provider,
        a_cluster_and_its_endpoint_cannot_change,
        a_refresh_interval_is_a_duration_within_bounds,
        numbers_are_within_bounds,
        unknown_policies_are_refused,
        what_may_be_left_out_may_be_null,
        defaults_are_there_and_can_be_read,
        an_object_that_nobody_has_seen_says_so,
        every_field_is_explained,
    )
}

/// Applies what must be refused, in these words.
async fn refused(world: &World, yaml: &str, words: &str) -> Outcome {
    match world.apply(yaml).await {
        Ok(()) => Err(format!("accepted, which was to be refused with {words:?}:\n{yaml}").into()),
        Err(error) if error.to_string().contains(words) => Ok(()),
        Err(error) => Err(format!("not refused with {words:?}, but: {error}").into()),
    }
}

async fn user_refused(world: &World, name: &str, more: &str, words: &str) -> Outcome {
    refused(world, &user_manifest(name, SERVER, more), words).await
}

fn server(name: &str, ionos: &str, more: &str) -> String {
    format!(
        "
apiVersion: pguser.dev/v1alpha1
kind: PostgresServer
metadata: {{name: {name}}}
spec:
  ionos: {{credentialsSecretRef: {{name: c}}, {ionos}}}
  {more}
"
    )
}

// ----------------------------------------------------------------------------------------------------------- users

async fn a_username_cannot_change(world: &World) -> Outcome {
    const WORDS: &str = "spec.username (default: metadata.name) is immutable: make another PostgresUser";
    world.apply_user_with("named", "username: first").await?;
    user_refused(world, "named", "username: second", WORDS).await?;
    user_refused(world, "named", "", WORDS).await?;
    world.apply_user("unnamed", SERVER).await?;
    user_refused(world, "unnamed", "username: other", WORDS).await?;
    // To write down what is the case changes nothing.
    world.apply_user_with("unnamed", "username: unnamed").await?;
    world.apply_user_with("unnamed", "").await
}

async fn a_username_is_neither_long_nor_unprintable(world: &World) -> Outcome {
    let long = "a".repeat(64);
    let words = "metadata.name is longer than the 63 characters of a PostgreSQL username: set spec.username";
    user_refused(world, &long, "", words).await?;
    world.apply_user_with(&long, "username: short").await?;
    user_refused(
        world,
        "u",
        &format!("username: {long}"),
        "may not be more than 63",
    )
    .await?;
    user_refused(world, "u", "username: ''", "spec.username").await?;
    user_refused(world, "u", "username: \"a\\tb\"", "spec.username").await?;
    let emoji = format!("username: \"{}\"", "ä".repeat(63));
    world.apply_user_with("u", &emoji).await
}

async fn a_password_has_one_source(world: &World) -> Outcome {
    let both = "password: {generate: {length: 20}, secretRef: {name: mine}}";
    user_refused(world, "u", both, "set either generate or secretRef, not both").await
}

async fn rules_for_passwords_can_be_met(world: &World) -> Outcome {
    let wish = |rules: &str| format!("password: {{generate: {{{rules}}}}}");
    let many = wish("length: 10, digits: 6, symbols: 5");
    user_refused(
        world,
        "u",
        &many,
        "digits and symbols together are more than length",
    )
    .await?;
    let none = wish("symbols: 2, symbolCharacters: ''");
    user_refused(
        world,
        "u",
        &none,
        "symbols are asked for, but symbolCharacters is empty",
    )
    .await?;
    user_refused(world, "u", &wish("length: 9"), "greater than or equal to 10").await?;
    user_refused(world, "u", &wish("length: 129"), "less than or equal to 128").await?;
    user_refused(world, "u", &wish("symbolCharacters: 'a'"), "symbolCharacters").await
}

async fn a_server_reference_may_change(world: &World) -> Outcome {
    world.apply_user("moving", "one").await?;
    world.apply_user("moving", "two").await
}

async fn settings_of_a_provider_are_within_bounds(world: &World) -> Outcome {
    user_refused(
        world,
        "u",
        "postgresql: {connectionLimit: -2}",
        "greater than or equal to -1",
    )
    .await?;
    user_refused(
        world,
        "u",
        "postgresql: {memberOf: [readers, readers]}",
        "duplicate entries",
    )
    .await?;
    user_refused(
        world,
        "u",
        "postgresql: {validUntil: tomorrow}",
        "for a password that is valid for ever write infinity",
    )
    .await?;
    world
        .apply_user_with("reader", "scalingo: {readOnly: true}")
        .await?;
    user_refused(
        world,
        "reader",
        "scalingo: {readOnly: false}",
        "spec.scalingo.readOnly is immutable",
    )
    .await?;
    user_refused(world, "reader", "", "spec.scalingo.readOnly is immutable").await
}

async fn a_secrets_name_cannot_change(world: &World) -> Outcome {
    const WORDS: &str =
        "spec.secret.name (default: metadata.name followed by -postgres) is immutable: Pods mount";
    world.apply_user_with("u", "secret: {name: one}").await?;
    user_refused(world, "u", "secret: {name: two}", WORDS).await?;
    user_refused(world, "u", "secret: {labels: {a: b}}", WORDS).await?;
    user_refused(world, "u", "", WORDS).await?;
    world.apply_user("unnamed", SERVER).await?;
    user_refused(world, "unnamed", "secret: {name: one}", WORDS).await?;
    // To write down what is the case changes nothing.
    world
        .apply_user_with("unnamed", "secret: {name: unnamed-postgres}")
        .await
}

/// What is refused, in which words, is in `tests/upgrade/beyond.rs` too.
async fn a_secret_is_called_and_carries_what_kubernetes_takes(world: &World) -> Outcome {
    let long = format!("{}.{}/{}", "a".repeat(63), "b".repeat(63), "C".repeat(63));
    for good in [
        "{name: a.b-c.0}".to_string(),
        format!("{{labels: {{team: '', {long}: {}}}}}", "v".repeat(63)),
        format!("{{annotations: {{Example.COM/any_one: 'payments / checkout', {long}: ''}}}}"),
        format!("{{annotations: {{a: {}}}}}", "ä".repeat(4096)),
    ] {
        let name = format!("good-{}", good.len());
        world.apply_user_with(&name, &format!("secret: {good}")).await?;
    }
    for (bad, words) in [
        ("{name: a..b}", "spec.secret.name must be a Secret's name"),
        (
            "{labels: {team: payments / checkout}}",
            "write other text into spec.secret.annotations",
        ),
        (
            "{labels: {my key: v}}",
            "spec.secret.labels: a name is at most 63",
        ),
        (
            "{annotations: {bad key!: v}}",
            "spec.secret.annotations: a name is at most 63",
        ),
    ] {
        user_refused(world, "u", &format!("secret: {bad}"), words).await?;
    }
    let huge = format!("secret: {{annotations: {{a: {}}}}}", "v".repeat(270 * 1024));
    user_refused(world, "u", &huge, "may not be more than 4096").await?;
    let (fits, too_long) = ("n".repeat(244), "n".repeat(245));
    world.apply_user_with(&fits, "username: fits").await?;
    user_refused(world, &too_long, "username: long", "set spec.secret.name").await?;
    world
        .apply_user_with(&too_long, "username: long\n  secret: {name: short}")
        .await
}

async fn unknown_policies_are_refused(world: &World) -> Outcome {
    user_refused(
        world,
        "u",
        "deletionPolicy: Keep",
        "supported values: \"Delete\", \"Retain\"",
    )
    .await?;
    user_refused(
        world,
        "u",
        "adoptionPolicy: Force",
        "supported values: \"Refuse\", \"Adopt\"",
    )
    .await
}

/// Templates write null for what nobody has said. A word of an enum is no exception.
async fn what_may_be_left_out_may_be_null(world: &World) -> Outcome {
    world.apply_user_with("u", "deletionPolicy: null").await?;
    let manifest = server(
        "s",
        &format!("clusterId: {CLUSTER_ID}"),
        "connection: {sslmode: null}",
    );
    world.apply(&manifest).await?;
    let spec = json!({"serverRef": {"name": SERVER}, "deletionPolicy": null});
    try_out(world, "PostgresUser", "created", &spec).await??;
    let wrong = manifest.replace("null", "sometimes");
    refused(world, &wrong, "supported values: \"disable\"").await
}

// --------------------------------------------------------------------------------------------------------- servers

async fn a_server_names_a_provider(world: &World) -> Outcome {
    let words = "exactly one provider must be set";
    for kind in ["PostgresServer", "ClusterPostgresServer"] {
        let name = world.namespace();
        let manifest = format!(
            "{{apiVersion: pguser.dev/v1alpha1, kind: {kind}, metadata: {{name: {name}}}, spec: {{}}}}"
        );
        refused(world, &manifest, words).await?;
    }
    Ok(())
}

async fn a_server_has_one_provider(world: &World) -> Outcome {
    let sql = "postgresql: {host: db.example, credentialsSecretRef: {name: c}}";
    let manifest = |provider: &str| {
        format!(
            "{{apiVersion: pguser.dev/v1alpha1, kind: PostgresServer, metadata: {{name: one}}, spec: {{{provider}}}}}"
        )
    };
    let ionos = "ionos: {clusterId: a, credentialsSecretRef: {name: c}}";
    let both = manifest(&format!("{sql}, {ionos}"));
    refused(world, &both, "exactly one provider must be set").await?;
    world.apply(&manifest(ionos)).await?;
    let other = r#"{"spec": {"ionos": null, "postgresql": {"host": "db.example", "credentialsSecretRef": {"name": "c"}}}}"#;
    let error = world
        .merge("PostgresServer", "one", serde_json::from_str(other)?)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("the provider is immutable"), "{error}");
    Ok(())
}

async fn an_address_of_any_provider_cannot_change(world: &World) -> Outcome {
    let manifest = |provider: &str| {
        format!(
            "{{apiVersion: pguser.dev/v1alpha1, kind: PostgresServer, metadata: {{name: s}}, spec: {{{provider}}}}}"
        )
    };
    let sql = |rest: &str| {
        manifest(&format!(
            "postgresql: {{credentialsSecretRef: {{name: c}}, {rest}}}"
        ))
    };
    world.apply(&sql("host: one.example")).await?;
    refused(
        world,
        &sql("host: two.example"),
        "spec.postgresql.host is immutable",
    )
    .await?;
    refused(
        world,
        &sql("host: one.example, port: 5433"),
        "spec.postgresql.port is immutable",
    )
    .await?;
    for (hosts, bound) in [
        ("[{host: 'a b'}]", "spec.postgresql.hosts[0].host"),
        ("[{host: two.example, port: 0}]", "spec.postgresql.hosts[0].port"),
        ("[{port: 5433}]", "spec.postgresql.hosts[0].host"),
    ] {
        let further = sql(&format!("host: one.example, hosts: {hosts}"));
        refused(world, &further, bound).await?;
    }
    for hosts in ["[{host: two.example}, {host: '2001:db8::1', port: 5433}]", "[]"] {
        let further = sql(&format!("host: one.example, hosts: {hosts}"));
        world.apply(&further).await?;
    }
    refused(
        world,
        &sql("host: one.example, sslmode: allow"),
        "use prefer, or better verify-full",
    )
    .await?;
    refused(
        world,
        &sql("host: one.example, ca: {}"),
        "set either secretKeyRef or configMapKeyRef",
    )
    .await?;
    world.delete("PostgresServer", "s").await?;
    world.gone("PostgresServer", "s", PATIENCE).await?;
    let scalingo = |rest: &str| {
        manifest(&format!(
            "scalingo: {{addonId: ad-1, credentialsSecretRef: {{name: c}}, {rest}}}"
        ))
    };
    world.apply(&scalingo("app: one")).await?;
    refused(world, &scalingo("app: two"), "spec.scalingo.app is immutable").await?;
    refused(
        world,
        &scalingo("app: one, region: osc-secnum-fr1"),
        "spec.scalingo.region is immutable",
    )
    .await?;
    let elsewhere = "app: one, endpoints: {database: 'https://elsewhere.example'}";
    refused(
        world,
        &scalingo(elsewhere),
        "spec.scalingo.endpoints.database is immutable",
    )
    .await
}

async fn a_cluster_and_its_endpoint_cannot_change(world: &World) -> Outcome {
    world.apply(&server("s", "clusterId: one", "")).await?;
    refused(
        world,
        &server("s", "clusterId: two", ""),
        "spec.ionos.clusterId is immutable",
    )
    .await?;
    let elsewhere = "clusterId: one, endpoint: 'https://elsewhere.example/api'";
    refused(
        world,
        &server("s", elsewhere, ""),
        "spec.ionos.endpoint is immutable",
    )
    .await?;
    refused(
        world,
        &server("t", "clusterId: 'a/b'", ""),
        "spec.ionos.clusterId",
    )
    .await?;
    let credentials = "clusterId: one, endpoint: 'https://user:password@elsewhere.example/'";
    refused(world, &server("t", credentials, ""), "spec.ionos.endpoint").await
}

async fn a_refresh_interval_is_a_duration_within_bounds(world: &World) -> Outcome {
    const WORDS: &str = "spec.refreshInterval must be a duration from 1s to 24h, such as 90s, 10m or 1h30m";
    for bad in ["10", "1d", "soon", "500ms", "25h", "0s", "-5m", "''"] {
        let yaml = server("s", "clusterId: one", &format!("refreshInterval: {bad:?}"));
        let yaml = yaml.replace("\"''\"", "''");
        refused(world, &yaml, WORDS).await?;
    }
    for good in ["1s", "90s", "1h30m", "24h"] {
        world
            .apply(&server(
                "s",
                "clusterId: one",
                &format!("refreshInterval: {good}"),
            ))
            .await?;
    }
    Ok(())
}

async fn numbers_are_within_bounds(world: &World) -> Outcome {
    let with = |more: &str| server("s", "clusterId: one", more);
    refused(world, &with("connection: {port: 0}"), "spec.connection.port").await?;
    refused(world, &with("connection: {port: 65536}"), "spec.connection.port").await?;
    refused(world, &with("connection: {host: 'a b'}"), "spec.connection.host").await?;
    refused(
        world,
        &with("connection: {sslmode: maybe}"),
        "spec.connection.sslmode",
    )
    .await?;
    refused(
        world,
        &with("limits: {requestsPerMinute: 0}"),
        "requestsPerMinute",
    )
    .await
}

// -------------------------------------------------------------------------------------------- defaults, explanations

async fn spec(world: &World, kind: &str, name: &str) -> Outcome<Value> {
    let object = world.get(kind, name).await?.ok_or(format!("no {kind} {name}"))?;
    Ok(object.data["spec"].clone())
}

async fn defaults_are_there_and_can_be_read(world: &World) -> Outcome {
    world.apply_user("u", SERVER).await?;
    assert_eq!(
        spec(world, "PostgresUser", "u").await?,
        json!({
            "serverRef": {"kind": "PostgresServer", "name": SERVER},
            "adoptionPolicy": "Refuse",
            "suspend": false,
        })
    );
    world.apply_user_with("g", "password: {generate: {}}").await?;
    assert_eq!(
        spec(world, "PostgresUser", "g").await?["password"]["generate"],
        json!({"length": 32, "digits": 6, "symbols": 2, "symbolCharacters": "-_", "noUpper": false, "allowRepeat": true})
    );
    world
        .apply(&server("s", &format!("clusterId: {CLUSTER_ID}"), ""))
        .await?;
    let spec = spec(world, "PostgresServer", "s").await?;
    assert_eq!(spec["allowAdoption"], false);
    assert_eq!(spec["refreshInterval"], "10m");
    assert_eq!(
        spec["ionos"]["endpoint"],
        "https://api.ionos.com/databases/postgresql"
    );
    Ok(())
}

async fn an_object_that_nobody_has_seen_says_so(world: &World) -> Outcome {
    world.apply_user("u", SERVER).await?;
    let user = world.get("PostgresUser", "u").await?.ok_or("no user")?;
    assert_eq!(user.data["status"], json!({"observedGeneration": -1}));
    Ok(())
}

async fn every_field_is_explained(world: &World) -> Outcome {
    for (path, words) in [
        ("pguser.spec.username", "Immutable"),
        ("pguser.spec.deletionPolicy", "Retain"),
        ("postgresusers.pguser.dev.spec.suspend", "nothing is changed"),
        ("pguser.spec.password.generate.length", "How many characters"),
        ("pgserver.spec.ionos.credentialsSecretRef", "Bearer"),
        ("cpgserver.spec.namespaceSelector", "namespaces"),
    ] {
        // What the API server has just been taught takes it a moment to tell.
        let text = eventually("an explanation", PATIENCE, async || {
            world.kubectl(&["explain", path]).await
        })
        .await?;
        assert!(text.contains(words), "{path}: {text}");
    }
    Ok(())
}
