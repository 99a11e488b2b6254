//! The paths that code names.

use syn::visit::Visit;
use syn::{Item, ItemUse, Macro, UseTree};

/// A path, segment by segment.
pub type Named = Vec<String>;

/// Whether a path is this one, leads into it, or goes by it somewhere below its root, as `Instant::now` does.
pub fn is_under_or_ends_with(path: &[String], name: &str) -> bool {
    let name: Vec<&str> = name.split("::").collect();
    let mut windows = path.windows(name.len());
    let same = |window: &[String]| window.iter().map(String::as_str).eq(name.iter().copied());
    match name[0] {
        "crate" | "std" | "kube" | "tokio" | "reqwest" | "getrandom" => windows.next().is_some_and(same),
        _ => windows.any(same),
    }
}

/// What a `use` brings in: the name that it has here, and the path that it stands for.
pub fn of_use(tree: &UseTree) -> Vec<(String, Named)> {
    let mut found = Vec::new();
    follow(tree, &mut Vec::new(), &mut found);
    found
}

fn follow(tree: &UseTree, before: &mut Named, found: &mut Vec<(String, Named)>) {
    match tree {
        UseTree::Path(it) => {
            before.push(it.ident.to_string());
            follow(&it.tree, before, found);
            before.pop();
        }
        UseTree::Group(it) => it.items.iter().for_each(|tree| follow(tree, before, found)),
        UseTree::Name(it) if it.ident == "self" => {
            let name = before.last().cloned().unwrap_or_default();
            found.push((name, before.clone()));
        }
        UseTree::Name(it) => found.push((it.ident.to_string(), with(before, &it.ident.to_string()))),
        UseTree::Rename(it) if it.ident == "self" => found.push((it.rename.to_string(), before.clone())),
        UseTree::Rename(it) => found.push((it.rename.to_string(), with(before, &it.ident.to_string()))),
        UseTree::Glob(_) => found.push((format!("all of {}", before.join("::")), before.clone())),
    }
}

fn with(before: &Named, name: &str) -> Named {
    before.iter().cloned().chain([name.to_string()]).collect()
}

/// All paths in these items, but for their imports.
pub fn of_items(items: &[Item]) -> Vec<Named> {
    let mut finder = Finder(Vec::new());
    items.iter().for_each(|item| finder.visit_item(item));
    finder.0
}

struct Finder(Vec<Named>);

impl<'ast> Visit<'ast> for Finder {
    fn visit_item_use(&mut self, _: &'ast ItemUse) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0
            .push(path.segments.iter().map(|part| part.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    /// What a macro is given is no code before the macro has made some of it: whatever looks like a path counts as one.
    fn visit_macro(&mut self, it: &'ast Macro) {
        let text = it.tokens.to_string().replace(" :: ", "::");
        let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        let paths = words.filter(|word| word.contains("::"));
        let paths = paths.map(|path| {
            path.split("::")
                .filter(|part| !part.is_empty())
                .map(str::to_string)
                .collect()
        });
        self.0.extend(paths);
    }
}
