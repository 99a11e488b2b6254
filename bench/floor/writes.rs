//! The floor's writes to Kubernetes: the same objects, of the same size, with the same preconditions as the operator's.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use k8s_openapi::api::{core::v1::Secret, events::v1::Event};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{support::Outcome, users::User};

/// A password of the length that the operator makes.
pub const PASSWORD: &str = "q7Zt2mX9cVb4Lk8Rn3Ws6Yd1";

/// A digest or MAC in hexadecimal.
const HEX: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

const DATE: &str = "2026-01-01T00:00:00Z";

/// The writes of one namespace.
pub struct Writes {
    namespace: String,
    users: Api<User>,
    secrets: Api<Secret>,
    events: Api<Event>,
}

impl Writes {
    /// Those of a namespace.
    pub fn new(client: &Client, namespace: &str) -> Writes {
        Writes {
            namespace: namespace.to_owned(),
            users: Api::namespaced(client.clone(), namespace),
            secrets: Api::namespaced(client.clone(), namespace),
            events: Api::namespaced(client.clone(), namespace),
        }
    }

    /// Finalizer and claim.
    pub async fn claim(&self, user: &User) -> Outcome<User> {
        let claim = json!({"installation": user.metadata.uid, "provider": "bench", "cluster": format!("localhost/{HEX}"),
            "username": user.metadata.name, "server": {"kind": "PostgresServer", "name": "orders"}});
        let mut change = precondition(user);
        change["metadata"]["finalizers"] = json!(["pguser.dev/remote-user"]);
        change["metadata"]["annotations"] = json!({"pguser.dev/claim": claim.to_string()});
        self.patch(user, change).await
    }

    /// The output Secret.
    pub async fn publish(&self, user: &User) -> Outcome {
        let secret = serde_json::from_value(secret(&self.namespace, user))?;
        self.secrets.create(&PostParams::default(), &secret).await?;
        Ok(())
    }

    /// The status of a user that is Ready.
    pub async fn record(&self, user: &User) -> Outcome {
        let mut change = precondition(user);
        change["status"] = status(user);
        let patch = Patch::Merge(change);
        self.users
            .patch_status(&name(user), &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// An Event.
    pub async fn tell(&self, user: &User, reason: &str) -> Outcome {
        let name = name(user);
        let event = json!({
            "metadata": {"name": format!("{name}.{}.{reason}", user.metadata.resource_version.as_deref().unwrap_or("0")).to_lowercase(), "namespace": self.namespace},
            "action": "Reconcile", "reason": reason, "type": "Normal", "eventTime": "2026-01-01T00:00:00.000000Z",
            "note": format!("the login {name:?} works, and Secret {name}-postgres says how to connect"),
            "regarding": {"apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresUser", "name": name,
                "namespace": self.namespace, "uid": user.metadata.uid},
            "reportingController": "pguser.dev/pguser-operator", "reportingInstance": "bench",
        });
        let event = serde_json::from_value(event)?;
        self.events.create(&PostParams::default(), &event).await?;
        Ok(())
    }

    /// The end of the output Secret.
    pub async fn withdraw(&self, user: &User) -> Outcome {
        let name = format!("{}-postgres", name(user));
        self.secrets.delete(&name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// The end of the finalizer.
    pub async fn let_go(&self, user: &User) -> Outcome {
        let mut change = precondition(user);
        change["metadata"]["finalizers"] = json!(null);
        self.patch(user, change).await.map(drop)
    }

    async fn patch(&self, user: &User, change: Value) -> Outcome<User> {
        let patch = Patch::Merge(change);
        Ok(self
            .users
            .patch(&name(user), &PatchParams::default(), &patch)
            .await?)
    }
}

fn name(user: &User) -> String {
    user.metadata.name.clone().unwrap_or_default()
}

fn precondition(user: &User) -> Value {
    json!({"metadata": {"uid": user.metadata.uid, "resourceVersion": user.metadata.resource_version}})
}

fn secret(namespace: &str, user: &User) -> Value {
    let name = name(user);
    let uri = format!("postgresql://{name}:{PASSWORD}@localhost:5432/postgres?sslmode=require");
    let jdbc =
        format!("jdbc:postgresql://localhost:5432/postgres?user={name}&password={PASSWORD}&sslmode=require");
    let texts = [
        ("username", name.as_str()),
        ("password", PASSWORD),
        ("host", "localhost"),
        ("port", "5432"),
        ("database", "postgres"),
        ("dbname", "postgres"),
        ("sslmode", "require"),
        ("uri", &uri),
        ("jdbc-url", &jdbc),
        ("jdbc-uri", &jdbc),
        ("pgpass", &format!("localhost:5432:postgres:{name}:{PASSWORD}\n")),
        ("type", "postgresql"),
        ("provider", "bench"),
    ];
    let data: serde_json::Map<String, Value> = texts
        .into_iter()
        .map(|(key, text)| (key.to_owned(), json!(STANDARD.encode(text))))
        .collect();
    json!({
        "metadata": {
            "name": format!("{name}-postgres"), "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "pguser-operator"},
            "annotations": {"pguser.dev/user-uid": user.metadata.uid, "pguser.dev/user": format!("{namespace}/{name}"),
                "pguser.dev/remote-identity": format!("bench/localhost/{HEX}/{name}")},
            "ownerReferences": [{"apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresUser", "name": name,
                "uid": user.metadata.uid, "controller": true}],
        },
        "type": "servicebinding.io/postgresql", "data": data,
    })
}

fn status(user: &User) -> Value {
    let name = name(user);
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": "True", "reason": reason, "message": message, "observedGeneration": 1,
            "lastTransitionTime": DATE})
    };
    json!({
        "observedGeneration": 1, "username": name, "binding": {"name": format!("{name}-postgres")},
        "conditions": [
            condition("Ready", "Published", "the login works, and the Secret says how to connect"),
            condition("CredentialsVerified", "LoggedIn", "the operator has logged in with what the Secret says"),
        ],
        "remoteUsers": [{"username": name, "provider": "bench", "cluster": format!("localhost/{HEX}"),
            "serverRef": {"kind": "PostgresServer", "name": "orders"}, "ownership": "Owned", "created": DATE,
            "lastSet": DATE}],
        "secret": {"name": format!("{name}-postgres"), "resourceVersion": "1", "passwordMac": format!("12345678:{HEX}"),
            "contentDigest": HEX},
    })
}
