//! Where a run was made: figures of two machines are two figures.

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::scenario::Then;
use crate::admin::Admin;
use crate::descriptors;
use crate::target::Target;

/// The machine of the generator, and what it spoke to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// As the processor calls itself.
    pub cpu: String,
    /// Processors that may be used.
    pub cores: u64,
    /// The kernel's release.
    pub kernel: String,
    /// The soft limit of file descriptors.
    pub descriptors: u64,
    /// Of the load test.
    pub generator_version: String,
    /// Of the gateway, if its admin listener was asked.
    pub gateway_version: Option<String>,
    /// Gateway and generator share this machine.
    pub same_machine: bool,
    /// What makes the figures less than they seem.
    pub warnings: Vec<String>,
}

impl Environment {
    /// Looks around; raises the limit of descriptors as far as it goes.
    pub(super) async fn look(plan: &Plan, target: &Target, admin: Option<&Admin>) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model =
            cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let gateway_version = match admin {
            Some(admin) => admin.version().await.ok(),
            None => None,
        };
        let mut environment = Self {
            cpu: model.map_or("unknown", |(_, model)| model).to_owned(),
            cores,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            descriptors: descriptors::raised(),
            generator_version: env!("CARGO_PKG_VERSION").to_owned(),
            gateway_version,
            same_machine: target.address.ip().is_loopback(),
            warnings: Vec::new(),
        };
        environment.warn(plan);
        environment
    }

    fn warn(&mut self, plan: &Plan) {
        let cores = self.cores;
        if self.same_machine {
            self.warnings.push(format!(
                "gateway and generator share {cores} cores: each takes from the other, compare ratios and not figures"
            ));
        }
        let needed = needed(plan);
        if needed > self.descriptors {
            self.warnings.push(format!(
                "up to {needed} descriptors may be needed and the limit is {}: raise `ulimit -n`, here and at the gateway",
                self.descriptors
            ));
        }
    }
}

/// Connections that may be open at once: those for orders, and one for each who may wait on one of his own.
fn needed(plan: &Plan) -> u64 {
    let apart = |group: usize| {
        plan.flocks.get(group).is_some_and(|flock| {
            flock.slow.is_some() || matches!(flock.then, Then::LongPoll | Then::Stream)
        })
    };
    let mut waiting = 0.0;
    for stretch in &plan.stretches {
        let whole: f64 = stretch.groups.iter().map(|(_, weight)| weight).sum();
        let own: f64 =
            stretch.groups.iter().filter(|(group, _)| apart(*group)).map(|(_, w)| w).sum();
        waiting += stretch.expected().unwrap_or_default() * own / whole.max(f64::MIN_POSITIVE);
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of buyers")]
    let most = plan.most as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of buyers, never below 0"
    )]
    let waiting = waiting.min(most) as u64;
    plan.connections as u64 + waiting + descriptors::OWN
}
