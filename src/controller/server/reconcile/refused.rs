//! A server object of which the Kubernetes API does not take something: told in the API server's words, as far as it takes
//! that.

use super::report;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::events;
use crate::objects::ServerObject;

/// Tells of a step that was refused, in an Event and, unless it is the status itself that is refused, in the conditions. These
/// are as they were as soon as the object has been brought into order.
pub async fn tell(object: &ServerObject, error: &Error, context: &Context) {
    let Some(why) = error.refusal_of_server() else {
        return;
    };
    if context.refusals.note_server(&object.uid(), &why) {
        events::publish_for(context, object, true, why.reason, why.message.clone()).await;
    }
    if matches!(error, Error::WriteStatus(_)) {
        return;
    }
    if let Err(error) = report::stalled(object, why.reason, why.message, context).await {
        tracing::debug!(server = %object.key(), %error, "the conditions could not be written");
    }
}
