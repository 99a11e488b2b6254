//! IONOS DBaaS PostgreSQL: its users API, version 1.
//!
//! The contract is the vendor's OpenAPI document. Where that leaves something open (what answers a duplicate
//! name, or a change while the cluster is busy), every plausible answer falls into the class that says what is
//! certain, and the planner reads before it goes on.

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod pages;
mod request;
mod wire;

use http::Method;
use zeroize::Zeroizing;

use pages::{NextPage, Pages};
use request::{authorization, codes};
use wire::{ClusterResource, RequestProperties, User, UserList, UserRequest};

use super::gate::Gate;
use super::http::{
    ANOTHER, ANSWER_CAP, Call, Http, HttpSettings, LIST_CAP, Purpose, Reply, UNREADABLE, exact_url, segment,
    user_segment,
};
use super::{
    Answer, Capabilities, Cluster, ErrorClass, Listing, Mutation, Provider, RemoteError, RemoteUser, TOO_MANY,
};
use crate::domain::endpoint::Endpoint;
use crate::domain::password::Password;

/// The vendor's own API.
pub const ENDPOINT: &str = "https://api.ionos.com/databases/postgresql";

/// The most bytes that the pages of one list may have together.
const LIST_TOTAL: usize = 64 << 20;

/// What the provider can do and asks for.
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "ionos",
    password_min: 10,
    password_max: 63,
    // Those that the vendor's documents name; they say "e.g.".
    reserved: &["postgres", "admin", "standby"],
    turns_busy: true,
    ..Capabilities::PLAIN
};

/// How to log in to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A token of the IONOS Cloud.
    Bearer(Password),
    /// The name and password of an account.
    Basic {
        /// The account's name, an e-mail address.
        username: String,
        /// Its password.
        password: Password,
    },
}

/// One database cluster at IONOS.
#[derive(Debug, Clone)]
pub struct IonosConfig {
    /// The API's base URL: everything before `/clusters`.
    pub endpoint: String,
    /// The cluster's id.
    pub cluster_id: String,
    /// How to log in.
    pub credentials: Credentials,
    /// How many users to ask for at once, 1 to 1000.
    pub page_size: u32,
}

impl IonosConfig {
    /// A cluster at the vendor's own endpoint, with the largest pages.
    pub fn new(cluster_id: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            endpoint: ENDPOINT.to_string(),
            cluster_id: cluster_id.into(),
            credentials,
            page_size: 1000,
        }
    }
}

/// The client of one cluster's users.
#[derive(Debug)]
pub struct Ionos {
    http: Http,
    /// The cluster's URL, canonical, without a trailing slash.
    cluster: String,
    credentials: Credentials,
    page_size: u64,
    most_users: usize,
}

impl Ionos {
    /// A client. Nothing is sent; an endpoint that may not be dialled and settings that can never work are
    /// refused here.
    pub fn new(config: IonosConfig, settings: &HttpSettings, gate: Gate) -> Result<Self, RemoteError> {
        const OPERATION: &str = "set up the client";
        let invalid = |what: &str| RemoteError::new(OPERATION, ErrorClass::Invalid, what);
        let endpoint = Endpoint::parse(&config.endpoint).map_err(|error| invalid(&error.to_string()))?;
        let cluster_id = segment(&config.cluster_id)
            .ok_or_else(|| invalid("the cluster id is empty or cannot be part of a URL"))?;
        authorization(&config.credentials)
            .ok_or_else(|| invalid("the credentials hold characters that no header can carry"))?;
        Ok(Self {
            http: Http::new(settings, &endpoint, gate)?,
            cluster: format!("{endpoint}/clusters/{cluster_id}"),
            credentials: config.credentials,
            page_size: u64::from(config.page_size.clamp(1, 1000)),
            most_users: settings.most_users,
        })
    }

    fn users_url(&self) -> String {
        format!("{}/users", self.cluster)
    }

    /// The URL of one user, or why there is none.
    fn user_url(&self, operation: &'static str, username: &str) -> Result<String, RemoteError> {
        let segment = user_segment(operation, username)?;
        Ok(format!("{}/{segment}", self.users_url()))
    }

    /// A call to a URL of this cluster.
    fn call(&self, operation: &'static str, method: Method, url: &str) -> Result<Call, RemoteError> {
        match (exact_url(url), authorization(&self.credentials)) {
            (Some(url), Some(authorization)) => Ok(Call {
                operation,
                method,
                url,
                authorization,
                body: None,
                cap: ANSWER_CAP,
            }),
            _ => Err(RemoteError::new(operation, ErrorClass::Invalid, UNWRITABLE)),
        }
    }

    async fn read(&self, operation: &'static str, url: &str, cap: usize) -> Result<Reply, RemoteError> {
        let call = self.call(operation, Method::GET, url)?;
        self.http.read(Call { cap, ..call }).await
    }

    /// Makes or changes a user. Only the API's own word, a readable user of that name, is acceptance: a proxy
    /// or a portal answers 200 to anything.
    async fn write(
        &self,
        operation: &'static str,
        method: Method,
        url: &str,
        username: &str,
        properties: RequestProperties<'_>,
    ) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        let password = properties.password;
        let mut call = self.call(operation, method, url)?;
        // Room enough for the longest of both, every character escaped, so that no copy is left behind.
        let mut body = Zeroizing::new(Vec::with_capacity(2048));
        serde_json::to_writer(&mut *body, &UserRequest { properties })
            .map_err(|_| RemoteError::new(operation, ErrorClass::Invalid, UNWRITABLE))?;
        call.body = Some(body);
        let reply = self.http.mutate(call).await?;
        if !reply.status.is_success() {
            return Err(self.refusal(operation, Purpose::Mutation, &reply, Some(password)));
        }
        match reply.json::<User>().map(RemoteUser::from) {
            Some(user) if user.username == username => Ok(reply.answer(Some(user))),
            Some(_) => Err(reply.odd(operation, Purpose::Mutation, ANOTHER)),
            None => Err(reply.odd(operation, Purpose::Mutation, UNREADABLE)),
        }
    }

    /// The error that an answer other than success stands for.
    fn refusal(
        &self,
        operation: &'static str,
        purpose: Purpose,
        reply: &Reply,
        password: Option<&Password>,
    ) -> RemoteError {
        let credential = match &self.credentials {
            Credentials::Bearer(token) => token,
            Credentials::Basic { password, .. } => password,
        };
        let error = RemoteError {
            operation,
            class: purpose.class(reply),
            detail: reply.detail(codes(reply), &[Some(credential), password]),
            blockers: Vec::new(),
        };
        tracing::debug!(operation, class = %error.class, "the remote refused");
        error
    }
}

const UNWRITABLE: &str = "the request cannot be written";

impl Provider for Ionos {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    async fn cluster(&self) -> Result<Answer<Cluster>, RemoteError> {
        const OPERATION: &str = "read the cluster";
        let reply = self.read(OPERATION, &self.cluster, ANSWER_CAP).await?;
        if !reply.status.is_success() {
            return Err(self.refusal(OPERATION, Purpose::Read, &reply, None));
        }
        match reply.json::<ClusterResource>() {
            Some(cluster) => Ok(reply.answer(cluster.into())),
            None => Err(reply.odd(OPERATION, Purpose::Read, UNREADABLE)),
        }
    }

    /// The date is that of the last page: whatever is made after this list is made later than that.
    async fn list(&self) -> Result<Answer<Listing>, RemoteError> {
        const OPERATION: &str = "list users";
        let mut pages = Pages::new(self.page_size);
        let mut next = NextPage::Page(0);
        let mut left = LIST_TOTAL;
        let mut date = None;
        // What was read of a page is kept until all are there, in another form.
        let mut room = Vec::new();
        while let NextPage::Page(offset) = next {
            let limit = self.page_size;
            let url = format!("{}?limit={limit}&offset={offset}&system=true", self.users_url());
            let mut reply = self.read(OPERATION, &url, LIST_CAP.min(left)).await?;
            room.push(reply.room.take());
            if !reply.status.is_success() {
                return Err(self.refusal(OPERATION, Purpose::Read, &reply, None));
            }
            let wrong = |what| reply.odd(OPERATION, Purpose::Read, what);
            let room = self.most_users.saturating_sub(pages.users());
            if reply.has_more_than(room, &["items"]) {
                return Err(wrong(TOO_MANY));
            }
            let page = reply.json::<UserList>().ok_or_else(|| wrong(UNREADABLE))?;
            left = left.saturating_sub(reply.body.as_deref().map_or(0, Vec::len));
            date = reply.date;
            next = pages.add(page).map_err(wrong)?;
        }
        Ok(Answer {
            value: pages.finish(),
            date,
        })
    }

    /// A 404 is `None` here also if the cluster is gone: who must know asks for the cluster.
    async fn get(&self, username: &str) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        const OPERATION: &str = "read user";
        let url = self.user_url(OPERATION, username)?;
        let reply = self.read(OPERATION, &url, ANSWER_CAP).await?;
        if !reply.status.is_success() {
            let error = self.refusal(OPERATION, Purpose::Read, &reply, None);
            return match error.class {
                ErrorClass::NotFound => Ok(reply.answer(None)),
                _ => Err(error),
            };
        }
        match reply.json::<User>().map(RemoteUser::from) {
            Some(user) if user.username == username => Ok(reply.answer(Some(user))),
            Some(_) => Err(reply.odd(OPERATION, Purpose::Read, ANOTHER)),
            None => Err(reply.odd(OPERATION, Purpose::Read, UNREADABLE)),
        }
    }

    async fn create(
        &self,
        mutation: &Mutation<'_>,
        password: &Password,
    ) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        const OPERATION: &str = "create user";
        let username = mutation.username;
        // A user that could never be read again must not come to be.
        self.user_url(OPERATION, username)?;
        let properties = RequestProperties {
            username: Some(username),
            password,
        };
        self.write(OPERATION, Method::POST, &self.users_url(), username, properties)
            .await
    }

    async fn set_password(
        &self,
        mutation: &Mutation<'_>,
        password: &Password,
    ) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        const OPERATION: &str = "set password";
        let username = mutation.username;
        let url = self.user_url(OPERATION, username)?;
        let properties = RequestProperties {
            username: None,
            password,
        };
        self.write(OPERATION, Method::PATCH, &url, username, properties)
            .await
    }

    async fn configure(&self, _: &Mutation<'_>) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        Err(RemoteError::new(
            "configure user",
            ErrorClass::Invalid,
            "a user of this API has no settings",
        ))
    }

    async fn delete(&self, mutation: &Mutation<'_>) -> Result<Answer<()>, RemoteError> {
        const OPERATION: &str = "delete user";
        let url = self.user_url(OPERATION, mutation.username)?;
        let call = self.call(OPERATION, Method::DELETE, &url)?;
        let reply = self.http.mutate(call).await?;
        if !reply.status.is_success() {
            return Err(self.refusal(OPERATION, Purpose::Mutation, &reply, None));
        }
        // The documented answer has no body; JSON is the API's too, anything else is not.
        if reply.is_empty() || reply.is_json() {
            Ok(reply.answer(()))
        } else {
            Err(reply.odd(OPERATION, Purpose::Mutation, UNREADABLE))
        }
    }
}
