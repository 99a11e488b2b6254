//! Traces, sent by OTLP over HTTP: in builds with the feature `otlp`, where OpenTelemetry's usual variables of the
//! environment name a collector.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

/// Either asks for traces.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
];
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

/// Sends what is left when it is dropped.
#[derive(Debug, Default)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Starts sending, if that is asked for.
    ///
    /// # Errors
    /// If the environment asks for what there is not.
    pub fn start() -> Result<Self, String> {
        let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if !ENDPOINTS.iter().any(is_set) {
            return Ok(Self::default());
        }
        let exporter = SpanExporter::builder().with_http().build();
        let exporter = exporter.map_err(|error| format!("send traces (OTEL_EXPORTER_OTLP_…): {error}"))?;
        let resource = Resource::builder();
        let resource = match is_set(&SERVICE_NAME) {
            true => resource,
            false => resource.with_service_name("pguser-operator"),
        };
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(exporter);
        Ok(Self(Some(provider.build())))
    }

    /// What takes the spans: reconciliations, their steps and remote calls, and nothing of what libraries do below.
    pub fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let tracer = self.0.as_ref()?.tracer("pguser-operator");
        let ours = Targets::new()
            .with_target("pguser_operator", LevelFilter::DEBUG)
            .with_target("kube_runtime::controller", LevelFilter::INFO);
        Some(
            tracing_opentelemetry::layer()
                .with_tracer(tracer)
                .with_filter(ours),
        )
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // What cannot be sent by now is nobody's any more.
        let _ = self.0.take().map(|provider| provider.shutdown());
    }
}
