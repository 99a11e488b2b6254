//! What an output Secret holds: how to connect, in the forms that applications read.

use std::collections::BTreeMap;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::digest;
use zeroize::Zeroizing;

use super::password::Password;
use crate::api::{ChannelBinding, SslMode};

/// All but RFC 3986's unreserved characters. What is left means the same to libpq, to pgjdbc (which reads `+`
/// as a space) and to every other reader of URIs.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The value of the key `type`, in the words of Service Binding for Kubernetes.
const TYPE: &str = "postgresql";

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

/// The longest bundle of authorities that is published: there is one in each user's Secret.
const LONGEST_CA: usize = 32 * 1024;

/// The keys and values of an output Secret.
///
/// `jdbc-url` and `jdbc-uri` are the same text, username and password included, since readers of either
/// name expect to need nothing else. `pgpass` is one line, with its end; libpq reads it only from a file that
/// nobody else may read.
pub fn render(
    details: &ConnectionDetails,
    username: &str,
    password: &Password,
) -> BTreeMap<&'static str, Zeroizing<String>> {
    let jdbc = details.jdbc(username, password);
    let port = details.port.to_string();
    let ca = details.ca.as_deref().filter(|ca| ca.len() <= LONGEST_CA);
    let ca = ca.and_then(|ca| std::str::from_utf8(ca).ok());
    let ca = ca.map(|ca| ("ca.crt", secret(ca)));
    let keys = [
        ("username", secret(username)),
        ("password", secret(password.reveal())),
        ("host", secret(&details.host)),
        ("port", secret(&port)),
        ("database", secret(&details.database)),
        ("dbname", secret(&details.database)),
        ("sslmode", secret(details.sslmode.as_str())),
        ("uri", details.uri(username, password)),
        ("jdbc-url", jdbc.clone()),
        ("jdbc-uri", jdbc),
        ("pgpass", details.pgpass(username, password)),
        ("type", secret(TYPE)),
        ("provider", secret(details.provider)),
    ];
    let binding = details.channel_binding.map(ChannelBinding::as_str);
    let binding = binding.map(|binding| ("channel_binding", secret(binding)));
    keys.into_iter().chain(ca).chain(binding).collect()
}

/// A digest, in hexadecimal, of all that an output Secret holds but the password and the authorities: two are equal only if
/// nothing but these would differ. Authorities reach a Secret when it is published for another reason: a new one would have
/// every Secret written at once.
///
/// Stored in status, so it must not depend on the version of Rust or of this program: every text goes in
/// with its length before it.
pub fn content_digest(
    details: &ConnectionDetails,
    username: &str,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
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
    content.map(labels);
    content.map(annotations);
    content.text(if retain { "retain" } else { "delete" });
    // What earlier versions did not know of: where nothing is said of it, the digest is theirs.
    if let Some(binding) = details.channel_binding {
        content.text(binding.as_str());
    }
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

    fn map(&mut self, map: &BTreeMap<String, String>) {
        self.length(map.len());
        for (key, value) in map {
            self.text(key);
            self.text(value);
        }
    }
}

fn secret(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_string())
}

fn encoded(text: &str) -> Zeroizing<String> {
    Zeroizing::new(utf8_percent_encode(text, RESERVED).to_string())
}

/// One field of a line of a password file. A field that is a lone `*` would match anything.
fn escaped(field: &str) -> Zeroizing<String> {
    if field == "*" {
        return secret("\\*");
    }
    Zeroizing::new(field.replace('\\', "\\\\").replace(':', "\\:"))
}

impl ConnectionDetails {
    /// `host:port`, as a URI has it.
    fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", *encoded(&self.host), self.port),
        }
    }

    /// As libpq and most others read it.
    fn uri(&self, username: &str, password: &Password) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "postgresql://{}:{}@{}/{}?sslmode={}{}",
            *encoded(username),
            *encoded(password.reveal()),
            self.authority(),
            *encoded(&self.database),
            self.sslmode.as_str(),
            self.binding("channel_binding"),
        ))
    }

    /// What is said of channel binding, as a parameter of this name.
    fn binding(&self, name: &str) -> String {
        let binding = self.channel_binding.map(ChannelBinding::as_str);
        binding.map_or_else(String::new, |binding| format!("&{name}={binding}"))
    }

    /// As pgjdbc reads it, which takes no `user:password@`.
    fn jdbc(&self, username: &str, password: &Password) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "jdbc:postgresql://{}/{}?user={}&password={}&sslmode={}{}",
            self.authority(),
            *encoded(&self.database),
            *encoded(username),
            *encoded(password.reveal()),
            self.sslmode.as_str(),
            self.binding("channelBinding"),
        ))
    }

    /// As libpq's password file has it.
    fn pgpass(&self, username: &str, password: &Password) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "{}:{}:{}:{}:{}\n",
            *escaped(&self.host),
            self.port,
            *escaped(&self.database),
            *escaped(username),
            *escaped(password.reveal()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use proptest::prelude::*;
    use tokio_postgres::config::Host;

    use super::*;

    const ODD: &str = "we \"i'r&d=/na%me?#@:+\\* 🦀";

    fn at(host: &str, database: &str) -> ConnectionDetails {
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

    fn rendered(details: &ConnectionDetails, username: &str, password: &str) -> BTreeMap<String, String> {
        render(details, username, &Password::new(password))
            .into_iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect()
    }

    /// Percent-decoding by the book, `+` being a `+`.
    fn decode(text: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'%' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                byte => byte,
            });
        }
        String::from_utf8(bytes).unwrap()
    }

    /// Decoding as `java.net.URLDecoder` does it, for pgjdbc.
    fn decode_as_java(text: &str) -> String {
        decode(&text.replace('+', " "))
    }

    /// Host, port, database and parameters, in the way of pgjdbc's `Driver.parseURL`.
    fn parse_jdbc(url: &str) -> (String, String, String, BTreeMap<String, String>) {
        let (server, query) = url.split_once('?').unwrap();
        let rest = server.strip_prefix("jdbc:postgresql://").unwrap();
        let (address, database) = rest.split_once('/').unwrap();
        let (host, port) = address.rsplit_once(':').unwrap();
        let parameters = query.split('&').map(|token| {
            let (key, value) = token.split_once('=').unwrap();
            (key.to_string(), decode_as_java(value))
        });
        (
            host.to_string(),
            port.to_string(),
            decode_as_java(database),
            parameters.collect(),
        )
    }

    /// Splits a line of a password file at unescaped colons; the flag says whether it is the wildcard.
    fn parse_pgpass(line: &str) -> Vec<(String, bool)> {
        let mut fields = vec![(String::new(), String::new())];
        let mut chars = line.strip_suffix('\n').unwrap().chars();
        while let Some(c) = chars.next() {
            let (raw, value) = fields.last_mut().unwrap();
            match c {
                ':' => fields.push((String::new(), String::new())),
                '\\' => {
                    let escaped = chars.next().unwrap();
                    raw.extend(['\\', escaped]);
                    value.push(escaped);
                }
                c => {
                    raw.push(c);
                    value.push(c);
                }
            }
        }
        fields
            .into_iter()
            .map(|(raw, value)| (value, raw == "*"))
            .collect()
    }

    #[test]
    fn channel_binding_is_said_in_every_form_that_has_a_word_for_it_and_only_where_it_was_chosen() {
        let plain = at("db", "app");
        let bound = ConnectionDetails {
            channel_binding: Some(ChannelBinding::Require),
            ..plain.clone()
        };
        let secret = rendered(&bound, "u", "p");
        assert_eq!(secret["channel_binding"], "require");
        assert!(secret["uri"].ends_with("?sslmode=require&channel_binding=require"));
        assert!(secret["jdbc-url"].ends_with("&sslmode=require&channelBinding=require"));
        let unsaid = rendered(&plain, "u", "p");
        assert!(!unsaid.contains_key("channel_binding") && unsaid["uri"].ends_with("?sslmode=require"));
        let digest = |details: &ConnectionDetails| {
            content_digest(details, "u", &BTreeMap::new(), &BTreeMap::new(), false)
        };
        assert_ne!(digest(&plain), digest(&bound));
    }

    #[test]
    fn authorities_are_published_unless_they_are_a_whole_system_s() {
        let with = |ca: &str| ConnectionDetails {
            ca: Some(ca.as_bytes().into()),
            ..at("pg.example.com", "orders")
        };
        assert_eq!(rendered(&with("-----BEGIN"), "u", "p")["ca.crt"], "-----BEGIN");
        assert_eq!(
            rendered(&with(&"x".repeat(LONGEST_CA + 1)), "u", "p").get("ca.crt"),
            None
        );
        assert_eq!(
            rendered(&at("pg.example.com", "orders"), "u", "p").get("ca.crt"),
            None
        );
        let none = BTreeMap::new();
        assert_eq!(
            content_digest(&with("-----BEGIN"), "u", &none, &none, false),
            content_digest(&at("pg.example.com", "orders"), "u", &none, &none, false)
        );
    }

    #[test]
    fn the_keys_are_those_that_are_promised() {
        let keys: Vec<&str> = render(&at("h", "d"), "u", &Password::new("p"))
            .into_keys()
            .collect();
        assert_eq!(
            keys,
            [
                "database", "dbname", "host", "jdbc-uri", "jdbc-url", "password", "pgpass", "port",
                "provider", "sslmode", "type", "uri", "username"
            ]
        );
    }

    #[test]
    fn plain_values_look_plain() {
        let secret = rendered(&at("pg.example.com", "orders"), "checkout", "s3cr-et_");
        assert_eq!(
            secret["uri"],
            "postgresql://checkout:s3cr-et_@pg.example.com:5432/orders?sslmode=require"
        );
        assert_eq!(
            secret["jdbc-url"],
            "jdbc:postgresql://pg.example.com:5432/orders?user=checkout&password=s3cr-et_&sslmode=require"
        );
        assert_eq!(secret["jdbc-uri"], secret["jdbc-url"]);
        assert_eq!(secret["pgpass"], "pg.example.com:5432:orders:checkout:s3cr-et_\n");
        assert_eq!(secret["type"], "postgresql");
        assert_eq!(secret["provider"], "ionos");
        assert_eq!(secret["database"], secret["dbname"]);
    }

    #[test]
    fn a_uri_reads_back_as_what_was_meant() {
        let uri = &rendered(&at("pg.example.com", ODD), ODD, ODD)["uri"];
        let config = tokio_postgres::Config::from_str(uri).unwrap();
        assert_eq!(config.get_user(), Some(ODD));
        assert_eq!(config.get_password(), Some(ODD.as_bytes()));
        assert_eq!(config.get_dbname(), Some(ODD));
        assert_eq!(config.get_hosts(), [Host::Tcp("pg.example.com".to_string())]);
        assert_eq!(config.get_ports(), [5432]);
    }

    #[test]
    fn an_ipv6_host_is_bracketed_where_a_uri_needs_it() {
        let secret = rendered(&at("2001:db8::1", "d"), "u", "p");
        let config = tokio_postgres::Config::from_str(&secret["uri"]).unwrap();
        assert_eq!(config.get_hosts(), [Host::Tcp("2001:db8::1".to_string())]);
        assert_eq!(parse_jdbc(&secret["jdbc-url"]).0, "[2001:db8::1]");
        assert_eq!(secret["host"], "2001:db8::1");
        assert_eq!(parse_pgpass(&secret["pgpass"])[0].0, "2001:db8::1");
    }

    #[test]
    fn the_sslmode_is_the_one_that_was_set() {
        let details = ConnectionDetails {
            sslmode: SslMode::VerifyFull,
            ..at("h", "d")
        };
        let secret = rendered(&details, "u", "p");
        assert_eq!(secret["sslmode"], "verify-full");
        assert!(secret["uri"].ends_with("?sslmode=verify-full"));
        assert_eq!(parse_jdbc(&secret["jdbc-url"]).3["sslmode"], "verify-full");
    }

    #[test]
    fn a_lone_star_is_no_wildcard_in_a_password_file() {
        let line = &rendered(&at("h", "*"), "*", "*")["pgpass"];
        let fields = parse_pgpass(line);
        assert!(fields.iter().all(|(_, wildcard)| !wildcard), "{line}");
        assert_eq!(fields[3].0, "*");
    }

    #[test]
    fn the_digest_is_the_same_for_ever() {
        let none = BTreeMap::new();
        assert_eq!(
            content_digest(&at("pg.example.com", "orders"), "checkout", &none, &none, false),
            "a74eaae59cb141eb31179358d8c504d534682ee959fc14a9ffb4c6d3c37eec8d"
        );
    }

    #[test]
    fn the_digest_tells_every_difference_but_the_password() {
        let none = BTreeMap::new();
        let one = BTreeMap::from([("a".to_string(), "b".to_string())]);
        let other = BTreeMap::from([("a".to_string(), "c".to_string())]);
        let base = at("h", "d");
        let digests = [
            content_digest(&base, "u", &none, &none, false),
            content_digest(&base, "u", &none, &none, true),
            content_digest(&base, "v", &none, &none, false),
            content_digest(&base, "u", &one, &none, false),
            content_digest(&base, "u", &none, &one, false),
            content_digest(&base, "u", &other, &none, false),
            content_digest(&at("hd", ""), "u", &none, &none, false),
            content_digest(&at("h", "e"), "u", &none, &none, false),
            content_digest(
                &ConnectionDetails {
                    port: 5433,
                    ..base.clone()
                },
                "u",
                &none,
                &none,
                false,
            ),
            content_digest(
                &ConnectionDetails {
                    sslmode: SslMode::Prefer,
                    ..base.clone()
                },
                "u",
                &none,
                &none,
                false,
            ),
            content_digest(
                &ConnectionDetails {
                    provider: "scalingo",
                    ..base
                },
                "u",
                &none,
                &none,
                false,
            ),
        ];
        let distinct: std::collections::BTreeSet<_> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len());
    }

    proptest! {
        #[test]
        fn every_form_reads_back_as_what_was_meant(
            username in "[^\\x00-\\x1f\\x7f]{1,40}",
            password in "[^\\x00-\\x1f\\x7f]{1,40}",
            database in "[^\\x00-\\x1f\\x7f]{1,40}",
        ) {
            let secret = rendered(&at("pg.example.com", &database), &username, &password);

            let config = tokio_postgres::Config::from_str(&secret["uri"]).unwrap();
            prop_assert_eq!(config.get_user(), Some(username.as_str()));
            prop_assert_eq!(config.get_password(), Some(password.as_bytes()));
            prop_assert_eq!(config.get_dbname(), Some(database.as_str()));

            let rest = secret["uri"].strip_prefix("postgresql://").unwrap();
            let (user_info, rest) = rest.split_once('@').unwrap();
            let (user, word) = user_info.split_once(':').unwrap();
            let (address, rest) = rest.split_once('/').unwrap();
            prop_assert_eq!(decode(user), username.clone());
            prop_assert_eq!(decode(word), password.clone());
            prop_assert_eq!(address, "pg.example.com:5432");
            prop_assert_eq!(decode(rest.split_once('?').unwrap().0), database.clone());

            let (host, port, path, parameters) = parse_jdbc(&secret["jdbc-url"]);
            prop_assert_eq!((host.as_str(), port.as_str()), ("pg.example.com", "5432"));
            prop_assert_eq!(path, database.clone());
            prop_assert_eq!(&parameters["user"], &username);
            prop_assert_eq!(&parameters["password"], &password);

            let fields = parse_pgpass(&secret["pgpass"]);
            let values: Vec<&str> = fields.iter().map(|(value, _)| value.as_str()).collect();
            let meant = ["pg.example.com", "5432", &database, &username, &password];
            prop_assert_eq!(values, meant);
            prop_assert!(fields.iter().all(|(_, wildcard)| !wildcard));
        }
    }
}
