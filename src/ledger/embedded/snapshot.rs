//! Snapshot files: the whole book as of a position of the journal.

use std::io;
use std::path::Path;

use super::sealed::Kind;
use super::{Lsn, OpenError, disk};

const KIND: Kind = Kind(*b"FOREBAYS");
const PREFIX: &str = "snapshot-";

fn name(lsn: Lsn) -> String {
    format!("{PREFIX}{:020}", lsn.0)
}

/// The positions of all snapshots, newest first.
pub(super) fn list(directory: &Path) -> Result<Vec<Lsn>, OpenError> {
    let names = disk::names(directory)?;
    let position = |name: &String| name.strip_prefix(PREFIX)?.parse().ok().map(Lsn);
    let mut positions: Vec<Lsn> = names.iter().filter_map(position).collect();
    positions.sort_unstable();
    positions.reverse();
    Ok(positions)
}

/// The book's bytes as of `lsn`.
pub(super) fn read(directory: &Path, lsn: Lsn) -> Result<Vec<u8>, OpenError> {
    let name = name(lsn);
    let path = directory.join(&name);
    let mut body = KIND.read(directory, &name)?.ok_or(OpenError::Missing {
        path: path.clone(),
        what: "the snapshot went while it was read",
    })?;
    let at = body.first_chunk().map(|at| u64::from_le_bytes(*at));
    if at != Some(lsn.0) {
        return Err(OpenError::damaged(&path, 0, "the snapshot is of another position than named"));
    }
    // In place: a second buffer of this size would stay with the process.
    body.drain(..8);
    Ok(body)
}

/// Writes a snapshot, and deletes the older ones once it is durable.
pub(super) fn write(directory: &Path, lsn: Lsn, book: &[u8]) -> io::Result<()> {
    KIND.write(directory, &name(lsn), &[&lsn.0.to_le_bytes(), book])?;
    for old in list(directory).map_err(io::Error::other)? {
        if old < lsn {
            disk::delete(directory, &name(old))?;
        }
    }
    Ok(())
}

/// The file of the snapshot as of `lsn`, for messages.
pub(super) fn path(directory: &Path, lsn: Lsn) -> std::path::PathBuf {
    directory.join(name(lsn))
}
