//! How to connect, and what tells whether an output Secret says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_lc_rs::digest;

use crate::api::{ChannelBinding, OutputSecret, SecretPreset, SslMode};

/// Changes when the meaning of [`content_digest`] does.
const DIGEST_FORMAT: &str = "pguser.dev/content/v1";

/// How to connect, apart from who.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConnectionDetails {
    /// The host name or address; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// What the clients' `sslmode` is set to.
    pub sslmode: SslMode,
    /// What the clients' `channel_binding` is set to, if anything is said of it.
    pub channel_binding: Option<ChannelBinding>,
    /// The provider's name.
    pub provider: &'static str,
    /// The authorities that have signed the server's certificate, in PEM, where the server object names them.
    pub ca: Option<Arc<[u8]>>,
}

impl ConnectionDetails {
    /// Where clients connect to, as `host:port/database`.
    pub fn address(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }
}

/// A digest, in hexadecimal, of all that an output Secret holds but the password and the authorities: two are equal only if
/// nothing but these would differ. Authorities reach a Secret when it is published for another reason: a new one would have
/// every Secret written at once.
///
/// Stored in status, so it must not depend on the version of Rust or of this program: every text goes in
/// with its length before it. What a spec says of formats goes in only where it says something, so that the digests of before
/// there were formats still hold.
pub fn content_digest(
    details: &ConnectionDetails,
    username: &str,
    spec: &OutputSecret,
    retain: bool,
) -> String {
    let mut content = Content(digest::Context::new(&digest::SHA256));
    content.text(DIGEST_FORMAT);
    content.text(&details.host);
    content.text(&details.port.to_string());
    content.text(&details.database);
    content.text(details.sslmode.as_str());
    content.text(details.provider);
    content.text(username);
    content.map(&spec.labels);
    content.map(&spec.annotations);
    content.text(if retain { "retain" } else { "delete" });
    content.formats(spec);
    // What earlier versions did not know of: where nothing is said of it, the digest is theirs.
    if let Some(binding) = details.channel_binding {
        content.text(binding.as_str());
    }
    super::mac::hex(content.0.finish().as_ref())
}

/// The digest of a Secret that has the login of before, too.
pub fn with_previous(digest: String, previous: Option<&str>) -> String {
    let Some(previous) = previous else {
        return digest;
    };
    let mut content = Content(digest::Context::new(&digest::SHA256));
    content.text(&digest);
    content.text(previous);
    super::mac::hex(content.0.finish().as_ref())
}

/// What is being digested.
struct Content(digest::Context);

impl Content {
    fn length(&mut self, length: usize) {
        self.0.update(&(length as u64).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.update(text.as_bytes());
    }

    fn formats(&mut self, spec: &OutputSecret) {
        // In any order, and as often as they are named, presets are the same.
        let presets: BTreeSet<SecretPreset> = spec.presets().iter().copied().collect();
        let mount = spec.mount_path.as_deref().unwrap_or_default();
        if presets == BTreeSet::from([SecretPreset::Basic]) && mount.is_empty() && spec.data.is_empty() {
            return;
        }
        self.text("formats");
        self.length(presets.len());
        for preset in presets {
            self.text(preset.as_str());
        }
        self.text(mount);
        self.map(&spec.data);
    }

    fn map(&mut self, map: &BTreeMap<String, String>) {
        self.length(map.len());
        for (key, value) in map {
            self.text(key);
            self.text(value);
        }
    }
}

/// For tests: a database of the provider `ionos`.
#[cfg(test)]
pub(super) fn at(host: &str, database: &str) -> ConnectionDetails {
    ConnectionDetails {
        host: host.to_string(),
        port: 5432,
        database: database.to_string(),
        sslmode: SslMode::Require,
        channel_binding: None,
        provider: "ionos",
        ca: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(change: impl FnOnce(&mut OutputSecret)) -> OutputSecret {
        let mut spec = OutputSecret::default();
        change(&mut spec);
        spec
    }

    fn map(key: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(key.to_string(), value.to_string())])
    }

    #[test]
    fn the_digest_is_the_same_for_ever() {
        let none = OutputSecret::default();
        assert_eq!(
            content_digest(&at("pg.example.com", "orders"), "checkout", &none, false),
            "a74eaae59cb141eb31179358d8c504d534682ee959fc14a9ffb4c6d3c37eec8d"
        );
    }

    /// What is said is what is without a word of it.
    #[test]
    fn the_default_by_name_is_the_default() {
        let of = |spec: &OutputSecret| content_digest(&at("h", "d"), "u", spec, false);
        let named = spec(|it| it.presets = Some(vec![SecretPreset::Basic]));
        assert_eq!(of(&named), of(&OutputSecret::default()));
        let two = |presets: Vec<SecretPreset>| of(&spec(|it| it.presets = Some(presets)));
        assert_eq!(
            two(vec![SecretPreset::Uri, SecretPreset::Libpq]),
            two(vec![SecretPreset::Libpq, SecretPreset::Uri])
        );
    }

    #[test]
    fn the_digest_tells_no_authorities() {
        let with = ConnectionDetails {
            ca: Some("-----BEGIN".as_bytes().into()),
            ..at("h", "d")
        };
        let none = OutputSecret::default();
        assert_eq!(
            content_digest(&with, "u", &none, false),
            content_digest(&at("h", "d"), "u", &none, false)
        );
    }

    #[test]
    fn the_digest_tells_every_difference_but_the_password() {
        let none = OutputSecret::default();
        let base = at("h", "d");
        let of = |details: &ConnectionDetails, spec: &OutputSecret| content_digest(details, "u", spec, false);
        let specs = [
            none.clone(),
            spec(|it| it.labels = map("a", "b")),
            spec(|it| it.annotations = map("a", "b")),
            spec(|it| it.labels = map("a", "c")),
            spec(|it| it.presets = Some(vec![])),
            spec(|it| it.presets = Some(vec![SecretPreset::Libpq])),
            spec(|it| it.presets = Some(vec![SecretPreset::Basic, SecretPreset::Libpq])),
            spec(|it| it.mount_path = Some("/etc/postgres".to_string())),
            spec(|it| it.data = map("a", "b")),
            spec(|it| it.data = map("a", "c")),
        ];
        let other = [
            at("hd", ""),
            at("h", "e"),
            ConnectionDetails {
                port: 5433,
                ..base.clone()
            },
            ConnectionDetails {
                sslmode: SslMode::Prefer,
                ..base.clone()
            },
            ConnectionDetails {
                provider: "scalingo",
                ..base.clone()
            },
        ];
        let mut digests = vec![
            content_digest(&base, "u", &none, true),
            content_digest(&base, "v", &none, false),
        ];
        digests.extend(specs.iter().map(|spec| of(&base, spec)));
        digests.extend(other.iter().map(|details| of(details, &none)));
        let distinct: BTreeSet<_> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len());
    }
}
