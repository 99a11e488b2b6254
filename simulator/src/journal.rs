//! The journal: what was asked and what was committed, and never a secret.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::{api::Api, route::RouteName};

/// How many requests the journal remembers; the oldest go first.
const CAPACITY: usize = 200_000;

/// One request.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its place in the order of arrival, from 1.
    pub seq: u64,
    /// When it arrived, by this machine's clock.
    pub time: String,
    /// The API.
    pub api: Api,
    /// The route.
    pub route: RouteName,
    /// The HTTP method.
    pub method: String,
    /// The Host header.
    pub host: Option<String>,
    /// The path, escaped as it was received.
    pub path: String,
    /// The query as it was received, if there was one.
    pub query: Option<String>,
    /// The status that was answered; `None` where the connection was dropped or the answer is not out yet.
    pub status: Option<u16>,
    /// Whether the request is through (a dropped one with a late commit: whether that has happened).
    pub done: bool,
    /// Whether it changed a user.
    pub committed: bool,
    /// The user that it is about, from path or body.
    pub username: Option<String>,
    /// The kind of credentials: `basic`, `bearer` or `none`.
    pub authorization: &'static str,
    /// A keyed fingerprint of the token or password among them.
    pub credential_hash: Option<String>,
    /// A keyed fingerprint of the password in the body, or of one that was generated: equal passwords have equal fingerprints.
    pub password_hash: Option<String>,
    /// The User-Agent header.
    pub user_agent: Option<String>,
    /// The Content-Type header.
    pub content_type: Option<String>,
    /// The faults that struck it.
    pub faults: Vec<u64>,
}

/// Totals of one route.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// Requests that arrived.
    pub requests: u64,
    /// Requests that changed a user.
    pub committed: u64,
    /// Answers by status, with `dropped` for those that had none.
    pub by_status: BTreeMap<String, u64>,
}

/// Entries and totals.
#[derive(Debug, Default)]
pub struct Journal {
    last_seq: u64,
    entries: VecDeque<Entry>,
    counts: BTreeMap<RouteName, Count>,
}

impl Journal {
    /// Records an arrival; the sequence number in `entry` is overwritten with the one returned.
    pub fn open(&mut self, mut entry: Entry) -> u64 {
        self.last_seq += 1;
        entry.seq = self.last_seq;
        self.counts.entry(entry.route).or_default().requests += 1;
        self.entries.push_back(entry);
        if self.entries.len() > CAPACITY {
            self.entries.pop_front();
        }
        self.last_seq
    }

    /// Records that a request changed a user, and which password it was given if the request did not say.
    pub fn commit(&mut self, seq: u64, password_hash: Option<String>) {
        let Some(entry) = self.entry(seq) else { return };
        entry.committed = true;
        if password_hash.is_some() {
            entry.password_hash = password_hash;
        }
        let route = entry.route;
        self.counts.entry(route).or_default().committed += 1;
    }

    /// Records which answer a request was given, `None` for a dropped connection.
    pub fn answered(&mut self, seq: u64, status: Option<u16>) {
        let Some(entry) = self.entry(seq) else { return };
        entry.status = status;
        let route = entry.route;
        let key = status.map_or_else(|| "dropped".to_owned(), |status| status.to_string());
        *self
            .counts
            .entry(route)
            .or_default()
            .by_status
            .entry(key)
            .or_default() += 1;
    }

    /// Records that nothing more will come of a request.
    pub fn done(&mut self, seq: u64) {
        if let Some(entry) = self.entry(seq) {
            entry.done = true;
        }
    }

    fn entry(&mut self, seq: u64) -> Option<&mut Entry> {
        let first = self.entries.front()?.seq;
        let index = usize::try_from(seq.checked_sub(first)?).ok()?;
        self.entries.get_mut(index)
    }

    /// The entries after a sequence number.
    pub fn since(&self, seq: u64) -> Vec<&Entry> {
        self.entries.iter().filter(|entry| entry.seq > seq).collect()
    }

    /// Totals by route.
    pub fn counts(&self) -> &BTreeMap<RouteName, Count> {
        &self.counts
    }

    /// Forgets entries and totals; sequence numbers go on.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.counts.clear();
    }
}
