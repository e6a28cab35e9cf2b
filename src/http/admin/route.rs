//! The resources of the admin listener: their paths, their methods, and the names of their changes.

use hyper::Method;

/// What a path names. Names and tickets are as they stand in the path, not checked yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    Page,
    Metrics,
    Livez,
    Readyz,
    Version,
    Openapi,
    Reload,
    Sales,
    Sale(&'a str),
    Switch(&'a str, Switch),
    Stock(&'a str),
    Tickets(&'a str),
    Dead(&'a str),
    DeadOrder(&'a str, &'a str, DeadAct),
    Redrive(&'a str),
    Drain,
    Ticket(&'a str),
    Verify,
    Faults,
}

/// A switch of a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    Pause,
    Resume,
    Close,
    Purge,
    Rebuild,
}

/// What is done to dead orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeadAct {
    Retry,
    Refuse,
}

const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];

impl<'a> Resource<'a> {
    /// One of each kind.
    pub(super) const EVERY: [Resource<'static>; 24] = [
        Resource::Page,
        Resource::Metrics,
        Resource::Livez,
        Resource::Readyz,
        Resource::Version,
        Resource::Openapi,
        Resource::Reload,
        Resource::Sales,
        Resource::Sale(""),
        Resource::Switch("", Switch::Pause),
        Resource::Switch("", Switch::Resume),
        Resource::Switch("", Switch::Close),
        Resource::Switch("", Switch::Purge),
        Resource::Switch("", Switch::Rebuild),
        Resource::Stock(""),
        Resource::Tickets(""),
        Resource::Dead(""),
        Resource::DeadOrder("", "", DeadAct::Retry),
        Resource::DeadOrder("", "", DeadAct::Refuse),
        Resource::Redrive(""),
        Resource::Drain,
        Resource::Ticket(""),
        Resource::Verify,
        Resource::Faults,
    ];

    /// The resource of a path.
    pub(super) fn find(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix('/')?;
        let mut parts = [""; 7];
        let mut count = 0;
        for part in rest.split('/') {
            *parts.get_mut(count)? = part;
            count += 1;
        }
        Some(match parts[..count] {
            [""] => Self::Page,
            ["metrics"] => Self::Metrics,
            ["livez"] => Self::Livez,
            ["readyz"] => Self::Readyz,
            ["version"] => Self::Version,
            ["openapi.json"] => Self::Openapi,
            ["-", "reload"] => Self::Reload,
            ["admin", "v1", ref rest @ ..] => return Self::of_api(rest),
            _ => return None,
        })
    }

    fn of_api(parts: &[&'a str]) -> Option<Self> {
        Some(match *parts {
            ["sales"] => Self::Sales,
            ["sales", sale] => Self::Sale(sale),
            ["sales", sale, "pause"] => Self::Switch(sale, Switch::Pause),
            ["sales", sale, "resume"] => Self::Switch(sale, Switch::Resume),
            ["sales", sale, "close"] => Self::Switch(sale, Switch::Close),
            ["sales", sale, "purge"] => Self::Switch(sale, Switch::Purge),
            ["sales", sale, "rebuild"] => Self::Switch(sale, Switch::Rebuild),
            ["sales", sale, "stock"] => Self::Stock(sale),
            ["sales", sale, "tickets"] => Self::Tickets(sale),
            ["sales", sale, "dead"] => Self::Dead(sale),
            ["sales", sale, "dead", which, "retry"] => Self::DeadOrder(sale, which, DeadAct::Retry),
            ["sales", sale, "dead", which, "refuse"] => {
                Self::DeadOrder(sale, which, DeadAct::Refuse)
            }
            ["sales", sale, "redrive"] => Self::Redrive(sale),
            ["drain"] => Self::Drain,
            ["tickets", ticket] => Self::Ticket(ticket),
            ["verify"] => Self::Verify,
            ["store", "faults"] => Self::Faults,
            _ => return None,
        })
    }

    /// The methods that the resource has, but HEAD and OPTIONS, which every resource has.
    pub(super) fn methods(self) -> &'static [Method] {
        match self {
            Self::Sale(_) => &[Method::GET, Method::PUT],
            Self::Drain | Self::Faults => &[Method::GET, Method::PATCH],
            Self::Switch(..)
            | Self::Stock(_)
            | Self::DeadOrder(..)
            | Self::Redrive(_)
            | Self::Reload => POST,
            _ => GET,
        }
    }

    /// `Allow`.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Self::Sale(_) => "GET, HEAD, OPTIONS, PUT",
            Self::Drain | Self::Faults => "GET, HEAD, OPTIONS, PATCH",
            Self::Switch(..)
            | Self::Stock(_)
            | Self::DeadOrder(..)
            | Self::Redrive(_)
            | Self::Reload => "OPTIONS, POST",
            _ => "GET, HEAD, OPTIONS",
        }
    }

    /// Answers without a token.
    pub(super) fn is_probe(self) -> bool {
        matches!(self, Self::Livez | Self::Readyz)
    }

    /// The path with names for what differs: the metrics' label, and the path in the API's description.
    pub(super) fn template(self) -> &'static str {
        match self {
            Self::Page => "/",
            Self::Metrics => "/metrics",
            Self::Livez => "/livez",
            Self::Readyz => "/readyz",
            Self::Version => "/version",
            Self::Openapi => "/openapi.json",
            Self::Reload => "/-/reload",
            Self::Sales => "/admin/v1/sales",
            Self::Sale(_) => "/admin/v1/sales/{sale}",
            Self::Switch(_, Switch::Pause) => "/admin/v1/sales/{sale}/pause",
            Self::Switch(_, Switch::Resume) => "/admin/v1/sales/{sale}/resume",
            Self::Switch(_, Switch::Close) => "/admin/v1/sales/{sale}/close",
            Self::Switch(_, Switch::Purge) => "/admin/v1/sales/{sale}/purge",
            Self::Switch(_, Switch::Rebuild) => "/admin/v1/sales/{sale}/rebuild",
            Self::Stock(_) => "/admin/v1/sales/{sale}/stock",
            Self::Tickets(_) => "/admin/v1/sales/{sale}/tickets",
            Self::Dead(_) => "/admin/v1/sales/{sale}/dead",
            Self::DeadOrder(.., DeadAct::Retry) => "/admin/v1/sales/{sale}/dead/{ticket}/retry",
            Self::DeadOrder(.., DeadAct::Refuse) => "/admin/v1/sales/{sale}/dead/{ticket}/refuse",
            Self::Redrive(_) => "/admin/v1/sales/{sale}/redrive",
            Self::Drain => "/admin/v1/drain",
            Self::Ticket(_) => "/admin/v1/tickets/{ticket}",
            Self::Verify => "/admin/v1/verify",
            Self::Faults => "/admin/v1/store/faults",
        }
    }

    /// The name of the resource's change in the audit log.
    pub(super) fn change(self) -> &'static str {
        match self {
            Self::Sale(_) => "sale.put",
            Self::Switch(_, Switch::Pause) => "sale.pause",
            Self::Switch(_, Switch::Resume) => "sale.resume",
            Self::Switch(_, Switch::Close) => "sale.close",
            Self::Switch(_, Switch::Purge) => "sale.purge",
            Self::Switch(_, Switch::Rebuild) => "sale.rebuild",
            Self::Stock(_) => "sale.stock",
            Self::DeadOrder(.., DeadAct::Retry) => "dead.retry",
            Self::DeadOrder(.., DeadAct::Refuse) => "dead.refuse",
            Self::Redrive(_) => "sale.redrive",
            Self::Drain => "drain.patch",
            Self::Faults => "store.faults",
            Self::Reload => "reload",
            _ => "none",
        }
    }

    /// The sale that the path names; empty when it names none.
    pub(super) fn sale(self) -> &'a str {
        match self {
            Self::Sale(sale)
            | Self::Switch(sale, _)
            | Self::Stock(sale)
            | Self::Tickets(sale)
            | Self::Dead(sale)
            | Self::DeadOrder(sale, ..)
            | Self::Redrive(sale) => sale,
            _ => "",
        }
    }

    /// The ticket, or `all`, that the path names; empty when it names none.
    pub(super) fn order(self) -> &'a str {
        match self {
            Self::DeadOrder(_, which, _) => which,
            _ => "",
        }
    }
}
