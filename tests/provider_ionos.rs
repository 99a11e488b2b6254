//! The IONOS client against servers that say what no well-behaved one would.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use pguser_operator::clock;
use pguser_operator::domain::endpoint::AllowList;
use pguser_operator::domain::password::Password;
use pguser_operator::provider::gate::Gate;
use pguser_operator::provider::http::HttpSettings;
use pguser_operator::provider::ionos::{Credentials, Ionos, IonosConfig};
use pguser_operator::provider::tls::Trust;
use pguser_operator::provider::{ClusterState, Creator, ErrorClass, Provider, RemoteError};
use support::{Act, Script, answer, json};

const SECRET: &str = "s3cret-Passw0rd";
const TOKEN: &str = "eyJ0b2tlbg";
const USER: &str =
    r#"{"type":"user","id":"x","href":"x","properties":{"username":"checkout","system":false}}"#;

fn settings(rules: &[&str]) -> HttpSettings {
    let allow = Arc::new(AllowList::parse(rules.iter().copied()).unwrap());
    HttpSettings {
        allow_http: true,
        connect_timeout: Duration::from_millis(500),
        request_timeout: Duration::from_secs(1),
        ..HttpSettings::new(allow, Trust::load(&[]).unwrap())
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
        client.create("checkout", &password).await.unwrap_err(),
        client.set_password("checkout", &password).await.unwrap_err(),
        client.delete("checkout").await.unwrap_err(),
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

#[tokio::test]
async fn requests_are_as_the_contract_has_them() {
    let (script, client) = script(vec![
        json(200, USER),
        json(200, USER),
        json(200, USER),
        json(204, ""),
    ])
    .await;
    let password = Password::new(SECRET);
    client.get("checkout").await.unwrap();
    client.create("checkout", &password).await.unwrap();
    client.set_password("checkout", &password).await.unwrap();
    client.delete("checkout").await.unwrap();
    let seen = script.seen();
    assert_eq!(
        script.lines(),
        [
            "GET /clusters/c-1/users/checkout",
            "POST /clusters/c-1/users",
            "PATCH /clusters/c-1/users/checkout",
            "DELETE /clusters/c-1/users/checkout",
        ]
    );
    assert_eq!(
        seen[1].body,
        format!(r#"{{"properties":{{"username":"checkout","password":"{SECRET}"}}}}"#)
    );
    assert_eq!(
        seen[2].body,
        format!(r#"{{"properties":{{"password":"{SECRET}"}}}}"#)
    );
    for (at, request) in seen.iter().enumerate() {
        let head = request.head.to_ascii_lowercase();
        assert!(
            head.contains(&format!("authorization: bearer {}", TOKEN.to_ascii_lowercase())),
            "{head}"
        );
        assert!(head.contains("accept: application/json"), "{head}");
        assert!(head.contains("user-agent: pguser-operator/"), "{head}");
        assert!(
            !head.contains("referer") && !head.contains("accept-encoding"),
            "{head}"
        );
        assert_eq!(
            head.contains("content-type: application/json"),
            at == 1 || at == 2,
            "{head}"
        );
        assert!(!head.contains("transfer-encoding"), "{head}");
    }
}

#[tokio::test]
async fn an_answer_is_read_with_its_date() {
    let (_script, client) = script(vec![json(
        200,
        r#"{"metadata":{"createdBy":"x/_unmanaged_","createdDate":"2023-05-11T13:37:50Z"},
            "properties":{"username":"checkout","system":true}}"#,
    )])
    .await;
    let answer = client.get("checkout").await.unwrap();
    assert_eq!(answer.date, Some("1994-11-06T08:49:37Z".parse().unwrap()));
    let user = answer.value.unwrap();
    assert!(user.protected);
    assert_eq!(user.creator, Creator::Unmanaged);
    assert_eq!(user.created, Some("2023-05-11T13:37:50Z".parse().unwrap()));
}

#[tokio::test]
async fn any_username_reaches_the_remote_as_one_segment() {
    let odd = ["we ird/na%me", "?x=1#y", "%2e%2e", "ü🦀", "a;b:c@d", "...", "\\"];
    for name in odd {
        let body = serde_json::json!({"properties": {"username": name}}).to_string();
        let (script, client) = script(vec![json(200, &body)]).await;
        client.get(name).await.unwrap();
        let line = &script.lines()[0];
        let segment = line.strip_prefix("GET /clusters/c-1/users/").unwrap();
        assert!(!segment.contains(['/', '?', '#']), "{segment}");
        assert_eq!(
            percent_encoding::percent_decode_str(segment)
                .decode_utf8()
                .unwrap(),
            name
        );
    }
}

#[tokio::test]
async fn a_username_that_no_url_can_carry_is_invalid_and_nothing_is_sent() {
    let (script, client) = script(vec![]).await;
    let password = Password::new(SECRET);
    for name in ["", ".", ".."] {
        assert_eq!(client.get(name).await.unwrap_err().class, ErrorClass::Invalid);
        assert_eq!(
            client.create(name, &password).await.unwrap_err().class,
            ErrorClass::Invalid
        );
        assert_eq!(
            client.set_password(name, &password).await.unwrap_err().class,
            ErrorClass::Invalid
        );
        assert_eq!(client.delete(name).await.unwrap_err().class, ErrorClass::Invalid);
    }
    assert_eq!(script.connections(), 0);
}

#[tokio::test]
async fn a_user_that_is_not_there_is_none_to_a_read_and_not_found_to_a_change() {
    let problem = r#"{"httpStatus":404,"messages":[{"errorCode":"paas-404","message":"gone"}]}"#;
    assert!(read(json(404, problem)).await.is_ok());
    assert!(read(json(404, "")).await.is_ok());
    let [_, patch, delete] = mutations(json(404, problem)).await;
    assert_eq!((patch, delete), (ErrorClass::NotFound, ErrorClass::NotFound));
    let (_script, client) = script(vec![json(404, problem)]).await;
    assert_eq!(client.cluster().await.unwrap_err().class, ErrorClass::NotFound);
}

#[tokio::test]
async fn a_web_page_is_not_the_apis_word() {
    assert_eq!(
        read(html(404)).await.unwrap_err().class,
        ErrorClass::Unreachable { after: None }
    );
    assert_eq!(
        read(html(200)).await.unwrap_err().class,
        ErrorClass::Unreachable { after: None }
    );
    for status in [200, 201, 404, 502, 503] {
        assert!(
            mutations(html(status)).await.iter().all(ErrorClass::is_unknown),
            "{status}"
        );
    }
}

#[tokio::test]
async fn what_may_have_been_sent_and_got_no_whole_answer_is_unknown() {
    for act in [
        Act::Drop,
        Act::Hang,
        Act::Say(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()),
        Act::Say(b"garbage\r\n\r\n".to_vec()),
        json(500, "{}"),
        json(503, "{}"),
        json(504, ""),
        json(408, ""),
    ] {
        let what = format!("{act:?}");
        assert!(
            mutations(act.clone()).await.iter().all(ErrorClass::is_unknown),
            "{what}"
        );
        assert_eq!(
            read(act).await.unwrap_err().class,
            ErrorClass::Unreachable { after: None },
            "{what}"
        );
    }
}

#[tokio::test]
async fn acceptance_is_a_readable_user_of_that_name() {
    for act in [
        truncated(200),
        json(200, ""),
        json(204, ""),
        json(200, "{}"),
        json(200, "[]"),
        json(200, r#"{"properties":{"username":"somebody-else"}}"#),
    ] {
        let (script, client) = script(vec![act.clone()]).await;
        let error = client
            .create("checkout", &Password::new(SECRET))
            .await
            .unwrap_err();
        assert!(error.class.is_unknown(), "{act:?}: {error}");
        assert_eq!(script.connections(), 1);
    }
    for status in [200, 201, 202] {
        let (_script, client) = script(vec![json(status, USER)]).await;
        let made = client.create("checkout", &Password::new(SECRET)).await.unwrap();
        assert_eq!(made.value.unwrap().username, "checkout");
    }
}

#[tokio::test]
async fn a_deletion_is_accepted_with_or_without_a_body() {
    for act in [json(204, ""), json(200, ""), json(202, "{}"), json(200, USER)] {
        let (_script, client) = script(vec![act.clone()]).await;
        assert!(client.delete("checkout").await.is_ok(), "{act:?}");
    }
    assert!(mutations(truncated(200)).await.iter().all(ErrorClass::is_unknown));
}

#[tokio::test]
async fn a_definite_refusal_is_definite() {
    use ErrorClass::*;
    let table = [
        (400, Invalid),
        (401, Unauthorised),
        (402, Unauthorised),
        (403, Unauthorised),
        (405, Invalid),
        (409, Conflict),
        (415, Invalid),
        (422, Invalid),
        (423, Busy),
        (429, RateLimited { after: None }),
    ];
    for (status, class) in table {
        for found in mutations(json(status, "Retry later")).await {
            assert_eq!(found, class, "{status}");
        }
        assert_eq!(
            read(json(status, "{}")).await.unwrap_err().class,
            class,
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Script::start(vec![json(200, USER); 9]).await;
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{}/clusters/c-1/users", elsewhere.url());
        for class in mutations(with(status, &[("location", to.as_str())])).await {
            assert_eq!(class, ErrorClass::Invalid);
        }
        assert_eq!(
            read(with(status, &[("location", &to)])).await.unwrap_err().class,
            ErrorClass::Invalid
        );
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn the_wait_that_the_remote_asks_for_is_passed_on_in_full() {
    let seconds = |n| Some(Duration::from_secs(n));
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let later = ("retry-after", "Sun, 06 Nov 1994 09:49:37 GMT");
    assert_eq!(
        mutations(with(429, &[("retry-after", "86400")])).await[0],
        ErrorClass::RateLimited {
            after: seconds(86_400)
        }
    );
    assert_eq!(
        mutations(with(503, &[date, later])).await[0],
        ErrorClass::Unknown { after: seconds(3600) }
    );
    assert_eq!(
        read(with(503, &[date, later])).await.unwrap_err().class,
        ErrorClass::Unreachable { after: seconds(3600) }
    );
    assert_eq!(
        read(with(429, &[("retry-after", "soon")]))
            .await
            .unwrap_err()
            .class,
        ErrorClass::RateLimited { after: None }
    );
}

#[tokio::test]
async fn an_error_shows_codes_and_ids_and_nothing_else() {
    let body = format!(
        r#"{{"httpStatus":422,"messages":[{{"errorCode":"paas-7\u001b[31m","message":"bad password {SECRET}"}},
            {{"errorCode":"{SECRET}"}},{{"errorCode":"leak-{TOKEN}"}},{{"errorCode":7}},{{}}],"x":1}}"#
    );
    let (_script, client) = script(vec![Act::Say(answer(422, &[("x-request-id", "req\t1")], &body))]).await;
    let error = client
        .create("checkout", &Password::new(SECRET))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "create user: invalid (HTTP 422, paas-7__31m, request req_1)"
    );
}

#[tokio::test]
async fn a_closed_gate_sends_nothing() {
    let script = Script::start(vec![json(200, USER); 9]).await;
    let client = Ionos::new(config(&script.url()), &settings(&["127.0.0.1:*"]), Gate::closed()).unwrap();
    let password = Password::new(SECRET);
    assert_eq!(
        client.create("checkout", &password).await.unwrap_err().class,
        ErrorClass::GateClosed
    );
    assert_eq!(
        client
            .set_password("checkout", &password)
            .await
            .unwrap_err()
            .class,
        ErrorClass::GateClosed
    );
    assert_eq!(
        client.delete("checkout").await.unwrap_err().class,
        ErrorClass::GateClosed
    );
    assert_eq!(script.connections(), 0);
    assert!(client.get("checkout").await.is_ok(), "reads need no gate");
}

/// A server whose TLS never comes up in time: the gate closes while the client waits, and when the connection
/// would be ready nothing is sent on it.
#[tokio::test]
async fn a_gate_that_closes_while_connecting_sends_nothing() {
    // A listener with a full backlog holds a connection back until somebody accepts.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fillers = Vec::new();
    for _ in 0..2 {
        fillers.push(tokio::net::TcpStream::connect(address).await.unwrap());
    }
    let gate = open();
    let mut settings = settings(&["127.0.0.1:*"]);
    (settings.connect_timeout, settings.request_timeout) = (Duration::from_secs(5), Duration::from_secs(10));
    let client = Ionos::new(config(&format!("http://{address}")), &settings, gate.clone()).unwrap();
    let attempt = tokio::spawn(async move { client.delete("checkout").await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    gate.close();
    let mut heard = Vec::new();
    let accept = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            drop(fillers.pop());
            use tokio::io::AsyncReadExt;
            let _ = stream.read_to_end(&mut heard).await;
        }
    };
    let result = tokio::select! {
        result = attempt => result.unwrap(),
        () = accept => unreachable!(),
    };
    assert_eq!(result.unwrap_err().class, ErrorClass::GateClosed);
    assert_eq!(heard, b"");
}

#[tokio::test]
async fn what_cannot_be_reached_was_not_sent() {
    let nobody = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let unreachable = ErrorClass::Unreachable { after: None };
    let client = client(&format!("http://{nobody}"));
    assert_eq!(client.delete("checkout").await.unwrap_err().class, unreachable);
    let error = client
        .create("checkout", &Password::new(SECRET))
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
    assert_eq!(tls.delete("checkout").await.unwrap_err().class, unreachable);

    let unresolved = Ionos::new(
        config("http://nowhere.invalid"),
        &settings(&["*.invalid:*"]),
        open(),
    )
    .unwrap();
    let error = unresolved.delete("checkout").await.unwrap_err();
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
        client.delete("checkout").await.unwrap_err(),
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

fn users(names: &[&str], next: bool) -> Act {
    let items: Vec<_> = names
        .iter()
        .map(|name| serde_json::json!({"properties": {"username": name}}))
        .collect();
    let links = match next {
        true => serde_json::json!({"next": "http://169.254.169.254/latest/meta-data"}),
        false => serde_json::json!({}),
    };
    json(
        200,
        &serde_json::json!({"items": items, "_links": links}).to_string(),
    )
}

#[tokio::test]
async fn a_list_is_put_together_by_counting() {
    let (script, client) = script(vec![
        users(&["a", "b"], true),
        users(&["b", "c"], true),
        users(&["d"], false),
    ])
    .await;
    let list = client.list().await.unwrap().value;
    let names: Vec<_> = list.users.iter().map(|user| user.username.as_str()).collect();
    assert_eq!((names, list.pages), (vec!["a", "b", "c", "d"], 3));
    assert_eq!(
        script.lines(),
        [
            "GET /clusters/c-1/users?limit=2&offset=0&system=true",
            "GET /clusters/c-1/users?limit=2&offset=2&system=true",
            "GET /clusters/c-1/users?limit=2&offset=4&system=true",
        ]
    );
}

#[tokio::test]
async fn a_list_that_fails_on_the_way_is_no_list() {
    for second in [
        Act::Drop,
        json(500, "{}"),
        json(200, "{}"),
        truncated(200),
        html(200),
        users(&["a", "b"], true),
    ] {
        let (_script, client) = script(vec![users(&["a", "b"], true), second.clone()]).await;
        let error = client.list().await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Unreachable { after: None }, "{second:?}");
        assert_silent(&error);
    }
    let (_script, client) = script(vec![json(404, "{}")]).await;
    assert_eq!(client.list().await.unwrap_err().class, ErrorClass::NotFound);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let huge = format!(
        r#"{{"padding":"{}","properties":{{"username":"checkout"}}}}"#,
        "x".repeat(300 << 10)
    );
    assert_eq!(
        read(json(200, &huge)).await.unwrap_err().class,
        ErrorClass::Unreachable { after: None }
    );
    let (_script, client) = script(vec![json(200, &huge)]).await;
    assert!(
        client
            .create("checkout", &Password::new(SECRET))
            .await
            .unwrap_err()
            .class
            .is_unknown()
    );
    // A list may be large.
    let (_script, client) = script(vec![json(
        200,
        &format!(r#"{{"_links":{{}},"items":[],"x":"{}"}}"#, "x".repeat(1 << 20)),
    )])
    .await;
    assert!(client.list().await.unwrap().value.users.is_empty());
}

#[tokio::test]
async fn a_slow_answer_is_waited_for_within_bounds() {
    let slow = |millis| Act::SayAfter(Duration::from_millis(millis), answer(200, &[], USER));
    assert!(read(slow(600)).await.is_ok());
    let started = std::time::Instant::now();
    assert!(mutations(slow(60_000)).await.iter().all(ErrorClass::is_unknown));
    assert!(started.elapsed() < Duration::from_secs(6));
}

#[tokio::test]
async fn the_cluster_is_read() {
    let (script, client) = script(vec![json(
        200,
        r#"{"type":"cluster","metadata":{"state":"BUSY"},"properties":{"dnsName":"pg-x.postgresql.de-txl.ionos.com"}}"#,
    )])
    .await;
    let cluster = client.cluster().await.unwrap().value;
    assert_eq!(cluster.state, ClusterState::Busy);
    assert_eq!(cluster.host.as_deref(), Some("pg-x.postgresql.de-txl.ionos.com"));
    assert_eq!(script.lines(), ["GET /clusters/c-1"]);
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
    let error = tls.create("checkout", &Password::new(SECRET)).await.unwrap_err();
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
            .args(["--exact", "behind_a_proxy", "--include-ignored"])
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
