//! What the head of every request must be, whatever its route; hyper is more patient.

use hyper::header::{CONNECTION, EXPECT, HOST};
use hyper::http::request::Parts;
use hyper::{Method, Uri, Version};

use super::framing::Fault;
use super::pulse::Arrival;
use crate::http::problem::Problem;

/// The most header lines.
const HEADERS_MAX: usize = 64;
/// The longest address, in bytes.
const URI_MAX: usize = 2_048;
/// The most parameters of a query.
pub(in crate::http) const PARAMETERS_MAX: usize = 64;

/// Lets a request pass to its route. `allow` lists the methods of the resource that it names.
///
/// # Errors
/// The refusal; the connection ends with it.
pub(in crate::http) fn check(
    head: &Parts,
    arrival: &Arrival,
    allow: impl FnOnce() -> &'static str,
) -> Result<(), Problem> {
    if let Some(fault) = arrival.fault() {
        return Err(refused(fault));
    }
    method(&head.method, allow)?;
    target(&head.uri, &head.method)?;
    if head.headers.len() > HEADERS_MAX {
        return Err(Problem::HeadersTooLarge);
    }
    host(head)?;
    for value in head.headers.get_all(CONNECTION) {
        connection(value.as_bytes())?;
    }
    if head.version == Version::HTTP_11 {
        let mut expected = head.headers.get_all(EXPECT).iter();
        let known = expected
            .next()
            .is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        if !known || expected.next().is_some() {
            return Err(Problem::ExpectationFailed);
        }
    }
    Ok(())
}

fn refused(fault: Fault) -> Problem {
    Problem::Malformed(match fault {
        Fault::TwoFramings => "send Content-Length or Transfer-Encoding, never both",
        Fault::Length => "send Content-Length once, as a decimal number without leading zeros",
        Fault::Coding => "send Transfer-Encoding once; its value is `chunked`",
        Fault::UnknownCoding => {
            return Problem::NotImplemented("the only transfer coding here is `chunked`");
        }
        Fault::Fragment => "an address in a request has no fragment",
        Fault::Lost => "it is not clear where this request begins: use a new connection",
    })
}

fn method(method: &Method, allow: impl FnOnce() -> &'static str) -> Result<(), Problem> {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS => Ok(()),
        Method::CONNECT | Method::TRACE => Err(Problem::MethodNotAllowed(allow())),
        _ => Err(Problem::UnknownMethod),
    }
}

fn target(uri: &Uri, method: &Method) -> Result<(), Problem> {
    let Some(all) = uri.path_and_query().filter(|_| uri.authority().is_none()) else {
        return Err(Problem::Malformed("name a path in the request line, and the host in `Host`"));
    };
    if all.as_str().len() > URI_MAX {
        let parameters = all.query().map_or(0, |query| query.split('&').count());
        return Err(if parameters > PARAMETERS_MAX {
            Problem::Malformed("a query has at most 64 parameters")
        } else {
            Problem::UriTooLong
        });
    }
    if all.path().starts_with('/') || (all.path() == "*" && method == Method::OPTIONS) {
        return Ok(());
    }
    Err(Problem::Malformed("the path begins with `/`"))
}

/// One `Host`; HTTP/1.0 need not have it.
fn host(head: &Parts) -> Result<(), Problem> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let Some(host) = hosts.next() else {
        return if head.version == Version::HTTP_10 {
            Ok(())
        } else {
            Err(Problem::Malformed("send one `Host` header"))
        };
    };
    if hosts.next().is_some() {
        return Err(Problem::Malformed("send one `Host` header"));
    }
    if is_host(host.as_bytes()) {
        Ok(())
    } else {
        Err(Problem::Malformed("`Host` is a name or an address, with a port or without"))
    }
}

/// A name, an IPv4 address or an IPv6 address in brackets, with a port or without.
fn is_host(value: &[u8]) -> bool {
    let (name, port) = if value.first() == Some(&b'[') {
        let Some(end) = value.iter().position(|byte| *byte == b']') else { return false };
        let (name, port) = value.split_at(end + 1);
        let inner = &name[1..end];
        let six = !inner.is_empty()
            && inner.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
        if !six {
            return false;
        }
        (name, port)
    } else {
        let end = value.iter().position(|byte| *byte == b':').unwrap_or(value.len());
        let (name, port) = value.split_at(end);
        let letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if !name.iter().all(letter) {
            return false;
        }
        (name, port)
    };
    let number = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    number && !name.is_empty()
}

/// What a message is made of is not for one hop only.
fn connection(value: &[u8]) -> Result<(), Problem> {
    let whole = [&b"transfer-encoding"[..], b"content-length", b"host"];
    let of_message =
        |option: &[u8]| whole.iter().any(|name| option.trim_ascii().eq_ignore_ascii_case(name));
    if value.split(|byte| *byte == b',').any(of_message) {
        return Err(Problem::Malformed("`Connection` may not name what frames the request"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        for good in
            ["h", "shop.example:8080", "127.0.0.1:1", "[::1]:8080", "[::ffff:1.2.3.4]", "a_b:"]
        {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "a b", "a/..", "u@h", "h:x", "h:123456", "h:1:2", "[::1", "[]", "[::1]x",
            "[g]", "a,b", "h\u{e4}", "http://h", "h?", "h#",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn targets_are_paths() {
        let of = |text: &str, method: Method| target(&text.parse().unwrap(), &method);
        assert_eq!(of("/v1/sales?a=b", Method::GET), Ok(()));
        assert_eq!(of("*", Method::OPTIONS), Ok(()));
        for (bad, method) in
            [("http://h/v1/sales", Method::GET), ("h", Method::GET), ("*", Method::GET)]
        {
            assert!(matches!(of(bad, method), Err(Problem::Malformed(_))), "{bad}");
        }
        let long = format!("/{}", "a".repeat(URI_MAX));
        assert_eq!(of(&long, Method::GET), Err(Problem::UriTooLong));
        assert_eq!(of(&long[..URI_MAX], Method::GET), Ok(()));
        let many = format!("/?{}", "a=1&".repeat(2_000));
        assert!(matches!(of(&many, Method::GET), Err(Problem::Malformed(_))));
    }

    #[test]
    fn what_frames_a_message_is_no_option_of_the_connection() {
        for good in ["keep-alive", "close", "Upgrade, HTTP2-Settings", "TE"] {
            assert_eq!(connection(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in ["Transfer-Encoding", "close, content-length", "HOST"] {
            assert!(connection(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
