//! What a server object and its credentials have to stay for.

use super::start::place;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::journal_store;
use crate::controller::server::task::ServerTask;
use crate::domain::journal::Journal;
use crate::objects::ServerObject;

/// Whether a PostgresUser has a login by this server object or a right to one, as far as all are known, or its journal holds
/// anything. An entry outlives its PostgresUser: until its end the remote is asked for what became of it, which takes the
/// credentials as well.
///
/// # Errors
/// If the journal of a server that is not at work cannot be read.
pub async fn is_needed(object: &ServerObject, context: &Context) -> Result<bool, Error> {
    if context.users_that_need(&object.key()).next().is_some() || !context.listing.is_complete() {
        return Ok(true);
    }
    has_entries(object, context).await
}

/// Whether a server object's journal holds anything.
///
/// # Errors
/// If the journal of a server that is not at work cannot be read.
pub async fn has_entries(object: &ServerObject, context: &Context) -> Result<bool, Error> {
    let server = context.server(&object.key());
    let at_work = server.filter(|server| server.uid == object.uid());
    if let Some(entries) = at_work.and_then(|server| entries_at_work(&server)) {
        return Ok(entries > 0);
    }
    let read = journal_store::read(&place(object, context))
        .await
        .map_err(Error::Journal)?;
    Ok(read.is_some_and(|(journal, _)| entries(&journal) > 0))
}

/// How many entries the journal of a server at work has, as long as it is held.
pub fn entries_at_work(server: &ServerTask) -> Option<usize> {
    server.journal.view(|journal, _| journal.map(entries))
}

/// All of a journal's entries, those of a version that this operator does not know included.
fn entries(journal: &Journal) -> usize {
    journal.entries.len() + journal.unknown.len()
}
