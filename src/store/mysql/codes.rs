//! What an answer of the server means: whose fault it is, and whether it happened.

use mysql_async::{DriverError, Error, IoError};

use crate::store::tls::is_of_tls;
use crate::store::{Later, LaterCause, StoreError};

/// What a failed statement says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// 1062: a row with this key is there.
    Duplicate,
    /// 1213: two transactions wanted each other's rows; this one is gone and may be tried at once.
    Deadlock,
    /// A row that the tables will never take.
    BadRow(String),
    /// The server takes nothing from anybody.
    Closed(LaterCause, String),
    /// The connection broke: whatever was not committed is undone.
    Broken(String),
    /// A code that stands in no list here: about a row, as far as anybody knows.
    Other(String),
}

/// Reads what the client library was told.
pub(super) fn said(error: &Error) -> Said {
    let Error::Server(server) = error else { return unsaid(error) };
    let text = format!("{} {}", server.code, server.message);
    match server.code {
        1062 => Said::Duplicate,
        1213 => Said::Deadlock,
        // NULL, out of range, wrong value, too long, CHECK (MySQL, MariaDB): the order's own fault.
        1048 | 1264 | 1366 | 1406 | 3819 | 4025 => Said::BadRow(text),
        // Rights and schema, and a server that was made read-only by an option.
        1044 | 1045 | 1049 | 1054 | 1142 | 1143 | 1146 | 1227 | 1290 | 1698 => {
            Said::Closed(LaterCause::Misconfigured, text)
        }
        // Too many connections, a disk that is full, a row lock that was not free in time, a statement that was cut
        // off, a stop, a server that only reads now.
        1020 | 1021 | 1030 | 1037 | 1038 | 1040 | 1041 | 1053 | 1114 | 1129 | 1135 | 1203
        | 1205 | 1206 | 1223 | 1226 | 1317 | 1637 | 1792 | 1836 | 1969 | 3024 => {
            Said::Closed(LaterCause::StoreAway, text)
        }
        // A cluster, or a proxy before the server, has nobody who takes orders now.
        1047 | 1105 | 3100 | 3168 | 9000..=9999 => Said::Closed(LaterCause::StoreAway, text),
        // The connection was ended by the server.
        1152 | 1158..=1161 | 1184 | 1927 | 3169 | 4031 => Said::Broken(text),
        _ => Said::Other(text),
    }
}

/// An error that is no answer of the server.
fn unsaid(error: &Error) -> Said {
    match error {
        Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            let text = "the server speaks no TLS, and store.mysql.tls wants it".to_owned();
            Said::Closed(LaterCause::Misconfigured, text)
        }
        Error::Driver(DriverError::UnknownAuthPlugin { name }) => {
            let text = format!("the user's authentication plugin `{name}` is not known here");
            Said::Closed(LaterCause::Misconfigured, text)
        }
        #[cfg(feature = "tls")]
        Error::Io(IoError::Tls(error)) => {
            Said::Closed(LaterCause::Misconfigured, format!("TLS: {error}"))
        }
        Error::Io(IoError::Io(error)) if is_of_tls(error) => {
            Said::Closed(LaterCause::Misconfigured, format!("TLS: {error}"))
        }
        Error::Io(IoError::Io(error)) => Said::Broken(error.to_string()),
        _ => Said::Broken(error.to_string()),
    }
}

impl Said {
    /// Nothing happened, for this reason.
    pub(super) fn later(self) -> Later {
        let (cause, reason) = match self {
            Self::Closed(cause, reason) => (cause, reason),
            Self::Broken(reason) => (LaterCause::StoreAway, reason),
            Self::Duplicate => (LaterCause::ThisOrder, "1062 duplicate entry".to_owned()),
            // Somebody else's transactions cross ours, time and again: no order is to blame.
            Self::Deadlock => (LaterCause::StoreAway, "1213 deadlock".to_owned()),
            Self::BadRow(reason) | Self::Other(reason) => (LaterCause::ThisOrder, reason),
        };
        Later { cause, reason, after: None }
    }
}

/// A call that is about no single order failed.
pub(super) fn failed(error: &Error) -> StoreError {
    let Later { cause, reason, .. } = match said(error) {
        // What is in the way is somebody's row or the server's mind: no order of ours caused it.
        Said::Duplicate | Said::BadRow(_) => {
            Later { cause: LaterCause::Misconfigured, reason: error.to_string(), after: None }
        }
        Said::Other(reason) => Later { cause: LaterCause::StoreAway, reason, after: None },
        said => said.later(),
    };
    StoreError { cause, reason }
}

#[cfg(test)]
mod tests {
    use mysql_async::ServerError;

    use super::*;

    fn of(code: u16) -> Said {
        let (message, state) = ("why".to_owned(), "HY000".to_owned());
        said(&Error::Server(ServerError { code, message, state }))
    }

    #[test]
    fn codes_mean_what_the_contract_says() {
        for code in [1048, 1264, 1366, 1406, 3819, 4025] {
            assert_eq!(of(code), Said::BadRow(format!("{code} why")));
        }
        for code in [1044, 1045, 1054, 1142, 1146, 1290] {
            assert_eq!(of(code), Said::Closed(LaterCause::Misconfigured, format!("{code} why")));
        }
        for code in [1040, 1205, 1836] {
            assert_eq!(of(code).later().cause, LaterCause::StoreAway);
        }
        assert_eq!((of(1062), of(1213)), (Said::Duplicate, Said::Deadlock));
        assert_eq!(of(1213).later().cause, LaterCause::StoreAway);
        assert_eq!(of(1644), Said::Other("1644 why".to_owned()), "a trigger of the shop");
    }
}
