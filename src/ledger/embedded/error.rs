//! What can go wrong with the ledger's directory, in words that tell the operator what to do.

use std::io;
use std::path::{Path, PathBuf};

/// The ledger's directory cannot be opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The operating system refused something.
    #[error("cannot {doing} {path}: {source}{hint}", path = path.display(), hint = hint(source))]
    Io {
        /// What was tried, as an infinitive.
        doing: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process has the ledger open.
    #[error("the ledger in {path} is locked by pid {pid}: stop that process first", path = path.display())]
    Locked {
        /// The ledger's directory.
        path: PathBuf,
        /// Who holds it, as far as it is known.
        pid: String,
    },
    /// A file was written by a newer Forebay.
    #[error("{path} has format {version}, and this Forebay reads up to {known}: use a newer Forebay", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u32,
        /// The newest format that is known here.
        known: u32,
    },
    /// What is on disk cannot be trusted. Nothing was changed.
    #[error(
        "{path} is damaged at byte {offset}: {what}; restore the directory from a copy, nothing was changed",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A file that must be there is not.
    #[error("{path} is missing: {what}", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What it is needed for.
        what: &'static str,
    },
    /// The key in the directory clashes with a configured one.
    #[error(transparent)]
    Key(#[from] crate::order::BadKey),
}

/// What the operator can do about it.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; the user of this process must be able to write there, or [ledger.embedded] directory name \
             another place"
        }
        io::ErrorKind::NotADirectory => "; [ledger.embedded] directory must name a directory",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some disk space",
        _ => "",
    }
}

impl OpenError {
    /// For `map_err` on results of the operating system.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_path_buf(), source }
    }

    pub(super) fn damaged(path: &Path, offset: u64, what: &'static str) -> Self {
        Self::Damaged { path: path.to_path_buf(), offset, what }
    }
}

/// A record was not made durable.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The record was cut off again: nothing happened, and a later record may succeed.
    #[error("the journal cannot be written: {0}")]
    WriteFailed(io::Error),
    /// The record may or may not be on disk, and nothing more will be written: an fsync is never retried.
    #[error("the journal cannot be synced: {0}")]
    SyncFailed(io::Error),
    /// An earlier failure closed the journal.
    #[error("the journal is closed after an earlier failure")]
    Closed,
}
