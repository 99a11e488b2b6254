//! Asking before something is done to many, or cannot be taken back.

use std::io::{BufRead, IsTerminal};

use super::failure::Failure;
use super::output::note;

/// Asks a person, unless the command line has said yes already.
pub fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "{question}: nobody is there to ask; say --yes on the command line"
        )));
    }
    note(&format!("{question}? [y/N]"));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        true => Ok(()),
        false => Err(Failure::Other("nothing was done".to_string())),
    }
}
