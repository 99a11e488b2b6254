//! What is known of a mutation when something goes wrong on the way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pguser_operator::clock;
use pguser_operator::domain::password::Password;
use pguser_operator::domain::remote::SslMode;
use pguser_operator::provider::{ErrorClass, Provider};

use crate::proxy::{Proxy, Then};
use crate::support::{Client, World, assert_class, job, tests};

tests! {
    behind_a_closed_gate_nothing_is_done,
    a_gate_that_closes_before_the_commit_undoes_everything,
    a_lost_answer_to_a_commit_leaves_the_outcome_open,
    what_is_lost_before_the_commit_is_not_done,
    a_server_that_falls_silent_is_not_waited_for,
    an_abandoned_call_leaves_nothing_behind,
}

const UNKNOWN: ErrorClass = ErrorClass::Unknown { after: None };
const UNREACHABLE: ErrorClass = ErrorClass::Unreachable { after: None };

async fn behind_a_closed_gate_nothing_is_done(world: &World) {
    let client = world.client("boss");
    client.create(&job("gated"), "pLaInTeXt-1").await.unwrap();
    client.gate.close();
    assert_class(
        client.create(&job("gated_2"), "pLaInTeXt").await,
        ErrorClass::GateClosed,
    );
    assert_class(
        client.set(&job("gated"), "pLaInTeXt-2").await,
        ErrorClass::GateClosed,
    );
    assert_class(client.configure(&job("gated")).await, ErrorClass::GateClosed);
    assert_class(client.delete(&job("gated")).await, ErrorClass::GateClosed);
    assert!(client.provider.list().await.is_ok());
    assert!(world.logs_in("gated", "pLaInTeXt-1").await);
    assert!(!world.exists("gated_2"));
}

async fn a_gate_that_closes_before_the_commit_undoes_everything(world: &World) {
    let client = world.client("boss");
    client.create(&job("gated_midway"), "pLaInTeXt-1").await.unwrap();
    for deleting in [false, true] {
        let other = world.superuser().await;
        other
            .batch_execute("BEGIN; ALTER ROLE gated_midway CONNECTION LIMIT 7")
            .await
            .unwrap();
        let provider = Arc::clone(&client.provider);
        let calling = tokio::spawn(async move {
            let job = job("gated_midway");
            match deleting {
                true => provider.delete(&job.mutation()).await.map(|_| ()),
                false => {
                    let password = Password::new("pLaInTeXt-2");
                    let set = provider.set_password(&job.mutation(), &password).await;
                    set.map(|_| ())
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!calling.is_finished());
        client.gate.close();
        other.batch_execute("ROLLBACK").await.unwrap();
        assert_class(calling.await.unwrap(), ErrorClass::GateClosed);
        assert!(world.logs_in("gated_midway", "pLaInTeXt-1").await);
        client.gate.open_until(clock::now() + Duration::from_secs(3600));
    }
}

/// A proxy for which this happens whenever this text goes by.
async fn proxy(world: &World, text: &'static str, then: Then) -> Proxy {
    let proxy = Proxy::start(world.server.port).await;
    proxy.when(text, then);
    proxy
}

/// A client that goes through it.
fn through(proxy: &Proxy, world: &World, timeout: Duration) -> Client {
    let mut config = world.config("boss");
    config.port = proxy.port;
    config.sslmode = SslMode::Disable;
    config.allow_insecure = true;
    Client::new(config, timeout)
}

async fn a_lost_answer_to_a_commit_leaves_the_outcome_open(world: &World) {
    for (name, then, done) in [("lost_1", Then::HandOnAndCut, true), ("lost_2", Then::Cut, false)] {
        let proxy = proxy(world, "COMMIT\0", then).await;
        let client = through(&proxy, world, Duration::from_secs(20));
        assert_class(client.create(&job(name), "pLaInTeXt-1").await, UNKNOWN);
        assert_eq!(client.get(name).await.is_some(), done, "{name}");
        // What the planner does: the same again.
        proxy.harmless();
        match done {
            true => {
                let again = client.create(&job(name), "pLaInTeXt-1").await;
                assert_class(again, ErrorClass::Conflict);
            }
            false => {
                client.create(&job(name), "pLaInTeXt-1").await.unwrap();
            }
        }
        proxy.when("COMMIT\0", then);
        assert_class(client.set(&job(name), "pLaInTeXt-2").await, UNKNOWN);
        assert_eq!(world.logs_in(name, "pLaInTeXt-2").await, done);
        proxy.harmless();
        client.set(&job(name), "pLaInTeXt-2").await.unwrap();
        assert!(world.logs_in(name, "pLaInTeXt-2").await);
        proxy.when("COMMIT\0", then);
        // The first step's commit is lost; whether it is done shows, and in either case it is done again.
        assert_class(client.delete(&job(name)).await, UNKNOWN);
        assert_eq!(world.logs_in(name, "pLaInTeXt-2").await, !done);
        proxy.harmless();
        client.delete(&job(name)).await.unwrap();
        assert!(!world.exists(name));
    }
    let proxy = proxy(world, "DROP ROLE", Then::HandOnAndCut).await;
    let client = through(&proxy, world, Duration::from_secs(20));
    client.create(&job("lost_3"), "pLaInTeXt-1").await.unwrap();
    assert_class(client.delete(&job("lost_3")).await, UNREACHABLE);
    assert!(world.exists("lost_3"));
    proxy.harmless();
    client.delete(&job("lost_3")).await.unwrap();
}

async fn what_is_lost_before_the_commit_is_not_done(world: &World) {
    for (text, then) in [
        ("BEGIN", Then::Cut),
        ("CREATE ROLE", Then::HandOnAndCut),
        ("COMMENT ON", Then::HandOnAndCut),
        ("COMMENT ON", Then::Cut),
    ] {
        let proxy = proxy(world, text, then).await;
        let client = through(&proxy, world, Duration::from_secs(20));
        let made = client.create(&job("never_made"), "pLaInTeXt").await;
        assert_class(made, UNREACHABLE);
        assert!(!world.exists("never_made"));
        proxy.harmless();
        client.create(&job("never_made"), "pLaInTeXt").await.unwrap();
        client.delete(&job("never_made")).await.unwrap();
    }
}

async fn a_server_that_falls_silent_is_not_waited_for(world: &World) {
    for (text, then, class) in [
        ("BEGIN", Then::Stall, UNREACHABLE),
        ("COMMENT ON", Then::HandOnAndStall, UNREACHABLE),
        ("COMMIT\0", Then::Stall, UNKNOWN),
        ("COMMIT\0", Then::HandOnAndStall, UNKNOWN),
    ] {
        let proxy = proxy(world, text, then).await;
        let client = through(&proxy, world, Duration::from_secs(2));
        let started = Instant::now();
        let made = client.create(&job("silenced"), "pLaInTeXt").await;
        assert_class(made, class);
        assert!(started.elapsed() < Duration::from_secs(4), "{text} {then:?}");
        proxy.harmless();
        // Its own timeouts end what the server still has open.
        for _ in 0..100 {
            match client.create(&job("silenced"), "pLaInTeXt").await {
                Ok(_) => break,
                Err(error) if error.class == ErrorClass::Conflict => break,
                Err(error) => assert!(!error.class.is_unknown(), "{error}"),
            }
        }
        client.delete(&job("silenced")).await.unwrap();
    }
}

async fn an_abandoned_call_leaves_nothing_behind(world: &World) {
    let client = world.client("boss");
    client.create(&job("abandoned"), "pLaInTeXt-1").await.unwrap();
    let other = world.superuser().await;
    other
        .batch_execute("BEGIN; ALTER ROLE abandoned CONNECTION LIMIT 7")
        .await
        .unwrap();
    let job_of_it = job("abandoned");
    let abandoned = client.set(&job_of_it, "pLaInTeXt-2");
    let waited = tokio::time::timeout(Duration::from_millis(500), abandoned).await;
    assert!(waited.is_err());
    // Another connection is made, and what was begun on the first is never committed.
    assert!(client.get("abandoned").await.is_some());
    other.batch_execute("ROLLBACK").await.unwrap();
    let mut result = client.set(&job("abandoned"), "pLaInTeXt-3").await;
    if matches!(&result, Err(error) if error.class == ErrorClass::Busy) {
        result = client.set(&job("abandoned"), "pLaInTeXt-3").await;
    }
    result.unwrap();
    assert!(world.logs_in("abandoned", "pLaInTeXt-3").await);
}
