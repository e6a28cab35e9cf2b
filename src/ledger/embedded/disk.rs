//! Files and directories with the rights and the syncs that the ledger needs.
//!
//! A name is durable only when its directory was synced; so each function here that makes or changes a name
//! does that before it returns.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::OpenError;

/// Ending of files that are not finished; whatever bears it is deleted at open.
pub(super) const UNFINISHED: &str = ".tmp";

/// Large files are written and synced this many bytes at a time: a commit of the writer has to wait for what the
/// disk is busy with, and a sync of many megabytes would be a pause for every buyer.
pub(super) const PIECE: usize = 512 << 10;

/// Makes the directory, for its owner only, unless it is there.
pub(super) fn make_directory(path: &Path) -> Result<(), OpenError> {
    if path.is_dir() {
        return Ok(());
    }
    if path.exists() {
        let error = io::ErrorKind::NotADirectory.into();
        return Err(OpenError::io("use as the ledger's directory", path)(error));
    }
    let made =
        path.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.exists());
    let made: Vec<&Path> = made.collect();
    let mut builder = DirBuilder::new();
    let built = builder.recursive(true).mode(0o700).create(path);
    built.map_err(OpenError::io("make the ledger's directory", path))?;
    made.into_iter().filter_map(Path::parent).try_for_each(|parent| {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        sync_directory(parent).map_err(OpenError::io("sync the directory", parent))
    })
}

/// That files can be made in the directory: found out at open and not in the middle of a sale, when the journal
/// needs its next segment. A full disk is no reason not to open: what waits can be drained, and it heals.
pub(super) fn check_writable(directory: &Path) -> Result<(), OpenError> {
    let probe = directory.join(format!("probe{UNFINISHED}"));
    match create(&probe).and_then(|_| std::fs::remove_file(&probe)) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(()),
        made => made.map_err(OpenError::io("make files in", directory)),
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// A new or emptied file that only its owner can read.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Writes a whole file so that, whenever the process dies, either the old file or the new one is there.
pub(super) fn replace(directory: &Path, name: &str, parts: &[&[u8]]) -> io::Result<()> {
    let unfinished = directory.join(format!("{name}{UNFINISHED}"));
    let written = create(&unfinished).and_then(|mut file| {
        for piece in parts.iter().flat_map(|part| part.chunks(PIECE)) {
            file.write_all(piece)?;
            file.sync_data()?;
        }
        file.sync_all()
    });
    if let Err(error) = written {
        return Err(give_up(&unfinished, error));
    }
    std::fs::rename(&unfinished, directory.join(name))?;
    sync_directory(directory)
}

/// Deletes a file that could not be finished, so that it does not take the last space of the disk.
pub(super) fn give_up(path: &Path, error: io::Error) -> io::Error {
    // What stays is deleted at the next open.
    let _ = std::fs::remove_file(path);
    error
}

/// Deletes a file for good.
pub(super) fn delete(directory: &Path, name: &str) -> io::Result<()> {
    match std::fs::remove_file(directory.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.and_then(|()| sync_directory(directory)),
    }
}

/// The names of the files in a directory.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, OpenError> {
    let read = OpenError::io("read the directory", directory);
    let entries = std::fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(read)?;
    Ok(entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}
