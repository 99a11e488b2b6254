//! Faults: what goes wrong, on which route, and how often.
//!
//! A request is given its faults at the moment it arrives, under the lock that also gives it its place in the journal.
//! So counts and order are exact however many requests run at once, and no test needs luck.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

use crate::{api::Api, route::RouteName};

/// On which side of the commit a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Nothing is executed.
    #[default]
    BeforeCommit,
    /// The request is executed in full; only its answer suffers.
    AfterCommit,
}

/// Where a connection is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum DropWhen {
    /// Nothing is executed.
    #[default]
    BeforeCommit,
    /// Executed, and no byte of the answer sent.
    AfterCommit,
    /// Executed, and half of the body sent under a Content-Length of the whole.
    MidBody,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Effect {
    /// Another status than the request would have had.
    Status {
        /// The status.
        status: u16,
        /// The Retry-After header, as it is; `date+N` for the date N seconds after the answer.
        #[serde(default, deserialize_with = "text_or_number")]
        retry_after: Option<String>,
        /// The body; an error body of the API's form if there is none.
        #[serde(default)]
        body: Option<String>,
        /// The body's content type.
        #[serde(default)]
        content_type: Option<String>,
        /// On which side of the commit.
        #[serde(default)]
        when: When,
    },
    /// Time that passes. Goes together with another fault.
    Latency {
        /// Before the request is executed.
        #[serde(default)]
        before_ms: u64,
        /// After it is executed, before the answer.
        #[serde(default)]
        after_ms: u64,
    },
    /// The connection ends.
    Drop {
        /// Where.
        #[serde(default)]
        when: DropWhen,
    },
    /// The connection ends at once, and the request is executed later.
    LateCommit {
        /// How much later.
        after_ms: u64,
    },
    /// A well-formed answer whose body lost its second half.
    Truncate,
    /// Another answer altogether; nothing is executed.
    Body {
        /// Its status.
        #[serde(default = "ok")]
        status: u16,
        /// Its body.
        body: String,
        /// Its content type.
        #[serde(default = "html")]
        content_type: String,
    },
}

/// Seconds are easily written without quotes.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(_) => return Err(D::Error::custom("retryAfter is text or a number")),
    })
}

fn ok() -> u16 {
    200
}

fn html() -> String {
    "text/html".to_owned()
}

/// A fault as it is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultSpec {
    /// A route's name, `users.*` and the like, or `*`.
    pub route: String,
    /// Only requests of this API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    /// Only requests about this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// How many requests it strikes; until removed if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How many matching requests pass first.
    #[serde(default)]
    pub skip: u64,
    /// What happens.
    pub fault: Effect,
}

impl FaultSpec {
    /// What is wrong with it, if anything is.
    pub fn problem(&self) -> Option<String> {
        if !RouteName::pattern_is_known(&self.route) {
            return Some(format!(
                "there is no route {:?}; there are *, {}",
                self.route,
                RouteName::list().join(", ")
            ));
        }
        let status = match &self.fault {
            Effect::Status { status, .. } | Effect::Body { status, .. } => *status,
            _ => return None,
        };
        (!(200..=599).contains(&status)).then(|| format!("{status} is no status between 200 and 599"))
    }

    fn matches(&self, api: Api, route: RouteName, username: Option<&str>) -> bool {
        route.matches(&self.route)
            && self.api.is_none_or(|only| only == api)
            && self.username.as_deref().is_none_or(|name| Some(name) == username)
    }
}

/// A fault that was switched on, and what it has done.
#[derive(Debug, Clone, Serialize)]
pub struct Fault {
    /// What was asked for.
    #[serde(flatten)]
    pub spec: FaultSpec,
    /// How many requests it could have struck, those it let pass included.
    pub matched: u64,
    /// How many it has struck.
    pub applied: u64,
}

impl Fault {
    fn spent(&self) -> bool {
        self.spec.count.is_some_and(|count| self.applied >= count)
    }
}

/// What strikes one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Struck {
    /// The faults' numbers.
    pub ids: Vec<u64>,
    /// Latency before execution, summed.
    pub before_ms: u64,
    /// Latency after execution, summed.
    pub after_ms: u64,
    /// At most one fault that is not latency: the oldest.
    pub effect: Option<Effect>,
}

/// The faults that are on.
#[derive(Debug, Default)]
pub struct Faults {
    last_id: u64,
    on: BTreeMap<u64, Fault>,
}

impl Faults {
    /// Switches a fault on and returns its number.
    pub fn add(&mut self, spec: FaultSpec) -> u64 {
        self.last_id += 1;
        self.on.insert(
            self.last_id,
            Fault {
                spec,
                matched: 0,
                applied: 0,
            },
        );
        self.last_id
    }

    /// Switches one off; whether it was there.
    pub fn remove(&mut self, id: u64) -> bool {
        self.on.remove(&id).is_some()
    }

    /// Switches all off.
    pub fn clear(&mut self) {
        self.on.clear();
    }

    /// Every fault by number, with those that are used up (to show that they struck).
    pub fn list(&self) -> &BTreeMap<u64, Fault> {
        &self.on
    }

    /// Decides what strikes a request that has just arrived.
    ///
    /// Every matching fault counts the request, also while another one strikes it, so that `skip` counts requests and
    /// not what other faults left over.
    pub fn strike(&mut self, api: Api, route: RouteName, username: Option<&str>) -> Struck {
        let mut struck = Struck::default();
        for (id, fault) in &mut self.on {
            if fault.spent() || !fault.spec.matches(api, route, username) {
                continue;
            }
            fault.matched += 1;
            let latency = matches!(fault.spec.fault, Effect::Latency { .. });
            if fault.matched <= fault.spec.skip || (!latency && struck.effect.is_some()) {
                continue;
            }
            fault.applied += 1;
            struck.ids.push(*id);
            match &fault.spec.fault {
                Effect::Latency { before_ms, after_ms } => {
                    struck.before_ms += before_ms;
                    struck.after_ms += after_ms;
                }
                effect => struck.effect = Some(effect.clone()),
            }
        }
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: serde_json::Value) -> FaultSpec {
        serde_json::from_value(json).expect("a fault")
    }

    #[test]
    fn a_fault_skips_then_strikes_its_count_and_no_more() {
        let mut faults = Faults::default();
        faults.add(spec(serde_json::json!(
            {"route": "users.create", "skip": 1, "count": 2, "fault": {"type": "drop", "when": "after-commit"}}
        )));
        let hits: Vec<bool> = (0..5)
            .map(|_| {
                faults
                    .strike(Api::Ionos, RouteName::UsersCreate, None)
                    .effect
                    .is_some()
            })
            .collect();
        assert_eq!(hits, [false, true, true, false, false]);
        assert_eq!(
            faults.strike(Api::Ionos, RouteName::UsersGet, None),
            Struck::default()
        );
    }

    #[test]
    fn faults_of_one_route_strike_one_request_each_and_latency_joins_them() {
        let mut faults = Faults::default();
        faults.add(spec(serde_json::json!(
            {"route": "*", "count": 1, "fault": {"type": "status", "status": 503, "retryAfter": "2"}}
        )));
        faults.add(spec(
            serde_json::json!({"route": "users.*", "count": 1, "fault": {"type": "truncate"}}),
        ));
        faults.add(spec(
            serde_json::json!({"route": "*", "fault": {"type": "latency", "beforeMs": 5}}),
        ));
        let first = faults.strike(Api::Ionos, RouteName::UsersGet, None);
        assert!(matches!(first.effect, Some(Effect::Status { status: 503, .. })));
        assert_eq!(first.before_ms, 5);
        assert_eq!(
            faults.strike(Api::Ionos, RouteName::UsersGet, None).effect,
            Some(Effect::Truncate)
        );
        assert_eq!(faults.strike(Api::Ionos, RouteName::UsersGet, None).effect, None);
    }

    #[test]
    fn a_fault_of_one_user_leaves_others_alone() {
        let mut faults = Faults::default();
        faults.add(spec(
            serde_json::json!({"route": "*", "username": "benjamin", "fault": {"type": "truncate"}}),
        ));
        assert_eq!(
            faults
                .strike(Api::Ionos, RouteName::UsersGet, Some("anna"))
                .effect,
            None
        );
        assert_eq!(
            faults
                .strike(Api::Ionos, RouteName::UsersGet, Some("benjamin"))
                .effect,
            Some(Effect::Truncate)
        );
    }

    #[test]
    fn a_fault_nobody_could_meet_is_refused() {
        let unknown = spec(serde_json::json!({"route": "users.rename", "fault": {"type": "truncate"}}));
        assert!(unknown.problem().is_some());
        let status = spec(serde_json::json!({"route": "*", "fault": {"type": "status", "status": 99}}));
        assert!(status.problem().is_some());
        assert!(
            serde_json::from_str::<FaultSpec>(r#"{"route":"*","fault":{"type":"drop","whenn":"x"}}"#)
                .is_err()
        );
    }
}
