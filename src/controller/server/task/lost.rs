//! The parameters of logins that are gone (`ALTER ROLE … SET`): what is made in their place does not have them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::remote::RemoteUser;
use crate::domain::role::FoundRole;
use crate::domain::time::Mono;

/// How long somebody may take to make one anew. What is never made anew is not remembered for ever.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// The logins with a mark and with parameters that were there, and are not any more, by their names.
#[derive(Debug, Default)]
pub struct Lost(HashMap<String, (Arc<FoundRole>, Mono)>);

impl Lost {
    /// Notes that a login is gone, which was last seen so.
    pub(super) fn note(&mut self, last_seen: &RemoteUser, at: Mono) {
        self.0.retain(|_, (_, noted)| at - *noted < KEPT_FOR);
        let role = last_seen
            .traits
            .role
            .as_ref()
            .filter(|role| !role.config.is_empty());
        match role.filter(|_| last_seen.mark().is_some()) {
            Some(role) => drop(self.0.insert(last_seen.username.clone(), (Arc::clone(role), at))),
            None => drop(self.0.remove(&last_seen.username)),
        }
    }

    /// What was last seen of a login that is gone, once, if it had any parameters.
    pub fn take(&mut self, username: &str) -> Option<Arc<FoundRole>> {
        self.0.remove(username).map(|(role, _)| role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::identity::Mark;
    use crate::domain::remote::Creator;
    use crate::domain::role::Traits;

    fn user(name: &str, is_marked: bool, parameter: Option<&str>) -> RemoteUser {
        let parameters = parameter.map(|it| (it.to_string(), "1".to_string()));
        RemoteUser {
            username: name.to_string(),
            protected: false,
            creator: match is_marked {
                true => Creator::Marked(Mark {
                    installation: "i".to_string(),
                    uid: "u".to_string(),
                }),
                false => Creator::Unmanaged,
            },
            created: None,
            modified: None,
            traits: Traits {
                role: Some(Arc::new(FoundRole {
                    config: parameters.into_iter().collect(),
                    ..FoundRole::as_created()
                })),
                ..Traits::default()
            },
        }
    }

    #[test]
    fn what_was_lost_is_told_once() {
        let mut lost = Lost::default();
        lost.note(&user("app", true, Some("work_mem")), Mono(1));
        assert!(lost.take("other").is_none());
        assert!(lost.take("app").unwrap().config.contains_key("work_mem"));
        assert!(lost.take("app").is_none());
    }

    #[test]
    fn only_the_last_loss_counts_and_only_of_what_was_ours() {
        let mut lost = Lost::default();
        lost.note(&user("app", true, Some("work_mem")), Mono(1));
        lost.note(&user("app", true, None), Mono(2));
        lost.note(&user("foreign", false, Some("work_mem")), Mono(2));
        assert!(lost.take("app").is_none() && lost.take("foreign").is_none());
    }

    #[test]
    fn what_nobody_makes_anew_is_forgotten() {
        let mut lost = Lost::default();
        lost.note(&user("app", true, Some("work_mem")), Mono::default());
        lost.note(&user("other", true, Some("work_mem")), Mono::default() + KEPT_FOR);
        assert!(lost.take("app").is_none() && lost.take("other").is_some());
    }
}
