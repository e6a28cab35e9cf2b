//! The query of an address on the public listener.

use super::edge::PARAMETERS_MAX;
use super::problem::Problem;

/// Refuses a query that cannot be read in one way only.
///
/// # Errors
/// When an escape is broken, a name comes twice, or there are too many of them.
pub(super) fn check(query: &str) -> Result<(), Problem> {
    if query.split('&').count() > PARAMETERS_MAX {
        return Err(Problem::Malformed("a query has at most 64 parameters"));
    }
    if !escapes_are_whole(query.as_bytes()) {
        return Err(Problem::Malformed("in an address `%` is followed by two hexadecimal digits"));
    }
    let names = || query.split('&').filter_map(|pair| pair.split('=').next());
    let twice = |(at, name): (usize, &str)| {
        !name.is_empty() && names().skip(at + 1).any(|other| other == name)
    };
    if names().enumerate().any(twice) {
        return Err(Problem::Malformed("give each parameter of the address once"));
    }
    Ok(())
}

fn escapes_are_whole(bytes: &[u8]) -> bool {
    let mut parts = bytes.split(|byte| *byte == b'%');
    parts.next();
    parts.all(|part| part.len() >= 2 && part[..2].iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_in_one_way() {
        for good in ["", "wait=5", "a=%20b&c", "a=1&b=1", "&&"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let many = "&".repeat(64);
        for bad in ["%zz", "a=%2", "a=%", "a=1&a=2", "a&b&a", &many] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
