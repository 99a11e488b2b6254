//! How the operator's own connection is secured, kept and lost.

use std::sync::Arc;
use std::time::Duration;

use pguser_operator::domain::endpoint::AllowList;
use pguser_operator::domain::password::Password;
use pguser_operator::domain::remote::SslMode;
use pguser_operator::provider::gate::Gate;
use pguser_operator::provider::postgresql::{Postgresql, PostgresqlConfig, SqlSettings};
use pguser_operator::provider::tls::Trust;
use pguser_operator::provider::{ClusterState, ErrorClass, Provider, RemoteError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::{
    ADMIN_PASSWORD, Client, Pki, SECRET, World, assert_class, assert_says, job, pki, settings, tests,
};

tests! {
    what_is_not_secured_has_to_be_allowed,
    each_mode_looks_at_what_it_should,
    a_password_is_given_away_only_to_who_has_proved_to_be_the_server,
    an_unencrypted_server_does_not_get_the_password,
    somebody_in_between_is_found_out,
    an_address_that_is_not_allowed_is_not_dialled,
    settings_that_cannot_work_are_refused,
    one_connection_serves_all_calls,
    a_connection_that_takes_no_changes_is_not_kept,
    what_is_asked_again_is_answered_anew,
    a_password_that_is_changed_shows_with_the_next_connection,
    a_server_that_restarts_is_found_again,
    a_standby_takes_and_tells_nothing,
}

const UNREACHABLE: ErrorClass = ErrorClass::Unreachable { after: None };

async fn reads(config: PostgresqlConfig) -> Result<(), RemoteError> {
    let client = Client::new(config, Duration::from_secs(20));
    client.provider.list().await.map(|_| ())
}

async fn what_is_not_secured_has_to_be_allowed(world: &World) {
    for sslmode in [SslMode::Disable, SslMode::Prefer] {
        let mut config = world.config("boss");
        config.sslmode = sslmode;
        let refused = Postgresql::new(config.clone(), &settings(Duration::from_secs(9)), Gate::closed());
        assert_says(
            &assert_class(refused, ErrorClass::Invalid),
            "--allow-insecure-postgresql",
        );
        config.allow_insecure = true;
        reads(config).await.unwrap();
    }
    let mut config = world.config("boss");
    config.sslmode = SslMode::Allow;
    config.allow_insecure = true;
    let refused = Postgresql::new(config, &settings(Duration::from_secs(9)), Gate::closed());
    assert_class(refused, ErrorClass::Invalid);
}

async fn each_mode_looks_at_what_it_should(world: &World) {
    use SslMode::*;
    let ours = Some(world.pki.ca.clone().into_bytes());
    let others = Some(pki("Another CA").ca.into_bytes());
    for (sslmode, host, ca, problem) in [
        (VerifyFull, "localhost", &ours, None),
        (VerifyFull, "127.0.0.1", &ours, Some("another name")),
        (VerifyFull, "localhost", &others, Some("issuer is not trusted")),
        (VerifyFull, "localhost", &None, Some("issuer is not trusted")),
        (VerifyCa, "localhost", &ours, None),
        (VerifyCa, "127.0.0.1", &ours, None),
        (VerifyCa, "localhost", &others, Some("issuer is not trusted")),
        (VerifyCa, "localhost", &None, Some("issuer is not trusted")),
        (Require, "127.0.0.1", &ours, None),
        (Require, "localhost", &others, Some("issuer is not trusted")),
        (Require, "127.0.0.1", &None, None),
        (Prefer, "127.0.0.1", &None, None),
    ] {
        let config = PostgresqlConfig {
            sslmode,
            host: host.to_string(),
            ca: ca.clone(),
            allow_insecure: true,
            ..world.config("clerk")
        };
        let result = reads(config).await;
        match problem {
            None => result.unwrap_or_else(|error| panic!("{sslmode:?} {host}: {error}")),
            Some(part) => assert_says(&assert_class(result, UNREACHABLE), part),
        }
    }
}

async fn a_password_is_given_away_only_to_who_has_proved_to_be_the_server(world: &World) {
    for admin in ["clear", "md5"] {
        let mode = |sslmode| PostgresqlConfig {
            sslmode,
            allow_insecure: true,
            ..world.config(admin)
        };
        let result = reads(mode(SslMode::VerifyFull)).await;
        result.unwrap_or_else(|error| panic!("{admin}: {error}"));
        for sslmode in [
            SslMode::VerifyCa,
            SslMode::Require,
            SslMode::Prefer,
            SslMode::Disable,
        ] {
            let error = assert_class(reads(mode(sslmode)).await, ErrorClass::Unauthorized);
            assert_says(&error, "SCRAM-SHA-256");
        }
    }
}

/// A server without TLS that answers the startup message with this; returns what it was told after that.
async fn told(challenge: &'static [u8]) -> (u16, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let length = stream.read_u32().await.unwrap() as usize;
        let mut startup = vec![0; length - 4];
        stream.read_exact(&mut startup).await.unwrap();
        stream.write_all(challenge).await.unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        said
    });
    (port, server)
}

async fn an_unencrypted_server_does_not_get_the_password(world: &World) {
    for challenge in [
        b"R\0\0\0\x08\0\0\0\x03".as_slice(),
        b"R\0\0\0\x0c\0\0\0\x05salt",
        b"N\0\0\0\x05\0R\0\0\0\x08\0\0\0\x03",
    ] {
        let (port, server) = told(challenge).await;
        let config = PostgresqlConfig {
            port,
            sslmode: SslMode::Disable,
            allow_insecure: true,
            ..world.config("boss")
        };
        assert_class(reads(config).await, ErrorClass::Unauthorized);
        assert_eq!(server.await.unwrap(), b"");
    }
}

/// A proxy that ends TLS on one side, with a certificate of its own, and begins it anew on the other.
async fn in_between(world: &World, own: &Pki) -> u16 {
    let certificates = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let accepting = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let mut roots = tokio_rustls::rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(world.pki.ca.as_bytes()).unwrap())
        .unwrap();
    let connecting = tokio_rustls::rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, server) = (listener.local_addr().unwrap().port(), world.server.port);
    tokio::spawn(async move {
        let (mut victim, _) = listener.accept().await.unwrap();
        let mut request = [0; 8];
        victim.read_exact(&mut request).await.unwrap();
        victim.write_all(b"S").await.unwrap();
        let mut victim = TlsAcceptor::from(Arc::new(accepting))
            .accept(victim)
            .await
            .unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
        server.write_all(&request).await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'S');
        let name = "localhost".try_into().unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(connecting));
        let mut server = connector.connect(name, server).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut victim, &mut server).await;
    });
    port
}

async fn somebody_in_between_is_found_out(world: &World) {
    let own = pki("Somebody");
    for (sslmode, ca, found_out) in [
        (SslMode::Require, None, true),
        (SslMode::Prefer, None, true),
        // One whom the authority has given a certificate for the same name.
        (SslMode::VerifyCa, Some(&own.ca), true),
    ] {
        let config = PostgresqlConfig {
            port: in_between(world, &own).await,
            sslmode,
            ca: ca.map(|ca| ca.clone().into_bytes()),
            allow_insecure: true,
            ..world.config("boss")
        };
        let result = reads(config).await;
        assert!(found_out);
        assert_says(&assert_class(result, ErrorClass::Unauthorized), "28");
    }
}

async fn an_address_that_is_not_allowed_is_not_dialled(world: &World) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for rules in [vec![], vec!["localhost:1"]] {
        let settings = SqlSettings::new(
            Arc::new(AllowList::parse(rules).unwrap()),
            Trust::only(world.pki.ca.as_bytes()).unwrap(),
        );
        let config = PostgresqlConfig {
            port,
            ..world.config("boss")
        };
        let refused = Postgresql::new(config, &settings, Gate::closed());
        let error = assert_class(refused, ErrorClass::EndpointNotAllowed);
        assert_says(&error, "--allow-endpoint");
    }
    // A name that may be dialled, at an address that may not.
    let settings = SqlSettings::new(
        Arc::new(AllowList::parse(["10.0.0.0/8:*"]).unwrap()),
        Trust::only(world.pki.ca.as_bytes()).unwrap(),
    );
    let config = PostgresqlConfig {
        port,
        ..world.config("boss")
    };
    let provider = Postgresql::new(config, &settings, Gate::closed()).unwrap();
    assert_class(provider.list().await, ErrorClass::EndpointNotAllowed);
    let waited = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(waited.is_err(), "somebody connected");
}

async fn settings_that_cannot_work_are_refused(world: &World) {
    let good = world.config("boss");
    let long = "x".repeat(64);
    for config in [
        PostgresqlConfig {
            host: "not a host".to_string(),
            ..good.clone()
        },
        PostgresqlConfig {
            username: String::new(),
            ..good.clone()
        },
        PostgresqlConfig {
            database: long,
            ..good.clone()
        },
        PostgresqlConfig {
            password: Password::new("pLaInTeXt\0"),
            ..good.clone()
        },
        PostgresqlConfig {
            installation: "a b".to_string(),
            ..good.clone()
        },
        PostgresqlConfig {
            ca: Some(b"no certificate".to_vec()),
            ..good.clone()
        },
    ] {
        let refused = Postgresql::new(config, &settings(Duration::from_secs(9)), Gate::closed());
        assert_class(refused, ErrorClass::Invalid);
    }
    let nowhere = PostgresqlConfig {
        database: "nowhere".to_string(),
        ..good.clone()
    };
    assert_says(&assert_class(reads(nowhere).await, ErrorClass::Invalid), "3D000");
    let wrong = PostgresqlConfig {
        password: Password::new("pLaInTeXt-wrong"),
        ..good
    };
    assert_says(
        &assert_class(reads(wrong).await, ErrorClass::Unauthorized),
        "28P01",
    );
}

/// The processes that serve this login.
fn backends(world: &World, admin: &str) -> Vec<Vec<Option<String>>> {
    world.server.rows(&format!(
        "SELECT pid FROM pg_stat_activity WHERE usename = '{admin}' AND application_name = 'pguser-operator'"
    ))
}

fn make_admin(world: &World, name: &str) {
    world.server.sql(&format!(
        "SET password_encryption = 'scram-sha-256'; \
         CREATE ROLE {name} SUPERUSER LOGIN PASSWORD '{ADMIN_PASSWORD}'"
    ));
}

async fn one_connection_serves_all_calls(world: &World) {
    make_admin(world, "frugal");
    let client = world.client("frugal");
    client.get("frugal").await;
    let first = backends(world, "frugal");
    assert_eq!(first.len(), 1);
    client.create(&job("frugally_made"), "pLaInTeXt").await.unwrap();
    assert_class(
        client.create(&job("frugally_made"), "pLaInTeXt").await,
        ErrorClass::Conflict,
    );
    assert_class(client.delete(&job("not_there")).await, ErrorClass::NotFound);
    let (one, two) = tokio::join!(client.provider.list(), client.provider.list());
    assert!(one.is_ok() && two.is_ok());
    client.delete(&job("frugally_made")).await.unwrap();
    assert_eq!(backends(world, "frugal"), first);
    drop(client);
    nobody_is_connected(world, "frugal").await;
}

/// Waits until no process serves this login.
async fn nobody_is_connected(world: &World, admin: &str) {
    for _ in 0..50 {
        if backends(world, admin).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("a connection that nobody wants is still there");
}

/// A setting holds for a connection as it was when that began; after a failover, the connection leads to a standby.
async fn a_connection_that_takes_no_changes_is_not_kept(world: &World) {
    make_admin(world, "hampered");
    world
        .server
        .sql("ALTER ROLE hampered SET default_transaction_read_only = on");
    let client = world.client("hampered");
    let made = client.create(&job("hampers"), "pLaInTeXt").await;
    assert_says(&assert_class(made, ErrorClass::Busy), "25006");
    let state = async || client.provider.cluster().await.unwrap().value.state;
    assert_eq!(state().await, ClusterState::Impaired);
    // Nor is one that has only been read from.
    client.provider.list().await.unwrap();
    world
        .server
        .sql("ALTER ROLE hampered RESET default_transaction_read_only");
    client.create(&job("hampers"), "pLaInTeXt").await.unwrap();
    assert_eq!(state().await, ClusterState::Available);
}

/// What is asked more than once is parsed once.
async fn what_is_asked_again_is_answered_anew(world: &World) {
    let client = world.client("boss");
    for round in 0..4 {
        let job = job("asked_again");
        client.create(&job, "pLaInTeXt").await.unwrap();
        assert!(client.get("asked_again").await.is_some(), "{round}");
        client.delete(&job).await.unwrap();
        assert!(client.get("asked_again").await.is_none(), "{round}");
    }
}

async fn a_password_that_is_changed_shows_with_the_next_connection(world: &World) {
    make_admin(world, "fickle");
    let client = world.client("fickle");
    client.create(&job("made_before"), "pLaInTeXt").await.unwrap();
    world.server.sql("ALTER ROLE fickle PASSWORD 'pLaInTeXt-another'");
    world
        .server
        .sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fickle'");
    for _ in 0..50 {
        if backends(world, "fickle").is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_class(client.provider.list().await, ErrorClass::Unauthorized);
    assert_class(
        client.create(&job("made_after"), "pLaInTeXt").await,
        ErrorClass::Unauthorized,
    );
    world.server.sql("ALTER ROLE fickle NOLOGIN");
    assert_class(client.provider.cluster().await, ErrorClass::Unauthorized);
}

async fn a_server_that_restarts_is_found_again(_: &World) {
    // A world of its own, in a thread that lives as long: the server ends with the thread that started it.
    in_a_world_of_its_own(|mut world, runtime| {
        let client = runtime.block_on(async {
            let client = world.client("boss");
            client.create(&job("survivor"), "pLaInTeXt").await.unwrap();
            client
        });
        world.server.stop();
        runtime.block_on(async {
            assert_class(client.provider.list().await, UNREACHABLE);
            let made = client.create(&job("another"), "pLaInTeXt").await;
            assert_class(made, UNREACHABLE);
        });
        world.server.start_again();
        runtime.block_on(async {
            assert!(client.get("survivor").await.is_some());
            client.set(&job("survivor"), "pLaInTeXt-2").await.unwrap();
            assert!(world.logs_in("survivor", "pLaInTeXt-2").await);
        });
        assert!(!world.server.log().contains(SECRET) || !world.server.log().contains("pLaInTeXt-2"));
    });
}

/// What is read from one is not believed, and a connection to one is not kept: the next may lead to the primary.
async fn a_standby_takes_and_tells_nothing(_: &World) {
    in_a_world_of_its_own(|mut world, runtime| {
        let client = runtime.block_on(async {
            let client = world.client("boss");
            client.create(&job("kept"), "pLaInTeXt").await.unwrap();
            world
                .server
                .sql("ALTER ROLE boss SET default_transaction_read_only = on");
            client
        });
        world.server.stop();
        world.server.start_again();
        runtime.block_on(async {
            let state = client.provider.cluster().await.unwrap().value.state;
            assert_eq!(state, ClusterState::Impaired);
            assert!(client.get("kept").await.is_some());
            let set = client.set(&job("kept"), "pLaInTeXt-2").await;
            assert_says(&assert_class(set, ErrorClass::Busy), "25006");
        });
        world.server.stop();
        world.server.make_standby();
        world.server.start_again();
        runtime.block_on(async {
            assert_class(client.provider.cluster().await, UNREACHABLE);
            let read = client.provider.get("kept").await;
            assert_says(&assert_class(read, UNREACHABLE), "the server is a standby");
            assert_class(client.provider.list().await, UNREACHABLE);
            assert_class(client.set(&job("kept"), "pLaInTeXt-2").await, UNREACHABLE);
            assert_class(client.delete(&job("kept")).await, UNREACHABLE);
            let made = client.create(&job("more"), "pLaInTeXt").await;
            assert_class(made, UNREACHABLE);
            nobody_is_connected(&world, "boss").await;
        });
    });
}

pub fn in_a_world_of_its_own(test: impl FnOnce(World, &tokio::runtime::Runtime) + Send) {
    std::thread::scope(|scope| {
        let done = scope.spawn(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            test(World::start(), &runtime);
        });
        done.join().unwrap();
    });
}
