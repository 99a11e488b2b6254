//! When the cluster's state is looked at: one look serves all who wait for one. No IO.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::time::Mono;
use crate::objects::UserRef;

/// The pause after the first look at a cluster that is BUSY, for clusters of which nothing is known.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// Looks that somebody waits for are this far apart at least, so that they are shared.
const SHARED: Duration = Duration::from_millis(300);
/// The same where many wait.
const SHARED_BY_MANY: Duration = Duration::from_millis(600);
/// How many are many.
const MANY: usize = 4;
/// As many share a look in any case, however short ago the last one was.
const SHARE: usize = 12;
/// What part of the last busy spell the first pause of the next one is.
const SHARE_OF_SPELL: u32 = 20;

/// Who waits for a look, and when the next one is worth making.
#[derive(Debug, Default)]
pub struct Looks {
    /// Who waits, and from when on a look tells them something.
    waiting: HashMap<UserRef, Mono>,
    last: Option<Mono>,
    busy_since: Option<Mono>,
    last_spell: Duration,
    pause: Duration,
}

impl Looks {
    /// Somebody waits for a look that is started at this moment or later.
    pub fn want(&mut self, user: UserRef, from: Mono) {
        let due = self.waiting.entry(user).or_insert(from);
        *due = from.min(*due);
    }

    /// Whether somebody waits.
    pub fn is_wanted(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// When the last look was answered, or failed.
    pub fn last(&self) -> Option<Mono> {
        self.last
    }

    /// A look was made, whatever it showed.
    pub fn made(&mut self, at: Mono) {
        self.last = Some(at);
    }

    /// A look showed the cluster BUSY, or worse: the pause to the next one grows up to `longest`.
    pub fn busy(&mut self, at: Mono, longest: Duration) {
        if self.busy_since.is_none() {
            self.busy_since = Some(at);
            self.pause = (self.last_spell / SHARE_OF_SPELL).max(FIRST_PAUSE);
        } else {
            self.pause *= 2;
        }
        self.pause = self.pause.min(longest);
    }

    /// A look that was started at this moment showed the cluster AVAILABLE. Gives whom it tells something.
    pub fn available(&mut self, started: Mono) -> Vec<UserRef> {
        let after_busy = self.busy_since.take();
        if let Some(since) = after_busy {
            self.last_spell = started - since;
        }
        let mut told = Vec::new();
        self.waiting.retain(|user, from| {
            let waits = after_busy.is_none() && *from > started;
            if !waits {
                told.push(user.clone());
            }
            waits
        });
        told
    }

    /// Everybody who waits; nobody does any more.
    pub fn take_all(&mut self) -> Vec<UserRef> {
        self.waiting.drain().map(|(user, _)| user).collect()
    }

    /// When a cluster that is BUSY is looked at next.
    pub fn due_while_busy(&self) -> Mono {
        self.last.map_or(Mono::default(), |last| last + self.pause)
    }

    /// When those who wait are served next: as soon as so many would be that a look is well spent, or after a while.
    pub fn due(&self) -> Option<Mono> {
        let mut from: Vec<Mono> = self.waiting.values().copied().collect();
        let first = *from.iter().min()?;
        let apart = match from.len() {
            waiting if waiting > MANY => SHARED_BY_MANY,
            _ => SHARED,
        };
        let spaced = self.last.map_or(Mono::default(), |last| last + apart).max(first);
        if from.len() < SHARE {
            return Some(spaced);
        }
        let (_, shared, _) = from.select_nth_unstable(SHARE - 1);
        Some(spaced.min(*shared))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(1);

    fn user(name: &str) -> UserRef {
        UserRef::new(name).within("shop")
    }

    #[test]
    fn pauses_grow_while_the_cluster_is_busy() {
        let mut looks = Looks::default();
        let mut pauses = Vec::new();
        for _ in 0..10 {
            looks.busy(Mono(0), LONGEST);
            pauses.push(looks.pause.as_millis());
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }

    #[test]
    fn a_cluster_that_was_busy_for_long_is_looked_at_less_often_the_next_time() {
        let mut looks = Looks::default();
        looks.busy(Mono(0), LONGEST);
        looks.available(Mono(20_000));
        looks.busy(Mono(21_000), LONGEST);
        assert_eq!(looks.pause, LONGEST);
    }

    #[test]
    fn a_look_tells_those_who_wait_for_no_later_one() {
        let mut looks = Looks::default();
        looks.want(user("a"), Mono(1000));
        looks.want(user("b"), Mono(2000));
        assert_eq!(looks.due(), Some(Mono(1000)));
        looks.made(Mono(1500));
        assert_eq!(looks.available(Mono(1500)), [user("a")]);
        assert_eq!(looks.due(), Some(Mono(2000)));
    }

    #[test]
    fn a_look_is_made_after_a_while_or_once_enough_share_it() {
        let due = |waiting: u64, last: u64| {
            let mut looks = Looks::default();
            looks.made(Mono(last));
            for number in 0..waiting {
                looks.want(user(&format!("u{number}")), Mono(1000 + number * 10));
            }
            looks.due()
        };
        assert_eq!(due(1, 900), Some(Mono(1200)));
        assert_eq!(due(5, 900), Some(Mono(1500)));
        assert_eq!(due(11, 900), Some(Mono(1500)));
        // The twelfth is served by a look at 1110.
        assert_eq!(due(12, 900), Some(Mono(1110)));
        assert_eq!(due(200, 900), Some(Mono(1110)));
        assert_eq!(due(200, 100), Some(Mono(1000)));
    }
}
