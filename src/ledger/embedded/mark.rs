//! The mark of a clean close: the position at which the journal ended, all of it on disk.
//!
//! Every open writes a record, so a mark is good for one open only; nobody has to delete it.

use std::io;
use std::path::Path;

use super::Lsn;
use super::sealed::Kind;

const KIND: Kind = Kind(*b"FOREBAYC");
const NAME: &str = "closed";

pub(super) fn write(directory: &Path, end: Lsn) -> io::Result<()> {
    KIND.write(directory, NAME, &[&end.0.to_le_bytes()])
}

/// Whether the journal was closed in order when it ended at `end`. A mark that cannot be read is none: the
/// price is a new epoch, not an order.
pub(super) fn is_at(directory: &Path, end: Lsn) -> bool {
    let body = KIND.read(directory, NAME).ok().flatten();
    body.is_some_and(|body| body == end.0.to_le_bytes())
}
