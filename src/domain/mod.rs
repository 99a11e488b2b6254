//! What is decided, without doing any of it: no kube client, no HTTP, no clock, no randomness.
//!
//! Everything here is a function of its arguments, so that it can be tested by table, by property and by
//! exhaustive search. `tests/layers.rs` keeps it so.

pub mod alternation;
pub mod attempts;
pub mod claims;
pub mod conditions;
pub mod connection;
pub mod endpoint;
pub mod generate;
pub mod grants;
pub mod identity;
pub mod journal;
pub mod mac;
pub mod parameters;
pub mod password;
pub mod pause;
pub mod plan;
pub mod rate;
pub mod remote;
pub mod role;
pub mod rotation;
pub mod schedule;
pub mod secret;
pub mod sql;
pub mod time;
pub mod timings;
pub mod username;
pub mod wish;
pub mod workloads;
