//! What only Scalingo has: a chain of tokens, a limit of requests, users that only read, names of its own.

use std::time::Instant;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{
    APP, Handle, Options, Outcome, PATIENCE, Provider, SERVER, TOKEN, Vendor, World, eventually, trials,
    user_manifest,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment, Provider::Scalingo;
        a_user_that_only_reads_is_made_so,
        a_user_that_may_write_is_not_taken_for_one_that_only_reads,
        tokens_that_expire_are_renewed,
        tokens_that_are_revoked_are_renewed_without_anybody_noticing,
        a_bearer_token_needs_no_app,
        a_restart_right_after_a_creation_leaves_no_doubt,
        the_apps_own_user_is_never_adopted,
        a_name_that_is_too_short_or_has_other_characters_is_named,
        a_password_that_scalingo_does_not_take_is_named_and_never_sent,
        the_address_is_what_the_database_says,
        a_database_that_enforces_tls_shows_in_the_secret,
        a_limit_of_sixty_in_a_minute_is_kept_to,
        a_limit_that_is_met_all_the_same_is_waited_out,
        a_database_that_does_not_run_is_waited_for,
    )
}

// ----------------------------------------------------------------------------------------------------------- users

async fn a_user_that_only_reads_is_made_so(world: &World) -> Outcome {
    let (_vendor, operator) = world.set_up(&[]).await?;
    world
        .apply_user_with("reader", "scalingo: {readOnly: true}")
        .await?;
    world.user_ready("reader").await?;
    world.login_of("reader").await?;
    world.ready_user("writer").await?;
    let sql = "select member::regrole::text from pg_auth_members where roleid = 'pg_read_all_data'::regrole";
    assert_eq!(world.postgres().sql(sql).await?, [["reader"]]);
    world.quiet(&operator).await?;
    for name in ["reader", "writer"] {
        world.user_is_not(name, "Stalled").await?;
    }
    Ok(())
}

async fn a_user_that_may_write_is_not_taken_for_one_that_only_reads(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    vendor.make("legacy", "somebody-elses-password").await?;
    let more = "adoptionPolicy: Adopt\n  scalingo: {readOnly: true}";
    world.apply_user_with("legacy", more).await?;
    let message = world
        .user_is("legacy", "Stalled", "True", "InvalidSettings")
        .await?;
    assert!(message.contains("readOnly"), "{message}");
    world.user_ready("legacy").await?;
    world.login_of("legacy").await
}

async fn the_apps_own_user_is_never_adopted(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    let more = "username: my_app_4553\n  adoptionPolicy: Adopt";
    world.apply_user_with("own", more).await?;
    let found = world.user_not_ready("own", "AlreadyExists").await?;
    assert!(found.message.contains("system user"), "{}", found.message);
    world.quiet(&operator).await?;
    world.delete("PostgresUser", "own").await?;
    world.gone("PostgresUser", "own", PATIENCE).await?;
    for route in ["users.create", "users.patch", "users.delete"] {
        vendor.had(route, 0).await?;
    }
    Ok(())
}

async fn a_name_that_is_too_short_or_has_other_characters_is_named(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    for (name, username, rule) in [
        ("one", "short", "6 to 32"),
        ("two", "\"a-name-that-is-longer-than-thirty-two\"", "6 to 32"),
        ("three", "UpperCase", "lower-case"),
        ("four", "\"with space\"", "lower-case"),
    ] {
        world
            .apply_user_with(name, &format!("username: {username}"))
            .await?;
        let found = world.user_not_ready(name, "InvalidUsername").await?;
        assert!(found.message.contains(rule), "{}", found.message);
    }
    vendor.had("users.create", 0).await
}

async fn a_password_that_scalingo_does_not_take_is_named_and_never_sent(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    let own = "password: {secretRef: {name: mine}}";
    world.apply_password("mine", "only-twenty-characters").await?;
    world.apply_user_with("checkout", own).await?;
    let found = world.user_not_ready("checkout", "InvalidPassword").await?;
    assert!(found.message.contains("24"), "{}", found.message);
    world
        .apply_password("mine", "it's-got-a-quote-and-is-long-enough")
        .await?;
    eventually("the quote to be named", PATIENCE, async || {
        let found = world.user_not_ready("checkout", "InvalidPassword").await?;
        match found.message.contains('\'') {
            true => Ok(()),
            false => Err(found.message.into()),
        }
    })
    .await?;
    vendor.had("users.create", 0).await?;
    world
        .apply_password("mine", "it-has-no-quote-and-is-long-enough")
        .await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await
}

// ---------------------------------------------------------------------------------------------------------- tokens

/// How many tokens were fetched: of the account, and of the addon.
async fn fetched(vendor: &Vendor) -> Outcome<(u64, u64)> {
    Ok((
        vendor.requests("tokens.exchange").await?,
        vendor.requests("addons.token").await?,
    ))
}

async fn tokens_that_expire_are_renewed(world: &World) -> Outcome {
    let switches = ["scalingo-jwt-seconds=4", "scalingo-addon-token-seconds=2"];
    let (vendor, operator) = world.set_up(&switches).await?;
    let first = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    world.rotate("checkout", "1").await?;
    world.rotated("checkout", &first).await?;
    world.quiet(&operator).await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    world.ready_user("latecomer").await?;
    let (exchanged, issued) = fetched(&vendor).await?;
    assert!(exchanged >= 2 && issued >= 3, "{exchanged} and {issued} tokens");
    vendor.executed("users.patch", 1).await
}

async fn tokens_that_are_revoked_are_renewed_without_anybody_noticing(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    let first = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    assert_eq!(fetched(&vendor).await?, (1, 1));
    let mark = world.mark()?;
    let all = json!({"jwts": true, "addonTokens": true});
    vendor.admin("POST", "revoke", Some(all)).await?;
    eventually("other tokens", PATIENCE, async || {
        match fetched(&vendor).await? {
            // The first try for an addon's token is with the JWT of before.
            (2, 3) => Ok(()),
            found => Err(format!("{found:?}").into()),
        }
    })
    .await?;
    world.quiet(&operator).await?;
    let writes = world.writes_since(mark, &operator)?;
    assert!(writes.is_empty(), "{writes:?}");
    // A change meets a revoked token, too.
    vendor
        .admin("POST", "revoke", Some(json!({"addonTokens": true})))
        .await?;
    world.rotate("checkout", "1").await?;
    world.rotated("checkout", &first).await?;
    vendor.gave("checkout", 2).await
}

async fn a_bearer_token_needs_no_app(world: &World) -> Outcome {
    let vendor = world.start_vendor(&[]).await?;
    let _operator = world.start_operator(Default::default()).await?;
    let tokens = json!({"databaseTokens": ["a-ready-token"]});
    vendor.admin("POST", "tokens", Some(tokens)).await?;
    let without_app = |manifest: String| manifest.replace(&format!("app: {APP}, "), "");
    let manifest = without_app(world.server_manifest(SERVER, &vendor, ""));
    world.apply(&manifest).await?;
    world.apply_credentials(SERVER, &vendor, TOKEN).await?;
    let message = world.server_is(SERVER, "False", "InvalidCredentials").await?;
    assert!(message.contains("spec.scalingo.app"), "{message}");
    let secret = json!({"stringData": {"bearerToken": "a-ready-token"}, "data": {"apiToken": null}});
    world.merge("v1/Secret", "orders-credentials", secret).await?;
    world.ready_user("checkout").await?;
    assert_eq!(fetched(&vendor).await?, (0, 0));
    Ok(())
}

/// Neither dates nor makers are shown, and no login can be tried: but it is on record.
async fn a_restart_right_after_a_creation_leaves_no_doubt(world: &World) -> Outcome {
    // It ends after the publication, before the entry is settled.
    let options = Options::default()
        .flag("--verify-logins", "false")
        .env("PGUSER_FAILPOINT", "journal-write:before:2");
    let (vendor, mut operator) = world.set_up_with(&[], options).await?;
    world.apply_user("checkout", SERVER).await?;
    operator.exit().await?;
    assert_eq!(world.journal_entries().await?.len(), 1, "it was settled before");
    let password = world.password_of("checkout").await?;
    operator.reconfigure(|options| options.env("PGUSER_FAILPOINT", ""));
    operator.restart().await?;
    world.journal_empty().await?;
    world.quiet(&operator).await?;
    world.user_ready("checkout").await?;
    world.user_is_not("checkout", "Stalled").await?;
    assert_eq!(world.password_of("checkout").await?, password);
    world.login_of("checkout").await?;
    vendor.gave("checkout", 1).await
}

// ------------------------------------------------------------------------------------------------------ connection

async fn the_address_is_what_the_database_says(world: &World) -> Outcome {
    let vendor = world.start_vendor(&["scalingo-force-ssl=off"]).await?;
    let mut operator = world.start_operator(Default::default()).await?;
    world.apply_server_with(SERVER, &vendor, "connection: {}").await?;
    world.apply_user("checkout", SERVER).await?;
    world.user_ready("checkout").await?;
    let secret = world.secret("checkout-postgres").await?.unwrap_or_default();
    let port = world.postgres().port().to_string();
    for (key, value) in [
        ("host", "localhost"),
        ("port", port.as_str()),
        ("database", "my_app_4553"),
        ("sslmode", "prefer"),
    ] {
        assert_eq!(secret[key], value, "{key}");
    }
    let message = world
        .user_is("checkout", "CredentialsVerified", "Unknown", "Unverifiable")
        .await?;
    assert!(!message.is_empty());

    // It moves, which is looked at once in an hour, and by whoever starts.
    let moved = json!({"hostname": format!("127.0.0.1:{port}")});
    vendor.admin("POST", "database", Some(moved)).await?;
    operator.restart().await?;
    eventually("the Secret to follow", PATIENCE, async || {
        match world.key_of("checkout", "host").await?.as_str() {
            "127.0.0.1" => Ok(()),
            other => Err(other.into()),
        }
    })
    .await
}

async fn a_database_that_enforces_tls_shows_in_the_secret(world: &World) -> Outcome {
    let vendor = world.start_vendor(&["scalingo-force-ssl=on"]).await?;
    let _operator = world.start_operator(Default::default()).await?;
    world
        .apply_server_with(SERVER, &vendor, "connection: {database: postgres}")
        .await?;
    world.ready_user("checkout").await?;
    assert_eq!(world.key_of("checkout", "sslmode").await?, "require");
    Ok(())
}

// -------------------------------------------------------------------------------------------------------- its limit

fn users(count: usize) -> String {
    let users = (0..count).map(|number| user_manifest(&format!("user-{number}"), SERVER, ""));
    users.collect::<Vec<_>>().join("---")
}

async fn asked(vendor: &Vendor) -> Outcome<Vec<Value>> {
    vendor.journal().await
}

async fn a_limit_of_sixty_in_a_minute_is_kept_to(world: &World) -> Outcome {
    const USERS: usize = 12;
    let vendor = world.start_vendor(&["scalingo-rate-limit=60"]).await?;
    let operator = world.start_operator(Default::default()).await?;
    // As it is by default.
    let usual = "limits: {}\n  refreshInterval: 10m";
    world.apply_server_with(SERVER, &vendor, usual).await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    let before = asked(&vendor).await?.len();
    let started = Instant::now();
    world.apply(&users(USERS)).await?;
    for number in 0..USERS {
        world.user_ready(&format!("user-{number}")).await?;
    }
    let elapsed = started.elapsed();
    world.quiet(&operator).await?;
    let requests = asked(&vendor).await?;
    let spent = requests.len() - before;
    println!(
        "{USERS} users were ready after {elapsed:?}, for {spent} requests after {before} of the server's own"
    );
    assert!(
        requests.iter().all(|entry| entry["status"] != 429),
        "it was throttled"
    );
    vendor.had("users.create", USERS as u64).await?;
    assert!(spent <= USERS + 20, "{spent} requests for {USERS} users");
    assert_eq!(fetched(&vendor).await?, (1, 1));
    Ok(())
}

/// Somebody else uses up the account: `Retry later`, in plain text, and no word of when.
async fn a_limit_that_is_met_all_the_same_is_waited_out(world: &World) -> Outcome {
    let switches = ["scalingo-rate-limit=6", "rate-window-ms=2000"];
    let (vendor, _operator) = world.set_up(&switches).await?;
    world.apply(&users(6)).await?;
    for number in 0..6 {
        let name = format!("user-{number}");
        world.user_ready(&name).await?;
        world.login_of(&name).await?;
    }
    let throttled = asked(&vendor).await?;
    let throttled = throttled.iter().filter(|entry| entry["status"] == 429);
    let throttled = throttled.count();
    println!("{throttled} requests were turned away");
    assert!(throttled > 0, "the limit was not met");
    vendor.executed("users.create", 6).await?;
    let leaks = world.leaks(&[TOKEN]).await?;
    assert!(leaks.is_empty(), "{leaks:?}");
    Ok(())
}

async fn a_database_that_does_not_run_is_waited_for(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    let stopped = json!({"status": "updating"});
    vendor.admin("POST", "database", Some(stopped)).await?;
    world.apply_user("latecomer", SERVER).await?;
    eventually("the latecomer to wait", PATIENCE, async || {
        match world.condition("PostgresUser", "latecomer", "Ready").await? {
            Some(found) if found.status == "False" => Ok(()),
            found => Err(format!("{found:?}").into()),
        }
    })
    .await?;
    world.user_ready("checkout").await?;
    let running = json!({"status": "running"});
    vendor.admin("POST", "database", Some(running)).await?;
    world.user_ready("latecomer").await?;
    world.login_of("latecomer").await
}
