//! What can be done to a connection, to which calls, and how often.

use std::time::Duration;

use super::{Call, Calls};

/// A way over the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Requests,
    /// From the server to the client.
    Replies,
}

/// What becomes of a connection on which a frame was lost. TCP never loses one and delivers the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It stays open, and nothing more comes through in this direction.
    Silence,
    /// It is reset, when all that was before the lost frame is through.
    Reset,
    /// It goes on, as no network does, but a broken proxy: a client that pairs by order gets wrong replies.
    GoOn,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A frame arrives so much later; what follows it waits behind it. A hit is a frame.
    Delay(Direction, Duration),
    /// A request is carried out and its reply is lost. A hit is a reply.
    DropReply(After),
    /// A request never reaches the server. A hit is a request.
    Swallow(After),
    /// RST on both sides after so many bytes in one direction, 0 being instead of the first one. Counted on
    /// each connection from the first chosen frame on; a hit is a connection on which the count has begun.
    ResetAfter(Direction, u64),
    /// From a chosen frame on nothing moves in either direction until the fault is lifted. A hit is a connection.
    Stall,
    /// From a chosen frame on so many bytes a second in each direction. A hit is a connection.
    Slow(u32),
    /// A new connection is reset at once, whatever its calls would be. A hit is a connection.
    Refuse,
    /// A new connection is accepted and never answered in all its life. A hit is a connection.
    Blackhole,
}

/// What is done, to which calls, how often. Without more words: to all, each time.
#[derive(Debug, Clone)]
pub struct Fault {
    pub(super) kind: Kind,
    pub(super) calls: Calls,
    pub(super) times: Option<u64>,
}

impl From<Kind> for Fault {
    fn from(kind: Kind) -> Self {
        Self { kind, calls: Calls::all(), times: None }
    }
}

impl Fault {
    /// [`Kind::Delay`].
    #[must_use]
    pub fn delay(direction: Direction, by: Duration) -> Self {
        Kind::Delay(direction, by).into()
    }

    /// [`Kind::DropReply`].
    #[must_use]
    pub fn drop_reply(after: After) -> Self {
        Kind::DropReply(after).into()
    }

    /// [`Kind::Swallow`].
    #[must_use]
    pub fn swallow(after: After) -> Self {
        Kind::Swallow(after).into()
    }

    /// [`Kind::ResetAfter`].
    #[must_use]
    pub fn reset_after(direction: Direction, bytes: u64) -> Self {
        Kind::ResetAfter(direction, bytes).into()
    }

    /// [`Kind::Stall`].
    #[must_use]
    pub fn stall() -> Self {
        Kind::Stall.into()
    }

    /// [`Kind::Slow`].
    #[must_use]
    pub fn slow(bytes_a_second: u32) -> Self {
        Kind::Slow(bytes_a_second).into()
    }

    /// [`Kind::Refuse`].
    #[must_use]
    pub fn refuse() -> Self {
        Kind::Refuse.into()
    }

    /// [`Kind::Blackhole`].
    #[must_use]
    pub fn blackhole() -> Self {
        Kind::Blackhole.into()
    }

    /// Only to these calls; a reply is of the call that it answers.
    #[must_use]
    pub fn of(self, calls: Calls) -> Self {
        Self { calls, ..self }
    }

    /// Only to the calls of this function (FCALL, FCALL_RO); `*` stands for any characters.
    #[must_use]
    pub fn of_function(self, pattern: &str) -> Self {
        self.of(Calls::function(pattern))
    }

    /// Only so often.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times: Some(times), ..self }
    }

    pub(super) fn chooses(&self, call: &Call) -> bool {
        self.calls.choose(call)
    }
}
