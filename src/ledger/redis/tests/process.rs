//! Processes that share a server which loses what it had, as far as the ledger is concerned.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::server::Server;
use crate::clock::{ManualClock, SystemClock, Timestamp};
use crate::ledger::redis::library::{self, Library};
use crate::ledger::redis::link::Means;
use crate::ledger::redis::{Config, Redis, reply};
use crate::ledger::{
    Bound, Change, Changed, Ledger, OrderDoc, Receipt, Reserve, Reserved, SaleDoc, Stored,
    StoredUnits,
};
use crate::order::{Buyer, ItemLine, ItemLines, KEY_BYTES, Keyring, Place, State, TicketKey};
use crate::sale::{ItemTerms, SaleName, SaleNo, Terms};
use crate::units::Span;

pub(super) const SALE: SaleNo = SaleNo(7);
pub(super) const GUARD: Duration = Duration::from_secs(60);
/// In the time of the functions, which the tests give.
pub(super) const HOLD: Duration = Duration::from_secs(10);

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp(1_700_000_000_000_000)))
}

/// A process, as far as the ledger is concerned.
pub(super) struct Process {
    pub(super) runtime: Runtime,
    pub(super) ledger: Arc<Redis>,
}

pub(super) fn name() -> SaleName {
    "sale".parse().unwrap()
}

pub(super) fn order(buyer: &str) -> Reserve {
    Reserve {
        sale_no: SALE,
        buyer: Buyer::new(buyer.as_bytes()).unwrap(),
        buyer_hash: 1,
        key: 1,
        fingerprint: 1,
        lines: ItemLines::from(vec![ItemLine { item: 0, quantity: 1 }]),
        payload: bytes::Bytes::from_static(b"{}"),
        bound: Bound { orders: 100, bytes: 10_000 },
    }
}

/// Opens the ledger as a process does whose library this is, on a runtime of its own, and reads the tail once.
pub(super) fn open(
    server: &Server,
    config: &Config,
    library: &'static Library,
    pretended: Option<(Arc<ManualClock>, u32)>,
) -> (Runtime, Arc<Redis>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let means = Means {
        open: server.opening(),
        place: "a socket".to_owned(),
        library,
        durability: config.durability,
        replicas: config.replicas,
        timeout: GUARD,
        reading: false,
        pretended,
    };
    let keyring = Keyring::default();
    keyring.add(TicketKey { id: 1, secret: [7; KEY_BYTES] }).unwrap();
    let inside = runtime.enter();
    let ledger = Redis::with(config, means, &keyring, Arc::new(SystemClock::new()));
    drop(inside);
    runtime.block_on(ledger.core().rounds.one(GUARD)).unwrap();
    (runtime, ledger)
}

/// A sale of one item that is open, with a limit of one.
pub(super) fn sale_of(stock: u64) -> Change {
    let terms = Terms {
        opens_at: None,
        closes_at: None,
        limit_per_buyer: Some(1),
        payment_window_ms: None,
        admit_rate: None,
        drain_rate: None,
        items: vec![ItemTerms { sku: "phone".parse().unwrap(), stock: Some(stock) }],
    };
    Change::PutSale { name: name(), terms, numbers: [SALE; 4], key_id: 1, only_new: false }
}

impl Process {
    pub(super) fn start(server: &Server, clock: &Arc<ManualClock>) -> Self {
        Self::holding(server, clock, HOLD)
    }

    /// With another hold.
    pub(super) fn holding(server: &Server, clock: &Arc<ManualClock>, hold: Duration) -> Self {
        let config = Config { recover_hold: Span(hold), ..Config::default() };
        let pretended = Some((Arc::clone(clock), 0));
        let (runtime, ledger) = open(server, &config, &library::TIMED, pretended);
        Self { runtime, ledger }
    }

    /// The tail was read again, on a server that is in use.
    pub(super) fn round(&self) {
        self.runtime.block_on(self.ledger.core().rounds.one(GUARD)).unwrap();
    }

    /// Waits until so many orders were brought back; no new ones are taken then.
    pub(super) fn on_hold(&self, server: &Server, brought: u64) {
        while server.ask::<u64>(&["HLEN", "{forebay:00000007}:r"]) < brought {
            self.round();
        }
        let answers = loop {
            match self.runtime.block_on(self.ledger.reserve(vec![order("new")])) {
                Ok(answers) => break answers,
                // The lane finds out now that its connection is gone.
                Err(_) => self.round(),
            }
        };
        assert_eq!(answers, [Reserved::Recovering], "new buyers come later");
    }

    /// The same, and lets the hold end without anything from the store.
    pub(super) fn recovered(
        &self,
        server: &Server,
        clock: &ManualClock,
        (brought, missing): (u64, Option<Place>),
    ) {
        self.on_hold(server, brought);
        if let Some(place) = missing {
            let asked = self.runtime.block_on(self.ledger.tickets(SALE, vec![place]));
            assert!(asked.is_err(), "nobody is told that it is lost yet: {asked:?}");
        }
        self.store_has(Vec::new());
        clock.advance(HOLD);
    }

    /// Ends the hold, if its time has come.
    pub(super) fn hold_is_over(&self) -> bool {
        let ended = self.ledger.core().call("end_hold", SALE, |_| {});
        let wait = self.runtime.block_on(ended).unwrap();
        let over = reply::signed(&wait).unwrap() <= 0;
        let answer = self.runtime.block_on(self.ledger.reserve(vec![order("new")])).unwrap();
        assert!(over || answer == [Reserved::Recovering], "{answer:?}");
        over
    }

    /// Tells what the store has of what is missing, and that this is all of it.
    pub(super) fn store_has(&self, stored: Vec<Stored>) -> u64 {
        self.runtime.block_on(self.ledger.answer_for(SALE, stored, true)).unwrap()
    }

    pub(super) fn put_sale(&self, stock: u64) {
        self.runtime.block_on(self.ledger.change(sale_of(stock))).unwrap();
    }

    pub(super) fn buy(&self, buyer: &str) -> Reserved {
        loop {
            let answer = self.runtime.block_on(self.ledger.reserve(vec![order(buyer)]));
            match answer.map(|answers| answers.into_iter().next().unwrap()) {
                Ok(Reserved::Recovering) | Err(_) => self.round(),
                Ok(answer) => return answer,
            }
        }
    }

    pub(super) fn bought(&self, buyer: &str) -> Receipt {
        match self.buy(buyer) {
            Reserved::Accepted(receipt) => receipt,
            other => panic!("{buyer}: {other:?}"),
        }
    }

    pub(super) fn rebuild(&self, store: Vec<StoredUnits>) -> Changed {
        let change = Change::Rebuild { sale: name(), store };
        self.runtime.block_on(self.ledger.change(change)).unwrap()
    }

    pub(super) fn census(&self) -> SaleDoc {
        self.runtime.block_on(self.ledger.census(name())).unwrap().unwrap()
    }

    pub(super) fn state(&self, place: Place) -> Option<State> {
        let docs = self.runtime.block_on(self.ledger.tickets(SALE, vec![place])).unwrap();
        docs.into_iter().next().unwrap().map(|doc| doc.state)
    }

    pub(super) fn doc(&self, place: Place) -> OrderDoc {
        let docs = self.runtime.block_on(self.ledger.tickets(SALE, vec![place])).unwrap();
        docs.into_iter().next().unwrap().unwrap()
    }

    pub(super) fn conserved(&self) {
        let doc = self.census();
        let item = &doc.census.items[0];
        let units = item.initial + item.added - item.cut;
        assert_eq!(units, item.available + item.held + item.sold, "{item:?}");
        let orders = self.runtime.block_on(self.ledger.export(SALE, 0, 1_000)).unwrap().orders;
        assert_eq!(doc.census.accepted, orders.len() as u64);
        let held = orders.iter().filter(|order| !order.state.is_terminal()).count() as u64;
        assert_eq!(item.held, held, "{orders:?}");
    }
}
