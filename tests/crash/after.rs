//! What must hold after a death: everything acknowledged is there, and only what was asked.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use forebay::clock::{ManualClock, SharedClock};
use forebay::ledger::book::Book;
use forebay::ledger::embedded::{Config, Durability, Embedded, offline};
use forebay::order::Keyring;
use tempfile::TempDir;

use super::child::config;
use super::script::{self, AFTERWARDS, Judge, START, Step, life, step, when};

/// What is asked of a ledger that came back: the same orders again, new ones, and all that waits with its payload.
const QUESTIONS: [Step; 5] = [
    Step::Orders("early", 0..14),
    Step::Orders("late", 0..26),
    Step::RetryDead("early"),
    Step::Claim("early", 100),
    Step::Claim("late", 100),
];

/// A stretch of the life as it must go: the book before anything, once it is open, and after each step; and what
/// it says.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) opened_at: Duration,
    pub(crate) steps: Range<usize>,
    pub(crate) books: Vec<Judge>,
    pub(crate) answers: Vec<String>,
}

/// A way in which a ledger may come back: the book that it held, and whether a new epoch begins.
#[derive(Clone, Debug)]
pub(crate) struct MayBe {
    pub(crate) judge: Judge,
    pub(crate) new_epoch: bool,
}

impl Course {
    pub(crate) fn whole() -> Self {
        Self::part(Judge::new(), 0..life().len())
    }

    /// A part of the life, in order with what was before.
    pub(crate) fn part(judge: Judge, steps: Range<usize>) -> Self {
        let opened_at = Duration::from_millis(steps.start as u64);
        Self::on_from(&MayBe { judge, new_epoch: false }, opened_at, steps)
    }

    /// Steps that are taken when the ledger has come back.
    pub(crate) fn on_from(from: &MayBe, opened_at: Duration, steps: Range<usize>) -> Self {
        let mut judge = from.judge.clone();
        let mut books = vec![judge.clone()];
        judge.open(from.new_epoch, opened_at);
        books.push(judge.clone());
        let mut answers = vec!["open 0".to_owned()];
        for n in steps.clone() {
            let when = when(n).max(opened_at);
            answers.push(format!("did {}", judge.take(&step(n), script::at(when))));
            books.push(judge.clone());
        }
        answers.push("closed".to_owned());
        Self { opened_at, steps, books, answers }
    }

    pub(crate) fn last(&self) -> &Judge {
        self.books.last().expect("there is one before anything")
    }

    /// What may be there after this many answers: the next step may have been taken too.
    pub(crate) fn may_be(&self, answered: usize) -> Vec<MayBe> {
        let last = self.books.len() - 1;
        let books = &self.books[answered.min(last)..=(answered + 1).min(last)];
        books.iter().map(|judge| MayBe { judge: judge.clone(), new_epoch: false }).collect()
    }

    /// The same after a power cut, when commits were not synced: anything may be missing behind the open, and
    /// then a new epoch says so. Only a ledger that was closed, or that was not yet opened, goes on as it was.
    pub(crate) fn may_be_unsynced(&self, answered: usize) -> Vec<MayBe> {
        let last = self.books.len() - 1;
        let cut_short = &self.books[1..=(answered + 1).min(last)];
        let cut_short = cut_short.iter().map(|judge| (judge, true));
        let before = (answered == 0).then_some((&self.books[0], false));
        let after = (answered >= last).then_some((&self.books[last], false));
        let all = cut_short.chain(before).chain(after);
        all.map(|(judge, new_epoch)| MayBe { judge: judge.clone(), new_epoch }).collect()
    }
}

impl MayBe {
    /// The book once it was opened again.
    pub(crate) fn opened(&self) -> Self {
        let mut judge = self.judge.clone();
        judge.open(self.new_epoch, AFTERWARDS);
        Self { judge, new_epoch: false }
    }
}

/// Answers are long: only where they begin to differ is told.
#[track_caller]
pub(crate) fn same(answer: &str, expected: &str) {
    if answer != expected {
        let same = answer.bytes().zip(expected.bytes()).take_while(|(one, other)| one == other);
        let from = same.count().saturating_sub(60);
        let near = |text: &str| text.chars().skip(from).take(160).collect::<String>();
        panic!("it said: …{}…\nand not: …{}…", near(answer), near(expected));
    }
}

pub(crate) fn open(config: &Config, since: Duration) -> (Embedded, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(START.plus(since)));
    let shared: SharedClock = Arc::<ManualClock>::clone(&clock);
    let ledger = Embedded::open(config, &shared, &Keyring::default());
    (ledger.unwrap_or_else(|error| panic!("it does not open again: {error}")), clock)
}

/// A directory of its own, in memory where there is such a place: what a killed process wrote is there all the
/// same, on whatever it wrote.
pub(crate) fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a directory can be made")
}

pub(crate) fn copy(from: &Path) -> TempDir {
    let to = directory();
    for entry in std::fs::read_dir(from).expect("it can be read").flatten() {
        std::fs::copy(entry.path(), to.path().join(entry.file_name())).expect("it can be copied");
    }
    to
}

/// The book as it lies on disk, with every law recomputed, and the bytes of a torn tail behind it.
pub(crate) fn on_disk(directory: &Path) -> (Vec<u8>, u64) {
    let read = offline::read(directory, &Keyring::default());
    let read = read.unwrap_or_else(|error| panic!("it cannot be read: {error}"));
    assert_eq!(read.book.audit(), []);
    (script::bytes(&read.book), read.torn_bytes)
}

/// A book in a few words.
fn told(book: &Book) -> String {
    let sales = book.sales(script::at(AFTERWARDS));
    let sales = sales.iter().map(|sale| format!("{} {:?}", sale.name, sale.census));
    format!("epoch {}: {}", book.epoch(), sales.collect::<Vec<_>>().join("; "))
}

fn names(directory: &Path) -> Vec<String> {
    let names = std::fs::read_dir(directory).expect("it can be read").flatten();
    names.map(|entry| entry.file_name().into_string().expect("names are text")).collect()
}

/// Opens what a death left behind, twice, and asks it questions. Answers which of `may_be` it was: more than one
/// where they differ only in how often they were opened.
pub(crate) fn examine(directory: &Path, may_be: &[MayBe]) -> Vec<MayBe> {
    let begun = names(directory).iter().any(|name| name.starts_with("journal-"));
    let torn = if begun { on_disk(directory).1 } else { 0 };
    let config = config(directory, Durability::Disk);
    let (first, _) = open(&config, AFTERWARDS);
    let opened = first.opened();
    assert_eq!(opened.torn_bytes, torn, "what is cut off is what was torn");
    drop(first);
    let (there, _) = on_disk(directory);
    let is = |one: &&MayBe| {
        one.new_epoch == opened.new_epoch && script::bytes(&one.opened().judge.book) == there
    };
    let found: Vec<MayBe> = may_be.iter().filter(is).cloned().collect();
    if found.is_empty() {
        let all: Vec<String> = may_be.iter().map(|one| told(&one.opened().judge.book)).collect();
        let there = offline::read(directory, &Keyring::default()).map(|read| told(&read.book));
        panic!("{opened:?} gave {there:#?}, and not one of {all:#?}")
    }
    let left: Vec<String> = names(directory);
    let left: Vec<&String> = left.iter().filter(|name| name.ends_with(".tmp")).collect();
    assert!(left.is_empty(), "{left:?} are left lying");
    let (second, _) = open(&config, AFTERWARDS);
    assert!(!second.opened().new_epoch, "nothing can be missing");
    drop(second);
    assert!(on_disk(directory) == (there, 0), "another open of the same files gives another book");
    question(&config, found[0].opened().judge);
    found
}

fn question(config: &Config, mut judge: Judge) {
    let (ledger, _) = open(config, AFTERWARDS);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    judge.open(false, AFTERWARDS);
    for step in QUESTIONS {
        let answer = runtime.block_on(step.take(&ledger, script::at(AFTERWARDS)));
        let expected = judge.take(&step, script::at(AFTERWARDS));
        same(&answer.unwrap_or_else(|fault| fault.to_string()), &expected);
    }
}
