//! Durations of requests and counts of polls, on handles that are made once.

use std::sync::OnceLock;
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
/// Every status that the listener answers; the last stands for all others, and for no answer.
const CODES: [u16; 23] = [
    200, 202, 204, 304, 400, 401, 403, 404, 405, 408, 409, 410, 413, 414, 415, 417, 422, 429, 431,
    500, 501, 503, 0,
];

/// Handles of the public listener.
#[derive(Debug)]
pub(super) struct Meters {
    requests: Vec<OnceLock<Histogram>>,
    polls: Counter,
    /// Requests that were answered 500.
    pub(super) panics: Counter,
}

impl Meters {
    pub(super) fn new() -> Self {
        let slots = ROUTES.len() * METHODS.len() * CODES.len();
        Self {
            requests: (0..slots).map(|_| OnceLock::new()).collect(),
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
            Method::GET | Method::HEAD => 0,
            Method::POST => 1,
            Method::DELETE => 2,
            _ => 3,
        };
        let code = code.map_or(0, |code| code.as_u16());
        let known = CODES.iter().position(|known| *known == code);
        let at = known.unwrap_or(CODES.len() - 1);
        let slot = (route as usize * METHODS.len() + method) * CODES.len() + at;
        let Some(slot) = self.requests.get(slot) else { return };
        let make = || {
            let code = if CODES[at] == 0 { "other".to_owned() } else { CODES[at].to_string() };
            let (route, method) = (ROUTES[route as usize], METHODS[method]);
            histogram!(HTTP_REQUEST_DURATION, "route" => route, "method" => method, "code" => code)
        };
        slot.get_or_init(make).record(took);
    }

    /// One read of a ticket.
    pub(super) fn poll(&self) {
        self.polls.increment(1);
    }
}
