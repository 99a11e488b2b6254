//! The two formats in which metrics are told.

use std::collections::HashSet;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics' text, for who asks for it.
    OpenMetrics,
    /// Prometheus' own text, for everybody else.
    Prometheus,
}

impl Format {
    /// What a request's Accept header asks for.
    pub fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Format::OpenMetrics,
            false => Format::Prometheus,
        }
    }

    /// The answer's Content-Type.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// All metrics of a registry.
pub fn encode(registry: &Registry, format: Format) -> String {
    let mut text = String::new();
    match text::encode(&mut text, registry) {
        Err(_) => String::new(),
        Ok(()) if format == Format::OpenMetrics => text,
        Ok(()) => in_prometheus_format(&text),
    }
}

/// The encoder speaks OpenMetrics alone. The older format differs in this: a counter's description has its full name,
/// and units and the end are not told.
fn in_prometheus_format(text: &str) -> String {
    let counter = |line: &str| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        (kind == "counter").then(|| name.to_string())
    };
    let counters: HashSet<String> = text.lines().filter_map(counter).collect();
    let described = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let (hash, what, name) = (words.next()?, words.next()?, words.next()?);
        let of_counter = hash == "#" && counters.contains(name);
        of_counter.then(|| format!("# {what} {name}_total {}\n", words.next().unwrap_or_default()))
    };
    text.lines()
        .filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF")
        .map(|line| described(line).unwrap_or_else(|| format!("{line}\n")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::registry::Unit;

    #[test]
    fn the_older_format_names_counters_in_full_and_has_no_units() {
        let mut registry = Registry::default();
        registry.register("calls", "All calls", Counter::<u64>::default());
        registry.register_with_unit("age", "How old", Unit::Seconds, Gauge::<i64>::default());
        assert_eq!(
            encode(&registry, Format::Prometheus),
            "# HELP calls_total All calls.\n# TYPE calls_total counter\ncalls_total 0\n\
             # HELP age_seconds How old.\n# TYPE age_seconds gauge\nage_seconds 0\n"
        );
        assert!(encode(&registry, Format::OpenMetrics).ends_with("# EOF\n"));
    }

    #[test]
    fn openmetrics_is_for_who_asks_for_it() {
        assert_eq!(Format::accepted("*/*"), Format::Prometheus);
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
    }
}
