//! Runs a sequence on an engine and on the model, side by side.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::Engine;
use super::follow::Follower;
use super::laws::Laws;
use super::model::{BACKLOG, LIMIT, Model, STOCK};
use super::steps::{Asked, Fated, Step, Switch};
use crate::clock::{Clock, Timestamp};
use crate::ledger::{
    Answer, Bound, Cancel, Cancelled, Change, Changed, Claim, ClaimedOrder, DrainPatch, Fate,
    LeaseId, Reserve, Settle, Which,
};
use crate::order::{Buyer, ItemLine, ItemLines, State};
use crate::sale::{ItemTerms, Rate, SaleName, SaleNo, Terms};

type Checked = Result<(), TestCaseError>;

/// The rate of the file.
const FILE_RATE: Rate = Rate::per_second(40);
/// The one sale of the suite.
pub(crate) const SALE_NO: SaleNo = SaleNo(7);

/// Runs `steps` on a fresh engine; fails at the first answer that is not the model's and at the first broken
/// law.
pub(crate) fn check(engine: &mut dyn Engine, steps: &[Step]) -> Checked {
    let mut run = Run {
        engine,
        model: Model::new(),
        laws: Laws::default(),
        claimed: Default::default(),
        rate: FILE_RATE,
        drain_paused: false,
        closes: 0,
        settles: 0,
        follower: Follower::default(),
    };
    run.begin();
    for step in steps {
        run.step(step)?;
        run.look()?;
    }
    run.catch_up()
}

struct Run<'a> {
    engine: &'a mut dyn Engine,
    model: Model,
    laws: Laws,
    /// What each drain believes to have claimed.
    claimed: [Vec<(usize, LeaseId)>; 3],
    rate: Rate,
    drain_paused: bool,
    closes: u64,
    settles: u64,
    follower: Follower,
}

fn name() -> SaleName {
    "sale".parse().expect("a good name")
}

thread_local! {
    static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
}

fn now_of<T>(answer: Answer<'_, T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(answer)).expect("the ledger answers")
}

fn reserve_call(asked: &Asked, hash_of: impl Fn(&str) -> u64) -> Reserve {
    let mut lines = vec![ItemLine { item: asked.item, quantity: asked.quantity }];
    lines.extend(asked.second.map(|quantity| ItemLine { item: 1 - asked.item, quantity }));
    let mut fingerprint = u64::from(asked.body);
    for line in &lines {
        fingerprint = fingerprint * 64 + u64::from(line.item) * 8 + u64::from(line.quantity);
    }
    let buyer = format!("buyer-{}", asked.buyer);
    Reserve {
        sale_no: SALE_NO,
        buyer_hash: hash_of(&buyer),
        buyer: Buyer::new(buyer.as_bytes()).expect("a good buyer"),
        key: u64::from(asked.key),
        fingerprint,
        lines: ItemLines::from(lines),
        payload: Bytes::from(vec![asked.body; usize::from(asked.body) * 20]),
        bound: Bound { orders: BACKLOG, bytes: u64::MAX },
    }
}

impl Run<'_> {
    fn begin(&mut self) {
        let item = |(sku, stock): (&str, u64)| ItemTerms {
            sku: sku.parse().expect("a good sku"),
            stock: Some(stock),
        };
        let terms = Terms {
            opens_at: None,
            closes_at: None,
            limit_per_buyer: Some(LIMIT),
            payment_window_ms: None,
            admit_rate: None,
            drain_rate: None,
            items: ["phone", "case"].into_iter().zip(STOCK).map(item).collect(),
        };
        let numbers = [SALE_NO; 4];
        let made = self.change(Change::PutSale {
            name: name(),
            terms,
            numbers,
            key_id: 1,
            only_new: true,
        });
        assert!(matches!(made, Changed::Created(_)), "{made:?}");
        self.change(Change::DrainConfig { rate: FILE_RATE, burst: None });
        self.follower = Follower::of(&now_of(self.engine.ledger().snapshot()));
    }

    /// Reads the tail to its end: what it told is what is.
    fn catch_up(&mut self) -> Checked {
        let ledger = self.engine.ledger();
        loop {
            let after = self.follower.after;
            let whole = self.follower.read(&now_of(ledger.tail(after, 100)));
            if !whole {
                self.follower = Follower::of(&now_of(ledger.snapshot()));
            }
            if self.follower.after == after || !whole {
                break;
            }
        }
        let doc = now_of(ledger.census(name())).expect("the sale is there");
        let orders = now_of(ledger.export(doc.sale_no, 0, usize::MAX)).orders;
        let left: Vec<u64> = doc.census.items.iter().map(|item| item.available).collect();
        self.follower.hold(&orders, &left)
    }

    /// Ledger time: it began with the clock's wall time and goes on with it.
    fn now(&self) -> Timestamp {
        self.engine.clock().wall()
    }

    fn change(&self, change: Change) -> Changed {
        now_of(self.engine.ledger().change(change))
    }

    fn step(&mut self, step: &Step) -> Checked {
        match step {
            Step::Advance(ms) => {
                self.engine.clock().advance(Duration::from_millis(u64::from(*ms)));
                Ok(())
            }
            Step::Reserve(asked) => self.reserve(asked),
            Step::Cancel(nth) => self.cancel(usize::from(*nth)),
            Step::Drain { drain, want, lease_ms } => {
                self.drain(usize::from(*drain), u32::from(*want), u64::from(*lease_ms))
            }
            Step::Settle { drain, nth, fate } => {
                self.settle(usize::from(*drain), usize::from(*nth), *fate)
            }
            Step::Switch(switch) => {
                self.switch(*switch);
                Ok(())
            }
            Step::Stock { item, delta, operation } => self.stock(*item, *delta, *operation),
            Step::Rate(rate) => {
                let rate = (*rate > 0).then(|| Rate::per_second(u32::from(*rate)));
                self.rate = rate.unwrap_or(FILE_RATE);
                self.change(Change::Drain(DrainPatch {
                    rate: Some(rate),
                    ..DrainPatch::default()
                }));
                Ok(())
            }
            Step::PauseDrain(paused) => {
                self.drain_paused = *paused;
                let patch = DrainPatch { paused: Some(*paused), ..DrainPatch::default() };
                self.change(Change::Drain(patch));
                Ok(())
            }
            Step::RetryDead => {
                let now = self.now();
                let changed = self.change(Change::RetryDead { sale: name(), which: Which::All });
                prop_assert_eq!(changed, Changed::Count(self.model.retry_dead(now)));
                Ok(())
            }
            Step::RefuseDead(nth) => self.refuse_dead(usize::from(*nth)),
            Step::Restart { lossy } => {
                self.catch_up()?;
                let new_epoch = self.engine.restart(*lossy);
                let leases_end = self.engine.leases_end_with_it();
                self.model.restart(new_epoch, leases_end, self.now());
                self.follower = Follower::of(&now_of(self.engine.ledger().snapshot()));
                Ok(())
            }
        }
    }

    fn reserve(&mut self, asked: &[Asked]) -> Checked {
        let calls: Vec<Reserve> = asked
            .iter()
            .map(|asked| reserve_call(asked, |buyer| self.engine.hash_of(buyer)))
            .collect();
        let answers = now_of(self.engine.ledger().reserve(calls.clone()));
        for (call, answer) in calls.iter().zip(answers) {
            let expected = self.model.reserve(call, self.engine.clock().wall());
            prop_assert_eq!(&answer, &expected, "{:?}", call);
        }
        Ok(())
    }

    fn cancel(&mut self, nth: usize) -> Checked {
        let Some(order) = self.model.orders.get(nth) else { return Ok(()) };
        let cancel = Cancel { sale_no: SALE_NO, place: order.place };
        let answers = now_of(self.engine.ledger().cancel(vec![cancel]));
        let done = matches!(answers.as_slice(), [Cancelled::Done(_)]);
        prop_assert_eq!(done, self.model.cancel(nth), "{:?}", answers);
        Ok(())
    }

    fn drain(&mut self, drain: usize, want: u32, lease_ms: u64) -> Checked {
        let ledger = self.engine.ledger();
        let grant = now_of(ledger.grant(SALE_NO, want));
        prop_assert!(grant.granted <= want);
        prop_assert!(!self.drain_paused || grant.granted == 0, "paused");
        self.laws.granted(self.rate, grant.granted, grant.at)?;
        if grant.granted == 0 {
            prop_assert_eq!(grant.retry_in.is_none(), self.drain_paused);
            return Ok(());
        }
        let lease = Duration::from_millis(lease_ms);
        let claimed = now_of(ledger.claim(Claim {
            sale_no: SALE_NO,
            max: grant.granted,
            lease,
            granted_at: grant.at,
            stock_seen: 0,
        }));
        let now = self.now();
        prop_assert_eq!(claimed.until, now.plus(lease));
        let taken = self.model.claim(grant.granted as usize, claimed.lease, claimed.until, now);
        prop_assert_eq!(claimed.orders.len(), taken.len(), "L4, L6: {:?}", claimed.orders);
        for (got, at) in claimed.orders.iter().zip(&taken) {
            self.same_order(got, *at)?;
        }
        self.claimed[drain].extend(taken.into_iter().map(|at| (at, claimed.lease)));
        Ok(())
    }

    fn same_order(&mut self, got: &ClaimedOrder, at: usize) -> Checked {
        let order = &mut self.model.orders[at];
        prop_assert_eq!(got.place, order.place, "L6");
        prop_assert_eq!(got.buyer.as_str(), &order.buyer);
        prop_assert_eq!(&got.payload, &order.payload);
        prop_assert_eq!((got.attempts, got.claims), (order.attempts, order.claims));
        let lines: u64 = got.lines.iter().map(|line| u64::from(line.quantity)).sum();
        prop_assert_eq!(lines, order.lines.iter().map(|(_, quantity)| quantity).sum::<u64>());
        order.claims += 1;
        Ok(())
    }

    fn settle(&mut self, drain: usize, nth: usize, fate: Fated) -> Checked {
        let claimed = &self.claimed[drain];
        let Some((at, lease)) = claimed.len().checked_sub(nth + 1).map(|at| claimed[at]) else {
            return Ok(());
        };
        self.settles += 1;
        let (reason, seen) = ("why".to_owned(), format!("seen {}", self.settles));
        let fate = match fate {
            Fated::Placed => Fate::Placed { order_no: format!("no-{at}") },
            Fated::Refused => Fate::Refused { reason },
            Fated::Later { spends, after_ms } => {
                let after = Duration::from_millis(u64::from(after_ms));
                Fate::Later { after, reason: seen, spends }
            }
            Fated::Dead { seen: told } => Fate::Dead { reason, seen: told.then_some(seen) },
            Fated::Unstarted => Fate::Unstarted,
        };
        let settle = Settle {
            sale_no: SALE_NO,
            place: self.model.orders[at].place,
            lease,
            fate: fate.clone(),
            brake: None,
        };
        let answers = now_of(self.engine.ledger().settle(vec![settle]));
        let expected = self.model.settle(at, lease, &fate, self.now());
        prop_assert_eq!(answers, vec![expected], "L4: {:?} of order {}", fate, at);
        Ok(())
    }

    fn switch(&mut self, switch: Switch) {
        match switch {
            Switch::Pause => {
                self.change(Change::Pause(name()));
                self.model.paused = true;
            }
            Switch::Resume => {
                self.change(Change::Resume(name()));
                self.model.paused = false;
            }
            Switch::Close => {
                self.change(Change::Close(name()));
                self.model.closed = true;
            }
            Switch::Reopen => self.reopen(),
        }
    }

    /// A later `closes_at` opens a closed sale again.
    fn reopen(&mut self) {
        self.closes += 1;
        let doc = now_of(self.engine.ledger().census(name())).expect("the sale is there");
        let far = self.now().plus(Duration::from_secs(1_000_000 + self.closes));
        let terms = Terms { closes_at: Some(far), ..doc.terms };
        let (numbers, key_id) = ([SALE_NO; 4], 1);
        self.change(Change::PutSale { name: name(), terms, numbers, key_id, only_new: false });
        self.model.closed = false;
    }

    fn stock(&mut self, item: u8, delta: i8, operation: u8) -> Checked {
        let sku = ["phone", "case"][usize::from(item)].parse().expect("a good sku");
        let changed = self.change(Change::Stock {
            sale: name(),
            sku,
            delta: i64::from(delta),
            operation: format!("op-{operation}"),
        });
        let available = self.model.available(u16::from(item));
        let code = match (self.model.operations.get(&operation), delta) {
            (Some(known), _) if *known == (item, delta) => None,
            (Some(_), _) => Some("operation_reused"),
            (None, 0) => Some("bad_delta"),
            (None, cut) if cut < 0 && u64::from(cut.unsigned_abs()) > available => {
                Some("below_available")
            }
            (None, _) => {
                self.model.operations.insert(operation, (item, delta));
                self.model.moved[usize::from(item)] += i64::from(delta);
                None
            }
        };
        match (&changed, code) {
            (Changed::Sale(_), None) => Ok(()),
            (Changed::Conflict { code: got, .. }, Some(code)) => {
                prop_assert_eq!(*got, code);
                Ok(())
            }
            _ => Err(TestCaseError::fail(format!("{changed:?} instead of {code:?}"))),
        }
    }

    fn refuse_dead(&mut self, nth: usize) -> Checked {
        let Some(order) = self.model.orders.get_mut(nth) else { return Ok(()) };
        let (sale, place, reason) = (name(), order.place, "operator".to_owned());
        let was_dead = order.state == State::Dead;
        if was_dead {
            order.state = State::Refused;
            self.model.answers += 1;
        }
        let changed = self.change(Change::RefuseDead { sale, place, reason });
        prop_assert_eq!(matches!(changed, Changed::Count(1)), was_dead, "{:?}", changed);
        Ok(())
    }

    /// The laws, and each order against the model.
    fn look(&mut self) -> Checked {
        let ledger = self.engine.ledger();
        let doc = now_of(ledger.census(name())).expect("the sale is there");
        let page = now_of(ledger.export(doc.sale_no, 0, usize::MAX));
        self.laws.hold(&doc, &page.orders)?;
        let known = |place| self.model.orders.iter().find(|order| order.place == place);
        for order in &page.orders {
            let expected = known(order.place).map(|order| order.state);
            prop_assert_eq!(Some(order.state), expected, "order {:?}", order.place);
        }
        let dead = now_of(ledger.dead(doc.sale_no, 0, usize::MAX >> 1)).orders;
        let given_up = page.orders.iter().filter(|order| order.state == State::Dead);
        prop_assert!(dead.iter().map(|dead| &dead.order).eq(given_up), "dead: {:?}", dead);
        for dead in &dead {
            let said = known(dead.order.place).and_then(|order| order.said.as_deref());
            prop_assert_eq!(dead.last_error.as_deref(), said, "{:?}", dead.order.place);
        }
        for (item, census) in (0u16..).zip(&doc.census.items) {
            prop_assert_eq!(census.available, self.model.available(item), "item {}", item);
        }
        prop_assert_eq!(doc.census.epoch, self.model.epoch);
        Ok(())
    }
}
