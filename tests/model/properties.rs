//! The promises, as questions to a world.

use crate::scenario::Scenario;
use crate::world::*;

/// Which promise this world breaks, if any.
pub fn violated(world: &World) -> Option<&'static str> {
    if let Some(broken) = world.broken {
        return Some(broken);
    }
    if lost_password(world) {
        return Some("I1");
    }
    orphan(world).then_some("I4")
}

/// I1: the remote accepts a password of ours for a managed user, and it can be read nowhere.
fn lost_password(world: &World) -> bool {
    let (Some(user), Some(resource)) = (&world.remote.user, &world.resource) else {
        return false;
    };
    let staged = world
        .journal
        .entries
        .iter()
        .any(|entry| entry.uid == resource.uid);
    let known = staged || resource.status.record.is_some();
    let strange = world.kept && resource.status.record.is_none();
    let managed = (user.ours || user.adopted) && known && !strange && !resource.deleting;
    let Some(password) = user.password.filter(|_| managed) else {
        return false;
    };
    let staged = world
        .journal
        .entries
        .iter()
        .any(|entry| entry.password == Some(password));
    let published = world.secret.is_some_and(|secret| secret.password == password);
    !staged && !published
}

/// I4: a user of ours that no resource and no journal entry knows of, and that was not kept on purpose.
fn orphan(world: &World) -> bool {
    let ours = world.remote.user.is_some_and(|user| user.ours);
    ours && world.resource.is_none() && world.journal.entries.is_empty() && !world.kept
}

/// I5: what is wrong with a world in which nothing happens any more.
pub fn unfinished(world: &World, stalled: Option<&str>, scenario: &Scenario) -> Option<String> {
    let held = world.resource.as_ref().is_some_and(|resource| {
        !resource.deleting && (resource.will.suspended || resource.will.invalid || world.closed)
    });
    if held {
        return held_up(world);
    }
    if !world.journal.entries.is_empty() && stalled.is_none() {
        return Some("I5: an entry is never settled".to_string());
    }
    let Some(resource) = &world.resource else {
        let lame = world.retained && world.remote.user.is_some_and(|user| !user.login);
        return lame.then(|| "I5: a user that was kept cannot log in".to_string());
    };
    if resource.deleting {
        return Some("I4: a deletion never ends".to_string());
    }
    let Some(user) = &world.remote.user else {
        return Some("I5: the user is never made".to_string());
    };
    let strange = !user.ours || (world.kept && resource.status.record.is_none());
    if strange && !user.adopted {
        return match stalled {
            Some(_) => None,
            None => Some("I5: the user is an outsider's, and nobody is told".to_string()),
        };
    }
    if user.password.is_none() && !scenario.provider.dates {
        // Nothing shows that an outsider has changed the password.
        return None;
    }
    wrong_secret(world, resource, user)
}

/// Nothing new is done: but what was accepted is published, and what nobody has sent is settled.
fn held_up(world: &World) -> Option<String> {
    let known = |entry: &JournalEntry| {
        let leader = world.operators.iter().find(|operator| operator.term.is_some());
        let mut sendings = leader.into_iter().flat_map(|leader| &leader.attempts);
        sendings
            .find(|sendings| sendings.entry == entry.id)
            .is_none_or(|sendings| !sendings.unknown)
    };
    match world.journal.entries.iter().any(known) {
        true => Some("I5: what is known is never settled".to_string()),
        false => None,
    }
}

fn wrong_secret(world: &World, resource: &Resource, user: &User) -> Option<String> {
    let Some(secret) = &world.secret else {
        return Some("I5: no Secret is ever published".to_string());
    };
    if user.password != Some(secret.password) {
        return Some("I5: the Secret holds a password that does not work".to_string());
    }
    let as_published = Published {
        version: secret.version,
        password: secret.password,
    };
    if resource.status.published != Some(as_published) || resource.status.record.is_none() {
        return Some("I5: what was published is not recorded".to_string());
    }
    (resource.status.handled != resource.rotate).then(|| "I5: a rotation is never handled".to_string())
}
