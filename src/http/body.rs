//! Reads the body of a request up to a bound, in bounded time.

use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

/// The largest body of an order.
pub(super) const ORDER_MAX: usize = 8 << 10;
/// What is read and thrown away at most after a refusal; beyond that the connection ends.
const DRAIN_MAX: usize = 64 << 10;

/// A body could not be read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadBody {
    /// Above the bound.
    TooLarge,
    /// Not within the time.
    Slow,
    /// The framing is broken, or the client went away.
    Broken,
}

/// The whole body.
pub(super) async fn read(body: Incoming, max: usize, within: Duration) -> Result<Bytes, BadBody> {
    if body.size_hint().lower() > max as u64 {
        return Err(BadBody::TooLarge);
    }
    bounded(within, collect(body, max)).await.unwrap_or(Err(BadBody::Slow))
}

/// Reads within a time, `None` beyond it. A body that came with its head is handed over when it is asked for a
/// second time; only one that did not is worth a timer.
async fn bounded<T>(within: Duration, reading: impl Future<Output = T>) -> Option<T> {
    let mut reading = std::pin::pin!(reading);
    let mut asked = false;
    let at_once = std::future::poll_fn(|context| match reading.as_mut().poll(context) {
        Poll::Ready(read) => Poll::Ready(Some(read)),
        Poll::Pending if !asked => {
            asked = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending => Poll::Ready(None),
    });
    match at_once.await {
        Some(read) => Some(read),
        None => tokio::time::timeout(within, reading).await.ok(),
    }
}

async fn collect(mut body: Incoming, max: usize) -> Result<Bytes, BadBody> {
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BadBody::Broken)?.into_data() else { continue };
        let so_far = rest.as_ref().map_or(first.len(), BytesMut::len);
        if so_far + data.len() > max {
            return Err(BadBody::TooLarge);
        }
        match &mut rest {
            // The usual body comes in one piece and is not copied.
            None if first.is_empty() => first = data,
            None => {
                let mut joined = BytesMut::with_capacity(max);
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&data);
                rest = Some(joined);
            }
            Some(joined) => joined.extend_from_slice(&data),
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}

/// Throws the body of a refused request away. `false`: too much of it is left, the connection must end.
pub(super) async fn drain(mut body: Incoming, within: Duration) -> bool {
    if body.is_end_stream() {
        return true;
    }
    if body.size_hint().lower() > DRAIN_MAX as u64 {
        return false;
    }
    let all = async {
        let mut left = DRAIN_MAX;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            let Some(now) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else {
                return false;
            };
            left = now;
        }
        true
    };
    bounded(within, all).await.unwrap_or(false)
}
