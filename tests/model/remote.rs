//! What a request does to the remote system.

use pguser_operator::domain::journal::Kind;

use crate::family::Name;
use crate::numbers::Uid;
use crate::scenario::Scenario;
use crate::world::*;

pub fn commit(world: &mut World, at: usize, scenario: &Scenario) {
    let request = world.wire[at].clone();
    let there = world.remote.users[request.name];
    let marks = scenario.provider.marks;
    let maker = (scenario.budget.recreations > 0).then_some(request.uid);
    let (effect, answer) = match (&request.kind, there) {
        (Kind::Create, None) => {
            let user = User {
                ours: true,
                adopted: false,
                mark: marks.then_some(request.uid),
                maker,
                login: request.login,
                password: request.password.filter(|_| request.login),
                idle: false,
                created: world.date,
                modified: world.date,
                born: world.now,
            };
            (Some(Some(user)), Answer::Accepted(Some(user.view())))
        }
        (Kind::Create, Some(_)) => (None, Answer::Exists),
        (_, None) => (None, Answer::NotFound),
        (_, Some(user)) if marks && !is_meant(&request, &user) => (None, Answer::NotFound),
        (Kind::Delete, Some(user)) if scenario.provider.deletes_in_steps && !request.half => {
            no_theft(world, &request, &user, false);
            world.wire[at].half = true;
            return change_user(world, request.name, Some(User { login: false, ..user }));
        }
        (Kind::Delete, Some(_)) if scenario.provider.deletes_late => {
            let (uid, name, since) = (request.uid, request.name, request.sent);
            world.remote.late.push(Late { uid, name, since });
            (None, Answer::Accepted(None))
        }
        (Kind::Delete, Some(user)) => {
            no_theft(world, &request, &user, false);
            no_successor(world, request.uid, &user);
            (Some(None), Answer::Accepted(None))
        }
        (Kind::Configure, Some(user)) => {
            no_theft(world, &request, &user, false);
            no_change_of_published(world, &request);
            let user = User {
                login: request.login,
                password: user.password.filter(|_| request.login),
                idle: user.idle && request.login,
                ..user
            };
            (Some(Some(user)), Answer::Accepted(Some(user.view())))
        }
        (kind, Some(user)) => {
            let adopting = *kind == Kind::Adopt;
            no_theft(world, &request, &user, adopting);
            no_change_of_published(world, &request);
            let user = User {
                adopted: user.adopted || adopting,
                mark: marks.then_some(request.uid),
                maker,
                login: user.login && request.login,
                password: request.password.filter(|_| request.login),
                idle: request.retires,
                modified: world.date,
                ..user
            };
            (Some(Some(user)), Answer::Accepted(Some(user.view())))
        }
    };
    if let Some(user) = effect {
        match scenario.provider.turns_busy {
            true => {
                let (name, since) = (request.name, world.now);
                world.remote.coming = Some(Coming { name, user, since });
            }
            false => change_user(world, request.name, user),
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

/// Where two logins take turns, the one that is published is never written to; what may still arrive is what was published.
fn no_change_of_published(world: &mut World, request: &Request) {
    let living = world.resource.as_ref().filter(|resource| !resource.deleting);
    let same = living.is_some_and(|resource| resource.uid == request.uid);
    let published = world.secret.filter(|secret| secret.name == request.name && same);
    if published.is_some_and(|secret| request.in_turn && request.password != Some(secret.password)) {
        world.breaks("a login is written to while it is published");
    }
}

pub fn change_user(world: &mut World, name: Name, user: Option<User>) {
    world.remote.before = Some(Before {
        name,
        user: world.remote.users[name],
        until: world.now,
    });
    world.remote.users[name] = user;
    let any = world.remote.users.iter().any(Option::is_some);
    world.kept &= any;
    world.retained &= any;
    if let Some(password) = user.and_then(|user| user.password)
        && !world.remote.accepted.contains(&password)
    {
        world.remote.accepted.push(password);
    }
}

/// A deletion that was accepted some time ago takes effect.
pub fn delete_late(world: &mut World, at: usize) {
    let late = world.remote.late.remove(at);
    if let Some(user) = world.remote.users[late.name] {
        no_successor(world, late.uid, &user);
        change_user(world, late.name, None);
    }
}

/// A user that was made for another resource since is not deleted for this one.
fn no_successor(world: &mut World, uid: Uid, user: &User) {
    if user.ours && user.maker.is_some_and(|maker| maker != uid) {
        world.breaks("I3: a successor is deleted");
    }
}
