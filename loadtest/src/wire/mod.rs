//! One keep-alive connection: ask, wait, look at the answer.
//!
//! Two wires stand behind one trait. [`full`] understands whatever HTTP/1.1 allows; [`lean`] sends rendered
//! bytes on a bare [`socket`] and costs a third of the CPU, which on a shared machine is what makes a speed
//! figure honest.

pub mod full;
pub mod lean;
pub mod socket;
pub(crate) mod ticket;

use std::future::Future;

use serde::Serialize;

use crate::form::OrderForm;
use crate::target::Target;

/// What came back, as far as anybody needs it.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: &'a [u8],
    /// `Idempotent-Replayed: true`: the gateway knew the key.
    pub replayed: bool,
    /// `Retry-After` in seconds; `None` when there is none, or none that can be read.
    pub retry_after: Option<u32>,
}

/// Why there is no answer. None of these says whether the order was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Broken {
    /// The connection ended before an answer began.
    Reset,
    /// The answer began and did not end, or was not HTTP.
    Truncated,
    /// No answer in the time a buyer would wait.
    Timeout,
}

/// A connection that carries one order at a time.
pub trait Wire: Sized + Send + 'static {
    /// Opens a connection that will send orders of this form.
    fn connect(
        target: &Target,
        form: &OrderForm,
    ) -> impl Future<Output = std::io::Result<Self>> + Send;

    /// Sends one ask and reads its whole answer. After an `Err` the wire is of no more use.
    fn exchange(&mut self, ask: u64) -> impl Future<Output = Result<(), Broken>> + Send;

    /// The answer to the last exchange.
    fn answer(&self) -> Answer<'_>;

    /// Whether another ask may follow.
    fn reusable(&self) -> bool;
}
