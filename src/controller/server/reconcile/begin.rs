//! A server object that is looked at, whether it stays or goes.

use std::sync::Arc;
use std::time::Duration;

use super::start::{at_work, gate_of};
use super::{credentials, orphans};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::server::task::ServerTask;
use crate::objects::ServerObject;

/// Has its server work with the credentials of today, and sees to entries without a PostgresUser: how soon to look at these again,
/// if any are left.
pub(super) async fn begin(
    object: &ServerObject,
    context: &Arc<Context>,
) -> Result<(Arc<ServerTask>, Option<Duration>), Error> {
    let found = credentials::find(object, context).await?;
    let gate = gate_of(object, context);
    let link = credentials::link(object, context, &found, &gate);
    let server = at_work(object, context, link, gate).await?;
    orphans::let_go_of_named(object, &server, context).await?;
    let again = orphans::resolve(&server, context).await?;
    Ok((server, again))
}
