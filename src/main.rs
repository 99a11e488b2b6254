//! The operator's binary.

use std::process::ExitCode;

use clap::Parser;
use pguser_operator::cli::Cli;

/// Gives back what a burst took: with the system's allocator the memory of a thousand users who came at once stays with
/// the process.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider()
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
