//! Which server objects an operator looks after, by their labels.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use kube::core::{Expression, SelectorExt};

use super::server::ServerObject;

/// Which server objects are looked after, by their labels, in the grammar of `kubectl get --selector`. The default
/// selects all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector(kube::core::Selector);

impl Selector {
    /// Whether a server object is looked after here.
    pub fn selects(&self, object: &ServerObject) -> bool {
        match &object.meta().labels {
            Some(labels) => self.0.matches(labels),
            None => self.0.matches(&Default::default()),
        }
    }
}

/// A selector that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSelector(String);

impl std::error::Error for NoSelector {}

impl fmt::Display for NoSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} asks nothing of a label: write key=value, key!=value, key in (a,b), key notin (a,b), key, or !key; \
             several are separated by commas",
            self.0
        )
    }
}

impl FromStr for Selector {
    type Err = NoSelector;

    fn from_str(text: &str) -> Result<Self, NoSelector> {
        let expressions = requirements(text).into_iter().map(|requirement| {
            let requirement = requirement.trim();
            expression(requirement).ok_or_else(|| NoSelector(requirement.to_string()))
        });
        expressions.collect::<Result<_, _>>().map(Self)
    }
}

/// Splits at the commas that are not within parentheses.
fn requirements(text: &str) -> Vec<&str> {
    let mut within = false;
    let parts = text.split(|c: char| {
        within = (within || c == '(') && c != ')';
        c == ',' && !within
    });
    parts.collect()
}

fn expression(text: &str) -> Option<Expression> {
    if let Some((key, values)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let (key, operator) = key.trim().rsplit_once(char::is_whitespace)?;
        let values: Option<BTreeSet<_>> = values.split(',').map(value).collect();
        return match operator {
            "in" => Some(Expression::In(key_of(key)?, values?)),
            "notin" => Some(Expression::NotIn(key_of(key)?, values?)),
            _ => None,
        };
    }
    if let Some((key, unwanted)) = text.split_once("!=") {
        return Some(Expression::NotEqual(key_of(key)?, value(unwanted)?));
    }
    if let Some((key, wanted)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Some(Expression::Equal(key_of(key)?, value(wanted)?));
    }
    match text.strip_prefix('!') {
        Some(key) => key_of(key).map(Expression::DoesNotExist),
        None => key_of(text).map(Expression::Exists),
    }
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

fn key_of(text: &str) -> Option<String> {
    let key = text.trim();
    (!key.is_empty() && key.chars().all(|c| is_of_a_name(c) || c == '/')).then(|| key.to_string())
}

fn value(text: &str) -> Option<String> {
    let value = text.trim();
    value.chars().all(is_of_a_name).then(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels: BTreeMap<_, _> = labels
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect();
        let selector: Selector = selector.parse().unwrap();
        selector.0.matches(&labels)
    }

    #[test]
    fn a_selector_is_read_as_kubectl_reads_it() {
        let labels = [("pguser.dev/shard", "a"), ("tier", "gold")];
        for selected in [
            "pguser.dev/shard=a",
            "pguser.dev/shard == a , tier=gold",
            "pguser.dev/shard in (a, b),tier",
            "pguser.dev/shard notin (b,c)",
            "other notin (b)",
            "pguser.dev/shard!=b",
            "other!=b",
            "!other",
        ] {
            assert!(matches(selected, &labels), "{selected}");
        }
        for left_alone in [
            "pguser.dev/shard=b",
            "tier,!tier",
            "other",
            "tier in (silver)",
            "tier=",
        ] {
            assert!(!matches(left_alone, &labels), "{left_alone}");
        }
    }

    #[test]
    fn a_selector_that_asks_nothing_is_refused_with_what_can_be_written() {
        for nonsense in [
            "", "a=b,", "a b", "a is (b)", "in (b)", "a=b=c", "a in (b", "!", "a=(b)",
        ] {
            let refused = nonsense.parse::<Selector>().unwrap_err().to_string();
            assert!(refused.contains("key in (a,b)"), "{nonsense}: {refused}");
        }
    }
}
