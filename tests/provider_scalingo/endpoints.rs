//! What is dialled and what is not, and settings that can never work.

use super::*;

fn refused(config: ScalingoConfig, settings: &HttpSettings) -> RemoteError {
    let error = Scalingo::new(config, settings, open()).unwrap_err();
    assert!(
        !error.to_string().contains(API_TOKEN) && !error.to_string().contains(READY_TOKEN),
        "{error}"
    );
    error
}

#[tokio::test]
async fn each_of_the_hosts_has_to_be_allowed() {
    let vendors = || ScalingoConfig::in_region("osc-fr1", Some("shop".to_string()), "ad-1", api_token());
    let none = settings(&[]);
    assert!(Scalingo::new(vendors(), &none, open()).is_ok());
    let evil = || "https://evil.example".to_string();
    let elsewhere = [
        ScalingoConfig {
            auth_endpoint: evil(),
            ..vendors()
        },
        ScalingoConfig {
            api_endpoint: evil(),
            ..vendors()
        },
        ScalingoConfig {
            database_endpoint: evil(),
            ..vendors()
        },
    ];
    for config in elsewhere {
        let error = refused(config, &none);
        assert_eq!(error.class, ErrorClass::EndpointNotAllowed);
        assert!(error.detail.contains("evil.example:443"), "{error}");
    }
    let new_region = ScalingoConfig::in_region("osc-new1", Some("shop".to_string()), "ad-1", api_token());
    let error = refused(new_region, &none);
    assert!(
        error
            .detail
            .contains("--allow-endpoint 'db-api.osc-new1.scalingo.com:443'"),
        "{error}"
    );
}

/// Known to be loopback only when it is resolved.
#[tokio::test]
async fn a_host_that_turns_out_to_be_special_is_not_dialled() {
    let script = Script::start(vec![json(200, LIST); 3]).await;
    let url = format!("http://localhost:{}", script.address.port());
    let ready = Credentials::Bearer(Password::new(READY_TOKEN));
    for credentials in [api_token(), ready] {
        let client = Scalingo::new(config(&url, credentials), &settings(&["*:*"]), open()).unwrap();
        for error in [
            client.list().await.unwrap_err(),
            client.delete(&mutation("checkout")).await.unwrap_err(),
        ] {
            assert_eq!(error.class, ErrorClass::EndpointNotAllowed);
            assert!(error.detail.contains("loopback"), "{error}");
        }
    }
    assert_eq!(script.connections(), 0);
}

#[tokio::test]
async fn what_cannot_be_reached_was_not_sent() {
    let nobody = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let unreachable = ErrorClass::Unreachable { after: None };
    let client = client_with(&nobody, api_token(), open());
    let error = client.delete(&mutation("checkout")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "exchange the API token: unreachable (the connection is refused)"
    );
    let ready = Credentials::Bearer(Password::new(READY_TOKEN));
    let client = client_with(&nobody, ready, open());
    let error = client.delete(&mutation("checkout")).await.unwrap_err();
    assert_eq!(error.class, unreachable, "{error}");
}

#[tokio::test]
async fn a_closed_gate_sends_nothing() {
    let script = Script::start(vec![json(200, LIST); 9]).await;
    let ready = Credentials::Bearer(Password::new(READY_TOKEN));
    let client = client_with(&script.url(), ready, Gate::closed());
    let password = Password::new(SECRET);
    for error in [
        client.create(&mutation("checkout"), &password).await.unwrap_err(),
        client
            .set_password(&mutation("checkout"), &password)
            .await
            .unwrap_err(),
        client.reset_password("checkout").await.unwrap_err(),
        client.delete(&mutation("checkout")).await.unwrap_err(),
    ] {
        assert_eq!(error.class, ErrorClass::GateClosed);
    }
    assert_eq!(script.connections(), 0);
    assert!(client.get("checkout").await.is_ok(), "reads need no gate");
}

#[tokio::test]
async fn settings_that_can_never_work_are_refused() {
    let any = settings(&["*:*"]);
    let good = || config("https://api.example", api_token());
    let bad = [
        ScalingoConfig { app: None, ..good() },
        ScalingoConfig {
            app: Some("..".to_string()),
            ..good()
        },
        ScalingoConfig {
            addon_id: String::new(),
            ..good()
        },
        ScalingoConfig {
            addon_id: "..".to_string(),
            ..good()
        },
        ScalingoConfig {
            auth_endpoint: "not a url".to_string(),
            ..good()
        },
        ScalingoConfig {
            api_endpoint: "https://api.example/?x".to_string(),
            ..good()
        },
        ScalingoConfig {
            database_endpoint: "https://user@api.example".to_string(),
            ..good()
        },
        ScalingoConfig {
            credentials: Credentials::ApiToken(Password::new("a\u{0}b")),
            ..good()
        },
        ScalingoConfig {
            credentials: Credentials::Bearer(Password::new(" \n")),
            ..good()
        },
    ];
    for config in bad {
        let shown = format!("{config:?}");
        let error = refused(config, &any);
        assert_eq!(error.class, ErrorClass::Invalid, "{shown}: {error}");
    }
    // With a ready token, nobody is asked for another one.
    let ready = ScalingoConfig {
        app: None,
        auth_endpoint: String::new(),
        api_endpoint: String::new(),
        credentials: Credentials::Bearer(Password::new(READY_TOKEN)),
        ..good()
    };
    assert!(Scalingo::new(ready, &any, open()).is_ok());
}
