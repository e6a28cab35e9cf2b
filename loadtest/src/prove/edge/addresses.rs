//! Row B-81: whose address a limit counts. Reads of tickets have a bucket of one for each address, so a second read
//! that is let through was counted as somebody else's.

use std::path::Path;

use super::exchange::exchange_from;
use super::row::{BODY, Row, SALE, SKU, get, order};
use super::{STOCK, print};
use crate::plant::Plant;
use crate::prove::Checks;

/// The only peer that is believed, and two that are not.
const PROXY: [u8; 4] = [127, 0, 0, 2];
const STRANGER: [u8; 4] = [127, 0, 0, 3];
const OTHER: [u8; 4] = [127, 0, 0, 4];

const FIRST: &str = "404 unknown_ticket open";
const AGAIN: &str = "429 rate_limited open";

pub(super) async fn prove(binary: &Path, checks: &mut Checks) -> anyhow::Result<()> {
    let settings = vec![
        ("FOREBAY_PUBLIC__TRUSTED_PROXIES", "[\"127.0.0.2/32\", \"10.0.0.0/8\"]".to_owned()),
        ("FOREBAY_LIMITS__POLLS_PER_ADDRESS", "1/h".to_owned()),
    ];
    let plant = Plant::start_with(binary, "1/s", settings).await?;
    plant.admin.create_sale(SALE, SKU, STOCK, None).await?;
    plant.phase(SALE, "open").await?;
    for (source, row) in rows() {
        let seen = exchange_from(source, plant.public.address, &row).await?;
        print(&row, &seen.text, checks);
    }
    Ok(())
}

fn rows() -> Vec<([u8; 4], Row)> {
    let many = |last: &str| {
        let others: String = (0..99).map(|n| format!("192.0.2.{n}, ")).collect();
        format!("X-Forwarded-For: {others}{last}\r\n")
    };
    let (hundred, other_hundred) =
        (many("203.0.113.7"), many("203.0.113.7").replace("192.0", "198.51"));
    let read = |source, what: &str, fields: &str, wanted| {
        (source, Row::new("B-81", what, get("/v1/tickets/x", fields), wanted))
    };
    let bought = |source, what: &str, wanted| {
        (source, Row::new("B-81", what, order("ann", "", BODY), wanted))
    };
    let claims = "X-Forwarded-For: 192.0.2.2\r\nForwarded: for=192.0.2.3\r\nX-Real-IP: 192.0.2.4\r\nX-User-Id: u\r\n";
    vec![
        read(STRANGER, "a stranger says where he is", "X-Forwarded-For: 192.0.2.1\r\n", FIRST),
        read(STRANGER, "and says something else", claims, AGAIN),
        read(OTHER, "a stranger says he is a proxy", "X-Forwarded-For: 127.0.0.2\r\n", FIRST),
        read(OTHER, "or that he is here", "X-Forwarded-For: 127.0.0.1\r\n", AGAIN),
        bought(STRANGER, "a stranger names a buyer", "401 unknown_buyer open"),
        bought(PROXY, "the proxy names a buyer", "202 open"),
        read(PROXY, "the proxy's client", "X-Forwarded-For: 192.0.2.1, 203.0.113.9\r\n", FIRST),
        read(PROXY, "with another past", "X-Forwarded-For: 192.0.2.2, 203.0.113.9\r\n", AGAIN),
        read(
            PROXY,
            "a client behind two proxies",
            "X-Forwarded-For: 203.0.113.9, 203.0.113.8, 10.0.0.1\r\n",
            FIRST,
        ),
        read(PROXY, "behind one of them", "X-Forwarded-For: 203.0.113.8\r\n", AGAIN),
        read(PROXY, "in the other field", "Forwarded: for=203.0.113.8;proto=http\r\n", AGAIN),
        read(PROXY, "the last of 100 addresses", &hundred, FIRST),
        read(PROXY, "the last of 100 others", &other_hundred, AGAIN),
        read(PROXY, "an IPv6 address with a zone", "X-Forwarded-For: fe80::1%eth0\r\n", FIRST),
        read(PROXY, "no address: counted as the proxy", "X-Forwarded-For: nonsense\r\n", AGAIN),
    ]
}
