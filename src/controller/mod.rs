//! Observe, act, report: everything that touches the Kubernetes API on behalf of the planner.

pub mod journal_store;
