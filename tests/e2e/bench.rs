//! The test bench itself: what it stands on holds.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::DeleteParams};
use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Handle, Outcome, PATIENCE, World, eventually, trials};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        a_namespace_is_made_and_deleted,
        a_login_succeeds_with_the_password_and_fails_with_another,
        a_login_fails_where_the_certificate_is_for_another_host,
        postgresql_comes_back_with_its_users_on_its_port,
        an_object_whose_owner_is_gone_is_collected,
        the_audit_log_tells_who_wrote_what,
        a_user_made_over_http_logs_in,
        the_simulator_comes_back_on_its_port,
    )
}

async fn a_namespace_is_made_and_deleted(world: &World) -> Outcome {
    let name = format!("{}-more", world.namespace());
    world.create_namespace(&name).await?;
    let namespaces: Api<Namespace> = Api::all(world.client().clone());
    namespaces.delete(&name, &DeleteParams::default()).await?;
    eventually("the namespace's end", PATIENCE, async || {
        match namespaces.get_opt(&name).await? {
            None => Ok(()),
            Some(_) => Err("it is there".into()),
        }
    })
    .await
}

async fn a_login_succeeds_with_the_password_and_fails_with_another(world: &World) -> Outcome {
    let postgres = world.postgres();
    postgres.sql("create role alice login password 'right'").await?;
    assert!(postgres.accepts("alice", "right").await?);
    assert!(!postgres.accepts("alice", "wrong").await?);
    assert!(!postgres.accepts("nobody", "right").await?);
    let uri = format!(
        "postgresql://alice:right@localhost:{}/postgres?sslmode=verify-full",
        postgres.port()
    );
    assert_eq!(postgres.psql(&uri, "select current_user").await?, "alice");
    Ok(())
}

async fn a_login_fails_where_the_certificate_is_for_another_host(world: &World) -> Outcome {
    let postgres = world.postgres();
    postgres.sql("create role alice login password 'right'").await?;
    let port = postgres.port();
    let elsewhere =
        format!("host=db.example hostaddr=127.0.0.1 port={port} user=alice password=right dbname=postgres");
    assert_eq!(
        postgres
            .psql(&format!("{elsewhere} sslmode=verify-ca"), "select 1")
            .await?,
        "1"
    );
    let error = postgres
        .psql(&format!("{elsewhere} sslmode=verify-full"), "select 1")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("does not match host name"), "{error}");
    Ok(())
}

async fn postgresql_comes_back_with_its_users_on_its_port(world: &World) -> Outcome {
    let postgres = world.postgres();
    postgres.sql("create role alice login password 'right'").await?;
    postgres.stop().await;
    assert!(postgres.accepts("alice", "right").await.is_err());
    postgres.start_again().await?;
    assert!(postgres.accepts("alice", "right").await?);
    Ok(())
}

async fn an_object_whose_owner_is_gone_is_collected(world: &World) -> Outcome {
    world
        .apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: owner}}")
        .await?;
    let owner = world.get("v1/ConfigMap", "owner").await?.ok_or("no owner")?;
    let uid = owner.metadata.uid.ok_or("no uid")?;
    world
        .apply(&format!(
            "
apiVersion: v1
kind: ConfigMap
metadata:
  name: owned
  ownerReferences: [{{apiVersion: v1, kind: ConfigMap, name: owner, uid: {uid}}}]
"
        ))
        .await?;
    world.delete("v1/ConfigMap", "owner").await?;
    world.gone("v1/ConfigMap", "owned", PATIENCE).await
}

async fn the_audit_log_tells_who_wrote_what(world: &World) -> Outcome {
    let mark = world.mark()?;
    world
        .apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}")
        .await?;
    world.kubectl(&["get", "configmap", "one"]).await?;
    let seen = world.audit()?.since(mark, "admin")?;
    let mut ours = seen.iter().filter(|event| event.namespace == world.namespace());
    let write = ours.find(|event| event.is_write()).ok_or("no write")?;
    assert_eq!(
        (write.verb.as_str(), write.resource.as_str(), write.name.as_str()),
        ("patch", "configmaps", "one")
    );
    assert_eq!(write.code, 201);
    let read = ours.find(|event| !event.is_write()).ok_or("no read")?;
    assert!(read.user_agent.starts_with("kubectl/"), "{read:?}");
    Ok(())
}

async fn a_user_made_over_http_logs_in(world: &World) -> Outcome {
    let simulator = world.start_vendor(&[]).await?;
    let user = json!({"properties": {"username": "benjamin", "password": "a-long-password"}});
    simulator.api("POST", "users", Some(user)).await?;
    assert!(world.postgres().accepts("benjamin", "a-long-password").await?);
    assert_eq!(simulator.requests("users.create").await?, 1);

    simulator
        .outside(json!({"action": "delete", "username": "benjamin"}))
        .await?;
    assert!(!world.postgres().accepts("benjamin", "a-long-password").await?);
    Ok(())
}

async fn the_simulator_comes_back_on_its_port(world: &World) -> Outcome {
    let simulator = world.start_vendor(&["duplicate=409"]).await?;
    simulator.stop();
    assert!(simulator.api("GET", "users", None).await.is_err());
    simulator.start_again().await?;
    let fault = json!({"route": "users.list", "count": 1, "fault": {"type": "status", "status": 503}});
    simulator.fault(fault).await?;
    assert!(simulator.api("GET", "users", None).await.is_err());
    eventually("an answer", Duration::from_secs(5), async || {
        simulator.api("GET", "users", None).await
    })
    .await?;
    Ok(())
}
