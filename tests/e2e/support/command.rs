//! Programs that read what they are given and end.

use std::process::{Output, Stdio};

use tokio::{io::AsyncWriteExt as _, process::Command};

use super::Outcome;

/// Runs a command to its end, with this on its stdin.
pub async fn piped(mut command: Command, input: &str) -> Outcome<Output> {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = process.stdin.take().ok_or("no stdin")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    Ok(process.wait_with_output().await?)
}
