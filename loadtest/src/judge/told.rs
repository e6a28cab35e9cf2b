//! What buyers were told who followed their orders: by itself, and beside what the ledger says in the end.

use std::collections::HashMap;

use super::{Broke, Judgement};
use crate::admin::TicketRow;
use crate::trail::{Oddity, Trails, is_terminal};

pub(super) fn judge(out: &mut Judgement, trails: &Trails, tickets: Option<&[TicketRow]>) {
    for (ask, oddity) in trails.odd() {
        match oddity {
            Oddity::Grew { ticket, from, to } => {
                let what = format!("ticket {ticket}: position {from}, and then {to}");
                out.find(Broke::PositionGrew, what);
            }
            Oddity::Turned { ticket, from, to, ended } => {
                let before = if *ended { "ended as" } else { "was" };
                out.find(Broke::TwoEnds, format!("ticket {ticket} {before} {from}, and then {to}"));
            }
            Oddity::Unknown { ticket, state } => {
                let what = format!("ticket {ticket}: no order has the state `{state}`");
                out.find(Broke::TwoEnds, what);
            }
            Oddity::Denied { ticket, status } => {
                let what = format!("ticket {ticket} of ask {ask} is answered {status}");
                out.find(Broke::Lost, what);
            }
        }
    }
    let Some(tickets) = tickets else { return };
    let states: HashMap<&str, &str> =
        tickets.iter().map(|row| (row.ticket.as_str(), row.state.as_str())).collect();
    for (_, trail) in trails.all() {
        // What the ledger does not have at all is found as lost.
        let Some(state) = states.get(trail.ticket.as_ref()) else { continue };
        let told = trail.state.as_str();
        let goes_on = told == "placed" && matches!(*state, "paid" | "expired");
        if is_terminal(told) && told != *state && !goes_on {
            let what =
                format!("ticket {} ended as {told} and is {state} in the ledger", trail.ticket);
            out.find(Broke::TwoEnds, what);
        }
        if trail.cancelled == Some(false) && *state == "cancelled" {
            let what = format!("ticket {}: too late to cancel, and cancelled", trail.ticket);
            out.find(Broke::TwoEnds, what);
        }
    }
}
