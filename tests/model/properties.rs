//! The promises, as questions to a world.

use crate::family::Name;
use crate::scenario::Scenario;
use crate::world::*;

/// Which promise this world breaks, if any.
pub fn violated(world: &World, scenario: &Scenario) -> Option<&'static str> {
    if let Some(broken) = world.broken {
        return Some(broken);
    }
    if Name::ALL.into_iter().any(|name| lost_password(world, name)) {
        return Some("I1");
    }
    if scenario.takes_turns() && published_fails(world) {
        return Some("what is published does not work");
    }
    if world.formers.iter().any(|former| fails(world, former)) {
        return Some("what was published before does not work until its overlap has ended");
    }
    orphan(world).then_some("I4")
}

/// I1: the remote accepts a password of ours for a managed user, and it can be read nowhere. Whoever logs in with what was
/// published before has it, and what nobody is to log in with nobody needs.
fn lost_password(world: &World, name: Name) -> bool {
    let (Some(user), Some(resource)) = (&world.remote.users[name], &world.resource) else {
        return false;
    };
    let record = &resource.status.records[name];
    let staged = world
        .journal
        .entries
        .iter()
        .any(|entry| entry.uid == resource.uid && entry.name == name);
    let known = staged || record.is_some();
    let strange = world.kept && record.is_none();
    let managed = (user.ours || user.adopted) && known && !strange && !resource.deleting;
    let Some(password) = user.password.filter(|_| managed && user.login && !user.idle) else {
        return false;
    };
    let staged = world
        .journal
        .entries
        .iter()
        .any(|entry| entry.password == Some(password));
    let published = world.secret.is_some_and(|secret| secret.password == password);
    let former = world.formers.iter().any(|former| former.password == password);
    !staged && !published && !former
}

/// What the Secret says is refused, and that is not because it is being changed in place.
fn published_fails(world: &World) -> bool {
    let lives = world.resource.as_ref().is_some_and(|resource| !resource.deleting);
    let Some(secret) = world.secret.filter(|_| lives) else {
        return false;
    };
    let Some(user) = world.remote.users[secret.name] else {
        return true;
    };
    let in_place = |entry: &JournalEntry| entry.name == secret.name && entry.password == user.password;
    !user.takes(secret.password) && !world.journal.entries.iter().any(in_place)
}

fn fails(world: &World, former: &Former) -> bool {
    let user = world.remote.users[former.name];
    world.now < former.until && !user.is_some_and(|user| user.takes(former.password))
}

/// I4: a user of ours that no resource and no journal entry knows of, and that was not kept on purpose.
fn orphan(world: &World) -> bool {
    let ours = world.remote.users.iter().flatten().any(|user| user.ours);
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
        let published = world.secret.map_or(Name::Own, |secret| secret.name);
        let lame = world.retained && world.remote.users[published].is_some_and(|user| !user.login);
        return lame.then(|| "I5: a user that was kept cannot log in".to_string());
    };
    if resource.deleting {
        return Some("I4: a deletion never ends".to_string());
    }
    let name = world.secret.map_or(Name::Own, |secret| secret.name);
    let Some(user) = &world.remote.users[name] else {
        return Some("I5: the user is never made".to_string());
    };
    let strange = !user.ours || (world.kept && resource.status.records[name].is_none());
    if strange && !user.adopted {
        return match stalled {
            Some(_) => None,
            None => Some("I5: the user is an outsider's, and nobody is told".to_string()),
        };
    }
    if user.password.is_none() && !scenario.provider.dates && !scenario.takes_turns() {
        // Nothing shows that an outsider has changed the password.
        return None;
    }
    wrong_secret(world, resource, user).or_else(|| wrong_logins(world, resource, scenario))
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
        name: secret.name,
        version: secret.version,
        password: secret.password,
    };
    if resource.status.published != Some(as_published) || resource.status.records[secret.name].is_none() {
        return Some("I5: what was published is not recorded".to_string());
    }
    (resource.status.handled != resource.rotate).then(|| "I5: a rotation is never handled".to_string())
}

/// The login that is published is the one that should be, and with no other can anybody log in; where none takes turns, there is no
/// other.
fn wrong_logins(world: &World, resource: &Resource, scenario: &Scenario) -> Option<String> {
    let published = resource.status.published?.name;
    if (published == Name::Own) == resource.will.alternates {
        return Some("I5: another login is published than should be".to_string());
    }
    for (name, user) in world.remote.users.named().filter(|(name, _)| *name != published) {
        let wrong = match user {
            Some(_) if !resource.will.alternates => "I5: a login that nobody needs is never deleted",
            Some(user) if user.login && !user.idle => "I5: a login of before is never retired",
            None if name == Name::Own && scenario.has_owner(resource) => "I5: there is no owner",
            Some(_) if resource.status.records[name].is_none() => "I5: a login of before is not on record",
            _ => continue,
        };
        return Some(wrong.to_string());
    }
    None
}
