//! How far a run is, on stderr: a bar on a terminal, a plain line every few seconds elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::timeout;

use super::engine::Engine;
use crate::drive::look;
use crate::output;

const LINE_EVERY: Duration = Duration::from_secs(2);
const BAR_EVERY: Duration = Duration::from_millis(200);

/// Runs `work` to its end and says meanwhile how far `engine` is.
pub(super) async fn while_running(engine: &Engine, work: impl Future<Output = ()>) {
    tokio::pin!(work);
    let bar = std::io::stderr().is_terminal().then(|| bar(engine.plan.expected()));
    let every = if bar.is_some() { BAR_EVERY } else { LINE_EVERY };
    while timeout(every, &mut work).await.is_err() {
        let (orders, text) = told(engine);
        match &bar {
            Some(bar) => {
                bar.set_position(orders);
                bar.set_message(text);
            }
            None => match engine.plan.expected() {
                Some(all) => output::note(format_args!("{orders} of about {all} orders, {text}")),
                None => output::note(format_args!("{orders} orders, {text}")),
            },
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn told(engine: &Engine) -> (u64, String) {
    let seen = look(&engine.seen);
    let (counts, orders) = (&seen.counts, &seen.orders);
    let waiting = engine.errands.alive();
    let text = format!(
        "{} accepted, p99 {:.1?}, {waiting} buyers are there, {} late, {} dropped",
        counts.accepted,
        orders.latency(0.99),
        counts.late,
        engine.errands.dropped(),
    );
    (counts.orders, text)
}

fn bar(expected: Option<u64>) -> ProgressBar {
    let template = match expected {
        Some(_) => "{elapsed_precise} [{bar:30}] {pos}/{len} orders  {msg}",
        None => "{elapsed_precise} {spinner} {pos} orders  {msg}",
    };
    // The template is a constant; were it wrong, the plain one does as well.
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(expected, ProgressDrawTarget::stderr()).with_style(style)
}
