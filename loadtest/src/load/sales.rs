//! The sales that a run orders from: made by it, or looked for.

use std::time::Duration;

use anyhow::{Context, bail};
use hyper::Method;
use serde_json::Value;
use tokio::time::sleep;

use super::Mistake;
use super::plan::Wanted;
use crate::admin::Admin;
use crate::call::call;
use crate::clock;
use crate::target::Target;

/// What was made is known everywhere half a second later.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Makes the sales that are to be made and waits until buyers can see all of them.
pub(super) async fn ready(
    sales: &mut [Wanted],
    admin: Option<&Admin>,
    target: &Target,
) -> anyhow::Result<()> {
    for sale in sales {
        if let Some(admin) = admin
            && (sale.own || !admin.knows(&sale.name).await?)
        {
            let made = admin.put_sale(&sale.name, &sale.terms).await;
            made.with_context(|| format!("the sale {} cannot be made", sale.name))?;
            sale.own = true;
        }
        seen(sale, target).await?;
    }
    Ok(())
}

async fn seen(sale: &Wanted, target: &Target) -> anyhow::Result<()> {
    let until = clock::now() + KNOWN_WITHIN;
    loop {
        let path = format!("/v1/sales/{}", sale.name);
        let reply = call(target, Method::GET, &path, None, None).await?;
        let phase = match reply.status {
            404 => None,
            _ => reply.json()?.get("phase").and_then(Value::as_str).map(str::to_owned),
        };
        match phase.as_deref() {
            None if !sale.own => {
                let (name, host) = (&sale.name, &target.host);
                let what = format!(
                    "there is no sale {name} at {host}: give --admin URL, so that it is made, or --sale NAME for one that is there"
                );
                bail!(Mistake::Usage(what));
            }
            Some("open") => return Ok(()),
            // In what others sell, the run meets what it meets.
            Some(_) if !sale.own => return Ok(()),
            _ if clock::now() >= until => {
                let name = &sale.name;
                bail!(
                    "sale {name} was made and is {} at {}",
                    phase.as_deref().unwrap_or("unknown"),
                    target.host
                )
            }
            _ => sleep(LOOK_EVERY).await,
        }
    }
}
