//! A real Prometheus that scrapes an operator, its promtool, and what the chart has for it.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tokio::process::Command;
use url::Url;

use super::{
    Operator, Outcome, PATIENCE, Process, REPOSITORY, command::piped, control_plane::build, eventually,
    operator::free_address,
};

/// The namespace that the chart is made for; the labels that its ServiceMonitor would give follow from it.
const NAMESPACE: &str = "pguser-system";
const SERVICE: &str = "pguser-operator-metrics";

/// The chart's alerts and dashboard.
pub struct Monitoring {
    rules: Value,
    dashboard: Value,
}

impl Monitoring {
    /// As Helm makes them.
    pub async fn of_chart() -> Outcome<Monitoring> {
        let mut template = Command::new(build("hack/helm").await?);
        template
            .args(["template", "pguser-operator", "--namespace", NAMESPACE])
            .args(["--set", "metrics.prometheusRule.enabled=true"])
            .args(["--set", "metrics.dashboard.enabled=true"])
            .arg(Path::new(REPOSITORY).join("charts/pguser-operator"));
        let objects: Vec<Option<Value>> = serde_saphyr::from_multiple(&run(template, "").await?)?;
        let of_kind = |kind: &str| {
            let mut all = objects.iter().flatten();
            all.find(|object| object["kind"] == kind)
                .ok_or(format!("the chart has no {kind}"))
        };
        let dashboard = of_kind("ConfigMap")?["data"]["pguser-operator.json"].as_str();
        Ok(Monitoring {
            rules: of_kind("PrometheusRule")?["spec"].clone(),
            dashboard: serde_json::from_str(dashboard.ok_or("the ConfigMap has no dashboard")?)?,
        })
    }

    /// Writes the rules as Prometheus reads them (JSON is YAML); gives the file's name.
    pub fn write_rules(&self, dir: &Path) -> Outcome<PathBuf> {
        let path = dir.join("rules.yaml");
        std::fs::write(&path, self.rules.to_string())?;
        Ok(path)
    }

    /// The alerts: name and expression.
    pub fn alerts(&self) -> Vec<(String, String)> {
        let groups = self.rules["groups"].as_array().into_iter().flatten();
        let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
        rules
            .map(|rule| (text(&rule["alert"]), text(&rule["expr"])))
            .collect()
    }

    /// What the dashboard asks for: the panel's title and the query, with what Grafana puts in.
    pub fn queries(&self) -> Vec<(String, String)> {
        let panels = self.dashboard["panels"].as_array().into_iter().flatten();
        panels
            .flat_map(|panel| {
                let targets = panel["targets"].as_array().into_iter().flatten();
                targets.map(|target| (text(&panel["title"]), filled_in(&text(&target["expr"]))))
            })
            .collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn filled_in(query: &str) -> String {
    query
        .replace("$namespace", NAMESPACE)
        .replace("$__rate_interval", "1m")
}

/// A running Prometheus.
pub struct Prometheus {
    _process: Process,
    address: SocketAddr,
    http: reqwest::Client,
}

impl Prometheus {
    /// Starts one that scrapes an operator every second, with the labels of a ServiceMonitor, and evaluates these rules.
    pub async fn start(dir: &Path, operator: &Operator, rules: &Path) -> Outcome<Prometheus> {
        let labels = json!({"namespace": NAMESPACE, "service": SERVICE, "pod": "pguser-operator-0"});
        let target = json!({"targets": [operator.address()], "labels": labels});
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [rules],
            "scrape_configs": [{"job_name": "pguser-operator", "static_configs": [target]}],
        });
        let file = dir.join("prometheus.yaml");
        std::fs::write(&file, config.to_string())?;
        let address = free_address()?;
        let mut command = Process::command(build("hack/prometheus").await?);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.join("prometheus").display()
            ))
            .arg(format!("--web.listen-address={address}"));
        let prometheus = Prometheus {
            _process: Process::spawn("prometheus", command, &dir.join("prometheus.log"))?,
            address,
            http: reqwest::Client::builder().no_proxy().build()?,
        };
        eventually("Prometheus to be up", PATIENCE, async || {
            match prometheus.query("up == 1").await?.len() {
                1 => Ok(()),
                _ => Err("nothing is scraped yet".into()),
            }
        })
        .await?;
        Ok(prometheus)
    }

    /// What a query comes to: series, each with `metric` and `value`.
    pub async fn query(&self, expression: &str) -> Outcome<Vec<Value>> {
        let answer = self.get("query", &[("query", expression)]).await?;
        Ok(answer["result"].as_array().cloned().unwrap_or_default())
    }

    /// The label sets of all series of a selector.
    pub async fn series(&self, selector: &str) -> Outcome<Vec<Value>> {
        let answer = self.get("series", &[("match[]", selector)]).await?;
        Ok(answer.as_array().cloned().unwrap_or_default())
    }

    /// The alerts whose expression holds, whether for long enough or not.
    pub async fn alerts(&self) -> Outcome<BTreeSet<String>> {
        let answer = self.get("alerts", &[]).await?;
        let alerts = answer["alerts"].as_array().into_iter().flatten();
        Ok(alerts.map(|alert| text(&alert["labels"]["alertname"])).collect())
    }

    async fn get(&self, what: &str, parameters: &[(&str, &str)]) -> Outcome<Value> {
        let url = format!("http://{}/api/v1/{what}", self.address);
        let url = Url::parse_with_params(&url, parameters)?;
        let answer = self.http.get(url).send().await?.text().await?;
        let answer: Value = serde_json::from_str(&answer).map_err(|error| format!("{error}: {answer}"))?;
        match answer["status"] == "success" {
            true => Ok(answer["data"].clone()),
            false => Err(format!("Prometheus, asked for {what} {parameters:?}: {answer}").into()),
        }
    }
}

/// Runs promtool; what it says.
pub async fn promtool(arguments: &[&str], stdin: &str) -> Outcome<String> {
    let mut command = Command::new(build("hack/promtool").await?);
    command.args(arguments);
    run(command, stdin).await
}

async fn run(command: Command, stdin: &str) -> Outcome<String> {
    let program = format!("{:?}", command.as_std().get_program());
    let output = piped(command, stdin).await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let why = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(said),
        false => Err(format!("{program}: {}\n{said}{why}", output.status).into()),
    }
}
