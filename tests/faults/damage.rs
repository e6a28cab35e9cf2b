//! Files that cannot be trusted are refused by name, and left as they are; with a good copy put back nothing is
//! missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use forebay_loadtest::drive::{Shared, shared};
use forebay_loadtest::form::{Crowd, OrderForm};
use forebay_loadtest::history::History;
use forebay_loadtest::wire::full::FullWire;
use rusqlite::Connection;

use super::rig::{Plant, scale};

/// Where every file says its format. What is there is believed before the checksum, whose place it may change.
const VERSION: std::ops::Range<usize> = 8..12;

/// A gateway that was stopped in order: with a snapshot, several segments behind it, and perhaps orders that wait.
struct Used {
    plant: Plant,
    crowd: Crowd,
    history: Shared<History>,
    orders: u64,
}

async fn used() -> Used {
    let plant = Plant::new()
        .set("ledger.embedded.segment_size=4KiB")
        .set("ledger.embedded.snapshot_after=20KiB");
    let (crowd, history) = (Crowd::new("used", 1), shared(History::default()));
    let mut orders = 0;
    loop {
        let gateway = plant.start().await;
        gateway.sale("one", 100_000).await;
        let drive = gateway.drive(&OrderForm::new("one", "phone", crowd.clone()), 4);
        drive.run::<FullWire, History>(orders..orders + 30, history.clone()).await;
        gateway.stop().await.well();
        orders += 30;
        // Only of a ledger that was closed it is certain which files it has.
        let count = |prefix| names(&plant.ledger(), prefix).len();
        if count("snapshot-") > 0 && count("journal-") > 2 {
            return Used { plant, crowd, history, orders };
        }
        assert!(orders < 10_000, "never a snapshot and segments behind it");
    }
}

impl Used {
    /// It starts again, and nothing is missing.
    async fn is_whole(&self) {
        let gateway = self.plant.start().await;
        let evidence = gateway.proves(&self.crowd, "one", &self.history).await;
        assert_eq!(evidence.census.unwrap().placed, self.orders);
        gateway.stop().await.well();
    }
}

/// The files of a directory whose names begin so, in order.
fn names(directory: &Path, prefix: &str) -> Vec<PathBuf> {
    let begins = |path: &PathBuf| name(path).starts_with(prefix);
    files(directory).into_keys().filter(begins).collect()
}

/// Every file of a directory but the lock, whose content is only a note.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let kept = paths.filter(|path| name(path) != "lock");
    kept.filter_map(|path| Some((path.clone(), std::fs::read(path).ok()?))).collect()
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// So many places, evenly spread over what is written in a file.
fn places(bytes: &[u8], count: usize) -> Vec<usize> {
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    (0..count).map(|nth| nth * end / (count - 1).max(1)).collect()
}

#[tokio::test]
async fn a_changed_byte_of_the_ledger_is_refused_with_file_and_place() {
    let used = used().await;
    let before = files(&used.plant.ledger());
    let journal = names(&used.plant.ledger(), "journal-");
    let last = journal.last().unwrap();
    for (path, bytes) in &before {
        let count = match name(path).split('-').next().unwrap() {
            // Both ends and the middle; what was acknowledged last is no torn tail after a clean close.
            "journal" if path == last => 5 * scale() as usize,
            "journal" | "snapshot" | "keys" => 2 * scale() as usize,
            _ => continue,
        };
        for at in places(bytes, count.max(2)) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            std::fs::write(path, &changed).unwrap();
            let refusal = used.plant.refused().await;
            refusal.is(1, &[path.to_str().unwrap()]);
            if VERSION.contains(&at) {
                assert!(refusal.said.contains("use a newer Forebay"), "{}", refusal.said);
                std::fs::write(path, bytes).unwrap();
                continue;
            }
            refusal.is(1, &["is damaged at byte ", "from a copy"]);
            let said = refusal.said.split("is damaged at byte ").nth(1).unwrap();
            let said: usize = said.split(':').next().unwrap().parse().unwrap();
            assert!(said <= at, "byte {at} was changed: {}", refusal.said);
            std::fs::write(path, bytes).unwrap();
            assert_eq!(files(&used.plant.ledger()), before, "nothing was changed");
        }
    }
    used.is_whole().await;
}

#[tokio::test]
async fn a_file_of_the_ledger_that_is_gone_is_missed() {
    let used = used().await;
    let before = files(&used.plant.ledger());
    let journal = names(&used.plant.ledger(), "journal-");
    let (middle, last) = (&journal[journal.len() / 2], journal.last().unwrap());
    let keys = &used.plant.ledger().join("keys");
    for (gone, word) in [(middle, "is missing"), (keys, "is missing"), (last, "closed in order")] {
        std::fs::remove_file(gone).unwrap();
        used.plant.refused().await.is(1, &[used.plant.ledger().to_str().unwrap(), word, "restore"]);
        std::fs::write(gone, &before[gone]).unwrap();
    }
    used.is_whole().await;
}

#[tokio::test]
async fn a_newer_format_is_left_to_the_newer_program() {
    let used = used().await;
    for (path, bytes) in files(&used.plant.ledger()) {
        // Where the checksum of the head lies: see the formats in `ledger::embedded`.
        let check = match name(&path).split('-').next().unwrap() {
            "journal" => 32,
            "snapshot" | "keys" => 28,
            _ => continue,
        };
        let mut newer = bytes.clone();
        newer[VERSION].copy_from_slice(&2u32.to_le_bytes());
        let sum = crc32c::crc32c(&newer[..check]);
        newer[check..check + 4].copy_from_slice(&sum.to_le_bytes());
        std::fs::write(&path, newer).unwrap();
        let words = [path.to_str().unwrap(), "format 2", "reads up to 1", "use a newer Forebay"];
        used.plant.refused().await.is(1, &words);
        std::fs::write(&path, bytes).unwrap();
    }
    used.is_whole().await;
}

#[tokio::test]
async fn a_store_that_cannot_be_used_is_named_and_costs_no_order() {
    let used = used().await;
    let file = used.plant.store().join("store.sqlite");
    let good = std::fs::read(&file).unwrap();
    let mut malformed = good.clone();
    malformed.iter_mut().skip(4_096).for_each(|byte| *byte ^= 0x55);
    let text = "no database ".repeat(1_000).into_bytes();
    for (bytes, words) in [(text, "not a database"), (malformed, "malformed")] {
        std::fs::write(&file, bytes).unwrap();
        let words = [file.to_str().unwrap(), words, "restore it from a copy"];
        used.plant.refused().await.is(1, &words);
    }
    let without_key =
        "CREATE TABLE other AS SELECT * FROM forebay_orders; DROP TABLE forebay_orders;
                       ALTER TABLE other RENAME TO forebay_orders";
    let newer = "PRAGMA user_version = 9";
    for (sql, words) in [
        (without_key, ["forebay_orders", "PRIMARY KEY", "twice"]),
        (newer, ["version 9", "reads up to 1", "use a newer Forebay"]),
    ] {
        std::fs::write(&file, &good).unwrap();
        Connection::open(&file).unwrap().execute_batch(sql).unwrap();
        used.plant.refused().await.is(4, &[&words[..], &[file.to_str().unwrap()]].concat());
    }
    std::fs::write(&file, &good).unwrap();
    let other = Connection::open(&file).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let words = [file.to_str().unwrap(), "locked", "stop that program first"];
    used.plant.refused().await.is(1, &words);
    drop(other);
    used.is_whole().await;
}

#[tokio::test]
async fn a_torn_tail_is_cut_off_and_told() {
    let plant = Plant::new().set("drain.rate=unlimited");
    let (crowd, history) = (Crowd::new("torn", 1), shared(History::default()));
    let mut gateway = plant.start().await;
    gateway.sale("one", 1_000).await;
    let drive = gateway.drive(&OrderForm::new("one", "phone", crowd.clone()), 4);
    drive.run::<FullWire, History>(0..50, history.clone()).await;
    gateway.settled("one").await;
    gateway.process.kill().await.unwrap();
    let path = plant.ledger().join("journal-0000000001");
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    // A record that was being written: a length, and less than that.
    bytes[end + 16..end + 80].fill(0x33);
    std::fs::write(&path, bytes).unwrap();
    let gateway = plant.start().await;
    let told = gateway.process.text().await;
    assert!(told.contains("cut a torn tail off the journal"), "{told}");
    let evidence = gateway.proves(&crowd, "one", &history).await;
    assert_eq!(evidence.census.unwrap().placed, 50);
    gateway.stop().await.well();
}
