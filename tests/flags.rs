//! docs/flags.md has every flag, and none that does not exist; docs/plugin.md likewise, and every command.

#![allow(clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The words of a text that are flags.
fn flags(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '-'));
    words
        .filter(|word| word.starts_with("--") && word.trim_matches('-').len() > 1)
        .map(str::to_string)
        .collect()
}

#[test]
fn every_flag_is_documented_and_every_documented_flag_exists() {
    let help = Command::new(env!("CARGO_BIN_EXE_pguser-operator"))
        .args(["run", "--help"])
        .output()
        .unwrap();
    let real = flags(&String::from_utf8(help.stdout).unwrap());
    let documented =
        flags(&fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/flags.md")).unwrap());
    assert!(real.len() > 20, "--help lists {real:?}");
    assert_eq!(real, documented);
}

/// What the plugin prints with these arguments.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-pguser"))
        .args(arguments)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_of_the_plugin_and_its_flags_are_documented() {
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/plugin.md")).unwrap();
    let help = printed(&["--help"]);
    let listed = help
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let commands: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 9, "{help}");
    let mut real = BTreeSet::new();
    for command in commands.into_iter().filter(|command| *command != "help") {
        let heading = format!("\n## {command}\n");
        assert!(
            document.to_lowercase().contains(&heading),
            "docs/plugin.md lacks {command}"
        );
        real.extend(flags(&printed(&[command, "--help"])));
    }
    let usual = ["--help", "--version"].map(str::to_string);
    let documented = flags(&document);
    let missing: Vec<_> = real
        .difference(&documented)
        .filter(|it| !usual.contains(it))
        .collect();
    assert!(missing.is_empty(), "docs/plugin.md lacks {missing:?}");
}
