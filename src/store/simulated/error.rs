//! Why the store cannot be opened, in words that tell the operator what to do.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// The store cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The directory or the file cannot be used as it is: exit 1.
    #[error("the simulated store {path} cannot be opened: {why}", path = path.display())]
    Runtime {
        /// The directory or the file.
        path: PathBuf,
        /// What was seen, and what to do.
        why: String,
    },
    /// It is there and is not what it must be: exit 4.
    #[error("the simulated store {path} is unusable: {why}", path = path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is not as it must be, and what to do.
        why: String,
    },
}

const WRITE: &str = "the user of this process must be able to write there, or [store.simulated] directory name \
                     another place";
const RESTORE: &str = "restore it from a copy, or move it away to begin with an empty store";
const SPACE: &str = "check the disk and its free space";

impl OpenError {
    /// For `map_err` on results of the operating system.
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| {
            let hint = match error.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => WRITE,
                io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                    "it is not a directory; [store.simulated] directory must name one"
                }
                _ => SPACE,
            };
            Self::Runtime { path: path.to_path_buf(), why: format!("{error}; {hint}") }
        }
    }

    /// For `map_err` on results of SQLite.
    pub(super) fn sqlite(path: &Path) -> impl Fn(rusqlite::Error) -> Self {
        move |error| {
            let hint = match error.sqlite_error_code() {
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => RESTORE,
                Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                    WRITE
                }
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    "another program holds it; stop that program first"
                }
                _ => SPACE,
            };
            Self::Runtime { path: path.to_path_buf(), why: format!("{error}; {hint}") }
        }
    }

    pub(super) fn unusable(path: &Path, why: String) -> Self {
        Self::Unusable { path: path.to_path_buf(), why }
    }
}
