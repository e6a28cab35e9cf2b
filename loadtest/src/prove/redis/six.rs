//! Calls that are carried out six times: replies are lost on the way, so that the gateway asks again, and every call
//! that took orders is then sent five times more, byte by byte. Nothing changes but who was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, ensure};

use super::deployment::{Deployment, come_again};
use super::{Checks, SKU, Scale};
use crate::drive::{look, shared};
use crate::form::{Crowd, OrderForm};
use crate::history::History;
use crate::plant::Plant;
use crate::proxy::{After, Calls, Direction, Fault, Proxy};
use crate::resp::{Client, Value};
use crate::wire::full::FullWire;

const SALE: &str = "six";
/// The first one, and so many repeats.
const REPEATS: u64 = 5;
const RESERVE: &str = "*_reserve";
const CONNECTIONS: usize = 16;

/// The calls that were seen, word by word.
type Seen = Arc<Mutex<BTreeSet<Vec<Vec<u8>>>>>;

pub(super) async fn prove(
    deployment: &Deployment,
    binary: &Path,
    scale: Scale,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    let (buyers, lost) = scale.pick((60, 20), (1_000, 200));
    let proxy = Proxy::start(deployment.redis.address())?;
    let seen = watch(&proxy);
    let gateway = deployment.gateway_by(binary, format!("redis://{}", proxy.address())).await?;
    // Half of the buyers are refused, so that refusals are repeated too.
    let units = buyers / 2;
    deployment.open(SALE, units, Some(1)).await?;
    gateway.phase(SALE, "open").await?;
    one_buyer(&gateway, &proxy, checks).await?;
    let form = OrderForm::new(SALE, SKU, Crowd::new(SALE, 1));
    let (drive, history) = (gateway.drive(&form, CONNECTIONS), shared(History::default()));
    let dropping = Fault::drop_reply(After::Reset).of_function(RESERVE).times(lost);
    let dropping = proxy.inject(dropping);
    drive.run::<FullWire, History>(1..buyers, history.clone()).await;
    come_again(&drive, &history).await;
    let hits = dropping.lift();
    let fates = look(&history).fates();
    let taken = fates.values().filter(|fate| fate.tickets.len() == 1).count() as u64;
    let census = gateway.admin.census(SALE).await?;
    let held = census.items.first().context("no item in the census")?;
    checks.promise(
        hits > 0 && taken == units - 1 && census.accepted == units && held.held == units,
        format_args!(
            "{hits} replies lost: {} tickets in hands, {} orders and {} units in the ledger, of {units}",
            taken + 1,
            census.accepted,
            held.held
        ),
    );
    repeat(deployment, &seen, checks).await?;
    gateway.admin.pause_drain(false).await?;
    let census = gateway.settled(SALE, Duration::from_secs(60)).await?;
    let verified = gateway.admin.verify().await?;
    for finding in verified.findings.iter().take(3) {
        crate::report::row("found", finding);
    }
    let what = format_args!("{} of {units} placed, verify finds nothing", census.placed);
    checks.promise(verified.ok && census.placed == units, what);
    Ok(())
}

/// Notes every call that takes orders; does nothing to them.
fn watch(proxy: &Proxy) -> Seen {
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let calls = Calls::that(move |call| {
        if call.function().is_some_and(|name| name.ends_with("_reserve")) {
            look(&noted).insert(call.words().to_vec());
        }
        false
    });
    proxy.inject(Fault::delay(Direction::Requests, Duration::ZERO).of(calls));
    seen
}

/// One order, of which five replies are lost one after the other: the sixth answer is the ticket, the only one.
async fn one_buyer(gateway: &Plant, proxy: &Proxy, checks: &mut Checks) -> anyhow::Result<()> {
    let form = OrderForm::new(SALE, SKU, Crowd::new(SALE, 1));
    let (drive, history) = (gateway.drive(&form, 1), shared(History::default()));
    let dropping =
        proxy.inject(Fault::drop_reply(After::Reset).of_function(RESERVE).times(REPEATS));
    drive.run::<FullWire, History>(0..1, history.clone()).await;
    come_again(&drive, &history).await;
    let hits = dropping.lift();
    let fate = look(&history).fates().remove(&0).unwrap_or_default();
    let census = gateway.admin.census(SALE).await?;
    checks.promise(
        hits == REPEATS && fate.tickets.len() == 1 && census.accepted == 1,
        format_args!(
            "one key, {hits} replies lost: {} ticket, {} order in the ledger",
            fate.tickets.len(),
            census.accepted
        ),
    );
    Ok(())
}

/// Sends every call that was seen five times more.
async fn repeat(deployment: &Deployment, seen: &Seen, checks: &mut Checks) -> anyhow::Result<()> {
    let mut client = deployment.redis.client().await?;
    let calls: Vec<_> = look(seen).iter().cloned().collect();
    let key = calls.first().and_then(|call| call.get(3)).context("no call was seen")?;
    let key = String::from_utf8(key.clone())?;
    let base = key.strip_suffix('m').context("a function of another key")?;
    let before = State::of(&mut client, base).await?;
    ensure!(before.keys.len() > 3, "the sale has only the keys {:?}", before.keys);
    for call in &calls {
        for _ in 0..REPEATS {
            client.ask(call).await?;
        }
    }
    let after = State::of(&mut client, base).await?;
    let changed = before.differs(&after);
    let what = format_args!(
        "{} calls, {REPEATS} times more each: {} keys are as they were, changed: {changed:?}",
        calls.len(),
        after.keys.len()
    );
    checks.promise(changed.is_empty(), what);
    Ok(())
}

/// All that Redis holds of one sale.
struct State {
    /// The digest of each key's value, but for the sale's own, whose fields are compared.
    keys: BTreeMap<String, String>,
    fields: BTreeMap<String, String>,
}

/// A replay is written down, so that a `WAIT` behind it means something.
const REPLAYED: &str = "replayed";

impl State {
    async fn of(client: &mut Client, base: &str) -> anyhow::Result<Self> {
        let listed = client.ask(&["KEYS", &format!("{base}*")]).await?;
        let own = format!("{base}m");
        let mut keys = BTreeMap::new();
        for key in listed.list().iter().map(Value::text).filter(|key| *key != own) {
            let digest = client.ask(&["DEBUG", "DIGEST-VALUE", &key]).await?.text();
            keys.insert(key, digest);
        }
        let words = client.ask(&["HGETALL", &own]).await?;
        let words: Vec<String> = words.list().iter().map(Value::text).collect();
        let pair = |pair: &[String]| Some((pair.first()?.clone(), pair.get(1)?.clone()));
        let fields = words.chunks(2).filter_map(pair);
        Ok(Self { keys, fields: fields.filter(|(name, _)| name != REPLAYED).collect() })
    }

    /// The names of what is not the same.
    fn differs(&self, other: &Self) -> BTreeSet<String> {
        let part = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let differ = names.into_iter().filter(|name| a.get(*name) != b.get(*name));
            differ.cloned().collect::<BTreeSet<_>>()
        };
        let mut names = part(&self.keys, &other.keys);
        names.extend(part(&self.fields, &other.fields));
        names
    }
}
