//! Tries a driver with each folder that the command line names, and prints a line for each.

use std::error::Error;
use std::path::Path;

/// Asks who it is that has logged in, and how.
pub const QUERY: &str = "SELECT current_user, CASE WHEN ssl THEN 'TLS' ELSE 'no TLS' END \
     FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

/// The two answers of [`QUERY`], or why there are none.
pub type Answer = Result<(String, String), Box<dyn Error>>;

/// Tries the key as it is published, and the lines of the document. `package` is the driver's name in Cargo.lock.
pub async fn report<P, L>(driver: &str, package: &str, published: P, lines: L)
where
    P: AsyncFn(&Path) -> Answer,
    L: AsyncFn(&Path) -> Answer,
{
    println!("{driver}\tversion\t{}", version(package));
    for folder in std::env::args().skip(1) {
        let secret = Path::new(&folder);
        println!("{driver}\tpublished\t{folder}\t{}", told(published(secret).await));
        println!("{driver}\tlines\t{folder}\t{}", told(lines(secret).await));
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
