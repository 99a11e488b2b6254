//! The canonical form of a base URL is its own canonical form; what would dial it finds the host and port that were
//! checked; and it leaves out nothing that was meant.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pguser_operator::domain::endpoint::{Endpoint, Host};
use url::Url;

fuzz_target!(|text: &str| {
    let Ok(endpoint) = Endpoint::parse(text) else {
        return;
    };
    let again = Endpoint::parse(endpoint.as_str()).expect("what is canonical is an endpoint");
    assert_eq!(again, endpoint);

    let dialled = Url::parse(endpoint.as_str()).expect("what is canonical is a URL");
    assert_eq!(
        dialled.host_str().and_then(Host::parse).as_ref(),
        Some(endpoint.host())
    );
    assert_eq!(dialled.port_or_known_default(), Some(endpoint.port()));
    assert_eq!(dialled.as_str().trim_end_matches('/'), endpoint.as_str());

    let written = Url::parse(text).expect("what is an endpoint is a URL");
    assert!(!written.path().contains("//"), "{written}");
    let segments = |url: &Url| {
        url.path()
            .split('/')
            .filter(|segment| !segment.is_empty())
            .count()
    };
    assert_eq!(segments(&dialled), segments(&written));
});
