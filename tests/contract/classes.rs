//! Refusals: what each is taken for, and that nothing happened where that is certain.

use std::time::Duration;

use pguser_operator::provider::{ClusterState, ErrorClass, Provider};
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use crate::case::{Case, Desk, How, assert_class, assert_classes, job};
use crate::subject::{
    Admin, Op, Subject, UNKNOWN, UNREACHABLE, by_http, by_sql, with_every_right, without_a_status,
    without_busy,
};
use crate::tests;

tests! {
    every_status_is_taken_for_what_it_says unless by_sql,
    a_rate_limit_is_heeded_with_its_delay unless by_sql,
    an_account_that_may_not_changes_nothing unless by_sql,
    a_busy_cluster_is_busy_and_nothing_happened unless without_busy,
    a_cluster_tells_its_state,
    a_database_that_does_not_run_takes_no_change unless without_a_status,
    what_is_gone_is_not_found unless by_sql,
    a_held_role_is_busy_and_nothing_happened unless by_http,
    a_server_that_takes_no_changes_is_busy unless by_http,
    no_connection_to_spare_is_unreachable unless by_http,
    a_missing_privilege_is_said_and_changes_nothing unless with_every_right,
}

/// All three mutations meet this, and nothing happens.
async fn refused(desk: &Desk, classes: &[ErrorClass]) {
    for op in Op::MUTATIONS {
        let name = if op == Op::Create {
            "the-new-one"
        } else {
            "checkout"
        };
        assert_classes(desk.mutate(op, &job(name), 2).await, classes);
    }
}

/// Nothing has happened, and by now everything can.
async fn nothing_happened(case: &Case) {
    case.only("checkout", 1, &[2]).await;
    assert!(!case.exists("the-new-one").await);
    let desk = case.desk();
    desk.create(&job("the-new-one"), 2).await.unwrap();
    desk.set(&job("checkout"), 1).await.unwrap();
    desk.delete(&job("the-new-one")).await.unwrap();
}

async fn every_status_is_taken_for_what_it_says(case: &Case) {
    use ErrorClass::*;
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    let limited = RateLimited { after: None };
    for (status, mutation, read) in [
        (301, Invalid, Invalid),
        (400, Invalid, Invalid),
        (401, Unauthorized, Unauthorized),
        (402, Unauthorized, Unauthorized),
        (403, Unauthorized, Unauthorized),
        (404, NotFound, NotFound),
        (405, Invalid, Invalid),
        (408, UNKNOWN, UNREACHABLE),
        (409, Conflict, Conflict),
        (415, Invalid, Invalid),
        (422, Invalid, Invalid),
        (423, Busy, Busy),
        (429, limited.clone(), limited),
        (500, UNKNOWN, UNREACHABLE),
        (502, UNKNOWN, UNREACHABLE),
        (503, UNKNOWN, UNREACHABLE),
        (504, UNKNOWN, UNREACHABLE),
    ] {
        let fault = json!({"route": "users.*", "fault": {"type": "status", "status": status}});
        case.stage.simulator.fault(fault).await.unwrap();
        refused(&desk, &[mutation]).await;
        assert_class(desk.try_list().await, &read);
        match (desk.try_get("checkout").await, case.subject, status) {
            (Ok(absent), Subject::Ionos, 404) => assert_eq!(absent, None),
            (result, ..) => drop(assert_class(result, &read)),
        }
        case.calm().await;
    }
    nothing_happened(case).await;
    // After the commit the same words are as definite to whoever hears them, so only unknown ones are honest.
    case.fault(
        Op::Set,
        json!({"type": "status", "status": 503, "retryAfter": "7", "when": "after-commit"}),
    )
    .await;
    let after = Some(Duration::from_secs(7));
    assert_class(desk.set(&job("checkout"), 2).await, &Unknown { after });
    case.only("checkout", 2, &[1]).await;
    case.fault(
        Op::List,
        json!({"type": "status", "status": 503, "retryAfter": "7"}),
    )
    .await;
    assert_class(desk.try_list().await, &Unreachable { after });
}

/// The switches with which every request but the first is too many.
fn limits(case: &Case, retry_after: &str) -> Value {
    match case.subject {
        Subject::Ionos => json!({"rate-limit": 1, "retry-after": retry_after}),
        _ => json!({"scalingo-rate-limit": 1, "scalingo-retry-after": retry_after}),
    }
}

async fn a_rate_limit_is_heeded_with_its_delay(case: &Case) {
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    for said in ["seconds", "date", "none"] {
        case.switch(limits(case, said)).await;
        let _ = desk.try_list().await;
        for op in Op::MUTATIONS {
            let name = if op == Op::Create {
                "the-new-one"
            } else {
                "checkout"
            };
            let error = desk.mutate(op, &job(name), 2).await.unwrap_err();
            assert!(matches!(error.class, ErrorClass::RateLimited { .. }), "{error}");
            let after = error.class.retry_after();
            assert_eq!(after.is_some(), said != "none", "{said}: {after:?}");
            assert!(
                after.is_none_or(|after| after <= Duration::from_secs(61)),
                "{after:?}"
            );
        }
        let read = desk.try_list().await.unwrap_err().class;
        assert!(matches!(read, ErrorClass::RateLimited { .. }), "{read}");
        // A new client meets the limit on its way to a token, and then nothing is sent at all.
        let another = case.desk().create(&job("the-new-one"), 2).await.unwrap_err();
        assert!(
            matches!(another.class, ErrorClass::RateLimited { .. }),
            "{another}"
        );
        case.switch(json!({"rate-limit": "off", "scalingo-rate-limit": "off"}))
            .await;
        nothing_happened(case).await;
    }
}

async fn an_account_that_may_not_changes_nothing(case: &Case) {
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    for account in ["trial", "read-only"] {
        case.switch(json!({"account": account})).await;
        refused(&desk, &[ErrorClass::Unauthorized]).await;
        assert!(desk.get("checkout").await.is_some());
    }
    case.switch(json!({"account": "full"})).await;
    nothing_happened(case).await;
}

async fn a_busy_cluster_is_busy_and_nothing_happened(case: &Case) {
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    for (word, class) in [
        ("423", ErrorClass::Busy),
        ("409", ErrorClass::Conflict),
        ("422", ErrorClass::Invalid),
        ("503", UNKNOWN),
    ] {
        case.switch(json!({"while-busy": word})).await;
        case.stage
            .simulator
            .cluster(json!({"state": "BUSY"}))
            .await
            .unwrap();
        refused(&desk, &[class]).await;
        let cluster = desk.provider.cluster().await.unwrap().value;
        assert_eq!(cluster.state, ClusterState::Busy);
        case.stage
            .simulator
            .cluster(json!({"state": "AVAILABLE"}))
            .await
            .unwrap();
        nothing_happened(case).await;
    }
}

async fn state(desk: &Desk) -> ClusterState {
    desk.provider.cluster().await.unwrap().value.state
}

async fn a_cluster_tells_its_state(case: &Case) {
    let desk = case.desk();
    assert_eq!(state(&desk).await, ClusterState::Available);
    match case.subject {
        Subject::Ionos => {
            for (word, expected) in [
                ("BUSY", ClusterState::Busy),
                ("FAILED", ClusterState::Impaired),
                ("DEGRADED", ClusterState::Impaired),
                ("DESTROYING", ClusterState::Destroying),
                ("AVAILABLE", ClusterState::Available),
            ] {
                case.stage
                    .simulator
                    .cluster(json!({"state": word}))
                    .await
                    .unwrap();
                assert_eq!(state(&desk).await, expected, "{word}");
            }
        }
        Subject::Scalingo(_) => {
            for word in ["creating", "migrating", "updating", "upgrading", "stopped"] {
                database(case, json!({"status": word})).await;
                assert_eq!(state(&desk).await, ClusterState::Impaired, "{word}");
            }
            database(case, json!({"status": "running", "hostname": "db.example:31234"})).await;
            let cluster = desk.provider.cluster().await.unwrap().value;
            assert_eq!(cluster.state, ClusterState::Available);
            assert_eq!(
                (cluster.host.as_deref(), cluster.port),
                (Some("db.example"), Some(31234))
            );
        }
        Subject::Postgresql(_) => {
            case.sql("ALTER ROLE admin_of_ours SET default_transaction_read_only = on")
                .await;
            assert_eq!(state(&case.desk()).await, ClusterState::Impaired);
        }
    }
}

async fn database(case: &Case, change: Value) {
    case.stage
        .simulator
        .admin("POST", "database", Some(change))
        .await
        .unwrap();
}

async fn a_database_that_does_not_run_takes_no_change(case: &Case) {
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    for (word, class) in [
        ("409", ErrorClass::Conflict),
        ("422", ErrorClass::Invalid),
        ("400", ErrorClass::Invalid),
        ("500", UNKNOWN),
        ("503", UNKNOWN),
    ] {
        case.switch(json!({"scalingo-not-running": word})).await;
        database(case, json!({"status": "stopped"})).await;
        refused(&desk, &[class]).await;
        assert!(desk.get("checkout").await.is_some());
        database(case, json!({"status": "running"})).await;
        nothing_happened(case).await;
    }
}

async fn what_is_gone_is_not_found(case: &Case) {
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    let levels: &[&str] = match case.subject {
        Subject::Ionos => &["cluster"],
        _ => &["database", "addon"],
    };
    for level in levels {
        match *level {
            "cluster" => case.stage.simulator.cluster(json!({"gone": true})).await.unwrap(),
            level => database(case, json!({"gone": level})).await,
        }
        refused(&desk, &[ErrorClass::NotFound]).await;
        assert_class(desk.provider.cluster().await, &ErrorClass::NotFound);
        assert_class(desk.try_list().await, &ErrorClass::NotFound);
        // A new one needs a token, where there are tokens; without, nobody can say anything of a user.
        let another = case.desk();
        let unsaid = [ErrorClass::NotFound, UNREACHABLE];
        refused(&another, &unsaid).await;
        assert_class(another.provider.cluster().await, &ErrorClass::NotFound);
        case.stage
            .simulator
            .cluster(json!({"gone": false}))
            .await
            .unwrap();
        database(case, json!({"gone": "nothing"})).await;
        nothing_happened(case).await;
    }
}

async fn a_held_role_is_busy_and_nothing_happened(case: &Case) {
    let desk = case.desk_with(&How {
        timeout: Duration::from_secs(3),
        ..How::default()
    });
    desk.create(&job("checkout"), 1).await.unwrap();
    let config: tokio_postgres::Config = case.stage.postgres.superuser_dsn().parse().unwrap();
    let (holder, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    holder
        .batch_execute("BEGIN; ALTER ROLE checkout CONNECTION LIMIT 7; CREATE ROLE \"the-new-one\"")
        .await
        .unwrap();
    refused(&desk, &[ErrorClass::Busy]).await;
    assert_class(desk.configure(&job("checkout")).await, &ErrorClass::Busy);
    holder.batch_execute("ROLLBACK").await.unwrap();
    nothing_happened(case).await;
}

async fn a_server_that_takes_no_changes_is_busy(case: &Case) {
    case.desk().create(&job("checkout"), 1).await.unwrap();
    case.sql("ALTER ROLE admin_of_ours SET default_transaction_read_only = on")
        .await;
    let desk = case.desk();
    refused(&desk, &[ErrorClass::Busy]).await;
    assert!(desk.get("checkout").await.is_some());
    case.sql("ALTER ROLE admin_of_ours RESET default_transaction_read_only")
        .await;
    nothing_happened(case).await;
}

/// As many sessions as the server takes, and then one as the operator's.
async fn no_connection_to_spare_is_unreachable(case: &Case) {
    case.desk().create(&job("checkout"), 1).await.unwrap();
    let crowd = match case.subject {
        Subject::Postgresql(Admin::Createrole) => {
            case.sql("ALTER ROLE admin_of_ours CONNECTION LIMIT 0").await;
            Vec::new()
        }
        _ => everybody(case).await,
    };
    let desk = case.desk();
    refused(&desk, &[UNREACHABLE]).await;
    assert_class(desk.try_list().await, &UNREACHABLE);
    assert_class(desk.provider.cluster().await, &UNREACHABLE);
    drop(crowd);
    tokio::time::sleep(Duration::from_millis(200)).await;
    case.sql("ALTER ROLE admin_of_ours CONNECTION LIMIT -1").await;
    nothing_happened(case).await;
}

async fn everybody(case: &Case) -> Vec<tokio_postgres::Client> {
    let mut crowd = Vec::new();
    let config: tokio_postgres::Config = case.stage.postgres.superuser_dsn().parse().unwrap();
    while let Ok((client, connection)) = config.connect(NoTls).await {
        tokio::spawn(connection);
        crowd.push(client);
        assert!(crowd.len() < 500, "there is no end to the connections");
    }
    crowd
}

async fn a_missing_privilege_is_said_and_changes_nothing(case: &Case) {
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    case.sql("ALTER ROLE admin_of_ours NOCREATEROLE").await;
    refused(&desk, &[ErrorClass::Invalid]).await;
    case.sql("ALTER ROLE admin_of_ours CREATEROLE").await;
    nothing_happened(case).await;
}
