//! Objects as they are read: each by itself, without what nobody here looks at, and as far as they can be read.
//!
//! An API server admits more than a type here can hold: dates that a later version of the CRDs would refuse, words of a
//! newer one, `managedFields` with any date in them. None of that may keep a list, a watch or an answer from being read. So
//! `metadata.managedFields` is skipped while reading, and what else cannot be read is left out and named. Nor is an object to
//! take much memory because somebody has written much to it: of annotations, those that nobody here reads are skipped.

use std::borrow::Cow;
use std::fmt;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Resource;
use kube::api::ObjectMeta;
use kube::core::PartialObjectMeta;
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::{ClusterPostgresServer, PostgresServer, PostgresUser, names};

/// More parts than this cannot be left out of one object: it then is not read at all.
const MOST_LEFT_OUT: usize = 32;

/// Where the API server notes who has set which field: often larger than the object, and never looked at here.
const SKIPPED: &str = "managedFields";

/// An object as far as it could be read.
#[derive(Clone, Debug)]
pub struct Lean<K> {
    /// The object, without what could not be read.
    pub object: K,
    /// What could not be read, if anything. The object is then not what its author wrote: nothing may be decided by the
    /// parts that are named.
    pub unread: Option<Unread>,
}

/// The parts of an object that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread(Vec<Field>);

/// A field that could not be read. What stands in it is not repeated, as it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    path: Vec<String>,
    what: &'static str,
}

impl Unread {
    /// Whether any of these fields, something within it, or something around it could not be read.
    pub fn touches(&self, fields: &[&[&str]]) -> bool {
        let same =
            |field: &Field, other: &[&str]| field.path.iter().zip(other).all(|(one, other)| one == other);
        self.0
            .iter()
            .any(|field| fields.iter().any(|other| same(field, other)))
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, field) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{} ({})", field.path.join("."), field.what)?;
        }
        Ok(())
    }
}

/// What can be read as far as it goes.
pub trait Readable: DeserializeOwned {
    /// The parts of which something may be left out. What is in other parts is read whole, or the object is not.
    const PARTS: &'static [&'static str];

    /// The annotations that are read; none: all of them.
    const ANNOTATIONS: Option<&'static [&'static str]> = None;

    /// What stands for a spec of which nothing can be read; none for objects without one.
    fn bare_spec() -> Option<Value> {
        None
    }
}

impl Readable for PostgresUser {
    const PARTS: &'static [&'static str] = &["metadata", "spec", "status"];
    const ANNOTATIONS: Option<&'static [&'static str]> = Some(names::READ);

    fn bare_spec() -> Option<Value> {
        Some(json!({"serverRef": {"name": ""}}))
    }
}

impl Readable for PostgresServer {
    const PARTS: &'static [&'static str] = &["metadata", "spec", "status"];
    const ANNOTATIONS: Option<&'static [&'static str]> = Some(names::READ);

    fn bare_spec() -> Option<Value> {
        Some(json!({}))
    }
}

impl Readable for ClusterPostgresServer {
    const PARTS: &'static [&'static str] = &["metadata", "spec", "status"];
    const ANNOTATIONS: Option<&'static [&'static str]> = Some(names::READ);

    fn bare_spec() -> Option<Value> {
        Some(json!({}))
    }
}

impl Readable for Secret {
    const PARTS: &'static [&'static str] = &["metadata"];
}

impl Readable for Deployment {
    const PARTS: &'static [&'static str] = &["metadata", "spec", "status"];
}

impl Readable for StatefulSet {
    const PARTS: &'static [&'static str] = &["metadata", "spec", "status"];
}

impl Readable for DaemonSet {
    const PARTS: &'static [&'static str] = &["metadata", "spec", "status"];
}

impl Readable for Lease {
    const PARTS: &'static [&'static str] = &["metadata"];
}

impl Readable for ConfigMap {
    const PARTS: &'static [&'static str] = &["metadata"];
}

impl<K> Readable for PartialObjectMeta<K> {
    const PARTS: &'static [&'static str] = &["metadata"];
    const ANNOTATIONS: Option<&'static [&'static str]> = Some(names::READ);
}

impl<K> From<K> for Lean<K> {
    fn from(object: K) -> Self {
        Self { object, unread: None }
    }
}

impl<K: Serialize> Serialize for Lean<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.object.serialize(serializer)
    }
}

impl<'de, K: Readable> Deserialize<'de> for Lean<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Trimmed {
            at: Part::Object,
            annotations: K::ANNOTATIONS,
        };
        let value = value.deserialize(deserializer)?;
        read(value).map_err(|unread| D::Error::custom(format!("cannot be read: {unread}")))
    }
}

impl<K: Resource> Resource for Lean<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        self.object.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.object.meta_mut()
    }
}

/// Reads one object, leaving out one after another what cannot be read.
fn read<K: Readable>(mut value: Value) -> Result<Lean<K>, Unread> {
    let mut unread = Vec::new();
    if let Ok(object) = K::deserialize(&value) {
        return Ok(Lean { object, unread: None });
    }
    while unread.len() < MOST_LEFT_OUT {
        let failed = match serde_path_to_error::deserialize::<_, K>(&value) {
            Ok(object) => {
                let unread = Some(Unread(unread));
                return Ok(Lean { object, unread });
            }
            Err(failed) => failed,
        };
        let path = segments(failed.path());
        let what = kind_of(&failed.inner().to_string());
        match leave_out::<K>(&mut value, &path, unread.len()) {
            Some(depth) => unread.push(Field {
                path: path[..depth].to_vec(),
                what,
            }),
            None => {
                unread.push(Field { path, what });
                break;
            }
        }
    }
    Err(Unread(unread))
}

fn segments(path: &serde_path_to_error::Path) -> Vec<String> {
    use serde_path_to_error::Segment;
    let named = path.iter().map_while(|segment| match segment {
        Segment::Map { key } => Some(key.clone()),
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    named.collect()
}

/// What is wrong, in words that hold nothing of what was read.
fn kind_of(message: &str) -> &'static str {
    const KNOWN: [&str; 5] = [
        "missing field",
        "invalid type",
        "invalid length",
        "unknown variant",
        "duplicate field",
    ];
    let known = KNOWN.into_iter().find(|known| message.starts_with(known));
    known.unwrap_or("invalid value")
}

/// Leaves out what could not be read. Gives how much of the path names it; none if it may not be left out.
fn leave_out<K: Readable>(value: &mut Value, path: &[String], tries: usize) -> Option<usize> {
    let spec = "spec".to_string();
    // What is missing is missed by whatever is around it.
    let part = path
        .first()
        .or_else(|| value.get("spec").is_none().then_some(&spec));
    let part = part.filter(|part| K::PARTS.contains(&part.as_str()))?;
    if path.len() > 1 && value.get(part).is_some() {
        return remove(value, path);
    }
    match (part.as_str(), K::bare_spec()) {
        ("spec", Some(bare)) => replace_spec(value, bare, tries),
        ("status", _) => drop(value.as_object_mut()?.remove("status")),
        _ => return None,
    }
    Some(path.len().min(1))
}

/// What is missing in a spec is filled in, so that the rest can be read; if that does not help, all of it goes.
fn replace_spec(value: &mut Value, bare: Value, tries: usize) {
    match (value.get_mut("spec"), bare) {
        (Some(Value::Object(spec)), Value::Object(bare)) if tries + 2 < MOST_LEFT_OUT => spec.extend(bare),
        (_, bare) => value["spec"] = bare,
    }
}

/// Removes what is deepest on a path. Gives how deep that was.
fn remove(value: &mut Value, path: &[String]) -> Option<usize> {
    let mut depth = path.len();
    while depth > 1 && child(value, &path[..depth]).is_none() {
        depth -= 1;
    }
    let parent = child(value, &path[..depth - 1])?;
    match parent {
        Value::Object(map) => drop(map.remove(&path[depth - 1])?),
        Value::Array(items) => drop(items.remove(path[depth - 1].parse::<usize>().ok()?)),
        _ => return None,
    }
    Some(depth)
}

fn child<'a>(value: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, key| match value {
        Value::Object(map) => map.get_mut(key),
        Value::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Where in an object a reader is.
#[derive(Clone, Copy)]
enum Part {
    Object,
    Metadata,
    Annotations,
}

/// Reads an object without what nobody looks at, which is not even parsed.
#[derive(Clone, Copy)]
struct Trimmed {
    at: Part,
    annotations: Option<&'static [&'static str]>,
}

impl Trimmed {
    fn skips(self, key: &str) -> bool {
        match self.at {
            Part::Object => false,
            Part::Metadata => key == SKIPPED,
            Part::Annotations => self.annotations.is_some_and(|read| !read.contains(&key)),
        }
    }

    /// How what is under this key is read, if anything within it is skipped.
    fn within(self, key: &str) -> Option<Self> {
        let at = match (self.at, key) {
            (Part::Object, "metadata") => Part::Metadata,
            (Part::Metadata, "annotations") => Part::Annotations,
            _ => return None,
        };
        Some(Self { at, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Trimmed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Trimmed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if self.skips(&key) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = match self.within(&key) {
                Some(within) => map.next_value_seed(within)?,
                None => map.next_value()?,
            };
            object.insert(key.into_owned(), value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(spec: Value) -> Value {
        json!({
            "apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresUser",
            "metadata": {"name": "checkout", "namespace": "shop", "uid": "u", "resourceVersion": "7",
                "annotations": {"pguser.dev/claim": "{}"},
                "managedFields": [{"manager": "m", "operation": "Update", "time": "9999-12-31T23:59:59Z"}]},
            "spec": spec,
            "status": {"observedGeneration": 1, "remoteUsers": [{"username": "checkout", "provider": "ionos",
                "cluster": "c", "ownership": "Owned"}]},
        })
    }

    fn read_user(object: Value) -> Lean<PostgresUser> {
        serde_json::from_str(&object.to_string()).unwrap()
    }

    #[test]
    fn managed_fields_are_not_even_looked_at() {
        let lean = read_user(user(json!({"serverRef": {"name": "orders"}})));
        assert_eq!(lean.unread, None);
        assert_eq!(lean.object.metadata.managed_fields, None);
        assert_eq!(lean.object.metadata.name.as_deref(), Some("checkout"));
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s",
            "managedFields": [{"time": "9999-12-31T23:59:59Z"}]}, "data": {"password": "aA=="}});
        let secret: Lean<Secret> = serde_json::from_str(&secret.to_string()).unwrap();
        assert_eq!(secret.object.data.unwrap()["password"].0, b"h");
    }

    #[test]
    fn annotations_of_others_are_not_read_but_where_a_secret_is_written_anew() {
        let annotations =
            json!({"pguser.dev/claim": "{}", "example.com/large": "x".repeat(1000), "pguser.dev/what": ""});
        let mut object = user(json!({"serverRef": {"name": "orders"}}));
        object["metadata"]["annotations"] = annotations.clone();
        let read = read_user(object.clone()).object.metadata.annotations.unwrap();
        assert_eq!(read.keys().collect::<Vec<_>>(), ["pguser.dev/claim"]);
        let meta = json!({"metadata": object["metadata"]});
        let meta: Lean<PartialObjectMeta<Secret>> = serde_json::from_value(meta).unwrap();
        assert_eq!(meta.object.metadata.annotations.unwrap().len(), 1);
        let secret = json!({"metadata": object["metadata"]});
        let secret: Lean<Secret> = serde_json::from_value(secret).unwrap();
        assert_eq!(
            serde_json::to_value(secret.object.metadata.annotations).unwrap(),
            annotations
        );
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_named_without_its_value() {
        let spec = json!({"serverRef": {"name": "orders"}, "username": "canary",
            "deletionPolicy": "Burn", "postgresql": {"connectionLimit": 3000000000_u64, "memberOf": ["readers"]}});
        let lean = read_user(user(spec));
        let named = lean.unread.as_ref().unwrap().to_string();
        assert_eq!(
            named,
            "spec.deletionPolicy (unknown variant), spec.postgresql.connectionLimit (invalid value)"
        );
        assert_eq!(lean.object.username(), "canary");
        assert_eq!(lean.object.spec.postgresql.unwrap().member_of, ["readers"]);
        let unread = lean.unread.unwrap();
        assert!(unread.touches(&[&["spec", "deletionPolicy"]]));
        assert!(unread.touches(&[&["spec", "postgresql"]]));
        assert!(!unread.touches(&[&["spec", "username"], &["status"]]));
    }

    #[test]
    fn what_is_missing_costs_nothing_of_the_rest() {
        let lean = read_user(user(json!({"username": "canary"})));
        assert!(lean.unread.unwrap().touches(&[&["spec", "serverRef"]]));
        assert_eq!(lean.object.username(), "canary");
        let lean = read_user(user(
            json!({"serverRef": {"kind": "PostgresServer"}, "username": "canary"}),
        ));
        assert!(lean.unread.is_some());
        assert_eq!(lean.object.username(), "canary");
    }

    #[test]
    fn a_spec_of_which_nothing_can_be_read_leaves_metadata_and_status() {
        for spec in [json!(null), json!("no spec"), json!([1, 2])] {
            let lean = read_user(user(spec.clone()));
            assert!(lean.unread.is_some(), "{spec}");
            assert_eq!(lean.object.metadata.uid.as_deref(), Some("u"), "{spec}");
            assert_eq!(lean.object.status.unwrap().remote_users.len(), 1, "{spec}");
        }
    }

    #[test]
    fn of_a_secret_the_data_is_read_whole_or_it_is_not_read() {
        let secret = json!({"metadata": {"name": "s"}, "data": {"password": "no base64, but a canary"}});
        let error = serde_json::from_str::<Lean<Secret>>(&secret.to_string()).unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
    }

    #[test]
    fn one_object_of_a_list_leaves_the_others_as_they_are() {
        let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": [
            user(json!({"serverRef": {"name": "orders"}, "deletionPolicy": "Burn"})),
            user(json!({"serverRef": {"name": "orders"}})),
        ]});
        let list: kube::core::ObjectList<Lean<PostgresUser>> =
            serde_json::from_str(&list.to_string()).unwrap();
        assert_eq!(list.items.iter().filter(|item| item.unread.is_some()).count(), 1);
    }

    #[test]
    fn what_is_read_is_written_back_as_it_was() {
        let lean = read_user(user(json!({"serverRef": {"name": "orders"}})));
        let written = serde_json::to_value(&lean).unwrap();
        assert_eq!(
            written["metadata"]["annotations"],
            json!({"pguser.dev/claim": "{}"})
        );
        assert!(Lean::<PartialObjectMeta<Secret>>::metadata_api() && !Lean::<Secret>::metadata_api());
    }
}
