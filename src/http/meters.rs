//! Durations of requests and counts of polls. Every series is there from the start, on a handle that is made once.

use std::time::Duration;

use hyper::{Method, StatusCode};
use metrics::{Counter, Histogram, counter, histogram};

use crate::metrics::{HTTP_PANICS, HTTP_REQUEST_DURATION, TICKET_POLLS};

/// What a request asked for; the label `route`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Orders,
    Tickets,
    /// Held answers, by how long they were held.
    Waits,
    /// Streams, by how long they took to begin.
    Streams,
    Sales,
    Probes,
    Other,
}

const ROUTES: [&str; 7] = ["orders", "tickets", "waits", "streams", "sales", "probes", "other"];
const METHODS: [&str; 4] = ["GET", "POST", "DELETE", "other"];
const GET: usize = 0;
const POST: usize = 1;
const DELETE: usize = 2;
const OTHER: usize = 3;

/// What a route answers to one method. Every row ends in `other`: a code that is not in the row, or no answer,
/// because the connection ended before it.
#[derive(Debug)]
struct Row {
    route: Route,
    method: usize,
    codes: &'static [u16],
}

const fn row(route: Route, method: usize, codes: &'static [u16]) -> Row {
    Row { route, method, codes }
}

/// What every route answers to the methods that it does not have, and to OPTIONS.
const NOT_ITS_OWN: &[u16] = &[204, 400, 405, 501];

const ROWS: &[Row] = &[
    row(
        Route::Orders,
        POST,
        &[202, 400, 401, 403, 404, 408, 409, 410, 413, 415, 417, 422, 429, 500, 503],
    ),
    row(Route::Orders, OTHER, NOT_ITS_OWN),
    row(Route::Tickets, GET, &[200, 400, 404, 410, 429, 500, 503]),
    row(Route::Tickets, DELETE, &[200, 400, 401, 404, 409, 410, 500, 503]),
    row(Route::Tickets, OTHER, NOT_ITS_OWN),
    row(Route::Waits, GET, &[200]),
    row(Route::Streams, GET, &[200, 204, 400, 404, 410, 429, 500, 503]),
    row(Route::Streams, OTHER, NOT_ITS_OWN),
    row(Route::Sales, GET, &[200, 304, 400, 404, 500]),
    row(Route::Sales, OTHER, NOT_ITS_OWN),
    row(Route::Probes, GET, &[200, 400, 503]),
    row(Route::Probes, OTHER, NOT_ITS_OWN),
    row(Route::Other, GET, &[200, 400, 404]),
    row(Route::Other, OTHER, &[204, 400, 404, 405, 501]),
];

/// The row of a route and method; that of the route's other methods when it has none of its own.
fn row_of(route: Route, method: usize) -> usize {
    let find = |method| ROWS.iter().position(|row| row.route == route && row.method == method);
    // Held answers have one row: only GET is held.
    find(method).or_else(|| find(OTHER)).or_else(|| find(GET)).unwrap_or_default()
}

/// Handles of the public listener.
#[derive(Debug)]
pub(super) struct Meters {
    /// For each route and method its row in [`ROWS`].
    rows: [[usize; METHODS.len()]; ROUTES.len()],
    /// For each row its codes, and `other`.
    requests: Vec<Vec<Histogram>>,
    polls: Counter,
    /// Requests that were answered 500.
    pub(super) panics: Counter,
}

impl Meters {
    pub(super) fn new() -> Self {
        const ALL: [Route; ROUTES.len()] = [
            Route::Orders,
            Route::Tickets,
            Route::Waits,
            Route::Streams,
            Route::Sales,
            Route::Probes,
            Route::Other,
        ];
        Self {
            rows: ALL.map(|route| [GET, POST, DELETE, OTHER].map(|method| row_of(route, method))),
            requests: ROWS.iter().map(handles).collect(),
            polls: counter!(TICKET_POLLS),
            panics: counter!(HTTP_PANICS),
        }
    }

    /// One request; `None` when its connection ended before the answer.
    pub(super) fn request(
        &self,
        route: Route,
        method: &Method,
        code: Option<StatusCode>,
        took: Duration,
    ) {
        let method = match *method {
            Method::GET | Method::HEAD => GET,
            Method::POST => POST,
            Method::DELETE => DELETE,
            _ => OTHER,
        };
        let row = self.rows[route as usize][method];
        let codes = ROWS[row].codes;
        let known = code.and_then(|code| codes.iter().position(|known| *known == code.as_u16()));
        self.requests[row][known.unwrap_or(codes.len())].record(took);
    }

    /// One read of a ticket.
    pub(super) fn poll(&self) {
        self.polls.increment(1);
    }
}

/// A row's histograms, in the order of its codes.
fn handles(row: &Row) -> Vec<Histogram> {
    let (route, method) = (ROUTES[row.route as usize], METHODS[row.method]);
    let of = |code: String| histogram!(HTTP_REQUEST_DURATION, "route" => route, "method" => method, "code" => code);
    let codes = row.codes.iter().map(|code| code.to_string());
    codes.chain(["other".to_owned()]).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Registry;

    #[test]
    fn every_request_falls_into_a_series_that_was_there_before() {
        let registry = Registry::default();
        let meters = metrics::with_local_recorder(&registry, Meters::new);
        let before = registry.series();
        let (get, took) = (Method::GET, Duration::from_micros(300));
        for code in [200, 404, 418, 503] {
            let code = StatusCode::from_u16(code).unwrap();
            meters.request(Route::Tickets, &get, Some(code), took);
        }
        meters.request(Route::Waits, &Method::HEAD, None, took);
        meters.request(Route::Orders, &Method::PUT, Some(StatusCode::METHOD_NOT_ALLOWED), took);
        assert_eq!(registry.series(), before, "nothing is made on first use");
        let text = registry.render();
        for (labels, count) in [
            (r#"route="tickets",method="GET",code="200""#, 1),
            (r#"route="tickets",method="GET",code="other""#, 1),
            (r#"route="waits",method="GET",code="other""#, 1),
            (r#"route="orders",method="other",code="405""#, 1),
            (r#"route="orders",method="POST",code="202""#, 0),
        ] {
            let name = "forebay_http_request_duration_seconds_count";
            let line = format!("{name}{{{labels}}} {count}");
            assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn every_row_is_reached() {
        let meters = metrics::with_local_recorder(&Registry::default(), Meters::new);
        let reached: std::collections::BTreeSet<usize> =
            meters.rows.into_iter().flatten().collect();
        assert_eq!(reached.len(), ROWS.len());
    }
}
