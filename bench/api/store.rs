//! The users of the bare API, each kept as the text that is sent for it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use jiff::Timestamp;

/// Who the API says has made a user.
const ACCOUNT: &str = "f719718d-8042-4af5-9b8d-7b0d4ef4b5b0";

struct User {
    created: String,
    text: String,
    password: String,
    /// When it is no longer shown, once it was deleted.
    until: Option<Instant>,
}

/// All users, by name.
pub struct Store {
    cluster: String,
    users: BTreeMap<String, User>,
    made: Vec<String>,
}

impl Store {
    /// The users of a cluster with this URL: the system's own.
    pub fn new(cluster: String) -> Store {
        let mut store = Store {
            cluster,
            users: BTreeMap::new(),
            made: Vec::new(),
        };
        let text = store.text(
            "postgres",
            "_system_",
            "2020-01-01T00:00:00Z",
            "2020-01-01T00:00:00Z",
        );
        let postgres = User {
            created: "2020-01-01T00:00:00Z".to_owned(),
            text,
            password: String::new(),
            until: None,
        };
        store.users.insert("postgres".to_owned(), postgres);
        store
    }

    /// Makes a user, unless there is one of that name.
    pub fn create(&mut self, name: &str, password: &str, milliseconds: bool) -> Option<&str> {
        self.expire();
        if self.users.contains_key(name) {
            return None;
        }
        let now = date(milliseconds);
        let user = User {
            text: self.text(name, ACCOUNT, &now, &now),
            created: now,
            password: password.to_owned(),
            until: None,
        };
        self.users.insert(name.to_owned(), user);
        self.made.push(name.to_owned());
        self.get(name)
    }

    /// Who was made, in this order.
    pub fn made(&self) -> &[String] {
        &self.made
    }

    /// Gives a user another password.
    pub fn change(&mut self, name: &str, password: &str, milliseconds: bool) -> Option<&str> {
        let created = self
            .users
            .get(name)
            .filter(|user| user.until.is_none())?
            .created
            .clone();
        let text = self.text(name, ACCOUNT, &created, &date(milliseconds));
        let user = self.users.get_mut(name)?;
        (user.text, user.password) = (text, password.to_owned());
        self.get(name)
    }

    /// The password that a user was given last.
    pub fn password(&self, name: &str) -> Option<&str> {
        self.users.get(name).map(|user| user.password.as_str())
    }

    /// Deletes a user, which is shown for a while yet. Whether there was one.
    pub fn delete(&mut self, name: &str, lingering: Duration) -> bool {
        match self.users.get_mut(name) {
            None => return false,
            Some(user) => user.until = Some(Instant::now() + lingering),
        }
        self.expire();
        true
    }

    /// A user, as it is sent.
    pub fn get(&mut self, name: &str) -> Option<&str> {
        self.expire_one(name);
        self.users.get(name).map(|user| user.text.as_str())
    }

    /// A page of users, as it is sent.
    pub fn page(&mut self, offset: usize, limit: usize) -> String {
        self.expire();
        let cluster = &self.cluster;
        let texts = self
            .users
            .values()
            .skip(offset)
            .take(limit)
            .map(|user| user.text.as_str());
        let texts: Vec<&str> = texts.collect();
        let link = |offset: usize| format!("\"{cluster}/users?limit={limit}&offset={offset}\"");
        let mut links = format!("\"self\":{}", link(offset));
        if offset + limit < self.users.len() {
            links += &format!(",\"next\":{}", link(offset + limit));
        }
        if offset > 0 {
            links += &format!(",\"prev\":{}", link(offset.saturating_sub(limit)));
        }
        format!(
            "{{\"type\":\"collection\",\"id\":\"users\",\"href\":\"{cluster}/users\",\"offset\":{offset},\"limit\":{limit},\
             \"_links\":{{{links}}},\"items\":[{}]}}",
            texts.join(",")
        )
    }

    fn expire(&mut self) {
        let now = Instant::now();
        self.users
            .retain(|_, user| user.until.is_none_or(|until| now < until));
    }

    fn expire_one(&mut self, name: &str) {
        let is_over = |user: &User| user.until.is_some_and(|until| Instant::now() >= until);
        if self.users.get(name).is_some_and(is_over) {
            self.users.remove(name);
        }
    }

    /// Names are those of the bench, which need no escaping.
    fn text(&self, name: &str, author: &str, created: &str, modified: &str) -> String {
        let Store { cluster, .. } = self;
        let system = author == "_system_";
        format!(
            "{{\"type\":\"user\",\"id\":\"{name}\",\"href\":\"{cluster}/users/{name}\",\"metadata\":{{\"createdBy\":\
             \"ionos:iam:cloud::users/{author}\",\"createdByUserId\":\"{author}\",\"createdDate\":\"{created}\",\
             \"lastModifiedBy\":\"ionos:iam:cloud::users/{author}\",\"lastModifiedByUserId\":\"{author}\",\
             \"lastModifiedDate\":\"{modified}\",\"resourceURN\":\"ionos:dbaas:postgresql::users/{name}\"}},\
             \"properties\":{{\"username\":\"{name}\",\"system\":{system}}}}}"
        )
    }
}

/// Now, in whole seconds or with three digits more.
fn date(milliseconds: bool) -> String {
    let precision = if milliseconds { 3 } else { 0 };
    format!("{:.precision$}", Timestamp::now())
}
