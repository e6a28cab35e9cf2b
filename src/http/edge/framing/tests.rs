mod against_hyper;

use super::*;

/// Heads, ends, fault and what comes next, after all bytes at once and byte by byte, which must be the same.
fn seen(bytes: &[u8]) -> (u32, u32, Option<Fault>, Reading) {
    let of = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut framing = Framing::new();
        pieces.for_each(|piece| framing.push(piece));
        (framing.heads, framing.ends, framing.fault, framing.reading())
    };
    let whole = of(&mut [bytes].into_iter());
    assert_eq!(whole, of(&mut bytes.chunks(1)), "{:?}", String::from_utf8_lossy(bytes));
    assert_eq!(whole, of(&mut bytes.chunks(7)), "{:?}", String::from_utf8_lossy(bytes));
    whole
}

fn fault(fields: &str) -> Option<Fault> {
    seen(format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes()).2
}

#[test]
fn requests_are_counted_one_after_the_other() {
    let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nCONTENT-length:  3\t\r\n\r\nabc";
    let chunked = "POST / HTTP/1.1\nTransfer-Encoding: Chunked\n\n2\r\nab\r\n0\r\nA: b\r\n\r\n";
    let all = format!("\r\n{get}{post}\r\n\r\n{chunked}{get}");
    assert_eq!(seen(all.as_bytes()), (4, 4, None, Reading::Start));
    assert_eq!(seen(b"\r\n\r"), (0, 0, None, Reading::Start));
    assert_eq!(seen(&get.as_bytes()[..1]), (0, 0, None, Reading::Head));
    assert_eq!(seen(&post.as_bytes()[..post.len() - 1]), (1, 0, None, Reading::Body));
}

#[test]
fn what_frames_a_request_twice_is_a_fault() {
    assert_eq!(fault("Content-Length: 0\r\n"), None);
    assert_eq!(fault("Transfer-Encoding: CHUNKED\r\n"), None);
    let (length, coding) = ("Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n");
    assert_eq!(fault(&format!("{length}{coding}")), Some(Fault::TwoFramings));
    assert_eq!(fault(&format!("{coding}{length}")), Some(Fault::TwoFramings));
    assert_eq!(fault(&format!("{length}{length}")), Some(Fault::Length));
    assert_eq!(fault(&format!("{coding}{coding}")), Some(Fault::Coding));
    for bad in ["0003", "+3", "", "3, 3", "3 3", "0x3", "99999999999999999999999"] {
        assert_eq!(fault(&format!("Content-Length: {bad}\r\n")), Some(Fault::Length), "{bad}");
    }
    for bad in ["chunked, chunked", ",chunked", "chunked, gzip", "identity", "xchunked", ""] {
        let field = format!("Transfer-Encoding: {bad}\r\n");
        assert_eq!(fault(&field), Some(Fault::Coding), "{bad}");
    }
    assert_eq!(fault("Transfer-Encoding: gzip, chunked\r\n"), Some(Fault::UnknownCoding));
    let (heads, ends, fault, _) =
        seen(b"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    assert_eq!((heads, ends, fault), (1, 0, Some(Fault::Fragment)), "and nothing after it");
}

#[test]
fn names_that_only_begin_alike_frame_nothing() {
    assert_eq!(
        fault("Content-Lengthy: 3\r\nTransfer-Encodings: x\r\nX-Content-Length: 1\r\n"),
        None
    );
    assert_eq!(fault("Content-Length: 3\r\nX: 1\r\nContent-Length-X: 3\r\n"), None);
}

#[test]
fn every_fault_has_its_number() {
    for fault in Fault::ALL {
        assert_eq!(Fault::of(fault as u8), Some(fault));
    }
    assert_eq!(Fault::of(0), None);
}
