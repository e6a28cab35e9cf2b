//! `forebay migrate`.

use super::args::Migrate;
use super::check;
use super::exit::Exit;
use super::exit::Failure;
use super::exit::Outcome;
use super::output;
use crate::tools::migrate;
use crate::tools::migrate::NotApplied;

pub(super) fn run(given: Migrate) -> Outcome {
    if !given.apply {
        output::data(migrate::ddl().as_bytes())?;
        return Ok(Exit::Ok);
    }
    let settings = check::settings(&check::inputs(given.settings))?;
    let tables = migrate::apply(&settings).map_err(|error| {
        let exit = match error {
            NotApplied::NoServer => Exit::Config,
            NotApplied::Server(_) => Exit::Dependency,
        };
        Failure::new(exit, error.to_string())
    })?;
    for table in tables {
        output::line(&format!("{table}: as it must be"))?;
    }
    Ok(Exit::Ok)
}
