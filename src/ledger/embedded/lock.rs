//! The lock that keeps a second process out of the ledger's directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::OpenError;

const NAME: &str = "lock";

/// Held as long as it lives; the operating system lets go of it when the process dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock and leaves this process's id in it.
    pub(super) fn take(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(NAME);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(OpenError::io("open the lock", &path))?;
        try_lock(&file, directory)?;
        let pid = std::process::id().to_string();
        let noted = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(pid.as_bytes()));
        // The lock holds without the note, and a full disk must not keep the ledger from being read.
        drop(noted);
        Ok(Self { _file: file })
    }

    /// Takes the lock and writes nothing.
    pub(super) fn take_quietly(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(NAME);
        let file = File::open(&path).map_err(OpenError::io("open the lock", &path))?;
        try_lock(&file, directory)?;
        Ok(Self { _file: file })
    }
}

fn try_lock(file: &File, directory: &Path) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let pid = std::fs::read_to_string(directory.join(NAME)).unwrap_or_default();
            let pid = if pid.is_empty() { "unknown".to_owned() } else { pid };
            Err(OpenError::Locked { path: directory.to_path_buf(), pid })
        }
        Err(TryLockError::Error(error)) => {
            Err(OpenError::io("lock the ledger in", directory)(error))
        }
    }
}
