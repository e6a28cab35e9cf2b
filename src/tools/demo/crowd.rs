//! The buyers: each comes at his time, takes a connection that stands and is free, and waits for his answer.
//!
//! Connections are made before the first buyer comes: making twenty thousand of them in a second keeps the crowd
//! itself so busy that it hears its answers late, and the shop would be blamed for it. What the crowd is late with all
//! the same is told.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use forebay_loadtest::clock;
use forebay_loadtest::form::Crowd as Names;
use forebay_loadtest::form::OrderForm;
use forebay_loadtest::target::Target;
use forebay_loadtest::wire::Wire as _;
use forebay_loadtest::wire::lean::LeanWire;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Moment;
use super::SALE;
use super::SKU;

/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// So many connections are made at once: fewer than wait in a listener's queue.
const GATHERED_AT_ONCE: usize = 256;
/// What a process at either end needs beside the buyers' connections. The shop has the same limit of open files: a
/// connection that it has no room for would wait in the kernel for as long as the others stand.
const OWN_FILES: u64 = 256;

/// How one buyer fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    /// From the time at which he came to his answer.
    pub(super) after: Duration,
    /// The answer's status; 0 when there was none.
    pub(super) status: u16,
    /// How late the crowd itself was with asking, though a connection was free.
    pub(super) late: Duration,
}

/// All that was heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    came: u64,
    pub(super) fates: Vec<Fate>,
}

impl Heard {
    /// The counts of this instant; the store is asked elsewhere.
    pub(super) fn moment(&self) -> Moment {
        let count = |wanted: fn(&Fate) -> bool| {
            self.fates.iter().filter(|fate| wanted(fate)).count() as u64
        };
        let (taken, sold_out, turned_away) =
            (count(Fate::taken), count(Fate::sold_out), count(Fate::turned_away));
        let failed = self.fates.len() as u64 - taken - sold_out - turned_away;
        Moment { came: self.came, taken, sold_out, turned_away, failed, ..Moment::default() }
    }
}

impl Fate {
    /// 201 directly, 202 with a ticket.
    pub(super) fn taken(&self) -> bool {
        matches!(self.status, 201 | 202)
    }

    pub(super) fn sold_out(&self) -> bool {
        self.status == 409
    }

    pub(super) fn turned_away(&self) -> bool {
        matches!(self.status, 429 | 503)
    }

    /// Yes or no, and not *come again*.
    pub(super) fn answered(&self) -> bool {
        self.taken() || self.sold_out()
    }
}

/// A crowd on its way.
pub(super) struct Crowd {
    target: Target,
    form: OrderForm,
    heard: Mutex<Heard>,
    /// Connections that nobody uses.
    free: Mutex<Vec<LeanWire>>,
    /// As many connections as this process may open.
    room: Semaphore,
}

impl Crowd {
    pub(super) fn new(target: Target, files: u64) -> Arc<Self> {
        let names = Names::new("demo", 1);
        let room = usize::try_from(files.saturating_sub(OWN_FILES).max(1)).unwrap_or(usize::MAX);
        Arc::new(Self {
            target,
            form: OrderForm::new(SALE, SKU, names),
            heard: Mutex::default(),
            free: Mutex::default(),
            room: Semaphore::new(room.min(Semaphore::MAX_PERMITS)),
        })
    }

    /// Makes a connection for each buyer, or as many as there is room for.
    ///
    /// # Errors
    /// When the shop takes none.
    pub(super) async fn gather(&self, buyers: u64) -> anyhow::Result<()> {
        let room = self.room.available_permits();
        let wanted = usize::try_from(buyers).unwrap_or(usize::MAX).min(room);
        while self.free().len() < wanted {
            let missing = wanted - self.free().len();
            let mut connecting = JoinSet::new();
            for _ in 0..missing.min(GATHERED_AT_ONCE) {
                let (target, form) = (self.target.clone(), self.form.clone());
                connecting.spawn(async move { LeanWire::connect(&target, &form).await });
            }
            for wire in connecting.join_all().await {
                let wire = wire.context("the shop takes no more connections")?;
                self.free().push(wire);
            }
        }
        Ok(())
    }

    /// So many buyers come within this time, evenly spread; returns when the last has his answer.
    pub(super) async fn come(self: Arc<Self>, buyers: u64, over: Duration, start: Instant) {
        let mut under_way = JoinSet::new();
        for nth in 0..buyers {
            #[expect(clippy::cast_precision_loss, reason = "a demo has few buyers")]
            let due = start + over.mul_f64(nth as f64 / buyers.max(1) as f64);
            if due > clock::now() {
                tokio::time::sleep_until(due.into()).await;
            }
            self.heard().came += 1;
            under_way.spawn(Arc::clone(&self).buy(nth, due));
        }
        under_way.join_all().await;
    }

    async fn buy(self: Arc<Self>, nth: u64, due: Instant) {
        // A buyer for whom no connection is free waits for one: that is the shop's doing.
        let began = clock::now();
        let answer = timeout(PATIENCE, self.ask(nth)).await;
        let status = answer.ok().flatten().unwrap_or(0);
        let after = clock::now().saturating_duration_since(due);
        let late = began.saturating_duration_since(due);
        self.heard().fates.push(Fate { after, status, late });
    }

    async fn ask(&self, nth: u64) -> Option<u16> {
        let _room = self.room.acquire().await.ok()?;
        let kept = self.free().pop();
        let mut wire = match kept {
            Some(wire) => wire,
            None => LeanWire::connect(&self.target, &self.form).await.ok()?,
        };
        wire.exchange(nth).await.ok()?;
        let status = wire.answer().status;
        if wire.reusable() {
            self.free().push(wire);
        }
        Some(status)
    }

    /// What was heard so far. A panic in another buyer leaves the counts usable.
    pub(super) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn free(&self) -> MutexGuard<'_, Vec<LeanWire>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
