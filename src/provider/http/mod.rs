//! The HTTP client that every vendor's API is spoken to with.
//!
//! One attempt a call, no redirects, HTTP/1.1, bounded in time and size. Mutations have connections of their
//! own, one each, and ask the gate of R3 three times: before anything is done; when the connection is up, after
//! name resolution, TLS and the proxy; and, if the request has a body, as the last thing before its first
//! byte is written. What remains open: between the last of these checks and the system call that writes there
//! is no lock, so a process that is stopped exactly there sends later than it may (the journal's rules name
//! this as left over); for a `DELETE`, which has no body, that gap also holds the hand-over of the new
//! connection to the task that writes to it.

mod gated;
mod reply;
mod request;
mod resolver;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method};
use reqwest::{Client, ClientBuilder, Request, Url};
use zeroize::Zeroizing;

use gated::{GateBody, GateLayer, GateShut};

use super::dial::ResolveError;
use super::gate::Gate;
use super::memory::{Memory, NO_ROOM};
use super::tls::{self, Trust};
use super::{ErrorClass, LIST_MEMORY, MOST_USERS, RemoteError};
use crate::domain::endpoint::{AllowList, Endpoint, Grant, NotAllowed};

pub(in crate::provider) use reply::{ANOTHER, Purpose, Reply, UNREADABLE};
pub(in crate::provider) use request::{basic, bearer, exact_url, segment, user_segment};

/// The largest list that is read.
pub(in crate::provider) const LIST_CAP: usize = 32 << 20;
/// The largest answer of any other kind that is read.
pub(in crate::provider) const ANSWER_CAP: usize = 256 << 10;

/// What all HTTP clients of this process share.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Which hosts and addresses may be dialled.
    pub allow: Arc<AllowList>,
    /// Whether `http://` may be spoken at all; without, not even to this machine.
    pub allow_http: bool,
    /// Whose certificates are trusted.
    pub trust: Trust,
    /// How long name resolution, TCP, TLS and the proxy may take together.
    pub connect_timeout: Duration,
    /// How long a whole call may take, connecting and reading the answer included. Must be longer than
    /// `connect_timeout`: what runs into that is known not to have been sent.
    pub request_timeout: Duration,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The most users of one server that are kept. A longer list is no list.
    pub most_users: usize,
    /// What lists take while they are read, those of all servers together.
    pub reading: Memory,
}

impl HttpSettings {
    /// Settings with the usual bounds.
    pub fn new(allow: Arc<AllowList>, trust: Trust) -> Self {
        Self {
            allow,
            allow_http: false,
            trust,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            user_agent: concat!("pguser-operator/", env!("CARGO_PKG_VERSION")).to_string(),
            most_users: MOST_USERS,
            reading: Memory::new(LIST_MEMORY),
        }
    }
}

/// One call.
pub(in crate::provider) struct Call {
    /// What it is for, in words.
    pub(in crate::provider) operation: &'static str,
    pub(in crate::provider) method: Method,
    pub(in crate::provider) url: Url,
    /// The `Authorization` header, marked sensitive.
    pub(in crate::provider) authorization: HeaderValue,
    /// A JSON document.
    pub(in crate::provider) body: Option<Zeroizing<Vec<u8>>>,
    /// The most bytes of an answer that are read.
    pub(in crate::provider) cap: usize,
}

/// A client for one endpoint.
pub(in crate::provider) struct Http {
    reads: Client,
    mutations: Client,
    gate: Gate,
    reading: Memory,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Http {
    /// A client for this endpoint, if it may be dialled at all. Nothing is sent or resolved yet.
    pub(in crate::provider) fn new(
        settings: &HttpSettings,
        endpoint: &Endpoint,
        gate: Gate,
    ) -> Result<Self, RemoteError> {
        const OPERATION: &str = "set up the client";
        if !endpoint.is_https() && !settings.allow_http {
            return Err(RemoteError {
                operation: OPERATION,
                class: ErrorClass::EndpointNotAllowed,
                detail: " (http:// is not allowed; an administrator can allow it with --allow-http)"
                    .to_string(),
                blockers: Vec::new(),
            });
        }
        let grant = settings.allow.host(endpoint.host(), endpoint.port());
        let grant = grant.map_err(|reason| refused(OPERATION, &reason))?;
        if grant == Grant::ByAddress && is_proxied() {
            // The proxy resolves the name, so no address can be checked.
            return Err(refused(
                OPERATION,
                &NotAllowed::Unlisted {
                    host: endpoint.host().clone(),
                    port: endpoint.port(),
                },
            ));
        }
        let failed = |detail: &str| RemoteError {
            operation: OPERATION,
            class: ErrorClass::Invalid,
            detail: format!(" ({detail})"),
            blockers: Vec::new(),
        };
        let build = |builder: ClientBuilder| builder.build().map_err(|_| failed("HTTP cannot be set up"));
        let common = || common(settings, endpoint).map_err(|error| failed(&error.to_string()));
        Ok(Self {
            reads: build(
                common()?
                    .pool_idle_timeout(Duration::from_secs(15))
                    .pool_max_idle_per_host(2),
            )?,
            // No pool: each mutation passes the gate with a connection of its own, and none is ever repeated
            // because a kept connection turned out to be dead.
            mutations: build(
                common()?
                    .pool_max_idle_per_host(0)
                    .connector_layer(GateLayer(gate.clone())),
            )?,
            gate,
            reading: settings.reading.clone(),
        })
    }

    /// A call that changes no user: one that reads, or that asks for a token. Needs no gate. Any status is an
    /// answer.
    pub(in crate::provider) async fn read(&self, mut call: Call) -> Result<Reply, RemoteError> {
        let body = call.body.take();
        let request = request(&call, body.map(|body| Bytes::from_owner(body).into()));
        self.send(&self.reads, &call, request, Purpose::Read).await
    }

    /// A call that changes something, if the gate is open. Any status is an answer.
    pub(in crate::provider) async fn mutate(&self, mut call: Call) -> Result<Reply, RemoteError> {
        let body = call.body.take().map(|body| {
            // The bytes are wiped when the last handle to them goes.
            reqwest::Body::wrap(GateBody::new(Bytes::from_owner(body), self.gate.clone()))
        });
        let request = request(&call, body);
        if !self.gate.is_open() {
            return Err(error(&call, ErrorClass::GateClosed, ""));
        }
        self.send(&self.mutations, &call, request, Purpose::Mutation)
            .await
    }

    async fn send(
        &self,
        client: &Client,
        call: &Call,
        request: Request,
        purpose: Purpose,
    ) -> Result<Reply, RemoteError> {
        let mut response = match client.execute(request).await {
            Ok(response) => response,
            Err(failure) => return Err(unanswered(call, purpose, &failure)),
        };
        let mut body = Some(Zeroizing::new(Vec::new()));
        let mut room = self.reading.share();
        while let Some(read) = body.as_mut() {
            match response.chunk().await {
                // Answers of other kinds are small, and what became of a mutation must be known.
                Ok(Some(chunk)) if call.cap > ANSWER_CAP && !room.grow(chunk.len()) => {
                    return Err(error(call, purpose.broken(None), &format!(" ({NO_ROOM})")));
                }
                Ok(Some(chunk)) if read.len() + chunk.len() <= call.cap => read.extend_from_slice(&chunk),
                Ok(None) => break,
                Ok(Some(_)) | Err(_) => body = None,
            }
        }
        let reply = Reply {
            room: Some(room),
            ..Reply::new(response.status(), response.headers(), body)
        };
        tracing::debug!(
            operation = call.operation,
            status = reply.status.as_u16(),
            "the remote answered"
        );
        Ok(reply)
    }
}

/// What both clients have in common.
fn common(settings: &HttpSettings, endpoint: &Endpoint) -> Result<ClientBuilder, tls::TrustError> {
    // Half of the whole at most, so that a connect that takes too long is told as such.
    let connect_timeout = settings.connect_timeout.min(settings.request_timeout / 2);
    Ok(Client::builder()
        .tls_backend_preconfigured(settings.trust.client_config()?)
        .https_only(endpoint.is_https())
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .user_agent(settings.user_agent.as_str())
        .connect_timeout(connect_timeout)
        .timeout(settings.request_timeout)
        .dns_resolver(resolver::Guarded {
            allow: Arc::clone(&settings.allow),
            host: endpoint.host().clone(),
            port: endpoint.port(),
        }))
}

/// Whether the environment names a proxy for anything.
fn is_proxied() -> bool {
    [
        "ALL_PROXY",
        "all_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
    ]
    .iter()
    .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

fn request(call: &Call, body: Option<reqwest::Body>) -> Request {
    use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
    let mut request = Request::new(call.method.clone(), call.url.clone());
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(AUTHORIZATION, call.authorization.clone());
    if body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    *request.body_mut() = body;
    request
}

/// What it means that a call got no answer. Only what is certain not to have been sent counts as not sent.
fn unanswered(call: &Call, purpose: Purpose, failure: &reqwest::Error) -> RemoteError {
    if tls::find::<GateShut>(failure).is_some() {
        return error(call, ErrorClass::GateClosed, "");
    }
    let resolving = tls::find::<ResolveError>(failure);
    if let Some(ResolveError::NotAllowed(reason)) = resolving {
        return refused(call.operation, reason);
    }
    let unreachable = ErrorClass::Unreachable { after: None };
    if failure.is_builder() {
        return error(call, ErrorClass::Invalid, " (the request cannot be written)");
    }
    if failure.is_connect() {
        let reason = if resolving.is_some() || failure.is_dns() {
            "the name is not resolved".into()
        } else if failure.is_timeout() {
            "connecting took too long".into()
        } else if let Some(reason) = tls::describe(failure) {
            reason
        } else {
            io_reason(failure).unwrap_or("no connection").into()
        };
        return error(call, unreachable, &format!(" ({reason})"));
    }
    let reason = match failure.is_timeout() {
        true => " (no answer in time)",
        false => " (the connection broke off)",
    };
    error(call, purpose.broken(None), reason)
}

fn io_reason(failure: &(dyn StdError + 'static)) -> Option<&'static str> {
    use std::io::ErrorKind;
    match tls::find::<std::io::Error>(failure)?.kind() {
        ErrorKind::ConnectionRefused => Some("the connection is refused"),
        ErrorKind::ConnectionReset => Some("the connection is reset"),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            Some("there is no route to the address")
        }
        ErrorKind::TimedOut => Some("connecting took too long"),
        _ => None,
    }
}

fn error(call: &Call, class: ErrorClass, detail: &str) -> RemoteError {
    tracing::debug!(operation = call.operation, %class, "the call was not answered");
    RemoteError {
        operation: call.operation,
        class,
        detail: detail.to_string(),
        blockers: Vec::new(),
    }
}

fn refused(operation: &'static str, reason: &NotAllowed) -> RemoteError {
    RemoteError {
        operation,
        class: ErrorClass::EndpointNotAllowed,
        detail: format!(" ({reason})"),
        blockers: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// The check before the connection and the one after it are tested from outside; this is the last one.
    #[tokio::test]
    async fn a_body_that_meets_a_closed_gate_keeps_the_whole_request_back() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).await.unwrap();
            heard
        });
        let body = Bytes::from_static(b"{}");
        let call = Call {
            operation: "create user",
            method: Method::POST,
            url: Url::parse(&format!("http://{address}/users")).unwrap(),
            authorization: HeaderValue::from_static("Bearer x"),
            body: None,
            cap: ANSWER_CAP,
        };
        let request = request(
            &call,
            Some(reqwest::Body::wrap(GateBody::new(body, Gate::closed()))),
        );
        let trust = Trust::load(&[]).unwrap();
        let client = Client::builder()
            .tls_backend_preconfigured(trust.client_config().unwrap())
            .timeout(Duration::from_secs(5));
        let failure = client.build().unwrap().execute(request).await.unwrap_err();
        let error = unanswered(&call, Purpose::Mutation, &failure);
        assert_eq!(error.class, ErrorClass::GateClosed, "{failure:?}");
        assert_eq!(server.await.unwrap(), b"");
    }
}
