//! The journal as bytes: what is written is read, and nothing that was acknowledged is ever skipped silently.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use crate::ledger::embedded::journal::{Journal, Options};
use crate::ledger::embedded::reader::Reader;
use crate::ledger::embedded::scan::{self, End};
use crate::ledger::embedded::{Lsn, OpenError, segments};

const SEGMENT: u64 = 512;

fn options(relaxed: bool) -> Options {
    Options { segment_size: SEGMENT, relaxed, salt: 0x5a17 }
}

type Read = Result<(Vec<(Lsn, Vec<u8>)>, End), OpenError>;

fn read(directory: &Path) -> Read {
    let mut records = Vec::new();
    let segments = segments::list(directory)?;
    let end = scan::replay(directory, &segments, Lsn(0), None, |lsn, body| {
        records.push((lsn, body.to_vec()));
        Ok(())
    })?;
    Ok((records, end))
}

/// Opens as the engine does; answers what was there before.
fn open(directory: &Path, relaxed: bool) -> (Journal, Arc<Reader>, Vec<Vec<u8>>) {
    let (records, end) = read(directory).unwrap();
    let reader = Reader::new(directory.to_path_buf(), segments::list(directory).unwrap());
    let reader = Arc::new(reader);
    let journal = Journal::open(directory, options(relaxed), Arc::clone(&reader), end).unwrap();
    (journal, reader, records.into_iter().map(|(_, body)| body).collect())
}

fn write(directory: &Path, records: &[Vec<u8>]) {
    let (mut journal, _, _) = open(directory, false);
    for record in records {
        journal.append(record).unwrap();
        journal.sync().unwrap();
    }
}

/// Records of many sizes: some share a segment, some leave a rest, one is larger than a segment.
fn sample() -> Vec<Vec<u8>> {
    let sizes = [1, 100, 250, 30, 460, 461, 7, 2_000, 90, 200, 64];
    let body = |(seed, size): (u8, &usize)| (0..*size).map(|at| at as u8 ^ seed).collect();
    (1u8..).zip(&sizes).map(body).collect()
}

#[test]
fn every_piece_is_read_back_by_position() {
    let directory = tempfile::tempdir().unwrap();
    let (mut journal, reader, _) = open(directory.path(), false);
    let mut placed = Vec::new();
    for record in sample() {
        placed.push((journal.next_body(), record.clone()));
        journal.append(&record).unwrap();
        journal.sync().unwrap();
    }
    assert!(segments::list(directory.path()).unwrap().len() >= 5);
    for (lsn, record) in &placed {
        assert_eq!(reader.read_at(*lsn, record.len()).unwrap(), *record);
    }
    let pieces: Vec<_> = placed.iter().map(|(lsn, record)| (*lsn, record.len())).collect();
    let together = reader.read_many(&pieces).unwrap();
    assert!(together.iter().zip(&placed).all(|(read, (_, record))| read == record));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Also over reopens, with or without a spare, and with both kinds of segments in turn.
    #[test]
    fn what_is_appended_is_replayed(
        lives in proptest::collection::vec(
            (any::<bool>(), any::<bool>(), proptest::collection::vec(1usize..700, 0..12)),
            1..4,
        ),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut written: Vec<Vec<u8>> = Vec::new();
        for (relaxed, with_spare, sizes) in lives {
            let (mut journal, _, there) = open(directory.path(), relaxed);
            prop_assert_eq!(&there, &written);
            if with_spare {
                segments::prepare_spare(directory.path(), SEGMENT).unwrap();
            }
            for size in sizes {
                let record = vec![written.len() as u8 + 1; size];
                journal.append(&record).unwrap();
                written.push(record);
            }
            journal.sync().unwrap();
        }
        let (_, _, there) = open(directory.path(), false);
        prop_assert_eq!(&there, &written);
    }
}

/// Runs `look` for each change of one byte of one file of the journal.
fn each_flip(directory: &Path, mut look: impl FnMut(&str, usize, Read)) {
    for segment in segments::list(directory).unwrap() {
        let path = directory.join(segment.name());
        let good = std::fs::read(&path).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        for (at, byte) in good.iter().enumerate() {
            for mask in [0x01, 0xff] {
                file.write_all_at(&[byte ^ mask], at as u64).unwrap();
                look(&segment.name(), at, read(directory));
            }
            file.write_all_at(&[*byte], at as u64).unwrap();
        }
    }
}

#[test]
fn a_flipped_byte_is_refused_or_lies_behind_the_last_record_but_one() {
    let directory = tempfile::tempdir().unwrap();
    let records = sample();
    write(directory.path(), &records);
    let (mut refused, mut torn) = (0, 0);
    each_flip(directory.path(), |file, at, read| match read {
        Err(OpenError::Damaged { path, .. }) => {
            assert!(path.ends_with(file), "byte {at} of {file} was blamed on {}", path.display());
            refused += 1;
        }
        // The version of a segment, read as a newer one.
        Err(OpenError::Newer { .. }) => refused += 1,
        Err(other) => panic!("byte {at} of {file}: {other}"),
        Ok((there, end)) => {
            let whole = there.len() == records.len();
            assert!(whole || there.len() == records.len() - 1, "byte {at} of {file}");
            assert!(whole || end.torn > 0, "byte {at} of {file}: a record went silently");
            assert!(there.iter().zip(&records).all(|((_, read), record)| read == record));
            torn += u32::from(!whole);
        }
    });
    assert!(refused > 4_000 && torn > 100, "{refused} refused, {torn} torn");
}

/// A segment that is not synced record by record may have holes after a power cut: what lies before the first
/// is kept, the rest is cut off and told.
#[test]
fn a_hole_in_a_relaxed_segment_is_cut_off_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let (mut journal, _, _) = open(directory.path(), true);
    (0..6).for_each(|n| journal.append(&[n + 1; 50]).unwrap());
    each_flip(directory.path(), |file, at, read| {
        let Ok((there, end)) = read else {
            assert!(at < 40, "byte {at} of {file} lies in a record");
            return;
        };
        assert_eq!(there.len(), ((at - 40) / 62).min(6), "byte {at} of {file}");
        assert!(end.torn > 0, "byte {at} of {file} was not told");
    });
}

#[test]
fn a_journal_cut_anywhere_gives_the_records_before_the_cut() {
    let directory = tempfile::tempdir().unwrap();
    let records = sample();
    write(directory.path(), &records);
    let all = segments::list(directory.path()).unwrap();
    let (last, earlier) = all.split_last().unwrap();
    let path = directory.path().join(last.name());
    let good = std::fs::read(&path).unwrap();
    let before = records.len() - in_last_segment(directory.path());
    for len in (0..good.len()).rev() {
        std::fs::write(&path, &good[..len]).unwrap();
        match read(directory.path()) {
            Err(OpenError::Damaged { .. }) => assert!(len < 40, "cut at {len}"),
            Err(other) => panic!("cut at {len}: {other}"),
            Ok((there, _)) => {
                assert!(there.len() >= before, "cut at {len}");
                assert!(there.iter().zip(&records).all(|((_, read), record)| read == record));
                // It goes on from there.
                let (mut journal, _, there) = open(directory.path(), false);
                journal.append(b"later").unwrap();
                let (_, _, again) = open(directory.path(), false);
                assert_eq!(again.len(), there.len() + 1, "cut at {len}");
                assert_eq!(again.last().unwrap(), b"later");
                remove_after(directory.path(), last.ordinal);
            }
        }
    }
    let cut = directory.path().join(earlier.first().unwrap().name());
    let file = std::fs::OpenOptions::new().write(true).open(cut).unwrap();
    file.set_len(60).unwrap();
    assert!(matches!(read(directory.path()), Err(OpenError::Damaged { .. })));
}

fn in_last_segment(directory: &Path) -> usize {
    let last = *segments::list(directory).unwrap().last().unwrap();
    let (records, _) = read(directory).unwrap();
    records.iter().filter(|(lsn, _)| *lsn >= last.head.base).count()
}

fn remove_after(directory: &Path, ordinal: u64) {
    for segment in segments::list(directory).unwrap() {
        if segment.ordinal > ordinal {
            std::fs::remove_file(directory.join(segment.name())).unwrap();
        }
    }
}

/// The process died while it cut a torn tail off: whatever part was zeros by then, the next open ends the same.
#[test]
fn cutting_a_torn_tail_can_be_interrupted_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &[vec![1; 50], vec![2; 80]]);
    let path = directory.path().join(segments::list(directory.path()).unwrap()[0].name());
    let good = std::fs::read(&path).unwrap();
    let torn = 40 + 62;
    for zeroed in 0..=92 {
        let mut bad = good.clone();
        bad[torn + 40] ^= 1;
        bad[torn..torn + zeroed].fill(0);
        std::fs::write(&path, &bad).unwrap();
        let (mut journal, _, there) = open(directory.path(), false);
        assert_eq!(there, [vec![1; 50]], "{zeroed} bytes were zeros");
        let zeros = &std::fs::read(&path).unwrap()[torn..];
        assert!(zeros.iter().all(|byte| *byte == 0), "{zeroed} bytes were zeros");
        journal.append(&[3; 10]).unwrap();
        let (records, end) = read(directory.path()).unwrap();
        assert_eq!((records.len(), end.torn), (2, 0));
    }
}

#[test]
fn what_a_kill_leaves_lying_is_cleaned_up() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &sample());
    for name in ["spare.tmp", "next.tmp", "snapshot-00000000000000000001.tmp"] {
        std::fs::write(directory.path().join(name), b"half").unwrap();
    }
    std::fs::write(directory.path().join("spare"), [0; 7]).unwrap();
    std::fs::write(directory.path().join("notes.txt"), b"the operator's").unwrap();
    let (_, _, there) = open(directory.path(), false);
    assert_eq!(there, sample());
    let mut names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    names.retain(|entry| {
        !entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("journal-")
    });
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn a_missing_segment_and_a_newer_format_are_named() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &sample());
    let second = directory.path().join("journal-0000000002");
    let good = std::fs::read(&second).unwrap();
    std::fs::remove_file(&second).unwrap();
    let error = read(directory.path()).unwrap_err();
    assert!(matches!(&error, OpenError::Missing { path, .. } if *path == second), "{error}");
    let mut newer = good;
    newer[8] = 2;
    std::fs::write(&second, newer).unwrap();
    let error = read(directory.path()).unwrap_err();
    assert!(error.to_string().ends_with("use a newer Forebay"), "{error}");
}
