//! Faults of the shop, which can be planned anew while it runs.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use serde::{Deserialize, Serialize};

/// A body of any of the kinds below.
pub(super) type AnyBody = UnsyncBoxBody<Bytes, io::Error>;

/// Between two bytes of a body that drips.
const DRIP: Duration = Duration::from_millis(100);

/// What is done to order calls. Each is done to all of them but where it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// This status is answered, and nothing is done.
    pub status: Option<u16>,
    /// `Retry-After` of such an answer.
    pub retry_after: Option<String>,
    /// `Location` of such an answer.
    pub location: Option<String>,
    /// What an answer holds in place of the order's number, after the order was taken.
    pub body: Body,
    /// So many of a hundred orders are taken, and then their connection is closed without an answer.
    pub drop_percent: u64,
    /// How long each answer takes.
    pub delay_ms: u64,
    /// Questions (`GET /internal/orders/{ticket}`) are answered by `status` and `delay_ms` too.
    pub questions_too: bool,
}

/// What an answer holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// What belongs there.
    #[default]
    Good,
    /// Nothing.
    Empty,
    /// Half of a JSON document.
    Garbage,
    /// A number that is none.
    WrongType,
    /// It never ends, as fast as it is read.
    Endless,
    /// A byte now and then, for ever.
    Drip,
}

impl Body {
    /// The body that is sent where this one belongs.
    pub(super) fn of(self, good: &str) -> AnyBody {
        let text = match self {
            Self::Good => good.to_owned(),
            Self::Empty => String::new(),
            Self::Garbage => "{\"order_no\":\"S-".to_owned(),
            Self::WrongType => "{\"order_no\":[true]}".to_owned(),
            Self::Endless => return forever(None, Bytes::from(vec![b' '; 16 << 10])),
            Self::Drip => return forever(Some(DRIP), Bytes::from_static(b" ")),
        };
        Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync()
    }
}

fn forever(pause: Option<Duration>, piece: Bytes) -> AnyBody {
    let pieces = stream::unfold(piece, move |piece| async move {
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None => tokio::task::yield_now().await,
        }
        Some((Ok(Frame::data(piece.clone())), piece))
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// The faults that are planned.
#[derive(Debug, Default)]
pub(super) struct Plan {
    faults: Mutex<Faults>,
    /// Orders whose connection might have been closed so far.
    counted: AtomicU64,
}

impl Plan {
    pub(super) fn plan(&self, faults: Faults) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    pub(super) fn now(&self) -> Faults {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the next order is one of those that are dropped: evenly spread, so that few orders suffice to see it.
    pub(super) fn drops(&self, percent: u64) -> bool {
        percent > 0 && (self.counted.fetch_add(1, Ordering::Relaxed) * percent) % 100 < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_kept() {
        let plan = Plan::default();
        for percent in [0, 10, 33, 100] {
            let dropped = (0..100).filter(|_| plan.drops(percent)).count();
            assert_eq!(dropped as u64, percent);
        }
    }
}
