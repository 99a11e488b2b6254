//! Making users.

use pguser_operator::domain::role::RoleSettings;
use pguser_operator::provider::ErrorClass;
use serde_json::json;

use crate::case::{Case, SECRET, assert_class, assert_classes, job, password};
use crate::subject::{Subject, without_bounds, without_read_only};
use crate::tests;

tests! {
    create_then_log_in,
    a_user_that_only_reads unless without_read_only,
    a_taken_name_is_refused_and_its_password_stays,
    a_name_taken_by_sql_is_refused_and_its_password_stays,
    the_shortest_and_the_longest_password_log_in,
    every_character_that_a_password_may_have_logs_in,
    a_password_out_of_bounds_makes_nobody unless without_bounds,
}

async fn create_then_log_in(case: &Case) {
    let desk = case.desk();
    assert_eq!(desk.get("checkout").await, None);
    let answer = desk.create(&job("checkout"), 1).await.unwrap();
    case.only("checkout", 1, &[2]).await;
    let read = desk.get("checkout").await.unwrap();
    assert_eq!(answer.as_ref(), Some(&read));
    assert!(!read.protected && case.subject.is_ours(&read), "{read:?}");
    assert_eq!(read.created.is_some(), case.subject == Subject::Ionos);
    let listed = desk.list().await.users;
    let listed: Vec<_> = listed.iter().filter(|user| user.username == "checkout").collect();
    assert_eq!(listed, [&read]);
}

async fn a_user_that_only_reads(case: &Case) {
    let desk = case.desk();
    case.sql("CREATE TABLE goods (name text)").await;
    let mut reader = job("the-reader");
    reader.settings = RoleSettings {
        read_only: true,
        ..RoleSettings::default()
    };
    let made = desk.create(&reader, 1).await.unwrap().unwrap();
    assert_eq!(made.traits.read_only, Some(true));
    desk.create(&job("the-writer"), 1).await.unwrap();
    let read = desk.get("the-writer").await.unwrap();
    assert_eq!(read.traits.read_only, Some(false));
    assert_eq!(desk.get("the-reader").await.unwrap().traits.read_only, Some(true));
    case.only("the-reader", 1, &[]).await;
    let rights = "SELECT has_table_privilege('the-reader', 'goods', 'SELECT'), \
        has_table_privilege('the-reader', 'goods', 'INSERT')";
    assert_eq!(case.sql(rights).await, [["t", "f"]]);
    case.sql("DROP TABLE goods").await;
}

/// Both ways in which an API may say so.
async fn taken(case: &Case, name: &str) {
    let desk = case.desk();
    assert_classes(desk.create(&job(name), 2).await, case.subject.taken());
    case.only(name, 1, &[2]).await;
    if case.subject.is_api() {
        case.switch(json!({"duplicate": "409", "scalingo-duplicate": "409"}))
            .await;
        assert_class(desk.create(&job(name), 2).await, &ErrorClass::Conflict);
        case.only(name, 1, &[2]).await;
    }
}

async fn a_taken_name_is_refused_and_its_password_stays(case: &Case) {
    case.desk().create(&job("checkout"), 1).await.unwrap();
    taken(case, "checkout").await;
}

async fn a_name_taken_by_sql_is_refused_and_its_password_stays(case: &Case) {
    case.by_hand("by-hand", &password(1)).await;
    taken(case, "by-hand").await;
    let desk = case.desk();
    let read = desk.get("by-hand").await.unwrap();
    assert_eq!(read.mark(), None);
    // A name that a group has is taken, too.
    if case.subject.is_sql() {
        case.sql("CREATE ROLE some_group").await;
        assert_classes(desk.create(&job("some_group"), 2).await, case.subject.taken());
        assert!(!case.logs_in("some_group", &password(2)).await);
    }
}

/// Of so many characters.
fn long(length: usize) -> String {
    "aB3-".chars().cycle().take(length).collect()
}

async fn the_shortest_and_the_longest_password_log_in(case: &Case) {
    let desk = case.desk();
    let capabilities = case.subject.capabilities();
    let (min, max) = (capabilities.password_min, capabilities.password_max);
    desk.create_with(&job("checkout"), &long(min)).await.unwrap();
    assert!(case.logs_in("checkout", &long(min)).await);
    desk.set_with(&job("checkout"), &long(max)).await.unwrap();
    assert!(case.logs_in("checkout", &long(max)).await);
    assert!(!case.logs_in("checkout", &long(min)).await);
}

async fn every_character_that_a_password_may_have_logs_in(case: &Case) {
    let desk = case.desk();
    let excluded = case.subject.capabilities().password_excludes;
    let all: Vec<char> = (' '..='~').filter(|c| !excluded.contains(*c)).collect();
    desk.create(&job("checkout"), 1).await.unwrap();
    for some in all.chunks(30) {
        let mut password: String = some.iter().collect();
        while password.chars().count() < 30 {
            password.push('x');
        }
        desk.set_with(&job("checkout"), &password).await.unwrap();
        assert!(case.logs_in("checkout", &password).await, "{password:?}");
    }
    let foreign = format!("{SECRET}-Grüße-из-東京-🦀-and-more");
    desk.set_with(&job("checkout"), &foreign).await.unwrap();
    assert!(case.logs_in("checkout", &foreign).await);
}

async fn a_password_out_of_bounds_makes_nobody(case: &Case) {
    let desk = case.desk();
    let capabilities = case.subject.capabilities();
    let mut bad = vec![
        long(capabilities.password_min - 1),
        long(capabilities.password_max + 1),
    ];
    let excluded = capabilities.password_excludes.chars();
    bad.extend(excluded.map(|c| format!("{}{c}", password(1))));
    desk.create(&job("existing"), 1).await.unwrap();
    for password in bad {
        let made = desk.create_with(&job("checkout"), &password).await;
        assert_class(made, &ErrorClass::Invalid);
        assert!(!case.exists("checkout").await);
        let set = desk.set_with(&job("existing"), &password).await;
        assert_class(set, &ErrorClass::Invalid);
        case.only("existing", 1, &[]).await;
    }
}
