//! A plain client: one connection, nothing retried, nothing hidden.

use std::collections::VecDeque;
use std::net::SocketAddr;

use anyhow::{Context, bail};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Scanner, Value};

/// A connection to a Redis. Replies come in the order of the requests.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    scanner: Scanner,
    received: BytesMut,
    /// How many of the received bytes the scanner has seen.
    scanned: usize,
    /// What came that nobody asked for.
    pushed: VecDeque<Value>,
}

impl Client {
    /// Connects, and says nothing yet.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("{address}"))?;
        stream.set_nodelay(true)?;
        let (received, pushed) = Default::default();
        Ok(Self { stream, scanner: Scanner::of_replies(), received, scanned: 0, pushed })
    }

    /// One command and its reply; an error reply is a value too.
    ///
    /// # Errors
    /// When the connection ends before the reply.
    pub async fn call(&mut self, command: &[impl AsRef<[u8]>]) -> anyhow::Result<Value> {
        self.send(command).await?;
        self.receive().await
    }

    /// The same, where an error reply is an error.
    ///
    /// # Errors
    /// What the server says, or how the connection ended.
    pub async fn ask(&mut self, command: &[impl AsRef<[u8]>]) -> anyhow::Result<Value> {
        match self.call(command).await? {
            Value::Error(error) => {
                let words = command.iter().map(|word| String::from_utf8_lossy(word.as_ref()));
                bail!("{:?}: {error}", words.collect::<Vec<_>>())
            }
            value => Ok(value),
        }
    }

    /// Sends a command without waiting for its reply: the next ones may follow at once.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send(&mut self, command: &[impl AsRef<[u8]>]) -> anyhow::Result<()> {
        self.write(&request(command)).await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// The next reply.
    ///
    /// # Errors
    /// When the connection ends before it is whole.
    pub async fn receive(&mut self) -> anyhow::Result<Value> {
        loop {
            let unseen = self.received.get(self.scanned..).unwrap_or_default();
            if let Some(ended) = self.scanner.scan(unseen)? {
                let frame = self.received.split_to(self.scanned + ended.at);
                self.scanned = 0;
                let value = Value::read(&frame).context("a frame that cannot be read")?;
                if !ended.push {
                    return Ok(value);
                }
                self.pushed.push_back(value);
            } else {
                self.scanned = self.received.remaining();
                if self.stream.read_buf(&mut self.received).await? == 0 {
                    bail!("the connection was closed");
                }
            }
        }
    }

    /// The oldest message that came between replies and was asked by nobody.
    pub fn pushed(&mut self) -> Option<Value> {
        self.pushed.pop_front()
    }
}

/// A command as it goes over the wire.
#[must_use]
pub fn request(command: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for argument in command {
        let argument = argument.as_ref();
        bytes.extend(format!("${}\r\n", argument.len()).bytes());
        bytes.extend(argument);
        bytes.extend(b"\r\n");
    }
    bytes
}
