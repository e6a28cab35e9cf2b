//! Rows in which time passes: B-30 to B-33 and B-47, at a gateway whose limits are a second; and bodies whose rate
//! counts, at one that gives them a minute.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::Context;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{interval, timeout};

use super::exchange::{Next, Reader};
use super::row::{BODY, get, head};
use crate::clock;

/// Every limit of the gateway, as it is set.
pub(super) const LIMIT: &str = "1s";
/// Between two bytes of a client that drips.
const DRIP: Duration = Duration::from_millis(50);
/// A limit of a second may end early, for it is kept by a coarse clock, and late on a busy machine.
const A_SECOND: RangeInclusive<f32> = 0.8..=3.0;

/// A client that takes its time.
pub(super) struct Slow {
    pub(super) id: &'static str,
    pub(super) what: &'static str,
    begins: String,
    /// Goes on with this for ever.
    drips: Option<Vec<u8>>,
    pub(super) wanted: &'static str,
    /// When it is over, in seconds.
    over: RangeInclusive<f32>,
}

impl Slow {
    /// Whether it was over when it had to be.
    pub(super) fn in_time(&self, took: Duration) -> bool {
        self.over.contains(&took.as_secs_f32())
    }

    /// What is wanted, and when.
    pub(super) fn wanted_then(&self) -> String {
        format!("{} after {:?}s", self.wanted, self.over)
    }
}

pub(super) fn rows() -> Vec<Slow> {
    let row = |id, what, begins: &str, drips: Option<u8>, wanted| Slow {
        id,
        what,
        begins: begins.to_owned(),
        drips: drips.map(|byte| vec![byte]),
        wanted,
        over: A_SECOND,
    };
    let length = head("slow", "Content-Length: 100\r\n");
    let chunks = head("slow", "Transfer-Encoding: chunked\r\n");
    let text = length.replace("application/json", "text/plain");
    let slow = "408 timeout close";
    vec![
        row("B-32", "connects and sends nothing", "", None, "close"),
        row("B-32", "sends empty lines", "\r\n\r\n", None, "close"),
        row("B-32", "P", "P", None, slow),
        row("B-32", "PRI * HTT", "PRI * HTT", None, slow),
        row(
            "B-31",
            "a header byte by byte",
            "GET /livez HTTP/1.1\r\nHost: h\r\nA: ",
            Some(b'a'),
            slow,
        ),
        row(
            "B-31",
            "a second head byte by byte",
            &format!("{}GET /", get("/livez", "")),
            Some(b'a'),
            "200; 408 timeout close",
        ),
        row("B-33", "idle after an answer", &get("/livez", ""), None, "200 close"),
        row("B-30", "3 bytes of a body of 100, then silence", &format!("{length}abc"), None, slow),
        row("B-30", "a body byte by byte", &length, Some(b' '), slow),
        row("B-30", "a chunk byte by byte", &format!("{chunks}ff\r\n"), Some(b' '), slow),
        row("B-30", "chunks that never end", &format!("{chunks}1\r\n \r\n"), None, slow),
        row(
            "B-30",
            "a refused body that never comes",
            &text,
            None,
            "415 unsupported_media_type close",
        ),
        row(
            "B-30",
            "a whole order, then half of the next",
            &format!(
                "{}{BODY}{length}ab",
                head("slow-2", &format!("Content-Length: {}\r\n", BODY.len()))
            ),
            None,
            "202; 408 timeout close",
        ),
    ]
}

/// Bodies that have a minute in all: beyond five seconds each further one costs a kibibyte.
pub(super) fn steady() -> Vec<Slow> {
    let length = 8_000;
    let begins = format!(
        "{}{BODY}",
        head("steady", &format!("Connection: close\r\nContent-Length: {length}\r\n"))
    );
    let row = |what, a_second: usize, wanted, over| Slow {
        id: "B-30",
        what,
        begins: begins.clone(),
        drips: Some(b" ".repeat(a_second / 20)),
        wanted,
        over,
    };
    vec![
        // 8,000 bytes take 6.6 s, for which 12.8 s are allowed.
        row("a body of 1,200 bytes a second", 1_200, "202 close", 6.0..=9.0),
        // Of 100 bytes a second 5.5 s are earned after 5.5 s.
        row("a body of 100 bytes a second", 100, "408 timeout close", 5.0..=8.0),
    ]
}

/// What came back, and after which time the connection was closed.
pub(super) async fn seen(target: SocketAddr, row: &Slow) -> anyhow::Result<(String, Duration)> {
    let stream = TcpStream::connect(target).await?;
    let began = clock::now();
    let (reading, mut writing) = stream.into_split();
    let (begins, drips) = (row.begins.clone().into_bytes(), row.drips.clone());
    let dripping = tokio::spawn(async move {
        let _ = writing.write_all(&begins).await;
        let mut ticks = interval(DRIP);
        while let Some(drip) = &drips {
            ticks.tick().await;
            if writing.write_all(drip).await.is_err() {
                break;
            }
        }
        writing
    });
    let mut reader = Reader::new(reading, false);
    let mut parts = Vec::new();
    let fate = loop {
        match reader.next(Duration::from_secs(10)).await {
            Next::Answer(answer) => {
                let code = answer.says("code").map(|code| format!(" {code}"));
                parts.push(format!("{}{}", answer.status, code.unwrap_or_default()));
            }
            Next::Closed => break "close",
            Next::Torn => break "reset",
            Next::Silence => break "open",
        }
    };
    dripping.abort();
    Ok((
        format!("{}{}{fate}", parts.join("; "), if parts.is_empty() { "" } else { " " }),
        began.elapsed(),
    ))
}

/// Whether a limit of a second was kept.
pub(super) fn in_a_second(took: Duration) -> bool {
    A_SECOND.contains(&took.as_secs_f32())
}

/// A client that asks and asks and never reads: after which time it was cut off.
pub(super) async fn never_reads(target: SocketAddr) -> anyhow::Result<Duration> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4_096)?;
    let mut stream = socket.connect(target).await?;
    let began = clock::now();
    let asks = get("/v1/sales", "").repeat(500);
    let asking = async { while stream.write_all(asks.as_bytes()).await.is_ok() {} };
    timeout(Duration::from_secs(30), asking).await.context("a client that never reads is kept")?;
    Ok(began.elapsed())
}
