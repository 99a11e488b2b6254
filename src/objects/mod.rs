//! What the resources say, taken together: pure functions of objects, with no client and no clock.
//!
//! | file | has |
//! |---|---|
//! | `key` | which object |
//! | `server` | what PostgresServer and ClusterPostgresServer have in common |
//! | `selector` | which server objects an operator looks after |
//! | `placement` | which server objects have to do with a PostgresUser |
//! | `contender` | PostgresUsers that want the same login |
//! | `wanted` | what a PostgresUser asks for, and whether it can be met |
//! | `output` | the output Secret |

mod contender;
mod key;
pub mod output;
pub mod placement;
mod selector;
mod server;
pub mod wanted;

pub use contender::contender;
pub use key::{ServerKey, UserRef};
pub use selector::{NoSelector, Selector};
pub use server::{PROVIDERS, ProviderSpec, ServerObject};
