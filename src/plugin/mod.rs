//! `kubectl pguser`: what people ask of PostgresUsers, with their own rights.
//!
//! One module per command; `cluster` is the way to Kubernetes, `failure` has what goes wrong, `output` what is printed.
//! Nothing here needs the operator's namespace but `orphans` and `release --orphan`, which are for administrators.

mod adopt;
mod adoptable;
mod cluster;
mod completion;
mod connect;
mod credentials;
mod diff;
mod explain_delete;
mod failure;
mod journals;
mod kubeconfig;
mod orphans;
mod output;
mod prompt;
mod proxy;
mod release;
mod rotate;
mod status;
mod verify;
mod wait;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::cluster::Flags;
use self::failure::Failure;

/// How a command ends, if it could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CommandOutcome {
    /// It is as it should be: exit code 0.
    Yes,
    /// It is not, or not yet: exit code 1.
    No,
}

impl From<bool> for CommandOutcome {
    fn from(good: bool) -> Self {
        if good {
            CommandOutcome::Yes
        } else {
            CommandOutcome::No
        }
    }
}

/// Looks after PostgresUsers: the PostgreSQL logins that pguser-operator makes.
///
/// Exit codes: 0 all is as it should be; 1 it is not, or not yet; 2 the command line is wrong; 3 it could not be done or
/// told. `connect` ends as psql does.
#[derive(Debug, Parser)]
#[command(name = "kubectl-pguser", bin_name = "kubectl pguser", version)]
pub struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show which users are ready, and why the others are not.
    Status(status::Status),
    /// Ask for new passwords.
    Rotate(rotate::Rotate),
    /// Log in from here, with exactly what a user's Secret says.
    Verify(verify::Verify),
    /// Open psql as a user.
    Connect(connect::Connect),
    /// Show what the operator would do now, or what a manifest would change.
    Diff(diff::Diff),
    /// Take over a login that exists on the server.
    Adopt(adopt::Adopt),
    /// List logins that belong to no PostgresUser.
    Orphans(orphans::Orphans),
    /// Say what a deletion waits for, or would do.
    ExplainDelete(explain_delete::ExplainDelete),
    /// Delete PostgresUsers, and leave their logins and Secrets as they are.
    Release(release::Release),
    /// Print what makes a shell complete this command.
    Completion(completion::Completion),
    /// Complete a command line for kubectl.
    #[command(name = "__complete", hide = true)]
    Complete(completion::Complete),
}

/// Runs the plugin as the command line says.
pub fn main() -> ExitCode {
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("kubectl-pguser: a TLS provider was installed already");
        return ExitCode::from(failure::COULD_NOT);
    }
    completion::complete_for_shell();
    let words: Vec<OsString> = std::env::args_os().collect();
    let outcome = runtime().and_then(|runtime| runtime.block_on(Cli::parse_from(words).run()));
    match outcome {
        Ok(CommandOutcome::Yes) => ExitCode::SUCCESS,
        Ok(CommandOutcome::No) => ExitCode::from(failure::NOT_SO),
        Err(failure) => {
            eprintln!("kubectl-pguser: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("start the runtime: {error}")))
}

impl Cli {
    async fn run(self) -> Result<CommandOutcome, Failure> {
        let flags = &self.flags;
        match self.command {
            Command::Status(command) => command.run(&flags.connect().await?).await,
            Command::Rotate(command) => command.run(&flags.connect().await?).await,
            Command::Verify(command) => command.run(&flags.connect().await?).await,
            Command::Connect(command) => command.run(&flags.connect().await?).await,
            Command::Diff(command) => command.run(&flags.connect().await?).await,
            Command::Adopt(command) => command.run(&flags.connect().await?).await,
            Command::Orphans(command) => command.run(&flags.connect().await?).await,
            Command::ExplainDelete(command) => command.run(&flags.connect().await?).await,
            Command::Release(command) => command.run(&flags.connect().await?).await,
            Command::Completion(command) => command.run(),
            Command::Complete(command) => command.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
