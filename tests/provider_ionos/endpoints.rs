//! What is dialled and what is not.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;

#[tokio::test]
async fn what_cannot_be_reached_was_not_sent() {
    let nobody = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let unreachable = ErrorClass::Unreachable { after: None };
    let client = client(&format!("http://{nobody}"));
    assert_eq!(
        client.delete(&mutation("checkout")).await.unwrap_err().class,
        unreachable
    );
    let error = client
        .create(&mutation("checkout"), &Password::new(SECRET))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "create user: unreachable (the connection is refused)"
    );

    // A plain server is no TLS server.
    let script = Script::start(vec![]).await;
    let https = script.url().replace("http:", "https:");
    let tls = Ionos::new(config(&https), &settings(&["127.0.0.1:*"]), open()).unwrap();
    assert_eq!(
        tls.delete(&mutation("checkout")).await.unwrap_err().class,
        unreachable
    );

    let unresolved = Ionos::new(
        config("http://nowhere.invalid"),
        &settings(&["*.invalid:*"]),
        open(),
    )
    .unwrap();
    let error = unresolved.delete(&mutation("checkout")).await.unwrap_err();
    assert_eq!(error.class, unreachable, "{error}");
}

#[tokio::test]
async fn an_endpoint_that_is_not_allowed_is_not_dialled() {
    let script = Script::start(vec![json(200, USER)]).await;
    let class =
        |url: &str, settings: &HttpSettings| Ionos::new(config(url), settings, open()).unwrap_err().class;
    assert_eq!(
        class(&script.url(), &settings(&["*:*"])),
        ErrorClass::EndpointNotAllowed
    );
    assert_eq!(
        class("https://evil.example", &settings(&[])),
        ErrorClass::EndpointNotAllowed
    );
    let no_http = HttpSettings {
        allow_http: false,
        ..settings(&["127.0.0.1:*"])
    };
    assert_eq!(class(&script.url(), &no_http), ErrorClass::EndpointNotAllowed);

    // Known to be loopback only when it is resolved.
    let url = format!("http://localhost:{}", script.address.port());
    let client = Ionos::new(config(&url), &settings(&["*:*"]), open()).unwrap();
    for error in [
        client.get("checkout").await.unwrap_err(),
        client.delete(&mutation("checkout")).await.unwrap_err(),
    ] {
        assert_eq!(error.class, ErrorClass::EndpointNotAllowed);
        assert!(
            error.detail.contains("loopback") && error.detail.contains("--allow-endpoint"),
            "{error}"
        );
    }
    assert_eq!(script.connections(), 0);
    let named = Ionos::new(config(&url), &settings(&["localhost:*"]), open()).unwrap();
    assert!(named.get("checkout").await.is_ok());
}

#[tokio::test]
async fn settings_that_can_never_work_are_refused() {
    let refused = |config: IonosConfig| {
        let error = Ionos::new(config, &settings(&["*:*"]), open()).unwrap_err();
        assert_silent(&error);
        assert_eq!(error.class, ErrorClass::Invalid, "{error}");
    };
    let good = IonosConfig::new("c-1", Credentials::Bearer(Password::new(TOKEN)));
    refused(IonosConfig {
        endpoint: "not a url".to_string(),
        ..good.clone()
    });
    refused(IonosConfig {
        endpoint: "https://api.ionos.com/?x".to_string(),
        ..good.clone()
    });
    refused(IonosConfig {
        cluster_id: String::new(),
        ..good.clone()
    });
    refused(IonosConfig {
        cluster_id: "..".to_string(),
        ..good.clone()
    });
    refused(IonosConfig {
        credentials: Credentials::Bearer(Password::new("a\u{0}b")),
        ..good
    });
}

/// Run by the test below, in a process of its own, since a proxy is named by the environment.
#[tokio::test]
#[ignore = "runs only behind the proxy of another test"]
async fn behind_a_proxy() {
    let client = |url: &str, rule: &str| Ionos::new(config(url), &settings(&[rule]), open());
    // The proxy resolves the name, so this one, which nobody resolves, is reached; and the proxy itself, on
    // loopback, needs no rule.
    let plain = client("http://remote.invalid", "remote.invalid:80").unwrap();
    assert!(plain.get("checkout").await.unwrap().value.is_some());
    // A tunnel that does not come about: nothing was sent.
    let tls = client("https://remote.invalid", "remote.invalid:443").unwrap();
    let error = tls
        .create(&mutation("checkout"), &Password::new(SECRET))
        .await
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::Unreachable { after: None }, "{error}");
    // Where only addresses are allowed, nobody could check the one that the proxy dials.
    let by_address = client("http://remote.invalid", "10.0.0.0/8:80").unwrap_err();
    assert_eq!(by_address.class, ErrorClass::EndpointNotAllowed);
    let address = client("http://169.254.169.254", "*:80").unwrap_err();
    assert_eq!(address.class, ErrorClass::EndpointNotAllowed);
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_used() {
    let proxy = Script::start(vec![json(200, USER), with(403, &[])]).await;
    let url = format!("http://localhost:{}", proxy.address.port());
    let child = tokio::task::spawn_blocking(move || {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "endpoints::behind_a_proxy", "--include-ignored"])
            .env("HTTP_PROXY", &url)
            .env("HTTPS_PROXY", &url)
            .env_remove("NO_PROXY")
            .env_remove("no_proxy")
            .output()
            .unwrap()
    });
    let output = child.await.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert_eq!(
        proxy.lines(),
        [
            "GET http://remote.invalid/clusters/c-1/users/checkout",
            "CONNECT remote.invalid:443",
        ]
    );
    assert!(!proxy.seen()[1].head.contains(TOKEN));
}

/// The PEM of an authority, and a server with its certificate for `localhost`.
fn authority() -> (Vec<u8>, TlsAcceptor) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_string()]).unwrap();
    let certificate = params.signed_by(&key, &ca).unwrap().der().clone();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    (ca.pem().into_bytes(), TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn only_a_server_with_a_trusted_certificate_for_its_name_is_spoken_to() {
    let (ca, tls) = authority();
    let script = Script::start_tls(vec![json(200, USER); 3], tls).await;
    let port = script.address.port();
    let client = |host: &str, extra_ca: &[Vec<u8>]| {
        let settings = HttpSettings {
            allow_http: false,
            trust: Trust::load(extra_ca).unwrap(),
            ..settings(&["localhost:*", "127.0.0.1:*"])
        };
        Ionos::new(config(&format!("https://{host}:{port}")), &settings, open()).unwrap()
    };
    let (password, ca) = (Password::new(SECRET), [ca]);
    let trusting = client("localhost", &ca);
    assert!(trusting.create(&mutation("checkout"), &password).await.is_ok());
    assert!(trusting.delete(&mutation("checkout")).await.is_ok());
    assert!(trusting.get("checkout").await.is_ok());
    for (client, reason) in [
        (
            client("localhost", &[]),
            "the certificate's issuer is not trusted",
        ),
        (client("127.0.0.1", &ca), "the certificate is for another name"),
    ] {
        let error = client.create(&mutation("checkout"), &password).await.unwrap_err();
        assert_eq!(error.to_string(), format!("create user: unreachable ({reason})"));
    }
    assert_eq!(script.seen().len(), 3);
}

#[test]
fn an_extra_ca_that_is_none_is_an_error() {
    for bundle in [
        "",
        "nonsense",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert!(Trust::load(&[bundle.as_bytes().to_vec()]).is_err(), "{bundle:?}");
    }
}
