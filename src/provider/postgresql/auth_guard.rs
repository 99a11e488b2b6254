//! A connection's reading side: it bounds what a server may say, and hears how it asks for the password.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::provider::memory::{Memory, NO_ROOM, Share};

/// The most that a server may say in answer to one call: a list of some hundred thousand roles.
const MOST_READ: u64 = 64 << 20;

/// The server asks for the password in a way that would give it away, or for none where it has to be tried.
#[derive(Debug, Clone, Copy, Error)]
#[error("the server asks for the password itself")]
pub(in crate::provider) struct AsksForPassword;

/// The server says more than anything that was asked could take.
#[derive(Debug, Clone, Copy, Error)]
#[error("the server says too much")]
pub(in crate::provider) struct SaysTooMuch;

/// There is no room for what the server says beside what others say.
#[derive(Debug, Clone, Copy, Error)]
#[error("{NO_ROOM}")]
pub(super) struct NoRoom;

/// What any server may say in answer to one call, however much others do: more than anything but a list takes.
const ALWAYS: u64 = 1 << 20;

/// How much may still be read.
#[derive(Debug)]
pub(in crate::provider) struct Budget {
    left: AtomicU64,
    /// What this call takes of what all may take together.
    room: Mutex<Share>,
}

impl Budget {
    pub(in crate::provider) fn new(reading: &Memory) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicU64::new(MOST_READ),
            room: Mutex::new(reading.share()),
        })
    }

    /// A new call has all of it, and what the last one said is not kept.
    pub(in crate::provider) fn renew(&self) {
        self.left.store(MOST_READ, Ordering::Relaxed);
        self.room.lock().unwrap_or_else(PoisonError::into_inner).set(0);
    }

    fn spend(&self, bytes: usize) -> io::Result<()> {
        self.count(bytes as u64)?;
        if MOST_READ - self.left.load(Ordering::Relaxed) <= ALWAYS {
            return Ok(());
        }
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        match room.grow(bytes) {
            true => Ok(()),
            false => Err(io::Error::other(NoRoom)),
        }
    }

    fn count(&self, bytes: u64) -> io::Result<()> {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            })
            .map(|_| ())
            .map_err(|_| io::Error::other(SaysTooMuch))
    }
}

/// How long the message is that asks for a password, up to its kind of asking.
const HEAD: usize = 9;

/// The server's first message: it either asks for the password or says why not.
#[derive(Debug)]
enum First {
    /// Not all there yet.
    Awaited { head: [u8; HEAD], filled: usize },
    /// Good; these bytes are to be handed on.
    Good { head: [u8; HEAD], filled: usize },
    /// Handed on, or of no interest.
    Past,
}

/// A reader that is on its guard.
#[derive(Debug)]
pub(in crate::provider) struct AuthGuard<R> {
    inner: R,
    budget: Arc<Budget>,
    first: First,
    /// Whether a server may ask for no password at all.
    may_ask_for_none: bool,
}

impl<R> AuthGuard<R> {
    /// Only counts: under TLS nothing can be heard here.
    pub(in crate::provider) fn counting(inner: R, budget: Arc<Budget>) -> Self {
        Self {
            inner,
            budget,
            first: First::Past,
            may_ask_for_none: true,
        }
    }

    /// Counts, and fails instead of letting the client hear that it should send the password in the clear or as
    /// an MD5 hash, which is as good as the password to whoever listens.
    pub(in crate::provider) fn listening(inner: R, budget: Arc<Budget>) -> Self {
        let first = First::Awaited {
            head: [0; HEAD],
            filled: 0,
        };
        Self {
            inner,
            budget,
            first,
            may_ask_for_none: true,
        }
    }

    /// The same, and fails as well where no password is asked for: that would say nothing of it.
    pub(in crate::provider) fn insisting(inner: R, budget: Arc<Budget>) -> Self {
        Self {
            may_ask_for_none: false,
            ..Self::listening(inner, budget)
        }
    }
}

/// Whether a client may hear this: an error, that no password is needed (if it may), or that SCRAM is. None: too early to say.
fn may_be_heard(head: &[u8], or_none: bool) -> Option<bool> {
    match head {
        [] => None,
        [b'E', ..] => Some(true),
        [b'R', _, _, _, _, kind @ ..] if kind.len() < 4 => None,
        [b'R', _, _, _, _, 0, 0, 0, 10] => Some(true),
        [b'R', _, _, _, _, 0, 0, 0, 0] => Some(or_none),
        [b'R', ..] if head.len() < HEAD => None,
        _ => Some(false),
    }
}

impl<R: AsyncRead + Unpin> AuthGuard<R> {
    /// Reads the head of the first message, and judges it.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let First::Awaited { head, filled } = &mut self.first {
            let mut rest = ReadBuf::new(&mut head[*filled..]);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut rest))?;
            let read = rest.filled().len();
            self.budget.spend(read)?;
            *filled += read;
            match may_be_heard(&head[..*filled], self.may_ask_for_none) {
                Some(false) => return Poll::Ready(Err(io::Error::other(AsksForPassword))),
                None if read > 0 => {}
                _ => {
                    let (head, filled) = (*head, *filled);
                    self.first = First::Good { head, filled };
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for AuthGuard<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_first(cx))?;
        if let First::Good { head, filled } = self.first
            && filled > 0
        {
            let some = filled.min(buf.remaining());
            buf.put_slice(&head[..some]);
            let mut rest = [0; HEAD];
            rest[..filled - some].copy_from_slice(&head[some..filled]);
            self.first = First::Good {
                head: rest,
                filled: filled - some,
            };
            return Poll::Ready(Ok(()));
        }
        self.first = First::Past;
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        Poll::Ready(self.budget.spend(buf.filled().len() - before))
    }
}

impl<R: AsyncWrite + Unpin> AsyncWrite for AuthGuard<R> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn heard(said: &[u8]) -> io::Result<Vec<u8>> {
        let mut heard = Vec::new();
        let mut guard = AuthGuard::listening(said, Budget::new(&Memory::new(1)));
        guard.read_to_end(&mut heard).await.map(|_| heard)
    }

    #[tokio::test]
    async fn what_asks_for_no_more_than_scram_is_heard_as_it_was_said() {
        for said in [
            b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0".as_slice(),
            b"R\0\0\0\x08\0\0\0\0S and so on",
            b"E\0\0\0\x05\0",
            b"E",
            b"R\0\0",
            b"",
        ] {
            assert_eq!(heard(said).await.unwrap(), said, "{said:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_asks_for_the_password_is_not_heard() {
        for said in [
            b"R\0\0\0\x08\0\0\0\x03".as_slice(),
            b"R\0\0\0\x0c\0\0\0\x05salt",
            b"R\0\0\0\x08\0\0\0\x07",
            b"R\0\0\0\x08\x01\0\0\0",
            b"N\0\0\0\x05\0R\0\0\0\x08\0\0\0\x03",
        ] {
            assert!(heard(said).await.is_err(), "{said:?}");
        }
    }

    #[tokio::test]
    async fn who_insists_on_a_password_hears_of_nothing_else() {
        for (said, heard) in [
            (b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0".as_slice(), true),
            (b"E\0\0\0\x05\0", true),
            (b"R\0\0\0\x08\0\0\0\0S and so on", false),
            (b"R\0\0\0\x08\0\0\0\x03", false),
        ] {
            let mut guard = AuthGuard::insisting(said, Budget::new(&Memory::new(usize::MAX)));
            let read = guard.read_to_end(&mut Vec::new()).await;
            assert_eq!(read.is_ok(), heard, "{said:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_does_not_stop_is_cut_off() {
        let budget = Budget::new(&Memory::new(usize::MAX));
        let mut endless = AuthGuard::counting(tokio::io::repeat(b'x'), Arc::clone(&budget));
        let mut sink = tokio::io::sink();
        assert!(tokio::io::copy(&mut endless, &mut sink).await.is_err());
        budget.renew();
        assert!(endless.read_u8().await.is_ok());
    }

    #[tokio::test]
    async fn what_one_server_says_takes_no_room_from_another_and_none_once_its_call_is_over() {
        let memory = Memory::new(8 << 20);
        let read = async |bytes: u64, budget: &Arc<Budget>| {
            let said = tokio::io::repeat(b'x').take(bytes);
            let mut guard = AuthGuard::counting(said, Arc::clone(budget));
            tokio::io::copy(&mut guard, &mut tokio::io::sink()).await
        };
        let [greedy, modest] = [(); 2].map(|()| Budget::new(&memory));
        let error = read(32 << 20, &greedy).await.unwrap_err();
        assert!(error.get_ref().is_some_and(|it| it.is::<NoRoom>()), "{error}");
        read(3 << 20, &modest).await.unwrap();
        modest.renew();
        greedy.renew();
        read(7 << 20, &greedy).await.unwrap();
    }
}
