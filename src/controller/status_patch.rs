//! How a status is written: what differs, and nothing else.

use std::sync::Once;

use serde_json::{Value, json};

/// An API server drops what its CRD does not know, which is so while the operator is of a later version.
pub fn warn_unless_kept<T: PartialEq>(written: &T, kept: &T) {
    static WARNING: Once = Once::new();
    if written != kept {
        WARNING.call_once(|| {
            tracing::warn!("a status was not kept as it was written: are the CRDs of an earlier version?");
        });
    }
}

/// A merge patch from one status to another: what is not there any more is named, and nulled.
pub fn difference<T: serde::Serialize>(old: &T, new: &T) -> Value {
    let mut new = json!(new);
    null_missing(&json!(old), &mut new);
    new
}

fn null_missing(old: &Value, new: &mut Value) {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return;
    };
    for (key, old) in old {
        match new.get_mut(key) {
            Some(new) => null_missing(old, new),
            None => drop(new.insert(key.clone(), Value::Null)),
        }
    }
}
