//! The operator's journals, read by administrators. What is in them is shown without the passwords.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::ListParams;

use super::cluster::Cluster;
use super::failure::{Asked, Failure};
use crate::api::names;
use crate::controller::journal_store;
use crate::domain::journal::Entry;

/// An entry of a journal.
pub struct Listed {
    /// The server object whose journal it is.
    pub server: String,
    /// The entry.
    pub entry: Entry,
}

/// All journals of an operator.
pub struct Journals {
    /// What is not settled.
    pub entries: Vec<Listed>,
    /// How many journals there are.
    pub count: usize,
    /// Entries that a newer operator has written, and this program cannot read.
    pub unknown: usize,
}

/// Reads all journals of the operator's namespace.
pub async fn read(cluster: &Cluster, namespace: &str) -> Result<Journals, Failure> {
    let asked = Asked {
        verb: "list",
        resource: "secrets",
        namespace: Some(namespace),
        name: None,
    };
    let params = ListParams::default().labels(&format!("{}=journal", names::COMPONENT));
    let list = cluster.secrets(namespace).list(&params).await;
    let list = list.map_err(|error| asked.failed(&error))?;
    let mut journals = Journals {
        entries: Vec::new(),
        count: list.len(),
        unknown: 0,
    };
    for secret in &list {
        add(&mut journals, secret)?;
    }
    Ok(journals)
}

fn add(journals: &mut Journals, secret: &Secret) -> Result<(), Failure> {
    let journal = journal_store::parse(secret)
        .map_err(|error| Failure::Other(format!("read the journal {}: {error}", secret.name_any())))?;
    let server = secret
        .annotations()
        .get(names::JOURNAL_SERVER)
        .cloned()
        .unwrap_or_default();
    journals.unknown += journal.unknown.len();
    let entries = journal.entries.values();
    journals.entries.extend(entries.map(|entry| Listed {
        server: server.clone(),
        entry: Entry::clone(entry),
    }));
    Ok(())
}
