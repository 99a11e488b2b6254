//! What this API sends: the schemas of its OpenAPI document.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use uuid::Uuid;

use super::input::Page;
use crate::{
    cli::Cli,
    clock,
    roles::{Origin, User},
    switches::{self, Switches},
};

/// Everything but the characters that RFC 3986 leaves unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// One segment of a path, escaped. Clients resolve `.` and `..`, so the dots of a user of such a name are escaped, too.
pub fn escape(segment: &str) -> String {
    match segment {
        "." | ".." => segment.replace('.', "%2E"),
        _ => utf8_percent_encode(segment, SEGMENT).to_string(),
    }
}

/// Where resources live: for links and ids.
pub struct Place<'a> {
    /// Scheme, host and base path.
    pub base_url: &'a str,
    /// The command line.
    pub cli: &'a Cli,
    /// The switches.
    pub switches: &'a Switches,
}

/// The metadata of a resource.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    created_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by_user_id: Option<String>,
    created_date: String,
    last_modified_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified_by_user_id: Option<String>,
    last_modified_date: String,
    #[serde(rename = "resourceURN")]
    resource_urn: String,
    /// Clusters alone have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<super::State>,
}

/// A resource.
#[derive(Debug, Serialize)]
pub struct Resource<P> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    href: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata>,
    properties: P,
}

/// The properties of a user that are ever sent; the password is not among them.
#[derive(Debug, Serialize)]
pub struct UserProperties {
    username: String,
    system: bool,
}

/// The properties of a database.
#[derive(Debug, Serialize)]
pub struct DatabaseProperties {
    /// Its name.
    pub name: String,
    /// The role that owns it.
    pub owner: String,
}

/// Links to pages.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Links {
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<String>,
    #[serde(rename = "self")]
    this: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub struct List<I> {
    offset: usize,
    limit: usize,
    #[serde(rename = "_links", skip_serializing_if = "Option::is_none")]
    links: Option<Links>,
    /// What `_links` is called in lists of clusters.
    #[serde(rename = "links", skip_serializing_if = "Option::is_none")]
    old_links: Option<Links>,
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    href: String,
    items: Vec<I>,
}

impl<I> List<I> {
    /// The same page with its links under the name that lists of clusters have.
    pub fn with_old_links(mut self) -> Self {
        self.old_links = self.links.take();
        self
    }
}

impl Place<'_> {
    fn cluster_path(&self) -> String {
        format!("clusters/{}", escape(&self.cli.cluster_id))
    }

    /// The absolute URL of a collection of the cluster.
    pub fn collection_href(&self, collection: &str) -> String {
        format!("{}/{}/{collection}", self.base_url, self.cluster_path())
    }

    /// The time as the API writes it.
    pub fn time(&self, ms: i64) -> String {
        clock::timestamp(ms, self.switches.is(&switches::TIMESTAMPS, "millis"))
    }

    fn urn(&self, path: &str) -> String {
        let location = self.cli.location.replace('/', "-");
        format!("ionos:postgresql:{location}:{}:{path}", self.cli.contract)
    }

    fn metadata(&self, path: &str, created: (i64, Author<'_>), modified: (i64, Author<'_>)) -> Metadata {
        Metadata {
            created_by: created.1.urn(),
            created_by_user_id: created.1.id(),
            created_date: self.time(created.0),
            last_modified_by: modified.1.urn(),
            last_modified_by_user_id: modified.1.id(),
            last_modified_date: self.time(modified.0),
            resource_urn: self.urn(path),
            state: None,
        }
    }

    fn user_resource(
        &self,
        name: &str,
        system: bool,
        metadata: Option<Metadata>,
    ) -> Resource<UserProperties> {
        Resource {
            kind: "user",
            id: stable_id(&format!("{}/users/{name}", self.cluster_path())),
            href: format!("{}/{}", self.collection_href("users"), escape(name)),
            metadata,
            properties: UserProperties {
                username: name.to_owned(),
                system,
            },
        }
    }

    /// A user.
    pub fn user(&self, user: &User) -> Resource<UserProperties> {
        let creator = match (user.origin, &user.created_by) {
            (Origin::Api, Some(id)) => Author::Account(id),
            _ => Author::Unmanaged,
        };
        let modifier = user
            .modified_by
            .as_deref()
            .map_or(Author::Unmanaged, Author::Account);
        let metadata = self.switches.is(&switches::METADATA, "full").then(|| {
            let path = format!("clusters/{}/users/{}", self.cli.cluster_id, user.name);
            self.metadata(&path, (user.created_ms, creator), (user.modified_ms, modifier))
        });
        self.user_resource(&user.name, false, metadata)
    }

    /// A system user.
    pub fn system_user(&self, name: &str, born_ms: i64) -> Resource<UserProperties> {
        let metadata = self.switches.is(&switches::METADATA, "full").then(|| {
            let path = format!("clusters/{}/users/{name}", self.cli.cluster_id);
            self.metadata(&path, (born_ms, Author::System), (born_ms, Author::System))
        });
        self.user_resource(name, true, metadata)
    }

    /// A database.
    pub fn database(&self, name: &str, owner: &str, born_ms: i64) -> Resource<DatabaseProperties> {
        let path = format!("clusters/{}/databases/{name}", self.cli.cluster_id);
        Resource {
            kind: "database",
            id: stable_id(&format!("{}/databases/{name}", self.cluster_path())),
            href: format!("{}/{}", self.collection_href("databases"), escape(name)),
            metadata: Some(self.metadata(&path, (born_ms, Author::System), (born_ms, Author::System))),
            properties: DatabaseProperties {
                name: name.to_owned(),
                owner: owner.to_owned(),
            },
        }
    }

    /// The cluster.
    pub fn cluster<P>(&self, born_ms: i64, state: super::State, properties: P) -> Resource<P> {
        let owner = crate::auth::caller_id("owner");
        let path = format!("clusters/{}", self.cli.cluster_id);
        let author = Author::Account(&owner);
        let mut metadata = self.metadata(&path, (born_ms, author), (born_ms, author));
        metadata.state = Some(state);
        Resource {
            kind: "cluster",
            id: self.cli.cluster_id.clone(),
            href: format!("{}/{}", self.base_url, self.cluster_path()),
            metadata: Some(metadata),
            properties,
        }
    }
}

/// Who did something.
#[derive(Clone, Copy)]
enum Author<'a> {
    Account(&'a str),
    Unmanaged,
    System,
}

impl Author<'_> {
    fn urn(self) -> String {
        let who = match self {
            Author::Account(id) => id,
            Author::Unmanaged => "_unmanaged_",
            Author::System => "_system_",
        };
        format!("ionos:iam:cloud::users/{who}")
    }

    fn id(self) -> Option<String> {
        match self {
            Author::Account(id) => Some(id.to_owned()),
            Author::Unmanaged | Author::System => None,
        }
    }
}

/// An id that depends on nothing but the name, as the vendor's do: the same after delete and create.
fn stable_id(path: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, path.as_bytes()).to_string()
}

/// The page of a list that was asked for, out of all items.
pub fn list<T, I>(items: &[T], page: &Page, href: String, item: impl Fn(&T) -> I) -> List<I> {
    let shown = items.iter().skip(page.offset).take(page.limit);
    List {
        offset: page.offset,
        limit: page.limit,
        links: Some(links(&href, page, items.len())),
        old_links: None,
        kind: "collection",
        id: stable_id(href.split_once("/clusters").map_or("", |(_, rest)| rest)),
        items: shown.map(item).collect(),
        href,
    }
}

fn links(href: &str, page: &Page, total: usize) -> Links {
    let system = page
        .system
        .map(|system| format!("&system={system}"))
        .unwrap_or_default();
    let at = |offset: usize| format!("{href}?offset={offset}&limit={}{system}", page.limit);
    let next = page.offset.saturating_add(page.limit);
    Links {
        prev: (page.offset > 0).then(|| at(page.offset.saturating_sub(page.limit))),
        this: at(page.offset),
        next: (next < total).then(|| at(next)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_say_where_there_is_more() {
        let of = |offset, limit, total| {
            links(
                "http://h/u",
                &Page {
                    limit,
                    offset,
                    system: Some(true),
                },
                total,
            )
        };
        let whole = of(0, 100, 100);
        assert_eq!((whole.prev, whole.next), (None, None));
        let middle = of(5, 10, 16);
        assert_eq!(
            middle.prev.as_deref(),
            Some("http://h/u?offset=0&limit=10&system=true")
        );
        assert_eq!(middle.this, "http://h/u?offset=5&limit=10&system=true");
        assert_eq!(
            middle.next.as_deref(),
            Some("http://h/u?offset=15&limit=10&system=true")
        );
        let beyond = of(500, 10, 16);
        assert!(beyond.prev.is_some() && beyond.next.is_none());
    }

    #[test]
    fn a_username_is_one_segment() {
        assert_eq!(escape("we ird/na%me 🐘"), "we%20ird%2Fna%25me%20%F0%9F%90%98");
        assert_eq!(
            (escape(".."), escape("a.b")),
            ("%2E%2E".to_owned(), "a.b".to_owned())
        );
    }

    #[test]
    fn ids_are_stable_version_5() {
        assert_eq!(stable_id("a"), stable_id("a"));
        assert_eq!(stable_id("a").chars().nth(14), Some('5'));
    }
}
