//! How long a client would wait for news: `?wait=SECONDS`, or `Prefer: wait=SECONDS` (RFC 7240).

use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;

use super::answer::Answer;
use super::problem::Problem;

const PREFER: HeaderName = HeaderName::from_static("prefer");
/// Tells that an answer was held for as long as it says.
pub(super) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The longest that an answer is held, in seconds.
const SECONDS_MAX: f64 = 30.0;

/// How long the answer may be held; zero if nothing was asked for. A `Prefer` that cannot be read is ignored, as
/// its RFC has it; the query says what it means or is refused.
pub(super) fn wished(head: &Parts) -> Result<Duration, Problem> {
    let seconds = match head.uri.query() {
        Some(query) => by_query(query)?,
        None => by_header(head).unwrap_or_default(),
    };
    Ok(Duration::from_secs_f64(seconds.clamp(0.0, SECONDS_MAX)))
}

/// Says how long the answer would have been held at most.
pub(super) fn applied(answer: &mut Answer, wait: Duration) {
    if let Ok(value) = HeaderValue::try_from(format!("wait={}", wait.as_secs_f64())) {
        answer.headers_mut().insert(PREFERENCE_APPLIED, value);
    }
}

fn by_query(query: &str) -> Result<f64, Problem> {
    let value = query.strip_prefix("wait=").filter(|value| !value.contains('&'));
    let value = value.ok_or(Problem::Malformed("a ticket has no query but one `wait=SECONDS`"))?;
    // Words that Rust takes for numbers are none here.
    let digits = |byte: u8| byte.is_ascii_digit() || b".-+eE".contains(&byte);
    let number = value.bytes().all(digits).then(|| value.parse::<f64>().ok()).flatten();
    number.ok_or(Problem::Malformed("`wait` is a number of seconds, 0 to 30"))
}

/// The first `wait` of all preferences; it alone counts.
fn by_header(head: &Parts) -> Option<f64> {
    let all = head.headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let waits = |preference: &str| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().to_owned())
    };
    let value = all.flat_map(preferences).find_map(waits)?;
    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(&value);
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| value.parse().ok()).flatten()
}

/// The preferences of one header: commas part them, but not inside of quotes.
fn preferences(header: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    header.split(move |character| {
        quoted ^= character == '"';
        character == ',' && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(uri: &str, prefer: &[&str]) -> Result<Duration, Problem> {
        let mut request = hyper::Request::get(uri);
        for value in prefer {
            request = request.header(PREFER, *value);
        }
        wished(&request.body(()).unwrap().into_parts().0)
    }

    fn seconds(uri: &str, prefer: &[&str]) -> f64 {
        wish(uri, prefer).unwrap().as_secs_f64()
    }

    #[test]
    fn a_query_is_a_number_that_is_clamped_or_refused() {
        for (query, wanted) in [
            ("wait=5", 5.0),
            ("wait=0", 0.0),
            ("wait=0.5", 0.5),
            ("wait=-1", 0.0),
            ("wait=31", 30.0),
            ("wait=99999999999999999999999", 30.0),
            ("wait=1e999", 30.0),
        ] {
            assert!((seconds(&format!("/t?{query}"), &[]) - wanted).abs() < 1e-9, "{query}");
        }
        for query in [
            "",
            "wait",
            "wait=",
            "wait=x",
            "wait=inf",
            "wait=NaN",
            "wait=5&wait=5",
            "a=1",
            "wait=5&a=1",
        ] {
            let refused = wish(&format!("/t?{query}"), &[]);
            assert!(matches!(refused, Err(Problem::Malformed(_))), "{query}: {refused:?}");
        }
    }

    #[test]
    fn a_preference_is_clamped_or_ignored() {
        for (prefer, wanted) in [
            (&["wait=10"][..], 10.0),
            (&["respond-async, Wait = \"7\"; a=b"], 7.0),
            (&["respond-async", "wait=3"], 3.0),
            (&["wait=3, wait=9"], 3.0),
            (&["foo=\"a, wait=9\", wait=4"], 4.0),
            (&["wait=99999"], 30.0),
            (&["wait=-1"], 0.0),
            (&["wait=x"], 0.0),
            (&["wait=x, wait=9"], 0.0),
            (&["wait=1.5"], 0.0),
            (&["wait"], 0.0),
            (&[], 0.0),
        ] {
            assert!((seconds("/t", prefer) - wanted).abs() < 1e-9, "{prefer:?}");
        }
        let both = seconds("/t?wait=2", &["wait=9"]);
        assert!((both - 2.0).abs() < 1e-9, "the address is the plainer word");
    }
}
