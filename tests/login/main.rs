//! The verification login against a real PostgreSQL, and against servers that ask for too much.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod postgres;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pguser_operator::domain::endpoint::AllowList;
use pguser_operator::domain::password::Password;
use pguser_operator::provider::login::{
    Certificate, LoginResult, LoginSettings, LoginTarget, Route, introduce, verify,
};
use pguser_operator::provider::tls::Trust;
use postgres::Postgres;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const SECRET: &str = "correct-horse-battery";

/// An authority, and a server's certificate for `localhost` from it.
struct Pki {
    ca: String,
    certificate: String,
    key: String,
}

fn pki(name: &str) -> Pki {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_string()]).unwrap();
    let certificate = params.signed_by(&key, &ca).unwrap();
    Pki {
        ca: ca.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

fn settings(pki: &Pki) -> LoginSettings {
    LoginSettings {
        allow: Arc::new(AllowList::parse(["localhost:*", "127.0.0.1:*"]).unwrap()),
        trust: Trust::load(&[pki.ca.clone().into_bytes()]).unwrap(),
        timeout: Duration::from_secs(10),
    }
}

fn target(port: u16, username: &str, password: &str) -> LoginTarget {
    LoginTarget {
        host: "localhost".to_string(),
        port,
        database: "postgres".to_string(),
        username: username.to_string(),
        password: Password::new(password),
    }
}

fn assert_unverifiable(result: &LoginResult, part: &str) {
    match result {
        LoginResult::Unverifiable { reason } => assert!(reason.contains(part), "{part:?} in {reason:?}"),
        other => panic!("{other:?} instead of {part:?}"),
    }
    assert!(!format!("{result:?}").contains(SECRET));
}

/// 63 bytes of what nobody should call a login, and SQL to make it.
const ODD: &str = "Odd \"one\" 'x' \\ % /?&= ;-- ü🦀 aaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn roles() -> String {
    let odd = ODD.replace('"', "\"\"");
    format!(
        "SET password_encryption = 'scram-sha-256';
        CREATE ROLE app LOGIN PASSWORD '{SECRET}';
        CREATE ROLE \"{odd}\" LOGIN PASSWORD '{SECRET}';
        CREATE ROLE clear LOGIN PASSWORD '{SECRET}';
        CREATE ROLE trusted LOGIN PASSWORD '{SECRET}';
        CREATE ROLE elsewhere LOGIN PASSWORD '{SECRET}';
        CREATE ROLE nologin PASSWORD '{SECRET}';
        CREATE ROLE full LOGIN PASSWORD '{SECRET}' CONNECTION LIMIT 0;
        SET password_encryption = 'md5';
        CREATE ROLE md5 LOGIN PASSWORD '{SECRET}';"
    )
}

const HBA: &str = "\
hostssl all md5       127.0.0.1/32 md5
hostssl all clear     127.0.0.1/32 password
hostssl all trusted   127.0.0.1/32 trust
hostssl all elsewhere 10.9.8.7/32  scram-sha-256
hostssl all elsewhere 127.0.0.1/32 reject
hostssl all all       127.0.0.1/32 scram-sha-256
";

#[tokio::test]
async fn a_real_server_says_whether_a_password_logs_in() {
    assert_eq!(ODD.len(), 63);
    let pki = pki("Test CA");
    let server = Postgres::start(&pki.certificate, &pki.key, HBA, &roles());
    server.sql("CREATE DATABASE locked");
    server.sql("REVOKE CONNECT ON DATABASE locked FROM PUBLIC");
    let settings = settings(&pki);
    let login =
        async |user: &str, password: &str| verify(&target(server.port, user, password), &settings).await;

    assert_eq!(login("app", SECRET).await, LoginResult::Accepted);
    assert_eq!(login(ODD, SECRET).await, LoginResult::Accepted);
    assert_eq!(login("app", "wrong").await, LoginResult::Refused);
    assert_eq!(login("app", "").await, LoginResult::Refused);
    assert_eq!(login("nobody-there", SECRET).await, LoginResult::Refused);

    for user in ["md5", "clear", "trusted"] {
        assert_unverifiable(&login(user, SECRET).await, "SCRAM-SHA-256");
    }
    assert_unverifiable(&login("elsewhere", SECRET).await, "28000");
    assert_unverifiable(&login("nologin", SECRET).await, "28000");
    // The password was right: that was looked at first.
    assert_eq!(login("full", SECRET).await, LoginResult::Accepted);
    assert_eq!(login("full", "wrong").await, LoginResult::Refused);
    assert_unverifiable(&login("a\0b", SECRET).await, "broke off");

    let at = async |database: &str| {
        let target = target(server.port, "app", SECRET);
        let database = database.to_string();
        verify(&LoginTarget { database, ..target }, &settings).await
    };
    assert_unverifiable(&at("missing").await, "3D000");
    assert_unverifiable(&at("locked").await, "42501");
}

#[tokio::test]
async fn a_server_that_cannot_prove_who_it_is_gets_nothing() {
    let (pki, other) = (pki("Test CA"), pki("Another CA"));
    let server = Postgres::start(&pki.certificate, &pki.key, HBA, &roles());
    let target = target(server.port, "app", SECRET);

    assert_unverifiable(&verify(&target, &settings(&other)).await, "issuer is not trusted");
    let by_address = LoginTarget {
        host: "127.0.0.1".to_string(),
        ..target.clone()
    };
    assert_unverifiable(&verify(&by_address, &settings(&pki)).await, "another name");

    server.sql("ALTER SYSTEM SET ssl = off");
    server.sql("SELECT pg_reload_conf()");
    // Reloading takes a moment.
    let mut result = LoginResult::Accepted;
    for _ in 0..50 {
        result = verify(&target, &settings(&pki)).await;
        if result != LoginResult::Accepted {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_unverifiable(&result, "does not speak TLS");
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_not_dialled() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target(listener.local_addr().unwrap().port(), "app", SECRET);
    for rules in [vec![], vec!["*:*"], vec!["localhost:1"]] {
        let settings = LoginSettings {
            allow: Arc::new(AllowList::parse(rules).unwrap()),
            ..settings(&pki("Test CA"))
        };
        assert_unverifiable(&verify(&target, &settings).await, "--allow-endpoint");
    }
    let waited = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(waited.is_err(), "somebody connected");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = LoginSettings {
        timeout: Duration::from_millis(300),
        ..settings(&pki("Test CA"))
    };
    let target = target(listener.local_addr().unwrap().port(), "app", SECRET);
    assert_unverifiable(&verify(&target, &settings).await, "in time");
    drop(listener);
    assert_unverifiable(&verify(&target, &settings).await, "cannot be reached");
}

/// A route to where the target says, with this much asked of the certificate.
fn asking(certificate: Certificate) -> Route {
    Route {
        dialled: None,
        certificate,
    }
}

#[tokio::test]
async fn a_person_may_waive_the_certificate_and_dial_elsewhere() {
    let (pki, other) = (pki("Test CA"), pki("Another CA"));
    let server = Postgres::start(&pki.certificate, &pki.key, HBA, &roles());
    let app = target(server.port, "app", SECRET);

    let found = introduce(&app, &settings(&other), &asking(Certificate::Any))
        .await
        .unwrap();
    assert_eq!(found.user, "app");
    assert!(found.version.starts_with(char::is_numeric), "{}", found.version);
    assert!(found.tls.is_some_and(|tls| tls.starts_with("TLSv1.")));

    let by_address = LoginTarget {
        host: "127.0.0.1".to_string(),
        ..app.clone()
    };
    let any_host = asking(Certificate::AnyHost);
    assert!(introduce(&by_address, &settings(&pki), &any_host).await.is_ok());
    let result = introduce(&by_address, &settings(&other), &any_host)
        .await
        .unwrap_err();
    assert_unverifiable(&result, "issuer is not trusted");

    // Dialled by address, and the certificate is still asked for the name.
    let forwarded = LoginTarget {
        port: 1,
        ..app.clone()
    };
    let route = Route {
        dialled: Some(("127.0.0.1".to_string(), server.port)),
        certificate: Certificate::Verified,
    };
    assert!(introduce(&forwarded, &settings(&pki), &route).await.is_ok());
    let strangers = LoginTarget {
        host: "db.example.com".to_string(),
        ..forwarded
    };
    let settings = LoginSettings {
        allow: Arc::new(AllowList::parse(["*:*", "127.0.0.0/8:*"]).unwrap()),
        ..settings(&pki)
    };
    let result = introduce(&strangers, &settings, &route).await.unwrap_err();
    assert_unverifiable(&result, "another name");

    let wrong = target(server.port, "app", "wrong");
    let result = introduce(&wrong, &settings, &asking(Certificate::Any))
        .await
        .unwrap_err();
    assert_eq!(result, LoginResult::Refused);
}

/// Whoever is in between has another certificate, and what the client proves to know is bound to that one.
#[tokio::test]
async fn who_is_in_between_cannot_pass_a_login_on() {
    let (pki, between) = (pki("Test CA"), pki("In between"));
    let server = Postgres::start(&pki.certificate, &pki.key, HBA, &roles());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let trust = Trust::only(pki.ca.as_bytes()).unwrap().client_config().unwrap();
    let relay = tokio::spawn(async move {
        let mut client = accept(&listener, &between).await;
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
        stream.write_all(&SSL_REQUEST).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'S');
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(trust));
        let mut stream = connector.connect(name, stream).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut stream).await;
        server
    });
    let app = target(port, "app", SECRET);
    let result = introduce(&app, &settings(&pki), &asking(Certificate::Any)).await;
    assert!(result.is_err(), "{result:?}");
    let server = relay.await.unwrap();
    assert!(server.log().contains("channel binding"), "{}", server.log());
}

/// How a client asks for TLS.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// A client that asks for TLS, and gets it with this certificate.
async fn accept(listener: &TcpListener, pki: &Pki) -> TlsStream<TcpStream> {
    let certificates = vec![CertificateDer::from_pem_slice(pki.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(pki.key.as_bytes()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = [0; 8];
    stream.read_exact(&mut request).await.unwrap();
    assert_eq!(request, SSL_REQUEST);
    stream.write_all(b"S").await.unwrap();
    TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap()
}

/// What a client says after its startup message when the server, over TLS that is good for this, answers so.
async fn said_after(certificate: Certificate, challenge: Vec<u8>) -> (LoginResult, Vec<u8>) {
    let (pki, other) = (pki("Test CA"), pki("Another CA"));
    let settings = match certificate {
        Certificate::Any => settings(&other),
        _ => settings(&pki),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut stream = accept(&listener, &pki).await;
        let length = stream.read_u32().await.unwrap() as usize;
        let mut startup = vec![0; length - 4];
        stream.read_exact(&mut startup).await.unwrap();
        stream.write_all(&challenge).await.unwrap();
        stream.flush().await.unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        said
    });
    let target = target(address.port(), "app", SECRET);
    let result = match certificate {
        Certificate::Verified => verify(&target, &settings).await,
        other => introduce(&target, &settings, &asking(other)).await.unwrap_err(),
    };
    (result, server.await.unwrap())
}

/// A backend message.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend((body.len() as u32 + 4).to_be_bytes());
    bytes.extend(body);
    bytes
}

#[tokio::test]
async fn a_server_that_asks_for_more_than_scram_gets_no_answer_at_all() {
    let asks: [(&str, &[u8]); 6] = [
        ("nothing", &[0, 0, 0, 0]),
        ("the password", &[0, 0, 0, 3]),
        ("its MD5", &[0, 0, 0, 5, 1, 2, 3, 4]),
        ("GSSAPI", &[0, 0, 0, 7]),
        ("SCRAM without channel binding", b"\0\0\0\x0aSCRAM-SHA-256\0\0"),
        ("an unknown mechanism", b"\0\0\0\x0aPLAIN\0\0"),
    ];
    for certificate in [Certificate::Verified, Certificate::Any] {
        for (what, challenge) in asks {
            let (result, said) = said_after(certificate, message(b'R', challenge)).await;
            assert!(
                matches!(result, LoginResult::Unverifiable { .. }),
                "{what}: {result:?}"
            );
            assert_eq!(said, b"", "{what}");
        }
    }
}

#[tokio::test]
async fn what_a_server_says_is_not_repeated() {
    let body = format!("SFATAL\0C<b>\u{1b}\0M{SECRET}\0\0");
    let (result, _) = said_after(Certificate::Verified, message(b'E', body.as_bytes())).await;
    assert_eq!(
        result,
        LoginResult::Unverifiable {
            reason: "the server refuses the connection".to_string()
        }
    );
    // Endless talk is cut off.
    let (result, _) = said_after(Certificate::Verified, message(b'S', &vec![b'x'; 3 << 20])).await;
    assert!(matches!(result, LoginResult::Unverifiable { .. }), "{result:?}");
}
