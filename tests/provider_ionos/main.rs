//! The IONOS client against servers that say what no well-behaved one would.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod answers;
mod endpoints;
mod gate;
mod lists;
mod outcomes;
mod requests;
#[path = "../support_http/script.rs"]
mod script;
#[path = "../support_schema/mod.rs"]
mod support_schema;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use pguser_operator::clock;
use pguser_operator::domain::endpoint::AllowList;
use pguser_operator::domain::password::Password;
use pguser_operator::domain::role::RoleSettings;
use pguser_operator::provider::gate::Gate;
use pguser_operator::provider::http::HttpSettings;
use pguser_operator::provider::ionos::{Credentials, Ionos, IonosConfig};
use pguser_operator::provider::memory::Memory;
use pguser_operator::provider::tls::Trust;
use pguser_operator::provider::{ClusterState, Creator, ErrorClass, Mutation, Provider, RemoteError};
use script::{Act, Script, answer, json};

const SECRET: &str = "s3cret-Passw0rd";

const TOKEN: &str = "eyJ0b2tlbg";

const USER: &str =
    r#"{"type":"user","id":"x","href":"x","properties":{"username":"checkout","system":false}}"#;

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

fn config(url: &str) -> IonosConfig {
    IonosConfig {
        endpoint: url.to_string(),
        page_size: 2,
        ..IonosConfig::new("c-1", Credentials::Bearer(Password::new(TOKEN)))
    }
}

fn client(url: &str) -> Ionos {
    Ionos::new(config(url), &settings(&["127.0.0.1:*"]), open()).unwrap()
}

async fn script(acts: Vec<Act>) -> (Script, Ionos) {
    let script = Script::start(acts).await;
    let client = client(&script.url());
    (script, client)
}

/// A mutation of this user, with no settings.
fn mutation(username: &str) -> Mutation<'_> {
    static NONE: LazyLock<RoleSettings> = LazyLock::new(RoleSettings::default);
    Mutation {
        username,
        owner: "uid-1",
        settings: &NONE,
        adopt: false,
        former: None,
    }
}

fn html(status: u16) -> Act {
    let page = "<html><body>It works!</body></html>";
    Act::Say(answer(
        status,
        &[("content-type", "text/html; charset=utf-8")],
        page,
    ))
}

/// A JSON answer that ends in the middle.
fn truncated(status: u16) -> Act {
    let whole = answer(status, &[("content-type", "application/json")], USER);
    Act::Say(whole[..whole.len() - 20].to_vec())
}

fn with(status: u16, headers: &[(&str, &str)]) -> Act {
    Act::Say(answer(status, headers, "{}"))
}

/// What creating, changing and deleting each make of one act.
async fn mutations(act: Act) -> [ErrorClass; 3] {
    let (script, client) = script(vec![act; 3]).await;
    let password = Password::new(SECRET);
    let classes = [
        client.create(&mutation("checkout"), &password).await.unwrap_err(),
        client
            .set_password(&mutation("checkout"), &password)
            .await
            .unwrap_err(),
        client.delete(&mutation("checkout")).await.unwrap_err(),
    ];
    assert_eq!(script.connections(), 3, "each is sent once");
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
    for secret in [SECRET, TOKEN, "127.0.0.1", "html", "http:"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}
