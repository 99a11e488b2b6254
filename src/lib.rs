//! A Kubernetes operator that gives every application its own PostgreSQL login.
//!
//! Layers point one way: [`api`] (resource types) → [`domain`] (decisions, pure) → [`provider`] (remote systems)
//! → [`objects`] (what the resources
//! say, pure) → `controller` (observe, act, report) → `runtime` (leader election, probes, metrics) → `main`.
//! [`plugin`], the command for people, stands beside `runtime`.
//! `ARCHITECTURE.md` has the bird's-eye view and the invariants I1 to I7; rules named R0 to R11 in comments
//! are the journal's, described there too.

#[cfg(test)]
mod answering;
pub mod api;
pub mod cli;
pub mod clock;
pub mod controller;
pub mod domain;
pub mod failpoint;
pub mod fatal;
pub mod metrics;
pub mod objects;
pub mod plugin;
pub mod provider;
pub mod runtime;
