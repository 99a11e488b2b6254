//! A PostgresUser is pointed to another server object: on the same database everything stays as it is.

use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use kube::{
    ResourceExt as _,
    api::{DynamicObject, WatchEvent, WatchParams},
};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{
    Handle, Operator, Options, Outcome, PATIENCE, Postgres, Provider, SERVER, Vendor, World, eventually,
    trials,
};

/// The server object that speaks SQL.
const BY_SQL: &str = "by-sql";

pub fn trials(environment: &Handle) -> Vec<Trial> {
    let from_an_api = [Provider::Ionos, Provider::Scalingo]
        .into_iter()
        .flat_map(|provider| {
            trials!(environment, provider;
                a_user_moves_with_all_that_it_has,
                a_user_moves_back,
                a_server_that_users_are_to_leave_stays_until_they_have,
                a_user_does_not_move_to_another_database_and_is_deleted_where_it_is,
                a_user_does_not_take_over_its_namesake,
            )
        });
    let mut trials: Vec<Trial> = from_an_api.collect();
    if cfg!(feature = "failpoints") {
        trials.extend(trials!(environment; what_was_begun_is_finished_before_a_move));
    }
    trials
}

/// A vendor with its server object, SQL to the same database with another, and an operator.
async fn both(world: &World) -> Outcome<(Vendor, Vendor, Operator)> {
    let (vendor, operator) = world.set_up(&[]).await?;
    let sql = world.start_vendor_of(Provider::Postgresql, &[]).await?;
    world.apply_server(BY_SQL, &sql).await?;
    Ok((vendor, sql, operator))
}

async fn point_to(world: &World, server: &str) -> Outcome {
    let change = json!({"spec": {"serverRef": {"name": server}}});
    world.merge("PostgresUser", "checkout", change).await
}

/// Waits until the record says that the login is managed by this server object.
async fn is_at(world: &World, server: &str) -> Outcome {
    eventually(&format!("the record to name {server}"), PATIENCE, async || {
        let user = world.get("PostgresUser", "checkout").await?.ok_or("no user")?;
        match &user.data["status"]["remoteUsers"][0]["serverRef"]["name"] {
            Value::String(found) if found == server => Ok(()),
            found => Err(format!("{found}: {}", user.data["status"]["conditions"]).into()),
        }
    })
    .await
}

/// What has to stay: the role, the Secret's UID, user and password.
async fn identity(world: &World) -> Outcome<(Vec<Vec<String>>, Option<String>, String, String)> {
    let secret = world.get("v1/Secret", "checkout-postgres").await?;
    Ok((
        world
            .postgres()
            .sql("select oid from pg_roles where rolname = 'checkout'")
            .await?,
        secret.and_then(|secret| secret.uid()),
        world.key_of("checkout", "username").await?,
        world.password_of("checkout").await?,
    ))
}

/// The status of Ready, from now on, whenever it is another one than before.
async fn watch_ready(world: &World) -> Outcome<Arc<Mutex<Vec<String>>>> {
    let users = world.api("PostgresUser");
    let version = users
        .get("checkout")
        .await?
        .resource_version()
        .unwrap_or_default();
    let mut changes = Box::pin(users.watch(&WatchParams::default(), &version).await?);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seen_by_task = seen.clone();
    tokio::spawn(async move {
        while let Some(Ok(WatchEvent::Modified(user))) = changes.next().await {
            seen_by_task.lock().unwrap().push(ready_of(&user));
        }
    });
    Ok(seen)
}

fn ready_of(user: &DynamicObject) -> String {
    let conditions = user.data["status"]["conditions"].as_array();
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == "Ready");
    ready.map_or_else(String::new, |ready| {
        format!("{}: {}", ready["status"], ready["message"])
    })
}

/// The vendor was asked to make one user, and to change nothing.
async fn made_one(vendor: &Vendor) -> Outcome {
    vendor.had("users.create", 1).await?;
    vendor.had("users.patch", 0).await?;
    vendor.had("users.delete", 0).await
}

async fn a_user_moves_with_all_that_it_has(world: &World) -> Outcome {
    let (vendor, sql, operator) = both(world).await?;
    world.ready_user("checkout").await?;
    sql.give("checkout").await?;
    world.quiet(&operator).await?;
    let before = identity(world).await?;
    let seen = watch_ready(world).await?;
    point_to(world, BY_SQL).await?;
    is_at(world, BY_SQL).await?;
    world.quiet(&operator).await?;
    assert_eq!(identity(world).await?, before);
    world.user_ready("checkout").await?;
    world.login_of("checkout").await?;
    made_one(&vendor).await?;
    let seen = seen.lock().unwrap().clone();
    assert!(seen.iter().all(|ready| ready.starts_with("\"True\"")), "{seen:?}");
    world.journal_empty().await?;

    // From now on it is managed by SQL, and the old server object is not needed any more.
    world.delete("PostgresServer", SERVER).await?;
    world.gone("PostgresServer", SERVER, PATIENCE).await?;
    world.rotate("checkout", "1").await?;
    let password = world.rotated("checkout", &before.3).await?;
    world.delete("PostgresUser", "checkout").await?;
    world.user_gone("checkout", &password).await?;
    made_one(&vendor).await
}

async fn a_user_moves_back(world: &World) -> Outcome {
    let (vendor, sql, operator) = both(world).await?;
    world.ready_user("checkout").await?;
    sql.give("checkout").await?;
    world.quiet(&operator).await?;
    let before = identity(world).await?;
    for server in [BY_SQL, SERVER] {
        point_to(world, server).await?;
        is_at(world, server).await?;
        world.quiet(&operator).await?;
        assert_eq!(identity(world).await?, before);
        world.user_ready("checkout").await?;
        world.login_of("checkout").await?;
    }
    world.delete("PostgresUser", "checkout").await?;
    world.user_gone("checkout", &before.3).await?;
    vendor.had("users.create", 1).await?;
    vendor.had("users.delete", 1).await
}

async fn a_server_that_users_are_to_leave_stays_until_they_have(world: &World) -> Outcome {
    let (_vendor, operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    point_to(world, BY_SQL).await?;
    world.delete("PostgresServer", SERVER).await?;
    world.quiet(&operator).await?;
    world.server_is(SERVER, "False", "InUse").await?;
    world.login_of("checkout").await?;
    let sql = world.start_vendor_of(Provider::Postgresql, &[]).await?;
    sql.give("checkout").await?;
    world.apply_server(BY_SQL, &sql).await?;
    is_at(world, BY_SQL).await?;
    world.gone("PostgresServer", SERVER, PATIENCE).await?;
    world.user_ready("checkout").await?;
    assert_eq!(world.password_of("checkout").await?, password);
    world.login_of("checkout").await
}

/// SQL to another PostgreSQL.
async fn elsewhere(world: &World) -> Outcome<Vendor> {
    let dir = world.dir().join("pg-2");
    let postgres = Arc::new(Postgres::start(&dir).await?);
    let sql = Vendor::start(Provider::Postgresql, world.dir(), &postgres, &[]).await?;
    world.apply_server(BY_SQL, &sql).await?;
    Ok(sql)
}

/// It stays where it is, and says so; its Secret is good.
async fn stays(world: &World, operator: &Operator) -> Outcome {
    world
        .user_is("checkout", "Stalled", "True", "RemoteChanged")
        .await?;
    world.quiet(operator).await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await
}

async fn a_user_does_not_move_to_another_database_and_is_deleted_where_it_is(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    let sql = elsewhere(world).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    point_to(world, BY_SQL).await?;
    stays(world, &operator).await?;
    assert!(!sql.postgres().has_role("checkout").await?);
    made_one(&vendor).await?;
    world.delete("PostgresUser", "checkout").await?;
    world.user_gone("checkout", &password).await?;
    vendor.had("users.delete", 1).await?;
    for server in [SERVER, BY_SQL] {
        world.delete("PostgresServer", server).await?;
        world.gone("PostgresServer", server, PATIENCE).await?;
    }
    Ok(())
}

async fn a_user_does_not_take_over_its_namesake(world: &World) -> Outcome {
    const PASSWORD: &str = "somebody-elses-password";
    let (vendor, operator) = world.set_up(&[]).await?;
    let sql = elsewhere(world).await?;
    sql.make("checkout", PASSWORD).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    point_to(world, BY_SQL).await?;
    stays(world, &operator).await?;
    made_one(&vendor).await?;
    // Pointed back, it is as it was.
    point_to(world, SERVER).await?;
    world.user_is_not("checkout", "Stalled").await?;
    world.user_ready("checkout").await?;
    assert_eq!(world.password_of("checkout").await?, password);
    made_one(&vendor).await?;
    point_to(world, BY_SQL).await?;
    stays(world, &operator).await?;
    world.delete("PostgresUser", "checkout").await?;
    world.user_gone("checkout", &password).await?;
    assert!(sql.postgres().accepts("checkout", PASSWORD).await?);
    Ok(())
}

async fn what_was_begun_is_finished_before_a_move(world: &World) -> Outcome {
    let (vendor, mut operator) = world.set_up_with(&[], Options::quick()).await?;
    let sql = world.start_vendor_of(Provider::Postgresql, &[]).await?;
    world.apply_server(BY_SQL, &sql).await?;
    let before = world.ready_user("checkout").await?;
    sql.give("checkout").await?;
    world.journal_empty().await?;
    let oid = identity(world).await?.0;
    operator.reconfigure(|options| options.env("PGUSER_FAILPOINT", "remote-patch:before"));
    operator.restart().await?;
    world.rotate("checkout", "1").await?;
    operator.exit().await?;
    point_to(world, BY_SQL).await?;
    assert_eq!(world.journal_entries().await?.len(), 1);
    vendor.had("users.patch", 0).await?;

    operator.reconfigure(|options| options.env("PGUSER_FAILPOINT", ""));
    operator.restart().await?;
    is_at(world, BY_SQL).await?;
    world.user_ready("checkout").await?;
    let password = world.rotated("checkout", &before).await?;
    world.journal_empty().await?;
    world.quiet(&operator).await?;
    vendor.had("users.patch", 1).await?;
    let after = identity(world).await?;
    assert_eq!((after.0, after.3), (oid, password));
    world.login_of("checkout").await
}
