//! What is printed: tables for people, JSON and YAML for machines.

use std::io::Write;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use super::failure::Failure;
use crate::domain::conditions::presentable;

/// How a command's result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// The same as YAML.
    Yaml,
}

/// The flag for it.
#[derive(Debug, Clone, Args)]
pub struct Output {
    /// How the result is written.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

impl Format {
    /// Prints a result: as a table or what else people read, or as data.
    pub fn print(self, data: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let unwritten = |error: &dyn std::fmt::Display| Failure::Other(format!("write the result: {error}"));
        let text = match self {
            Format::Table => text(),
            Format::Json => serde_json::to_string_pretty(data).map_err(|error| unwritten(&error))?,
            Format::Yaml => serde_saphyr::to_string(data).map_err(|error| unwritten(&error))?,
        };
        say(&text);
        Ok(())
    }
}

/// Prints a text, and its line end if it has none. Who stops reading (`| head`) has read enough.
pub fn say(text: &str) {
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let _ = write!(std::io::stdout(), "{text}{end}");
}

/// Tells what goes on, beside the result.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Rows in columns, as kubectl aligns them. What comes from elsewhere is made fit for a terminal.
pub fn table(headers: &[&str], rows: &[Vec<String>]) -> String {
    let header = headers.iter().map(ToString::to_string).collect::<Vec<_>>();
    let body = rows
        .iter()
        .map(|row| row.iter().map(|cell| presentable(cell)).collect());
    let lines: Vec<Vec<String>> = [header]
        .into_iter()
        .filter(|it| !it.is_empty())
        .chain(body)
        .collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("   ").trim_end());
        text.push('\n');
    }
    text
}

/// How long ago something was, in kubectl's words.
pub fn age(since: Option<Timestamp>, now: Timestamp) -> String {
    let Some(since) = since else {
        return "<unknown>".to_string();
    };
    let seconds = now.duration_since(since).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A word for a shell, in quotes if it needs them.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// A cell for what may not be there.
pub fn or_none(value: Option<&str>) -> String {
    value
        .filter(|value| !value.is_empty())
        .unwrap_or("<none>")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows = vec![
            vec!["checkout".to_string(), "True".to_string()],
            vec!["ü".to_string(), "False".to_string()],
        ];
        let expected = "NAME       READY\ncheckout   True\nü          False\n";
        assert_eq!(table(&["NAME", "READY"], &rows), expected);
        assert_eq!(table(&[], &rows[..1]), "checkout   True\n");
    }

    #[test]
    fn what_comes_from_elsewhere_cannot_move_the_cursor() {
        let text = table(&[], &[vec!["a\u{1b}[2Jb\u{202e}".to_string()]]);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
    }

    #[test]
    fn ages_are_short() {
        let then: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let after = |seconds| Timestamp::from_second(then.as_second() + seconds).unwrap();
        let ages = [5, 130, 7300, 200_000].map(|seconds| age(Some(then), after(seconds)));
        assert_eq!(ages, ["5s", "2m", "2h", "2d"]);
        assert_eq!(age(None, then), "<unknown>");
    }

    #[test]
    fn words_are_quoted_for_a_shell_where_that_is_needed() {
        assert_eq!(quoted("check-out"), "check-out");
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
