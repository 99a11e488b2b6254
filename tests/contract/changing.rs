//! Changing users.

use std::collections::BTreeSet;

use pguser_operator::domain::role::{RoleOptions, RoleSettings};
use pguser_operator::provider::ErrorClass;

use crate::case::{Case, Job, assert_class, job};
use crate::subject::by_http;
use crate::subject::by_sql;
use crate::tests;

tests! {
    a_new_password_replaces_the_old_one,
    the_same_password_again_changes_nothing,
    a_password_for_nobody_is_not_found_and_makes_nobody,
    settings_cannot_be_changed unless by_sql,
    settings_are_changed_and_the_password_stays unless by_http,
}

async fn a_new_password_replaces_the_old_one(case: &Case) {
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    let made = desk.get("checkout").await.unwrap();
    for next in 2..5 {
        let answer = desk.set(&job("checkout"), next).await.unwrap();
        case.only("checkout", next, &[next - 1, next + 1]).await;
        let read = desk.get("checkout").await.unwrap();
        assert!(answer.is_none_or(|user| user == read));
        assert_eq!(read.created, made.created);
        assert!(case.subject.is_ours(&read), "{read:?}");
    }
}

async fn the_same_password_again_changes_nothing(case: &Case) {
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    let made = desk.get("checkout").await.unwrap();
    for _ in 0..3 {
        desk.set(&job("checkout"), 1).await.unwrap();
        case.only("checkout", 1, &[]).await;
    }
    let read = desk.get("checkout").await.unwrap();
    assert_eq!(read.traits.password_stamp, made.traits.password_stamp);
    desk.set(&job("checkout"), 2).await.unwrap();
    let changed = desk.get("checkout").await.unwrap().traits.password_stamp;
    assert!(changed.is_none() || changed != made.traits.password_stamp);
}

async fn a_password_for_nobody_is_not_found_and_makes_nobody(case: &Case) {
    let desk = case.desk();
    assert_class(desk.set(&job("nobody-here"), 1).await, &ErrorClass::NotFound);
    assert_class(
        desk.set(&job("nobody-here").adopting(), 1).await,
        &ErrorClass::NotFound,
    );
    assert!(!case.exists("nobody-here").await);
    assert_eq!(desk.get("nobody-here").await, None);
}

async fn settings_cannot_be_changed(case: &Case) {
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    let made = desk.get("checkout").await.unwrap();
    assert_class(desk.configure(&job("checkout")).await, &ErrorClass::Invalid);
    assert_class(desk.configure(&job("nobody-here")).await, &ErrorClass::Invalid);
    assert_eq!(desk.get("checkout").await, Some(made));
    case.only("checkout", 1, &[]).await;
}

async fn settings_are_changed_and_the_password_stays(case: &Case) {
    let desk = case.desk();
    let limited = Job {
        settings: RoleSettings {
            options: Some(RoleOptions {
                connection_limit: 3,
                inherit: false,
                member_of: BTreeSet::new(),
                ..RoleOptions::default()
            }),
            ..RoleSettings::default()
        },
        ..job("checkout")
    };
    assert_class(desk.configure(&limited).await, &ErrorClass::NotFound);
    desk.create(&job("checkout"), 1).await.unwrap();
    let made = desk.get("checkout").await.unwrap();
    for _ in 0..2 {
        let answer = desk.configure(&limited).await.unwrap().unwrap();
        let read = desk.get("checkout").await.unwrap();
        assert_eq!(answer, read);
        let role = read.traits.role.unwrap();
        assert_eq!((role.connection_limit, role.inherit), (3, false));
        assert_eq!(read.traits.password_stamp, made.traits.password_stamp);
        case.only("checkout", 1, &[]).await;
    }
}
