//! Redis as the ledger of a deployment: two gateways and two drains, each a process with a directory of its own.
//! Together they sell exactly what there is, at one pace; what waits and what is sold out costs Redis nothing; calls
//! that are carried out six times change nothing; and `kill -9` of any of them, Redis too, loses nothing.

mod crowd;
mod deployment;
mod quiet;
mod readings;
mod six;
mod verdict;
mod waves;

use std::path::Path;

use self::deployment::Deployment;
use super::{Checks, Scale};

const SKU: &str = "phone";
/// As it is by default.
const EXCHANGE_MICROS: u32 = 32;

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    let rate = scale.pick("100/s", "500/s");
    let deployment = Deployment::start(binary, rate, EXCHANGE_MICROS).await?;
    crowd::prove(&deployment, scale, checks).await?;
    quiet::prove(&deployment, scale, checks).await?;
    six::prove(&deployment, binary, scale, checks).await?;
    drop(deployment);
    waves::prove(binary, scale, checks).await
}
