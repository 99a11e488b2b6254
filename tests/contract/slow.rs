//! Answers that take too long, and nobody there at all.

use std::time::{Duration, Instant};

use pguser_operator::provider::{ErrorClass, Provider};
use tokio::net::TcpListener;

use crate::case::{Case, How, Instead, SHORT, assert_class, job, password};
use crate::subject::{Op, UNKNOWN, UNREACHABLE, When};
use crate::tests;

tests! {
    a_mutation_that_is_answered_too_late_is_unknown,
    a_read_that_is_answered_too_late_is_unreachable,
    nobody_listening_is_unreachable,
    a_listener_that_says_nothing_is_not_waited_for,
    a_host_that_may_not_be_dialled_is_refused_at_once,
    an_abandoned_call_leaves_the_client_usable,
}

/// No call takes much longer than it may.
fn assert_bounded(started: Instant, times: u32) {
    let elapsed = started.elapsed();
    assert!(
        elapsed < SHORT * times + Duration::from_millis(1500),
        "{elapsed:?}"
    );
}

async fn a_mutation_that_is_answered_too_late_is_unknown(case: &Case) {
    for (op, name) in [
        (Op::Create, "the-new-one"),
        (Op::Set, "set-again"),
        (Op::Delete, "old-one"),
    ] {
        let desk = case.troubled(SHORT).await;
        if op != Op::Create {
            desk.create(&job(name), 1).await.unwrap();
        }
        case.stall(op, When::After).await;
        let started = Instant::now();
        assert_class(desk.mutate(op, &job(name), 2).await, &UNKNOWN);
        assert_bounded(started, if op == Op::Delete { 3 } else { 1 });
        // It has happened; what a deletion by SQL has done is its first step.
        match op {
            Op::Delete => assert!(!case.logs_in(name, &password(1)).await),
            _ => case.only(name, 2, &[1]).await,
        }
        case.calm().await;
        assert!(desk.try_list().await.is_ok(), "the client is usable");
    }
}

async fn a_read_that_is_answered_too_late_is_unreachable(case: &Case) {
    let desk = case.troubled(SHORT).await;
    desk.create(&job("checkout"), 1).await.unwrap();
    for op in [Op::List, Op::Get] {
        case.stall(op, When::Before).await;
        let started = Instant::now();
        match op {
            Op::List => assert_class(desk.try_list().await, &UNREACHABLE),
            _ => assert_class(desk.try_get("checkout").await, &UNREACHABLE),
        };
        assert_bounded(started, 1);
        case.calm().await;
        assert!(desk.get("checkout").await.is_some());
    }
}

/// Whatever is asked of it is unreachable, in time.
async fn assert_out_of_reach(case: &Case, how: &How) {
    let desk = case.desk_with(how);
    for op in Op::MUTATIONS {
        let started = Instant::now();
        assert_class(desk.mutate(op, &job("checkout"), 2).await, &UNREACHABLE);
        assert_bounded(started, if op == Op::Delete { 3 } else { 1 });
    }
    assert_class(desk.try_list().await, &UNREACHABLE);
    assert_class(desk.try_get("checkout").await, &UNREACHABLE);
    assert_class(desk.provider.cluster().await, &UNREACHABLE);
    case.only("checkout", 1, &[2]).await;
}

async fn nobody_listening_is_unreachable(case: &Case) {
    case.desk().create(&job("checkout"), 1).await.unwrap();
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    for instead in [Instead::Port(port), Instead::Tls(port)] {
        let how = How {
            timeout: SHORT,
            instead: Some(instead),
            ..How::default()
        };
        assert_out_of_reach(case, &how).await;
    }
}

/// Over TLS, so that even of a mutation it is known that it was not sent.
async fn a_listener_that_says_nothing_is_not_waited_for(case: &Case) {
    case.desk().create(&job("checkout"), 1).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let how = How {
        timeout: SHORT / 2,
        instead: Some(Instead::Tls(port)),
        ..How::default()
    };
    assert_out_of_reach(case, &how).await;
}

async fn a_host_that_may_not_be_dialled_is_refused_at_once(case: &Case) {
    for allow in [
        &["api.example.com:443"][..],
        &["127.0.0.1:1", "localhost:1"],
        &["localhost.:65535"],
    ] {
        let how = How {
            allow,
            ..How::default()
        };
        let Err(error) = case.try_desk(&how) else {
            panic!("{allow:?}");
        };
        assert_eq!(error.class, ErrorClass::EndpointNotAllowed, "{error}");
    }
}

async fn an_abandoned_call_leaves_the_client_usable(case: &Case) {
    let desk = case.troubled(Duration::from_secs(5)).await;
    desk.create(&job("checkout"), 1).await.unwrap();
    for op in [Op::Set, Op::List] {
        case.stall(op, When::Before).await;
        let waiting = Duration::from_millis(200);
        let abandoned = match op {
            Op::Set => tokio::time::timeout(waiting, desk.set(&job("checkout"), 2))
                .await
                .is_err(),
            _ => tokio::time::timeout(waiting, desk.try_list()).await.is_err(),
        };
        assert!(abandoned, "{op:?}");
        case.calm().await;
        assert!(desk.get("checkout").await.is_some());
    }
    // By SQL, the server still holds the role for as long as it takes it to notice.
    let mut result = desk.set(&job("checkout"), 3).await;
    for _ in 0..5 {
        if matches!(&result, Err(error) if error.class == ErrorClass::Busy) {
            result = desk.set(&job("checkout"), 3).await;
        }
    }
    result.unwrap();
    // What was abandoned is as if its outcome were unknown: it may still have come first, and not after.
    case.only("checkout", 3, &[1]).await;
}
