//! Which proxy leads to the API server: by the rules of Go's HTTP client, which kubectl follows.
//!
//! The library's own reading of NO_PROXY is not used: it compares with the proxy's host, and takes no comma at the end.

use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;

use super::failure::Failure;

/// What the environment says of proxies.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    https: Option<String>,
    http: Option<String>,
    none: String,
}

impl Environment {
    /// Reads the variables, of which the upper-case ones go first.
    pub fn read() -> Self {
        let one = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let either = |name: &str| one(name).or_else(|| one(&name.to_ascii_lowercase()));
        Self {
            https: either("HTTPS_PROXY"),
            http: either("HTTP_PROXY"),
            none: either("NO_PROXY").unwrap_or_default(),
        }
    }

    /// The variable that counts for a URL, with its value.
    fn for_scheme(&self, url: &Uri) -> Option<(&'static str, &str)> {
        let (name, value) = match url.scheme_str() {
            Some("http") => ("HTTP_PROXY", &self.http),
            _ => ("HTTPS_PROXY", &self.https),
        };
        Some((name, value.as_deref()?))
    }
}

/// The proxy for a server. One that the kubeconfig names is used for whatever server; those of the environment are not
/// used for this machine itself, nor for what NO_PROXY names.
pub fn of(server: &Uri, proxy_url: Option<&str>, environment: &Environment) -> Result<Option<Uri>, Failure> {
    if let Some(url) = proxy_url.filter(|url| !url.is_empty()) {
        return address("proxy-url of the cluster in the kubeconfig", url).map(Some);
    }
    let Some((variable, value)) = environment.for_scheme(server) else {
        return Ok(None);
    };
    match is_direct(server, &environment.none) {
        true => Ok(None),
        false => address(variable, value).map(Some),
    }
}

/// A proxy's address. It may hold a password, so it is in no message.
fn address(source: &str, text: &str) -> Result<Uri, Failure> {
    let text = match text.split_once("://") {
        // Names are looked up by the proxy in either case.
        Some(("socks5h", rest)) => format!("socks5://{rest}"),
        Some(_) => text.to_string(),
        None => format!("http://{text}"),
    };
    let wrong = |why: &str| Failure::Other(format!("{source}: {why}: write http://HOST:PORT"));
    let url: Uri = text.parse().map_err(|_| wrong("it is no URL"))?;
    match url.scheme_str() {
        Some("http" | "https" | "socks5") if url.host().is_some() => Ok(url),
        _ => Err(wrong("it is no URL of a proxy (http, https, socks5)")),
    }
}

fn is_direct(server: &Uri, no_proxy: &str) -> bool {
    let host = server.host().unwrap_or_default().to_ascii_lowercase();
    let host = without_brackets(&host);
    let host = host.strip_suffix('.').unwrap_or(host);
    let usual = if server.scheme_str() == Some("http") {
        80
    } else {
        443
    };
    let port = server.port_u16().unwrap_or(usual);
    let address: Option<IpAddr> = host.parse().ok();
    let is_here = host == "localhost" || address.is_some_and(|address| address.is_loopback());
    is_here || no_proxy.split(',').any(|rule| names(rule, host, address, port))
}

/// Whether one rule of NO_PROXY names a host: `*`, a network, an address, `name` (with what is below it), or `.name` and
/// `*.name` (what is below it alone); the latter with `:PORT`, if only that is meant.
fn names(rule: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    let rule = rule.trim().to_ascii_lowercase();
    if rule == "*" {
        return true;
    }
    if let Ok(network) = rule.parse::<IpNet>() {
        return address.is_some_and(|address| network.contains(&address));
    }
    let (name, only_port) = with_port(&rule);
    if name.is_empty() || only_port.is_some_and(|only| only != port) {
        return false;
    }
    if let Ok(one) = name.parse::<IpAddr>() {
        return address == Some(one);
    }
    let name = name
        .strip_prefix('*')
        .filter(|rest| rest.starts_with('.'))
        .unwrap_or(name);
    match name.starts_with('.') {
        true => host.ends_with(name),
        false => host == name || host.ends_with(&format!(".{name}")),
    }
}

/// A rule's host, and the port after it if there is one.
fn with_port(rule: &str) -> (&str, Option<u16>) {
    if rule.parse::<IpAddr>().is_ok() {
        return (rule, None);
    }
    let split = rule.rsplit_once(':');
    let parsed = split.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    match parsed {
        Some((host, port)) => (without_brackets(host), Some(port)),
        None => (without_brackets(rule), None),
    }
}

/// An IPv6 address as it is outside of URLs.
fn without_brackets(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Uri {
        text.parse().unwrap()
    }

    fn environment(no_proxy: &str) -> Environment {
        Environment {
            https: Some("proxy.example:3128".to_string()),
            http: None,
            none: no_proxy.to_string(),
        }
    }

    fn direct(no_proxy: &str, server: &str) -> bool {
        of(&url(server), None, &environment(no_proxy)).unwrap().is_none()
    }

    #[test]
    fn no_proxy_is_read_as_by_go() {
        for (rules, server, expected) in [
            ("", "https://api.example:6443", false),
            ("*", "https://api.example:6443", true),
            ("example", "https://api.example:6443", true),
            ("api.example", "https://api.example", true),
            ("API.example", "https://api.EXAMPLE", true),
            ("pi.example", "https://api.example", false),
            (".example", "https://api.example", true),
            (".api.example", "https://api.example", false),
            ("*.example", "https://api.example", true),
            ("*.api.example", "https://api.example", false),
            ("api.example:6443", "https://api.example:6443", true),
            ("api.example:443", "https://api.example:6443", false),
            ("api.example:443", "https://api.example", true),
            ("10.0.0.0/8", "https://10.1.2.3:6443", true),
            ("10.0.0.0/8", "https://11.1.2.3:6443", false),
            ("10.0.0.0/8", "https://api.example", false),
            ("10.1.2.3", "https://10.1.2.3:6443", true),
            ("10.1.2.3:443", "https://10.1.2.3:6443", false),
            ("fd00::/8", "https://[fd00::1]:6443", true),
            ("fd00::1", "https://[fd00::1]:6443", true),
            ("[fd00::1]:6443", "https://[fd00::1]:6443", true),
            (" other.example , api.example,", "https://api.example", true),
            (",,", "https://api.example", false),
            (":6443", "https://api.example:6443", false),
        ] {
            assert_eq!(direct(rules, server), expected, "{rules:?} {server}");
        }
    }

    #[test]
    fn this_machine_is_reached_without_a_proxy_of_the_environment() {
        for server in [
            "https://localhost:6443",
            "https://127.0.0.1:6443",
            "https://[::1]:6443",
        ] {
            assert!(direct("", server), "{server}");
            let named = of(&url(server), Some("http://p:1"), &environment("*")).unwrap();
            assert_eq!(named, Some(url("http://p:1")), "{server}");
        }
    }

    #[test]
    fn the_scheme_says_which_variable_counts() {
        let found = |server: &str| of(&url(server), None, &environment("")).unwrap();
        assert_eq!(
            found("https://api.example"),
            Some(url("http://proxy.example:3128"))
        );
        assert_eq!(found("http://api.example"), None);
    }

    #[test]
    fn an_address_that_is_no_proxys_is_refused_without_being_told() {
        for text in ["ftp://user:hidden@p:21", "http://", "http://user:hidden @p"] {
            let refused = of(&url("https://api.example"), Some(text), &Environment::default());
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains("proxy-url"), "{refused}");
            assert!(!refused.contains("hidden"), "{refused}");
        }
        let socks = of(
            &url("https://api.example"),
            Some("socks5h://p:1080"),
            &Environment::default(),
        );
        assert_eq!(socks.unwrap(), Some(url("socks5://p:1080")));
    }
}
