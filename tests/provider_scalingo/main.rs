//! The Scalingo client against servers that say what no well-behaved one would.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod answers;
mod endpoints;
mod outcomes;
mod requests;
#[path = "../support_http/script.rs"]
mod script;
mod silence;
#[path = "../support_schema/mod.rs"]
mod support_schema;
mod tokens;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pguser_operator::clock;
use pguser_operator::domain::endpoint::AllowList;
use pguser_operator::domain::password::Password;
use pguser_operator::domain::remote::SslMode;
use pguser_operator::domain::role::RoleSettings;
use pguser_operator::provider::gate::Gate;
use pguser_operator::provider::http::HttpSettings;
use pguser_operator::provider::scalingo::{Credentials, Scalingo, ScalingoConfig};
use pguser_operator::provider::tls::Trust;
use pguser_operator::provider::{ClusterState, Creator, ErrorClass, Mutation, Provider, RemoteError};
use script::{Act, Script, answer};

const SECRET: &str = "K_gaef6ripo7Ao4Uaxai6Kiey";
const API_TOKEN: &str = "tk-us-Uu4Aequ8";
const ADDON_TOKEN: &str = "ad0nt0ken-1";
const READY_TOKEN: &str = "r3ady-t0ken";

const USER: &str = r#"{"database_user":{"name":"checkout","read_only":false,"protected":false}}"#;
const LIST: &str = r#"{"database-users":[{"name":"checkout","read_only":false,"protected":false}]}"#;

const EXCHANGE: &str = "POST /v1/tokens/exchange";
const ADDON: &str = "POST /v1/apps/shop/addons/ad-1/token";
const USERS: &str = "/api/databases/ad-1/users";

fn settings(rules: &[&str]) -> HttpSettings {
    // Reading the system's authorities takes longer than a test.
    static TRUST: LazyLock<Trust> = LazyLock::new(|| Trust::load(&[]).unwrap());
    let allow = Arc::new(AllowList::parse(rules.iter().copied()).unwrap());
    HttpSettings {
        allow_http: true,
        connect_timeout: Duration::from_millis(500),
        request_timeout: Duration::from_secs(1),
        ..HttpSettings::new(allow, TRUST.clone())
    }
}

fn open() -> Gate {
    let gate = Gate::closed();
    gate.open_until(clock::now() + Duration::from_secs(60));
    gate
}

fn config(url: &str, credentials: Credentials) -> ScalingoConfig {
    ScalingoConfig {
        app: Some("shop".to_string()),
        addon_id: "ad-1".to_string(),
        auth_endpoint: url.to_string(),
        api_endpoint: url.to_string(),
        database_endpoint: url.to_string(),
        credentials,
    }
}

fn api_token() -> Credentials {
    Credentials::ApiToken(Password::new(API_TOKEN))
}

fn client_with(url: &str, credentials: Credentials, gate: Gate) -> Scalingo {
    Scalingo::new(config(url, credentials), &settings(&["127.0.0.1:*"]), gate).unwrap()
}

/// A client that has a token for the Database API, so that the script is about that alone.
async fn script(acts: Vec<Act>) -> (Script, Scalingo) {
    let script = Script::start(acts).await;
    let credentials = Credentials::Bearer(Password::new(READY_TOKEN));
    let client = client_with(&script.url(), credentials, open());
    (script, client)
}

/// A client that has to fetch its tokens, all from the same server.
async fn chain(acts: Vec<Act>) -> (Script, Scalingo) {
    let script = Script::start(acts).await;
    let client = client_with(&script.url(), api_token(), open());
    (script, client)
}

/// A mutation of this user, with no settings.
fn mutation(username: &str) -> Mutation<'_> {
    static NONE: LazyLock<RoleSettings> = LazyLock::new(RoleSettings::default);
    ordered(username, &NONE)
}

fn ordered<'a>(username: &'a str, settings: &'a RoleSettings) -> Mutation<'a> {
    Mutation {
        username,
        owner: "uid-1",
        settings,
        adopt: false,
        former: None,
    }
}

/// An answer after which the connection is closed, as it says.
fn json(status: u16, body: &str) -> Act {
    Act::Say(json_bytes(status, body))
}

fn json_bytes(status: u16, body: &str) -> Vec<u8> {
    let headers = [
        ("content-type", "application/json"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("connection", "close"),
    ];
    answer(status, &headers, body)
}

fn html(status: u16) -> Act {
    let page = "<html><body>It works!</body></html>";
    let headers = [
        ("content-type", "text/html; charset=utf-8"),
        ("connection", "close"),
    ];
    Act::Say(answer(status, &headers, page))
}

/// A JSON answer that ends in the middle.
fn truncated(status: u16) -> Act {
    let whole = answer(status, &[("content-type", "application/json")], USER);
    Act::Say(whole[..whole.len() - 20].to_vec())
}

fn with(status: u16, headers: &[(&str, &str)]) -> Act {
    Act::Say(answer(status, headers, "{}"))
}

/// A JWT that lives for so many seconds and is told from others by its name.
fn jwt(name: &str, life: u32) -> String {
    let claims = format!(r#"{{"iat":1000,"exp":{},"sub":"{name}"}}"#, 1000 + life);
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

fn exchanged(jwt: &str) -> Act {
    json(200, &format!(r#"{{"token":"{jwt}"}}"#))
}

fn given(token: &str) -> Act {
    json(
        200,
        &format!(r#"{{"addon":{{"id":"ad-1","resource_id":"shop_4553","token":"{token}"}}}}"#),
    )
}

/// What creating, changing, resetting and deleting each make of one act.
async fn mutations(act: Act) -> [ErrorClass; 4] {
    let (script, client) = script(vec![act; 4]).await;
    let password = Password::new(SECRET);
    let classes = [
        client.create(&mutation("checkout"), &password).await.unwrap_err(),
        client
            .set_password(&mutation("checkout"), &password)
            .await
            .unwrap_err(),
        client.reset_password("checkout").await.unwrap_err(),
        client.delete(&mutation("checkout")).await.unwrap_err(),
    ];
    assert_eq!(script.connections(), 4, "each is sent once");
    classes.map(|error| {
        assert_silent(&error);
        error.class
    })
}

async fn read(act: Act) -> Result<(), RemoteError> {
    let (script, client) = script(vec![act; 2]).await;
    let result = client.get("checkout").await.map(drop);
    assert_eq!(script.connections(), 1, "a read is sent once");
    result
}

fn assert_silent(error: &RemoteError) {
    let text = format!("{error} {error:?}");
    let secrets = [
        SECRET,
        API_TOKEN,
        ADDON_TOKEN,
        READY_TOKEN,
        "e30.",
        "127.0.0.1",
        "html",
        "http:",
    ];
    for secret in secrets {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}
