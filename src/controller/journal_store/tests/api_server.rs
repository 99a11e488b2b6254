//! An API server that keeps one Secret, and does to requests what a test asks for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use http::Method;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::super::parse;
use crate::answering::api_server;
use crate::domain::journal::Journal;

/// What becomes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// It is executed, and nobody hears of it.
    AnswerLost,
    /// It is lost.
    Lost,
    /// It is executed just before the next write.
    Late,
    /// It is refused with this code.
    Refused(u16),
}

/// What the server keeps and does.
#[derive(Default)]
pub struct State {
    /// The Secret, with its resourceVersion.
    pub secret: Option<Value>,
    version: u64,
    /// What becomes of the next writes; afterwards they work.
    pub writes: VecDeque<Write>,
    /// How many reads to come fail.
    pub failing_reads: usize,
    /// All writes that came, as sent.
    pub sent: Vec<Vec<u8>>,
    late: Option<(Method, Vec<u8>)>,
}

impl State {
    fn write(&mut self, method: &Method, body: &[u8]) -> (u16, Value) {
        let mut secret: Value = serde_json::from_slice(body).unwrap();
        let conflict = (409, json!({"reason": "Conflict"}));
        match (&self.secret, method == Method::POST) {
            (Some(_), true) => return conflict,
            (None, false) => return (404, json!({"reason": "NotFound"})),
            (Some(stored), false) if version_of(stored) != version_of(&secret) => return conflict,
            _ => {}
        }
        self.version += 1;
        secret["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.secret = Some(secret.clone());
        (200, secret)
    }

    fn handle(&mut self, method: &Method, body: Vec<u8>) -> Option<(u16, Value)> {
        if method == Method::GET {
            if self.failing_reads > 0 {
                self.failing_reads -= 1;
                return None;
            }
            return Some(match &self.secret {
                Some(secret) => (200, secret.clone()),
                None => (404, json!({"reason": "NotFound"})),
            });
        }
        if let Some((method, body)) = self.late.take() {
            self.write(&method, &body);
        }
        self.sent.push(body.clone());
        match self.writes.pop_front() {
            None => Some(self.write(method, &body)),
            Some(Write::AnswerLost) => {
                self.write(method, &body);
                None
            }
            Some(Write::Lost) => None,
            Some(Write::Late) => {
                self.late = Some((method.clone(), body));
                None
            }
            Some(Write::Refused(code)) => Some((code, json!({"reason": "Forbidden"}))),
        }
    }

    /// The journal that is stored.
    pub fn journal(&self) -> Journal {
        let secret: Secret = serde_json::from_value(self.secret.clone().unwrap()).unwrap();
        parse(&secret).unwrap()
    }

    /// Somebody changes the Secret: it has another version from now on.
    pub fn replace(&mut self, secret: Value) {
        self.version += 1;
        self.secret = Some(secret);
        self.secret.as_mut().unwrap()["metadata"]["resourceVersion"] = json!(self.version.to_string());
    }
}

fn version_of(secret: &Value) -> &Value {
    &secret["metadata"]["resourceVersion"]
}

/// The server. Cheap to clone.
#[derive(Clone, Default)]
pub struct ApiServer(Arc<Mutex<State>>);

impl ApiServer {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A client of this server.
    pub fn client(&self) -> kube::Client {
        let server = self.clone();
        api_server(move |method, body| server.state().handle(method, body))
    }
}
