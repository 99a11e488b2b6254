//! TLS on a connection to a PostgreSQL server, before the client library gets to it: only what the certificate is says how a login
//! may go.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

use super::certificate::Certificate;
use super::describe;
use crate::domain::endpoint::Host;

/// Why there is no TLS, in words that hold nothing of what the server said.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(in crate::provider) enum Unsecured {
    /// The server says so.
    #[error("the server does not speak TLS")]
    NoTls,
    /// What is wrong with the handshake or the certificate.
    #[error("{0}")]
    Handshake(String),
}

/// A login that has to be bound to the certificate cannot be.
pub(in crate::provider) const UNBINDABLE: &str = "the server's certificate is signed by an algorithm that has no hash of its own \
    (Ed25519), for which no channel binding is defined (RFC 5929): use sslmode verify-full, or a certificate that is signed with \
    RSA or ECDSA";

/// How PostgreSQL's protocol asks for TLS.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// A stream over TLS.
#[derive(Debug)]
pub(in crate::provider) struct Secured<T> {
    stream: T,
    end_point: Option<Vec<u8>>,
}

/// Asks for TLS, and shakes hands.
pub(in crate::provider) async fn secure<S>(
    config: Arc<ClientConfig>,
    host: &Host,
    mut stream: S,
) -> Result<Secured<tokio_rustls::client::TlsStream<S>>, Unsecured>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&SSL_REQUEST).await.map_err(broken)?;
    // No more than that: whatever somebody in between adds to the answer is no TLS, and ends the handshake.
    if stream.read_u8().await.map_err(broken)? != b'S' {
        return Err(Unsecured::NoTls);
    }
    let stream = TlsConnector::from(config)
        .connect(name(host)?, stream)
        .await
        .map_err(broken)?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let end_point = certificates
        .first()
        .and_then(|der| Certificate::read(der)?.end_point(der));
    Ok(Secured { stream, end_point })
}

fn name(host: &Host) -> Result<ServerName<'static>, Unsecured> {
    match host {
        Host::Ip(ip) => Ok(ServerName::IpAddress((*ip).into())),
        Host::Name(name) => ServerName::try_from(name.clone())
            .map_err(|_| Unsecured::Handshake("the host's name cannot be in a certificate".to_string())),
    }
}

fn broken(error: io::Error) -> Unsecured {
    let closed = matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    );
    Unsecured::Handshake(match describe(&error) {
        Some(reason) => reason.into_owned(),
        None if closed => "the server closed the connection".to_string(),
        None => "the conversation with the server broke off".to_string(),
    })
}

impl<T> Secured<T> {
    /// Whether a login can be bound to the certificate.
    pub(in crate::provider) fn is_bindable(&self) -> bool {
        self.end_point.is_some()
    }

    /// The same, with what is read and written going through something else.
    pub(in crate::provider) fn through<U>(self, wrap: impl FnOnce(T) -> U) -> Secured<U> {
        Secured {
            stream: wrap(self.stream),
            end_point: self.end_point,
        }
    }
}

/// Has the client library take a stream as it is.
pub(in crate::provider) fn as_is(config: &mut Config) -> AsIs {
    config
        .ssl_mode(SslMode::Require)
        .ssl_negotiation(SslNegotiation::Direct);
    AsIs
}

/// A stream that is secured already.
#[derive(Debug)]
pub(in crate::provider) struct AsIs;

impl<T: AsyncRead + AsyncWrite + Unpin> TlsConnect<Secured<T>> for AsIs {
    type Stream = Secured<T>;
    type Error = Infallible;
    type Future = Ready<Result<Secured<T>, Infallible>>;

    fn connect(self, stream: Secured<T>) -> Self::Future {
        ready(Ok(stream))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> TlsStream for Secured<T> {
    fn channel_binding(&self) -> ChannelBinding {
        let end_point = self.end_point.clone();
        end_point.map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Secured<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Secured<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
