//! A server that lost the newest orders: what processes remember comes back under the same tickets, the rest is lost
//! by name, and nothing is sold twice.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::server::Server;
use crate::clock::{ManualClock, SystemClock, Timestamp};
use crate::ledger::redis::link::Means;
use crate::ledger::redis::{Config, Redis, library};
use crate::ledger::{
    Bound, Cancel, Cancelled, Change, Claim, Ledger, Receipt, Reserve, Reserved, SaleDoc,
};
use crate::order::{Buyer, ItemLine, ItemLines, KEY_BYTES, Keyring, Place, State, TicketKey};
use crate::sale::{ItemTerms, SaleName, SaleNo, Terms};
use crate::units::Span;

const SALE: SaleNo = SaleNo(7);
const GUARD: Duration = Duration::from_secs(60);
/// In the time of the functions, which the tests give.
const HOLD: Duration = Duration::from_secs(10);

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp(1_700_000_000_000_000)))
}

/// A process, as far as the ledger is concerned.
struct Process {
    runtime: Runtime,
    ledger: Arc<Redis>,
}

fn name() -> SaleName {
    "sale".parse().unwrap()
}

fn order(buyer: &str) -> Reserve {
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

impl Process {
    fn start(server: &Server, clock: &Arc<ManualClock>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let config = Config { recover_hold: Span(HOLD), ..Config::default() };
        let means = Means {
            open: server.opening(),
            place: "a socket".to_owned(),
            library: &library::TIMED,
            durability: config.durability,
            replicas: config.replicas,
            timeout: GUARD,
            reading: false,
            pretended: Some((Arc::clone(clock), 0)),
        };
        let keyring = Keyring::default();
        keyring.add(TicketKey { id: 1, secret: [7; KEY_BYTES] }).unwrap();
        let inside = runtime.enter();
        let ledger = Redis::with(&config, means, &keyring, Arc::new(SystemClock::new()));
        drop(inside);
        let process = Self { runtime, ledger };
        process.round();
        process
    }

    /// The tail was read again, on a server that is in use.
    fn round(&self) {
        self.runtime.block_on(self.ledger.core().rounds.one(GUARD)).unwrap();
    }

    /// Waits until so many orders were brought back, and lets the hold end.
    fn recovered(
        &self,
        server: &Server,
        clock: &ManualClock,
        (brought, missing): (u64, Option<Place>),
    ) {
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
        if let Some(place) = missing {
            let asked = self.runtime.block_on(self.ledger.tickets(SALE, vec![place]));
            assert!(asked.is_err(), "nobody is told that it is lost yet: {asked:?}");
        }
        clock.advance(HOLD);
    }

    fn put_sale(&self, stock: u64) {
        let terms = Terms {
            opens_at: None,
            closes_at: None,
            limit_per_buyer: Some(1),
            payment_window_ms: None,
            admit_rate: None,
            drain_rate: None,
            items: vec![ItemTerms { sku: "phone".parse().unwrap(), stock: Some(stock) }],
        };
        let change =
            Change::PutSale { name: name(), terms, numbers: [SALE; 4], key_id: 1, only_new: false };
        self.runtime.block_on(self.ledger.change(change)).unwrap();
    }

    fn buy(&self, buyer: &str) -> Reserved {
        loop {
            let answer = self.runtime.block_on(self.ledger.reserve(vec![order(buyer)]));
            match answer.map(|answers| answers.into_iter().next().unwrap()) {
                Ok(Reserved::Recovering) | Err(_) => self.round(),
                Ok(answer) => return answer,
            }
        }
    }

    fn bought(&self, buyer: &str) -> Receipt {
        match self.buy(buyer) {
            Reserved::Accepted(receipt) => receipt,
            other => panic!("{buyer}: {other:?}"),
        }
    }

    fn census(&self) -> SaleDoc {
        self.runtime.block_on(self.ledger.census(name())).unwrap().unwrap()
    }

    fn state(&self, place: Place) -> Option<State> {
        let docs = self.runtime.block_on(self.ledger.tickets(SALE, vec![place])).unwrap();
        docs.into_iter().next().unwrap().map(|doc| doc.state)
    }

    fn conserved(&self) {
        let doc = self.census();
        let item = &doc.census.items[0];
        assert_eq!(item.initial, item.available + item.held + item.sold, "{item:?}");
        let orders = self.runtime.block_on(self.ledger.export(SALE, 0, 1_000)).unwrap().orders;
        assert_eq!(doc.census.accepted, orders.len() as u64);
        let held = orders.iter().filter(|order| !order.state.is_terminal()).count() as u64;
        assert_eq!(item.held, held, "{orders:?}");
    }
}

#[test]
fn what_is_remembered_comes_back_under_its_ticket() {
    let mut server = Server::start(&[]);
    let clock = clock();
    let (one, other) = (Process::start(&server, &clock), Process::start(&server, &clock));
    one.put_sale(6);
    let kept = one.bought("ann");
    let cancelled = other.bought("bob");
    server.ask::<()>(&["SAVE"]);
    let cancel = Cancel { sale_no: SALE, place: cancelled.place };
    let answer = one.runtime.block_on(one.ledger.cancel(vec![cancel])).unwrap();
    assert!(matches!(answer.as_slice(), [Cancelled::Done(_)]), "{answer:?}");
    let third = other.bought("cy");
    let fourth = one.bought("dan");
    let fifth = other.bought("eve");
    server.restart();
    one.recovered(&server, &clock, (3, Some(third.place)));

    assert_eq!(one.buy("dan"), Reserved::Replay(fourth), "the first ticket, by key");
    assert_eq!(other.buy("eve"), Reserved::Replay(fifth));
    other.round();
    assert_eq!(one.state(third.place), Some(State::Queued));
    assert_eq!(one.state(cancelled.place), Some(State::Cancelled), "a cancel is brought back too");
    let new = one.bought("fay");
    assert_eq!((new.place.epoch, new.place.sequence), (2, 1), "a new epoch");
    let doc = one.census();
    assert_eq!((doc.census.accepted, doc.census.lost, doc.census.items[0].available), (6, 0, 1));
    one.conserved();
    let claim = Claim {
        sale_no: SALE,
        max: 10,
        lease: Duration::from_secs(10),
        granted_at: doc.as_of,
        stock_seen: 0,
    };
    let claimed = one.runtime.block_on(one.ledger.claim(claim)).unwrap();
    let places: Vec<Place> = claimed.orders.iter().map(|order| order.place).collect();
    let expected = [kept, third, fourth, fifth, new].map(|receipt| receipt.place);
    assert_eq!(places, expected, "in the order in which they were accepted");
}

#[test]
fn what_nobody_remembers_is_lost_by_name_and_its_units_are_sold_once() {
    let mut server = Server::start(&[]);
    let clock = clock();
    let one = Process::start(&server, &clock);
    one.put_sale(3);
    one.bought("ann");
    server.ask::<()>(&["SAVE"]);
    let forgotten = {
        let dies = Process::start(&server, &clock);
        let receipt = dies.bought("bob");
        dies.runtime.block_on(dies.ledger.close());
        receipt
    };
    let remembered = one.bought("cy");
    server.restart();
    one.recovered(&server, &clock, (1, Some(forgotten.place)));

    assert_eq!(one.buy("cy"), Reserved::Replay(remembered));
    assert_eq!(
        one.state(forgotten.place),
        Some(State::Lost),
        "accepted between two that are known"
    );
    let doc = one.census();
    assert_eq!((doc.census.accepted, doc.census.lost, doc.census.items[0].available), (3, 1, 1));
    // His key is free again: nobody knows that he had it.
    assert_eq!(one.bought("bob").place, Place { epoch: 2, sequence: 1 });
    assert_eq!(one.buy("dan"), Reserved::SoldOut);
    one.conserved();
}

#[test]
fn nothing_lost_nothing_changed() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let clock = clock();
    let one = Process::start(&server, &clock);
    one.put_sale(3);
    let receipts = [one.bought("ann"), one.bought("bob")];
    server.restart();
    assert_eq!(one.buy("ann"), Reserved::Replay(receipts[0]), "known orders need not wait");
    one.recovered(&server, &clock, (0, None));
    assert_eq!(one.bought("cy").place, Place { epoch: 2, sequence: 1 });
    let doc = one.census();
    assert_eq!((doc.census.accepted, doc.census.lost, doc.census.items[0].available), (3, 0, 0));
    server.restart();
    assert_eq!(one.buy("ann"), Reserved::Replay(receipts[0]));
    one.recovered(&server, &clock, (0, None));
    assert_eq!(one.buy("dan"), Reserved::SoldOut);
    assert_eq!(one.census().census.epoch, 3);
    one.conserved();
}

#[test]
fn a_server_that_lost_everything_takes_no_orders() {
    let mut server = Server::start(&[]);
    let clock = clock();
    let one = Process::start(&server, &clock);
    one.put_sale(3);
    one.bought("ann");
    server.restart();
    let told = loop {
        if let Some(told) = one.ledger.trouble().filter(|told| told.contains("`sale`")) {
            break told;
        }
        // The follower finds out that the connection is gone, and the keeper what is gone besides.
        let _ = one.runtime.block_on(one.ledger.core().rounds.one(Duration::from_millis(50)));
    };
    assert!(told.contains("not in Redis any more"), "{told}");
    let answer = one.runtime.block_on(one.ledger.reserve(vec![order("bob")]));
    assert!(answer.is_err(), "stock does not come back by losing the book: {answer:?}");
}
