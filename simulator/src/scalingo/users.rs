//! The five operations on users.

use std::{collections::BTreeSet, sync::Arc};

use hyper::StatusCode;

use super::{Request, auth::Caller, database, input, problem::Problem, wire::UserBody};
use crate::{
    answer::Answer,
    roles::{NewPassword, NewUser, Origin, Pending, RoleError, Stamp, User},
    sim::Sim,
    switches::{self, Switches},
    users::{Users, new_password},
};

/// What a name stands for.
enum Seen {
    Protected,
    User(User),
    Nobody,
}

/// One request about users.
pub struct Context<'a> {
    /// The simulator.
    pub sim: &'a Arc<Sim>,
    /// The request.
    pub request: &'a Request,
    /// Who asks.
    pub caller: &'a Caller,
}

impl Context<'_> {
    fn switches(&self) -> &Switches {
        &self.request.arrival.switches
    }

    fn users(&self) -> Users<'_> {
        Users {
            sim: self.sim,
            switches: self.switches(),
        }
    }

    fn stamp(&self) -> Stamp {
        self.users().stamp(&self.caller.account)
    }

    fn problem(&self, error: &RoleError) -> Problem {
        Problem::from_role_error(error, self.switches())
    }

    /// The names that are nobody's to change: the app's own user, the vendor's, and superusers.
    async fn protected_names(&self) -> Result<BTreeSet<String>, Problem> {
        let superusers = self.sim.roles.superusers().await;
        let mut names = self.sim.system_names(self.switches());
        names.extend(superusers.map_err(|error| self.problem(&error))?);
        names.insert(self.sim.cli.scalingo.resource_id.clone());
        Ok(names)
    }

    /// `GET …/users`
    pub async fn list(&self) -> Result<Answer, Problem> {
        database::check_running(self.sim, self.switches(), "list")?;
        let users = self.users().listed().await.map_err(|e| self.problem(&e))?;
        let mut names = self.protected_names().await?;
        let mut bodies = Vec::with_capacity(users.len());
        for user in users {
            let protected = names.remove(&user.name) && user.origin == Origin::Unmanaged;
            bodies.push(UserBody::of(&user, protected, self.switches()));
        }
        let vendors = names.into_iter();
        bodies.extend(vendors.map(|name| UserBody::vendors(name, self.switches())));
        self.users().sort(&mut bodies, |body| body.name.as_str());
        let list = serde_json::json!({"database-users": bodies});
        Ok(Answer::json(StatusCode::OK, &list))
    }

    /// `POST …/users`
    pub async fn create(&self) -> Result<Answer, Problem> {
        self.check_account()?;
        let input = input::post(&self.request.arrival.call, self.switches())?;
        let generated = input.password.is_none();
        let password = match input.password {
            Some(password) => password,
            None => input::generated_password()?,
        };
        let hashed = self.hashed(&password).await?;
        let _gate = self.sim.gate.lock().await;
        database::check_running(self.sim, self.switches(), "create")?;
        if let Seen::Protected = self.seen(&input.name).await? {
            return Err(self.problem(&RoleError::Exists));
        }
        let user = NewUser {
            name: &input.name,
            password: Some(&hashed),
            read_only: input.read_only,
        };
        let made = self.users().create(user, &self.stamp(), None).await;
        made.map_err(|error| self.problem(&error))?;
        let told = generated || self.switches().is(&switches::SCALINGO_CREATE_PASSWORD, "always");
        let body = self.current(&input.name).await?;
        let body = body.with_password(told.then_some(password));
        let answer = self.answer(StatusCode::CREATED, &body).committed();
        Ok(answer.with_password(&hashed))
    }

    /// `PATCH …/users/{name}`
    pub async fn patch(&self, name: &str) -> Result<Answer, Problem> {
        self.check_account()?;
        let password = input::patch(&self.request.arrival.call, self.switches())?;
        let hashed = match password {
            Some(password) => Some(self.hashed(&password).await?),
            None => None,
        };
        let _gate = self.sim.gate.lock().await;
        database::check_running(self.sim, self.switches(), "patch")?;
        let user = self.changeable(name).await?;
        if let Some(hashed) = &hashed {
            self.set(user, hashed).await?;
        }
        let body = self.current(name).await?;
        let answer = match self.switches().get(&switches::SCALINGO_PATCH_ANSWER) {
            "empty" => Answer::empty(StatusCode::OK),
            "unrooted" => Answer::json(StatusCode::OK, &body),
            _ => Answer::json(StatusCode::OK, &body.rooted()),
        };
        Ok(if hashed.is_some() {
            answer.committed()
        } else {
            answer
        })
    }

    /// `POST …/users/{name}/reset_password`
    pub async fn reset_password(&self, name: &str) -> Result<Answer, Problem> {
        self.check_account()?;
        let password = input::generated_password()?;
        let hashed = self.hashed(&password).await?;
        let _gate = self.sim.gate.lock().await;
        database::check_running(self.sim, self.switches(), "reset")?;
        let user = self.changeable(name).await?;
        self.set(user, &hashed).await?;
        let body = self.current(name).await?.with_password(Some(password));
        let answer = self.answer(StatusCode::OK, &body).committed();
        Ok(answer.with_password(&hashed))
    }

    /// `DELETE …/users/{name}`
    pub async fn delete(&self, name: &str) -> Result<Answer, Problem> {
        self.check_account()?;
        let _gate = self.sim.gate.lock().await;
        database::check_running(self.sim, self.switches(), "delete")?;
        let user = self.changeable(name).await?;
        if user.pending == Some(Pending::Drop) {
            return match self.switches().status(&switches::DELETE_WHILE_DELETING) {
                Some(404) => Err(Problem::not_found("database_user")),
                Some(422) => Err(Problem::invalid("base", "the user is being deleted")),
                _ => Ok(Answer::empty(StatusCode::NO_CONTENT)),
            };
        }
        let deleted = self.users().delete(user, None).await;
        deleted.map_err(|error| self.problem(&error))?;
        Ok(Answer::empty(StatusCode::NO_CONTENT).committed())
    }

    async fn seen(&self, name: &str) -> Result<Seen, Problem> {
        let user = self.users().there(name).await.map_err(|e| self.problem(&e))?;
        // One that an API was allowed to make is nobody else's.
        let made = user.as_ref().is_some_and(|user| user.origin == Origin::Api);
        if !made && self.protected_names().await?.contains(name) {
            return Ok(Seen::Protected);
        }
        Ok(match user {
            Some(user) if user.visible => Seen::User(user),
            _ => Seen::Nobody,
        })
    }

    /// The user that a change is about.
    async fn changeable(&self, name: &str) -> Result<User, Problem> {
        match self.seen(name).await? {
            Seen::User(user) => Ok(user),
            Seen::Protected => Err(Problem::switched(
                self.switches()
                    .status(&switches::SCALINGO_PROTECTED_MUTATION)
                    .unwrap_or(403),
                "base",
                "the user is protected",
            )),
            Seen::Nobody => Err(Problem::not_found("database_user")),
        }
    }

    async fn set(&self, user: User, password: &NewPassword) -> Result<(), Problem> {
        let status = self.switches().status(&switches::PATCH_WHILE_DELETING);
        if user.pending == Some(Pending::Drop) && status != Some(200) {
            return Err(match status {
                Some(404) => Problem::not_found("database_user"),
                _ => Problem::invalid("base", "the user is being deleted"),
            });
        }
        let stamp = self.stamp();
        let set = self
            .users()
            .set_password(user, password, Some(&stamp), None)
            .await;
        set.map_err(|error| self.problem(&error))
    }

    /// The user as it is after a change.
    async fn current(&self, name: &str) -> Result<UserBody, Problem> {
        let user = self.users().there(name).await.map_err(|e| self.problem(&e))?;
        let user = user.ok_or_else(|| Problem::not_found("database_user"))?;
        Ok(UserBody::of(&user, false, self.switches()))
    }

    fn answer(&self, status: StatusCode, body: &UserBody) -> Answer {
        match self.switches().get(&switches::SCALINGO_SHAPE) {
            "unrooted" => Answer::json(status, body),
            _ => Answer::json(status, &body.rooted()),
        }
    }

    fn check_account(&self) -> Result<(), Problem> {
        match self.switches().get(&switches::ACCOUNT) {
            "trial" => Err(Problem::payment_required()),
            "read-only" => Err(Problem::error(
                StatusCode::FORBIDDEN,
                "this role may not manage database users",
            )),
            _ => Ok(()),
        }
    }

    async fn hashed(&self, password: &str) -> Result<NewPassword, Problem> {
        let hashed = new_password(self.sim, password.to_owned()).await;
        hashed.map_err(|_| Problem::plain(StatusCode::INTERNAL_SERVER_ERROR))
    }
}
