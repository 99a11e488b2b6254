//! Manifests as kubectl reads them: YAML or JSON, one or many, in files, folders or standard input, as they are or in lists.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::plugin::failure::Failure;

/// What of a folder is read.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// All objects of some files and folders, in their order.
pub fn of(names: &[String]) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    for name in names {
        let failed = |why: String| Failure::Usage(format!("--filename {name}: {why}"));
        all.extend(of_one(name).map_err(failed)?);
    }
    Ok(all)
}

fn of_one(name: &str) -> Result<Vec<Value>, String> {
    if name == "-" {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.map_err(|error| error.to_string())?;
        return objects(&text);
    }
    let path = Path::new(name);
    if !path.is_dir() {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        return objects(&text);
    }
    let mut all = Vec::new();
    for file in in_folder(path)? {
        let named = |why: String| format!("{}: {why}", file.display());
        let text = std::fs::read_to_string(&file).map_err(|error| named(error.to_string()))?;
        all.extend(objects(&text).map_err(named)?);
    }
    Ok(all)
}

/// The manifests in a folder, but not in those below it, by name.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_file() && extension.is_some_and(|it| EXTENSIONS.contains(&it)) {
            files.push(path);
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err("there is no file *.json, *.yaml or *.yml in this folder".to_string()),
        false => Ok(files),
    }
}

/// The objects in a text, and those in its lists.
fn objects(text: &str) -> Result<Vec<Value>, String> {
    // Some editors begin a file with a mark of its byte order.
    let text = text.trim_start_matches('\u{feff}');
    let documents = match json_documents(text) {
        Some(documents) => documents,
        None => {
            let documents: Vec<Option<Value>> =
                serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
            documents.into_iter().flatten().collect()
        }
    };
    Ok(documents.into_iter().flat_map(unlisted).collect())
}

/// JSON documents one after another, as `jq` and `kubectl -o json` write them. Not all that begins like JSON is: YAML knows
/// braces, too.
fn json_documents(text: &str) -> Option<Vec<Value>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    documents.collect::<Result<_, _>>().ok()
}

/// The objects of a list, which may say once for all what they are; or the one object.
fn unlisted(mut object: Value) -> Vec<Value> {
    let kind = object["kind"].as_str().and_then(|kind| kind.strip_suffix("List"));
    let Some(kind) = kind.map(str::to_string) else {
        return vec![object];
    };
    let version = object["apiVersion"].clone();
    let Value::Array(items) = object["items"].take() else {
        // Some kinds merely end like that.
        return if kind.is_empty() { Vec::new() } else { vec![object] };
    };
    let with_kind = |mut item: Value| {
        if !kind.is_empty() && item["kind"].is_null() && item.is_object() {
            item["kind"] = json!(kind);
            item["apiVersion"] = version.clone();
        }
        item
    };
    items.into_iter().map(with_kind).flat_map(unlisted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(found: &[Value]) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_string();
        found
            .iter()
            .map(|it| format!("{}/{}", text(&it["kind"]), text(&it["metadata"]["name"])))
            .collect()
    }

    #[test]
    fn yaml_and_json_are_read_one_or_many() {
        for text in [
            "kind: A\nmetadata: {name: x}\n---\nkind: B\nmetadata: {name: two}\n",
            "---\n{kind: A, metadata: {name: x}}\n---\n{kind: B, metadata: {name: two}}\n---\n",
            "{kind: A, metadata: {name: x}}\n---\n{kind: B, metadata: {name: two}}\n",
            r#"{"kind": "A", "metadata": {"name": "x"}} {"kind": "B", "metadata": {"name": "two"}}"#,
            "\u{feff}{\"kind\": \"A\", \"metadata\": {\"name\": \"x\"}}\n{\"kind\": \"B\", \"metadata\": {\"name\": \"two\"}}\n",
            "{\"kind\": \"A\", \"metadata\": {\"name\": \"x\"}}\n---\n{\"kind\": \"B\", \"metadata\": {\"name\": \"two\"}}\n",
        ] {
            assert_eq!(names(&objects(text).unwrap()), ["A/x", "B/two"], "{text}");
        }
        assert!(objects("kind: [").is_err());
    }

    #[test]
    fn lists_are_taken_apart() {
        let of_any = "kind: List\napiVersion: v1\nitems:\n- {kind: A, metadata: {name: x}}\n- {kind: B, metadata: {name: two}}\n";
        assert_eq!(names(&objects(of_any).unwrap()), ["A/x", "B/two"]);
        let of_one = r#"{"kind": "PostgresUserList", "apiVersion": "pguser.dev/v1alpha1",
            "items": [{"metadata": {"name": "x"}}]}"#;
        let found = objects(of_one).unwrap();
        assert_eq!(names(&found), ["PostgresUser/x"]);
        assert_eq!(found[0]["apiVersion"], "pguser.dev/v1alpha1");
        assert!(objects("kind: List\nitems: []\n").unwrap().is_empty());
        assert!(objects("kind: List\n").unwrap().is_empty());
        let other = objects("kind: AllowList\nmetadata: {name: x}\n").unwrap();
        assert_eq!(names(&other), ["AllowList/x"]);
    }

    #[test]
    fn folders_are_read_by_name_and_not_below() {
        let folder = std::env::temp_dir().join(format!("pguser-{}-documents", std::process::id()));
        std::fs::create_dir_all(folder.join("below")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("b.yml", "{kind: B, metadata: {name: two}}");
        write("a.json", r#"{"kind": "A", "metadata": {"name": "x"}}"#);
        write("notes.txt", "kind: [");
        write("below/c.yaml", "kind: [");
        let one = folder.join("b.yml").display().to_string();
        let found = of(&[folder.display().to_string(), one]).unwrap();
        assert_eq!(names(&found), ["A/x", "B/two", "B/two"]);
        write("c.yaml", "kind: [");
        let told = of(&[folder.display().to_string()]).unwrap_err().to_string();
        assert!(told.contains("c.yaml"), "{told}");
        let below = folder.join("below").display().to_string();
        std::fs::remove_file(folder.join("below/c.yaml")).unwrap();
        let told = of(&[below]).unwrap_err().to_string();
        assert!(told.contains("there is no file"), "{told}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
