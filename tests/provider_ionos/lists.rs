//! Lists of many pages.

use super::*;

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
