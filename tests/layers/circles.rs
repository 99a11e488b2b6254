//! Files that import each other in a circle.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::modules::{Module, Modules};

/// All circles: for each, the names of its modules, in order.
///
/// That the file of a module names what is inside it is no import: it is the module's face.
pub fn of(modules: &Modules) -> Vec<Vec<String>> {
    let imports: HashMap<String, BTreeSet<String>> = modules
        .all()
        .map(|module| (module.name(), imported_by(modules, module)))
        .collect();
    let reached: HashMap<&String, HashSet<&String>> = imports
        .keys()
        .map(|name| (name, reached_from(name, &imports)))
        .collect();
    let mut circles = BTreeSet::new();
    for (name, others) in &reached {
        let mut circle: Vec<String> = others
            .iter()
            .filter(|other| reached[**other].contains(name))
            .map(|other| other.to_string())
            .collect();
        if others.contains(name) {
            circle.sort();
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn imported_by(modules: &Modules, module: &Module) -> BTreeSet<String> {
    let named = modules.named_by(module);
    let definers = named.iter().filter_map(|path| modules.definer(path));
    let others = definers.filter(|other| !other.path.starts_with(&module.path));
    others.map(Module::name).collect()
}

fn reached_from<'a>(start: &str, imports: &'a HashMap<String, BTreeSet<String>>) -> HashSet<&'a String> {
    let mut reached = HashSet::new();
    let mut waiting: Vec<&String> = imports[start].iter().collect();
    while let Some(name) = waiting.pop() {
        if reached.insert(name) {
            waiting.extend(&imports[name]);
        }
    }
    reached
}
