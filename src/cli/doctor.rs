//! `forebay doctor`: a line a thing, and what to do about it.

use std::sync::Arc;

use super::args::Doctor;
use super::check;
use super::exit::Exit;
use super::exit::Failure;
use super::exit::Outcome;
use super::output;
use crate::clock::SharedClock;
use crate::clock::SystemClock;
use crate::config;
use crate::tools::doctor;
use crate::tools::doctor::Cause;
use crate::tools::doctor::Examination;
use crate::tools::doctor::Grade;
use crate::units::counted;

pub(super) fn run(given: Doctor) -> Outcome {
    let clock: SharedClock = Arc::new(SystemClock::new());
    let loaded = config::load(&check::inputs(given.settings));
    let examination = doctor::examine(&loaded, &clock);
    if given.json {
        let json = serde_json::to_string(&examination)
            .map_err(|error| Failure::new(Exit::Failed, format!("the report: {error}")))?;
        output::line(&json)?;
    } else {
        output::data(told(&examination).as_bytes())?;
    }
    Ok(exit(&examination))
}

/// The settings come first: what follows from them may be their fault.
fn exit(examination: &Examination) -> Exit {
    let failed = |cause| {
        let mut checks = examination.checks.iter();
        checks.any(|check| check.grade == Grade::Fail && check.cause == cause)
    };
    if failed(Cause::Settings) {
        Exit::Config
    } else if failed(Cause::Dependency) {
        Exit::Dependency
    } else if failed(Cause::Machine) {
        Exit::Failed
    } else {
        Exit::Ok
    }
}

fn told(examination: &Examination) -> String {
    let width = examination.checks.iter().map(|check| check.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for check in &examination.checks {
        let grade = match check.grade {
            Grade::Ok => "ok  ",
            Grade::Warn => "warn",
            Grade::Fail => "FAIL",
        };
        text.push_str(&format!("{grade}  {:<width$}  {}\n", check.check, check.found));
        if !check.advice.is_empty() {
            text.push_str(&format!("      {:<width$}  > {}\n", "", check.advice));
        }
    }
    let count = |grade| examination.checks.iter().filter(|check| check.grade == grade).count();
    let (failed, warned) = (count(Grade::Fail), count(Grade::Warn));
    text.push_str(&match (failed, warned) {
        (0, 0) => "ready for the sale\n".to_owned(),
        (0, _) => format!("{} to look at\n", counted(warned, "thing")),
        _ => format!("{} to put right, {warned} more to look at\n", counted(failed, "thing")),
    });
    text
}
