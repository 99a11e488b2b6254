//! What a process needs around its controllers: leadership, probes, metrics, logs, an orderly end.

pub mod admin;
pub mod installation;
pub mod leader;
pub mod operator;
pub mod telemetry;
#[cfg(feature = "otlp")]
mod traces;
