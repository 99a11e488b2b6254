//! What the operator would do now, as far as the cluster's objects tell.

use std::fmt;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde::Serialize;

use crate::api::{AdoptionPolicy, PostgresUser, names};
use crate::domain::conditions::presentable;
use crate::domain::connection::{ConnectionDetails, content_digest, with_previous};
use crate::domain::password::Password;
use crate::domain::plan::Invalid;
use crate::domain::secret::{Keys, render_as_far_as_possible};
use crate::objects::ServerObject;
use crate::objects::output::is_intact;
use crate::objects::wanted::{self, Source};
use crate::plugin::failure::Failure;
use crate::plugin::status::{asked_rotation, condition, is_seen};

/// Something that was read, or could not be for want of a right.
#[derive(Debug)]
pub enum Known<T> {
    /// It is this.
    Is(T),
    /// Why it is not known.
    Not(String),
}

impl<T> Known<T> {
    /// What was read; a missing right is no failure.
    pub fn from(read: Result<T, Failure>) -> Result<Self, Failure> {
        match read {
            Ok(found) => Ok(Known::Is(found)),
            Err(failure) if failure.is_no_access() => Ok(Known::Not(failure.to_string())),
            Err(failure) => Err(failure),
        }
    }

    /// The same, made something else of.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Known<U> {
        match self {
            Known::Is(found) => Known::Is(change(found)),
            Known::Not(why) => Known::Not(why),
        }
    }
}

/// What one comparison rests on.
pub struct Facts<'a> {
    /// The object.
    pub user: &'a PostgresUser,
    /// Its server object, if there is one.
    pub server: Known<Option<ServerObject>>,
    /// Its output Secret, if there is one.
    pub secret: Known<Option<Secret>>,
    /// The password in the Secret that the spec names, if it names one that holds one.
    pub source: Known<Option<Password>>,
}

/// Something that the operator would do, or waits to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is concerned: `spec.serverRef`, `password`, `secret`, …
    pub what: &'static str,
    /// What the operator would do, or why it does nothing.
    pub effect: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  ~ {}: {}", self.what, presentable(&self.effect))
    }
}

fn finding(what: &'static str, effect: impl Into<String>) -> Finding {
    Finding {
        what,
        effect: effect.into(),
    }
}

/// What would be done, and what cannot be told.
pub fn of(facts: &Facts<'_>) -> (Vec<Finding>, Vec<String>) {
    let user = facts.user;
    if user.metadata.deletion_timestamp.is_some() {
        let effect = "it is being deleted: kubectl pguser explain-delete says what that waits for";
        return (vec![finding("deletion", effect)], Vec::new());
    }
    let to_do = [
        unseen(user),
        moved(user),
        refused_spec(facts),
        login(user),
        rotation(user),
        source(facts),
        secret(facts),
    ];
    let to_do: Vec<_> = to_do.into_iter().flatten().collect();
    // What holds things up is news only where there is something to be held up.
    let held_up = [suspended(user), server_in_trouble(facts)];
    let held_up = held_up.into_iter().flatten().filter(|_| !to_do.is_empty());
    let found = held_up.chain(to_do.iter().cloned()).collect();
    let unknown = [
        not_known(&facts.server),
        not_known(&facts.secret),
        not_known(&facts.source),
    ];
    (found, unknown.into_iter().flatten().collect())
}

fn not_known<T>(fact: &Known<T>) -> Option<String> {
    match fact {
        Known::Is(_) => None,
        Known::Not(why) => Some(why.clone()),
    }
}

fn suspended(user: &PostgresUser) -> Option<Finding> {
    user.spec
        .suspend
        .then(|| finding("spec.suspend", "nothing of what follows is done while it is true"))
}

fn unseen(user: &PostgresUser) -> Option<Finding> {
    let generation = user.metadata.generation.unwrap_or_default();
    let seen = user
        .status
        .as_ref()
        .map_or(-1, |status| status.observed_generation);
    (!is_seen(user)).then(|| {
        finding(
            "spec",
            format!("generation {generation} is to be looked at; the status is of generation {seen}"),
        )
    })
}

fn server_in_trouble(facts: &Facts<'_>) -> Option<Finding> {
    let Known::Is(server) = &facts.server else {
        return None;
    };
    let reference = &facts.user.spec.server_ref;
    let Some(server) = server else {
        let effect = format!(
            "there is no {:?} {}: nothing can be done",
            reference.kind, reference.name
        );
        return Some(finding("spec.serverRef", effect));
    };
    let conditions = server.status().map(|status| status.conditions.as_slice());
    let ready = conditions
        .unwrap_or_default()
        .iter()
        .find(|it| it.type_ == "Ready");
    match ready {
        Some(ready) if ready.status == "True" => None,
        Some(ready) => Some(finding(
            "spec.serverRef",
            format!(
                "the server object is not ready, so changes wait ({}: {})",
                ready.reason, ready.message
            ),
        )),
        None => Some(finding(
            "spec.serverRef",
            "the operator has said nothing of the server object yet",
        )),
    }
}

fn moved(user: &PostgresUser) -> Option<Finding> {
    let former = user.record()?.server_ref.as_ref()?;
    (*former != user.spec.server_ref).then(|| {
        let effect = format!(
            "the login is to be taken over from {:?} {}, if both reach the same database",
            former.kind, former.name
        );
        finding("spec.serverRef", effect)
    })
}

/// What the operator would refuse, by its own rules.
fn refused_spec(facts: &Facts<'_>) -> Option<Finding> {
    let invalid = wanted::invalid_secret(facts.user, None).or_else(|| refused_by_server(facts))?;
    Some(finding(
        "spec",
        format!(
            "the operator refuses it ({}: {})",
            invalid.reason, invalid.message
        ),
    ))
}

fn refused_by_server(facts: &Facts<'_>) -> Option<Invalid> {
    let (Known::Is(Some(server)), Known::Is(source)) = (&facts.server, &facts.source) else {
        return None;
    };
    let capabilities = server.provider()?.capabilities();
    let source = Source {
        own: source.clone(),
        ..Source::generated()
    };
    wanted::invalid(facts.user, Some(server), capabilities, &source)
}

fn login(user: &PostgresUser) -> Option<Finding> {
    if user.record().is_some() {
        return None;
    }
    let exists = match user.spec.adoption_policy {
        AdoptionPolicy::Adopt => {
            "or taken over with a new password, if it exists and the server object allows it"
        }
        AdoptionPolicy::Refuse => "unless one of that name exists",
    };
    let username = user.username();
    Some(match condition(user, "Stalled").filter(|_| is_seen(user)) {
        Some(stalled) => finding(
            "login",
            format!("a person must decide ({}: {})", stalled.reason, stalled.message),
        ),
        None => finding("login", format!("{username:?} is to be made, {exists}")),
    })
}

fn rotation(user: &PostgresUser) -> Option<Finding> {
    let asked = asked_rotation(user)?;
    // Before there is a login there is no password to change.
    user.record()?;
    let rejected = user
        .status
        .as_ref()
        .and_then(|status| status.rejected_password.as_ref());
    let wish = format!("{}/{asked}", user.metadata.generation.unwrap_or_default());
    Some(match rejected.filter(|rejected| rejected.wish == wish) {
        Some(rejected) => finding(
            "password",
            format!(
                "the server refused it and is not asked again ({})",
                rejected.message
            ),
        ),
        None => finding(
            "password",
            format!("{}={asked} asks for a new one", names::ROTATE),
        ),
    })
}

/// A password of the user's own that is not the published one.
fn source(facts: &Facts<'_>) -> Option<Finding> {
    let reference = wanted::source_ref(facts.user)?;
    let Known::Is(own) = &facts.source else {
        return None;
    };
    let Some(own) = own else {
        let effect = format!(
            "the Secret {} has no key {} that holds text: what is published stays meanwhile",
            reference.name, reference.key
        );
        return Some(finding("spec.password.secretRef", effect));
    };
    let Known::Is(Some(secret)) = &facts.secret else {
        return None;
    };
    let published = wanted::password_in(secret, "password");
    (published.as_ref() != Some(own)).then(|| {
        let effect = format!(
            "the password in the Secret {} is another one: it is to be set and published",
            reference.name
        );
        finding("password", effect)
    })
}

fn secret(facts: &Facts<'_>) -> Option<Finding> {
    let user = facts.user;
    let status = user.status.as_ref();
    let Known::Is(found) = &facts.secret else {
        return None;
    };
    let name = user.secret_name();
    let published = status.and_then(|status| status.secret.as_ref());
    let Some(found) = found else {
        return published.map(|_| {
            finding(
                "secret",
                format!("{name} is gone: a new password is to be made and set"),
            )
        });
    };
    if found.annotations().get(names::SECRET_USER_UID) != user.uid().as_ref() {
        let effect = format!("{name} is not this object's: it is not touched until it is deleted or renamed");
        return Some(finding("secret", effect));
    }
    let published = published?;
    let Known::Is(Some(server)) = &facts.server else {
        return None;
    };
    let details = ConnectionDetails {
        // They are in a Secret or ConfigMap that may not be this person's to read; what was published of them is.
        ca: found
            .data
            .as_ref()
            .and_then(|data| data.get("ca.crt"))
            .map(|ca| ca.0.as_slice().into()),
        ..server.connection(&server.remembered_address())?
    };
    let password = wanted::password_in(found, "password");
    let touched = found.resource_version().as_ref() != Some(&published.resource_version);
    match password {
        None => Some(finding(
            "secret",
            format!("{name} has no password any more: a new one is to be made and set"),
        )),
        Some(password) if touched => put_back(found, user, &details, &password),
        Some(password) => rewritten(found, user, &details, &password),
    }
}

/// Somebody else has changed the Secret.
fn put_back(
    found: &Secret,
    user: &PostgresUser,
    details: &ConnectionDetails,
    password: &Password,
) -> Option<Finding> {
    let keys = differing_keys(found, user, details, password);
    let holders = holders(user, details, password);
    let effect = match (
        keys.is_empty(),
        is_intact(found, user, user.published_username(), details, password),
    ) {
        (true, true) => return None,
        (true, false) => {
            "labels or annotations, or keys that are none of its own, are to be put right".to_string()
        }
        // The password is in these, so they disagree with it if it was changed.
        (false, _) if !holders.is_empty() && holders.iter().all(|key| keys.contains(key)) => {
            format!(
                "these keys do not go with its password: {}; if that was changed, a new one is to be made and set",
                keys.join(", ")
            )
        }
        (false, _) => format!("these keys are to be put back: {}", keys.join(", ")),
    };
    Some(finding("secret", effect))
}

/// The spec, or the server object, asks for another content.
fn rewritten(
    found: &Secret,
    user: &PostgresUser,
    details: &ConnectionDetails,
    password: &Password,
) -> Option<Finding> {
    let spec = user.spec.secret.clone().unwrap_or_default();
    let wanted = content_digest(details, user.published_username(), &spec, user.retains());
    let wanted = with_previous(wanted, user.published_before());
    let published = user.published()?;
    if published.content_digest == wanted {
        return None;
    }
    let keys = differing_keys(found, user, details, password);
    let what = match keys.is_empty() {
        true => "its labels, annotations or owner".to_string(),
        false => format!("its keys {}", keys.join(", ")),
    };
    Some(finding(
        "secret",
        format!("{what} are to be written anew; the password stays"),
    ))
}

/// What it should hold: without what templates write, if they cannot be rendered, which is told by itself.
fn wanted_keys(user: &PostgresUser, details: &ConnectionDetails, password: &Password) -> Keys {
    let spec = user.spec.secret.clone().unwrap_or_default();
    let username = user.published_username();
    render_as_far_as_possible(details, username, password, &spec)
}

/// The keys besides `password` that have the password in them.
fn holders(user: &PostgresUser, details: &ConnectionDetails, password: &Password) -> Vec<String> {
    let another = Password::new(format!("{}x", password.reveal()));
    let (one, other) = (
        wanted_keys(user, details, password),
        wanted_keys(user, details, &another),
    );
    let differs = |(key, value): &(String, _)| key != "password" && other.get(key) != Some(value);
    one.into_iter().filter(differs).map(|(key, _)| key).collect()
}

/// The keys that have another value, are missing, or are to go.
fn differing_keys(
    found: &Secret,
    user: &PostgresUser,
    details: &ConnectionDetails,
    password: &Password,
) -> Vec<String> {
    let data = found.data.clone().unwrap_or_default();
    let wanted = wanted_keys(user, details, password);
    let differs = |key: &String, value: &str| data.get(key).is_none_or(|found| found.0 != value.as_bytes());
    let changed = wanted.iter().filter(|(key, value)| differs(key, value));
    let extra = data.keys().filter(|key| !wanted.contains_key(*key));
    changed.map(|(key, _)| key).chain(extra).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::ByteString;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::secret::render_presets;

    const PASSWORD: &str = "s3cret-s3cret";

    fn server() -> ServerObject {
        let server = serde_json::from_value(json!({
            "apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresServer",
            "metadata": {"name": "orders", "namespace": "shop"},
            "spec": {"ionos": {"clusterId": "c", "credentialsSecretRef": {"name": "ionos"}}},
            "status": {
                "observedGeneration": 1, "host": "db.example.com", "port": 5432, "database": "orders",
                "conditions": [{"type": "Ready", "status": "True", "reason": "Reachable", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            },
        }));
        ServerObject::Namespaced(Arc::new(server.unwrap()))
    }

    fn details() -> ConnectionDetails {
        let server = server();
        server.connection(&server.remembered_address()).unwrap()
    }

    fn user(change: impl FnOnce(&mut Value)) -> PostgresUser {
        let mut user = json!({
            "apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresUser",
            "metadata": {"name": "checkout", "namespace": "shop", "uid": "u1", "generation": 1, "annotations": {}},
            "spec": {"serverRef": {"name": "orders"}},
            "status": {
                "observedGeneration": 1,
                "remoteUsers": [{"username": "checkout", "provider": "ionos", "cluster": "c", "ownership": "Owned",
                    "serverRef": {"kind": "PostgresServer", "name": "orders"}}],
                "secret": {"name": "checkout-postgres", "resourceVersion": "7", "passwordMac": "k:m",
                    "contentDigest": content_digest(&details(), "checkout", &Default::default(), false)},
            },
        });
        change(&mut user);
        serde_json::from_value(user).unwrap()
    }

    fn output(version: &str) -> Secret {
        let keys = render_presets(
            &details(),
            "checkout",
            &Password::new(PASSWORD),
            &Default::default(),
        );
        let data = keys
            .into_iter()
            .map(|(key, value)| (key, ByteString(value.as_bytes().to_vec())));
        let mut secret = Secret {
            data: Some(data.collect()),
            ..Secret::default()
        };
        secret.metadata.resource_version = Some(version.to_string());
        let annotations = [(names::SECRET_USER_UID.to_string(), "u1".to_string())];
        secret.metadata.annotations = Some(annotations.into());
        secret
    }

    fn found(user: &PostgresUser, secret: Option<Secret>, own: Option<&str>) -> Vec<&'static str> {
        let facts = Facts {
            user,
            server: Known::Is(Some(server())),
            secret: Known::Is(secret),
            source: Known::Is(own.map(Password::new)),
        };
        let (found, unknown) = of(&facts);
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(!format!("{found:?}").contains(PASSWORD));
        found.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn where_all_is_as_it_should_be_nothing_is_found() {
        assert!(found(&user(|_| {}), Some(output("7")), None).is_empty());
    }

    /// What is asked for, and what is found then.
    type Case = (&'static str, fn(&mut Value), &'static [&'static str]);

    #[test]
    fn what_the_spec_asks_for_is_found() {
        let cases: [Case; 8] = [
            (
                "rotation",
                |it| it["metadata"]["annotations"] = json!({"pguser.dev/rotate": "1"}),
                &["password"],
            ),
            (
                "generation",
                |it| it["metadata"]["generation"] = json!(2),
                &["spec"],
            ),
            (
                "labels",
                |it| it["spec"]["secret"] = json!({"labels": {"a": "b"}}),
                &["secret"],
            ),
            (
                "presets",
                |it| it["spec"]["secret"] = json!({"presets": ["libpq"]}),
                &["secret"],
            ),
            (
                "a template that is none",
                |it| it["spec"]["secret"] = json!({"data": {"a": "{{ nobody }}"}}),
                &["spec", "secret"],
            ),
            (
                "retain",
                |it| it["spec"]["deletionPolicy"] = json!("Retain"),
                &["secret"],
            ),
            (
                "settings",
                |it| it["spec"]["postgresql"] = json!({"memberOf": ["r"]}),
                &["spec"],
            ),
            (
                "no record",
                |it| it["status"]["remoteUsers"] = json!([]),
                &["login"],
            ),
        ];
        for (name, change, expected) in cases {
            assert_eq!(found(&user(change), Some(output("7")), None), expected, "{name}");
        }
    }

    #[test]
    fn what_holds_things_up_is_told_only_with_them() {
        let suspended = user(|it| it["spec"]["suspend"] = json!(true));
        assert!(found(&suspended, Some(output("7")), None).is_empty());
        assert_eq!(found(&suspended, None, None), ["spec.suspend", "secret"]);
    }

    #[test]
    fn a_server_object_that_was_changed_is_found() {
        let moved = user(|it| it["status"]["remoteUsers"][0]["serverRef"]["name"] = json!("former"));
        assert_eq!(found(&moved, Some(output("7")), None), ["spec.serverRef"]);
    }

    #[test]
    fn a_secret_that_was_touched_is_found() {
        let user = user(|_| {});
        assert_eq!(found(&user, None, None), ["secret"]);
        let mut damaged = output("8");
        damaged.data.as_mut().unwrap().remove("host");
        assert_eq!(found(&user, Some(damaged), None), ["secret"]);
        let mut with_more = output("8");
        with_more
            .data
            .as_mut()
            .unwrap()
            .insert("more".to_string(), ByteString(Vec::new()));
        assert_eq!(found(&user, Some(with_more), None), ["secret"]);
        let mut strangers = output("8");
        strangers.metadata.annotations = None;
        assert_eq!(found(&user, Some(strangers), None), ["secret"]);
    }

    #[test]
    fn a_password_of_ones_own_is_compared_with_the_published_one() {
        let user = user(|it| it["spec"]["password"] = json!({"secretRef": {"name": "own"}}));
        assert!(found(&user, Some(output("7")), Some(PASSWORD)).is_empty());
        assert_eq!(
            found(&user, Some(output("7")), Some("another password 1")),
            ["password"]
        );
        assert_eq!(found(&user, Some(output("7")), None), ["spec.password.secretRef"]);
    }

    #[test]
    fn what_may_not_be_read_is_told() {
        let facts = Facts {
            user: &user(|_| {}),
            server: Known::Not("get clusterpostgresservers/shared: you lack the right".to_string()),
            secret: Known::Is(Some(output("7"))),
            source: Known::Is(None),
        };
        let (found, unknown) = of(&facts);
        assert!(found.is_empty() && unknown.len() == 1, "{found:?} {unknown:?}");
    }
}
