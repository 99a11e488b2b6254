//! The search: breadth first over all worlds, so that a counterexample is as short as can be.
//!
//! A search of our own rather than a library's: I5 asks of every world where it would go by itself, which is
//! cheap only if the answers are shared; and a hundred lines keep one parent index for a world, not its path.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::actions::{Action, actions, after};
use crate::calm;
use crate::properties;
use crate::scenario::Scenario;
use crate::world::World;

/// What a search found.
pub struct Found {
    pub states: usize,
    pub depth: usize,
    pub violation: Option<Violation>,
}

/// A broken promise, and how the world came to it.
pub struct Violation {
    pub promise: String,
    pub path: Vec<Action>,
    /// What then happens by itself.
    pub course: Vec<Action>,
}

/// Names a world; two of a million worlds share a name once in thirty million searches.
pub fn name(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

struct Search<'a> {
    scenario: &'a Scenario,
    seen: HashMap<u64, u32>,
    parents: Vec<(u32, Action)>,
    queue: VecDeque<(World, u32, usize)>,
    /// Worlds that are known to come to rest well.
    calm: HashSet<u64>,
}

/// Searches until a promise is broken or nothing is left.
pub fn explore(scenario: &Scenario) -> Found {
    let mut search = Search {
        scenario,
        seen: HashMap::new(),
        parents: Vec::new(),
        queue: VecDeque::new(),
        calm: HashSet::new(),
    };
    let mut start = scenario.start();
    crate::numbers::normalise(&mut start, scenario.one_clock());
    search.meet(start, 0, Action::Tick, 0);
    let mut depth = 0;
    while let Some((world, index, steps)) = search.queue.pop_front() {
        depth = steps;
        if let Some(promise) = search.judge(&world) {
            let path = search.path(index);
            let states = search.parents.len();
            let course = calm::course(&world, scenario);
            let violation = Some(Violation {
                promise,
                path,
                course,
            });
            return Found {
                states,
                depth,
                violation,
            };
        }
        for action in actions(&world, scenario) {
            search.meet(after(&world, action, scenario), index, action, steps + 1);
        }
    }
    Found {
        states: search.parents.len(),
        depth,
        violation: None,
    }
}

impl Search<'_> {
    fn meet(&mut self, world: World, parent: u32, action: Action, steps: usize) {
        let index = u32::try_from(self.parents.len()).unwrap();
        if let std::collections::hash_map::Entry::Vacant(vacant) = self.seen.entry(name(&world)) {
            vacant.insert(index);
            self.parents.push((parent, action));
            self.queue.push_back((world, index, steps));
        }
    }

    fn judge(&mut self, world: &World) -> Option<String> {
        match properties::violated(world, self.scenario) {
            Some(promise) => Some(promise.to_string()),
            None => calm::never_well(world, self.scenario, &mut self.calm),
        }
    }

    fn path(&self, mut index: u32) -> Vec<Action> {
        let mut path = Vec::new();
        while index != 0 {
            let (parent, action) = self.parents[index as usize];
            path.push(action);
            index = parent;
        }
        path.reverse();
        path
    }
}
