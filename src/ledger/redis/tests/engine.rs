//! The shared suite, on the library in which the caller gives the time.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use tokio::runtime::Runtime;

use super::server::Server;
use crate::clock::{ManualClock, SystemClock, Timestamp};
use crate::ledger::SharedLedger;
use crate::ledger::redis::library::Library;
use crate::ledger::redis::link::Means;
use crate::ledger::redis::{Config, Redis, library};
use crate::ledger::suite::{Engine, SALE_NO, check, scale, steps};
use crate::order::{KEY_BYTES, Keyring, TicketKey};
use crate::units::Span;

const BEGIN: u64 = 1_700_000_000_000_000;
const KEY: TicketKey = TicketKey { id: 1, secret: [7; KEY_BYTES] };

fn keyring() -> Keyring {
    let keyring = Keyring::default();
    keyring.add(KEY).expect("the only one");
    keyring
}

struct OnRedis<'a> {
    server: &'a Server,
    runtime: Runtime,
    prefix: String,
    library: &'static Library,
    clock: Arc<ManualClock>,
    /// Of the server, as the engine is made to believe.
    life: u32,
    ledger: Option<Arc<Redis>>,
}

impl<'a> OnRedis<'a> {
    fn new(server: &'a Server, library: &'static Library, prefix: String) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp(BEGIN)));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mut engine = Self { server, runtime, prefix, library, clock, life: 0, ledger: None };
        engine.open();
        engine
    }

    fn open(&mut self) {
        let config = Config {
            prefix: self.prefix.clone(),
            recover_hold: Span(Duration::ZERO),
            timeout: Span(Duration::from_secs(20)),
            ..Config::default()
        };
        let means = Means {
            open: self.server.opening(),
            place: "a socket".to_owned(),
            library: self.library,
            durability: config.durability,
            replicas: config.replicas,
            timeout: config.timeout.0,
            reading: false,
            pretended: Some((Arc::clone(&self.clock), self.life)),
        };
        let _inside = self.runtime.enter();
        let ledger = Redis::with(&config, means, &keyring(), Arc::new(SystemClock::new()));
        self.runtime.block_on(ledger.core().rounds.one(Duration::from_secs(20))).unwrap();
        self.ledger = Some(ledger);
    }
}

impl Engine for OnRedis<'_> {
    fn ledger(&self) -> SharedLedger {
        let ledger = self.ledger.as_ref().expect("it was opened");
        Arc::<Redis>::clone(ledger)
    }

    /// The process ends and another begins; `lossy` is a server that was replaced.
    fn restart(&mut self, lossy: bool) -> bool {
        if let Some(ledger) = self.ledger.take() {
            self.runtime.block_on(ledger.close());
        }
        self.life += u32::from(lossy);
        self.open();
        lossy
    }

    fn leases_end_with_it(&self) -> bool {
        false
    }

    /// The hash is not kept, so it must be the sale's own.
    fn hash_of(&self, buyer: &str) -> u64 {
        let seal = keyring().seal(KEY.id, SALE_NO, Timestamp(BEGIN));
        seal.expect("the key is there").buyer_hash(buyer)
    }

    fn clock(&self) -> Arc<ManualClock> {
        Arc::clone(&self.clock)
    }
}

#[test]
fn the_functions_keep_every_law() {
    let server = Server::start(&[]);
    let case = std::cell::Cell::new(0);
    let config = ProptestConfig {
        cases: 24 * scale(),
        max_shrink_iters: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(steps in steps(120))| {
        case.set(case.get() + 1);
        check(&mut OnRedis::new(&server, &library::TIMED, format!("suite{}", case.get())), &steps)?;
    });
}

/// Bugs that people do write, as changes of the library's text.
const BUGS: [(&str, &str, &str); 25] = [
    ("one unit too many", ".a < quantity then return 'S'", ".a + 1 < quantity then return 'S'"),
    ("the key is forgotten", "held ~= '' and known_order(", "held == '!' and known_order("),
    ("the body is forgotten", "known + 15) == sub(key, 9, 16)", "known + 15) ~= ''"),
    ("the limit is not kept", "total = units_held + lines.units", "total = units_held"),
    ("the limit does not come back", "buyer.units - units, true", "buyer.units, true"),
    ("an ended lease counts", "t.lease == lease and t.time > s.at then", "t.lease == lease then"),
    ("any lease counts", "t.lease == lease and t.time > s.at then", "t.time > s.at then"),
    (
        "a claim takes no lease",
        "due_set[due_n + 1], due_set[due_n + 2], due_n = score,",
        "due_set[due_n + 1], due_set[due_n + 2], due_n = s.at,",
    ),
    (
        "the burst is doubled",
        "burst = burst == '' and 1 + math.ceil(",
        "burst = burst == '' and 2 + 2 * math.ceil(",
    ),
    (
        "cancelled after its claim",
        "epoch ~= m.ep or call('HEXISTS', s.base .. 'a', place) == 1 then",
        "epoch ~= m.ep then",
    ),
    ("cancelled in another epoch", "elseif ended or epoch ~= m.ep or", "elseif ended or"),
    ("the phase is not looked at", "elseif phase_now then", "elseif false then"),
    ("the backlog has no bound", "waiting >= most_orders or", ""),
    ("an end is left", "elseif not final or state ~= final then", "elseif not final then"),
    ("what was seen at a death is dropped", "if seen ~= '' then note(", "if seen == '' then note("),
    ("what never started counts", "t.claims = math.max(t.claims - 1, 0)", ""),
    ("sequences go on over epochs", "'ep', epoch, 'seq', 0,", "'ep', epoch,"),
    ("an operation counts twice", "call('HSET', s.base .. 'ops',", "call('HSET', s.base .. 'x1',"),
    (
        "stock comes back at a retry",
        "  note(t, s.at, why == 's'",
        "  item_of(s, 0).a, item_of(s, 0).dirty = item_of(s, 0).a + 1, true\n  note(t, s.at, why == 's'",
    ),
    (
        "the pacer does not start empty",
        "level = 0, at = s.at }",
        "level = burst * period * 2, at = s.at }",
    ),
    ("a level is not told", "if #levels > 0 then", "if #levels > 9 then"),
    ("a claim is not told", "if #s.claimed > 0 then", "if #s.claimed > 9 then"),
    (
        "a later generation is not later",
        "        item.g = item.g + 1\n        s.levels[index] = true\n      end\n      item.a = item.a + quantity",
        "      end\n      item.a = item.a + quantity",
    ),
    (
        "dead orders stay dead",
        "put(s.dead_del, place)\n    count(s.m, DEAD, PLACING",
        "count(s.m, DEAD, PLACING",
    ),
    (
        "a retry forgets the wait",
        "waits(s, place, t, due)\n  move",
        "waits(s, place, t, s.at)\n  move",
    ),
];

#[test]
fn every_bug_in_the_library_is_caught() {
    let server = Server::start(&[]);
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let survivors: Vec<&str> = BUGS
        .into_iter()
        .filter(|(_, from, to)| survives(&server, library::TIMED.changed(from, to)))
        .map(|(name, ..)| name)
        .collect();
    std::panic::set_hook(quiet);
    assert_eq!(survivors, [""; 0], "the suite lets these pass");
}

fn survives(server: &Server, library: Library) -> bool {
    // Few, and for as long as the tests run.
    let library: &'static Library = Box::leak(Box::new(library));
    let cases =
        Cases { cases: 400, failure_persistence: None, max_shrink_iters: 0, ..Cases::default() };
    let case = std::cell::Cell::new(0);
    let run = TestRunner::new(cases).run(&steps(120), |steps| {
        case.set(case.get() + 1);
        let prefix = format!("{}-{}", library.name, case.get());
        let mut engine = OnRedis::new(server, library, prefix);
        // A bug may also show as a fault of the ledger, at which the suite panics.
        let checked = std::panic::AssertUnwindSafe(|| check(&mut engine, &steps));
        let caught = || Err(TestCaseError::fail("a fault"));
        std::panic::catch_unwind(checked).unwrap_or_else(|_| caught())
    });
    run.is_ok()
}
