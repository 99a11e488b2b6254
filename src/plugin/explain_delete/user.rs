//! The deletion of a PostgresUser.

use kube::ResourceExt;

use super::{Explained, Remedy, USERS, blockers};
use crate::api::{PostgresUser, Reason, RemoteUserRecord, names};
use crate::domain::conditions::READY;
use crate::domain::plan::{Blocked, remediation};
use crate::objects::ServerObject;
use crate::plugin::output::quoted;
use crate::plugin::status::condition;

/// What a deletion of it waits for, or would do.
pub fn explain(user: &PostgresUser, server: Option<&ServerObject>) -> Explained {
    let record = user.record();
    let deleting = user.metadata.deletion_timestamp.is_some();
    let waits_for = waits_for(user);
    let explained = Explained::of("PostgresUser", &user.metadata, names::USER_FINALIZER, &waits_for);
    let held = explained.finalizers.iter().any(|held| held.ours);
    let strangers = explained.finalizers.iter().any(|held| !held.ours);
    let blocked = deleting && (is_blocked(user) || (strangers && !held));
    let mut effects = effects(user, record);
    if !deleting && record.is_some() && !user.retains() {
        effects.extend(server_trouble(user, server));
    }
    Explained {
        effects,
        blocked,
        ways_out: match deleting && held {
            true => ways(user),
            false => Vec::new(),
        },
        ..explained
    }
}

fn is_blocked(user: &PostgresUser) -> bool {
    condition(user, READY).is_some_and(|ready| ready.reason == Reason::DeletionBlocked.as_str())
}

/// What the operator says that it waits for, and how long that takes.
fn waits_for(user: &PostgresUser) -> String {
    let ready = condition(user, READY).filter(|ready| ready.reason.starts_with("Delet"));
    let Some(ready) = ready else {
        return "the operator to look at it: if that lasts, see whether it runs".to_string();
    };
    let ways = format!("; {}", remediation(user.username()));
    let message = ready.message.strip_suffix(&ways).unwrap_or(&ready.message);
    match Blocked::reason_in(message).and_then(Reason::holds_deletion) {
        Some(how_long) => format!("{message} ({how_long})"),
        None => message.to_string(),
    }
}

fn effects(user: &PostgresUser, record: Option<&RemoteUserRecord>) -> Vec<String> {
    let secret = user.status.as_ref().and_then(|status| status.binding.as_ref());
    let secret = secret.map_or("no Secret was published".to_string(), |it| {
        format!("its Secret {}", it.name)
    });
    let Some(record) = record else {
        return vec![
            "no login is recorded as this object's: once no request is under way, it goes".to_string(),
        ];
    };
    let login = format!(
        "the login {:?} on {}/{}",
        record.username, record.provider, record.cluster
    );
    let why = match user.spec.deletion_policy {
        Some(_) => "deletionPolicy: Retain",
        None => "it was taken over, and deletionPolicy says nothing",
    };
    match user.retains() {
        true => vec![
            format!("{login} stays as it is ({why}), and is recorded as kept"),
            format!("{secret} stays"),
        ],
        false => vec![
            format!("{login} is deleted, if it is still the one that was made"),
            format!("{secret} goes with it"),
            owned(user),
        ],
    }
}

fn owned(user: &PostgresUser) -> String {
    let reassign_to = user
        .spec
        .postgresql
        .as_ref()
        .and_then(|it| it.reassign_owned_to.as_ref());
    match reassign_to {
        Some(reassign_to) => {
            format!(
                "what it owns on the server goes to the role {reassign_to:?}, if the server object allows that"
            )
        }
        None => "if it owns tables or databases, the server refuses; what it owns cannot be seen from here"
            .to_string(),
    }
}

/// What would be in the way, by the server object's own word.
fn server_trouble(user: &PostgresUser, server: Option<&ServerObject>) -> Option<String> {
    let reference = &user.spec.server_ref;
    let Some(server) = server else {
        return Some(format!(
            "{:?} {} is not there or may not be read from here: without it the deletion waits",
            reference.kind, reference.name
        ));
    };
    let conditions = server
        .status()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let ready = conditions
        .iter()
        .find(|it| it.type_ == READY && it.status != "True")?;
    Some(format!(
        "the server object is not ready, and the deletion would wait ({}: {})",
        ready.reason, ready.message
    ))
}

fn ways(user: &PostgresUser) -> Vec<Remedy> {
    let name = quoted(&user.name_any());
    let place = user
        .namespace()
        .map(|it| format!(" --namespace {}", quoted(&it)))
        .unwrap_or_default();
    let force = quoted(&format!("{}={}", names::FORCE_FINALIZE, user.username()));
    let way = |what: &str, command: String| Remedy {
        what: what.to_string(),
        command,
    };
    let keep = way(
        "keep the login, and its Secret if it was published",
        format!(
            "kubectl patch {USERS} {name}{place} --type merge --patch '{{\"spec\":{{\"deletionPolicy\":\"Retain\"}}}}'"
        ),
    );
    let force = way(
        "if even that does not help, let the object go without asking the server; the login is left behind",
        format!("kubectl annotate {USERS} {name}{place} {force}"),
    );
    let found = user.status.as_ref().map(|status| &status.deletion_blockers);
    let mut ways = found.map(|found| blockers::ways(found)).unwrap_or_default();
    if !user.retains() {
        ways.push(keep);
    }
    ways.push(force);
    ways
}

#[cfg(test)]
mod tests {

    use serde_json::{Value, json};

    use super::*;

    fn user(deletion: Option<&str>, change: impl FnOnce(&mut Value)) -> PostgresUser {
        let condition = |reason: &str, message: String| {
            json!({"type": "Ready", "status": "False", "reason": reason, "message": message,
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let mut user = json!({
            "apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresUser",
            "metadata": {"name": "checkout", "namespace": "shop", "finalizers": [names::USER_FINALIZER]},
            "spec": {"serverRef": {"name": "orders"}, "username": "it's odd"},
            "status": {
                "observedGeneration": 1,
                "binding": {"name": "checkout-postgres"},
                "remoteUsers": [{"username": "it's odd", "provider": "ionos", "cluster": "c", "ownership": "Owned"}],
            },
        });
        if let Some(why) = deletion {
            user["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            let message = format!("{why}; {}", remediation("it's odd"));
            user["status"]["conditions"] = json!([condition("DeletionBlocked", message)]);
        }
        change(&mut user);
        serde_json::from_value(user).unwrap()
    }

    #[test]
    fn a_blocked_deletion_says_for_what_and_how_to_end_it() {
        let explained = explain(&user(Some("Unauthorized: the token is refused"), |_| {}), None);
        assert!(explained.blocked && explained.deleting);
        let waits = &explained.finalizers[0].waits_for;
        assert_eq!(
            waits,
            "Unauthorized: the token is refused (until working credentials are there)"
        );
        let commands: Vec<_> = explained
            .ways_out
            .iter()
            .map(|way| way.command.as_str())
            .collect();
        assert!(
            commands[0].starts_with("kubectl patch postgresusers.pguser.dev checkout --namespace shop ")
                && commands[0].contains("\"deletionPolicy\":\"Retain\""),
            "{commands:?}"
        );
        assert!(
            commands[1].starts_with("kubectl annotate postgresusers.pguser.dev checkout --namespace shop ")
                && commands[1].ends_with("'pguser.dev/force-finalize=it'\\''s odd'"),
            "{commands:?}"
        );
    }

    #[test]
    fn what_is_in_the_way_on_the_server_comes_first() {
        let blocked = user(Some("Rejected: it owns 1 table"), |it| {
            it["status"]["deletionBlockers"] = json!([{
                "database": "app", "kind": "table", "object": "\"public\".\"t\"", "hold": "owner",
                "command": "REASSIGN OWNED BY \"it's odd\" TO CURRENT_USER;",
            }]);
        });
        let ways = explain(&blocked, None).ways_out;
        assert_eq!(ways[0].command, "REASSIGN OWNED BY \"it's odd\" TO CURRENT_USER;");
        assert!(
            ways[1].command.starts_with("kubectl patch") && ways.len() == 3,
            "{ways:?}"
        );
    }

    #[test]
    fn before_a_deletion_its_effects_are_told() {
        let deleted = explain(&user(None, |_| {}), None);
        assert!(!deleted.blocked && deleted.ways_out.is_empty());
        assert!(deleted.effects[0].contains("is deleted"), "{:?}", deleted.effects);
        let kept = explain(
            &user(None, |it| it["spec"]["deletionPolicy"] = json!("Retain")),
            None,
        );
        assert!(kept.effects[0].contains("stays as it is"), "{:?}", kept.effects);
        let never = explain(&user(None, |it| it["status"]["remoteUsers"] = json!([])), None);
        assert!(
            never.effects[0].contains("no login is recorded"),
            "{:?}",
            never.effects
        );
    }

    #[test]
    fn a_finalizer_of_somebody_else_blocks_too() {
        let held = user(Some("x"), |it| {
            it["metadata"]["finalizers"] = json!(["example.com/audit"]);
            it["status"]["conditions"] = json!([]);
        });
        let explained = explain(&held, None);
        assert!(explained.blocked && !explained.finalizers[0].ours && explained.ways_out.is_empty());
    }
}
