//! What the fuzz targets (`fuzz/`) reach of what is private here: marks, as they are read and written.

use super::mark::{self, Marking};
use crate::domain::identity::Mark;

/// The mark that a comment has, if any.
///
/// # Errors
/// If it has one that cannot be read.
pub fn mark_in(comment: &str) -> Result<Option<Mark>, &'static str> {
    match mark::read(Some(comment)) {
        Marking::None => Ok(None),
        Marking::Mark(mark) => Ok(Some(mark)),
        Marking::Unreadable => Err("the mark cannot be read"),
    }
}

/// A comment with this mark instead of whichever it has.
pub fn with_mark(comment: &str, mark: &Mark) -> String {
    mark::write(Some(comment), mark)
}
