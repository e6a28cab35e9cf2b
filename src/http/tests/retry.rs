//! `Retry-After`: never too early, and not the same for all who were refused together.

use std::collections::BTreeSet;

use super::rig::Rig;
use crate::http::answer::Answer;
use crate::http::problem::Problem;
use crate::ledger::Fault;

/// How many are refused together.
const CROWD: usize = 60;

/// That these are spread over a few seconds, the first of them after `least`.
fn are_spread(waits: &[u64], least: u64) {
    let distinct: BTreeSet<u64> = waits.iter().copied().collect();
    let (first, last) = (distinct.first().unwrap(), distinct.last().unwrap());
    assert_eq!(*first, least, "{distinct:?}");
    assert!(distinct.len() >= 3 && *last <= least + least / 5 + 2, "{distinct:?}");
    for wait in &distinct {
        let together = waits.iter().filter(|other| *other == wait).count();
        assert!(together < waits.len() / 2, "{together} of {} after {wait} s", waits.len());
    }
}

#[tokio::test]
async fn whoever_a_pause_refuses_comes_back_spread_out() {
    let mut rig = Rig::new().await;
    rig.pause_sale().await;
    let mut waits = Vec::new();
    for n in 0..CROWD {
        let (head, problem) = rig.asked(&format!("buyer-{n}")).await;
        assert_eq!((head.status, problem["code"].as_str().unwrap()), (503, "paused"));
        waits.push(head.header("retry-after").unwrap().parse().unwrap());
    }
    are_spread(&waits, 5);
}

#[tokio::test]
async fn whoever_a_stop_or_the_ledger_turns_away_comes_back_spread_out() {
    let rig = Rig::new().await;
    let waits = |problem: &dyn Fn() -> Problem| -> Vec<u64> {
        let wait = |answer: Answer| answer.headers()["retry-after"].to_str().unwrap().parse();
        (0..CROWD).map(|_| wait(problem().answer()).unwrap()).collect()
    };
    let (gateway, full) = (&rig.gateway, Fault::unavailable("the disk is full"));
    are_spread(&waits(&|| gateway.stopping()), 1);
    are_spread(&waits(&|| gateway.unavailable(&full)), 2);
    are_spread(&waits(&|| gateway.unavailable(&Fault::in_doubt("a sync failed"))), 1);
}
