//! A sale that is verified again and again while it runs. Each look must be right by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::shop::Shop;
use crate::ledger::{Ledger, SharedLedger};
use crate::verify::look;

const ORDERS: u64 = 400;

async fn work(shop: &Shop, done: &AtomicU64) {
    for buyer in 0..ORDERS {
        shop.order(buyer, if buyer % 4 == 0 { 2 } else { 1 }).await;
        match buyer % 8 {
            3 => shop.cancel(buyer + 1).await,
            7 => shop.drain(6).await,
            _ => {}
        }
        done.store(buyer + 1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_that_runs_is_verified_without_a_false_finding() {
    for _ in 0..crate::ledger::suite::scale() {
        let shop = Arc::new(Shop::open(Some(2)).await);
        let done = Arc::new(AtomicU64::new(0));
        let working = tokio::spawn({
            let (shop, done) = (Arc::clone(&shop), Arc::clone(&done));
            async move { work(&shop, &done).await }
        });
        let accounts: SharedLedger = Arc::clone(&shop.ledger) as SharedLedger;
        let (mut looks, mut moving) = (0, 0);
        while !working.is_finished() || looks < 3 {
            let before = done.load(Ordering::Relaxed);
            let seen = look::look(&accounts, &*shop.store, &shop.keyring).await.unwrap();
            let (findings, _) = seen.findings.into_parts();
            assert_eq!(findings, [], "after {before} orders");
            looks += 1;
            moving += u32::from(done.load(Ordering::Relaxed) > before);
        }
        working.await.unwrap();
        assert!(moving > 3, "{moving} of {looks} looks saw a sale that moved");
        let census = shop.ledger.sales().await.unwrap().remove(0).census;
        assert_eq!(census.accepted, ORDERS);
        assert!(census.placed > 200 && census.cancelled > 40, "{census:?}");
    }
}
