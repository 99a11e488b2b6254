//! What each kind of answer, or of none, is taken for.

use super::*;

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let gone = r#"{"resource":"Database","error":"not found"}"#;
    for class in mutations(json(404, gone)).await {
        assert_eq!(class, ErrorClass::NotFound);
    }
    // A list that is not found is that of a database that is not: nobody is absent from it.
    assert_eq!(
        read(json(404, gone)).await.unwrap_err().class,
        ErrorClass::NotFound
    );
    let (_script, client) = script(vec![json(404, gone)]).await;
    assert_eq!(client.cluster().await.unwrap_err().class, ErrorClass::NotFound);
}

#[tokio::test]
async fn a_web_page_is_not_the_apis_word() {
    for status in [200, 404, 502, 503, 504] {
        assert_eq!(
            read(html(status)).await.unwrap_err().class,
            ErrorClass::Unreachable { after: None },
            "{status}"
        );
    }
    for status in [200, 201, 404, 502, 503, 504] {
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
        truncated(200),
        truncated(201),
        json(500, r#"{"error":"server error"}"#),
        json(502, ""),
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

/// What the client makes of one answer to the creation of `checkout`.
async fn created(act: Act) -> Result<bool, RemoteError> {
    let (script, client) = script(vec![act]).await;
    let made = client.create(&mutation("checkout"), &Password::new(SECRET)).await;
    assert_eq!(script.connections(), 1);
    made.map(|answer| answer.value.is_some())
}

async fn changed(act: Act) -> Result<bool, RemoteError> {
    let (script, client) = script(vec![act]).await;
    let changed = client
        .set_password(&mutation("checkout"), &Password::new(SECRET))
        .await;
    assert_eq!(script.connections(), 1);
    changed.map(|answer| answer.value.is_some())
}

const NONSENSE: &[&str] = &[
    "{}",
    "[]",
    "null",
    "\"ok\"",
    r#"{"database_user":null}"#,
    r#"{"database_user":{"name":7}}"#,
    r#"{"database_user":{"name":"somebody-else"}}"#,
    r#"{"name":"somebody-else"}"#,
    r#"{"database-users":[{"name":"checkout"}]}"#,
    r#"{"user":{"name":"checkout"}}"#,
];

#[tokio::test]
async fn a_user_is_understood_under_its_root_and_bare() {
    let bare = format!(
        r#"{{"name":"checkout","read_only":false,"protected":false,"password":"{SECRET}",
            "dbms_attributes":{{"password_encryption":"SCRAM-SHA-256"}}}}"#
    );
    for body in [bare.clone(), format!(r#"{{"database_user":{bare}}}"#)] {
        for status in [200, 201] {
            assert!(created(json(status, &body)).await.unwrap(), "{status} {body}");
            assert!(changed(json(status, &body)).await.unwrap(), "{status} {body}");
        }
    }
}

#[tokio::test]
async fn a_creation_is_accepted_by_naming_the_user_and_not_otherwise() {
    for body in NONSENSE {
        let error = created(json(201, body)).await.unwrap_err();
        assert!(error.class.is_unknown(), "{body}: {error}");
    }
    for act in [json(201, ""), json(204, "")] {
        let error = created(act).await.unwrap_err();
        assert!(error.class.is_unknown(), "{error}");
    }
}

#[tokio::test]
async fn a_new_password_is_accepted_without_a_word_too() {
    for act in [json(200, ""), json(200, " \n"), json(204, "")] {
        assert!(!changed(act.clone()).await.unwrap(), "{act:?}");
    }
    for body in NONSENSE {
        let error = changed(json(200, body)).await.unwrap_err();
        assert!(error.class.is_unknown(), "{body}: {error}");
    }
}

#[tokio::test]
async fn a_reset_is_answered_with_the_new_password_or_nobody_knows_it() {
    for body in [
        r#"{"name":"checkout","read_only":false,"protected":false,"password":"generated password"}"#,
        r#"{"database_user":{"name":"checkout","password":"generated password"}}"#,
    ] {
        for status in [200, 201] {
            let (_script, client) = script(vec![json(status, body)]).await;
            let answer = client.reset_password("checkout").await.unwrap();
            assert_eq!(answer.value.reveal(), "generated password");
            assert!(!format!("{answer:?}").contains("generated"));
        }
    }
    let without = [
        USER,
        r#"{"name":"checkout","password":null}"#,
        r#"{"name":"checkout","password":""}"#,
        r#"{"name":"other","password":"generated password"}"#,
        "",
    ];
    for body in NONSENSE.iter().chain(&without) {
        let (_script, client) = script(vec![json(200, body)]).await;
        let error = client.reset_password("checkout").await.unwrap_err();
        assert!(error.class.is_unknown(), "{body}: {error}");
        assert!(!format!("{error:?}").contains("generated"), "{error}");
    }
}

#[tokio::test]
async fn a_deletion_is_accepted_with_or_without_a_body() {
    for act in [json(204, ""), json(200, ""), json(202, "{}"), json(200, USER)] {
        let (_script, client) = script(vec![act.clone()]).await;
        assert!(client.delete(&mutation("checkout")).await.is_ok(), "{act:?}");
    }
    let (_script, client) = script(vec![json(200, "It works!")]).await;
    let error = client.delete(&mutation("checkout")).await.unwrap_err();
    assert!(error.class.is_unknown(), "{error}");
}

#[tokio::test]
async fn a_list_that_makes_no_sense_is_no_list() {
    for body in [
        "{}",
        "[]",
        "",
        r#"{"database-users":null}"#,
        r#"{"database-users":{}}"#,
        r#"{"database-users":[{"read_only":true}]}"#,
        USER,
    ] {
        assert_eq!(
            read(json(200, body)).await.unwrap_err().class,
            ErrorClass::Unreachable { after: None },
            "{body}"
        );
    }
    assert!(read(json(200, r#"{"database_users":[]}"#)).await.is_ok());
    for body in ["{}", "[]", "", r#"{"database":{}}"#, LIST] {
        let (_script, client) = script(vec![json(200, body)]).await;
        let error = client.cluster().await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Unreachable { after: None }, "{body}");
    }
}

#[tokio::test]
async fn a_definite_refusal_is_definite() {
    use ErrorClass::*;
    let table = [
        (400, r#"{"error":"bad request","code":"bad"}"#, Invalid),
        (401, r#"{"error":"unauthorized"}"#, Unauthorized),
        (
            402,
            r#"{"error":"payment required","url":"https://x","name":"y"}"#,
            Unauthorized,
        ),
        (403, r#"{"error":"forbidden"}"#, Unauthorized),
        (405, "{}", Invalid),
        (409, r#"{"error":"already exists"}"#, Conflict),
        (415, "", Invalid),
        (422, r#"{"errors":{"name":["is already taken"]}}"#, Invalid),
        (422, r#"{"error":"no map"}"#, Invalid),
        (422, "[]", Invalid),
        (422, "", Invalid),
        (423, "", Busy),
        (429, "{}", RateLimited { after: None }),
    ];
    for (status, body, class) in table {
        for found in mutations(json(status, body)).await {
            assert_eq!(found, class, "{status} {body}");
        }
        assert_eq!(
            read(json(status, body)).await.unwrap_err().class,
            class,
            "{status} {body}"
        );
    }
}

#[tokio::test]
async fn a_plain_retry_later_is_a_rate_limit() {
    let later = Act::Say(answer(429, &[("content-type", "text/plain")], "Retry later\n"));
    let limited = ErrorClass::RateLimited { after: None };
    assert_eq!(read(later.clone()).await.unwrap_err().class, limited);
    assert!(mutations(later).await.iter().all(|class| *class == limited));
    let until = with(429, &[("retry-after", "42")]);
    let limited = ErrorClass::RateLimited {
        after: Some(Duration::from_secs(42)),
    };
    assert_eq!(read(until).await.unwrap_err().class, limited);
    assert_eq!(
        mutations(with(503, &[("retry-after", "42")])).await[0],
        ErrorClass::Unknown {
            after: Some(Duration::from_secs(42))
        }
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Script::start(vec![json(200, USER); 9]).await;
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{}{USERS}", elsewhere.url());
        for class in mutations(with(status, &[("location", to.as_str())])).await {
            assert_eq!(class, ErrorClass::Invalid);
        }
        let error = read(with(status, &[("location", &to)])).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Invalid);
        let (script, client) = chain(vec![with(status, &[("location", &to)])]).await;
        let error = client.list().await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Unreachable { after: None }, "{error}");
        assert_eq!(script.lines(), [EXCHANGE]);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let huge = format!(r#"{{"padding":"{}","name":"checkout"}}"#, "x".repeat(300 << 10));
    assert!(created(json(201, &huge)).await.unwrap_err().class.is_unknown());
    let long = format!(r#"{{"database-users":[],"x":"{}"}}"#, "x".repeat(1 << 20));
    assert!(read(json(200, &long)).await.is_ok(), "a list may be large");
}
