//! A server that may be found at several addresses: which one is used, and after a failover, which one then.

use std::time::Duration;

use pguser_operator::domain::password::Password;
use pguser_operator::provider::gate::Gate;
use pguser_operator::provider::postgresql::{Postgresql, PostgresqlConfig, SqlSettings};
use pguser_operator::provider::{ClusterState, ErrorClass, Provider};
use tokio::net::TcpListener;

use crate::connections::in_a_world_of_its_own;
use crate::postgres::Postgres;
use crate::support::{Client, World, assert_class, assert_says, job, settings, tests};

tests! {
    every_address_has_to_be_allowed,
    an_address_that_does_not_answer_leaves_time_for_the_others,
    a_refused_login_is_refused_for_all_addresses,
    a_replica_that_becomes_the_primary_is_followed,
    a_server_that_is_read_only_is_used_for_want_of_another,
    standbys_are_named,
    another_server_is_not_gone_on_with,
}

const UNREACHABLE: ErrorClass = ErrorClass::Unreachable { after: None };
const TIMEOUT: Duration = Duration::from_secs(30);

/// The world's server, and further addresses on this machine.
fn config(world: &World, ports: &[u16]) -> PostgresqlConfig {
    let further = ports.iter().map(|port| ("localhost".to_string(), *port));
    PostgresqlConfig {
        hosts: further.collect(),
        ..world.config("boss")
    }
}

fn client(world: &World, ports: &[u16]) -> Client {
    Client::new(config(world, ports), TIMEOUT)
}

fn has(server: &Postgres, role: &str) -> bool {
    let sql = format!("SELECT 1 FROM pg_roles WHERE rolname = '{role}'");
    !server.rows(&sql).is_empty()
}

/// A port that takes connections and says nothing.
async fn silent() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

async fn was_connected_to(listener: &TcpListener) -> bool {
    let waited = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    waited.is_ok()
}

/// The end of a connection that was kept is noticed by then.
async fn the_end_is_noticed(client: &Client) {
    assert_class(client.provider.list().await, UNREACHABLE);
}

async fn every_address_has_to_be_allowed(world: &World) {
    let mut config = config(world, &[1]);
    let with = |config: &PostgresqlConfig| {
        Postgresql::new(config.clone(), &settings(TIMEOUT), Gate::closed()).map(drop)
    };
    with(&config).unwrap();
    config.hosts.push(("192.0.2.7".to_string(), 5432));
    let refused = assert_class(with(&config), ErrorClass::EndpointNotAllowed);
    assert_says(&refused, "--allow-endpoint '192.0.2.7:5432'");
    config.hosts[1].0 = "not a host".to_string();
    let refused = assert_class(with(&config), ErrorClass::Invalid);
    assert_says(&refused, "\"not a host\"");
}

async fn an_address_that_does_not_answer_leaves_time_for_the_others(world: &World) {
    let (listener, port) = silent().await;
    let config = PostgresqlConfig {
        port,
        ..config(world, &[world.server.port])
    };
    let settings = SqlSettings {
        connect_timeout: Duration::from_secs(6),
        ..settings(TIMEOUT)
    };
    let provider = Postgresql::new(config, &settings, Gate::closed()).unwrap();
    provider.list().await.unwrap();
    assert!(was_connected_to(&listener).await);
}

/// As libpq does it: a password is not tried everywhere.
async fn a_refused_login_is_refused_for_all_addresses(world: &World) {
    let (listener, port) = silent().await;
    let config = PostgresqlConfig {
        password: Password::new("pLaInTeXt-wrong"),
        ..config(world, &[port])
    };
    let refused = Client::new(config, TIMEOUT).provider.list().await;
    assert_says(&assert_class(refused, ErrorClass::Unauthorized), "28P01");
    assert!(!was_connected_to(&listener).await);
}

async fn a_replica_that_becomes_the_primary_is_followed(_: &World) {
    in_a_world_of_its_own(|mut world, runtime| {
        let Some(replica) = world.server.replica() else {
            return;
        };
        let client = runtime.block_on(async {
            let client = client(&world, &[replica.port]);
            client.create(&job("before"), "pLaInTeXt").await.unwrap();
            client
        });
        world.server.stop();
        runtime.block_on(async {
            the_end_is_noticed(&client).await;
            let error = assert_class(client.provider.list().await, UNREACHABLE);
            assert_says(
                &error,
                &format!("localhost:{} (the server is a standby)", replica.port),
            );
        });
        replica.sql("SELECT pg_promote()");
        world.server.make_standby();
        world.server.start_again();
        runtime.block_on(async {
            client.create(&job("after"), "pLaInTeXt").await.unwrap();
            assert!(client.get("before").await.is_some());
            client.delete(&job("before")).await.unwrap();
        });
        assert!(has(&replica, "after") && !has(&replica, "before"));
        assert!(!has(&world.server, "after") && has(&world.server, "before"));
    });
}

/// `default_transaction_read_only`, as vendors set it where a disk is full.
async fn a_server_that_is_read_only_is_used_for_want_of_another(_: &World) {
    in_a_world_of_its_own(|world, runtime| {
        let Some(replica) = world.server.replica() else {
            return;
        };
        runtime.block_on(async {
            let client = client(&world, &[replica.port]);
            client.create(&job("before"), "pLaInTeXt").await.unwrap();
            world
                .server
                .sql("ALTER SYSTEM SET default_transaction_read_only = on");
            world.server.sql("SELECT pg_reload_conf()");
            // The server's processes hear of it a moment later.
            for _ in 0..100 {
                if client.provider.cluster().await.unwrap().value.state == ClusterState::Impaired {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert!(client.get("before").await.is_some());
            let made = client.create(&job("after"), "pLaInTeXt").await;
            assert_says(&assert_class(made, ErrorClass::Busy), "25006");

            replica.sql("SELECT pg_promote()");
            client.create(&job("after"), "pLaInTeXt").await.unwrap();
            assert!(has(&replica, "after") && !has(&world.server, "after"));
        });
    });
}

async fn standbys_are_named(_: &World) {
    in_a_world_of_its_own(|mut world, runtime| {
        let Some(replica) = world.server.replica() else {
            return;
        };
        world.server.stop();
        world.server.make_standby();
        world.server.start_again();
        runtime.block_on(async {
            let client = client(&world, &[replica.port]);
            for error in [
                assert_class(client.provider.cluster().await, UNREACHABLE),
                assert_class(client.create(&job("nowhere"), "pLaInTeXt").await, UNREACHABLE),
            ] {
                for port in [world.server.port, replica.port] {
                    assert_says(&error, &format!("localhost:{port} (the server is a standby)"));
                }
            }
        });
    });
}

async fn another_server_is_not_gone_on_with(_: &World) {
    in_a_world_of_its_own(|mut world, runtime| {
        let other = World::start();
        let client = runtime.block_on(async {
            let authorities = format!("{}{}", world.pki.ca, other.pki.ca);
            let config = PostgresqlConfig {
                ca: Some(authorities.into_bytes()),
                ..config(&world, &[other.server.port])
            };
            let client = Client::new(config, TIMEOUT);
            client.create(&job("ours"), "pLaInTeXt").await.unwrap();
            client
        });
        world.server.stop();
        runtime.block_on(async {
            the_end_is_noticed(&client).await;
            let error = assert_class(client.create(&job("more"), "pLaInTeXt").await, UNREACHABLE);
            for part in [
                format!("localhost:{} (it is another server", other.server.port),
                format!("answered at localhost:{}", world.server.port),
                "spec.postgresql.hosts".to_string(),
            ] {
                assert_says(&error, &part);
            }
        });
        assert!(!other.exists("more"));
        world.server.start_again();
        runtime.block_on(async {
            client.create(&job("more"), "pLaInTeXt").await.unwrap();
        });
    });
}
