//! Processes under test: what they print is heard, and none outlives its handle.

use std::path::Path;
use std::time::Duration;

use forebay_loadtest::gateway::{Process, free_address};
use forebay_loadtest::target::Target;

const SOON: Duration = Duration::from_secs(10);

fn shell(script: &str) -> Process {
    Process::start(Path::new("sh"), &["-c", script], Path::new("/"), &[]).expect("sh starts")
}

#[tokio::test]
async fn what_is_printed_late_is_waited_for_and_what_is_not_is_told() {
    let process = shell("echo one; echo two >&2; read never </dev/null; echo three; exec sleep 60");
    process.printed(SOON, |text| text.contains("three").then_some(())).await.unwrap();
    assert!(process.text().await.contains("two"));
    let missing = process.printed(Duration::from_millis(50), |text| text.find("four")).await;
    assert!(missing.unwrap_err().to_string().contains("three"));
}

#[tokio::test]
async fn a_process_that_ends_instead_of_being_ready_is_told_with_its_words() {
    let mut process = shell("echo port in use >&2; exit 1");
    let nobody = Target::from(free_address().unwrap());
    let error = process.ready(&nobody, SOON).await.unwrap_err().to_string();
    assert!(error.contains("exit status: 1"), "{error}");
}

#[tokio::test]
async fn a_stop_is_a_signal_it_may_answer() {
    let mut process = shell("trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done");
    process.printed(SOON, |text| text.contains("up").then_some(())).await.unwrap();
    assert_eq!(process.stop(SOON).await.unwrap().code(), Some(7));
}

#[tokio::test]
async fn a_dropped_process_is_killed_with_what_it_has_started() {
    let process = shell("sleep 600 & echo child $!; wait");
    let child =
        |text: &str| text.lines().find_map(|line| line.strip_prefix("child ")?.parse::<u32>().ok());
    let pids = [process.pid(), process.printed(SOON, child).await.unwrap()];
    // Gone, or dead and not yet reaped.
    let lives = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    assert!(pids.iter().all(lives));
    drop(process);
    let gone = async {
        while pids.iter().any(lives) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, gone).await.is_ok(), "the processes must be gone");
}
