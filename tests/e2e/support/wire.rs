//! The way to a PostgreSQL, which can be cut while the server itself stays up.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use super::Outcome;

/// Passes on what comes to its port. What is said is between the two ends, by TLS.
pub struct Wire {
    to: u16,
    address: SocketAddr,
    listening: Mutex<Option<JoinHandle<()>>>,
    connections: Arc<AtomicUsize>,
    /// Moves when all connections are to end.
    cuts: watch::Sender<u32>,
}

impl Wire {
    /// One to a port of this machine.
    pub async fn start(to: u16) -> Outcome<Wire> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let wire = Wire {
            to,
            address: listener.local_addr()?,
            listening: Mutex::default(),
            connections: Arc::default(),
            cuts: watch::Sender::default(),
        };
        wire.listen(listener);
        Ok(wire)
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Ends all connections; new ones are welcome.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Ends all connections, and takes no more.
    pub fn stop(&self) {
        if let Some(listening) = self.listening.lock().unwrap().take() {
            listening.abort();
        }
        self.cut();
    }

    /// Takes connections again.
    pub async fn start_again(&self) -> Outcome {
        self.listen(TcpListener::bind(self.address).await?);
        Ok(())
    }

    fn listen(&self, listener: TcpListener) {
        let (to, cuts, connections) = (self.to, self.cuts.clone(), self.connections.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(pass_on(client, to, cuts.subscribe()));
            }
        });
        *self.listening.lock().unwrap() = Some(task);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn pass_on(mut client: TcpStream, to: u16, mut cuts: watch::Receiver<u32>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", to)).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = cuts.changed() => {}
    }
}
