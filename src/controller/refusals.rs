//! What the Kubernetes API, or the journal, did not take of a PostgresUser's last step: told in its conditions until a step
//! of that kind goes through, or is not wanted any more.

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::plan::{Step, Trouble};

#[derive(Debug)]
struct Refused {
    step: Discriminant<Step>,
    why: Trouble,
}

/// The last refusal of each PostgresUser and of each server object, by UID.
#[derive(Debug, Default)]
pub struct Refusals {
    users: Mutex<HashMap<String, Refused>>,
    servers: Mutex<HashMap<String, Trouble>>,
}

impl Refusals {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Refused>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<String, Trouble>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was refused of a server object. Whether that is news.
    pub fn note_server(&self, uid: &str, why: &Trouble) -> bool {
        self.servers().insert(uid.to_string(), why.clone()).as_ref() != Some(why)
    }

    /// A server object was brought into order, or is gone.
    pub fn server_over(&self, uid: &str) {
        self.servers().remove(uid);
    }

    /// What was not taken.
    pub fn of(&self, uid: &str) -> Option<Trouble> {
        self.lock().get(uid).map(|refused| refused.why.clone())
    }

    /// A step was refused.
    pub fn note(&self, uid: &str, step: &Step, why: Trouble) {
        let step = discriminant(step);
        self.lock().insert(uid.to_string(), Refused { step, why });
    }

    /// A step went through.
    pub fn taken(&self, uid: &str, step: &Step) {
        let mut all = self.lock();
        if all
            .get(uid)
            .is_some_and(|refused| refused.step == discriminant(step))
        {
            all.remove(uid);
        }
    }

    /// Nothing is wanted any more, or the PostgresUser is gone.
    pub fn over(&self, uid: &str) {
        self.lock().remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Reason;
    use crate::domain::journal::EntryId;

    #[test]
    fn a_refusal_stands_until_a_step_of_its_kind_goes_through() {
        let refusals = Refusals::default();
        let why = Trouble {
            reason: Reason::WriteRefused,
            message: "exceeded quota".to_string(),
            stalled: true,
        };
        refusals.note("u", &Step::Settle(EntryId(1)), why.clone());
        refusals.taken("u", &Step::List);
        assert_eq!(refusals.of("u"), Some(why));
        refusals.taken("u", &Step::Settle(EntryId(2)));
        assert_eq!(refusals.of("u"), None);
    }
}
