//! Credentials that are wrong, replaced, revoked, or at their end.

use std::time::{Duration, Instant};

use pguser_operator::provider::{ErrorClass, Provider};
use serde_json::json;

use crate::case::{Case, Desk, How, assert_class, job};
use crate::subject::{Op, Subject, by_http, without_tokens};
use crate::tests;

tests! {
    wrong_credentials_are_unauthorised_and_change_nothing,
    replaced_credentials_are_unauthorised_and_a_new_client_works,
    tokens_that_expire_are_renewed_without_notice unless without_tokens,
    tokens_that_are_revoked_are_renewed_without_notice unless without_tokens,
    a_session_that_is_ended_is_made_anew unless by_http,
    a_login_that_may_no_longer_is_unauthorised unless by_http,
}

async fn assert_unauthorised(case: &Case, desk: &Desk) {
    for op in Op::MUTATIONS {
        let name = if op == Op::Create {
            "the-new-one"
        } else {
            "checkout"
        };
        assert_class(desk.mutate(op, &job(name), 2).await, &ErrorClass::Unauthorized);
    }
    assert_class(desk.try_list().await, &ErrorClass::Unauthorized);
    assert_class(desk.try_get("checkout").await, &ErrorClass::Unauthorized);
    assert_class(desk.provider.cluster().await, &ErrorClass::Unauthorized);
    case.only("checkout", 1, &[2]).await;
    assert!(!case.exists("the-new-one").await);
}

fn with(case: &Case, secret: &str) -> Desk {
    case.desk_with(&How {
        secret: Some(secret.to_string()),
        ..How::default()
    })
}

async fn wrong_credentials_are_unauthorised_and_change_nothing(case: &Case) {
    case.desk().create(&job("checkout"), 1).await.unwrap();
    for secret in ["pLaInTeXt-and-wrong", "pLaInTeXt of a % token"] {
        assert_unauthorised(case, &with(case, secret)).await;
    }
}

/// Ends whatever was got with the old credentials, and leaves a client the time to notice.
async fn end_sessions(case: &Case) {
    let theirs = "FROM pg_stat_activity WHERE usename = 'admin_of_ours'";
    case.sql(&format!("SELECT pg_terminate_backend(pid) {theirs}"))
        .await;
    while !case.sql(&format!("SELECT 1 {theirs}")).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let revoked = json!({"jwts": true, "addonTokens": true});
    case.stage
        .simulator
        .admin("POST", "revoke", Some(revoked))
        .await
        .unwrap();
}

async fn replaced_credentials_are_unauthorised_and_a_new_client_works(case: &Case) {
    const NEXT: &str = "pLaInTeXt-of-tomorrow";
    let old = case.desk();
    old.create(&job("checkout"), 1).await.unwrap();
    let tokens = match case.subject {
        Subject::Ionos => json!({"tokens": [NEXT]}),
        _ => json!({"apiTokens": [NEXT]}),
    };
    case.stage
        .simulator
        .admin("POST", "tokens", Some(tokens))
        .await
        .unwrap();
    if case.subject.is_sql() {
        case.sql(&format!("ALTER ROLE admin_of_ours PASSWORD '{NEXT}'"))
            .await;
    }
    if case.subject != Subject::Ionos {
        // What was bought with the old ones goes on until it ends.
        old.set(&job("checkout"), 1).await.unwrap();
        end_sessions(case).await;
    }
    assert_unauthorised(case, &old).await;
    let new = with(case, NEXT);
    new.set(&job("checkout"), 3).await.unwrap();
    case.only("checkout", 3, &[1]).await;
    new.delete(&job("checkout")).await.unwrap();
    assert!(!case.exists("checkout").await);
}

async fn tokens_that_expire_are_renewed_without_notice(case: &Case) {
    case.switch(json!({"scalingo-jwt-seconds": 2, "scalingo-addon-token-seconds": 2}))
        .await;
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    let started = Instant::now();
    let mut which = 1;
    while started.elapsed() < Duration::from_millis(4600) {
        which += 1;
        desk.set(&job("checkout"), which).await.unwrap();
        case.only("checkout", which, &[which - 1]).await;
        assert!(desk.get("checkout").await.is_some());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let exchanges = case.stage.simulator.requests("tokens.exchange").await.unwrap();
    assert!((2..=5).contains(&exchanges), "{exchanges} in {which} changes");
}

async fn tokens_that_are_revoked_are_renewed_without_notice(case: &Case) {
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    for (which, revoked) in [
        json!({"addonTokens": true}),
        json!({"jwts": true}),
        json!({"jwts": true, "addonTokens": true}),
    ]
    .into_iter()
    .enumerate()
    {
        let which = u32::try_from(which).unwrap() + 2;
        case.stage
            .simulator
            .admin("POST", "revoke", Some(revoked))
            .await
            .unwrap();
        desk.set(&job("checkout"), which).await.unwrap();
        case.only("checkout", which, &[which - 1]).await;
    }
    end_sessions(case).await;
    desk.delete(&job("checkout")).await.unwrap();
    assert!(!case.exists("checkout").await);
}

async fn a_session_that_is_ended_is_made_anew(case: &Case) {
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    for which in 2..5 {
        end_sessions(case).await;
        desk.set(&job("checkout"), which).await.unwrap();
        case.only("checkout", which, &[which - 1]).await;
    }
}

async fn a_login_that_may_no_longer_is_unauthorised(case: &Case) {
    case.desk().create(&job("checkout"), 1).await.unwrap();
    case.sql("ALTER ROLE admin_of_ours NOLOGIN").await;
    assert_unauthorised(case, &case.desk()).await;
    case.sql("ALTER ROLE admin_of_ours LOGIN VALID UNTIL '2001-01-01'")
        .await;
    assert_unauthorised(case, &case.desk()).await;
    case.sql("ALTER ROLE admin_of_ours VALID UNTIL 'infinity'").await;
    case.desk().set(&job("checkout"), 2).await.unwrap();
}
