//! How keys are named. All of a sale has the tag `{prefix:number}` and lies in one slot of a cluster; what belongs
//! to the deployment has the tag `{prefix}`.

use crate::sale::SaleNo;

/// The names under one prefix.
#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: Box<str>,
    settings: Box<str>,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into(), settings: format!("{{{prefix}}}:settings").into() }
    }

    /// What functions of the deployment are called with.
    pub(super) fn settings(&self) -> &str {
        &self.settings
    }

    /// The deployment's tail.
    pub(super) fn tail(&self) -> String {
        format!("{{{}}}:ev", self.prefix)
    }

    /// The ticket keys.
    pub(super) fn keys(&self) -> String {
        format!("{{{}}}:keys", self.prefix)
    }

    /// What functions of a sale are called with.
    pub(super) fn sale(&self, sale_no: SaleNo) -> String {
        format!("{{{}:{}}}:m", self.prefix, number(sale_no))
    }

    /// A sale's tail.
    pub(super) fn sale_tail(&self, sale_no: SaleNo) -> String {
        format!("{{{}:{}}}:ev", self.prefix, number(sale_no))
    }
}

/// A sale's number as keys bear it.
pub(super) fn number(sale_no: SaleNo) -> String {
    format!("{:08x}", sale_no.0)
}

/// The number that a text bears.
pub(super) fn number_of(text: &[u8]) -> Option<SaleNo> {
    let text = std::str::from_utf8(text).ok()?;
    u32::from_str_radix(text, 16).ok().map(SaleNo)
}
