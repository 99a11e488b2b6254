//! The store against an API server that loses, delays and refuses.

mod api_server;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tokio::time::{sleep, timeout};

use api_server::{ApiServer, Write};

use super::writer::Writer;
use super::*;
use crate::domain::journal::{Cause, Kind, Owner, Seen};
use crate::domain::password::Password;
use crate::provider::gate::Gate;

const PATIENCE: Duration = Duration::from_secs(20);

fn place(server: &ApiServer, holder: &str) -> JournalLocation {
    JournalLocation {
        secrets: Objects::of(server.client(), "pguser-system"),
        name: "journal".into(),
        annotations: BTreeMap::new(),
        holder: holder.into(),
    }
}

async fn open_as(server: &ApiServer, holder: &str, fatal: &Fatal) -> JournalStore {
    let raised = fatal.clone();
    let opened = JournalStore::open(
        place(server, holder),
        ProtocolTimings::default(),
        Gate::closed(),
        fatal.clone(),
        Arc::new(move || raised.raise("another process has taken over the journal")),
    );
    opened.await.unwrap()
}

async fn open(server: &ApiServer) -> JournalStore {
    open_as(server, "a", &Fatal::new()).await
}

fn entry(uid: &str, password: &str) -> Entry {
    Entry {
        id: EntryId(0),
        owner: Owner {
            namespace: "shop".into(),
            name: uid.into(),
            uid: uid.into(),
        },
        username: uid.into(),
        kind: Kind::Create,
        cause: Cause::Missing,
        password: Some(Password::new(password)),
        seen: Seen::default(),
        proven_ours: false,
        settings: Default::default(),
        retain: false,
        epoch: 0,
    }
}

fn stage(uid: &str, password: &str) -> JournalChange {
    JournalChange::Stage {
        entry: Box::new(entry(uid, password)),
        replaces: None,
    }
}

/// Uids and passwords of a journal.
fn content(journal: &Journal) -> Vec<(String, String)> {
    let text = |entry: &Arc<Entry>| {
        let password = entry.password.as_ref().map(|it| it.reveal().to_string());
        (entry.owner.uid.clone(), password.unwrap_or_default())
    };
    journal.entries.values().map(text).collect()
}

/// What is in memory, which is what would be sent, is what is stored.
fn assert_same(store: &JournalStore, server: &ApiServer) {
    let in_memory = store.view(|journal, _| content(journal.unwrap()));
    assert_eq!(in_memory, content(&server.state().journal()));
}

fn tokens(server: &ApiServer) -> Vec<String> {
    let token = |body: &Vec<u8>| {
        let secret: Secret = serde_json::from_slice(body).unwrap();
        parse(&secret).unwrap().header.token
    };
    server.state().sent.iter().map(token).collect()
}

#[tokio::test]
async fn what_would_be_sent_is_what_is_stored_though_answers_and_reads_are_lost() {
    let server = ApiServer::default();
    let store = open(&server).await;
    store.commit(JournalChange::Touch).await.unwrap();
    server.state().writes.push_back(Write::AnswerLost);
    server.state().failing_reads = 2;
    // Whoever waits for the first gives up, and decides anew.
    let first = timeout(Duration::from_millis(150), store.commit(stage("u", "first"))).await;
    let second = timeout(PATIENCE, store.commit(stage("u", "second")))
        .await
        .unwrap();
    assert_same(&store, &server);
    assert!(first.is_err(), "{first:?}");
    assert_eq!(second, Err(JournalError::Outdated));
    assert_eq!(
        content(&server.state().journal()),
        [("u".to_string(), "first".to_string())]
    );
}

#[tokio::test]
async fn a_write_that_arrives_after_a_read_showed_what_was_there_before_is_found() {
    let server = ApiServer::default();
    let store = open(&server).await;
    store.commit(JournalChange::Touch).await.unwrap();
    server.state().writes.push_back(Write::Late);
    let id = timeout(PATIENCE, store.commit(stage("u", "p")))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(id, Some(EntryId(1)));
    assert_same(&store, &server);
    let sent = server.state().sent.clone();
    assert_eq!(sent[1], sent[2], "the very same write");
}

#[tokio::test]
async fn nothing_is_built_on_a_write_of_which_nothing_is_known() {
    let server = ApiServer::default();
    let store = open(&server).await;
    store.commit(JournalChange::Touch).await.unwrap();
    server.state().writes.extend([Write::Lost; 3]);
    server.state().failing_reads = 2;
    let others = async {
        // Writes are 150 ms apart: the first is under way by then.
        sleep(Duration::from_millis(225)).await;
        store.commit(stage("v", "q")).await
    };
    let (one, other) = timeout(
        PATIENCE,
        futures::future::join(store.commit(stage("u", "p")), others),
    )
    .await
    .unwrap();
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    let tokens = tokens(&server);
    let repeated = &tokens[1..5];
    assert!(repeated.iter().all(|token| *token == repeated[0]), "{tokens:?}");
    assert_eq!(tokens.len(), 6, "{tokens:?}");
    assert_same(&store, &server);
}

#[tokio::test]
async fn what_was_decided_before_another_process_wrote_is_decided_anew() {
    let server = ApiServer::default();
    let former = open_as(&server, "b", &Fatal::new()).await;
    former.commit(JournalChange::Touch).await.unwrap();
    let fatal = Fatal::new();
    let store = open_as(&server, "a", &fatal).await;
    former.commit(stage("u", "theirs")).await.unwrap();
    let refused = store.commit(stage("v", "ours")).await;
    assert_eq!(refused, Err(JournalError::Outdated));
    store.commit(JournalChange::Touch).await.unwrap();
    assert_same(&store, &server);
    let inherited = store.view(|_, term| term.unwrap().inherited.len());
    assert_eq!((inherited, server.state().journal().header.epoch), (1, 2));
}

#[tokio::test]
async fn another_epoch_ends_the_process() {
    let server = ApiServer::default();
    let fatal = Fatal::new();
    let former = open_as(&server, "b", &fatal).await;
    former.commit(stage("u", "p")).await.unwrap();
    let _leader = open(&server).await;
    let late = former.commit(stage("v", "q")).await;
    assert_eq!(late, Err(JournalError::Replaced));
    assert!(fatal.raised().await.contains("taken over"));
    assert_eq!(server.state().journal().entries.len(), 1);
}

#[tokio::test]
async fn a_journal_that_was_lost_is_written_to_no_more_though_the_process_goes_on() {
    let server = ApiServer::default();
    let (gate, lost) = (Gate::closed(), Arc::new(AtomicUsize::new(0)));
    let counted = lost.clone();
    let opened = JournalStore::open(
        place(&server, "b"),
        ProtocolTimings::default(),
        gate.clone(),
        Fatal::new(),
        Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        }),
    );
    let former = opened.await.unwrap();
    former.commit(stage("u", "p")).await.unwrap();
    assert!(gate.is_open());
    let leader = open(&server).await;
    let written = server.state().journal();
    for change in [
        stage("v", "q"),
        JournalChange::Touch,
        JournalChange::Settle(EntryId(1)),
    ] {
        assert_eq!(former.commit(change).await, Err(JournalError::Replaced));
        assert!(!gate.is_open(), "something could be sent");
    }
    assert_eq!(lost.load(Ordering::Relaxed), 3);
    assert_eq!(server.state().journal(), written);
    leader.commit(JournalChange::Touch).await.unwrap();
}

#[tokio::test]
async fn a_person_who_touches_or_deletes_the_secret_changes_nothing() {
    let server = ApiServer::default();
    let store = open(&server).await;
    store.commit(stage("u", "p")).await.unwrap();
    let mut touched = server.state().secret.clone().unwrap();
    touched["metadata"]["annotations"] = json!({"seen-by": "somebody"});
    server.state().replace(touched.clone());
    store.commit(stage("v", "q")).await.unwrap();
    assert_same(&store, &server);
    // Put back as it was earlier: what is in memory is newer.
    server.state().replace(touched);
    store.commit(JournalChange::Touch).await.unwrap();
    assert_same(&store, &server);
    server.state().secret = None;
    store.commit(stage("w", "r")).await.unwrap();
    assert_eq!(server.state().journal().entries.len(), 3);
    assert_same(&store, &server);
}

#[tokio::test]
async fn a_batch_that_is_refused_whole_is_not_written_and_a_touch_is() {
    let server = ApiServer::default();
    let store = open(&server).await;
    store.commit(stage("u", "p")).await.unwrap();
    let writes = server.state().sent.len();
    let refused = join_all((0..5).map(|_| store.commit(stage("u", "again")))).await;
    assert!(refused.iter().all(Result::is_err), "{refused:?}");
    assert_eq!(server.state().sent.len(), writes);
    store.commit(JournalChange::Touch).await.unwrap();
    assert_eq!(server.state().sent.len(), writes + 1);
}

#[tokio::test]
async fn what_never_fits_is_told_apart_and_holds_nobody_up() {
    let server = ApiServer::default();
    let store = open(&server).await;
    let mut huge = entry("u", "p");
    huge.cause = Cause::Rotation("x".repeat(300_000));
    let change = JournalChange::Stage {
        entry: Box::new(huge),
        replaces: None,
    };
    let (huge, other) = futures::future::join(store.commit(change), store.commit(stage("v", "q"))).await;
    let why = huge.unwrap_err();
    assert!(matches!(why, JournalError::TooLarge(_)), "{why}");
    assert!(why.to_string().contains("pguser.dev/rotate"), "{why}");
    assert!(other.is_ok());
    assert_same(&store, &server);
}

#[tokio::test]
async fn what_waits_is_written_together() {
    let server = ApiServer::default();
    let store = open(&server).await;
    let ids = join_all((0..500).map(|n| {
        let store = store.clone();
        async move { store.commit(stage(&format!("u{n}"), "p")).await.unwrap().unwrap() }
    }))
    .await;
    assert_eq!(server.state().sent.len(), 1);
    join_all(ids.into_iter().map(|id| store.commit(JournalChange::Settle(id)))).await;
    assert_eq!(server.state().sent.len(), 2);
    assert_eq!(server.state().journal().entries.len(), 0);
}

#[tokio::test]
async fn writes_in_a_row_are_further_and_further_apart() {
    let server = ApiServer::default();
    let store = open(&server).await;
    let started = tokio::time::Instant::now();
    let mut at = Vec::new();
    for _ in 0..8 {
        store.commit(JournalChange::Touch).await.unwrap();
        at.push(started.elapsed());
    }
    // 10, 20, 40, 80, and then 150 ms each.
    assert!(at[7] >= Duration::from_millis(590), "{at:?}");
    assert!(at[7] - at[5] > at[2] - at[0], "{at:?}");
}

#[tokio::test]
async fn a_refusal_is_told_at_once_and_is_no_end() {
    let server = ApiServer::default();
    let store = open(&server).await;
    server.state().writes.push_back(Write::Refused(403));
    let refused = store.commit(stage("u", "p")).await;
    assert!(
        matches!(&refused, Err(JournalError::Refused(words)) if words.contains("403 Forbidden")),
        "{refused:?}"
    );
    // Whoever reports the server object finds it, until a write goes through.
    assert!(
        store
            .refusal()
            .is_some_and(|words| words.contains("403 Forbidden"))
    );
    store.commit(stage("u", "q")).await.unwrap();
    assert_eq!(store.refusal(), None);
    assert_same(&store, &server);
}

#[tokio::test]
async fn entries_are_found_by_whose_they_are_and_by_login() {
    let server = ApiServer::default();
    let store = open(&server).await;
    let id = store.commit(stage("u", "p")).await.unwrap().unwrap();
    let (found, term) = store.entry_of("u").unwrap();
    assert_eq!((found.id, term.unwrap().epoch), (id, 1));
    assert_eq!(store.entries_for("u").len(), 1);
    let next = JournalChange::Stage {
        entry: Box::new(entry("successor", "q")),
        replaces: Some(id),
    };
    store.commit(next).await.unwrap();
    assert!(store.entry_of("u").is_none() && store.entries_for("u").is_empty());
    store.commit(JournalChange::Settle(EntryId(2))).await.unwrap();
    assert!(store.entry_of("successor").is_none());
}

#[tokio::test]
async fn a_writer_that_ends_unexpectedly_ends_the_process_and_leaves_nobody_waiting() {
    let server = ApiServer::default();
    server.state().writes.push_back(Write::Lost);
    let (state, fatal) = (Arc::new(Mutex::new(KnownJournal::default())), Fatal::new());
    let (changes, waiting) = mpsc::unbounded_channel();
    let writer = Writer {
        on_loss: Arc::new(|| {}),
        place: place(&server, "a"),
        timings: ProtocolTimings::default(),
        gate: Gate::closed(),
        state: state.clone(),
        fatal: fatal.clone(),
    };
    let task = tokio::spawn(writer.guarded(waiting));
    let store = JournalStore {
        state,
        changes,
        gate: Gate::closed(),
    };
    let waits = tokio::spawn({
        let store = store.clone();
        async move { store.commit(stage("u", "p")).await }
    });
    sleep(Duration::from_millis(50)).await;
    task.abort();
    assert_eq!(
        timeout(PATIENCE, waits).await.unwrap().unwrap(),
        Err(JournalError::Closed)
    );
    assert!(fatal.raised().await.contains("unexpectedly"));
}
