//! The layers point one way, and what is decided is decided without doing anything.

#![allow(clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer, and what its files must not name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "api",
        &[
            "crate::domain",
            "crate::provider",
            "crate::controller",
            "crate::runtime",
            "crate::plugin",
            "kube::Client",
            "tokio",
        ],
    ),
    (
        "domain",
        &[
            "crate::provider",
            "crate::controller",
            "crate::runtime",
            "crate::plugin",
            "crate::clock",
            "crate::metrics",
            "kube::",
            "reqwest",
            "tokio",
            "SystemTime",
            "Instant::now",
            "Timestamp::now",
            "getrandom",
            "std::env",
            "std::fs",
            "std::net::Tcp",
        ],
    ),
    (
        "provider",
        &[
            "crate::controller",
            "crate::runtime",
            "crate::plugin",
            "crate::objects",
            "crate::api",
            "kube::",
        ],
    ),
    (
        "objects",
        &[
            "crate::controller",
            "crate::runtime",
            "crate::plugin",
            "crate::clock",
            "crate::metrics",
            "kube::Client",
            "tokio",
            "Instant::now",
            "Timestamp::now",
        ],
    ),
    ("controller", &["crate::runtime", "crate::cli", "crate::plugin"]),
    ("runtime", &["crate::cli", "crate::plugin"]),
    // Beside `runtime`: it borrows functions of the layers below, and is no part of the operator's process.
    (
        "plugin",
        &[
            "crate::runtime::operator",
            "controller::context",
            "controller::run::",
            "crate::metrics",
        ],
    ),
];

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The code of a file: without comments, and without its tests, which may be a file of their own.
fn code(path: &Path) -> String {
    if path.ends_with("tests.rs") {
        return String::new();
    }
    let text = fs::read_to_string(path).unwrap();
    let shipped = text.split("#[cfg(test)]").next().unwrap_or_default().to_string();
    let lines = shipped
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn layers_point_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (layer, forbidden) in FORBIDDEN {
        for path in rust_files(&src.join(layer)) {
            let code = code(&path);
            let named = forbidden.iter().filter(|name| code.contains(**name));
            wrong.extend(named.map(|name| format!("{} names {name}", path.display())));
        }
    }
    assert!(
        wrong.is_empty(),
        "layers point one way (ARCHITECTURE.md):\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_wire_types_of_a_provider_are_private_to_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let outside = rust_files(&src)
        .into_iter()
        .filter(|path| !path.starts_with(src.join("provider")));
    for path in outside {
        for wire in ["ionos::wire", "scalingo::wire"] {
            assert!(!code(&path).contains(wire), "{} names {wire}", path.display());
        }
    }
}
