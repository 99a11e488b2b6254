//! What is sent, and how a good answer is read.

use super::*;

fn header(request: &script::Seen, name: &str) -> Option<String> {
    request.head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_string())
    })
}

#[tokio::test]
async fn requests_are_as_the_contract_has_them() {
    let (script, client) = script(vec![
        json(200, LIST),
        json(201, USER),
        json(200, USER),
        json(200, r#"{"name":"checkout","password":"generated password"}"#),
        json(204, ""),
    ])
    .await;
    let password = Password::new(SECRET);
    client.list().await.unwrap();
    client.create(&mutation("checkout"), &password).await.unwrap();
    client
        .set_password(&mutation("checkout"), &password)
        .await
        .unwrap();
    client.reset_password("checkout").await.unwrap();
    client.delete(&mutation("checkout")).await.unwrap();
    assert_eq!(
        script.lines(),
        [
            format!("GET {USERS}"),
            format!("POST {USERS}"),
            format!("PATCH {USERS}/checkout"),
            format!("POST {USERS}/checkout/reset_password"),
            format!("DELETE {USERS}/checkout"),
        ]
    );
    let seen = script.seen();
    let bodies: Vec<_> = seen.iter().map(|request| request.body.clone()).collect();
    assert_eq!(
        bodies,
        [
            String::new(),
            format!(
                r#"{{"database_user":{{"database_id":"ad-1","name":"checkout","read_only":false,"password":"{SECRET}","password_confirmation":"{SECRET}"}}}}"#
            ),
            format!(
                r#"{{"database_user":{{"database_id":"ad-1","password":"{SECRET}","password_confirmation":"{SECRET}"}}}}"#
            ),
            "{}".to_string(),
            String::new(),
        ]
    );
    for request in &seen {
        let has_body = !request.body.is_empty();
        assert_eq!(
            header(request, "authorization"),
            Some(format!("Bearer {READY_TOKEN}"))
        );
        assert_eq!(header(request, "accept").as_deref(), Some("application/json"));
        assert_eq!(
            header(request, "content-type").as_deref(),
            has_body.then_some("application/json")
        );
        assert!(
            header(request, "user-agent")
                .unwrap()
                .starts_with("pguser-operator/")
        );
        for absent in ["referer", "accept-encoding", "transfer-encoding"] {
            assert_eq!(header(request, absent), None, "{absent}");
        }
    }
}

#[tokio::test]
async fn tokens_are_asked_for_as_the_contract_has_it_and_each_host_sees_its_own() {
    let jwt = jwt("a", 3600);
    let auth = Script::start(vec![exchanged(&jwt)]).await;
    let api = Script::start(vec![given(ADDON_TOKEN)]).await;
    let database = Script::start(vec![json(200, LIST)]).await;
    let config = ScalingoConfig {
        auth_endpoint: format!("{}/auth/", auth.url()),
        api_endpoint: api.url(),
        ..config(&database.url(), api_token())
    };
    let client = Scalingo::new(config, &settings(&["127.0.0.1:*"]), Gate::closed()).unwrap();
    client.list().await.unwrap();
    let only = |script: &Script| {
        let [request] = &script.seen()[..] else {
            panic!("one request: {:?}", script.lines());
        };
        (
            request.line.clone(),
            header(request, "authorization").unwrap(),
            request.body.clone(),
        )
    };
    // `:tk-us-Uu4Aequ8`: the name is empty.
    let basic = "Basic OnRrLXVzLVV1NEFlcXU4".to_string();
    let empty = "{}".to_string();
    assert_eq!(
        only(&auth),
        ("POST /auth/v1/tokens/exchange".to_string(), basic, empty.clone())
    );
    assert_eq!(only(&api), (ADDON.to_string(), format!("Bearer {jwt}"), empty));
    assert_eq!(
        only(&database),
        (
            format!("GET {USERS}"),
            format!("Bearer {ADDON_TOKEN}"),
            String::new()
        )
    );
    for script in [&auth, &api] {
        let request = &script.seen()[0];
        assert_eq!(
            header(request, "content-type").as_deref(),
            Some("application/json")
        );
    }
}

#[tokio::test]
async fn a_user_that_may_only_read_is_made_so() {
    let (script, client) = script(vec![json(
        201,
        r#"{"name":"checkout","read_only":true,"protected":false}"#,
    )])
    .await;
    let read_only = RoleSettings {
        read_only: true,
        ..RoleSettings::default()
    };
    let made = client
        .create(&ordered("checkout", &read_only), &Password::new(SECRET))
        .await
        .unwrap();
    assert!(script.seen()[0].body.contains(r#""read_only":true"#));
    assert_eq!(made.value.unwrap().traits.read_only, Some(true));
}

#[tokio::test]
async fn all_users_are_listed_and_the_protected_ones_are_told() {
    let (_script, client) = script(vec![json(
        200,
        r#"{"database-users":[
            {"name":"my-db-123","read_only":false,"protected":true,"dbms_attributes":{"password_encryption":"MD5"}},
            {"name":"metabase","read_only":true,"protected":false}]}"#,
    )])
    .await;
    let answer = client.list().await.unwrap();
    assert_eq!(answer.date, Some("1994-11-06T08:49:37Z".parse().unwrap()));
    assert_eq!(answer.value.pages, 1);
    let [own, other] = &answer.value.users[..] else {
        panic!("two users: {:?}", answer.value.users);
    };
    assert_eq!((own.username.as_str(), own.protected), ("my-db-123", true));
    assert_eq!((other.username.as_str(), other.protected), ("metabase", false));
    assert_eq!(other.traits.read_only, Some(true));
    assert_eq!(other.creator, Creator::Unknown);
    assert_eq!((other.created, other.modified), (None, None));
}

#[tokio::test]
async fn one_user_is_read_from_a_fresh_list() {
    let (script, client) = script(vec![json(200, LIST); 3]).await;
    assert!(client.get("checkout").await.unwrap().value.is_some());
    assert!(client.get("Checkout").await.unwrap().value.is_none());
    assert!(client.get("").await.unwrap().value.is_none());
    assert_eq!(script.lines(), vec![format!("GET {USERS}"); 3]);
}

#[tokio::test]
async fn any_username_reaches_the_remote_as_one_segment() {
    let odd = ["we ird/na%me", "?x=1#y", "%2e%2e", "ü🦀", "a;b:c@d", "...", "\\"];
    for name in odd {
        let (script, client) = script(vec![json(204, ""), json(200, "")]).await;
        client.delete(&mutation(name)).await.unwrap();
        client
            .set_password(&mutation(name), &Password::new(SECRET))
            .await
            .unwrap();
        for (line, method) in script.lines().iter().zip(["DELETE", "PATCH"]) {
            let segment = line.strip_prefix(&format!("{method} {USERS}/")).unwrap();
            assert!(!segment.contains(['/', '?', '#', ' ']), "{segment}");
            let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
            assert_eq!(decoded.unwrap(), name);
        }
    }
}

#[tokio::test]
async fn a_username_that_no_url_can_carry_is_invalid_and_nothing_is_sent() {
    let (script, client) = chain(vec![]).await;
    let password = Password::new(SECRET);
    for name in ["", ".", ".."] {
        for error in [
            client.create(&mutation(name), &password).await.unwrap_err(),
            client.set_password(&mutation(name), &password).await.unwrap_err(),
            client.reset_password(name).await.unwrap_err(),
            client.delete(&mutation(name)).await.unwrap_err(),
        ] {
            assert_eq!(error.class, ErrorClass::Invalid, "{error}");
        }
    }
    assert_eq!(script.connections(), 0, "not even for tokens");
}

#[tokio::test]
async fn nothing_of_a_user_can_be_configured() {
    let (script, client) = chain(vec![]).await;
    let error = client.configure(&mutation("checkout")).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Invalid);
    assert_eq!(script.connections(), 0);
}

#[tokio::test]
async fn the_database_is_read_under_its_root_or_bare() {
    let bare = r#"{"id":"5c599fd6f18b3202f7ab4e66","resource_id":"my_app_4553","app_name":"my-app",
        "created_at":"2019-02-05T15:38:14.343+01:00","features":[{"name":"force-ssl","status":"ACTIVATED"}],
        "plan":"postgresql-starter-512","status":"running","type_name":"postgresql","instances":[],
        "hostname":"my-db-123.postgresql.b.osc-fr1.scalingo-dbs.com:35123"}"#;
    for body in [bare.to_string(), format!(r#"{{"database":{bare}}}"#)] {
        let (script, client) = script(vec![json(200, &body)]).await;
        let database = client.cluster().await.unwrap().value;
        assert_eq!(database.state, ClusterState::Available);
        assert_eq!(
            database.host.as_deref(),
            Some("my-db-123.postgresql.b.osc-fr1.scalingo-dbs.com")
        );
        assert_eq!(database.port, Some(35123));
        assert_eq!(database.database.as_deref(), Some("my_app_4553"));
        assert_eq!(database.sslmode, Some(SslMode::Require));
        assert_eq!(script.lines(), ["GET /api/databases/ad-1"]);
    }
}
