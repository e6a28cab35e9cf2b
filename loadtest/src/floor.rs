//! The floor: an order decided in memory by as little as can do it. One thread, one epoll, no runtime, no framework;
//! it parses the head and the body, knows the sale's stock, each buyer's order and his key, and answers with as many
//! bytes as the gateway. What lies above it is what HTTP libraries, durability and everything else cost.

mod book;
mod exchange;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;

use self::book::Book;
use self::exchange::{Request, answer, parse};
use crate::output;

/// No order is larger, head and body.
const REQUEST_MAX: usize = 16 * 1024;
const EVENTS: usize = 256;
/// The listener's token; those of connections are their places.
const LISTENER: u64 = u64::MAX;

struct Floor {
    epoll: OwnedFd,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    book: Book,
    body_bytes: usize,
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// Serves until the process is ended. Prints its address, so that its parent knows when it is there.
pub fn serve(
    listen: SocketAddr,
    body_bytes: usize,
    sales: impl IntoIterator<Item = (String, u64)>,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    output::line(format_args!("listening on {}", listener.local_addr()?));
    let (connections, free, book) = (Vec::new(), Vec::new(), Book::new(sales));
    let mut floor = Floor { epoll, listener, connections, free, book, body_bytes };
    let (mut events, mut chunk, mut out) =
        (Vec::with_capacity(EVENTS), vec![0; REQUEST_MAX], Vec::with_capacity(REQUEST_MAX));
    loop {
        epoll::wait(&floor.epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => floor.accept()?,
                place => floor.serve(usize::try_from(place)?, &mut chunk, &mut out),
            }
        }
    }
}

impl Floor {
    fn accept(&mut self) -> anyhow::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let place = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let data = EventData::new_u64(place as u64);
            epoll::add(&self.epoll, &stream, data, EventFlags::IN)?;
            if let Some(slot) = self.connections.get_mut(place) {
                *slot = Some(Connection { stream, received: Vec::new() });
            }
        }
    }

    /// Reads once and answers what is whole. Whatever goes wrong ends the connection.
    fn serve(&mut self, place: usize, chunk: &mut [u8], out: &mut Vec<u8>) {
        let Some(slot) = self.connections.get_mut(place) else { return };
        let Some(connection) = slot else { return };
        out.clear();
        let alive = connection.take_in(chunk, |request| {
            let decision = self.book.decide(&request);
            answer(&decision, self.body_bytes, out);
        });
        let sent = out.is_empty() || connection.stream.write_all(out).is_ok();
        if !(alive && sent) {
            // Dropping the stream takes it out of the epoll.
            *slot = None;
            self.free.push(place);
        }
    }
}

impl Connection {
    /// False when the connection is over.
    fn take_in(&mut self, chunk: &mut [u8], mut each: impl FnMut(Request<'_>)) -> bool {
        let read = match self.stream.read(chunk) {
            Ok(0) => return false,
            Ok(read) => chunk.get(..read).unwrap_or_default(),
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        };
        // Nearly always one whole request, which need not be copied.
        let carried = !self.received.is_empty();
        if carried {
            self.received.extend_from_slice(read);
        }
        let seen: &[u8] = if carried { &self.received } else { read };
        let mut from = 0;
        while let Some(rest) = seen.get(from..).filter(|rest| !rest.is_empty()) {
            match parse(rest) {
                Ok(Some((request, length))) => {
                    each(request);
                    from += length;
                }
                Ok(None) if rest.len() < REQUEST_MAX => break,
                Ok(None) | Err(_) => return false,
            }
        }
        if carried {
            self.received.drain(..from);
        } else if let Some(rest) = read.get(from..) {
            self.received.extend_from_slice(rest);
        }
        true
    }
}
