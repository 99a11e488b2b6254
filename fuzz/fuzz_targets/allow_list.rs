//! A list of rules that is taken is shown as it was understood; and however it is made, no special address is dialled
//! that was not named, no rule takes away what another gives, and one address is judged alike however it is written.
//!
//! The input is `host address port` in the first line and a rule in each other.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use pguser_operator::domain::endpoint::{AllowList, Grant, Host};

/// An address that is nothing special.
const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
/// One that hands out credentials.
const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

fuzz_target!(|text: &str| {
    let (dialled, rules) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(list) = AllowList::parse(rules.lines()) else {
        return;
    };
    is_shown_as_understood(&list);
    let mut words = dialled.split(' ');
    let host = words.next().and_then(Host::parse);
    let ip = words.next().and_then(|word| word.parse().ok());
    let port = words.next().and_then(|word| word.parse().ok());
    if let (Some(host), Some(ip), Some(port)) = (host, ip, port) {
        assert_eq!(Host::parse(&host.to_string()).as_ref(), Some(&host));
        is_judged_well(&list, &host, ip, port);
    }
});

fn vendors() -> AllowList {
    AllowList::parse([]).expect("no rule is wrong if there is none")
}

fn is_shown_as_understood(list: &AllowList) {
    let shown = list.to_string();
    let own = shown
        .strip_prefix(&vendors().to_string())
        .expect("the vendors' come first");
    assert_eq!(AllowList::parse(own.split_whitespace()).as_ref(), Ok(list));
}

fn is_judged_well(list: &AllowList, host: &Host, ip: IpAddr, port: u16) {
    let dials = |list: &AllowList, ip| list.address(host, ip, port).is_ok();
    let allowed = dials(list, ip);
    assert!(allowed || !dials(&vendors(), ip));
    if let IpAddr::V4(v4) = ip {
        assert_eq!(allowed, dials(list, IpAddr::V6(v4.to_ipv6_mapped())));
    }
    if dials(list, METADATA) {
        let shown = list.to_string();
        assert!(shown.contains(" 169.254.169.254:"), "{shown}");
    }
    if let Host::Name(_) = host {
        match list.host(host, port) {
            Ok(Grant::Listed) => assert!(dials(list, PUBLIC)),
            Ok(Grant::ByAddress) => {}
            Err(_) => assert!(!allowed && !dials(list, PUBLIC)),
        }
    }
}
