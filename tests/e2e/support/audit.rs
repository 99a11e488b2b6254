//! The API server's audit log: who did what. It is how writes are counted, as what an operator says of itself
//! proves nothing.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::PathBuf,
    sync::Mutex,
};

use serde::Deserialize;

use super::Outcome;

const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// A request that the API server has answered.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// Its user: of a ServiceAccount, `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    /// Its User-Agent header.
    pub user_agent: String,
    /// What it did.
    pub verb: String,
    /// The resource, with a subresource after a slash: `postgresusers/status`.
    pub resource: String,
    /// The namespace; empty for what is in none.
    pub namespace: String,
    /// The object's name; empty for lists.
    pub name: String,
    /// The status that was answered.
    pub code: u16,
}

impl AuditEvent {
    /// Whether it would change something, granted or not.
    pub fn is_write(&self) -> bool {
        WRITES.contains(&self.verb.as_str())
    }

    /// Whether it is of the kinds that come and go by themselves: leases are renewed, events are remarks.
    pub fn is_noise(&self) -> bool {
        matches!(self.resource.as_str(), "leases" | "events")
    }
}

/// How often what was done: by verb and resource.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally(pub BTreeMap<(String, String), usize>);

impl Tally {
    /// Counts events.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a AuditEvent>) -> Tally {
        let mut tally = Tally::default();
        for event in events {
            *tally
                .0
                .entry((event.verb.clone(), event.resource.clone()))
                .or_default() += 1;
        }
        tally
    }

    /// How many in all.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// How many of one kind.
    pub fn count(&self, verb: &str, resource: &str) -> usize {
        self.0
            .get(&(verb.to_owned(), resource.to_owned()))
            .copied()
            .unwrap_or(0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((verb, resource), count) in &self.0 {
            writeln!(f, "{count:6} {verb} {resource}")?;
        }
        Ok(())
    }
}

/// The log's file, read once and remembered.
pub struct AuditLog {
    file: PathBuf,
    read: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    offset: u64,
    events: Vec<AuditEvent>,
}

/// A place in the log.
#[derive(Debug, Clone, Copy)]
pub struct Mark(usize);

impl AuditLog {
    /// A log that is, or will be, in a file.
    pub fn new(file: PathBuf) -> AuditLog {
        AuditLog {
            file,
            read: Mutex::default(),
        }
    }

    /// All of it, as it is written.
    pub fn text(&self) -> Outcome<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.file)?).into_owned())
    }

    /// The end of the log as it is now, to count from.
    pub fn mark(&self) -> Outcome<Mark> {
        let mut seen = self.read.lock().unwrap();
        self.catch_up(&mut seen)?;
        Ok(Mark(seen.events.len()))
    }

    /// What a user has done, from a place in the log on.
    pub fn since(&self, mark: Mark, user: &str) -> Outcome<Vec<AuditEvent>> {
        let mut seen = self.read.lock().unwrap();
        self.catch_up(&mut seen)?;
        let events = seen.events[mark.0..].iter().filter(|event| event.user == user);
        Ok(events.cloned().collect())
    }

    /// What a user has written, leases and events left out, from a place in the log on.
    pub fn writes_since(&self, mark: Mark, user: &str) -> Outcome<Vec<AuditEvent>> {
        let mut events = self.since(mark, user)?;
        events.retain(|event| event.is_write() && !event.is_noise());
        Ok(events)
    }

    /// Reads what was added. A request is in the log before it is answered, so whoever has an answer finds it.
    fn catch_up(&self, seen: &mut Seen) -> Outcome {
        let mut file = File::open(&self.file)?;
        file.seek(SeekFrom::Start(seen.offset))?;
        let mut added = Vec::new();
        file.read_to_end(&mut added)?;
        let complete = added
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        for line in added[..complete]
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let record: Record = serde_json::from_slice(line)?;
            if record.stage != "ResponseStarted" {
                seen.events.push(record.into());
            }
        }
        seen.offset += complete as u64;
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    stage: String,
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize, Default)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

impl From<Record> for AuditEvent {
    fn from(record: Record) -> Self {
        let object = record.object_ref;
        let subresource = match object.subresource.as_str() {
            "" => String::new(),
            name => format!("/{name}"),
        };
        AuditEvent {
            user: record.user.username,
            user_agent: record.user_agent,
            verb: record.verb,
            resource: object.resource + &subresource,
            namespace: object.namespace,
            name: object.name,
            code: record.response_status.code,
        }
    }
}
