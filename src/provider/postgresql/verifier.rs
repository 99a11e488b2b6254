//! What the server keeps of a password: a SCRAM-SHA-256 verifier, computed here, so that the password itself never
//! reaches the server, its logs or its statistics.
//!
//! The salt is the same each time for one login of one object, so that the same write, repeated, writes the same. It
//! is not made from the password: a server tells the salt to anybody who begins to log in, and what is made from
//! the password can be guessed at.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::domain::identity::Mark;
use crate::domain::password::Password;

/// How often a password is hashed where the server does not say, as PostgreSQL does by default.
const ITERATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);

/// The most. Clients refuse to log in where it is more, this operator's own among them, since whoever answers in a server's
/// place could keep them busy with it.
const MOST_ITERATIONS: u32 = 100_000;

/// How often to hash a password where `scram_iterations` is this.
pub(super) fn iterations(setting: Option<i32>) -> NonZeroU32 {
    let setting = setting.and_then(|setting| u32::try_from(setting).ok());
    let bounded = setting.map(|setting| setting.min(MOST_ITERATIONS));
    bounded.and_then(NonZeroU32::new).unwrap_or(ITERATIONS)
}

/// As many bytes as PostgreSQL's own salts have.
const SALT: usize = 16;

/// What to write after PASSWORD, without quotes: nothing in it needs any escaping.
pub(super) fn verifier(username: &str, mark: &Mark, password: &Password, iterations: NonZeroU32) -> String {
    of(
        prepared(password.reveal()).as_bytes(),
        salt(username, mark),
        iterations,
    )
}

/// Of each login of each object its own, and no secret.
fn salt(username: &str, mark: &Mark) -> [u8; SALT] {
    let mut context = digest::Context::new(&digest::SHA256);
    // No NUL can be in any of these, so that no two sets of them are one text.
    for part in ["pguser.dev/salt/v1", &mark.installation, &mark.uid, username] {
        context.update(part.as_bytes());
        context.update(&[0]);
    }
    let digest = context.finish();
    let mut salt = [0; SALT];
    salt.copy_from_slice(&digest.as_ref()[..SALT]);
    salt
}

/// The password as every client prepares it (SASLprep). Like PostgreSQL and its clients: what cannot be prepared
/// is taken as it is.
fn prepared(password: &str) -> Zeroizing<String> {
    Zeroizing::new(match stringprep::saslprep(password) {
        Ok(prepared) => prepared.into_owned(),
        Err(_) => password.to_string(),
    })
}

/// RFC 5802, section 3, in PostgreSQL's spelling.
fn of(password: &[u8], salt: [u8; SALT], iterations: NonZeroU32) -> String {
    let mut salted = Zeroizing::new([0; digest::SHA256_OUTPUT_LEN]);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        iterations,
        &salt,
        password,
        salted.as_mut_slice(),
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, salted.as_slice());
    let client_key = Zeroizing::new(hmac::sign(&key, b"Client Key").as_ref().to_vec());
    let stored_key = digest::digest(&digest::SHA256, &client_key);
    let server_key = hmac::sign(&key, b"Server Key");
    format!(
        "SCRAM-SHA-256${iterations}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored_key),
        STANDARD.encode(server_key)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(uid: &str) -> Mark {
        Mark {
            installation: "i".to_string(),
            uid: uid.to_string(),
        }
    }

    /// RFC 7677, section 3: the password "pencil", and the signatures that client and server prove to have the keys
    /// with, which are the only way that the document shows the keys.
    #[test]
    fn the_example_of_the_standard_comes_out() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = of(b"pencil", salt.try_into().unwrap(), ITERATIONS);
        let (head, keys) = verifier.rsplit_once('$').unwrap();
        assert_eq!(head, "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==");
        let (stored, server) = keys.split_once(':').unwrap();
        let said = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let sign = |key: &str| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(key).unwrap());
            hmac::sign(&key, said.as_bytes())
        };
        assert_eq!(
            STANDARD.encode(sign(server)),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
        let proof = STANDARD
            .decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
            .unwrap();
        let client_key: Vec<u8> = proof
            .iter()
            .zip(sign(stored).as_ref())
            .map(|(a, b)| a ^ b)
            .collect();
        assert_eq!(
            STANDARD.encode(digest::digest(&digest::SHA256, &client_key)),
            stored
        );
    }

    #[test]
    fn the_same_again_is_the_same_and_anything_else_is_not() {
        let of = |username: &str, uid: &str, password: &str| {
            verifier(username, &mark(uid), &Password::new(password), ITERATIONS)
        };
        let one = of("app", "u", "secret");
        assert_eq!(one, of("app", "u", "secret"));
        assert_ne!(one, of("app", "u", "secret2"));
        let salt = |text: &str| text.split('$').nth(1).unwrap().to_string();
        assert_ne!(salt(&one), salt(&of("app2", "u", "secret")));
        assert_ne!(salt(&one), salt(&of("app", "u2", "secret")));
        assert_eq!(salt(&one), salt(&of("app", "u", "other")));
    }

    #[test]
    fn the_server_says_how_often_a_password_is_hashed() {
        for (setting, expected) in [
            (None, 4096),
            (Some(1), 1),
            (Some(50_000), 50_000),
            (Some(i32::MAX), 100_000),
            (Some(0), 4096),
            (Some(-1), 4096),
        ] {
            assert_eq!(iterations(setting).get(), expected, "{setting:?}");
        }
    }

    #[test]
    fn a_password_is_prepared_as_clients_do() {
        assert_eq!(*prepared("I\u{ad}X \u{aa}"), "IX a");
        // Not allowed by SASLprep: a control character, left to right next to right to left.
        for odd in ["a\u{7}b", "\u{627}1"] {
            assert_eq!(*prepared(odd), odd);
        }
    }
}
