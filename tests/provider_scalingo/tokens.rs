//! The chain of tokens: what is kept, for how long, and what is done about one that is refused.

use super::*;

fn lines(script: &Script) -> Vec<String> {
    script.lines()
}

fn list_line() -> String {
    format!("GET {USERS}")
}

#[tokio::test]
async fn tokens_are_fetched_once_and_kept() {
    let (script, client) = chain(vec![
        exchanged(&jwt("a", 3600)),
        given(ADDON_TOKEN),
        json(200, LIST),
        json(200, LIST),
        json(201, USER),
    ])
    .await;
    client.list().await.unwrap();
    client.list().await.unwrap();
    client
        .create(&mutation("checkout"), &Password::new(SECRET))
        .await
        .unwrap();
    assert_eq!(
        lines(&script),
        [
            EXCHANGE.to_string(),
            ADDON.to_string(),
            list_line(),
            list_line(),
            format!("POST {USERS}"),
        ]
    );
}

#[tokio::test]
async fn callers_at_the_same_time_share_one_exchange() {
    let slow = |act: Act| match act {
        Act::Say(bytes) => Act::SayAfter(Duration::from_millis(150), bytes),
        other => other,
    };
    let mut acts = vec![slow(exchanged(&jwt("a", 3600))), slow(given(ADDON_TOKEN))];
    acts.extend(vec![json(200, LIST); 8]);
    let (script, client) = chain(acts).await;
    let client = Arc::new(client);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.list().await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let lines = lines(&script);
    assert_eq!(lines.len(), 10, "{lines:?}");
    assert_eq!(lines[..2], [EXCHANGE, ADDON]);
}

/// Callers who all meet the same refusal fetch one new token between them.
#[tokio::test]
async fn callers_who_are_refused_at_the_same_time_share_one_renewal() {
    let refused = Act::SayAfter(Duration::from_millis(200), json_bytes(401, "{}"));
    let mut acts = vec![exchanged(&jwt("a", 3600)), given("old"), json(200, LIST)];
    acts.extend(vec![refused; 4]);
    acts.push(given("new"));
    acts.extend(vec![json(200, LIST); 4]);
    let (script, client) = chain(acts).await;
    client.list().await.unwrap();
    let client = Arc::new(client);
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.list().await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let lines = lines(&script);
    assert_eq!(lines.iter().filter(|line| *line == ADDON).count(), 2, "{lines:?}");
    assert_eq!(
        lines.iter().filter(|line| *line == EXCHANGE).count(),
        1,
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let short = jwt("addon", 2);
    let (script, client) = chain(vec![
        exchanged(&jwt("a", 2)),
        given(&short),
        json(200, LIST),
        json(200, LIST),
        exchanged(&jwt("b", 2)),
        given(&jwt("addon-b", 2)),
        json(200, LIST),
    ])
    .await;
    client.list().await.unwrap();
    client.list().await.unwrap();
    // A fifth of two seconds before their end.
    tokio::time::sleep(Duration::from_millis(1650)).await;
    client.list().await.unwrap();
    let list = list_line();
    assert_eq!(
        lines(&script),
        [EXCHANGE, ADDON, &list, &list, EXCHANGE, ADDON, &list]
    );
}

#[tokio::test]
async fn a_jwt_outlives_the_addons_token() {
    let (script, client) = chain(vec![
        exchanged(&jwt("a", 3600)),
        given(&jwt("addon", 1)),
        json(200, LIST),
        given(&jwt("addon-b", 1)),
        json(200, LIST),
    ])
    .await;
    client.list().await.unwrap();
    tokio::time::sleep(Duration::from_millis(900)).await;
    client.list().await.unwrap();
    let list = list_line();
    assert_eq!(lines(&script), [EXCHANGE, ADDON, &list, ADDON, &list]);
}

/// One that says nothing of its end, or nonsense, is kept for a while; one that came too late is used once.
#[tokio::test]
async fn a_token_that_is_no_jwt_is_a_token() {
    for odd in ["opaque", "a.b.c", "e30.e30.c2ln"] {
        let (script, client) = chain(vec![
            exchanged(odd),
            given(ADDON_TOKEN),
            json(401, "{}"),
            given(ADDON_TOKEN),
            json(200, LIST),
        ])
        .await;
        client.list().await.unwrap();
        let list = list_line();
        assert_eq!(lines(&script), [EXCHANGE, ADDON, &list, ADDON, &list], "{odd}");
    }
    let (script, client) = chain(vec![
        exchanged(&jwt("dead", 0)),
        given(&jwt("dead", 0)),
        json(200, LIST),
        exchanged(&jwt("a", 3600)),
        given(ADDON_TOKEN),
        json(200, LIST),
    ])
    .await;
    client.list().await.unwrap();
    client.list().await.unwrap();
    let list = list_line();
    assert_eq!(lines(&script), [EXCHANGE, ADDON, &list, EXCHANGE, ADDON, &list]);
}

#[tokio::test]
async fn a_read_that_is_refused_is_sent_again_with_a_new_token() {
    let (script, client) = chain(vec![
        exchanged(&jwt("a", 3600)),
        given("old"),
        json(401, r#"{"error":"unauthorized"}"#),
        given("new"),
        json(200, LIST),
    ])
    .await;
    client.list().await.unwrap();
    let list = list_line();
    assert_eq!(lines(&script), [EXCHANGE, ADDON, &list, ADDON, &list]);
    let seen = script.seen();
    assert!(seen[2].head.contains("Bearer old") && seen[4].head.contains("Bearer new"));
}

#[tokio::test]
async fn a_mutation_that_is_refused_is_sent_again_as_it_was() {
    let (script, client) = chain(vec![
        exchanged(&jwt("a", 3600)),
        given("old"),
        json(401, r#"{"error":"unauthorized"}"#),
        given("new"),
        json(201, USER),
    ])
    .await;
    client
        .create(&mutation("checkout"), &Password::new(SECRET))
        .await
        .unwrap();
    let post = format!("POST {USERS}");
    assert_eq!(lines(&script), [EXCHANGE, ADDON, &post, ADDON, &post]);
    let seen = script.seen();
    assert_eq!(seen[2].body, seen[4].body);
    assert!(seen[4].head.contains("Bearer new"));
}

#[tokio::test]
async fn a_jwt_that_is_refused_is_replaced_too() {
    let (script, client) = chain(vec![
        exchanged(&jwt("a", 3600)),
        given("old"),
        json(200, LIST),
        json(401, "{}"),
        json(401, "{}"),
        exchanged(&jwt("b", 3600)),
        given("new"),
        json(204, ""),
    ])
    .await;
    client.list().await.unwrap();
    client.delete(&mutation("checkout")).await.unwrap();
    let (list, delete) = (list_line(), format!("DELETE {USERS}/checkout"));
    assert_eq!(
        lines(&script),
        [EXCHANGE, ADDON, &list, &delete, ADDON, EXCHANGE, ADDON, &delete]
    );
    assert!(script.seen()[6].head.contains(&jwt("b", 3600)));
}

#[tokio::test]
async fn a_second_refusal_is_the_last() {
    let refusals = || {
        vec![
            exchanged(&jwt("a", 3600)),
            given("old"),
            json(401, "{}"),
            given("new"),
            json(401, "{}"),
            given("newest"),
            json(200, LIST),
        ]
    };
    let (script, client) = chain(refusals()).await;
    let error = client.list().await.unwrap_err();
    assert_eq!(error.to_string(), "list users: unauthorised (HTTP 401)");
    assert_eq!(script.lines().len(), 5);
    let (script, client) = chain(refusals()).await;
    let error = client.delete(&mutation("checkout")).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unauthorized);
    assert_eq!(script.lines().len(), 5);
}

#[tokio::test]
async fn a_ready_token_that_is_refused_has_no_successor() {
    let (script, client) = script(vec![json(401, "{}"); 2]).await;
    let error = client.list().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unauthorized);
    assert_eq!(script.lines(), [list_line()]);
}

/// Only a refusal of the token is a reason to send again: what else may have happened nobody knows.
#[tokio::test]
async fn nothing_but_a_401_is_sent_again() {
    for act in [
        json(403, "{}"),
        json(500, "{}"),
        json(503, "{}"),
        json(429, "{}"),
        Act::Drop,
        truncated(201),
    ] {
        let what = format!("{act:?}");
        let (script, client) = chain(vec![
            exchanged(&jwt("a", 3600)),
            given(ADDON_TOKEN),
            act,
            json(201, USER),
        ])
        .await;
        let made = client.create(&mutation("checkout"), &Password::new(SECRET)).await;
        assert!(made.is_err(), "{what}");
        assert_eq!(script.lines().len(), 3, "{what}");
    }
}

/// Each way in which a token is not to be had, with what a read and a mutation make of it.
fn failures() -> Vec<(Act, ErrorClass)> {
    use ErrorClass::*;
    let unreachable = || Unreachable { after: None };
    vec![
        (json(401, r#"{"error":"bad token"}"#), Unauthorized),
        (json(402, "{}"), Unauthorized),
        (json(403, r#"{"error":"no","code":"forbidden"}"#), Unauthorized),
        (json(429, "Retry later"), RateLimited { after: None }),
        (json(400, "{}"), unreachable()),
        (json(409, "{}"), unreachable()),
        (json(422, r#"{"errors":{"name":["x"]}}"#), unreachable()),
        (json(423, "{}"), unreachable()),
        (json(500, "{}"), unreachable()),
        (html(502), unreachable()),
        (html(404), unreachable()),
        (html(200), unreachable()),
        (truncated(200), unreachable()),
        (json(200, "{}"), unreachable()),
        (json(200, r#"{"token":""}"#), unreachable()),
        (json(200, r#"{"token":7}"#), unreachable()),
        (json(200, r#"{"token":"a\nb"}"#), unreachable()),
        (json(200, r#"{"addon":{"token":"a\nb"}}"#), unreachable()),
        (json(204, ""), unreachable()),
        (
            json(404, r#"{"resource":"App","error":"not found"}"#),
            Unauthorized,
        ),
        (json(404, ""), Unauthorized),
        (Act::Drop, unreachable()),
        (Act::Hang, unreachable()),
    ]
}

#[tokio::test]
async fn without_a_token_nothing_was_sent_and_nothing_is_unknown() {
    for (act, class) in failures() {
        for before in [vec![], vec![exchanged(&jwt("a", 3600))]] {
            let what = format!("{act:?} after {}", before.len());
            let mut acts = before.clone();
            acts.push(act.clone());
            let (script, client) = chain(acts.clone()).await;
            let error = client
                .create(&mutation("checkout"), &Password::new(SECRET))
                .await
                .unwrap_err();
            assert_eq!(error.class, class, "{what}: {error}");
            assert_silent(&error);
            assert_eq!(script.lines().len(), before.len() + 1, "{what}");
            let (_script, client) = chain(acts).await;
            let error = client.cluster().await.unwrap_err();
            assert_eq!(error.class, class, "{what}: {error}");
        }
    }
}

/// The addon's absence is the database's, to whoever asks for that; of a user it says nothing.
#[tokio::test]
async fn an_addon_that_is_not_found_is_no_database() {
    let acts = || {
        vec![
            exchanged(&jwt("a", 3600)),
            json(404, r#"{"resource":"Addon","error":"not found"}"#),
        ]
    };
    let (_script, client) = chain(acts()).await;
    assert_eq!(client.cluster().await.unwrap_err().class, ErrorClass::NotFound);
    let (_script, client) = chain(acts()).await;
    assert_eq!(client.list().await.unwrap_err().class, ErrorClass::NotFound);
    let (_script, client) = chain(acts()).await;
    let error = client.delete(&mutation("checkout")).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unreachable { after: None }, "{error}");
}

#[tokio::test]
async fn a_failure_says_at_which_step() {
    let (_script, client) = chain(vec![json(403, r#"{"error":"x","code":"limited"}"#)]).await;
    assert_eq!(
        client.list().await.unwrap_err().to_string(),
        "exchange the API token: unauthorised (HTTP 403, limited)"
    );
    let (_script, client) = chain(vec![exchanged(&jwt("a", 3600)), json(401, "{}")]).await;
    assert_eq!(
        client.list().await.unwrap_err().to_string(),
        "get a token for the addon: unauthorised (HTTP 401)"
    );
}

/// A failure is not kept: the next caller asks anew.
#[tokio::test]
async fn after_a_failure_the_next_call_goes_on_from_where_it_was() {
    let (script, client) = chain(vec![
        exchanged(&jwt("a", 3600)),
        json(500, "{}"),
        given(ADDON_TOKEN),
        json(200, LIST),
    ])
    .await;
    client.list().await.unwrap_err();
    client.list().await.unwrap();
    assert_eq!(lines(&script), [EXCHANGE, ADDON, ADDON, &list_line()]);
}

#[tokio::test]
async fn a_caller_who_gives_up_leaves_the_tokens_to_others() {
    let (script, client) = chain(vec![
        Act::Hang,
        exchanged(&jwt("a", 3600)),
        given(ADDON_TOKEN),
        json(200, LIST),
    ])
    .await;
    let gave_up = tokio::time::timeout(Duration::from_millis(200), client.list()).await;
    assert!(gave_up.is_err());
    client.list().await.unwrap();
    assert_eq!(lines(&script), [EXCHANGE, EXCHANGE, ADDON, &list_line()]);
}

/// The gate closes while tokens are fetched, and the Database API hears nothing.
#[tokio::test]
async fn a_gate_that_closes_while_tokens_are_fetched_sends_nothing() {
    let api = Script::start(vec![
        exchanged(&jwt("a", 3600)),
        Act::SayAfter(
            Duration::from_millis(300),
            json_bytes(200, r#"{"addon":{"token":"t"}}"#),
        ),
    ])
    .await;
    let database = Script::start(vec![json(201, USER); 4]).await;
    let gate = open();
    let config = ScalingoConfig {
        database_endpoint: database.url(),
        ..config(&api.url(), api_token())
    };
    let client = Scalingo::new(config, &settings(&["127.0.0.1:*"]), gate.clone()).unwrap();
    let attempt = tokio::spawn(async move {
        let password = Password::new(SECRET);
        let first = client.create(&mutation("checkout"), &password).await;
        let later = client.reset_password("checkout").await;
        (first.unwrap_err(), later.unwrap_err())
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    gate.close();
    let (first, later) = attempt.await.unwrap();
    assert_eq!(first.class, ErrorClass::GateClosed);
    assert_eq!(later.class, ErrorClass::GateClosed);
    assert_eq!(api.lines(), [EXCHANGE, ADDON], "tokens need no gate");
    assert_eq!(database.connections(), 0);
}

/// The gate closes between the refusal of a token and the second attempt.
#[tokio::test]
async fn a_gate_that_closes_before_the_second_attempt_sends_no_second() {
    let (script, gate) = (
        Script::start(vec![
            exchanged(&jwt("a", 3600)),
            given("old"),
            Act::SayAfter(Duration::from_millis(300), json_bytes(401, "{}")),
            given("new"),
            json(201, USER),
        ])
        .await,
        open(),
    );
    let client = client_with(&script.url(), api_token(), gate.clone());
    let attempt =
        tokio::spawn(async move { client.create(&mutation("checkout"), &Password::new(SECRET)).await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    gate.close();
    assert_eq!(attempt.await.unwrap().unwrap_err().class, ErrorClass::GateClosed);
    let post = format!("POST {USERS}");
    assert_eq!(lines(&script), [EXCHANGE, ADDON, &post, ADDON]);
}
