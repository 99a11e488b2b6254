//! Two logins that take turns: whoever has read the Secret within the overlap gets in.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::{
    Handle, Outcome, PATIENCE, Provider, SERVER, World, eventually, trials, trials_everywhere,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    let everywhere = trials_everywhere!(environment;
        two_logins_take_turns_and_the_one_of_before_works_until_its_overlap_is_over,
        a_client_gets_in_through_ten_rotations_and_three_crashes,
        a_login_moves_to_taking_turns_and_back_and_loses_nothing,
        no_login_is_left_when_the_object_is_gone,
        a_secret_that_is_lost_is_written_for_the_other_login,
        a_secret_has_the_login_of_before_until_that_is_retired,
    );
    let once = trials!(environment;
        both_names_are_claimed_before_anything_is_made,
        what_cannot_take_turns_is_refused_or_said,
    );
    // By SQL they are members of a role that owns what they make.
    let by_sql = trials!(environment, Provider::Postgresql;
        what_one_makes_the_other_has_too,
        a_login_in_use_is_retired_once_nobody_uses_it,
        sessions_of_before_end_with_a_rotation,
        a_retired_login_stays_out,
    );
    everywhere.chain(once).chain(by_sql).collect()
}

fn taking_turns(overlap: &str, more: &str) -> String {
    format!("rotation: {{strategy: Alternating, overlap: {overlap}{more}}}")
}

async fn apply(world: &World, more: &str) -> Outcome {
    world.apply_user_with("checkout", more).await
}

async fn rotate(world: &World, value: usize) -> Outcome {
    let change = json!({"metadata": {"annotations": {"pguser.dev/rotate": value.to_string()}}});
    world.merge("PostgresUser", "checkout", change).await
}

/// What the Secret says: who logs in, and with what.
async fn published(world: &World) -> Outcome<(String, String)> {
    let secret = world
        .secret("checkout-postgres")
        .await?
        .ok_or("there is no Secret")?;
    let key = |key: &str| secret.get(key).cloned().ok_or(format!("there is no {key}"));
    Ok((key("username")?, key("password")?))
}

async fn turned_over(world: &World, before: &(String, String)) -> Outcome<(String, String)> {
    let after = eventually("another login in the Secret", PATIENCE, async || {
        let after = published(world).await?;
        match after.0 == before.0 {
            true => Err(format!("it is {}", after.0).into()),
            false => Ok(after),
        }
    })
    .await?;
    assert!(works(world, &after).await?, "what was published does not log in");
    Ok(after)
}

async fn works(world: &World, (username, password): &(String, String)) -> Outcome<bool> {
    world.postgres().accepts(username, password).await
}

async fn stops_working(world: &World, login: &(String, String)) -> Outcome {
    eventually(
        "the login of before to be retired",
        PATIENCE,
        async || match works(world, login).await? {
            true => Err(format!("{} still logs in", login.0).into()),
            false => Ok(()),
        },
    )
    .await
}

async fn records(world: &World) -> Outcome<Vec<Value>> {
    let user = world
        .get("PostgresUser", "checkout")
        .await?
        .ok_or("there is no checkout")?;
    Ok(user.data["status"]["remoteUsers"]
        .as_array()
        .cloned()
        .unwrap_or_default())
}

/// Waits until no login works but the published one.
async fn at_rest(world: &World) -> Outcome {
    eventually("one login to work", PATIENCE, async || {
        let all = records(world).await?;
        let waiting = all
            .iter()
            .filter(|record| !record["retireAfter"].is_null() && record["retired"].is_null());
        match waiting.count() {
            0 => Ok(()),
            _ => Err(format!("{all:?}").into()),
        }
    })
    .await
}

async fn two_logins_take_turns_and_the_one_of_before_works_until_its_overlap_is_over(
    world: &World,
) -> Outcome {
    let (_vendor, operator) = world.set_up(&[]).await?;
    apply(world, &taking_turns("4s", "")).await?;
    world.user_ready("checkout").await?;
    let first = published(world).await?;
    assert_eq!(first.0, "checkout_a");
    rotate(world, 1).await?;
    let began = Instant::now();
    let second = turned_over(world, &first).await?;
    assert_eq!(second.0, "checkout_b");
    let published_at = Instant::now();
    assert!(works(world, &first).await?, "the overlap has only begun");
    // A rotation that is asked for meanwhile waits.
    rotate(world, 2).await?;
    while published_at.elapsed() < Duration::from_secs(2) {
        assert!(works(world, &first).await?, "the overlap is not over");
        assert!(works(world, &second).await?);
        sleep(Duration::from_millis(200)).await;
    }
    let third = turned_over(world, &second).await?;
    assert!(
        began.elapsed() >= Duration::from_secs(3),
        "the overlap was shortened"
    );
    assert_eq!(third.0, "checkout_a");
    assert_ne!(third.1, first.1);
    assert!(!works(world, &first).await?, "the first password works again");
    stops_working(world, &second).await?;
    at_rest(world).await?;
    assert!(works(world, &third).await?);
    world.quiet(&operator).await?;
    let user = world
        .get("PostgresUser", "checkout")
        .await?
        .ok_or("there is no checkout")?;
    assert_eq!(user.data["status"]["username"], "checkout_a");
    assert_eq!(user.data["status"]["lastHandledRotation"], "2");
    Ok(())
}

/// Connects every 50 ms with what the Secret said half a second ago at most, as one that is mounted does.
async fn connect_again_and_again(
    world: &World,
    over: &AtomicBool,
    connected: &AtomicUsize,
) -> Outcome<Vec<String>> {
    let mut failures = Vec::new();
    let mut mounted = published(world).await?;
    let mut read = Instant::now();
    while !over.load(Ordering::Relaxed) {
        if read.elapsed() > Duration::from_millis(500) {
            (mounted, read) = (published(world).await?, Instant::now());
        }
        match works(world, &mounted).await {
            Ok(true) => drop(connected.fetch_add(1, Ordering::Relaxed)),
            Ok(false) => failures.push(format!("{} was refused", mounted.0)),
            Err(error) => failures.push(error.to_string()),
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(failures)
}

async fn a_client_gets_in_through_ten_rotations_and_three_crashes(world: &World) -> Outcome {
    let (_vendor, mut operator) = world.set_up(&[]).await?;
    apply(world, &taking_turns("2s", "")).await?;
    world.user_ready("checkout").await?;
    let (over, connected) = (AtomicBool::new(false), AtomicUsize::new(0));
    let rotations = async {
        let mut before = published(world).await?;
        for number in 1..=10 {
            rotate(world, number).await?;
            if number % 3 == 0 {
                // Somewhere in the midst of it.
                sleep(Duration::from_millis(40 * u64::try_from(number)?)).await;
                operator.kill();
                operator.start()?;
            }
            let patience = eventually("the next login", PATIENCE * 2, async || {
                let after = published(world).await?;
                match after.0 == before.0 {
                    true => Err("it is the one of before".into()),
                    false => Ok(after),
                }
            });
            before = patience.await?;
        }
        at_rest(world).await
    };
    let (rotated, failures) = tokio::join!(
        async {
            let rotated = rotations.await;
            over.store(true, Ordering::Relaxed);
            rotated
        },
        connect_again_and_again(world, &over, &connected)
    );
    rotated?;
    let failures = failures?;
    let connected = connected.load(Ordering::Relaxed);
    assert!(
        failures.is_empty(),
        "{} of {connected}: {failures:?}",
        failures.len()
    );
    assert!(connected > 50, "{connected}");
    Ok(())
}

async fn a_login_moves_to_taking_turns_and_back_and_loses_nothing(world: &World) -> Outcome {
    let (_vendor, operator) = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    let in_place = published(world).await?;
    let change = json!({"spec": {"rotation": {"strategy": "Alternating", "overlap": "3s"}}});
    world.merge("PostgresUser", "checkout", change).await?;
    let first = turned_over(world, &in_place).await?;
    assert_eq!(first.0, "checkout_a");
    assert!(
        works(world, &in_place).await?,
        "the login of before works through the overlap"
    );
    stops_working(world, &in_place).await?;
    assert!(works(world, &first).await?);
    rotate(world, 1).await?;
    let second = turned_over(world, &first).await?;
    world
        .merge("PostgresUser", "checkout", json!({"spec": {"rotation": null}}))
        .await?;
    let back = turned_over(world, &second).await?;
    assert_eq!(back.0, "checkout");
    assert!(
        works(world, &second).await?,
        "and back: the login of before works through the overlap"
    );
    // That is an hour now, since nothing says otherwise.
    let status = json!({"status": {"remoteUsers": ended(&records(world).await?)}});
    world.merge_status("PostgresUser", "checkout", status).await?;
    eventually("one login", PATIENCE, async || {
        let all = records(world).await?;
        match all.len() {
            1 => Ok(()),
            _ => Err(format!("{all:?}").into()),
        }
    })
    .await?;
    for member in ["checkout_a", "checkout_b"] {
        assert!(!world.postgres().has_role(member).await?, "{member} is left");
    }
    world.quiet(&operator).await?;
    world.login_of("checkout").await
}

/// The records with every overlap over.
fn ended(records: &[Value]) -> Vec<Value> {
    let mut all = records.to_vec();
    for record in all.iter_mut().filter(|record| !record["retireAfter"].is_null()) {
        record["retireAfter"] = json!("2026-01-01T00:00:00Z");
    }
    all
}

async fn no_login_is_left_when_the_object_is_gone(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    let in_place = published(world).await?;
    let change = json!({"spec": {"rotation": {"strategy": "Alternating", "overlap": "1s"}}});
    world.merge("PostgresUser", "checkout", change).await?;
    let first = turned_over(world, &in_place).await?;
    rotate(world, 1).await?;
    turned_over(world, &first).await?;
    assert!(records(world).await?.len() >= 3);
    world.delete("PostgresUser", "checkout").await?;
    world.gone("PostgresUser", "checkout", PATIENCE * 2).await?;
    eventually("no login", PATIENCE, async || {
        for login in ["checkout", "checkout_a", "checkout_b"] {
            if world.postgres().has_role(login).await? {
                return Err(format!("{login} is left").into());
            }
        }
        Ok(())
    })
    .await
}

async fn a_secret_that_is_lost_is_written_for_the_other_login(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    apply(world, &taking_turns("2s", "")).await?;
    world.user_ready("checkout").await?;
    let first = published(world).await?;
    world.kubectl(&["delete", "secret", "checkout-postgres"]).await?;
    let second = turned_over(world, &first).await?;
    assert_eq!(second.0, "checkout_b");
    assert!(works(world, &first).await?, "whoever has it goes on");
    stops_working(world, &first).await
}

async fn a_secret_has_the_login_of_before_until_that_is_retired(world: &World) -> Outcome {
    let (_vendor, operator) = world.set_up(&[]).await?;
    let kept = format!("{}\n  secret: {{keepPrevious: true}}", taking_turns("3s", ""));
    apply(world, &kept).await?;
    world.user_ready("checkout").await?;
    let first = published(world).await?;
    assert!(previous(world).await?.is_none(), "there is none before the first");
    rotate(world, 1).await?;
    turned_over(world, &first).await?;
    assert_eq!(previous(world).await?.as_ref(), Some(&first));
    eventually(
        "the login of before to be gone from the Secret",
        PATIENCE,
        async || {
            // Looked at in this order, it may be gone from the Secret before it is refused, and not the other way round.
            let is_refused = !works(world, &first).await?;
            match previous(world).await? {
                Some(_) if is_refused => Ok(Err("the Secret has a login that is refused")),
                Some(_) => Err("it is there".into()),
                None => Ok(Ok(())),
            }
        },
    )
    .await??;
    stops_working(world, &first).await?;
    at_rest(world).await?;
    world.quiet(&operator).await
}

async fn previous(world: &World) -> Outcome<Option<(String, String)>> {
    let secret = world
        .secret("checkout-postgres")
        .await?
        .ok_or("there is no Secret")?;
    let key = |key: &str| secret.get(key).cloned();
    Ok(key("previous-username").zip(key("previous-password")))
}

async fn both_names_are_claimed_before_anything_is_made(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    let rival = format!(
        "
apiVersion: pguser.dev/v1alpha1
kind: PostgresUser
metadata: {{name: rival}}
spec:
  serverRef: {{name: {SERVER}}}
  username: checkout_b
"
    );
    world.apply(&rival).await?;
    world.user_ready("rival").await?;
    apply(world, &taking_turns("1s", "")).await?;
    world.user_not_ready("checkout", "Conflict").await?;
    sleep(Duration::from_secs(2)).await;
    for login in ["checkout", "checkout_a"] {
        assert!(!world.postgres().has_role(login).await?, "{login} was made");
    }
    // And the other way round: what takes turns has both names.
    world.delete("PostgresUser", "rival").await?;
    world.user_ready("checkout").await?;
    world.apply(&rival).await?;
    world.user_not_ready("rival", "Conflict").await?;
    drop(vendor);
    Ok(())
}

async fn what_cannot_take_turns_is_refused_or_said(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    for (rotation, says) in [
        (json!({"overlap": "1h"}), "either interval or schedule"),
        (
            json!({"interval": "1h", "overlap": "1h"}),
            "are for strategy: Alternating",
        ),
        (
            json!({"strategy": "Alternating", "maxWait": "1h"}),
            "spec.rotation.maxWait is for rotation.retire",
        ),
        (
            json!({"strategy": "Alternating", "overlap": "1d"}),
            "spec.rotation.overlap must be a duration",
        ),
    ] {
        world.rotation_is_refused("checkout", rotation, says).await?;
    }
    // By a vendor's API nobody knows of sessions.
    for (rotation, says) in [
        (
            json!({"strategy": "Alternating", "retire": "WhenUnused"}),
            "WhenUnused",
        ),
        (
            json!({"strategy": null, "retire": null, "interval": "9h", "endSessions": true}),
            "endSessions",
        ),
    ] {
        world.rotation_is_invalid("checkout", rotation, says).await?;
    }
    let long = format!(
        "
apiVersion: pguser.dev/v1alpha1
kind: PostgresUser
metadata: {{name: long}}
spec:
  serverRef: {{name: {SERVER}}}
  username: {}
  rotation: {{strategy: Alternating}}
",
        "x".repeat(62)
    );
    world.apply(&long).await?;
    let found = world.user_not_ready("long", "InvalidUsername").await?;
    assert!(
        found.message.contains("followed by _a and by _b"),
        "{}",
        found.message
    );
    world.login_of("checkout").await
}

async fn as_published(world: &World, sql: &str) -> Outcome<String> {
    let uri = world.key_of("checkout", "uri").await?;
    world.postgres().psql(&uri, sql).await
}

async fn what_one_makes_the_other_has_too(world: &World) -> Outcome {
    let (_vendor, operator) = world.set_up(&[]).await?;
    world
        .postgres()
        .sql("GRANT CREATE ON SCHEMA public TO PUBLIC")
        .await?;
    apply(world, &taking_turns("1s", "")).await?;
    world.user_ready("checkout").await?;
    let first = published(world).await?;
    as_published(
        world,
        "CREATE TABLE orders (id int); INSERT INTO orders VALUES (1)",
    )
    .await?;
    // One that is made as the login itself, not as its owner.
    as_published(world, "SET ROLE checkout_a; CREATE TABLE odd (id int)").await?;
    rotate(world, 1).await?;
    let second = turned_over(world, &first).await?;
    as_published(
        world,
        "INSERT INTO orders VALUES (2); ALTER TABLE orders ADD COLUMN name text",
    )
    .await?;
    at_rest(world).await?;
    let owners = world
        .postgres()
        .sql("SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        .await?;
    assert_eq!(owners, [["odd", "checkout"], ["orders", "checkout"]]);
    let roles = world
        .postgres()
        .sql("SELECT rolname, rolcanlogin, rolpassword IS NULL FROM pg_authid WHERE rolname LIKE 'checkout%' ORDER BY 1")
        .await?;
    assert_eq!(
        roles,
        [
            ["checkout", "f", "t"],
            ["checkout_a", "f", "t"],
            ["checkout_b", "t", "f"]
        ]
    );
    assert!(works(world, &second).await?);
    world.quiet(&operator).await?;
    // What hangs on the owner holds up the deletion, as of any login.
    world.delete("PostgresUser", "checkout").await?;
    world
        .user_is("checkout", "Ready", "False", "DeletionBlocked")
        .await?;
    world.postgres().sql("DROP TABLE odd; DROP TABLE orders").await?;
    let again = json!({"metadata": {"annotations": {"pguser.dev/refresh": "1"}}});
    world.merge("PostgresServer", SERVER, again).await?;
    world.gone("PostgresUser", "checkout", PATIENCE * 3).await
}

async fn a_login_in_use_is_retired_once_nobody_uses_it(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    apply(world, &taking_turns("1s", ", retire: WhenUnused, maxWait: 1h")).await?;
    world.user_ready("checkout").await?;
    let first = published(world).await?;
    let session = session_of(world, &first).await?;
    rotate(world, 1).await?;
    turned_over(world, &first).await?;
    sleep(Duration::from_secs(6)).await;
    assert!(works(world, &first).await?, "it has a session");
    drop(session);
    stops_working(world, &first).await
}

/// A session of a login, until it is dropped.
async fn session_of(
    world: &World,
    (username, password): &(String, String),
) -> Outcome<tokio_postgres::Client> {
    let mut config = tokio_postgres::Config::new();
    config
        .host("localhost")
        .port(world.key_of("checkout", "port").await?.parse()?)
        .user(username)
        .password(password)
        .dbname("postgres");
    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn sessions_of_before_end_with_a_rotation(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    apply(world, "rotation: {endSessions: true}").await?;
    world.user_ready("checkout").await?;
    let in_place = published(world).await?;
    let intruder = session_of(world, &in_place).await?;
    rotate(world, 1).await?;
    world.other_password("checkout", &in_place.1).await?;
    assert!(
        intruder.simple_query("SELECT 1").await.is_err(),
        "the session goes on"
    );
    let member = json!({"spec": {"rotation": {"strategy": "Alternating", "overlap": "1s"}}});
    let before = published(world).await?;
    let intruder = session_of(world, &before).await?;
    world.merge("PostgresUser", "checkout", member).await?;
    turned_over(world, &before).await?;
    stops_working(world, &before).await?;
    eventually("the end of the session", PATIENCE, async || {
        match intruder.simple_query("SELECT 1").await {
            Ok(_) => Err("it goes on".into()),
            Err(_) => Ok(()),
        }
    })
    .await
}

async fn a_retired_login_stays_out(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    apply(world, &taking_turns("1s", "")).await?;
    world.user_ready("checkout").await?;
    let first = published(world).await?;
    rotate(world, 1).await?;
    turned_over(world, &first).await?;
    at_rest(world).await?;
    let sql = format!("ALTER ROLE checkout_a LOGIN PASSWORD '{}'", first.1);
    world.postgres().sql(&sql).await?;
    assert!(works(world, &first).await?);
    let again = json!({"metadata": {"annotations": {"pguser.dev/refresh": "1"}}});
    world.merge("PostgresServer", SERVER, again).await?;
    stops_working(world, &first).await
}
