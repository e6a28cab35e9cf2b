//! A shop that says whose cookie it is, and counts how often and by how many at once it is asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

#[derive(Debug, Default)]
struct Counts {
    asked: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    /// Questions that bore a header that names a buyer.
    named: AtomicUsize,
}

/// A shop that knows whoever brings `Cookie: buyer=NAME`, and answers `status=CODE` with that. Its threads end
/// with the process of the test.
pub(super) struct Shop {
    pub(super) address: SocketAddr,
    counts: Arc<Counts>,
}

impl Shop {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let counting = Arc::clone(&counts);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counts = Arc::clone(&counting);
                thread::spawn(move || serve(stream, &counts));
            }
        });
        Self { address, counts }
    }

    pub(super) fn asked(&self) -> usize {
        self.counts.asked.load(Ordering::SeqCst)
    }

    pub(super) fn most_at_once(&self) -> usize {
        self.counts.most_at_once.load(Ordering::SeqCst)
    }

    pub(super) fn named(&self) -> usize {
        self.counts.named.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, counts: &Counts) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if !matches!(stream.read_line(&mut head), Ok(1..)) {
                return;
            }
        }
        counts.asked.fetch_add(1, Ordering::SeqCst);
        let now = counts.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        counts.most_at_once.fetch_max(now, Ordering::SeqCst);
        thread::yield_now();
        let answer = answer(&head.to_ascii_lowercase(), counts);
        counts.at_once.fetch_sub(1, Ordering::SeqCst);
        if stream.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(head: &str, counts: &Counts) -> String {
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    if value("x-buyer-id").or(value("x_buyer_id")).is_some() {
        counts.named.fetch_add(1, Ordering::SeqCst);
    }
    let credential = value("cookie: ").or(value("authorization: ")).unwrap_or_default();
    match credential.split_once('=') {
        Some(("buyer", name)) => {
            format!("HTTP/1.1 200 OK\r\nX-Buyer-Id: {name}\r\nContent-Length: 2\r\n\r\nok")
        }
        Some(("status", code)) => format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n"),
        _ => "HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n".to_owned(),
    }
}
