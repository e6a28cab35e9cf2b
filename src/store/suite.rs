//! The one suite that every store passes: S1 to S4, the guarded decrement, numbered stock changes.

use bytes::Bytes;

use super::{Found, PlaceOrder, Placement, SharedStore};
use crate::clock::Timestamp;
use crate::order::{Buyer, KEY_BYTES, Keyring, Line, Place, TicketKey};
use crate::sale::{SaleNo, StockChange};

/// The sale of the suite.
pub(crate) const SALE: SaleNo = SaleNo(77);

/// The order with this sequence, of so many phones.
pub(crate) fn order(sequence: u64, quantity: u32) -> PlaceOrder {
    order_of(sequence, &[("phone", quantity)])
}

/// The order with this sequence and these lines.
pub(crate) fn order_of(sequence: u64, lines: &[(&str, u32)]) -> PlaceOrder {
    let ring = Keyring::default();
    ring.add(TicketKey { id: 1, secret: [1; KEY_BYTES] }).unwrap();
    let seal = ring.seal(1, SALE, Timestamp(0)).unwrap();
    let place = Place { epoch: 1, sequence };
    let buyer = Buyer::new(format!("buyer-{sequence}").as_bytes()).unwrap();
    let line =
        |(sku, quantity): &(&str, u32)| Line { sku: sku.parse().unwrap(), quantity: *quantity };
    PlaceOrder {
        ticket: seal.mint(place, Timestamp(5), seal.buyer_hash(buyer.as_str())),
        sale_no: SALE,
        sale: "suite".parse().unwrap(),
        buyer,
        place,
        lines: lines.iter().map(line).collect(),
        payload: Bytes::from_static(b"{\"size\":\"\\u4e2d\"}"),
        accepted_at: Timestamp(5),
        attempted_at: Timestamp(6),
        attempt: 1,
        confirmed: false,
    }
}

/// The change of stock with this number.
pub(crate) fn change(number: u64, sku: &str, creates: bool, delta: i64) -> StockChange {
    let (sale, sku) = ("suite".parse().unwrap(), sku.parse().unwrap());
    StockChange { sale_no: SALE, sale, number, sku, creates, delta }
}

async fn left(store: &SharedStore, sku: &str) -> (u64, u64) {
    let rows = store.stock_rows().await.unwrap();
    let row = rows.iter().find(|row| row.sku == sku).unwrap();
    (row.initial, row.available)
}

/// S1 on a store with five phones.
async fn answers_stand(store: &SharedStore) {
    let first = store.place(vec![order(1, 2), order(2, 9)]).await;
    let refused = matches!(&first[1], Placement::Refused { .. });
    assert!(is_placed(&first[0]) && refused, "{first:?}");
    let again = store.place(vec![order(2, 9), order(1, 2)]).await;
    assert_eq!(again, [first[1].clone(), first[0].clone()], "S1: a refusal is remembered too");
    let found = store.find(vec![order(1, 2).ticket, order(3, 1).ticket]).await;
    assert!(matches!(&found[0], Found::Placed { .. }), "{found:?}");
    assert_eq!(found[1], Found::NotThere);
}

/// A void, as the store itself or the shop behind it says it.
fn is_voided(placement: &Placement) -> bool {
    let told = matches!(placement, Placement::Refused { reason } if reason == "voided");
    *placement == Placement::Voided || told
}

fn is_placed(placement: &Placement) -> bool {
    matches!(placement, Placement::Placed { .. })
}

/// How many stores the suite takes.
pub(crate) const CASES: usize = 6;

/// The cases for a store that lists no rows and takes no stock changes, each on one that has so many phones.
pub(crate) async fn exercise_without_rows(mut fresh: impl FnMut(u64) -> SharedStore) {
    answers_stand(&fresh(5)).await;
    void_and_place_exclude_each_other(fresh(50)).await;
    sells_seven(&fresh(7)).await;
}

/// Every case, one after the other, each on a store of its own.
pub(crate) async fn exercise(mut fresh: impl FnMut() -> SharedStore) {
    first_result_stands(fresh()).await;
    one_bad_row_falls_out_alone(fresh()).await;
    void_and_place_exclude_each_other(fresh()).await;
    the_last_unit_is_placed_once(fresh()).await;
    changes_count_once(fresh()).await;
    pages_hold_whole_orders(fresh()).await;
}

async fn first_result_stands(store: SharedStore) {
    store.stock(vec![change(1, "phone", true, 5)]).await.unwrap();
    let first = store.place(vec![order(1, 2), order(2, 9)]).await;
    assert!(is_placed(&first[0]), "{first:?}");
    assert_eq!(first[1], Placement::Refused { reason: "sold_out_at_store".to_owned() });
    store.stock(vec![change(2, "phone", false, 100)]).await.unwrap();
    let again = store.place(vec![order(2, 9), order(1, 2)]).await;
    assert_eq!(again, [first[1].clone(), first[0].clone()], "S1: a refusal is remembered too");
    assert_eq!(left(&store, "phone").await, (105, 103));
    let found = store.find(vec![order(1, 2).ticket, order(3, 1).ticket]).await;
    assert!(matches!(&found[0], Found::Placed { .. }), "{found:?}");
    assert_eq!(found[1], Found::NotThere);
}

async fn one_bad_row_falls_out_alone(store: SharedStore) {
    store.stock(vec![change(1, "phone", true, 5), change(2, "case", true, 1)]).await.unwrap();
    let bad = order_of(2, &[("phone", 1), ("case", 2)]);
    let unknown = order_of(3, &[("phone", 1), ("ghost", 1)]);
    let good = order_of(4, &[("phone", 1), ("case", 1)]);
    let placed = store.place(vec![order(1, 1), bad, unknown, good]).await;
    let taken: Vec<bool> = placed.iter().map(is_placed).collect();
    assert_eq!(taken, [true, false, false, true], "S3: {placed:?}");
    assert_eq!(left(&store, "phone").await, (5, 3), "all lines or none");
    assert_eq!(left(&store, "case").await, (1, 0));
    let rows = store.order_rows(None).await.unwrap().rows;
    assert_eq!(rows.iter().filter(|row| row.state == "placed").count(), 3);
    let refused: Vec<_> = rows.iter().filter(|row| row.state == "refused").collect();
    assert!(refused.iter().all(|row| row.line == 1 && row.sku.is_none() && row.order_no.is_none()));
    assert_eq!(refused.len(), 2);
}

async fn void_and_place_exclude_each_other(store: SharedStore) {
    store.stock(vec![change(1, "phone", true, 50)]).await.unwrap();
    let placed = store.place(vec![order(1, 1)]).await;
    let found = store.void(vec![order(1, 1), order(2, 1)]).await;
    assert!(matches!(&found[0], Found::Placed { .. }), "S4: {placed:?} {found:?}");
    assert_eq!(found[1], Found::Voided);
    let late = store.place(vec![order(2, 1)]).await;
    assert!(is_voided(&late[0]), "S4: {late:?}");
    for sequence in 10..40 {
        let (place, void) =
            (store.place(vec![order(sequence, 1)]), store.void(vec![order(sequence, 1)]));
        let (placed, voided) = tokio::join!(place, void);
        match (&placed[0], &voided[0]) {
            (Placement::Placed { .. }, Found::Placed { .. }) => {}
            (late, Found::Voided) if is_voided(late) => {}
            both => panic!("S4: {both:?}"),
        }
    }
}

async fn the_last_unit_is_placed_once(store: SharedStore) {
    store.stock(vec![change(1, "phone", true, 7)]).await.unwrap();
    sells_seven(&store).await;
    assert_eq!(left(&store, "phone").await, (7, 0));
}

async fn sells_seven(store: &SharedStore) {
    let calls = (1..=8).map(|batch| {
        let orders = (0..5).map(|nth| order(batch * 100 + nth, 1)).collect();
        store.place(orders)
    });
    let placed = futures_util::future::join_all(calls).await;
    assert_eq!(placed.iter().flatten().filter(|one| is_placed(one)).count(), 7);
}

async fn changes_count_once(store: SharedStore) {
    let changes = vec![change(1, "phone", true, 5), change(2, "phone", false, 3)];
    store.stock(changes.clone()).await.unwrap();
    store.stock(changes).await.unwrap();
    store.stock(vec![change(2, "phone", false, 3), change(3, "phone", false, -4)]).await.unwrap();
    assert_eq!(left(&store, "phone").await, (4, 4));
}

async fn pages_hold_whole_orders(store: SharedStore) {
    store
        .stock(vec![change(1, "phone", true, 9_000), change(2, "case", true, 9_000)])
        .await
        .unwrap();
    for batch in 0..5u64 {
        let two = |nth| order_of(batch * 1_000 + nth + 1, &[("phone", 1), ("case", 1)]);
        let placed = store.place((0..500).map(two).collect()).await;
        assert!(placed.iter().all(is_placed));
    }
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = store.order_rows(after).await.unwrap();
        assert!(
            page.rows.chunks(2).all(|rows| rows.len() == 2 && rows[0].ticket == rows[1].ticket)
        );
        seen.extend(page.rows.into_iter().map(|row| (row.ticket, row.line)));
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!(seen.len(), 5_000);
    assert!(seen.is_sorted());
}
