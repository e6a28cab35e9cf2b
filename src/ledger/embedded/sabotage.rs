//! Changes a closed ledger behind its back, for the tests of the verifier.

use std::path::Path;

use super::{load, segments, snapshot};
use crate::ledger::book::{Book, Writer};

/// Writes a snapshot of the book as `change` leaves it; the journal before it counts no more.
pub(crate) fn change(directory: &Path, change: impl FnOnce(&mut Book)) {
    let segments = segments::list(directory).expect("a closed ledger");
    let loaded = load::everything(directory, &segments).expect("a closed ledger");
    let mut book = loaded.base.book;
    change(&mut book);
    let mut out = Writer::default();
    book.encode_snapshot(&mut out);
    snapshot::write(directory, loaded.end.lsn, &out.into_inner()).expect("a snapshot");
}
