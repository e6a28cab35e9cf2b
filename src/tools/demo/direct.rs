//! The direct way, written as a good engineer would: a pool of connections, the guarded decrement and the insert in one
//! transaction, and 503 for whoever gets no connection within two seconds.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use anyhow::anyhow;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::Request;
use hyper::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::SALE;
use super::SKU;
use crate::clock::SharedClock;
use crate::clock::SystemClock;
use crate::order::Buyer;
use crate::order::KEY_BYTES;
use crate::order::Keyring;
use crate::order::Line;
use crate::order::Place;
use crate::order::SaleSeal;
use crate::order::TicketKey;
use crate::sale::SaleNo;
use crate::sale::StockChange;
use crate::store::PlaceOrder;
use crate::store::Placement;
use crate::store::SharedStore;
use crate::store::mysql;
use crate::store::mysql::MySql;
use crate::store::simulated::Config;
use crate::store::simulated::Simulated;

/// How long a buyer waits for a connection of the pool before he is told to come again.
const CONNECTION_WITHIN: Duration = Duration::from_secs(2);
/// As deep as the kernel lets the queue of new connections be.
const BACKLOG: u32 = 65_535;
/// As the gateway allows.
const BODY_MAX: usize = 8 * 1024;
const SALE_NO: SaleNo = SaleNo(1);

/// What the direct shop needs.
#[derive(Clone, Debug)]
pub struct Direct {
    /// The simulated store's directory.
    pub store: PathBuf,
    /// The database in place of it.
    pub mysql: Option<String>,
    /// Units for sale.
    pub stock: u64,
    /// Connections of the pool.
    pub pool: u32,
}

struct Shop {
    store: SharedStore,
    pool: Semaphore,
    clock: SharedClock,
    seal: SaleSeal,
    sequence: AtomicU64,
}

/// Serves until it is killed; `announce` is told where it listens.
///
/// # Errors
/// When store or port cannot be opened.
pub async fn serve(direct: Direct, announce: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let shop = Arc::new(Shop::open(direct).await?);
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let listener = socket.listen(BACKLOG)?;
    announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let shop = Arc::clone(&shop);
        tokio::spawn(async move {
            // A buyer who cannot be served fast loses nothing by it.
            let _ = stream.set_nodelay(true);
            let service = service_fn(move |request| {
                let shop = Arc::clone(&shop);
                async move { Ok::<_, Infallible>(shop.answer(request).await) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            let connection =
                http.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
            // A connection that breaks ends its own buyer's request and nothing else.
            let _ = connection.await;
        });
    }
}

impl Shop {
    async fn open(direct: Direct) -> anyhow::Result<Self> {
        let clock: SharedClock = Arc::new(SystemClock::new());
        let store: SharedStore = match direct.mysql {
            Some(url) => {
                let connections = direct.pool;
                Arc::new(MySql::new(mysql::Config { url, connections, ..mysql::Config::default() }))
            }
            None => {
                let config = Config { directory: direct.store, ..Config::default() };
                Arc::new(Simulated::open(config, Arc::clone(&clock))?)
            }
        };
        let delta = i64::try_from(direct.stock).context("the stock")?;
        let (sale, sku) = (SALE.parse().map_err(invalid)?, SKU.parse().map_err(invalid)?);
        let stock = StockChange { sale_no: SALE_NO, sale, number: 1, sku, creates: true, delta };
        store.stock(vec![stock]).await?;
        let keyring = Keyring::default();
        let mut secret = [0; KEY_BYTES];
        getrandom::fill(&mut secret).map_err(invalid)?;
        keyring.add(TicketKey { id: 1, secret })?;
        let seal = keyring.seal(1, SALE_NO, clock.wall()).context("a key was added")?;
        let pool = Semaphore::new(direct.pool as usize);
        Ok(Self { store, pool, clock, seal, sequence: AtomicU64::new(1) })
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let order = match self.order(request).await {
            Ok(order) => order,
            Err(wrong) => {
                return json(400, &format!("{{\"code\":\"malformed\",\"detail\":\"{wrong}\"}}"));
            }
        };
        let Ok(Ok(_connection)) = timeout(CONNECTION_WITHIN, self.pool.acquire()).await else {
            return json(503, "{\"code\":\"overloaded\"}");
        };
        match self.store.place(vec![order]).await.pop() {
            Some(Placement::Placed { order_no }) => {
                json(201, &format!("{{\"order_no\":\"{order_no}\"}}"))
            }
            Some(Placement::Refused { .. } | Placement::Voided) => {
                json(409, "{\"code\":\"sold_out\"}")
            }
            Some(Placement::Later(_)) => json(503, "{\"code\":\"overloaded\"}"),
            Some(Placement::InDoubt { .. } | Placement::Conflict { .. }) | None => {
                json(500, "{\"code\":\"in_doubt\"}")
            }
        }
    }

    async fn order(&self, request: Request<Incoming>) -> Result<PlaceOrder, &'static str> {
        let (head, body) = request.into_parts();
        let buyer = head.headers.get("x-buyer-id").ok_or("X-Buyer-Id is missing")?;
        let buyer = Buyer::new(buyer.as_bytes()).map_err(|_| "X-Buyer-Id is no name")?;
        let body =
            Limited::new(body, BODY_MAX).collect().await.map_err(|_| "the body is too long")?;
        let body: Body =
            serde_json::from_slice(&body.to_bytes()).map_err(|_| "the body is no order")?;
        let line = |line: Asked| -> Result<Line, &'static str> {
            let sku = line.sku.parse().map_err(|_| "a sku is none")?;
            Ok(Line { sku, quantity: line.quantity })
        };
        let lines = body.lines.into_iter().map(line).collect::<Result<_, _>>()?;
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let (now, place) = (self.clock.wall(), Place { epoch: 1, sequence });
        Ok(PlaceOrder {
            ticket: self.seal.mint(place, now, self.seal.buyer_hash(buyer.as_str())),
            sale_no: SALE_NO,
            sale: SALE.parse().map_err(|_| "the sale is none")?,
            buyer,
            place,
            lines,
            payload: Bytes::new(),
            accepted_at: now,
            attempted_at: now,
            attempt: 1,
            confirmed: false,
        })
    }
}

#[derive(serde::Deserialize)]
struct Body {
    lines: Vec<Asked>,
}

#[derive(serde::Deserialize)]
struct Asked {
    sku: String,
    quantity: u32,
}

fn invalid(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("{error}")
}

fn json(status: u16, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    response
}
