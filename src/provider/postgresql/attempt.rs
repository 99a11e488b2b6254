//! One attempt to connect: to one address, up to being logged in.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::tls::NoTls;
use tokio_postgres::{Client, Config, Connection};

use super::auth_guard::{AuthGuard, Budget};

use super::errors::{Doing, failed, unbindable, undialled, unsecured};
use super::hosts::Address;
use super::target::{Security, Target};
use crate::provider::dial::dial;
use crate::provider::tls::Unsecured;
use crate::provider::{RemoteError, tls};

/// What is connected to, and for which call.
pub(super) struct Attempt<'a> {
    pub(super) target: &'a Target,
    pub(super) operation: &'static str,
    pub(super) address: &'a Address,
    pub(super) database: &'a str,
    /// How long finding an address that takes a connection may take.
    pub(super) time: Duration,
    pub(super) budget: &'a Arc<Budget>,
}

type Stream = tokio::io::Join<AuthGuard<OwnedReadHalf>, OwnedWriteHalf>;

/// The same over TLS.
type Secured = tls::Secured<tokio_rustls::client::TlsStream<Stream>>;

/// A client, and what moves its bytes.
pub(super) type Opened = (Client, BoxFuture<'static, ()>);

impl Attempt<'_> {
    /// Connects and logs in.
    pub(super) async fn open(&self) -> Result<Opened, RemoteError> {
        let (security, binding) = match &self.target.security {
            Security::Clear => return self.open_clear().await,
            Security::Either(tls) | Security::Bound(tls) => (tls, ChannelBinding::Require),
            Security::Verified(tls) => (tls, ChannelBinding::Prefer),
        };
        match (self.secure(security).await?, &self.target.security) {
            (Err(Unsecured::NoTls), Security::Either(_)) => self.open_clear().await,
            (Err(reason), _) => Err(unsecured(self.operation, &reason)),
            (Ok(secured), _) if binding == ChannelBinding::Require && !secured.is_bindable() => {
                Err(unbindable(self.operation))
            }
            (Ok(secured), _) => self.open_tls(secured, binding).await,
        }
    }

    async fn secure(&self, tls: &Arc<ClientConfig>) -> Result<Result<Secured, Unsecured>, RemoteError> {
        let stream = self.dial(|read| AuthGuard::counting(read, Arc::clone(self.budget)));
        let stream = stream.await?;
        Ok(tls::secure(Arc::clone(tls), &self.address.host, stream).await)
    }

    async fn open_tls(&self, secured: Secured, binding: ChannelBinding) -> Result<Opened, RemoteError> {
        let mut config = self.config();
        let as_is = tls::as_is(&mut config);
        let opened = config.channel_binding(binding).connect_raw(secured, as_is).await;
        self.opened(opened.map(|(client, connection)| (client, moving(connection))))
    }

    async fn open_clear(&self) -> Result<Opened, RemoteError> {
        let stream = self.dial(|read| AuthGuard::listening(read, Arc::clone(self.budget)));
        let opened = self
            .config()
            .ssl_mode(SslMode::Disable)
            .channel_binding(ChannelBinding::Disable)
            .connect_raw(stream.await?, NoTls)
            .await;
        self.opened(opened.map(|(client, connection)| (client, moving(connection))))
    }

    fn opened(&self, result: Result<Opened, tokio_postgres::Error>) -> Result<Opened, RemoteError> {
        result.map_err(|failure| failed(self.operation, Doing::Connecting, &failure))
    }

    async fn dial(
        &self,
        guard: impl FnOnce(OwnedReadHalf) -> AuthGuard<OwnedReadHalf>,
    ) -> Result<Stream, RemoteError> {
        let Address { host, port } = self.address;
        let stream = dial(&self.target.allow, host, *port, self.time)
            .await
            .map_err(|reason| undialled(self.operation, &reason))?;
        let (read, write) = stream.into_split();
        Ok(tokio::io::join(guard(read), write))
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        config
            .user(&self.target.username)
            .password(self.target.password.reveal())
            .dbname(self.database)
            .application_name("pguser-operator");
        config
    }
}

/// Moves a connection's bytes until it ends. What the server says without being asked is dropped unread.
fn moving<S, T>(mut connection: Connection<S, T>) -> BoxFuture<'static, ()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(async move { while let Some(Ok(_)) = poll_fn(|cx| connection.poll_message(cx)).await {} })
}
