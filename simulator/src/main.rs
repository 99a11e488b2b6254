//! A simulator of the users APIs of managed PostgreSQL vendors, on a real PostgreSQL, with faults on demand.

mod admin;
mod answer;
mod api;
mod arrival;
mod auth;
mod cli;
mod clock;
mod faults;
mod history;
mod ionos;
mod journal;
mod outside;
mod ratelimit;
mod roles;
mod route;
mod scalingo;
mod server;
mod settle;
mod sim;
mod switches;
mod users;

use std::{io::Write as _, process::ExitCode, sync::Arc};

use clap::Parser as _;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{cli::Cli, sim::Sim};

#[tokio::main]
async fn main() -> ExitCode {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned());
    // At debug the driver would log statements, and those carry verifiers of passwords.
    let filter = format!("{filter},tokio_postgres=info,postgres_protocol=info");
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), Box<dyn std::error::Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(cli.listen).await?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "not a loopback address: anyone who reaches it can use /_sim/");
    }
    let sim = Arc::new(Sim::start(cli).await?);
    tokio::spawn(settle::settle_for_ever(sim.clone()));
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on http://{address}")?;
    stdout.flush()?;
    tokio::select! {
        () = server::serve(listener, sim) => {}
        _ = terminate.recv() => tracing::info!("terminated"),
        _ = tokio::signal::ctrl_c() => tracing::info!("interrupted"),
    }
    Ok(())
}
