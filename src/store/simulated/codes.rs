//! What a MySQL server says when it does not do what it is asked, and what each means for an order.

use crate::store::{Later, LaterCause};

/// An error code of MySQL and MariaDB that the simulated server gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Code {
    /// All connections are taken.
    TooManyConnections = 1040,
    /// The key is there: who meets it at line 1 reads the row, which is the answer.
    DuplicateEntry = 1062,
    /// The account may not write.
    Denied = 1142,
    /// A row was not free in time.
    LockWaitTimeout = 1205,
    /// Two transactions hold what the other wants; this one is rolled back.
    Deadlock = 1213,
    /// The server takes no writes.
    ReadOnly = 1290,
    /// No connection: nobody listens.
    Refused = 2003,
    /// The connection broke before the answer came.
    Lost = 2013,
}

impl Code {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::TooManyConnections,
        Self::DuplicateEntry,
        Self::Denied,
        Self::LockWaitTimeout,
        Self::Deadlock,
        Self::ReadOnly,
        Self::Refused,
        Self::Lost,
    ];

    /// The number, as a client sees it.
    #[must_use]
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The code with this number.
    #[must_use]
    pub fn of(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }

    /// The number and what it says.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::TooManyConnections => "1040 too many connections",
            Self::DuplicateEntry => "1062 duplicate entry",
            Self::Denied => "1142 INSERT command denied",
            Self::LockWaitTimeout => "1205 lock wait timeout",
            Self::Deadlock => "1213 deadlock",
            Self::ReadOnly => "1290 the server is read-only",
            Self::Refused => "2003 connection refused",
            Self::Lost => "2013 lost connection during query",
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn cause(self) -> LaterCause {
        match self {
            Self::LockWaitTimeout | Self::Deadlock => LaterCause::ThisOrder,
            Self::Denied => LaterCause::Misconfigured,
            // Of an order a duplicate is its answer; elsewhere it is somebody's row in the way.
            Self::DuplicateEntry
            | Self::TooManyConnections
            | Self::ReadOnly
            | Self::Refused
            | Self::Lost => LaterCause::StoreAway,
        }
    }

    /// Nothing happened, for this reason.
    pub(super) fn later(self) -> Later {
        Later { cause: self.cause(), reason: self.text().to_owned(), after: None }
    }
}
