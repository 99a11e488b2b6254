//! Whatever the Kubernetes API has for a resource is read, as far as it can be, or refused; and what was read is written and
//! read again in full, as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pguser_operator::api::{ClusterPostgresServer, Lean, PostgresServer, PostgresUser, Readable};
use serde::Serialize;

fuzz_target!(|data: &[u8]| {
    survives::<PostgresUser>(data);
    survives::<PostgresServer>(data);
    survives::<ClusterPostgresServer>(data);
});

fn survives<K: Readable + Serialize>(json: &[u8]) {
    let Ok(lean) = serde_json::from_slice::<Lean<K>>(json) else {
        return;
    };
    if let Some(unread) = &lean.unread {
        assert!(!unread.to_string().is_empty());
    }
    let written = serde_json::to_value(&lean).expect("what was read can be written");
    let again: Lean<K> = serde_json::from_str(&written.to_string()).expect("what was written can be read");
    assert_eq!(again.unread, None);
    assert_eq!(
        serde_json::to_value(&again).expect("what was read can be written"),
        written
    );
}
