//! One server object at work: its client, snapshot, circuit and journal, and the task that makes its remote
//! calls one after another (I7).
//!
//! | file | has |
//! |---|---|
//! | `server_task` | the server at work: what it has, and what others ask of it |
//! | `link` | how it is talked to |
//! | `state` | what is known of the remote cluster, and what is wanted of it |
//! | `turns` | who may work on users now |
//! | `window` | how many changes go between two looks at the cluster |
//! | `listed` | what a list tells, and what it takes |
//! | `looks`, `reads` | which looks and reads somebody waits for |
//! | `logins` | whether logins are tried now |
//! | `lost` | what logins had that are gone |
//! | `recount` | when users are counted for the status between two lists |
//! | `next` | which call is made next |
//! | `actor` | the task that makes the calls |
//! | `poll`, `pages` | looks at the state of the cluster, and lists |
//! | `trouble`, `blame` | what a failed call says of the server, or of one login |
//! | `send` | the sending of a journal entry |
//! | `bucket` | the rate limit of a set of credentials |

mod actor;
mod blame;
pub mod bucket;
mod link;
mod listed;
mod logins;
mod looks;
mod lost;
mod next;
mod pages;
mod poll;
mod reads;
mod recount;
mod send;
mod server_task;
pub mod state;
mod trouble;
pub mod turns;
mod window;

use std::sync::Arc;

pub use self::link::Link;
pub use self::server_task::{RetryPolicy, ServerTask, Setup, Triggers};

/// Starts working on a server. The task ends when [`ServerTask::stop`] is called; if it ends otherwise, so does the process.
pub fn start(setup: Setup) -> Arc<ServerTask> {
    let guard = setup.fatal.guard("the task of a server has ended unexpectedly");
    let server = Arc::new(ServerTask::new(setup));
    let (running, ended) = (server.clone(), server.ended.clone().drop_guard());
    tokio::spawn(async move {
        let _ended = ended;
        actor::run(running).await;
        guard.disarm();
    });
    server
}
