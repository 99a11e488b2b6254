//! The operator's binary.

use std::process::ExitCode;

use clap::Parser;
use pguser_operator::cli::Cli;

/// With thousands of users, what a burst has used for a while is a third of what the process would have in memory for good: this
/// allocator gives it back at once, as `.cargo/config.toml` asks it to.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("pguser-operator: a TLS provider was installed already");
        return ExitCode::FAILURE;
    }
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pguser-operator: {error}");
            ExitCode::FAILURE
        }
    }
}
