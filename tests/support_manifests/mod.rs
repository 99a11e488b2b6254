//! Objects in files, and what becomes of them when they are read by the types and written again.

#![allow(dead_code)]

use std::path::{Path, PathBuf};

use pguser_operator::api::{ClusterPostgresServer, PostgresServer, PostgresUser};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A path in the repository.
pub fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every document of a file.
pub fn documents_of(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Every document of every file in a folder, with the file's name.
pub fn documents(folder: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(at(folder)).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        found.extend(documents_of(&path).into_iter().map(|value| (name.clone(), value)));
    }
    assert!(!found.is_empty());
    found
}

/// Every file in a folder and in those within it.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push(path),
        }
    }
    found
}

/// Whether all that is in `part` is in `whole` too.
pub fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(key, value)| whole.get(key).is_some_and(|it| holds(it, value))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| holds(whole, part))
        }
        (whole, part) => whole == part,
    }
}

/// An object of ours, through the types.
pub fn read_and_written(document: &Value) -> Result<Value, serde_json::Error> {
    fn through<T: DeserializeOwned + Serialize>(value: &Value) -> Result<Value, serde_json::Error> {
        serde_json::to_value(T::deserialize(value)?)
    }
    match document["kind"].as_str().unwrap_or_default() {
        "PostgresUser" => through::<PostgresUser>(document),
        "PostgresServer" => through::<PostgresServer>(document),
        "ClusterPostgresServer" => through::<ClusterPostgresServer>(document),
        kind => panic!("no kind of ours: {kind}"),
    }
}
