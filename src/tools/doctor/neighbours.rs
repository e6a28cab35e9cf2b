//! Addresses: those that the gateway takes, and those that it asks.

use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::net::ToSocketAddrs;
use std::time::Duration;

use super::Cause;
use super::Examined;
use crate::app;
use crate::config::Settings;
use crate::identity::Means;

/// How long the shop may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How long the gateway at work may take to say whether it is ready.
const READY_MAX: Duration = Duration::from_secs(3);

/// Whether both addresses can be taken. `at_work`: a gateway has the ledger, so it has them too.
pub(super) fn ports(settings: &Settings, at_work: bool) -> Vec<Examined> {
    let listeners = [("public", settings.public.listen), ("admin", settings.admin)];
    listeners.map(|(name, address)| port(name, address, at_work)).into()
}

fn port(name: &'static str, address: SocketAddr, at_work: bool) -> Examined {
    let check = if name == "public" { "public port" } else { "admin port" };
    match app::address_is_free(name, address) {
        Ok(()) => Examined::ok(check, format!("{address} is free")),
        Err(_) if at_work => at_its_work(check, address),
        Err(error) => Examined::fail(check, error.message, format!("see [{name}] listen")),
    }
}

/// Whether the gateway that has the address answers there, and is ready.
fn at_its_work(check: &'static str, address: SocketAddr) -> Examined {
    let found = format!("{address} is taken; a gateway is at work here");
    match readiness(address) {
        Ok(status) if status.starts_with("HTTP/1.1 200") => {
            Examined::ok(check, format!("{found} and is ready"))
        }
        Ok(status) if status.starts_with("HTTP/1.1 503") => {
            let advice = format!("GET http://{address}/readyz says what it waits for");
            Examined::warn(check, format!("{found} and is not ready"), advice)
        }
        Ok(status) => {
            let found = format!("{found}, but what listens there answers /readyz with `{status}`");
            Examined::fail(check, found, "see which process has the port: `ss -ltnp`")
        }
        Err(error) => {
            let found = format!("{found} and does not answer: {error}");
            let advice =
                "see its log, and whether it is stopped; a restart loses nothing that was accepted";
            Examined::fail(check, found, advice)
        }
    }
}

/// The first line of the answer to `GET /readyz`.
fn readiness(address: SocketAddr) -> std::io::Result<String> {
    let mut near = address;
    if address.ip().is_unspecified() {
        near.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let mut stream = TcpStream::connect_timeout(&near, READY_MAX)?;
    stream.set_write_timeout(Some(READY_MAX))?;
    stream.set_read_timeout(Some(READY_MAX))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {near}\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 64];
    let read = stream.read(&mut head).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => {
            std::io::Error::other(format!("nothing came within {} s", READY_MAX.as_secs()))
        }
        _ => error,
    })?;
    let text = String::from_utf8_lossy(head.get(..read).unwrap_or_default()).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Whether the shop that is asked for buyers can be reached, where it is asked.
pub(super) fn shop(settings: &Settings) -> Option<Examined> {
    let Means::Forward(question) = &settings.identity else { return None };
    let host = question.url.host().unwrap_or_default();
    let port = question.url.port_u16().unwrap_or(80);
    let place = format!("{host}:{port}");
    // An IPv6 address stands in brackets in an address of the web, and without them elsewhere.
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let connected = (name, port).to_socket_addrs().and_then(|mut addresses| {
        let address =
            addresses.next().ok_or_else(|| std::io::Error::other("the name has no address"))?;
        TcpStream::connect_timeout(&address, CONNECT_MAX)
    });
    Some(match connected {
        Ok(_) => Examined::ok("identity", format!("the shop answers at {place}")),
        Err(error) => {
            let found = format!("the shop cannot be reached at {place}: {error}");
            let advice = "see [identity] url: without it nobody is known who is not remembered";
            Examined::fail("identity", found, advice).because(Cause::Dependency)
        }
    })
}
