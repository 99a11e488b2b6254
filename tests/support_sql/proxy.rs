//! A proxy in front of a PostgreSQL that listens to what is said, in the clear, and fails at a chosen word.

// Every test program uses its part of this.
#![allow(dead_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// What the proxy does when it sees a text go by to the server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Then {
    /// Hands it on and cuts the connection, so that no answer comes.
    HandOnAndCut,
    /// Cuts the connection.
    Cut,
    /// Hands it on, and nothing after that in either direction.
    HandOnAndStall,
    /// Hands on nothing any more.
    Stall,
    /// Cuts the connection, and hands it on so much later.
    CutAndHandOnLate(Duration),
    /// Hands it on, and cuts the connection after so many bytes of the answer.
    HandOnAndCutAnswer(usize),
}

/// How long the server has for what was handed on without its answer getting through.
const TO_ACT: Duration = Duration::from_millis(300);

#[derive(Debug, Clone, Copy)]
struct Plan {
    text: &'static str,
    then: Then,
}

/// A proxy. It hands on everything until it is told otherwise.
pub struct Proxy {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    plan: watch::Sender<Option<Plan>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// A proxy for the server that listens on this port.
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (plan, planned) = watch::channel(None);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, server, planned.clone()));
            }
        });
        Self {
            port,
            plan,
            accepting,
        }
    }

    /// From now on this happens whenever the text goes by.
    pub fn when(&self, text: &'static str, then: Then) {
        self.plan.send_replace(Some(Plan { text, then }));
    }

    /// From now on everything is handed on.
    pub fn harmless(&self) {
        self.plan.send_replace(None);
    }
}

/// A connection, both of its sides.
struct Relay {
    from_client: OwnedReadHalf,
    to_server: OwnedWriteHalf,
    /// How many bytes of what the server says still get through.
    left: Arc<AtomicUsize>,
    /// Ends the client's side alone.
    hang_up: Arc<Notify>,
    back: tokio::task::JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.back.abort();
    }
}

async fn relay(client: TcpStream, server: u16, planned: watch::Receiver<Option<Plan>>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let left = Arc::new(AtomicUsize::new(usize::MAX));
    let hang_up = Arc::new(Notify::new());
    let mut relay = Relay {
        from_client,
        to_server,
        back: tokio::spawn(answers(
            from_server,
            to_client,
            Arc::clone(&left),
            Arc::clone(&hang_up),
        )),
        hang_up,
        left,
    };
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = relay.from_client.read(&mut buffer).await {
        let said = &buffer[..read];
        let plan = *planned.borrow();
        match plan.filter(|plan| contains(said, plan.text)) {
            Some(plan) => return fail(relay, plan.then, said).await,
            None if relay.to_server.write_all(said).await.is_err() => return,
            None => {}
        }
    }
}

/// Hands on what the server says, until it hangs up or is told to.
async fn answers(
    mut from_server: OwnedReadHalf,
    mut to_client: OwnedWriteHalf,
    left: Arc<AtomicUsize>,
    hang_up: Arc<Notify>,
) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = tokio::select! {
            read = from_server.read(&mut buffer) => read,
            () = hang_up.notified() => {
                drop(to_client);
                return std::future::pending().await;
            }
        };
        let Ok(read @ 1..) = read else { return };
        let through = read.min(left.load(Ordering::SeqCst));
        if to_client.write_all(&buffer[..through]).await.is_err() {
            return;
        }
        let less = |left: usize| Some(left.saturating_sub(through));
        let _ = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
    }
}

async fn fail(mut relay: Relay, then: Then, said: &[u8]) {
    relay.left.store(0, Ordering::SeqCst);
    match then {
        Then::Cut => {}
        Then::Stall => std::future::pending().await,
        Then::HandOnAndCut => {
            let _ = relay.to_server.write_all(said).await;
            tokio::time::sleep(TO_ACT).await;
        }
        Then::HandOnAndStall => {
            let _ = relay.to_server.write_all(said).await;
            std::future::pending().await
        }
        Then::CutAndHandOnLate(later) => {
            // To the client it looks cut, as what it sends and hears ends here.
            relay.hang_up.notify_one();
            tokio::time::sleep(later).await;
            let _ = relay.to_server.write_all(said).await;
            tokio::time::sleep(TO_ACT).await;
        }
        Then::HandOnAndCutAnswer(bytes) => {
            relay.left.store(bytes, Ordering::SeqCst);
            let _ = relay.to_server.write_all(said).await;
            tokio::time::sleep(TO_ACT).await;
        }
    }
}

fn contains(said: &[u8], text: &str) -> bool {
    said.windows(text.len()).any(|part| part == text.as_bytes())
}
