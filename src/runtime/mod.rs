//! What a process needs around its controllers: leadership, probes, metrics, logs, an orderly end.

pub mod admin;
mod election;
pub mod installation;
pub mod leader;
pub mod memory;
pub mod operator;
mod pages;
pub mod telemetry;
#[cfg(feature = "otlp")]
mod traces;
