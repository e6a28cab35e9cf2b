//! Sends a row's bytes and tells what came back, as the table writes it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::timeout;

use super::row::Row;

/// An open connection is known by this much silence after an answer …
const QUIET: Duration = Duration::from_millis(300);
/// … and a gateway that says nothing by this much.
const PATIENCE: Duration = Duration::from_secs(10);

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A field of the JSON body, as text.
    pub(super) fn says(&self, name: &str) -> Option<String> {
        self.json().get(name).and_then(Value::as_str).map(str::to_owned)
    }

    fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Status and code, and what every answer must have and this one has not.
    fn shown(&self, method: Method) -> String {
        let mut text = self.status.to_string();
        if let Some(code) = self.says("code") {
            text = format!("{text} {code}");
        }
        let refused = self.status >= 400;
        let lacks = [
            (
                refused && self.field("content-type") != Some("application/problem+json"),
                "no problem+json",
            ),
            (refused && method != Method::Head && self.says("code").is_none(), "no code"),
            (self.status >= 200 && self.field("cache-control").is_none(), "no Cache-Control"),
            (self.status == 405 && self.field("allow").is_none(), "no Allow"),
            (self.status == 401 && self.field("www-authenticate").is_none(), "no WWW-Authenticate"),
            (method == Method::Options && self.field("allow").is_none(), "no Allow"),
            (self.status >= 200 && self.field("date").is_none(), "no Date"),
            (
                matches!(self.status, 429 | 503) && self.field("retry-after").is_none(),
                "no Retry-After",
            ),
            (self.field("access-control-allow-origin").is_some(), "lets foreign pages in"),
            (self.field("server").is_some(), "names its server"),
        ];
        for (_, what) in lacks.iter().filter(|(lacks, _)| *lacks) {
            text = format!("{text} [{what}]");
        }
        text
    }
}

/// What a row asks with, as far as it changes what an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Head,
    Options,
    Other,
}

impl Method {
    fn of(row: &Row) -> Self {
        match row.bytes.split(|byte| *byte == b' ').next() {
            Some(b"HEAD") => Self::Head,
            Some(b"OPTIONS") => Self::Options,
            _ => Self::Other,
        }
    }
}

/// What was seen of a row.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) answers: Vec<Answer>,
    pub(super) text: String,
}

/// A connection that is read answer by answer.
pub(super) struct Reader {
    stream: OwnedReadHalf,
    read: Vec<u8>,
    /// Answers to HEAD have no body.
    head: bool,
}

/// What comes next on a connection.
pub(super) enum Next {
    Answer(Answer),
    Closed,
    Torn,
    Silence,
}

impl Reader {
    pub(super) fn new(stream: OwnedReadHalf, head: bool) -> Self {
        Self { stream, read: Vec::new(), head }
    }

    pub(super) async fn next(&mut self, within: Duration) -> Next {
        loop {
            match self.whole() {
                Ok(Some(answer)) => return Next::Answer(answer),
                Ok(None) => {}
                Err(()) => return Next::Torn,
            }
            match timeout(within, self.stream.read_buf(&mut self.read)).await {
                Err(_) => return Next::Silence,
                Ok(Ok(0)) if self.read.is_empty() => return Next::Closed,
                Ok(Ok(0) | Err(_)) => return Next::Torn,
                Ok(Ok(_)) => {}
            }
        }
    }

    /// Takes one answer if all of it is there; every answer of the gateway has a length or no body.
    fn whole(&mut self) -> Result<Option<Answer>, ()> {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Response::new(&mut fields);
        let head = match parsed.parse(&self.read) {
            Ok(httparse::Status::Complete(head)) => head,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(()),
        };
        let fields: Vec<(String, String)> = parsed
            .headers
            .iter()
            .map(|field| {
                (field.name.to_ascii_lowercase(), String::from_utf8_lossy(field.value).into_owned())
            })
            .collect();
        let mut answer = Answer { status: parsed.code.ok_or(())?, fields, body: Vec::new() };
        let bodiless = self.head || answer.status < 200 || matches!(answer.status, 204 | 304);
        let length = match answer.field("content-length") {
            _ if bodiless => 0,
            Some(length) => length.parse().map_err(|_| ())?,
            None => return Err(()),
        };
        if self.read.len() < head + length {
            return Ok(None);
        }
        answer.body = self.read.get(head..head + length).unwrap_or_default().to_vec();
        self.read.drain(..head + length);
        Ok(Some(answer))
    }
}

/// Sends the row to `target` and looks at what comes.
pub(super) async fn exchange(target: SocketAddr, row: &Row) -> anyhow::Result<Seen> {
    exchange_from([127, 0, 0, 1], target, row).await
}

/// The same from another address of this machine.
pub(super) async fn exchange_from(
    source: [u8; 4],
    target: SocketAddr,
    row: &Row,
) -> anyhow::Result<Seen> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    let stream = socket.connect(target).await?;
    stream.set_nodelay(true)?;
    let (reading, mut writing) = stream.into_split();
    let (bytes, half_close) = (row.bytes.clone(), row.half_close);
    // A gateway that refuses stops reading: what cannot be sent is not the row's business.
    let sending = tokio::spawn(async move {
        let sent = writing.write_all(&bytes).await;
        if half_close {
            let _ = writing.shutdown().await;
        }
        (sent.is_ok(), writing)
    });
    let mut reader = Reader::new(reading, Method::of(row) == Method::Head);
    let mut answers = Vec::new();
    let first = reader.next(PATIENCE).await;
    let (_, mut writing) = sending_done(sending, &first).await?;
    let mut next = first;
    let fate = loop {
        match next {
            Next::Answer(answer) => answers.push(answer),
            Next::Closed => break "close",
            Next::Torn => break "reset",
            Next::Silence if answers.is_empty() => break "silence",
            Next::Silence => match writing.as_mut() {
                Some(writing) => break usable(&mut reader, writing).await,
                None => break "stuck",
            },
        }
        if answers.len() == 1
            && !row.then.is_empty()
            && let Some(writing) = writing.as_mut()
        {
            writing.write_all(&row.then).await?;
        }
        let patience = if answers.last().is_some_and(|answer| answer.status == 100) {
            PATIENCE
        } else {
            QUIET
        };
        next = reader.next(patience).await;
    };
    let text = shown(&answers, fate, row);
    Ok(Seen { answers, text })
}

type Sending = tokio::task::JoinHandle<(bool, tokio::net::tcp::OwnedWriteHalf)>;

/// The writing half, if everything could be sent; after an answer there is no need to send the rest.
async fn sending_done(
    sending: Sending,
    first: &Next,
) -> anyhow::Result<(bool, Option<tokio::net::tcp::OwnedWriteHalf>)> {
    let patience =
        if matches!(first, Next::Silence) { Duration::ZERO } else { Duration::from_secs(3) };
    match timeout(patience, sending).await {
        Ok(sent) => sent.map(|(sent, writing)| (sent, sent.then_some(writing))).map_err(Into::into),
        Err(_) => Ok((false, None)),
    }
}

/// Whether another request is answered on the connection.
async fn usable(
    reader: &mut Reader,
    writing: &mut tokio::net::tcp::OwnedWriteHalf,
) -> &'static str {
    reader.head = false;
    // A host that both listeners know.
    let probe = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    if writing.write_all(probe.as_bytes()).await.is_err() {
        return "close";
    }
    match reader.next(PATIENCE).await {
        Next::Answer(answer) if answer.status == 200 => "open",
        Next::Closed => "close",
        _ => "stuck",
    }
}

/// The answers, equal ones in a row counted, and what became of the connection.
fn shown(answers: &[Answer], fate: &str, row: &Row) -> String {
    let method = Method::of(row);
    // A client that closes its side, or speaks HTTP/1.0, expects nothing else.
    let expected = row.half_close || row.bytes.windows(9).any(|line| line == b"HTTP/1.0\r");
    let mut parts: Vec<(usize, String)> = Vec::new();
    for answer in answers {
        let text = answer.shown(method);
        match parts.last_mut() {
            Some((count, last)) if *last == text && answers.len() > 9 => *count += 1,
            _ => parts.push((1, text)),
        }
    }
    let parts: Vec<String> = parts
        .into_iter()
        .map(|(count, text)| if count > 1 { format!("{count}x{text}") } else { text })
        .collect();
    let said = answers.last().is_some_and(Answer::closes);
    let unsaid = fate == "close" && !answers.is_empty() && !said && !expected;
    let broken = fate == "open" && said;
    let note = match (unsaid, broken) {
        (true, _) => " [without saying so]",
        (_, true) => " [though it said close]",
        _ => "",
    };
    format!("{}{}{fate}{note}", parts.join("; "), if parts.is_empty() { "" } else { " " })
}
