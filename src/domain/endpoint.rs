//! Where the operator may connect to, and how the address of an API is written as part of an identity.
//!
//! Whoever may create a server object makes the operator dial an address of their choice. The administrator's
//! [`AllowList`] is what stands between that and the operator's own network neighbourhood; [`Endpoint`] is an
//! API's base URL in the one form that two spellings of it share.

mod address;
mod allow;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;
use url::Url;

pub use address::{Special, canonical_ip};
pub use allow::{AllowList, Grant, NotAllowed, RuleError};

/// A host as it is dialled: a name in lower case without a trailing dot, or an address.
///
/// IPv4 in its decimal, octal and hexadecimal spellings is an address here, never a name, so that no spelling
/// of `127.0.0.1` passes for one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name, in its ASCII (Punycode) form.
    Name(String),
    /// An address; IPv4-mapped IPv6 is IPv4.
    Ip(IpAddr),
}

impl Host {
    /// Reads a host as people write it: a name, an IPv4 address, or an IPv6 address with or without brackets.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Some(Host::Ip(canonical_ip(ip)));
        }
        match url::Host::parse(text).ok()? {
            url::Host::Domain(name) => Self::name(&name),
            url::Host::Ipv4(ip) => Some(Host::Ip(IpAddr::V4(ip))),
            url::Host::Ipv6(ip) => Some(Host::Ip(canonical_ip(IpAddr::V6(ip)))),
        }
    }

    /// A name, if it is one that DNS could hold (underscores are in use, so they are let through).
    fn name(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        (text.len() <= 253 && text.split('.').all(label)).then(|| Host::Name(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

/// Why a text is not the base URL of an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// Not a URL at all.
    #[error("the endpoint is not a URL such as https://api.example.com/path")]
    NotAUrl,
    /// Another scheme.
    #[error("the endpoint must begin with https:// (or http://, where the administrator allows it)")]
    Scheme,
    /// A host that is neither an address nor a DNS name.
    #[error("the endpoint's host is neither an address nor a DNS name")]
    Host,
    /// A port that nothing can listen on.
    #[error("the endpoint's port must not be 0")]
    Port,
    /// Credentials in the URL.
    #[error("the endpoint must not hold a user name or password: credentials belong in a Secret")]
    Userinfo,
    /// A query.
    #[error("the endpoint must not hold a query (?…)")]
    Query,
    /// A fragment.
    #[error("the endpoint must not hold a fragment (#…)")]
    Fragment,
    /// Two slashes in a row, which some servers take for one.
    #[error("the endpoint's path must not hold an empty segment (//)")]
    EmptySegment,
}

/// The base URL of an API, canonical: two spellings of one address are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    text: String,
    https: bool,
    host: Host,
    port: u16,
}

impl Endpoint {
    /// Reads a base URL. Its canonical form has scheme and host in lower case, no default port, no trailing
    /// slash, no dot segments and no needless percent-encoding. What cannot be part of a base URL is refused
    /// rather than dropped, lest something be lost that somebody meant.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let url = Url::parse(text).map_err(|_| EndpointError::NotAUrl)?;
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(EndpointError::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Userinfo);
        }
        if url.query().is_some() {
            return Err(EndpointError::Query);
        }
        if url.fragment().is_some() {
            return Err(EndpointError::Fragment);
        }
        let host = url.host_str().and_then(Host::parse).ok_or(EndpointError::Host)?;
        let port = url.port_or_known_default().ok_or(EndpointError::Port)?;
        if port == 0 {
            return Err(EndpointError::Port);
        }
        let text = format!(
            "{}://{host}{}{}",
            url.scheme(),
            url.port().map(|port| format!(":{port}")).unwrap_or_default(),
            canonical_path(url.path())?,
        );
        Ok(Self {
            text,
            https,
            host,
            port,
        })
    }

    /// The canonical URL, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is spoken to over TLS.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host to dial.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port to dial.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The canonical form of an API's base URL, as it goes into a remote identity.
pub fn canonical(url: &str) -> Result<String, EndpointError> {
    Endpoint::parse(url).map(|endpoint| endpoint.text)
}

/// A path without a trailing slash, each segment encoded in one way only.
fn canonical_path(path: &str) -> Result<String, EndpointError> {
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(String::new());
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut text = String::with_capacity(path.len() + 1);
    for segment in path.split('/') {
        if segment.is_empty() {
            return Err(EndpointError::EmptySegment);
        }
        text.push('/');
        text.push_str(&canonical_segment(segment));
    }
    Ok(text)
}

/// A path segment with unreserved characters plain and every other escape in upper case.
fn canonical_segment(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let mut text = String::with_capacity(segment.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = bytes
            .get(at + 1..at + 3)
            .filter(|_| byte == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escaped {
            Some(plain) if plain.is_ascii_alphanumeric() || b"-._~".contains(&plain) => {
                text.push(char::from(plain));
                at += 3;
            }
            Some(other) => {
                text.push_str(&format!("%{other:02X}"));
                at += 3;
            }
            None if byte == b'%' => {
                text.push_str("%25");
                at += 1;
            }
            None => {
                // `url` leaves only ASCII in a path.
                text.push(char::from(byte));
                at += 1;
            }
        }
    }
    text
}
