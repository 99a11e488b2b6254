//! The gate of R3: closed, no mutation happens, however late it closed; reads go on.

use std::time::Duration;

use pguser_operator::clock;
use pguser_operator::provider::ErrorClass;
use serde_json::json;
use tokio_postgres::NoTls;

use crate::case::{Case, Desk, How, Instead, Job, assert_class, job};
use crate::relay::Relay;
use crate::subject::{Op, by_http, by_sql, without_tokens};
use crate::tests;

tests! {
    behind_a_closed_gate_nothing_changes_and_reads_go_on,
    a_gate_whose_time_is_over_is_closed,
    a_gate_that_closes_while_connecting_lets_nothing_through unless by_sql,
    a_gate_that_closes_while_a_token_is_fetched_lets_nothing_through unless without_tokens,
    a_gate_that_closes_before_the_commit_undoes_everything unless by_http,
}

/// Whom a mutation is tried on.
fn target(op: Op) -> Job {
    job(if op == Op::Create {
        "the-new-one"
    } else {
        "checkout"
    })
}

/// All is as it was, and with an open gate it can be done.
async fn unchanged(case: &Case, desk: &Desk, op: Op) {
    case.only("checkout", 1, &[2]).await;
    assert!(!case.exists("the-new-one").await);
    assert!(desk.get("checkout").await.is_some());
    desk.gate.open_until(clock::now() + Duration::from_secs(3600));
    desk.mutate(op, &target(op), 1).await.unwrap();
    let desk = case.desk();
    match op {
        Op::Create => desk.delete(&job("the-new-one")).await.unwrap(),
        Op::Delete => drop(desk.create(&job("checkout"), 1).await.unwrap()),
        _ => {}
    }
}

async fn behind_a_closed_gate_nothing_changes_and_reads_go_on(case: &Case) {
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    for op in Op::MUTATIONS {
        let before = case.requests(op).await;
        desk.gate.close();
        let result = desk.mutate(op, &target(op), 2).await;
        assert_class(result, &ErrorClass::GateClosed);
        assert_eq!(case.requests(op).await, before);
        assert!(desk.try_list().await.is_ok());
        unchanged(case, &desk, op).await;
    }
}

async fn a_gate_whose_time_is_over_is_closed(case: &Case) {
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    desk.gate.close();
    desk.gate.open_until(clock::now() + Duration::from_millis(1));
    tokio::time::sleep(Duration::from_millis(20)).await;
    let result = desk.set(&job("checkout"), 2).await;
    assert_class(result, &ErrorClass::GateClosed);
    case.only("checkout", 1, &[2]).await;
}

async fn a_gate_that_closes_while_connecting_lets_nothing_through(case: &Case) {
    let relay = Relay::start(case).await;
    let desk = case.desk_with(&How {
        instead: Some(Instead::Tls(relay.port)),
        ..How::default()
    });
    desk.create(&job("checkout"), 1).await.unwrap();
    for op in Op::MUTATIONS {
        // A token, where one is needed, is there.
        desk.list().await;
        let before = case.requests(op).await;
        relay.hold();
        let (wanted, calling) = (target(op), desk.clone());
        let calling = tokio::spawn(async move { calling.mutate(op, &wanted, 2).await });
        relay.somebody_waits().await;
        desk.gate.close();
        relay.release();
        assert_class(calling.await.unwrap(), &ErrorClass::GateClosed);
        assert_eq!(case.requests(op).await, before);
        unchanged(case, &desk, op).await;
    }
}

async fn a_gate_that_closes_while_a_token_is_fetched_lets_nothing_through(case: &Case) {
    case.desk().create(&job("checkout"), 1).await.unwrap();
    for op in Op::MUTATIONS {
        let desk = case.desk();
        let slow =
            json!({"route": "addons.token", "count": 1, "fault": {"type": "latency", "beforeMs": 400}});
        case.stage.simulator.fault(slow).await.unwrap();
        let before = case.requests(op).await;
        let (wanted, calling) = (target(op), desk.clone());
        let calling = tokio::spawn(async move { calling.mutate(op, &wanted, 2).await });
        tokio::time::sleep(Duration::from_millis(150)).await;
        desk.gate.close();
        assert_class(calling.await.unwrap(), &ErrorClass::GateClosed);
        assert_eq!(case.requests(op).await, before);
        unchanged(case, &desk, op).await;
    }
}

/// A session of a superuser's that holds what a mutation is about to change.
async fn holder(case: &Case, sql: &str) -> tokio_postgres::Client {
    let config: tokio_postgres::Config = case.stage.postgres.superuser_dsn().parse().unwrap();
    let config = config.clone().application_name("test").to_owned();
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&format!("BEGIN; {sql}")).await.unwrap();
    client
}

async fn a_gate_that_closes_before_the_commit_undoes_everything(case: &Case) {
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    for op in Op::MUTATIONS {
        let sql = match op {
            Op::Create => "CREATE ROLE \"the-new-one\"",
            _ => "ALTER ROLE checkout CONNECTION LIMIT 7",
        };
        let holder = holder(case, sql).await;
        let (wanted, calling) = (target(op), desk.clone());
        let calling = tokio::spawn(async move { calling.mutate(op, &wanted, 2).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!calling.is_finished(), "{op:?}");
        desk.gate.close();
        holder.batch_execute("ROLLBACK").await.unwrap();
        assert_class(calling.await.unwrap(), &ErrorClass::GateClosed);
        unchanged(case, &desk, op).await;
    }
}
