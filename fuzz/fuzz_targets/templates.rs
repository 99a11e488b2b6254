//! A template of an output Secret, whatever is in it, is rendered or refused: without the password in what is said of it, without
//! control characters, and no value gets longer than 64 KiB.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pguser_operator::api::{OutputSecret, SslMode};
use pguser_operator::domain::connection::ConnectionDetails;
use pguser_operator::domain::password::Password;
use pguser_operator::domain::secret::{check, render};

const LONGEST: usize = 64 * 1024;
const PASSWORD: &str = "canary \\ \" of a password";

fuzz_target!(|template: &str| {
    // What an API server takes.
    if template.chars().count() > 4096 {
        return;
    }
    let details = ConnectionDetails {
        host: "pg.example.com".to_string(),
        port: 5432,
        database: "orders".to_string(),
        sslmode: SslMode::VerifyFull,
        provider: "postgresql",
        ca: Some("-----BEGIN CERTIFICATE-----".as_bytes().into()),
    };
    let spec = OutputSecret {
        presets: Some(Vec::new()),
        mount_path: Some("/etc/postgres".to_string()),
        data: [("key".to_string(), template.to_string())].into(),
        ..OutputSecret::default()
    };
    let refusal = match render(&details, "checkout", &Password::new(PASSWORD), &spec) {
        Ok(keys) => {
            assert!(keys["key"].len() <= LONGEST);
            return;
        }
        Err(invalid) => invalid.message,
    };
    assert!(
        !refusal.contains(PASSWORD) || template.contains(PASSWORD),
        "{refusal}"
    );
    assert!(!refusal.chars().any(char::is_control), "{refusal:?}");
    // What is refused whatever the values are is refused before there are any.
    let is_of_size = refusal.contains("longer than");
    assert!(
        is_of_size || check("checkout", &spec, None).is_some(),
        "{refusal}"
    );
});
