//! A power cut at each moment of a life: of what was not synced, everything, nothing or some sectors may be on
//! the disk, and names that were not synced may be or not. A kill alone cannot show that a sync is missing, since
//! what a process wrote outlives it.

use std::collections::HashSet;
use std::path::Path;

use forebay::ledger::embedded::{Durability, offline};
use forebay::order::Keyring;
use tempfile::TempDir;

use super::after::{Course, MayBe, copy, directory, examine, on_disk, same};
use super::child::Child;
use super::model::{Disk, Files, laid_out};
use super::scale;
use super::script::{self, AFTERWARDS, Judge, life, when};
use super::strace::{Strace, Whom};
use super::trace::{self, Happened};

/// What a part of the life did, from before its open to after its close.
fn log_of(directory: &Path, durability: Durability, course: &Course) -> String {
    let own = super::after::directory();
    let mut child = Child::start(directory, durability, course.opened_at);
    let log = own.path().join("log");
    let strace = Strace::attach(&child, Whom::All, &log, &trace::everything());
    child.let_on("open");
    course.steps.clone().for_each(|n| child.let_on(&format!("{n} {}", when(n).as_micros())));
    let mut said = child.close();
    let mut answers = 0;
    while let Some(answer) = said {
        // How much was torn is seen where it is cut off.
        if answers > 0 {
            same(&answer, &course.answers[answers]);
        }
        answers += 1;
        said = child.hear();
    }
    assert_eq!(answers, course.answers.len());
    assert!(child.wait().success());
    strace.log()
}

fn recorded(directory: &Path, durability: Durability, course: &Course) -> Vec<Happened> {
    trace::read(&log_of(directory, durability, course), directory)
}

fn answered(happened: &[Happened]) -> usize {
    happened.iter().filter(|happened| **happened == Happened::Said).count()
}

/// Cuts the power after each thing that happened, and gives every disk that may be there then to `each`, once
/// for each number of answers that were heard by then. Answers how many there were.
fn cut_after_each(
    mut disk: Disk,
    happened: &[Happened],
    mut each: impl FnMut(&Files, usize),
) -> usize {
    let mut seen = HashSet::new();
    for (n, last) in happened.iter().enumerate() {
        disk.happened(last);
        let answered = answered(&happened[..=n]);
        for files in disk.cut() {
            if seen.insert((files.clone(), answered)) {
                each(&files, answered);
            }
        }
    }
    seen.len()
}

/// A disk after a power cut on which there is a torn tail, and what it may be.
pub(crate) fn torn() -> (TempDir, Vec<MayBe>) {
    let (course, happened) = synced();
    let mut found = None;
    cut_after_each(Disk::default(), &happened, |files, answered| {
        let place = laid_out(files);
        let read = offline::read(place.path(), &Keyring::default());
        if found.is_none() && read.is_ok_and(|read| read.torn_bytes > 0) {
            found = Some((place, course.may_be(answered)));
        }
    });
    found.expect("there is a record longer than a sector")
}

/// A whole life at level disk.
fn synced() -> (Course, Vec<Happened>) {
    let (course, whole) = (Course::whole(), directory());
    let happened = recorded(whole.path(), Durability::Disk, &course);
    (course, happened)
}

/// A life at level process, which goes on from one that was closed in order: so the mark of a close is there.
fn unsynced() -> (Disk, Course, Vec<Happened>) {
    let (steps, place) = (life().len(), directory());
    let first = Course::part(Judge::new(), 0..steps / 2);
    recorded(place.path(), Durability::Process, &first);
    let disk = Disk::of(place.path());
    let course = Course::part(first.last().clone(), steps / 2..steps);
    let happened = recorded(place.path(), Durability::Process, &course);
    (disk, course, happened)
}

#[test]
fn a_power_cut_at_any_moment_takes_nothing_that_was_acknowledged() {
    let (course, happened) = synced();
    let cuts = cut_after_each(Disk::default(), &happened, |files, answered| {
        examine(laid_out(files).path(), &course.may_be(answered));
    });
    println!("{} things happened, {cuts} different disks", happened.len());
    assert!(cuts > 200, "only {cuts} disks");
}

#[test]
fn a_power_cut_at_level_process_begins_an_epoch_whenever_something_may_be_missing() {
    let (disk, course, happened) = unsynced();
    let cuts = cut_after_each(disk, &happened, |files, answered| {
        examine(laid_out(files).path(), &course.may_be_unsynced(answered));
    });
    println!("{} things happened, {cuts} different disks", happened.len());
    assert!(cuts > 100, "only {cuts} disks");
}

/// Kills a life after some of the things that happened, opens it again, and cuts the power while it opens and
/// after: what it said that it holds, it holds from then on.
fn cut_the_open_after_a_death(
    mut disk: Disk,
    happened: &[Happened],
    may_be: impl Fn(usize) -> Vec<MayBe>,
) -> String {
    let (mut first, mut second) = (0, 0);
    for (n, last) in happened.iter().enumerate() {
        disk.happened(last);
        // A product of two loops: at scale 1 every tenth death is gone on from, and those behind a new name.
        let named = matches!(last, Happened::Renamed { .. });
        if !named && !n.is_multiple_of(10usize.div_ceil(scale())) {
            continue;
        }
        first += 1;
        let may_be = may_be(answered(&happened[..=n]));
        second += disk.cut_while_it_opens(&may_be);
    }
    assert!(second > first * 10, "{first} deaths, {second} disks of the opens after them");
    format!("{first} deaths, {second} disks of the opens after them")
}

impl Disk {
    /// Opens what the process left behind, and cuts the power meanwhile and afterwards. Answers how many disks
    /// there were.
    pub(crate) fn cut_while_it_opens(&self, may_be: &[MayBe]) -> usize {
        let again = laid_out(&self.seen());
        let found = examine(copy(again.path()).path(), may_be);
        let more = life().len();
        let course = |found| Course::on_from(found, AFTERWARDS, more..more + 2);
        let mut courses: Vec<Course> = found.iter().map(course).collect();
        let happened = recorded(again.path(), Durability::Disk, &courses[0]);
        let (there, _) = on_disk(again.path());
        courses.retain(|course| script::bytes(&course.last().book) == there);
        let course = courses.first().expect("it goes on from what was found");
        // Before it is open, the open may have been noted down or not.
        let half: Vec<MayBe> = may_be.iter().map(MayBe::opened).chain(may_be.to_vec()).collect();
        cut_after_each(self.of_the_next_life(), &happened, |files, answered| {
            let held = course.may_be(answered);
            examine(laid_out(files).path(), if answered > 0 { &held } else { &half });
        })
    }
}

#[test]
fn a_power_cut_while_it_opens_after_a_death_changes_nothing() {
    let (course, happened) = synced();
    let may_be = |answered| course.may_be(answered);
    println!("{}", cut_the_open_after_a_death(Disk::default(), &happened, may_be));
}

#[test]
fn a_power_cut_while_it_opens_after_a_death_at_level_process_hides_nothing() {
    let (disk, course, happened) = unsynced();
    let may_be = |answered| course.may_be_unsynced(answered);
    println!("{}", cut_the_open_after_a_death(disk, &happened, may_be));
}

/// A product of two loops: at scale 1 every twentieth disk of the first is gone on from.
#[test]
fn a_power_cut_while_it_opens_after_a_power_cut_changes_nothing() {
    let (course, happened) = synced();
    let (mut first, mut second, stride) = (0usize, 0, 20usize.div_ceil(scale()));
    cut_after_each(Disk::default(), &happened, |files, answered| {
        first += 1;
        if first.is_multiple_of(stride) {
            let disk = Disk::of(laid_out(files).path());
            second += disk.cut_while_it_opens(&course.may_be(answered));
        }
    });
    println!("{first} disks, and {second} of the opens after some of them");
    assert!(second > first / stride * 10, "{second} disks of opens");
}

#[test]
fn a_directory_that_was_made_lasts_before_the_ledger_is_open() {
    let place = directory();
    let made = place.path().join("data/ledger");
    let course = Course::part(Judge::new(), 0..0);
    let log = log_of(&made, Durability::Disk, &course);
    for above in [place.path(), &place.path().join("data"), &made] {
        let happened = trace::read(&log, above);
        let at = |what: Happened| happened.iter().position(|happened| *happened == what);
        let (synced, open) = (at(Happened::DirectorySynced), at(Happened::Said));
        assert!(synced.is_some() && synced < open, "the names in {} may not last", above.display());
    }
}
