//! Server objects: reconciled (`reconcile`), and the task that makes the remote calls of each (`task`).

pub mod reconcile;
pub mod task;
pub mod view;
