//! Whose a request is. Each host has credentials of its own: the API token buys a JWT, and that a database's token.

use super::{
    target::{Host, Resource, Target},
    tokens::Kind,
};
use crate::{
    auth::{Presented, caller_id},
    sim::Sim,
};

/// The tokens that nobody has to issue.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    /// API tokens.
    pub api: Vec<String>,
    /// Tokens of the database, as good as issued ones but without an end.
    pub database: Vec<String>,
}

/// Somebody whose credentials were accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account. Every API token is one, so that tests can tell who did what.
    pub account: String,
    /// The addon whose database the credentials are for, if they are for one.
    pub addon: Option<String>,
}

/// The account of those who need none, or have not shown that they have one.
pub const NOBODY: &str = "nobody";

impl Caller {
    fn new(account: impl Into<String>) -> Caller {
        Caller {
            account: account.into(),
            addon: None,
        }
    }

    fn of(mut self, addon: &str) -> Caller {
        self.addon = Some(addon.to_owned());
        self
    }
}

/// Who a request is from, if its credentials are right for where it goes.
pub fn caller(sim: &Sim, target: &Target, presented: &Presented) -> Option<Caller> {
    let accepted = sim.scalingo_tokens();
    let owner = |token: &str| caller_id(&sim.prints.of(token));
    match (&target.resource, presented) {
        (Ok(Resource::Regions), _) => Some(Caller::new(NOBODY)),
        (Ok(Resource::Exchange), Presented::Basic(Some(pair))) => {
            let token = pair.strip_prefix(':')?;
            let known = accepted.api.iter().any(|known| known == token);
            known.then(|| Caller::new(owner(token)))
        }
        (Ok(Resource::Exchange), _) => None,
        (_, Presented::Bearer(token)) if accepted.database.contains(token) => {
            let caller = Caller::new(owner(token)).of(&sim.cli.scalingo.addon_id);
            (target.host == Host::Database).then_some(caller)
        }
        (_, Presented::Bearer(token)) => {
            let issued = sim.issued();
            match (issued.find(token)?, target.host) {
                ((Kind::Addon(addon), account), Host::Database) => Some(Caller::new(account).of(addon)),
                ((Kind::Jwt, account), Host::Auth | Host::Api) => Some(Caller::new(account)),
                _ => None,
            }
        }
        _ => None,
    }
}
