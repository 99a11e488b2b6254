//! Names at the edges of what each provider takes.

use pguser_operator::provider::{ErrorClass, Provider};
use serde_json::json;

use crate::case::{Case, assert_class, assert_classes, job, password};
use crate::subject::{Subject, UNKNOWN};
use crate::tests;

tests! {
    odd_names_go_all_the_way,
    impossible_names_reach_nobody,
    names_that_differ_in_case_only_are_two,
    the_capabilities_are_those_of_the_subject,
}

fn odd(subject: Subject) -> Vec<String> {
    match subject {
        Subject::Scalingo(_) => vec![
            "abcdef".to_string(),
            "a".repeat(32),
            "with-a-hyphen-0".to_string(),
            "with_an_underscore_".to_string(),
            "123456".to_string(),
            "reset_password".to_string(),
        ],
        Subject::Ionos | Subject::Postgresql(_) => vec![
            "x".to_string(),
            "x".repeat(63),
            "ü".repeat(31),
            format!("{}abc", "🦀".repeat(15)),
            "we ird/na%me".to_string(),
            "%2e%2e".to_string(),
            "%2F%25%s".to_string(),
            "...".to_string(),
            "a?b#c&d=e+f;g:h@i".to_string(),
            "it's \"quoted\"".to_string(),
            "back\\slash\\'".to_string(),
            " leading and trailing ".to_string(),
            "line\nbreak\ttab".to_string(),
            "東京-Größe-🦀".to_string(),
            "e\u{301}\u{202e}".to_string(),
            "x\"; DROP ROLE postgres; --".to_string(),
            "$$x$$ {} ${x} $1".to_string(),
            "select".to_string(),
            "users".to_string(),
            "null".to_string(),
        ],
    }
}

async fn odd_names_go_all_the_way(case: &Case) {
    let desk = case.desk();
    for name in odd(case.subject) {
        let made = desk.create(&job(&name), 1).await;
        let made = made.unwrap_or_else(|error| panic!("{name:?}: {error}")).unwrap();
        assert_eq!(made.username, name);
        case.only(&name, 1, &[2]).await;
        assert_eq!(desk.get(&name).await, Some(made), "{name:?}");
        assert_classes(desk.create(&job(&name), 3).await, case.subject.taken());
        desk.set(&job(&name), 2).await.unwrap();
        case.only(&name, 2, &[1, 3]).await;
    }
    let listed = desk.list().await.users;
    for name in odd(case.subject) {
        let found = listed.iter().filter(|user| user.username == name).count();
        assert_eq!(found, 1, "{name:?}");
        desk.delete(&job(&name)).await.unwrap();
        assert!(!case.exists(&name).await, "{name:?}");
        assert_class(desk.delete(&job(&name)).await, &ErrorClass::NotFound);
    }
}

fn impossible(subject: Subject) -> Vec<String> {
    let mut names = vec![String::new(), "a\0b-and-more".to_string(), "x".repeat(64)];
    match subject {
        Subject::Scalingo(_) => names.extend(
            [
                "short",
                "-hyphen-first",
                "hyphen-last-",
                "two--hyphens",
                "a space",
                "sla/sh-and-more",
                "per%cent-x",
                "quo'te-and-more",
                "größe-und-mehr",
                ".",
                "..",
            ]
            .map(str::to_string)
            .into_iter()
            .chain(["a".repeat(33)]),
        ),
        Subject::Ionos => names.extend([".", "..", "pg_mine", "none", "public"].map(str::to_string)),
        Subject::Postgresql(_) => names.extend(["pg_mine", "none", "public"].map(str::to_string)),
    }
    names.extend(match subject {
        Subject::Scalingo(_) => vec![],
        _ => vec!["ü".repeat(32), format!("{}abcd", "🦀".repeat(15))],
    });
    names
}

async fn impossible_names_reach_nobody(case: &Case) {
    let desk = case.desk();
    desk.create(&job("bystander"), 1).await.unwrap();
    let before = desk.list().await.users;
    let roles = case.sql("SELECT rolname, oid FROM pg_roles ORDER BY 1").await;
    for name in impossible(case.subject) {
        let error = assert_class(desk.create(&job(&name), 2).await, &ErrorClass::Invalid);
        assert!(!error.detail.contains('\0'), "{error:?}");
        let nobody = [ErrorClass::Invalid, ErrorClass::NotFound];
        assert_classes(desk.set(&job(&name), 2).await, &nobody);
        assert_classes(desk.delete(&job(&name)).await, &nobody);
        match desk.try_get(&name).await {
            Ok(found) => assert_eq!(found, None, "{name:?}"),
            Err(error) => assert_eq!(error.class, ErrorClass::Invalid, "{name:?}: {error}"),
        }
    }
    assert_eq!(desk.list().await.users, before);
    assert_eq!(
        case.sql("SELECT rolname, oid FROM pg_roles ORDER BY 1").await,
        roles
    );
    case.only("bystander", 1, &[2]).await;
    if case.subject == Subject::Ionos {
        // Cut to what fits, it would be another user than the one that was meant.
        case.switch(json!({"long-names": "truncate"})).await;
        assert_class(desk.create(&job(&"ü".repeat(40)), 2).await, &UNKNOWN);
    }
}

async fn names_that_differ_in_case_only_are_two(case: &Case) {
    let desk = case.desk();
    if desk.create(&job("CheckOut"), 1).await.is_err() {
        // A provider may refuse upper case; it must not fold it.
        assert!(!case.exists("checkout").await);
        return;
    }
    assert_eq!(desk.get("checkout").await, None);
    desk.create(&job("checkout"), 2).await.unwrap();
    case.only("CheckOut", 1, &[2]).await;
    case.only("checkout", 2, &[1]).await;
    desk.delete(&job("checkout")).await.unwrap();
    assert!(case.logs_in("CheckOut", &password(1)).await);
}

async fn the_capabilities_are_those_of_the_subject(case: &Case) {
    let desk = case.desk();
    assert_eq!(desk.provider.capabilities(), case.subject.capabilities());
    let cluster = desk.provider.cluster().await.unwrap();
    let difference = jiff::Timestamp::now().duration_since(cluster.date.unwrap());
    assert!(difference.as_secs().abs() < 5);
}
