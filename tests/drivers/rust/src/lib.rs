//! Tries a driver with each folder that the command line names, and prints a line for each.

use std::error::Error;
use std::path::Path;

/// Asks who it is that has logged in, and how.
pub const QUERY: &str = "SELECT current_user, CASE WHEN ssl THEN 'TLS' ELSE 'no TLS' END \
     FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

/// The two answers of [`QUERY`], or why there are none.
pub type Answer = Result<(String, String), Box<dyn Error>>;

/// Says of which version a driver is. `package` is its name in Cargo.lock.
pub fn introduce(driver: &str, package: &str) {
    println!("{driver}\tversion\t{}", version(package));
}

/// Tries a way with each folder.
pub async fn report(driver: &str, way: &str, ask: impl AsyncFn(&Path) -> Answer) {
    for folder in std::env::args().skip(1) {
        println!(
            "{driver}\t{way}\t{folder}\t{}",
            told(ask(Path::new(&folder)).await)
        );
    }
}

/// What a login comes to: who it is and how, or why it is none.
fn told(answer: Answer) -> String {
    match answer {
        Ok((user, tls)) => format!("in\t{user}\t{tls}"),
        Err(error) => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(error) = source {
                let reason = error.to_string();
                if !text.ends_with(&reason) {
                    text = format!("{text}: {reason}");
                }
                source = error.source();
            }
            format!(
                "refused\t{}",
                text.split_whitespace().collect::<Vec<_>>().join(" ")
            )
        }
    }
}

fn version(package: &str) -> &'static str {
    include_str!("../Cargo.lock")
        .split_once(&format!("name = \"{package}\"\nversion = \""))
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("unknown", |(version, _)| version)
}
