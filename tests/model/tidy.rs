//! Forgets what can make no difference any more, so that worlds which behave alike are alike.

use crate::family::Name;
use crate::numbers::*;
use crate::scenario::{FRESH, LAG, STATE_LAG, Scenario, T_LIVE, WINDOW};
use crate::world::*;

/// Longer ago than any wait.
const LONG_AGO: u8 = 0;

pub fn tidy(world: &mut World, scenario: &Scenario) {
    let now = world.now;
    let trails = |before: &Before| before.until.0 + LAG > now.0 && world.budget.stale_reads > 0;
    world.remote.before = world.remote.before.take().filter(trails);
    // A write that another has overtaken will never be stored.
    let there = world.journal.token;
    world.puts.retain(|write| write.base == there);
    if scenario.takes_turns() {
        tidy_turns(world);
    }
    forget_passwords(world);
    tidy_wire(world);
    tidy_users(world, scenario);
    if scenario.one_clock() {
        tidy_evidence(world);
    }
    let World {
        operators,
        wire,
        resource,
        ..
    } = world;
    let living = resource.as_ref().map(|resource| resource.uid);
    for operator in operators {
        let known = operator.term.as_ref().map(|term| &term.copy);
        let watched = operator.watched.as_ref();
        let seen = watched.and_then(|watched| watched.resource.as_ref());
        let seen = seen.map(|resource| resource.uid);
        operator.turns.retain(|turn| {
            let has_entry = known
                .iter()
                .flat_map(|known| &known.entries)
                .any(|entry| entry.uid == turn.uid);
            has_entry || living == Some(turn.uid) || seen == Some(turn.uid)
        });
        operator.turns.sort_by_key(|turn| turn.uid);
        tidy_operator(operator, wire, now, scenario);
    }
}

/// What was published before matters while its overlap lasts, or a login of a living resource has that password.
fn tidy_turns(world: &mut World) {
    let now = world.now;
    let (users, formers) = (&world.remote.users, &mut world.formers);
    let lives = world.resource.as_ref().is_some_and(|resource| !resource.deleting);
    formers.retain_mut(|former| {
        let is_over = former.until <= now;
        if is_over {
            former.until = Tick(LONG_AGO);
        }
        let takes = users[former.name].is_some_and(|user| user.takes(former.password));
        lives && (takes || !is_over)
    });
    formers.sort_unstable_by_key(|former| (former.name, former.password));
    let watched = world
        .operators
        .iter_mut()
        .flat_map(|operator| &mut operator.watched);
    let watched = watched.flat_map(|watched| &mut watched.resource);
    let resources = world.resource.iter_mut().chain(watched);
    for record in resources
        .flat_map(|resource| resource.status.records.iter_mut())
        .flatten()
    {
        if let Some(until) = record.retire_after.as_mut().filter(|until| **until <= now) {
            *until = Tick(LONG_AGO);
        }
    }
}

/// That a password was accepted matters while somebody still has it.
fn forget_passwords(world: &mut World) {
    let accepted = std::mem::take(&mut world.remote.accepted);
    let mut held = [false; 256];
    world.visit(&mut |sort, number| {
        if sort == Sort::Password {
            held[usize::from(*number)] = true;
        }
    });
    let held = accepted
        .into_iter()
        .filter(|password| held[usize::from(password.0)]);
    world.remote.accepted = held.collect();
    world.remote.accepted.sort_unstable();
}

fn tidy_wire(world: &mut World) {
    for request in &mut world.wire {
        let waits = |who: &usize| {
            let sendings = world.operators[*who].attempts.iter();
            sendings
                .filter(|sendings| sendings.entry == request.entry)
                .any(|sendings| sendings.in_flight)
        };
        request.awaited_by = request.awaited_by.filter(waits);
    }
    world
        .wire
        .retain(|request| request.awaited_by.is_some() || request.answer.is_none());
    world
        .wire
        .sort_by_key(|request| (request.sent, request.entry, request.awaited_by));
}

fn tidy_users(world: &mut World, scenario: &Scenario) {
    let now = world.now;
    let before = world
        .remote
        .before
        .as_mut()
        .and_then(|before| before.user.as_mut());
    let coming = world
        .remote
        .coming
        .as_mut()
        .and_then(|change| change.user.as_mut());
    for user in world
        .remote
        .users
        .iter_mut()
        .flatten()
        .chain(before)
        .chain(coming)
    {
        if user.ours || user.born.0 + FRESH + LAG < now.0 {
            user.born = Tick(LONG_AGO);
        }
        if !scenario.provider.dates {
            user.created = Date(LONG_AGO);
            user.modified = Date(LONG_AGO);
        }
    }
}

fn tidy_operator(operator: &mut Operator, wire: &[Request], now: Tick, scenario: &Scenario) {
    let known = operator.term.as_ref().map(|term| &term.copy);
    operator.attempts.retain(|sendings| {
        known
            .iter()
            .flat_map(|known| &known.entries)
            .any(|entry| entry.id == sendings.entry)
            || wire.iter().any(|request| request.entry == sendings.entry)
    });
    operator.attempts.sort_by_key(|sendings| sendings.entry);
    let Some(term) = &mut operator.term else {
        *operator = Operator::started();
        return;
    };
    let busy = scenario.provider.turns_busy;
    let polled = operator.poll.clone().filter(|poll| poll.available && busy);
    let observation_since = |moment: u8| {
        let mut observations = operator.observations.iter().flatten();
        observations.all(|observation| observation.started.0 >= moment)
    };
    let poll_since = |moment: u8| {
        let since = |poll: &Poll| poll.started.0 >= moment && observation_since(poll.started.0 + LAG);
        !busy || polled.as_ref().is_some_and(since)
    };
    let past = |moment: u8| now.0 >= moment && observation_since(moment) && poll_since(moment);
    if now.0 >= term.written.0 + WINDOW {
        term.written = Tick(LONG_AGO);
    }
    let inherited = operator.attempts.iter().any(|sendings| sendings.inherited);
    if !inherited || past(term.began.0 + WINDOW + T_LIVE) {
        term.began = Tick(LONG_AGO);
    }
    for last in operator.last_write.iter_mut() {
        *last = last.filter(|write| !past(write.0 + LAG));
    }
    for sendings in &mut operator.attempts {
        // Where dates are weighed, the time of the last attempt is one of them.
        let weighed = scenario.provider.dates && sendings.last_by_remote.is_none();
        if sendings
            .last
            .is_some_and(|last| past(last.0 + T_LIVE + 1) && !weighed)
        {
            sendings.last = Some(Tick(LONG_AGO));
        }
        sendings.forget_order(polled.as_ref(), operator.last_busy, now, scenario);
        if !scenario.provider.dates && scenario.one_clock() {
            sendings.last_by_remote = None;
        }
    }
    for absent_since in operator.absent_since.iter_mut() {
        *absent_since = match *absent_since {
            _ if scenario.provider.direct_read => None,
            Some(since) if now.0 >= since.0 + LAG => Some(Tick(LONG_AGO)),
            since => since,
        };
    }
    let latest_unknown = operator.attempts.iter().filter(|sendings| sendings.unknown);
    let latest_unknown = latest_unknown.filter_map(|sendings| sendings.last).min();
    operator.last_busy = operator.last_busy.filter(|busy| {
        let holds_back = latest_unknown.is_some_and(|last| *busy > last) && !past(busy.0 + T_LIVE);
        holds_back
            || (*busy == now
                && operator
                    .attempts
                    .iter()
                    .any(|sendings| sendings.outcome.is_some()))
    });
    let too_early = |poll: &Poll| {
        let unknown = operator.attempts.iter().filter(|sendings| sendings.unknown);
        let quiet = unknown
            .filter_map(|sendings| sendings.last)
            .map(|last| last.0 + T_LIVE)
            .max();
        let writes = operator.last_write.iter().flatten();
        let quiet = quiet.max(writes.map(|write| write.0 + LAG).max());
        // For a login, or a list that reads a change back, to tell something, a poll need only be later than the last attempt.
        let doubtful = operator.attempts.iter().any(|sendings| sendings.doubtful);
        let tells = doubtful || (scenario.provider.verifiable && !operator.attempts.is_empty());
        !tells && quiet.is_none_or(|quiet| poll.started.0 < quiet)
    };
    if let Some(poll) = &mut operator.poll
        && poll.started < now
        && (!poll.available || !busy || too_early(poll))
    {
        poll.started = Tick(LONG_AGO);
    }
    if operator.attempts.is_empty() {
        forget_waits(operator, now);
    }
}

impl Sendings {
    /// Whether the last poll proves the change to be in effect, or the next will, is all that matters of either time.
    fn forget_order(&mut self, poll: Option<&Poll>, busy: Option<Tick>, now: Tick, scenario: &Scenario) {
        let Some(outcome) = &mut self.outcome else {
            return;
        };
        let certain = outcome.at.0 + STATE_LAG;
        let busy = busy.filter(|busy| *busy >= outcome.at);
        let proves = |poll: &Poll| poll.started.0 >= certain || busy.is_some_and(|busy| poll.started >= busy);
        if !scenario.provider.turns_busy || poll.is_some_and(proves) {
            outcome.at = Tick(LONG_AGO);
        } else if now.0 > certain {
            outcome.at = Tick(now.0 - STATE_LAG);
        }
    }
}

/// Dates that are compared with nothing but the dates of users, which are all later, or all within bounds.
fn tidy_evidence(world: &mut World) {
    let mut weighed = vec![];
    for entry in world.journals().flat_map(|journal| &mut journal.entries) {
        let absence = |_: &Date| !entry.seen.present && !entry.proven_ours;
        entry.seen.at = entry.seen.at.filter(absence);
        weighed.extend(entry.seen.at.map(|_| (entry.id, entry.name)));
    }
    let made = if weighed.is_empty() { vec![] } else { made(world) };
    let made_as = |name| {
        made.iter()
            .filter(move |(other, _)| *other == name)
            .map(|(_, made)| *made)
    };
    for entry in world.journals().flat_map(|journal| &mut journal.entries) {
        let at = entry.seen.at;
        if at.is_some_and(|at| made_as(entry.name).all(|made| made >= at)) {
            entry.seen.at = Some(Date(LONG_AGO));
        }
    }
    let now = world.date;
    for sendings in world
        .operators
        .iter_mut()
        .flat_map(|operator| &mut operator.attempts)
    {
        let name = weighed.iter().find(|(entry, _)| *entry == sendings.entry);
        let name = name.map(|(_, name)| *name);
        sendings.last_by_remote = sendings.last_by_remote.filter(|_| name.is_some());
        if let Some((last, name)) = sendings.last_by_remote.zip(name)
            && last.0 + T_LIVE < now.0
        {
            let within = made_as(name).filter(|made| made.0 <= last.0 + T_LIVE).max();
            sendings.last_by_remote = Some(within.unwrap_or(Date(LONG_AGO)));
        }
    }
}

/// When logins of each name were made that anything shows.
fn made(world: &World) -> Vec<(Name, Date)> {
    let mut made = vec![];
    made.extend(
        world
            .remote
            .users
            .named()
            .filter_map(|(name, user)| Some((name, (*user)?.created))),
    );
    let before = world.remote.before.as_ref();
    made.extend(before.and_then(|before| Some((before.name, before.user?.created))));
    let coming = world.remote.coming.as_ref();
    made.extend(coming.and_then(|change| Some((change.name, change.user?.created))));
    for operator in &world.operators {
        let seen = operator.observations.named();
        made.extend(seen.filter_map(|(name, observation)| Some((name, observation.as_ref()?.user?.created))));
    }
    made
}

/// With nothing in the journal, times matter to nothing but the freshness of what was read.
fn forget_waits(operator: &mut Operator, now: Tick) {
    if operator.last_write.iter().any(Option::is_some) {
        return;
    }
    let old = |observation: &&mut Observation| observation.started.0 + FRESH < now.0;
    for observation in operator.observations.iter_mut().flatten().filter(old) {
        observation.started = Tick(LONG_AGO);
        observation.date = Date(LONG_AGO);
    }
}
