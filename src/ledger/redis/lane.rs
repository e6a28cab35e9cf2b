//! The way of one thread's order calls to the server: a connection of its own, on the thread's own runtime, and no
//! timer. A batch is what waited while the calls before it were under way.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{Cmd, Value};
use tokio::sync::oneshot;

use super::link::{Level, Link, Live};
use super::names::Names;
use super::record;
use super::remembered::Remembered;
use super::reply::{self, Cut, strange};
use crate::clock::Timestamp;
use crate::ledger::{Bound, Fault, Receipt, Reserve, Reserved};
use crate::order::{Place, State};
use crate::sale::SaleNo;

/// Orders of one call of the function; more take turns with other callers of the server.
const CALL_MAX: usize = 64;
/// Orders that are sent together.
const SENT_MAX: usize = 512;
/// Batches that may be without an answer at once.
const FLIGHTS_MAX: usize = 2;

type Reply = oneshot::Sender<Result<Vec<Reserved>, Fault>>;

/// Orders of one caller for one sale.
#[derive(Debug)]
struct Job {
    sale_no: SaleNo,
    orders: Vec<Reserve>,
    reply: Reply,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    flights: usize,
}

/// One thread's lane.
#[derive(Debug)]
pub(super) struct Lane {
    link: Arc<Link>,
    names: Names,
    remembered: Arc<Remembered>,
    waiting: Mutex<Waiting>,
}

/// The orders of one call, and whose they are.
#[derive(Debug)]
struct Batch {
    sale_no: SaleNo,
    jobs: Vec<Job>,
}

impl Lane {
    pub(super) fn new(link: Arc<Link>, names: Names, remembered: Arc<Remembered>) -> Arc<Self> {
        Arc::new(Self { link, names, remembered, waiting: Mutex::default() })
    }

    /// The runtime of this lane is gone.
    pub(super) fn is_over(&self) -> bool {
        self.link.is_over()
    }

    pub(super) fn stop(&self) {
        self.link.stop();
    }

    pub(super) async fn probe(&self) {
        self.link.probe().await;
    }

    /// Makes the connection again.
    pub(super) fn renew(&self) {
        self.link.renew();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over orders of one sale. They are carried whether or not the answer is waited for.
    pub(super) fn push(
        self: &Arc<Self>,
        sale_no: SaleNo,
        orders: Vec<Reserve>,
    ) -> oneshot::Receiver<Result<Vec<Reserved>, Fault>> {
        let (reply, answer) = oneshot::channel();
        let mut waiting = self.waiting();
        waiting.jobs.push_back(Job { sale_no, orders, reply });
        if waiting.flights < FLIGHTS_MAX {
            waiting.flights += 1;
            tokio::spawn(Arc::clone(self).fly());
        }
        answer
    }

    /// Carries batches until none waits.
    async fn fly(self: Arc<Self>) {
        while let Some(batches) = self.take() {
            self.carry(batches).await;
        }
    }

    /// What is sent next; `None` ends the flight.
    fn take(&self) -> Option<Vec<Batch>> {
        let mut waiting = self.waiting();
        let (mut batches, mut taken) = (Vec::<Batch>::new(), 0);
        while taken < SENT_MAX
            && let Some(job) = waiting.jobs.pop_front()
        {
            taken += job.orders.len();
            match batches.iter_mut().find(|batch| batch.sale_no == job.sale_no) {
                Some(batch) => batch.jobs.push(job),
                None => batches.push(Batch { sale_no: job.sale_no, jobs: vec![job] }),
            }
        }
        if batches.is_empty() {
            waiting.flights -= 1;
            return None;
        }
        Some(batches)
    }

    async fn carry(&self, batches: Vec<Batch>) {
        let sent = async {
            let live = self.link.live().await?;
            let commands = batches.iter().flat_map(|batch| self.calls(&live, batch)).collect();
            self.link.send_all(&live, commands, Level::AsPromised).await
        };
        match sent.await {
            Ok(answers) => {
                let mut answers = answers.into_iter();
                batches.into_iter().for_each(|batch| batch.tell(&self.remembered, &mut answers));
            }
            Err(fault) => {
                let jobs = batches.into_iter().flat_map(|batch| batch.jobs);
                jobs.for_each(|job| drop(job.reply.send(Err(fault.clone()))));
            }
        }
    }

    /// The calls that carry a batch.
    fn calls(&self, live: &Live, batch: &Batch) -> Vec<Cmd> {
        let key = self.names.sale(batch.sale_no);
        let orders: Vec<&Reserve> = batch.jobs.iter().flat_map(|job| &job.orders).collect();
        let mut buffer = Vec::with_capacity(256);
        let call = |orders: &[&Reserve]| {
            let mut command = self.link.function(live, "reserve", &key);
            // The newest of the bounds that the callers saw.
            let bound = orders.last().map_or(Bound { orders: 0, bytes: 0 }, |order| order.bound);
            command.arg(bound.orders).arg(bound.bytes.min(1 << 53));
            for order in orders {
                record::write_order(&mut buffer, order);
                command.arg(&record::key_bytes(order)).arg(order.buyer.as_str());
                command.arg(buffer.as_slice());
            }
            command
        };
        orders.chunks(CALL_MAX).map(call).collect()
    }
}

impl Batch {
    /// Answers each caller. `answers` are those of this batch's calls, then those of others.
    fn tell(
        self,
        remembered: &Remembered,
        answers: &mut impl Iterator<Item = Result<Value, Fault>>,
    ) {
        let orders: usize = self.jobs.iter().map(|job| job.orders.len()).sum();
        let mut told: VecDeque<Result<Reserved, Fault>> = VecDeque::with_capacity(orders);
        while told.len() < orders {
            let count = (orders - told.len()).min(CALL_MAX);
            let read = answers.next().unwrap_or_else(|| Err(strange("an answer is missing")));
            match read.and_then(|value| read_answers(value, count)) {
                Ok(answers) => told.extend(answers.into_iter().map(Ok)),
                Err(fault) => told.extend((0..count).map(|_| Err(fault.clone()))),
            }
        }
        for job in self.jobs {
            let own: Result<Vec<Reserved>, Fault> = told.drain(..job.orders.len()).collect();
            if let Ok(answers) = &own {
                remembered.keep(&job.orders, answers);
            }
            // A caller who went away needs no answer: his key finds the order.
            let _ = job.reply.send(own);
        }
    }
}

/// Epoch, time, and one answer for each of `count` orders.
fn read_answers(value: Value, count: usize) -> Result<Vec<Reserved>, Fault> {
    let values = reply::list(value)?;
    if values.len() != count + 2 {
        return Err(strange("not one answer for each order"));
    }
    let mut values = values.into_iter();
    let epoch = reply::number(&reply::next(&mut values)?)?;
    let epoch = u16::try_from(epoch).map_err(|_| strange("an epoch"))?;
    let at = Timestamp(reply::number(&reply::next(&mut values)?)?);
    values.map(|value| read_answer(&value, epoch, at)).collect()
}

fn read_answer(value: &Value, epoch: u16, accepted_at: Timestamp) -> Result<Reserved, Fault> {
    if let Value::Int(sequence) = value {
        let sequence = u64::try_from(*sequence).map_err(|_| strange("a sequence"))?;
        let place = Place { epoch, sequence };
        return Ok(Reserved::Accepted(Receipt { place, accepted_at, state: State::Queued }));
    }
    let (code, rest) = reply::bytes(value)?.split_first().ok_or_else(|| strange("an answer"))?;
    Ok(match code {
        b'R' => Reserved::Replay(read_receipt(rest)?),
        b'L' if rest.is_empty() => Reserved::LimitReached { newest: None },
        b'L' => Reserved::LimitReached { newest: Some(read_receipt(rest)?) },
        b'K' => Reserved::KeyReused,
        b'C' => Reserved::Closed,
        b'P' => Reserved::Paused,
        b'N' => {
            let text = std::str::from_utf8(rest).ok().and_then(|text| text.parse().ok());
            Reserved::NotOpen { opens_at: Timestamp(text.ok_or_else(|| strange("a time"))?) }
        }
        b'H' => Reserved::Recovering,
        b'S' => Reserved::SoldOut,
        b'F' => Reserved::BacklogFull,
        b'U' => Reserved::UnknownSale,
        _ => return Err(strange("an answer")),
    })
}

fn read_receipt(bytes: &[u8]) -> Result<Receipt, Fault> {
    let mut from = Cut(bytes);
    let place = record::read_place(&mut from)?;
    let accepted_at = Timestamp(from.number(8)?);
    let state = State::from_code(from.byte()?).ok_or_else(|| strange("a state"))?;
    Ok(Receipt { place, accepted_at, state })
}
