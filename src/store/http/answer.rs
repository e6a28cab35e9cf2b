//! What an answer of the shop means. Pure.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::store::{Found, Later, LaterCause, Placement};

/// The longest number of an order.
const ORDER_NO_MAX: usize = 64;
/// The longest reason of a refusal.
const REASON_MAX: usize = 255;
/// A shop that asks not to be called for longer is asked again after this: a mistaken date must not end a sale.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// What came of a call.
#[derive(Debug)]
pub(super) enum Reply {
    /// Nothing of the request left this process.
    Unsent {
        /// What was seen.
        reason: String,
        /// The other side is not who it must be, or speaks another protocol.
        misconfigured: bool,
    },
    /// The request may have arrived, and there is no answer.
    Lost {
        /// What was seen.
        reason: String,
    },
    /// An answer.
    Answered(Answer),
}

/// An answer, or as much of it as came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// `Retry-After`, as it was written.
    pub(super) retry_after: Option<String>,
    /// The whole body, or why there is none.
    pub(super) body: Result<Bytes, String>,
}

/// The fields that mean something here. What else a shop says is its own business.
#[derive(Debug, Default, Deserialize)]
struct Said {
    order_no: Option<Box<RawValue>>,
    reason: Option<Box<RawValue>>,
    code: Option<Box<RawValue>>,
}

impl Answer {
    /// `None` when the body is no JSON object.
    fn said(&self) -> Option<Said> {
        let body = self.body.as_ref().ok()?;
        // A list of two strings would be read as the two first fields.
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace())?;
        (*first == b'{').then(|| serde_json::from_slice(body).ok())?
    }

    /// The shop's number for the order: a string, or a number with the digits that it was written with.
    fn order_no(&self) -> Option<String> {
        let raw = self.said()?.order_no?;
        let number = text(&raw).or_else(|| {
            let is_number = raw.get().starts_with(|c: char| c == '-' || c.is_ascii_digit());
            is_number.then(|| raw.get().to_owned())
        })?;
        let fits = (1..=ORDER_NO_MAX).contains(&number.chars().count());
        (fits && !number.contains(char::is_control)).then_some(number)
    }

    /// Why an order was refused.
    fn refusal(&self) -> String {
        let said = self.said().unwrap_or_default();
        let named = [said.reason, said.code].into_iter().flatten().find_map(|raw| text(&raw));
        let reason = named.filter(|text| !text.is_empty());
        reason.unwrap_or_else(|| self.status.to_string()).chars().take(REASON_MAX).collect()
    }

    fn broken(&self) -> String {
        match &self.body {
            Err(reason) => format!("answered {} and broke off: {reason}", self.status),
            Ok(_) => format!("answered {} without an order_no that can be read", self.status),
        }
    }

    /// How long the shop asks not to be called.
    fn pause(&self, now: Timestamp) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        let pause = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
                Timestamp(u64::try_from(date.as_microsecond()).ok()?).since(now)
            }
        };
        Some(pause.min(RETRY_AFTER_MAX))
    }
}

/// A JSON string.
fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// A status by which the shop says that it took nothing and may be asked again.
fn is_later(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error()
}

/// What became of the order of a try. `can_ask`: the shop can be asked what it has.
pub(super) fn placement(
    reply: Reply,
    again: bool,
    can_ask: bool,
    place: &str,
    now: Timestamp,
) -> Placement {
    let answer = match reply {
        Reply::Unsent { reason, misconfigured } => {
            let cause =
                if misconfigured { LaterCause::Misconfigured } else { LaterCause::StoreAway };
            let reason = format!("{place}: {reason}");
            return Placement::Later(Later { cause, reason, after: None });
        }
        Reply::Lost { reason } => {
            return Placement::InDoubt { reason: format!("{place}: {reason}") };
        }
        Reply::Answered(answer) => answer,
    };
    let status = answer.status;
    let in_doubt = |what: String| Placement::InDoubt { reason: format!("{place} {what}") };
    let later = |cause, after| {
        Placement::Later(Later { cause, reason: format!("{place} answered {status}"), after })
    };
    match status.as_u16() {
        200..=299 => match answer.order_no() {
            Some(order_no) => Placement::Placed { order_no },
            None => in_doubt(answer.broken()),
        },
        400 | 410 | 413 | 422 if answer.body.is_err() => in_doubt(answer.broken()),
        400 | 410 | 413 | 422 => Placement::Refused { reason: answer.refusal() },
        409 if again && !can_ask => Placement::Conflict { reason: answer.refusal() },
        100..=199 | 409 => in_doubt(format!("answered {status}")),
        _ if is_later(status) => later(LaterCause::StoreAway, answer.pause(now)),
        _ => later(LaterCause::Misconfigured, None),
    }
}

/// What the shop says that it has.
pub(super) fn looked_up(reply: Reply, place: &str) -> Found {
    let answer = match answered(reply, place) {
        Ok(answer) => answer,
        Err(unknown) => return unknown,
    };
    match (answer.status.as_u16(), answer.order_no()) {
        (200, Some(order_no)) => Found::Placed { order_no },
        (200, None) => unknown(place, &answer.broken()),
        (404, _) => Found::NotThere,
        _ => unknown(place, &format!("answered {}", answer.status)),
    }
}

/// What the shop says of an order whose end is known. Unlike [`looked_up`] it believes a 410: what was refused or
/// voided. Of an order in doubt that would not do: its units come back, and a shop may say 410 of what it put away.
pub(super) fn shown(reply: Reply, place: &str) -> Found {
    match reply {
        Reply::Answered(answer) if answer.status == StatusCode::GONE => {
            Found::Refused { reason: answer.refusal() }
        }
        reply => looked_up(reply, place),
    }
}

/// What became of a void.
pub(super) fn voided(reply: Reply, place: &str) -> Found {
    let answer = match answered(reply, place) {
        Ok(answer) => answer,
        Err(unknown) => return unknown,
    };
    match (answer.status.as_u16(), answer.order_no()) {
        (200 | 204, _) => Found::Voided,
        (409, Some(order_no)) => Found::Placed { order_no },
        _ => unknown(place, &format!("answered {}", answer.status)),
    }
}

fn answered(reply: Reply, place: &str) -> Result<Answer, Found> {
    match reply {
        Reply::Answered(answer) => Ok(answer),
        Reply::Unsent { reason, .. } | Reply::Lost { reason } => {
            Err(Found::Unknown { reason: format!("{place}: {reason}") })
        }
    }
}

fn unknown(place: &str, what: &str) -> Found {
    Found::Unknown { reason: format!("{place} {what}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(784_111_777_000_000);

    fn answer(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Answer { status, retry_after: None, body: Ok(Bytes::copy_from_slice(body.as_bytes())) }
    }

    fn placed(status: u16, body: &str, again: bool, can_ask: bool) -> Placement {
        placement(Reply::Answered(answer(status, body)), again, can_ask, "shop", NOW)
    }

    #[test]
    fn every_status_has_its_meaning() {
        for status in 100..=999 {
            for (again, can_ask) in [(false, false), (true, true), (true, false)] {
                let meant = match placed(status, "{\"order_no\":7}", again, can_ask) {
                    Placement::Placed { order_no } if order_no == "7" => "placed",
                    Placement::Refused { .. } => "refused",
                    Placement::Later(Later { cause, .. }) => cause.name(),
                    Placement::InDoubt { .. } => "doubt",
                    Placement::Conflict { .. } => "conflict",
                    other => panic!("{other:?}"),
                };
                let expected = match status {
                    200..=299 => "placed",
                    400 | 410 | 413 | 422 => "refused",
                    408 | 425 | 429 | 500..=599 => "store_away",
                    409 if again && !can_ask => "conflict",
                    409 | 100..=199 => "doubt",
                    _ => "store_misconfigured",
                };
                assert_eq!(meant, expected, "{status}");
            }
        }
    }

    #[test]
    fn only_an_order_no_that_can_be_read_places() {
        let long = "9".repeat(64);
        for (body, expected) in [
            ("{\"order_no\":\"A-1\"}", "A-1"),
            (
                " {\"a\":{\"order_no\":1},\"order_no\":18446744073709551616.50}",
                "18446744073709551616.50",
            ),
            (&format!("{{\"order_no\":\"{long}\"}}"), &long),
        ] {
            assert_eq!(
                placed(201, body, false, true),
                Placement::Placed { order_no: expected.to_owned() }
            );
        }
        for body in [
            "",
            "ok",
            "{}",
            "7",
            "null",
            "[\"7\"]",
            "{\"order_no\":null}",
            "{\"order_no\":true}",
            "{\"order_no\":[7]}",
            "{\"order_no\":\"\"}",
            "{\"order_no\":\"a\\n\"}",
            "{\"order_no\":\"7",
            "{\"order_no\":7}x",
            &format!("{{\"order_no\":\"{long}0\"}}"),
        ] {
            let doubt = placed(200, body, true, false);
            assert!(matches!(&doubt, Placement::InDoubt { .. }), "{body}: {doubt:?}");
        }
    }

    #[test]
    fn a_refusal_says_why_and_needs_a_whole_answer() {
        let refused = |body| placed(422, body, false, true);
        let reason = |text: &str| Placement::Refused { reason: text.to_owned() };
        assert_eq!(refused("{\"reason\":\"gone\",\"code\":\"c\"}"), reason("gone"));
        assert_eq!(refused("{\"reason\":3,\"code\":\"c\"}"), reason("c"));
        assert_eq!(refused("<html>"), reason("422 Unprocessable Entity"));
        let long = format!("{{\"reason\":\"{}\"}}", "é".repeat(300));
        assert_eq!(refused(&long), reason(&"é".repeat(255)));
        let cut = Answer { body: Err("cut".to_owned()), ..answer(422, "") };
        let cut = placement(Reply::Answered(cut), false, true, "shop", NOW);
        assert!(matches!(cut, Placement::InDoubt { .. }), "{cut:?}");
    }

    #[test]
    fn the_pause_that_is_asked_for_is_kept_within_reason() {
        let pause = |text: &str| {
            let answer = Answer { retry_after: Some(text.to_owned()), ..answer(503, "") };
            answer.pause(NOW).map(|pause| pause.as_secs())
        };
        assert_eq!(pause("7"), Some(7));
        assert_eq!(pause("86400"), Some(300));
        assert_eq!(pause("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(pause("Sun, 06 Nov 1994 08:49:07 GMT"), Some(0));
        assert_eq!((pause("soon"), pause("-1"), pause("")), (None, None, None));
    }

    #[test]
    fn questions_and_voids() {
        let asked = |status, body| looked_up(Reply::Answered(answer(status, body)), "shop");
        let void = |status, body| voided(Reply::Answered(answer(status, body)), "shop");
        let number = "{\"order_no\":\"7\"}";
        let placed = Found::Placed { order_no: "7".to_owned() };
        assert_eq!((asked(200, number), asked(404, "")), (placed.clone(), Found::NotThere));
        assert_eq!((void(409, number), void(204, "")), (placed, Found::Voided));
        assert_eq!(void(200, "{}"), Found::Voided);
        let unknown = [asked(200, "{}"), asked(201, number), asked(500, ""), asked(410, "{}")];
        let unknown = unknown.into_iter().chain([void(404, ""), void(405, ""), void(409, "{}")]);
        for found in unknown {
            assert!(matches!(found, Found::Unknown { .. }), "{found:?}");
        }
        let shown = |status, body| shown(Reply::Answered(answer(status, body)), "shop");
        assert_eq!(shown(410, "{}"), Found::Refused { reason: "410 Gone".to_owned() });
        assert_eq!((shown(200, number), shown(404, "")), (asked(200, number), Found::NotThere));
        assert!(matches!(shown(503, ""), Found::Unknown { .. }));
    }
}
