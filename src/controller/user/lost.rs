//! What a login is without that somebody dropped and that was made anew.

use super::view::View;
use crate::api::Reason;
use crate::controller::context::Context;
use crate::controller::events;
use crate::domain::attempts::Outcome;
use crate::domain::journal::Cause;

/// Tells which parameters are lost that somebody had set for the login, once it is made anew. Their values are not told: nobody knows
/// what is in them.
///
/// What a restart of the operator comes in between is not known any more.
pub async fn tell(context: &Context, view: &View) {
    let staged = view.observed.entry.as_ref();
    let made_anew = staged.filter(|staged| {
        let is_accepted = matches!(staged.attempts.outcome, Some(Outcome::Accepted { .. }));
        staged.entry.cause == Cause::Vanished && is_accepted
    });
    let (Some(staged), Some(server)) = (made_anew, &view.server) else {
        return;
    };
    let username = view.user.username();
    let Some(lost) = server.state().lost.take(username) else {
        return;
    };
    let options = staged.entry.settings.options.as_ref();
    let is_set = |name: &&String| options.is_some_and(|it| it.config.contains_key(*name));
    let names: Vec<_> = lost.config.keys().filter(|name| !is_set(name)).collect();
    if !names.is_empty() {
        events::publish(
            context,
            &view.user,
            true,
            Reason::ParametersLost,
            message(username, &names),
        )
        .await;
    }
}

fn message(username: &str, names: &[&String]) -> String {
    let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
    format!(
        "somebody dropped the login {username:?} on the server, and it was made anew without the parameters that were set for it by \
         ALTER ROLE … SET and are not in spec.postgresql.config: {}. Set them again, or have them in the spec, which outlasts this",
        names.join(", ")
    )
}
