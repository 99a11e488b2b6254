//! What the output Secret looks like is the user's to say (docs/secret-formats.md).

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{
    Handle, Outcome, PATIENCE, Person, Provider, Scene, World, eventually, trials, trials_everywhere, try_out,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    let everywhere = trials_everywhere!(environment;
        other_presets_are_written_without_another_password,
        a_template_that_is_none_is_told_before_anything_is_sent,
        a_template_that_becomes_none_leaves_what_is_published,
    );
    let by_sql = trials!(environment, Provider::Postgresql;
        odd_credentials_log_in_by_each_form_that_libpq_reads,
    );
    let once = trials!(environment;
        presets_are_combined,
        a_key_that_somebody_changes_is_put_right,
        a_password_that_a_template_cannot_hold_is_never_sent,
        a_key_has_one_writer,
        templates_are_within_bounds,
        the_plugin_works_whatever_the_presets,
    );
    everywhere.chain(by_sql).chain(once).collect()
}

const ODD: &str = "we \"i'r&d=/na%me?#@:+\\*,; 🦀";

/// A spec's `secret`, as a line of it.
fn secret(secret: Value) -> String {
    format!("secret: {secret}")
}

async fn keys_of(world: &World) -> Outcome<BTreeMap<String, String>> {
    Ok(world.secret("checkout-postgres").await?.ok_or("no Secret")?)
}

/// Waits until the Secret has exactly these keys, besides `ca.crt`.
async fn has_keys(world: &World, expected: &[&str]) -> Outcome<BTreeMap<String, String>> {
    eventually("the Secret's keys", PATIENCE, async || {
        let keys = keys_of(world).await?;
        let found: Vec<&str> = keys
            .keys()
            .map(String::as_str)
            .filter(|key| *key != "ca.crt")
            .collect();
        match found == expected {
            true => Ok(keys),
            false => Err(format!("{found:?}").into()),
        }
    })
    .await
}

/// Writes a Secret's keys into a folder, as they are in a Pod that mounts it there.
fn mount(keys: &BTreeMap<String, String>, folder: &PathBuf) -> Outcome {
    std::fs::create_dir_all(folder)?;
    for (key, value) in keys {
        std::fs::write(folder.join(key), value)?;
    }
    std::fs::set_permissions(folder.join("pgpass"), std::fs::Permissions::from_mode(0o600))?;
    Ok(())
}

/// psql is told of no authorities but by the Secret.
async fn odd_credentials_log_in_by_each_form_that_libpq_reads(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    let admin = vendor.postgres();
    let quoted = ODD.replace('"', "\"\"");
    admin
        .psql(&admin.superuser_dsn(), &format!("create database \"{quoted}\""))
        .await?;
    let odd = Value::from(ODD);
    let port = admin.port();
    world
        .apply_server_with(
            crate::support::SERVER,
            &vendor,
            &format!("connection: {{port: {port}, database: {odd}, sslmode: verify-full}}"),
        )
        .await?;
    let folder = world.dir().join("mounted");
    let dsn = "host={{ host|conninfo }} port={{ port }} dbname={{ database|conninfo }} user={{ username|conninfo }} \
               sslmode={{ sslmode }}{% if caFile %} sslrootcert={{ caFile|conninfo }}{% endif %}";
    let asked = json!({
        "presets": ["libpq", "uri", "pgpass"],
        "mountPath": folder,
        "data": {"dsn": dsn, "whole-dsn": format!("{dsn} password={{{{ password|conninfo }}}}")},
    });
    world.apply_password("mine", ODD).await?;
    let spec = format!(
        "username: {odd}\n  password: {{secretRef: {{name: mine}}}}\n  {}",
        secret(asked)
    );
    world.apply_user_with("checkout", &spec).await?;
    world.user_ready("checkout").await?;
    let keys = keys_of(world).await?;
    mount(&keys, &folder)?;

    let none = [("PGSSLROOTCERT", "/nowhere")];
    let query = "select current_user || ' in ' || current_database()";
    let expected = format!("{ODD} in {ODD}");
    for connection in ["uri", "whole-dsn"] {
        let found = admin.psql_with(&keys[connection], query, &none).await?;
        assert_eq!(found, expected, "{connection}");
    }
    let file = folder.join("pgpass");
    let by_file = [none[0], ("PGPASSFILE", file.to_str().ok_or("an odd path")?)];
    assert_eq!(admin.psql_with(&keys["dsn"], query, &by_file).await?, expected);
    let variables: Vec<(&str, &str)> = keys
        .iter()
        .filter(|(key, _)| key.starts_with("PG"))
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(variables.len(), 7, "{:?}", keys.keys());
    assert_eq!(admin.psql_with("", query, &variables).await?, expected);
    Ok(())
}

async fn presets_are_combined(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    let asked = json!({"presets": ["servicebinding", "jdbc", "dotnet", "sqlalchemy", "rails"], "data": {"name": "{{ username }}"}});
    world.apply_user_with("checkout", &secret(asked)).await?;
    world.user_ready("checkout").await?;
    let keys = has_keys(
        world,
        &[
            "ConnectionStrings__DefaultConnection",
            "DATABASE_URL",
            "SQLALCHEMY_ASYNC_DATABASE_URI",
            "SQLALCHEMY_DATABASE_URI",
            "database",
            "host",
            "jdbc-url",
            "name",
            "password",
            "port",
            "provider",
            "sslmode",
            "type",
            "uri",
            "username",
        ],
    )
    .await?;
    assert_eq!(keys["name"], "checkout");
    assert_eq!(keys["uri"], keys["DATABASE_URL"]);
    assert_eq!(
        world.postgres().psql(&keys["uri"], "select current_user").await?,
        "checkout"
    );
    world.login_of("checkout").await
}

async fn other_presets_are_written_without_another_password(world: &World) -> Outcome {
    let (vendor, mut operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    let usual = keys_of(world).await?;
    let libpq = secret(json!({"presets": ["libpq"], "data": {"who": "{{ username }}"}}));
    world.apply_user_with("checkout", &libpq).await?;
    let names = [
        "PGDATABASE",
        "PGHOST",
        "PGPASSWORD",
        "PGPORT",
        "PGSSLMODE",
        "PGUSER",
        "password",
        "username",
        "who",
    ];
    let keys = has_keys(world, &names).await?;
    assert_eq!((&keys["PGPASSWORD"], &keys["password"]), (&password, &password));
    world.user_ready("checkout").await?;

    // It is found again without `basic`, and nothing is written of it.
    world.quiet(&operator).await?;
    operator.restart().await?;
    world.quiet(&operator).await?;
    assert_eq!(keys_of(world).await?, keys);

    world
        .apply_user_with("checkout", &secret(json!({"presets": []})))
        .await?;
    has_keys(world, &["password", "username"]).await?;
    world.apply_user_with("checkout", "").await?;
    let names: Vec<&str> = usual
        .keys()
        .map(String::as_str)
        .filter(|key| *key != "ca.crt")
        .collect();
    assert_eq!(has_keys(world, &names).await?, usual);
    vendor.gave("checkout", 1).await
}

async fn a_template_that_is_none_is_told_before_anything_is_sent(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    let wrong =
        secret(json!({"presets": [], "data": {"app.conf": "user=checkout\npassword={{ passwort }}\n"}}));
    world.apply_user_with("checkout", &wrong).await?;
    let found = world.user_not_ready("checkout", "InvalidSettings").await?;
    let words = "spec.secret.data: \"app.conf\", line 2: there is no variable \"passwort\": write one of username, password";
    assert!(found.message.contains(words), "{}", found.message);
    vendor.had("users.create", 0).await?;
    let user = world.get("PostgresUser", "checkout").await?.ok_or("no user")?;
    assert!(user.metadata.finalizers.is_none(), "nothing is claimed");

    let right =
        secret(json!({"presets": [], "data": {"app.conf": "user=checkout\npassword={{ password }}\n"}}));
    world.apply_user_with("checkout", &right).await?;
    world.user_ready("checkout").await?;
    let keys = keys_of(world).await?;
    assert_eq!(
        keys["app.conf"],
        format!("user=checkout\npassword={}\n", keys["password"])
    );
    Ok(())
}

async fn a_template_that_becomes_none_leaves_what_is_published(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    world
        .apply_user_with("checkout", &secret(json!({"data": {"a": "{{ uri }}"}})))
        .await?;
    world.user_ready("checkout").await?;
    let keys = keys_of(world).await?;
    for (template, words) in [
        (
            "{% for c in uri %}{{ c }}{% endfor %}",
            "line 1: {% for %} is not allowed",
        ),
        ("\n\n{{ uri", "spec.secret.data: \"a\", line 3"),
        (
            "{{ uri|upper }}",
            "there is no filter \"upper\": write one of urlencode",
        ),
    ] {
        world
            .apply_user_with("checkout", &secret(json!({"data": {"a": template}})))
            .await?;
        eventually("what is wrong", PATIENCE, async || {
            let said = world
                .user_is("checkout", "Stalled", "True", "InvalidSettings")
                .await?;
            if said.contains(words) {
                Ok(())
            } else {
                Err(said.into())
            }
        })
        .await?;
        world.user_ready("checkout").await?;
    }
    world.quiet(&operator).await?;
    assert_eq!(keys_of(world).await?, keys);
    vendor.gave("checkout", 1).await
}

async fn a_key_that_somebody_changes_is_put_right(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    let asked = json!({"presets": ["dotnet"], "data": {"a": "{{ uri }}"}});
    world.apply_user_with("checkout", &secret(asked)).await?;
    world.user_ready("checkout").await?;
    let keys = keys_of(world).await?;
    for change in [
        json!({"a": "Yg=="}),
        json!({"ConnectionStrings__DefaultConnection": null}),
        json!({"more": "Yg=="}),
    ] {
        world
            .merge("v1/Secret", "checkout-postgres", json!({"data": change}))
            .await?;
        eventually("the keys of before", PATIENCE, async || {
            let found = keys_of(world).await?;
            if found == keys {
                Ok(())
            } else {
                Err(format!("{:?}", found.keys()).into())
            }
        })
        .await?;
    }
    vendor.gave("checkout", 1).await
}

/// What a template writes is as long as the password makes it.
async fn a_password_that_a_template_cannot_hold_is_never_sent(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    // Each `tojson` doubles what a backslash has become.
    let template = format!("{{{{ password|{} }}}}", ["tojson"; 12].join("|"));
    let asked = format!(
        "password: {{secretRef: {{name: mine}}}}\n  {}",
        secret(json!({"data": {"a": template}}))
    );
    world.apply_password("mine", &"\\".repeat(40)).await?;
    world.apply_user_with("checkout", &asked).await?;
    let found = world.user_not_ready("checkout", "InvalidSettings").await?;
    assert!(found.message.contains("longer than 64 KiB"), "{}", found.message);
    vendor.had("users.create", 0).await?;
    world.apply_password("mine", "a-password-of-letters").await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await
}

async fn a_key_has_one_writer(world: &World) -> Outcome {
    for (asked, words) in [
        (
            json!({"data": {"password": "a"}}),
            "are keys that every Secret has",
        ),
        (json!({"data": {"ca.crt": "a"}}), "are keys that every Secret has"),
        (
            json!({"data": {"uri": "a"}}),
            "spec.secret.data: \"uri\": the preset basic writes it, too: choose another name",
        ),
        (
            json!({"presets": ["uri", "libpq"], "data": {"x": "a", "PGHOST": "a"}}),
            "spec.secret.data: \"PGHOST\": the preset libpq writes it, too",
        ),
        (
            json!({"presets": ["node", "django"]}),
            "node and django write the key DATABASE_URL with different values: leave django out",
        ),
        (
            json!({"presets": ["node", "rails"]}),
            "node and rails write the key DATABASE_URL",
        ),
        (json!({"presets": ["uri", "uri"]}), "name each preset once"),
        (json!({"presets": ["yaml"]}), "Unsupported value"),
    ] {
        let spec = json!({"serverRef": {"name": "s"}, "secret": asked});
        let said = try_out(world, "PostgresUser", "u", &spec).await?;
        let refusal = said.err().ok_or(format!("accepted: {spec}"))?;
        assert!(refusal.contains(words), "{words}: {refusal}");
    }
    for asked in [
        json!({"presets": ["django", "rails", "basic", "servicebinding"]}),
        json!({"presets": [], "data": {"uri": "{{ uri }}", "PGHOST": "a", "type": "b"}}),
        json!({"presets": null, "mountPath": null}),
    ] {
        let spec = json!({"serverRef": {"name": "s"}, "secret": asked});
        let said = try_out(world, "PostgresUser", "u", &spec).await?;
        assert!(said.is_ok(), "{said:?}");
    }
    Ok(())
}

async fn templates_are_within_bounds(world: &World) -> Outcome {
    let many = |count: usize, template: &str| -> Value {
        let all = (0..count).map(|number| (format!("k{number}"), json!(template)));
        Value::Object(all.collect())
    };
    for (asked, words) in [
        (json!({"data": many(17, "a")}), "must have at most 16 items"),
        (
            json!({"data": {"a": "a".repeat(4097)}}),
            "may not be more than 4096",
        ),
        (json!({"data": many(5, &"a".repeat(4000))}), "more than 16 KiB"),
        (
            json!({"data": {"a b": "a"}}),
            "spec.secret.data: a key is at most",
        ),
        (
            json!({"data": {"..a": "a"}}),
            "spec.secret.data: a key is at most",
        ),
        (json!({"data": {".": "a"}}), "spec.secret.data: a key is at most"),
        (json!({"mountPath": "etc"}), "spec.secret.mountPath"),
        (json!({"mountPath": "/a:b"}), "spec.secret.mountPath"),
    ] {
        let spec = json!({"serverRef": {"name": "s"}, "secret": asked});
        let said = try_out(world, "PostgresUser", "u", &spec).await?;
        let refusal = said.err().ok_or(format!("accepted: {spec}"))?;
        assert!(refusal.contains(words), "{words}: {refusal}");
    }
    let most = json!({"data": many(16, &"a".repeat(1000)), "mountPath": "/"});
    let spec = json!({"serverRef": {"name": "s"}, "secret": most});
    assert!(try_out(world, "PostgresUser", "u", &spec).await?.is_ok());
    Ok(())
}

async fn the_plugin_works_whatever_the_presets(world: &World) -> Outcome {
    let scene = Scene::new(world).await?;
    let asked = secret(json!({"presets": ["dotnet"], "data": {"a": "{{ uri }}"}}));
    world.apply_user_with("checkout", &asked).await?;
    world.user_ready("checkout").await?;
    world.quiet(&scene.operator).await?;
    let person = Person::with_role(world, "edit").await?;
    let ca = world.postgres().ca_file().display().to_string();
    let psql = [
        "--",
        "--no-psqlrc",
        "--no-password",
        "-At",
        "-c",
        "select current_user",
    ];
    let connected = person
        .pguser_ends(
            0,
            &[&["connect", "checkout", "--ca-file", &ca][..], &psql].concat(),
        )
        .await?;
    assert_eq!(connected.stdout, "checkout\n");
    let verified = person
        .pguser_says(0, &["verify", "checkout", "--ca-file", &ca])
        .await?;
    assert_eq!(
        (&verified["sslmode"], &verified["oddKeys"]),
        (&json!("verify-full"), &json!([]))
    );
    assert_eq!(verified["port"], json!(world.postgres().port()));
    let none = person.pguser_ends(0, &["diff"]).await?;
    assert_eq!(none.stderr, "No differences.\n");

    let wrong = world.dir().join("wrong.yaml");
    let more = secret(json!({"presets": ["libpq"], "data": {"a": "{{ nobody }}"}}));
    std::fs::write(
        &wrong,
        crate::support::user_manifest("checkout", crate::support::SERVER, &more),
    )?;
    let found = person
        .pguser_ends(1, &["diff", "--filename", wrong.to_str().ok_or("an odd path")?])
        .await?;
    for words in [
        "InvalidSettings: spec.secret.data: \"a\", line 1: there is no variable",
        "ConnectionStrings__DefaultConnection",
    ] {
        assert!(found.stdout.contains(words), "{words}: {}", found.stdout);
    }
    person.has_not_seen(&[&world.password_of("checkout").await?]);
    Ok(())
}
