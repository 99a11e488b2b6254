//! The bare API's words: what is asked, and what is answered.

use std::borrow::Cow;

use axum::{
    http::{Method, StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;

use super::{Behaviour, Route, store::Store};

/// A request, as far as it is looked at.
pub struct Request {
    pub route: Route,
    name: String,
    offset: usize,
    limit: usize,
}

impl Request {
    /// Reads it. `cluster` is the path of the cluster.
    pub fn read(method: &Method, uri: &Uri, cluster: &str) -> Request {
        let path = uri.path().strip_prefix(cluster);
        let (route, name) = match (path, method.as_str()) {
            (Some(""), "GET") => (Route::Cluster, ""),
            (Some("/users"), "GET") => (Route::List, ""),
            (Some("/users"), "POST") => (Route::Create, ""),
            (Some(path), method) => one(path, method),
            (None, _) => (Route::Other, ""),
        };
        let query = |key: &str| {
            let pairs = uri.query().unwrap_or_default().split('&');
            let mut values = pairs.filter_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
            values.next()?.parse().ok()
        };
        Request {
            route,
            name: name.to_owned(),
            offset: query("offset").unwrap_or(0),
            limit: query("limit").unwrap_or(100).clamp(1, 1000),
        }
    }
}

fn one<'a>(path: &'a str, method: &str) -> (Route, &'a str) {
    match (path.strip_prefix("/users/"), method) {
        (Some(name), "GET") => (Route::Get, name),
        (Some(name), "PATCH") => (Route::Patch, name),
        (Some(name), "DELETE") => (Route::Delete, name),
        _ => (Route::Other, ""),
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    properties: Properties<'a>,
}

#[derive(Deserialize)]
struct Properties<'a> {
    #[serde(default)]
    username: &'a str,
    #[serde(borrow)]
    password: Cow<'a, str>,
}

/// What is answered to a request that concerns users.
pub fn users(store: &mut Store, behaviour: &Behaviour, request: &Request, body: &[u8]) -> Response {
    let name = request.name.as_str();
    let found = match request.route {
        Route::List => return json(store.page(request.offset, request.limit)),
        Route::Delete if store.delete(name, behaviour.lingering) => {
            return StatusCode::NO_CONTENT.into_response();
        }
        Route::Create | Route::Patch => {
            let Ok(Body { properties }) = serde_json::from_slice(body) else {
                return error(StatusCode::BAD_REQUEST);
            };
            let password = &properties.password;
            if request.route == Route::Patch {
                store.change(name, password, behaviour.milliseconds)
            } else {
                return match store.create(properties.username, password, behaviour.milliseconds) {
                    Some(user) => json(user.to_owned()),
                    None => error(StatusCode::UNPROCESSABLE_ENTITY),
                };
            }
        }
        Route::Get => store.get(name),
        _ => None,
    };
    match found {
        Some(user) => json(user.to_owned()),
        None => error(StatusCode::NOT_FOUND),
    }
}

/// The cluster. Its name is none that the operator may dial, so that no login is tried.
pub fn cluster(busy: bool) -> impl axum::response::IntoResponse {
    let state = if busy { "BUSY" } else { "AVAILABLE" };
    json(format!(
        "{{\"type\":\"cluster\",\"id\":\"cluster\",\"metadata\":{{\"state\":\"{state}\"}},\"properties\":{{\"displayName\":\
         \"bench\",\"dnsName\":\"pg-bench.postgresql.de-txl.ionos.com\"}}}}"
    ))
}

/// A refusal, as the vendor words it.
pub fn error(status: StatusCode) -> Response {
    let code = status.as_u16();
    let body = format!(
        "{{\"httpStatus\":{code},\"messages\":[{{\"errorCode\":\"paas-{code}\",\"message\":\"no\"}}]}}"
    );
    (status, json(body)).into_response()
}

fn json(body: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}
