//! What an error of the server or of the connection means for a call: nothing happened, it may have, or stop.

use redis::{RedisError, ServerError};

use super::server::Trouble;
use crate::ledger::{Fault, FaultKind};

/// The call was sent, and the connection did not bring its answer.
pub(super) fn of_connection(error: &RedisError) -> Fault {
    Fault::in_doubt(&format!("Redis did not answer: {error}"))
}

/// No answer within the time of a call.
pub(super) fn late() -> Fault {
    Fault::in_doubt("Redis has not answered within [ledger.redis] timeout")
}

/// What the server refused before it did anything, by the first word of its answer.
const REFUSED: [(&str, &str); 11] = [
    ("FENCED", "Redis was restarted or replaced: a new epoch begins"),
    ("FORMAT", "another version of Forebay wrote what is in Redis: update this one"),
    ("OOM", "Redis has reached its maxmemory: raise it, or wait until the drain has freed some"),
    ("READONLY", "Redis is a replica now: [ledger.redis] url must name the primary"),
    ("LOADING", "Redis is loading its data"),
    ("MISCONF", "Redis cannot write its data to disk, and refuses writes: look at its log"),
    ("NOREPLICAS", "Redis has too few replicas (min-replicas-to-write)"),
    ("MASTERDOWN", "Redis has lost its primary"),
    ("NOPERM", "the Redis user may not do this: see config/redis-acl.conf"),
    ("NOAUTH", "Redis wants a password"),
    ("BUSY", "Redis is busy with somebody's script"),
];

/// What an operator can do.
const ANEW: &str = "`forebay sale rebuild` makes it anew";

/// What the server's error means.
pub(super) fn of_server(error: &ServerError) -> Fault {
    let (code, detail) = (error.code(), error.details().unwrap_or_default());
    if let Some((_, means)) = REFUSED.iter().find(|(word, _)| *word == code) {
        return Fault::unavailable(means);
    }
    if detail.contains("Function not found") {
        return Fault::unavailable(
            "the function library is not in Redis any more: it is loaded again",
        );
    }
    let reason = match code {
        "NOSALE" => {
            format!("the sale is halted, it is not in Redis: was its key deleted by hand? {ANEW}")
        }
        "BROKEN" => format!("the sale is halted, its data in Redis does not fit: {detail}. {ANEW}"),
        _ => {
            format!("the sale is halted, its data in Redis cannot be read: {code} {detail}. {ANEW}")
        }
    };
    Fault { kind: FaultKind::Corrupt, reason: reason.into() }
}

/// Whether the connection must be made again for a call to succeed.
pub(super) fn wants_another(error: &ServerError) -> bool {
    let (code, detail) = (error.code(), error.details().unwrap_or_default());
    matches!(code, "FENCED" | "READONLY" | "NOAUTH") || detail.contains("Function not found")
}

/// What makes a server unusable now.
pub(super) fn of_trouble(trouble: &Trouble) -> Fault {
    Fault::unavailable(&trouble.to_string())
}
