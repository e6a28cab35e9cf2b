//! That nothing was lost, doubled or sold twice, and that the pace was kept: heard from client, ledger and store.

use forebay_loadtest::admin::{Census, TicketRow};
use forebay_loadtest::drive::{Shared, look};
use forebay_loadtest::form::Crowd;
use forebay_loadtest::history::History;
use forebay_loadtest::judge::{Evidence, judge};
use forebay_loadtest::pace;
use forebay_loadtest::recover::recover;
use forebay_loadtest::store::StoreBook;
use forebay_loadtest::wire::full::FullWire;

use super::rig::{AT_LAST, Gateway};

/// `attempted_at` is rounded to microseconds.
const ROUNDING_SECONDS: f64 = 2e-6;

impl Gateway {
    /// Asks after every doubt, waits until every order of the sale has its fate, and hears all witnesses.
    /// Nobody else may have ordered in the sale. Answers what the ledger says.
    pub(crate) async fn proves(
        &self,
        crowd: &Crowd,
        sale: &str,
        history: &Shared<History>,
    ) -> Evidence {
        let store = async || self.store_at.read(sale).await.unwrap();
        self.proves_by(crowd, sale, history, store).await
    }

    /// The same where orders end elsewhere: `store` reads it once all is settled.
    pub(crate) async fn proves_by(
        &self,
        crowd: &Crowd,
        sale: &str,
        history: &Shared<History>,
        store: impl AsyncFnOnce() -> StoreBook,
    ) -> Evidence {
        let form = forebay_loadtest::form::OrderForm::new(sale, "phone", crowd.clone());
        recover::<FullWire>(&self.drive(&form, 16), history, AT_LAST).await;
        let census = self.settled(sale).await;
        let tickets = self.admin().tickets(sale).await.unwrap();
        let store = store().await;
        let (rows, stock) = (store.rows.clone(), store.stock.clone());
        let evidence = Evidence {
            tickets: Some(tickets),
            census: Some(census.clone()),
            store: Some(store),
            verified: Some(self.admin().verify().await.unwrap()),
            alone: true,
            ..Evidence::default()
        };
        let judged = judge(&look(history), crowd, &evidence);
        assert!(judged.ok(), "{:#?}", judged.findings);
        let sold: i64 = rows.iter().filter(|row| row.sells()).filter_map(|row| row.quantity).sum();
        for item in &census.items {
            assert_eq!(sold.unsigned_abs(), item.sold, "units of the store and of the ledger");
            assert_eq!(item.available + item.sold, item.initial, "all is settled: {census:?}");
            let gone: i64 = stock.iter().map(|stock| stock.initial - stock.available).sum();
            assert_eq!(gone, sold, "the store's own count");
        }
        self.is_whole().await;
        evidence
    }

    /// Waits until no order of the sale waits any more.
    pub(crate) async fn settled(&self, sale: &str) -> Census {
        let census =
            self.admin().census_until(sale, AT_LAST, |census| census.unsettled() == 0).await;
        let census = census.unwrap();
        assert_eq!(census.unsettled(), 0, "{census:?}");
        census
    }
}

/// L7 over the last attempt of every order: no window holds more than `burst + rate × window`.
pub(crate) fn keeps_pace(tickets: &[TicketRow], rate: f64) {
    let instants = pace::attempts(tickets).unwrap();
    let (needed, burst) = (pace::burst_needed(&instants, rate), pace::burst_auto(rate));
    assert!(
        needed <= burst + rate * ROUNDING_SECONDS,
        "a burst of {needed:.2} where {burst} is allowed"
    );
}
