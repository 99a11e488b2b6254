//! What a request does to the remote system.

use pguser_operator::domain::journal::Kind;

use crate::scenario::Scenario;
use crate::world::*;

pub fn commit(world: &mut World, at: usize, scenario: &Scenario) {
    let request = world.wire[at].clone();
    let there = world.remote.user;
    let marks = scenario.provider.marks;
    let (effect, answer) = match (&request.kind, there) {
        (Kind::Create, None) => {
            let user = User {
                ours: true,
                adopted: false,
                mark: marks.then_some(request.uid),
                password: request.password,
                created: world.date,
                modified: world.date,
                born: world.now,
            };
            (Some(Some(user)), Answer::Accepted(Some(user.view())))
        }
        (Kind::Create, Some(_)) => (None, Answer::Exists),
        (_, None) => (None, Answer::NotFound),
        (_, Some(user)) if marks && !is_meant(&request, &user) => (None, Answer::NotFound),
        (Kind::Delete, Some(user)) => {
            no_theft(world, &request, &user, false);
            (Some(None), Answer::Accepted(None))
        }
        (kind, Some(user)) => {
            let adopting = *kind == Kind::Adopt;
            no_theft(world, &request, &user, adopting);
            let user = User {
                adopted: user.adopted || adopting,
                mark: marks.then_some(request.uid),
                password: request.password,
                modified: world.date,
                ..user
            };
            (Some(Some(user)), Answer::Accepted(Some(user.view())))
        }
    };
    if let Some(user) = effect {
        match scenario.provider.turns_busy {
            true => {
                let since = world.now;
                world.remote.coming = Some(Change { user, since });
            }
            false => change_user(world, user),
        }
    }
    world.wire[at].answer = Some(answer);
}

/// Whether a request was meant for this user, by its mark.
fn is_meant(request: &Request, user: &User) -> bool {
    user.mark == Some(request.uid) || (user.mark.is_none() && request.kind == Kind::Adopt)
}

/// I3, as far as it can be kept: nobody can know of what an outsider did after the last look, and a look is
/// good for a while.
fn no_theft(world: &mut World, request: &Request, user: &User, adopting: bool) {
    if !user.ours && !user.adopted && !adopting && request.knowingly {
        world.breaks("I3");
    }
}

pub fn change_user(world: &mut World, user: Option<User>) {
    world.remote.before = Some(Before {
        user: world.remote.user,
        until: world.now,
    });
    world.kept &= user.is_some();
    world.remote.user = user;
    if let Some(password) = user.and_then(|user| user.password)
        && !world.remote.accepted.contains(&password)
    {
        world.remote.accepted.push(password);
    }
}
