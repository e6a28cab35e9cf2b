//! One lane for each thread that serves buyers: order calls that become ready in one turn of its runtime go to
//! the ledger as one batch, and come back as one. No timer: a batch is what waits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::gateway::Gateway;
use crate::ledger::{Fault, Reserve, Reserved};

type Reply = oneshot::Sender<Result<Reserved, Fault>>;

/// Orders in one call of the ledger, at most.
const BATCH_MAX: usize = 1_024;

/// Orders of one thread that are on their way to the ledger or back, beyond which newcomers are not let in: what
/// comes on top while the ledger stands still is refused at once and takes no memory. Tests have fewer sockets.
pub(super) const ON_THE_WAY_MAX: usize = if cfg!(test) { 16 } else { 4_096 };

/// The way of one thread's order calls to the ledger.
#[derive(Debug)]
pub(super) struct Lane {
    gateway: Arc<Gateway>,
    /// Filled by requests, emptied by [`Self::run`]; both on one thread, so it is never contended.
    waiting: Mutex<Waiting>,
    work: Notify,
    /// Written and read on the lane's own thread, but for batches that end elsewhere.
    on_the_way: AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiting {
    orders: Vec<Reserve>,
    replies: Vec<Reply>,
}

impl Lane {
    pub(super) fn new(gateway: Arc<Gateway>) -> Arc<Self> {
        let (waiting, work, on_the_way) = (Mutex::default(), Notify::new(), AtomicUsize::new(0));
        Arc::new(Self { gateway, waiting, work, on_the_way })
    }

    /// So much is on its way that newcomers are not let in.
    pub(super) fn is_full(&self) -> bool {
        self.on_the_way.load(Ordering::Relaxed) >= ON_THE_WAY_MAX
    }

    /// Reserves one order with whatever else is ready.
    pub(super) async fn reserve(&self, order: Reserve) -> Result<Reserved, Fault> {
        let (reply, answer) = oneshot::channel();
        self.on_the_way.fetch_add(1, Ordering::Relaxed);
        let first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.orders.push(order);
            waiting.replies.push(reply);
            waiting.orders.len() == 1
        };
        if first {
            self.work.notify_one();
        }
        answer.await.unwrap_or_else(|_| Err(Fault::in_doubt("the lane ended before its answer")))
    }

    /// Carries batches for as long as its runtime lives.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            self.work.notified().await;
            // All connections that are ready in this turn push their orders first.
            tokio::task::yield_now().await;
            while self.send() {}
        }
    }

    fn send(self: &Arc<Self>) -> bool {
        let Waiting { mut orders, mut replies } = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *waiting)
        };
        if orders.is_empty() {
            return false;
        }
        if orders.len() > BATCH_MAX {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.orders = orders.split_off(BATCH_MAX);
            waiting.replies = replies.split_off(BATCH_MAX);
        }
        let lane = Arc::clone(self);
        tokio::spawn(async move {
            let _back = Back { lane: &lane, orders: orders.len() };
            let parts = &lane.gateway.parts;
            let deadline = parts.config.load().order_deadline.0;
            let call = parts.ledger.reserve(orders);
            tokio::pin!(call);
            // One timer for the whole batch. What is late goes on, and its room is taken until it is back.
            match tokio::time::timeout(deadline, &mut call).await {
                Ok(answers) => tell(replies, answers),
                Err(_) => {
                    let late = "the ledger has not answered within [public] order_deadline";
                    tell(replies, Err(Fault::in_doubt(late)));
                    let _ = call.await;
                }
            }
        });
        true
    }
}

/// A buyer who went away needs no answer; his order stands, and his key finds it.
fn tell(replies: Vec<Reply>, answers: Result<Vec<Reserved>, Fault>) {
    match answers {
        Ok(answers) => replies.into_iter().zip(answers).for_each(|(reply, answer)| {
            let _ = reply.send(Ok(answer));
        }),
        Err(fault) => replies.into_iter().for_each(|reply| {
            let _ = reply.send(Err(fault.clone()));
        }),
    }
}

/// Orders of a batch, until its answers are there, or its call has panicked.
struct Back<'a> {
    lane: &'a Lane,
    orders: usize,
}

impl Drop for Back<'_> {
    fn drop(&mut self) {
        self.lane.on_the_way.fetch_sub(self.orders, Ordering::Relaxed);
    }
}
