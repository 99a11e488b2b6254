//! What is to be done to which role, and which roles it may be given.

use super::call::Call;
use super::mark::Marking;
use super::roles::{Given, Role};
use super::text::ident;
use super::verifier;
use crate::domain::identity::Mark;
use crate::domain::password::Password;
use crate::domain::role::Power;
use crate::provider::Mutation;

/// Whom a mutation is for, and the mark that says so.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) mutation: &'a Mutation<'a>,
    pub(super) mark: &'a Mark,
}

/// Why a role is not to be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// It is nobody's to have.
    All,
    /// It has power over others, and is not named in full.
    Over,
    /// It comes with the login of another namespace, and is not named in full.
    Foreign,
}

impl Task<'_> {
    pub(super) fn name(&self) -> &str {
        self.mutation.username
    }

    pub(super) fn ident(&self) -> String {
        ident(self.mutation.username)
    }

    /// What the server is to keep of a password.
    pub(super) fn verifier(&self, call: &Call<'_>, password: &Password) -> String {
        let iterations = verifier::iterations(call.facts().iterations);
        verifier::verifier(self.name(), self.mark, password, iterations)
    }

    /// Why a role is not to be given to whom this is for, if that is so. What was seen of logins before may be older than they
    /// are.
    pub(super) fn denied(&self, given: &Given, is_named: bool) -> Option<Denied> {
        match given.power {
            Power::All => Some(Denied::All),
            _ if is_named => None,
            Power::Over => Some(Denied::Over),
            Power::Plain => self.is_foreign(&given.logins).then_some(Denied::Foreign),
        }
    }

    /// Whether one of these logins is that of a PostgresUser of another namespace.
    fn is_foreign(&self, logins: &[Marking]) -> bool {
        let is_own = |login: &Marking| match login {
            Marking::Mark(mark) => mark == self.mark || self.mutation.settings.own.contains(&mark.uid),
            Marking::None | Marking::Unreadable => false,
        };
        !logins.iter().all(is_own)
    }

    /// Whether this role is the one that the order means (I3).
    pub(super) fn means(&self, role: &Role) -> bool {
        !role.user.protected
            && match &role.marking {
                Marking::Mark(mark) => {
                    mark == self.mark || (self.mutation.adopt && self.mutation.former == Some(mark))
                }
                // It may have got more power since it was looked at.
                Marking::None => {
                    let too_much = role.found.is_powerful() && !self.mutation.settings.adopts_power;
                    self.mutation.adopt && !too_much
                }
                Marking::Unreadable => false,
            }
    }
}
