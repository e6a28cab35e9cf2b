//! Sockets: their addresses are taken before anything else is touched, and listened on when all is ready.
//!
//! Between the two a client is refused at once and goes elsewhere, instead of waiting in a backlog.

use std::net::SocketAddr;

use socket2::Domain;
use socket2::Protocol;
use socket2::SockRef;
use socket2::Socket;
use socket2::Type;

use super::StartError;

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4_096;

/// An address that is ours.
#[derive(Debug)]
pub(super) struct Bound {
    socket: Socket,
    name: &'static str,
    /// As it was given by the system, a port of 0 resolved.
    pub(super) address: SocketAddr,
}

/// Takes an address. `name` is the section of the settings.
///
/// # Errors
/// When somebody else has it, or it is not this machine's.
pub(super) fn bind(name: &'static str, wanted: SocketAddr) -> Result<Bound, StartError> {
    let failed = |error| refused(name, wanted, &error);
    let domain = Domain::for_address(wanted);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).map_err(failed)?;
    // A restart must not wait for the old connections' TIME_WAIT; two listeners are refused all the same.
    socket.set_reuse_address(true).map_err(failed)?;
    if wanted.is_ipv6() && wanted.ip().is_unspecified() {
        // "[::]" means every address, whatever the system's default is.
        socket.set_only_v6(false).map_err(failed)?;
    }
    socket.set_nonblocking(true).map_err(failed)?;
    socket.bind(&wanted.into()).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?.as_socket().unwrap_or(wanted);
    Ok(Bound { socket, name, address })
}

/// Whether an address can be taken now. `name` is the section of the settings.
///
/// # Errors
/// As at a start.
pub fn address_is_free(name: &'static str, wanted: SocketAddr) -> Result<(), StartError> {
    bind(name, wanted)?.listen().map(drop)
}

impl Bound {
    /// Starts to listen.
    ///
    /// # Errors
    /// When somebody else listens there.
    pub(super) fn listen(self) -> Result<std::net::TcpListener, StartError> {
        let listening = SockRef::from(&self.socket).listen(BACKLOG);
        listening.map_err(|error| refused(self.name, self.address, &error))?;
        Ok(self.socket.into())
    }
}

fn refused(name: &str, wanted: SocketAddr, error: &std::io::Error) -> StartError {
    let hint = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            ": another process listens there; stop it, or choose another port"
        }
        std::io::ErrorKind::PermissionDenied => ": ports below 1024 need a privilege",
        std::io::ErrorKind::AddrNotAvailable => ": this machine has no such address",
        _ => "",
    };
    StartError::runtime(format!("[{name}] listen = \"{wanted}\": {error}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_refused_in_a_sentence() {
        let bound = bind("public", "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = bound.address;
        let listener = bound.listen().unwrap();
        let error = bind("admin", address).unwrap_err().message;
        assert!(error.contains("[admin] listen") && error.contains("another process"), "{error}");
        drop(listener);
        bind("admin", address).unwrap();
    }

    #[test]
    fn an_address_that_is_bound_and_not_yet_listened_on_takes_no_connection() {
        let bound = bind("public", "127.0.0.1:0".parse().unwrap()).unwrap();
        let connected = std::net::TcpStream::connect(bound.address);
        assert_eq!(connected.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    }
}
