//! Every scenario that comes with `forebay load` keeps every promise; at full scale its thresholds too.

use std::path::Path;

use clap::Parser;

use super::{Checks, Scale};
use crate::judge::Broke;
use crate::load::scenario::{Scenario, shipped};
use crate::load::{Ended, Options, measure};
use crate::plant::Plant;
use crate::report;

/// Seconds in which buyers come at small scale, and the share of the shipped rates.
const SMALL: (f64, f64) = (1.5, 0.2);
/// A soak of ten minutes is for whoever has them.
const FULL_SECONDS: f64 = 60.0;

/// The command's own options, so that a scenario is run as a user runs it.
#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

pub(super) async fn prove(binary: &Path, scale: Scale, checks: &mut Checks) -> anyhow::Result<()> {
    for (name, text) in shipped::SHIPPED {
        let plant = Plant::start(binary, "500/s").await?;
        let length: f64 = Scenario::read(name, text)?
            .phase
            .iter()
            .map(|phase| phase.length.0.as_secs_f64())
            .sum();
        let (seconds, share) = scale.pick(SMALL, (length.min(FULL_SECONDS), 1.0));
        let mut words = vec![
            "load".to_owned(),
            name.to_owned(),
            format!("--target=http://{}", plant.public.host),
            format!("--admin={}", plant.admin.url()),
            format!("--store={}", plant.store_directory().display()),
            format!("--scale={share}"),
            format!("--stretch={}", seconds / length),
        ];
        if scale == Scale::Small {
            words.push("--no-thresholds".to_owned());
        }
        let run = measure(&Line::try_parse_from(words)?.options).await?;
        let (outcome, counts) = (&run.outcome, &run.document.counts);
        let count = |name: &str| counts.get(name).copied().unwrap_or_default();
        let (orders, accepted) = (count("orders"), count("accepted"));
        let heard = outcome.judgement.witnesses.join(", ");
        let kept = outcome.ended() != Ended::InvariantBroken && accepted > 0;
        checks.promise(kept, format_args!("{name}: {accepted} of {orders} accepted ({heard})"));
        checks.promise(
            outcome.judgement.witnesses.len() == 4 && outcome.pace.is_some(),
            format_args!("{name}: everybody was heard, and the pace"),
        );
        let unsettled = outcome.judgement.count(Broke::Unsettled);
        checks.threshold(unsettled == 0, format_args!("{name}: {unsettled} orders unsettled"));
        if !outcome.judgement.ok() {
            report::judgement(&outcome.judgement);
        }
        for judged in &outcome.thresholds {
            let what = format_args!("{name}: {}: {}", judged.threshold, judged.found);
            checks.threshold(judged.kept, what);
        }
    }
    Ok(())
}
