//! A PostgresUser becomes a login, and a Secret that logs in.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _, time::Duration};

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{
    Handle, Outcome, PATIENCE, Provider, SERVER, TOKEN, World, eventually, trials, trials_everywhere,
    user_manifest,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    let everywhere = trials_everywhere!(environment;
        a_new_user_gets_a_secret_that_logs_in,
        the_secret_logs_in_by_uri,
        the_secret_says_whose_it_is,
        the_status_says_what_there_is,
        events_tell_the_story,
        the_server_counts_its_users,
        a_login_is_counted_before_the_next_refresh,
        users_before_their_server_wait_for_it,
        credentials_without_what_is_needed_are_named,
        many_users_at_once_all_log_in,
        a_password_of_ones_own_is_taken,
        a_password_of_ones_own_is_followed,
        a_password_of_ones_own_may_come_later,
        a_password_of_ones_own_that_goes_leaves_the_login_as_it_is,
        a_suspended_user_is_not_made_until_it_is_resumed,
        a_suspended_user_is_not_rotated_until_it_is_resumed,
        labels_of_the_secret_change_without_its_password,
        applying_the_same_again_writes_nothing,
    );
    let once = trials!(environment;
        the_secret_logs_in_by_jdbc_url,
        the_secret_logs_in_by_pgpass,
        kubectl_get_shows_what_one_wants_to_know,
        usernames_are_kept_exactly,
        credentials_may_be_a_name_and_a_password,
        a_password_is_generated_by_the_rules_of_the_spec,
        rules_that_the_provider_does_not_take_are_named,
        a_password_that_is_too_short_is_named_and_never_sent,
        a_password_that_becomes_too_short_leaves_the_last_good_one,
        a_password_that_the_remote_refuses_is_sent_twice_and_never_again,
        a_refused_password_is_replaced_by_one_that_is_taken,
        a_username_that_is_reserved_is_named,
        usernames_keep_to_the_prefix_of_the_server,
        usernames_keep_to_the_patterns_of_the_server,
    );
    everywhere.chain(once).collect()
}

// ------------------------------------------------------------------------------------------------------ the Secret

async fn a_new_user_gets_a_secret_that_logs_in(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    vendor.had("users.create", 1).await?;
    vendor.had("users.patch", 0).await?;
    Ok(())
}

async fn the_secret_logs_in_by_uri(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    let uri = world.key_of("checkout", "uri").await?;
    assert_eq!(
        world.postgres().psql(&uri, "select current_user").await?,
        "checkout"
    );
    Ok(())
}

async fn the_secret_logs_in_by_jdbc_url(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    world
        .apply_user_with("checkout", "username: \"a b+c%d&e\"")
        .await?;
    world.user_ready("checkout").await?;
    let text = world.key_of("checkout", "jdbc-url").await?;
    assert_eq!(text, world.key_of("checkout", "jdbc-uri").await?);
    let url = url::Url::parse(text.strip_prefix("jdbc:").ok_or("not a jdbc url")?)?;
    let parameters: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(parameters["sslmode"], "verify-full");
    let user = world
        .postgres()
        .login(
            url.host_str().ok_or("no host")?,
            url.port().ok_or("no port")?,
            &parameters["user"],
            &parameters["password"],
            url.path().trim_start_matches('/'),
        )
        .await?;
    assert_eq!(user, "a b+c%d&e");
    Ok(())
}

async fn the_secret_logs_in_by_pgpass(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    world
        .apply_user_with("checkout", "username: 'back\\slash:colon'")
        .await?;
    world.user_ready("checkout").await?;
    let file = world.dir().join("pgpass");
    std::fs::write(&file, world.key_of("checkout", "pgpass").await?)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    let port = world.postgres().port();
    let connection =
        format!(r"host=localhost port={port} dbname=postgres user='back\\slash:colon' sslmode=verify-full");
    let file = file.to_string_lossy();
    let user = world
        .postgres()
        .psql_with(&connection, "select current_user", &[("PGPASSFILE", &file)])
        .await?;
    assert_eq!(user, r"back\slash:colon");
    Ok(())
}

async fn the_secret_says_whose_it_is(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    world
        .apply(
            "
apiVersion: pguser.dev/v1alpha1
kind: PostgresUser
metadata: {name: checkout, labels: {argocd.argoproj.io/instance: shop}}
spec:
  serverRef: {name: orders}
  secret: {name: db, labels: {team: checkout}, annotations: {example.com/note: ours}}
",
        )
        .await?;
    world.user_ready("checkout").await?;
    let user = world.get("PostgresUser", "checkout").await?.ok_or("no user")?;
    let secret = world.get("v1/Secret", "db").await?.ok_or("no Secret")?;
    assert_eq!(secret.data["type"], "servicebinding.io/postgresql");

    let labels = secret.metadata.labels.unwrap_or_default();
    assert_eq!(labels["app.kubernetes.io/managed-by"], "pguser-operator");
    assert_eq!(labels["team"], "checkout");
    assert!(!labels.contains_key("argocd.argoproj.io/instance"), "{labels:?}");

    let annotations = secret.metadata.annotations.unwrap_or_default();
    let uid = user.metadata.uid.clone().unwrap_or_default();
    assert_eq!(annotations["pguser.dev/user-uid"], uid);
    assert_eq!(
        annotations["pguser.dev/user"],
        format!("{}/checkout", world.namespace())
    );
    assert!(annotations["pguser.dev/remote-identity"].ends_with("/checkout"));
    assert_eq!(annotations["example.com/note"], "ours");

    let owners = secret.metadata.owner_references.unwrap_or_default();
    let owners: Vec<_> = owners
        .iter()
        .map(|owner| (owner.uid.clone(), owner.controller))
        .collect();
    assert_eq!(owners, [(uid, Some(true))]);

    let keys = world.secret("db").await?.unwrap_or_default().into_keys();
    let mut expected = vec![
        "database", "dbname", "host", "jdbc-uri", "jdbc-url", "password", "pgpass", "port", "provider",
        "sslmode", "type", "uri", "username",
    ];
    if world.provider() == Provider::Postgresql {
        // The only server objects that name their authority.
        expected.insert(0, "ca.crt");
    }
    assert_eq!(keys.collect::<Vec<_>>(), expected);
    Ok(())
}

// ------------------------------------------------------------------------------------------------------ the status

async fn the_status_says_what_there_is(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    world
        .user_is("checkout", "CredentialsVerified", "True", "LoginSucceeded")
        .await?;
    world.user_is_not("checkout", "Reconciling").await?;
    world.user_is_not("checkout", "Stalled").await?;
    let user = world.get("PostgresUser", "checkout").await?.ok_or("no user")?;
    let status = &user.data["status"];
    assert_eq!(status["observedGeneration"], json!(user.metadata.generation));
    assert_eq!(status["binding"], json!({"name": "checkout-postgres"}));
    assert_eq!(status["username"], "checkout");
    let remote = &status["remoteUsers"][0];
    assert_eq!(
        (&remote["username"], &remote["provider"], &remote["ownership"]),
        (
            &json!("checkout"),
            &json!(world.provider().name()),
            &json!("Owned")
        )
    );
    let is_dated = remote["created"].is_string() && remote["lastSet"].is_string();
    assert_eq!(is_dated, world.provider() == Provider::Ionos, "{remote}");
    for condition in status["conditions"].as_array().into_iter().flatten() {
        assert_eq!(
            condition["observedGeneration"], status["observedGeneration"],
            "{condition}"
        );
    }
    let waited = world
        .kubectl(&["wait", "pguser/checkout", "--for=condition=Ready", "--timeout=5s"])
        .await?;
    assert!(waited.contains("condition met"), "{waited}");
    Ok(())
}

async fn kubectl_get_shows_what_one_wants_to_know(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    let table = world
        .kubectl(&["get", "pguser", "checkout", "--output", "wide"])
        .await?;
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[0],
        [
            "NAME", "READY", "REASON", "SERVER", "SECRET", "USERNAME", "SINCE", "AGE"
        ]
    );
    assert_eq!(
        rows[1][..6],
        [
            "checkout",
            "True",
            "Published",
            "orders",
            "checkout-postgres",
            "checkout"
        ]
    );
    let table = world.kubectl(&["get", "pgserver", SERVER]).await?;
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[0],
        ["NAME", "READY", "REASON", "HOST", "MANAGED", "SINCE", "AGE"]
    );
    assert_eq!(rows[1][..4], ["orders", "True", "Reachable", "localhost"]);
    Ok(())
}

async fn events_tell_the_story(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    eventually("an Event of the publication", PATIENCE, async || {
        let events = world.events().await?;
        let published = |event: &String| event.starts_with("Normal Published PostgresUser/checkout: ");
        if events.iter().any(published) {
            Ok(())
        } else {
            Err(format!("{events:?}").into())
        }
    })
    .await?;
    let leaks = world.leaks(&[&password]).await?;
    assert!(leaks.is_empty(), "{leaks:?}");
    Ok(())
}

async fn the_server_counts_its_users(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    vendor.make_by_sql("by hand", "a-long-password").await?;
    world.ready_user("checkout").await?;
    eventually("the counts", PATIENCE, async || {
        let server = world.get("PostgresServer", SERVER).await?.ok_or("no server")?;
        let users = &server.data["status"]["users"];
        match (users["managed"].as_i64(), users["unmanaged"].as_i64()) {
            (Some(1), Some(1)) => Ok(()),
            _ => Err(users.to_string().into()),
        }
    })
    .await
}

async fn a_login_is_counted_before_the_next_refresh(world: &World) -> Outcome {
    let vendor = world.start_vendor(&[]).await?;
    let _operator = world.start_operator(Default::default()).await?;
    world
        .apply_server_with(SERVER, &vendor, "refreshInterval: 1h")
        .await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    let managed = async |expected: i64| {
        eventually(&format!("{expected} to be counted"), PATIENCE, async || {
            let server = world.get("PostgresServer", SERVER).await?.ok_or("no server")?;
            let users = &server.data["status"]["users"];
            match users["managed"].as_i64() {
                Some(found) if found == expected => Ok(()),
                _ => Err(users.to_string().into()),
            }
        })
        .await
    };
    managed(0).await?;
    world.ready_user("checkout").await?;
    managed(1).await?;
    world.ready_user("reports").await?;
    managed(2).await?;
    world.delete("PostgresUser", "checkout").await?;
    world.gone("PostgresUser", "checkout", PATIENCE).await?;
    managed(1).await
}

// --------------------------------------------------------------------------------------------------- several users

async fn usernames_are_kept_exactly(world: &World) -> Outcome {
    const NAMES: [&str; 8] = [
        "Upper Case",
        "it's \"quoted\"",
        "a/b/c",
        "100%25",
        "...",
        "🐘 elephant",
        "semi;colon--",
        "drop table users",
    ];
    let _setting = world.set_up(&[]).await?;
    for (number, username) in NAMES.iter().enumerate() {
        let username = format!("username: {}", Value::from(*username));
        world
            .apply_user_with(&format!("user-{number}"), &username)
            .await?;
    }
    for (number, username) in NAMES.iter().enumerate() {
        let name = format!("user-{number}");
        world
            .user_ready(&name)
            .await
            .map_err(|error| format!("{username}: {error}"))?;
        world.login_of(&name).await?;
        assert_eq!(world.key_of(&name, "username").await?, *username);
        let uri = world.key_of(&name, "uri").await?;
        assert_eq!(
            world.postgres().psql(&uri, "select current_user").await?,
            *username
        );
    }
    Ok(())
}

async fn users_before_their_server_wait_for_it(world: &World) -> Outcome {
    let vendor = world.start_vendor(&[]).await?;
    let _operator = world.start_operator(Default::default()).await?;
    world.apply_user("checkout", SERVER).await?;
    world.user_not_ready("checkout", "ServerNotFound").await?;
    world.apply(&world.server_manifest(SERVER, &vendor, "")).await?;
    world.user_not_ready("checkout", "CredentialsNotFound").await?;
    world.apply_server(SERVER, &vendor).await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await
}

async fn credentials_may_be_a_name_and_a_password(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    let credentials = json!({"tokens": [], "basic": ["anna:s3cret: with colon"]});
    vendor.admin("POST", "tokens", Some(credentials)).await?;
    world.server_is(SERVER, "False", "Unauthorized").await?;
    let data = json!({"stringData": {"username": "anna", "password": "s3cret: with colon"}, "data": {"token": null}});
    world.merge("v1/Secret", "orders-credentials", data).await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    world.ready_user("checkout").await.map(drop)
}

async fn credentials_without_what_is_needed_are_named(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    let key = match world.provider() {
        Provider::Ionos => "token",
        Provider::Scalingo => "apiToken",
        Provider::Postgresql => "password",
    };
    let without = json!({"data": {key: null}});
    world.merge("v1/Secret", "orders-credentials", without).await?;
    let message = world.server_is(SERVER, "False", "InvalidCredentials").await?;
    assert!(
        message.contains("needs the key") && message.contains(key),
        "{message}"
    );
    world.apply_user("checkout", SERVER).await?;
    world.user_not_ready("checkout", "InvalidCredentials").await?;
    world.apply_credentials(SERVER, &vendor, TOKEN).await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await
}

async fn many_users_at_once_all_log_in(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&["busy-ms=30"]).await?;
    let names: Vec<String> = (0..12).map(|number| format!("user-{number}")).collect();
    let manifests: Vec<String> = names.iter().map(|name| user_manifest(name, SERVER, "")).collect();
    world.apply(&manifests.join("---")).await?;
    for name in &names {
        world.user_ready(name).await?;
        world.login_of(name).await?;
    }
    vendor.had("users.create", 12).await?;
    Ok(())
}

// ---------------------------------------------------------------------------------------------- generated passwords

async fn a_password_is_generated_by_the_rules_of_the_spec(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    let rules = "password: {generate: {length: 63, digits: 10, symbols: 20, symbolCharacters: \"'\\\"@:/?#%&\", noUpper: true}}";
    world.apply_user_with("checkout", rules).await?;
    world.user_ready("checkout").await?;
    let password = world.password_of("checkout").await?;
    let count = |kind: fn(&char) -> bool| password.chars().filter(kind).count();
    assert_eq!(
        (
            password.len(),
            count(char::is_ascii_digit),
            count(char::is_ascii_punctuation),
            count(char::is_ascii_uppercase)
        ),
        (63, 10, 20, 0)
    );
    world.login_of("checkout").await?;
    let uri = world.key_of("checkout", "uri").await?;
    assert_eq!(
        world.postgres().psql(&uri, "select current_user").await?,
        "checkout"
    );
    Ok(())
}

async fn rules_that_the_provider_does_not_take_are_named(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    world
        .apply_user_with("checkout", "password: {generate: {length: 64}}")
        .await?;
    let found = world.user_not_ready("checkout", "InvalidPassword").await?;
    assert!(found.message.contains("10 to 63"), "{}", found.message);
    vendor.had("users.create", 0).await?;
    world
        .apply_user_with("checkout", "password: {generate: {length: 63}}")
        .await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await
}

// ----------------------------------------------------------------------------------------- passwords of one's own

const OWN: &str = "password: {secretRef: {name: mine}}";

/// Makes a user with a password of its own, which is in the Secret `mine`.
async fn ready_with_own_password(world: &World, password: &str) -> Outcome {
    world.apply_password("mine", password).await?;
    world.apply_user_with("checkout", OWN).await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await?;
    assert_eq!(world.password_of("checkout").await?, password);
    Ok(())
}

async fn a_password_of_ones_own_is_taken(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    let password = match world.provider() {
        Provider::Scalingo => "grüße & {braces} <more> 100%",
        _ => "grüße & 'quotes' 100%",
    };
    ready_with_own_password(world, password).await?;
    let uri = world.key_of("checkout", "uri").await?;
    assert_eq!(
        world.postgres().psql(&uri, "select current_user").await?,
        "checkout"
    );
    Ok(())
}

async fn a_password_of_ones_own_is_followed(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    ready_with_own_password(world, "the-first-password-of-ones-own").await?;
    for password in [
        "the-second-password-of-ones-own",
        "the-third-password-of-ones-own",
    ] {
        let before = world.password_of("checkout").await?;
        world.apply_password("mine", password).await?;
        assert_eq!(world.other_password("checkout", &before).await?, password);
        world.login_of("checkout").await?;
        assert!(!world.postgres().accepts("checkout", &before).await?);
        world.user_ready("checkout").await?;
    }
    vendor.had("users.patch", 2).await?;
    Ok(())
}

async fn a_password_of_ones_own_may_come_later(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    world.apply_user_with("checkout", OWN).await?;
    let found = world.user_not_ready("checkout", "PasswordNotFound").await?;
    assert!(
        found.message.contains("there is no Secret \"mine\""),
        "{}",
        found.message
    );
    world
        .apply("{apiVersion: v1, kind: Secret, metadata: {name: mine}, stringData: {pass: the-password}}")
        .await?;
    eventually("the missing key to be named", PATIENCE, async || {
        let found = world.user_not_ready("checkout", "PasswordNotFound").await?;
        if found.message.contains("no key \"password\"") {
            Ok(())
        } else {
            Err(found.message.into())
        }
    })
    .await?;
    vendor.had("users.create", 0).await?;
    ready_with_own_password(world, "the-late-password-of-ones-own").await
}

async fn a_password_of_ones_own_that_goes_leaves_the_login_as_it_is(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    ready_with_own_password(world, "the-first-password-of-ones-own").await?;
    world.delete("v1/Secret", "mine").await?;
    let message = world
        .user_is("checkout", "Stalled", "True", "PasswordNotFound")
        .await?;
    assert!(message.contains("the last good password stands"), "{message}");
    world.user_ready("checkout").await?;
    world.login_of("checkout").await?;
    vendor.had("users.patch", 0).await?;
    world
        .apply_password("mine", "the-first-password-of-ones-own")
        .await?;
    world.user_is_not("checkout", "Stalled").await?;
    vendor.had("users.patch", 0).await?;
    Ok(())
}

async fn a_password_that_is_too_short_is_named_and_never_sent(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    world.apply_password("mine", "too short").await?;
    world.apply_user_with("checkout", OWN).await?;
    let found = world.user_not_ready("checkout", "InvalidPassword").await?;
    assert!(
        found.message.contains("no fewer than 10 characters"),
        "{}",
        found.message
    );
    assert!(!found.message.contains("too short is"), "the password is in it");
    vendor.had("users.create", 0).await?;
    ready_with_own_password(world, "long-enough").await
}

async fn a_password_that_becomes_too_short_leaves_the_last_good_one(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    ready_with_own_password(world, "the-first-password-of-ones-own").await?;
    world.apply_password("mine", "short").await?;
    world
        .user_is("checkout", "Stalled", "True", "InvalidPassword")
        .await?;
    world.user_ready("checkout").await?;
    assert_eq!(
        world.password_of("checkout").await?,
        "the-first-password-of-ones-own"
    );
    world.login_of("checkout").await?;
    vendor.had("users.patch", 0).await?;
    Ok(())
}

/// From now on the remote refuses to change passwords.
fn refusing(route: &str) -> Value {
    json!({"route": route, "fault": {"type": "status", "status": 422, "contentType": "application/json",
        "body": "{\"httpStatus\":422,\"messages\":[{\"errorCode\":\"paas-validation-1\",\"message\":\"too weak\"}]}"}})
}

async fn a_password_that_the_remote_refuses_is_sent_twice_and_never_again(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    vendor.fault(refusing("users.create")).await?;
    ready_with_own_password_refused(world).await?;
    world.quiet(&operator).await?;
    vendor.had("users.create", 2).await?;
    assert!(world.secret("checkout-postgres").await?.is_none());

    vendor.no_faults().await?;
    ready_with_own_password(world, "a-password-that-is-taken").await
}

async fn ready_with_own_password_refused(world: &World) -> Outcome {
    world.apply_password("mine", "a-weak-password").await?;
    world.apply_user_with("checkout", OWN).await?;
    world.user_not_ready("checkout", "Rejected").await?;
    Ok(())
}

async fn a_refused_password_is_replaced_by_one_that_is_taken(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    ready_with_own_password(world, "the-first-password-of-ones-own").await?;
    vendor.fault(refusing("users.patch")).await?;
    world.apply_password("mine", "a-weak-password").await?;
    world.user_is("checkout", "Stalled", "True", "Rejected").await?;
    world.user_ready("checkout").await?;
    assert_eq!(
        world.password_of("checkout").await?,
        "the-first-password-of-ones-own"
    );
    world.login_of("checkout").await?;

    vendor.no_faults().await?;
    world
        .apply_password("mine", "the-third-password-of-ones-own")
        .await?;
    let password = world
        .other_password("checkout", "the-first-password-of-ones-own")
        .await?;
    assert_eq!(password, "the-third-password-of-ones-own");
    world.login_of("checkout").await?;
    world.user_is_not("checkout", "Stalled").await
}

// ------------------------------------------------------------------------------------------------------- usernames

async fn a_username_that_is_reserved_is_named(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    for (name, username) in [
        ("one", "postgres"),
        ("two", "pg_monitor"),
        ("three", "public"),
        ("four", ".."),
    ] {
        world
            .apply_user_with(name, &format!("username: {username}"))
            .await?;
        let found = world.user_not_ready(name, "InvalidUsername").await?;
        assert!(found.message.contains(username), "{}", found.message);
    }
    let wide = "username: \"ääääääääääääääääääääääääääääääää\"";
    world.apply_user_with("wide", wide).await?;
    let found = world.user_not_ready("wide", "InvalidUsername").await?;
    assert!(found.message.contains("64 bytes"), "{}", found.message);
    vendor.had("users.create", 0).await?;
    Ok(())
}

async fn usernames_keep_to_the_prefix_of_the_server(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    world
        .apply_server_with(SERVER, &vendor, "usernames: {prefix: \"{namespace}.\"}")
        .await?;
    let prefix = format!("{}.", world.namespace());
    world.apply_user("checkout", SERVER).await?;
    let found = world.user_not_ready("checkout", "InvalidUsername").await?;
    assert!(found.message.contains(&prefix), "{}", found.message);
    world
        .apply_user_with("checkout-2", &format!("username: {prefix}checkout"))
        .await?;
    world.user_ready("checkout-2").await?;
    world.login_of("checkout-2").await?;

    world.apply_server(SERVER, &vendor).await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await
}

async fn usernames_keep_to_the_patterns_of_the_server(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    world
        .apply_server_with(SERVER, &vendor, "usernames: {allowed: [\"app-*\", \"*.ro\"]}")
        .await?;
    world.apply_user("checkout", SERVER).await?;
    world.user_not_ready("checkout", "InvalidUsername").await?;
    for name in ["app-checkout", "reports.ro"] {
        world.ready_user(name).await?;
    }
    Ok(())
}

// ---------------------------------------------------------------------------------------------- changes of the spec

async fn a_suspended_user_is_not_made_until_it_is_resumed(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    world.apply_user_with("checkout", "suspend: true").await?;
    world.user_not_ready("checkout", "Suspended").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    vendor.had("users.create", 0).await?;
    world.apply_user_with("checkout", "suspend: false").await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await
}

async fn a_suspended_user_is_not_rotated_until_it_is_resumed(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    world.apply_user_with("checkout", "suspend: true").await?;
    world.user_is("checkout", "Ready", "True", "Suspended").await?;
    let rotate = json!({"metadata": {"annotations": {"pguser.dev/rotate": "1"}}});
    world.merge("PostgresUser", "checkout", rotate).await?;
    world.quiet(&operator).await?;
    assert_eq!(world.password_of("checkout").await?, password);
    world.login_of("checkout").await?;
    vendor.had("users.patch", 0).await?;
    world.apply_user_with("checkout", "suspend: false").await?;
    world.other_password("checkout", &password).await?;
    world.login_of("checkout").await
}

async fn labels_of_the_secret_change_without_its_password(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    let wish = "secret: {labels: {team: checkout}, annotations: {example.com/note: ours}}";
    world.apply_user_with("checkout", wish).await?;
    secret_label(world, Some("checkout")).await?;
    world.apply_user_with("checkout", "").await?;
    secret_label(world, None).await?;
    world.user_ready("checkout").await?;
    assert_eq!(world.password_of("checkout").await?, password);
    vendor.had("users.patch", 0).await?;
    Ok(())
}

/// Waits until the Secret's label `team` is this.
async fn secret_label(world: &World, expected: Option<&str>) -> Outcome {
    eventually("the Secret's label", PATIENCE, async || {
        let secret = world
            .get("v1/Secret", "checkout-postgres")
            .await?
            .ok_or("no Secret")?;
        let labels = secret.metadata.labels.unwrap_or_default();
        match labels.get("team").map(String::as_str) == expected {
            true => Ok(()),
            false => Err(format!("{labels:?}").into()),
        }
    })
    .await
}

async fn applying_the_same_again_writes_nothing(world: &World) -> Outcome {
    let vendor = world.start_vendor(&[]).await?;
    let operator = world.start_operator(Default::default()).await?;
    world.apply_credentials(SERVER, &vendor, TOKEN).await?;
    let server = world.server_manifest(SERVER, &vendor, "");
    let manifests = server + "---" + &user_manifest("checkout", SERVER, "secret: {labels: {team: checkout}}");
    world.kubectl_apply(&manifests, &[]).await?;
    world.user_ready("checkout").await?;
    world.quiet(&operator).await?;

    let mark = world.mark()?;
    for _ in 0..2 {
        let said = world.kubectl_apply(&manifests, &[]).await?;
        assert_eq!(said.matches("unchanged").count(), 2, "{said}");
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let writes = world.writes_since(mark, &operator)?;
    assert!(writes.is_empty(), "{writes:?}");
    world.login_of("checkout").await
}
