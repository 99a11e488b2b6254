//! What PostgreSQL says of a failure, as far as it may be shown.

use tokio_postgres::error::SqlState;

/// The code, if it is one: five letters and digits by definition. Whoever sends something else is not quoted.
pub(super) fn presentable(code: &SqlState) -> Option<&str> {
    let code = code.code();
    (code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(code)
}
