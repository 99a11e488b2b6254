//! R7: how many changes go to a cluster between two looks at its state. Whether one turns BUSY with every change is found
//! out, not presumed. No IO.

use std::time::Duration;

use crate::domain::journal::EntryId;
use crate::domain::time::Mono;

/// The most changes between two looks.
const MOST: u32 = 64;

/// What a cluster has earned so far.
#[derive(Debug, Default)]
pub struct Window {
    /// Doublings of one change.
    doublings: u32,
    /// The changes sent since the last look that ended a batch.
    batch: Vec<EntryId>,
    /// When the last change was answered.
    answered: Option<Mono>,
    /// The changes that no look has proven to be in effect, and when each was answered. A look that ends a batch may be too
    /// soon to prove it: the state trails.
    unproven: Vec<(EntryId, Option<Mono>)>,
    /// It was BUSY, or has refused, not long ago: a look too soon after a change is not believed.
    is_wary: bool,
}

impl Window {
    /// How many more changes may be sent before the next look.
    pub fn room(&self) -> usize {
        let size = MOST.min(1 << self.doublings.min(6));
        (size as usize).saturating_sub(self.batch.len())
    }

    /// Whether a change was sent that no look has followed.
    pub fn is_open(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Whether no other change was sent since the last look.
    pub fn is_alone(&self) -> bool {
        self.batch.len() <= 1
    }

    /// A change is sent.
    pub fn sent(&mut self, entry: EntryId) {
        self.batch.push(entry);
        self.unproven.retain(|(other, _)| *other != entry);
        self.unproven.push((entry, None));
    }

    /// It was answered, or given up.
    pub fn answered(&mut self, entry: EntryId, at: Mono) {
        self.answered = Some(at);
        for (_, answered) in self.unproven.iter_mut().filter(|(other, _)| *other == entry) {
            *answered = Some(at);
        }
    }

    /// When a look may end the batch: at once, or, where the cluster was BUSY not long ago, once its state cannot trail
    /// the last change any more.
    pub fn look_due(&self, state_lag: Duration) -> Option<Mono> {
        let answered = self.answered.filter(|_| self.is_open())?;
        Some(match self.is_wary {
            true => answered + state_lag,
            false => answered,
        })
    }

    /// A look that was started at this moment showed the cluster AVAILABLE.
    pub fn available(&mut self, started: Mono, state_lag: Duration) {
        let is_proven = |answered: Mono| started >= answered + state_lag;
        self.unproven
            .retain(|(_, answered)| !answered.is_some_and(is_proven));
        let ends = self.look_due(state_lag).is_some_and(|due| started >= due);
        if !ends {
            return;
        }
        self.batch.clear();
        self.doublings = (self.doublings + 1).min(6);
        // As many quiet batches as it takes to earn the most are proof enough.
        self.is_wary &= self.doublings < 6;
    }

    /// The cluster was seen BUSY, or worse. Gives the changes of which it is not certain any more that it keeps them: those
    /// that were under way together, and not yet proven to be in effect.
    pub fn busy(&mut self) -> Vec<EntryId> {
        self.doublings = 0;
        self.is_wary = true;
        self.batch.clear();
        let together = std::mem::take(&mut self.unproven);
        match together.len() {
            0 | 1 => Vec::new(),
            _ => together.into_iter().map(|(entry, _)| entry).collect(),
        }
    }

    /// A change was refused: the next is sent alone.
    pub fn refused(&mut self) {
        self.doublings = 0;
        self.is_wary = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAG: Duration = Duration::from_secs(1);

    /// Sends as much as there is room for, and looks at once.
    fn batch(window: &mut Window, now: &mut Mono) -> usize {
        let room = window.room();
        for entry in 0..room {
            window.sent(EntryId(entry as u64));
            window.answered(EntryId(entry as u64), *now);
        }
        assert_eq!(window.room(), 0);
        *now = *now + Duration::from_millis(1);
        window.available(*now, LAG);
        room
    }

    #[test]
    fn a_quiet_cluster_earns_twice_as_many_each_time() {
        let (mut window, mut now) = (Window::default(), Mono(0));
        let batches: Vec<_> = (0..8).map(|_| batch(&mut window, &mut now)).collect();
        assert_eq!(batches, [1, 2, 4, 8, 16, 32, 64, 64]);
    }

    #[test]
    fn after_busy_it_is_one_and_a_look_too_soon_earns_nothing() {
        let (mut window, mut now) = (Window::default(), Mono(0));
        batch(&mut window, &mut now);
        now = now + LAG;
        window.available(now, LAG);
        window.sent(EntryId(1));
        window.sent(EntryId(2));
        assert_eq!(window.busy(), [EntryId(1), EntryId(2)]);
        assert_eq!(window.room(), 1);
        window.sent(EntryId(3));
        window.answered(EntryId(3), now);
        window.available(now + Duration::from_millis(1), LAG);
        assert_eq!(window.room(), 0);
        assert_eq!(window.look_due(LAG), Some(now + LAG));
        window.available(now + LAG, LAG);
        assert_eq!(window.room(), 2);
    }

    /// Found by the model check.
    #[test]
    fn a_look_that_ends_a_batch_and_may_trail_it_does_not_prove_it() {
        let mut window = Window::default();
        window.sent(EntryId(1));
        window.answered(EntryId(1), Mono(0));
        window.available(Mono(1), LAG);
        window.sent(EntryId(2));
        window.answered(EntryId(2), Mono(2));
        assert_eq!(window.busy(), [EntryId(1), EntryId(2)]);

        window.sent(EntryId(3));
        window.answered(EntryId(3), Mono(3000));
        window.available(Mono(3000) + LAG, LAG);
        window.sent(EntryId(4));
        assert_eq!(window.busy(), [], "the first was seen in effect before");
    }

    #[test]
    fn a_change_that_was_sent_alone_leaves_no_doubt_when_the_cluster_turns_busy() {
        let mut window = Window::default();
        window.sent(EntryId(1));
        assert_eq!(window.busy(), []);
    }
}
