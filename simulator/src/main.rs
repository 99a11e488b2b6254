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
    let (mut listeners, mut lines) = (Vec::new(), String::new());
    for address in [&[cli.listen], cli.also_listen.as_slice()].concat() {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "not a loopback address: anyone who reaches it can use /_sim/");
        }
        listeners.push(listener);
        lines.push_str(&format!("listening on http://{address}\n"));
    }
    let sim = Arc::new(Sim::start(cli).await?);
    tokio::spawn(settle::settle_for_ever(sim.clone()));
    // In one go: whoever started it may read no further than the first line.
    let mut stdout = std::io::stdout();
    stdout.write_all(lines.as_bytes())?;
    stdout.flush()?;
    let serving = listeners
        .into_iter()
        .map(|listener| server::serve(listener, sim.clone()));
    tokio::select! {
        _ = futures::future::join_all(serving) => {}
        _ = terminate.recv() => tracing::info!("terminated"),
        _ = tokio::signal::ctrl_c() => tracing::info!("interrupted"),
    }
    Ok(())
}
