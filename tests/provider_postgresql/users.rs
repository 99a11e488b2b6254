//! Users are made, read, and given passwords.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use pguser_operator::provider::postgresql::PostgresqlConfig;
use pguser_operator::provider::{ClusterState, Creator, ErrorClass, Provider};

use crate::support::{
    ADMIN_PASSWORD, ADMINS, Client, SECRET, World, assert_class, assert_says, job, mark_text, ours, role,
    tests,
};

tests! {
    a_user_is_made_and_logs_in,
    a_password_is_replaced_and_the_old_one_is_none_any_more,
    the_same_password_again_changes_nothing_and_another_one_shows,
    any_name_and_any_password_will_do,
    a_database_of_another_encoding_takes_the_names_that_it_can_hold,
    a_password_is_hashed_as_often_as_the_server_asks,
    no_password_reaches_the_log,
    who_is_no_login_of_an_application_is_protected,
    a_name_that_cannot_be_is_refused_here,
    thousands_are_listed_in_one_call,
    the_cluster_is_available,
}

async fn a_user_is_made_and_logs_in(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let name = format!("made_by_{admin}");
        let job = job(&name);
        assert_eq!(client.get(&name).await, None);
        let user = client.create(&job, "pLaInTeXt-1").await.unwrap();
        assert_eq!(user.username, name);
        assert_eq!(user.creator, Creator::Marked(ours()));
        assert!(!user.protected);
        assert!(role(&user).login);
        assert_eq!(user.traits.password_stamp.is_some(), admin == "boss");
        assert!(world.logs_in(&name, "pLaInTeXt-1").await);
        assert_eq!(client.get(&name).await.as_ref(), Some(&user));
        let listing = client.provider.list().await.unwrap();
        assert_eq!(listing.value.pages, 1);
        assert!(listing.value.users.contains(&user));
        let off = Timestamp::now().duration_since(listing.date.unwrap());
        assert!(off.as_secs().abs() < 60, "{off:?}");
        assert_eq!(world.comment(&name), Some(mark_text(&ours())));
        let again = client.create(&job, "pLaInTeXt-2").await;
        assert_class(again, ErrorClass::Conflict);
        assert!(world.logs_in(&name, "pLaInTeXt-1").await);
    }
}

async fn a_password_is_replaced_and_the_old_one_is_none_any_more(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let name = format!("replaced_by_{admin}");
        let job = job(&name);
        assert_class(client.set(&job, "pLaInTeXt-1").await, ErrorClass::NotFound);
        client.create(&job, "pLaInTeXt-1").await.unwrap();
        let user = client.set(&job, "pLaInTeXt-2").await.unwrap();
        assert_eq!(user.creator, Creator::Marked(ours()));
        assert!(!world.logs_in(&name, "pLaInTeXt-1").await);
        assert!(world.logs_in(&name, "pLaInTeXt-2").await);
    }
}

async fn the_same_password_again_changes_nothing_and_another_one_shows(world: &World) {
    let client = world.client("boss");
    let job = job("stamped");
    let verifier = || world.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'stamped'");
    let made = client.create(&job, "pLaInTeXt-1").await.unwrap();
    let kept = verifier();
    assert!(kept.as_ref().unwrap().starts_with("SCRAM-SHA-256$4096:"));
    let again = client.set(&job, "pLaInTeXt-1").await.unwrap();
    assert_eq!(again.traits.password_stamp, made.traits.password_stamp);
    assert_eq!(verifier(), kept);
    for sql in [
        "ALTER ROLE stamped PASSWORD 'pLaInTeXt-of-somebody-else'",
        "ALTER ROLE stamped PASSWORD NULL",
    ] {
        // Not through the log, which another test reads.
        world.server.sql(sql);
        let changed = client.get("stamped").await.unwrap();
        assert_ne!(changed.traits.password_stamp, made.traits.password_stamp);
        assert!(changed.traits.password_stamp.is_some());
    }
    let back = client.set(&job, "pLaInTeXt-1").await.unwrap();
    assert_eq!(back.traits.password_stamp, made.traits.password_stamp);
    let stamp = back.traits.password_stamp.unwrap();
    assert!(!kept.unwrap().contains(&stamp) && stamp.len() == 64);
}

async fn any_name_and_any_password_will_do(world: &World) {
    const ODD: &str = "Odd \"one\" 'x' \\ % /?&= ;-- ü🦀 aaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    assert_eq!(ODD.len(), 63);
    let names = [
        ODD,
        "a",
        " ",
        "ALL",
        "user",
        "$$",
        "ü",
        "a.b",
        "\u{202e}x",
        "tab\tnew\nline",
    ];
    let passwords = [
        "pLaInTeXt ",
        "pLaInTeXt'\"\\$$",
        "pLaInTeXt-ünïcödé-🦀",
        // Two spellings of one text, a soft hyphen, a space that is none.
        "pLaInTeXt-u\u{308}-\u{fb01}",
        "pLaInTeXt\u{ad}\u{a0}x",
        // What SASLprep refuses.
        "pLaInTeXt\u{7}",
        "\u{627}pLaInTeXt1",
    ];
    for admin in ADMINS {
        let client = world.client(admin);
        for (count, name) in names.iter().enumerate() {
            let job = job(name);
            let password = passwords[count % passwords.len()];
            client.create(&job, password).await.unwrap();
            assert!(world.logs_in(name, password).await, "{name:?} {password:?}");
            assert_eq!(client.get(name).await.unwrap().username, *name);
        }
        for password in passwords {
            client.set(&job(ODD), password).await.unwrap();
            assert!(world.logs_in(ODD, password).await, "{password:?}");
        }
        for name in names {
            client.delete(&job(name)).await.unwrap();
            assert_eq!(client.get(name).await, None);
        }
    }
}

/// A login has the name that its client sends, in bytes; some encodings do not let all bytes pass.
async fn a_database_of_another_encoding_takes_the_names_that_it_can_hold(world: &World) {
    for (database, encoding, takes_all) in [("latin", "LATIN1", true), ("euc", "EUC_JP", false)] {
        world.server.sql(&format!(
            "CREATE DATABASE {database} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"
        ));
        let config = PostgresqlConfig {
            database: database.to_string(),
            ..world.config("clerk")
        };
        let client = Client::new(config, Duration::from_secs(30));
        for name in ["plain", "müller", "em😀ji"] {
            let name = format!("{name}_from_{database}");
            let job = job(&name);
            let made = client.create(&job, "pLaInTeXt").await;
            // In EUC_JP the bytes of some other characters mean something, too.
            if takes_all || !name.contains('😀') {
                assert_eq!(made.unwrap().username, name);
                assert!(world.logs_in(&name, "pLaInTeXt").await);
                client.delete(&job).await.unwrap();
                continue;
            }
            assert_says(&assert_class(made, ErrorClass::Invalid), "a database in UTF-8");
            let read = client.provider.get(&name).await;
            assert_class(read, ErrorClass::Invalid);
        }
    }
}

/// `scram_iterations`, which PostgreSQL 16 brought.
async fn a_password_is_hashed_as_often_as_the_server_asks(world: &World) {
    world.server.sql(&format!(
        "SET password_encryption = 'scram-sha-256'; CREATE ROLE thorough SUPERUSER LOGIN PASSWORD '{ADMIN_PASSWORD}'"
    ));
    let expected = if world.has_admin_option() {
        world
            .server
            .sql("ALTER ROLE thorough SET scram_iterations = 12345");
        "SCRAM-SHA-256$12345"
    } else {
        "SCRAM-SHA-256$4096"
    };
    let client = world.client("thorough");
    client.create(&job("hashed"), "pLaInTeXt").await.unwrap();
    let kept = "SELECT split_part(rolpassword, ':', 1) FROM pg_authid WHERE rolname = 'hashed'";
    assert_eq!(world.value(kept).as_deref(), Some(expected));
    assert!(world.logs_in("hashed", "pLaInTeXt").await);
    client.set(&job("hashed"), "pLaInTeXt-2").await.unwrap();
    assert_eq!(world.value(kept).as_deref(), Some(expected));
}

async fn no_password_reaches_the_log(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let job = job(&format!("unlogged_{admin}"));
        client.create(&job, "pLaInTeXt-1").await.unwrap();
        client.set(&job, "pLaInTeXt-2").await.unwrap();
        client.configure(&job).await.unwrap();
        client.delete(&job).await.unwrap();
    }
    let log = world.server.log();
    assert!(log.contains("CREATE ROLE \"unlogged_clerk\" LOGIN PASSWORD 'SCRAM-SHA-256$"));
    let shown: Vec<_> = log.lines().filter(|line| line.contains(SECRET)).collect();
    assert!(shown.is_empty(), "{shown:?}");
}

async fn who_is_no_login_of_an_application_is_protected(world: &World) {
    world.server.sql(
        "CREATE ROLE some_group; CREATE ROLE some_replica LOGIN REPLICATION; CREATE ROLE some_login LOGIN; \
         CREATE ROLE some_super SUPERUSER; CREATE ROLE some_locked",
    );
    world.server.sql(&format!(
        "COMMENT ON ROLE some_locked IS '{}'",
        mark_text(&ours())
    ));
    let client = world.client("clerk");
    for name in [
        "postgres",
        "boss",
        "clerk",
        "some_group",
        "some_replica",
        "some_super",
        "pg_monitor",
        "pg_signal_backend",
    ] {
        let user = client.get(name).await.unwrap();
        assert!(user.protected, "{name}");
        assert_eq!(user.creator, Creator::System, "{name}");
        for job in [job(name), job(name).adopting()] {
            assert_class(client.set(&job, "pLaInTeXt").await, ErrorClass::NotFound);
            assert_class(client.configure(&job).await, ErrorClass::NotFound);
            assert_class(client.delete(&job).await, ErrorClass::NotFound);
        }
        assert!(world.exists(name));
    }
    let user = client.get("some_login").await.unwrap();
    assert!(!user.protected);
    assert_eq!(user.creator, Creator::Unmanaged);
    let locked = client.get("some_locked").await.unwrap();
    assert!(!locked.protected);
    assert!(!role(&locked).login);
    assert_eq!(locked.creator, Creator::Marked(ours()));
}

async fn a_name_that_cannot_be_is_refused_here(world: &World) {
    let client = world.client("clerk");
    let long = "ü".repeat(32);
    for name in ["", "a\0b", &long] {
        assert_class(client.create(&job(name), "pLaInTeXt").await, ErrorClass::Invalid);
        assert_class(client.set(&job(name), "pLaInTeXt").await, ErrorClass::Invalid);
        assert_class(client.delete(&job(name)).await, ErrorClass::Invalid);
        assert_class(client.provider.get(name).await, ErrorClass::Invalid);
    }
    for name in ["pg_mine", "public"] {
        let error = assert_class(client.create(&job(name), "pLaInTeXt").await, ErrorClass::Invalid);
        assert!(error.detail.contains("42939"), "{error}");
    }
}

async fn thousands_are_listed_in_one_call(world: &World) {
    world.server.sql(
        "DO $$ BEGIN FOR n IN 1..3000 LOOP EXECUTE format('CREATE ROLE bulk_%s LOGIN', n); \
         EXECUTE format('COMMENT ON ROLE bulk_%s IS %L', n, 'of the bulk'); END LOOP; END $$",
    );
    for admin in ADMINS {
        let client = world.client(admin);
        client.get("boss").await;
        let started = Instant::now();
        let listing = client.provider.list().await.unwrap().value;
        let took = started.elapsed();
        let bulk = listing
            .users
            .iter()
            .filter(|user| user.username.starts_with("bulk_"))
            .count();
        assert_eq!((bulk, listing.pages), (3000, 1));
        println!("a list of {} roles took {took:?}", listing.users.len());
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    world
        .server
        .sql("DO $$ BEGIN FOR n IN 1..3000 LOOP EXECUTE format('DROP ROLE bulk_%s', n); END LOOP; END $$");
}

async fn the_cluster_is_available(world: &World) {
    for admin in ADMINS {
        let answer = world.client(admin).provider.cluster().await.unwrap();
        assert_eq!(answer.value.state, ClusterState::Available);
        assert!(answer.date.is_some());
    }
}
