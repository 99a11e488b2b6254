//! `status`: which users are ready, and why the others are not.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use serde::Serialize;

use super::CommandOutcome;
use super::cluster::{Cluster, Selection};
use super::failure::Failure;
use super::output::{Format, age, note, or_none, say, table};
use crate::api::reason::{Advice, Who};
use crate::api::{PostgresUser, Reason, ServerRef, names};
use crate::domain::conditions::{CREDENTIALS_VERIFIED, READY, RECONCILING, STALLED, presentable};
use crate::domain::wish;

/// The command. Exit code 1: something is not ready.
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    selection: Selection,
    /// In all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// How the result is written.
    #[arg(short, long, value_enum, default_value_t = Listed::Table)]
    output: Listed,
    /// Leave the line with the columns' names out.
    #[arg(long)]
    no_headers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Listed {
    /// For people.
    Table,
    /// The same with more columns.
    Wide,
    /// For programs.
    Json,
    /// The same as YAML.
    Yaml,
    /// `postgresuser.pguser.dev/NAME`, for other commands.
    Name,
}

/// What is said of one user: the schema of `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserReport {
    namespace: String,
    name: String,
    username: String,
    server: ServerRef,
    /// `True`, `False`, or `Unknown` if the operator has not looked at the latest change.
    ready: String,
    reason: String,
    message: String,
    /// Of `CredentialsVerified`.
    verified: String,
    reconciling: bool,
    stalled: Option<String>,
    deleting: bool,
    suspended: bool,
    secret: Option<String>,
    ownership: Option<String>,
    rotation_requested: bool,
    last_handled_rotation: Option<String>,
    password_changed: Option<Timestamp>,
    next_rotation: Option<Timestamp>,
    created: Option<Timestamp>,
}

/// A condition of a user.
pub fn condition<'a>(user: &'a PostgresUser, type_: &str) -> Option<&'a Condition> {
    let conditions = &user.status.as_ref()?.conditions;
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// The generation of the spec that the operator has looked at.
pub fn observed(user: &PostgresUser) -> Option<i64> {
    user.status.as_ref().map(|status| status.observed_generation)
}

/// Whether the operator has looked at the spec as it is now.
pub fn is_seen(user: &PostgresUser) -> bool {
    observed(user) == user.metadata.generation
}

/// The value of `pguser.dev/rotate` as the operator keeps it, if it was not acted on yet.
pub fn asked_rotation(user: &PostgresUser) -> Option<String> {
    let asked = user
        .annotations()
        .get(names::ROTATE)
        .filter(|value| !value.is_empty())?;
    let handled = user
        .status
        .as_ref()
        .and_then(|status| status.last_handled_rotation.as_ref());
    (!handled.is_some_and(|handled| wish::same(handled, asked))).then(|| wish::short(asked))
}

/// Whether a user is as its spec asks, as far as the operator has said.
pub fn is_ready(user: &PostgresUser) -> bool {
    user.metadata.deletion_timestamp.is_none()
        && is_seen(user)
        && condition(user, READY).is_some_and(|ready| ready.status == "True")
}

/// What keeps a user from being as was asked, in one line, and what to do. A user whose Secret goes on working is ready
/// while a change of it stalls or has not come through: then that is what is told.
pub fn trouble(user: &PostgresUser) -> String {
    let seen = UserReport::of(user);
    let is_true = |type_| condition(user, type_).filter(|it| it.status == "True" && is_seen(user));
    let (reason, message) = match is_true(STALLED).or_else(|| is_true(RECONCILING)) {
        Some(obstacle) => (obstacle.reason.as_str(), obstacle.message.as_str()),
        None if is_ready(user) && asked_rotation(user).is_some() && !user.spec.suspend => (
            Reason::Pending.as_str(),
            "the operator has not taken up the rotation yet",
        ),
        None => (seen.reason.as_str(), seen.message.as_str()),
    };
    let message = presentable(message);
    let first = match message.is_empty() {
        true => reason.to_string(),
        false => format!("{reason}: {message}"),
    };
    match advice_on(reason) {
        Some(advice) => format!("{first}\n  what to do: {}", advice.what),
        None => first,
    }
}

fn advice_on(reason: &str) -> Option<Advice> {
    Reason::named(reason)?.advice()
}

impl UserReport {
    fn of(user: &PostgresUser) -> Self {
        let status = user.status.clone().unwrap_or_default();
        let ready = condition(user, READY).filter(|_| is_seen(user));
        let text = |get: fn(&Condition) -> &String| ready.map(|it| get(it).clone());
        let record = user.record();
        let password = status.password.unwrap_or_default();
        Self {
            namespace: user.namespace().unwrap_or_default(),
            name: user.name_any(),
            username: user.published_username().to_string(),
            server: user.spec.server_ref.clone(),
            ready: text(|it| &it.status).unwrap_or_else(|| "Unknown".to_string()),
            reason: text(|it| &it.reason).unwrap_or_else(|| Reason::Pending.to_string()),
            message: text(|it| &it.message).unwrap_or_default(),
            verified: condition(user, CREDENTIALS_VERIFIED)
                .map_or("Unknown".to_string(), |it| it.status.clone()),
            reconciling: condition(user, RECONCILING).is_some(),
            stalled: condition(user, STALLED).map(|it| it.reason.clone()),
            deleting: user.metadata.deletion_timestamp.is_some(),
            suspended: user.spec.suspend,
            secret: status.binding.map(|binding| binding.name),
            ownership: record.map(|record| format!("{:?}", record.ownership)),
            rotation_requested: asked_rotation(user).is_some(),
            last_handled_rotation: status.last_handled_rotation,
            password_changed: password.last_changed.map(|time| time.0),
            next_rotation: password.next_rotation.map(|time| time.0),
            created: user.creation_timestamp().map(|time| time.0),
        }
    }

    fn row(&self, namespaces: bool, wide: bool, now: Timestamp) -> Vec<String> {
        let mut row = vec![
            self.name.clone(),
            self.ready.clone(),
            self.reason.clone(),
            self.verified.clone(),
            self.username.clone(),
            self.server.name.clone(),
            or_none(self.secret.as_deref()),
            age(self.created, now),
        ];
        if namespaces {
            row.insert(0, self.namespace.clone());
        }
        if wide {
            row.push(format!("{:?}", self.server.kind));
            row.push(or_none(self.ownership.as_deref()));
            row.push(or_none(self.stalled.as_deref()));
            row.push(self.message.clone());
        }
        row
    }
}

const COLUMNS: [&str; 8] = [
    "NAME", "READY", "REASON", "VERIFIED", "USERNAME", "SERVER", "SECRET", "AGE",
];
const WIDE: [&str; 4] = ["KIND", "OWNERSHIP", "STALLED", "MESSAGE"];

impl Status {
    /// Runs it.
    pub async fn run(self, cluster: &Cluster) -> Result<CommandOutcome, Failure> {
        let users = cluster.selected(&self.selection, self.all_namespaces).await?;
        let seen: Vec<UserReport> = users.iter().map(UserReport::of).collect();
        match self.output {
            Listed::Json => Format::Json.print(&Users { users: &seen }, String::new)?,
            Listed::Yaml => Format::Yaml.print(&Users { users: &seen }, String::new)?,
            Listed::Name => seen
                .iter()
                .for_each(|it| say(&format!("postgresuser.pguser.dev/{}\n", it.name))),
            Listed::Table if self.selection.names.len() == 1 => {
                users.iter().for_each(|user| say(&described(user)))
            }
            Listed::Table | Listed::Wide => self.print_table(&seen, &cluster.namespace),
        }
        Ok(users.iter().all(is_ready).into())
    }

    fn print_table(&self, seen: &[UserReport], namespace: &str) {
        if seen.is_empty() {
            let place = match self.all_namespaces {
                true => "in any namespace".to_string(),
                false => format!("in namespace {namespace}"),
            };
            return note(&format!("No PostgresUsers found {place}."));
        }
        let (namespaces, wide) = (self.all_namespaces, self.output == Listed::Wide);
        let headers: Vec<&str> = match self.no_headers {
            true => Vec::new(),
            false => [
                namespaces.then_some(&["NAMESPACE"][..]),
                Some(&COLUMNS[..]),
                wide.then_some(&WIDE[..]),
            ]
            .into_iter()
            .flatten()
            .flatten()
            .copied()
            .collect(),
        };
        let now = Timestamp::now();
        let rows: Vec<_> = seen.iter().map(|it| it.row(namespaces, wide, now)).collect();
        say(&table(&headers, &rows));
    }
}

#[derive(Serialize)]
struct Users<'a> {
    users: &'a [UserReport],
}

/// One user, in full.
fn described(user: &PostgresUser) -> String {
    let seen = UserReport::of(user);
    let now = Timestamp::now();
    let advice = advice_on(&seen.reason).filter(|_| !is_ready(user) || seen.stalled.is_some());
    let stalled = seen.stalled.as_deref().and_then(advice_on);
    let deleting = user.metadata.deletion_timestamp.as_ref();
    let lines = [
        ("Name", Some(format!("{}/{}", seen.namespace, seen.name))),
        ("Login", Some(seen.username.clone())),
        (
            "Server",
            Some(format!("{:?} {}", seen.server.kind, seen.server.name)),
        ),
        ("Secret", Some(or_none(seen.secret.as_deref()))),
        ("Ownership", Some(or_none(seen.ownership.as_deref()))),
        ("Age", Some(age(seen.created, now))),
        ("Suspended", seen.suspended.then(|| "yes".to_string())),
        (
            "Deleting",
            deleting.map(|since| format!("for {}", age(Some(since.0), now))),
        ),
        (
            "Rotation",
            asked_rotation(user).map(|asked| format!("asked for ({asked}), not done yet")),
        ),
        ("Last rotation", seen.last_handled_rotation.clone()),
        ("Password", password_age(user, now)),
        ("Next rotation", seen.next_rotation.map(|at| at.to_string())),
        ("Restart", restart(user, now)),
        (
            "Seen",
            (!is_seen(user)).then(|| "the operator has not looked at the latest change yet".to_string()),
        ),
        (
            "Waits for",
            advice
                .filter(|it| it.who == Who::Nobody)
                .map(|it| it.what.to_string()),
        ),
        (
            "Way out",
            stalled
                .or(advice)
                .filter(|it| it.who != Who::Nobody)
                .map(|it| it.what.to_string()),
        ),
    ];
    let rows: Vec<_> = lines
        .into_iter()
        .filter_map(|(name, value)| Some(vec![format!("{name}:"), value?]))
        .collect();
    format!("{}\n{}", table(&[], &rows), conditions(user, now))
}

/// What was restarted for what is published.
fn restart(user: &PostgresUser, now: Timestamp) -> Option<String> {
    let restart = user.status.as_ref()?.restart.as_ref()?;
    Some(match &restart.at {
        Some(at) => format!(
            "{} workloads, {} ago",
            restart.count.unwrap_or_default(),
            age(Some(at.0), now)
        ),
        None => "not done yet".to_string(),
    })
}

/// How old the password is, and why it was changed.
fn password_age(user: &PostgresUser, now: Timestamp) -> Option<String> {
    let password = user.status.as_ref()?.password.as_ref()?;
    let changed = password.last_changed.as_ref()?;
    let why = password.reason.as_deref().unwrap_or("unknown");
    Some(format!("changed {} ago ({why})", age(Some(changed.0), now)))
}

fn conditions(user: &PostgresUser, now: Timestamp) -> String {
    let conditions = user.status.iter().flat_map(|status| &status.conditions);
    let rows: Vec<_> = conditions
        .map(|it| {
            vec![
                it.type_.clone(),
                it.status.clone(),
                it.reason.clone(),
                age(Some(it.last_transition_time.0), now),
                it.message.clone(),
            ]
        })
        .collect();
    match rows.is_empty() {
        true => "The operator has not said anything of it yet: is it running?\n".to_string(),
        false => table(&["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"], &rows),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user(generation: i64, ready: &str) -> PostgresUser {
        serde_json::from_value(json!({
            "apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresUser",
            "metadata": {"name": "checkout", "namespace": "shop", "generation": generation},
            "spec": {"serverRef": {"name": "orders"}},
            "status": {
                "observedGeneration": 2,
                "binding": {"name": "checkout-postgres"},
                "conditions": [{
                    "type": "Ready", "status": ready, "reason": "AlreadyExists", "message": "a login exists",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }],
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_user_is_ready_only_for_the_spec_that_it_has() {
        assert!(is_ready(&user(2, "True")));
        assert!(!is_ready(&user(2, "False")));
        assert!(!is_ready(&user(3, "True")));
        let stale = UserReport::of(&user(3, "True"));
        assert_eq!(
            (stale.ready.as_str(), stale.reason.as_str()),
            ("Unknown", "Pending")
        );
    }

    #[test]
    fn what_stalls_a_user_whose_secret_works_is_told() {
        let mut user = user(2, "True");
        let conditions = &mut user.status.as_mut().unwrap().conditions;
        conditions[0].reason = "Published".to_string();
        let stalled = Condition {
            type_: STALLED.to_string(),
            reason: "Rejected".to_string(),
            message: "the server refused it".to_string(),
            ..conditions[0].clone()
        };
        conditions.push(stalled);
        let told = trouble(&user);
        assert!(told.starts_with("Rejected: the server refused it\n"), "{told}");
        assert!(!told.contains("all is as it should be"), "{told}");
    }

    #[test]
    fn a_rotation_that_nobody_has_seen_is_told() {
        let mut user = user(2, "True");
        user.status.as_mut().unwrap().conditions[0].reason = "Published".to_string();
        user.metadata.annotations = Some([(names::ROTATE.to_string(), "now".to_string())].into());
        assert!(trouble(&user).starts_with("Pending: "), "{}", trouble(&user));
    }

    #[test]
    fn a_row_has_a_cell_for_every_column() {
        let seen = UserReport::of(&user(2, "False"));
        assert_eq!(seen.row(false, false, Timestamp::now()).len(), COLUMNS.len());
        assert_eq!(
            seen.row(true, true, Timestamp::now()).len(),
            1 + COLUMNS.len() + WIDE.len()
        );
    }

    #[test]
    fn a_description_says_what_to_do() {
        let text = described(&user(2, "False"));
        assert!(
            text.contains("Way out:") && text.contains("kubectl pguser adopt"),
            "{text}"
        );
        assert!(text.contains("a login exists"), "{text}");
    }
}
