//! What tests are made with.

mod audit;
mod clock;
mod command;
mod commits;
mod control_plane;
mod environment;
mod judge;
mod manifests;
mod operator;
mod person;
mod prometheus;
mod raw;
mod rbac;
mod scene;
#[path = "../../support_servers/mod.rs"]
mod servers;
mod setting;
mod trial;
mod vendor;
mod wire;
mod world;

#[allow(unused_imports)]
pub use self::{
    audit::{AuditEvent, AuditLog, Mark, Tally},
    clock::Clock,
    environment::{Environment, Handle},
    judge::{Diff, Judge},
    operator::{Operator, Options},
    person::{Answer, Person},
    prometheus::{Monitoring, Prometheus, promtool},
    raw::{poison, try_out},
    scene::{Scene, pause},
    servers::{
        ADDON_ID, APP, CLUSTER_ID, Failure, Outcome, PATIENCE, Postgres, Process, REPOSITORY, Simulator,
        TOKEN, eventually,
    },
    setting::{SERVER, user_manifest},
    trial::trial,
    vendor::{ADMIN, Fate, Provider, Struck, Vendor},
    world::World,
};
pub(crate) use trial::{trials, trials_everywhere};
