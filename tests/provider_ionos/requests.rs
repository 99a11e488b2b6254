//! What is sent, and how a good answer is read.

use super::*;

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
    client.create(&mutation("checkout"), &password).await.unwrap();
    client
        .set_password(&mutation("checkout"), &password)
        .await
        .unwrap();
    client.delete(&mutation("checkout")).await.unwrap();
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
            client.create(&mutation(name), &password).await.unwrap_err().class,
            ErrorClass::Invalid
        );
        assert_eq!(
            client
                .set_password(&mutation(name), &password)
                .await
                .unwrap_err()
                .class,
            ErrorClass::Invalid
        );
        assert_eq!(
            client.delete(&mutation(name)).await.unwrap_err().class,
            ErrorClass::Invalid
        );
    }
    assert_eq!(script.connections(), 0);
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
