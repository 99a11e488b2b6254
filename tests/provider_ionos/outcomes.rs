//! What each kind of answer, or of none, is taken for.

use super::*;

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
            .create(&mutation("checkout"), &Password::new(SECRET))
            .await
            .unwrap_err();
        assert!(error.class.is_unknown(), "{act:?}: {error}");
        assert_eq!(script.connections(), 1);
    }
    for status in [200, 201, 202] {
        let (_script, client) = script(vec![json(status, USER)]).await;
        let made = client
            .create(&mutation("checkout"), &Password::new(SECRET))
            .await
            .unwrap();
        assert_eq!(made.value.unwrap().username, "checkout");
    }
}

#[tokio::test]
async fn a_deletion_is_accepted_with_or_without_a_body() {
    for act in [json(204, ""), json(200, ""), json(202, "{}"), json(200, USER)] {
        let (_script, client) = script(vec![act.clone()]).await;
        assert!(client.delete(&mutation("checkout")).await.is_ok(), "{act:?}");
    }
    assert!(mutations(truncated(200)).await.iter().all(ErrorClass::is_unknown));
}

#[tokio::test]
async fn a_definite_refusal_is_definite() {
    use ErrorClass::*;
    let table = [
        (400, Invalid),
        (401, Unauthorized),
        (402, Unauthorized),
        (403, Unauthorized),
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
        .create(&mutation("checkout"), &Password::new(SECRET))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "create user: invalid (HTTP 422, paas-7__31m, request req_1)"
    );
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
            .create(&mutation("checkout"), &Password::new(SECRET))
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
