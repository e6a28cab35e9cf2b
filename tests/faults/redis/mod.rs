//! The ledger is a Redis server, and it, what is in it, the way to it or one of the processes that share it fails.
//! `docs/failures.md` lists what each test here shows.

mod away;
mod doctor;
mod drains;
mod keys;
mod level;
mod lost;
mod memory;
mod password;
mod rebuild;
mod refuses;
mod restart;
mod rights;
mod slow;
mod waits;
mod workers;

use std::sync::atomic::{AtomicU64, Ordering};

use forebay_loadtest::gateway::Process;
use forebay_loadtest::proxy::Proxy;
use forebay_loadtest::redis::{Options, Redis};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::crowded::Crowded;
use super::rig::{Gateway, Plant, until};
use super::wire::{Answer, order};

/// What the operator of the tests says to a server.
pub(super) type Words<'a> = &'a [&'a str];

/// A server, a proxy before it, and where processes live whose ledger it is.
pub(super) struct Stand {
    pub(super) redis: Redis,
    pub(super) proxy: Proxy,
    pub(super) plant: Plant,
}

/// Where processes live whose ledger is at this address.
pub(super) fn plant_at(url: &str) -> Plant {
    Plant::new().ledger_at(url).set("drain.attempt_timeout=900ms").set("drain.lease=2s")
}

impl Stand {
    pub(super) async fn of(options: &Options) -> Self {
        let redis = Redis::start(options).await.unwrap();
        let proxy = Proxy::start(redis.address()).unwrap();
        let plant = plant_at(&format!("redis://{}", proxy.address()));
        Self { redis, proxy, plant }
    }

    pub(super) async fn new() -> Self {
        Self::of(&Options::default()).await
    }

    /// Adds a setting.
    pub(super) fn set(self, setting: &str) -> Self {
        Self { plant: self.plant.set(setting), ..self }
    }

    /// A gateway that drains too, ready, with an open sale `one` for a crowd and `two` for single buyers.
    pub(super) async fn open(&self, stock: u64) -> Gateway {
        let gateway = self.plant.start().await;
        is_ready(&gateway).await;
        gateway.sale("one", stock).await;
        gateway.sale("two", stock).await;
        gateway
    }

    pub(super) async fn tell(&self, words: Words<'_>) -> String {
        self.redis.ask(words).await.unwrap().text()
    }

    /// Changes one of the server's settings.
    pub(super) async fn config(&self, name: &str, value: &str) {
        assert_eq!(self.tell(&["CONFIG", "SET", name, value]).await, "OK");
    }

    /// The name of a key of a sale.
    pub(super) async fn key(&self, sale: &str, key: &str) -> String {
        let number = self.tell(&["HGET", "{forebay}:sales", sale]).await;
        format!("{{forebay:{number}}}:{key}")
    }
}

/// Waits until traffic may come.
pub(super) async fn is_ready(gateway: &Gateway) {
    let ready = async || {
        let (status, document) = gateway.ready().await;
        (status == 200 && document["status"] == "ready").then_some(())
    };
    until("it is ready", ready).await;
}

/// Waits until traffic is sent elsewhere, and the operator is told why.
pub(super) async fn is_unready(gateway: &Gateway, word: &str) {
    until(&format!("not ready: {word}"), async || {
        let (status, _) = gateway.ready().await;
        let (check, reason) = gateway.check("ledger").await;
        (status == 503 && check == "unready" && reason.contains(word)).then_some(())
    })
    .await;
}

/// Waits until `/readyz` is answered so.
pub(super) async fn until_status(gateway: &Gateway, wanted: u16) {
    let status = async || (gateway.ready().await.0 == wanted).then_some(());
    until(&format!("/readyz {wanted}"), status).await;
}

/// That an order was refused by this name, for a reason in which there is this word, and may come again.
pub(super) fn refused(answer: &Answer, code: &str, word: &str) {
    refused_for_now(answer, code);
    assert!(answer.json()["reason"].as_str().unwrap_or_default().contains(word), "{answer:?}");
}

/// That an order was refused by this name, and may come again.
pub(super) fn refused_for_now(answer: &Answer, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (503, code), "{answer:?}");
    let seconds = answer.header("retry-after").and_then(|after| after.parse::<u32>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 0), "{answer:?}");
}

/// Buyers who were made up to be refused.
static ASKED: AtomicU64 = AtomicU64::new(0);

/// Waits until orders are refused for a reason in which there is this word; none is taken meanwhile.
pub(super) async fn until_refused(gateway: &Gateway, word: &str) -> Answer {
    until(&format!("orders are refused: {word}"), async || {
        // Somebody else each time: nobody may ask so often.
        let buyer = format!("nobody-{}", ASKED.fetch_add(1, Ordering::Relaxed));
        let answer = order(gateway.public, "two", &buyer, "key").await;
        turned_away(&answer);
        let reason = answer.json()["reason"].as_str().unwrap_or_default().to_owned();
        (answer.code() == "ledger_unavailable" && reason.contains(word)).then_some(answer)
    })
    .await
}

/// That an order was not taken now, or may have been.
pub(super) fn turned_away(answer: &Answer) {
    let code = answer.code();
    let code = if code == "in_doubt" { "in_doubt" } else { "ledger_unavailable" };
    refused_for_now(answer, code);
}

/// Asks again with the same key until the order is taken, and answers its ticket. Until then nothing but a doubt
/// or an absence is told.
pub(super) async fn taken(gateway: &Gateway, sale: &str, buyer: &str) -> String {
    until("the order is taken", async || {
        let answer = order(gateway.public, sale, buyer, "key").await;
        let code = answer.code();
        assert!(
            answer.status == 202 || ["in_doubt", "ledger_unavailable"].contains(&code.as_str()),
            "{answer:?}"
        );
        answer.json()["ticket"].as_str().map(str::to_owned)
    })
    .await
}

/// What a ticket says.
pub(super) async fn ticket(gateway: &Gateway, ticket: &str) -> (u16, Value) {
    let reply = gateway.read(&format!("/v1/tickets/{ticket}")).await;
    (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
}

/// Stops or resumes a process.
pub(super) fn signal(process: &Process, signal: Signal) {
    kill_process(Pid::from_raw(process.pid().cast_signed()).unwrap(), signal).unwrap();
}
