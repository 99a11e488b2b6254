//! What tests are made with.

mod audit;
mod commits;
mod control_plane;
mod environment;
mod manifests;
mod operator;
mod postgres;
mod process;
mod rbac;
mod scene;
mod setting;
mod simulator;
mod trial;
mod vendor;
mod wait;
mod wire;
mod world;

use std::time::Duration;

#[allow(unused_imports)]
pub use self::{
    audit::{AuditEvent, AuditLog, Tally},
    environment::{Environment, Handle},
    operator::{Operator, Options},
    postgres::Postgres,
    process::Process,
    scene::{Scene, pause},
    setting::{SERVER, user_manifest},
    simulator::{APP, CLUSTER_ID, Simulator, TOKEN},
    trial::trial,
    vendor::{ADMIN, Fate, Provider, Struck, Vendor},
    wait::eventually,
    world::World,
};
pub(crate) use trial::{trials, trials_everywhere};

/// Why a test cannot go on.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a test, or a step of it, comes to.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Long enough for anything that happens at all, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
