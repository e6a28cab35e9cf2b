//! Which sale is drained next: those with due orders in turn, one batch each.
//!
//! It knows only what *may* be due, from the tail and from the answers to claims; the ledger decides. Instants
//! are monotonic time.
//!
//! Invariant: what became due is never forgotten. An answer "nothing more is due" counts only when nothing was
//! heard of the sale since the claim began ([`Turn::heard`]), because the news may be younger than the answer.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use crate::sale::SaleNo;

/// More than can be counted: ask until the ledger says that no more is due.
pub(super) const MANY: u64 = u64::MAX;

#[derive(Debug, Default)]
struct Entry {
    /// Orders that may be due, or [`MANY`].
    due: u64,
    /// Goes up whenever orders became due.
    news: u64,
    /// Not asked for before this.
    held: Duration,
    /// Orders may become due then; one is asked for, and the answer says whether there are more.
    wake: Option<Duration>,
    in_ring: bool,
}

/// Written by the granter, the rounds and the follower of the tail, under one short lock.
#[derive(Debug, Default)]
pub(super) struct Turn {
    sales: HashMap<SaleNo, Entry>,
    /// Sales with due orders in the order of their turns; some may be held or have none any more.
    ring: VecDeque<SaleNo>,
    /// When to look at a sale again.
    timers: BTreeSet<(Duration, SaleNo)>,
    /// Sales whose `due` is above 0.
    busy: usize,
}

/// A sale whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) sale_no: SaleNo,
    /// Orders that may be due, or [`MANY`].
    pub(super) due: u64,
}

impl Turn {
    /// `count` more orders of a sale may be due now. True when the granter may have been waiting for it.
    pub(super) fn due(&mut self, sale_no: SaleNo, count: u64) -> bool {
        let entry = self.sales.entry(sale_no).or_default();
        entry.news += 1;
        let due = entry.due.saturating_add(count);
        self.set(sale_no, due)
    }

    /// Orders of a sale may become due at `at`. True when that is news to the granter.
    pub(super) fn due_at(&mut self, sale_no: SaleNo, at: Duration) -> bool {
        let entry = self.sales.entry(sale_no).or_default();
        if entry.wake.is_some_and(|wake| wake <= at) {
            return false;
        }
        if let Some(later) = entry.wake.replace(at) {
            self.timers.remove(&(later, sale_no));
        }
        self.timers.insert((at, sale_no));
        true
    }

    /// Nothing is asked for a sale before `until`.
    pub(super) fn hold(&mut self, sale_no: SaleNo, until: Duration) {
        let entry = self.sales.entry(sale_no).or_default();
        entry.held = entry.held.max(until);
        self.timers.insert((until, sale_no));
    }

    /// The sale is gone.
    pub(super) fn forget(&mut self, sale_no: SaleNo) {
        self.set(sale_no, 0);
        if let Some(wake) = self.sales.remove(&sale_no).and_then(|entry| entry.wake) {
            self.timers.remove(&(wake, sale_no));
        }
    }

    /// The sale whose turn it is at `now`, if one may have due orders. It leaves the ring until
    /// [`Self::asked`].
    pub(super) fn take(&mut self, now: Duration) -> Option<Next> {
        while let Some((at, sale_no)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, sale_no));
            let Some(entry) = self.sales.get_mut(&sale_no) else { continue };
            let mut due = entry.due;
            if entry.wake.is_some_and(|wake| wake <= now) {
                (entry.wake, due) = (None, due.max(1));
                entry.news += 1;
            }
            self.set(sale_no, due);
        }
        while let Some(sale_no) = self.ring.pop_front() {
            let Some(entry) = self.sales.get_mut(&sale_no) else { continue };
            entry.in_ring = false;
            if entry.held > now {
                self.timers.insert((entry.held, sale_no));
            } else if entry.due > 0 {
                return Some(Next { sale_no, due: entry.due });
            }
        }
        None
    }

    /// `want` permits are asked for the sale that was taken. Answers what to give back with the claim's answer:
    /// news up to here are older than the claim.
    pub(super) fn asked(&mut self, sale_no: SaleNo, want: u32) -> u64 {
        let Some(entry) = self.sales.get(&sale_no) else { return 0 };
        let (news, due) = (entry.news, entry.due);
        let left = if due == MANY { MANY } else { due.saturating_sub(want.into()) };
        self.set(sale_no, left);
        news
    }

    /// So many of the permits that were asked for were not granted: their orders are still due.
    pub(super) fn ungranted(&mut self, sale_no: SaleNo, count: u32) -> bool {
        let Some(entry) = self.sales.get(&sale_no) else { return false };
        let due = entry.due.saturating_add(count.into());
        self.set(sale_no, due)
    }

    /// The answer to a claim. True when the granter may have been waiting for it.
    pub(super) fn heard(
        &mut self,
        sale_no: SaleNo,
        news: u64,
        more: bool,
        next_due: Option<Duration>,
    ) -> bool {
        let Some(entry) = self.sales.get(&sale_no) else { return false };
        let nothing_since = entry.news == news;
        let mut wake = false;
        if more {
            wake = self.set(sale_no, MANY);
        } else if nothing_since {
            self.set(sale_no, 0);
        }
        if let Some(at) = next_due {
            wake |= self.due_at(sale_no, at);
        }
        wake
    }

    /// Nothing may be due in any sale.
    pub(super) fn is_idle(&self) -> bool {
        self.busy == 0
    }

    /// When to look again although nothing is heard.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// True when the sale had nothing due before and has now.
    fn set(&mut self, sale_no: SaleNo, due: u64) -> bool {
        let Some(entry) = self.sales.get_mut(&sale_no) else { return false };
        let (before, after) = (entry.due > 0, due > 0);
        entry.due = due;
        self.busy = self.busy + usize::from(after) - usize::from(before);
        if after && !entry.in_ring {
            entry.in_ring = true;
            self.ring.push_back(sale_no);
        }
        after && !before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SaleNo = SaleNo(1);
    const B: SaleNo = SaleNo(2);
    const C: SaleNo = SaleNo(3);
    const NOW: Duration = Duration::from_secs(100);
    const LATER: Duration = Duration::from_secs(200);

    fn taken(turn: &mut Turn, now: Duration) -> Option<u32> {
        let next = turn.take(now)?;
        turn.asked(next.sale_no, 1);
        Some(next.sale_no.0)
    }

    #[test]
    fn sales_with_due_orders_take_turns_one_batch_each() {
        let mut turn = Turn::default();
        for sale in [A, B, C] {
            assert!(turn.due(sale, MANY));
        }
        let mut order = |n| (0..n).map(|_| taken(&mut turn, NOW)).collect::<Vec<_>>();
        assert_eq!(order(6), [Some(1), Some(2), Some(3), Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn only_as_many_are_asked_for_as_may_be_due() {
        let mut turn = Turn::default();
        turn.due(A, 3);
        assert_eq!(turn.take(NOW), Some(Next { sale_no: A, due: 3 }));
        let news = turn.asked(A, 2);
        assert_eq!(turn.take(NOW), Some(Next { sale_no: A, due: 1 }));
        turn.asked(A, 1);
        assert_eq!((turn.take(NOW), turn.is_idle()), (None, true));
        assert!(turn.ungranted(A, 2), "they are still due");
        assert_eq!(turn.take(NOW), Some(Next { sale_no: A, due: 2 }));
        turn.heard(A, news, false, None);
        assert!(turn.is_idle(), "what was not granted is no news: the claim saw it");
    }

    #[test]
    fn nothing_more_is_believed_only_when_nothing_was_heard_since() {
        let mut turn = Turn::default();
        turn.due(A, MANY);
        turn.take(NOW);
        let news = turn.asked(A, 5);
        turn.due(A, 1);
        turn.heard(A, news, false, None);
        assert!(!turn.is_idle(), "the order may be younger than the claim");
        turn.take(NOW);
        let news = turn.asked(A, 5);
        turn.heard(A, news, false, None);
        assert!(turn.is_idle());
        assert_eq!(turn.take(NOW), None);
        assert!(turn.heard(A, news, true, None), "more was due after all");
        assert_eq!(taken(&mut turn, NOW), Some(1));
    }

    #[test]
    fn a_sale_comes_back_when_its_orders_become_due() {
        let mut turn = Turn::default();
        assert!(turn.due_at(A, LATER));
        assert!(!turn.due_at(A, LATER + NOW), "an earlier look is due");
        assert!(turn.due_at(A, LATER - NOW / 2));
        assert_eq!((turn.take(NOW), turn.is_idle()), (None, true));
        assert_eq!(turn.next_at(), Some(LATER - NOW / 2));
        assert_eq!(turn.take(LATER), Some(Next { sale_no: A, due: 1 }));
        assert_eq!(turn.next_at(), None);
    }

    #[test]
    fn a_held_sale_waits_and_the_others_do_not() {
        let mut turn = Turn::default();
        turn.due(A, MANY);
        turn.due(B, MANY);
        turn.hold(A, LATER);
        assert_eq!(taken(&mut turn, NOW), Some(2));
        assert_eq!(taken(&mut turn, NOW), Some(2));
        assert_eq!(turn.next_at(), Some(LATER));
        assert!((0..3).any(|_| taken(&mut turn, LATER) == Some(1)), "its time has come");
        turn.forget(A);
        assert!((0..3).all(|_| taken(&mut turn, LATER) == Some(2)));
        turn.forget(B);
        assert!(turn.is_idle());
    }
}
