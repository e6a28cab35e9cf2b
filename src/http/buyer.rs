//! The buyer of a request.

use std::net::IpAddr;

use hyper::http::request::Parts;

use super::gateway::Caller;
use super::problem::Problem;
use crate::identity::{Refusal, Who};
use crate::order::Buyer;

/// A name that is none is told before all that is wrong beside it.
pub(super) const MALFORMED: Problem =
    Problem::Malformed("a buyer's name has 1 to 128 bytes of UTF-8 without control characters");

impl Caller {
    /// The buyer of a request that must have one. Waits only where the shop must be asked.
    pub(super) async fn buyer(&self, head: &Parts) -> Result<Buyer, Problem> {
        let asked = match self.gateway.parts.identity.who(&head.headers, self.trusted) {
            Who::Known(buyer) => return Ok(buyer),
            Who::Refused(refusal) => Err(refusal),
            Who::Asking(answer) => answer.await,
        };
        asked.map_err(|refusal| match refusal {
            Refusal::Unknown(challenge) => Problem::UnknownBuyer(challenge),
            Refusal::Malformed => MALFORMED,
            Refusal::Unavailable => {
                Problem::IdentityUnavailable { retry_after: self.gateway.spread(1) }
            }
        })
    }

    /// The address that limits count.
    pub(super) fn client(&self, head: &Parts) -> IpAddr {
        self.gateway.parts.identity.client(self.peer, &head.headers)
    }

    /// The buyer of a request that needs none, if he can be told without asking anybody.
    pub(super) fn buyer_at_hand(&self, head: &Parts) -> Option<Buyer> {
        self.gateway.parts.identity.at_hand(&head.headers, self.trusted)
    }
}
