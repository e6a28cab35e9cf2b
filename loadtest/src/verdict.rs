//! What an answer says about the order: taken, not taken, or nobody knows.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::wire::{Answer, Broken};

/// The stable names an order call may be refused by; others are read too, these cost no memory.
pub(crate) const CODES: [&str; 22] = [
    "sold_out",
    "limit_reached",
    "rate_limited",
    "not_open",
    "closed",
    "paused",
    "stopping",
    "overloaded",
    "backlog_full",
    "ledger_unavailable",
    "in_doubt",
    "malformed",
    "too_large",
    "unknown_buyer",
    "unknown_sale",
    "unknown_sku",
    "bad_quantity",
    "key_reused",
    "timeout",
    "unsupported_media_type",
    "not_found",
    "internal",
];

/// A refusal's stable name.
pub type Code = Cow<'static, str>;

/// What one attempt proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// 2xx with a ticket.
    Accepted {
        /// The receipt.
        ticket: Box<str>,
        /// The gateway said that it knew the key.
        replayed: bool,
    },
    /// A refusal with a name, which says that nothing was taken by this attempt.
    Refused {
        /// The name.
        code: Code,
    },
    /// A 4xx that does not say why: never right.
    Unnamed,
    /// It may have been taken: ask again with the same key.
    Unknown {
        /// `in_doubt` or another name, if the gateway gave one.
        code: Option<Code>,
        /// What ended the connection, if nothing was answered.
        broken: Option<Broken>,
    },
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Document<'a> {
    #[serde(borrow)]
    ticket: Option<Cow<'a, str>>,
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
}

impl Verdict {
    /// Reads an answer, or the lack of one.
    pub fn of(outcome: Result<Answer<'_>, Broken>) -> Self {
        let answer = match outcome {
            Ok(answer) => answer,
            Err(broken) => return Self::Unknown { code: None, broken: Some(broken) },
        };
        let document: Document<'_> = serde_json::from_slice(answer.body).unwrap_or_default();
        let code = document.code.filter(|code| !code.is_empty()).map(|code| known(&code));
        match (answer.status, document.ticket, code) {
            (200..=299, Some(ticket), _) if !ticket.is_empty() => {
                Self::Accepted { ticket: ticket.into(), replayed: answer.replayed }
            }
            // 501: the route is not built; 503: not now. Both say that nothing was taken, in_doubt does not.
            (400..=499 | 501 | 503, _, Some(code)) if code != "in_doubt" => Self::Refused { code },
            (400..=499, _, None) => Self::Unnamed,
            (_, _, code) => Self::Unknown { code, broken: None },
        }
    }

    /// Whether a *repeat* that ended so settles what became of an earlier, unknown attempt.
    ///
    /// Who was taken is never told sold_out and the like for that key, but a gateway that is busy,
    /// stopping or cannot reach its ledger may turn away a repeat without looking the key up.
    pub fn settles_earlier_doubt(&self) -> bool {
        match self {
            Self::Accepted { .. } => true,
            Self::Refused { code } => !matches!(
                code.as_ref(),
                "rate_limited"
                    | "stopping"
                    | "paused"
                    | "overloaded"
                    | "backlog_full"
                    | "ledger_unavailable"
                    | "identity_unavailable"
                    | "timeout"
            ),
            Self::Unnamed | Self::Unknown { .. } => false,
        }
    }
}

fn known(code: &str) -> Code {
    match CODES.iter().find(|known| **known == code) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(code.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, body: &str) -> Verdict {
        let answer = Answer { status, body: body.as_bytes(), replayed: false, retry_after: None };
        Verdict::of(Ok(answer))
    }

    #[test]
    fn only_what_is_said_counts() {
        let taken = Verdict::Accepted { ticket: "t1".into(), replayed: false };
        assert_eq!(verdict(202, r#"{"ticket":"t1","state":"queued"}"#), taken);
        let refused = |code: &'static str| Verdict::Refused { code: code.into() };
        assert_eq!(verdict(409, r#"{"code":"sold_out"}"#), refused("sold_out"));
        assert_eq!(
            verdict(409, r#"{"code":"limit_reached","ticket":"t1"}"#),
            refused("limit_reached")
        );
        assert_eq!(verdict(503, r#"{"code":"backlog_full"}"#), refused("backlog_full"));
        assert_eq!(verdict(404, "<html>"), Verdict::Unnamed);
    }

    #[test]
    fn what_may_have_been_taken_is_unknown() {
        for (status, body) in [
            (503, r#"{"code":"in_doubt"}"#),
            (503, "busy"),
            (500, r#"{"code":"internal"}"#),
            (502, ""),
            (202, r#"{"tick"#),
            (202, "{}"),
        ] {
            assert!(matches!(verdict(status, body), Verdict::Unknown { .. }), "{status} {body}");
        }
        let cut = Verdict::of(Err(Broken::Reset));
        assert_eq!(cut, Verdict::Unknown { code: None, broken: Some(Broken::Reset) });
    }

    #[test]
    fn a_busy_gateway_settles_no_doubt() {
        assert!(verdict(409, r#"{"code":"sold_out"}"#).settles_earlier_doubt());
        assert!(!verdict(429, r#"{"code":"rate_limited"}"#).settles_earlier_doubt());
        assert!(!verdict(503, r#"{"code":"ledger_unavailable"}"#).settles_earlier_doubt());
    }
}
