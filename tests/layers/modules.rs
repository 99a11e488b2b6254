//! The modules of the operator, parsed.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use syn::{Item, Visibility};

use crate::paths::{self, Named};

/// One file, without its tests.
pub struct Module {
    /// From the root of the crate.
    pub path: Vec<String>,
    named: Vec<Named>,
    /// What it hands on under another path: the name, and the path as it is written.
    handed_on: HashMap<String, Named>,
    /// What it imports: the name that it has here, and the path as it is written.
    imported: HashMap<String, Named>,
}

impl Module {
    fn parse(path: Vec<String>, text: &str) -> Self {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", path.join("::")));
        let shipped: Vec<Item> = file
            .items
            .into_iter()
            .filter(|item| !is_for_tests(item))
            .collect();
        let imports = |public: bool| {
            let uses = shipped.iter().filter_map(move |item| match item {
                Item::Use(it) if !public || !matches!(it.vis, Visibility::Inherited) => Some(&it.tree),
                _ => None,
            });
            uses.flat_map(paths::of_use).collect()
        };
        Self {
            handed_on: imports(true),
            imported: imports(false),
            named: paths::of_items(&shipped),
            path,
        }
    }

    /// From the root of the crate, as it is written.
    pub fn name(&self) -> String {
        self.path.join("::")
    }

    /// Whether it is this module, or one inside it.
    pub fn is_within(&self, place: &str) -> bool {
        let place: Vec<&str> = place.split("::").collect();
        self.path.iter().map(String::as_str).take(place.len()).eq(place)
    }
}

fn is_for_tests(item: &Item) -> bool {
    let attributes = match item {
        Item::Mod(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Const(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| {
        let meta = &attribute.meta;
        meta.path().is_ident("cfg")
            && meta
                .require_list()
                .is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

/// All modules of a crate.
pub struct Modules(HashMap<Vec<String>, Module>);

impl Modules {
    /// Those in `src/`, but for the binaries.
    pub fn of_the_operator() -> Self {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        collect(&src, &mut Vec::new(), &mut files);
        Self(
            files
                .into_iter()
                .map(|(path, text)| (path.clone(), Module::parse(path, &text)))
                .collect(),
        )
    }

    /// Those of these files.
    pub fn of_files(files: &[(&str, &str)]) -> Self {
        let parsed = files.iter().map(|(name, text)| {
            let path: Vec<String> = match *name {
                "lib" => Vec::new(),
                name => name.split("::").map(str::to_string).collect(),
            };
            (path.clone(), Module::parse(path, text))
        });
        Self(parsed.collect())
    }

    /// All of them, in order.
    pub fn all(&self) -> impl Iterator<Item = &Module> {
        let mut all: Vec<_> = self.0.values().collect();
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all.into_iter()
    }

    /// Those within one.
    pub fn within(&self, place: &str) -> impl Iterator<Item = &Module> {
        self.all().filter(move |module| module.is_within(place))
    }

    /// What a module names, as paths from the root of a crate.
    pub fn named_by(&self, module: &Module) -> BTreeSet<Named> {
        let written = module.named.iter().chain(module.imported.values());
        written.filter_map(|path| self.meant(module, path)).collect()
    }

    /// The module that defines what a path from the root of this crate stands for.
    pub fn definer(&self, path: &[String]) -> Option<&Module> {
        let (root, rest) = path.split_first()?;
        let longest = (0..=rest.len())
            .rev()
            .find(|length| self.0.contains_key(&rest[..*length]));
        longest
            .filter(|_| root == "crate")
            .map(|length| &self.0[&rest[..length]])
    }

    /// What a path in a module means. None for what is of the module itself, or of the prelude.
    fn meant(&self, module: &Module, path: &[String]) -> Option<Named> {
        let from = |base: &[String], rest: &[String]| {
            let whole = ["crate".to_string()]
                .into_iter()
                .chain(base.iter().chain(rest).cloned());
            Some(self.followed(whole.collect()))
        };
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(self.followed(path.to_vec())),
            "self" => from(&module.path, rest),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                from(&module.path[..module.path.len().checked_sub(ups)?], &path[ups..])
            }
            name => {
                let child: Vec<String> = module.path.iter().chain([first]).cloned().collect();
                match module.imported.get(name) {
                    Some(imported) if *imported != path => {
                        let written: Named = imported.iter().chain(rest).cloned().collect();
                        if imported.first() == Some(first) && !self.0.contains_key(&child) {
                            return Some(written);
                        }
                        self.meant(module, &written)
                    }
                    _ if self.0.contains_key(&child) => from(&module.path, path),
                    _ => (!rest.is_empty()).then(|| path.to_vec()),
                }
            }
        }
    }

    /// A path from the root of this crate, through what modules hand on, to where it is defined.
    fn followed(&self, path: Named) -> Named {
        let Some(definer) = self.definer(&path) else {
            return path;
        };
        let depth = definer.path.len() + 1;
        let next = path
            .get(depth)
            .and_then(|name| definer.handed_on.get(name))
            .and_then(|written| self.meant(definer, written));
        match next {
            Some(next) if next != path => next.into_iter().chain(path.into_iter().skip(depth + 1)).collect(),
            _ => path,
        }
    }
}

fn collect(folder: &Path, place: &mut Vec<String>, files: &mut Vec<(Vec<String>, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_string();
        if path.is_dir() {
            if stem != "bin" && stem != "tests" {
                place.push(stem);
                collect(&path, place, files);
                place.pop();
            }
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && stem != "tests"
            && stem != "main"
        {
            let own = (!matches!(stem.as_str(), "mod" | "lib")).then_some(stem);
            let module = place.iter().cloned().chain(own).collect();
            files.push((module, fs::read_to_string(&path).unwrap()));
        }
    }
}
