//! What users, administrators and outsiders do.

use pguser_operator::domain::journal::Kind;

use crate::actions::Action;
use crate::family::Name;
use crate::numbers::*;
use crate::operator;
use crate::remote::change_user;
use crate::scenario::T_LIVE;
use crate::world::*;

pub fn act_of_person(world: &mut World, action: Action) {
    let (now, date) = (world.now, world.date);
    match action {
        Action::Rotate => {
            world.budget.rotations -= 1;
            change_resource(world, |resource| resource.rotate += 1);
        }
        Action::Switch => {
            world.budget.switches -= 1;
            change_resource(world, |resource| resource.will.alternates ^= true);
        }
        Action::Delete => {
            world.budget.deletions -= 1;
            change_resource(world, |resource| resource.deleting = true);
            if world.resource.as_ref().is_some_and(|resource| !resource.claimed) {
                operator::remove_resource(world);
            }
        }
        Action::Force => {
            world.budget.forced -= 1;
            // With nothing to do in the journal, nobody but that person can know of the user any more.
            let there = world.remote.users.iter().any(Option::is_some);
            world.kept |= world.journal.entries.iter().all(is_void(world)) && there;
            operator::remove_resource(world);
        }
        Action::Recreate => recreate(world),
        Action::OutsiderCreates => {
            world.budget.outsider_creates -= 1;
            let user = User {
                ours: false,
                adopted: false,
                mark: None,
                maker: None,
                login: true,
                password: None,
                idle: false,
                created: date,
                modified: date,
                born: now,
            };
            change_user(world, Name::Own, Some(user));
        }
        Action::OutsiderDeletes => {
            world.budget.outsider_deletes -= 1;
            change_user(world, Name::Own, None);
        }
        Action::OutsiderSetsPassword => {
            world.budget.outsider_passwords -= 1;
            let user = world.remote.users[Name::Own].map(|user| User {
                password: None,
                modified: date,
                ..user
            });
            change_user(world, Name::Own, user);
        }
        Action::Retain => {
            world.budget.retains -= 1;
            change_resource(world, |resource| resource.will.retain ^= true);
        }
        Action::Suspend => {
            world.budget.suspends -= 1;
            change_resource(world, |resource| resource.will.suspended ^= true);
        }
        Action::Misspecify => {
            world.budget.misspecs -= 1;
            change_resource(world, |resource| resource.will.invalid ^= true);
        }
        Action::CloseServer => {
            world.budget.closings -= 1;
            world.closed = true;
        }
        Action::ClockJumps => {
            world.budget.clock_jumps -= 1;
            world.date = Date(date.0 + 2 * T_LIVE);
        }
        _ => {}
    }
}

/// A change of an existing user that nobody has sent.
fn is_void(world: &World) -> impl Fn(&JournalEntry) -> bool {
    let memories = || world.operators.iter().flat_map(|operator| &operator.attempts);
    move |entry| {
        let sent = memories()
            .any(|sendings| sendings.entry == entry.id && (sendings.unknown || sendings.last.is_some()));
        entry.kind == Kind::SetPassword && !sent
    }
}

fn change_resource(world: &mut World, change: impl FnOnce(&mut Resource)) {
    if let Some(resource) = &mut world.resource {
        change(resource);
        resource.version = resource.version.next();
    }
}

fn recreate(world: &mut World) {
    world.budget.recreations -= 1;
    let mut highest = 0;
    world.clone().visit(&mut |sort, number| {
        if sort == Sort::Uid {
            highest = highest.max(*number);
        }
    });
    world.resource = Some(Resource {
        uid: Uid(highest + 1),
        version: ResourceVersion(u8::MAX / 2),
        deleting: false,
        claimed: false,
        wide: false,
        rotate: 0,
        will: Will::default(),
        status: Status::default(),
    });
}
