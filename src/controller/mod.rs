//! Observe, act, report: everything that touches the Kubernetes API on behalf of the planner.

mod at_rest;
mod backoff;
pub mod census;
pub mod claims;
pub mod config_maps;
pub mod context;
pub mod error;
pub mod events;
pub mod journal_store;
pub mod listing;
mod news;
pub mod objects;
pub mod overlaps;
pub mod passing;
pub mod refusals;
pub mod restarts;
pub mod retained;
pub mod run;
pub mod secrets;
pub mod server;
mod set_clock;
pub mod shard;
pub mod uids;
pub mod unread;
pub mod user;
