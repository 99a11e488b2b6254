//! An operator process: observe, plan, act, report. The deciding is done by the production functions.

use pguser_operator::domain::journal::protocol;
use pguser_operator::domain::journal::{Cause, Kind};
use pguser_operator::domain::plan::{Plan, Step, is_good_to_send_on, plan, plan_ownerless};
use pguser_operator::domain::timings::Rule;

use crate::family::{self, Name};
use crate::journal::{staging, unused, write_journal};
use crate::numbers::*;
use crate::scenario::{Doubt, FRESH, LAG, OVERLAP, STATE_LAG, Scenario, Slip};
use crate::translate;
use crate::world::*;

/// What a process works on: the resource, or an entry whose resource is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum About {
    Resource,
    Entry(EntryNo),
}

/// Everything that there is to work on.
pub fn work(world: &World, who: usize) -> Vec<About> {
    // Only what the API server itself does not know is gone, whatever the watch shows.
    let living = [world.seen_by(who), world.resource.as_ref()];
    let is_gone = |entry: &&JournalEntry| living.iter().flatten().all(|living| living.uid != entry.uid);
    let gone = world.known_to(who).entries.iter().filter(is_gone);
    let gone = gone.map(|entry| About::Entry(entry.id));
    let resource = world.seen_by(who).map(|_| About::Resource);
    resource.into_iter().chain(gone).collect()
}

/// A plan, what the login is called that it is for, and whether somebody is to log in with that.
#[derive(Default)]
pub struct Said {
    pub name: Name,
    pub login: bool,
    pub plan: Plan,
}

/// What the planner says to this process.
pub fn ask(world: &World, who: usize, about: About, scenario: &Scenario) -> Said {
    match (about, world.seen_by(who)) {
        (About::Resource, Some(resource)) => ask_of_logins(world, who, resource, scenario),
        (About::Resource, None) => Said::default(),
        (About::Entry(id), _) => {
            let entry = world.known_to(who).entry(id);
            let name = entry.map_or(Name::Own, |entry| entry.name);
            let observed = translate::observed(world, who, None, name, entry, scenario);
            Said {
                name,
                login: true,
                plan: plan_ownerless(&observed, translate::mono(world.now), &scenario.settings()),
            }
        }
    }
}

/// Plans for one login after another, until one has something to do; as a rule there is one.
fn ask_of_logins(world: &World, who: usize, resource: &Resource, scenario: &Scenario) -> Said {
    let (now, settings) = (translate::mono(world.now), scenario.settings());
    let entry = entry_about(world, who, About::Resource);
    let mut rest = family::logins(resource, entry, world.now, scenario);
    let mut before = None;
    loop {
        let login = rest.pop_front().unwrap_or_else(family::alone);
        let name = family::name(&login);
        let observed = translate::observed(world, who, Some(resource), name, entry, scenario);
        let desired = translate::desired(resource, &login, entry, world.now, scenario);
        let mut plan = plan(&desired, &observed, now, &settings);
        if let Some(other) = family::instead(&plan, &desired, resource, world.now, scenario) {
            rest = [other].into();
            continue;
        }
        plan.add(before.take());
        if plan.comes_first() || rest.is_empty() {
            let login = desired.settings.logs_in();
            return Said { name, login, plan };
        }
        before = Some(plan);
    }
}

fn entry_about(world: &World, who: usize, about: About) -> Option<&JournalEntry> {
    match about {
        About::Entry(id) => world.known_to(who).entry(id),
        About::Resource => {
            let uid = world.seen_by(who)?.uid;
            world.known_to(who).entries.iter().find(|entry| entry.uid == uid)
        }
    }
}

/// What a process would do now.
pub fn decide(world: &World, who: usize, about: About, scenario: &Scenario) -> Decision {
    let Said {
        name,
        login,
        plan: said,
    } = ask(world, who, about, scenario);
    let resource = world.seen_by(who).filter(|_| about == About::Resource);
    let entry = entry_about(world, who, about);
    let uid = resource
        .map(|resource| resource.uid)
        .or(entry.map(|entry| entry.uid));
    let has_asked = uid.is_some_and(|uid| world.operators[who].turn(uid).is_some());
    let step = match (&said.step, uid) {
        (Some(Step::AskTurn(_)), Some(_)) if has_asked => Todo::Nothing,
        (Some(step), Some(uid)) => translate::todo(step, (uid, name), login, entry, resource),
        _ => Todo::Nothing,
    };
    let waits = matches!(said.step, Some(Step::AskTurn(_)));
    let status = translate::status_write(&said.report, resource, name);
    let forgotten = matches!(step, Todo::Forget);
    Decision {
        gives_back: uid.filter(|_| has_asked && !waits && !said.keeps_turn),
        begins: resource
            .filter(|resource| scenario.scheduled && begins(&step, resource, name, &world.operators[who]))
            .map(|resource| resource.version),
        step,
        status: StatusWrite { forgotten, ..status },
    }
}

impl Decision {
    /// Whether doing it changes nothing in the world.
    pub fn is_idle(&self) -> bool {
        matches!(self.step, Todo::Nothing) && !self.status.says_something() && self.gives_back.is_none()
    }
}

impl StatusWrite {
    fn says_something(&self) -> bool {
        self.record.is_some()
            || self.forgotten
            || self.published.is_some()
            || self.handled.is_some()
            || self.reverted
    }
}

pub fn inherited_until(term: &Term, scenario: &Scenario) -> pguser_operator::domain::time::Mono {
    protocol::inherited_until(&real_term(term), &scenario.settings())
}

fn real_term(term: &Term) -> protocol::Term {
    protocol::Term {
        epoch: u64::from(term.epoch.0),
        began: translate::mono(term.began),
        last_write_started: translate::mono(term.written),
        inherited: Default::default(),
    }
}

/// Ends a process: it loses its memory and starts again as a standby.
pub fn restart(world: &mut World, who: usize) {
    world.operators[who] = Operator::started();
    for request in world
        .wire
        .iter_mut()
        .filter(|request| request.awaited_by == Some(who))
    {
        request.awaited_by = None;
    }
}

/// Does what was decided. The status write that follows is a step of its own.
pub fn carry_out(world: &mut World, who: usize, decision: Decision, scenario: &Scenario) {
    if let Some(uid) = decision.gives_back {
        world.operators[who].turns.retain(|turn| turn.uid != uid);
    }
    if !is_current(world, who, &decision, scenario) {
        return;
    }
    let done = match &decision.step {
        Todo::Nothing | Todo::Forget => true,
        Todo::AskTurn(uid) => {
            let turn = Turn {
                uid: *uid,
                given: None,
            };
            world.operators[who].turns.push(turn);
            true
        }
        Todo::Claim => claim(world, who, &decision.status, scenario),
        Todo::Look => {
            look(world, who, false, scenario);
            true
        }
        Todo::Poll => {
            poll(world, who, false, scenario);
            true
        }
        Todo::Stage(draft) => match staging(world, who, draft) {
            Some(change) => write_journal(world, who, scenario, &change),
            None => false,
        },
        Todo::Send(entry) => {
            queue(world, who, entry, scenario);
            true
        }
        Todo::Verify(entry) => verify(world, who, entry),
        Todo::Publish { entry, on } => {
            return publish(world, who, entry.as_ref(), on, decision.status, scenario);
        }
        Todo::Settle(id) => write_journal(world, who, scenario, &Change::Settle(*id)),
        Todo::ReleaseSecret(version) => release_secret(world, *version),
        Todo::LetGo { kept } => let_go(world, who, &decision.status, *kept, scenario),
    };
    if done && decision.status.says_something() && world.operators[who].term.is_some() {
        world.operators[who].pending = Some(Pending::WriteStatus(decision.status));
    }
}

/// R2: the resource, if it is the same, and still as it was, when the plan was made.
fn unchanged<'a>(
    world: &'a mut World,
    status: &StatusWrite,
    scenario: &Scenario,
) -> Option<&'a mut Resource> {
    let conditional = scenario.rules.hold(Rule::R2);
    let resource = world.resource.as_mut()?;
    let same = Some(resource.uid) == status.uid && Some(resource.version) == status.version;
    (same || !conditional).then_some(resource)
}

/// Whether a deletion or a first creation is about to be stored, or to be sent for the first time, which may be in another
/// turn than the one in which it was stored.
fn begins(step: &Todo, resource: &Resource, name: Name, operator: &Operator) -> bool {
    let kind = match step {
        Todo::Stage(draft) => draft.kind,
        Todo::Send(entry) if operator.was_never_sent(entry.id) => entry.kind,
        _ => return false,
    };
    kind == Kind::Delete || (kind == Kind::Create && resource.status.records[name].is_none())
}

/// R11: before something is begun, the resource itself is read, once in a turn. False: it is another by now, and what is to
/// be done is planned anew.
fn is_current(world: &mut World, who: usize, decision: &Decision, scenario: &Scenario) -> bool {
    let version = decision.begins.filter(|_| scenario.rules.hold(Rule::R11));
    let (Some(version), Some(uid)) = (version, decision.status.uid) else {
        return true;
    };
    let found = world.resource.as_ref().filter(|resource| resource.uid == uid);
    let same = found.is_some_and(|resource| resource.version == version);
    let operator = &mut world.operators[who];
    if operator.given(uid).is_some_and(|given| given.current) {
        return true;
    }
    if let Some(given) = operator.given(uid) {
        given.current = true;
    }
    if !same {
        operator.watched = None;
    }
    same
}

/// A turn is given: from here on what its holder has said before counts.
pub fn give_turn(world: &mut World, who: usize, uid: Uid) {
    let counts = world.counts(uid);
    let turns = &mut world.operators[who].turns;
    for turn in turns.iter_mut().filter(|turn| turn.uid == uid) {
        turn.given = Some(Given {
            current: false,
            counts,
        });
    }
}

/// What this process has written to the resource it has also seen.
fn wrote(world: &mut World, who: usize) {
    let resource = world.resource.clone();
    let uid = resource.as_ref().map(|resource| resource.uid);
    let operator = &mut world.operators[who];
    if let Some(watched) = &mut operator.watched {
        watched.resource = resource;
    }
    if let Some(given) = uid.and_then(|uid| operator.given(uid)) {
        given.current = true;
    }
}

fn claim(world: &mut World, who: usize, status: &StatusWrite, scenario: &Scenario) -> bool {
    if let Some(resource) = unchanged(world, status, scenario)
        && !resource.deleting
    {
        resource.claimed = true;
        resource.wide = family::is_large(resource);
        resource.version = resource.version.next();
        wrote(world, who);
    }
    false
}

pub fn write_status(world: &mut World, who: usize, write: &StatusWrite, scenario: &Scenario) {
    let now = world.now;
    let Some(resource) = unchanged(world, write, scenario) else {
        return;
    };
    let before = resource.status.clone();
    let status = &mut resource.status;
    if let Some(published) = write.published {
        let former = status.published.map(|published| published.name);
        family::turn_over(&mut status.records, former, published.name, write.until);
    }
    if let Some(record) = &write.record {
        family::note(&mut status.records, write.name, record, now);
    }
    if write.forgotten {
        status.records[write.name] = None;
    }
    status.published = write.published.or(status.published);
    status.handled = write.handled.unwrap_or(status.handled);
    status.reverts += u8::from(write.reverted);
    if resource.status != before {
        resource.version = resource.version.next();
        if let Some(watched) = &mut world.operators[who].watched {
            watched.resource = world.resource.clone();
        }
    }
}

/// Reads the remote users; `stale`: as they were before the last change.
pub fn look(world: &mut World, who: usize, stale: bool, scenario: &Scenario) {
    for name in scenario.names() {
        see(world, who, *name, stale, scenario);
    }
}

fn see(world: &mut World, who: usize, name: Name, stale: bool, scenario: &Scenario) {
    let now = world.now;
    let user = match &world.remote.before {
        Some(before) if stale && before.name == name => before.user,
        _ => world.remote.users[name],
    };
    let date = world.date;
    let operator = &mut world.operators[who];
    let absent_since = &mut operator.absent_since[name];
    *absent_since = match user {
        Some(_) => None,
        None => absent_since.or(Some(now)),
    };
    let twice = absent_since.is_some_and(|since| now.0 >= since.0 + LAG);
    operator.observations[name] = Some(Observation {
        user: user.map(|user| user.view()),
        started: now,
        date,
        proves_absence: scenario.provider.direct_read || twice,
    });
}

/// Whether the cluster's state may not show yet that it is BUSY: a while after the change, unless it has shown it already.
pub fn state_trails(world: &World, who: usize) -> bool {
    let seen = world.operators[who].last_busy;
    world
        .remote
        .busy_since()
        .is_some_and(|since| world.now.0 < since.0 + STATE_LAG && seen.is_none_or(|seen| seen < since))
}

/// Reads the cluster's state; `stale`: as it was before the last change.
pub fn poll(world: &mut World, who: usize, stale: bool, scenario: &Scenario) {
    let (now, available) = (world.now, stale || world.remote.busy_since().is_none());
    let operator = &mut world.operators[who];
    match available {
        true => prove(operator, now, scenario),
        false => doubt(operator, scenario),
    }
    operator.poll = Some(Poll {
        available,
        started: now,
    });
    if !available {
        operator.last_busy = Some(now);
    }
}

/// R7: a look that showed the cluster AVAILABLE proves all that was answered long enough before.
fn prove(operator: &mut Operator, now: Tick, scenario: &Scenario) {
    let lag = match scenario.doubt {
        Doubt::UntilAnyLook => 0,
        Doubt::UntilProven | Doubt::Never => STATE_LAG,
    };
    let is_proven = |answered: Tick| now.0 >= answered.0 + lag;
    operator.crowd = operator.crowd.filter(|answered| !is_proven(*answered));
    for sendings in &mut operator.attempts {
        let answered = sendings.outcome.as_ref().map(|outcome| outcome.at);
        sendings.unproven &= !answered.is_some_and(is_proven);
    }
}

/// R7: of what was under way together when the cluster turned BUSY it is not certain that it is kept.
fn doubt(operator: &mut Operator, scenario: &Scenario) {
    let others = operator.crowd.take().is_some() && scenario.doubt != Doubt::Never;
    for sendings in &mut operator.attempts {
        sendings.doubtful |= sendings.unproven && others;
        sendings.unproven = false;
    }
}

/// What is to be sent waits for that.
fn queue(world: &mut World, who: usize, entry: &JournalEntry, scenario: &Scenario) {
    if !scenario.scheduled {
        return send(world, who, entry, scenario);
    }
    let sendings = world.operators[who].sendings(entry.id);
    sendings.in_flight = true;
    sendings.queued = true;
}

/// The server's task comes to what is to be sent.
pub fn dispatch(world: &mut World, who: usize, id: EntryNo, scenario: &Scenario) {
    let sendings = world.operators[who].sendings(id);
    sendings.queued = false;
    sendings.in_flight = false;
    if let Some(entry) = world.known_to(who).entry(id).cloned() {
        send(world, who, &entry, scenario);
    }
}

/// R11, at the last moment: whether there is a turn, and what is known of the user is young enough to send on.
fn is_good_to_send(world: &World, who: usize, entry: &JournalEntry, scenario: &Scenario) -> bool {
    let operator = &world.operators[who];
    let has_turn = operator.turn(entry.uid).is_some_and(|turn| turn.given.is_some());
    let attempts = translate::attempts(entry, operator, scenario);
    let observation = operator.observations[entry.name].as_ref();
    let observation =
        observation.map(|observation| translate::observation(observation, entry.name, scenario));
    let now = translate::mono(world.now);
    has_turn
        && is_good_to_send_on(
            entry.kind,
            &attempts,
            observation.as_ref(),
            now,
            &scenario.settings().on(&translate::capabilities(scenario)),
        )
}

/// R11: what a person has said before the scheduler came to it counts.
fn heeds(world: &mut World, who: usize, entry: &JournalEntry) {
    let operator = &mut world.operators[who];
    let first = operator.was_never_sent(entry.id);
    let given = operator.given(entry.uid).map(|given| given.counts);
    let still = world.counts(entry.uid);
    let counts = given.unwrap_or(still);
    if first && counts.kept && still.kept && entry.kind == Kind::Delete {
        world.breaks("I4: a user is deleted that was to be kept");
    }
    if first && counts.held && still.held && entry.kind == Kind::Create {
        world.breaks("R11: a user is made although nothing was to be done");
    }
}

/// R0: whatever the one who leads sends is stored, with this very password.
fn is_stored(world: &mut World, who: usize, entry: &JournalEntry) {
    let term = world.operators[who].term.as_ref();
    let leads = term.is_some_and(|term| term.epoch == world.journal.epoch);
    let stored = world.journal.entry(entry.id);
    let same = stored.is_some_and(|stored| {
        (stored.uid, stored.kind, stored.password) == (entry.uid, entry.kind, entry.password)
    });
    if leads && !same {
        world.breaks("R0: what is sent is not what is stored");
    }
}

fn may_send(world: &World, who: usize, entry: &JournalEntry, scenario: &Scenario) -> bool {
    let term = world.operators[who].term.as_ref();
    term.is_some_and(|term| {
        let (entry, term) = (translate::real_entry(entry, scenario), real_term(term));
        protocol::may_send(&entry, &term, translate::mono(world.now), &scenario.settings())
    })
}

fn send(world: &mut World, who: usize, entry: &JournalEntry, scenario: &Scenario) {
    let judged = scenario.scheduled && scenario.rules.hold(Rule::R11);
    if judged && !is_good_to_send(world, who, entry, scenario) {
        return;
    }
    if !may_send(world, who, entry, scenario) {
        // The window is closed: a touch opens it, or shows that another leads.
        write_journal(world, who, scenario, &Change::Touch);
        if !may_send(world, who, entry, scenario) {
            return;
        }
    }
    is_stored(world, who, entry);
    if scenario.scheduled {
        heeds(world, who, entry);
    }
    let (now, date) = (world.now, world.date);
    let known = |user: &User| !user.ours && user.born.0 + FRESH + LAG < now.0;
    let knowingly = world.remote.users[entry.name].as_ref().is_some_and(known);
    let seen = world.seen_by(who);
    let alternates = seen.is_some_and(|resource| resource.will.alternates);
    let in_turn = alternates && world.operators[who].was_never_sent(entry.id);
    world.wire.push(Request {
        entry: entry.id,
        uid: entry.uid,
        name: entry.name,
        kind: entry.kind,
        password: entry.password,
        login: entry.login,
        retires: entry.cause == Cause::Retirement,
        in_turn,
        sent: now,
        knowingly,
        half: false,
        awaited_by: Some(who),
        answer: None,
    });
    let operator = &mut world.operators[who];
    operator.last_write[entry.name] = Some(now);
    let sendings = operator.sendings(entry.id);
    sendings.in_flight = true;
    sendings.unproven = scenario.budget.neighbours > 0;
    sendings.last = sendings.last.max(Some(now));
    sendings.last_by_remote = Some(date);
}

fn verify(world: &mut World, who: usize, entry: &JournalEntry) -> bool {
    let user = world.remote.users[entry.name].zip(entry.password);
    let works = user.is_some_and(|(user, password)| user.takes(password));
    let now = world.now;
    world.operators[who].sendings(entry.id).login = match works {
        true => Login::Accepted,
        false => Login::Refused(now),
    };
    true
}

/// The first of the two writes of a publication.
fn publish(
    world: &mut World,
    who: usize,
    entry: Option<&JournalEntry>,
    on: &On,
    mut status: StatusWrite,
    scenario: &Scenario,
) {
    let there = world.secret.as_ref().map(|secret| secret.version);
    let allowed = match on {
        On::Absent => there.is_none(),
        On::At(version) => there == Some(*version),
        On::Nothing => true,
    };
    let staged = entry.and_then(|entry| entry.password);
    let Some(password) = staged.or(world.secret.as_ref().map(|secret| secret.password)) else {
        return;
    };
    // A Secret for a resource that is gone is garbage-collected at once.
    let Some(resource) = world.resource_of(status.uid) else {
        return;
    };
    if !allowed {
        return;
    }
    let before = resource.status.published.map(|published| published.name);
    if !world.remote.accepted.contains(&password) {
        world.breaks("I2");
    }
    let version = SecretVersion(unused(world, Sort::SecretVersion));
    let (name, now) = (status.name, world.now);
    let overlap = if scenario.slip == Some(Slip::NoOverlap) {
        0
    } else {
        OVERLAP
    };
    status.until = (before.is_some() && before != Some(name)).then_some(Tick(now.0 + overlap));
    let replaced = world.secret.replace(OutputSecret {
        name,
        version,
        password,
        owned: world.secret.as_ref().is_none_or(|secret| secret.owned),
    });
    world.formers.extend(
        replaced
            .filter(|former| former.name != name)
            .map(|former| Former {
                name: former.name,
                password: former.password,
                until: Tick(now.0 + OVERLAP),
            }),
    );
    status.published = Some(Published {
        name,
        version,
        password,
    });
    world.operators[who].pending = Some(Pending::WriteStatus(status));
}

fn release_secret(world: &mut World, version: SecretVersion) -> bool {
    if let Some(secret) = world.secret.as_mut().filter(|secret| secret.version == version) {
        secret.owned = false;
        secret.version = version.next();
    }
    false
}

fn let_go(world: &mut World, who: usize, status: &StatusWrite, kept: bool, scenario: &Scenario) -> bool {
    // The touch shows whether another leads by now, and has made what this process remembers as absent.
    if write_journal(world, who, scenario, &Change::Touch)
        && let Some(resource) = unchanged(world, status, scenario)
        && resource.deleting
    {
        remove_resource(world);
        world.kept |= kept;
        world.retained |= kept;
        wrote(world, who);
    }
    false
}

/// The resource is gone, and with it what it owns.
pub fn remove_resource(world: &mut World) {
    world.resource = None;
    world.secret = world.secret.take().filter(|secret| !secret.owned);
}
