//! The order call: head, body, ledger, in the order of DESIGN section 3.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue, LOCATION};
use hyper::http::request::Parts;

use super::answer::{Answer, json};
use super::body::{self, BadBody, ORDER_MAX};
use super::buyer::MALFORMED;
use super::edge::Arrival;
use super::gateway::Caller;
use super::order::{self, Asked};
use super::problem::Problem;
use crate::admission::{self, Glance, Limited, Refusal};
use crate::clock::Timestamp;
use crate::ledger::{Fault, FaultKind, Receipt, Reserve, Reserved};
use crate::order::{Buyer, State};
use crate::watch::{Admission, SaleView, Standing};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Between two asks of a ledger that is in doubt.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// What the head of an order call says.
struct Head<'a> {
    sale: std::sync::Arc<SaleView>,
    buyer: Buyer,
    buyer_hash: u64,
    holder: bool,
    key: Cow<'a, [u8]>,
}

/// The name of the sale in the path of an order call.
fn sale_name(path: &str) -> &str {
    path.strip_prefix("/v1/sales/").and_then(|rest| rest.strip_suffix("/orders")).unwrap_or("")
}

impl Caller {
    /// `POST /v1/sales/{sale}/orders`.
    pub(super) async fn order(
        &self,
        head: &Parts,
        incoming: Incoming,
        arrival: &Arrival,
    ) -> Answer {
        let known = match self.head(head, body::is_too_large(&incoming, ORDER_MAX)).await {
            Ok(known) => known,
            Err(problem) => {
                self.count_refused(sale_name(head.uri.path()), &problem);
                body::discard(head, incoming, arrival);
                return problem.answer();
            }
        };
        let problem = match body::read(incoming, ORDER_MAX, arrival).await {
            Ok(bytes) => match self.place(&known, &bytes).await {
                Ok(answer) => return answer,
                Err(problem) => problem,
            },
            Err(BadBody::TooLarge) => Problem::TooLarge,
            Err(BadBody::Slow) => Problem::Timeout,
            Err(BadBody::Broken) => Problem::Malformed("the body ended before its length"),
        };
        if let Some(admission) = admission_of(&problem) {
            known.sale.admissions().count(admission);
        }
        problem.answer()
    }

    fn count_refused(&self, sale: &str, problem: &Problem) {
        let sale = self.gateway.parts.watch.sale(sale);
        if let (Some(sale), Some(admission)) = (sale, admission_of(problem)) {
            sale.admissions().count(admission);
        }
    }

    async fn head<'a>(&self, head: &'a Parts, too_large: bool) -> Result<Head<'a>, Problem> {
        let parts = &self.gateway.parts;
        if head.uri.query().is_some() {
            return Err(Problem::Malformed("an order call has no query"));
        }
        let key = order::idempotency_key(&head.headers)?;
        let kind =
            if too_large { Err(Problem::TooLarge) } else { order::media_type(&head.headers) };
        if let Err(problem) = kind {
            let malformed = parts.identity.is_malformed(&head.headers, self.trusted);
            return Err(if malformed { MALFORMED } else { problem });
        }
        let buyer = self.buyer(head).await?;
        let sale = self.gateway.sale_named(sale_name(head.uri.path()))?;
        if sale.terms().doc.purged {
            return Err(Problem::UnknownSale);
        }
        let limited = parts.limits.order(&buyer, || self.client(head));
        limited.map_err(|limited| self.limited(limited))?;
        let buyer_hash = sale.seal().buyer_hash(buyer.as_str());
        let holder = sale.is_holder(buyer_hash);
        let glance = self.glance(&sale, holder);
        // The sale's own first: one that is flooded takes nothing from the others.
        let permit = || {
            if self.lane.is_full() {
                return Err(Duration::ZERO);
            }
            let taken = sale.terms().permit().and_then(|()| parts.limits.gateway());
            taken.map_err(|limited| limited.wait)
        };
        admission::by_head(&glance, permit).map_err(|refusal| self.refused(refusal))?;
        let key = key.unwrap_or_else(|| Cow::Owned(self.own_key().into_bytes()));
        Ok(Head { sale, buyer, buyer_hash, holder, key })
    }

    fn glance(&self, sale: &SaleView, holder: bool) -> Glance {
        let parts = &self.gateway.parts;
        let (terms, now) = (sale.terms(), parts.clock.wall());
        let since = terms.closed_by_clock(now);
        Glance {
            holder,
            intake: terms.intake(now),
            caught_up: since.is_none_or(|since| parts.watch.caught_up(since)),
            stopping: parts.stop.is_pulled(),
            sold_out: terms.all_sold_out(),
        }
    }

    fn own_key(&self) -> String {
        let mut key = String::with_capacity(32);
        // Writing to a string cannot fail.
        let _ = write!(key, "{:016x}{:016x}", self.gateway.random(), self.gateway.random());
        key
    }

    fn refused(&self, refusal: Refusal) -> Problem {
        match refusal {
            Refusal::NotOpen(opens_at) => self.not_open(opens_at),
            Refusal::Closed => Problem::Closed,
            Refusal::Stopping => self.gateway.stopping(),
            Refusal::Paused => self.gateway.paused(),
            Refusal::Overloaded { wait } => self.overloaded(wait),
            Refusal::SoldOut => Problem::SoldOut,
            Refusal::AboveLimit => Problem::LimitReached { ticket: None },
        }
    }

    /// Everybody who was refused now waits for the same room: they come back spread out.
    fn overloaded(&self, wait: Duration) -> Problem {
        Problem::Overloaded { retry_after: self.gateway.spread(wait.as_secs() + 1) }
    }

    /// The wait is true: nobody else takes from this bucket.
    pub(super) fn limited(&self, limited: Limited) -> Problem {
        let seconds = limited.wait.as_secs() + u64::from(limited.wait.subsec_nanos() > 0);
        Problem::RateLimited { limited, retry_after: self.gateway.jittered(seconds) }
    }

    fn not_open(&self, opens_at: Timestamp) -> Problem {
        let wait = opens_at.since(self.gateway.parts.clock.wall());
        let retry_after = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Problem::NotOpen { opens_at, retry_after }
    }

    /// From the body to the answer.
    async fn place(&self, head: &Head<'_>, bytes: &bytes::Bytes) -> Result<Answer, Problem> {
        let asked = {
            let terms = head.sale.terms();
            let asked = order::parse(bytes, |sku| terms.item(sku))?;
            if !head.holder {
                let (lines, limit) = (asked.lines.as_slice(), terms.doc.terms.limit_per_buyer);
                admission::by_lines(lines, limit, |item| terms.is_sold_out(item))
                    .map_err(|refusal| self.refused(refusal))?;
            }
            asked
        };
        let answer = self.reserve(head, asked).await?;
        self.told(head, answer)
    }

    /// Asks the ledger, and asks again while it is in doubt, with the same key, until the deadline.
    async fn reserve(&self, head: &Head<'_>, asked: Asked) -> Result<Reserved, Problem> {
        let parts = &self.gateway.parts;
        let seal = head.sale.seal();
        let began = parts.clock.monotonic();
        let fingerprint = seal.fingerprint(&asked.lines, &asked.payload);
        let key = seal.key_hash(&head.key);
        let mut doubted = false;
        loop {
            let order = Reserve {
                sale_no: head.sale.sale_no(),
                buyer: head.buyer.clone(),
                buyer_hash: head.buyer_hash,
                key,
                fingerprint,
                lines: asked.lines.clone(),
                payload: asked.payload.clone(),
                bound: parts.watch.backlog_bound(&head.sale),
            };
            let fault = match self.lane.reserve(order).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            let waited = parts.clock.monotonic().saturating_sub(began);
            let over = waited + ASK_AGAIN > parts.config.load().order_deadline.0;
            match fault.kind {
                FaultKind::InDoubt if !over => {
                    doubted = true;
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                FaultKind::Unavailable | FaultKind::Corrupt if !doubted => {
                    return Err(self.gateway.ledger_unavailable(&fault));
                }
                // An earlier ask may have been carried out: this answer does not say that it was not.
                FaultKind::InDoubt | FaultKind::Unavailable | FaultKind::Corrupt => {
                    let key = String::from_utf8_lossy(&head.key).into_owned();
                    return Err(self.gateway.in_doubt(key));
                }
            }
        }
    }

    fn told(&self, head: &Head<'_>, answer: Reserved) -> Result<Answer, Problem> {
        let admissions = head.sale.admissions();
        match answer {
            Reserved::Accepted(receipt) => {
                admissions.count(Admission::Accepted);
                Ok(self.accepted(head, receipt, false))
            }
            Reserved::Replay(receipt) => {
                admissions.count(Admission::Replayed);
                Ok(self.accepted(head, receipt, true))
            }
            Reserved::KeyReused => Err(Problem::KeyReused),
            Reserved::NotOpen { opens_at } => Err(self.not_open(opens_at)),
            Reserved::Closed => Err(Problem::Closed),
            Reserved::Paused => Err(self.gateway.paused()),
            Reserved::LimitReached { newest } => {
                let mint = |receipt: Receipt| {
                    let seal = head.sale.seal();
                    seal.mint(receipt.place, receipt.accepted_at, head.buyer_hash).to_string()
                };
                Err(Problem::LimitReached { ticket: newest.map(mint) })
            }
            Reserved::SoldOut => Err(Problem::SoldOut),
            Reserved::BacklogFull => {
                Err(Problem::BacklogFull { retry_after: self.backlog_wait(&head.sale) })
            }
            Reserved::UnknownSale => Err(Problem::UnknownSale),
            Reserved::Recovering => {
                let hold = "a new epoch began: first come orders that were accepted, as processes remember \
                            them and a drain finds them at the store";
                Err(self.gateway.ledger_unavailable(&Fault::unavailable(hold)))
            }
        }
    }

    /// Seconds until a twentieth of the backlog has gone.
    fn backlog_wait(&self, sale: &SaleView) -> u64 {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = sale.waiting() as f64 / 20.0 / sale.rate().max(1e-6);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to what fits"
        )]
        let seconds = seconds.clamp(1.0, 60.0) as u64;
        self.gateway.spread(seconds)
    }

    /// The 202.
    fn accepted(&self, head: &Head<'_>, receipt: Receipt, replay: bool) -> Answer {
        let ticket = head.sale.seal().mint(receipt.place, receipt.accepted_at, head.buyer_hash);
        let (state, position) = match head.sale.standing(receipt.place) {
            Standing::Queued { position } if receipt.state == State::Queued => {
                (State::Queued, Some(position))
            }
            _ => (receipt.state, None),
        };
        let (eta, poll) = self.gateway.waits(&head.sale, position);
        let mut body = Vec::with_capacity(256);
        let mut text = |part: &str| body.extend_from_slice(part.as_bytes());
        let mut digits = itoa::Buffer::new();
        text("{\"ticket\":\"");
        text(ticket.as_str());
        text("\",\"state\":\"");
        text(state.public_name());
        for (name, value) in [("position", position), ("eta_ms", eta), ("poll_after_ms", poll)] {
            text(if name == "position" { "\",\"" } else { ",\"" });
            text(name);
            text("\":");
            text(value.map_or("null", |value| digits.format(value)));
        }
        text(",\"durability\":\"");
        text(self.gateway.parts.ledger.durability());
        text("\"}");
        let mut answer = json(StatusCode::ACCEPTED, body);
        let mut location = [0; 12 + crate::order::TICKET_CHARS];
        location[..12].copy_from_slice(b"/v1/tickets/");
        location[12..].copy_from_slice(ticket.as_str().as_bytes());
        if let Ok(location) = HeaderValue::from_bytes(&location) {
            answer.headers_mut().insert(LOCATION, location);
        }
        if replay {
            answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        answer
    }
}

/// What an order call that ended so counts as; `None` for what is no decision about a sale's order.
fn admission_of(problem: &Problem) -> Option<Admission> {
    Some(match problem {
        Problem::UnknownBuyer(_) => Admission::UnknownBuyer,
        Problem::IdentityUnavailable { .. } => Admission::IdentityUnavailable,
        Problem::RateLimited { .. } => Admission::RateLimited,
        Problem::Overloaded { .. } => Admission::Overloaded,
        Problem::NotOpen { .. } => Admission::NotOpen,
        Problem::Closed => Admission::Closed,
        Problem::Stopping { .. } => Admission::Stopping,
        Problem::Paused { .. } => Admission::Paused,
        Problem::SoldOut => Admission::SoldOut,
        Problem::LimitReached { .. } => Admission::LimitReached,
        Problem::BacklogFull { .. } => Admission::BacklogFull,
        Problem::KeyReused => Admission::KeyReused,
        Problem::LedgerUnavailable { .. } => Admission::LedgerUnavailable,
        Problem::InDoubt { .. } => Admission::InDoubt,
        Problem::Malformed(_)
        | Problem::TooLarge
        | Problem::Timeout
        | Problem::UnsupportedMediaType
        | Problem::ExpectationFailed
        | Problem::UnknownSku
        | Problem::BadQuantity => Admission::Malformed,
        _ => return None,
    })
}
