use std::net::IpAddr;

use proptest::prelude::*;

use super::address::special;
use super::*;

fn list(rules: &[&str]) -> AllowList {
    AllowList::parse(rules.iter().copied()).unwrap()
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap_or_else(|| panic!("{text:?} is a host"))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Whether `name`, resolved to `address`, is dialled at `port`.
fn dials(list: &AllowList, name: &str, address: &str, port: u16) -> bool {
    let name = host(name);
    list.host(&name, port).is_ok() && list.address(&name, ip(address), port).is_ok()
}

#[test]
fn the_vendors_own_hosts_are_always_allowed() {
    let list = list(&[]);
    for name in [
        "api.ionos.com",
        "auth.scalingo.com",
        "api.osc-fr1.scalingo.com",
        "db-api.osc-fr1.scalingo.com",
        "api.osc-secnum-fr1.scalingo.com",
        "db-api.osc-secnum-fr1.scalingo.com",
    ] {
        assert!(dials(&list, name, "203.0.113.7", 443), "{name}");
        assert!(!dials(&list, name, "203.0.113.7", 80), "{name}");
        assert!(!dials(&list, name, "127.0.0.1", 443), "{name}");
    }
    for name in [
        "evil.example",
        "scalingo.com",
        "dashboard.scalingo.com",
        "evil.osc-fr1.scalingo.com",
        "x.db-api.osc-fr1.scalingo.com",
        "api.osc-fr1.scalingo.io",
    ] {
        assert!(!dials(&list, name, "203.0.113.7", 443), "{name}");
    }
}

#[test]
fn a_name_rule_matches_what_it_says() {
    let table = [
        ("db.example.com:5432", "db.example.com", 5432, true),
        ("db.example.com:5432", "DB.Example.COM.", 5432, true),
        ("DB.Example.COM.:5432", "db.example.com", 5432, true),
        ("db.example.com:5432", "db.example.com", 5433, false),
        ("db.example.com:*", "db.example.com", 1, true),
        ("db.example.com:*", "xdb.example.com", 1, false),
        ("*.example.com:*", "a.b.example.com", 1, true),
        ("*.example.com:*", "example.com", 1, false),
        ("*.example.com:*", "evilexample.com", 1, false),
        ("*:5432", "anything.test", 5432, true),
        ("bücher.example:*", "xn--bcher-kva.example", 1, true),
    ];
    for (rule, name, port, expected) in table {
        assert_eq!(
            dials(&list(&[rule]), name, "203.0.113.7", port),
            expected,
            "{rule} {name}:{port}"
        );
    }
}

#[test]
fn a_named_host_may_resolve_to_a_private_address() {
    let list = list(&["*.postgresql.de-txl.ionos.com:5432"]);
    for private in [
        "10.7.222.9",
        "192.168.1.100",
        "172.16.0.1",
        "fd12::1",
        "100.64.0.1",
    ] {
        assert!(
            dials(&list, "pg-x.postgresql.de-txl.ionos.com", private, 5432),
            "{private}"
        );
    }
}

#[test]
fn a_special_address_is_dialled_only_when_named() {
    let special = [
        "127.0.0.1",
        "127.9.9.9",
        "169.254.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ];
    let broad = list(&["*:*", "evil.example:*", "0.0.0.0/0:*", "[::/0]:*"]);
    for address in special {
        assert!(!dials(&broad, "evil.example", address, 443), "{address} by name");
        assert!(broad.host(&host(address), 443).is_err(), "{address} by itself");
        let named = list(&[&format!("{}:443", Host::Ip(ip(address)))]);
        assert!(named.host(&host(address), 443).is_ok(), "{address} named");
        assert!(
            named.host(&host(address), 444).is_err(),
            "{address} at another port"
        );
    }
}

#[test]
fn a_network_names_the_special_addresses_that_it_consists_of() {
    let table = [
        ("127.0.0.0/8:*", "127.0.0.53", true),
        ("127.0.0.0/8:*", "::ffff:127.0.0.53", true),
        ("126.0.0.0/7:*", "127.0.0.1", false),
        ("169.254.0.0/16:*", "169.254.7.7", true),
        // Credentials for the asking: a network does not name them by the way.
        ("169.254.0.0/16:*", "169.254.169.254", false),
        ("169.254.169.254:80", "169.254.169.254", false),
        ("169.254.169.254:443", "169.254.169.254", true),
        ("[fe80::/10]:*", "fe80::1", true),
        ("10.0.0.0/8:443", "10.1.2.3", true),
        ("10.0.0.0/8:443", "11.1.2.3", false),
    ];
    for (rule, address, expected) in table {
        let list = list(&[rule]);
        assert_eq!(
            list.host(&host(address), 443).is_ok(),
            expected,
            "{rule} {address}"
        );
        assert_eq!(
            dials(&list, "some.name", address, 443),
            expected,
            "{rule} name for {address}"
        );
    }
}

#[test]
fn localhost_names_loopback_when_written_out() {
    assert!(dials(&list(&["localhost:8080"]), "localhost", "127.0.0.1", 8080));
    assert!(dials(&list(&["localhost:8080"]), "localhost", "::1", 8080));
    assert!(!dials(
        &list(&["localhost:8080"]),
        "localhost",
        "169.254.169.254",
        8080
    ));
    assert!(!dials(&list(&["localhost:8080"]), "127.0.0.1", "127.0.0.1", 8080));
    assert!(!dials(&list(&["*:8080"]), "localhost", "127.0.0.1", 8080));
    assert!(!dials(
        &list(&["localhost:8080", "evil.example:8080"]),
        "evil.example",
        "127.0.0.1",
        8080
    ));
}

#[test]
fn no_spelling_of_an_address_passes_for_a_name() {
    let broad = list(&["*:*"]);
    for spelling in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.0.0.1.",
        "[::1]",
        "::1",
        "[::ffff:7f00:1]",
    ] {
        let host = host(spelling);
        assert!(matches!(host, Host::Ip(_)), "{spelling}");
        assert!(broad.host(&host, 443).is_err(), "{spelling}");
    }
}

#[test]
fn what_is_no_host_is_refused() {
    for text in [
        "",
        ".",
        "a..b",
        "-a.b",
        "a b",
        "a/b",
        "a:1",
        "a@b",
        "[::1",
        "1.2.3.4.5",
        "999.1.1.1",
        "a%00b",
    ] {
        assert_eq!(Host::parse(text), None, "{text:?}");
    }
}

#[test]
fn a_rule_that_cannot_be_understood_is_refused() {
    for rule in [
        "",
        "api.example.com",
        "api.example.com:",
        "api.example.com:0",
        "api.example.com:65536",
        "api.example.com:https",
        "https://api.example.com:443",
        "::1:443",
        "[::1]",
        "[::1:443",
        "[127.0.0.1]:443",
        "api-*.example.com:443",
        "*.*.example.com:443",
        "*.127.0.0.1:443",
        "10.0.0.1/8:443",
        "10.0.0.0/33:443",
        "[::ffff:127.0.0.0/104]:443",
        "user@host:443",
    ] {
        assert!(AllowList::parse([rule]).is_err(), "{rule:?}");
    }
}

#[test]
fn a_refusal_names_the_address_and_the_flag() {
    let list = list(&["db.example.com:5432"]);
    let unlisted = list.host(&host("evil.example"), 443).unwrap_err().to_string();
    assert!(
        unlisted.contains("evil.example:443") && unlisted.contains("--allow-endpoint"),
        "{unlisted}"
    );
    let special = list
        .address(&host("db.example.com"), ip("::1"), 5432)
        .unwrap_err()
        .to_string();
    for part in [
        "db.example.com",
        "::1",
        "loopback",
        "--allow-endpoint '[::1]:5432'",
    ] {
        assert!(special.contains(part), "{part}: {special}");
    }
}

#[test]
fn the_list_is_shown_as_it_is_read() {
    let list = list(&["*:1", "*.B.example:*", "127.1:2", "[fd00::/8]:3"]);
    let shown = list.to_string();
    assert!(
        shown.starts_with("api.ionos.com:443 auth.scalingo.com:443 "),
        "{shown}"
    );
    assert!(
        shown.ends_with(" *:1 *.b.example:* 127.0.0.1:2 [fd00::/8]:3"),
        "{shown}"
    );
    assert!(AllowList::parse(shown.split(' ')).is_ok());
}

#[test]
fn two_spellings_of_a_url_are_one() {
    let table = [
        ("https://API.ionos.com", "https://api.ionos.com"),
        ("HTTPS://api.ionos.com:443/", "https://api.ionos.com"),
        (
            "https://api.ionos.com./databases",
            "https://api.ionos.com/databases",
        ),
        ("http://h:80/a/b/", "http://h/a/b"),
        ("https://h:80/a", "https://h:80/a"),
        ("https://h/a/./b/../c", "https://h/a/c"),
        ("https://h/%64atabases/%7e%2f", "https://h/databases/~%2F"),
        ("https://h/a%zz", "https://h/a%25zz"),
        ("https://h/%%3425", "https://h/%25425"),
        ("http://2130706433/", "http://127.0.0.1"),
        ("http://[::FFFF:127.0.0.1]:8080", "http://127.0.0.1:8080"),
        ("http://[FD00::1]/", "http://[fd00::1]"),
        (" https://h ", "https://h"),
    ];
    for (url, expected) in table {
        assert_eq!(canonical(url).as_deref(), Ok(expected), "{url}");
    }
}

#[test]
fn what_is_no_base_url_is_refused() {
    use EndpointError::*;
    let table = [
        ("", NotAUrl),
        ("api.ionos.com", NotAUrl),
        ("ftp://h", Scheme),
        ("file:///etc/passwd", Scheme),
        ("https://", NotAUrl),
        ("https://user@h", Userinfo),
        ("https://:secret@h", Userinfo),
        ("https://h?x=1", Query),
        ("https://h/#x", Fragment),
        ("https://h//", EmptySegment),
        ("https://h//a", EmptySegment),
        ("https://h/a//", EmptySegment),
        ("https://h:0", Port),
        ("https://a..b", Host),
    ];
    for (url, expected) in table {
        assert_eq!(canonical(url), Err(expected), "{url}");
    }
}

proptest! {
    #[test]
    fn the_canonical_form_is_its_own(
        host in "[a-zA-Z0-9]{1,8}\\.[a-z]{2,4}",
        port in proptest::option::of(1u16..),
        path in "(/[a-zA-Z0-9%~._-]{1,6}){0,3}/?",
    ) {
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        if let Ok(once) = canonical(&format!("https://{host}{port}{path}")) {
            prop_assert_eq!(canonical(&once), Ok(once));
        }
    }

    #[test]
    fn anything_may_be_given_as_a_url_a_host_or_a_rule(text in "\\PC{0,40}") {
        let _ = canonical(&text);
        let _ = Host::parse(&text);
        let _ = AllowList::parse([text.as_str()]);
    }

    #[test]
    fn no_name_rule_ever_lets_a_special_address_through(bits in any::<u128>(), v4 in any::<u32>()) {
        let list = list(&["*:*", "0.0.0.0/0:*", "[::/0]:*"]);
        for ip in [IpAddr::from(bits.to_be_bytes()), IpAddr::from(v4.to_be_bytes())] {
            prop_assert_eq!(list.address(&host("a.example"), ip, 443).is_err(), special(ip).is_some());
        }
    }

    #[test]
    fn a_mapped_address_is_judged_like_its_ipv4(v4 in any::<u32>()) {
        let v4 = std::net::Ipv4Addr::from(v4);
        prop_assert_eq!(special(IpAddr::V6(v4.to_ipv6_mapped())), special(IpAddr::V4(v4)));
    }
}
