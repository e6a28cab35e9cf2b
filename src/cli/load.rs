//! `forebay load`: exit codes of the load test.

use super::exit::Exit;
use super::exit::Failure;
use super::exit::Outcome;
use crate::tools::load;
use crate::tools::load::Ended;
use crate::tools::load::Mistake;
use crate::tools::load::Options;

pub(super) fn run(options: &Options) -> Outcome {
    match load::run(options) {
        Ok(Ended::Held) => Ok(Exit::Ok),
        Ok(Ended::InvariantBroken) => Ok(Exit::Broken),
        Ok(Ended::ThresholdFailed) => Ok(Exit::Threshold),
        Err(error) => {
            let exit = match error.downcast_ref::<Mistake>() {
                Some(Mistake::Usage(_)) => Exit::Usage,
                Some(Mistake::Scenario(_)) => Exit::Config,
                None => Exit::Failed,
            };
            Err(Failure::new(exit, format!("{error:#}")))
        }
    }
}
