//! The rate limits give what they promise: at most `burst + rate × window`, and nearly all of it under a hundred
//! times the load; every refusal has its name; and buyers who were seen once take no memory for ever.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use super::{Checks, Scale};
use crate::clock;
use crate::drive::{look, shared};
use crate::form::{Crowd, OrderForm};
use crate::plant::Plant;
use crate::report;
use crate::scrape::Memory;
use crate::tally::Tally;
use crate::wire::lean::LeanWire;

const SKU: &str = "phone";
const CONNECTIONS: usize = 64;
/// Order calls a second that the sale lets through, and its burst: a tenth of a second's, and one.
const ADMIT_RATE: f64 = 200.0;
const ADMIT_BURST: f64 = 21.0;
/// The limit of one buyer as it is by default.
const BUYER_RATE: f64 = 5.0;
const BUYER_BURST: f64 = 10.0;
/// The least share of a rate that must be given under overload, on a machine that is quiet.
const GIVEN_MIN: f64 = 0.95;

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    let (seconds, buyers) = scale.pick((3, 20_000), (20, 10_000_000));
    let plant = Plant::start(binary, "unlimited").await?;
    let rate = Some("200/s");
    plant.admin.create_limited_sale("door", SKU, 1_000_000, rate).await?;
    plant.admin.create_limited_sale("flood", SKU, 1_000_000, None).await?;
    plant.admin.create_limited_sale("over", SKU, 0, None).await?;
    plant.phase("over", "sold_out").await?;
    let time = Duration::from_secs(seconds);
    // Many buyers at one sale, then one buyer with a new key each time.
    let door =
        Gate { sale: "door", orders_each: 1, refusal: 503, rate: ADMIT_RATE, burst: ADMIT_BURST };
    let flood = Gate {
        sale: "flood",
        orders_each: u64::MAX,
        refusal: 429,
        rate: BUYER_RATE,
        burst: BUYER_BURST,
    };
    door.hold(&plant, time, scale, checks).await?;
    flood.hold(&plant, time, scale, checks).await?;
    forgotten(&plant, buyers, checks).await
}

/// A limit, and who runs into it.
struct Gate {
    sale: &'static str,
    orders_each: u64,
    refusal: u16,
    rate: f64,
    burst: f64,
}

impl Gate {
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are small")]
    async fn hold(
        &self,
        plant: &Plant,
        time: Duration,
        scale: Scale,
        checks: &mut Checks,
    ) -> anyhow::Result<()> {
        let sale = self.sale;
        plant.phase(sale, "open").await?;
        let form = OrderForm::new(sale, SKU, Crowd::new(sale, self.orders_each));
        let tally = shared(Tally::default());
        let until = clock::now() + time;
        let asks = (0..).take_while(move |_| clock::now() < until);
        let drive = plant.drive(&form, CONNECTIONS);
        let driven = drive.run::<LeanWire, Tally>(asks, tally.clone()).await;
        let tally = look(&tally);
        let seconds = driven.elapsed.as_secs_f64();
        let (given, refused) = (tally.with_status(202), tally.with_status(self.refusal));
        let earned = self.rate * seconds;
        let overload = driven.sends as f64 / earned;
        let what = format_args!("{given} given in {seconds:.2} s at {overload:.0} times the rate");
        report::row(sale, what);
        checks.promise(given + refused == driven.sends, "every other answer is the named refusal");
        let most = self.burst + earned;
        checks.promise(given as f64 <= most, format_args!("{sale}: {given} of at most {most:.0}"));
        let least = scale.least(GIVEN_MIN) * earned;
        checks
            .promise(given as f64 >= least, format_args!("{sale}: {given} of at least {least:.0}"));
        Ok(())
    }
}

/// Every buyer once, at a sale that is sold out: each makes a key, and none is kept.
async fn forgotten(plant: &Plant, buyers: u64, checks: &mut Checks) -> anyhow::Result<()> {
    let form = OrderForm::new("over", SKU, Crowd::new("once", 1));
    let drive = plant.drive(&form, CONNECTIONS);
    let tally = shared(Tally::default());
    let first = buyers / 10;
    drive.run::<LeanWire, Tally>(0..first, tally.clone()).await;
    let early = Memory::of(plant.process.pid())?.resident;
    drive.run::<LeanWire, Tally>(first..buyers, tally.clone()).await;
    let late = Memory::of(plant.process.pid())?.resident;
    let refused = look(&tally).with_status(409);
    ensure!(refused == buyers, "{refused} of {buyers} buyers were told that it is sold out");
    let until = clock::now() + Duration::from_secs(30);
    let mut keys = plant.admin.metric("forebay_limiter_keys").await?;
    while keys > 0.0 && clock::now() < until {
        tokio::time::sleep(Duration::from_millis(200)).await;
        keys = plant.admin.metric("forebay_limiter_keys").await?;
    }
    checks.promise(keys == 0.0, format_args!("{keys} keys are kept after {buyers} buyers"));
    let grown = late.saturating_sub(early) >> 20;
    let what =
        format_args!("memory {} MiB, {grown} MiB more after ten times the buyers", late >> 20);
    checks.threshold(grown <= 16, what);
    Ok(())
}
