//! Lists of the Kubernetes API in pages of bounded size.
//!
//! Whoever may make objects in one namespace says how large they are: a page of a hundred may have a hundred MiB. So a page that
//! gets too long is broken off as it comes, and from then on the same list is asked for in pages of a quarter as many objects, down to
//! one by one. The list itself is begun anew by whoever asked for it.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;
use tower::{Layer, Service};

/// The most bytes of a page: more than any single object may have.
const MOST: usize = 8 << 20;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A page was broken off.
#[derive(Debug, Error)]
#[error("a page of a list has more than {MOST} bytes; it is asked for in smaller ones")]
struct TooLong;

/// How many objects a page may have, by the list's path, where that is fewer than are asked for.
#[derive(Debug, Default)]
struct Limits(Mutex<HashMap<String, u32>>);

impl Limits {
    fn of(&self, path: &str, asked: u32) -> u32 {
        let limits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        limits.get(path).map_or(asked, |limit| asked.min(*limit))
    }

    /// So many were too many.
    fn lower(&self, path: &str, from: u32) {
        let limit = (from / 4).max(1);
        tracing::warn!(
            path,
            limit,
            "a page of a list is too long: it is listed in smaller ones from now on"
        );
        let mut limits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        limits.insert(path.to_string(), limit);
    }
}

/// Bounds the pages of all lists that a client asks for.
#[derive(Debug, Clone, Default)]
pub struct BoundedPages(Arc<Limits>);

impl<S> Layer<S> for BoundedPages {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Bounded<S> {
        let limits = self.0.clone();
        Bounded { inner, limits }
    }
}

/// A client of which lists have bounded pages.
#[derive(Debug, Clone)]
pub struct Bounded<S> {
    inner: S,
    limits: Arc<Limits>,
}

impl<S, Asked, B> Service<Request<Asked>> for Bounded<S>
where
    S: Service<Request<Asked>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
{
    type Response = Response<Page<B>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Asked>) -> Self::Future {
        let bound = (request.method() == Method::GET)
            .then(|| limit_of(request.uri()))
            .flatten()
            .map(|asked| {
                let path = request.uri().path().to_string();
                let limit = self.limits.of(&path, asked);
                (path, limit, asked)
            });
        if let Some((_, limit, asked)) = &bound
            && limit < asked
            && let Some(uri) = with_limit(request.uri(), *limit)
        {
            *request.uri_mut() = uri;
        }
        let answer = self.inner.call(request);
        let limits = self.limits.clone();
        Box::pin(async move {
            let answer = answer.await?;
            let bound = bound.map(|(path, limit, _)| Bound {
                left: MOST,
                path,
                limit,
                limits,
            });
            Ok(answer.map(|body| Page {
                inner: Box::pin(body),
                bound,
            }))
        })
    }
}

/// How many objects a list asks for at once; none of what is no list of pages. A watch goes on for ever.
fn limit_of(uri: &Uri) -> Option<u32> {
    let mut limit = None;
    for parameter in uri.query()?.split('&') {
        match parameter.split_once('=') {
            Some(("watch", "true" | "1")) => return None,
            Some(("limit", value)) => limit = value.parse().ok().filter(|limit| *limit > 0),
            _ => {}
        }
    }
    limit
}

fn with_limit(uri: &Uri, limit: u32) -> Option<Uri> {
    let others = uri.query()?.split('&').filter(|it| !it.starts_with("limit="));
    let query: Vec<_> = others.filter(|it| !it.is_empty()).collect();
    let text = format!("{}?limit={limit}&{}", uri.path(), query.join("&"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(text.trim_end_matches('&').parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// What is left of a page, and whom to tell if that is too little.
#[derive(Debug)]
struct Bound {
    left: usize,
    path: String,
    limit: u32,
    limits: Arc<Limits>,
}

/// The body of an answer.
#[derive(Debug)]
pub struct Page<B> {
    inner: Pin<Box<B>>,
    bound: Option<Bound>,
}

impl<B> Body for Page<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match ready!(self.inner.as_mut().poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        if let Some(bound) = &mut self.bound {
            match bound.left.checked_sub(bytes) {
                Some(left) => bound.left = left,
                None => {
                    bound.limits.lower(&bound.path, bound.limit);
                    return Poll::Ready(Some(Err(TooLong.into())));
                }
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::{StreamExt as _, pin_mut};
    use k8s_openapi::api::core::v1::Secret;
    use kube::client::{Body as Sent, ClientBuilder};
    use kube::core::PartialObjectMeta;
    use kube::runtime::watcher;
    use kube::{Api, ResourceExt};
    use serde_json::{Value, json};
    use tower::service_fn;

    use super::*;
    use crate::api::Lean;

    /// An API server with so many Secrets, each with 255 KiB of somebody's annotations.
    #[derive(Clone)]
    struct ApiServer {
        secrets: usize,
        largest: Arc<AtomicUsize>,
    }

    impl ApiServer {
        fn page(&self, uri: &Uri) -> Value {
            let of = |name: &str| {
                let parameters = uri.query().unwrap_or_default().split('&');
                let value = parameters
                    .filter_map(|it| it.split_once('='))
                    .find(|it| it.0 == name);
                value.and_then(|(_, value)| value.parse::<usize>().ok())
            };
            let (from, limit) = (of("continue").unwrap_or(0), of("limit").unwrap());
            let to = (from + limit).min(self.secrets);
            let items = (from..to).map(|number| {
                json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {
                    "name": format!("s-{number}"), "namespace": "shop", "uid": number.to_string(), "resourceVersion": "1",
                    "annotations": {"example.com/note": "x".repeat(255 << 10), "pguser.dev/user": "shop/checkout"},
                }})
            });
            let next = if to < self.secrets {
                to.to_string()
            } else {
                String::new()
            };
            json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
                "metadata": {"resourceVersion": "1", "continue": next}, "items": items.collect::<Vec<_>>()})
        }

        async fn answer(self, request: Request<Sent>) -> Result<Response<Pieces>, std::io::Error> {
            if limit_of(request.uri()).is_none() {
                // The watch that follows the list.
                std::future::pending::<()>().await;
            }
            let body = self.page(request.uri()).to_string().into_bytes();
            self.largest.fetch_max(body.len(), Ordering::Relaxed);
            // As it comes from a connection: piece by piece.
            let pieces: Vec<_> = body
                .chunks(64 << 10)
                .map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))))
                .collect();
            Ok(Response::new(Pieces(pieces.into_iter())))
        }
    }

    struct Pieces(std::vec::IntoIter<Result<Frame<Bytes>, std::io::Error>>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            Poll::Ready(self.0.next())
        }
    }

    #[tokio::test]
    async fn large_objects_are_listed_in_pages_that_fit_and_none_is_missed() {
        let server = ApiServer {
            secrets: 120,
            largest: Arc::default(),
        };
        let largest = server.largest.clone();
        let answers = service_fn(move |request| server.clone().answer(request));
        let client = ClientBuilder::new(answers, "default")
            .with_layer(&BoundedPages::default())
            .build();
        let api: Api<Lean<PartialObjectMeta<Secret>>> = Api::all(client);
        let events = watcher(api, watcher::Config::default().page_size(100));
        pin_mut!(events);
        let mut names = Vec::new();
        let mut failures = 0;
        loop {
            match events.next().await.unwrap() {
                Ok(watcher::Event::Init) => names.clear(),
                Ok(watcher::Event::InitApply(secret)) => {
                    assert_eq!(secret.annotations().len(), 1, "of others' annotations");
                    names.push(secret.name_any());
                }
                Ok(watcher::Event::InitDone) => break,
                Ok(_) => {}
                Err(_) => failures += 1,
            }
        }
        assert_eq!(names.len(), 120);
        assert_eq!(failures, 1, "a hundred are 25 MiB, a quarter of them fits");
        assert!(
            largest.load(Ordering::Relaxed) > MOST,
            "nothing had to be bounded"
        );
    }

    #[test]
    fn only_the_limit_of_a_list_is_changed() {
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        let list = uri("https://api:6443/api/v1/secrets?&limit=25&continue=abc%3D&resourceVersion=0");
        assert_eq!(limit_of(&list), Some(25));
        assert_eq!(
            with_limit(&list, 6).unwrap(),
            uri("https://api:6443/api/v1/secrets?limit=6&continue=abc%3D&resourceVersion=0")
        );
        let only = uri("/api/v1/secrets?limit=25");
        assert_eq!(with_limit(&only, 1).unwrap(), uri("/api/v1/secrets?limit=1"));
        for none in [
            "/api/v1/secrets",
            "/api/v1/secrets?watch=true&limit=5",
            "/api/v1/secrets?limit=0",
        ] {
            assert_eq!(limit_of(&uri(none)), None, "{none}");
        }
    }

    #[test]
    fn pages_get_smaller_down_to_one_object() {
        let limits = Limits::default();
        assert_eq!(limits.of("/a", 100), 100);
        let mut seen = Vec::new();
        for _ in 0..5 {
            limits.lower("/a", limits.of("/a", 100));
            seen.push(limits.of("/a", 100));
        }
        assert_eq!(seen, [25, 6, 1, 1, 1]);
        assert_eq!(limits.of("/b", 100), 100);
    }
}
