//! R11: who may work on a server's users now. A turn is given before anything is observed for it, staged or sent, so that
//! whatever changed before it counts, and the journal holds what is under way and nothing else. No IO.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::schedule::{Class, Queue};
use crate::domain::time::Mono;
use crate::objects::UserRef;

/// The most turns of which the change is not accepted yet.
const MOST: usize = 64;
/// The most turns in all: what is accepted only waits to be seen in effect, which takes a second where a state may lag, and to
/// be published.
const MOST_OUT: usize = 256;
/// How many there may be at first; twice as many where each waits for a state that lags.
const OUT_AT_FIRST: usize = 80;
/// The fewest turns in all that there may be, however long one lasts.
const FEWEST_OUT: usize = 8;
/// How long a turn may last, be it the remote or the Kubernetes API that it waits for: no more are out than are through in this
/// time. What lasts longer than two seconds has to be told, which is one more write for each.
const LASTS: Duration = Duration::from_millis(1500);
/// The same where the remote's state may lag, that time included: it is the same for all, so that they differ by less.
const LASTS_WITH_LAG: Duration = Duration::from_millis(1850);
/// How long a turn may last besides the lag, however long that is: fewer turns would not make that shorter.
const LASTS_BESIDES_LAG: Duration = Duration::from_millis(500);
/// For how long a remote that is what all wait for has work before it, whatever that does to how long turns last.
const WORK_BEFORE: Duration = Duration::from_millis(400);
/// How long a turn stays with who waits for anything but the remote and the journal.
const IDLE: Duration = Duration::from_secs(5);
/// How long a turn stays with who does not come: whoever waits for something looks again twice a minute.
const UNTOUCHED: Duration = Duration::from_secs(120);

/// Who is told of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A PostgresUser.
    User(UserRef),
    /// An entry of the journal whose PostgresUser is gone: its server object works on it.
    Entry,
}

#[derive(Debug)]
struct Waiting {
    holder: Holder,
    since: Mono,
}

#[derive(Debug)]
struct Out {
    given: Mono,
    /// How many were out then.
    together: usize,
    /// When it was last looked at; when it was given, until then.
    touched: Mono,
    /// Since when it waits for anything but the remote and the journal.
    idle_since: Option<Mono>,
    /// What it is planned from was read from the API server since it was given.
    is_current: bool,
    /// When its change was accepted: no look grows old for it any more, so it keeps nobody else from a turn.
    accepted: Option<Mono>,
    /// Its change was answered.
    is_answered: bool,
}

/// Who waits for a turn on one server, and who has one, by the UID of the PostgresUser.
#[derive(Debug)]
pub struct Turns {
    queue: Queue<String>,
    waiting: HashMap<String, Waiting>,
    out: HashMap<String, Out>,
    /// How many may be out: doubled as answers come in, one again when the server is in trouble or BUSY.
    allowed: usize,
    /// Answers since it was last doubled.
    answers: usize,
    /// What one change takes, waiting for the rate limit included: a moving average.
    cost: Duration,
    /// How much of the remote's work may be out.
    ahead: Duration,
    /// How long the remote's state may lag: what is accepted waits as long to be seen in effect, however few wait.
    lag: Duration,
    /// How many may be out in all: a moving average of what each turn has shown to be right.
    most_out: usize,
    /// How many turns of which the change is not accepted there may be in any case.
    least: usize,
    /// How many turns were given.
    given: u64,
}

impl Turns {
    /// Nobody waits. At most what the remote does in a third of the time that a look stays fresh is out at once.
    pub fn new(fresh_for: Duration, lag: Duration) -> Self {
        Self {
            queue: Queue::new(),
            waiting: HashMap::new(),
            out: HashMap::new(),
            allowed: 1,
            answers: 0,
            cost: Duration::ZERO,
            ahead: fresh_for / 3,
            lag,
            most_out: match lag.is_zero() {
                true => OUT_AT_FIRST,
                false => OUT_AT_FIRST * 2,
            },
            least: 0,
            given: 0,
        }
    }

    /// Asks for a turn, once. Among what nobody waits for, what has been due for longest (`due`, in seconds) goes first.
    pub fn ask(&mut self, uid: &str, holder: Holder, class: Class, namespace: &str, due: u64, now: Mono) {
        if self.out.contains_key(uid) {
            return;
        }
        self.waiting
            .entry(uid.to_string())
            .or_insert(Waiting { holder, since: now });
        self.queue.push_due(class, namespace, uid.to_string(), due);
    }

    /// Whether this one has a turn; it counts as looked at.
    pub fn has(&mut self, uid: &str, now: Mono) -> bool {
        let out = self.out.get_mut(uid);
        out.map(|out| out.touched = now).is_some()
    }

    /// Whether this one has a turn.
    pub fn holds(&self, uid: &str) -> bool {
        self.out.contains_key(uid)
    }

    /// Takes back a turn, or a wish for one. True if others may have one now.
    pub fn give_back(&mut self, uid: &str, now: Mono) -> bool {
        if self.waiting.remove(uid).is_some() {
            self.queue.remove(&uid.to_string());
        }
        let Some(out) = self.out.remove(uid) else {
            return false;
        };
        if out.is_answered {
            self.lasted(&out, now);
        }
        true
    }

    /// A turn is over. How long it lasted, and as one of how many it was given, tells how many there may be.
    fn lasted(&mut self, out: &Out, now: Mono) {
        let lagged = out.accepted.map_or(Duration::ZERO, |at| (now - at).min(self.lag));
        let lasted = now - out.given;
        let may_last = match lagged.is_zero() {
            true => LASTS,
            false => lagged + LASTS_WITH_LAG.saturating_sub(self.lag).max(LASTS_BESIDES_LAG),
        };
        self.least = self.least_pending(out.together, lasted);
        let most_out = (self.most_out * 3 + bearable(out.together, may_last, lasted)) / 4;
        // What one of few takes, without waiting for others, says nothing against more.
        if lasted > may_last || most_out > self.most_out {
            self.most_out = most_out.clamp(FEWEST_OUT, MOST_OUT);
        }
    }

    /// How many turns are to be pending in any case, if so many turns have lasted for so long: none, unless the remote was at
    /// work for most of that time, so that it is what all wait for.
    fn least_pending(&self, together: usize, lasted: Duration) -> usize {
        let worked = self
            .cost
            .saturating_mul(u32::try_from(together).unwrap_or(u32::MAX));
        match worked * 2 > lasted {
            true => times_in(WORK_BEFORE, self.cost),
            false => 0,
        }
    }

    /// Notes whether the holder of a turn waits for anything but the remote and the journal.
    pub fn note_idle(&mut self, uid: &str, idle: bool, now: Mono) {
        if let Some(out) = self.out.get_mut(uid) {
            out.idle_since = idle.then(|| out.idle_since.unwrap_or(now));
        }
    }

    /// Notes that the holder's PostgresUser was read from the API server, or written, since the turn was given.
    pub fn note_current(&mut self, uid: &str) {
        if let Some(out) = self.out.get_mut(uid) {
            out.is_current = true;
        }
    }

    /// Whether the holder's PostgresUser was read from the API server, or written, since the turn was given.
    pub fn is_current(&self, uid: &str) -> bool {
        self.out.get(uid).is_some_and(|out| out.is_current)
    }

    /// Gives as many turns as there may be. Gives who is to be told.
    pub fn give(&mut self, now: Mono) -> Vec<Holder> {
        self.reclaim(now);
        let mut told = Vec::new();
        while self.may_give() {
            let Some((_, uid)) = self.queue.pop() else { break };
            let Some(waiting) = self.waiting.remove(&uid) else {
                continue;
            };
            let out = Out {
                given: now,
                together: self.out.len() + 1,
                touched: now,
                idle_since: None,
                is_current: false,
                accepted: None,
                is_answered: false,
            };
            self.out.insert(uid, out);
            self.given += 1;
            told.push(waiting.holder);
        }
        if self.waiting.is_empty() {
            // What a burst took is not kept for the next.
            self.waiting.shrink_to_fit();
        }
        told
    }

    fn may_give(&self) -> bool {
        let pending = self.pending();
        let most_out = if pending < self.least {
            MOST_OUT
        } else {
            self.most_out
        };
        pending < self.allowed && self.out.len() < most_out
    }

    /// How many turns are out whose change is not accepted yet.
    fn pending(&self) -> usize {
        self.out.values().filter(|out| out.accepted.is_none()).count()
    }

    /// The change of the holder was accepted.
    pub fn note_accepted(&mut self, uid: &str, now: Mono) {
        if let Some(out) = self.out.get_mut(uid) {
            out.accepted.get_or_insert(now);
        }
    }

    /// Turns that are of no use to who has them go on to others.
    fn reclaim(&mut self, now: Mono) {
        let of_use = |out: &Out| {
            let idle = out.idle_since.is_some_and(|since| now - since >= IDLE);
            let lost = now - out.touched >= UNTOUCHED;
            !(idle || lost)
        };
        self.out.retain(|_, out| of_use(out));
    }

    /// When a turn that is idle may go on to others, if somebody waits.
    pub fn next_reclaim(&self) -> Option<Mono> {
        if self.waiting.is_empty() {
            return None;
        }
        let idle = |out: &Out| match out.idle_since {
            Some(since) => since + IDLE,
            None => out.touched + UNTOUCHED,
        };
        self.out.values().map(idle).min()
    }

    /// The holder's change was answered, `took` after it was next in line.
    pub fn answered(&mut self, uid: &str, took: Duration) {
        if let Some(out) = self.out.get_mut(uid) {
            out.is_answered = true;
        }
        self.cost = match self.cost.is_zero() {
            true => took,
            false => (self.cost * 3 + took) / 4,
        };
        let bearable = times_in(self.ahead, self.cost);
        self.answers += 1;
        if self.answers >= self.allowed {
            self.answers = 0;
            self.allowed *= 2;
        }
        self.allowed = self.allowed.min(bearable).clamp(1, MOST);
    }

    /// The server is in trouble, or BUSY: it is driven carefully from here on.
    pub fn slow_down(&mut self) {
        self.allowed = 1;
        self.answers = 0;
    }

    /// Who waits, and who has a turn.
    pub fn census(&self) -> Census {
        Census {
            waiting: self.waiting.len(),
            oldest: self.waiting.values().map(|waiting| waiting.since).min(),
            out: self.out.len(),
            given: self.given,
        }
    }
}

/// How often one time is in another.
fn times_in(long: Duration, short: Duration) -> usize {
    usize::try_from(long.as_millis() / short.as_millis().max(1)).unwrap_or(MOST)
}

/// How many turns would have lasted as long as they may, if so many have lasted for so long: as many are through in a second
/// then (Little's law).
fn bearable(together: usize, may_last: Duration, lasted: Duration) -> usize {
    let bearable = together as u128 * may_last.as_millis() / lasted.as_millis().max(1);
    usize::try_from(bearable).unwrap_or(MOST_OUT)
}

/// Who waits for a turn, and who has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// How many wait.
    pub waiting: usize,
    /// Since when the one that has waited longest does.
    pub oldest: Option<Mono>,
    /// How many turns are out.
    pub out: usize,
    /// How many were given.
    pub given: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Duration = Duration::from_secs(15);
    const QUICK: Duration = Duration::from_millis(1);

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1000)
    }

    fn user(name: &str) -> Holder {
        Holder::User(UserRef::new(name).within("shop"))
    }

    fn asked(count: usize) -> Turns {
        let mut turns = Turns::new(FRESH, Duration::ZERO);
        for number in 0..count {
            let name = format!("u{number}");
            turns.ask(&name, user(&name), Class::New, "shop", 0, at(0));
        }
        turns
    }

    #[test]
    fn the_first_turn_is_given_alone_and_more_as_answers_come() {
        let mut turns = asked(200);
        assert_eq!(turns.give(at(0)), [user("u0")]);
        assert_eq!(turns.give(at(0)), []);
        let mut out = Vec::new();
        for _ in 0..63 {
            turns.answered("", QUICK);
            turns.give(at(1));
            out.push(turns.out.len());
        }
        assert_eq!(out[..4], [2, 2, 4, 4]);
        assert_eq!(out.last(), Some(&MOST));
    }

    #[test]
    fn no_more_is_out_than_a_slow_remote_does_in_a_third_of_a_looks_life() {
        let mut turns = asked(200);
        for _ in 0..500 {
            turns.answered("", Duration::from_secs(1));
        }
        turns.give(at(0));
        assert_eq!(turns.out.len(), 5);
        turns.slow_down();
        assert_eq!(turns.allowed, 1);
    }

    #[test]
    fn a_turn_that_waits_for_something_else_for_five_seconds_goes_on_to_others() {
        let mut turns = asked(2);
        turns.give(at(0));
        assert!(turns.has("u0", at(0)));
        turns.note_idle("u0", true, at(1));
        turns.note_idle("u0", true, at(3));
        assert_eq!(turns.next_reclaim(), Some(at(6)));
        assert_eq!(turns.give(at(5)), []);
        assert_eq!(turns.give(at(6)), [user("u1")]);
        assert!(!turns.has("u0", at(6)));
    }

    #[test]
    fn a_turn_whose_change_was_accepted_keeps_nobody_from_another() {
        let mut turns = asked(1000);
        assert_eq!(turns.give(at(0)), [user("u0")]);
        turns.note_accepted("u0", at(0));
        assert_eq!(turns.give(at(0)), [user("u1")]);
        for number in 1..1000 {
            turns.note_accepted(&format!("u{number}"), at(0));
            turns.give(at(0));
        }
        assert_eq!(turns.out.len(), OUT_AT_FIRST);
    }

    #[test]
    fn no_more_are_out_than_are_through_in_a_second_and_a_half() {
        // Whoever is answered first has his Secret, status and Event written first; each takes a while.
        let through_in = |each: u64| {
            let mut turns = asked(2000);
            let mut now = Mono::default();
            let mut out: std::collections::VecDeque<String> = Default::default();
            let mut most = 0;
            for _ in 0..1000 {
                for holder in turns.give(now) {
                    let Holder::User(user) = holder else { continue };
                    turns.note_accepted(&user.name, now);
                    out.push_back(user.name);
                }
                most = turns.out.len();
                let Some(first) = out.pop_front() else { break };
                now = now + Duration::from_millis(each);
                turns.answered(&first, QUICK);
                turns.give_back(&first, now);
            }
            most
        };
        assert_eq!(through_in(1), MOST_OUT);
        assert!((28..=36).contains(&through_in(45)), "{}", through_in(45));
        assert!(through_in(1000) <= FEWEST_OUT + 1, "{}", through_in(1000));
    }

    #[test]
    fn the_time_in_which_a_state_may_lag_is_not_held_against_the_number_of_turns() {
        let lag = Duration::from_secs(1);
        let out_after = |besides: u64| {
            let mut turns = Turns::new(FRESH, lag);
            turns.most_out = 100;
            for _ in 0..200 {
                let given = Out {
                    given: Mono(0),
                    together: 100,
                    touched: Mono(0),
                    idle_since: None,
                    is_current: true,
                    accepted: Some(Mono(besides)),
                    is_answered: true,
                };
                turns.out.insert("u".to_string(), given);
                turns.give_back("u", Mono(besides) + lag);
            }
            turns.most_out
        };
        // 77 a second, of which 142 would be through in a second and 850 milliseconds.
        assert!((136..=144).contains(&out_after(300)), "{}", out_after(300));
        assert!((90..=100).contains(&out_after(900)), "{}", out_after(900));
        // 25 a second, so that 46 are through in a second and 850 milliseconds.
        assert!((44..=48).contains(&out_after(3000)), "{}", out_after(3000));
    }

    #[test]
    fn a_turn_that_waits_for_the_remote_stays() {
        let mut turns = asked(2);
        turns.give(at(0));
        turns.note_idle("u0", true, at(1));
        turns.note_idle("u0", false, at(4));
        for minute in 1..10 {
            turns.has("u0", at(minute * 60));
            assert_eq!(turns.give(at(minute * 60)), []);
        }
        assert_eq!(turns.give(at(1000)), [user("u1")]);
    }

    #[test]
    fn who_does_not_want_a_turn_any_more_is_passed_over() {
        let mut turns = asked(2);
        assert!(!turns.give_back("u0", at(0)));
        assert_eq!(turns.give(at(0)), [user("u1")]);
        assert!(turns.give_back("u1", at(0)));
        let census = turns.census();
        assert_eq!((census.waiting, census.out, census.given), (0, 0, 1));
    }
}
