//! Requests of programs on this machine.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};

/// Headers by which proxies say that they pass on a request of another machine's.
const FORWARDED: [&str; 6] =
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/// Whether a request comes from a program of this machine, and was not passed on by a proxy that says so.
pub struct LocalRequest(bool);

impl LocalRequest {
    /// Whether the peer is on this machine and no proxy stands between.
    pub const fn is_direct(&self) -> bool {
        self.0
    }

    fn of(peer: Option<SocketAddr>, headers: &HeaderMap) -> Self {
        let near = peer.is_some_and(|peer| is_loopback(peer.ip()));
        Self(near && !FORWARDED.iter().any(|name| headers.contains_key(*name)) && names_this_machine(headers))
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// A proxy that keeps the name under which it was asked, or a page of another site in a browser of this machine, names
/// another host.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Some(host) = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) else { return false };
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_loopback)
}

impl<S: Send + Sync> FromRequestParts<S> for LocalRequest {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
        Ok(Self::of(peer, &parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn direct(peer: &str, named: &[(&str, &str)]) -> bool {
        let headers = named.iter().map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        });
        LocalRequest::of(Some(peer.parse().unwrap()), &headers.collect()).is_direct()
    }

    #[test]
    fn a_program_of_this_machine_is_local() {
        for (peer, host) in [
            ("127.0.0.1:4000", "127.0.0.1:8080"),
            ("127.8.9.10:4000", "LocalHost:8080"),
            ("[::1]:4000", "[::1]:8080"),
            ("[::ffff:127.0.0.1]:4000", "localhost"),
        ] {
            assert!(direct(peer, &[("host", host)]), "{peer} {host}");
            assert!(direct(peer, &[]), "{peer}");
        }
    }

    #[test]
    fn another_machine_is_not_nor_what_a_proxy_passes_on() {
        for peer in ["192.0.2.1:4000", "10.0.0.1:4000", "[2001:db8::1]:4000", "[::ffff:192.0.2.1]:4000", "0.0.0.0:1"] {
            assert!(!direct(peer, &[("host", "127.0.0.1")]), "{peer}");
        }
        for name in FORWARDED {
            assert!(!direct("127.0.0.1:4000", &[("host", "127.0.0.1"), (name, "x")]), "{name}");
        }
        for host in ["wasend.example.com", "192.0.2.1", "127.0.0.1.example.com", "localhost.example.com", ""] {
            assert!(!direct("127.0.0.1:4000", &[("host", host)]), "{host}");
        }
        assert!(!LocalRequest::of(None, &HeaderMap::new()).is_direct(), "a request without a connection");
    }
}
