//! `forebay serve`.

use super::args::Role;
use super::args::Serve;
use super::check;
use super::exit::Exit;
use super::exit::Failure;
use super::exit::Outcome;
use super::output;
use crate::app;
use crate::app::StartKind;
use crate::app::Started;
use crate::config::Engine;

pub(super) fn run(serve: Serve) -> Outcome {
    let inputs = check::inputs(serve.settings);
    let settings = check::settings(&inputs)?;
    let role = match serve.role {
        Role::Gateway => app::Role::Gateway,
        Role::Drain => app::Role::Drain,
        Role::All => app::Role::All,
    };
    if role != app::Role::All && settings.ledger.engine == Engine::Embedded {
        let message = "--role gateway and --role drain share their ledger with other processes, which the \
                       embedded ledger cannot: use --role all, or [ledger] engine = \"redis\"";
        return Err(Failure::new(Exit::Config, message));
    }
    app::serve(settings, inputs, role, |started| {
        // Whoever started it may not read what it prints; it serves all the same.
        let _ = output::data(announcement(started).as_bytes());
    })
    .map(|()| Exit::Ok)
    .map_err(failure)
}

/// The exit code of a process that could not start.
pub(super) fn failure(error: app::StartError) -> Failure {
    let exit = match error.kind {
        StartKind::Runtime => Exit::Failed,
        StartKind::Config => Exit::Config,
        StartKind::Dependency => Exit::Dependency,
    };
    Failure::new(exit, error.message)
}

/// Where it is, and, on a first run, what to try.
fn announcement(started: Started) -> String {
    let admin = format!("admin   http://{}\n", reachable(started.admin));
    let Some(public) = started.public.map(reachable) else {
        return format!("{admin}drain   carries orders to the store; buyers come in elsewhere\n");
    };
    let mut text = format!("orders  http://{public}\n{admin}");
    if !started.role.drains() {
        text.push_str(
            "gateway takes orders; processes with --role drain carry them to the store\n",
        );
    }
    if started.demo {
        text.push_str(&format!(
            "\nThe sale `demo` is open. Buy one (another buyer each time), and follow the ticket of the answer:\n\n  \
             curl -s http://{public}/v1/sales/demo/orders -H \"X-Buyer-Id: buyer-$(date +%s%N)\" \
             -H 'Content-Type: application/json' -d '{{\"lines\":[{{\"sku\":\"phone\",\"quantity\":1}}]}}'\n  \
             curl -s http://{public}/v1/tickets/TICKET\n"
        ));
    }
    text
}

/// An address that a client on this machine can use: every address is reached on loopback too.
fn reachable(mut address: std::net::SocketAddr) -> std::net::SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    address
}
