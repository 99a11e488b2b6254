//! The five operations on users.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::StatusCode;

use super::{
    Request,
    history::Lag,
    input,
    problem::Problem,
    wire::{self, Place},
};
use crate::{
    answer::Answer,
    clock,
    roles::{
        DropPlan, Look, NewPassword, Origin, Pending, RoleError, Stamp, User, cut_identifier, password_sql,
    },
    sim::Sim,
    switches::{self, Switches},
};

/// How the switches say to look at the users.
pub fn look(switches: &Switches) -> Look {
    Look {
        now_ms: clock::api_ms(switches),
        sql_password_moves: switches.is(&switches::SQL_PASSWORD_CHANGE, "moves-last-modified"),
    }
}

/// Makes a verifier and a fingerprint of a password. Slow on purpose, hence off the event loop and before the gate.
pub async fn new_password(sim: &Sim, password: String) -> Result<NewPassword, Problem> {
    let print = sim.prints.of(&password);
    let verifier =
        tokio::task::spawn_blocking(move || postgres_protocol::password::scram_sha_256(password.as_bytes()))
            .await
            .map_err(|_| Problem::plain(StatusCode::INTERNAL_SERVER_ERROR))?;
    Ok(NewPassword { verifier, print })
}

/// A user as the API sees it.
enum Seen {
    Known(User),
    System(String),
}

impl Seen {
    fn name(&self) -> &str {
        match self {
            Seen::Known(user) => &user.name,
            Seen::System(name) => name,
        }
    }
}

/// One request about users.
pub struct Context<'a> {
    /// The simulator.
    pub sim: &'a Arc<Sim>,
    /// The request.
    pub request: &'a Request,
    /// Who asks.
    pub caller: &'a str,
}

impl Context<'_> {
    fn switches(&self) -> &Switches {
        &self.request.arrival.switches
    }

    fn place(&self) -> Place<'_> {
        Place {
            base_url: &self.request.target.base_url,
            cli: &self.sim.cli,
            switches: self.switches(),
        }
    }

    fn problem(&self, error: &RoleError) -> Problem {
        Problem::from_role_error(error, self.switches())
    }

    fn lag(&self, switch: &switches::Switch) -> Lag {
        let other = Duration::from_millis(self.switches().number(switch));
        let create = Duration::from_millis(self.switches().number(&switches::CREATE_LAG_MS));
        Lag {
            create: create + other,
            other,
        }
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            by: self.caller.to_owned(),
            at_ms: clock::api_ms(self.switches()),
        }
    }

    /// The name that PostgreSQL would make of this one.
    fn real_name<'n>(&self, name: &'n str) -> &'n str {
        if self.switches().is(&switches::LONG_NAMES, "truncate") {
            cut_identifier(name)
        } else {
            name
        }
    }

    /// Whether a name is a system user's. A role of that name made by SQL is the system's; one that the API was
    /// allowed to make is not.
    fn is_system(&self, name: &str, user: Option<&User>) -> bool {
        user.is_none_or(|user| user.origin == Origin::Unmanaged)
            && self.sim.system_names(self.switches()).contains(name)
    }

    /// `GET …/users`
    pub async fn list(&self) -> Result<Answer, Problem> {
        let page = input::page(self.request.arrival.call.query.as_deref(), self.switches())?;
        let users = self
            .sim
            .roles
            .users(None, look(self.switches()))
            .await
            .map_err(|e| self.problem(&e))?;
        let users = self
            .sim
            .history()
            .rewind(Instant::now(), users, self.lag(&switches::LIST_LAG_MS));
        let mut system = self.sim.system_names(self.switches());
        let mut seen: Vec<Seen> = Vec::with_capacity(users.len());
        for user in users.into_iter().filter(|user| user.visible) {
            if user.origin == Origin::Api {
                system.remove(&user.name);
            } else if system.contains(&user.name) {
                continue;
            }
            seen.push(Seen::Known(user));
        }
        if page.system == Some(true) {
            seen.extend(system.into_iter().map(Seen::System));
        }
        self.sort(&mut seen);
        let place = self.place();
        let list = wire::list(&seen, &page, place.collection_href("users"), |seen| {
            self.resource(seen)
        });
        Ok(Answer::json(StatusCode::OK, &list))
    }

    fn sort(&self, seen: &mut [Seen]) {
        if self.switches().is(&switches::LIST_ORDER, "username") {
            seen.sort_by(|a, b| a.name().cmp(b.name()));
            return;
        }
        let request = self.sim.next_list();
        seen.sort_by_key(|seen| {
            let mut hasher = DefaultHasher::new();
            (request, seen.name()).hash(&mut hasher);
            hasher.finish()
        });
    }

    fn resource(&self, seen: &Seen) -> wire::Resource<wire::UserProperties> {
        match seen {
            Seen::Known(user) => self.place().user(user),
            Seen::System(name) => self.place().system_user(name, self.sim.born_ms),
        }
    }

    /// `GET …/users/{username}`
    pub async fn get(&self, name: &str) -> Result<Answer, Problem> {
        input::check_path_username(name, self.switches())?;
        let real = self.real_name(name);
        let users = self.rows(real).await?;
        let mut users = self
            .sim
            .history()
            .rewind(Instant::now(), users, self.lag(&switches::GET_LAG_MS));
        users.retain(|user| user.visible && user.name == real);
        let seen = self.seen(real, users.pop()).ok_or_else(Problem::no_user)?;
        Ok(Answer::json(StatusCode::OK, &self.resource(&seen)))
    }

    fn seen(&self, name: &str, user: Option<User>) -> Option<Seen> {
        if self.is_system(name, user.as_ref()) {
            return Some(Seen::System(name.to_owned()));
        }
        user.map(Seen::Known)
    }

    async fn rows(&self, name: &str) -> Result<Vec<User>, Problem> {
        // PostgreSQL has no text with U+0000, so nothing can be called so.
        if name.contains('\0') {
            return Ok(Vec::new());
        }
        self.sim
            .roles
            .users(Some(name), look(self.switches()))
            .await
            .map_err(|error| self.problem(&error))
    }

    /// `POST …/users`
    pub async fn create(&self) -> Result<Answer, Problem> {
        let input = input::post(&self.request.arrival.call, self.switches())?;
        let password = match input.password {
            Some(password) => Some(new_password(self.sim, password).await?),
            None => None,
        };
        let name = self.real_name(&input.username);
        let _gate = self.sim.gate.lock().await;
        self.refuse_while_busy()?;
        let reserved = self.switches().has(&switches::RESERVED_NAMES, name);
        if reserved && !self.switches().is(&switches::RESERVED, "accept") {
            let status = self.switches().status(&switches::RESERVED);
            return Err(Problem::switched(status, "the username is reserved"));
        }
        if let Some(user) = self.rows(name).await?.pop() {
            if user.visible {
                return Err(self.problem(&RoleError::Exists));
            }
            // Deleted as far as the API is concerned, and its role is in the way.
            self.sim
                .roles
                .settle(name)
                .await
                .map_err(|error| self.problem(&error))?;
        }
        let due = self.due_ms("create");
        let stamp = self.stamp();
        self.sim.history().record(name, None, true);
        let made = self.sim.roles.create(name, password.as_ref(), &stamp, due).await;
        self.conclude(name, "create", due, made)?;
        let mut answer = self.current(name).await?;
        answer.committed = true;
        Ok(answer)
    }

    /// The user as it is after a change.
    async fn current(&self, name: &str) -> Result<Answer, Problem> {
        let user = self.rows(name).await?.pop().ok_or_else(Problem::no_user)?;
        Ok(Answer::json(StatusCode::OK, &self.place().user(&user)))
    }

    /// The user that a change is about; system users cannot be changed.
    async fn changeable(&self, name: &str) -> Result<User, Problem> {
        let user = self.rows(name).await?.pop().filter(|user| user.visible);
        match self.seen(name, user) {
            Some(Seen::Known(user)) => Ok(user),
            Some(Seen::System(_)) => Err(Problem::switched(
                self.switches().status(&switches::SYSTEM_MUTATION),
                "system users cannot be updated or deleted",
            )),
            None => Err(Problem::no_user()),
        }
    }

    /// `PATCH …/users/{username}`
    pub async fn patch(&self, name: &str) -> Result<Answer, Problem> {
        input::check_path_username(name, self.switches())?;
        let input = input::patch(&self.request.arrival.call, self.switches())?;
        let password = match input.password {
            Some(password) => Some(new_password(self.sim, password).await?),
            None => None,
        };
        let name = self.real_name(name);
        let _gate = self.sim.gate.lock().await;
        self.refuse_while_busy()?;
        let user = self.changeable(name).await?;
        let Some(password) = password else {
            return self.current(name).await;
        };
        let deleting = user.pending == Some(Pending::Drop);
        let status = self.switches().status(&switches::PATCH_WHILE_DELETING);
        if deleting && status != Some(200) {
            return Err(Problem::switched(status, "the user is being deleted"));
        }
        let due = self.due_ms("patch");
        let stamp = self
            .switches()
            .is(&switches::LAST_MODIFIED, "mutation")
            .then(|| self.stamp());
        self.sim.history().record(name, Some(user), false);
        let set = if deleting {
            self.sim
                .roles
                .outside(&password_sql(name, &password.verifier))
                .await
        } else {
            self.sim
                .roles
                .set_password(name, &password, stamp.as_ref(), due)
                .await
        };
        self.conclude(name, "patch", due, set)?;
        Ok(self.current(name).await?.committed())
    }

    /// `DELETE …/users/{username}`
    pub async fn delete(&self, name: &str) -> Result<Answer, Problem> {
        input::check_path_username(name, self.switches())?;
        let name = self.real_name(name);
        let _gate = self.sim.gate.lock().await;
        self.refuse_while_busy()?;
        let user = self.changeable(name).await?;
        if user.pending == Some(Pending::Drop) {
            return match self.switches().status(&switches::DELETE_WHILE_DELETING) {
                Some(204) => Ok(Answer::empty(StatusCode::NO_CONTENT)),
                status => Err(Problem::switched(status, "the user is being deleted")),
            };
        }
        self.refuse_fast_delete()?;
        let lag = self.switches().number(&switches::DELETE_LAG_MS);
        let visible = self.switches().is(&switches::DELETE, "async");
        let end = visible.then(|| clock::real_ms() + i64::try_from(lag).unwrap_or_default());
        let due = end.max(self.due_ms("delete"));
        let cascade = self.switches().is(&switches::OWNED_OBJECTS, "cascade");
        // An asynchronous delete goes into the history when it is done.
        self.sim.history().record(name, Some(user), false);
        let dropped = self
            .sim
            .roles
            .drop_user(
                name,
                DropPlan {
                    due_ms: due,
                    visible,
                    cascade,
                },
            )
            .await;
        self.conclude(name, "delete", due, dropped)?;
        if visible {
            self.sim.history().take_back(name);
        }
        self.sim.cluster().last_delete_ms = Some(clock::real_ms());
        Ok(Answer::empty(StatusCode::NO_CONTENT).committed())
    }

    fn refuse_fast_delete(&self) -> Result<(), Problem> {
        let window =
            i64::try_from(self.switches().number(&switches::FAST_DELETE_WINDOW_MS)).unwrap_or_default();
        let last = self.sim.cluster().last_delete_ms;
        let soon = last.is_some_and(|last| clock::real_ms() - last < window);
        if soon && self.switches().is(&switches::FAST_DELETE, "500") {
            return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error"));
        }
        Ok(())
    }

    fn refuse_while_busy(&self) -> Result<(), Problem> {
        if self.sim.cluster().state() != super::State::Busy {
            return Ok(());
        }
        match self.switches().status(&switches::WHILE_BUSY) {
            Some(status) => Err(Problem::switched(Some(status), "the cluster is busy")),
            None => Ok(()),
        }
    }

    /// When a mutation reaches PostgreSQL; at once if `None`.
    fn due_ms(&self, mutation: &str) -> Option<i64> {
        let after = self.switches().is(&switches::IN_EFFECT, "after-busy");
        let end = self.sim.cluster().busy_end_after(mutation, self.switches());
        end.filter(|_| after)
    }

    /// What follows from a mutation: the BUSY window, and the time of what was put off.
    fn conclude(
        &self,
        name: &str,
        mutation: &str,
        due: Option<i64>,
        made: Result<(), RoleError>,
    ) -> Result<(), Problem> {
        if let Err(error) = made {
            self.sim.history().take_back(name);
            return Err(self.problem(&error));
        }
        self.sim.cluster().mutated(mutation, self.switches(), due);
        Ok(())
    }
}
