//! A server that answers by script, byte for byte, and remembers what it was sent.

// Every test program uses its part of this.
#![allow(dead_code)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What happens to one request.
#[derive(Debug, Clone)]
pub enum Act {
    /// These bytes, as they are, and then the connection is closed.
    Say(Vec<u8>),
    /// The same after a while.
    SayAfter(Duration, Vec<u8>),
    /// The connection is closed without a word.
    Drop,
    /// Nothing, for ever.
    Hang,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Method and target, as on the wire: `GET /a%2Fb`.
    pub line: String,
    pub head: String,
    pub body: String,
}

pub struct Script {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<u32>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Script {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Script {
    /// A server that goes through these acts, one a request, and hangs up on whatever comes after.
    pub async fn start(acts: Vec<Act>) -> Self {
        Self::start_with(acts, None).await
    }

    /// The same over TLS.
    pub async fn start_tls(acts: Vec<Act>, tls: TlsAcceptor) -> Self {
        Self::start_with(acts, Some(tls)).await
    }

    async fn start_with(acts: Vec<Act>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(Mutex::new(0));
        let acts = Arc::new(Mutex::new(acts.into_iter()));
        let task = tokio::spawn({
            let (seen, connections) = (Arc::clone(&seen), Arc::clone(&connections));
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    *connections.lock().unwrap() += 1;
                    let (seen, acts, tls) = (Arc::clone(&seen), Arc::clone(&acts), tls.clone());
                    tokio::spawn(async move {
                        let _ = match tls {
                            None => serve(stream, seen, acts).await,
                            Some(tls) => match tls.accept(stream).await {
                                Ok(stream) => serve(stream, seen, acts).await,
                                Err(error) => Err(error),
                            },
                        };
                    });
                }
            }
        });
        Self {
            address,
            seen,
            connections,
            task,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All whole requests, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    pub fn connections(&self) -> u32 {
        *self.connections.lock().unwrap()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: Arc<Mutex<Vec<Seen>>>,
    acts: Arc<Mutex<std::vec::IntoIter<Act>>>,
) -> std::io::Result<()> {
    let Some(request) = read_request(&mut stream).await? else {
        return Ok(());
    };
    seen.lock().unwrap().push(request);
    let act = acts.lock().unwrap().next().unwrap_or(Act::Drop);
    match act {
        Act::Say(bytes) => stream.write_all(&bytes).await?,
        Act::SayAfter(delay, bytes) => {
            tokio::time::sleep(delay).await;
            stream.write_all(&bytes).await?;
        }
        Act::Drop => return Ok(()),
        Act::Hang => std::future::pending().await,
    }
    stream.shutdown().await
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<Seen>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length:")?
                        .trim()
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                let line = head.lines().next().unwrap_or_default();
                return Ok(Some(Seen {
                    line: line.trim_end_matches(" HTTP/1.1").to_string(),
                    body: String::from_utf8_lossy(&bytes[end + 4..]).into_owned(),
                    head,
                }));
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

/// An answer with a body, and with whatever headers.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    // It hangs up afterwards: who is not told may send the next request into that.
    let mut text = format!(
        "HTTP/1.1 {status} Whatever\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{text}\r\n{body}").into_bytes()
}

pub fn json(status: u16, body: &str) -> Act {
    Act::Say(answer(
        status,
        &[
            ("content-type", "application/json"),
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ],
        body,
    ))
}
