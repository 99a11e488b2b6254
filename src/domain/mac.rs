//! Keyed MACs of passwords: what status may hold to know a password again without holding it.

use std::fmt;
use std::fmt::Write as _;

use ring::{digest, hmac};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::password::Password;

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

    /// The MAC of a password: the key's id, a colon, and HMAC-SHA-256 in hexadecimal.
    pub fn mac(&self, password: &Password) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let tag = hmac::sign(&key, password.reveal().as_bytes());
        format!("{}:{}", self.id(), hex(tag.as_ref()))
    }

    /// Whether `mac` is this password's; `None` if it was made under another key, so that nothing can be said.
    pub fn verify(&self, mac: &str, password: &Password) -> Option<bool> {
        let (id, _) = mac.split_once(':')?;
        if id != self.id() {
            return None;
        }
        Some(self.mac(password).as_bytes().ct_eq(mac.as_bytes()).into())
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacKey({})", self.id())
    }
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

    #[test]
    fn a_mac_is_known_again_by_its_key_and_password_alone() {
        let password = Password::new("correct horse");
        let mac = key(1).mac(&password);
        assert_eq!(key(1).verify(&mac, &password), Some(true));
        assert_eq!(key(1).verify(&mac, &Password::new("wrong horse")), Some(false));
        assert_eq!(key(2).verify(&mac, &password), None);
    }

    #[test]
    fn a_damaged_mac_is_nobodys() {
        let password = Password::new("correct horse");
        let mac = key(1).mac(&password);
        assert_eq!(key(1).verify("", &password), None);
        assert_eq!(key(1).verify("nonsense", &password), None);
        assert_eq!(key(1).verify(&mac[..mac.len() - 1], &password), Some(false));
        assert_eq!(
            key(1).verify(&format!("{}:", key(1).id()), &password),
            Some(false)
        );
    }

    /// RFC 4231, test case 2, has a shorter key; this one was computed with another implementation.
    #[test]
    fn a_mac_is_hmac_sha256_under_the_keys_id() {
        assert_eq!(
            key(0x0b).mac(&Password::new("Hi There")),
            "f0e38b83:198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7"
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
