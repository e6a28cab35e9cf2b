//! What random sequences reach too seldom: poison, the refusal brake, terms, purge, retention, timelines.

use std::time::Duration;

use super::*;
use crate::ledger::{
    Bound, Change, Changed, Claim, Claimed, DrainPatch, Fate, Grant, Receipt, Reserve, Reserved,
    Settle, Settled,
};
use crate::order::{Buyer, ItemLine, ItemLines};
use crate::sale::{ItemTerms, Terms};

const SALE: SaleNo = SaleNo(1);

struct Desk {
    book: Book,
    batch: Batch,
    now: Now,
    buyers: u64,
}

fn at(seconds: u64) -> Now {
    let instant = Timestamp((1_000_000 + seconds) * 1_000_000);
    Now { ledger: instant, wall: instant }
}

fn terms(skus: &[(&str, Option<u64>)]) -> Terms {
    let item =
        |(sku, stock): &(&str, Option<u64>)| ItemTerms { sku: sku.parse().unwrap(), stock: *stock };
    Terms {
        opens_at: None,
        closes_at: None,
        limit_per_buyer: None,
        payment_window_ms: None,
        admit_rate: None,
        drain_rate: None,
        items: skus.iter().map(item).collect(),
    }
}

impl Desk {
    fn new() -> Self {
        let mut desk = Self { book: Book::new(), batch: Batch::at(0), now: at(0), buyers: 0 };
        desk.book.open(false, desk.now, &mut desk.batch);
        let rate = Rate::Unlimited;
        desk.change(Change::DrainConfig { rate, burst: None });
        let made = desk.put(terms(&[("phone", Some(100))]));
        assert!(matches!(made, Changed::Created(_)), "{made:?}");
        desk
    }

    fn change(&mut self, change: Change) -> Changed {
        self.book.change(change, self.now, &mut self.batch)
    }

    fn granted(&self, sale_no: SaleNo, want: u32) -> Grant {
        self.book.pacer().grant(sale_no, want, || self.now.ledger)
    }

    fn put(&mut self, terms: Terms) -> Changed {
        let (numbers, key_id, only_new) = ([SALE; 4], 1, false);
        self.change(Change::PutSale { name: name(), terms, numbers, key_id, only_new })
    }

    fn order(&mut self) -> Receipt {
        self.buyers += 1;
        let order = Reserve {
            sale_no: SALE,
            buyer: Buyer::new(format!("b{}", self.buyers).as_bytes()).unwrap(),
            buyer_hash: self.buyers,
            key: 1,
            fingerprint: 1,
            lines: ItemLines::One(ItemLine { item: 0, quantity: 1 }),
            payload: bytes::Bytes::from_static(b"{\"size\":42}"),
            bound: Bound { orders: 1_000, bytes: 1 << 20 },
        };
        match self.book.reserve(order, self.now, &mut self.batch) {
            Reserved::Accepted(receipt) => receipt,
            other => panic!("{other:?}"),
        }
    }

    fn claim(&mut self, max: u32) -> Claimed {
        let claim = Claim {
            sale_no: SALE,
            max,
            lease: Duration::from_secs(10),
            granted_at: self.now.ledger,
            stock_seen: 0,
        };
        self.book.claim(claim, self.now, &mut self.batch).0
    }

    fn settle(&mut self, claimed: &Claimed, nth: usize, fate: Fate) -> Settled {
        let place = claimed.orders[nth].place;
        let settle = Settle { sale_no: SALE, place, lease: claimed.lease, fate, brake: Some(50) };
        self.book.settle(settle, self.now, &mut self.batch)
    }

    fn pass(&mut self, seconds: u64) {
        let by = Duration::from_secs(seconds);
        self.now = Now { ledger: self.now.ledger.plus(by), wall: self.now.wall.plus(by) };
    }

    fn state(&self, receipt: Receipt) -> State {
        self.book.tickets(SALE, &[receipt.place])[0].as_ref().unwrap().state
    }
}

fn name() -> SaleName {
    "sale".parse().unwrap()
}

fn placed() -> Fate {
    Fate::Placed { order_no: "F1".to_owned() }
}

fn later(spends: bool) -> Fate {
    Fate::Later { after: Duration::ZERO, reason: "away".to_owned(), spends }
}

fn code(changed: Changed) -> &'static str {
    match changed {
        Changed::Conflict { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_order_is_poison_only_while_the_store_answers_others() {
    let mut desk = Desk::new();
    let poison = desk.order();
    for _ in 0..50 {
        let claimed = desk.claim(1);
        assert_eq!(desk.settle(&claimed, 0, later(false)), Settled::Done);
        desk.pass(1);
    }
    assert_eq!(desk.state(poison), State::Placing, "an outage of the store counts for nothing");
    for round in 1..=POISON_CLAIMS {
        let good = desk.order();
        let claimed = desk.claim(2);
        assert_eq!(claimed.orders[0].place, poison.place, "what came back goes first");
        assert_eq!(desk.settle(&claimed, 1, placed()), Settled::Done);
        desk.settle(&claimed, 0, later(false));
        assert_eq!(desk.state(good), State::Placed);
        let dead = desk.state(poison) == State::Dead;
        assert_eq!(dead, round == POISON_CLAIMS, "claim {round}");
        desk.pass(1);
    }
    assert_eq!(desk.book.audit(), []);
    let page = desk.book.dead(SALE, 0, 10);
    let told = (page.orders[0].order.reason.as_deref(), page.orders[0].last_error.as_deref());
    assert_eq!(told, (Some("poison"), Some("away")));
}

#[test]
fn a_refusal_storm_pauses_the_drain_until_an_operator_resumes() {
    let mut desk = Desk::new();
    let rounds: Vec<bool> = (0..REFUSAL_WINDOW).map(|nth| nth % 2 == 0 || nth == 19).collect();
    for (nth, refused) in rounds.into_iter().enumerate() {
        assert!(!desk.book.drain_doc().paused, "after {nth}");
        desk.order();
        let claimed = desk.claim(1);
        let fate = if refused { Fate::Refused { reason: "no".to_owned() } } else { placed() };
        desk.settle(&claimed, 0, fate);
    }
    let doc = desk.book.drain_doc();
    assert_eq!(doc.reason.as_deref(), Some("refusal_storm"));
    assert_eq!(desk.granted(SALE, 5).granted, 0);
    desk.change(Change::Drain(DrainPatch { paused: Some(false), ..DrainPatch::default() }));
    assert_eq!(desk.granted(SALE, 5).granted, 5);
    desk.order();
    let claimed = desk.claim(1);
    desk.settle(&claimed, 0, Fate::Refused { reason: "no".to_owned() });
    assert!(!desk.book.drain_doc().paused, "resuming empties the window");
}

#[test]
fn an_amendment_keeps_skus_and_stock() {
    let mut desk = Desk::new();
    assert_eq!(code(desk.put(terms(&[("case", Some(1))]))), "sku_removed");
    assert_eq!(code(desk.put(terms(&[("phone", Some(99))]))), "stock_fixed");
    assert_eq!(code(desk.put(terms(&[("phone", None), ("case", None)]))), "stock_missing");
    assert_eq!(code(desk.put(terms(&[("phone", None), ("phone", None)]))), "bad_terms");
    let Changed::Sale(doc) = desk.put(terms(&[("case", Some(5)), ("phone", None)])) else {
        panic!("amended");
    };
    let skus: Vec<&str> = doc.census.items.iter().map(|item| item.sku.as_str()).collect();
    assert_eq!(skus, ["phone", "case"], "items keep their places");
    desk.order();
    let changes = desk.claim(1).changes;
    let numbered: Vec<(u64, &str, i64)> =
        changes.iter().map(|c| (c.number, c.sku.as_str(), c.delta)).collect();
    assert_eq!(numbered, [(1, "phone", 100), (2, "case", 5)]);
}

#[test]
fn only_a_settled_sale_is_purged_and_then_forgotten() {
    let mut desk = Desk::new();
    let receipt = desk.order();
    assert_eq!(code(desk.change(Change::Purge(name()))), "not_settled");
    desk.change(Change::Close(name()));
    assert_eq!(code(desk.change(Change::Purge(name()))), "not_settled", "one is queued");
    let claimed = desk.claim(1);
    desk.settle(&claimed, 0, placed());
    let (tickets_micros, sales_micros) = (60_000_000, 120_000_000);
    let retain = Change::Retain { tickets_micros, sales_micros };
    assert_eq!(desk.change(retain.clone()), Changed::Count(0));
    desk.pass(60);
    assert_eq!(desk.change(retain.clone()), Changed::Count(1));
    let doc = desk.book.census(&name(), desk.now).unwrap();
    assert_eq!((doc.purged, doc.census.placed), (true, 1), "the census stays");
    assert_eq!(desk.book.tickets(SALE, &[receipt.place]), [None]);
    assert_eq!(code(desk.put(terms(&[("phone", None)]))), "purged");
    desk.pass(120);
    assert_eq!(desk.change(retain), Changed::Count(1));
    assert_eq!(desk.book.census(&name(), desk.now), None);
}

#[test]
fn a_timeline_tells_every_attempt() {
    let mut desk = Desk::new();
    let receipt = desk.order();
    let claimed = desk.claim(1);
    desk.settle(&claimed, 0, later(true));
    desk.pass(1);
    let claimed = desk.claim(1);
    let seen = format!("1205 {}\u{fc}", "x".repeat(194));
    let dead = Fate::Dead { reason: "attempts".to_owned(), seen: Some(seen.clone()) };
    assert_eq!(desk.settle(&claimed, 0, dead), Settled::Done);
    let dead = &desk.book.dead(SALE, 0, 10).orders[0];
    assert_eq!(dead.order.reason.as_deref(), Some("attempts"));
    assert_eq!(dead.last_error.as_deref(), Some(&seen[..199]), "as long as any reason");
    assert_eq!(desk.settle(&claimed, 0, placed()), Settled::Done, "an answer is the truth");
    let timeline = desk.book.timeline(SALE, receipt.place).unwrap();
    let told: Vec<_> =
        timeline.attempts.iter().map(|note| (note.outcome, note.reason.as_deref())).collect();
    assert_eq!(told, [("later", Some("away")), ("dead", Some(&seen[..199]))]);
    assert_eq!(timeline.order.state, State::Placed);
    assert_eq!(timeline.order.order_no.as_deref(), Some("F1"));
    assert_eq!(desk.book.audit(), []);
}

#[test]
fn a_death_of_which_nobody_kept_what_was_seen_is_read() {
    let mut out = Writer::default();
    out.order(8, SALE, at(0).ledger, 7);
    out.text("attempts");
    let (event, _) = Event::decode(&mut Reader::new(out.as_slice())).unwrap();
    let (at, reason) = (at(0).ledger, "attempts".into());
    assert_eq!(event, Event::Died { sale_no: SALE, at, index: 7, reason, seen: None });
}

#[test]
fn a_closed_sale_opens_again_only_by_a_later_closing() {
    let mut desk = Desk::new();
    desk.change(Change::Close(name()));
    desk.put(terms(&[("phone", None)]));
    assert!(desk.book.census(&name(), desk.now).unwrap().closed);
    let later = Terms { closes_at: Some(at(100).wall), ..terms(&[("phone", None)]) };
    desk.put(later);
    assert!(!desk.book.census(&name(), desk.now).unwrap().closed);
    desk.order();
}

#[test]
fn a_sale_keeps_its_own_rate() {
    let mut desk = Desk::new();
    let own = Terms { drain_rate: Some(Rate::per_second(10)), ..terms(&[("phone", None)]) };
    desk.put(own);
    let mut granted = 0;
    for _ in 0..100 {
        granted += desk.granted(SALE, 50).granted;
        let by = Duration::from_millis(50);
        desk.now = Now { ledger: desk.now.ledger.plus(by), ..desk.now };
    }
    assert!((48..=51).contains(&granted), "5 s at 10/s: {granted}");
    let mut out = Writer::default();
    desk.book.encode_snapshot(&mut out);
    let read = Book::decode_snapshot(&mut Reader::new(out.as_slice())).unwrap();
    let grant = read.pacer().grant(SALE, 50, || desk.now.ledger);
    assert_eq!(grant.granted, 0, "after a restart too: its own bucket begins empty");
}

#[test]
fn a_copy_of_a_book_grants_for_itself_and_a_book_read_again_goes_on_with_the_pacer_that_others_ask()
{
    let mut desk = Desk::new();
    let pacer = desk.book.pacer().share();
    let asked = |pacer: &Pacer| pacer.grant(SALE, 5, || desk.now.ledger).granted;
    let paused = DrainPatch { paused: Some(true), ..DrainPatch::default() };
    let mut copy = desk.book.clone();
    copy.change(Change::Drain(paused), desk.now, &mut desk.batch);
    assert_eq!((asked(copy.pacer()), asked(&pacer)), (0, 5));
    copy.take_over(&pacer, desk.now.ledger);
    assert_eq!((asked(copy.pacer()), asked(&pacer)), (0, 0), "its settings are in force");
    copy.take_over(&pacer, desk.now.ledger);
    let goes_on = DrainPatch { paused: Some(false), ..DrainPatch::default() };
    copy.change(Change::Drain(goes_on), desk.now, &mut desk.batch);
    assert_eq!(asked(&pacer), 5, "and stay so");
}

#[test]
fn a_book_read_again_hands_the_pacer_over_with_nothing_saved() {
    let mut desk = Desk::new();
    desk.change(Change::DrainConfig { rate: Rate::per_second(100), burst: Some(5) });
    let pacer = desk.book.pacer().share();
    let mut again = desk.book.clone();
    assert_eq!(desk.granted(SALE, 5).granted, 5, "all that was saved");
    again.take_over(&pacer, desk.now.ledger);
    assert_eq!(pacer.grant(SALE, 5, || desk.now.ledger).granted, 0, "and not again");
}

/// The instant of a change is read before the change is decided, and others are granted permits in between.
#[test]
fn another_pace_begins_after_all_that_was_granted_before_it() {
    let mut desk = Desk::new();
    let pace = |permits| Change::DrainConfig { rate: Rate::per_second(permits), burst: None };
    desk.change(pace(10_000));
    let between = desk.now.ledger.plus(Duration::from_millis(5));
    let granted = |desk: &Desk, want| desk.book.pacer().grant(SALE, want, || between).granted;
    assert_eq!(granted(&desk, 50), 50);
    desk.change(pace(500));
    let last = *desk.book.drain_doc().eras.last().unwrap();
    assert_eq!(last.from, between, "they were granted by the pace before");
    assert_eq!(granted(&desk, 6), 6, "what was saved stays");
    desk.change(pace(10_000));
    assert_eq!(granted(&desk, 500), 0, "no time is earned twice");
}

#[test]
fn a_waiting_order_takes_little_memory() {
    let mut desk = Desk::new();
    desk.change(Change::Stock {
        sale: name(),
        sku: "phone".parse().unwrap(),
        delta: 1 << 20,
        operation: "more".to_owned(),
    });
    let before = desk.book.memory_bytes();
    let orders = 1u64 << 16;
    for nth in 0..orders {
        desk.batch = Batch::at(0);
        desk.buyers = 1_000_000_000 + nth * 7;
        let lines = ItemLines::One(ItemLine { item: 0, quantity: 1 });
        let order = Reserve {
            sale_no: SALE,
            buyer: Buyer::new(format!("buyer-{:010}", desk.buyers).as_bytes()).unwrap(),
            buyer_hash: desk.buyers.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            key: nth,
            fingerprint: 1,
            lines,
            payload: bytes::Bytes::new(),
            bound: Bound { orders: u64::MAX, bytes: u64::MAX },
        };
        desk.book.reserve(order, desk.now, &mut desk.batch);
    }
    let each = (desk.book.memory_bytes() - before) as u64 / orders;
    assert!(each <= 200, "{each} bytes an order");
}
