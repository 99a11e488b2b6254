//! Keyed MACs of passwords: what status may hold to know a password again without holding it.

use std::fmt;
use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::password::Password;

/// What a MAC is of. Equal secrets of two objects have MACs that have nothing in common: whoever reads both statuses does not
/// learn that they are equal, and nobody can have a guess compared by an object of his own.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What the secret is for.
    pub purpose: Purpose,
    /// The UID of the object whose it is.
    pub uid: &'a str,
}

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The password of a login.
    Password,
    /// The credentials of a server object.
    Credentials,
}

impl<'a> Subject<'a> {
    /// The password of a PostgresUser's login.
    pub fn password_of(uid: &'a str) -> Self {
        Self {
            purpose: Purpose::Password,
            uid,
        }
    }
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Purpose::Password => "password",
            Purpose::Credentials => "credentials",
        }
    }
}

/// Begins the MACs that have a subject. Those of before had none, and begin with the key's id.
const SECOND_FORM: &str = "2:";

/// The key of the MACs, kept in the operator's namespace. Wiped when dropped, as far as that can be had: the
/// working state of a computation is not.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MacKey([u8; Self::BYTES]);

impl MacKey {
    /// How long a key is.
    pub const BYTES: usize = 32;

    /// A key of these bytes, which must be random.
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// A key as it was stored; `None` if it has another length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes, to be stored. Whoever calls this answers for where they go.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }

    /// Which key this is, in eight hexadecimal digits. Tells nothing about the key.
    pub fn id(&self) -> String {
        let mut id = hex(digest::digest(&digest::SHA256, &self.0).as_ref());
        id.truncate(8);
        id
    }

    /// The MAC of a secret: the form, the key's id, and HMAC-SHA-256 in hexadecimal.
    pub fn mac_of(&self, subject: Subject<'_>, secret: &Password) -> String {
        let mut context = hmac::Context::with_key(&self.hmac());
        for part in ["pguser-operator/mac/2", subject.purpose.as_str(), subject.uid] {
            context.update(part.as_bytes());
            context.update(&[0]);
        }
        context.update(secret.reveal().as_bytes());
        format!("{SECOND_FORM}{}:{}", self.id(), hex(context.sign().as_ref()))
    }

    /// The same without a subject: what it is of is known by nothing but itself. For what differs for each object anyway, and
    /// the form that all MACs had before.
    pub fn mac(&self, secret: &Password) -> String {
        let tag = hmac::sign(&self.hmac(), secret.reveal().as_bytes());
        format!("{}:{}", self.id(), hex(tag.as_ref()))
    }

    /// Whether `mac`, in either form, is this secret's; `None` if it was made under another key, so that nothing can be said.
    pub fn verify(&self, mac: &str, subject: Subject<'_>, secret: &Password) -> Option<bool> {
        let (id, made) = match mac.strip_prefix(SECOND_FORM) {
            Some(rest) => (rest.split_once(':')?.0, self.mac_of(subject, secret)),
            None => (mac.split_once(':')?.0, self.mac(secret)),
        };
        (id == self.id()).then(|| made.as_bytes().ct_eq(mac.as_bytes()).into())
    }

    /// The MAC of a secret in the form in which it is known already, if it is; else a new one. So MACs of two forms can be
    /// compared.
    pub fn mac_like<'a>(
        &self,
        known: impl IntoIterator<Item = &'a str>,
        subject: Subject<'_>,
        secret: &Password,
    ) -> String {
        let same = |mac: &&str| self.verify(mac, subject, secret) == Some(true);
        let known = known.into_iter().find(same).map(str::to_string);
        known.unwrap_or_else(|| self.mac_of(subject, secret))
    }

    /// Whether a MAC is as it would be made now: under this key, and with a subject.
    pub fn is_current(&self, mac: &str) -> bool {
        let rest = mac.strip_prefix(SECOND_FORM);
        rest.and_then(|rest| rest.split_once(':'))
            .is_some_and(|(id, _)| id == self.id())
    }

    fn hmac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacKey({})", self.id())
    }
}

/// A short name for these bytes, the same for the same: the first eight of its SHA-256, in hexadecimal.
pub fn short_digest(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    hex(digest.as_ref().get(..8).unwrap_or_default())
}

/// Bytes in hexadecimal, lower case.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> MacKey {
        MacKey::new([byte; MacKey::BYTES])
    }

    const ONE: Subject<'static> = Subject {
        purpose: Purpose::Password,
        uid: "one",
    };

    #[test]
    fn a_mac_is_known_again_by_its_key_subject_and_password_alone() {
        let password = Password::new("correct horse");
        for mac in [key(1).mac_of(ONE, &password), key(1).mac(&password)] {
            assert_eq!(key(1).verify(&mac, ONE, &password), Some(true));
            assert_eq!(
                key(1).verify(&mac, ONE, &Password::new("wrong horse")),
                Some(false)
            );
            assert_eq!(key(2).verify(&mac, ONE, &password), None);
        }
    }

    #[test]
    fn equal_passwords_of_two_objects_do_not_show_as_equal() {
        let password = Password::new("correct horse");
        let mac = key(1).mac_of(ONE, &password);
        let others = [
            Subject::password_of("another"),
            Subject {
                purpose: Purpose::Credentials,
                ..ONE
            },
        ];
        for other in others {
            assert_ne!(key(1).mac_of(other, &password), mac);
            assert_eq!(key(1).verify(&mac, other, &password), Some(false));
        }
    }

    #[test]
    fn a_mac_of_before_is_compared_in_its_own_form() {
        let password = Password::new("correct horse");
        let before = key(1).mac(&password);
        assert!(!key(1).is_current(&before));
        assert!(key(1).is_current(&key(1).mac_of(ONE, &password)));
        assert!(!key(2).is_current(&key(1).mac_of(ONE, &password)));
        assert_eq!(key(1).mac_like([before.as_str()], ONE, &password), before);
        let new = key(1).mac_like([before.as_str()], ONE, &Password::new("wrong horse"));
        assert!(key(1).is_current(&new));
    }

    #[test]
    fn a_damaged_mac_is_nobodys() {
        let password = Password::new("correct horse");
        for mac in [key(1).mac_of(ONE, &password), key(1).mac(&password)] {
            let shortened = &mac[..mac.len() - 1];
            assert_eq!(key(1).verify(shortened, ONE, &password), Some(false));
        }
        for nonsense in ["", "nonsense", "2:", "2:nonsense", "3:nonsense"] {
            assert_eq!(key(1).verify(nonsense, ONE, &password), None, "{nonsense}");
        }
        let empty = format!("{}:", key(1).id());
        assert_eq!(key(1).verify(&empty, ONE, &password), Some(false));
    }

    /// RFC 4231, test case 2, has a shorter key; this one was computed with another implementation.
    #[test]
    fn a_mac_is_hmac_sha256_under_the_keys_id() {
        assert_eq!(
            key(0x0b).mac(&Password::new("Hi There")),
            "f0e38b83:198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7"
        );
        assert_eq!(
            key(0x0b).mac_of(ONE, &Password::new("Hi There")),
            "2:f0e38b83:f8045e5aa97aa8018821c17c20db14fc40c8fa7df06b92dbfd63983d3dd140de"
        );
    }

    #[test]
    fn neither_key_nor_password_is_shown() {
        let shown = format!("{:?}", key(0xab));
        assert!(!shown.contains("171") && !shown.contains("abab"), "{shown}");
    }

    #[test]
    fn a_key_has_one_length() {
        assert!(MacKey::from_slice(&[0; 31]).is_none());
        assert!(MacKey::from_slice(&[0; 33]).is_none());
        assert_eq!(MacKey::from_slice(&[1; 32]).unwrap().reveal(), key(1).reveal());
    }
}
