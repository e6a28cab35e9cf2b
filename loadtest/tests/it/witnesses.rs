//! The store's rows against the gateway's export, without a gateway.

use forebay_loadtest::admin::{Census, OrderLine, Stock, TicketRow};
use forebay_loadtest::form::Crowd;
use forebay_loadtest::history::History;
use forebay_loadtest::judge::{Broke, Evidence, judge};
use forebay_loadtest::store::{StoreBook, StoreRow, StoreStock, read_store};
use forebay_loadtest::verdict::Verdict;

fn row(ticket: &str, line: i64) -> StoreRow {
    StoreRow {
        ticket: ticket.into(),
        line,
        sku: Some("phone".into()),
        buyer: Some(format!("buyer of {ticket}")),
        quantity: Some(1),
        state: "placed".into(),
    }
}

fn ticket(name: &str, state: &str) -> TicketRow {
    TicketRow {
        ticket: name.into(),
        buyer: format!("buyer of {name}"),
        lines: vec![OrderLine { sku: "phone".into(), quantity: 1 }],
        state: state.into(),
        attempted_at: None,
    }
}

/// Judges the store alone: nobody holds these tickets, so what the client would say is left out.
fn broke(tickets: Vec<TicketRow>, rows: Vec<StoreRow>, left: i64) -> Vec<(Broke, String)> {
    let stock = vec![StoreStock { sku: "phone".into(), initial: 2, available: left }];
    let item = Stock { sku: "phone".into(), initial: 2, sold: 2, ..Stock::default() };
    let accepted = tickets.len() as u64;
    let census = Census { items: vec![item], accepted, placed: accepted, ..Census::default() };
    let evidence = Evidence {
        tickets: Some(tickets),
        census: Some(census),
        store: Some(StoreBook { rows, stock }),
        alone: true,
        ..Evidence::default()
    };
    let judgement = judge(&History::default(), &Crowd::new("nobody", 1), &evidence);
    let found = judgement.findings.into_iter().map(|finding| (finding.broke, finding.what));
    found.filter(|(_, what)| !what.contains("was given no ticket")).collect()
}

#[test]
fn a_store_that_agrees_is_no_finding() {
    let tickets = vec![ticket("a", "placed"), ticket("b", "refused")];
    let void = StoreRow { state: "refused".into(), sku: None, quantity: None, ..row("b", 1) };
    assert_eq!(broke(tickets, vec![row("a", 1), void], 1), []);
}

#[test]
fn each_lie_of_the_store_is_named() {
    let placed = || vec![ticket("a", "placed"), ticket("b", "placed")];
    let both = || vec![row("a", 1), row("b", 1)];
    let with = |more: StoreRow| both().into_iter().chain([more]).collect::<Vec<_>>();
    let changed = StoreRow { quantity: Some(2), ..row("b", 1) };
    for (name, rows, left, wanted) in [
        ("deleted", vec![row("a", 1)], 0, Broke::Lost),
        ("doubled", with(row("b", 2)), 0, Broke::Doubled),
        ("added", with(row("c", 1)), 0, Broke::Unexpected),
        ("changed", vec![row("a", 1), changed], 0, Broke::Unexpected),
        ("one too many", with(row("c", 1)), 0, Broke::Oversold),
        ("below zero", both(), -1, Broke::Oversold),
    ] {
        let found = broke(placed(), rows, left);
        assert!(found.iter().any(|(broke, _)| *broke == wanted), "{name}: {found:?}");
    }
    let sold_and_refused = broke(vec![ticket("a", "refused")], vec![row("a", 1)], 1);
    assert!(sold_and_refused.iter().any(|(broke, _)| *broke == Broke::Unexpected));
}

#[test]
fn the_simulated_store_is_read_where_it_lies() {
    let directory = tempfile::tempdir().unwrap();
    let store = rusqlite::Connection::open(directory.path().join("store.sqlite")).unwrap();
    store
        .execute_batch(
            "CREATE TABLE forebay_orders (ticket_id BLOB, line INTEGER, sale BLOB, sku TEXT, buyer BLOB,
                                          quantity INTEGER, state TEXT);
             CREATE TABLE forebay_stock (sale TEXT, sku TEXT, initial INTEGER, available INTEGER);
             INSERT INTO forebay_orders VALUES (CAST('a' AS BLOB), 1, CAST('demo' AS BLOB), 'phone',
                                                CAST('buyer of a' AS BLOB), 1, 'placed'),
                                               ('x', 1, 'other', 'phone', 'someone', 1, 'placed'),
                                               ('b', 1, 'demo', NULL, 'buyer of b', NULL, 'void');
             INSERT INTO forebay_stock VALUES ('demo', 'phone', 2, 1), ('other', 'phone', 9, 8);",
        )
        .unwrap();
    let book = read_store(directory.path(), "demo").unwrap();
    let void = StoreRow { sku: None, quantity: None, state: "void".into(), ..row("b", 1) };
    assert_eq!(book.rows, [row("a", 1), void]);
    assert_eq!(book.stock, [StoreStock { sku: "phone".into(), initial: 2, available: 1 }]);
    assert!(read_store(&directory.path().join("nowhere"), "demo").is_err());
}

#[test]
fn verdicts_are_written_by_name() {
    let verdict = Verdict::Refused { code: "sold_out".into() };
    let text = serde_json::to_string(&verdict).unwrap();
    assert_eq!(text, r#"{"verdict":"refused","code":"sold_out"}"#);
}
