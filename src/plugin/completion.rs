//! Completion: for a shell that calls `kubectl-pguser`, and for kubectl, which asks `kubectl_complete-pguser`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::engine::{self, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use kube::ResourceExt;
use kube::api::ListParams;

use super::cluster::Flags;
use super::failure::Failure;
use super::output::say;
use super::{Cli, CommandOutcome};

/// The variable by which a shell's script asks for candidates.
const VARIABLE: &str = "KUBECTL_PGUSER_COMPLETE";
/// How long names may take: nobody waits for a key press.
const PATIENCE: Duration = Duration::from_secs(3);
/// What kubectl and cobra make of it: no file names.
const NO_FILES: &str = ":4";

/// The command that prints a shell's script.
#[derive(Debug, Args)]
pub struct Completion {
    /// Which shell; or kubectl, for `kubectl pguser` itself.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// For `kubectl-pguser` in bash.
    Bash,
    /// For `kubectl-pguser` in zsh.
    Zsh,
    /// For `kubectl-pguser` in fish.
    Fish,
    /// The script `kubectl_complete-pguser`, for `kubectl pguser` in every shell that kubectl completes in.
    Kubectl,
}

/// The command that kubectl's script calls.
#[derive(Debug, Args)]
pub struct Complete {
    /// What was typed after `kubectl pguser`; the last word is to be completed.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

const KUBECTL_SCRIPT: &str = "#!/bin/sh\n\
    # kubectl calls this for `kubectl pguser …<TAB>`. Put it on PATH as kubectl_complete-pguser, and make it executable.\n\
    exec kubectl-pguser __complete \"$@\"\n";

/// Answers the script of a shell, if that is who calls, and ends the process.
pub fn complete_for_shell() {
    CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .bin("kubectl-pguser")
        .complete();
}

impl Completion {
    /// Runs it.
    pub fn run(self) -> Result<CommandOutcome, Failure> {
        let name = match self.shell {
            Shell::Kubectl => {
                say(KUBECTL_SCRIPT);
                return Ok(CommandOutcome::Yes);
            }
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
        };
        let mut script = Vec::new();
        let written = Shells::builtins().completer(name).map(|shell| {
            shell.write_registration(
                VARIABLE,
                "kubectl-pguser",
                "kubectl-pguser",
                "kubectl-pguser",
                &mut script,
            )
        });
        match written {
            Some(Ok(())) => say(&String::from_utf8_lossy(&script)),
            Some(Err(error)) => return Err(Failure::Other(format!("write the script: {error}"))),
            None => return Err(Failure::Other(format!("nothing completes in {name}"))),
        }
        Ok(CommandOutcome::Yes)
    }
}

impl Complete {
    /// Runs it.
    pub fn run(self) -> Result<CommandOutcome, Failure> {
        let mut words = vec![OsString::from("kubectl-pguser")];
        words.extend(self.words);
        if words.len() == 1 {
            words.push(OsString::new());
        }
        let last = words.len() - 1;
        let asks_for_flags = words[last].to_string_lossy().starts_with('-');
        let candidates = engine::complete(&mut Cli::command(), words, last, None)
            .map_err(|error| Failure::Other(format!("complete: {error}")))?;
        // Flags would hide the names: they are offered to who begins one.
        let fitting = candidates
            .iter()
            .filter(|it| asks_for_flags || !it.get_value().to_string_lossy().starts_with('-'));
        let lines = fitting.map(|candidate| {
            let help = candidate
                .get_help()
                .map(|help| format!("\t{help}"))
                .unwrap_or_default();
            format!(
                "{}{}\n",
                candidate.get_value().to_string_lossy(),
                help.replace('\n', " ")
            )
        });
        say(&format!("{}{NO_FILES}\n", lines.collect::<String>()));
        Ok(CommandOutcome::Yes)
    }
}

/// The names of PostgresUsers that begin like this. Nothing is said of what goes wrong: the line is not finished yet.
pub fn users(begun: &OsStr) -> Vec<CompletionCandidate> {
    let Some(begun) = begun.to_str() else {
        return Vec::new();
    };
    let (kind, begun) = match begun.split_once('/') {
        Some((kind, name)) => (format!("{kind}/"), name),
        None => (String::new(), begun),
    };
    let flags = typed_flags(std::env::args_os().collect());
    // A completer is called from within a runtime, or from none: it gets a thread with one of its own.
    let names = std::thread::spawn(move || names(&flags))
        .join()
        .unwrap_or_default();
    let fitting = names.into_iter().filter(|name| name.starts_with(begun));
    fitting
        .map(|name| CompletionCandidate::new(format!("{kind}{name}")))
        .collect()
}

/// The flags for the cluster among the words that are being completed. Those are unfinished, so nothing is parsed.
fn typed_flags(words: Vec<OsString>) -> Flags {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    Flags {
        kubeconfig: typed(&words, "--kubeconfig").map(PathBuf::from),
        context: typed(&words, "--context"),
        cluster: typed(&words, "--cluster"),
        user: typed(&words, "--user"),
        as_user: typed(&words, "--as"),
        as_group: all_typed(&words, "--as-group"),
        request_timeout: None,
        namespace: typed(&words, "--namespace").or_else(|| typed(&words, "-n")),
    }
}

/// The value of a flag, in the next word or in the same.
fn typed(words: &[String], flag: &str) -> Option<String> {
    all_typed(words, flag).into_iter().next()
}

/// The same of a flag that may be given more than once.
fn all_typed(words: &[String], flag: &str) -> Vec<String> {
    let next = words.windows(2).filter(|pair| pair[0] == flag);
    let next = next.map(|pair| pair[1].clone());
    let values = words.iter().filter_map(|word| word.strip_prefix(flag));
    let same = values.filter_map(|rest| rest.strip_prefix('='));
    next.chain(same.map(str::to_string)).collect()
}

fn names(flags: &Flags) -> Vec<String> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let listing = async {
        let cluster = flags.connect().await.ok()?;
        let users = cluster.users_by_metadata(&cluster.namespace);
        let list = users.list(&ListParams::default()).await.ok()?;
        Some(list.iter().map(ResourceExt::name_any).collect())
    };
    let listed = runtime.block_on(async { tokio::time::timeout(PATIENCE, listing).await });
    listed.ok().flatten().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Flags {
        typed_flags(line.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn the_namespace_is_found_wherever_it_was_typed() {
        for line in [
            "kubectl-pguser __complete -n shop rotate ch",
            "kubectl-pguser __complete rotate --wait -n shop ch",
            "kubectl-pguser -- kubectl-pguser rotate --namespace=shop ch",
            "kubectl-pguser __complete rotate --timeout 5m --namespace shop ch",
        ] {
            assert_eq!(flags(line).namespace.as_deref(), Some("shop"), "{line}");
        }
        assert_eq!(flags("kubectl-pguser __complete rotate ch").namespace, None);
        let said = flags("kubectl-pguser __complete --as me --as-group a --as-group=b rotate ch");
        assert_eq!(
            (said.as_user.as_deref(), said.as_group),
            (Some("me"), vec!["a".to_string(), "b".to_string()])
        );
    }

    #[test]
    fn commands_are_completed() {
        let words = ["kubectl-pguser", "ro"].map(OsString::from).to_vec();
        let found = engine::complete(&mut Cli::command(), words, 1, None).unwrap();
        let values: Vec<_> = found
            .iter()
            .map(|it| it.get_value().to_string_lossy().into_owned())
            .collect();
        assert_eq!(values, ["rotate"]);
    }
}
