//! The two places inside the HTTP client where a mutation asks the gate again.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;
use tower::{Layer, Service};

use crate::provider::gate::Gate;

/// The gate was closed, and nothing had been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the gate is closed")]
pub(super) struct GateShut;

/// Refuses a connection that is complete (name resolved, TCP and TLS up, proxy passed) only after the gate
/// has closed.
#[derive(Debug, Clone)]
pub(super) struct GateLayer(pub(super) Gate);

impl<S> Layer<S> for GateLayer {
    type Service = GateService<S>;

    fn layer(&self, inner: S) -> GateService<S> {
        GateService {
            inner,
            gate: self.0.clone(),
        }
    }
}

/// A connector behind a [`GateLayer`].
#[derive(Debug, Clone)]
pub(super) struct GateService<S> {
    inner: S,
    gate: Gate,
}

impl<S, R> Service<R> for GateService<S>
where
    S: Service<R, Error = Box<dyn StdError + Send + Sync>>,
    S::Response: Send,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let connecting = self.inner.call(target);
        let gate = self.gate.clone();
        Box::pin(async move {
            let connection = connecting.await?;
            if gate.is_open() {
                Ok(connection)
            } else {
                Err(GateShut.into())
            }
        })
    }
}

/// A request body that asks the gate when it is first polled. At that moment the client has the request's
/// head in its buffer and has written nothing, so that a refusal here means that nothing was sent.
pub(super) struct GateBody {
    bytes: Option<Bytes>,
    gate: Gate,
}

impl GateBody {
    pub(super) fn new(bytes: Bytes, gate: Gate) -> Self {
        Self {
            bytes: Some(bytes),
            gate,
        }
    }
}

impl Body for GateBody {
    type Data = Bytes;
    type Error = GateShut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, GateShut>>> {
        Poll::Ready(match self.bytes.take() {
            Some(_) if !self.gate.is_open() => Some(Err(GateShut)),
            Some(bytes) => Some(Ok(Frame::data(bytes))),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
