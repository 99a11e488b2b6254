//! The rights that the operator is shipped with, and no others, under the policy that it is shipped with.

use std::path::Path;

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
    config::Kubeconfig,
};
use serde_json::{Value, json};

use super::{Outcome, REPOSITORY, manifests};

/// How long a test's token is good for.
const TOKEN_SECONDS: i64 = 7200;

/// Where the operator's objects are shipped.
const SHIPPED: &str = "deploy/base";
/// And the right to restart workloads, which not every operator has.
const RESTARTS: &str = "deploy/components/restarts";

/// Kinds of what is not in a namespace and names one, so that every operator needs one of its own.
const ONE_EACH: [&str; 3] = [
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// The shipped ServiceAccount, its roles and bindings and its policy, moved to a namespace.
pub struct Rights {
    namespace: String,
    service_account: String,
    objects: Vec<DynamicObject>,
}

impl Rights {
    /// Reads what is shipped. Namespaces are rewritten, and the names of what every operator needs one of its own of;
    /// what is granted and what is refused stays as it is.
    pub fn shipped(namespace: &str) -> Outcome<Rights> {
        let rights = Self::in_folder(SHIPPED, namespace)?;
        match rights.service_account.is_empty() {
            true => Err(format!("there is no ServiceAccount in {SHIPPED}").into()),
            false => Ok(rights),
        }
    }

    /// Likewise what lets the operator of a namespace restart workloads.
    pub fn to_restart(namespace: &str) -> Outcome<Rights> {
        Self::in_folder(RESTARTS, namespace)
    }

    fn in_folder(folder: &str, namespace: &str) -> Outcome<Rights> {
        let mut objects = Vec::new();
        let mut service_account = String::new();
        for mut object in read(&Path::new(REPOSITORY).join(folder))? {
            let kind = object
                .types
                .as_ref()
                .map(|types| types.kind.clone())
                .unwrap_or_default();
            if ONE_EACH.contains(&kind.as_str()) {
                let name = object.metadata.name.take().unwrap_or_default();
                object.metadata.name = Some(of(&name, namespace));
            }
            match kind.as_str() {
                "ServiceAccount" => {
                    service_account = object.metadata.name.clone().unwrap_or_default();
                    object.metadata.namespace = Some(namespace.to_owned());
                }
                "Role" => object.metadata.namespace = Some(namespace.to_owned()),
                "RoleBinding" => {
                    object.metadata.namespace = Some(namespace.to_owned());
                    rehome_subjects(&mut object.data, namespace);
                }
                "ClusterRoleBinding" => rehome_subjects(&mut object.data, namespace),
                "ValidatingAdmissionPolicy" => rehome_policy(&mut object.data, namespace)?,
                "ValidatingAdmissionPolicyBinding" => {
                    let policy = &mut object.data["spec"]["policyName"];
                    *policy = json!(of(policy.as_str().unwrap_or_default(), namespace));
                }
                "ClusterRole" => {}
                _ => continue,
            }
            objects.push(object);
        }
        Ok(Rights {
            namespace: namespace.to_owned(),
            service_account,
            objects,
        })
    }

    /// The name under which the API server knows the operator.
    pub fn user(&self) -> String {
        format!(
            "system:serviceaccount:{}:{}",
            self.namespace, self.service_account
        )
    }

    /// Makes the objects.
    pub async fn grant(&self, client: &Client) -> Outcome {
        for object in &self.objects {
            manifests::apply(client, &self.namespace, object.clone()).await?;
        }
        Ok(())
    }

    /// Removes what is not in the namespace and is ours alone.
    pub async fn revoke(&self, client: &Client) {
        for object in &self.objects {
            if object
                .types
                .as_ref()
                .is_some_and(|types| ONE_EACH.contains(&types.kind.as_str()))
            {
                let _ = manifests::delete(client, &self.namespace, object).await;
            }
        }
    }

    /// A kubeconfig of the cluster in `admin`, that holds a token of the ServiceAccount and nothing else.
    pub async fn kubeconfig(&self, client: &Client, admin: &Path) -> Outcome<String> {
        kubeconfig(client, admin, &self.namespace, &self.service_account).await
    }
}

/// A kubeconfig of the cluster in `admin`, that holds a token of a ServiceAccount and nothing else. Its context is in the
/// ServiceAccount's namespace.
pub async fn kubeconfig(client: &Client, admin: &Path, namespace: &str, account: &str) -> Outcome<String> {
    let token = token(client, namespace, account).await?;
    let admin = Kubeconfig::read_from(admin)?;
    let context = admin
        .current_context
        .ok_or("the administrator's kubeconfig has no current context")?;
    let contexts = admin.contexts.iter().filter(|named| named.name == context);
    let cluster = contexts
        .filter_map(|named| named.context.as_ref())
        .map(|context| &context.cluster)
        .next();
    let clusters = admin
        .clusters
        .iter()
        .filter(|named| Some(&named.name) == cluster)
        .collect::<Vec<_>>();
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": clusters,
        "users": [{"name": account, "user": {"token": token}}],
        "contexts": [{
            "name": account,
            "context": {"cluster": cluster, "user": account, "namespace": namespace},
        }],
        "current-context": account,
    });
    Ok(config.to_string())
}

async fn token(client: &Client, namespace: &str, account: &str) -> Outcome<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: Vec::new(),
            expiration_seconds: Some(TOKEN_SECONDS),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let answer = accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await?;
    Ok(answer
        .status
        .ok_or("the TokenRequest was answered without a token")?
        .token)
}

fn read(folder: &Path) -> Outcome<Vec<DynamicObject>> {
    let mut objects = Vec::new();
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Outcome<Vec<_>>>()?;
    files.sort();
    for file in files {
        let is_yaml = file.extension().is_some_and(|extension| extension == "yaml");
        if is_yaml && file.file_stem().is_some_and(|stem| stem != "kustomization") {
            objects.extend(manifests::parse(&std::fs::read_to_string(&file)?)?);
        }
    }
    Ok(objects)
}

fn rehome_subjects(binding: &mut Value, namespace: &str) {
    for subject in binding["subjects"].as_array_mut().into_iter().flatten() {
        if subject["kind"] == "ServiceAccount" {
            subject["namespace"] = json!(namespace);
        }
    }
}

/// The policy names the operator's namespace in a text, as the base has it.
fn rehome_policy(policy: &mut Value, namespace: &str) -> Outcome {
    let expression = &mut policy["spec"]["matchConditions"][0]["expression"];
    let text = expression.as_str().unwrap_or_default();
    let moved = text.replace("'pguser-system'", &format!("'{namespace}'"));
    if moved == text {
        return Err(format!("the policy in {SHIPPED} is for no namespace: {text}").into());
    }
    *expression = json!(moved);
    Ok(())
}

/// The name of the one that the operator in a namespace has.
fn of(name: &str, namespace: &str) -> String {
    format!("{name}-{namespace}")
}
