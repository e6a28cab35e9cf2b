//! Damage by the byte: what was torn is cut off and told, what was acknowledged is refused and never skipped.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::desk::{Desk, small};
use super::directory::{bytes, copy, lived};
use crate::ledger::embedded::{OpenError, offline, scan, segments};
use crate::order::Keyring;

/// A record: its file, where it begins there, and its length with its head.
type Place = (PathBuf, u64, u64);

fn records(directory: &Path) -> Vec<Place> {
    let mut places = Vec::new();
    for segment in segments::list(directory).unwrap() {
        let path = directory.join(segment.name());
        let content = std::fs::read(&path).unwrap();
        let mut records = scan::Records::new(segment.head, &content);
        let mut begin = records.offset();
        while records.next().is_some() {
            let end = records.offset();
            places.push((path.clone(), begin as u64, (end - begin) as u64));
            begin = end;
        }
    }
    places
}

/// As a kill leaves it: without the mark of a clean close.
fn killed() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    lived(directory.path());
    std::fs::remove_file(directory.path().join("closed")).unwrap();
    directory
}

fn book(directory: &Path) -> (Vec<u8>, u64) {
    let read = offline::read(directory, &Keyring::default()).unwrap();
    (bytes(&read.book), read.torn_bytes)
}

#[test]
fn a_last_record_that_was_cut_at_any_byte_is_cut_off_and_told() {
    let directory = killed();
    let (path, begin, len) = records(directory.path()).pop().unwrap();
    let good = std::fs::read(&path).unwrap();
    let write = |content: &[u8]| std::fs::write(&path, content).unwrap();
    let (from, to) = (begin as usize, (begin + len) as usize);
    let zeroed = |from: usize| {
        let mut content = good.clone();
        content[from..to].fill(0);
        content
    };
    write(&zeroed(from));
    let (without, torn) = book(directory.path());
    assert_eq!(torn, 0, "nothing of it is left");
    for cut in from + 1..to {
        // In a file that was filled ahead, and in one that was not.
        for content in [zeroed(cut), good[..cut].to_vec()] {
            write(&content);
            let (there, torn) = book(directory.path());
            assert!(there == without, "cut at {cut}");
            // Zeros at the end of what is left look like nothing.
            let left = content[from..cut].iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
            assert_eq!(torn, left, "cut at {cut}");
        }
    }
    for cut in (from + 1..to).step_by(29) {
        write(&zeroed(cut));
        let again = copy(directory.path());
        let (_, torn) = book(again.path());
        let opened = |desk: Desk| desk.ledger.opened().torn_bytes;
        assert_eq!(opened(Desk::open(&small(again.path()))), torn, "cut at {cut}");
        assert_eq!(opened(Desk::open(&small(again.path()))), 0, "it was cut off");
    }
}

#[test]
fn damage_in_the_middle_is_refused_with_the_place_of_its_record() {
    let directory = killed();
    let mut records = records(directory.path());
    records.pop();
    assert!(records.len() > 100, "{} records", records.len());
    for (path, begin, len) in records {
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        // Its length, the checksums of its body and of its head, and the body from end to end.
        for at in [0, 3, 5, 9, 12, 12 + (len - 12) / 2, len - 1] {
            let mut byte = [0];
            file.read_exact_at(&mut byte, begin + at).unwrap();
            file.write_all_at(&[byte[0] ^ 0x04], begin + at).unwrap();
            let error = offline::read(directory.path(), &Keyring::default()).unwrap_err();
            let told = matches!(&error, OpenError::Damaged { path: file, offset, .. }
                if *file == path && *offset == begin);
            assert!(told, "byte {at} of the record at {begin} of {}: {error}", path.display());
            file.write_all_at(&byte, begin + at).unwrap();
        }
    }
    assert_eq!(book(directory.path()).1, 0, "nothing was changed");
}

#[test]
fn a_newer_format_of_any_file_is_named() {
    let directory = killed();
    let names = |prefix: &str| {
        let files = std::fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap());
        files.map(|file| file.path()).find(|path| path.to_string_lossy().contains(prefix)).unwrap()
    };
    for prefix in ["journal-0000000002", "snapshot-", "keys"] {
        let path = names(prefix);
        let good = std::fs::read(&path).unwrap();
        let mut newer = good.clone();
        newer[8] += 1;
        std::fs::write(&path, newer).unwrap();
        let error = Desk::try_open(&small(directory.path())).unwrap_err();
        let named = matches!(&error, OpenError::Newer { path: file, version: 2, known: 1 } if *file == path);
        assert!(named && error.to_string().ends_with("use a newer Forebay"), "{prefix}: {error}");
        std::fs::write(&path, good).unwrap();
    }
    assert_eq!(book(directory.path()).1, 0, "nothing was changed");
}
