//! Reads the body of a request up to a bound, or throws it away.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::EXPECT;
use hyper::http::request::Parts;

use super::edge::Arrival;

/// The largest body of an order.
pub(super) const ORDER_MAX: usize = 8 << 10;
/// What is read and thrown away at most after a refusal; beyond that the connection ends.
pub(super) const DRAIN_MAX: usize = 64 << 10;

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

/// Whether the head alone says that the body is above the bound.
pub(super) fn is_too_large(body: &Incoming, max: usize) -> bool {
    body.size_hint().lower() > max as u64
}

/// The whole body. How long it may take is held at the edge.
pub(super) async fn read(
    mut body: Incoming,
    max: usize,
    arrival: &Arrival,
) -> Result<Bytes, BadBody> {
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|_| if arrival.is_slow() { BadBody::Slow } else { BadBody::Broken })?;
        let Ok(data) = frame.into_data() else { continue };
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

/// Throws the body away of a request that is answered by its head. The answer does not wait for it: what is
/// still on its way is read behind the answer, if it is little enough; else the connection ends with the answer.
pub(super) fn discard(head: &Parts, body: Incoming, arrival: &Arrival) {
    // One that came whole in one piece is thrown away by hyper. One that the client asks leave for is not sent any
    // more.
    let chunked = body.size_hint().exact().is_none();
    if head.headers.contains_key(EXPECT) || (arrival.is_complete() && !chunked) {
        return;
    }
    if arrival.is_complete()
        || body.size_hint().upper().is_some_and(|length| length <= DRAIN_MAX as u64)
    {
        arrival.drains();
        tokio::spawn(drain(body));
    }
}

async fn drain(mut body: Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}
