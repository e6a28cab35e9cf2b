//! A ledger under load is killed at moments that nobody chose, many times in the same directory.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use forebay::clock::{ManualClock, SharedClock, Timestamp};
use forebay::ledger::book::Book;
use forebay::ledger::embedded::{Config, Durability, Embedded, offline};
use forebay::ledger::{Answer, Change, Claim, Ledger, OrderDoc, Reserved, SaleDoc, Which};
use forebay::order::{Keyring, Place, SaleSeal, State};
use forebay::units::Size;

use super::after::{copy, directory};
use super::child::Child;
use super::load::{self, BATCH, BUYERS, CROWD};
use super::scale;
use super::script;

/// The far future: every lease has ended.
const LATER: Timestamp = Timestamp(4_000_000_000_000_000);

/// What was acknowledged over all lives.
#[derive(Debug, Default)]
struct Acknowledged {
    lives: u64,
    /// Tickets by buyer.
    tickets: HashMap<String, String>,
    ended: HashMap<Place, State>,
    purged: Vec<String>,
}

impl Acknowledged {
    fn hear(&mut self, said: &str) {
        let mut words = said.split(' ');
        match words.next() {
            Some("accepted") => {
                let pairs = words.map(|pair| pair.split_once('=').expect("a buyer and a ticket"));
                self.tickets.extend(pairs.map(|(buyer, ticket)| (buyer.into(), ticket.into())));
            }
            Some("ended") => {
                while let (Some(place), Some(state)) = (words.next(), words.next()) {
                    let (epoch, sequence) = place.split_once('.').expect("a place");
                    let number = |text: &str| text.parse::<u64>().expect("a number");
                    let (epoch, sequence) = (number(epoch) as u16, number(sequence));
                    let state = State::ALL.into_iter().find(|known| known.name() == state);
                    self.ended.insert(Place { epoch, sequence }, state.expect("a state"));
                }
            }
            Some("purged") => self.purged.extend(words.map(str::to_owned)),
            Some("open") => {}
            _ => panic!("it says {said}"),
        }
    }
}

/// One life, killed once it has said so many things, or while it opens.
fn live(directory: &Path, durability: Durability, things: u64, all: &mut Acknowledged) {
    all.lives += 1;
    let life = Duration::from_micros(all.lives);
    let mut child = Child::start_as("load::load", directory, durability, life);
    child.let_on("open");
    if things == 0 {
        (0..getrandom::u32().expect("randomness") % 4_000).for_each(|_| std::thread::yield_now());
    }
    for _ in 0..things {
        all.hear(&child.hear().expect("it goes on until it is killed"));
    }
    child.kill();
    while let Some(said) = child.hear() {
        all.hear(&said);
    }
    assert_eq!(child.wait().signal(), Some(9));
}

/// Everything acknowledged is in the book, the same ticket at the same place, and every law holds.
fn check(directory: &Path, all: &Acknowledged) {
    let keyring = Keyring::default();
    let Ok(read) = offline::read(directory, &keyring) else {
        assert!(all.tickets.is_empty(), "it was opened");
        return;
    };
    assert_eq!(read.book.audit(), []);
    let now = script::at(Duration::ZERO);
    let Some(doc) = read.book.census(&load::named(CROWD), now) else {
        assert!(all.tickets.is_empty(), "the sale was made");
        return;
    };
    let seal = keyring.seal(doc.key_id, doc.sale_no, doc.made_at).expect("the key is there");
    let orders = orders(&read.book, &doc);
    let ticket =
        |order: &OrderDoc| seal.mint(order.place, order.accepted_at, order.buyer_hash).to_string();
    let there: HashMap<&str, &OrderDoc> =
        orders.iter().map(|order| (order.buyer.as_str(), order)).collect();
    assert_eq!(there.len(), orders.len(), "one order each");
    for (buyer, acknowledged) in &all.tickets {
        let order = there.get(buyer.as_str()).unwrap_or_else(|| panic!("{buyer} has gone"));
        assert_eq!(ticket(order), *acknowledged, "{buyer}");
    }
    let unheard = orders.len() - all.tickets.len();
    assert!(unheard as u64 <= all.lives * BUYERS * BATCH, "{unheard} orders nobody asked for");
    let by_place: HashMap<Place, State> =
        orders.iter().map(|order| (order.place, order.state)).collect();
    for (place, state) in &all.ended {
        assert_eq!(by_place.get(place), Some(state), "{place:?}");
    }
    for name in &all.purged {
        let sale = read.book.census(&load::named(name), now);
        assert!(sale.is_none_or(|sale| sale.purged), "{name} came back");
    }
}

/// All orders of a sale, whose sequences count from 1 in each epoch.
fn orders(book: &Book, doc: &SaleDoc) -> Vec<OrderDoc> {
    let orders = book.export(doc.sale_no, 0, usize::MAX).orders;
    let (mut epoch, mut next) = (0, 1);
    for order in &orders {
        if order.place.epoch != epoch {
            assert!(order.place.epoch > epoch, "epochs go up");
            (epoch, next) = (order.place.epoch, 1);
        }
        assert_eq!(order.place.sequence, next, "without gaps");
        next += 1;
    }
    orders
}

fn now<T>(answer: Answer<'_, T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(answer).expect("it answers")
}

fn open(config: &Config, keyring: &Keyring) -> Embedded {
    let clock: SharedClock = Arc::new(ManualClock::at(LATER));
    Embedded::open(config, &clock, keyring).expect("it opens again")
}

/// Two opens give the same book; keys that are used again give the first ticket; what waits has its payload.
fn use_again(directory: &Path, all: &Acknowledged) {
    let (place, keyring) = (copy(directory), Keyring::default());
    let config = load::config(place.path(), Durability::Disk);
    // Nothing is folded meanwhile: the payloads of dead orders would move, in the one open or in the other.
    let still = Config { snapshot_after: Size(u64::MAX), ..config.clone() };
    let book = || {
        drop(open(&still, &Keyring::default()));
        let read = offline::read(place.path(), &Keyring::default()).expect("it was closed");
        script::bytes(&read.book)
    };
    assert!(book() == book(), "another open of the same files gives another book");
    let ledger = open(&config, &keyring);
    let Some(doc) = now(ledger.census(load::named(CROWD))) else { return };
    let seal = keyring.seal(doc.key_id, doc.sale_no, doc.made_at).expect("the key is there");
    replay(&ledger, &doc, &seal, all);
    // Also those that the drain had given up: their payloads move when a segment goes.
    now(ledger.change(Change::RetryDead { sale: load::named(CROWD), which: Which::All }));
    let (sale_no, lease) = (doc.sale_no, Duration::from_secs(9));
    let claim = Claim { sale_no, max: u32::MAX, lease, granted_at: LATER, stock_seen: 0 };
    let claimed = now(ledger.claim(claim));
    let census = doc.census;
    assert_eq!(claimed.orders.len() as u64, census.queued + census.placing + census.dead);
    for order in &claimed.orders {
        assert_eq!(order.payload, load::payload(order.buyer.as_str()));
    }
}

fn replay(ledger: &Embedded, doc: &SaleDoc, seal: &SaleSeal, all: &Acknowledged) {
    let again = all.tickets.keys().map(|buyer| load::reserve(doc, seal, buyer)).collect();
    for ((buyer, ticket), answer) in all.tickets.iter().zip(now(ledger.reserve(again))) {
        let Reserved::Replay(first) = answer else { panic!("{buyer}: {answer:?}") };
        let again = seal.mint(first.place, first.accepted_at, seal.buyer_hash(buyer));
        assert_eq!(again.as_str(), ticket, "{buyer}");
    }
}

/// How much happened before it is all over.
fn killed_again_and_again(durability: Durability) -> String {
    let (place, mut all) = (directory(), Acknowledged::default());
    for n in 0..20 * scale() as u64 {
        // Every fourth dies while it opens.
        let things =
            if n % 4 == 3 { 0 } else { u64::from(getrandom::u32().expect("randomness")) % 300 };
        live(place.path(), durability, things, &mut all);
        check(place.path(), &all);
        if n.is_multiple_of(3) {
            use_again(place.path(), &all);
        }
    }
    let (tickets, ended, sales) = (all.tickets.len(), all.ended.len(), all.purged.len());
    assert!(tickets > 500 && ended > 100 && sales > 5, "too little happened");
    format!("{} lives, {tickets} tickets, {ended} ended, {sales} sales", all.lives)
}

#[test]
fn killed_under_load_at_level_disk_it_loses_nothing() {
    println!("{}", killed_again_and_again(Durability::Disk));
}

#[test]
fn killed_under_load_at_level_process_it_loses_nothing() {
    println!("{}", killed_again_and_again(Durability::Process));
}
