//! The edge of both listeners: what every connection and every request passes before a route is looked for.
//!
//! `accept` takes connections within their bounds, `wire` sees each byte that hyper reads, `framing` tells from
//! them where requests begin and end, `pulse` and `keeper` hold the time limits without a timer for each
//! request, `strict` checks heads, `takeover` gives a request its connection, and `last_words` says why a connection
//! ends and lets the client read it.

mod accept;
mod crowd;
mod framing;
mod keeper;
mod last_words;
mod pulse;
mod refusals;
mod serve;
mod strict;
mod takeover;
mod wire;

pub use pulse::Arrival;
pub use serve::{Bounds, serve};
pub(super) use strict::{PARAMETERS_MAX, check};
