//! All pages of a list.

use super::server_task::ServerTask;
use crate::clock;
use crate::domain::time::Mono;
use crate::provider::{Answer, AnyProvider, Listing, Provider, RemoteError};

/// Lists all users, and tells when that was begun. Each page is a call: leave is asked for as many as the last list had. None
/// if the server is to stop meanwhile, or is talked to in another way.
pub(super) async fn all_pages(
    server: &ServerTask,
    provider: &AnyProvider,
) -> Option<Result<(Answer<Listing>, Mono), RemoteError>> {
    let expected = server.state().pages();
    let permitted = server
        .permit_many(u32::try_from(expected).unwrap_or(u32::MAX))
        .await?;
    let started = clock::now();
    let result = server.call("list", provider.list()).await;
    if let Ok(answer) = &result {
        let beyond = answer.value.pages.saturating_sub(permitted);
        server.link().bucket.charge(clock::now(), beyond);
    }
    Some(result.map(|answer| (answer, started)))
}
