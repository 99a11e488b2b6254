//! Answers that never come. What is unknown can be found out by a read, and the same write can be sent again.

use std::time::Duration;

use pguser_operator::provider::{ErrorClass, RemoteError};
use serde_json::json;

use crate::case::{Case, Desk, PATIENT, SHORT, assert_class, assert_classes, job, password};
use crate::proxy::Then;
use crate::subject::{Op, Subject, UNKNOWN, UNREACHABLE, When, by_sql};
use crate::tests;

tests! {
    a_create_whose_answer_is_lost_has_happened,
    a_create_that_is_lost_before_it_counts_has_not_happened,
    a_password_whose_answer_is_lost_counts,
    a_password_that_is_lost_before_it_counts_does_not,
    a_deletion_whose_answer_is_lost_can_be_repeated,
    a_deletion_that_is_lost_before_it_counts_changes_nothing,
    a_mutation_that_arrives_late_is_unknown_until_it_has,
    an_answer_that_ends_in_the_middle_is_none,
    an_answer_that_makes_no_sense_is_none unless by_sql,
    a_read_that_breaks_off_is_unreachable_and_the_next_one_works,
}

/// Loses one mutation.
async fn lost(case: &Case, desk: &Desk, op: Op, when: When, which: u32) {
    case.lose(op, when).await;
    let result = desk.mutate(op, &job("checkout"), which).await;
    assert_class(result, &case.subject.lost(when));
    case.calm().await;
}

async fn a_create_whose_answer_is_lost_has_happened(case: &Case) {
    let desk = case.troubled(PATIENT).await;
    lost(case, &desk, Op::Create, When::After, 1).await;
    let read = desk.get("checkout").await.unwrap();
    assert!(case.subject.is_ours(&read), "{read:?}");
    // What the planner does: the same again. It is told that the name is taken, and the password logs in.
    assert_classes(desk.create(&job("checkout"), 1).await, case.subject.taken());
    case.only("checkout", 1, &[2]).await;
    // Where it weighs whose the user is, it sets the password.
    desk.set(&job("checkout"), 1).await.unwrap();
    case.only("checkout", 1, &[2]).await;
}

async fn a_create_that_is_lost_before_it_counts_has_not_happened(case: &Case) {
    let desk = case.troubled(PATIENT).await;
    lost(case, &desk, Op::Create, When::Before, 1).await;
    assert_eq!(desk.get("checkout").await, None);
    assert!(!case.exists("checkout").await);
    desk.create(&job("checkout"), 1).await.unwrap();
    case.only("checkout", 1, &[2]).await;
}

async fn a_password_whose_answer_is_lost_counts(case: &Case) {
    let desk = case.troubled(PATIENT).await;
    desk.create(&job("checkout"), 1).await.unwrap();
    lost(case, &desk, Op::Set, When::After, 2).await;
    case.only("checkout", 2, &[1]).await;
    desk.set(&job("checkout"), 2).await.unwrap();
    case.only("checkout", 2, &[1]).await;
}

async fn a_password_that_is_lost_before_it_counts_does_not(case: &Case) {
    let desk = case.troubled(PATIENT).await;
    desk.create(&job("checkout"), 1).await.unwrap();
    lost(case, &desk, Op::Set, When::Before, 2).await;
    case.only("checkout", 1, &[2]).await;
    desk.set(&job("checkout"), 2).await.unwrap();
    case.only("checkout", 2, &[1]).await;
}

fn done_or_gone(result: Result<(), RemoteError>) {
    if let Err(error) = result {
        assert_eq!(error.class, ErrorClass::NotFound, "{error}");
    }
}

async fn a_deletion_whose_answer_is_lost_can_be_repeated(case: &Case) {
    let desk = case.troubled(PATIENT).await;
    desk.create(&job("checkout"), 1).await.unwrap();
    lost(case, &desk, Op::Delete, When::After, 0).await;
    // By SQL, what was lost is the first of its steps.
    assert!(!case.logs_in("checkout", &password(1)).await);
    done_or_gone(desk.delete(&job("checkout")).await);
    assert!(!case.exists("checkout").await);
    assert_class(desk.delete(&job("checkout")).await, &ErrorClass::NotFound);
}

async fn a_deletion_that_is_lost_before_it_counts_changes_nothing(case: &Case) {
    let desk = case.troubled(PATIENT).await;
    desk.create(&job("checkout"), 1).await.unwrap();
    lost(case, &desk, Op::Delete, When::Before, 0).await;
    case.only("checkout", 1, &[]).await;
    desk.delete(&job("checkout")).await.unwrap();
    assert!(!case.exists("checkout").await);
}

async fn a_mutation_that_arrives_late_is_unknown_until_it_has(case: &Case) {
    const LATER: Duration = Duration::from_millis(800);
    let desk = case.troubled(PATIENT).await;
    desk.create(&job("checkout"), 1).await.unwrap();
    match case.subject.is_api() {
        true => {
            let fault = json!({"type": "late-commit", "afterMs": LATER.as_millis() as u64});
            case.fault(Op::Set, fault).await;
        }
        false => case.proxy().await.when("COMMIT\0", Then::CutAndHandOnLate(LATER)),
    }
    assert_class(desk.set(&job("checkout"), 2).await, &UNKNOWN);
    case.calm().await;
    case.only("checkout", 1, &[2]).await;
    tokio::time::sleep(LATER + Duration::from_millis(500)).await;
    case.only("checkout", 2, &[1]).await;
}

async fn an_answer_that_ends_in_the_middle_is_none(case: &Case) {
    let desk = case.troubled(PATIENT).await;
    desk.create(&job("checkout"), 1).await.unwrap();
    let faults = [
        json!({"type": "truncate"}),
        json!({"type": "drop", "when": "mid-body"}),
    ];
    for (fault, which) in faults.iter().zip(2..) {
        match case.subject.is_api() {
            true => case.fault(Op::Set, fault.clone()).await,
            // "COMMIT" is answered with some twenty bytes.
            false => case
                .proxy()
                .await
                .when("COMMIT\0", Then::HandOnAndCutAnswer(which as usize * 3)),
        }
        // Scalingo's may say nothing at all; half of a body is not nothing.
        assert_class(desk.set(&job("checkout"), which).await, &UNKNOWN);
        case.calm().await;
        case.only("checkout", which, &[which - 1]).await;
    }
}

async fn an_answer_that_makes_no_sense_is_none(case: &Case) {
    let desk = case.desk();
    desk.create(&job("existing"), 1).await.unwrap();
    let another = r#"{"type":"user","id":"x","href":"x","properties":{"username":"another"},
        "database_user":{"name":"another"},"name":"another"}"#;
    let echo = format!(
        r#"{{"error":"{0}","messages":[{{"errorCode":"{0}"}}],"code":"{0}"}}"#,
        password(2)
    );
    for (body, kind) in [
        ("<html>It works!</html>", "text/html"),
        ("{}", "application/json"),
        ("[1", "application/json"),
        (another, "application/json"),
        (&echo, "application/json"),
    ] {
        for op in Op::MUTATIONS {
            let fault = json!({"type": "body", "status": 200, "body": body, "contentType": kind});
            case.fault(op, fault).await;
            let name = if op == Op::Create { "checkout" } else { "existing" };
            let result = desk.mutate(op, &job(name), 2).await;
            // What answers a deletion has no word of the user's: any JSON will do.
            if op != Op::Delete || kind == "text/html" || body == "[1" {
                assert_class(result, &UNKNOWN);
            }
            case.calm().await;
        }
        let fault = json!({"type": "body", "status": 200, "body": body, "contentType": kind});
        case.fault(Op::List, fault.clone()).await;
        assert_class(desk.try_list().await, &UNREACHABLE);
        case.fault(Op::Get, fault).await;
        assert_class(desk.try_get("existing").await, &UNREACHABLE);
        case.calm().await;
        // An error that echoes what it was sent gives nothing away, which every call is looked at for.
        let fault = json!({"type": "status", "status": 422, "body": echo, "contentType": "application/json"});
        case.fault(Op::Set, fault).await;
        assert_class(desk.set(&job("existing"), 2).await, &ErrorClass::Invalid);
        case.calm().await;
    }
    assert!(!case.exists("checkout").await);
    case.only("existing", 1, &[2]).await;
}

async fn a_read_that_breaks_off_is_unreachable_and_the_next_one_works(case: &Case) {
    let desk = case.troubled(SHORT).await;
    desk.create(&job("checkout"), 1).await.unwrap();
    for (fault, bytes) in [
        (json!({"type": "drop", "when": "before-commit"}), 0),
        (json!({"type": "drop", "when": "mid-body"}), 100),
        (json!({"type": "truncate"}), 400),
    ] {
        for op in [Op::List, Op::Get] {
            match case.subject.is_api() {
                true => case.fault(op, fault.clone()).await,
                false => {
                    // Of a list, some rows get through, and no word that they were all.
                    let then = Then::HandOnAndCutAnswer(if op == Op::List { bytes * 3 } else { bytes });
                    case.proxy().await.when("pg_shdescription", then);
                }
            }
            match op {
                Op::List => assert_class(desk.try_list().await, &UNREACHABLE),
                _ => assert_class(desk.try_get("checkout").await, &UNREACHABLE),
            };
            case.calm().await;
            assert!(desk.get("checkout").await.is_some());
            assert!(
                desk.list()
                    .await
                    .users
                    .iter()
                    .any(|user| user.username == "checkout")
            );
        }
    }
    if case.subject == Subject::Ionos {
        // A 404 that a proxy's web page says is nobody's absence.
        let page =
            json!({"type": "status", "status": 404, "body": "<html></html>", "contentType": "text/html"});
        case.fault(Op::Get, page).await;
        assert_class(desk.try_get("checkout").await, &UNREACHABLE);
    }
}
