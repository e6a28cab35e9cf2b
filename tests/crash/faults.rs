//! A disk that is full or broken: each call of an open ledger fails once, and all writes fail for a while.
//!
//! What the law says: a write that failed is answered Unavailable and never happened, and the ledger heals by
//! itself; a sync that failed is answered InDoubt, and nothing more is taken until a restart; neither takes
//! anything that was acknowledged.

use std::path::Path;
use std::time::Duration;

use forebay::ledger::embedded::Durability;

use super::after::{Course, MayBe, copy, directory, examine, same};
use super::child::{Child, is_folded, wait_until};
use super::model::{Disk, laid_out};
use super::power;
use super::scale;
use super::script::{self, AFTERWARDS, Judge, Step, life, step, when};
use super::strace::{FOLLOWER, OPENER, RENAME, Strace, UNLINK, WRITER, Whom};
use super::trace::{self, Happened};

/// A little longer than a full disk waits before it is tried again.
const PATIENCE: Duration = Duration::from_millis(1_100);

/// What an open may be refused.
const OPENING: [(&str, &str); 7] = [
    ("pwrite64", "ENOSPC"),
    ("write", "ENOSPC"),
    ("fsync", "EIO"),
    ("fdatasync", "EIO"),
    ("ftruncate", "EIO"),
    (RENAME, "EIO"),
    (UNLINK, "EIO"),
];

/// How the ledger stands, as far as it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    Full,
    /// Closed until it is opened again.
    Shut,
}

/// A life under faults, and what may be on the disk after each thing that it said.
struct Account {
    child: Child,
    health: Health,
    /// A millisecond passes with each step.
    now: Duration,
    /// The books that may be there: two when something is in doubt.
    held: Vec<Vec<Judge>>,
    /// Books that may be there before the next thing is said.
    between: Vec<Vec<Judge>>,
    unavailable: usize,
    in_doubt: usize,
}

impl Account {
    /// Opens a ledger, and waits until its follower has nothing to do.
    fn open(directory: &Path) -> Self {
        let course = Course::whole();
        let mut child = Child::start(directory, Durability::Disk, course.opened_at);
        assert_eq!(child.open().as_deref(), Some("open 0"));
        wait_until(directory, || directory.join("spare").exists());
        let held = vec![vec![course.books[1].clone()]];
        let (health, now) = (Health::Good, course.opened_at);
        Self { child, health, now, held, between: vec![], unavailable: 0, in_doubt: 0 }
    }

    fn judge(&self) -> Judge {
        self.held.last().and_then(|held| held.first()).expect("it was opened").clone()
    }

    /// Takes a step until it is done or the ledger is shut.
    fn take(&mut self, n: usize) {
        for _ in 0..3 {
            if self.attempt(n) || self.health == Health::Shut {
                return;
            }
            self.now += PATIENCE;
        }
        panic!("step {n} was refused three times");
    }

    /// Takes a step once. Answers whether it is done.
    fn attempt(&mut self, n: usize) -> bool {
        self.now += when(0);
        let said = self.child.step(n, self.now).expect("it lives on");
        let (mut judge, mut between) = (self.judge(), Vec::new());
        if self.health == Health::Full {
            // Whoever finds that there is room again opens the book anew: leases and grants are gone.
            judge.open(false, self.now);
            between.push(judge.clone());
        }
        if let Some(answer) = said.strip_prefix("did ") {
            assert_ne!(self.health, Health::Shut, "a ledger that is shut takes nothing: {answer}");
            same(answer, &judge.take(&step(n), script::at(self.now)));
            self.health = Health::Good;
            self.note(between, vec![judge]);
            return true;
        }
        let restart = said.contains("restart by hand");
        if said.starts_with("fault InDoubt") {
            assert_ne!(self.health, Health::Shut, "nothing can be in doubt: {said}");
            assert!(restart, "{said}");
            let before = self.judge();
            judge.take(&step(n), script::at(self.now));
            self.note(between, vec![before, judge]);
            self.in_doubt += 1;
            self.health = Health::Shut;
        } else {
            assert!(said.starts_with("fault Unavailable"), "{said}");
            assert_eq!(restart, self.health == Health::Shut, "{said}");
            self.note(between, self.held.last().cloned().unwrap_or_default());
            self.unavailable += 1;
            if self.health != Health::Shut {
                self.health = Health::Full;
            }
        }
        false
    }

    /// Takes a step that only reads, however the ledger stands.
    fn read(&mut self, n: usize) {
        self.now += when(0);
        let said = self.child.step(n, self.now).expect("it lives on");
        same(&said, &format!("did {}", self.judge().take(&step(n), script::at(self.now))));
        self.note(Vec::new(), self.held.last().cloned().unwrap_or_default());
    }

    fn note(&mut self, between: Vec<Judge>, held: Vec<Judge>) {
        self.between.push(between);
        self.held.push(held);
    }

    /// Takes the whole life. The follower begins anew when a segment is closed, so where it waits for the follower
    /// more is done until that is through. Where leases ended on the way the rest of the life means something
    /// else, and some orders are never settled: then it does not wait.
    fn live(&mut self, directory: &Path) {
        let mut more = life().len()..;
        for (n, step) in life().iter().enumerate() {
            if let Step::Folded(segment) = step {
                while self.is_on_course() && !is_folded(directory, *segment) {
                    self.take(more.next().expect("it has no end"));
                    if self.health == Health::Shut {
                        break;
                    }
                    // It takes a segment as soon as the follower is there to make another one, and no sooner.
                    wait_until(directory, || directory.join("spare").exists());
                }
                if !self.is_on_course() {
                    continue;
                }
            }
            self.take(n);
        }
    }

    fn is_on_course(&self) -> bool {
        self.unavailable + self.in_doubt == 0
    }

    fn close(&mut self) {
        assert_eq!(self.child.close().as_deref(), Some("closed"));
        assert!(self.child.wait().success());
    }

    /// What may be on the disk once so many things were said.
    fn may_be(&self, said: usize) -> Vec<MayBe> {
        let said = said.min(self.held.len() - 1);
        let next = self.held.get(said + 1).into_iter().flatten();
        let between = self.between.get(said).into_iter().flatten();
        let all = self.held[said].iter().chain(between).chain(next);
        all.map(|judge| MayBe { judge: judge.clone(), new_epoch: false }).collect()
    }
}

/// The N-th such call fails, and no other.
fn fail(call: &str, error: &str, n: usize) -> [String; 2] {
    ["-e".into(), format!("inject={call}:error={error}:when={n}")]
}

/// One life in which calls fail, and what `strace` saw of it; `None` when there was no such call.
fn live_with(
    place: &Path,
    whom: Whom<'_>,
    arguments: &[String],
) -> Option<(Account, Disk, String)> {
    let own = directory();
    let mut account = Account::open(place);
    let disk = Disk::of(place);
    let strace = Strace::attach(&account.child, whom, &own.path().join("log"), arguments);
    account.live(place);
    account.close();
    let log = strace.log();
    examine(place, &account.may_be(usize::MAX));
    log.contains("(INJECTED)").then_some((account, disk, log))
}

/// How often something was told of faults.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    faults: usize,
    unavailable: usize,
    in_doubt: usize,
}

impl Told {
    fn of(&mut self, account: &Account) {
        self.faults += 1;
        self.unavailable += account.unavailable;
        self.in_doubt += account.in_doubt;
    }
}

/// Lets each such call of one thread fail once.
fn fail_each(thread: &str, call: &str, error: &str) -> Told {
    let mut told = Told::default();
    for n in 1.. {
        let mut arguments = vec!["-e".to_owned(), format!("trace={call}")];
        arguments.extend(fail(call, error, n));
        let place = directory();
        let lived = live_with(place.path(), Whom::Thread(thread), &arguments);
        let Some((account, ..)) = lived else { break };
        told.of(&account);
    }
    told
}

/// Lets each such sync of any thread fail once, and cuts the power now and then afterwards: a sync that failed is
/// not made good by a later one, though that one may say so.
fn fail_each_sync(call: &str) -> Told {
    let mut told = Told::default();
    for n in 1.. {
        let mut arguments = trace::everything();
        arguments.extend(fail(call, "EIO", n));
        let place = directory();
        let lived = live_with(place.path(), Whom::All, &arguments);
        let Some((account, mut disk, log)) = lived else { break };
        told.of(&account);
        let happened = trace::read(&log, place.path());
        let (mut said, stride) = (0, 400usize.div_ceil(scale()));
        for (at, one) in happened.iter().enumerate() {
            disk.happened(one);
            said += usize::from(*one == Happened::Said);
            if at.is_multiple_of(stride) || at + 1 == happened.len() {
                for files in disk.cut() {
                    examine(laid_out(&files).path(), &account.may_be(said));
                }
            }
        }
        if n.is_multiple_of(8usize.div_ceil(scale())) {
            disk.cut_while_it_opens(&account.may_be(usize::MAX));
        }
    }
    told
}

#[test]
fn a_write_that_fails_once_never_happened_and_the_ledger_heals() {
    let told = fail_each(WRITER, "pwrite64", "ENOSPC");
    assert!(told.faults >= 30 && told.unavailable >= 30 && told.in_doubt == 0, "{told:?}");
    let told = fail_each(WRITER, RENAME, "EIO");
    assert!(told.faults >= 3 && told.unavailable >= 3 && told.in_doubt == 0, "{told:?}");
}

#[test]
fn what_fails_behind_the_scenes_is_done_again() {
    for (call, error) in
        [("pwrite64", "ENOSPC"), ("write", "ENOSPC"), (RENAME, "EIO"), (UNLINK, "EIO")]
    {
        let told = fail_each(FOLLOWER, call, error);
        assert!(told.faults >= 2 && told.unavailable + told.in_doubt == 0, "{told:?}");
    }
}

#[test]
fn a_commit_whose_sync_fails_is_in_doubt_and_the_ledger_shut() {
    let told = fail_each_sync("fdatasync");
    assert!(told.faults >= 25 && told.in_doubt >= 25, "{told:?}");
}

#[test]
fn a_sync_of_a_file_or_a_name_that_fails_is_never_trusted_later() {
    let told = fail_each_sync("fsync");
    assert!(told.faults >= 10, "{told:?}");
}

/// The N-th such call of an open fails: it is refused with a reason that names the place, or does without.
fn open_with(base: &Path, may_be: &[MayBe], call: &str, error: &str, n: usize) -> Option<bool> {
    let (place, own) = (copy(base), directory());
    let path = |name: &str| place.path().join(name).to_string_lossy().into_owned();
    let mut arguments = vec!["-e".to_owned(), format!("trace={call}")];
    arguments.extend(fail(call, error, n));
    if call == "write" {
        // What it says goes through this call too.
        arguments.extend(["-P".into(), path("keys.tmp"), "-P".into(), path("lock")]);
    }
    let mut child = Child::start(place.path(), Durability::Disk, AFTERWARDS);
    let thread = Whom::Thread(OPENER);
    let strace = Strace::attach(&child, thread, &own.path().join("log"), &arguments);
    let said = child.open().expect("it lives on");
    let refused = said.strip_prefix("refused ");
    if let Some(why) = refused {
        let named = why.contains(&*place.path().to_string_lossy()) && why.contains("os error");
        assert!(named, "it does not say where and why: {why}");
    }
    child.close();
    assert!(child.wait().success());
    if !strace.log().contains("(INJECTED)") {
        return None;
    }
    examine(place.path(), may_be);
    Some(refused.is_some())
}

#[test]
fn an_open_that_fails_says_why_and_may_be_tried_again() {
    let fresh = Course::whole();
    let (torn, held) = power::torn();
    for (base, may_be) in [(directory(), fresh.may_be(0)), (torn, held)] {
        let opened: Vec<MayBe> = may_be.iter().map(MayBe::opened).chain(may_be.clone()).collect();
        let (mut faults, mut refused) = (0, 0);
        for (call, error) in OPENING {
            for n in 1.. {
                let Some(was_refused) = open_with(base.path(), &opened, call, error, n) else {
                    break;
                };
                faults += 1;
                refused += usize::from(was_refused);
            }
        }
        println!("{faults} faults, {refused} refusals");
        assert!(faults >= 7 && refused >= 5, "{faults} faults, {refused} refusals");
    }
}

/// The journal has no room until something else makes some; reads are answered meanwhile.
#[test]
fn a_full_disk_heals_by_itself_and_nothing_is_run_twice() {
    let (place, own) = (directory(), directory());
    let mut account = Account::open(place.path());
    let mut episodes = 0;
    for (n, step) in life().iter().enumerate() {
        // Where leases end on the way, some segments are needed for ever.
        if matches!(step, Step::Folded(_)) {
            continue;
        }
        if matches!(step, Step::Orders(..)) {
            let full = ["-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC"];
            let full = full.map(str::to_owned);
            let strace = Strace::attach(&account.child, Whom::All, &own.path().join("log"), &full);
            for _ in 0..3 {
                assert!(!account.attempt(n), "nothing can be written");
                account.read(life().len() - 1);
                account.now += PATIENCE;
            }
            strace.release();
            episodes += 1;
        }
        assert!(account.attempt(n), "there is room");
    }
    account.close();
    assert!(episodes >= 8 && account.unavailable == 3 * episodes && account.in_doubt == 0);
    examine(place.path(), &account.may_be(usize::MAX));
}
