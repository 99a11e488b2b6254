//! What is written reads back as what was meant, by the parsers of this program's own crates and by small ones that follow
//! what others' documents say.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tokio_postgres::config::Host;
use url::Url;

use super::filters::LONGEST_VALUE;
use super::template::VARIABLES;
use super::*;
use crate::api::{ChannelBinding, Reason};
use crate::domain::connection::at;

const ODD: &str = "we \"i'r&d=/na%me?#@:+\\*,; 🦀";

fn with_ca(sslmode: SslMode, ca: &str) -> ConnectionDetails {
    ConnectionDetails {
        sslmode,
        ca: Some(ca.as_bytes().into()),
        ..at("pg.example.com", "orders")
    }
}

fn of_presets(presets: &[SecretPreset]) -> OutputSecret {
    OutputSecret {
        presets: Some(presets.to_vec()),
        ..OutputSecret::default()
    }
}

fn mounted(presets: &[SecretPreset]) -> OutputSecret {
    OutputSecret {
        mount_path: Some("/etc/postgres/".to_string()),
        ..of_presets(presets)
    }
}

fn templates(data: &[(&str, &str)]) -> OutputSecret {
    let data = data.iter().map(|(key, text)| (key.to_string(), text.to_string()));
    OutputSecret {
        data: data.collect(),
        ..of_presets(&[])
    }
}

fn rendered(
    details: &ConnectionDetails,
    username: &str,
    password: &str,
    spec: &OutputSecret,
) -> BTreeMap<String, String> {
    let keys = render(details, username, &Password::new(password), spec).unwrap();
    keys.into_iter()
        .map(|(key, value)| (key, value.to_string()))
        .collect()
}

/// What one template makes of odd names.
fn one(template: &str) -> String {
    let spec = templates(&[("key", template)]);
    rendered(&at("pg.example.com", ODD), ODD, ODD, &spec)["key"].clone()
}

/// What is said of one that is refused.
fn refusal(template: &str) -> String {
    let spec = templates(&[("app.conf", template)]);
    let invalid = check("checkout", &spec, None).unwrap_or_else(|| panic!("{template:?} was taken"));
    assert_eq!(invalid.reason, Reason::InvalidSettings);
    assert!(!invalid.message.chars().any(char::is_control), "{invalid:?}");
    invalid.message
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

/// Decoding as JavaScript's `decodeURI` does it, which leaves what is reserved.
fn decode_as_node(text: &str) -> String {
    let mut decoded = String::new();
    let mut run = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_escape = rest.starts_with('%');
        let length = if is_escape {
            3
        } else {
            rest.chars().next().unwrap().len_utf8()
        };
        let (part, after) = rest.split_at(length);
        let reserved = [
            "%3B", "%2F", "%3F", "%3A", "%40", "%26", "%3D", "%2B", "%24", "%2C", "%23",
        ];
        if is_escape && !reserved.contains(&part) {
            run.push_str(part);
        } else {
            decoded.push_str(&decode(&run));
            run.clear();
            decoded.push_str(part);
        }
        rest = after;
    }
    decoded + &decode(&run)
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

/// A connection string as `DbConnectionStringBuilder` reads it: keywords in any case; a value in double or single quotes, in
/// which two are one, or as it is up to a semicolon, without the space around it.
fn parse_dotnet(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (keyword, after) = rest.split_once('=').unwrap();
        assert!(!after.starts_with('='), "two = are one in a keyword: {text}");
        let after = after.trim_start();
        let (value, after) = match after.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            None => after.split_once(';').unwrap_or((after, "")),
            Some(quote) => {
                let mut end = 1;
                loop {
                    end += after[end..].find(quote).unwrap() + 1;
                    match after[end..].starts_with(quote) {
                        true => end += 1,
                        false => break,
                    }
                }
                let rest = after[end..].trim_start();
                assert!(rest.is_empty() || rest.starts_with(';'), "{text}");
                (&after[..end], rest.strip_prefix(';').unwrap_or_default())
            }
        };
        let value = match value.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            None => value.trim_end().to_string(),
            Some(quote) => value[1..value.len() - 1].replace(&format!("{quote}{quote}"), &quote.to_string()),
        };
        found.insert(keyword.trim().to_lowercase(), value);
        rest = after;
    }
    found
}

/// A URL's parameters, as `URLSearchParams` and Python's `parse_qsl` have them.
fn query(url: &Url) -> BTreeMap<String, String> {
    url.query_pairs()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

#[test]
fn without_presets_the_keys_are_those_of_always() {
    let details = at("pg.example.com", "orders");
    let secret = rendered(&details, "checkout", "s3cr-et_", &OutputSecret::default());
    let url = "pg.example.com:5432/orders";
    let jdbc = format!("jdbc:postgresql://{url}?user=checkout&password=s3cr-et_&sslmode=require");
    let uri = format!("postgresql://checkout:s3cr-et_@{url}?sslmode=require");
    let expected = [
        ("database", "orders"),
        ("dbname", "orders"),
        ("host", "pg.example.com"),
        ("jdbc-uri", &jdbc),
        ("jdbc-url", &jdbc),
        ("password", "s3cr-et_"),
        ("pgpass", "pg.example.com:5432:orders:checkout:s3cr-et_\n"),
        ("port", "5432"),
        ("provider", "ionos"),
        ("sslmode", "require"),
        ("type", "postgresql"),
        ("uri", &uri),
        ("username", "checkout"),
    ];
    let found: Vec<(&str, &str)> = secret
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(
        secret,
        rendered(
            &details,
            "checkout",
            "s3cr-et_",
            &of_presets(&[SecretPreset::Basic])
        )
    );
}

#[test]
fn authorities_are_published_unless_they_are_a_whole_system_s() {
    let none = OutputSecret::default();
    let of = |ca: &str| rendered(&with_ca(SslMode::Require, ca), "u", "p", &none);
    assert_eq!(of("-----BEGIN")["ca.crt"], "-----BEGIN");
    assert_eq!(of(&"x".repeat(login::LONGEST_CA + 1)).get("ca.crt"), None);
    assert_eq!(rendered(&at("h", "d"), "u", "p", &none).get("ca.crt"), None);
}

/// What the CRD's rules and the documents go by.
#[test]
fn each_preset_writes_the_keys_that_it_says() {
    let details = ConnectionDetails {
        channel_binding: Some(ChannelBinding::Require),
        ..with_ca(SslMode::VerifyFull, "-----BEGIN")
    };
    // Those of the login of before are not a preset's.
    let always = ALWAYS.iter().filter(|key| !key.starts_with("previous-"));
    for preset in SecretPreset::ALL {
        let secret = rendered(&details, "u", "p", &mounted(&[preset]));
        let found: BTreeSet<&str> = secret.keys().map(String::as_str).collect();
        let said: BTreeSet<&str> = always.clone().chain(preset.keys()).copied().collect();
        assert_eq!(found, said, "{preset:?}");
        assert_eq!(serde_json::to_value(preset).unwrap(), preset.as_str());
    }
}

/// A key that two presets have has one value, or they are not taken together.
#[test]
fn presets_that_are_taken_together_agree() {
    for sslmode in MODES {
        let details = with_ca(sslmode, "-----BEGIN");
        for one in SecretPreset::ALL {
            for other in SecretPreset::ALL {
                let both = mounted(&[one, other]);
                let Ok(both) = render(&details, "u", &Password::new("p"), &both) else {
                    let clashes =
                        |pair: (SecretPreset, SecretPreset)| CLASHES.iter().any(|(a, b, _)| (*a, *b) == pair);
                    assert!(
                        clashes((one, other)) || clashes((other, one)),
                        "{one:?} {other:?}"
                    );
                    continue;
                };
                for preset in [one, other] {
                    for (key, value) in rendered(&details, "u", "p", &mounted(&[preset])) {
                        assert_eq!(*both[&key], value, "{one:?} {other:?} {key}");
                    }
                }
            }
        }
    }
}

const MODES: [SslMode; 6] = [
    SslMode::Disable,
    SslMode::Allow,
    SslMode::Prefer,
    SslMode::Require,
    SslMode::VerifyCa,
    SslMode::VerifyFull,
];

/// The table of docs/secret-formats.md.
#[test]
fn each_driver_gets_the_mode_in_its_own_words() {
    let all = [
        SecretPreset::Libpq,
        SecretPreset::Jdbc,
        SecretPreset::Dotnet,
        SecretPreset::Sqlalchemy,
    ];
    let end = |text: &str, of: char| text.rsplit_once(of).unwrap().1.to_string();
    let mut found = Vec::new();
    for sslmode in MODES {
        let details = ConnectionDetails {
            sslmode,
            ..at("h", "d")
        };
        let secret = rendered(&details, "u", "p", &of_presets(&all));
        let node = rendered(&details, "u", "p", &of_presets(&[SecretPreset::Node]));
        let mode = sslmode.as_str();
        assert_eq!(secret["PGSSLMODE"], mode);
        assert_eq!(parse_jdbc(&secret["jdbc-url"]).3["sslmode"], mode);
        assert!(secret["SQLALCHEMY_DATABASE_URI"].ends_with(&format!("?sslmode={mode}")));
        assert!(secret["SQLALCHEMY_ASYNC_DATABASE_URI"].ends_with(&format!("?ssl={mode}")));
        found.push((
            end(&secret["ConnectionStrings__DefaultConnection"], '='),
            end(&node["DATABASE_URL"], '?'),
        ));
    }
    let expected = [
        ("Disable", "sslmode=disable"),
        ("Allow", "uselibpqcompat=true&sslmode=prefer"),
        ("Prefer", "uselibpqcompat=true&sslmode=prefer"),
        ("Require", "uselibpqcompat=true&sslmode=require"),
        ("VerifyCA", "sslmode=verify-full"),
        ("VerifyFull", "sslmode=verify-full"),
    ];
    assert_eq!(
        found,
        expected.map(|(dotnet, node)| (dotnet.to_string(), node.to_string()))
    );
}

#[test]
fn the_file_of_authorities_is_named_where_it_is_mounted_and_looked_at() {
    let presets: Vec<_> = SecretPreset::ALL
        .into_iter()
        .filter(|preset| *preset != SecretPreset::Node)
        .collect();
    let names_it = |details: &ConnectionDetails, spec: OutputSecret| {
        let mut secret = rendered(details, "u", "p", &spec);
        let node = OutputSecret {
            presets: Some(vec![SecretPreset::Node]),
            ..spec
        };
        secret.insert(
            "node".to_string(),
            rendered(details, "u", "p", &node)["DATABASE_URL"].clone(),
        );
        let file = ["/etc/postgres/ca.crt", "%2Fetc%2Fpostgres%2Fca.crt"];
        let mut names: Vec<String> = secret
            .into_iter()
            .filter(|(_, value)| file.iter().any(|file| value.contains(file)))
            .map(|(key, _)| key)
            .collect();
        names.sort();
        names
    };
    let all = [
        "ConnectionStrings__DefaultConnection",
        "DATABASE_URL",
        "PGSSLROOTCERT",
        "SQLALCHEMY_DATABASE_URI",
        "jdbc-uri",
        "jdbc-url",
        "node",
        "uri",
    ];
    let none: [&str; 0] = [];
    for sslmode in MODES {
        let verifies = matches!(sslmode, SslMode::VerifyCa | SslMode::VerifyFull);
        let details = with_ca(sslmode, "-----BEGIN");
        assert_eq!(
            names_it(&details, mounted(&presets)),
            if verifies { &all[..] } else { &none }
        );
        assert_eq!(names_it(&details, of_presets(&presets)), none);
    }
    let without = ConnectionDetails {
        sslmode: SslMode::VerifyFull,
        ..at("h", "d")
    };
    assert_eq!(names_it(&without, mounted(&presets)), none);
    let verify_ca = rendered(
        &with_ca(SslMode::VerifyCa, "-----BEGIN"),
        "u",
        "p",
        &mounted(&[SecretPreset::Node]),
    );
    let mode = "uselibpqcompat=true&sslmode=verify-ca&sslrootcert=%2Fetc%2Fpostgres%2Fca.crt";
    assert!(verify_ca["DATABASE_URL"].ends_with(mode), "{verify_ca:?}");
}

#[test]
fn an_ipv6_host_is_bracketed_where_a_uri_needs_it() {
    let presets = [
        SecretPreset::Basic,
        SecretPreset::Libpq,
        SecretPreset::Dotnet,
        SecretPreset::Sqlalchemy,
    ];
    let secret = rendered(&at("2001:db8::1", "d"), "u", "p", &of_presets(&presets));
    let config = tokio_postgres::Config::from_str(&secret["uri"]).unwrap();
    assert_eq!(config.get_hosts(), [Host::Tcp("2001:db8::1".to_string())]);
    assert_eq!(parse_jdbc(&secret["jdbc-url"]).0, "[2001:db8::1]");
    assert_eq!(parse_pgpass(&secret["pgpass"])[0].0, "2001:db8::1");
    assert_eq!(secret["host"], "2001:db8::1");
    assert_eq!(secret["PGHOST"], "2001:db8::1");
    assert_eq!(
        parse_dotnet(&secret["ConnectionStrings__DefaultConnection"])["host"],
        "2001:db8::1"
    );
    let url = Url::parse(&secret["SQLALCHEMY_DATABASE_URI"]).unwrap();
    assert_eq!(url.host_str(), Some("[2001:db8::1]"));
}

#[test]
fn a_lone_star_is_no_wildcard_in_a_password_file() {
    let secret = rendered(&at("h", "*"), "*", "*", &OutputSecret::default());
    let fields = parse_pgpass(&secret["pgpass"]);
    assert!(fields.iter().all(|(_, wildcard)| !wildcard), "{fields:?}");
    assert_eq!(fields[3].0, "*");
}

#[test]
fn templates_write_what_is_asked() {
    let spec = templates(&[
        (
            "plain",
            "{{ username }}@{{ host }}:{{ port }}/{{ database }} {{ sslmode }} {{ provider }} {{ type }}\n",
        ),
        (
            "if",
            "{% if sslmode == \"require\" %}tls{% elif ca %}ca{% else %}none{% endif %}{% if not ca and not caFile %}!{% endif %}",
        ),
        (
            "in",
            "{{ \"yes\" if sslmode in [\"require\", \"verify-full\"] else \"no\" }}{{ \"yes\" if port not in [1] else \"no\" }}",
        ),
        ("joined", "{{ (username ~ \":\" ~ password)|b64encode }}"),
        (
            "json",
            "{\"user\": {{ username|tojson }}, \"port\": {{ port|tojson }}}",
        ),
        ("none", ""),
        (
            "raw",
            "{% raw %}{{ username }}{% endraw %}{# said to nobody #}<&\"'>",
        ),
        ("urls", "{{ uri }} {{ jdbcUrl }} {{ pgpass }}"),
    ]);
    let secret = rendered(&at("pg.example.com", "orders"), "checkout", "s3cret", &spec);
    assert_eq!(
        secret["plain"],
        "checkout@pg.example.com:5432/orders require ionos postgresql\n"
    );
    assert_eq!(secret["if"], "tls!");
    assert_eq!(secret["in"], "yesyes");
    assert_eq!(secret["joined"], "Y2hlY2tvdXQ6czNjcmV0");
    assert_eq!(secret["json"], "{\"user\": \"checkout\", \"port\": 5432}");
    assert_eq!(secret["none"], "");
    assert_eq!(secret["raw"], "{{ username }}<&\"'>");
    assert!(secret["urls"].starts_with("postgresql://") && secret["urls"].ends_with(":checkout:s3cret\n"));
    assert_eq!(secret.len(), 8 + 2, "username and password are in every Secret");

    let with_ca = with_ca(SslMode::VerifyFull, "-----BEGIN");
    let spec = OutputSecret {
        mount_path: Some("/etc/postgres".to_string()),
        ..templates(&[("ca", "{% if ca %}{{ ca }} {{ caFile }}{% endif %}")])
    };
    assert_eq!(
        rendered(&with_ca, "u", "p", &spec)["ca"],
        "-----BEGIN /etc/postgres/ca.crt"
    );
}

#[test]
fn a_template_that_is_none_is_told_with_key_line_and_way_out() {
    for (template, line, words) in [
        (
            "a\n\n{{ user }}",
            3,
            "there is no variable \"user\": write one of username, password, host",
        ),
        (
            "{{ username|upper }}",
            1,
            "there is no filter \"upper\": write one of urlencode, tojson",
        ),
        (
            "{{ username|tojson(2) }}",
            1,
            "tojson takes nothing in parentheses: write {{ password|tojson }}",
        ),
        (
            "\n{% for c in username %}{{ c }}{% endfor %}",
            2,
            "{% for %} is not allowed",
        ),
        ("{% set a = username %}", 1, "{% set %} is not allowed"),
        ("{% with %}{% endwith %}", 1, "{% with %} is not allowed"),
        (
            "{% filter tojson %}a{% endfilter %}",
            1,
            "{% filter %} is not allowed",
        ),
        (
            "{% autoescape true %}{% endautoescape %}",
            1,
            "{% autoescape %} is not allowed",
        ),
        ("{% include \"other\" %}", 1, "write text, {{ variable|filter }}"),
        (
            "{% macro a() %}{% endmacro %}",
            1,
            "write text, {{ variable|filter }}",
        ),
        ("{{ username", 1, "write text, {{ variable|filter }}"),
        ("a\n{% if ca %}", 2, "write text, {{ variable|filter }}"),
        ("{{ username * 1000000 }}", 1, "of the operators only"),
        ("{{ port < 1 }}", 1, "of the operators only"),
        ("{{ password[0] }}", 1, "parts of a value are not allowed"),
        ("{{ password[:3] }}", 1, "parts of a value are not allowed"),
        ("{{ ca.crt }}", 1, "parts of a value are not allowed"),
        ("{{ password.upper() }}", 1, "calls are not allowed"),
        ("{{ range(10) }}", 1, "calls are not allowed"),
        ("{{ ca is defined }}", 1, "\"is\" is not allowed"),
        ("{{ [username] }}", 1, "lists and maps are not allowed"),
        ("{{ {1: 2} }}", 1, "lists and maps are not allowed"),
        ("{{ -port }}", 1, "a sign before a value is not allowed"),
        ("{{ username if ca }}", 1, "an if within {{ }} needs an else"),
        ("{{ 1 == 1 == 1 }}", 1, "chains of comparisons are not allowed"),
    ] {
        let found = refusal(template);
        let start = format!("spec.secret.data: \"app.conf\", line {line}: ");
        assert!(
            found.starts_with(&start) && found.contains(words),
            "{template:?}: {found}"
        );
    }
}

/// Also what is in the branch that is not taken.
#[test]
fn what_is_wrong_is_found_whichever_way_the_values_go() {
    let found = refusal("{% if sslmode == \"nothing\" %}{{ nobody }}{% endif %}");
    assert!(found.contains("\"nobody\""), "{found}");
    assert!(refusal("{{ \"a\" if ca else nobody }}").contains("\"nobody\""));
}

#[test]
fn what_gets_too_long_is_refused() {
    let long = with_ca(SslMode::Require, &"c".repeat(login::LONGEST_CA));
    let of = |data: &[(&str, &str)]| render(&long, "u", &Password::new("p"), &templates(data));
    assert!(of(&[("a", "{{ ca }}")]).is_ok());
    for template in [
        "{{ ca }}{{ ca }}{{ ca }}",
        "{{ ca|b64encode|b64encode|b64encode|b64encode }}",
    ] {
        let error = of(&[("a", template)]).unwrap_err().message;
        assert!(error.contains("longer than 64 KiB"), "{error}");
    }
    let keys: Vec<String> = (0..8).map(|number| format!("k{number}")).collect();
    let many: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "{{ ca }}")).collect();
    let error = of(&many).unwrap_err().message;
    assert!(error.contains("more than 256 KiB"), "{error}");
}

#[test]
fn no_error_has_the_password_in_it() {
    let spec = templates(&[("a", "{{ password ~ password }}{{ nobody }}")]);
    let error = render(&at("h", "d"), "u", &Password::new("s3cret"), &spec).unwrap_err();
    assert!(!format!("{error:?}").contains("s3cret"));
}

#[test]
fn a_key_has_one_writer() {
    for (spec, names) in [
        (templates(&[("password", "a")]), ["\"password\"", "every Secret"]),
        (
            OutputSecret {
                presets: None,
                ..templates(&[("uri", "a")])
            },
            ["\"uri\"", "basic"],
        ),
        (
            OutputSecret {
                presets: Some(vec![SecretPreset::Libpq]),
                ..templates(&[("PGSSLROOTCERT", "a")])
            },
            ["\"PGSSLROOTCERT\"", "libpq"],
        ),
        (
            of_presets(&[SecretPreset::Django, SecretPreset::Node]),
            ["node", "django"],
        ),
    ] {
        let invalid = check("u", &spec, None).unwrap();
        assert!(
            names.iter().all(|name| invalid.message.contains(name)),
            "{invalid:?}"
        );
    }
    assert_eq!(check("u", &templates(&[("uri", "{{ uri }}")]), None), None);
    assert_eq!(check("u", &OutputSecret::default(), None), None);
}

/// `docs/secret-formats.md` names every variable and filter, and every preset with its keys.
#[test]
fn the_document_has_all_there_is() {
    let page = include_str!("../../../docs/secret-formats.md");
    let filters = filters::ALL.iter().map(|(name, _)| *name);
    let presets = SecretPreset::ALL.iter().flat_map(|preset| {
        let keys = preset.keys().iter().copied();
        keys.chain([preset.as_str()])
    });
    for word in VARIABLES.iter().copied().chain(filters).chain(presets) {
        assert!(page.contains(&format!("`{word}`")), "{word}");
    }
}

/// What would take a parser's stack, a machine's memory or its time.
#[test]
fn what_is_meant_to_break_it_does_not() {
    let long = |part: &str| part.repeat(4096 / part.len());
    let inside = |part: &str| format!("{{{{ {}", &long(part)[..4090]);
    let many = [
        inside("not "),
        inside("("),
        inside("-"),
        inside("["),
        inside("{1:"),
        inside("a if a else "),
        inside("a|tojson|"),
        inside("a~"),
        inside("a.b["),
        inside("a and "),
        long("{% if ca %}"),
        format!("{{% if ca %}}{}", &long("{% elif ca %}")[..4000]),
        long("{{"),
        long("{%"),
        long("{#"),
        long("{{ca}}"),
        long("{% raw %}"),
        format!("{{{{ username|{} }}}}", ["tojson"; 30].join("|")),
        format!("{{{{ {} }}}}", ["password"; 31].join("~")),
        "{{ \"x\" * 99999999999 }}".to_string(),
        "{{ 9 ** 9 ** 9 ** 9 }}".to_string(),
        "{{ \"".to_string() + &long("\\u"),
    ];
    let details = with_ca(SslMode::Require, &"\\".repeat(login::LONGEST_CA));
    for template in many {
        assert!(template.len() <= 4100);
        ends_soon(&details, &template);
    }
}

/// It is rendered or refused, soon, and is not too long.
fn ends_soon(details: &ConnectionDetails, template: &str) {
    let spec = templates(&[("key", template)]);
    let begun = Instant::now();
    let found = render(details, ODD, &Password::new(ODD), &spec);
    assert!(begun.elapsed() < Duration::from_secs(5), "{template}");
    match found {
        Ok(keys) => assert!(keys["key"].len() <= LONGEST_VALUE),
        Err(invalid) => assert!(invalid.message.len() < 1024, "{invalid:?}"),
    }
}

/// Words of which templates are made, right and wrong ones.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => proptest::sample::select(vec![
            "{{", "}}", "{%", "%}", "{#", "#}", "{%-", "-%}", "if", "elif", "else", "endif", "for", "in", "endfor", "set", "raw",
            "endraw", "not", "and", "or", "is", "username", "password", "ca", "uri", "loop", "self", "nobody", "|urlencode", "|tojson",
            "|b64encode", "|pgpass", "|conninfo", "|dotnet", "~", "*", "**", "+", "-", "==", "!=", "<", "(", ")", "[", "]", "{", "}",
            ".", ",", ":", "=", "\"", "'", "\\", "1", "99999999999999999999", "0.5", "\"text\"", "\n",
        ]).prop_map(str::to_string),
        1 => ".{0,8}",
    ]
}

proptest! {
    #[test]
    fn whatever_a_template_is_it_ends(words in proptest::collection::vec(word(), 0..300)) {
        let mut template = words.join(" ");
        while template.chars().count() > 4096 {
            template.pop();
        }
        ends_soon(&with_ca(SslMode::Require, "-----BEGIN"), &template);
    }

    /// What begins and ends as it should gets further than any other.
    #[test]
    fn whatever_is_asked_of_values_ends(words in proptest::collection::vec(word(), 0..12), times in 1usize..100) {
        let template = format!("{{{{ {} }}}}", words.join(" ")).repeat(times);
        ends_soon(&with_ca(SslMode::Require, "-----BEGIN"), &template.chars().take(4096).collect::<String>());
    }

    #[test]
    fn every_form_reads_back_as_what_was_meant(
        username in "[^\\x00-\\x1f\\x7f]{1,40}",
        password in "[^\\x00-\\x1f\\x7f]{1,40}",
        database in "[^\\x00-\\x1f\\x7f]{1,40}",
    ) {
        read_back(&username, &password, &database);
    }

    #[test]
    fn every_filter_reads_back_as_what_was_meant(text in "[^\\x00]{1,40}") {
        let of = |filter: &str| {
            let spec = templates(&[("key", &format!("{{{{ password|{filter} }}}}"))]);
            rendered(&at("h", "d"), "u", &text, &spec)["key"].clone()
        };
        prop_assert_eq!(&decode(&of("urlencode")), &text);
        prop_assert_eq!(&serde_json::from_str::<String>(&of("tojson")).unwrap(), &text);
        let config = format!("user = u password = {}", of("conninfo"));
        let config = tokio_postgres::Config::from_str(&config).unwrap();
        prop_assert_eq!(config.get_password(), Some(text.as_bytes()));
        prop_assert_eq!(&parse_dotnet(&format!("Password={};Username=u", of("dotnet")))["password"], &text);
        let line = format!("{}\n", of("pgpass"));
        if !text.contains('\n') {
            prop_assert_eq!(&parse_pgpass(&line)[0], &(text.clone(), false));
        }
    }
}

#[test]
fn odd_names_read_back_as_what_was_meant() {
    read_back(ODD, ODD, ODD);
    assert_eq!(decode(&one("{{ username|urlencode }}")), ODD);
}

fn read_back(username: &str, password: &str, database: &str) {
    let details = at("pg.example.com", database);
    let presets: Vec<_> = SecretPreset::ALL
        .into_iter()
        .filter(|preset| *preset != SecretPreset::Node)
        .collect();
    let secret = rendered(&details, username, password, &of_presets(&presets));
    assert_eq!(secret["uri"], secret["DATABASE_URL"]);

    let config = tokio_postgres::Config::from_str(&secret["uri"]).unwrap();
    assert_eq!(config.get_user(), Some(username));
    assert_eq!(config.get_password(), Some(password.as_bytes()));
    assert_eq!(config.get_dbname(), Some(database));
    assert_eq!(config.get_hosts(), [Host::Tcp("pg.example.com".to_string())]);
    assert_eq!(config.get_ports(), [5432]);

    let rest = secret["uri"].strip_prefix("postgresql://").unwrap();
    let (user_info, rest) = rest.split_once('@').unwrap();
    let (user, word) = user_info.split_once(':').unwrap();
    let (address, rest) = rest.split_once('/').unwrap();
    assert_eq!(
        (decode(user).as_str(), decode(word).as_str()),
        (username, password)
    );
    assert_eq!(address, "pg.example.com:5432");
    assert_eq!(decode(rest.split_once('?').unwrap().0), database);

    let (host, port, path, parameters) = parse_jdbc(&secret["jdbc-url"]);
    assert_eq!((host.as_str(), port.as_str()), ("pg.example.com", "5432"));
    assert_eq!(path, database);
    assert_eq!(
        (&*parameters["user"], &*parameters["password"]),
        (username, password)
    );

    let fields = parse_pgpass(&secret["pgpass"]);
    let values: Vec<&str> = fields.iter().map(|(value, _)| value.as_str()).collect();
    assert_eq!(values, ["pg.example.com", "5432", database, username, password]);
    assert!(fields.iter().all(|(_, wildcard)| !wildcard));

    let dotnet = parse_dotnet(&secret["ConnectionStrings__DefaultConnection"]);
    let values =
        ["host", "port", "database", "username", "password", "ssl mode"].map(|key| dotnet[key].as_str());
    assert_eq!(
        values,
        ["pg.example.com", "5432", database, username, password, "Require"]
    );

    for (key, parameter, mode) in [
        ("SQLALCHEMY_DATABASE_URI", "dbname", "sslmode"),
        ("SQLALCHEMY_ASYNC_DATABASE_URI", "database", "ssl"),
    ] {
        let url = Url::parse(&secret[key]).unwrap();
        assert_eq!(
            (&*decode(url.username()), &*decode(url.password().unwrap())),
            (username, password)
        );
        let query = query(&url);
        // The path is taken as it is.
        let path = url.path().strip_prefix('/').unwrap();
        let found = if path.is_empty() { &query[parameter] } else { path };
        assert_eq!((found, query[mode].as_str()), (database, "require"));
    }

    let node = rendered(&details, username, password, &of_presets(&[SecretPreset::Node]));
    let url = Url::parse(&node["DATABASE_URL"]).unwrap();
    assert_eq!(
        (&*decode(url.username()), &*decode(url.password().unwrap())),
        (username, password)
    );
    assert_eq!(query(&url)["sslmode"], "require");
    // Nothing else can be said of a path to node-postgres, and a path of dots is another one to any reader of URLs.
    if !database.contains(['?', '#']) && !database.split('/').any(|part| matches!(part, "." | "..")) {
        assert_eq!(decode_as_node(url.path().strip_prefix('/').unwrap()), database);
    }
}
