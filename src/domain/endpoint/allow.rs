//! The administrator's list of hosts and addresses that may be dialled.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use thiserror::Error;

use super::Host;
use super::address::{Special, canonical_ip, special, special_net};

/// The hosts of vendors' APIs, always allowed. Each region is written out, since a pattern would let in all else that
/// the vendor has below the same name; one that is opened tomorrow needs a rule of the administrator's until then.
const VENDORS: &[&str] = &[
    "api.ionos.com:443",
    "auth.scalingo.com:443",
    "api.osc-fr1.scalingo.com:443",
    "db-api.osc-fr1.scalingo.com:443",
    "api.osc-secnum-fr1.scalingo.com:443",
    "db-api.osc-secnum-fr1.scalingo.com:443",
];

/// Why a text is not a rule of an allow-list.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("--allow-endpoint {rule:?}: {reason}")]
pub struct RuleError {
    rule: String,
    reason: &'static str,
}

/// Why a host or an address is not dialled, in words for the person who can change it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotAllowed {
    /// No rule has the host or the address.
    #[error(
        "{host}:{port} is not on the operator's list of allowed endpoints; an administrator can add it with \
         --allow-endpoint '{host}:{port}'"
    )]
    Unlisted {
        /// What would have been dialled.
        host: Host,
        /// Its port.
        port: u16,
    },
    /// The host is allowed, an address that it resolves to is not.
    #[error(
        "{host} resolves to {ip}, {kind}, which is dialled only when named; an administrator can name it with \
         --allow-endpoint '{}:{port}'", Host::Ip(*.ip)
    )]
    Special {
        /// The host that was asked for.
        host: Host,
        /// The address it stands for.
        ip: IpAddr,
        /// The port.
        port: u16,
        /// Why the address is not dialled without being named.
        kind: Special,
    },
}

/// What a host rule matches.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    /// Every name, and every address that is not special.
    Any,
    /// One name.
    Name(String),
    /// Every name below this one (which begins with a dot).
    Below(String),
    /// Every address of a network.
    Net(IpNet),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    pattern: Pattern,
    /// `None` for every port.
    port: Option<u16>,
}

/// Which hosts and addresses may be dialled.
///
/// A rule is `host:port`. The host is a name (`api.example.com`), all names below one (`*.example.com`), any
/// name (`*`), an address (`192.0.2.7`, `[2001:db8::1]`) or a network (`10.0.0.0/8`, `[fd00::/8]`); the port is
/// a number or `*`. A name that a rule has may resolve to any address but a special one ([`Special`]); those
/// are dialled only if a rule names them by address, by a network that lies wholly in that kind of address
/// (`127.0.0.0/8`, not `0.0.0.0/0`), or, for loopback, by the name `localhost`. A name that no rule has is
/// still dialled at those of its addresses that a rule has as address or network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowList(Vec<Rule>);

/// What is known of a host before its name is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// A rule has it: every address that is not special will do.
    Listed,
    /// No rule has the name; each address needs a rule of its own. Where someone else resolves the name (a
    /// proxy), that is a refusal.
    ByAddress,
}

impl AllowList {
    /// The vendors' own API hosts and these rules.
    pub fn parse<'a>(rules: impl IntoIterator<Item = &'a str>) -> Result<Self, RuleError> {
        VENDORS
            .iter()
            .copied()
            .chain(rules)
            .map(|rule| {
                parse_rule(rule.trim()).map_err(|reason| RuleError {
                    rule: rule.to_string(),
                    reason,
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a host may be dialled at this port, as far as can be said without resolving it. An address is
    /// judged for good.
    pub fn host(&self, host: &Host, port: u16) -> Result<Grant, NotAllowed> {
        let refused = || NotAllowed::Unlisted {
            host: host.clone(),
            port,
        };
        match host {
            Host::Ip(ip) => self.address(host, *ip, port).map(|()| Grant::Listed),
            Host::Name(name) if self.has_name(name, port) => Ok(Grant::Listed),
            Host::Name(_) if self.rules(port).any(|r| matches!(r.pattern, Pattern::Net(_))) => {
                Ok(Grant::ByAddress)
            }
            Host::Name(_) => Err(refused()),
        }
    }

    /// Whether an address that this host stands for may be dialled at this port.
    pub fn address(&self, host: &Host, ip: IpAddr, port: u16) -> Result<(), NotAllowed> {
        let ip = canonical_ip(ip);
        let kind = special(ip);
        if self.has_address(ip, kind, port) || self.has_localhost(host, kind, port) {
            return Ok(());
        }
        let listed = match host {
            Host::Name(name) => self.has_name(name, port),
            Host::Ip(_) => self.rules(port).any(|r| r.pattern == Pattern::Any),
        };
        match (listed, kind, host) {
            (true, None, _) => Ok(()),
            (true, Some(kind), _) => Err(NotAllowed::Special {
                host: host.clone(),
                ip,
                port,
                kind,
            }),
            (false, _, _) => Err(NotAllowed::Unlisted {
                host: host.clone(),
                port,
            }),
        }
    }

    fn rules(&self, port: u16) -> impl Iterator<Item = &Rule> {
        self.0.iter().filter(move |r| r.port.is_none_or(|p| p == port))
    }

    fn has_name(&self, name: &str, port: u16) -> bool {
        self.rules(port).any(|rule| match &rule.pattern {
            Pattern::Any => true,
            Pattern::Name(listed) => listed == name,
            Pattern::Below(suffix) => name.len() > suffix.len() && name.ends_with(suffix.as_str()),
            Pattern::Net(_) => false,
        })
    }

    fn has_address(&self, ip: IpAddr, kind: Option<Special>, port: u16) -> bool {
        self.rules(port).any(|rule| match &rule.pattern {
            Pattern::Net(net) => {
                net.contains(&ip) && (kind.is_none() || is_single(net) || special_net(net) == kind)
            }
            _ => false,
        })
    }

    /// `localhost`, written out in a rule, names the loopback addresses.
    fn has_localhost(&self, host: &Host, kind: Option<Special>, port: u16) -> bool {
        const LOCALHOST: &str = "localhost";
        matches!(host, Host::Name(name) if name == LOCALHOST)
            && kind == Some(Special::Loopback)
            && self
                .rules(port)
                .any(|r| matches!(&r.pattern, Pattern::Name(n) if n == LOCALHOST))
    }
}

fn is_single(net: &IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len()
}

fn parse_rule(rule: &str) -> Result<Rule, &'static str> {
    let (host, port) = split_port(rule)?;
    Ok(Rule {
        pattern: parse_pattern(host)?,
        port: parse_port(port)?,
    })
}

/// Splits off the port. In `::1:443` nobody can say which part that is, so IPv6 asks for brackets.
fn split_port(rule: &str) -> Result<(&str, &str), &'static str> {
    const NO_PORT: &str = "a port is missing (host:443, or host:* for every port)";
    if let Some(rest) = rule.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("a closing bracket is missing")?;
        let port = rest.strip_prefix(':').ok_or(NO_PORT)?;
        return match host.contains(':') {
            true => Ok((host, port)),
            false => Err("brackets are for IPv6 addresses and networks"),
        };
    }
    let (host, port) = rule.rsplit_once(':').ok_or(NO_PORT)?;
    match host.contains(':') {
        true => Err("an IPv6 address needs brackets ([::1]:443) and a name no scheme (api.example.com:443)"),
        false => Ok((host, port)),
    }
}

fn parse_port(port: &str) -> Result<Option<u16>, &'static str> {
    if port == "*" {
        return Ok(None);
    }
    match port.parse() {
        Ok(port) if port != 0 => Ok(Some(port)),
        _ => Err("the port is neither a number from 1 to 65535 nor *"),
    }
}

fn parse_pattern(host: &str) -> Result<Pattern, &'static str> {
    if host == "*" {
        return Ok(Pattern::Any);
    }
    if host.contains('/') {
        let net: IpNet = host.parse().map_err(|_| "not a network such as 10.0.0.0/8")?;
        return match (net.trunc() == net, net) {
            (false, _) => Err("the address has bits outside its network"),
            (true, IpNet::V6(v6)) if v6.addr().to_ipv4_mapped().is_some() => {
                Err("write an IPv4-mapped network as IPv4")
            }
            (true, net) => Ok(Pattern::Net(net)),
        };
    }
    let (below, name) = match host.strip_prefix("*.") {
        Some(name) => (true, name),
        None => (false, host),
    };
    match Host::parse(name) {
        Some(Host::Name(name)) if below => Ok(Pattern::Below(format!(".{name}"))),
        Some(Host::Name(name)) => Ok(Pattern::Name(name)),
        Some(Host::Ip(ip)) if !below => Ok(Pattern::Net(IpNet::from(ip))),
        _ => Err("the host is neither a name, nor *.name, nor an address, nor a network"),
    }
}

impl fmt::Display for AllowList {
    /// The rules as they were understood, for the log line at the start.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, rule) in self.0.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            match &rule.pattern {
                Pattern::Any => write!(f, "{space}*")?,
                Pattern::Name(name) => write!(f, "{space}{name}")?,
                Pattern::Below(suffix) => write!(f, "{space}*{suffix}")?,
                Pattern::Net(net) if is_single(net) => write!(f, "{space}{}", Host::Ip(net.addr()))?,
                Pattern::Net(IpNet::V4(net)) => write!(f, "{space}{net}")?,
                Pattern::Net(IpNet::V6(net)) => write!(f, "{space}[{net}]")?,
            }
            match rule.port {
                Some(port) => write!(f, ":{port}")?,
                None => write!(f, ":*")?,
            }
        }
        Ok(())
    }
}
