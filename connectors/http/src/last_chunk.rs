//! A request body that asks before it hands over its last byte.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hub_core::{Attempt, SendError};
use hyper::body::{Body, Frame, SizeHint};

/// The body of one attempt. Its last byte is handed over only after [`Attempt::cross`]: until then the receiver has an
/// unfinished request (its length is announced) and cannot act.
pub(crate) struct LastChunk {
    head: Bytes,
    last: Bytes,
    /// The head gets one chance to reach the socket before the crossing, so that a dead connection shows first.
    flushed: bool,
    attempt: Attempt,
    refusal: Refusal,
}

/// Where a refused crossing is noted, for whoever sees the request fail.
#[derive(Clone, Default)]
pub(crate) struct Refusal(Arc<Mutex<Option<SendError>>>);

impl Refusal {
    pub(crate) fn take(&self) -> Option<SendError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, error: SendError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

impl LastChunk {
    /// `bytes` must not be empty: a request without a body crosses with its headers.
    pub(crate) fn new(bytes: &Bytes, attempt: Attempt) -> (Self, Refusal) {
        let (refusal, at) = (Refusal::default(), bytes.len().saturating_sub(1));
        let (head, last) = (bytes.slice(..at), bytes.slice(at..));
        (Self { head, last, flushed: false, attempt, refusal: refusal.clone() }, refusal)
    }
}

impl Body for LastChunk {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if !self.head.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.head)))));
        }
        if self.last.is_empty() {
            return Poll::Ready(None);
        }
        if !std::mem::replace(&mut self.flushed, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Err(error) = self.attempt.cross() {
            self.refusal.put(error);
            return Poll::Ready(Some(Err(io::Error::other("the attempt may not cross"))));
        }
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.last)))))
    }

    fn is_end_stream(&self) -> bool {
        self.head.is_empty() && self.last.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.head.len() + self.last.len()) as u64)
    }
}
