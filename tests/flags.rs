//! docs/flags.md has every flag, and none that does not exist.

#![allow(clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The words of a text that are flags.
fn flags(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '-'));
    words
        .filter(|word| word.starts_with("--") && word.trim_matches('-').len() > 1)
        .map(str::to_string)
        .collect()
}

#[test]
fn every_flag_is_documented_and_every_documented_flag_exists() {
    let help = Command::new(env!("CARGO_BIN_EXE_pguser-operator"))
        .args(["run", "--help"])
        .output()
        .unwrap();
    let real = flags(&String::from_utf8(help.stdout).unwrap());
    let documented =
        flags(&fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/flags.md")).unwrap());
    assert!(real.len() > 20, "--help lists {real:?}");
    assert_eq!(real, documented);
}
