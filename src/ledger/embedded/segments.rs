//! Segment files by name: listing them, and preparing one of zeros ahead of use.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::disk::PIECE;
use super::format::{BadHead, SEGMENT_HEAD, SegmentHead, VERSION};
use super::{OpenError, disk};

/// A segment of zeros that waits to be used.
pub(super) const SPARE: &str = "spare";

const PREFIX: &str = "journal-";

/// Zeros are written this many at a time.
const ZEROS: usize = 1 << 20;

/// A segment of the journal. Ordinals count from 1 and have no gaps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) ordinal: u64,
    pub(super) head: SegmentHead,
}

impl Segment {
    pub(super) fn name(&self) -> String {
        format!("{PREFIX}{:010}", self.ordinal)
    }
}

/// All segments, oldest first, with their heads checked.
pub(super) fn list(directory: &Path) -> Result<Vec<Segment>, OpenError> {
    let names = disk::names(directory)?;
    let ordinal = |name: &String| name.strip_prefix(PREFIX)?.parse::<u64>().ok();
    let mut ordinals: Vec<u64> = names.iter().filter_map(ordinal).collect();
    ordinals.sort_unstable();
    let mut segments: Vec<Segment> = Vec::with_capacity(ordinals.len());
    for ordinal in ordinals {
        let segment = read_head(directory, ordinal)?;
        if let Some(last) = segments.last() {
            if last.ordinal + 1 != ordinal {
                let gap = Segment { ordinal: last.ordinal + 1, ..*last };
                let what = "the segments of the journal are numbered without gaps; restore it";
                return Err(OpenError::Missing { path: directory.join(gap.name()), what });
            }
            if segment.head.base < last.head.base {
                let path = directory.join(segment.name());
                return Err(OpenError::damaged(&path, 0, "the segment begins before the last one"));
            }
        }
        segments.push(segment);
    }
    Ok(segments)
}

fn read_head(directory: &Path, ordinal: u64) -> Result<Segment, OpenError> {
    let path = directory.join(format!("{PREFIX}{ordinal:010}"));
    let mut head = Vec::with_capacity(SEGMENT_HEAD);
    let file = File::open(&path).map_err(OpenError::io("open", &path))?;
    let read = file.take(SEGMENT_HEAD as u64).read_to_end(&mut head);
    read.map_err(OpenError::io("read", &path))?;
    match SegmentHead::decode(&head) {
        Ok(head) => Ok(Segment { ordinal, head }),
        Err(BadHead::Newer(version)) => Err(OpenError::Newer { path, version, known: VERSION }),
        Err(BadHead::Damaged(what)) => Err(OpenError::damaged(&path, 0, what)),
    }
}

/// Makes the file `name` of `size` zeros, all of them on disk, so that a later commit changes no metadata.
pub(super) fn fill(directory: &Path, name: &str, size: u64) -> io::Result<File> {
    let path = directory.join(name);
    let file = disk::create(&path)?;
    let mut pieces = (0..size).step_by(PIECE);
    let filled = pieces.try_for_each(|at| {
        zero(&file, at, (size - at).min(PIECE as u64))?;
        file.sync_data()
    });
    let filled = filled.and_then(|()| file.sync_all());
    filled.map(|()| file).map_err(|error| disk::give_up(&path, error))
}

/// Writes zeros over a range of a file.
pub(super) fn zero(file: &File, from: u64, len: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS.min(usize::try_from(len).unwrap_or(ZEROS))];
    let (mut at, end) = (from, from + len);
    while at < end {
        let count = zeros.len().min(usize::try_from(end - at).unwrap_or(zeros.len()));
        file.write_all_at(&zeros[..count], at)?;
        at += count as u64;
    }
    Ok(())
}

/// Prepares the spare segment, unless it is there. Only the follower does: the writer takes the file by its name,
/// and must never find another one under it than it opened.
pub(super) fn prepare_spare(directory: &Path, size: u64) -> io::Result<()> {
    let path = directory.join(SPARE);
    if path.exists() {
        return Ok(());
    }
    let unfinished = format!("{SPARE}{}", disk::UNFINISHED);
    fill(directory, &unfinished, size)?;
    std::fs::rename(directory.join(&unfinished), &path)?;
    disk::sync_directory(directory)
}

/// Deletes what a killed process left unfinished, and a spare of another size.
pub(super) fn clean_up(directory: &Path, size: u64) -> Result<(), OpenError> {
    for name in disk::names(directory)? {
        let path = directory.join(&name);
        let odd = || std::fs::metadata(&path).is_ok_and(|meta| meta.len() != size);
        if name.ends_with(disk::UNFINISHED) || (name == SPARE && odd()) {
            disk::delete(directory, &name).map_err(OpenError::io("delete", &path))?;
        }
    }
    Ok(())
}
