//! Deleting users.

use pguser_operator::provider::ErrorClass;
use serde_json::json;

use crate::case::{Case, assert_class, ident, job, password};
use crate::subject::UNKNOWN;
use crate::tests;

tests! {
    a_deleted_user_is_gone_and_deleting_it_again_finds_nobody,
    deleting_one_leaves_the_others,
    a_name_that_was_deleted_can_be_used_again,
    a_user_that_owns_something_is_not_deleted,
}

async fn a_deleted_user_is_gone_and_deleting_it_again_finds_nobody(case: &Case) {
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    desk.delete(&job("checkout")).await.unwrap();
    assert!(!case.exists("checkout").await);
    assert!(!case.logs_in("checkout", &password(1)).await);
    assert_eq!(desk.get("checkout").await, None);
    let listed = desk.list().await;
    assert!(listed.users.iter().all(|user| user.username != "checkout"));
    for _ in 0..2 {
        assert_class(desk.delete(&job("checkout")).await, &ErrorClass::NotFound);
    }
}

async fn deleting_one_leaves_the_others(case: &Case) {
    let desk = case.desk();
    for name in ["checkout", "checkout2", "checkou"] {
        desk.create(&job(name), 1).await.unwrap();
    }
    desk.delete(&job("checkout")).await.unwrap();
    assert!(!case.exists("checkout").await);
    for name in ["checkout2", "checkou"] {
        case.only(name, 1, &[]).await;
    }
}

async fn a_name_that_was_deleted_can_be_used_again(case: &Case) {
    let desk = case.desk();
    for which in 1..4 {
        desk.create(&job("checkout"), which).await.unwrap();
        case.only("checkout", which, &[which + 1]).await;
        desk.delete(&job("checkout")).await.unwrap();
    }
}

async fn a_user_that_owns_something_is_not_deleted(case: &Case) {
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    let owner = ident("checkout");
    case.sql(&format!(
        "CREATE TABLE of_checkout (); ALTER TABLE of_checkout OWNER TO {owner}"
    ))
    .await;
    let words = match case.subject.is_api() {
        true => vec![
            ("422", ErrorClass::Invalid),
            ("409", ErrorClass::Conflict),
            ("500", UNKNOWN),
        ],
        false => vec![("", ErrorClass::Invalid)],
    };
    for (word, class) in words {
        if !word.is_empty() {
            case.switch(json!({"owned-objects": word})).await;
        }
        assert_class(desk.delete(&job("checkout")).await, &class);
        case.only("checkout", 1, &[]).await;
        assert!(desk.get("checkout").await.is_some());
    }
    case.sql("DROP TABLE of_checkout").await;
    desk.delete(&job("checkout")).await.unwrap();
}
