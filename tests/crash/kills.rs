//! Killed at each of its system calls, one life for each: nothing acknowledged is ever missing.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use forebay::ledger::embedded::Durability;
use tempfile::TempDir;

use super::after::{self, Course, copy, directory, examine, same};
use super::child::Child;
use super::scale;
use super::script::{AFTERWARDS, when};
use super::strace::{self, FOLLOWER, OPENER, Strace, WRITER, Whom};

/// How a life ended.
struct End {
    /// How often it said that something was done.
    answered: usize,
    killed: bool,
    /// The system calls of the thread that was traced.
    log: String,
}

/// One whole life, with one of its threads traced.
fn live(directory: &Path, course: &Course, thread: &str, arguments: &[String]) -> End {
    let own = after::directory();
    let log = own.path().join("log");
    let mut child = Child::start(directory, Durability::Disk, course.opened_at);
    let attach = |child: &Child| Strace::attach(child, Whom::Thread(thread), &log, arguments);
    let (strace, mut answered) = if thread == OPENER {
        let strace = attach(&child);
        child.let_on("open");
        (strace, 0)
    } else {
        assert_eq!(child.open().as_deref(), Some("open 0"));
        (attach(&child), 1)
    };
    course.steps.clone().for_each(|n| child.let_on(&format!("{n} {}", when(n).as_micros())));
    let mut said = child.close();
    while let Some(answer) = said {
        same(&answer, &course.answers[answered]);
        answered += 1;
        said = child.hear();
    }
    let status = child.wait();
    let killed = status.signal() == Some(9);
    assert!(killed || status.success(), "{status}");
    End { answered, killed, log: strace.log() }
}

/// A life that is opened again after a death, and closed.
fn recover(directory: &Path, arguments: &[String]) -> End {
    let own = after::directory();
    let log = own.path().join("log");
    let mut child = Child::start(directory, Durability::Disk, AFTERWARDS);
    let strace = Strace::attach(&child, Whom::Thread(OPENER), &log, arguments);
    child.let_on("open");
    let mut said = child.close();
    let mut answered = 0;
    while let Some(answer) = said {
        assert!(!answer.starts_with("refused"), "{answer}");
        answered += 1;
        said = child.hear();
    }
    let killed = child.wait().signal() == Some(9);
    End { answered, killed, log: strace.log() }
}

/// How often a thread makes each call that may change something.
fn inventory(log: &str) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    strace::calls(log).into_iter().for_each(|call| *counts.entry(call).or_default() += 1);
    counts
}

/// Dies on entering the N-th such call, before anything of it happens.
fn kill_at(call: &str, n: usize) -> [String; 4] {
    [
        "-e".into(),
        format!("trace={call}"),
        "-e".into(),
        format!("inject={call}:signal=KILL:when={n}"),
    ]
}

fn watched() -> [String; 2] {
    ["-e".into(), strace::all_calls()]
}

/// Kills one thread at each of its calls. Gives what each death left behind to `left`, with how often the life
/// had answered. Answers how many deaths there were for each call.
fn kill_at_each_call(
    course: &Course,
    thread: &str,
    mut left: impl FnMut(TempDir, usize),
) -> BTreeMap<String, usize> {
    let whole = directory();
    let end = live(whole.path(), course, thread, &watched());
    assert!(!end.killed && end.answered == course.answers.len());
    let mut deaths = BTreeMap::new();
    for call in inventory(&end.log).keys() {
        for n in 1.. {
            let directory = directory();
            let end = live(directory.path(), course, thread, &kill_at(call, n));
            if !end.killed {
                break;
            }
            *deaths.entry((*call).to_owned()).or_default() += 1;
            left(directory, end.answered);
        }
    }
    deaths
}

/// Kills the open of what a death left behind at each of its calls, each time anew, and examines what that left.
fn kill_recovery_at_each_call(left: &Path, course: &Course, answered: usize) -> usize {
    let end = recover(copy(left).path(), &watched());
    assert!(!end.killed && end.answered == 2);
    let mut deaths = 0;
    for call in inventory(&end.log).keys() {
        for n in 1.. {
            let again = copy(left);
            if !recover(again.path(), &kill_at(call, n)).killed {
                break;
            }
            deaths += 1;
            examine(again.path(), &course.may_be(answered));
        }
    }
    deaths
}

/// The life must be worth dying in: at least so many deaths for each of these calls.
fn met(deaths: &BTreeMap<String, usize>, least: &[(&str, usize)]) {
    for (kind, least) in least {
        // `rename` is `renameat` on some machines, and `unlink` likewise.
        let counted = deaths.iter().filter(|(call, _)| call.starts_with(kind));
        let count: usize = counted.map(|(_, count)| count).sum();
        assert!(count >= *least, "only {count} deaths at {kind}: {deaths:?}");
    }
}

#[test]
fn it_may_die_at_each_call_of_its_first_open() {
    let course = Course::whole();
    let deaths = kill_at_each_call(&course, OPENER, |directory, answered| {
        examine(directory.path(), &course.may_be(answered));
    });
    met(&deaths, &[("fdatasync", 1), ("fsync", 5), ("pwrite64", 3), ("rename", 2), ("write", 3)]);
}

#[test]
fn it_may_die_at_each_call_of_the_writer() {
    let course = Course::whole();
    let deaths = kill_at_each_call(&course, WRITER, |directory, answered| {
        examine(directory.path(), &course.may_be(answered));
    });
    met(&deaths, &[("fdatasync", 20), ("fsync", 6), ("pwrite64", 20), ("rename", 3), ("write", 2)]);
}

#[test]
fn it_may_die_at_each_call_of_the_follower() {
    let course = Course::whole();
    let deaths = kill_at_each_call(&course, FOLLOWER, |directory, answered| {
        examine(directory.path(), &course.may_be(answered));
    });
    met(&deaths, &[("fsync", 6), ("pwrite64", 1), ("rename", 2), ("unlink", 2), ("write", 4)]);
}

/// Each death is one of two loops: at scale 1 only every fourth death of the first loop is gone on from, at 4 each.
#[test]
fn it_may_die_at_each_call_of_the_open_after_a_death() {
    let course = Course::whole();
    let (mut first, mut second, stride) = (0usize, 0, 4usize.div_ceil(scale()));
    for thread in [OPENER, WRITER, FOLLOWER] {
        kill_at_each_call(&course, thread, |directory, answered| {
            first += 1;
            if first.is_multiple_of(stride) {
                second += kill_recovery_at_each_call(directory.path(), &course, answered);
            }
        });
    }
    println!("{first} deaths, and {second} in the open after one of them");
    assert!(second >= first / stride * 5, "{second} deaths in the open after {first}");
}
