//! The API of Scalingo over HTTP, with logins into a real PostgreSQL.

mod support;

use std::time::{Duration, Instant};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use support::{Reply, Sim, eventually, read};

const ADDON: &str = "ad-9be0fc04-bee6-4981-a403-a9ddbee7bd1f";
const API_TOKEN: &str = "tk-us-token";
const PASSWORD: &str = "K_gaef6ripo7Ao4Uaxai6Kiey";
const OTHER_PASSWORD: &str = "Oosh0aiZ_ieF8eeNg4ahs2ohx";

/// A simulator whose database accepts the token that the tests send anyway.
async fn start(args: &[&str]) -> Sim {
    Sim::start(&[&["--scalingo-database-token", "token"], args].concat()).await
}

fn given(password: &str) -> Value {
    json!({"database_user": {"database_id": ADDON, "password": password, "password_confirmation": password}})
}

fn user(name: &str, password: &str) -> Value {
    let mut body = given(password);
    body["database_user"]["name"] = json!(name);
    body["database_user"]["read_only"] = json!(false);
    body
}

impl Sim {
    /// A request about users.
    async fn users(&self, method: &str, rest: &str, body: Option<Value>) -> Reply {
        let path = format!("/api/databases/{ADDON}/users{rest}");
        self.send(method, &path, body).await
    }

    async fn create(&self, name: &str) -> Reply {
        self.users("POST", "", Some(user(name, PASSWORD))).await
    }

    async fn set(&self, name: &str, password: &str) -> Reply {
        self.users("PATCH", &format!("/{name}"), Some(given(password)))
            .await
    }

    async fn reset(&self, name: &str) -> Reply {
        let path = format!("/{name}/reset_password");
        self.users("POST", &path, Some(json!({}))).await
    }

    async fn delete(&self, name: &str) -> Reply {
        self.users("DELETE", &format!("/{name}"), None).await
    }

    async fn list(&self) -> Vec<Value> {
        let list = self.users("GET", "?", None).await.json();
        list["database-users"].as_array().expect("users").clone()
    }

    async fn find(&self, name: &str) -> Option<Value> {
        self.list().await.into_iter().find(|user| user["name"] == name)
    }

    /// The names of those that are not protected.
    async fn names(&self) -> Vec<String> {
        let users = self.list().await.into_iter();
        let users = users.filter(|user| user["protected"] == false);
        users
            .map(|user| user["name"].as_str().expect("a name").to_owned())
            .collect()
    }

    /// A request with credentials of one's own, as the vendor's client sends it.
    async fn ask(&self, method: &str, path: &str, token: &str) -> Reply {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let body = if method == Method::GET { "" } else { "{}" };
        let request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .body(body);
        let request = if token.is_empty() {
            request
        } else {
            request.bearer_auth(token)
        };
        read(request).await.expect("an answer")
    }

    async fn exchange(&self, user: &str, token: &str) -> Reply {
        let request = self
            .http
            .post(format!("{}/v1/tokens/exchange", self.url))
            .basic_auth(user, Some(token))
            .body("{}");
        read(request).await.expect("an answer")
    }

    async fn jwt(&self) -> String {
        let reply = self.exchange("", API_TOKEN).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()["token"].as_str().expect("a token").to_owned()
    }

    async fn addon_token(&self, jwt: &str) -> String {
        let reply = self.ask("POST", &token_path("my-app", ADDON), jwt).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.json()["addon"]["id"], ADDON);
        reply.json()["addon"]["token"]
            .as_str()
            .expect("a token")
            .to_owned()
    }
}

fn token_path(app: &str, addon: &str) -> String {
    format!("/v1/apps/{app}/addons/{addon}/token")
}

fn users_path() -> String {
    format!("/api/databases/{ADDON}/users")
}

fn now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed();
    since.expect("a clock past 1970").as_secs()
}

#[tokio::test]
async fn a_token_buys_a_token_that_buys_a_token_for_the_users() {
    let sim = Sim::start(&[]).await;
    let jwt = sim.jwt().await;
    let parts: Vec<&str> = jwt.split('.').collect();
    assert_eq!(parts.len(), 3, "{jwt}");
    let claims = BASE64_URL_SAFE_NO_PAD.decode(parts[1]).expect("base64url");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    let left = claims["exp"].as_u64().expect("an end") - now();
    assert!((3590..=3600).contains(&left), "{left}");
    let token = sim.addon_token(&jwt).await;
    assert!(!token.contains('.') && token != jwt);
    let users = sim.ask("GET", &format!("{}?", users_path()), &token).await;
    assert_eq!(users.status, 200);
    assert!(users.json()["database-users"].is_array());
    assert_ne!(sim.jwt().await, jwt, "every exchange makes another token");
    assert_eq!(
        sim.ask("GET", &users_path(), &token).await.status,
        200,
        "the old ones stay valid"
    );
}

#[tokio::test]
async fn a_user_lives_and_its_password_works_in_earnest() {
    let sim = start(&[]).await;
    let created = sim.create("metabase").await;
    assert_eq!(created.status, 201);
    assert_eq!(created.header("content-type"), Some("application/json"));
    let attributes = json!({"password_encryption": "SCRAM-SHA-256"});
    assert_eq!(
        created.json(),
        json!({"database_user": {
            "name": "metabase", "read_only": false, "protected": false, "password": PASSWORD,
            "dbms_attributes": attributes,
        }})
    );
    assert!(sim.postgres.login("metabase", PASSWORD).await);
    let shown =
        json!({"name": "metabase", "read_only": false, "protected": false, "dbms_attributes": attributes});
    assert_eq!(sim.find("metabase").await, Some(shown.clone()));

    let patched = sim.set("metabase", OTHER_PASSWORD).await;
    assert_eq!(patched.status, 200);
    assert_eq!(patched.json(), json!({"database_user": shown}));
    assert!(!sim.postgres.login("metabase", PASSWORD).await);
    assert!(sim.postgres.login("metabase", OTHER_PASSWORD).await);

    let reset = sim.reset("metabase").await;
    assert_eq!(reset.status, 200);
    let generated = reset.json()["database_user"]["password"]
        .as_str()
        .expect("a password")
        .to_owned();
    assert_eq!(generated.len(), 64);
    assert!(generated.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    assert!(!sim.postgres.login("metabase", OTHER_PASSWORD).await);
    assert!(sim.postgres.login("metabase", &generated).await);

    let deleted = sim.delete("metabase").await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert!(!sim.postgres.login("metabase", &generated).await);
    assert_eq!(sim.find("metabase").await, None);
    for gone in [
        sim.delete("metabase").await,
        sim.set("metabase", PASSWORD).await,
        sim.reset("metabase").await,
    ] {
        assert_eq!(gone.status, 404);
        assert_eq!(
            gone.json(),
            json!({"resource": "database_user", "error": "not found"})
        );
    }
}

#[tokio::test]
async fn without_a_password_one_is_generated() {
    let sim = start(&[]).await;
    let bodies = [
        json!({"name": "without"}),
        json!({"name": "with-null", "read_only": false, "password": null, "password_confirmation": null}),
    ];
    for body in bodies {
        let created = sim.users("POST", "", Some(json!({"database_user": body}))).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let user = created.json()["database_user"].clone();
        let (name, password) = (user["name"].as_str(), user["password"].as_str());
        let (name, password) = (name.expect("a name"), password.expect("a password"));
        assert!(sim.postgres.login(name, password).await);
        let print = sim
            .admin("POST", "/fingerprint", json!({"password": password}))
            .await;
        let entry = sim.last().await;
        assert_eq!(
            entry["passwordHash"], print["passwordHash"],
            "the journal knows it"
        );
    }
}

#[tokio::test]
async fn a_read_only_user_reads_and_does_not_write() {
    let mut sim = start(&[]).await;
    let mut body = user("reader", PASSWORD);
    body["database_user"]["read_only"] = json!(true);
    let created = sim.users("POST", "", Some(body)).await;
    assert_eq!(created.json()["database_user"]["read_only"], true);
    sim.postgres
        .sql("CREATE TABLE t (x int); INSERT INTO t VALUES (7)")
        .await;
    let client = sim.postgres.connect("reader", Some(PASSWORD)).await;
    let client = client.expect("a login");
    let row = client.query_one("SELECT x FROM t", &[]).await;
    assert_eq!(row.expect("a row").get::<_, i32>(0), 7);
    assert!(client.batch_execute("INSERT INTO t VALUES (8)").await.is_err());
    drop(client);
    assert_eq!(sim.create("writer").await.status, 201);
    let client = sim.postgres.connect("writer", Some(PASSWORD)).await;
    let client = client.expect("a login");
    assert!(
        client.query_one("SELECT x FROM t", &[]).await.is_err(),
        "an ordinary user has no more than any role"
    );

    assert_eq!(sim.set("reader", OTHER_PASSWORD).await.status, 200);
    sim.restart(&["--scalingo-database-token", "token"]);
    sim.postgres.restart().await;
    eventually("a restarted PostgreSQL", async || {
        sim.users("GET", "", None).await.status == 200
    })
    .await;
    assert_eq!(sim.find("reader").await.expect("a user")["read_only"], true);
    assert_eq!(sim.find("writer").await.expect("a user")["read_only"], false);
    assert_eq!(sim.delete("reader").await.status, 204);
    assert_eq!(sim.create("reader").await.status, 201);
    assert_eq!(sim.find("reader").await.expect("a user")["read_only"], false);
    assert!(sim.terminate() < Duration::from_secs(2));
}

#[tokio::test]
async fn users_show_whichever_way_they_were_made() {
    let sim = start(&["--scalingo-seed-default-user"]).await;
    sim.postgres
        .sql(
            "CREATE ROLE bysql LOGIN PASSWORD 'TopSecret!'; CREATE ROLE silent LOGIN; CREATE ROLE nologin; \
             CREATE ROLE su SUPERUSER LOGIN; SET password_encryption = 'md5'; \
             CREATE ROLE ancient LOGIN PASSWORD 'TopSecret!'",
        )
        .await;
    let ionos = "/databases/postgresql/clusters/498ae72f-411f-11eb-9d07-046c59cc737e/users";
    let body = json!({"properties": {"username": "By IONOS", "password": "TopSecret!"}});
    assert_eq!(sim.send("POST", ionos, Some(body)).await.status, 200);
    assert_eq!(sim.create("metabase").await.status, 201);
    assert_eq!(
        sim.names().await,
        ["By IONOS", "ancient", "bysql", "metabase", "silent"]
    );
    let listed = sim.send("GET", ionos, None).await.text;
    assert!(listed.contains("metabase"));

    let protected = ["admin", "my_app_4553", "postgres", "standby", "su"];
    for name in protected {
        assert_eq!(sim.find(name).await.expect("a user")["protected"], true, "{name}");
        for refused in [
            sim.set(name, PASSWORD).await,
            sim.reset(name).await,
            sim.delete(name).await,
        ] {
            assert_eq!(refused.status, 403, "{name}");
            assert!(refused.json()["error"].is_string());
        }
    }
    assert_eq!(
        sim.create("my_app_4553").await.json()["errors"]["name"],
        json!(["has already been taken"])
    );
    assert_eq!(sim.list().await.len(), 10);
    let encryption = async |name: &str| sim.find(name).await.expect("a user")["dbms_attributes"].clone();
    assert_eq!(
        encryption("bysql").await,
        json!({"password_encryption": "SCRAM-SHA-256"})
    );
    assert_eq!(encryption("ancient").await, json!({"password_encryption": "MD5"}));
    assert_eq!(encryption("silent").await, Value::Null);
    assert!(
        sim.postgres
            .login("my_app_4553", "the_password_of_the_default_user")
            .await
    );

    assert_eq!(sim.set("By%20IONOS", PASSWORD).await.status, 200);
    assert!(sim.postgres.login("By IONOS", PASSWORD).await);
    assert_eq!(sim.delete("bysql").await.status, 204);
    sim.postgres.sql("DROP ROLE metabase").await;
    assert_eq!(sim.delete("metabase").await.status, 404);
    let outside =
        json!({"action": "create-api", "username": "others", "password": PASSWORD, "readOnly": true});
    sim.admin("POST", "/outside", outside).await;
    assert_eq!(sim.find("others").await.expect("a user")["read_only"], true);
    assert_eq!(sim.names().await, ["By IONOS", "ancient", "others", "silent"]);
}

#[tokio::test]
async fn names_and_passwords_keep_to_the_rules() {
    let sim = start(&[]).await;
    let refused = async |body: Value, field: &str| {
        let reply = sim.users("POST", "", Some(body)).await;
        assert_eq!(reply.status, 422, "{}", reply.text);
        assert!(
            reply.json()["errors"][field][0].is_string(),
            "{field}: {}",
            reply.text
        );
        assert!(!reply.text.contains(PASSWORD));
    };
    for name in [
        "short",
        "my--user",
        "-my-user",
        "my user",
        "pg_mine",
        "public",
        &"x".repeat(33),
    ] {
        refused(user(name, PASSWORD), "name").await;
    }
    for password in [
        "p".repeat(23),
        "p".repeat(65),
        format!("{PASSWORD}\""),
        format!("{PASSWORD}'"),
    ] {
        refused(user("my-user", &password), "password").await;
    }
    let mut other = user("my-user", PASSWORD);
    other["database_user"]["password_confirmation"] = json!(OTHER_PASSWORD);
    refused(other, "password_confirmation").await;
    refused(json!({"database_user": {"name": 7}}), "name").await;
    refused(
        json!({"database_user": {"name": "my-user", "read_only": "yes"}}),
        "read_only",
    )
    .await;
    assert!(sim.names().await.is_empty(), "nothing was committed");

    for name in ["my-user", "my_user", "metabase", "4tune1", &"x".repeat(32)] {
        assert_eq!(sim.create(name).await.status, 201, "{name}");
    }
    sim.switch(json!({"scalingo-names": "seed"})).await;
    assert_eq!(sim.create("an_other").await.status, 422);
    assert_eq!(sim.create("an-other").await.status, 201);
    sim.switch(json!({"scalingo-names": "docs"})).await;
    assert_eq!(sim.create("yet-another").await.status, 422);
    assert_eq!(sim.create("Yet_another").await.status, 201);

    let short = sim.set("my-user", "too short").await;
    assert_eq!(short.status, 422);
    assert!(short.json()["errors"]["password"][0].is_string());
    assert!(sim.postgres.login("my-user", PASSWORD).await);
}

#[tokio::test]
async fn credentials_are_good_for_one_host_each() {
    let sim = start(&[]).await;
    let jwt = sim.jwt().await;
    let token = sim.addon_token(&jwt).await;
    let (app, users) = ("/v1/apps/my-app", users_path());
    for (path, credential) in [
        (app, token.as_str()),
        (app, API_TOKEN),
        (app, "token"),
        (app, "wrong"),
        (app, ""),
        (users.as_str(), jwt.as_str()),
        (&users, API_TOKEN),
        (&users, "wrong"),
        (&users, ""),
        ("/v1/users/self", &token),
        ("/v1/tokens/exchange", API_TOKEN),
        ("/v1/tokens/exchange", ""),
    ] {
        let method = if path.ends_with("exchange") { "POST" } else { "GET" };
        let reply = sim.ask(method, path, credential).await;
        assert_eq!(reply.status, 401, "{path} {credential}: {}", reply.text);
        assert!(reply.json()["error"].is_string());
    }
    assert_eq!(sim.exchange("", "wrong").await.status, 401);
    assert_eq!(sim.exchange("anna", API_TOKEN).await.status, 401);
    assert_eq!(sim.ask("GET", "/v1/regions", "").await.status, 200);

    for (path, status, resource) in [
        ("/v1/apps/foreign-app".to_owned(), 403, Value::Null),
        (token_path("foreign-app", ADDON), 403, Value::Null),
        ("/v1/apps/nothing".to_owned(), 404, json!("app")),
        ("/v1/apps/nothing/addons".to_owned(), 404, json!("app")),
        ("/v1/apps/my-app/addons/ad-1".to_owned(), 404, json!("addon")),
        (token_path("my-app", "ad-1"), 404, json!("addon")),
    ] {
        let method = if path.ends_with("token") { "POST" } else { "GET" };
        let reply = sim.ask(method, &path, &jwt).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text);
        assert_eq!(reply.json()["resource"], resource);
        assert!(reply.json()["error"].is_string());
    }
    for status in ["403", "401", "404"] {
        sim.switch(json!({"scalingo-other-database": status})).await;
        let reply = sim.ask("GET", "/api/databases/ad-1/users", &token).await;
        assert_eq!(
            reply.status.to_string(),
            status,
            "the token is bound to its addon"
        );
    }
}

#[tokio::test]
async fn tokens_end_and_are_revoked() {
    let lifetimes = [
        "--switch",
        "scalingo-jwt-seconds=4",
        "--switch",
        "scalingo-addon-token-seconds=4",
    ];
    let sim = start(&lifetimes).await;
    let app = async |jwt: &str| sim.ask("GET", "/v1/apps/my-app", jwt).await.status;
    let users = async |token: &str| sim.ask("GET", &users_path(), token).await.status;
    let (jwt, start) = (sim.jwt().await, Instant::now());
    let token = sim.addon_token(&jwt).await;
    assert_eq!((app(&jwt).await, users(&token).await), (200, 200));
    eventually("the end of the JWT", async || app(&jwt).await == 401).await;
    assert!(start.elapsed() >= Duration::from_millis(3900));
    eventually("the end of the addon's token", async || {
        users(&token).await == 401
    })
    .await;
    assert_eq!(
        users("token").await,
        200,
        "a token that was not issued does not end"
    );

    sim.switch(json!({"scalingo-jwt-seconds": 3600, "scalingo-addon-token-seconds": 3600}))
        .await;
    let jwt = sim.jwt().await;
    let token = sim.addon_token(&jwt).await;
    sim.admin("POST", "/revoke", json!({"addonTokens": true})).await;
    assert_eq!((app(&jwt).await, users(&token).await), (200, 401));
    let token = sim.addon_token(&jwt).await;
    let revoked = sim.admin("POST", "/revoke", json!({"jwts": true})).await;
    assert_eq!(revoked["revoked"], 1);
    assert_eq!((app(&jwt).await, users(&token).await), (401, 200));

    let tokens = json!({"apiTokens": ["tk-us-new"], "databaseTokens": ["ready"]});
    sim.admin("POST", "/tokens", tokens).await;
    sim.admin("POST", "/tokens", json!({"tokens": ["of the other API"]}))
        .await;
    assert_eq!(sim.exchange("", API_TOKEN).await.status, 401);
    assert_eq!(sim.exchange("", "tk-us-new").await.status, 200);
    assert_eq!((users("token").await, users("ready").await), (401, 200));
    assert_eq!(users(&token).await, 200, "what was issued stays valid");
    sim.admin("POST", "/reset", json!({})).await;
    assert_eq!(sim.exchange("", API_TOKEN).await.status, 200);
    assert_eq!((users("token").await, users(&token).await), (200, 401));
}

#[tokio::test]
async fn app_addon_and_database_say_where_things_are() {
    let args = [
        "--scalingo-hostname",
        "pg.example:35123",
        "--scalingo-region",
        "osc-1",
    ];
    let sim = start(&[&args, &["--scalingo-database-api-url", "http://db.example"][..]].concat()).await;
    let jwt = sim.jwt().await;
    let get = async |path: &str| sim.ask("GET", path, &jwt).await.json();
    let region = get("/v1/regions?").await["regions"][0].clone();
    assert_eq!(
        (&region["name"], &region["api"]),
        (&json!("osc-1"), &json!(sim.url))
    );
    assert_eq!(region["database_api"], "http://db.example");
    let account = get("/v1/users/self").await["user"]["id"].clone();
    let app = get("/v1/apps/my-app").await["app"].clone();
    assert_eq!((&app["name"], &app["owner"]["id"]), (&json!("my-app"), &account));
    let by_id = format!("/v1/apps/{}", app["id"].as_str().expect("an id"));
    assert_eq!(get(&by_id).await["app"], app);
    let addons = get("/v1/apps/my-app/addons").await["addons"].clone();
    let addon = get(&format!("/v1/apps/my-app/addons/{ADDON}")).await["addon"].clone();
    assert_eq!(addons, json!([addon]));
    assert_eq!(addon["addon_provider"]["id"], "postgresql");
    assert_eq!(
        (&addon["resource_id"], &addon["status"]),
        (&json!("my_app_4553"), &json!("running"))
    );
    let database = async || {
        let reply = sim.send("GET", &format!("/api/databases/{ADDON}"), None).await;
        reply.json()["database"].clone()
    };
    let found = database().await;
    assert_eq!(
        (&found["id"], &found["resource_id"]),
        (&json!(ADDON), &json!("my_app_4553"))
    );
    assert_eq!(
        (&found["hostname"], &found["status"], &found["features"]),
        (&json!("pg.example:35123"), &json!("running"), &json!([]))
    );
    let url = "postgresql://my_app_4553:the_password_of_the_default_user@pg.example:35123/my_app_4553?sslmode=prefer";
    let variables = get("/v1/apps/my-app/variables").await["variables"].clone();
    assert_eq!(variables[0]["value"], "$SCALINGO_POSTGRESQL_URL");
    assert_eq!(
        (&variables[1]["name"], &variables[1]["value"]),
        (&json!("SCALINGO_POSTGRESQL_URL"), &json!(url))
    );
    let variables = get("/v1/apps/my-app/variables?aliases=true").await["variables"].clone();
    assert_eq!(variables[0]["value"], url);

    sim.switch(json!({"scalingo-force-ssl": "on", "scalingo-publicly-available": "pending"}))
        .await;
    assert_eq!(
        database().await["features"],
        json!([
            {"name": "force-ssl", "status": "ACTIVATED"},
            {"name": "publicly-available", "status": "PENDING"},
        ])
    );
    sim.admin("POST", "/database", json!({"hostname": "elsewhere:1"}))
        .await;
    let instance = database().await["instances"][0].clone();
    assert_eq!(
        (&instance["hostname"], &instance["port"]),
        (&json!("elsewhere"), &json!(1))
    );
}

#[tokio::test]
async fn the_three_hosts_can_have_addresses_of_their_own() {
    let sim = start(&["--also-listen", "127.0.0.1:0,127.0.0.1:0"]).await;
    let [api, database] = sim.also.as_slice() else {
        panic!("two more addresses, not {:?}", sim.also);
    };
    let jwt = sim.jwt().await;
    let send = async |method: Method, base: &str, path: &str, token: &str| {
        let request = sim.http.request(method, format!("{base}{path}"));
        read(request.bearer_auth(token)).await.expect("an answer").json()
    };
    let addon = send(Method::POST, api, &token_path("my-app", ADDON), &jwt).await;
    let token = addon["addon"]["token"].as_str().expect("a token");
    let users = send(Method::GET, database, &users_path(), token).await;
    assert!(users["database-users"].is_array());
    let regions = send(Method::GET, api, "/v1/regions", "").await;
    assert_eq!(regions["regions"][0]["api"], *api);
    let hosts: Vec<String> = sim
        .journal()
        .await
        .iter()
        .map(|entry| format!("http://{}", entry["host"].as_str().expect("a host")))
        .collect();
    assert_eq!(hosts, [&sim.url, api, database, api].map(String::clone));
}

#[tokio::test]
async fn the_database_can_stop_and_vanish() {
    let sim = start(&[]).await;
    assert_eq!(sim.create("metabase").await.status, 201);
    let status = async || {
        let reply = sim.send("GET", &format!("/api/databases/{ADDON}"), None).await;
        reply.json()["database"]["status"].clone()
    };
    for state in ["creating", "migrating", "updating", "upgrading", "stopped"] {
        sim.admin("POST", "/database", json!({"status": state})).await;
        assert_eq!(status().await, state);
        assert_eq!(sim.set("metabase", PASSWORD).await.status, 409);
        assert_eq!(sim.users("GET", "", None).await.status, 200, "lists go on");
    }
    for (to, form) in [
        ("422", "errors"),
        ("400", "error"),
        ("500", "error"),
        ("503", "error"),
    ] {
        sim.switch(json!({"scalingo-not-running": to})).await;
        for reply in [
            sim.create("new-user").await,
            sim.reset("metabase").await,
            sim.delete("metabase").await,
        ] {
            assert_eq!(reply.status.to_string(), to);
            assert!(reply.json().get(form).is_some(), "{}", reply.text);
        }
    }
    sim.switch(json!({"scalingo-needs-running": "list"})).await;
    assert_eq!(sim.users("GET", "", None).await.status, 503);
    assert_eq!(sim.set("metabase", OTHER_PASSWORD).await.status, 200);
    sim.switch(json!({"scalingo-not-running": "accept"})).await;
    assert_eq!(sim.users("GET", "", None).await.status, 200);
    sim.admin("POST", "/database", json!({"status": "running"})).await;

    let jwt = sim.jwt().await;
    let addon = format!("/v1/apps/my-app/addons/{ADDON}");
    let statuses = async || {
        (
            sim.users("GET", "", None).await.status,
            sim.send("GET", &format!("/api/databases/{ADDON}"), None)
                .await
                .status,
            sim.ask("GET", &addon, &jwt).await.status,
            sim.ask("POST", &token_path("my-app", ADDON), &jwt).await.status,
            sim.ask("GET", "/v1/apps/my-app", &jwt).await.status,
        )
    };
    assert_eq!(statuses().await, (200, 200, 200, 200, 200));
    for (gone, expected) in [
        (json!("database"), (404, 404, 200, 200, 200)),
        (json!("addon"), (404, 404, 404, 404, 200)),
        (json!(true), (404, 404, 404, 404, 200)),
        (json!("app"), (404, 404, 404, 404, 404)),
        (json!(false), (200, 200, 200, 200, 200)),
    ] {
        sim.admin("POST", "/database", json!({"gone": gone})).await;
        assert_eq!(statuses().await, expected, "{gone}");
    }
    sim.admin("POST", "/database", json!({"gone": "addon"})).await;
    let addons = sim.ask("GET", "/v1/apps/my-app/addons", &jwt).await;
    assert_eq!(addons.json(), json!({"addons": []}));
    assert_eq!(
        sim.create("new-user").await.json(),
        json!({"resource": "database", "error": "not found"})
    );
    let cluster = "/databases/postgresql/clusters/498ae72f-411f-11eb-9d07-046c59cc737e";
    assert_eq!(
        sim.send("GET", cluster, None).await.status,
        200,
        "the other vendor's cluster is another matter"
    );
}

#[tokio::test]
async fn switches_change_what_is_undocumented() {
    let sim = start(&[]).await;
    assert_eq!(sim.create("metabase").await.status, 201);
    let duplicate = sim.create("metabase").await;
    assert_eq!(
        (duplicate.status, duplicate.json()),
        (422, json!({"errors": {"name": ["has already been taken"]}}))
    );
    sim.switch(json!({"scalingo-duplicate": 409, "scalingo-protected-mutation": 422}))
        .await;
    let duplicate = sim.create("metabase").await;
    assert!(duplicate.status == 409 && duplicate.json()["error"].is_string());
    let protected = sim.delete("my_app_4553").await;
    assert!(protected.status == 422 && protected.json()["errors"]["base"].is_array());

    sim.switch(json!({"scalingo-shape": "unrooted", "scalingo-patch-answer": "empty"}))
        .await;
    assert_eq!(sim.create("unrooted").await.json()["name"], "unrooted");
    assert!(sim.reset("unrooted").await.json()["password"].is_string());
    let patched = sim.set("metabase", PASSWORD).await;
    assert_eq!((patched.status, patched.text.as_str()), (200, ""));
    sim.switch(json!({"scalingo-patch-answer": "unrooted"})).await;
    assert_eq!(sim.set("metabase", PASSWORD).await.json()["name"], "metabase");
    sim.switch(json!({"scalingo-create-password": "generated", "scalingo-dbms-attributes": "absent"}))
        .await;
    assert_eq!(
        sim.create("silent-one").await.json(),
        json!({"name": "silent-one", "read_only": false, "protected": false})
    );

    let path = users_path();
    let one = format!("{path}/metabase");
    let get = async || sim.send("GET", &one, None).await;
    assert_eq!(
        (get().await.status, get().await.json()),
        (404, json!({"error": "not found"}))
    );
    sim.switch(json!({"scalingo-wrong-method": 405})).await;
    assert_eq!(
        (get().await.status, get().await.header("allow")),
        (405, Some("PATCH, DELETE"))
    );
    assert_eq!(sim.send("POST", &one, Some(json!({}))).await.status, 405);
    assert_eq!(sim.send("GET", "/v1/nothing", None).await.status, 401);
    assert_eq!(
        sim.send("GET", "/api/databases", None).await.json(),
        json!({"error": "not found"})
    );

    let patch = async |body: Value| sim.users("PATCH", "/metabase", Some(body)).await.status;
    assert_eq!(patch(json!({"database_user": {"read_only": true}})).await, 200);
    assert_eq!(sim.last().await["committed"], false);
    assert_eq!(patch(json!({})).await, 400);
    sim.switch(json!({"empty-patch": 422, "unknown-fields": 422, "scalingo-missing-root": 422}))
        .await;
    assert_eq!(patch(json!({})).await, 422);
    assert_eq!(patch(json!({"database_user": {}})).await, 422);
    let mut body = given(PASSWORD);
    body["database_user"]["read_only"] = json!(true);
    assert_eq!(patch(body).await, 422);

    for (account, status) in [("trial", 402), ("read-only", 403)] {
        sim.switch(json!({"account": account})).await;
        let reply = sim.create("new-user").await;
        assert!(reply.status == status && reply.json()["error"].is_string());
        assert_eq!(sim.users("GET", "", None).await.status, 200);
    }
    sim.switch(json!({"account": "full", "error-content-type": "html"}))
        .await;
    assert_eq!(
        sim.delete("nobody").await.header("content-type"),
        Some("text/html")
    );
}

#[tokio::test]
async fn the_rate_limit_is_an_accounts_and_says_little() {
    let limits = [
        "--switch",
        "scalingo-rate-limit=3",
        "--switch",
        "rate-window-ms=60000",
    ];
    let sim = start(&limits).await;
    let jwt = sim.jwt().await;
    let token = sim.addon_token(&jwt).await;
    let users = async |token: &str| sim.ask("GET", &users_path(), token).await;
    assert_eq!(users(&token).await.status, 200);
    let reply = users(&token).await;
    assert_eq!((reply.status, reply.text.as_str()), (429, "Retry later\n"));
    assert_eq!(reply.header("content-type"), Some("text/plain"));
    assert_eq!(reply.header("retry-after"), None);
    assert_eq!(
        sim.exchange("", API_TOKEN).await.status,
        429,
        "the account is one on every host"
    );
    assert_eq!(users("token").await.status, 200, "another account has its own");
    sim.switch(json!({"scalingo-retry-after": "seconds"})).await;
    let wait = users(&token).await.header("retry-after").map(str::to_owned);
    assert!(wait.is_some_and(|wait| wait.parse::<u32>().is_ok_and(|wait| wait <= 60)));
    sim.switch(json!({"scalingo-retry-after": "date"})).await;
    let date = users(&token).await.header("retry-after").map(str::to_owned);
    assert!(date.is_some_and(|date| date.ends_with(" GMT")));

    sim.switch(json!({"scalingo-rate-budget": "per-host"})).await;
    assert_eq!(
        users(&token).await.status,
        200,
        "nothing was asked of this host yet"
    );
    sim.switch(json!({"scalingo-rate-budget": "per-account", "scalingo-rate-hosts": "auth,api"}))
        .await;
    for _ in 0..5 {
        assert_eq!(users(&token).await.status, 200, "this host has no limit");
    }
    assert_eq!(sim.ask("GET", "/v1/apps/my-app", &jwt).await.status, 429);
    let ionos = "/databases/postgresql/clusters";
    for _ in 0..5 {
        assert_eq!(sim.send("GET", ionos, None).await.status, 200, "nor has IONOS");
    }
}

#[tokio::test]
async fn faults_strike_this_api_in_its_own_words() {
    let sim = start(&[]).await;
    let jwt = sim.jwt().await;
    let status = |status: u16| json!({"type": "status", "status": status});
    let once = |route: &str, fault: Value| json!({"route": route, "count": 1, "fault": fault});

    sim.fault(once("users.create", status(429))).await;
    let reply = sim.create("a-user").await;
    assert_eq!((reply.status, reply.text.as_str()), (429, "Retry later\n"));
    for (code, form) in [(500, "error"), (503, "error"), (422, "errors"), (404, "resource")] {
        sim.fault(once("users.list", status(code))).await;
        let reply = sim.users("GET", "", None).await;
        assert_eq!(reply.status, code);
        assert!(reply.json().get(form).is_some(), "{}", reply.text);
    }
    let after = json!({"type": "status", "status": 500, "when": "after-commit"});
    sim.fault(once("users.create", after)).await;
    assert_eq!(sim.create("b-user").await.status, 500);
    assert!(sim.postgres.login("b-user", PASSWORD).await);

    let drop = json!({"type": "drop", "when": "after-commit"});
    sim.fault(once("users.reset", drop)).await;
    let reset = format!("{}/b-user/reset_password", users_path());
    assert!(sim.try_send("POST", &reset, Some(json!({}))).await.is_err());
    let entry = sim.last().await;
    assert_eq!(
        (&entry["status"], &entry["committed"], &entry["username"]),
        (&Value::Null, &json!(true), &json!("b-user"))
    );
    assert!(!sim.postgres.login("b-user", PASSWORD).await);

    sim.fault(once(
        "users.patch",
        json!({"type": "late-commit", "afterMs": 500}),
    ))
    .await;
    let one = format!("{}/b-user", users_path());
    assert!(sim.try_send("PATCH", &one, Some(given(PASSWORD))).await.is_err());
    eventually("the late commit", async || {
        sim.postgres.login("b-user", PASSWORD).await
    })
    .await;

    sim.fault(once("users.list", json!({"type": "truncate"}))).await;
    let reply = sim.users("GET", "", None).await;
    assert!(reply.status == 200 && serde_json::from_str::<Value>(&reply.text).is_err());
    for (code, missing) in [(401, Value::Null), (404, json!("addon"))] {
        sim.fault(once("addons.token", status(code))).await;
        let reply = sim.ask("POST", &token_path("my-app", ADDON), &jwt).await;
        assert_eq!((reply.status, &reply.json()["resource"]), (code, &missing));
    }
    let no_jwt = json!({"type": "body", "body": r#"{"token":"opaque"}"#, "contentType": "application/json"});
    sim.fault(once("tokens.exchange", no_jwt)).await;
    assert_eq!(sim.jwt().await, "opaque");

    let mut only = once("users.*", status(500));
    only["api"] = json!("scalingo");
    sim.fault(only).await;
    let ionos = "/databases/postgresql/clusters/498ae72f-411f-11eb-9d07-046c59cc737e/users";
    assert_eq!(sim.send("GET", ionos, None).await.status, 200);
    assert_eq!(sim.users("GET", "", None).await.status, 500);
    let counts = sim.admin("GET", "/counts", Value::Null).await;
    assert_eq!(counts["users.create"]["committed"], 1);
    assert_eq!(counts["addons.token"]["byStatus"], json!({"401": 1, "404": 1}));
}

#[tokio::test]
async fn lists_lag_and_lose_their_order_as_switched() {
    let sim = start(&["--switch", "list-lag-ms=2500"]).await;
    assert_eq!(sim.create("a-user").await.status, 201);
    assert!(sim.names().await.is_empty());
    assert_eq!(sim.create("a-user").await.status, 422, "writes see what is there");
    assert!(sim.postgres.login("a-user", PASSWORD).await);
    eventually("the list", async || sim.names().await == ["a-user"]).await;
    assert_eq!(sim.delete("a-user").await.status, 204);
    assert_eq!(sim.names().await, ["a-user"]);
    eventually("the list", async || sim.names().await.is_empty()).await;

    sim.switch(json!({"list-lag-ms": 0, "delete": "async", "delete-lag-ms": 2500}))
        .await;
    assert_eq!(sim.create("a-user").await.status, 201);
    assert_eq!(sim.delete("a-user").await.status, 204);
    assert_eq!(sim.names().await, ["a-user"]);
    assert_eq!(sim.set("a-user", OTHER_PASSWORD).await.status, 422);
    assert_eq!(sim.delete("a-user").await.status, 204);
    eventually("the delete", async || sim.names().await.is_empty()).await;
    assert!(!sim.postgres.login("a-user", PASSWORD).await);

    for index in 0..5 {
        assert_eq!(sim.create(&format!("user-{index}")).await.status, 201);
    }
    assert!(sim.names().await.is_sorted());
    sim.switch(json!({"list-order": "unstable-between-pages"})).await;
    let mut orders = std::collections::BTreeSet::new();
    for _ in 0..5 {
        orders.insert(sim.names().await);
    }
    assert!(orders.len() > 1);
}

#[tokio::test]
async fn a_role_that_owns_objects_is_not_dropped_lightly() {
    let sim = start(&[]).await;
    assert_eq!(sim.create("the-owner").await.status, 201);
    sim.postgres
        .sql("CREATE TABLE t (); ALTER TABLE t OWNER TO \"the-owner\"")
        .await;
    for (status, form) in [("422", "errors"), ("409", "error"), ("500", "error")] {
        sim.switch(json!({"owned-objects": status})).await;
        let reply = sim.delete("the-owner").await;
        assert_eq!(reply.status.to_string(), status);
        assert!(reply.json().get(form).is_some(), "{}", reply.text);
        assert!(sim.postgres.login("the-owner", PASSWORD).await);
    }
    sim.switch(json!({"owned-objects": "cascade"})).await;
    assert_eq!(sim.delete("the-owner").await.status, 204);
    assert!(sim.names().await.is_empty());
}

#[tokio::test]
async fn mutations_that_race_are_one_after_another() {
    let sim = start(&[]).await;
    let replies = join_all((0..8).map(|_| sim.create("metabase"))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    assert_eq!(replies.iter().filter(|reply| reply.status == 422).count(), 7);
}

#[tokio::test]
async fn bodies_that_cannot_be_read_change_nothing() {
    let sim = start(&[]).await;
    let post = |content_type: &'static str, body: &'static str| {
        let request = sim.http.post(format!("{}{}", sim.url, users_path()));
        read(
            request
                .bearer_auth("token")
                .header("content-type", content_type)
                .body(body),
        )
    };
    for body in ["", "{", "[]", "{}", r#"{"name":"my-user"}"#] {
        let reply = post("application/json", body).await.expect("an answer");
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.json()["error"].is_string());
    }
    let body = r#"{"database_user":{"name":"my-user"}}"#;
    assert_eq!(post("text/plain", body).await.expect("an answer").status, 400);
    let reply = post("application/json; charset=utf-8", body).await;
    assert_eq!(reply.expect("an answer").status, 201);
    assert_eq!(sim.users("DELETE", "/%FF", None).await.status, 400);
    assert_eq!(sim.names().await, ["my-user"]);
}

#[tokio::test]
async fn no_secret_is_written_anywhere() {
    let sim = start(&["--scalingo-seed-default-user"]).await;
    let jwt = sim.jwt().await;
    let token = sim.addon_token(&jwt).await;
    assert_eq!(sim.ask("GET", &users_path(), &token).await.status, 200);
    sim.create("metabase").await;
    sim.set("metabase", OTHER_PASSWORD).await;
    let generated = sim.reset("metabase").await.json()["database_user"]["password"].clone();
    let generated = generated.as_str().expect("a password").to_owned();
    let journal = sim.journal().await;
    let print = async |secret: &str| {
        let found = sim
            .admin("POST", "/fingerprint", json!({"password": secret}))
            .await;
        found["passwordHash"].clone()
    };
    let credentials: Vec<&Value> = journal.iter().map(|entry| &entry["credentialHash"]).collect();
    assert_eq!(*credentials[0], print(API_TOKEN).await);
    assert_eq!(*credentials[1], print(&jwt).await);
    assert_eq!(*credentials[2], print(&token).await);
    assert_eq!(
        (&journal[0]["authorization"], &journal[1]["authorization"]),
        (&json!("basic"), &json!("bearer"))
    );
    assert_eq!(journal[5]["passwordHash"], print(&generated).await);
    assert_eq!(
        (&journal[0]["api"], &journal[0]["route"]),
        (&json!("scalingo"), &json!("tokens.exchange"))
    );
    let host = sim.url.strip_prefix("http://").expect("a URL");
    assert_eq!(journal[0]["host"], host);
    let everything = format!(
        "{}{}{}{}",
        sim.admin("GET", "/journal", Value::Null).await,
        sim.admin("GET", "/users", Value::Null).await,
        sim.users("GET", "", None).await.text,
        sim.postgres.log()
    );
    for secret in [
        API_TOKEN,
        &jwt,
        &token,
        PASSWORD,
        OTHER_PASSWORD,
        &generated,
        "the_password_of_the_default_user",
        "SCRAM-SHA-256$",
    ] {
        assert!(!everything.contains(secret), "{secret}");
    }
}
