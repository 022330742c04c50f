//! A request body that asks before it hands over its last byte.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hub_core::{Attempt, SendError};
use hub_failpoint::{Point, at as failpoint};
use hyper::body::{Body, Frame, SizeHint};

/// The body of one attempt. Its last byte is handed over only after [`Attempt::cross`]: until then the receiver has an
/// unfinished request (its length is announced) and cannot act.
pub struct LastChunk {
    head: Bytes,
    last: Bytes,
    /// The head gets one chance to reach the socket before the crossing, so that a dead connection shows first.
    flushed: bool,
    attempt: Attempt,
    gate: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    closed: bool,
    refusal: Option<SendError>,
}

/// The sender's hand on a [`LastChunk`]. The body is read by a task of the HTTP client, which may live on after the
/// request's future has ended or was dropped; closing the gate makes sure that it does not cross any more. Dropping the
/// gate closes it, so that a sender that is dropped half-way is judged by a crossing point that stays as it is.
pub struct Gate(Arc<Mutex<State>>);

impl Gate {
    /// From now on the body does not cross. Gives the fence's refusal, if that is why the request failed.
    pub fn close(&self) -> Option<SendError> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        state.refusal.take()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        drop(self.close());
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

impl std::fmt::Debug for LastChunk {
    /// Shows no content.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LastChunk").field("bytes", &(self.head.len() + self.last.len())).finish_non_exhaustive()
    }
}

impl LastChunk {
    /// A body and its gate. `bytes` must not be empty: a request without a body crosses with its headers.
    #[must_use]
    pub fn new(bytes: &Bytes, attempt: Attempt) -> (Self, Gate) {
        let (gate, at) = (Arc::<Mutex<State>>::default(), bytes.len().saturating_sub(1));
        let (head, last) = (bytes.slice(..at), bytes.slice(at..));
        (Self { head, last, flushed: false, attempt, gate: gate.clone() }, Gate(gate))
    }

    /// Crosses, unless the gate is closed or the fence says no; one of both happens first, never half of each.
    fn cross(&self) -> io::Result<()> {
        let mut state = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(io::Error::other("the request has ended before its body"));
        }
        failpoint(Point::HttpCrossing);
        self.attempt.cross().map_err(|refusal| {
            state.refusal = Some(refusal);
            io::Error::other("the attempt may not cross")
        })?;
        failpoint(Point::HttpCrossed);
        Ok(())
    }
}

impl Drop for LastChunk {
    /// The client lets go of a body once it holds all of it.
    fn drop(&mut self) {
        if self.last.is_empty() {
            failpoint(Point::HttpHanded);
        }
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
        if let Err(error) = self.cross() {
            return Poll::Ready(Some(Err(error)));
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use hub_core::Crossing;
    use jiff::Timestamp;

    use super::*;

    fn attempt() -> Attempt {
        let at = Timestamp::UNIX_EPOCH;
        Attempt { key: "k".into(), number: 1, first_at: at, at, crossing: Crossing::unfenced() }
    }

    #[tokio::test]
    async fn it_crosses_with_its_last_byte_and_not_before() {
        let attempt = attempt();
        let (mut body, _gate) = LastChunk::new(&Bytes::from_static(b"abc"), attempt.clone());
        assert_eq!(body.size_hint().exact(), Some(3));
        assert_eq!(&body.frame().await.unwrap().unwrap().into_data().unwrap()[..], b"ab");
        assert!(!attempt.crossing.crossed());
        assert_eq!(&body.frame().await.unwrap().unwrap().into_data().unwrap()[..], b"c");
        assert!(attempt.crossing.crossed() && body.frame().await.is_none());
    }

    #[tokio::test]
    async fn whoever_has_let_go_of_it_is_not_surprised_by_a_late_crossing() {
        for is_dropped in [true, false] {
            let attempt = attempt();
            let (mut body, gate) = LastChunk::new(&Bytes::from_static(b"abc"), attempt.clone());
            let _head = body.frame().await.unwrap().unwrap();
            let _kept = if is_dropped {
                drop(gate);
                None
            } else {
                assert!(gate.close().is_none());
                Some(gate)
            };
            assert!(body.frame().await.unwrap().is_err(), "dropped: {is_dropped}");
            assert!(!attempt.crossing.crossed());
        }
    }
}
