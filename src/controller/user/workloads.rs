//! Restarts the workloads that use an output Secret, and looks how far they are. They are listed when it is time, never watched.

use std::fmt::Debug;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{NamespaceResourceScope, Selector};
use kube::{Resource, ResourceExt};
use serde_json::json;

use super::outcome::{Done, Outcome, Restarted};
use super::view::View;
use crate::api::{PostgresUser, Readable, Reason, RestartStatus, names};
use crate::clock;
use crate::controller::api_error::{api, is_refusal};
use crate::controller::context::Context;
use crate::controller::objects::Objects;
use crate::domain::plan::{Restarting, Rollout, Trouble};
use crate::domain::time::{Mono, whole_seconds};
use crate::domain::workloads::{Workload, is_named};
use crate::failpoint::{self, Side};

/// How many workloads are asked for at once: each is a Pod's whole template.
const PAGE: u32 = 50;
/// How often a workload is read again that somebody else has changed meanwhile.
const TRIES: usize = 5;
/// How many unfinished workloads are named.
const NAMED: usize = 3;

/// What can be restarted, as far as the Kubernetes API is concerned.
trait Kind:
    Workload + Resource<DynamicType = (), Scope = NamespaceResourceScope> + Readable + Clone + Debug
{
}

impl Kind for Deployment {}
impl Kind for StatefulSet {}
impl Kind for DaemonSet {}

/// What of a restart did not go through.
struct Failure {
    what: String,
    error: kube::Error,
}

/// Which workloads are meant, by whom and for what.
struct Errand<'a> {
    context: &'a Context,
    user: &'a PostgresUser,
    publication: &'a str,
}

/// The restart that status speaks of, if the spec asks for one still.
fn asked(user: &PostgresUser) -> Option<&RestartStatus> {
    user.restart()?;
    user.status.as_ref()?.restart.as_ref()
}

/// What is known of the restart for what is published.
pub fn observed(context: &Context, user: &PostgresUser) -> Option<Restarting> {
    let status = asked(user)?;
    let (failure, rollout) = context.restarts.of(&user.uid()?, &status.r#for);
    Some(Restarting {
        done: status.at.is_some(),
        failure,
        rollout,
    })
}

/// Restarts all that have not been yet. What goes wrong is noted, and tried again after a while.
pub async fn restart(context: &Context, view: &View) -> Done {
    let Some((errand, _)) = Errand::asked(context, &view.user) else {
        return Done::default();
    };
    match errand.restart_all().await {
        Ok(workloads) => {
            context.restarts.went(&errand.uid(), errand.publication);
            Done {
                outcome: Outcome {
                    restarted: Some(errand.restarted(workloads)),
                    ..Outcome::default()
                },
                ..Done::default()
            }
        }
        Err(failure) => errand.failed(&failure),
    }
}

/// Looks whether all that were restarted are through with it.
pub async fn look(context: &Context, view: &View) -> Done {
    let Some((errand, status)) = Errand::asked(context, &view.user) else {
        return Done::default();
    };
    let seen = clock::now();
    match errand.unfinished(status).await {
        Ok(unfinished) => {
            let rollout = Rollout { seen, unfinished };
            context.restarts.saw(&errand.uid(), errand.publication, rollout);
            Done::default()
        }
        Err(failure) => errand.failed(&failure),
    }
}

impl<'a> Errand<'a> {
    /// What is to be done for the restart that status speaks of, if the spec asks for one still.
    fn asked(context: &'a Context, user: &'a PostgresUser) -> Option<(Self, &'a RestartStatus)> {
        let status = asked(user)?;
        let errand = Self {
            context,
            user,
            publication: &status.r#for,
        };
        Some((errand, status))
    }

    fn uid(&self) -> String {
        self.user.uid().unwrap_or_default()
    }

    /// The annotation by which a workload is known that has been restarted.
    fn mark(&self) -> String {
        format!(
            "{}{}",
            names::RESTARTED_FOR,
            self.user.metadata.uid.as_deref().unwrap_or_default()
        )
    }

    fn of<K: Kind>(&self) -> Objects<K> {
        Objects::of(
            self.context.client.clone(),
            self.user.metadata.namespace.as_deref().unwrap_or_default(),
        )
    }

    fn failed(&self, failure: &Failure) -> Done {
        let words = api(&failure.error);
        tracing::warn!(user = %crate::objects::UserRef::from_obj(self.user), what = failure.what, error = words, "workloads could not be restarted, or not be looked at");
        let (trouble, now): (_, Mono) = (trouble(failure, &words), clock::now());
        self.context
            .restarts
            .failed(&self.uid(), self.publication, trouble, now, clock::jitter());
        Done::default()
    }

    fn restarted(&self, workloads: Vec<String>) -> Restarted {
        let asked = self.user.restart();
        let named = asked.into_iter().flat_map(|restart| &restart.names);
        let is_there = |name: &&String| workloads.iter().any(|there| there.eq_ignore_ascii_case(name));
        Restarted {
            publication: self.publication.to_string(),
            missing: named.filter(|name| !is_there(name)).cloned().collect(),
            workloads,
        }
    }

    async fn restart_all(&self) -> Result<Vec<String>, Failure> {
        let mut restarted = Vec::new();
        let mut first = Ok(());
        for outcome in [
            self.restart_kind::<Deployment>(&mut restarted).await,
            self.restart_kind::<StatefulSet>(&mut restarted).await,
            self.restart_kind::<DaemonSet>(&mut restarted).await,
        ] {
            // One that is refused keeps none of the others from its restart.
            first = first.and(outcome);
        }
        first.map(|()| restarted)
    }

    async fn restart_kind<K: Kind>(&self, restarted: &mut Vec<String>) -> Result<(), Failure> {
        let chosen = self.chosen::<K>().await?;
        let mut first = Ok(());
        for workload in chosen {
            let shown = workload.shown();
            match self.restart_one(workload).await {
                Ok(true) => restarted.push(shown),
                Ok(false) => {}
                Err(error) => first = first.and(Err(Failure { what: shown, error })),
            }
        }
        first
    }

    /// The workloads of a kind that are to be restarted.
    async fn chosen<K: Kind>(&self) -> Result<Vec<K>, Failure> {
        let Some(asked) = self.user.restart() else {
            return Ok(Vec::new());
        };
        let mut params = ListParams::default();
        if let Some(selector) = &asked.selector {
            let selector = Selector::try_from(selector.clone());
            // None that the API server has admitted.
            let Ok(selector) = selector else {
                return Ok(Vec::new());
            };
            params = params.labels_from(&selector);
        }
        let secret = self.user.secret_name();
        let is_chosen = |workload: &K| match (&asked.selector, asked.names.is_empty()) {
            (Some(_), _) => true,
            (None, false) => is_named(&asked.names, K::KIND, &workload.name_any()),
            (None, true) => workload.uses(&secret),
        };
        self.listed(params, is_chosen).await
    }

    /// The workloads of a kind, page by page, as far as they are wanted.
    async fn listed<K: Kind>(
        &self,
        params: ListParams,
        is_wanted: impl Fn(&K) -> bool,
    ) -> Result<Vec<K>, Failure> {
        let mut params = params.limit(PAGE);
        let mut found = Vec::new();
        loop {
            let page = self.of::<K>().page(&params).await;
            let (page, next) = page.map_err(|error| Failure {
                what: format!("{}s", K::lower_case_kind()),
                error,
            })?;
            found.extend(page.into_iter().filter(&is_wanted));
            match next {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(found),
            }
        }
    }

    /// Restarts one, unless it has been for this publication; false if it is gone, or going.
    async fn restart_one<K: Kind>(&self, workload: K) -> Result<bool, kube::Error> {
        let (all, mark, name) = (self.of::<K>(), self.mark(), workload.name_any());
        let mut workload = workload;
        let mut tries = 0;
        loop {
            if workload.metadata().deletion_timestamp.is_some() {
                return Ok(false);
            }
            if workload.template_annotation(&mark) == Some(self.publication) {
                return Ok(true);
            }
            // Whoever has restarted it meanwhile, as a leader of before may, has changed its version.
            let change = json!({
                "metadata": {"uid": workload.metadata().uid, "resourceVersion": workload.metadata().resource_version},
                "spec": {"template": {"metadata": {"annotations": {
                    names::RESTARTED_AT: whole_seconds(Timestamp::now()).to_string(),
                    mark.as_str(): self.publication,
                }}}},
            });
            failpoint::hit("restart", Side::Before);
            let error = match all
                .patch(&name, &PatchParams::default(), &Patch::Merge(change))
                .await
            {
                Ok(_) => {
                    failpoint::hit("restart", Side::After);
                    return Ok(true);
                }
                Err(error) => error,
            };
            let code = match &error {
                kube::Error::Api(status) => status.code,
                _ => 0,
            };
            tries += 1;
            match code {
                404 => return Ok(false),
                409 if tries < TRIES => match all.get_opt(&name).await? {
                    Some(newer) => workload = newer,
                    None => return Ok(false),
                },
                _ => return Err(error),
            }
        }
    }

    /// Which of those that were restarted are not through with it, in words.
    async fn unfinished(&self, status: &RestartStatus) -> Result<Option<String>, Failure> {
        let mut all = Vec::new();
        self.unfinished_kind::<Deployment>(status, &mut all).await?;
        self.unfinished_kind::<StatefulSet>(status, &mut all).await?;
        self.unfinished_kind::<DaemonSet>(status, &mut all).await?;
        let more = all.len().saturating_sub(NAMED);
        let named = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        Ok(match (all.is_empty(), more) {
            (true, _) => None,
            (false, 0) => Some(named),
            (false, more) => Some(format!("{named}, and {more} more")),
        })
    }

    async fn unfinished_kind<K: Kind>(
        &self,
        status: &RestartStatus,
        found: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let is_complete = usize::try_from(status.count.unwrap_or_default()) == Ok(status.workloads.len());
        let prefix = format!("{}/", K::lower_case_kind());
        if is_complete && !status.workloads.iter().any(|name| name.starts_with(&prefix)) {
            return Ok(());
        }
        let mark = self.mark();
        let is_marked = |it: &K| it.template_annotation(&mark) == Some(self.publication);
        let is_ours = |it: &K| is_marked(it) || status.workloads.contains(&it.shown());
        let all = self.listed::<K>(ListParams::default(), is_ours).await?;
        for workload in all {
            let why = match is_marked(&workload) {
                true => workload.unfinished(),
                false => Some(UNDONE.to_string()),
            };
            found.extend(why.map(|why| format!("{} ({why})", workload.shown())));
        }
        Ok(())
    }
}

/// With the template of before its Pods of before come back.
const UNDONE: &str = "somebody has taken the annotations of the restart out of its Pod template";

/// What of a failure a person has to see to.
fn trouble(failure: &Failure, words: &str) -> Option<Trouble> {
    let kube::Error::Api(status) = &failure.error else {
        return None;
    };
    if !is_refusal(status) {
        return None;
    }
    let what = &failure.what;
    // As RBAC words it. Admission, which forbids as well, has words of its own.
    let is_right = status.code == 403 && status.message.contains(" cannot ");
    let (reason, message) = match is_right {
        true => (
            Reason::RestartForbidden,
            format!(
                "the Secret was written anew, and what uses it is not restarted, since the operator has no right to: {words}. An \
                 administrator gives it by restartWorkloads.enabled=true of the chart, or the kustomize component \
                 deploy/components/restarts. It is tried again after growing pauses; spec.restart.mode: None ends that"
            ),
        ),
        false => (
            Reason::RestartRefused,
            format!(
                "the Secret was written anew, and the Kubernetes API refuses the restart of {what} ({words}): it is tried again after \
                 growing pauses"
            ),
        ),
    };
    Some(Trouble {
        reason,
        message,
        stalled: true,
    })
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn of(code: u16, message: &str) -> Option<Trouble> {
        let status = Status {
            code,
            message: message.to_string(),
            reason: "Forbidden".to_string(),
            ..Status::default()
        };
        let failure = Failure {
            what: "deployment/shop".to_string(),
            error: kube::Error::Api(Box::new(status)),
        };
        trouble(&failure, message)
    }

    #[test]
    fn a_right_that_is_missing_is_told_from_what_somebody_refuses() {
        let missing = "deployments.apps is forbidden: User \"o\" cannot list resource \"deployments\" in API group \"apps\"";
        let missing = of(403, missing).unwrap();
        assert_eq!(missing.reason, Reason::RestartForbidden);
        assert!(
            missing.message.contains("restartWorkloads.enabled=true")
                && missing.message.contains("deploy/components/restarts")
        );
        let refused = of(
            403,
            "deployments.apps \"shop\" is forbidden: ValidatingAdmissionPolicy 'frozen' denied request",
        )
        .unwrap();
        assert_eq!(refused.reason, Reason::RestartRefused);
        assert!(refused.message.contains("deployment/shop") && refused.message.contains("frozen"));
    }

    #[test]
    fn what_passes_by_itself_is_told_nobody() {
        for code in [409, 410, 429, 500, 503] {
            assert_eq!(of(code, "later"), None, "{code}");
        }
    }
}
