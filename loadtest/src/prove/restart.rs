//! A rolling restart: two gateways behind HAProxy, one after the other stopped and started again under load. No
//! buyer notices.
//!
//! Each gateway has a ledger of its own, so a ticket is read at the gateway that gave it; only orders, each with a
//! key of its own, may go to either.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{Checks, Scale};
use crate::clock;
use crate::drive::{Arrivals, Drive, Driven, Shared, look, shared};
use crate::form::{Crowd, OrderForm};
use crate::gateway::{Process, free_address};
use crate::history::History;
use crate::plant::{Plant, READY_WITHIN, STOP_WITHIN};
use crate::report;
use crate::target::Target;
use crate::verdict::Verdict;
use crate::wire::full::FullWire;

const SALE: &str = "restart";
const SKU: &str = "phone";
const STOCK: u64 = 10_000_000;
/// HAProxy looks every 100 ms: it has seen `/readyz` ten times before connections end.
const LAME_DUCK: &str = "1s";
/// Orders that a gateway must have taken to count as one that is at work.
const AT_WORK: u64 = 50;
const LOOK_EVERY: Duration = Duration::from_millis(20);
const BACK_WITHIN: Duration = Duration::from_secs(30);
const SETTLE_WITHIN: Duration = Duration::from_secs(90);

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    let rounds = scale.pick(1, 5);
    let rate = scale.pick(500.0, 4_000.0);
    let connections = scale.pick(32, 128);
    let drain = scale.pick("1000/s", "5000/s");
    let settings = || vec![("FOREBAY_PUBLIC__TIMEOUTS__LAME_DUCK", LAME_DUCK.to_owned())];
    let mut plants = [
        Plant::start_with(binary, drain, settings()).await?,
        Plant::start_with(binary, drain, settings()).await?,
    ];
    for plant in &plants {
        plant.admin.create_sale(SALE, SKU, STOCK, None).await?;
        plant.phase(SALE, "open").await?;
    }
    let mut balancer = Balancer::start([&plants[0], &plants[1]]).await?;
    balancer.process.ready(&balancer.public, READY_WITHIN).await?;
    let load = Load::start(&balancer.public, rate, connections);
    for plant in &plants {
        at_work(plant).await?;
    }
    for round in 1..=rounds {
        for (plant, name) in plants.iter_mut().zip(["a", "b"]) {
            let began = clock::now();
            let status = plant.process.stop(STOP_WITHIN).await?;
            let stopped = clock::now() - began;
            plant.start_again().await?;
            // Ready is not yet seen to be ready: the other one may go when orders come here again.
            at_work(plant).await.with_context(|| format!("gateway {name}"))?;
            let what = format_args!(
                "{status} after {stopped:.1?}, ready again after {:.0?}",
                plant.ready_after
            );
            checks.promise(status.success(), format_args!("round {round}, gateway {name}: {what}"));
        }
    }
    let (history, driven) = load.end().await?;
    answered(&look(&history), &driven, checks);
    let given = tickets(&look(&history));
    accounted(&plants, given, checks).await
}

/// HAProxy in front of both, as an operator would set it up.
struct Balancer {
    process: Process,
    public: Target,
    _directory: tempfile::TempDir,
}

impl Balancer {
    async fn start(plants: [&Plant; 2]) -> anyhow::Result<Self> {
        let directory = tempfile::TempDir::with_prefix("forebay-haproxy-")?;
        let public = free_address()?;
        let file = directory.path().join("haproxy.cfg");
        std::fs::write(&file, settings(public, plants.map(|plant| plant.public.address)))?;
        let arguments = ["-db".into(), "-f".into(), file.into_os_string()];
        let process = Process::start(Path::new("haproxy"), &arguments, directory.path(), &[])
            .context("this proof puts the gateways behind HAProxy: install `haproxy`")?;
        Ok(Self { process, public: Target::from(public), _directory: directory })
    }
}

/// No retry but of connections that could not be made: what a gateway has read is its own to answer.
fn settings(public: SocketAddr, gateways: [SocketAddr; 2]) -> String {
    let [a, b] = gateways;
    format!(
        "global\n    maxconn 4000\ndefaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n    \
         timeout server 60s\n    option redispatch\nfrontend buyers\n    bind {public}\n    \
         default_backend gateways\nbackend gateways\n    balance roundrobin\n    option httpchk GET /readyz\n    \
         http-check expect status 200\n    default-server check inter 100ms fall 1 rise 1\n    server a {a}\n    \
         server b {b}\n"
    )
}

/// Buyers who come as long as they are let.
struct Load {
    history: Shared<History>,
    over: Arc<AtomicBool>,
    sending: JoinHandle<Driven>,
}

impl Load {
    fn start(target: &Target, rate: f64, connections: usize) -> Self {
        let history = shared(History::default());
        let over = Arc::new(AtomicBool::new(false));
        let drive = Drive {
            target: target.clone(),
            form: OrderForm::new(SALE, SKU, Crowd::new("restart", 1)),
            connections,
            arrivals: Arrivals::PerSecond(rate),
            patience: Duration::from_secs(30),
            late_after: Duration::from_millis(100),
        };
        let asks = {
            let over = Arc::clone(&over);
            (0..).take_while(move |_| !over.load(Ordering::Relaxed))
        };
        let recorder = history.clone();
        let sending =
            tokio::spawn(async move { drive.run::<FullWire, History>(asks, recorder).await });
        Self { history, over, sending }
    }

    async fn end(self) -> anyhow::Result<(Shared<History>, Driven)> {
        self.over.store(true, Ordering::Relaxed);
        let driven = self.sending.await.context("the load broke off")?;
        Ok((self.history, driven))
    }
}

/// Waits until a gateway takes its share of the orders.
async fn at_work(plant: &Plant) -> anyhow::Result<()> {
    let before = plant.admin.census(SALE).await?.accepted;
    let until = clock::now() + BACK_WITHIN;
    while plant.admin.census(SALE).await?.accepted < before + AT_WORK {
        if clock::now() > until {
            bail!("it gets no orders");
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Every order was answered, by a gateway, with a ticket.
fn answered(history: &History, driven: &Driven, checks: &mut Checks) {
    let tally = history.tally();
    report::row("answers", format_args!("{:?}, broken {:?}", tally.statuses(), tally.broken()));
    report::row(
        "latency",
        format_args!("p50 {:.1?}, p99 {:.1?}", tally.latency(0.5), tally.latency(0.99)),
    );
    let mut others = history
        .attempts()
        .iter()
        .filter(|attempt| !matches!(attempt.verdict, Verdict::Accepted { replayed: false, .. }));
    if let Some(first) = others.next() {
        report::row("the first of them", format_args!("{} {:?}", first.status, first.verdict));
    }
    let taken = tally.with_status(202);
    let lost = tally.ended() - taken;
    checks.promise(
        lost == 0 && driven.connections_lost == 0 && taken > 0,
        format_args!("{taken} orders answered 202, {lost} otherwise or not at all"),
    );
}

/// The tickets in the buyers' hands.
fn tickets(history: &History) -> HashSet<String> {
    let ticket = |verdict: &Verdict| match verdict {
        Verdict::Accepted { ticket, .. } => Some(ticket.to_string()),
        _ => None,
    };
    history.attempts().iter().filter_map(|attempt| ticket(&attempt.verdict)).collect()
}

/// Every ticket is in exactly one ledger and was placed, and both ledgers are in order.
async fn accounted(
    plants: &[Plant; 2],
    mut given: HashSet<String>,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    let (mut placed, mut foreign) = (0, 0);
    for (plant, name) in plants.iter().zip(["a", "b"]) {
        let census = plant.settled(SALE, SETTLE_WITHIN).await?;
        for row in plant.admin.tickets(SALE).await? {
            match given.remove(&row.ticket) {
                true => placed += usize::from(row.state == "placed"),
                false => foreign += 1,
            }
        }
        let proved = plant.command(&["verify", "--admin", &plant.admin.url()]).await?;
        let said = String::from_utf8_lossy(&proved.stdout);
        let said = said.lines().next().unwrap_or_default();
        checks.promise(
            proved.status.success() && census.unsettled() == 0,
            format_args!("gateway {name}: {} placed, verify: {said}", census.placed),
        );
    }
    checks.promise(
        given.is_empty() && foreign == 0,
        format_args!(
            "{placed} tickets placed, {} lost, {foreign} that nobody was given",
            given.len()
        ),
    );
    Ok(())
}
