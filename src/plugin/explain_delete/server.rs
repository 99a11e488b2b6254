//! The deletion of a server object.

use kube::ResourceExt;

use super::{Explained, Remedy, USERS, grants};
use crate::api::{PostgresUser, ServerKind, names};
use crate::objects::{ServerObject, placement};
use crate::plugin::output::quoted;

/// How many users are named.
const NAMED: usize = 20;

/// What a deletion of it waits for, or would do; `users` are those that may refer to it.
pub fn explain(object: &ServerObject, users: &[PostgresUser]) -> Explained {
    let key = object.key();
    let mut in_use: Vec<&PostgresUser> = users
        .iter()
        .filter(|user| placement::concerns(user, &key))
        .collect();
    in_use.sort_by_key(|user| (user.namespace(), user.name_any()));
    let waits_for = match in_use.is_empty() {
        true => "its journal to be empty: requests that are under way are settled first".to_string(),
        false => format!("{} PostgresUsers that need it: {}", in_use.len(), listed(&in_use)),
    };
    let kind = match key.kind {
        ServerKind::PostgresServer => "PostgresServer",
        ServerKind::ClusterPostgresServer => "ClusterPostgresServer",
    };
    let explained = Explained::of(kind, object.meta(), names::SERVER_FINALIZER, &waits_for);
    // Users that are being deleted themselves go without anybody's help, or say what they wait for.
    let staying: Vec<_> = in_use
        .iter()
        .filter(|user| user.metadata.deletion_timestamp.is_none())
        .copied()
        .collect();
    let deleting = explained.deleting;
    Explained {
        effects: vec![match in_use.is_empty() {
            true => "no PostgresUser needs it: it goes at once, with its journal and copies of credentials"
                .to_string(),
            false => format!("it stays until these are gone: {}", listed(&in_use)),
        }],
        blocked: deleting && !staying.is_empty(),
        ways_out: grants::way(&in_use)
            .into_iter()
            .chain(
                staying
                    .iter()
                    .take(NAMED)
                    .filter(|_| deleting)
                    .flat_map(|user| ways(user)),
            )
            .collect(),
        ..explained
    }
}

fn listed(users: &[&PostgresUser]) -> String {
    let name = |user: &&PostgresUser| format!("{}/{}", user.namespace().unwrap_or_default(), user.name_any());
    let names: Vec<_> = users.iter().take(NAMED).map(name).collect();
    let more = if users.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}

fn ways(user: &PostgresUser) -> [Remedy; 2] {
    let (namespace, name) = (
        quoted(&user.namespace().unwrap_or_default()),
        quoted(&user.name_any()),
    );
    [
        Remedy {
            what: format!("delete {name}, and its login with it"),
            command: format!("kubectl delete {USERS} {name} --namespace {namespace}"),
        },
        Remedy {
            what: format!("delete {name}, and keep its login"),
            command: format!("kubectl pguser release {name} --namespace {namespace}"),
        },
    ]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn server(deleting: bool) -> ServerObject {
        let deleted = deleting.then_some("2026-01-01T00:00:00Z");
        let server = json!({
            "apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresServer",
            "metadata": {"name": "orders", "namespace": "shop", "deletionTimestamp": deleted,
                "finalizers": [names::SERVER_FINALIZER]},
            "spec": {"ionos": {"clusterId": "c", "credentialsSecretRef": {"name": "ionos"}}},
        });
        ServerObject::Namespaced(Arc::new(serde_json::from_value(server).unwrap()))
    }

    fn user(name: &str, refers_to: &str, made_by: &str) -> PostgresUser {
        serde_json::from_value(json!({
            "apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresUser",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"serverRef": {"name": refers_to}},
            "status": {"remoteUsers": [{"username": name, "provider": "ionos", "cluster": "c", "ownership": "Owned",
                "serverRef": {"kind": "PostgresServer", "name": made_by}}]},
        }))
        .unwrap()
    }

    #[test]
    fn a_server_waits_for_its_users_and_for_those_whose_login_it_made() {
        let users = [
            user("checkout", "orders", "orders"),
            user("moved", "other", "orders"),
            user("elsewhere", "other", "other"),
        ];
        let explained = explain(&server(true), &users);
        assert!(explained.blocked);
        assert!(
            explained.finalizers[0].waits_for.contains("2 PostgresUsers"),
            "{explained:?}"
        );
        assert!(
            explained.effects[0].contains("shop/checkout, shop/moved"),
            "{explained:?}"
        );
        let commands: Vec<_> = explained
            .ways_out
            .iter()
            .map(|way| way.command.as_str())
            .collect();
        for command in [
            "kubectl delete postgresusers.pguser.dev checkout --namespace shop",
            "kubectl pguser release checkout --namespace shop",
        ] {
            assert!(commands.contains(&command), "{commands:?}");
        }
    }

    #[test]
    fn a_server_that_nobody_needs_goes() {
        let explained = explain(&server(false), &[user("elsewhere", "other", "other")]);
        assert!(
            !explained.blocked && explained.effects[0].contains("goes at once"),
            "{explained:?}"
        );
    }
}
