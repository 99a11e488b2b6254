//! What `/metrics` tells, read by a real Prometheus; and the chart's alerts and dashboard, which ask for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{
    ADDON_ID, APP, Fate, Handle, Monitoring, Operator, Options, Outcome, PATIENCE, Prometheus, Provider,
    REPOSITORY, SERVER, TOKEN, Vendor, World, eventually, promtool, trials, user_manifest,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        alerts_fire_when_they_should_and_only_then,
        a_real_prometheus_answers_all_that_alerts_and_dashboard_ask,
        a_standby_tells_of_nobody,
        what_is_gone_is_not_told_of,
    )
}

/// Longer than alerts take to be counted, scraped and evaluated.
const SCRAPED: Duration = Duration::from_secs(60);

/// A server that cannot be reached, and one that throttles.
const UNREACHABLE: &str = "books";
const THROTTLED: &str = "archive";

// ------------------------------------------------------------------------------------------------------- promtool

async fn alerts_fire_when_they_should_and_only_then(world: &World) -> Outcome {
    let monitoring = Monitoring::of_chart().await?;
    let rules = monitoring.write_rules(world.dir())?;
    promtool(&["check", "rules", "--lint-fatal", &rules.to_string_lossy()], "").await?;

    let cases = std::fs::read_to_string(format!("{REPOSITORY}/tests/prometheus/alerts.test.yaml"))?;
    let copy = world.dir().join("alerts.test.yaml");
    std::fs::write(&copy, &cases)?;
    promtool(&["test", "rules", &copy.to_string_lossy()], "").await?;
    each_fires_and_does_not(&monitoring, &cases)?;

    // The dashboard's queries, as rules that record them.
    let record = |(number, (_, query)): (usize, (String, String))| json!({"record": format!("panel:{number}"), "expr": query});
    let recorded: Vec<Value> = monitoring.queries().into_iter().enumerate().map(record).collect();
    assert!(recorded.len() > 15, "{recorded:?}");
    let groups = json!({"groups": [{"name": "dashboard", "rules": recorded}]});
    let path = world.dir().join("dashboard.yaml");
    std::fs::write(&path, groups.to_string())?;
    promtool(&["check", "rules", "--lint-fatal", &path.to_string_lossy()], "").await?;
    Ok(())
}

/// Each alert has a case in which it fires, and one in which it does not.
fn each_fires_and_does_not(monitoring: &Monitoring, cases: &str) -> Outcome {
    let cases: Value = serde_saphyr::from_str(cases)?;
    let tests = cases["tests"].as_array().into_iter().flatten();
    let asked = tests.flat_map(|test| test["alert_rule_test"].as_array().into_iter().flatten());
    let tried: BTreeSet<(String, bool)> = asked
        .map(|case| {
            let fires = case["exp_alerts"]
                .as_array()
                .is_some_and(|alerts| !alerts.is_empty());
            (case["alertname"].as_str().unwrap_or_default().to_owned(), fires)
        })
        .collect();
    let names = monitoring.alerts().into_iter().map(|(name, _)| name);
    let wanted = names.flat_map(|name| [(name.clone(), false), (name, true)]);
    assert_eq!(tried, wanted.collect());
    Ok(())
}

// ---------------------------------------------------------------------------------------------- a real Prometheus

async fn a_real_prometheus_answers_all_that_alerts_and_dashboard_ask(world: &World) -> Outcome {
    let monitoring = Monitoring::of_chart().await?;
    let operator = world.start_operator(Options::default()).await?;
    let rules = monitoring.write_rules(world.dir())?;
    let prometheus = Prometheus::start(world.dir(), &operator, &rules).await?;
    let _vendors = all_sorts(world).await?;

    for (alert, expression) in monitoring.alerts() {
        for part in parts(&expression) {
            answers(&prometheus, &alert, &part).await?;
        }
    }
    for (panel, query) in monitoring.queries() {
        answers(&prometheus, &panel, &query).await?;
    }
    notices(&prometheus).await?;
    is_counted(&prometheus).await?;
    is_as_documented(&prometheus, &operator).await?;
    is_bounded(world, &operator).await
}

/// Servers and users in all states that there are.
async fn all_sorts(world: &World) -> Outcome<(Vendor, Vendor)> {
    let vendor = world.start_vendor(&[]).await?;
    let books = world.start_vendor_of(Provider::Postgresql, &[]).await?;
    world.apply_server(SERVER, &vendor).await?;
    world.apply_server(UNREACHABLE, &books).await?;
    world.ready_user("webshop").await?;
    world.apply_user_with("paused", "suspend: true").await?;
    vendor.make("taken", "of somebody else").await?;
    world.apply_user("taken", SERVER).await?;
    world.user_not_ready("taken", "AlreadyExists").await?;
    for name in ["rotated", "leaving"] {
        world.apply_user(name, UNREACHABLE).await?;
        world.user_ready(name).await?;
    }
    tear_away(world, &books).await?;
    world.server_is(UNREACHABLE, "False", "Unreachable").await?;
    world.apply_user("latecomer", UNREACHABLE).await?;
    world.user_not_ready("latecomer", "Unreachable").await?;
    world.rotate("rotated", "now").await?;
    world.delete("PostgresUser", "leaving").await?;
    throttle(world, &vendor).await?;
    Ok((vendor, books))
}

/// Somebody takes a finalizer away by force while the login is made, and then the server cannot be reached any more.
async fn tear_away(world: &World, books: &Vendor) -> Outcome {
    let slow = books.strike("users.create", Fate::Slow).await?;
    world.apply(&user_manifest("torn", UNREACHABLE, "")).await?;
    slow.is_under_way().await?;
    world.delete("PostgresUser", "torn").await?;
    let without = json!({"metadata": {"finalizers": null}});
    world.merge("PostgresUser", "torn", without).await?;
    books.stop();
    Ok(())
}

/// A server whose provider asks for patience.
async fn throttle(world: &World, vendor: &Vendor) -> Outcome {
    let fault = json!({"type": "status", "status": 429, "retryAfter": "600"});
    let all = json!({"route": "*", "api": "scalingo", "fault": fault});
    vendor.fault(all).await?;
    let base = vendor.base();
    world
        .apply(&format!(
            "
apiVersion: v1
kind: Secret
metadata: {{name: {THROTTLED}-credentials}}
stringData: {{apiToken: {TOKEN}}}
---
apiVersion: pguser.dev/v1alpha1
kind: PostgresServer
metadata: {{name: {THROTTLED}}}
spec:
  scalingo:
    app: {APP}
    addonId: {ADDON_ID}
    endpoints: {{auth: \"{base}\", api: \"{base}\", database: \"{base}\"}}
    credentialsSecretRef: {{name: {THROTTLED}-credentials}}
"
        ))
        .await?;
    world.server_is(THROTTLED, "False", "Throttled").await.map(drop)
}

/// What of an alert's expression has a value whether it fires or not: the sides of its comparisons.
fn parts(expression: &str) -> Vec<String> {
    let inner = expression
        .strip_prefix("absent(")
        .and_then(|rest| rest.strip_suffix(')'));
    let (mut parts, mut depth) = (vec![Vec::new()], 0_i32);
    for word in inner.unwrap_or(expression).split_whitespace() {
        if depth == 0 && ["==", ">", "<", "and", "unless"].contains(&word) {
            parts.push(Vec::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(word);
        }
        depth += word.matches(['(', '{']).count() as i32 - word.matches([')', '}']).count() as i32;
    }
    let matched = |part: &str| match part.strip_prefix("on (") {
        Some(labels) => labels
            .split_once(") ")
            .map_or(String::new(), |(_, rest)| rest.to_owned()),
        None => part.to_owned(),
    };
    let parts = parts.iter().map(|part| matched(&part.join(" ")));
    parts.filter(|part| part.parse::<f64>().is_err()).collect()
}

/// Waits until a query has an answer that is a number.
async fn answers(prometheus: &Prometheus, who: &str, query: &str) -> Outcome {
    eventually(&format!("data for {who}: {query}"), SCRAPED, async || {
        let found = prometheus.query(query).await?;
        let value = |series: &Value| {
            series["value"][1]
                .as_str()
                .and_then(|text| text.parse::<f64>().ok())
        };
        match found.iter().filter_map(value).any(f64::is_finite) {
            true => Ok(()),
            false => Err(format!("{found:?}").into()),
        }
    })
    .await
}

/// What is wrong here is noticed, and nothing else.
async fn notices(prometheus: &Prometheus) -> Outcome {
    let wrong = [
        "PguserOrphans",
        "PguserServerNotReady",
        "PguserStalled",
        "PguserThrottled",
    ];
    eventually("the alerts of what is wrong", SCRAPED, async || {
        let mut found = prometheus.alerts().await?;
        // How many of the calls fail is a matter of how quickly they are repeated.
        found.remove("PguserRemoteCallsFail");
        match found.iter().eq(wrong.iter()) {
            true => Ok(()),
            false => Err(format!("{found:?}").into()),
        }
    })
    .await
}

/// Everybody is in the state that they were brought to.
async fn is_counted(prometheus: &Prometheus) -> Outcome {
    for (query, count) in [
        (r#"pguser_users{state="ready",reason="Published"}"#, 2),
        (r#"pguser_users{state="suspended",reason="Suspended"}"#, 1),
        (r#"pguser_users{state="stalled",reason="AlreadyExists"}"#, 1),
        (r#"pguser_users{state="reconciling",reason="Unreachable"}"#, 1),
        (r#"pguser_users{state="deleting"}"#, 1),
        ("sum(pguser_users)", 6),
        ("pguser_rotations_due", 1),
        ("pguser_time_to_first_secret_seconds_count", 3),
        (r#"pguser_server_users{server="orders",owner="managed"}"#, 1),
        (
            r#"pguser_server_users{server="orders",owner="unmanaged"} > bool 0"#,
            1,
        ),
        (r#"pguser_server_orphans{server="books"}"#, 1),
        (r#"pguser_server_orphans{server="orders"}"#, 0),
        (r#"pguser_server_ready{server="orders",provider="ionos"}"#, 1),
        (r#"pguser_server_ready{server="books",provider="postgresql"}"#, 0),
        (r#"pguser_server_circuit_open{server="archive"}"#, 1),
        (r#"pguser_server_throttled{server="archive"}"#, 1),
        (r#"pguser_server_throttled{server="books"}"#, 0),
        (r#"pguser_servers{provider="scalingo",reason="Throttled"}"#, 1),
        (
            r#"time() - pguser_server_refresh_timestamp_seconds{server="orders"} < bool 30"#,
            1,
        ),
        (
            r#"pguser_remote_calls_total{provider="scalingo",class="rate_limited"} > bool 0"#,
            1,
        ),
    ] {
        eventually(&format!("{query} to be {count}"), PATIENCE, async || {
            let found = prometheus.query(query).await?;
            let values: Vec<_> = found.iter().map(|series| series["value"][1].clone()).collect();
            match values == [json!(count.to_string())] {
                true => Ok(()),
                false => Err(format!("{found:?}").into()),
            }
        })
        .await?;
    }
    Ok(())
}

/// Name, type and labels of each metric are those of docs/metrics.md.
async fn is_as_documented(prometheus: &Prometheus, operator: &Operator) -> Outcome {
    let text = operator.get("metrics").await?;
    let lint = promtool(&["check", "metrics"], &text).await;
    lint.map_err(|error| format!("promtool check metrics: {error}"))?;
    let types = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut found: BTreeMap<&str, (&str, BTreeSet<String>)> = types
        .map(|(name, kind)| (name, (kind, BTreeSet::new())))
        .collect();
    for series in prometheus.series(r#"{__name__=~"pguser_.*"}"#).await? {
        let series = series.as_object().ok_or("a series without labels")?;
        let name = series["__name__"].as_str().unwrap_or_default();
        let of_histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let entry = found.contains_key(name).then_some(name).or(of_histogram);
        let (_, labels) = entry
            .and_then(|name| found.get_mut(name))
            .ok_or(format!("{name} has no type"))?;
        let ours = |label: &&String| {
            !["__name__", "instance", "job", "namespace", "service", "pod", "le"].contains(&label.as_str())
        };
        labels.extend(series.keys().filter(ours).cloned());
    }
    let page = std::fs::read_to_string(format!("{REPOSITORY}/docs/metrics.md"))?;
    assert_eq!(found, documented(&page));
    Ok(())
}

/// The rows of the page's tables: `| NAME | type | labels | … |`.
fn documented<'a>(page: &'a str) -> BTreeMap<&'a str, (&'a str, BTreeSet<String>)> {
    let rows = page.lines().filter(|line| line.starts_with("| `pguser_"));
    let row = |line: &'a str| {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let name = cells.next()?.trim_matches('`');
        let kind = cells.next()?;
        let labels = cells.next()?.split(", ").filter(|label| !label.is_empty());
        let labels = labels.map(|label| label.trim_matches('`').to_owned()).collect();
        Some((name, (kind, labels)))
    };
    rows.filter_map(row).collect()
}

/// No label has the name of a user, an address, or anything secret.
async fn is_bounded(world: &World, operator: &Operator) -> Outcome {
    let text = operator.get("metrics").await?;
    let password = world.password_of("webshop").await?;
    for name in [
        "webshop",
        "taken",
        "torn",
        "latecomer",
        "localhost",
        "127.0.0.1",
        TOKEN,
        &password,
    ] {
        assert!(!text.contains(name), "{name:?} is in\n{text}");
    }
    Ok(())
}

// -------------------------------------------------------------------------------------------- who tells of what

/// The lines of an operator's metrics that tell of users and servers.
async fn told(operator: &Operator) -> Outcome<Vec<String>> {
    let text = operator.get("metrics").await?;
    let told = ["pguser_users", "pguser_server", "pguser_rotations"];
    let lines = text
        .lines()
        .filter(|line| told.iter().any(|start| line.starts_with(start)));
    Ok(lines.map(str::to_owned).collect())
}

async fn tells_of(operator: &Operator, what: &str, expected: bool) -> Outcome {
    eventually(
        &format!("metrics with {what}: {expected}"),
        PATIENCE,
        async || {
            let told = told(operator).await?;
            match told.iter().any(|line| line.contains(what)) == expected {
                true => Ok(()),
                false => Err(told.join("\n").into()),
            }
        },
    )
    .await
}

/// Two that told of the same would double it.
async fn a_standby_tells_of_nobody(world: &World) -> Outcome {
    let electing = || Options::default().leader_elect().flag("--lease-duration", "3s");
    let (vendor, first) = world.set_up_with(&[], electing()).await?;
    world.ready_user("webshop").await?;
    tells_of(
        &first,
        r#"pguser_users{state="ready",reason="Published"} 1"#,
        true,
    )
    .await?;
    let second = world.start_operator(electing()).await?;
    assert!(second.get("metrics").await?.contains("pguser_leader 0\n"));
    assert_eq!(told(&second).await?, Vec::<String>::new());
    drop((first, vendor));
    tells_of(
        &second,
        r#"pguser_users{state="ready",reason="Published"} 1"#,
        true,
    )
    .await
}

async fn what_is_gone_is_not_told_of(world: &World) -> Outcome {
    let (_vendor, operator) = world.set_up(&[]).await?;
    world.ready_user("webshop").await?;
    tells_of(&operator, r#"server="orders""#, true).await?;
    tells_of(&operator, r#"pguser_users{state="ready""#, true).await?;
    world.delete("PostgresUser", "webshop").await?;
    world.delete("PostgresServer", SERVER).await?;
    world.gone("PostgresServer", SERVER, PATIENCE).await?;
    tells_of(&operator, r#"server="orders""#, false).await?;
    tells_of(&operator, "pguser_users", false).await
}
