//! A TLS end in front of a simulator that can hold a handshake back.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::case::Case;

/// A relay with the PostgreSQL's certificate, for `localhost`.
pub struct Relay {
    pub port: u16,
    held: watch::Sender<bool>,
    waiting: Arc<watch::Sender<bool>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Relay {
    pub async fn start(case: &Case) -> Self {
        let acceptor = acceptor(case);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = case.stage.simulator.address();
        let (held, holding) = watch::channel(false);
        let waiting = Arc::new(watch::channel(false).0);
        let wait = Arc::clone(&waiting);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, mut holding, wait) = (acceptor.clone(), holding.clone(), Arc::clone(&wait));
                tokio::spawn(async move {
                    if *holding.borrow() {
                        wait.send_replace(true);
                    }
                    let _ = holding.wait_for(|held| !held).await;
                    let mut stream = acceptor.accept(stream).await.ok()?;
                    let mut onwards = TcpStream::connect(address).await.ok()?;
                    tokio::io::copy_bidirectional(&mut stream, &mut onwards)
                        .await
                        .ok()
                });
            }
        });
        Self {
            port,
            held,
            waiting,
            accepting,
        }
    }

    /// Holds back the handshakes of new connections.
    pub fn hold(&self) {
        self.waiting.send_replace(false);
        self.held.send_replace(true);
    }

    /// Lets them go on.
    pub fn release(&self) {
        self.held.send_replace(false);
    }

    /// Waits for a connection that is held back.
    pub async fn somebody_waits(&self) {
        let mut waiting = self.waiting.subscribe();
        waiting.wait_for(|waits| *waits).await.unwrap();
    }
}

fn acceptor(case: &Case) -> TlsAcceptor {
    let folder = case.stage.postgres.ca_file().parent().unwrap().to_path_buf();
    let certificate = CertificateDer::from_pem_file(folder.join("server.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    TlsAcceptor::from(Arc::new(config.unwrap()))
}
