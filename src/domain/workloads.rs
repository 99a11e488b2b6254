//! Workloads that use an output Secret: which they are, and whether they are through with a restart.

use k8s_openapi::Metadata;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// What makes Pods of a template, and replaces them when that changes.
pub trait Workload: Metadata<Ty = ObjectMeta> {
    /// What its Pods are made of.
    fn template(&self) -> Option<&PodTemplateSpec>;

    /// What keeps its rollout from being complete; none if all of its Pods are of the newest template and available.
    ///
    /// As `kubectl rollout status` judges, but for what leaves Pods of before in place (a partition, OnDelete): there it is
    /// complete once somebody has replaced them.
    fn unfinished(&self) -> Option<String>;

    /// Its kind, in lower case.
    fn lower_case_kind() -> String {
        Self::KIND.to_ascii_lowercase()
    }

    /// Its kind and its name: `deployment/shop`.
    fn shown(&self) -> String {
        format!(
            "{}/{}",
            Self::lower_case_kind(),
            self.metadata().name.as_deref().unwrap_or_default()
        )
    }

    /// An annotation of its Pods' template.
    fn template_annotation(&self, name: &str) -> Option<&str> {
        let metadata = self.template()?.metadata.as_ref()?;
        metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// Whether its Pods use a Secret.
    fn uses(&self, secret: &str) -> bool {
        let spec = self.template().and_then(|template| template.spec.as_ref());
        spec.is_some_and(|spec| uses_secret(spec, secret))
    }

    /// Whether its controller has not seen its newest spec yet.
    fn is_unseen(&self, observed: Option<i64>) -> bool {
        observed.unwrap_or_default() < self.metadata().generation.unwrap_or_default()
    }
}

const UNSEEN: &str = "its controller has not seen the change yet";

/// Whether one of these names, such as `deployment/shop`, is that of a workload.
pub fn is_named(names: &[String], kind: &str, name: &str) -> bool {
    names.iter().any(|named| {
        let parts = named.split_once('/');
        parts.is_some_and(|(its_kind, its_name)| its_kind.eq_ignore_ascii_case(kind) && its_name == name)
    })
}

/// Whether a Pod has a Secret: as a file or as a variable, in any container.
pub fn uses_secret(spec: &PodSpec, secret: &str) -> bool {
    let mut containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let mut volumes = spec.volumes.iter().flatten();
    volumes.any(|volume| has_file(volume, secret))
        || containers.any(|container| has_variable(container, secret))
}

fn has_file(volume: &Volume, secret: &str) -> bool {
    let plain = volume.secret.as_ref();
    let plain = plain.and_then(|source| source.secret_name.as_deref());
    let projected = volume.projected.as_ref();
    let mut projected = projected
        .into_iter()
        .flat_map(|source| source.sources.iter().flatten())
        .filter_map(|source| source.secret.as_ref());
    plain == Some(secret) || projected.any(|source| source.name == secret)
}

fn has_variable(container: &Container, secret: &str) -> bool {
    let mut all = container.env_from.iter().flatten();
    let mut single = container.env.iter().flatten();
    let of_key = |variable: &k8s_openapi::api::core::v1::EnvVar| {
        let source = variable.value_from.as_ref()?.secret_key_ref.as_ref()?;
        Some(source.name == secret)
    };
    all.any(|source| source.secret_ref.as_ref().is_some_and(|it| it.name == secret))
        || single.any(|variable| of_key(variable) == Some(true))
}

/// So many of so many Pods.
fn replaced(updated: i32, wanted: i32, hint: &str) -> String {
    format!("{updated} of {wanted} Pods are replaced{hint}")
}

impl Workload for Deployment {
    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref().map(|spec| &spec.template)
    }

    fn unfinished(&self) -> Option<String> {
        let spec = self.spec.as_ref()?;
        let status = self.status.clone().unwrap_or_default();
        let wanted = spec.replicas.unwrap_or(1);
        let [updated, all, available] = [
            status.updated_replicas,
            status.replicas,
            status.available_replicas,
        ]
        .map(Option::unwrap_or_default);
        let mut conditions = status.conditions.iter().flatten();
        let is_late = |reason: Option<&str>| reason == Some("ProgressDeadlineExceeded");
        let hint = match () {
            () if spec.paused == Some(true) => ", and it is paused",
            () if conditions.any(|it| is_late(it.reason.as_deref())) => ", and its progress deadline is over",
            () => "",
        };
        match () {
            () if self.is_unseen(status.observed_generation) => Some(UNSEEN.to_string()),
            () if updated < wanted => Some(replaced(updated, wanted, hint)),
            () if all > updated => Some(format!("{} Pods of before are left{hint}", all - updated)),
            () if available < updated => Some(format!("{available} of {updated} Pods are available{hint}")),
            () => None,
        }
    }
}

impl Workload for StatefulSet {
    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref().map(|spec| &spec.template)
    }

    fn unfinished(&self) -> Option<String> {
        let spec = self.spec.as_ref()?;
        let status = self.status.clone().unwrap_or_default();
        let wanted = spec.replicas.unwrap_or(1);
        let [updated, ready] =
            [status.updated_replicas, status.ready_replicas].map(Option::unwrap_or_default);
        let strategy = spec.update_strategy.clone().unwrap_or_default();
        let partition = strategy.rolling_update.and_then(|rolling| rolling.partition);
        let hint = match strategy.type_.as_deref() {
            Some("OnDelete") => ON_DELETE,
            _ if partition.unwrap_or_default() > 0 => ", and its partition keeps the others",
            _ => "",
        };
        match () {
            () if self.is_unseen(status.observed_generation) => Some(UNSEEN.to_string()),
            () if updated < wanted => Some(replaced(updated, wanted, hint)),
            () if ready < wanted => Some(format!("{ready} of {wanted} Pods are ready")),
            () => None,
        }
    }
}

const ON_DELETE: &str = ", and OnDelete leaves the others until they are deleted";

impl Workload for DaemonSet {
    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref().map(|spec| &spec.template)
    }

    fn unfinished(&self) -> Option<String> {
        let spec = self.spec.as_ref()?;
        let status = self.status.clone().unwrap_or_default();
        let wanted = status.desired_number_scheduled;
        let [updated, available] =
            [status.updated_number_scheduled, status.number_available].map(Option::unwrap_or_default);
        let strategy = spec.update_strategy.as_ref().and_then(|it| it.type_.as_deref());
        let hint = match strategy {
            Some("OnDelete") => ON_DELETE,
            _ => "",
        };
        match () {
            () if self.is_unseen(status.observed_generation) => Some(UNSEEN.to_string()),
            () if updated < wanted => Some(replaced(updated, wanted, hint)),
            () if available < wanted => Some(format!("{available} of {wanted} Pods are available")),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn uses(spec: Value) -> bool {
        uses_secret(&serde_json::from_value(spec).unwrap(), "db")
    }

    #[test]
    fn a_pod_uses_a_secret_by_files_and_variables_of_any_container() {
        for spec in [
            json!({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "v", "secret": {"secretName": "db"}}]}),
            json!({"volumes": [{"name": "v", "projected": {"sources": [
                {"configMap": {"name": "other"}}, {"secret": {"name": "other"}}, {"secret": {"name": "db"}},
            ]}}]}),
            json!({"containers": [{"name": "a"}, {"name": "c", "envFrom": [{"secretRef": {"name": "db"}}]}]}),
            json!({"containers": [{"name": "c", "env": [
                {"name": "A", "value": "1"},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
            ]}]}),
            json!({"initContainers": [{"name": "i", "envFrom": [{"prefix": "X", "secretRef": {"name": "db"}}]}]}),
            json!({"initContainers": [{"name": "i", "env": [
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "db", "key": "uri", "optional": true}}},
            ]}]}),
        ] {
            assert!(uses(spec.clone()), "{spec}");
        }
    }

    #[test]
    fn things_of_the_same_name_are_not_the_secret() {
        for spec in [
            json!({"containers": []}),
            json!({"volumes": [
                {"name": "db", "configMap": {"name": "db"}},
                {"name": "w", "secret": {"secretName": "db-2"}},
                {"name": "x", "projected": {"sources": [{"configMap": {"name": "db"}}]}},
            ]}),
            json!({"containers": [{
                "name": "db",
                "envFrom": [{"configMapRef": {"name": "db"}}],
                "env": [
                    {"name": "db", "value": "db"},
                    {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "db", "key": "db"}}},
                    {"name": "D", "valueFrom": {"secretKeyRef": {"name": "other", "key": "db"}}},
                ],
            }]}),
            json!({"imagePullSecrets": [{"name": "db"}]}),
        ] {
            assert!(!uses(spec.clone()), "{spec}");
        }
    }

    #[test]
    fn names_are_of_a_kind_in_any_case() {
        let names = ["Deployment/shop".to_string(), "statefulset/worker".to_string()];
        assert!(is_named(&names, "deployment", "shop") && is_named(&names, "statefulset", "worker"));
        assert!(!is_named(&names, "daemonset", "shop") && !is_named(&names, "deployment", "worker"));
    }

    fn deployment(more: &Value, status: &Value) -> Option<String> {
        let mut spec = json!({"replicas": 3, "selector": {}, "template": {}});
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let object = json!({"metadata": {"name": "shop", "generation": 5}, "spec": spec, "status": status});
        serde_json::from_value::<Deployment>(object).unwrap().unfinished()
    }

    #[test]
    fn a_deployment_is_through_once_all_pods_are_new_and_available_and_none_of_before_is_left() {
        let none = json!({});
        let status = |seen: i64, all: i32, updated: i32, available: i32| json!({"observedGeneration": seen, "replicas": all, "updatedReplicas": updated, "availableReplicas": available});
        let says = |more: &Value, status: Value| deployment(more, &status).unwrap_or_default();
        assert_eq!(says(&none, status(5, 3, 3, 3)), "");
        assert_eq!(says(&none, status(6, 3, 3, 3)), "");
        assert_eq!(says(&none, status(4, 3, 3, 3)), UNSEEN);
        assert_eq!(says(&none, json!({})), UNSEEN);
        assert_eq!(says(&none, status(5, 4, 2, 3)), "2 of 3 Pods are replaced");
        assert_eq!(says(&none, status(5, 4, 3, 4)), "1 Pods of before are left");
        assert_eq!(says(&none, status(5, 3, 3, 2)), "2 of 3 Pods are available");
        let paused = json!({"paused": true});
        assert_eq!(
            says(&paused, status(5, 3, 0, 3)),
            "0 of 3 Pods are replaced, and it is paused"
        );
        let mut late = status(5, 4, 1, 3);
        late["conditions"] =
            json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
        assert_eq!(
            says(&none, late),
            "1 of 3 Pods are replaced, and its progress deadline is over"
        );
        assert_eq!(
            says(&json!({"replicas": 0}), json!({"observedGeneration": 5})),
            ""
        );
    }

    #[test]
    fn a_stateful_set_is_through_once_all_pods_are_new_whoever_replaces_them() {
        let says = |strategy: Value, updated: i32, ready: i32| {
            let object = json!({
                "metadata": {"name": "w", "generation": 2},
                "spec": {"replicas": 2, "selector": {}, "serviceName": "w", "template": {}, "updateStrategy": strategy},
                "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": updated, "readyReplicas": ready},
            });
            let object: StatefulSet = serde_json::from_value(object).unwrap();
            object.unfinished().unwrap_or_default()
        };
        let rolling =
            |partition: i32| json!({"type": "RollingUpdate", "rollingUpdate": {"partition": partition}});
        assert_eq!(says(rolling(0), 2, 2), "");
        assert_eq!(says(rolling(0), 1, 2), "1 of 2 Pods are replaced");
        assert_eq!(says(rolling(0), 2, 1), "1 of 2 Pods are ready");
        assert!(says(rolling(1), 1, 2).ends_with("and its partition keeps the others"));
        assert!(says(json!({"type": "OnDelete"}), 0, 2).ends_with(ON_DELETE));
        assert_eq!(says(json!({"type": "OnDelete"}), 2, 2), "");
    }

    #[test]
    fn a_daemon_set_is_through_once_each_node_has_a_new_pod() {
        let says = |strategy: &str, seen: i64, updated: i32, available: i32| {
            let object = json!({
                "metadata": {"name": "a", "generation": 2},
                "spec": {"selector": {}, "template": {}, "updateStrategy": {"type": strategy}},
                "status": {
                    "observedGeneration": seen, "desiredNumberScheduled": 2, "currentNumberScheduled": 2, "numberMisscheduled": 0,
                    "numberReady": 2, "updatedNumberScheduled": updated, "numberAvailable": available,
                },
            });
            let object: DaemonSet = serde_json::from_value(object).unwrap();
            object.unfinished().unwrap_or_default()
        };
        assert_eq!(says("RollingUpdate", 2, 2, 2), "");
        assert_eq!(says("RollingUpdate", 1, 2, 2), UNSEEN);
        assert_eq!(says("RollingUpdate", 2, 1, 2), "1 of 2 Pods are replaced");
        assert_eq!(says("RollingUpdate", 2, 2, 1), "1 of 2 Pods are available");
        assert!(says("OnDelete", 2, 0, 2).ends_with(ON_DELETE));
    }
}
