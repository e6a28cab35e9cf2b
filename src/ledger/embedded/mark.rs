//! The mark of a clean close: the position at which the journal ended, all of it on disk.
//!
//! Every open writes a record, so a mark is good for one open only; nobody has to delete it. An old one still
//! says that the journal once reached so far: one that ends before it is damaged.

use std::io;
use std::path::Path;

use super::Lsn;
use super::sealed::Kind;

const KIND: Kind = Kind(*b"FOREBAYC");
const NAME: &str = "closed";

pub(super) fn write(directory: &Path, end: Lsn) -> io::Result<()> {
    KIND.write(directory, NAME, &[&end.0.to_le_bytes()])
}

/// Where the journal ended when it was last closed in order. A mark that cannot be read is none: the price is a
/// new epoch, not an order.
pub(super) fn position(directory: &Path) -> Option<Lsn> {
    let body = KIND.read(directory, NAME).ok().flatten()?;
    Some(Lsn(u64::from_le_bytes(*body.first_chunk().filter(|_| body.len() == 8)?)))
}
