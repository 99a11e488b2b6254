//! The five operations on users.

use std::sync::Arc;

use hyper::StatusCode;

use super::{
    Request, input,
    problem::Problem,
    wire::{self, Place},
};
use crate::{
    answer::Answer,
    clock,
    roles::{NewPassword, NewUser, Origin, Pending, RoleError, Stamp, User, cut_identifier},
    sim::Sim,
    switches::{self, Switches},
    users::{Users, new_password},
};

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

    fn users(&self) -> Users<'_> {
        Users {
            sim: self.sim,
            switches: self.switches(),
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

    /// `GET …/users`
    pub async fn list(&self) -> Result<Answer, Problem> {
        let page = input::page(self.request.arrival.call.query.as_deref(), self.switches())?;
        let users = self.users().listed().await.map_err(|e| self.problem(&e))?;
        let mut system = self.sim.system_names(self.switches());
        let mut seen: Vec<Seen> = Vec::with_capacity(users.len());
        for user in users {
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
        self.users().sort(&mut seen, Seen::name);
        let place = self.place();
        let list = wire::list(&seen, &page, place.collection_href("users"), |seen| {
            self.resource(seen)
        });
        Ok(Answer::json(StatusCode::OK, &list))
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
        let user = self.users().got(real).await.map_err(|e| self.problem(&e))?;
        let seen = self.seen(real, user).ok_or_else(Problem::no_user)?;
        Ok(Answer::json(StatusCode::OK, &self.resource(&seen)))
    }

    fn seen(&self, name: &str, user: Option<User>) -> Option<Seen> {
        if self.users().is_vendors(name, user.as_ref()) {
            return Some(Seen::System(name.to_owned()));
        }
        user.map(Seen::Known)
    }

    /// `POST …/users`
    pub async fn create(&self) -> Result<Answer, Problem> {
        let input = input::post(&self.request.arrival.call, self.switches())?;
        let password = self.password(input.password).await?;
        let name = self.real_name(&input.username);
        let _gate = self.sim.gate.lock().await;
        self.refuse_while_busy()?;
        let reserved = self.switches().has(&switches::RESERVED_NAMES, name);
        if reserved && !self.switches().is(&switches::RESERVED, "accept") {
            let status = self.switches().status(&switches::RESERVED);
            return Err(Problem::switched(status, "the username is reserved"));
        }
        let user = NewUser {
            name,
            password: password.as_ref(),
            read_only: false,
        };
        let made = self
            .users()
            .create(user, &self.stamp(), self.due_ms("create"))
            .await;
        self.conclude("create", made)?;
        let mut answer = self.current(name).await?;
        answer.committed = true;
        Ok(answer)
    }

    async fn there(&self, name: &str) -> Result<Option<User>, Problem> {
        self.users().there(name).await.map_err(|e| self.problem(&e))
    }

    /// The user as it is after a change.
    async fn current(&self, name: &str) -> Result<Answer, Problem> {
        let user = self.there(name).await?.ok_or_else(Problem::no_user)?;
        Ok(Answer::json(StatusCode::OK, &self.place().user(&user)))
    }

    /// The user that a change is about; system users cannot be changed.
    async fn changeable(&self, name: &str) -> Result<User, Problem> {
        let user = self.there(name).await?.filter(|user| user.visible);
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
        let password = self.password(input.password).await?;
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
        let stamp = self
            .switches()
            .is(&switches::LAST_MODIFIED, "mutation")
            .then(|| self.stamp());
        let set = self
            .users()
            .set_password(user, &password, stamp.as_ref(), self.due_ms("patch"))
            .await;
        self.conclude("patch", set)?;
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
        let deleted = self.users().delete(user, self.due_ms("delete")).await;
        self.conclude("delete", deleted)?;
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

    /// What follows from a mutation: the BUSY window.
    fn conclude(&self, mutation: &str, made: Result<(), RoleError>) -> Result<(), Problem> {
        made.map_err(|error| self.problem(&error))?;
        self.sim.cluster().mutated(mutation, self.switches());
        Ok(())
    }

    fn stamp(&self) -> Stamp {
        self.users().stamp(self.caller)
    }

    async fn password(&self, password: Option<String>) -> Result<Option<NewPassword>, Problem> {
        let Some(password) = password else {
            return Ok(None);
        };
        let hashed = new_password(self.sim, password).await;
        hashed
            .map(Some)
            .map_err(|_| Problem::plain(StatusCode::INTERNAL_SERVER_ERROR))
    }
}
