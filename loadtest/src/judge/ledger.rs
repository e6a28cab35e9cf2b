//! The history against the gateway's export and counters.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Broke, Evidence, Judgement};
use crate::admin::{Census, TicketRow};
use crate::form::Crowd;
use crate::history::Fate;

pub(super) fn tickets(
    out: &mut Judgement,
    fates: &BTreeMap<u64, Fate>,
    crowd: &Crowd,
    tickets: &[TicketRow],
    evidence: &Evidence,
) {
    let mut exported: HashMap<&str, &TicketRow> = HashMap::new();
    for row in tickets {
        if exported.insert(&row.ticket, row).is_some() {
            out.find(Broke::Doubled, format!("ticket {} is in the ledger twice", row.ticket));
        }
    }
    let mut held: HashSet<&str> = HashSet::new();
    for (ask, ticket) in
        fates.iter().flat_map(|(ask, fate)| fate.tickets.iter().map(move |t| (ask, t)))
    {
        held.insert(ticket);
        match exported.get(ticket.as_ref()) {
            None => out.find(Broke::Lost, format!("ticket {ticket} is not in the ledger")),
            Some(row) if row.state == "lost" => {
                out.find(Broke::Lost, format!("ticket {ticket} ended lost"));
            }
            Some(row) if row.unsettled() => {
                out.find(Broke::Unsettled, format!("ticket {ticket} is still {}", row.state));
            }
            Some(row) if row.buyer != crowd.buyer(*ask) => {
                let what = format!("ticket {ticket} of {} is {}'s", crowd.buyer(*ask), row.buyer);
                out.find(Broke::Unexpected, what);
            }
            Some(_) => {}
        }
    }
    orphans(out, fates, crowd, tickets, &held, evidence.alone);
    if let Some(limit) = evidence.limit_per_buyer {
        limits(out, crowd, tickets, limit, evidence.alone);
    }
}

/// Tickets that nobody holds. One may belong to an ask that is still open; a buyer with an accepted
/// ask had his order doubled; for all others something came out of nothing.
fn orphans(
    out: &mut Judgement,
    fates: &BTreeMap<u64, Fate>,
    crowd: &Crowd,
    tickets: &[TicketRow],
    held: &HashSet<&str>,
    alone: bool,
) {
    let mut open: HashMap<String, u64> = HashMap::new();
    let mut recovered: HashSet<String> = HashSet::new();
    for (ask, fate) in fates {
        if fate.open {
            *open.entry(crowd.buyer(*ask)).or_default() += 1;
        } else if fate.was_unknown && !fate.tickets.is_empty() {
            recovered.insert(crowd.buyer(*ask));
        }
    }
    for row in tickets.iter().filter(|row| !held.contains(row.ticket.as_str())) {
        if let Some(left) = open.get_mut(&row.buyer).filter(|left| **left > 0) {
            *left -= 1;
        } else if recovered.contains(&row.buyer) {
            let what =
                format!("{} has ticket {} beside the one he was given", row.buyer, row.ticket);
            out.find(Broke::Doubled, what);
        } else if alone || crowd.knows(&row.buyer) {
            let what = format!("{} was given no ticket, the ledger has {}", row.buyer, row.ticket);
            out.find(Broke::Unexpected, what);
        }
    }
}

fn limits(out: &mut Judgement, crowd: &Crowd, tickets: &[TicketRow], limit: u64, alone: bool) {
    let mut units: BTreeMap<&str, u64> = BTreeMap::new();
    for row in tickets.iter().filter(|row| !row.returned()) {
        let of_row: u64 = row.lines.iter().map(|line| line.quantity).sum();
        *units.entry(&row.buyer).or_default() += of_row;
    }
    for (buyer, units) in units.into_iter().filter(|(_, units)| *units > limit) {
        if alone || crowd.knows(buyer) {
            out.find(Broke::LimitBroken, format!("{buyer} has {units} units, {limit} are allowed"));
        }
    }
}

pub(super) fn census(
    out: &mut Judgement,
    census: &Census,
    tickets: Option<&[TicketRow]>,
    alone: bool,
) {
    for item in &census.items {
        let all = item.total();
        let sku = &item.sku;
        if item.available + item.held + item.sold != all {
            out.find(Broke::Law, format!("L1: stock of {sku} does not add up: {item:?}"));
        }
        let out_of_stock: u64 = tickets
            .unwrap_or_default()
            .iter()
            .filter(|row| !row.returned())
            .flat_map(|row| &row.lines)
            .filter(|line| line.sku == *sku)
            .map(|line| line.quantity)
            .sum();
        if out_of_stock > all || item.held + item.sold > all {
            let given = out_of_stock.max(item.held + item.sold);
            out.find(Broke::Oversold, format!("{sku}: {given} units given out of {all}"));
        }
    }
    let Census { queued, placing, placed, paid, refused, cancelled, expired, dead, .. } = census;
    if census.accepted != queued + placing + placed + paid + refused + cancelled + expired + dead {
        out.find(Broke::Law, format!("L1: states do not add up: {census:?}"));
    }
    let settled = census.unsettled() == 0;
    // In a sale of others' too, orders go on coming between the export and the census.
    let differs = |rows: &&[TicketRow]| match alone {
        true => settled && rows.len() as u64 != census.accepted,
        false => rows.len() as u64 > census.accepted,
    };
    if let Some(tickets) = tickets.filter(differs) {
        let (rows, accepted) = (tickets.len(), census.accepted);
        out.find(Broke::Law, format!("{rows} tickets in the export, {accepted} in the census"));
    }
}
