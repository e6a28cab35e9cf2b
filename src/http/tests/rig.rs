//! A gateway with one sale.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::header::HeaderName;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::client::{Client, Head};
use super::counted::Counted;
use crate::admission::{self, Limits};
use crate::clock::{Clock, ManualClock};
use crate::http::config::Public;
use crate::http::{Gateway, GatewayParts};
use crate::identity::{Identity, Means};
use crate::ledger::suite::{Engine as _, Volatile};
use crate::ledger::{
    Change, Claim, ClaimedOrder, DrainPatch, Fate, LeaseId, Ledger as _, Metered, Settle,
};
use crate::order::{KEY_BYTES, Keyring, TicketKey};
use crate::sale::{ItemTerms, Rate, SaleNo, Terms};
use crate::tasks::{self, Readiness, StopHandle};
use crate::watch::{Follower, QueueBound, Watch};

pub(super) const SALE: SaleNo = SaleNo(5);

pub(super) struct Rig {
    pub(super) gateway: Arc<Gateway>,
    pub(super) ledger: Arc<Counted>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) address: SocketAddr,
    follower: Follower,
    stop: StopHandle,
    serving: JoinHandle<()>,
}

/// Orders under a lease.
pub(super) struct Leased {
    lease: LeaseId,
    pub(super) orders: Vec<ClaimedOrder>,
}

impl Rig {
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A gateway whose drain makes ten attempts a second.
    pub(super) async fn with(settings: impl FnOnce(&mut Public)) -> Self {
        Self::made(settings, true).await
    }

    /// A gateway that has not read its ledger yet.
    pub(super) async fn unread() -> Self {
        Self::made(|_| {}, false).await
    }

    async fn made(settings: impl FnOnce(&mut Public), loaded: bool) -> Self {
        let engine = Volatile::new();
        let (ledger, clock) = (Counted::over(engine.ledger()), engine.clock());
        let terms = Terms {
            opens_at: None,
            closes_at: None,
            limit_per_buyer: None,
            payment_window_ms: None,
            admit_rate: None,
            drain_rate: None,
            items: vec![ItemTerms { sku: "phone".parse().unwrap(), stock: Some(10_000) }],
        };
        let (name, numbers) = ("sale".parse().unwrap(), [SALE; 4]);
        let put = Change::PutSale { name, terms, numbers, key_id: 1, only_new: false };
        ledger.change(put).await.unwrap();
        let rate = Change::DrainConfig { rate: Rate::per_second(10), burst: Some(10_000) };
        ledger.change(rate).await.unwrap();

        let keyring = Keyring::default();
        keyring.add(TicketKey { id: 1, secret: [7; KEY_BYTES] }).unwrap();
        let bound = QueueBound { max_wait: HOUR, capacity: 10_000, memory: 1 << 30 };
        let time: Arc<dyn Clock> = clock.clone();
        // As a process has it.
        let shared = Metered::over(ledger.clone(), "book", Arc::clone(&time));
        let (watch, mut follower) =
            Watch::new(Arc::clone(&shared), keyring.clone(), Arc::clone(&time), bound);
        if loaded {
            follower.load().await.unwrap();
        }
        let mut config = Public::default();
        settings(&mut config);
        let (handle, stop) = tasks::stop();
        let means = Means::Header(HeaderName::from_static("x-buyer-id"));
        let proxies = &config.trusted_proxies;
        let identity = Identity::new(means, proxies, Arc::clone(&time), &Handle::current());
        let no_limits = admission::Config { per_buyer: Rate::Unlimited, ..Default::default() };
        let gateway = Gateway::new(GatewayParts {
            identity: Arc::new(identity),
            limits: Arc::new(Limits::new(&no_limits, &time)),
            config: ArcSwap::from_pointee(config),
            ledger: shared,
            watch,
            keyring,
            readiness: Readiness::default(),
            clock: time,
            seed: 1,
            leaving: Arc::default(),
            stop,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(Arc::clone(&gateway).run(listener, gateway.bounds()));
        Self { gateway, ledger, clock, address, follower, stop: handle, serving }
    }

    pub(super) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Orders a phone; the ticket.
    pub(super) async fn order(&self, buyer: &str) -> String {
        let (head, document) = self.asked(buyer).await;
        assert_eq!(head.status, 202, "{document}");
        document["ticket"].as_str().unwrap().to_owned()
    }

    /// Asks for a phone; the answer.
    pub(super) async fn asked(&self, buyer: &str) -> (Head, Value) {
        self.ordering(buyer).await.answer().await
    }

    /// Orders a phone, and has not heard the answer.
    pub(super) async fn ordering(&self, buyer: &str) -> Client {
        let mut client = self.client().await;
        client.send(&Self::order_of(buyer)).await;
        client
    }

    /// The bytes of such an order.
    pub(super) fn order_of(buyer: &str) -> String {
        let body = r#"{"lines":[{"sku":"phone","quantity":1}]}"#;
        let length = body.len();
        format!(
            "POST /v1/sales/sale/orders HTTP/1.1\r\nHost: shop\r\nX-Buyer-Id: {buyer}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    }

    pub(super) async fn get(&self, path: &str) -> (u16, Value) {
        let mut client = self.client().await;
        client.ask("GET", path, "").await;
        let (head, document) = client.answer().await;
        (head.status, document)
    }

    pub(super) async fn document(&self, ticket: &str) -> Value {
        let (status, document) = self.get(&format!("/v1/tickets/{ticket}")).await;
        assert_eq!(status, 200, "{document}");
        document
    }

    /// Reads the ledger for the first time.
    pub(super) async fn load(&mut self) {
        self.follower.load().await.unwrap();
    }

    /// Reads the tail to its end.
    pub(super) async fn follow(&mut self) {
        self.follower.step().await;
    }

    /// Takes the next orders to the store; the gateway is told.
    pub(super) async fn claim(&mut self, max: u32) -> Leased {
        // Time for the pacer to permit them.
        self.clock.advance(Duration::from_millis(100) * max);
        let grant = self.ledger.grant(SALE, max).await.unwrap();
        assert_eq!(grant.granted, max);
        let claim =
            Claim { sale_no: SALE, max, lease: HOUR, granted_at: grant.at, stock_seen: u64::MAX };
        let claimed = self.ledger.claim(claim).await.unwrap();
        assert_eq!(claimed.orders.len(), max as usize);
        self.follow().await;
        Leased { lease: claimed.lease, orders: claimed.orders }
    }

    /// Records the fate of leased orders; the gateway is told.
    pub(super) async fn settle(&mut self, leased: &Leased, fate: &Fate) {
        let settle = |order: &ClaimedOrder| Settle {
            sale_no: SALE,
            place: order.place,
            lease: leased.lease,
            fate: fate.clone(),
            brake: None,
        };
        self.ledger.settle(leased.orders.iter().map(settle).collect()).await.unwrap();
        self.follow().await;
    }

    /// Has the next orders placed.
    pub(super) async fn place(&mut self, count: u32) {
        let leased = self.claim(count).await;
        self.settle(&leased, &Fate::Placed { order_no: "o-1".to_owned() }).await;
    }

    pub(super) async fn pause(&mut self) {
        let patch = DrainPatch { paused: Some(true), ..DrainPatch::default() };
        self.ledger.change(Change::Drain(patch)).await.unwrap();
        self.follow().await;
    }

    /// Stops the intake of the sale; the gateway is told.
    pub(super) async fn pause_sale(&mut self) {
        self.ledger.change(Change::Pause("sale".parse().unwrap())).await.unwrap();
        self.follow().await;
    }

    /// Until so many wait: on streams or for held answers. The ledger knows whether there is one.
    pub(super) async fn waiting(&self, count: usize) {
        self.until(|rig| rig.gateway.parts.watch.seated() == count).await;
        assert_eq!(self.ledger.is_awaited(), count > 0);
    }

    /// Until so many streams are open.
    pub(super) async fn open(&self, count: usize) {
        self.until(|rig| rig.gateway.streams.open() == count).await;
    }

    async fn until(&self, reached: impl Fn(&Self) -> bool) {
        let wait = async {
            while !reached(self) {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
        waited.expect("what is waited for comes");
    }

    pub(super) fn pull_the_stop(&self) {
        self.stop.pull();
    }

    /// Ends when all connections have.
    pub(super) async fn ended(self) {
        self.serving.await.unwrap();
    }
}

const HOUR: Duration = Duration::from_secs(3_600);
