//! Addresses that are nobody's remote API: this machine, this link, the cloud's metadata service.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// A kind of address that is dialled only when an administrator names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Special {
    /// This machine itself.
    Loopback,
    /// Neighbours on the same wire; IPv4 `169.254.0.0/16`, IPv6 `fe80::/10`.
    LinkLocal,
    /// A cloud's metadata service, which hands out credentials to whoever asks.
    Metadata,
    /// `0.0.0.0/8` and `::`, which many systems take for themselves.
    Unspecified,
    /// Many receivers, or reserved: multicast, broadcast, `240.0.0.0/4`.
    Multicast,
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Special::Loopback => "a loopback address",
            Special::LinkLocal => "a link-local address",
            Special::Metadata => "a metadata service's address",
            Special::Unspecified => "an unspecified address",
            Special::Multicast => "a multicast or reserved address",
        })
    }
}

/// An address with IPv4-mapped IPv6 (`::ffff:127.0.0.1`) brought back to IPv4: the kernel dials the same.
pub fn canonical_ip(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Which kind of special address this is, if it is one.
pub(super) fn special(ip: IpAddr) -> Option<Special> {
    match canonical_ip(ip) {
        IpAddr::V4(ip) => special_v4(ip),
        IpAddr::V6(ip) => special_v6(ip),
    }
}

/// The kind that a whole network is of, if it is of one: what an administrator who writes it has named.
/// `0.0.0.0/0` names nothing special, although it holds everything that is.
pub(super) fn special_net(net: &IpNet) -> Option<Special> {
    let first = special(net.network())?;
    (special(net.broadcast()) == Some(first)).then_some(first)
}

fn special_v4(ip: Ipv4Addr) -> Option<Special> {
    // AWS, GCP, Azure, … / Alibaba / Azure's wire server / Oracle.
    const METADATA: [Ipv4Addr; 4] = [
        Ipv4Addr::new(169, 254, 169, 254),
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(168, 63, 129, 16),
        Ipv4Addr::new(192, 0, 0, 192),
    ];
    if METADATA.contains(&ip) {
        Some(Special::Metadata)
    } else if ip.is_loopback() {
        Some(Special::Loopback)
    } else if ip.is_link_local() {
        Some(Special::LinkLocal)
    } else if ip.octets()[0] == 0 {
        Some(Special::Unspecified)
    } else if ip.octets()[0] >= 224 {
        Some(Special::Multicast)
    } else {
        None
    }
}

fn special_v6(ip: Ipv6Addr) -> Option<Special> {
    // AWS and GCP.
    const METADATA: [Ipv6Addr; 2] = [
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    ];
    if METADATA.contains(&ip) {
        Some(Special::Metadata)
    } else if ip.is_loopback() {
        Some(Special::Loopback)
    } else if ip.is_unspecified() {
        Some(Special::Unspecified)
    } else if ip.is_unicast_link_local() {
        Some(Special::LinkLocal)
    } else if ip.is_multicast() {
        Some(Special::Multicast)
    } else {
        embedded_v4(ip).and_then(special_v4)
    }
}

/// The IPv4 address that a gateway would dial for this one: NAT64 (`64:ff9b::/96`), 6to4 (`2002::/16`), and
/// the old IPv4-compatible form (`::/96`).
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let bytes = |at: usize| {
        let o = ip.octets();
        Ipv4Addr::new(o[at], o[at + 1], o[at + 2], o[at + 3])
    };
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] | [0, 0, 0, 0, 0, 0, _, _] => Some(bytes(12)),
        [0x2002, ..] => Some(bytes(2)),
        _ => None,
    }
}
