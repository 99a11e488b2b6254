//! Scalingo: the users of a PostgreSQL addon, by its Database API.
//!
//! The contract is the vendor's documents, which leave open what answers a duplicate name or a change of a
//! protected user, and contradict the vendor's own clients here and there: every plausible answer falls into the
//! class that says what is certain, and the planner reads before it goes on.
//!
//! There is no reading of one user, no date and no creator in what is shown, and nothing but the password of a user
//! can be changed.

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod tokens;
mod wire;

use http::{Method, StatusCode};
use reqwest::Url;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use tokens::{CachedTokens, Chain, Tokens};
use wire::{ErrorResponse, RequestProperties, ResetUser, User, UserList, UserRequest};

use super::gate::Gate;
use super::http::{
    ANOTHER, ANSWER_CAP, Call, Http, HttpSettings, LIST_CAP, Purpose, Reply, UNREADABLE, bearer, exact_url,
    segment, user_segment,
};
use super::{
    Answer, Capabilities, Cluster, ErrorClass, Listing, Mutation, Provider, RemoteError, RemoteUser, TOO_MANY,
};
use crate::domain::endpoint::Endpoint;
use crate::domain::password::Password;
use crate::domain::remote::UsernameCharacters;

/// Where API tokens are exchanged, for all regions.
pub const AUTH_ENDPOINT: &str = "https://auth.scalingo.com";

/// The API of apps and addons in a region (`osc-fr1`).
pub fn api_endpoint(region: &str) -> String {
    format!("https://api.{region}.scalingo.com")
}

/// The Database API in a region (`osc-fr1`).
pub fn database_endpoint(region: &str) -> String {
    format!("https://db-api.{region}.scalingo.com")
}

/// What the provider can do and asks for.
///
/// The vendor's documents disagree on which characters a username may have (hyphens, or underscores after a letter),
/// so either is let through and the server has the last word.
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "scalingo",
    username_min: 6,
    username_max: 32,
    username_characters: UsernameCharacters::LowercaseWords,
    password_min: 24,
    password_max: 64,
    password_excludes: "\"'",
    direct_read: false,
    turns_busy: false,
    // Of sixty that are documented, with room for the tokens and for whoever else uses the same account.
    requests_per_minute: 50,
    ..Capabilities::PLAIN
};

/// How to log in to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// An API token (`tk-us-…`), which is exchanged for short-lived ones as needed.
    ApiToken(Password),
    /// A token for the Database API, ready to be used. Somebody else has to renew it, every hour.
    Bearer(Password),
}

/// One PostgreSQL addon at Scalingo.
#[derive(Debug, Clone)]
pub struct ScalingoConfig {
    /// The app that the addon belongs to. Needed with an API token.
    pub app: Option<String>,
    /// The addon's id (`ad-…`).
    pub addon_id: String,
    /// Where API tokens are exchanged: everything before `/v1`. Not looked at with a ready token.
    pub auth_endpoint: String,
    /// The API of apps and addons: everything before `/v1`. Not looked at with a ready token.
    pub api_endpoint: String,
    /// The Database API: everything before `/api`.
    pub database_endpoint: String,
    /// How to log in.
    pub credentials: Credentials,
}

impl ScalingoConfig {
    /// An addon at the vendor's own endpoints in a region (`osc-fr1`).
    pub fn in_region(
        region: &str,
        app: Option<String>,
        addon_id: impl Into<String>,
        credentials: Credentials,
    ) -> Self {
        Self {
            app,
            addon_id: addon_id.into(),
            auth_endpoint: AUTH_ENDPOINT.to_string(),
            api_endpoint: api_endpoint(region),
            database_endpoint: database_endpoint(region),
            credentials,
        }
    }
}

/// The client of one addon's users.
#[derive(Debug)]
pub struct Scalingo {
    http: Http,
    /// The database's URL, canonical, without a trailing slash.
    database: String,
    addon_id: String,
    tokens: Tokens,
    most_users: usize,
}

/// One call to the Database API, which may take more than one attempt to be let in.
struct Request<'a> {
    /// What it is for, in words.
    operation: &'static str,
    purpose: Purpose,
    method: Method,
    url: &'a str,
    /// A JSON document.
    body: Option<Zeroizing<Vec<u8>>>,
    /// The most bytes of an answer that are read.
    cap: usize,
    /// The password in the body, which no error may show.
    password: Option<&'a Password>,
}

impl<'a> Request<'a> {
    fn read(operation: &'static str, url: &'a str, cap: usize) -> Self {
        Self {
            operation,
            purpose: Purpose::Read,
            method: Method::GET,
            url,
            body: None,
            cap,
            password: None,
        }
    }

    fn mutation(operation: &'static str, method: Method, url: &'a str) -> Self {
        Self {
            operation,
            purpose: Purpose::Mutation,
            method,
            url,
            body: None,
            cap: ANSWER_CAP,
            password: None,
        }
    }

    fn invalid(&self, what: &str) -> RemoteError {
        RemoteError::new(self.operation, ErrorClass::Invalid, what)
    }

    /// The error that an answer stands for which is a success by its status and makes no sense.
    fn odd(&self, reply: &Reply, what: &str) -> RemoteError {
        reply.odd(self.operation, self.purpose, what)
    }

    /// The error that an answer other than success stands for.
    fn refusal(&self, reply: &Reply, token: &Password) -> RemoteError {
        let response = reply.json::<ErrorResponse>();
        let codes = response.into_iter().flat_map(ErrorResponse::codes);
        let class = self.purpose.class(reply);
        tracing::debug!(operation = self.operation, %class, "the remote refused");
        RemoteError {
            operation: self.operation,
            class,
            detail: reply.detail(codes, &[Some(token), self.password]),
            blockers: Vec::new(),
        }
    }

    /// Without a token nothing is sent, and nothing that was said on the way to one is about a user.
    fn without_token(&self, error: RemoteError) -> RemoteError {
        use ErrorClass::{EndpointNotAllowed, RateLimited, Unauthorized, Unreachable};
        let class = match error.class {
            class @ (EndpointNotAllowed | RateLimited { .. } | Unauthorized | Unreachable { .. }) => class,
            ErrorClass::NotFound if self.purpose == Purpose::Read => ErrorClass::NotFound,
            class => Unreachable {
                after: class.retry_after(),
            },
        };
        RemoteError { class, ..error }
    }
}

const SET_UP: &str = "set up the client";

impl Scalingo {
    /// A client. Nothing is sent; endpoints that may not be dialled and settings that can never work are refused
    /// here.
    pub fn new(config: ScalingoConfig, settings: &HttpSettings, gate: Gate) -> Result<Self, RemoteError> {
        let endpoint = endpoint("Database API", &config.database_endpoint)?;
        let addon = segment(&config.addon_id).ok_or_else(|| {
            RemoteError::new(
                SET_UP,
                ErrorClass::Invalid,
                "the addon's id is empty or cannot be part of a URL",
            )
        })?;
        Ok(Self {
            http: Http::new(settings, &endpoint, gate)?,
            database: format!("{endpoint}/api/databases/{addon}"),
            tokens: tokens(&config, &addon, settings)?,
            addon_id: config.addon_id,
            most_users: settings.most_users,
        })
    }

    /// Lets Scalingo make a new password for a user, and returns it.
    ///
    /// The operator never does this to its own users: a password that only the server has made is lost for good if
    /// the answer is (I1), while one of ours was stored before it was sent and can be sent again.
    ///
    /// # Errors
    /// Those of a mutation; also [`ErrorClass::Unknown`] if the answer holds no password for this user.
    pub async fn reset_password(&self, username: &str) -> Result<Answer<Password>, RemoteError> {
        const OPERATION: &str = "reset password";
        let url = format!("{}/reset_password", self.user_url(OPERATION, username)?);
        let request = Request {
            body: Some(Zeroizing::new(b"{}".to_vec())),
            ..Request::mutation(OPERATION, Method::POST, &url)
        };
        let reply = self.send(&request).await?;
        match wire::user_in::<ResetUser>(&reply) {
            Some(user) if user.name != username => Err(request.odd(&reply, ANOTHER)),
            Some(user) if !user.password.reveal().is_empty() => Ok(reply.answer(user.password)),
            _ => Err(request.odd(&reply, UNREADABLE)),
        }
    }

    fn users_url(&self) -> String {
        format!("{}/users", self.database)
    }

    /// The URL of one user, or why there is none.
    fn user_url(&self, operation: &'static str, username: &str) -> Result<String, RemoteError> {
        let segment = user_segment(operation, username)?;
        Ok(format!("{}/{segment}", self.users_url()))
    }

    /// Sends a request, and once more with another token if the one that is kept is refused: a refusal is definite,
    /// so even a mutation did not happen. Any answer but a success is an error.
    async fn send(&self, request: &Request<'_>) -> Result<Reply, RemoteError> {
        let mut token = self.token(request).await?;
        let mut reply = self.attempt(request, &token).await?;
        if reply.status == StatusCode::UNAUTHORIZED && self.tokens.forget(&token).await {
            tracing::debug!(
                operation = request.operation,
                "the token is refused: another one is fetched"
            );
            token = self.token(request).await?;
            reply = self.attempt(request, &token).await?;
        }
        match reply.status.is_success() {
            true => Ok(reply),
            false => Err(request.refusal(&reply, &token)),
        }
    }

    async fn token(&self, request: &Request<'_>) -> Result<Password, RemoteError> {
        let token = self.tokens.current().await;
        token.map_err(|error| request.without_token(error))
    }

    async fn attempt(&self, request: &Request<'_>, token: &Password) -> Result<Reply, RemoteError> {
        const UNWRITABLE: &str = "the request cannot be written";
        let call = Call {
            operation: request.operation,
            method: request.method.clone(),
            url: exact_url(request.url).ok_or_else(|| request.invalid(UNWRITABLE))?,
            authorization: bearer(token).ok_or_else(|| request.invalid(UNWRITABLE))?,
            body: request.body.clone(),
            cap: request.cap,
        };
        match request.purpose {
            Purpose::Read => self.http.read(call).await,
            Purpose::Mutation => self.http.mutate(call).await,
        }
    }

    /// Makes or changes a user. Only the API's own word is acceptance, a readable user of that name: a proxy or a
    /// portal answers 200 to anything. `empty` says whether no word at all will do.
    async fn write(
        &self,
        mut request: Request<'_>,
        username: &str,
        properties: RequestProperties<'_>,
        empty: bool,
    ) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        // Room enough for the longest of all, every character escaped, so that no copy is left behind.
        let mut body = Zeroizing::new(Vec::with_capacity(4096));
        let written = UserRequest {
            database_user: properties,
        };
        serde_json::to_writer(&mut *body, &written)
            .map_err(|_| request.invalid("the request cannot be written"))?;
        request.body = Some(body);
        let reply = self.send(&request).await?;
        if empty && reply.is_empty() {
            return Ok(reply.answer(None));
        }
        match wire::user_in::<User>(&reply).map(RemoteUser::from) {
            Some(user) if user.username == username => Ok(reply.answer(Some(user))),
            Some(_) => Err(request.odd(&reply, ANOTHER)),
            None => Err(request.odd(&reply, UNREADABLE)),
        }
    }
}

fn endpoint(name: &str, url: &str) -> Result<Endpoint, RemoteError> {
    Endpoint::parse(url)
        .map_err(|error| RemoteError::new(SET_UP, ErrorClass::Invalid, &format!("{name}: {error}")))
}

/// How the addon's tokens are come by.
fn tokens(config: &ScalingoConfig, addon: &str, settings: &HttpSettings) -> Result<Tokens, RemoteError> {
    const UNUSABLE: &str = "the token is empty or holds characters that no header can carry";
    let (Credentials::ApiToken(secret) | Credentials::Bearer(secret)) = &config.credentials;
    if secret.reveal().trim().is_empty() || bearer(secret).is_none() {
        return Err(RemoteError::new(SET_UP, ErrorClass::Invalid, UNUSABLE));
    }
    let api_token = match &config.credentials {
        Credentials::Bearer(token) => return Ok(Tokens::Ready(token.clone())),
        Credentials::ApiToken(token) => Password::new(token.reveal().trim()),
    };
    let app = config.app.as_deref().and_then(segment).ok_or_else(|| {
        let what = "an API token needs the app that the addon belongs to, and none is named that can be part of a URL";
        RemoteError::new(SET_UP, ErrorClass::Invalid, what)
    })?;
    let auth = "/v1/tokens/exchange".to_string();
    let api = format!("/v1/apps/{app}/addons/{addon}/token");
    Ok(Tokens::Chain(Box::new(Chain {
        auth: token_client("authentication API", &config.auth_endpoint, &auth, settings)?,
        api: token_client("API of apps", &config.api_endpoint, &api, settings)?,
        api_token,
        kept: Mutex::new(CachedTokens::default()),
    })))
}

/// A client that asks for tokens, and the URL to ask. Its gate is never opened: no user is changed through it.
fn token_client(
    name: &str,
    url: &str,
    path: &str,
    settings: &HttpSettings,
) -> Result<(Http, Url), RemoteError> {
    let endpoint = endpoint(name, url)?;
    let url = exact_url(&format!("{endpoint}{path}")).ok_or_else(|| {
        RemoteError::new(
            SET_UP,
            ErrorClass::Invalid,
            &format!("{name}: the URL cannot be written"),
        )
    })?;
    Ok((Http::new(settings, &endpoint, Gate::closed())?, url))
}

impl Provider for Scalingo {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    /// [`ErrorClass::NotFound`] also if the addon is gone and so no token for it is to be had.
    async fn cluster(&self) -> Result<Answer<Cluster>, RemoteError> {
        let request = Request::read("read the database", &self.database, ANSWER_CAP);
        let reply = self.send(&request).await?;
        match wire::database_in(&reply) {
            Some(database) => Ok(reply.answer(database.into())),
            None => Err(request.odd(&reply, UNREADABLE)),
        }
    }

    async fn list(&self) -> Result<Answer<Listing>, RemoteError> {
        let url = self.users_url();
        let request = Request::read("list users", &url, LIST_CAP);
        let reply = self.send(&request).await?;
        if reply.has_more_than(self.most_users, &["database-users", "database_users"]) {
            return Err(request.odd(&reply, TOO_MANY));
        }
        let list = reply.json::<UserList>();
        let list = list.ok_or_else(|| request.odd(&reply, UNREADABLE))?;
        let listing = Listing {
            users: list.users.into_iter().map(RemoteUser::from).collect(),
            pages: 1,
        };
        Ok(reply.answer(listing))
    }

    async fn get(&self, username: &str) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        let Answer { value, date } = self.list().await?;
        let mut users = value.users.into_iter();
        Ok(Answer {
            value: users.find(|user| user.username == username),
            date,
        })
    }

    async fn create(
        &self,
        mutation: &Mutation<'_>,
        password: &Password,
    ) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        const OPERATION: &str = "create user";
        let username = mutation.username;
        // A user that could never be changed or deleted again must not come to be.
        self.user_url(OPERATION, username)?;
        let url = self.users_url();
        let request = Request {
            password: Some(password),
            ..Request::mutation(OPERATION, Method::POST, &url)
        };
        let properties = RequestProperties {
            database_id: &self.addon_id,
            name: Some(username),
            read_only: Some(mutation.settings.read_only),
            password,
            password_confirmation: password,
        };
        self.write(request, username, properties, false).await
    }

    /// The documents show no answer beyond its status, so an empty one is acceptance.
    async fn set_password(
        &self,
        mutation: &Mutation<'_>,
        password: &Password,
    ) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        const OPERATION: &str = "set password";
        let username = mutation.username;
        let url = self.user_url(OPERATION, username)?;
        let request = Request {
            password: Some(password),
            ..Request::mutation(OPERATION, Method::PATCH, &url)
        };
        let properties = RequestProperties {
            database_id: &self.addon_id,
            name: None,
            read_only: None,
            password,
            password_confirmation: password,
        };
        self.write(request, username, properties, true).await
    }

    /// Always refused: whether a user may only read is decided when it is made.
    async fn configure(&self, _: &Mutation<'_>) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        Err(RemoteError::new(
            "configure user",
            ErrorClass::Invalid,
            "nothing but the password of a user of this API can be changed",
        ))
    }

    async fn delete(&self, mutation: &Mutation<'_>) -> Result<Answer<()>, RemoteError> {
        const OPERATION: &str = "delete user";
        let url = self.user_url(OPERATION, mutation.username)?;
        let request = Request::mutation(OPERATION, Method::DELETE, &url);
        let reply = self.send(&request).await?;
        // The documented answer has no body; JSON is the API's too, anything else is not.
        match reply.is_empty() || reply.is_json() {
            true => Ok(reply.answer(())),
            false => Err(request.odd(&reply, UNREADABLE)),
        }
    }
}
