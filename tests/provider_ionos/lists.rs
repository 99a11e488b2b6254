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

/// A last page with one user, and so many KiB around it.
fn padded(kib: usize) -> Act {
    let padding = "x".repeat(kib << 10);
    let page =
        serde_json::json!({"items": [{"properties": {"username": "a"}, "padding": padding}], "_links": {}});
    json(200, &page.to_string())
}

#[tokio::test]
async fn a_list_that_takes_more_than_its_part_of_the_memory_for_all_is_no_list_and_harms_no_other() {
    let reading = Memory::new(4 << 20);
    let of = async |acts| {
        let script = Script::start(acts).await;
        let settings = HttpSettings {
            reading: reading.clone(),
            ..settings(&["127.0.0.1:*"])
        };
        let client = Ionos::new(config(&script.url()), &settings, open()).unwrap();
        (script, client)
    };
    // Somebody else's takes all that there is.
    let mut greedy = reading.share();
    assert!(greedy.set(4 << 20));
    let (_script, large) = of(vec![padded(3 << 10), padded(1 << 10)]).await;
    let error = large.list().await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unreachable { after: None });
    assert!(error.to_string().contains("--max-list-memory"), "{error}");
    assert_eq!(large.list().await.unwrap().value.users.len(), 1);
    drop(greedy);
    // What was read is over once the list is there.
    let (_script, alone) = of(vec![padded(3 << 10), padded(3 << 10)]).await;
    for _ in 0..2 {
        assert_eq!(alone.list().await.unwrap().value.users.len(), 1);
    }
}
