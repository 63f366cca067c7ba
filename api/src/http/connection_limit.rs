//! How many connections one address has open, so that none takes them all.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Open connections by address; those of one IPv6 network count together.
#[derive(Default, Clone)]
pub struct ConnectionLimit(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection; it counts until it is dropped.
pub struct CountedConnection {
    addresses: ConnectionLimit,
    address: IpAddr,
}

impl ConnectionLimit {
    /// None when the address has `max` connections already.
    pub fn count(&self, address: IpAddr, max: usize) -> Option<CountedConnection> {
        let address = network(address);
        let mut open = self.lock();
        let count = open.entry(address).or_insert(0);
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(CountedConnection { addresses: self.clone(), address })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        let mut open = self.addresses.lock();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// With IPv6 a client has 2^64 addresses: they count as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_connections_and_no_more() {
        let addresses = ConnectionLimit::default();
        let count = |address: &str| addresses.count(address.parse().unwrap(), 2);
        let (first, _second) = (count("10.0.0.1").unwrap(), count("::ffff:10.0.0.1").unwrap());
        assert!(count("10.0.0.1").is_none());
        assert!(count("10.0.0.2").is_some());
        drop(first);
        assert!(count("10.0.0.1").is_some());
        let network = (count("2001:db8::1").unwrap(), count("2001:db8::2").unwrap());
        assert!(count("2001:db8::3").is_none() && count("2001:db8:0:1::1").is_some());
        drop(network);
        assert_eq!(addresses.lock().len(), 1, "nothing is kept of who is gone");
    }
}
