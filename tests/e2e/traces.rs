//! Traces, in builds with the feature `otlp`: they arrive at a collector, and have nothing secret.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use libtest_mimic::Trial;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::support::{Handle, Options, Outcome, PATIENCE, TOKEN, World, eventually, trials};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        reconciliations_steps_and_remote_calls_are_traced,
        a_collector_that_is_not_there_stops_nobody,
    )
}

/// What was sent so far.
type Received = Arc<Mutex<Vec<Bytes>>>;

/// The part of a collector that takes spans.
struct Collector {
    address: SocketAddr,
    received: Received,
}

impl Collector {
    async fn start() -> Outcome<Collector> {
        let received = Received::default();
        let take = |State(received): State<Received>, body: Bytes| async move {
            received.lock().unwrap().push(body);
        };
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(received.clone());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Collector { address, received })
    }

    fn spans(&self) -> Outcome<Vec<Span>> {
        let mut spans = Vec::new();
        for body in self.received.lock().unwrap().iter() {
            let request = ExportTraceServiceRequest::decode(body.clone())?;
            let scopes = request.resource_spans.into_iter().flat_map(|it| it.scope_spans);
            spans.extend(scopes.flat_map(|scope| scope.spans));
        }
        Ok(spans)
    }
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

async fn reconciliations_steps_and_remote_calls_are_traced(world: &World) -> Outcome {
    let collector = Collector::start().await?;
    let options = Options::default()
        .env(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            &format!("http://{}", collector.address),
        )
        .env("OTEL_BSP_SCHEDULE_DELAY", "200");
    let (_vendor, mut operator) = world.set_up_with(&[], options).await?;
    let password = world.ready_user("webshop").await?;

    eventually("the spans of a creation", PATIENCE, async || {
        let spans = collector.spans()?;
        let calls = |span: &&Span| {
            span.name == "remote call" && attribute(span, "operation").as_deref() == Some("create")
        };
        let call = spans.iter().find(calls).ok_or("no call")?;
        assert_eq!(attribute(call, "class").as_deref(), Some("ok"));
        assert_eq!(attribute(call, "provider").as_deref(), Some("ionos"));
        let published = |span: &&Span| {
            span.name == "step" && attribute(span, "step").is_some_and(|step| step.starts_with("Publish"))
        };
        let step = spans.iter().find(published).ok_or("no step")?;
        let parent = spans.iter().find(|span| span.span_id == step.parent_span_id);
        let parent = parent.ok_or("no reconciliation")?;
        assert_eq!(parent.name, "reconciling object");
        let object = attribute(parent, "object.ref").unwrap_or_default();
        assert!(
            object.contains("PostgresUser") && object.contains("webshop"),
            "{object}"
        );
        Ok(())
    })
    .await?;
    assert!(operator.terminate().await?.success());
    let all = collector.received.lock().unwrap().concat();
    for secret in [password.as_str(), TOKEN] {
        let shown = all
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!shown, "a span shows {}…", &secret[..4]);
    }
    Ok(())
}

async fn a_collector_that_is_not_there_stops_nobody(world: &World) -> Outcome {
    let options = Options::default()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        .env("OTEL_BSP_SCHEDULE_DELAY", "200");
    let (_vendor, mut operator) = world.set_up_with(&[], options).await?;
    world.ready_user("webshop").await?;
    eventually("the log to say so", PATIENCE, async || {
        match operator.logs().contains("ExportError") {
            true => Ok(()),
            false => Err("it does not".into()),
        }
    })
    .await?;
    assert!(operator.terminate().await?.success());
    Ok(())
}
