//! A batch is one transaction of multi-row statements.
//!
//! **Line 1 decides**: it is inserted first, by a plain INSERT, so a ticket whose line 1 is there fails the whole
//! transaction. What is there is then read as the answer, and the rest is tried again; so the other lines and the
//! decrement are written only in a transaction that inserted line 1 (S1, S4). A batch that fails on a row is halved
//! until the row stands alone (S3).

use std::collections::HashMap;
use std::time::Duration;

use mysql_async::prelude::Queryable;

use super::codes::{Said, said};
use super::pool::{Pool, Session};
use super::rows;
use super::text::{Script, order_no};
use crate::store::{Found, Later, LaterCause, PlaceOrder, Placement, StoreError};

/// How often the same orders are tried again at once.
const TRIES: u32 = 3;

/// Before the next of them: another transaction is on its way with the same rows.
const PAUSE: Duration = Duration::from_millis(5);

/// Transactions of one call that may fail: a trouble of all rows is not looked for in each.
const FAILURES_MAX: u32 = 48;

/// The reason of an order for whose lines the store has too few units.
const SOLD_OUT: &str = "sold_out_at_store";

/// What became of a transaction.
enum Ended {
    /// It is committed.
    Done,
    /// A line 1 is there already.
    Duplicate,
    /// Too few units for all of its orders.
    Short,
    /// It may be tried again at once.
    Deadlock,
    /// A row is not taken, and never will be.
    BadRow(String),
    /// It may be about one of its orders, and may be tried later.
    Row(Later),
    /// Nothing happened, and nothing else would now.
    Closed(Later),
    /// The connection broke before the commit was sent.
    Broken(Later),
    /// Nobody knows whether it is committed.
    Doubt(String),
}

/// A call of `place`.
struct Batch<'a> {
    pool: &'a Pool,
    /// `None` once it broke.
    session: Option<Session>,
    orders: &'a [PlaceOrder],
    /// The number that each order has once it is placed.
    numbers: Vec<String>,
    answers: Vec<Option<Placement>>,
    failures: u32,
}

/// Attempts each order.
pub(super) async fn place(pool: &Pool, orders: &[PlaceOrder]) -> Vec<Placement> {
    let session = match pool.take().await {
        Ok(session) => session,
        Err(error) => return vec![Placement::Later(later(error)); orders.len()],
    };
    let answers = vec![None; orders.len()];
    let numbers = orders.iter().map(|order| order_no(&order.ticket)).collect();
    let mut batch = Batch { pool, session: Some(session), orders, numbers, answers, failures: 0 };
    batch.run().await;
    let Batch { session, answers, .. } = batch;
    session.into_iter().for_each(|session| pool.give_back(session));
    let missing = || Placement::InDoubt { reason: "the store gave no answer".to_owned() };
    answers.into_iter().map(|answer| answer.unwrap_or_else(missing)).collect()
}

fn later(error: StoreError) -> Later {
    Later { cause: error.cause, reason: error.reason, after: None }
}

impl Batch<'_> {
    async fn run(&mut self) {
        let mut open: Vec<Vec<usize>> = vec![(0..self.orders.len()).collect()];
        let mut tries = 0;
        while let Some(some) = open.pop() {
            if some.is_empty() {
                continue;
            }
            let ended = self.transact(&some).await;
            let again = matches!(ended, Ended::Deadlock | Ended::Duplicate | Ended::Broken(_));
            tries = if again { tries + 1 } else { 0 };
            self.failures += u32::from(!matches!(ended, Ended::Done));
            match ended {
                Ended::Done => self.placed(&some),
                Ended::Deadlock if tries < TRIES => {
                    tokio::time::sleep(PAUSE * tries).await;
                    open.push(some);
                }
                Ended::Duplicate if tries < TRIES => match self.decided(&some).await {
                    Ok(rest) => open.push(rest),
                    Err(reason) => {
                        self.session = None;
                        return self.end(&some, &open, Placement::InDoubt { reason });
                    }
                },
                // A connection that lay idle was dead: that says nothing about the server.
                Ended::Broken(why) if tries == 1 => {
                    if let Err(why) = self.renew(why).await {
                        return self.end(&some, &open, Placement::Later(why));
                    }
                    open.push(some);
                }
                Ended::Short | Ended::BadRow(_) | Ended::Row(_) if some.len() > 1 => {
                    if self.failures >= FAILURES_MAX {
                        let reason = "too many rows of one batch were not taken".to_owned();
                        let cause = LaterCause::StoreAway;
                        let why = Later { cause, reason, after: None };
                        return self.end(&some, &open, Placement::Later(why));
                    }
                    let (one, other) = some.split_at(some.len() / 2);
                    open.extend([other.to_vec(), one.to_vec()]);
                }
                Ended::Short => self.not_taken(some[0], SOLD_OUT).await,
                Ended::BadRow(reason) => self.not_taken(some[0], &reason).await,
                Ended::Row(why) => self.answer(&some, &Placement::Later(why)),
                Ended::Deadlock => self.answer(&some, &Placement::Later(Said::Deadlock.later())),
                Ended::Duplicate => self.answer(&some, &Placement::Later(Said::Duplicate.later())),
                Ended::Closed(why) | Ended::Broken(why) => {
                    // What the server says of everybody is true of the next connection only if it says so again.
                    self.session = None;
                    return self.end(&some, &open, Placement::Later(why));
                }
                Ended::Doubt(reason) => {
                    self.session = None;
                    self.answer(&some, &Placement::InDoubt { reason });
                    let cause = LaterCause::StoreAway;
                    let reason = "the connection broke at a commit of the same batch".to_owned();
                    let why = Later { cause, reason, after: None };
                    return self.end(&[], &open, Placement::Later(why));
                }
            }
        }
    }

    /// One answer for each of these.
    fn answer(&mut self, some: &[usize], answer: &Placement) {
        for at in some {
            self.answers[*at].get_or_insert_with(|| answer.clone());
        }
    }

    /// One answer for these and for all that were not tried.
    fn end(&mut self, some: &[usize], open: &[Vec<usize>], answer: Placement) {
        self.answer(some, &answer);
        open.iter().for_each(|some| self.answer(some, &answer));
    }

    fn placed(&mut self, some: &[usize]) {
        for at in some {
            let order_no = self.numbers[*at].clone();
            self.answers[*at] = Some(Placement::Placed { order_no });
        }
    }

    /// Reads what is there of these; answers whose ticket is not there yet.
    async fn decided(&mut self, some: &[usize]) -> Result<Vec<usize>, String> {
        let Some(session) = &mut self.session else { return Err("no connection".to_owned()) };
        let tickets: Vec<_> = some.iter().map(|at| self.orders[*at].ticket).collect();
        let found = rows::found(session, &tickets).await.map_err(|error| error.reason)?;
        let mut rest = Vec::new();
        for (at, found) in some.iter().zip(found) {
            match found {
                Found::Placed { order_no } => {
                    self.answers[*at] = Some(Placement::Placed { order_no })
                }
                Found::Refused { reason } => {
                    self.answers[*at] = Some(Placement::Refused { reason })
                }
                Found::Voided => self.answers[*at] = Some(Placement::Voided),
                Found::NotThere | Found::Unknown { .. } => rest.push(*at),
            }
        }
        Ok(rest)
    }

    /// Another connection, if this one was used before.
    async fn renew(&mut self, why: Later) -> Result<(), Later> {
        if self.session.take().is_none_or(|session| !session.used) {
            return Err(why);
        }
        self.pool.forget();
        self.session = Some(self.pool.take().await.map_err(later)?);
        Ok(())
    }

    /// Refused; but what was confirmed before stays open until an operator has looked.
    async fn not_taken(&mut self, at: usize, reason: &str) {
        if self.orders[at].confirmed {
            let reason = reason.to_owned();
            let why = Later { cause: LaterCause::ThisOrder, reason, after: None };
            return self.answer(&[at], &Placement::Later(why));
        }
        self.refuse(at, reason).await;
    }

    /// Leaves a row that says so; the store remembers it (S1).
    async fn refuse(&mut self, at: usize, reason: &str) {
        let Some(session) = &mut self.session else { return };
        let mut script = Script::default();
        // The column takes 255 characters; the server's words may be longer.
        let reason: String = reason.chars().take(255).collect();
        script.mark(&self.orders[at], "refused", Some(&reason));
        self.answers[at] = Some(match rows::run(session, &script).await {
            Ok(_) => Placement::Refused { reason },
            Err(error) => match said(&error) {
                Said::Duplicate => {
                    Placement::InDoubt { reason: "it was decided meanwhile".to_owned() }
                }
                Said::Broken(reason) => {
                    self.session = None;
                    Placement::InDoubt { reason }
                }
                other => Placement::Later(other.later()),
            },
        });
    }

    async fn transact(&mut self, some: &[usize]) -> Ended {
        let Some(session) = &mut self.session else {
            return Ended::Closed(Said::Broken("no connection".to_owned()).later());
        };
        let (script, decrements) = script(self.orders, &self.numbers, some);
        match rows::run(session, &script).await {
            Ok(changed) => {
                let guarded = &changed[changed.len().saturating_sub(decrements)..];
                if guarded.iter().any(|rows| *rows != 1) {
                    return rolled_back(session, Ended::Short).await;
                }
            }
            Err(error) => {
                let ended = match said(&error) {
                    Said::Duplicate => Ended::Duplicate,
                    Said::Deadlock => Ended::Deadlock,
                    Said::BadRow(reason) => Ended::BadRow(reason),
                    other @ Said::Other(_) => Ended::Row(other.later()),
                    other @ Said::Closed(..) => Ended::Closed(other.later()),
                    other @ Said::Broken(_) => return Ended::Broken(other.later()),
                };
                return rolled_back(session, ended).await;
            }
        }
        match session.conn().query_drop("COMMIT").await {
            Ok(()) => Ended::Done,
            Err(error) => Ended::Doubt(format!("the commit was not answered: {error}")),
        }
    }
}

/// Line 1 of every order, the other lines, the decrements; and how many of those.
fn script(orders: &[PlaceOrder], numbers: &[String], some: &[usize]) -> (Script, usize) {
    let mut script = Script::default();
    let mut units: HashMap<_, u64> = HashMap::new();
    script.statement("START TRANSACTION");
    for at in some {
        script.line(&orders[*at], 0, &numbers[*at]);
    }
    script.close();
    for at in some {
        let order = &orders[*at];
        for line in &order.lines {
            *units.entry((order.sale_no, &line.sku)).or_default() += u64::from(line.quantity);
        }
        for number in 1..order.lines.len() {
            script.line(order, number, &numbers[*at]);
        }
    }
    // Everybody locks stock rows in the order of their keys, so that no two transactions wait for each other.
    let mut units: Vec<_> = units.into_iter().collect();
    units.sort_unstable();
    for ((sale_no, sku), units) in &units {
        script.decrement(*sale_no, sku, *units);
    }
    (script, units.len())
}

/// Leaves nothing behind of a transaction that failed.
async fn rolled_back(session: &mut Session, ended: Ended) -> Ended {
    match session.conn().query_drop("ROLLBACK").await {
        Ok(()) => ended,
        Err(error) => Ended::Broken(said(&error).later()),
    }
}
