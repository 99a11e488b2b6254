//! Lists: whole, without doubles, however many there are and whatever happens meanwhile.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use pguser_operator::provider::Listing;
use serde_json::json;

use crate::case::{Case, How, job};
use crate::subject::{Subject, without_pages};
use crate::tests;

tests! {
    three_thousand_users_are_listed_once_each,
    pages_of_any_size_make_the_same_list unless without_pages,
    users_that_stay_are_listed_while_others_come_and_go,
    pages_in_an_unstable_order_double_nobody unless without_pages,
}

/// So many logins by SQL, all at once.
async fn crowd(case: &Case, count: u32) {
    case.sql(&format!(
        "DO $$ BEGIN FOR i IN 1..{count} LOOP \
           EXECUTE format('CREATE ROLE crowd_%s LOGIN', lpad(i::text, 5, '0')); END LOOP; END $$"
    ))
    .await;
    // The simulator sees them for the first time.
    case.stage.simulator.users().await.unwrap();
}

/// How often each name is in a list.
fn names(listing: &Listing) -> BTreeMap<&str, u32> {
    let mut names = BTreeMap::new();
    for user in &listing.users {
        *names.entry(user.username.as_str()).or_default() += 1;
    }
    names
}

fn assert_no_doubles(listing: &Listing) {
    let doubles: Vec<_> = names(listing)
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .collect();
    assert!(doubles.is_empty(), "{doubles:?}");
}

fn of_the_crowd(listing: &Listing) -> BTreeSet<String> {
    let names = names(listing).into_keys();
    names
        .filter(|name| name.starts_with("crowd_"))
        .map(str::to_string)
        .collect()
}

async fn three_thousand_users_are_listed_once_each(case: &Case) {
    crowd(case, 3000).await;
    let desk = case.desk();
    desk.create(&job("checkout"), 1).await.unwrap();
    let started = Instant::now();
    let listing = desk.list().await;
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    assert_no_doubles(&listing);
    assert_eq!(of_the_crowd(&listing).len(), 3000);
    let pages = if case.subject == Subject::Ionos { 4 } else { 1 };
    assert_eq!(listing.pages, pages);
    assert!(
        listing
            .users
            .iter()
            .any(|user| case.subject.is_ours(user) && user.username == "checkout")
    );
}

async fn pages_of_any_size_make_the_same_list(case: &Case) {
    crowd(case, 60).await;
    let whole = case.desk().list().await.users;
    for page_size in [1, 7, 61, 62, 63, 64, 65, 1000] {
        let desk = case.desk_with(&How {
            page_size,
            ..How::default()
        });
        assert_eq!(desk.list().await.users, whole, "{page_size}");
    }
}

async fn users_that_stay_are_listed_while_others_come_and_go(case: &Case) {
    crowd(case, 300).await;
    let desk = case.desk_with(&How {
        page_size: 50,
        ..How::default()
    });
    // How often the others have come and gone, and whether that is enough.
    let (rounds, over) = (Cell::new(0), Cell::new(false));
    let churning = async {
        while !over.get() {
            let round = rounds.get() + 1;
            for sql in ["CREATE ROLE \"{}\" LOGIN", "DROP ROLE \"{}\""] {
                for name in [
                    format!("a-{round}"),
                    format!("crowd_00150-{round}"),
                    format!("z-{round}"),
                ] {
                    case.sql(&sql.replace("{}", &name)).await;
                }
            }
            rounds.set(round);
        }
    };
    let listing = async {
        let mut lists = 0;
        while lists < 12 || rounds.get() < 3 {
            lists += 1;
            let listing = desk.list().await;
            assert_no_doubles(&listing);
            let seen = of_the_crowd(&listing);
            for number in 1..=300 {
                let name = format!("crowd_{number:05}");
                // With offsets somebody who stays can slip between two pages, so an absence seen in more
                // than one of them has to be confirmed by a read.
                let there = seen.contains(&name) || (listing.pages > 1 && desk.get(&name).await.is_some());
                assert!(there, "{name} in {} pages", listing.pages);
            }
        }
        over.set(true);
    };
    tokio::join!(churning, listing);
}

async fn pages_in_an_unstable_order_double_nobody(case: &Case) {
    crowd(case, 100).await;
    case.switch(json!({"list-order": "unstable-between-pages"})).await;
    let desk = case.desk_with(&How {
        page_size: 30,
        ..How::default()
    });
    for _ in 0..5 {
        // A list that contradicts itself is an error, and never a short list that looks whole.
        if let Ok(listing) = desk.try_list().await {
            assert_no_doubles(&listing);
            assert!(listing.pages >= 4);
        }
    }
}
