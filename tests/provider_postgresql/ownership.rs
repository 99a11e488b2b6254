//! Whose a role is decides whether it is touched.

use std::sync::Arc;
use std::time::Duration;

use pguser_operator::domain::password::Password;
use pguser_operator::provider::{Creator, ErrorClass, Provider};

use crate::support::{
    Client, INSTALLATION, Job, OWNER, World, assert_class, assert_says, job, mark, mark_text, ours, role,
    tests,
};

tests! {
    a_role_of_somebody_else_is_left_alone,
    a_role_without_a_mark_is_adopted_with_its_comment,
    a_role_is_adopted_from_whom_the_order_says_and_from_nobody_else,
    who_may_adopt_what_others_made_is_the_servers_business,
    a_successor_of_the_same_name_is_left_alone,
    somebody_who_comes_in_between_is_seen,
    a_lock_is_not_waited_for_for_ever,
}

/// Nothing can be done to it by this order.
async fn assert_untouchable(world: &World, client: &Client, job: &Job, password: &str) {
    let before = client.get(&job.username).await;
    let comment = world.comment(&job.username);
    assert_class(client.set(job, "pLaInTeXt-new").await, ErrorClass::NotFound);
    assert_class(client.configure(job).await, ErrorClass::NotFound);
    assert_class(client.delete(job).await, ErrorClass::NotFound);
    assert_eq!(client.get(&job.username).await, before);
    assert_eq!(world.comment(&job.username), comment);
    assert!(world.logs_in(&job.username, password).await);
}

fn make(world: &World, name: &str, comment: &str) {
    world.server.sql(&format!(
        "SET password_encryption = 'scram-sha-256'; \
         CREATE ROLE {name} LOGIN PASSWORD 'pLaInTeXt-old'; COMMENT ON ROLE {name} IS '{comment}'"
    ));
}

async fn a_role_of_somebody_else_is_left_alone(world: &World) {
    let client = world.client("boss");
    let other_object = mark(INSTALLATION, "another");
    let other_installation = mark("another", OWNER);
    for (name, comment) in [
        ("whose_1", mark_text(&other_object)),
        ("whose_2", mark_text(&other_installation)),
        (
            "whose_3",
            format!("{}\n{}", mark_text(&ours()), mark_text(&ours())),
        ),
        ("whose_4", format!("{}x y", mark_text(&ours()))),
    ] {
        make(world, name, &comment);
        assert_untouchable(world, &client, &job(name), "pLaInTeXt-old").await;
        assert_untouchable(world, &client, &job(name).adopting(), "pLaInTeXt-old").await;
    }
    make(world, "whose_5", "an ordinary comment");
    assert_untouchable(world, &client, &job("whose_5"), "pLaInTeXt-old").await;
    let creator = async |name| client.get(name).await.unwrap().creator;
    assert_eq!(creator("whose_1").await, Creator::Marked(other_object));
    assert_eq!(creator("whose_3").await, Creator::Unknown);
    assert_eq!(creator("whose_5").await, Creator::Unmanaged);
}

async fn a_role_without_a_mark_is_adopted_with_its_comment(world: &World) {
    let client = world.client("boss");
    make(world, "adopted", "The shop''s.\nAsk Ann.");
    let adopting = job("adopted").adopting();
    let user = client.set(&adopting, "pLaInTeXt-new").await.unwrap();
    assert_eq!(user.creator, Creator::Marked(ours()));
    let comment = format!("The shop's.\nAsk Ann.\n{}", mark_text(&ours()));
    assert_eq!(world.comment("adopted"), Some(comment.clone()));
    assert!(world.logs_in("adopted", "pLaInTeXt-new").await);
    // Again, as after an unknown outcome; and from now on without adopting.
    client.set(&adopting, "pLaInTeXt-new").await.unwrap();
    client.set(&job("adopted"), "pLaInTeXt-newer").await.unwrap();
    assert_eq!(world.comment("adopted"), Some(comment));
    // One that is locked gets LOGIN back when it is adopted again.
    world.server.sql("ALTER ROLE adopted NOLOGIN");
    let user = client.set(&adopting, "pLaInTeXt-new").await.unwrap();
    assert!(role(&user).login);
}

async fn a_role_is_adopted_from_whom_the_order_says_and_from_nobody_else(world: &World) {
    let client = world.client("boss");
    let former = mark("a-former-installation", "a-former-object");
    make(world, "taken_over", &format!("Mine.\n{}", mark_text(&former)));
    let from = |former| Job {
        former: Some(former),
        ..job("taken_over").adopting()
    };
    assert_untouchable(
        world,
        &client,
        &from(mark("a-former-installation", "x")),
        "pLaInTeXt-old",
    )
    .await;
    let not_adopting = Job {
        adopt: false,
        ..from(former.clone())
    };
    assert_untouchable(world, &client, &not_adopting, "pLaInTeXt-old").await;
    let user = client.set(&from(former), "pLaInTeXt-new").await.unwrap();
    assert_eq!(user.creator, Creator::Marked(ours()));
    let comment = format!("Mine.\n{}", mark_text(&ours()));
    assert_eq!(world.comment("taken_over"), Some(comment));
}

async fn who_may_adopt_what_others_made_is_the_servers_business(world: &World) {
    let client = world.client("clerk");
    make(world, "anothers", "");
    let adopting = job("anothers").adopting();
    let result = client.set(&adopting, "pLaInTeXt-new").await;
    if world.has_admin_option() {
        let error = assert_class(result, ErrorClass::Invalid);
        assert_says(&error, "42501");
        assert_says(&error, "ADMIN OPTION");
        assert!(world.logs_in("anothers", "pLaInTeXt-old").await);
        world.server.sql("GRANT anothers TO clerk WITH ADMIN OPTION");
        client.set(&adopting, "pLaInTeXt-new").await.unwrap();
    } else {
        result.unwrap();
    }
    assert!(world.logs_in("anothers", "pLaInTeXt-new").await);
    client.delete(&job("anothers")).await.unwrap();
}

async fn a_successor_of_the_same_name_is_left_alone(world: &World) {
    let client = world.client("boss");
    client.create(&job("succeeded"), "pLaInTeXt-1").await.unwrap();
    world.server.sql("DROP ROLE succeeded");
    assert_class(
        client.set(&job("succeeded"), "pLaInTeXt-2").await,
        ErrorClass::NotFound,
    );
    make(world, "succeeded", "");
    assert_untouchable(world, &client, &job("succeeded"), "pLaInTeXt-old").await;
}

/// Somebody changes the role, and whose it is, in a transaction that is still open when we come.
async fn somebody_who_comes_in_between_is_seen(world: &World) {
    for (name, change) in [
        ("between_1", "ALTER ROLE between_1 VALID UNTIL 'infinity'"),
        ("between_2", "ALTER ROLE between_2 RENAME TO between_2_moved"),
        ("between_3", "DROP ROLE between_3"),
    ] {
        let client = world.client("boss");
        client.create(&job(name), "pLaInTeXt-1").await.unwrap();
        let other = world.superuser().await;
        let comment = mark_text(&mark("another", "another"));
        other
            .batch_execute(&format!("BEGIN; COMMENT ON ROLE {name} IS '{comment}'; {change}"))
            .await
            .unwrap();
        let provider = Arc::clone(&client.provider);
        let setting = tokio::spawn(async move {
            let password = Password::new("pLaInTeXt-2");
            provider.set_password(&job(name).mutation(), &password).await
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!setting.is_finished(), "{name}");
        other.batch_execute("COMMIT").await.unwrap();
        let error = setting.await.unwrap().unwrap_err();
        assert!(
            matches!(error.class, ErrorClass::Busy | ErrorClass::NotFound),
            "{name}: {error}"
        );
        assert!(!world.logs_in(name, "pLaInTeXt-2").await);
        let later = client.set(&job(name), "pLaInTeXt-2").await;
        assert_class(later, ErrorClass::NotFound);
    }
    world.server.sql("DROP ROLE between_1, between_2_moved");
}

async fn a_lock_is_not_waited_for_for_ever(world: &World) {
    let client = Client::new(world.config("boss"), Duration::from_secs(3));
    client.create(&job("held"), "pLaInTeXt-1").await.unwrap();
    let other = world.superuser().await;
    other
        .batch_execute("BEGIN; ALTER ROLE held CONNECTION LIMIT 7")
        .await
        .unwrap();
    let error = assert_class(client.set(&job("held"), "pLaInTeXt-2").await, ErrorClass::Busy);
    assert_says(&error, "55P03");
    assert_class(client.delete(&job("held")).await, ErrorClass::Busy);
    other.batch_execute("ROLLBACK").await.unwrap();
    client.set(&job("held"), "pLaInTeXt-2").await.unwrap();
    client.delete(&job("held")).await.unwrap();
}
