//! What more than one target asserts.

use pguser_operator::domain::endpoint::Host;
use pguser_operator::provider::Cluster;

/// A secret that the remote was sent. It has an underscore, which is what odd characters become when they are shown.
pub const SECRET: &str = "s3c_ret";

/// What is shown of a refusal is short and of plain characters, and never has the secret that was sent.
pub fn assert_shown(detail: &str) {
    assert!(detail.len() <= 256, "{detail}");
    assert!(
        detail.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{detail:?}"
    );
    assert!(!detail.contains(SECRET), "{detail}");
}

/// What a remote says of where clients connect goes into connection strings: each part is one, and nothing more.
pub fn assert_connectable(cluster: &Cluster) {
    if let Some(host) = &cluster.host {
        let read = Host::parse(host).expect("a host");
        let written = match read {
            Host::Name(name) => name,
            Host::Ip(ip) => ip.to_string(),
        };
        assert_eq!(*host, written);
    }
    assert_ne!(cluster.port, Some(0));
    if let Some(database) = &cluster.database {
        assert!((1..=63).contains(&database.len()), "{database:?}");
        assert!(!database.chars().any(char::is_control), "{database:?}");
    }
}
