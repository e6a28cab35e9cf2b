//! Doors for the fuzz target `journal`: what is read from the disk.

use super::Lsn;
use super::format::{RECORD_HEAD, SEGMENT_HEAD, SegmentHead};
use super::scan::{Records, Rest};
use crate::ledger::book::{Book, Event, Reader, Writer};

const HEAD: SegmentHead = SegmentHead { base: Lsn(0), salt: 7, relaxed: false };

/// One input of the target `journal`; the first byte says what it is.
pub fn journal(input: &[u8]) {
    let Some((which, bytes)) = input.split_first() else { return };
    match which % 3 {
        0 => segment(bytes),
        1 => records(bytes),
        _ => snapshot(bytes),
    }
}

/// Any file: a head or none; behind a good head no record that was not written.
fn segment(bytes: &[u8]) {
    if let Ok(head) = SegmentHead::decode(bytes) {
        assert_eq!(head.encode()[..36], bytes[..36]);
    }
    let file = [&HEAD.encode(), bytes].concat();
    let mut records = Records::new(HEAD, &file);
    assert!(records.next().is_none(), "a record that nobody wrote");
    let zeros = bytes.iter().all(|byte| *byte == 0);
    assert_eq!(records.rest() == Rest::Clean, zeros);
}

/// Records between good checksums come back as they are, and what they hold is events or is not.
fn records(bytes: &[u8]) {
    let (mut file, mut written) = (HEAD.encode().to_vec(), Vec::new());
    let mut rest = bytes;
    while let Some((len, tail)) = rest.split_first() {
        let (body, tail) = tail.split_at(tail.len().min(usize::from(*len) + 1));
        if !body.is_empty() {
            file.extend(HEAD.record_head(HEAD.lsn(file.len()), body));
            file.extend(body);
            written.push(body);
        }
        rest = tail;
    }
    let mut records = Records::new(HEAD, &file);
    let read: Vec<&[u8]> = records.by_ref().map(|(_, body)| body).collect();
    assert_eq!((read, records.rest()), (written.clone(), Rest::Clean));
    if let Some(last) = written.last() {
        // The last one torn: all others are there.
        let torn = file.len() - last.len().div_ceil(2);
        let cut = [&file[..torn], &[0; SEGMENT_HEAD]].concat();
        let left = Records::new(HEAD, &cut).count();
        assert!(left + 1 == written.len() || last[last.len() / 2..].iter().all(|byte| *byte == 0));
    }
    written.into_iter().for_each(events);
}

/// What is read as an event is the same event when it is written and read again.
fn events(body: &[u8]) {
    let mut reader = Reader::new(body);
    while !reader.is_empty() {
        let Ok((event, payload_at)) = Event::decode(&mut reader) else { return };
        assert!(payload_at + RECORD_HEAD <= body.len() + RECORD_HEAD);
        let mut out = Writer::default();
        event.encode(&mut out);
        let mut again = Reader::new(out.as_slice());
        let (same, _) = Event::decode(&mut again).expect("what was written can be read");
        assert!(again.is_empty());
        assert_eq!(format!("{event:?}"), format!("{same:?}"));
    }
}

/// A book or none, and the book that is read is written as it was read.
fn snapshot(bytes: &[u8]) {
    let Ok(book) = Book::decode_snapshot(&mut Reader::new(bytes)) else { return };
    let mut out = Writer::default();
    book.encode_snapshot(&mut out);
    let again = Book::decode_snapshot(&mut Reader::new(out.as_slice()));
    let mut same = Writer::default();
    again.expect("what was written can be read").encode_snapshot(&mut same);
    assert_eq!(out.as_slice(), same.as_slice());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fuzzing_found_worth_keeping_still_holds() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/journal");
        let entries = std::fs::read_dir(directory).expect("it is kept").flatten();
        let inputs: Vec<_> = entries.filter_map(|entry| std::fs::read(entry.path()).ok()).collect();
        assert!(inputs.len() > 10, "only {} inputs", inputs.len());
        inputs.iter().for_each(|input| journal(input));
    }
}
