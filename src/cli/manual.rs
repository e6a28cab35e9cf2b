//! `forebay completions SHELL` and `forebay man`: made from the command line's own description.

use clap::Command;
use clap::CommandFactory;
use clap_complete::Shell;

use super::args::CommandLine;
use super::exit::Exit;
use super::exit::Failure;
use super::exit::Outcome;
use super::output;

pub(super) fn completions(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "forebay", &mut script);
    output::data(&script)?;
    Ok(Exit::Ok)
}

/// The page of the command under these words.
pub(super) fn page(words: &[String]) -> Outcome {
    let mut line = CommandLine::command();
    line.build();
    let mut named: &Command = &line;
    for word in words {
        named = named.find_subcommand(word).ok_or_else(|| {
            let commands: Vec<&str> = named.get_subcommands().map(Command::get_name).collect();
            let message = format!("there is no command `{word}`: one of {}", commands.join(", "));
            Failure::new(Exit::Usage, message)
        })?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(named.clone()).render(&mut page)?;
    output::data(&page)?;
    Ok(Exit::Ok)
}
