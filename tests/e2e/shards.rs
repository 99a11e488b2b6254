//! Two operators that share the work by the labels of server objects.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{
    Handle, Operator, Options, Outcome, PATIENCE, Postgres, Provider, SERVER, Vendor, World, eventually,
    pause, trials,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        each_shard_works_on_what_it_selects_and_leaves_the_rest_alone,
        a_server_object_that_is_not_there_is_told_of_once,
        a_user_moves_from_shard_to_shard,
        what_was_begun_is_finished_before_a_user_is_handed_over,
        a_user_that_was_handed_over_is_deleted_where_its_login_is,
        a_server_object_changes_shards,
        a_server_object_that_changes_shards_while_it_is_busy_ends_nobody,
        shards_that_overlap_keep_each_other_out_by_the_journal,
    )
}

const LABEL: &str = "pguser.dev/shard";
/// Of shard b.
const OTHER: &str = "other";
/// How long nothing is to happen.
const A_WHILE: Duration = Duration::from_secs(2);

fn shard(name: &str) -> Options {
    selecting(&format!("{LABEL}={name}"), name)
}

fn selecting(selector: &str, name: &str) -> Options {
    Options::quick()
        .leader_elect()
        .flag("--lease-duration", "3s")
        .flag("--lease-name", &format!("shard-{name}"))
        .flag("--selector", selector)
}

async fn label(world: &World, server: &str, shard: &str) -> Outcome {
    let labels = json!({"metadata": {"labels": {LABEL: shard}}});
    world.merge("PostgresServer", server, labels).await
}

/// Two servers, on databases of their own, and a shard for each.
struct Two {
    a: Operator,
    b: Operator,
    vendor: Vendor,
    /// SQL: to another database, unless it is to be the same.
    sql: Vendor,
}

impl Two {
    async fn new(world: &World) -> Outcome<Two> {
        let postgres = Arc::new(Postgres::start(&world.dir().join("pg-2")).await?);
        let sql = Vendor::start(Provider::Postgresql, world.dir(), &postgres, &[]).await?;
        Self::with(world, sql).await
    }

    async fn on_one_database(world: &World) -> Outcome<Two> {
        let sql = world.start_vendor_of(Provider::Postgresql, &[]).await?;
        Self::with(world, sql).await
    }

    async fn with(world: &World, sql: Vendor) -> Outcome<Two> {
        let vendor = world.start_vendor(&[]).await?;
        world.apply_server(SERVER, &vendor).await?;
        label(world, SERVER, "a").await?;
        world.apply_server(OTHER, &sql).await?;
        label(world, OTHER, "b").await?;
        let a = world.start_operator(shard("a")).await?;
        let b = world.start_operator(shard("b")).await?;
        for server in [SERVER, OTHER] {
            world.wait_for("PostgresServer", server, "Ready", "True").await?;
        }
        Ok(Two { a, b, vendor, sql })
    }
}

async fn point_to(world: &World, server: &str) -> Outcome {
    let change = json!({"spec": {"serverRef": {"name": server}}});
    world.merge("PostgresUser", "checkout", change).await
}

/// Waits until the record says that the login is managed by this server object.
async fn is_at(world: &World, server: &str) -> Outcome {
    eventually(
        &format!("the record to name {server}"),
        PATIENCE,
        async || match at(world).await? {
            found if found == server => Ok(()),
            found => Err(found.into()),
        },
    )
    .await
}

async fn at(world: &World) -> Outcome<String> {
    let user = world.get("PostgresUser", "checkout").await?.ok_or("no user")?;
    let found = &user.data["status"]["remoteUsers"][0]["serverRef"]["name"];
    Ok(found.as_str().unwrap_or_default().to_string())
}

async fn version(world: &World, name: &str) -> Outcome<Option<String>> {
    let user = world.get("PostgresUser", name).await?.ok_or("no user")?;
    Ok(user.metadata.resource_version)
}

async fn each_shard_works_on_what_it_selects_and_leaves_the_rest_alone(world: &World) -> Outcome {
    let mut two = Two::new(world).await?;
    two.b.kill();
    world.apply_user("theirs", OTHER).await?;
    let untouched = version(world, "theirs").await?;
    world.ready_user("ours").await?;
    world
        .stays("the user of the other shard is left alone", A_WHILE, async || {
            assert_eq!(version(world, "theirs").await?, untouched);
            Ok(())
        })
        .await?;
    assert!(!two.sql.postgres().has_role("theirs").await?);
    two.a.kill();
    let at_rest = version(world, "ours").await?;
    two.b.restart().await?;
    world.user_ready("theirs").await?;
    assert!(two.sql.postgres().has_role("theirs").await?);
    assert_eq!(version(world, "ours").await?, at_rest);
    // A server object that nobody selects is nobody's, and its users wait.
    label(world, OTHER, "c").await?;
    world.apply_user("nobodys", OTHER).await?;
    let untouched = version(world, "nobodys").await?;
    world
        .stays("the user of no shard is left alone", A_WHILE, async || {
            assert_eq!(version(world, "nobodys").await?, untouched);
            Ok(())
        })
        .await
}

async fn a_server_object_that_is_not_there_is_told_of_once(world: &World) -> Outcome {
    let two = Two::new(world).await?;
    world.quiet(&two.a).await?;
    world.apply_user("lost", "nowhere").await?;
    world.user_not_ready("lost", "ServerNotFound").await?;
    world.quiet(&two.a).await?;
    let told = world.events().await?;
    let told = told
        .iter()
        .filter(|event| event.contains("ServerNotFound"))
        .count();
    assert!((1..=2).contains(&told), "{told}");
    world.delete("PostgresUser", "lost").await?;
    world.gone("PostgresUser", "lost", PATIENCE).await
}

async fn a_user_moves_from_shard_to_shard(world: &World) -> Outcome {
    let two = Two::on_one_database(world).await?;
    let password = world.ready_user("checkout").await?;
    two.sql.give("checkout").await?;
    world.quiet(&two.a).await?;
    for server in [OTHER, SERVER] {
        point_to(world, server).await?;
        is_at(world, server).await?;
        world.user_ready("checkout").await?;
        world.quiet(&two.a).await?;
        assert_eq!(world.password_of("checkout").await?, password);
        world.login_of("checkout").await?;
        world.journal_empty().await?;
    }
    two.vendor.had("users.create", 1).await?;
    world.delete("PostgresUser", "checkout").await?;
    world.user_gone("checkout", &password).await
}

async fn what_was_begun_is_finished_before_a_user_is_handed_over(world: &World) -> Outcome {
    let mut two = Two::on_one_database(world).await?;
    let before = world.ready_user("checkout").await?;
    two.sql.give("checkout").await?;
    world.journal_empty().await?;
    // Nothing is heard of what is sent, so that it stays in the journal.
    let lost = json!({"type": "drop", "when": "before-commit"});
    two.vendor
        .fault(json!({"route": "users.patch", "fault": lost}))
        .await?;
    world.rotate("checkout", "1").await?;
    world.requested(&two.vendor, "users.patch", 1).await?;
    two.a.kill();
    point_to(world, OTHER).await?;
    world
        .stays("the other shard waits", A_WHILE, async || {
            assert_eq!(at(world).await?, SERVER);
            assert_eq!(world.journal_entries().await?.len(), 1);
            Ok(())
        })
        .await?;
    two.vendor.no_faults().await?;
    two.a.restart().await?;
    is_at(world, OTHER).await?;
    world.user_ready("checkout").await?;
    let password = world.rotated("checkout", &before).await?;
    world.journal_empty().await?;
    assert_eq!(world.password_of("checkout").await?, password);
    world.login_of("checkout").await
}

async fn a_user_that_was_handed_over_is_deleted_where_its_login_is(world: &World) -> Outcome {
    // The other database does not have the login, so that it cannot move.
    let two = Two::new(world).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&two.a).await?;
    point_to(world, OTHER).await?;
    world
        .user_is("checkout", "Stalled", "True", "RemoteChanged")
        .await?;
    world.quiet(&two.a).await?;
    world.login_of("checkout").await?;
    assert_eq!(at(world).await?, SERVER);
    world.delete("PostgresUser", "checkout").await?;
    world.user_gone("checkout", &password).await?;
    two.vendor.had("users.delete", 1).await
}

async fn a_server_object_changes_shards(world: &World) -> Outcome {
    let mut two = Two::new(world).await?;
    let before = world.ready_user("checkout").await?;
    world.quiet(&two.a).await?;
    label(world, SERVER, "b").await?;
    world.rotate("checkout", "1").await?;
    let password = world.rotated("checkout", &before).await?;
    world.login_of("checkout").await?;
    // The shard that had it neither died of that, nor is it needed any more.
    two.a.get("readyz").await?;
    two.a.kill();
    world.delete("PostgresUser", "checkout").await?;
    world.user_gone("checkout", &password).await
}

/// The shard that has it sleeps while its request is under way; when it wakes, the other one has the journal, and the watch has not
/// told it yet.
async fn a_server_object_that_changes_shards_while_it_is_busy_ends_nobody(world: &World) -> Outcome {
    let mut two = Two::new(world).await?;
    let before = world.ready_user("checkout").await?;
    world.quiet(&two.a).await?;
    let slow = json!({"type": "latency", "beforeMs": 500, "afterMs": 1500});
    two.vendor
        .fault(json!({"route": "users.patch", "count": 1, "fault": slow}))
        .await?;
    world.rotate("checkout", "1").await?;
    world.requested(&two.vendor, "users.patch", 1).await?;
    two.a.signal("STOP")?;
    label(world, SERVER, "b").await?;
    let password = world.rotated("checkout", &before).await?;
    two.a.signal("CONT")?;
    world
        .stays("the shard that had it goes on", A_WHILE, async || {
            two.a.get("readyz").await.map(drop)
        })
        .await?;
    assert_eq!(world.password_of("checkout").await?, password);
    // It works on what is its own.
    label(world, OTHER, "a").await?;
    two.b.kill();
    world.apply_user("another", OTHER).await?;
    world.user_ready("another").await?;
    two.a.get("readyz").await.map(drop)
}

async fn shards_that_overlap_keep_each_other_out_by_the_journal(world: &World) -> Outcome {
    let mut two = Two::new(world).await?;
    world.ready_user("checkout").await?;
    world.journal_empty().await?;
    let mut greedy = world.operator(selecting(LABEL, "greedy")).await?;
    greedy.restart().await?;
    greedy.has_listed().await?;
    // Whoever comes later has the journal, and the other one ends as soon as it means to write to it.
    pause(500).await;
    world.apply_user("later", SERVER).await?;
    two.a.exit().await?;
    world.user_works("later").await?;
    world.user_works("checkout").await?;
    assert_eq!(world.roles().await?, ["checkout", "later"]);
    Ok(())
}
