//! A store that lists no rows and can be asked: every placed order must be there, under its number.
//!
//! What is placed stays so, whatever moves meanwhile: one question for each ticket is exact.

use super::findings::{Finding, Findings};
use super::{Accounts, VerifyError};
use crate::ledger::{OrderDoc, SaleDoc};
use crate::order::{FORCED, Keyring, TicketText};
use crate::store::{Found, LaterCause, StoreError, StoreRows};

/// Tickets asked for at once: a drain beside us keeps its connections.
const BATCH: usize = 32;
/// How often it is asked again about what it did not answer.
const TRIES: u32 = 3;

/// Asks for all placed orders of the sales; answers how many there were.
pub(super) async fn placed(
    accounts: &impl Accounts,
    store: &dyn StoreRows,
    keyring: &Keyring,
    docs: &[SaleDoc],
    findings: &mut Findings,
) -> Result<u64, VerifyError> {
    let mut count = 0;
    for doc in docs.iter().filter(|doc| !doc.purged) {
        let seal = keyring.seal(doc.key_id, doc.sale_no, doc.made_at);
        let seal = seal.ok_or_else(|| VerifyError::Key(doc.key_id, doc.name.to_string()))?;
        let mut from = Some(0);
        while let Some(at) = from {
            let page = accounts.export(doc.sale_no, at, BATCH).await?;
            from = page.next;
            let forced = |order: &OrderDoc| order.reason.as_deref() == Some(FORCED);
            let sold = page.orders.iter();
            let sold = sold.filter(|order| order.state.is_sold() || forced(order));
            let sold: Vec<(TicketText, &OrderDoc)> =
                sold.map(|order| (order.ticket(&seal), order)).collect();
            count += sold.len() as u64;
            let found = ask(store, sold.iter().map(|(ticket, _)| *ticket).collect()).await?;
            for ((ticket, order), found) in sold.iter().zip(found) {
                // Whatever the shop says of one that was refused by force is right, but that it has it.
                if forced(order) && !matches!(found, Found::Placed { .. }) {
                    continue;
                }
                let wanted = match &order.order_no {
                    Some(order_no) => said_of(order_no),
                    None => "refused by force".to_owned(),
                };
                let found = said(&found);
                findings.compare(wanted, found, |expected, found| {
                    Finding::new("S1", expected, found).of_sale(&doc.name).of_ticket(ticket)
                });
            }
        }
    }
    Ok(count)
}

async fn ask(store: &dyn StoreRows, tickets: Vec<TicketText>) -> Result<Vec<Found>, StoreError> {
    let mut unknown = String::new();
    for _ in 0..TRIES {
        let found = store.look_up(tickets.clone()).await;
        let open = found.iter().find_map(|found| match found {
            Found::Unknown { reason } => Some(reason.clone()),
            _ => None,
        });
        match open {
            None => return Ok(found),
            Some(reason) => unknown = reason,
        }
    }
    Err(StoreError { cause: LaterCause::StoreAway, reason: unknown })
}

fn said_of(order_no: &str) -> String {
    format!("placed as {order_no}")
}

fn said(found: &Found) -> String {
    match found {
        Found::Placed { order_no } => said_of(order_no),
        Found::Refused { reason } => format!("refused at the store: {reason}"),
        Found::Voided => "void at the store".to_owned(),
        Found::NotThere => "not at the store".to_owned(),
        Found::Unknown { reason } => format!("no answer: {reason}"),
    }
}
