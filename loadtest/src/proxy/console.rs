//! The proxy by hand: a line is a fault to put in force, or one of a few other words.

use std::net::SocketAddr;
use std::str::{FromStr, SplitWhitespace};
use std::time::Duration;

use super::{After, Direction, Fault, Kind, Proxy};
use crate::output;

/// What a line can be.
const USAGE: &str = "\
delay requests|replies MILLISECONDS
drop-reply silence|reset|go-on
swallow silence|reset|go-on
reset-after requests|replies BYTES
stall | slow BYTES_A_SECOND | refuse | blackhole
    each may be followed by: of FUNCTION (* for any characters), times N
reset              all connections that stand
upstream ADDRESS   where new connections go
counts | clear     what was done; lift all faults
The end of the input ends the proxy.";

#[derive(Debug)]
enum Command {
    Inject(Fault),
    Reset,
    Upstream(SocketAddr),
    Counts,
    Clear,
}

/// Serves until the input ends, and does what its lines say.
///
/// # Errors
/// When it cannot listen.
pub fn run(listen: SocketAddr, upstream: SocketAddr) -> anyhow::Result<()> {
    let proxy = Proxy::listen(listen, upstream)?;
    output::line(format_args!("listening on {}", proxy.address()));
    for line in std::io::stdin().lines() {
        match parse(&line?) {
            Some(Command::Inject(fault)) => drop(proxy.inject(fault)),
            Some(Command::Reset) => output::line(format_args!("{} reset", proxy.reset())),
            Some(Command::Upstream(upstream)) => proxy.set_upstream(upstream),
            Some(Command::Counts) => output::line(format_args!("{:?}", proxy.counts())),
            Some(Command::Clear) => proxy.clear(),
            None => output::note(USAGE),
        }
    }
    Ok(())
}

fn parse(line: &str) -> Option<Command> {
    let mut words = line.split_whitespace();
    let command = match words.next()? {
        "reset" => Command::Reset,
        "upstream" => Command::Upstream(next(&mut words)?),
        "counts" => Command::Counts,
        "clear" => Command::Clear,
        name => return fault(name, &mut words).map(Command::Inject),
    };
    words.next().is_none().then_some(command)
}

fn fault(name: &str, words: &mut SplitWhitespace<'_>) -> Option<Fault> {
    let kind = match name {
        "delay" => Kind::Delay(direction(words)?, Duration::from_millis(next(words)?)),
        "drop-reply" => Kind::DropReply(after(words)?),
        "swallow" => Kind::Swallow(after(words)?),
        "reset-after" => Kind::ResetAfter(direction(words)?, next(words)?),
        "stall" => Kind::Stall,
        "slow" => Kind::Slow(next(words)?),
        "refuse" => Kind::Refuse,
        "blackhole" => Kind::Blackhole,
        _ => return None,
    };
    let mut fault = Fault::from(kind);
    while let Some(word) = words.next() {
        fault = match word {
            "of" => fault.of_function(words.next()?),
            "times" => fault.times(next(words)?),
            _ => return None,
        };
    }
    Some(fault)
}

fn next<T: FromStr>(words: &mut SplitWhitespace<'_>) -> Option<T> {
    words.next()?.parse().ok()
}

fn direction(words: &mut SplitWhitespace<'_>) -> Option<Direction> {
    match words.next()? {
        "requests" => Some(Direction::Requests),
        "replies" => Some(Direction::Replies),
        _ => None,
    }
}

fn after(words: &mut SplitWhitespace<'_>) -> Option<After> {
    match words.next()? {
        "silence" => Some(After::Silence),
        "reset" => Some(After::Reset),
        "go-on" => Some(After::GoOn),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_faults_with_their_calls_and_times() {
        let parsed = |line: &str| match parse(line) {
            Some(Command::Inject(fault)) => Some((fault.kind, fault.times)),
            _ => None,
        };
        let late = Kind::Delay(Direction::Replies, Duration::from_millis(50));
        assert_eq!(parsed("delay replies 50"), Some((late, None)));
        assert_eq!(
            parsed("drop-reply reset of reserve* times 3"),
            Some((Kind::DropReply(After::Reset), Some(3)))
        );
        assert_eq!(parsed(" slow  100 "), Some((Kind::Slow(100), None)));
        let after = Kind::ResetAfter(Direction::Requests, 0);
        assert_eq!(parsed("reset-after requests 0"), Some((after, None)));
        assert!(matches!(parse("upstream 127.0.0.1:6379"), Some(Command::Upstream(_))));
        assert!(matches!(parse("reset"), Some(Command::Reset)));
    }

    #[test]
    fn what_is_none_of_them_is_no_command() {
        for line in ["", "delay", "delay up 5", "stall now", "slow fast", "stall of", "reset 3"] {
            assert!(parse(line).is_none(), "{line}");
        }
    }
}
