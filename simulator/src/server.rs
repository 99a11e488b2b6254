//! The HTTP server: accepts, records, lets faults strike, answers or hangs up.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

use crate::{
    admin,
    answer::{Answer, Call},
    api::{Api, Request as ApiRequest},
    arrival::Arrival,
    clock,
    faults::{DropWhen, Effect, Struck, When},
    sim::Sim,
};

/// More than any request of these APIs needs.
const BODY_LIMIT: usize = 1 << 20;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Serves for ever.
pub async fn serve(listener: TcpListener, sim: Arc<Sim>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve_connection(stream, sim.clone()));
            }
            Err(error) => {
                // Out of descriptors, most likely: without a pause this would spin.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, sim: Arc<Sim>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(sim.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended");
    }
}

/// What becomes of a request. An error makes hyper end the connection without a byte of an answer.
async fn answer(sim: Arc<Sim>, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let api = Api::of(parts.uri.path());
            return response(Sending::Whole(api.too_large(&sim.switches())));
        }
        Err(error) => return Err(io::Error::other(error)),
    };
    let call = Call {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body,
    };
    // On a task of its own: a client that gives up does not undo what it asked for, here as at the vendor's.
    let sending = tokio::spawn(async move {
        if call.path == "/_sim" || call.path.starts_with("/_sim/") {
            return Some(Sending::Whole(admin::handle(&sim, &call).await));
        }
        serve_api(&sim, call).await
    });
    match sending.await.map_err(io::Error::other)? {
        Some(sending) => response(sending),
        None => Err(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "dropped as a fault asked",
        )),
    }
}

/// An answer on its way out.
enum Sending {
    /// All of it.
    Whole(Answer),
    /// Half of the body, then the end of the connection.
    Half(Answer),
}

/// Runs one request of a simulated API through its faults. `None` drops the connection.
async fn serve_api(sim: &Arc<Sim>, call: Call) -> Option<Sending> {
    let request = ApiRequest::arrive(sim, call);
    let Arrival { seq, struck, .. } = request.arrival();
    let (seq, struck) = (*seq, struck.clone());
    sleep(Duration::from_millis(struck.before_ms)).await;
    if let Some(Effect::LateCommit { after_ms }) = struck.effect {
        sim.arrivals().journal.answered(seq, None);
        let sim = sim.clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(after_ms)).await;
            execute(&sim, &request).await;
            sim.arrivals().journal.done(seq);
        });
        return None;
    }
    let mut sending = strike(sim, &request, &struck).await;
    sleep(Duration::from_millis(struck.after_ms)).await;
    let mut status = None;
    if let Some(Sending::Whole(answer) | Sending::Half(answer)) = &mut sending {
        status = Some(answer.status.as_u16());
        answer.headers.push((
            "date",
            clock::http_date(clock::api_ms(&request.arrival().switches)),
        ));
    }
    let mut arrivals = sim.arrivals();
    arrivals.journal.answered(seq, status);
    arrivals.journal.done(seq);
    sending
}

/// Executes the request where its fault lets it, and spoils the answer.
async fn strike(sim: &Arc<Sim>, request: &ApiRequest, struck: &Struck) -> Option<Sending> {
    let Some(effect) = &struck.effect else {
        return Some(Sending::Whole(execute(sim, request).await));
    };
    let executed = match effect {
        Effect::Status {
            when: When::BeforeCommit,
            ..
        }
        | Effect::Body { .. } => Answer::default(),
        Effect::Drop {
            when: DropWhen::BeforeCommit,
        } => return None,
        _ => execute(sim, request).await,
    };
    match effect {
        Effect::Status { .. } => Some(Sending::Whole(status_answer(request, effect))),
        Effect::Drop {
            when: DropWhen::MidBody,
        } if !executed.body.is_empty() => Some(Sending::Half(executed)),
        Effect::Drop { .. } => None,
        Effect::Truncate => {
            let mut answer = executed;
            answer.body.truncate(answer.body.len() / 2);
            Some(Sending::Whole(answer))
        }
        Effect::Body {
            status,
            body,
            content_type,
        } => Some(Sending::Whole(Answer {
            status: StatusCode::from_u16(*status).unwrap_or_default(),
            content_type: Some(content_type.clone()),
            body: body.clone().into_bytes(),
            ..Answer::default()
        })),
        // Time passes in `serve_api`.
        Effect::Latency { .. } | Effect::LateCommit { .. } => Some(Sending::Whole(executed)),
    }
}

/// The answer that a status fault asks for.
fn status_answer(request: &ApiRequest, effect: &Effect) -> Answer {
    let Effect::Status {
        status,
        retry_after,
        body,
        content_type,
        ..
    } = effect
    else {
        return Answer::default();
    };
    let mut answer = request.error(*status);
    if let Some(body) = body {
        answer.body = body.clone().into_bytes();
    }
    if content_type.is_some() {
        answer.content_type.clone_from(content_type);
    }
    if let Some(value) = retry_after {
        answer
            .headers
            .push(("retry-after", retry_after_value(request, value)));
    }
    answer
}

/// A Retry-After as it was asked for; `date+N` stands for the date N seconds from now.
fn retry_after_value(request: &ApiRequest, value: &str) -> String {
    match value
        .strip_prefix("date+")
        .and_then(|seconds| seconds.parse::<u32>().ok())
    {
        Some(seconds) => {
            clock::http_date(clock::api_ms(&request.arrival().switches) + i64::from(seconds) * 1000)
        }
        None => value.to_owned(),
    }
}

async fn execute(sim: &Arc<Sim>, request: &ApiRequest) -> Answer {
    let answer = request.handle(sim).await;
    if answer.committed {
        let print = answer.password_print.clone();
        sim.arrivals().journal.commit(request.arrival().seq, print);
    }
    answer
}

fn response(sending: Sending) -> io::Result<Response<Body>> {
    let (answer, whole) = match sending {
        Sending::Whole(answer) => (answer, true),
        Sending::Half(answer) => (answer, false),
    };
    let length = answer.body.len();
    let body = if whole {
        full(answer.body)
    } else {
        half(answer.body)
    };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    if let Some(content_type) = answer.content_type {
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_str(&content_type).map_err(io::Error::other)?,
        );
    }
    if !whole {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    for (name, value) in answer.headers {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_str(&value).map_err(io::Error::other)?,
        );
    }
    Ok(response)
}

fn full(body: Vec<u8>) -> Body {
    Full::new(Bytes::from(body))
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

fn half(mut body: Vec<u8>) -> Body {
    body.truncate(body.len() / 2);
    let parts = stream::unfold(Some(Bytes::from(body)), |state| async {
        match state {
            Some(half) if !half.is_empty() => Some((Ok(Frame::data(half)), Some(Bytes::new()))),
            Some(_) => {
                // Let the first half reach the client; an error right away would end the connection before it.
                sleep(Duration::from_millis(30)).await;
                Some((Err(io::Error::other("dropped as a fault asked")), None))
            }
            None => None,
        }
    });
    StreamBody::new(parts).boxed_unsync()
}
