//! Reading a ticket on a bare socket, held or as a stream. Those who wait are many, so each has a small buffer.

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::target::Target;

/// Enough for an answer of the gateway.
const BUFFER: usize = 1_024;

/// A connection of a buyer who waits.
pub(crate) type Reader = BufReader<TcpStream>;

/// Connects to a gateway.
pub(crate) async fn connect(target: &Target) -> std::io::Result<Reader> {
    let socket = TcpStream::connect(target.address).await?;
    socket.set_nodelay(true)?;
    Ok(BufReader::with_capacity(BUFFER, socket))
}

/// Asks for what lies `below` a ticket, with further header `lines`, and reads the head of the answer: its status, and
/// its length if it has one.
pub(crate) async fn ask(
    reader: &mut Reader,
    (host, ticket): (&str, &str),
    below: &str,
    lines: &str,
) -> anyhow::Result<(u16, usize)> {
    let request =
        format!("GET /v1/tickets/{ticket}{below} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
    reader.write_all(request.as_bytes()).await?;
    let (mut status, mut length, mut line) = (None, 0, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line).await? == 0 {
            bail!("the connection ended before its answer");
        }
        let field = line.trim_end().to_ascii_lowercase();
        if field.is_empty() {
            return Ok((status.context("an answer without a status")?, length));
        }
        if status.is_none() {
            status = field.split(' ').nth(1).and_then(|status| status.parse().ok());
        } else if let Some(value) = field.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
}
