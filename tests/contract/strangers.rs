//! Users that are not the order's: other people's, other objects', the vendor's own.

use pguser_operator::provider::{Creator, ErrorClass};
use serde_json::json;

use crate::case::{Case, Job, STRANGER, assert_class, assert_classes, ident, job, mark, mark_text, password};
use crate::subject::{Admin, Subject, without_marks};
use crate::tests;

tests! {
    a_user_made_by_sql_is_seen_and_never_ours,
    protected_users_are_shown_and_never_changed,
    reserved_names_make_nobody,
    another_objects_role_is_not_found unless without_marks,
    an_unmarked_role_is_not_found_unless_adopted unless without_marks,
    a_role_whose_mark_cannot_be_read_is_nobodys unless without_marks,
    adoption_takes_over_a_user_made_by_sql,
    adoption_takes_over_from_the_former_mark_and_no_other unless without_marks,
    a_role_in_the_place_of_ours_is_not_found unless without_marks,
}

async fn a_user_made_by_sql_is_seen_and_never_ours(case: &Case) {
    let desk = case.desk();
    case.by_hand("by-hand", &password(1)).await;
    case.by_hand("we ird/by%hand\"'", &password(1)).await;
    let listed = desk.list().await.users;
    for name in ["by-hand", "we ird/by%hand\"'"] {
        let read = desk.get(name).await.unwrap();
        let expected = match case.subject {
            Subject::Scalingo(_) => Creator::Unknown,
            _ => Creator::Unmanaged,
        };
        assert_eq!((&read.creator, read.protected), (&expected, false));
        assert_eq!(listed.iter().filter(|user| **user == read).count(), 1);
        case.only(name, 1, &[]).await;
    }
    // Groups are logins of nobody.
    case.sql("CREATE ROLE some_group").await;
    assert!(desk.get("some_group").await.is_none_or(|group| group.protected));
}

/// All three kinds of change, tried on one who must not be changed.
async fn untouchable(case: &Case, victim: &Job, classes: &[ErrorClass]) {
    let desk = case.desk();
    let facts = format!(
        "SELECT r.oid, r.rolcanlogin, r.rolconnlimit, a.rolpassword, d.description FROM pg_roles r \
         JOIN pg_authid a ON a.oid = r.oid LEFT JOIN pg_shdescription d ON d.objoid = r.oid \
         WHERE r.rolname = '{}'",
        victim.username.replace('\'', "''")
    );
    let before = case.sql(&facts).await;
    assert_classes(desk.set(victim, 2).await, classes);
    assert_classes(desk.delete(victim).await, classes);
    match case.subject.is_sql() {
        true => assert_classes(desk.configure(victim).await, classes),
        false => assert_class(desk.configure(victim).await, &ErrorClass::Invalid),
    };
    assert_eq!(case.sql(&facts).await, before, "{}", victim.username);
}

async fn protected_users_are_shown_and_never_changed(case: &Case) {
    let (names, words): (&[&str], &[&str]) = match case.subject {
        Subject::Ionos => (&["postgres", "admin", "standby"], &["422", "403"]),
        Subject::Scalingo(_) => (&["postgres", "my_app_4553", "boss-of-all"], &["403", "422"]),
        Subject::Postgresql(_) => (
            &["postgres", "admin_of_ours", "boss-of-all", "copier", "group"],
            &["422"],
        ),
    };
    let existing = password(1);
    case.sql(&format!(
        "CREATE ROLE \"boss-of-all\" SUPERUSER LOGIN PASSWORD '{existing}'; \
         CREATE ROLE copier REPLICATION LOGIN PASSWORD '{existing}'; CREATE ROLE \"group\""
    ))
    .await;
    if case.subject.is_scalingo() {
        case.by_hand("my_app_4553", &password(1)).await;
    }
    let desk = case.desk();
    let listed = desk.list().await.users;
    for word in words {
        case.switch(json!({"system-mutation": word, "scalingo-protected-mutation": word}))
            .await;
        let classes = match (*word, case.subject.is_sql()) {
            (_, true) => [ErrorClass::NotFound],
            ("403", _) => [ErrorClass::Unauthorized],
            _ => [ErrorClass::Invalid],
        };
        for name in names {
            let shown: Vec<_> = listed.iter().filter(|user| user.username == *name).collect();
            assert_eq!(shown.len(), 1, "{name}");
            assert!(shown[0].protected, "{name}");
            untouchable(case, &job(name), &classes).await;
            untouchable(case, &job(name).adopting(), &classes).await;
        }
    }
    if case.subject != Subject::Ionos {
        assert!(case.logs_in("boss-of-all", &existing).await);
    }
}

async fn reserved_names_make_nobody(case: &Case) {
    let desk = case.desk();
    let names: &[&str] = match case.subject {
        Subject::Ionos => &["postgres", "admin", "standby"],
        Subject::Scalingo(_) => &["postgres", "my_app_4553", "standby"],
        Subject::Postgresql(_) => &["postgres", "pg_monitor", "pg_of_ours", "public", "none"],
    };
    let roles = case.sql("SELECT rolname, oid FROM pg_roles ORDER BY 1").await;
    for word in ["422", "403"] {
        case.switch(json!({"reserved": word})).await;
        for name in names {
            let refused = [
                ErrorClass::Invalid,
                ErrorClass::Conflict,
                ErrorClass::Unauthorized,
            ];
            assert_classes(desk.create(&job(name), 2).await, &refused);
            assert!(!case.logs_in(name, &password(2)).await, "{name}");
        }
    }
    assert_eq!(
        case.sql("SELECT rolname, oid FROM pg_roles ORDER BY 1").await,
        roles
    );
}

/// A login with this comment.
async fn commented(case: &Case, name: &str, comment: &str) {
    case.by_hand(name, &password(1)).await;
    case.sql(&format!("COMMENT ON ROLE {} IS '{comment}'", ident(name)))
        .await;
    case.may_administer(name).await;
}

async fn another_objects_role_is_not_found(case: &Case) {
    commented(case, "theirs", &mark_text(&mark(STRANGER))).await;
    let desk = case.desk();
    let read = desk.get("theirs").await.unwrap();
    assert_eq!((read.mark(), read.protected), (Some(&mark(STRANGER)), false));
    untouchable(case, &job("theirs"), &[ErrorClass::NotFound]).await;
    untouchable(case, &job("theirs").adopting(), &[ErrorClass::NotFound]).await;
    case.only("theirs", 1, &[2]).await;
    // Its own object may.
    let theirs = Job {
        owner: STRANGER.to_string(),
        ..job("theirs")
    };
    desk.set(&theirs, 3).await.unwrap();
    case.only("theirs", 3, &[1]).await;
}

async fn an_unmarked_role_is_not_found_unless_adopted(case: &Case) {
    case.by_hand("nobodys", &password(1)).await;
    case.may_administer("nobodys").await;
    untouchable(case, &job("nobodys"), &[ErrorClass::NotFound]).await;
    case.only("nobodys", 1, &[2]).await;
}

async fn a_role_whose_mark_cannot_be_read_is_nobodys(case: &Case) {
    let ours = mark_text(&mark(crate::case::OWNER));
    for (name, comment) in [
        ("twice", format!("{ours}\n{ours}")),
        ("spaced", format!("{ours} ")),
        ("cut", "managed by pguser-operator: installation=".to_string()),
    ] {
        commented(case, name, &comment).await;
        let read = case.desk().get(name).await.unwrap();
        assert_eq!(read.creator, Creator::Unknown, "{name}");
        untouchable(case, &job(name), &[ErrorClass::NotFound]).await;
        untouchable(case, &job(name).adopting(), &[ErrorClass::NotFound]).await;
        case.only(name, 1, &[2]).await;
    }
}

async fn adoption_takes_over_a_user_made_by_sql(case: &Case) {
    let desk = case.desk();
    case.by_hand("by-hand", &password(1)).await;
    let adopting = job("by-hand").adopting();
    if case.subject == Subject::Postgresql(Admin::Createrole) && case.version().await < 160_000 {
        case.may_administer("by-hand").await;
    }
    if case.subject == Subject::Postgresql(Admin::Createrole) && case.version().await >= 160_000 {
        assert_class(desk.set(&adopting, 2).await, &ErrorClass::Invalid);
        case.only("by-hand", 1, &[2]).await;
        case.may_administer("by-hand").await;
    }
    desk.set(&adopting, 2).await.unwrap();
    case.only("by-hand", 2, &[1]).await;
    let read = desk.get("by-hand").await.unwrap();
    if case.subject.capabilities().marks {
        assert!(case.subject.is_ours(&read), "{read:?}");
    }
    // Now it is ours: the rest of its life is like any other's.
    desk.set(&job("by-hand"), 3).await.unwrap();
    case.only("by-hand", 3, &[2]).await;
    desk.delete(&job("by-hand")).await.unwrap();
    assert!(!case.exists("by-hand").await);
}

async fn adoption_takes_over_from_the_former_mark_and_no_other(case: &Case) {
    let desk = case.desk();
    commented(
        case,
        "theirs",
        &format!("The shop''s.\n{}", mark_text(&mark(STRANGER))),
    )
    .await;
    let from = |uid: &str| Job {
        former: Some(mark(uid)),
        ..job("theirs").adopting()
    };
    untouchable(case, &from("another-uid"), &[ErrorClass::NotFound]).await;
    let without_leave = Job {
        adopt: false,
        ..from(STRANGER)
    };
    untouchable(case, &without_leave, &[ErrorClass::NotFound]).await;
    desk.set(&from(STRANGER), 2).await.unwrap();
    case.only("theirs", 2, &[1]).await;
    let read = desk.get("theirs").await.unwrap();
    assert!(case.subject.is_ours(&read), "{read:?}");
    let comment = "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = 'theirs'";
    assert!(case.sql(comment).await[0][0].starts_with("The shop's.\n"));
    let stranger = Job {
        owner: STRANGER.to_string(),
        ..job("theirs")
    };
    untouchable(case, &stranger, &[ErrorClass::NotFound]).await;
}

async fn a_role_in_the_place_of_ours_is_not_found(case: &Case) {
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    case.sql("DROP ROLE checkout").await;
    case.by_hand("checkout", &password(1)).await;
    case.may_administer("checkout").await;
    untouchable(case, &job("checkout"), &[ErrorClass::NotFound]).await;
    case.only("checkout", 1, &[2]).await;
}
