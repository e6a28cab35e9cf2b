//! Waves of buyers, and inside each `kill -9` of one process in turn: a gateway, a drain, Redis. Buyers come again with
//! their keys while a gateway is away or has no ledger.
//!
//! The units are released wave by wave (less than a wave asks for), so that every wave both sells and sells out.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::deployment::{Deployment, Side, come_again, patiently, send};
use super::{Checks, SKU, Scale, verdict};
use crate::clock;
use crate::drive::{Shared, look, shared};
use crate::form::{Crowd, OrderForm};
use crate::history::History;
use crate::judge::Broke;
use crate::report;

const SALE: &str = "waves";
/// Between two looks at how far a wave is.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// After the last wave: all that waits, and a lease that a kill left behind.
const SETTLE_WITHIN: Duration = Duration::from_secs(120);

/// The way to the store is slow, and the rate below what the waves bring: from the second wave on each drain has orders
/// under a lease at any moment, and leaves them behind when it is killed.
const EXCHANGE_MICROS: u32 = 250_000;

/// How large the waves are.
#[derive(Debug, Clone, Copy)]
struct Size {
    waves: u64,
    every: Duration,
    buyers: u64,
    units: u64,
    /// Connections at each gateway.
    connections: usize,
    drain_rate: &'static str,
}

const SMALL: Size = Size {
    waves: 3,
    every: Duration::from_secs(2),
    buyers: 200,
    units: 150,
    connections: 16,
    drain_rate: "50/s",
};
const FULL: Size = Size {
    waves: 20,
    every: Duration::from_secs(5),
    buyers: 2_000,
    units: 1_500,
    connections: 128,
    drain_rate: "250/s",
};

/// Who is killed, wave by wave.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Gateway(usize),
    Drain(usize),
    Redis,
}

impl Victim {
    fn of(wave: u64) -> Self {
        let nth = usize::from(!(wave / 3).is_multiple_of(2));
        match wave % 3 {
            0 => Self::Gateway(nth),
            1 => Self::Drain(nth),
            _ => Self::Redis,
        }
    }

    async fn kill(self, deployment: &mut Deployment) -> anyhow::Result<()> {
        match self {
            Self::Gateway(nth) => deployment.gateways[nth].process.kill().await,
            Self::Drain(nth) => deployment.drains[nth].process.kill().await,
            Self::Redis => deployment.redis.kill().await,
        }
    }

    async fn start_again(self, deployment: &mut Deployment) -> anyhow::Result<()> {
        match self {
            Self::Gateway(nth) => deployment.gateways[nth].start_again().await,
            Self::Drain(nth) => deployment.drains[nth].start_again().await,
            Self::Redis => deployment.redis.start_again().await,
        }
    }
}

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    let size = scale.pick(SMALL, FULL);
    let mut deployment = Deployment::start(binary, size.drain_rate, EXCHANGE_MICROS).await?;
    deployment.open(SALE, size.units, Some(1)).await?;
    let crowd = Crowd::new(SALE, 1);
    let form = OrderForm::new(SALE, SKU, crowd.clone());
    let history = shared(History::default());
    let mut counted = 0;
    let mut ticks = interval(size.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0..size.waves {
        ticks.tick().await;
        if number > 0 {
            let admin = &deployment.gateways[usize::from(number.is_multiple_of(2))].admin;
            let operation = format!("wave-{number}");
            patiently(async || admin.add_stock(SALE, SKU, size.units, &operation).await).await?;
            patiently(async || deployment.phase(SALE, "open").await).await?;
        }
        let victim = Victim::of(number);
        let hit = wave(&mut deployment, &form, &history, size, number, victim).await?;
        counted += u64::from(hit.counts(victim));
        let not = if hit.counts(victim) { "" } else { " (does not count)" };
        let Hit { answers, placing, disturbed, ready, .. } = hit;
        let what = format_args!(
            "{victim:?} killed after {answers} answers, {placing} at the store, {disturbed} attempts \
             disturbed, all ready after {ready:.1?}"
        );
        report::row(&format!("wave {}{not}", number + 1), what);
    }
    let waves = size.waves;
    checks.promise(counted == waves, format_args!("{counted} of {waves} kills count"));
    conclude(&deployment, &crowd, &history, checks).await
}

/// What a kill hit.
struct Hit {
    /// The wave was still being sent.
    inside: bool,
    /// In this wave until the kill.
    answers: u64,
    /// Orders on their way to the store when a drain was gone.
    placing: u64,
    /// Attempts of this wave that were cut, in doubt or turned away for now.
    disturbed: u64,
    /// From the kill until every process was ready again.
    ready: Duration,
}

impl Hit {
    /// It hit somebody: buyers, or, of a drain, which they do not see, orders on their way to the store.
    fn counts(&self, victim: Victim) -> bool {
        let hit = match victim {
            Victim::Drain(_) => self.placing,
            Victim::Gateway(_) | Victim::Redis => self.disturbed,
        };
        self.inside && hit > 0
    }
}

/// Sends a wave, kills in the middle of it, starts again what was killed, and lets buyers come until each is served.
async fn wave(
    deployment: &mut Deployment,
    form: &OrderForm,
    history: &Shared<History>,
    size: Size,
    number: u64,
    victim: Victim,
) -> anyhow::Result<Hit> {
    let drives = deployment.drives(form, size.connections);
    let (before, attempts) = {
        let history = look(history);
        (history.tally().ended(), history.attempts().len())
    };
    // From early in the wave to its middle, another point each time.
    let kill_after = size.buyers / 10 + number * 397 % (size.buyers * 2 / 5);
    let asks = number * size.buyers..(number + 1) * size.buyers;
    let sending = tokio::spawn({
        let (drives, history) = (drives.clone(), history.clone());
        async move { send(&drives, asks, Side::Own, &history).await }
    });
    while look(history).tally().ended() - before < kill_after && !sending.is_finished() {
        sleep(LOOK_EVERY).await;
    }
    let killed = clock::now();
    victim.kill(deployment).await?;
    let answers = look(history).tally().ended() - before;
    let inside = !sending.is_finished() && answers < size.buyers;
    let placing = match victim {
        Victim::Drain(_) => deployment.gateways[0].admin.census(SALE).await?.placing,
        Victim::Gateway(_) | Victim::Redis => 0,
    };
    victim.start_again(deployment).await?;
    deployment.ready().await?;
    let ready = killed.elapsed();
    sending.await.context("the wave broke off")?;
    // At either gateway, whichever the order was sent to.
    come_again(&drives[usize::from(number.is_multiple_of(2))], history).await;
    let disturbed = {
        let history = look(history);
        let of_wave = history.attempts().iter().skip(attempts);
        of_wave.filter(|attempt| !attempt.verdict.settles_earlier_doubt()).count() as u64
    };
    Ok(Hit { inside, answers, placing, disturbed, ready })
}

async fn conclude(
    deployment: &Deployment,
    crowd: &Crowd,
    history: &Shared<History>,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    let gateway = &deployment.gateways[0];
    let census = gateway.settled(SALE, SETTLE_WITHIN).await?;
    let what = format_args!("{} orders unsettled, epoch {}", census.unsettled(), census.epoch);
    checks.promise(census.unsettled() == 0, what);
    let unserved = look(history).unserved_asks().len();
    checks.promise(unserved == 0, format_args!("{unserved} buyers without a final answer"));
    let judgement = verdict::hear(deployment, SALE, crowd, history).await?.judgement;
    for broke in [Broke::Lost, Broke::Doubled, Broke::Oversold, Broke::TwoEnds, Broke::PaceBroken] {
        let count = judgement.count(broke);
        checks.promise(count == 0, format_args!("{broke:?} {count}"));
    }
    checks.promise(judgement.ok(), "no other finding");
    let proved = gateway.command(&["verify", "--admin", &gateway.admin.url()]).await?;
    let said = String::from_utf8_lossy(&proved.stdout);
    checks.promise(
        proved.status.success(),
        format_args!("verify: {}, {}", proved.status, said.trim()),
    );
    Ok(())
}
