//! Commands and exit codes.

mod args;
mod check;
mod client;
mod demo;
mod doctor;
mod drain;
mod exit;
mod load;
mod manual;
mod migrate;
mod output;
mod sale;
mod serve;
mod ticket;
mod values;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use args::Command;
use args::CommandLine;
use clap::Parser;
pub use exit::{Exit, Failure, Outcome};

/// Commands that the design names and this version does not have.
const NOT_BUILT: [&str; 1] = ["plan"];

/// Runs the command line.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let exit = match run(&args) {
        Ok(exit) => exit,
        Err(failure) => {
            if !failure.message.is_empty() {
                output::message(&format!("forebay: {failure}"));
            }
            failure.exit
        }
    };
    ExitCode::from(exit as u8)
}

fn run(args: &[OsString]) -> Outcome {
    let words: Vec<&str> = args.iter().skip(1).take(2).filter_map(|arg| arg.to_str()).collect();
    let not_built = NOT_BUILT.iter().find(|name| {
        let wanted: Vec<&str> = name.split(' ').collect();
        words.starts_with(&wanted)
    });
    if let Some(name) = not_built {
        return Err(Failure::new(Exit::Usage, format!("`forebay {name}` is not built yet")));
    }
    let line = match CommandLine::try_parse_from(args) {
        Ok(line) => line,
        Err(error) => {
            // Help for a reader that went away is no failure.
            let _ = error.print();
            return Ok(if error.use_stderr() { Exit::Usage } else { Exit::Ok });
        }
    };
    match line.command.unwrap_or(Command::Serve(line.serve)) {
        Command::Serve(serve) => serve::run(serve),
        Command::Check(check) => check::run(check),
        Command::Config { what } => check::config(what),
        Command::Sale { what } => sale::run(what),
        Command::Ticket { what } => ticket::run(what),
        Command::Dead { what } => ticket::dead(what),
        Command::Drain { what } => drain::run(what),
        Command::Demo(demo) => demo::run(demo),
        Command::Load(options) => load::run(&options),
        Command::Doctor(doctor) => doctor::run(doctor),
        Command::Migrate(migrate) => migrate::run(migrate),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { command } => manual::page(&command),
        Command::Verify(verify) => verify::run(verify),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn what_is_not_built_and_what_is_unknown_are_usage() {
        for line in
            ["plan", "demo --rate off", "load", "load burst --target a", "nonsense", "--nonsense"]
        {
            let args = ["forebay"].into_iter().chain(line.split(' ')).map(OsString::from);
            let exit = run(&args.collect::<Vec<_>>()).unwrap_or_else(|failure| failure.exit);
            assert_eq!(exit, Exit::Usage, "{line}");
        }
    }
}
