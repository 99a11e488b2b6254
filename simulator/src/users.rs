//! The users as the switches have them, whichever API asks: how far reads trail, in which order lists are, and what a
//! change leaves for later.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::{Duration, Instant},
};

use crate::{
    clock,
    history::Lag,
    roles::{DropPlan, Look, NewPassword, NewUser, Origin, Pending, RoleError, Stamp, User, password_sql},
    sim::Sim,
    switches::{self, Switch, Switches},
};

/// How the switches say to look at the users.
pub fn look(switches: &Switches) -> Look {
    Look {
        now_ms: clock::api_ms(switches),
        sql_password_moves: switches.is(&switches::SQL_PASSWORD_CHANGE, "moves-last-modified"),
    }
}

/// A password could not be hashed.
#[derive(Debug, thiserror::Error)]
#[error("cannot hash the password")]
pub struct HashError;

/// Makes a verifier and a fingerprint of a password. Slow on purpose, hence off the event loop and before the gate.
pub async fn new_password(sim: &Sim, password: String) -> Result<NewPassword, HashError> {
    let print = sim.prints.of(&password);
    let verifier =
        tokio::task::spawn_blocking(move || postgres_protocol::password::scram_sha_256(password.as_bytes()))
            .await
            .map_err(|_| HashError)?;
    Ok(NewPassword { verifier, print })
}

/// The users, for one request. Whoever changes them holds the gate.
pub struct Users<'a> {
    /// The simulator.
    pub sim: &'a Sim,
    /// The switches at the request's arrival.
    pub switches: &'a Switches,
}

impl Users<'_> {
    fn lag(&self, switch: &Switch) -> Lag {
        let other = Duration::from_millis(self.switches.number(switch));
        let create = Duration::from_millis(self.switches.number(&switches::CREATE_LAG_MS));
        Lag {
            create: create + other,
            other,
        }
    }

    fn rewound(&self, users: Vec<User>, lag: &Switch) -> Vec<User> {
        let mut users = self.sim.history().rewind(Instant::now(), users, self.lag(lag));
        users.retain(|user| user.visible);
        users
    }

    /// What a list shows.
    pub async fn listed(&self) -> Result<Vec<User>, RoleError> {
        let users = self.sim.roles.users(None, look(self.switches)).await?;
        Ok(self.rewound(users, &switches::LIST_LAG_MS))
    }

    /// What a get shows.
    pub async fn got(&self, name: &str) -> Result<Option<User>, RoleError> {
        let users = self.rows(name).await?;
        let mut users = self.rewound(users, &switches::GET_LAG_MS);
        users.retain(|user| user.name == name);
        Ok(users.pop())
    }

    /// What is there, as writes see it: whatever lags, and with users that no longer show.
    pub async fn there(&self, name: &str) -> Result<Option<User>, RoleError> {
        Ok(self.rows(name).await?.pop())
    }

    async fn rows(&self, name: &str) -> Result<Vec<User>, RoleError> {
        // PostgreSQL has no text with U+0000, so nothing can be called so.
        if name.contains('\0') {
            return Ok(Vec::new());
        }
        self.sim.roles.users(Some(name), look(self.switches)).await
    }

    /// Puts a list in order.
    pub fn sort<T>(&self, items: &mut [T], name: impl Fn(&T) -> &str) {
        if self.switches.is(&switches::LIST_ORDER, "username") {
            items.sort_by(|a, b| name(a).cmp(name(b)));
            return;
        }
        let request = self.sim.next_list();
        items.sort_by_key(|item| {
            let mut hasher = DefaultHasher::new();
            (request, name(item)).hash(&mut hasher);
            hasher.finish()
        });
    }

    /// Whether a name is one of those that the vendor keeps. A role of that name made by SQL is the vendor's; one that
    /// an API was allowed to make is not.
    pub fn is_vendors(&self, name: &str, user: Option<&User>) -> bool {
        user.is_none_or(|user| user.origin == Origin::Unmanaged)
            && self.sim.system_names(self.switches).contains(name)
    }

    /// Who changes something, and when.
    pub fn stamp(&self, caller: &str) -> Stamp {
        Stamp {
            by: caller.to_owned(),
            at_ms: clock::api_ms(self.switches),
        }
    }

    /// Makes a user; its role at `due_ms` if there is one.
    pub async fn create(
        &self,
        user: NewUser<'_>,
        stamp: &Stamp,
        due_ms: Option<i64>,
    ) -> Result<(), RoleError> {
        if let Some(old) = self.there(user.name).await? {
            if old.visible {
                return Err(RoleError::Exists);
            }
            // Deleted as far as the API is concerned, and its role is in the way.
            self.sim.roles.settle(user.name).await?;
        }
        self.sim.history().record(user.name, None, true);
        let made = self.sim.roles.create(user, stamp, due_ms).await;
        self.conclude(user.name, due_ms, made)
    }

    /// Sets the password of a user that is there, also of one that an asynchronous delete is removing. Without a stamp
    /// it does not count as modified.
    pub async fn set_password(
        &self,
        user: User,
        password: &NewPassword,
        stamp: Option<&Stamp>,
        due_ms: Option<i64>,
    ) -> Result<(), RoleError> {
        let (name, deleting) = (user.name.clone(), user.pending == Some(Pending::Drop));
        self.sim.history().record(&name, Some(user), false);
        let set = if deleting {
            let sql = password_sql(&name, &password.verifier);
            self.sim.roles.outside(&sql).await
        } else {
            self.sim.roles.set_password(&name, password, stamp, due_ms).await
        };
        self.conclude(&name, due_ms, set)
    }

    /// Deletes a user that is there; its role at `due_ms` at the earliest, if there is one.
    pub async fn delete(&self, user: User, due_ms: Option<i64>) -> Result<(), RoleError> {
        let name = user.name.clone();
        let lag = self.switches.number(&switches::DELETE_LAG_MS);
        let visible = self.switches.is(&switches::DELETE, "async");
        let end = visible.then(|| clock::real_ms() + i64::try_from(lag).unwrap_or_default());
        let due_ms = end.max(due_ms);
        let plan = DropPlan {
            due_ms,
            visible,
            cascade: self.switches.is(&switches::OWNED_OBJECTS, "cascade"),
        };
        self.sim.history().record(&name, Some(user), false);
        let dropped = self.sim.roles.drop_user(&name, plan).await;
        self.conclude(&name, due_ms, dropped)?;
        if visible {
            // An asynchronous delete goes into the history when it is done.
            self.sim.history().take_back(&name);
        }
        Ok(())
    }

    /// What follows from a change: the time of what was put off, or nothing if it was not made.
    fn conclude(
        &self,
        name: &str,
        due_ms: Option<i64>,
        made: Result<(), RoleError>,
    ) -> Result<(), RoleError> {
        match &made {
            Ok(()) => self.sim.put_off(due_ms),
            Err(_) => self.sim.history().take_back(name),
        }
        made
    }
}
