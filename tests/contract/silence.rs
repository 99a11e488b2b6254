//! Secrets are in nothing that is shown. Of every answer and error in this suite `case::Desk` sees to it.

use pguser_operator::domain::password::Password;

use crate::case::{ADMIN_PASSWORD, Case, How, SECRET, job, password};
use crate::servers::TOKEN;
use crate::tests;

tests! {
    a_client_shows_no_secret,
    settings_that_cannot_work_show_no_secret,
}

fn assert_silent(text: &str) {
    for secret in [SECRET, ADMIN_PASSWORD, TOKEN] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

async fn a_client_shows_no_secret(case: &Case) {
    let desk = case.desk();
    assert_silent(&format!("{:?} {:#?}", desk.provider, desk.provider));
    let wanted = job("checkout");
    let made = desk.create(&wanted, 1).await.unwrap();
    // By now it has a connection, a token, or both.
    assert_silent(&format!(
        "{:?} {:#?} {:?} {made:?}",
        desk.provider,
        desk.provider,
        wanted.mutation()
    ));
    let shown = Password::new(password(1));
    assert_silent(&format!("{shown} {shown:?} {:?}", desk.list().await));
    let user = desk.get("checkout").await.unwrap();
    if let Some(stamp) = user.traits.password_stamp {
        let kept = case
            .sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'checkout'")
            .await;
        assert!(!stamp.contains("SCRAM") && !kept[0][0].contains(&stamp));
    }
}

async fn settings_that_cannot_work_show_no_secret(case: &Case) {
    for secret in [
        format!("{SECRET}\nsecond line"),
        format!("{SECRET}\0"),
        format!("{SECRET} {}", "x".repeat(10_000)),
    ] {
        let how = How {
            secret: Some(secret),
            ..How::default()
        };
        match case.try_desk(&how) {
            Err(error) => assert_silent(&format!("{error} {error:?}")),
            Ok(desk) => drop(desk.try_list().await.unwrap_err()),
        }
    }
}
