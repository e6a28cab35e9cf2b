//! Open connections of each address, counted only where a limit is set.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::identity::Network;

/// How many connections each address has open.
#[derive(Debug)]
pub(super) struct Crowd {
    max: usize,
    /// Who stands for many clients is not limited.
    exempt: ArcSwap<Vec<Network>>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection of an address, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    address: IpAddr,
}

/// More connections than an address may have.
#[derive(Debug)]
pub(super) struct Full {
    pub(super) max: usize,
}

impl Crowd {
    pub(super) fn new(max: usize, exempt: Vec<Network>) -> Arc<Self> {
        Arc::new(Self { max, exempt: ArcSwap::from_pointee(exempt), open: Mutex::default() })
    }

    /// Others stand for many clients from now on; connections that are open count as they did.
    pub(super) fn set_exempt(&self, exempt: &[Network]) {
        self.exempt.store(Arc::new(exempt.to_vec()));
    }

    /// Counts a connection; `None` for a peer that is not limited.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Result<Option<Place>, Full> {
        if self.exempt.load().iter().any(|network| network.holds(peer)) {
            return Ok(None);
        }
        let address = counted_as(peer);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= self.max {
            return Err(Full { max: self.max });
        }
        *count += 1;
        Ok(Some(Place { crowd: Arc::clone(self), address }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.crowd.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// Whoever has one address of an IPv6 network has 2^64 of them: its /64 counts.
fn counted_as(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(four) => IpAddr::V4(four),
        IpAddr::V6(six) => IpAddr::V6((six.to_bits() & (u128::MAX << 64)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd() -> Arc<Crowd> {
        Crowd::new(2, vec!["10.0.0.0/8".parse().unwrap()])
    }

    #[test]
    fn each_address_has_its_own_places() {
        let crowd = crowd();
        let enter = |peer: &str| crowd.enter(peer.parse().unwrap());
        let (first, _second) = (enter("192.0.2.1").unwrap(), enter("::ffff:192.0.2.1").unwrap());
        assert_eq!(enter("192.0.2.1").unwrap_err().max, 2);
        let _other = enter("192.0.2.2").unwrap();
        drop(first);
        let again = enter("192.0.2.1").unwrap();
        assert!(again.is_some());
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_proxies_are_none() {
        let crowd = crowd();
        let enter = |peer: &str| crowd.enter(peer.parse().unwrap());
        let _both = (enter("2001:db8::1").unwrap(), enter("2001:db8::2").unwrap());
        assert!(enter("2001:db8:0:0:ffff::3").is_err());
        assert!(enter("2001:db8:0:1::3").is_ok());
        let proxies: Vec<_> = (0..9).map(|_| enter("10.1.1.1").unwrap()).collect();
        assert!(proxies.iter().all(Option::is_none));
    }

    #[test]
    fn addresses_without_connections_take_no_memory() {
        let crowd = crowd();
        drop(crowd.enter("192.0.2.1".parse().unwrap()).unwrap());
        assert!(crowd.open.lock().unwrap().is_empty());
    }
}
