//! Servers that look at passwords: the operator's sessions have a check of passwords as its login's `session_preload_libraries` says.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use pguser_operator::domain::remote::SslMode;
use pguser_operator::provider::gate::Gate;
use pguser_operator::provider::postgresql::{Postgresql, PostgresqlConfig};
use pguser_operator::provider::{ErrorClass, RemoteError};

use crate::support::{ADMIN_PASSWORD, Client, World, assert_class, assert_says, job, settings, tests};

tests! {
    a_server_that_wants_to_see_passwords_is_told_of_and_gets_them_if_it_may,
    a_check_that_takes_hashes_takes_ours,
    a_refusal_for_another_reason_stays_what_it_is,
    a_password_that_is_sent_as_it_is_means_what_it_says,
    passwords_are_sent_as_they_are_to_a_verified_server_only,
    where_the_log_can_be_stopped_no_password_is_in_it,
}

fn make_admin(world: &World, name: &str) {
    world.server.sql(&format!(
        "SET password_encryption = 'scram-sha-256'; CREATE ROLE {name} CREATEROLE LOGIN PASSWORD '{ADMIN_PASSWORD}'"
    ));
}

/// Makes an administrator whose sessions have this library.
fn make_checked(world: &World, name: &str, library: &str) {
    make_admin(world, name);
    world.server.sql(&format!(
        "ALTER ROLE {name} SET session_preload_libraries = '{library}'"
    ));
}

/// Builds the check, which refuses hashes by this SQLSTATE.
fn check(world: &World, code: &str) -> String {
    let place = world.server.data().join(format!("check_{code}.so"));
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/provider_postgresql/password_check.c"
    );
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_string());
    let built = Command::new(compiler)
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror"])
        .arg(format!("-DPG={}", world.version / 10000 * 10000))
        .arg(format!("-DREFUSAL=\"{code}\""))
        .arg("-o")
        .arg(&place)
        .arg(source)
        .output()
        .expect("there is a C compiler, which the operator's own build needs");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
    // The server may be another user's.
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
    place.to_str().unwrap().to_string()
}

fn client(world: &World, admin: &str, send_plaintext_passwords: bool) -> Client {
    let config = PostgresqlConfig {
        send_plaintext_passwords,
        ..world.config(admin)
    };
    Client::new(config, Duration::from_secs(30))
}

#[track_caller]
fn refusal<T: std::fmt::Debug>(result: Result<T, RemoteError>, code: &str, says: &str) {
    let error = assert_class(result, ErrorClass::Invalid);
    assert_says(&error, &format!("SQLSTATE {code}: "));
    assert_says(&error, says);
}

const WANTS_TEXT: &str = "wants to see the text";

async fn a_server_that_wants_to_see_passwords_is_told_of_and_gets_them_if_it_may(world: &World) {
    // What credcheck answers today, and what it answered first; what others may.
    for code in ["28000", "XX000", "0A000", "42501"] {
        let admin = format!("checked_{}", code.to_lowercase());
        make_checked(world, &admin, &check(world, code));
        let name = format!("seen_by_{code}");
        let job = job(&name);
        let says = if code == "42501" {
            "does not like the password"
        } else {
            WANTS_TEXT
        };
        let hashing = client(world, &admin, false);
        refusal(hashing.create(&job, "hidden-1").await, code, says);
        assert!(!world.exists(&name));
        let sending = client(world, &admin, true);
        let made = sending.create(&job, "shown-1").await.unwrap();
        assert_eq!(made.username, name);
        assert!(world.logs_in(&name, "shown-1").await);
        refusal(hashing.set(&job, "hidden-2").await, code, says);
        assert!(world.logs_in(&name, "shown-1").await);
        sending.set(&job, "shown-2").await.unwrap();
        assert!(world.logs_in(&name, "shown-2").await);
        // What the check finds wrong with a text is for who decides how passwords are made.
        refusal(sending.set(&job, "shown").await, "22023", "spec.password");
        assert!(world.logs_in(&name, "shown-2").await);
        // What needs no password goes on as ever.
        hashing.configure(&job).await.unwrap();
        hashing.delete(&job).await.unwrap();
    }
}

/// PostgreSQL's own looks at a hash only for the login's name.
async fn a_check_that_takes_hashes_takes_ours(world: &World) {
    make_checked(world, "lenient", "passwordcheck");
    let (hashing, sending) = (client(world, "lenient", false), client(world, "lenient", true));
    let job = job("leniently");
    hashing.create(&job, "pLaInTeXt-1").await.unwrap();
    refusal(hashing.set(&job, "leniently").await, "22023", WANTS_TEXT);
    for refused in ["short1", "leniently-1-and-more", "onlyletters"] {
        refusal(sending.set(&job, refused).await, "22023", "spec.password");
    }
    assert!(world.logs_in("leniently", "pLaInTeXt-1").await);
    sending.set(&job, "long-enough-2").await.unwrap();
    assert!(world.logs_in("leniently", "long-enough-2").await);
}

async fn a_refusal_for_another_reason_stays_what_it_is(world: &World) {
    make_checked(world, "hindered", &check(world, "28000"));
    for sends in [false, true] {
        let client = client(world, "hindered", sends);
        let reserved = client.create(&job("pg_x"), "odd-1").await;
        refusal(reserved, "42939", "keeps that name for itself");
        assert_class(client.set(&job("not_there"), "odd-1").await, ErrorClass::NotFound);
        assert_class(client.create(&job("boss"), "odd-1").await, ErrorClass::Conflict);
    }
}

/// Whatever the session has: a string is one, what looks like a hash is a password, and what is kept is good for SCRAM.
async fn a_password_that_is_sent_as_it_is_means_what_it_says(world: &World) {
    world.server.sql(&format!(
        "SET password_encryption = 'scram-sha-256'; CREATE ROLE odd_one SUPERUSER LOGIN PASSWORD '{ADMIN_PASSWORD}'; \
         ALTER ROLE odd_one SET password_encryption = 'md5'"
    ));
    for conforming in ["on", "off"] {
        world.server.sql(&format!(
            "ALTER ROLE odd_one SET standard_conforming_strings = {conforming}"
        ));
        let client = client(world, "odd_one", true);
        let name = format!("sent_{conforming}");
        let job = job(&name);
        let hash = format!("md5{}", "0".repeat(32));
        let kept = format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{name}'");
        client.create(&job, "first").await.unwrap();
        let mut stamps = Vec::new();
        for password in [
            "it's \\ \"odd\" $$; DROP ROLE boss; --\n",
            "\\'; SELECT 1; --",
            "ünïcödé-🦀\u{ad}\u{7}",
            "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA",
            &hash,
            &hash,
        ] {
            let set = client.set(&job, password).await.unwrap();
            assert!(world.logs_in(&name, password).await, "{password:?}");
            assert!(world.value(&kept).unwrap().starts_with("SCRAM-SHA-256$"));
            // It is what is read later on, by which a change is known.
            let read = client.get(&name).await.unwrap();
            assert_eq!(read.traits.password_stamp, set.traits.password_stamp);
            stamps.push(set.traits.password_stamp.unwrap());
        }
        stamps.dedup();
        assert_eq!(stamps.len(), 5, "each password has another stamp");
    }
}

async fn passwords_are_sent_as_they_are_to_a_verified_server_only(world: &World) {
    use SslMode::{Disable, Prefer, Require, VerifyCa, VerifyFull};
    for (sslmode, may) in [
        (VerifyFull, true),
        (VerifyCa, true),
        (Require, false),
        (Prefer, false),
        (Disable, false),
    ] {
        let config = PostgresqlConfig {
            sslmode,
            allow_insecure: true,
            send_plaintext_passwords: true,
            ..world.config("boss")
        };
        let made = Postgresql::new(config, &settings(Duration::from_secs(9)), Gate::closed());
        match may {
            true => drop(made.unwrap()),
            false => assert_says(
                &assert_class(made, ErrorClass::Invalid),
                "spec.postgresql.sendPlaintextPasswords needs spec.postgresql.sslmode verify-full or verify-ca",
            ),
        }
    }
}

/// By a superuser, and since PostgreSQL 15 by who was given SET on the parameters.
async fn where_the_log_can_be_stopped_no_password_is_in_it(world: &World) {
    make_admin(world, "logged");
    make_admin(world, "unlogged");
    let mut admins = vec![("boss", true), ("logged", false)];
    if world.version >= 150_000 {
        world
            .server
            .sql("GRANT SET ON PARAMETER log_statement, log_min_error_statement TO unlogged");
        admins.push(("unlogged", true));
    }
    for (admin, is_silent) in admins {
        let client = client(world, admin, true);
        let name = format!("told_by_{admin}");
        // Refused, too: a statement that fails is logged by another parameter.
        client
            .create(&job(&name), &format!("tOlD-{admin}"))
            .await
            .unwrap();
        let again = client.create(&job(&name), &format!("tOlD-again-{admin}")).await;
        assert_class(again, ErrorClass::Conflict);
        let log = world.server.log();
        assert_eq!(!log.contains(&format!("tOlD-{admin}")), is_silent, "{admin}");
        assert_eq!(
            !log.contains(&format!("tOlD-again-{admin}")),
            is_silent,
            "{admin}"
        );
        // And only what is about passwords.
        assert!(log.contains(&format!("COMMENT ON ROLE \"{name}\"")) != is_silent);
        client.configure(&job(&name)).await.unwrap();
        assert!(
            world
                .server
                .log()
                .contains(&format!("ALTER ROLE \"{name}\" LOGIN"))
        );
    }
}
