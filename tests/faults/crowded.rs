//! A crowd that orders in a sale while something fails, and what became of its orders.

use std::ops::Range;

use forebay_loadtest::drive::{Shared, look, shared};
use forebay_loadtest::form::{Crowd, OrderForm};
use forebay_loadtest::history::History;
use forebay_loadtest::judge::Evidence;
use forebay_loadtest::verdict::Verdict;
use forebay_loadtest::wire::full::FullWire;
use tokio::task::JoinHandle;

use super::rig::{Gateway, until};

/// Orders of one crowd in one sale.
pub(crate) struct Crowded {
    pub(crate) sale: &'static str,
    pub(crate) crowd: Crowd,
    pub(crate) history: Shared<History>,
}

impl Crowded {
    pub(crate) fn of(sale: &'static str) -> Self {
        Self { sale, crowd: Crowd::new(sale, 1), history: shared(History::default()) }
    }

    /// The next orders of the crowd, and all their answers.
    pub(crate) async fn order(&self, gateway: &Gateway, asks: Range<u64>) {
        self.ordering(gateway, asks).await.unwrap();
    }

    /// The same, while something else happens.
    pub(crate) fn ordering(&self, gateway: &Gateway, asks: Range<u64>) -> JoinHandle<()> {
        let form = OrderForm::new(self.sale, "phone", self.crowd.clone());
        let (drive, history) = (gateway.drive(&form, 8), self.history.clone());
        tokio::spawn(async move {
            drive.run::<FullWire, History>(asks, history).await;
        })
    }

    /// How many orders of the crowd were answered with this status so far.
    pub(crate) fn answered(&self, status: u16) -> u64 {
        look(&self.history).tally().with_status(status)
    }

    /// How many attempts ended in a doubt that the gateway told.
    pub(crate) fn doubts(&self) -> usize {
        let in_doubt = |verdict: &Verdict| matches!(verdict, Verdict::Unknown { code: Some(code), .. } if code == "in_doubt");
        look(&self.history).attempts().iter().filter(|attempt| in_doubt(&attempt.verdict)).count()
    }

    /// Waits until so many orders have an end, good or bad.
    pub(crate) async fn ended(&self, count: u64) {
        let ended = async || (look(&self.history).tally().ended() >= count).then_some(());
        until(&format!("{count} orders have ended"), ended).await;
    }

    /// Orders until one is taken: all that was accepted before is back, as an epoch begins with.
    pub(crate) async fn takes_again(&self, gateway: &Gateway, from: u64) {
        let (taken, mut next) = (self.answered(202), from);
        until(&format!("{} takes orders again", self.sale), async || {
            self.order(gateway, next..next + 20).await;
            next += 20;
            (self.answered(202) > taken).then_some(())
        })
        .await;
    }

    pub(crate) async fn proves(&self, gateway: &Gateway) -> Evidence {
        gateway.proves(&self.crowd, self.sale, &self.history).await
    }
}
