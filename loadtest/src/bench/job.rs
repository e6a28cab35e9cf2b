//! Whether a peer does the job: exactly the units, nobody above the limit, a repeat is the same order, and as many
//! orders in the queue as were accepted. Whoever does less is not worth timing.

use std::collections::HashSet;
use std::time::Duration;

use super::lane::{CHECK, LIMIT, SKU};
use super::{Lane, Peer};
use crate::clock;
use crate::drive::{look, shared};
use crate::form::{Crowd, OrderForm};
use crate::history::{Attempt, History};
use crate::verdict::Verdict;
use crate::wire::lean::LeanWire;

const CONNECTIONS: usize = 16;
/// One each; there are 150 units.
const BUYERS: u64 = 200;
const UNITS: usize = 150;
/// Buyers who order twice.
const TWICE: u64 = 50;
/// Orders of one buyer in one go, and what his rate lets through of them: a burst, and so many a second.
const HAMMERED: u64 = 400;
const BURST: f64 = 12.0;
const A_SECOND: f64 = 5.0;

/// One thing that was looked at.
#[derive(Debug)]
pub(crate) struct Finding {
    /// Whether it is as it should be.
    pub(crate) holds: bool,
    /// What was seen.
    pub(crate) what: String,
}

pub(super) fn finding(holds: bool, what: impl Into<String>) -> Finding {
    Finding { holds, what: what.into() }
}

/// Checks all that a peer is timed for.
pub(crate) async fn check(peer: &Peer) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let lanes = peer.lanes();
    if lanes.contains(&Lane::Accepted) {
        if peer.decides() {
            findings.extend(stock_and_key(peer).await?);
            findings.push(limit(peer).await);
        } else {
            findings.push(answers(peer).await);
        }
    }
    if lanes.contains(&Lane::RateLimited) {
        findings.push(rate(peer).await);
    }
    Ok(findings)
}

async fn sent(
    peer: &Peer,
    form: &OrderForm,
    asks: impl Iterator<Item = u64> + Send + 'static,
) -> History {
    let history = shared(History::default());
    peer.drive(form, CONNECTIONS).run::<LeanWire, History>(asks, history.clone()).await;
    std::mem::take(&mut *look(&history))
}

fn refused(history: &History, wanted: &str) -> usize {
    let by = |verdict: &Verdict| matches!(verdict, Verdict::Refused { code } if code == wanted);
    history.attempts().iter().filter(|attempt| by(&attempt.verdict)).count()
}

/// Ask and ticket of every order that was accepted, as new or as known.
fn accepted<'a>(history: &'a History, known: bool) -> Vec<(u64, &'a str)> {
    let taken = |attempt: &'a Attempt| match &attempt.verdict {
        Verdict::Accepted { ticket, replayed } if *replayed == known => {
            Some((attempt.ask, &**ticket))
        }
        _ => None,
    };
    history.attempts().iter().filter_map(taken).collect()
}

async fn stock_and_key(peer: &Peer) -> anyhow::Result<Vec<Finding>> {
    let form = OrderForm::new(CHECK, SKU, Crowd::new("check", 1)).with_payload_of_100_bytes();
    let first = sent(peer, &form, 0..BUYERS).await;
    let taken: HashSet<(u64, &str)> = accepted(&first, false).into_iter().collect();
    let tickets: HashSet<&str> = taken.iter().map(|(_, ticket)| *ticket).collect();
    let sold_out = refused(&first, "sold_out");
    let exact = taken.len() == UNITS
        && tickets.len() == UNITS
        && taken.len() + sold_out == usize::try_from(BUYERS)?;
    let what = format!(
        "{BUYERS} buyers, {UNITS} units: {} accepted, {} tickets, {sold_out} sold out ({:?}, {:?})",
        taken.len(),
        tickets.len(),
        first.tally().statuses(),
        first.tally().broken()
    );
    let mut findings = vec![finding(exact, what)];
    let asks: Vec<u64> = taken.iter().map(|(ask, _)| *ask).collect();
    let again = sent(peer, &form, asks.into_iter()).await;
    let known: HashSet<(u64, &str)> = accepted(&again, true).into_iter().collect();
    let what = format!(
        "again with the same keys: {} answered with their first ticket",
        known.intersection(&taken).count()
    );
    findings.push(finding(known == taken, what));
    if let Some(queued) = peer.queued().await? {
        findings.push(finding(queued == taken.len() as u64, format!("{queued} in the queue")));
    }
    peer.knows_sold_out().await?;
    Ok(findings)
}

async fn limit(peer: &Peer) -> Finding {
    let form = OrderForm::new(LIMIT, SKU, Crowd::new("twice", 2));
    let both = sent(peer, &form, 0..TWICE * 2).await;
    let (taken, kept) = (accepted(&both, false), refused(&both, "limit_reached"));
    let buyers: HashSet<String> = taken.iter().map(|(ask, _)| form.crowd.buyer(*ask)).collect();
    let each = [taken.len() as u64, buyers.len() as u64, kept as u64] == [TWICE; 3];
    finding(
        each,
        format!("{TWICE} buyers order twice: {} accepted, {kept} above the limit", taken.len()),
    )
}

/// A yardstick decides nothing: it answers.
async fn answers(peer: &Peer) -> Finding {
    let history = sent(peer, &Lane::Accepted.form("check"), 0..BUYERS).await;
    let accepted = history.tally().with_status(202);
    finding(accepted == BUYERS, format!("{BUYERS} orders: {accepted} answered 202"))
}

/// Whoever hammers is held to his rate, whoever comes for the first time is let through.
async fn rate(peer: &Peer) -> Finding {
    let form = Lane::RateLimited.form("check");
    let began = clock::now();
    let one = sent(peer, &form, 0..HAMMERED).await;
    let took: Duration = clock::now() - began;
    let another = OrderForm { crowd: Crowd::new("first-time", 1), ..form };
    let other = sent(peer, &another, 0..1).await;
    let (through, refused) = (one.tally().with_status(409), one.tally().with_status(429));
    let allowed = BURST + A_SECOND * took.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let holds = through >= 1
        && through as f64 <= allowed
        && through + refused == HAMMERED
        && other.tally().with_status(409) == 1;
    let what = format!(
        "{HAMMERED} of one buyer in {took:.1?}: {through} let through, {refused} answered 429; another one: {:?}",
        other.tally().statuses()
    );
    finding(holds, what)
}
