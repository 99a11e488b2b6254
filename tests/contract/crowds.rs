//! Many calls of one client at once.

use futures::future::join_all;
use pguser_operator::provider::ErrorClass;

use crate::case::{Case, job, password};
use crate::tests;

tests! {
    many_calls_at_once_do_not_get_in_each_others_way,
    of_many_creates_of_one_name_one_succeeds,
    many_clients_at_once_do_not_get_in_each_others_way,
}

const MANY: u32 = 12;

async fn many_calls_at_once_do_not_get_in_each_others_way(case: &Case) {
    let desk = case.desk();
    let name = |n: u32| format!("worker-{n}");
    let lives = (0..MANY).map(async |n| {
        desk.create(&job(&name(n)), n).await.unwrap();
        assert!(desk.get(&name(n)).await.is_some());
        desk.set(&job(&name(n)), n + 100).await.unwrap();
        desk.list().await;
        if n % 3 == 0 {
            desk.delete(&job(&name(n))).await.unwrap();
        }
    });
    join_all(lives).await;
    for n in 0..MANY {
        match n % 3 {
            0 => assert!(!case.exists(&name(n)).await),
            _ => case.only(&name(n), n + 100, &[n]).await,
        }
    }
}

async fn of_many_creates_of_one_name_one_succeeds(case: &Case) {
    let (one, other) = (case.desk(), case.desk());
    let wanted = job("checkout");
    let tries = (0..6).map(|n| if n % 2 == 0 { &one } else { &other }.create(&wanted, n));
    let results = join_all(tries).await;
    let made: Vec<_> = (0..).zip(&results).filter(|(_, result)| result.is_ok()).collect();
    assert_eq!(made.len(), 1, "{results:?}");
    for result in &results {
        if let Err(error) = result {
            let busy = case.subject.is_sql() && error.class == ErrorClass::Busy;
            assert!(busy || case.subject.taken().contains(&error.class), "{error}");
        }
    }
    assert!(case.logs_in("checkout", &password(made[0].0)).await);
}

async fn many_clients_at_once_do_not_get_in_each_others_way(case: &Case) {
    let lives = (0..MANY).map(async |n| {
        let (desk, wanted) = (case.desk(), job(&format!("worker-{n}")));
        desk.create(&wanted, n).await.unwrap();
        // By SQL, two transactions may meet at the same rows of the catalogs; the loser is told so, and tries again.
        let mut result = desk.delete(&wanted).await;
        while matches!(&result, Err(error) if error.class == ErrorClass::Busy) {
            result = desk.delete(&wanted).await;
        }
        result.unwrap();
    });
    join_all(lives).await;
    for n in 0..MANY {
        assert!(!case.exists(&format!("worker-{n}")).await);
    }
}
