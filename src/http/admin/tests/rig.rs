//! An admin listener over the book, with operations that a test plays.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Request, StatusCode};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::clock::ManualClock;
use crate::http::admin::{Access, Admin, Parts, Reply, Tokens};
use crate::http::operations::{
    AdaptiveLive, DeadOrder, DeadRefused, DrainLive, Lost, Operation, OperationFault, Operations,
    Redriven,
};
use crate::ledger::suite::{Engine as _, Volatile};
use crate::ledger::{
    Answer, Bound, Cancel, Cancelled, Change, Changed, Claim, Claimed, DeadPage, DrainDoc,
    ExportPage, Fate, Fault, Grant, Ledger, OrderDoc, Receipt, Reserve, Reserved, SaleDoc, Settle,
    Settled, SharedLedger, Snapshot, Tail, TailId, Timeline,
};
use crate::metrics::Registry;
use crate::order::{
    Buyer, ItemLine, ItemLines, KEY_BYTES, Keyring, Place, SaleSeal, TicketKey, TicketText,
};
use crate::sale::{Rate, SaleName, SaleNo};
use crate::tasks::Readiness;

/// Passes every call on to the book, or fails it; counts the pages of exports.
#[derive(Debug)]
pub(super) struct Gate {
    book: SharedLedger,
    pub(super) fault: Mutex<Option<Fault>>,
    pub(super) pages: AtomicUsize,
}

impl Gate {
    fn pass<'a, T: Send + 'a>(&self, answer: Answer<'a, T>) -> Answer<'a, T> {
        match self.fault.lock().unwrap().clone() {
            Some(fault) => Box::pin(async { Err(fault) }),
            None => answer,
        }
    }
}

impl Ledger for Gate {
    fn reserve(&self, orders: Vec<Reserve>) -> Answer<'_, Vec<Reserved>> {
        self.book.reserve(orders)
    }

    fn cancel(&self, orders: Vec<Cancel>) -> Answer<'_, Vec<Cancelled>> {
        self.book.cancel(orders)
    }

    fn grant(&self, sale: SaleNo, want: u32) -> Answer<'_, Grant> {
        self.book.grant(sale, want)
    }

    fn claim(&self, claim: Claim) -> Answer<'_, Claimed> {
        self.book.claim(claim)
    }

    fn settle(&self, settles: Vec<Settle>) -> Answer<'_, Vec<Settled>> {
        self.book.settle(settles)
    }

    fn change(&self, change: Change) -> Answer<'_, Changed> {
        self.pass(self.book.change(change))
    }

    fn census(&self, sale: SaleName) -> Answer<'_, Option<SaleDoc>> {
        self.pass(self.book.census(sale))
    }

    fn sales(&self) -> Answer<'_, Vec<SaleDoc>> {
        self.pass(self.book.sales())
    }

    fn drain(&self) -> Answer<'_, DrainDoc> {
        self.pass(self.book.drain())
    }

    fn tickets(&self, sale: SaleNo, places: Vec<Place>) -> Answer<'_, Vec<Option<OrderDoc>>> {
        self.pass(self.book.tickets(sale, places))
    }

    fn timeline(&self, sale: SaleNo, place: Place) -> Answer<'_, Option<Timeline>> {
        self.pass(self.book.timeline(sale, place))
    }

    fn export(&self, sale: SaleNo, from: u64, max: usize) -> Answer<'_, ExportPage> {
        self.pages.fetch_add(1, Ordering::SeqCst);
        self.pass(self.book.export(sale, from, max))
    }

    fn dead(&self, sale: SaleNo, from: u64, max: usize) -> Answer<'_, DeadPage> {
        self.pass(self.book.dead(sale, from, max))
    }

    fn snapshot(&self) -> Answer<'_, Snapshot> {
        self.book.snapshot()
    }

    fn tail(&self, after: TailId, max: usize) -> Answer<'_, Tail> {
        self.book.tail(after, max)
    }

    fn news(&self, after: TailId) -> BoxFuture<'_, ()> {
        self.book.news(after)
    }

    fn durability(&self) -> &'static str {
        self.book.durability()
    }

    fn trouble(&self) -> Option<Arc<str>> {
        self.fault.lock().unwrap().as_ref().map(|fault| Arc::clone(&fault.reason))
    }
}

/// What the store does with a dead order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Void {
    #[default]
    Voids,
    HasIt,
    Cannot,
}

/// Operations over the book, with a store that the test plays.
#[derive(Debug)]
pub(super) struct Played {
    book: SharedLedger,
    pub(super) void: Mutex<Void>,
    pub(super) plan: Mutex<Option<String>>,
    pub(super) reload: Mutex<Option<OperationFault>>,
}

fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).unwrap()
}

impl Operations for Played {
    fn drain_live(&self) -> DrainLive {
        let adaptive = Some(AdaptiveLive { rate: Rate::per_second(450), concurrency: 15 });
        DrainLive { attempts_per_second: 12.5, waiting: 3, in_flight: 2, workers: 16, adaptive }
    }

    fn verify(&self) -> Operation<'_, Box<RawValue>> {
        let report =
            r#"{"ok":true,"pending":0,"checked":{"tickets":2,"rows":1},"findings":[],"as_of":"x"}"#;
        Box::pin(async { Ok(raw(report.to_owned())) })
    }

    fn reload(&self) -> Operation<'_, Box<RawValue>> {
        let refused = self.reload.lock().unwrap().clone();
        Box::pin(async move {
            let nothing = || raw(r#"{"changed":[],"warnings":[]}"#.to_owned());
            refused.map_or_else(|| Ok(nothing()), Err)
        })
    }

    fn faults(&self) -> Operation<'_, Box<RawValue>> {
        let plan = self.plan.lock().unwrap().clone();
        Box::pin(async move {
            let missing = || OperationFault::NotSupported("this store has no faults".to_owned());
            plan.map(raw).ok_or_else(missing)
        })
    }

    fn patch_faults(&self, patch: Box<RawValue>) -> Operation<'_, Box<RawValue>> {
        Box::pin(async move {
            if patch.get().contains("unknown") {
                return Err(OperationFault::Malformed("no such field".to_owned()));
            }
            *self.plan.lock().unwrap() = Some(patch.get().to_owned());
            Ok(patch)
        })
    }

    fn rebuild(&self, sale: SaleName) -> Operation<'_, Changed> {
        let change = Change::Rebuild { sale, store: Vec::new() };
        Box::pin(async { Ok(self.book.change(change).await?) })
    }

    fn redrive(&self, lost: Lost) -> Operation<'_, Redriven> {
        Box::pin(async move { Ok(Redriven { looked: lost.from, ..Redriven::default() }) })
    }

    fn refuse_dead(&self, dead: DeadOrder) -> Operation<'_, DeadRefused> {
        let void = *self.void.lock().unwrap();
        let (sale, place) = (dead.sale, dead.order.place);
        let (change, done) = match void {
            Void::Cannot if !dead.force => {
                return Box::pin(async { Ok(DeadRefused::NeedsForce) });
            }
            Void::HasIt => {
                let change = Change::PlaceDead { sale, place, order_no: "o-1".to_owned() };
                (change, DeadRefused::Placed)
            }
            Void::Voids | Void::Cannot => {
                let change = Change::RefuseDead { sale, place, reason: "operator".to_owned() };
                (change, DeadRefused::Refused)
            }
        };
        Box::pin(async move {
            match self.book.change(change).await? {
                Changed::Count(_) => Ok(done),
                _ => Ok(DeadRefused::NotDead),
            }
        })
    }
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Told {
    pub(super) async fn of(reply: Reply) -> Self {
        let (head, body) = reply.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: head.status, headers: head.headers, body }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and code of a problem.
    pub(super) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        (self.status.as_u16(), problem["code"].as_str().unwrap().to_owned())
    }
}

pub(super) struct Rig {
    pub(super) admin: Admin,
    pub(super) gate: Arc<Gate>,
    pub(super) played: Arc<Played>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) keyring: Keyring,
    pub(super) readiness: Readiness,
    pub(super) recorder: Registry,
}

impl Rig {
    /// A listener on loopback that asks for no token.
    pub(super) fn new() -> Self {
        Self::with(Access::new("127.0.0.1:9180".parse().unwrap(), &[], None, true).unwrap())
    }

    /// A listener that asks for a token.
    pub(super) fn with_tokens(metrics_open: bool) -> Self {
        let tokens = Tokens::parse("ann:first\nbob:second\n").unwrap();
        let listen = "0.0.0.0:9180".parse().unwrap();
        Self::with(Access::new(listen, &[], Some(tokens), metrics_open).unwrap())
    }

    fn with(access: Access) -> Self {
        let engine = Volatile::new();
        let gate = Arc::new(Gate {
            book: engine.ledger(),
            fault: Mutex::default(),
            pages: AtomicUsize::new(0),
        });
        let played = Arc::new(Played {
            book: engine.ledger(),
            void: Mutex::default(),
            plan: Mutex::default(),
            reload: Mutex::default(),
        });
        let keyring = Keyring::default();
        keyring.add(TicketKey { id: 1, secret: [7; KEY_BYTES] }).unwrap();
        let recorder = Registry::default();
        let shown = recorder.clone();
        let readiness = Readiness::default();
        let drawn = AtomicUsize::new(1);
        let numbers = move || {
            let first = u32::try_from(drawn.fetch_add(4, Ordering::SeqCst)).unwrap();
            [0, 1, 2, 3].map(|more| SaleNo(first + more))
        };
        let parts = Parts {
            ledger: Arc::<Gate>::clone(&gate),
            operations: Arc::<Played>::clone(&played),
            keyring: keyring.clone(),
            readiness: readiness.clone(),
            clock: engine.clock(),
            metrics: Arc::new(move || shown.render()),
            access: Arc::new(ArcSwap::from_pointee(access)),
            numbers: Box::new(numbers),
        };
        let admin = metrics::with_local_recorder(&recorder, || Admin::new(parts));
        let clock = engine.clock();
        Self { admin, gate, played, clock, keyring, readiness, recorder }
    }

    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Told {
        Told::of(self.admin.handle(request, "127.0.0.1:50000".parse().unwrap()).await).await
    }

    pub(super) async fn get(&self, path: &str) -> Told {
        self.send(request("GET", path, "")).await
    }

    /// A change with a JSON body.
    pub(super) async fn change(&self, method: &str, path: &str, body: &str) -> Told {
        self.send(request(method, path, body)).await
    }

    /// A sale with so many phones. The reference engine's seeded bugs look for it by the name `sale`.
    pub(super) async fn sale(&self, stock: u64) {
        let terms = format!(r#"{{"items":[{{"sku":"phone","stock":{stock}}}]}}"#);
        let told = self.change("PUT", "/admin/v1/sales/sale", &terms).await;
        assert_eq!(told.status, StatusCode::CREATED);
    }

    pub(super) async fn doc(&self) -> (SaleDoc, SaleSeal) {
        let doc = self.gate.book.census("sale".parse().unwrap()).await.unwrap().unwrap();
        let seal = self.keyring.seal(doc.key_id, doc.sale_no, doc.made_at).unwrap();
        (doc, seal)
    }

    /// So many buyers order a phone each of `sale`; their tickets.
    pub(super) async fn ordered(&self, count: u64) -> Vec<TicketText> {
        let (doc, seal) = self.doc().await;
        let orders = (0..count).map(|n| {
            let buyer = format!("buyer-{n}");
            let lines = ItemLines::One(ItemLine { item: 0, quantity: 1 });
            Reserve {
                sale_no: doc.sale_no,
                buyer: Buyer::new(buyer.as_bytes()).unwrap(),
                buyer_hash: seal.buyer_hash(&buyer),
                key: doc.census.accepted + n,
                fingerprint: seal.fingerprint(&lines, b""),
                lines,
                payload: Bytes::new(),
                bound: Bound { orders: u64::MAX, bytes: u64::MAX },
            }
        });
        let orders: Vec<Reserve> = orders.collect();
        let hashes: Vec<u64> = orders.iter().map(|order| order.buyer_hash).collect();
        let reserved = self.gate.reserve(orders).await.unwrap();
        let ticket = |(reserved, hash): (&Reserved, u64)| match reserved {
            Reserved::Accepted(Receipt { place, accepted_at, .. }) => {
                seal.mint(*place, *accepted_at, hash)
            }
            other => panic!("{other:?}"),
        };
        reserved.iter().zip(hashes).map(ticket).collect()
    }

    /// The next orders of `sale` are claimed, a moment passes, and each meets its fate.
    pub(super) async fn meet(&self, fates: Vec<Fate>) {
        let (doc, _) = self.doc().await;
        self.clock.advance(Duration::from_secs(1));
        let max = u32::try_from(fates.len()).unwrap();
        let grant = self.gate.grant(doc.sale_no, max).await.unwrap();
        let claim = Claim {
            sale_no: doc.sale_no,
            max,
            lease: Duration::from_secs(10),
            granted_at: grant.at,
            stock_seen: 0,
        };
        let claimed = self.gate.claim(claim).await.unwrap();
        assert_eq!(claimed.orders.len(), fates.len());
        self.clock.advance(Duration::from_millis(5));
        let settles = claimed.orders.iter().zip(fates).map(|(order, fate)| Settle {
            sale_no: doc.sale_no,
            place: order.place,
            lease: claimed.lease,
            fate,
            brake: None,
        });
        let settled = self.gate.settle(settles.collect()).await.unwrap();
        assert!(settled.iter().all(|settled| *settled == Settled::Done));
    }

    /// The next orders of `sale` die of a deadlock.
    pub(super) async fn die(&self, count: usize) {
        let seen = Some("deadlock".to_owned());
        let dead = || Fate::Dead { reason: "attempts".to_owned(), seen: seen.clone() };
        self.meet(std::iter::repeat_with(dead).take(count).collect()).await;
    }
}

pub(super) fn request(method: &str, path: &str, body: &str) -> Request<Full<Bytes>> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "127.0.0.1:9180")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .unwrap()
}
