//! The figures, what they are to be, and how they are shown and written down.

use std::{fmt, path::Path};

use serde_json::{Map, Value, json};

use crate::support::{Outcome, Provider};

/// What a figure has to be.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// Less than this.
    Below(f64),
    /// More than this.
    Above(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Target::AtMost(most) => value <= most,
            Target::AtLeast(least) => value >= least,
            Target::Below(most) => value < most,
            Target::Above(least) => value > least,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, value) = match self {
            Target::AtMost(value) => ("≤", value),
            Target::AtLeast(value) => ("≥", value),
            Target::Below(value) => ("<", value),
            Target::Above(value) => (">", value),
        };
        write!(f, "{sign} {}", number(*value))
    }
}

/// One line of the table.
struct Figure {
    provider: &'static str,
    users: usize,
    scenario: &'static str,
    what: &'static str,
    unit: &'static str,
    /// None if it could not be taken.
    value: Option<f64>,
    target: Option<Target>,
    note: String,
}

impl Figure {
    fn verdict(&self) -> &'static str {
        match (self.value, self.target) {
            (_, None) => "",
            (Some(value), Some(target)) if target.is_met(value) => "PASS",
            _ => "FAIL",
        }
    }

    fn cells(&self) -> [String; 7] {
        let value = self
            .value
            .map_or_else(|| "none".to_owned(), |value| number(value) + " " + self.unit);
        [
            self.provider.to_owned(),
            self.users.to_string(),
            format!("{}: {}", self.scenario, self.what),
            value.trim_end().to_owned(),
            self.target.map(|target| target.to_string()).unwrap_or_default(),
            self.verdict().to_owned(),
            self.note.clone(),
        ]
    }

    fn json(&self) -> Value {
        let mut json = json!({"value": self.value, "unit": self.unit});
        if let Some(target) = self.target {
            json["target"] = json!(target.to_string());
            json["met"] = json!(self.verdict() == "PASS");
        }
        if !self.note.is_empty() {
            json["note"] = json!(self.note);
        }
        json
    }
}

/// All that was measured.
#[derive(Default)]
pub struct Table {
    figures: Vec<Figure>,
    /// The largest share of the machine, in percent, that others had.
    others: f64,
}

/// The figures of one scenario.
pub struct Rows<'a> {
    table: &'a mut Table,
    provider: &'static str,
    users: usize,
    scenario: &'static str,
}

impl Table {
    /// The place for the figures of a scenario.
    pub fn rows(&mut self, provider: Provider, users: usize, scenario: &'static str) -> Rows<'_> {
        Rows {
            table: self,
            provider: provider.name(),
            users,
            scenario,
        }
    }

    /// Takes down which share of the machine others had for a while.
    pub fn disturbed(&mut self, others: f64) {
        self.others = self.others.max(others);
    }

    /// The largest share that others had.
    pub fn others(&self) -> f64 {
        self.others
    }

    /// How many targets were missed.
    pub fn missed(&self) -> usize {
        self.figures
            .iter()
            .filter(|figure| figure.verdict() == "FAIL")
            .count()
    }

    /// A figure that was taken before.
    pub fn value(&self, provider: Provider, users: usize, scenario: &str, what: &str) -> Option<f64> {
        let is_it = |figure: &&Figure| {
            figure.provider == provider.name()
                && figure.users == users
                && figure.scenario == scenario
                && figure.what == what
        };
        self.figures.iter().find(is_it)?.value
    }

    /// Writes it, keyed as it is shown: provider, users, scenario, figure.
    pub fn write(&self, file: &Path, machine: &Value) -> Outcome {
        let mut all = Map::new();
        for figure in &self.figures {
            let mut place = &mut all;
            for key in [figure.provider, &figure.users.to_string(), figure.scenario] {
                let next = place.entry(key).or_insert_with(|| json!({}));
                place = next.as_object_mut().ok_or("a figure where others should be")?;
            }
            place.insert(figure.what.to_owned(), figure.json());
        }
        let text = serde_json::to_string_pretty(&json!({"machine": machine, "figures": all}))?;
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(file, text + "\n")?)
    }
}

/// As Markdown, which is readable as it is.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["provider", "users", "what", "measured", "target", "", ""].map(str::to_owned);
        let rows: Vec<[String; 7]> = std::iter::once(head)
            .chain(self.figures.iter().map(Figure::cells))
            .collect();
        // What is last is as long as it is.
        let longest = |column: usize| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..6).map(longest).chain([1]).collect();
        for (number, row) in rows.iter().enumerate() {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}", width = *width))
                .collect();
            writeln!(f, "| {} |", cells.join(" | "))?;
            if number == 0 {
                let lines: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
                writeln!(f, "|{}|", lines.join("|"))?;
            }
        }
        Ok(())
    }
}

impl Rows<'_> {
    /// A figure that has to be something.
    pub fn check(&mut self, what: &'static str, value: f64, unit: &'static str, target: Target) -> &mut Self {
        self.add(what, Some(value), unit, Some(target))
    }

    /// A figure that is shown.
    pub fn show(&mut self, what: &'static str, value: f64, unit: &'static str) -> &mut Self {
        self.add(what, Some(value), unit, None)
    }

    /// A figure that could not be taken, though it has to be something.
    pub fn missing(&mut self, what: &'static str, target: Target) -> &mut Self {
        self.add(what, None, "", Some(target))
    }

    /// Says more of the last figure.
    pub fn note(&mut self, note: impl Into<String>) -> &mut Self {
        if let Some(figure) = self.table.figures.last_mut() {
            figure.note = note.into();
            eprintln!("      ({})", figure.note);
        }
        self
    }

    fn add(
        &mut self,
        what: &'static str,
        value: Option<f64>,
        unit: &'static str,
        target: Option<Target>,
    ) -> &mut Self {
        let figure = Figure {
            provider: self.provider,
            users: self.users,
            scenario: self.scenario,
            what,
            unit,
            value,
            target,
            note: String::new(),
        };
        let cells = figure.cells();
        eprintln!(
            "  {} {} {}  {}  {}  {}",
            cells[0], cells[1], cells[2], cells[3], cells[4], cells[5]
        );
        self.table.figures.push(figure);
        self
    }
}

/// As many digits as mean something.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        value if value == value.trunc() => 0,
        value if value < 1.0 => 3,
        value if value < 10.0 => 2,
        value if value < 1000.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}
