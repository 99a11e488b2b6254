//! No token and no password is shown, whatever the remote repeats.

use std::io::Write;
use std::sync::Mutex;

use tracing_subscriber::layer::SubscriberExt;

use super::*;

#[tokio::test]
async fn an_error_shows_codes_and_known_fields_and_nothing_else() {
    let body = format!(
        r#"{{"code":"bad\u001b[31m","error":"bad {SECRET}","errors":{{"password":["{SECRET} is bad"],
            "name":["x"],"{SECRET}":["y"],"other":["z"]}}}}"#
    );
    let refusal = Act::Say(answer(
        422,
        &[("content-type", "application/json"), ("x-request-id", "req\t1")],
        &body,
    ));
    let (_script, client) = script(vec![refusal]).await;
    let error = client
        .create(&mutation("checkout"), &Password::new(SECRET))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "create user: invalid (HTTP 422, bad__31m, errors.name, errors.password, request req_1)"
    );
}

#[tokio::test]
async fn a_code_or_an_id_that_repeats_a_secret_is_left_out() {
    let jwt = jwt("a", 3600);
    let leak = |secret: &str| {
        let body = format!(r#"{{"code":"leak-{secret}","error":"{secret}"}}"#);
        Act::Say(answer(403, &[("x-request-id", secret)], &body))
    };
    let chains = [
        vec![leak(API_TOKEN)],
        vec![exchanged(&jwt), leak(&jwt)],
        vec![exchanged(&jwt), given(ADDON_TOKEN), leak(ADDON_TOKEN)],
        vec![exchanged(&jwt), given(ADDON_TOKEN), leak(SECRET)],
    ];
    for acts in chains {
        let (_script, client) = chain(acts).await;
        let error = client
            .create(&mutation("checkout"), &Password::new(SECRET))
            .await
            .unwrap_err();
        assert_eq!(error.detail, " (HTTP 403)");
        assert_silent(&error);
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Everything that any library on the way logs at its most talkative is searched for every secret.
#[tokio::test]
async fn neither_logs_nor_debug_output_hold_a_secret() {
    let log = Log::default();
    let writer = log.clone();
    let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let jwt = jwt("a", 3600);
    let echo = format!(r#"{{"database_user":{{"name":"checkout","password":"{SECRET}"}}}}"#);
    let (script, client) = chain(vec![
        exchanged(&jwt),
        given("old-t0ken"),
        json(401, "{}"),
        given(ADDON_TOKEN),
        json(201, &echo),
        json(200, &echo),
        json(200, r#"{"name":"checkout","password":"generated"}"#),
        json(201, &format!(r#"{{"name":"other","password":"{SECRET}"}}"#)),
        json(422, &format!(r#"{{"errors":{{"password":["{SECRET}"]}}}}"#)),
    ])
    .await;
    let password = Password::new(SECRET);
    let mut shown = String::new();
    shown += &format!("{:?}", client.create(&mutation("checkout"), &password).await);
    shown += &format!(
        "{:?}",
        client.set_password(&mutation("checkout"), &password).await
    );
    shown += &format!("{:?}", client.reset_password("checkout").await);
    shown += &format!("{:?}", client.create(&mutation("checkout"), &password).await);
    shown += &format!("{:?}", client.create(&mutation("checkout"), &password).await);
    shown += &format!("{client:?} {:?}", config("https://h", api_token()));
    assert_eq!(script.lines().len(), 9);
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("the remote answered"), "the log is looked at");
    for text in [&shown, &logged] {
        for secret in [
            SECRET,
            API_TOKEN,
            &jwt,
            "old-t0ken",
            ADDON_TOKEN,
            "generated",
            "OnRrLXVz",
        ] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}
