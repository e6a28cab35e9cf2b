//! Addresses: those that the gateway takes, and those that it asks.

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

/// Whether both addresses can be taken. `at_work`: a gateway has the ledger, so it has them too.
pub(super) fn ports(settings: &Settings, at_work: bool) -> Vec<Examined> {
    let listeners = [("public", settings.public.listen), ("admin", settings.admin)];
    listeners.map(|(name, address)| port(name, address, at_work)).into()
}

fn port(name: &'static str, address: SocketAddr, at_work: bool) -> Examined {
    let check = if name == "public" { "public port" } else { "admin port" };
    match app::address_is_free(name, address) {
        Ok(()) => Examined::ok(check, format!("{address} is free")),
        Err(_) if at_work => {
            Examined::ok(check, format!("{address} is taken; a gateway is at work here"))
        }
        Err(error) => Examined::fail(check, error.message, format!("see [{name}] listen")),
    }
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
