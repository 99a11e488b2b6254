//! The IONOS API over HTTP, with logins into a real PostgreSQL.

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Reply, Sim, eventually, read};

const CLUSTER: &str = "498ae72f-411f-11eb-9d07-046c59cc737e";
const PASSWORD: &str = "TopSecret!";

fn user(name: &str, password: &str) -> Value {
    json!({"properties": {"username": name, "password": password}})
}

impl Sim {
    fn path(&self, rest: &str) -> String {
        format!("/databases/postgresql/clusters/{CLUSTER}{rest}")
    }

    /// A request about users.
    async fn users(&self, method: &str, rest: &str, body: Option<Value>) -> Reply {
        self.send(method, &self.path(&format!("/users{rest}")), body)
            .await
    }

    async fn create(&self, name: &str) -> Reply {
        self.users("POST", "", Some(user(name, PASSWORD))).await
    }

    async fn set(&self, name: &str, password: &str) -> Reply {
        self.users(
            "PATCH",
            &format!("/{name}"),
            Some(json!({"properties": {"password": password}})),
        )
        .await
    }

    async fn get(&self, name: &str) -> Reply {
        self.users("GET", &format!("/{name}"), None).await
    }

    async fn delete(&self, name: &str) -> Reply {
        self.users("DELETE", &format!("/{name}"), None).await
    }

    async fn names(&self, query: &str) -> Vec<String> {
        let list = self.users("GET", query, None).await.json();
        let items = list["items"].as_array().expect("items");
        items
            .iter()
            .map(|item| {
                item["properties"]["username"]
                    .as_str()
                    .expect("a name")
                    .to_owned()
            })
            .collect()
    }
}

#[tokio::test]
async fn a_user_lives_and_its_password_works_in_earnest() {
    let sim = Sim::start(&[]).await;
    let created = sim.create("benjamin").await;
    assert_eq!(created.status, 200);
    assert_eq!(created.header("content-type"), Some("application/json"));
    assert!(created.header("date").is_some());
    assert!(!created.text.contains("password") && !created.text.contains(PASSWORD));
    let body = created.json();
    assert_eq!(body["type"], "user");
    assert_eq!(
        body["properties"],
        json!({"username": "benjamin", "system": false})
    );
    assert_eq!(
        body["href"],
        format!("{}{}", sim.url, sim.path("/users/benjamin"))
    );
    let urn = format!("ionos:postgresql:de-txl:11274857:clusters/{CLUSTER}/users/benjamin");
    assert_eq!(body["metadata"]["resourceURN"], urn);
    let date = body["metadata"]["createdDate"].as_str().expect("a date");
    assert!(date.len() == 20 && date.ends_with('Z'), "{date}");
    assert_eq!(sim.get("benjamin").await.json(), body);
    assert!(sim.postgres.login("benjamin", PASSWORD).await);

    assert_eq!(sim.set("benjamin", "Another secret").await.status, 200);
    assert!(!sim.postgres.login("benjamin", PASSWORD).await);
    assert!(sim.postgres.login("benjamin", "Another secret").await);

    let deleted = sim.delete("benjamin").await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert!(!sim.postgres.login("benjamin", "Another secret").await);
    assert_eq!(sim.get("benjamin").await.status, 404);
    assert_eq!(sim.delete("benjamin").await.status, 404);
    assert_eq!(sim.set("benjamin", PASSWORD).await.status, 404);
    assert_eq!(
        sim.create("benjamin").await.json()["id"],
        body["id"],
        "ids are stable"
    );
}

#[tokio::test]
async fn usernames_and_passwords_are_bounded_in_length_only() {
    let sim = Sim::start(&[]).await;
    let long = "x".repeat(63);
    let names = [
        ("b", "b"),
        ("CLI-User-1", "CLI-User-1"),
        ("we ird/na%me", "we%20ird%2Fna%25me"),
        (r#"qu"o't'e""s"#, "qu%22o%27t%27e%22%22s"),
        ("elephant 🐘", "elephant%20%F0%9F%90%98"),
        (r"back\slash;--", "back%5Cslash%3B--"),
        ("a?b#c&d=e+f", "a%3Fb%23c%26d%3De%2Bf"),
        ("%2F", "%252F"),
        (" spaces ", "%20spaces%20"),
        ("tab\tnew\nline", "tab%09new%0Aline"),
        ("none of $$ this", "none%20of%20%24%24%20this"),
        (&long, &long),
    ];
    let passwords = [
        "0123456789",
        "p'a\"s\\s%w $1 ;--",
        "md5a3556571e93b0d20722ba62be61e8c2d",
        "pass🐘wörd💥!",
        "          ",
        &"p".repeat(63),
    ];
    for (index, (name, escaped)) in names.into_iter().enumerate() {
        let password = passwords[index % passwords.len()];
        let created = sim.users("POST", "", Some(user(name, password))).await;
        assert_eq!(created.status, 200, "{name:?}: {}", created.text);
        let got = sim.get(escaped).await;
        assert_eq!(got.json()["properties"]["username"], name);
        let href = got.json()["href"].as_str().expect("an href").to_owned();
        let path = href.strip_prefix(&sim.url).expect("an absolute URL");
        assert_eq!(sim.send("GET", path, None).await.json(), created.json(), "{href}");
        assert!(sim.postgres.login(name, password).await, "{name:?} {password:?}");
    }
    assert_eq!(sim.names("").await.len(), names.len());
    for (name, escaped) in names {
        let password = "Another secret";
        assert_eq!(sim.set(escaped, password).await.status, 200, "{name:?}");
        assert!(sim.postgres.login(name, password).await, "{name:?}");
        assert_eq!(sim.delete(escaped).await.status, 204, "{name:?}");
    }
    assert!(sim.names("").await.is_empty());
    let elephants = "🐘".repeat(16);
    assert_eq!(
        sim.create(&elephants).await.status,
        422,
        "more bytes than PostgreSQL keeps"
    );
    sim.switch(json!({"long-names": "truncate"})).await;
    assert_eq!(sim.create(&elephants).await.status, 200);
    assert!(sim.postgres.login(&"🐘".repeat(15), PASSWORD).await);
}

#[tokio::test]
async fn errors_have_their_statuses_and_their_body() {
    let sim = Sim::start(&["--basic", "anna:pass:word", "--foreign-cluster-id", "foreign"]).await;
    assert_eq!(sim.create("benjamin").await.status, 200);
    let users = sim.path("/users");
    let benjamin = sim.path("/users/benjamin");
    let ok = || Some(user("new", PASSWORD));
    let cases: Vec<(&str, String, Option<Value>, u16)> = vec![
        ("GET", sim.path("/users/nobody"), None, 404),
        ("GET", sim.path("/users/"), None, 404),
        ("GET", sim.path("/users/a/b"), None, 404),
        ("GET", sim.path(&format!("/users/{}", "x".repeat(64))), None, 422),
        ("GET", sim.path("/users/%FF"), None, 400),
        (
            "GET",
            "/databases/postgresql/clusters/nowhere/users".to_owned(),
            None,
            404,
        ),
        (
            "GET",
            "/databases/postgresql/clusters/foreign/users".to_owned(),
            None,
            403,
        ),
        (
            "POST",
            "/databases/postgresql/clusters/nowhere/users".to_owned(),
            ok(),
            404,
        ),
        ("GET", "/nothing".to_owned(), None, 404),
        ("PUT", benjamin.clone(), ok(), 405),
        ("POST", benjamin.clone(), ok(), 405),
        ("DELETE", users.clone(), None, 405),
        ("PATCH", users.clone(), ok(), 405),
        ("POST", users.clone(), None, 415),
        ("PATCH", benjamin.clone(), None, 415),
        ("POST", users.clone(), Some(json!({})), 422),
        ("POST", users.clone(), Some(user("", PASSWORD)), 422),
        ("POST", users.clone(), Some(user(&"x".repeat(64), PASSWORD)), 422),
        ("POST", users.clone(), Some(user("new", "too short")), 422),
        ("POST", users.clone(), Some(user("new", &"p".repeat(64))), 422),
        ("POST", users.clone(), Some(user("nul\0", PASSWORD)), 422),
        ("POST", users.clone(), Some(user("benjamin", PASSWORD)), 422),
        ("POST", users.clone(), Some(user("postgres", PASSWORD)), 422),
        ("POST", users.clone(), Some(user("pg_monitor", PASSWORD)), 422),
        ("POST", users.clone(), Some(user("pg_mine", PASSWORD)), 422),
        ("POST", users.clone(), Some(user("none", PASSWORD)), 422),
        (
            "PATCH",
            benjamin.clone(),
            Some(json!({"properties": {"password": "short"}})),
            422,
        ),
        ("PATCH", benjamin.clone(), Some(json!({})), 422),
        (
            "PATCH",
            sim.path("/users/postgres"),
            Some(json!({"properties": {"password": PASSWORD}})),
            422,
        ),
        ("DELETE", sim.path("/users/postgres"), None, 422),
        ("GET", format!("{users}?limit=0"), None, 422),
        ("GET", format!("{users}?limit=1001"), None, 422),
        ("GET", format!("{users}?offset=-1"), None, 422),
        ("GET", format!("{users}?limit=many"), None, 400),
    ];
    for (method, path, body, status) in cases {
        let reply = sim.send(method, &path, body).await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text);
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        let error = reply.json();
        assert_eq!(error["httpStatus"], status);
        assert!(error["messages"][0]["errorCode"].is_string() && error["messages"][0]["message"].is_string());
    }
    let post = |body: &'static str| {
        let request = sim.http.post(format!("{}{users}", sim.url)).bearer_auth("token");
        request.header("content-type", "application/json").body(body)
    };
    for body in ["", "{", "\"", r#"{"properties":{"username":"\ud800"}}"#] {
        assert_eq!(read(post(body)).await.expect("an answer").status, 400, "{body}");
    }
    assert_eq!(sim.names("").await, ["benjamin"], "nothing was committed");

    let get = || sim.http.get(format!("{}{users}", sim.url));
    assert_eq!(read(get()).await.expect("an answer").status, 401);
    assert_eq!(
        read(get().bearer_auth("wrong")).await.expect("an answer").status,
        401
    );
    assert_eq!(
        read(get().basic_auth("anna", Some("wrong")))
            .await
            .expect("an answer")
            .status,
        401
    );
    assert_eq!(
        read(get().basic_auth("anna", Some("pass:word")))
            .await
            .expect("an answer")
            .status,
        200
    );
    sim.admin("POST", "/tokens", json!({"tokens": ["new"]})).await;
    assert_eq!(sim.get("benjamin").await.status, 401);
    assert_eq!(
        read(get().bearer_auth("new")).await.expect("an answer").status,
        200
    );
}

#[tokio::test]
async fn pages_link_to_each_other() {
    let sim = Sim::start(&["--seed-sql-user", "by sql"]).await;
    for index in 0..6 {
        assert_eq!(sim.create(&format!("user-{index}")).await.status, 200);
    }
    let (mut path, mut names, mut pages) = (sim.path("/users?limit=3&system=True"), Vec::new(), 0);
    loop {
        let page = sim.send("GET", &path, None).await.json();
        assert_eq!(
            (page["type"].as_str(), page["limit"].as_u64()),
            (Some("collection"), Some(3))
        );
        assert_eq!(page["offset"], pages * 3);
        assert_eq!(page["_links"].get("prev").is_some(), pages > 0);
        names.extend(
            page["items"]
                .as_array()
                .expect("items")
                .iter()
                .map(|item| item["properties"].clone()),
        );
        pages += 1;
        let Some(next) = page["_links"]["next"].as_str() else {
            break;
        };
        path = next.strip_prefix(&sim.url).expect("an absolute link").to_owned();
    }
    assert_eq!(pages, 4);
    let system: Vec<_> = names.iter().filter(|user| user["system"] == true).collect();
    assert_eq!(system.len(), 3);
    let names: Vec<_> = names
        .iter()
        .map(|user| user["username"].as_str().expect("a name"))
        .collect();
    assert_eq!(names.len(), 10);
    assert!(names.is_sorted());
    assert_eq!(sim.names("").await.len(), 7);
    assert_eq!(sim.names("?system=false").await.len(), 7);
    assert!(sim.names("?offset=7").await.is_empty());
    let created_by = |body: Value| {
        body["metadata"]["createdBy"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(created_by(sim.get("by%20sql").await.json()).ends_with("_unmanaged_"));
    assert!(created_by(sim.get("standby").await.json()).ends_with("_system_"));
}

#[tokio::test]
async fn faults_strike_on_either_side_of_the_commit() {
    let sim = Sim::start(&[]).await;
    let create = |fault: Value| json!({"route": "users.create", "count": 1, "fault": fault});
    let users = sim.path("/users");

    sim.fault(create(json!({"type": "status", "status": 503, "retryAfter": 2})))
        .await;
    let reply = sim.create("a").await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("2")));
    assert_eq!(sim.get("a").await.status, 404);

    sim.fault(create(
        json!({"type": "status", "status": 500, "when": "after-commit"}),
    ))
    .await;
    assert_eq!(sim.create("b").await.status, 500);
    assert!(sim.postgres.login("b", PASSWORD).await);

    sim.fault(create(json!({"type": "drop"}))).await;
    assert!(
        sim.try_send("POST", &users, Some(user("c", PASSWORD)))
            .await
            .is_err()
    );
    assert_eq!(sim.get("c").await.status, 404);

    sim.fault(create(json!({"type": "drop", "when": "after-commit"})))
        .await;
    assert!(
        sim.try_send("POST", &users, Some(user("d", PASSWORD)))
            .await
            .is_err()
    );
    let entry = sim.last().await;
    assert_eq!(
        (&entry["status"], &entry["committed"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(sim.create("d").await.status, 422, "it is there");

    sim.fault(create(json!({"type": "late-commit", "afterMs": 1000})))
        .await;
    assert!(
        sim.try_send("POST", &users, Some(user("e", PASSWORD)))
            .await
            .is_err()
    );
    assert_eq!(sim.get("e").await.status, 404);
    eventually("the late commit", async || sim.get("e").await.status == 200).await;

    let list = |fault: Value| json!({"route": "users.list", "count": 1, "fault": fault});
    sim.fault(list(json!({"type": "drop", "when": "mid-body"}))).await;
    let response = sim
        .http
        .get(format!("{}{users}", sim.url))
        .bearer_auth("token")
        .send()
        .await;
    let response = response.expect("headers arrive");
    assert!(response.content_length().is_some_and(|length| length > 0));
    assert!(response.bytes().await.is_err(), "the body is cut");

    sim.fault(list(json!({"type": "truncate"}))).await;
    let reply = sim.users("GET", "", None).await;
    assert!(reply.status == 200 && serde_json::from_str::<Value>(&reply.text).is_err());

    sim.fault(list(json!({"type": "body", "status": 200, "body": "<html>"})))
        .await;
    let reply = sim.users("GET", "", None).await;
    assert_eq!(
        (reply.text.as_str(), reply.header("content-type")),
        ("<html>", Some("text/html"))
    );

    sim.fault(list(json!({"type": "latency", "beforeMs": 150, "afterMs": 150})))
        .await;
    let start = Instant::now();
    sim.users("GET", "", None).await;
    assert!(start.elapsed() >= Duration::from_millis(300));

    sim.fault(create(json!({"type": "latency", "beforeMs": 1000})))
        .await;
    let request = sim.http.post(format!("{}{users}", sim.url)).bearer_auth("token");
    let request = request
        .header("content-type", "application/json")
        .body(user("f", PASSWORD).to_string());
    let client = tokio::spawn(read(request));
    eventually("the arrival", async || sim.last().await["username"] == "f").await;
    client.abort();
    eventually("what the client no longer waits for", async || {
        sim.get("f").await.status == 200
    })
    .await;

    let date = json!({"type": "status", "status": 429, "retryAfter": "date+60"});
    sim.fault(json!({"route": "users.get", "count": 1, "username": "d", "fault": date}))
        .await;
    assert_eq!(sim.get("e").await.status, 200);
    let reply = sim.get("d").await;
    assert!(
        reply.status == 429
            && reply
                .header("retry-after")
                .is_some_and(|date| date.ends_with("GMT"))
    );
    assert_eq!(sim.names("").await, ["b", "d", "e", "f"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_count_exactly_under_concurrency() {
    let sim = Sim::start(&[]).await;
    let status = json!({"type": "status", "status": 500});
    let id = sim
        .fault(json!({"route": "*", "skip": 7, "count": 11, "fault": status}))
        .await;
    let path = sim.path("/users");
    let replies = futures::future::join_all((0..40).map(|_| sim.send("GET", &path, None))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 500).count(), 11);
    let struck: Vec<_> = sim
        .journal()
        .await
        .iter()
        .map(|entry| entry["status"] == 500)
        .collect();
    let expected: Vec<_> = (0..40).map(|index| (7..18).contains(&index)).collect();
    assert_eq!(struck, expected, "in order of arrival");
    let faults = sim.admin("GET", "/faults", Value::Null).await;
    assert_eq!(faults["faults"][0]["applied"], 11);
    sim.admin("DELETE", &format!("/faults/{id}"), Value::Null).await;
    assert_eq!(
        sim.admin("GET", "/faults", Value::Null).await["faults"],
        json!([])
    );
    let counts = sim.admin("GET", "/counts", Value::Null).await;
    assert_eq!(counts["users.list"]["byStatus"], json!({"200": 29, "500": 11}));
}

#[tokio::test]
async fn mutations_that_race_are_one_after_another() {
    let sim = Sim::start(&[]).await;
    let replies = futures::future::join_all((0..8).map(|_| sim.create("benjamin"))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    assert_eq!(replies.iter().filter(|reply| reply.status == 422).count(), 7);
}

#[tokio::test]
async fn a_busy_cluster_behaves_as_switched() {
    let sim = Sim::start(&["--switch", "busy-ms=2000", "--switch", "busy-after=create,patch"]).await;
    let state = async || sim.send("GET", &sim.path(""), None).await.json()["metadata"]["state"].clone();
    assert_eq!(state().await, "AVAILABLE");
    assert_eq!(sim.create("a").await.status, 200);
    assert_eq!(state().await, "BUSY");
    for status in ["409", "422", "423", "503"] {
        sim.switch(json!({"while-busy": status})).await;
        sim.admin("POST", "/cluster", json!({"busyForMs": 5000})).await;
        assert_eq!(sim.create("b").await.status.to_string(), status);
        assert_eq!(sim.get("a").await.status, 200, "reads go on");
    }
    sim.switch(json!({"while-busy": "accept", "in-effect": "after-busy"}))
        .await;
    sim.admin("POST", "/cluster", json!({"state": "AVAILABLE"})).await;
    assert_eq!(sim.create("b").await.status, 200);
    assert_eq!(sim.get("b").await.status, 200);
    assert!(!sim.postgres.login("b", PASSWORD).await, "not in effect yet");
    assert_eq!(sim.set("a", "Another secret").await.status, 200);
    assert!(sim.postgres.login("a", PASSWORD).await, "still in effect");
    eventually("the end of BUSY", async || state().await == "AVAILABLE").await;
    eventually("the new user", async || sim.postgres.login("b", PASSWORD).await).await;
    eventually("the new password", async || {
        sim.postgres.login("a", "Another secret").await
    })
    .await;
    assert!(!sim.postgres.login("a", PASSWORD).await);
    assert_eq!(sim.delete("a").await.status, 204);
    assert_eq!(state().await, "AVAILABLE", "delete is not in busy-after");

    sim.switch(json!({"busy-after": "delete"})).await;
    assert_eq!(sim.delete("b").await.status, 204);
    assert_eq!(sim.get("b").await.status, 404);
    assert!(sim.postgres.login("b", PASSWORD).await, "not in effect yet");
    let again = user("b", "Another secret");
    assert_eq!(
        sim.users("POST", "", Some(again)).await.status,
        200,
        "a role on its way out is not in the way"
    );
    assert!(!sim.postgres.login("b", PASSWORD).await && sim.postgres.login("b", "Another secret").await);
}

#[tokio::test]
async fn reads_lag_behind_writes_as_switched() {
    let sim = Sim::start(&["--switch", "create-lag-ms=1500"]).await;
    assert_eq!(sim.create("a").await.status, 200);
    assert_eq!(sim.get("a").await.status, 404);
    assert!(sim.names("").await.is_empty());
    assert_eq!(sim.create("a").await.status, 422, "writes see what is there");
    assert!(sim.postgres.login("a", PASSWORD).await);
    eventually("the get", async || sim.get("a").await.status == 200).await;
    assert_eq!(sim.names("").await, ["a"]);

    sim.switch(json!({"create-lag-ms": 0, "list-lag-ms": 1200})).await;
    assert_eq!(sim.create("b").await.status, 200);
    assert_eq!(sim.delete("a").await.status, 204);
    assert_eq!((sim.get("a").await.status, sim.get("b").await.status), (404, 200));
    assert_eq!(sim.names("").await, ["a"]);
    eventually("the list", async || sim.names("").await == ["b"]).await;

    sim.switch(json!({"list-lag-ms": 0, "get-lag-ms": 1200})).await;
    let before = sim.get("b").await.json();
    assert_eq!(sim.create("c").await.status, 200);
    assert_eq!(sim.delete("b").await.status, 204);
    assert_eq!(
        (sim.get("b").await.json(), sim.get("c").await.status),
        (before, 404)
    );
    assert_eq!(sim.names("").await, ["c"], "lists are ahead of gets");
    sim.switch(json!({"get-lag-ms": 0})).await;
    assert_eq!(sim.delete("c").await.status, 204);
    assert_eq!(sim.create("b").await.status, 200);

    sim.switch(json!({"list-lag-ms": 0, "delete": "async", "delete-lag-ms": 1500}))
        .await;
    assert_eq!(sim.delete("b").await.status, 204);
    assert_eq!(sim.get("b").await.status, 200);
    assert_eq!(sim.names("").await, ["b"]);
    assert_eq!(sim.delete("b").await.status, 204);
    assert_eq!(sim.set("b", "Another secret").await.status, 422);
    assert_eq!(sim.create("b").await.status, 422);
    eventually("the delete", async || sim.get("b").await.status == 404).await;
    assert!(!sim.postgres.login("b", PASSWORD).await);
}

#[tokio::test]
async fn what_happens_outside_shows() {
    let sim = Sim::start(&["--switch", "timestamps=millis"]).await;
    sim.postgres.sql("CREATE ROLE bysql LOGIN PASSWORD 'TopSecret!'; CREATE ROLE nologin; CREATE ROLE su SUPERUSER LOGIN")
        .await;
    assert_eq!(sim.names("").await, ["bysql"]);
    assert_eq!(sim.get("nologin").await.status, 404);
    assert_eq!(sim.create("bysql").await.status, 422);
    let created = sim.create("mine").await.json();

    sim.postgres
        .sql("ALTER ROLE mine PASSWORD 'Changed by SQL'")
        .await;
    assert_eq!(sim.get("mine").await.json(), created);
    sim.switch(json!({"sql-password-change": "moves-last-modified"}))
        .await;
    let moved = sim.get("mine").await.json();
    assert_ne!(
        moved["metadata"]["lastModifiedDate"],
        created["metadata"]["lastModifiedDate"]
    );
    assert_eq!(sim.get("mine").await.json(), moved, "once");

    sim.postgres.sql("DROP ROLE mine; CREATE ROLE mine LOGIN").await;
    let by = sim.get("mine").await.json()["metadata"]["createdBy"]
        .as_str()
        .expect("a urn")
        .to_owned();
    assert!(by.ends_with("_unmanaged_"), "{by}");
    sim.postgres.sql("DROP ROLE mine").await;
    assert_eq!(sim.get("mine").await.status, 404);

    let first = sim.create("mine").await.json();
    let outside = async |action: Value| sim.admin("POST", "/outside", action).await;
    outside(json!({"action": "set-password", "username": "mine", "password": "From outside"})).await;
    assert!(sim.postgres.login("mine", "From outside").await);
    let second = sim.get("mine").await.json();
    assert_ne!(
        second["metadata"]["lastModifiedByUserId"],
        first["metadata"]["lastModifiedByUserId"]
    );
    outside(json!({"action": "recreate", "username": "mine", "password": "Once again"})).await;
    let third = sim.get("mine").await.json();
    assert_ne!(third["metadata"]["createdDate"], first["metadata"]["createdDate"]);
    outside(json!({"action": "delete", "username": "mine", "via": "sql"})).await;
    assert_eq!(sim.get("mine").await.status, 404);
    outside(json!({"action": "create-sql", "username": "theirs", "password": PASSWORD})).await;
    outside(json!({"action": "create-api", "username": "others", "password": PASSWORD})).await;
    assert_eq!(sim.names("").await, ["bysql", "others", "theirs"]);
    assert!(sim.postgres.login("theirs", PASSWORD).await && sim.postgres.login("others", PASSWORD).await);
    let users = sim.admin("GET", "/users", Value::Null).await;
    assert_eq!(users["users"][1]["origin"], "api");
    let reset = sim.admin("POST", "/reset", json!({"users": true})).await;
    assert_eq!(reset["droppedUsers"], 1);
    assert_eq!(sim.names("").await, ["bysql", "theirs"]);
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let switches = ["--switch", "busy-ms=600", "--switch", "in-effect=after-busy"];
    let mut sim = Sim::start(&switches).await;
    let created = sim.create("benjamin").await.json();
    sim.restart(&[]);
    assert_eq!(sim.get("benjamin").await.json()["metadata"], created["metadata"]);
    eventually("what was put off", async || {
        sim.postgres.login("benjamin", PASSWORD).await
    })
    .await;
    sim.postgres.restart().await;
    eventually("a restarted PostgreSQL", async || {
        sim.get("benjamin").await.status == 200
    })
    .await;
    assert_eq!(sim.set("benjamin", "Another secret").await.status, 200);
    assert!(sim.terminate() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_role_that_owns_objects_is_not_dropped_lightly() {
    let sim = Sim::start(&[]).await;
    assert_eq!(sim.create("owner").await.status, 200);
    sim.postgres
        .sql("CREATE TABLE t (); ALTER TABLE t OWNER TO owner")
        .await;
    sim.postgres.sql("CREATE DATABASE d OWNER owner").await;
    for status in ["422", "409", "500"] {
        sim.switch(json!({"owned-objects": status})).await;
        assert_eq!(sim.delete("owner").await.status.to_string(), status);
        assert!(sim.postgres.login("owner", PASSWORD).await);
    }
    assert_eq!(
        sim.admin("GET", "/counts", Value::Null).await["users.delete"]["committed"],
        0
    );
    sim.switch(json!({"owned-objects": "cascade"})).await;
    assert_eq!(sim.delete("owner").await.status, 204);
    assert_eq!(sim.get("owner").await.status, 404);

    sim.switch(json!({"fast-delete": "500"})).await;
    assert_eq!(sim.create("next").await.status, 200);
    assert_eq!(sim.delete("next").await.status, 500);
    sim.switch(json!({"fast-delete-window-ms": 0})).await;
    assert_eq!(sim.delete("next").await.status, 204);
}

#[tokio::test]
async fn switches_change_what_is_undocumented() {
    let sim = Sim::start(&[]).await;
    assert_eq!(sim.create("a").await.status, 200);
    let send = async |body: Value| sim.users("POST", "", Some(body)).await.status;
    sim.switch(
        json!({"duplicate": 409, "reserved": "403", "system-mutation": "403", "path-username": "404"}),
    )
    .await;
    assert_eq!(sim.create("a").await.status, 409);
    assert_eq!(sim.create("standby").await.status, 403);
    assert_eq!(sim.delete("standby").await.status, 403);
    assert_eq!(sim.get(&"x".repeat(64)).await.status, 404);
    sim.switch(json!({"reserved": "accept", "missing-password": "accept"}))
        .await;
    assert_eq!(sim.create("standby").await.status, 200);
    assert_eq!(sim.get("standby").await.json()["properties"]["system"], false);
    assert_eq!(
        send(json!({"properties": {"username": "none at all"}})).await,
        200
    );
    assert!(!sim.postgres.login("none at all", PASSWORD).await);
    let patch = async |body: Value| sim.users("PATCH", "/a", Some(body)).await.status;
    assert_eq!(patch(json!({"properties": {}})).await, 200);
    assert_eq!(sim.last().await["committed"], false);
    assert_eq!(patch(json!({"properties": {"username": "b"}})).await, 200);
    sim.switch(json!({"empty-patch": "422", "unknown-fields": "422", "post-system-field": "422"}))
        .await;
    assert_eq!(patch(json!({"properties": {}})).await, 422);
    assert_eq!(
        patch(json!({"properties": {"username": "b", "password": PASSWORD}})).await,
        422
    );
    assert_eq!(
        send(json!({"properties": {"username": "b", "password": PASSWORD, "system": false}})).await,
        422
    );
    for (account, status) in [("trial", 402), ("read-only", 403)] {
        sim.switch(json!({"account": account})).await;
        assert_eq!(sim.create("c").await.status, status);
        assert_eq!(sim.get("a").await.status, 200);
    }
    sim.switch(json!({"account": "full"})).await;
    sim.switch(json!({"metadata": "absent", "error-content-type": "html"}))
        .await;
    assert!(sim.get("a").await.json().get("metadata").is_none());
    assert_eq!(sim.get("nobody").await.header("content-type"), Some("text/html"));
    let refused = sim
        .send(
            "PUT",
            "/_sim/switches",
            Some(json!({"duplicate": "422", "nonsense": 1})),
        )
        .await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains("busy-after"));
    assert_eq!(sim.create("a").await.status, 409, "all or nothing");
}

#[tokio::test]
async fn the_rate_limit_says_when_to_come_back() {
    let sim = Sim::start(&["--switch", "rate-limit=3", "--switch", "rate-window-ms=3000"]).await;
    for _ in 0..3 {
        assert_eq!(sim.get("nobody").await.status, 404);
    }
    let reply = sim.get("nobody").await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("3")));
    sim.switch(json!({"retry-after": "date"})).await;
    assert!(
        sim.get("nobody")
            .await
            .header("retry-after")
            .is_some_and(|date| date.ends_with(" GMT"))
    );
    sim.switch(json!({"retry-after": "none"})).await;
    assert_eq!(sim.get("nobody").await.header("retry-after"), None);
    tokio::time::sleep(Duration::from_millis(3050)).await;
    assert_eq!(sim.get("nobody").await.status, 404);
}

#[tokio::test]
async fn the_cluster_can_change_and_vanish() {
    let sim = Sim::start(&["--dns-name", "db.example"]).await;
    let cluster = sim.send("GET", &sim.path(""), None).await.json();
    assert_eq!(
        (cluster["type"].as_str(), cluster["id"].as_str()),
        (Some("cluster"), Some(CLUSTER))
    );
    assert_eq!(cluster["properties"]["dnsName"], "db.example");
    assert_eq!(cluster["properties"]["location"], "de/txl");
    let list = sim
        .send("GET", "/databases/postgresql/clusters", None)
        .await
        .json();
    assert!(list["links"]["self"].is_string() && list["items"][0]["id"] == CLUSTER);
    let databases = sim.send("GET", &sim.path("/databases"), None).await.json();
    assert_eq!(databases["items"][0]["properties"]["name"], "postgres");
    for state in ["BUSY", "FAILED", "DEGRADED", "DESTROYING", "UNKNOWN", "AVAILABLE"] {
        sim.admin("POST", "/cluster", json!({"state": state})).await;
        assert_eq!(
            sim.send("GET", &sim.path(""), None).await.json()["metadata"]["state"],
            state
        );
    }
    sim.admin("POST", "/cluster", json!({"gone": true, "dnsName": "elsewhere"}))
        .await;
    for path in ["", "/users", "/users/a", "/databases"] {
        assert_eq!(sim.send("GET", &sim.path(path), None).await.status, 404, "{path}");
    }
    assert_eq!(sim.create("a").await.status, 404);
    sim.admin("POST", "/cluster", json!({"gone": false})).await;
    let cluster = sim.send("GET", &sim.path(""), None).await.json();
    assert_eq!(cluster["properties"]["dnsName"], "elsewhere");
}

#[tokio::test]
async fn no_password_is_written_anywhere() {
    let sim = Sim::start(&[]).await;
    let secret = "s3cr3t-needle-1";
    sim.users("POST", "", Some(user("a", secret))).await;
    sim.users("PATCH", "/a", Some(json!({"properties": {"password": secret}})))
        .await;
    sim.users(
        "POST",
        "",
        Some(json!({"properties": {"username": 7, "password": secret}})),
    )
    .await;
    sim.admin(
        "POST",
        "/outside",
        json!({"action": "set-password", "username": "a", "password": secret}),
    )
    .await;
    let journal = sim.journal().await;
    assert_eq!(journal[0]["passwordHash"], journal[1]["passwordHash"]);
    let print = sim
        .admin("POST", "/fingerprint", json!({"password": secret}))
        .await;
    assert_eq!(print["passwordHash"], journal[0]["passwordHash"]);
    assert_eq!(journal[0]["authorization"], "bearer");
    let everything = format!(
        "{}{}{}{}",
        sim.admin("GET", "/journal", Value::Null).await,
        sim.admin("GET", "/users", Value::Null).await,
        sim.users("GET", "", None).await.text,
        sim.postgres.log()
    );
    assert!(!everything.contains(secret) && !everything.contains("SCRAM-SHA-256$"));
}
