//! Orders end at an endpoint of the shop: one POST an order, as DESIGN section 7 says.

mod address;
mod answer;
mod client;
mod config;
mod request;
mod sign;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use address::{Address, BadAddress};
use answer::Reply;
use client::Client;
pub use config::Config;
use futures_util::future::{BoxFuture, join_all};
use hyper::{Method, Uri};
use sign::Secret;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::{
    Comparable, Found, Later, LaterCause, OrderPage, PlaceOrder, Placement, StockRow, Store,
    StoreError, StoreRows,
};
use crate::clock::SharedClock;
use crate::order::TicketText;
use crate::sale::StockChange;
use crate::setting::BadSetting;

/// The longest question: whoever is in doubt about an order holds it meanwhile, and may ask twice.
const QUESTION_MAX: Duration = Duration::from_millis(1_500);

/// What an answer to a question says, given where it was asked.
type ReadAnswer = fn(Reply, &str) -> Found;

/// The store. Connects when it is asked for something.
#[derive(Debug)]
pub struct Http {
    url: Address,
    place_uri: Uri,
    lookup: Option<Address>,
    void: Option<Address>,
    secret: Option<Secret>,
    client: Client,
    /// Requests that may be under way.
    permits: Semaphore,
    config: Config,
    clock: SharedClock,
}

impl Http {
    /// Connects nowhere yet.
    ///
    /// # Errors
    /// What is wrong with the settings, or with a file that they name.
    pub fn new(config: Config, clock: SharedClock) -> Result<Self, BadSetting> {
        let url = config.address()?;
        let place_uri = url.uri("").ok_or_else(|| {
            BadSetting::new(&["store.http.url"], "`store.http.url` cannot be asked for")
        })?;
        Ok(Self {
            place_uri,
            url,
            lookup: config.lookup()?,
            void: config.void()?,
            secret: config.secret()?,
            client: Client::new(&config)?,
            permits: Semaphore::new(config.connections as usize),
            config,
            clock,
        })
    }

    /// Where orders are posted.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.url
    }

    /// Whether the shop can be reached: anything that it answers shows that it can.
    ///
    /// # Errors
    /// `StoreAway` when it cannot be reached, `Misconfigured` when it is not who it must be.
    pub async fn look(&self) -> Result<(), StoreError> {
        let until = tokio::time::Instant::now() + self.config.timeout.0;
        let (mut request, at) = (hyper::Request::new(bytes::Bytes::new()), &self.url);
        (*request.method_mut(), *request.uri_mut()) = (Method::HEAD, self.place_uri.clone());
        let (cause, reason) = match self.client.call(request, until).await {
            Reply::Answered(_) => return Ok(()),
            Reply::Unsent { reason, misconfigured: true } => (LaterCause::Misconfigured, reason),
            Reply::Unsent { reason, .. } | Reply::Lost { reason } => {
                (LaterCause::StoreAway, reason)
            }
        };
        Err(StoreError { cause, reason: format!("{at}: {reason}") })
    }

    /// A place among the requests under way. What could not begin in half of its time would be cut off in the middle,
    /// and nobody would know what became of it.
    async fn permit(&self, began: Instant, limit: Duration) -> Option<SemaphorePermit<'_>> {
        timeout_at(began + limit / 2, self.permits.acquire()).await.ok()?.ok()
    }

    fn crowded(&self) -> String {
        format!("all {} connections of [store.http] are in use", self.config.connections)
    }

    async fn place_one(&self, order: &PlaceOrder, began: Instant) -> Placement {
        let limit = self.config.timeout.0;
        let Some(permit) = self.permit(began, limit).await else {
            let (cause, reason) = (LaterCause::StoreAway, self.crowded());
            return Placement::Later(Later { cause, reason, after: None });
        };
        let reply = self.client.call(self.post(order), began + limit).await;
        drop(permit);
        let (place, again) = (self.url.to_string(), order.attempt > 1);
        answer::placement(reply, again, self.lookup.is_some(), &place, self.clock.wall())
    }

    /// Asks for each ticket, and reads the answers so.
    async fn ask(&self, tickets: &[TicketText], read: ReadAnswer) -> Vec<Found> {
        let began = tokio::time::Instant::now();
        join_all(tickets.iter().map(|ticket| self.ask_one(ticket, began, read))).await
    }

    async fn ask_one(&self, ticket: &TicketText, began: Instant, read: ReadAnswer) -> Found {
        let unknown = |reason: &str| Found::Unknown { reason: reason.to_owned() };
        let Some(at) = &self.lookup else {
            return unknown("this store cannot be asked: there is no [store.http] lookup_url");
        };
        let Some(uri) = at.uri(ticket.as_str()) else {
            return unknown("store.http.lookup_url cannot be asked for");
        };
        let limit = self.config.timeout.0.min(QUESTION_MAX);
        let Some(permit) = self.permit(began, limit).await else {
            return unknown(&self.crowded());
        };
        let id = ticket.as_str();
        let request = self.request(Method::GET, at, uri, id, bytes::Bytes::new());
        let reply = self.client.call(request, began + limit).await;
        drop(permit);
        read(reply, &at.to_string())
    }

    async fn void_one(&self, order: &PlaceOrder, began: Instant) -> Found {
        let unknown = |reason: &str| Found::Unknown { reason: reason.to_owned() };
        let Some(at) = &self.void else {
            return unknown(
                "this store cannot void: there is no [store.http] void_url. If the shop has not the order and \
                 never will, `forebay dead refuse --force` takes that from you",
            );
        };
        let Some(request) = self.void_request(at, order) else {
            return unknown("store.http.void_url cannot be asked for");
        };
        let limit = self.config.timeout.0;
        let Some(permit) = self.permit(began, limit).await else {
            return unknown(&self.crowded());
        };
        let reply = self.client.call(request, began + limit).await;
        drop(permit);
        answer::voided(reply, &at.to_string())
    }
}

impl StoreRows for Http {
    fn comparable(&self) -> Comparable {
        if self.lookup.is_some() { Comparable::Placed } else { Comparable::None }
    }

    fn look_up(&self, tickets: Vec<TicketText>) -> BoxFuture<'_, Vec<Found>> {
        Box::pin(async move { self.ask(&tickets, answer::shown).await })
    }

    /// The shop lists nothing.
    fn order_rows(&self, _: Option<String>) -> BoxFuture<'_, Result<OrderPage, StoreError>> {
        Box::pin(async { Ok(OrderPage::default()) })
    }

    /// The shop's stock is its own.
    fn stock_rows(&self) -> BoxFuture<'_, Result<Vec<StockRow>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl Store for Http {
    fn place(&self, orders: Vec<PlaceOrder>) -> BoxFuture<'_, Vec<Placement>> {
        Box::pin(async move {
            // One deadline for all: whoever bounds the whole call loses no answer that is there.
            let began = tokio::time::Instant::now();
            join_all(orders.iter().map(|order| self.place_one(order, began))).await
        })
    }

    fn find(&self, tickets: Vec<TicketText>) -> BoxFuture<'_, Vec<Found>> {
        Box::pin(async move { self.ask(&tickets, answer::looked_up).await })
    }

    fn void(&self, orders: Vec<PlaceOrder>) -> BoxFuture<'_, Vec<Found>> {
        Box::pin(async move {
            let began = tokio::time::Instant::now();
            join_all(orders.iter().map(|order| self.void_one(order, began))).await
        })
    }

    fn can_void(&self) -> bool {
        self.void.is_some()
    }

    fn stock(&self, _: Vec<StockChange>) -> BoxFuture<'_, Result<(), StoreError>> {
        // The shop keeps its own stock: it refuses what it has not got.
        Box::pin(async { Ok(()) })
    }

    fn concurrency_max(&self) -> usize {
        self.config.connections as usize
    }
}
