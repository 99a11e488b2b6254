//! The operator's binary.

use std::process::ExitCode;

use clap::Parser;
use pguser_operator::cli::Cli;

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
