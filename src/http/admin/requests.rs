//! Durations of the admin listener's requests. Every series is there from the start.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::{Method, StatusCode};
use metrics::{Histogram, histogram};

use super::route::Resource;
use crate::metrics::HTTP_REQUEST_DURATION;

/// What reads answer; what is rarer is `other`.
const READ: &[u16] = &[200, 404, 503];
/// What changes answer.
const CHANGED: &[u16] = &[200, 404, 409, 422, 503];
/// What a change answers that may make something.
const MADE: &[u16] = &[200, 201, 404, 409, 422, 503];
/// What is answered where there is no such path, or no such method at a path.
const ELSEWHERE: &[u16] = &[204, 400, 401, 403, 404, 405, 501];

/// The label of all that has none of its own.
const OTHER: &str = "other";

type Row = (&'static [u16], Vec<Histogram>);

/// Handles by route and method.
#[derive(Debug)]
pub(super) struct Requests {
    rows: BTreeMap<(&'static str, &'static str), Row>,
    elsewhere: Row,
}

impl Requests {
    pub(super) fn new() -> Self {
        let mut rows = BTreeMap::new();
        for resource in Resource::EVERY {
            for method in resource.methods() {
                let codes = match (resource, method) {
                    (_, &Method::GET) => READ,
                    (Resource::Sale(_), _) => MADE,
                    _ => CHANGED,
                };
                let (route, method) = (resource.template(), label(method));
                rows.insert((route, method), row(route, method, codes));
            }
        }
        Self { rows, elsewhere: row(OTHER, OTHER, ELSEWHERE) }
    }

    /// Notes one answered request. The time of a stream ends where it begins to be sent.
    pub(super) fn note(
        &self,
        resource: Option<Resource<'_>>,
        method: &Method,
        status: StatusCode,
        took: Duration,
    ) {
        let row =
            resource.and_then(|resource| self.rows.get(&(resource.template(), label(method))));
        let (codes, handles) = row.unwrap_or(&self.elsewhere);
        let known = codes.iter().position(|code| *code == status.as_u16());
        handles[known.unwrap_or(codes.len())].record(took);
    }
}

/// HEAD is a GET whose body nobody wants.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "GET",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        _ => OTHER,
    }
}

fn row(route: &'static str, method: &'static str, codes: &'static [u16]) -> Row {
    let of = |code: String| histogram!(HTTP_REQUEST_DURATION, "route" => route, "method" => method, "code" => code);
    let names = codes.iter().map(|code| code.to_string()).chain([OTHER.to_owned()]);
    (codes, names.map(of).collect())
}
