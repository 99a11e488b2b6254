//! The chain of tokens that leads to the Database API.
//!
//! An API token, which lives until it is revoked, is exchanged for a JWT, and that for a token of the addon; both
//! live for an hour. They are kept as long as they are good and shared by all users of the server, since each one
//! costs a request of the sixty that Scalingo takes in a minute.
//!
//! None of this changes a user, so no gate is asked, and whatever goes wrong here leaves nothing open.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use reqwest::Url;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::wire::{AddonToken, Claims, ErrorResponse, Exchanged};
use crate::clock;
use crate::domain::password::Password;
use crate::domain::time::Mono;
use crate::provider::http::{ANSWER_CAP, Call, Http, Purpose, Reply, basic, bearer};
use crate::provider::{ErrorClass, RemoteError};

/// How long a token of an addon is good, by Scalingo's documents; no token is kept for longer.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// How long a token is kept that should say how long it is good and does not.
const UNSAID: Duration = Duration::from_secs(10 * 60);
/// How long before its end a token is renewed at most; one that is short-lived: a fifth of its life.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// The tokens for one addon.
#[derive(Debug)]
pub(super) enum Tokens {
    /// One for the Database API that somebody else has got and will renew.
    Ready(Password),
    /// They are fetched as needed.
    Chain(Box<Chain>),
}

/// Where tokens come from, and those that are good.
#[derive(Debug)]
pub(super) struct Chain {
    /// The client of the authentication API, and where API tokens are exchanged.
    pub(super) auth: (Http, Url),
    /// The client of the API of apps and addons, and where tokens of the addon are given.
    pub(super) api: (Http, Url),
    pub(super) api_token: Password,
    /// Locked while a token is fetched, so that whoever needs the same one waits for it.
    pub(super) kept: Mutex<CachedTokens>,
}

/// The tokens that were fetched.
#[derive(Debug, Default)]
pub(super) struct CachedTokens {
    jwt: Option<Token>,
    addon: Option<Token>,
}

#[derive(Debug, Clone)]
struct Token {
    text: Password,
    /// Until when it is used, on our own clock.
    until: Mono,
}

impl Token {
    fn is_good(&self) -> bool {
        clock::now() < self.until
    }
}

impl Tokens {
    /// The token for the Database API: the one that is kept, or a new one.
    pub(super) async fn current(&self) -> Result<Password, RemoteError> {
        match self {
            Tokens::Ready(token) => Ok(token.clone()),
            Tokens::Chain(chain) => chain.current().await,
        }
    }

    /// Forgets a token that the Database API refused. False if there is no other to be had. A newer one, which
    /// somebody else has fetched in the meantime, stays.
    pub(super) async fn forget(&self, refused: &Password) -> bool {
        let Tokens::Chain(chain) = self else {
            return false;
        };
        let mut kept = chain.kept.lock().await;
        kept.addon.take_if(|token| token.text == *refused);
        true
    }
}

impl Chain {
    async fn current(&self) -> Result<Password, RemoteError> {
        let mut kept = self.kept.lock().await;
        if let Some(token) = kept.addon.as_ref().filter(|token| token.is_good()) {
            return Ok(token.text.clone());
        }
        kept.addon = None;
        let token = self.addon_token(&mut kept.jwt).await?;
        Ok(kept.addon.insert(token).text.clone())
    }

    /// A new token of the addon. A JWT that was kept and is refused is replaced by a new one, once.
    async fn addon_token(&self, kept: &mut Option<Token>) -> Result<Token, RemoteError> {
        if let Some(jwt) = kept.as_ref().filter(|jwt| jwt.is_good()) {
            let (reply, started) = self.ask_for_addon_token(&jwt.text).await?;
            if reply.status != StatusCode::UNAUTHORIZED {
                return read_addon_token(&reply, started, &jwt.text);
            }
        }
        *kept = None;
        let jwt = self.exchange().await?;
        let jwt = &kept.insert(jwt).text;
        let (reply, started) = self.ask_for_addon_token(jwt).await?;
        read_addon_token(&reply, started, jwt)
    }

    async fn exchange(&self) -> Result<Token, RemoteError> {
        const OPERATION: &str = "exchange the API token";
        let (http, url) = &self.auth;
        let authorization = basic("", &self.api_token);
        let (reply, started) = post(OPERATION, http, url, authorization).await?;
        if !reply.status.is_success() {
            return Err(refusal(OPERATION, &reply, &self.api_token));
        }
        let exchanged = reply.json::<Exchanged>().map(|exchanged| exchanged.token);
        token(exchanged, &reply, started, UNSAID).ok_or_else(|| unreadable(OPERATION, &reply))
    }

    async fn ask_for_addon_token(&self, jwt: &Password) -> Result<(Reply, Mono), RemoteError> {
        let (http, url) = &self.api;
        post(ADDON_OPERATION, http, url, bearer(jwt)).await
    }
}

const ADDON_OPERATION: &str = "get a token for the addon";

fn read_addon_token(reply: &Reply, started: Mono, jwt: &Password) -> Result<Token, RemoteError> {
    if !reply.status.is_success() {
        return Err(refusal(ADDON_OPERATION, reply, jwt));
    }
    let given = reply.json::<AddonToken>().map(|given| given.addon.token);
    token(given, reply, started, HOUR).ok_or_else(|| unreadable(ADDON_OPERATION, reply))
}

/// Asks for a token. The answer, and when it was asked for: a token is no younger than that.
async fn post(
    operation: &'static str,
    http: &Http,
    url: &Url,
    authorization: Option<HeaderValue>,
) -> Result<(Reply, Mono), RemoteError> {
    let call = Call {
        operation,
        method: Method::POST,
        url: url.clone(),
        authorization: authorization.ok_or_else(|| RemoteError {
            operation,
            class: ErrorClass::Unauthorized,
            detail: " (the token holds characters that no header can carry)".to_string(),
            blockers: Vec::new(),
        })?,
        body: Some(Zeroizing::new(b"{}".to_vec())),
        cap: ANSWER_CAP,
    };
    let started = clock::now();
    Ok((http.read(call).await?, started))
}

/// A token that can be used, and until when.
fn token(text: Option<Password>, reply: &Reply, started: Mono, usual: Duration) -> Option<Token> {
    let text = text.filter(|text| !text.reveal().trim().is_empty() && bearer(text).is_some())?;
    let life = claims(&text)
        .and_then(|claims| said(&claims, reply.date))
        .unwrap_or(usual)
        .min(HOUR);
    Some(Token {
        until: started + (life - MARGIN.min(life / 5)),
        text,
    })
}

/// How long a token is good by its own word: from when it was issued, or was answered with, to its end. All of these
/// are times of the server's clock; ours is not asked.
pub(super) fn said(claims: &Claims, date: Option<Timestamp>) -> Option<Duration> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds since 1970 fit for millions of years"
    )]
    let answered = || date.map(|date| date.as_second() as f64);
    let life = claims.exp.0? - claims.iat.0.or_else(answered)?;
    Duration::try_from_secs_f64(life.clamp(0.0, HOUR.as_secs_f64())).ok()
}

/// What a token says of itself. It is not verified, which is the business of whom it is for; `None` if it is no JWT.
pub(super) fn claims(token: &Password) -> Option<Claims> {
    let mut parts = token.reveal().trim().split('.');
    let (_, payload) = (parts.next()?, parts.next()?);
    let json = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?);
    serde_json::from_slice(&json).ok()
}

/// What it means that no token is given.
fn refusal(operation: &'static str, reply: &Reply, credential: &Password) -> RemoteError {
    let response = reply.json::<ErrorResponse>();
    let about_addon = response.as_ref().is_some_and(ErrorResponse::is_about_an_addon);
    let class = match Purpose::Read.class(reply) {
        class @ (ErrorClass::Unauthorized | ErrorClass::RateLimited { .. }) => class,
        // Only the addon's absence is the database's. An app that is not found may be one that these credentials
        // do not show, or a slip of the pen.
        ErrorClass::NotFound if about_addon => ErrorClass::NotFound,
        ErrorClass::NotFound => ErrorClass::Unauthorized,
        _ => ErrorClass::Unreachable { after: reply.after },
    };
    tracing::debug!(operation, %class, "no token is given");
    let codes = response.into_iter().flat_map(ErrorResponse::codes);
    RemoteError {
        operation,
        class,
        detail: reply.detail(codes, &[Some(credential)]),
        blockers: Vec::new(),
    }
}

fn unreadable(operation: &'static str, reply: &Reply) -> RemoteError {
    RemoteError {
        operation,
        class: ErrorClass::Unreachable { after: reply.after },
        detail: format!(" (HTTP {}, the answer cannot be read)", reply.status.as_u16()),
        blockers: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "2026-01-01T00:00:00Z";
    const DATE_SECONDS: u64 = 1_767_225_600;

    fn jwt(claims: &str) -> Password {
        Password::new(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)))
    }

    fn life(token: &Password, date: Option<&str>) -> Option<Duration> {
        said(&claims(token)?, date.map(|date| date.parse().unwrap()))
    }

    #[test]
    fn a_life_is_measured_by_the_servers_clock() {
        let seconds = |n| Some(Duration::from_secs(n));
        let issued = jwt(r#"{"iat":1000,"exp":1002,"sub":"x"}"#);
        assert_eq!(life(&issued, None), seconds(2));
        assert_eq!(life(&issued, Some(DATE)), seconds(2));
        let unissued = jwt(&format!(r#"{{"exp":{}}}"#, DATE_SECONDS + 1800));
        assert_eq!(life(&unissued, Some(DATE)), seconds(1800));
        assert_eq!(life(&unissued, None), None);
        assert_eq!(life(&jwt(r#"{"iat":1,"exp":1e300}"#), None), Some(HOUR));
        assert_eq!(life(&jwt(r#"{"iat":1000,"exp":999.5}"#), None), seconds(0));
    }

    #[test]
    fn a_token_that_says_nothing_of_itself_says_nothing_wrong() {
        for text in [
            "tk",
            "a.b.c",
            "..",
            "a.e30.c",
            "a.W10.c",
            "🦀.🦀",
            "",
            "a.eyJleHAiOiJzb29uIn0.c",
            "a.eyJleHAiOm51bGx9.c",
        ] {
            assert_eq!(life(&Password::new(text), Some(DATE)), None, "{text}");
        }
    }
}
