//! Reads a ledger with no gateway running: takes the lock, writes nothing, opens no epoch.

use std::path::Path;

use super::lock::Lock;
use super::{OpenError, keys, load, segments};
use crate::ledger::book::Book;
use crate::order::Keyring;

/// A ledger that is read and not opened.
#[derive(Debug)]
pub struct Offline {
    /// The book as it lies on disk; what was under a lease still is.
    pub book: Book,
    /// Bytes of a torn tail, which the next open cuts off; nobody was answered for them.
    pub torn_bytes: u64,
    _lock: Lock,
}

/// Reads the ledger in `directory`, and puts its ticket key into `keyring`. The ledger stays locked as long as
/// the answer lives.
///
/// # Errors
/// When there is no ledger, another process has it open, or it is damaged or of a newer format.
pub fn read(directory: &Path, keyring: &Keyring) -> Result<Offline, OpenError> {
    let lock = Lock::take_quietly(directory)?;
    keys::load(directory, keyring, false)?;
    let loaded = load::everything(directory, &segments::list(directory)?)?;
    Ok(Offline { book: loaded.base.book, torn_bytes: loaded.end.torn, _lock: lock })
}
