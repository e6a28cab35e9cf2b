//! What kept a TLS connection from standing.

use std::error::Error;

/// Whether the handshake was what failed: certificates, versions, or a server that speaks no TLS.
#[cfg(feature = "tls")]
pub(super) fn is_of_tls(error: &(dyn Error + 'static)) -> bool {
    if error.is::<rustls::Error>() {
        return true;
    }
    // An I/O error does not name what it wraps as its source.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    wrapped.is_some_and(|wrapped| is_of_tls(wrapped)) || error.source().is_some_and(is_of_tls)
}

#[cfg(not(feature = "tls"))]
pub(super) fn is_of_tls(_: &(dyn Error + 'static)) -> bool {
    false
}
