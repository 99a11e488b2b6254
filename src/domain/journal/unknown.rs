//! Entries of a format that this version does not know.

use std::fmt;

use zeroize::Zeroizing;

/// An entry that is carried along, byte for byte: what another version has written is not for this one to write anew, since
/// numbers that are read and written may not be the same ones any more.
#[derive(Clone, PartialEq, Eq)]
pub struct Unknown(Zeroizing<String>);

impl Unknown {
    /// An entry as it is written, in JSON.
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_string()))
    }

    /// The entry as it is written. May hold a password.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// How many bytes it takes, written down, with what parts it from the next.
    pub fn size(&self) -> usize {
        self.0.len() + 1
    }
}

impl fmt::Debug for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an entry of {} bytes", self.0.len())
    }
}
