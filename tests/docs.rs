//! The documentation holds together: every page is in the book, every link leads somewhere, and every file that is named is there.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Where Markdown is, besides the top of the repository.
const FOLDERS: &[&str] = &["bench", "charts", "docs", "simulator", "tests"];

/// The lines of a page's first screen.
const FIRST_SCREEN: usize = 25;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn is_markdown(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

/// The Markdown files in a folder and in those within it.
fn pages_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pages_below(&path));
        } else if is_markdown(&path) {
            found.push(path);
        }
    }
    found
}

/// Every Markdown file that belongs to the repository.
fn pages() -> Vec<PathBuf> {
    let top = fs::read_dir(repository())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = top.filter(|path| is_markdown(path)).collect();
    for folder in FOLDERS {
        found.extend(pages_below(&repository().join(folder)));
    }
    found
}

/// A path as people write it, for messages.
fn shown(path: &Path) -> String {
    path.strip_prefix(repository())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// A path without `.` and `..`, whether or not there is anything.
fn tidied(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                tidy.pop();
            }
            other => tidy.push(other),
        }
    }
    tidy
}

/// The lines of a page outside of its fenced blocks.
fn prose(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let outside = |line: &&str| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    };
    text.lines().filter(outside).collect()
}

/// The paragraphs of a page, each cut at its backticks: every second part is code.
fn cut_at_backticks(text: &str) -> Vec<Vec<String>> {
    let paragraphs = prose(text).join("\n");
    let cut = |paragraph: &str| paragraph.split('`').map(str::to_string).collect();
    paragraphs.split("\n\n").map(cut).collect()
}

/// What a page's links lead to.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for parts in cut_at_backticks(text) {
        let words: String = parts.into_iter().step_by(2).collect();
        let targets = words
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        found.extend(targets.map(str::to_string));
    }
    found
}

/// The anchor of a heading, as GitHub makes it, and mdBook, too.
fn anchor(heading: &str) -> String {
    let mut words = String::new();
    let mut rest = heading;
    // Of a link, what is shown.
    while let Some((before, after)) = rest.split_once("](") {
        words.push_str(&before.replacen('[', "", 1));
        rest = after.split_once(')').map_or("", |(_, behind)| behind);
    }
    words.push_str(rest);
    let kept = words
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.flat_map(char::to_lowercase)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// The anchors of a page. A heading that occurs again gets a number.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let headings = prose(text)
        .into_iter()
        .filter(|line| line.starts_with('#') && line.trim_start_matches('#').starts_with(' '))
        .map(|line| anchor(line.trim_start_matches('#')));
    let numbered = headings.map(|anchor| {
        let times = seen.entry(anchor.clone()).or_default();
        *times += 1;
        match *times {
            1 => anchor,
            times => format!("{anchor}-{}", times - 1),
        }
    });
    numbered.collect()
}

/// What is wrong with a link of a page; nothing, if it leads somewhere.
fn broken(page: &Path, link: &str) -> Option<String> {
    let outside = ["https://", "http://", "mailto:"];
    if outside.iter().any(|start| link.starts_with(start)) {
        return None;
    }
    let (path, wanted) = link.split_once('#').unwrap_or((link, ""));
    let target = match path {
        "" => page.to_path_buf(),
        path => tidied(&page.parent().unwrap().join(path)),
    };
    if !target.starts_with(repository()) || !target.exists() {
        return Some(format!("{}: {link}: there is no such file", shown(page)));
    }
    let known = || anchors(&fs::read_to_string(&target).unwrap());
    let found = wanted.is_empty() || (is_markdown(&target) && known().contains(wanted));
    (!found).then(|| format!("{}: {link}: there is no such heading", shown(page)))
}

#[test]
fn every_link_leads_somewhere() {
    let mut checked = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        let links = links(&fs::read_to_string(&page).unwrap());
        checked += links.len();
        wrong.extend(links.iter().filter_map(|link| broken(&page, link)));
    }
    assert!(checked > 200, "{checked} links");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let page = repository().join("README.md");
    let text = "# A `b` [c](d.md)\n\n`[e](f)` [g](docs/none.md), [h](docs/flags.md#none\n) [i](#a-b-c)\n\n```\n[j](k)\n```\n\n# A b c\n";
    assert_eq!(
        links(text),
        ["d.md", "docs/none.md", "docs/flags.md#none\n", "#a-b-c"]
    );
    assert_eq!(anchors(text), ["a-b-c", "a-b-c-1"].map(str::to_string).into());
    for link in ["docs/none.md", "docs/flags.md#none", "LICENSE#none", "../etc"] {
        assert!(broken(&page, link).is_some(), "{link}");
    }
    for link in [
        "docs/flags.md#times",
        "deploy/samples",
        "#install-it",
        "https://example.com",
    ] {
        assert_eq!(broken(&page, link), None);
    }
}

#[test]
fn every_page_is_in_the_book_once() {
    let docs = repository().join("docs");
    let summary = docs.join("SUMMARY.md");
    let links = links(&fs::read_to_string(&summary).unwrap());
    let mut listed: Vec<PathBuf> = links.iter().map(|link| tidied(&docs.join(link))).collect();
    listed.sort();
    let twice: Vec<String> = listed
        .windows(2)
        .filter(|pair| pair[0] == pair[1])
        .map(|pair| shown(&pair[0]))
        .collect();
    assert!(twice.is_empty(), "docs/SUMMARY.md has these twice: {twice:?}");
    let missing: Vec<String> = pages_below(&docs)
        .into_iter()
        .filter(|page| *page != summary && !listed.contains(page))
        .map(|page| shown(&page))
        .collect();
    assert!(missing.is_empty(), "docs/SUMMARY.md lacks {missing:?}");
}

#[test]
fn every_page_shows_a_command_or_a_manifest_at_once() {
    let docs = repository().join("docs");
    let shows = |page: &PathBuf| {
        let text = fs::read_to_string(page).unwrap();
        text.lines()
            .take(FIRST_SCREEN)
            .any(|line| line.trim_start().starts_with("```"))
    };
    let without: Vec<String> = pages_below(&docs)
        .into_iter()
        .filter(|page| !page.ends_with("SUMMARY.md") && !shows(page))
        .map(|page| shown(&page))
        .collect();
    assert!(
        without.is_empty(),
        "nothing to run or apply in the first {FIRST_SCREEN} lines of {without:?}"
    );
}

/// `src/{a,b}.rs` as the two that it stands for.
fn expanded(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else {
        return vec![path.to_string()];
    };
    let (choices, after) = rest.split_once('}').unwrap_or((rest, ""));
    let one = |choice: &str| format!("{before}{choice}{after}");
    choices.split(',').map(one).collect()
}

#[test]
fn files_that_are_named_are_there() {
    let folders = [
        "bench/",
        "crds/",
        "deploy/",
        "docs/",
        "fuzz/",
        "hack/",
        "simulator/",
        "src/",
        "tests/",
    ];
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(repository().join(page)).unwrap();
        let code = cut_at_backticks(&text)
            .into_iter()
            .flat_map(|parts| parts.into_iter().skip(1).step_by(2));
        // What a reader has to fill in is in capitals.
        let is_path = |code: &String| {
            let literal =
                !code.contains(|c: char| c.is_whitespace() || c == '*' || c == '…' || c.is_ascii_uppercase());
            literal && folders.iter().any(|folder| code.starts_with(folder))
        };
        let named: Vec<String> = code.filter(is_path).flat_map(|path| expanded(&path)).collect();
        assert!(named.len() > 20, "{page} names {named:?}");
        let missing: Vec<&String> = named
            .iter()
            .filter(|path| !repository().join(path).exists())
            .collect();
        assert!(missing.is_empty(), "{page} names what is not there: {missing:?}");
    }
}
