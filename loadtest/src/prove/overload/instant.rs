//! The instant in which a sale opens: everybody connects at once, and nobody is dropped at the door.

use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::SKU;
use crate::clock;
use crate::form::{Crowd, OrderForm};
use crate::plant::Plant;
use crate::prove::{Checks, Scale};
use crate::wire::Wire;
use crate::wire::lean::LeanWire;

const SALE: &str = "instant";
/// A connection that was dropped at the door is tried again by the kernel after a second.
const PATIENCE: Duration = Duration::from_secs(30);
/// Within this time all have begun to connect.
const INSTANT: Duration = Duration::from_millis(100);

/// So many buyers, each on a connection of his own.
pub(super) async fn prove(
    plant: &Plant,
    buyers: u64,
    scale: Scale,
    checks: &mut Checks,
) -> anyhow::Result<()> {
    plant.admin.create_limited_sale(SALE, SKU, buyers, None).await?;
    plant.phase(SALE, "open").await?;
    let form = OrderForm::new(SALE, SKU, Crowd::new(SALE, 1)).with_payload_of_100_bytes();
    let before = listen_drops()?;
    let began = clock::now();
    let mut ordering = JoinSet::new();
    for ask in 0..buyers {
        let (target, form) = (plant.public.clone(), form.clone());
        ordering.spawn(async move {
            let begun = clock::now();
            let exchange = async {
                let mut wire = LeanWire::connect(&target, &form).await.ok()?;
                wire.exchange(ask).await.ok()?;
                Some(wire.answer().status)
            };
            (begun, timeout(PATIENCE, exchange).await.ok().flatten())
        });
    }
    let done = ordering.join_all().await;
    let all_in = done.iter().map(|(begun, _)| *begun - began).max().unwrap_or_default();
    let accepted = done.iter().filter(|(_, status)| *status == Some(202)).count();
    let dropped = listen_drops()? - before;
    let what = format!("{buyers} buyers in {} ms: {accepted} accepted", all_in.as_millis());
    checks.promise(accepted as u64 == buyers, what);
    if scale == Scale::Full {
        checks.threshold(all_in <= INSTANT, "they came in one instant");
    }
    checks.promise(dropped == 0, format_args!("{dropped} connections dropped at the door"));
    Ok(())
}

/// Connections that this machine's listeners have dropped since it was started.
fn listen_drops() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/net/netstat").context("/proc/net/netstat")?;
    parse(&text).context("/proc/net/netstat has no ListenDrops")
}

fn parse(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split(' ').position(|name| name == "ListenDrops")?;
    values.split(' ').nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_read_by_their_name() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 2 3\nIpExt: A\nIpExt: 4\n";
        assert_eq!(parse(text), Some(3));
        assert_eq!(parse("IpExt: A\nIpExt: 4\n"), None);
        assert!(listen_drops().is_ok());
    }
}
