//! What a server's certificate says that the TLS library does not tell, and certificates that it does not read at all: of
//! X.509 version 1, as `openssl x509 -req` makes them without extensions.

use aws_lc_rs::digest::{self, Algorithm, digest};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{InvalidSignature, UnixTime};
use rustls::{CertificateError, SignatureScheme};
use x509_cert::certificate::{CertificateInner, Raw, Version};
use x509_cert::der::asn1::{AnyRef, ContextSpecific, Ia5StringRef, ObjectIdentifier, PrintableStringRef};
use x509_cert::der::asn1::{TeletexStringRef, Utf8StringRef};
use x509_cert::der::{Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage};
use x509_cert::spki::{AlgorithmIdentifierOwned, AlgorithmIdentifierRef};

/// id-RSASSA-PSS, as it is encoded.
pub(super) const RSASSA_PSS_DER: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// A certificate, read.
#[derive(Debug)]
pub(super) struct Certificate(CertificateInner<Raw>);

impl Certificate {
    /// None if it is none.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        CertificateInner::from_der(der).ok().map(Self)
    }

    /// Whether it is of version 3, the only one that has extensions, subjectAltName among them.
    pub(super) fn has_extensions(&self) -> bool {
        self.0.tbs_certificate.version == Version::V3
    }

    /// Whether it says names in the way that counts.
    pub(super) fn has_alternative_names(&self) -> bool {
        let extensions = self.0.tbs_certificate.extensions.iter().flatten();
        extensions.into_iter().any(|it| it.extn_id == SUBJECT_ALT_NAME)
    }

    /// Whether it says of itself that it is an authority's.
    pub(super) fn is_authority(&self) -> bool {
        let constraints = self.0.tbs_certificate.get::<BasicConstraints>();
        matches!(constraints, Ok(Some((_, BasicConstraints { ca: true, .. }))))
    }

    /// Whether it has been signed by itself, as far as its names say.
    pub(super) fn names_itself_as_issuer(&self) -> bool {
        self.0.tbs_certificate.issuer == self.0.tbs_certificate.subject
    }

    /// The last common name of its subject, as OpenSSL takes it.
    pub(super) fn common_name(&self) -> Option<String> {
        let mut parts = self.0.tbs_certificate.subject.0.iter().flat_map(|it| it.0.iter());
        let name = parts.rfind(|it| it.oid == COMMON_NAME)?;
        text(AnyRef::from(&name.value))
    }

    /// Whether it is valid now, and for servers.
    pub(super) fn is_good_for_servers(&self, now: UnixTime) -> Result<(), CertificateError> {
        let validity = &self.0.tbs_certificate.validity;
        if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
            return Err(CertificateError::NotValidYet);
        }
        if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
            return Err(CertificateError::Expired);
        }
        match self.0.tbs_certificate.get::<ExtendedKeyUsage>() {
            Ok(None) => Ok(()),
            Ok(Some((_, usage))) if usage.0.iter().any(|it| [SERVER_AUTH, ANY_USAGE].contains(it)) => Ok(()),
            _ => Err(CertificateError::InvalidPurpose),
        }
    }

    /// The channel binding `tls-server-end-point` (RFC 5929, section 4.1): the certificate's hash, by the hash of its signature,
    /// SHA-256 in place of MD5 and SHA-1. None for signatures that have no hash of their own, such as Ed25519.
    pub(super) fn end_point(&self, der: &[u8]) -> Option<Vec<u8>> {
        let algorithm = hash_of_signature(&self.0.signature_algorithm)?;
        Some(digest(algorithm, der).as_ref().to_vec())
    }

    /// Whether the TLS library cannot check what this certificate's key has signed so.
    pub(super) fn is_beyond_library(&self, scheme: SignatureScheme) -> bool {
        !self.has_extensions() || matches!(scheme, SignatureScheme::Unknown(_))
    }

    /// Whether its key has made this signature of a handshake. TLS 1.3 says of which curve the key is, by the first of a
    /// scheme's algorithms; in TLS 1.2 it may be any of them.
    pub(super) fn has_signed(
        &self,
        message: &[u8],
        (scheme, signature): (SignatureScheme, &[u8]),
        algorithms: &WebPkiSupportedAlgorithms,
        first_only: bool,
    ) -> Result<(), CertificateError> {
        let key = &self.0.tbs_certificate.subject_public_key_info;
        let bits = key
            .subject_public_key
            .as_bytes()
            .ok_or(CertificateError::BadEncoding)?;
        let id = alone(&key.algorithm).ok_or(CertificateError::BadEncoding)?;
        let of_scheme = algorithms.mapping.iter().find(|(it, _)| *it == scheme);
        let candidates = of_scheme.map(|(_, candidates)| *candidates).unwrap_or_default();
        let number = if first_only { 1 } else { candidates.len() };
        let fitting = candidates
            .iter()
            .take(number)
            .find(|it| it.public_key_alg_id().as_ref() == id);
        let verified = fitting
            .ok_or(InvalidSignature)
            .and_then(|algorithm| algorithm.verify_signature(bits, message, signature));
        verified.map_err(|_| CertificateError::BadSignature)
    }
}

/// The content of the algorithm's encoding, in which the TLS library compares them. What a key for RSASSA-PSS says about hashes is left
/// out: it narrows what the key's owner may sign with.
fn alone(algorithm: &AlgorithmIdentifierOwned) -> Option<Vec<u8>> {
    if algorithm.oid == RSASSA_PSS {
        return algorithm.oid.to_der().ok();
    }
    let der = algorithm.to_der().ok()?;
    Some(AnyRef::from_der(&der).ok()?.value().to_vec())
}

fn hash_of_signature(algorithm: &AlgorithmIdentifierOwned) -> Option<&'static Algorithm> {
    if algorithm.oid == RSASSA_PSS {
        return hash_of_pss(algorithm.parameters.as_ref().map(AnyRef::from)?);
    }
    Some(match algorithm.oid.to_string().as_str() {
        // RSA with MD5, RSA, ECDSA and DSA with SHA-1.
        "1.2.840.113549.1.1.4" | "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.2.840.10040.4.3" => {
            &digest::SHA256
        }
        "1.2.840.113549.1.1.14" | "1.2.840.10045.4.3.1" => &digest::SHA224,
        "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" => &digest::SHA256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => &digest::SHA384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => &digest::SHA512,
        "1.2.840.113549.1.1.16" => &digest::SHA512_256,
        _ => return None,
    })
}

/// The hash that the parameters of RSASSA-PSS name (RFC 4055, section 3.1); SHA-1, for which SHA-256 is taken, if none.
fn hash_of_pss(parameters: AnyRef<'_>) -> Option<&'static Algorithm> {
    let mut reader = SliceReader::new(parameters.value()).ok()?;
    let named = match reader.is_finished() {
        true => None,
        false => {
            ContextSpecific::<AlgorithmIdentifierRef<'_>>::decode_explicit(&mut reader, TagNumber::N0).ok()?
        }
    };
    let Some(hash) = named else {
        return Some(&digest::SHA256);
    };
    Some(match hash.value.oid.to_string().as_str() {
        "1.2.840.113549.2.5" | "1.3.14.3.2.26" | "2.16.840.1.101.3.4.2.1" => &digest::SHA256,
        "2.16.840.1.101.3.4.2.4" => &digest::SHA224,
        "2.16.840.1.101.3.4.2.2" => &digest::SHA384,
        "2.16.840.1.101.3.4.2.3" => &digest::SHA512,
        "2.16.840.1.101.3.4.2.6" => &digest::SHA512_256,
        _ => return None,
    })
}

/// The text of a name's part, if it is of a kind that is used for host names.
fn text(value: AnyRef<'_>) -> Option<String> {
    Some(match value.tag() {
        Tag::Utf8String => Utf8StringRef::try_from(value).ok()?.as_str().to_string(),
        Tag::PrintableString => PrintableStringRef::try_from(value).ok()?.as_str().to_string(),
        Tag::Ia5String => Ia5StringRef::try_from(value).ok()?.as_str().to_string(),
        Tag::TeletexString => TeletexStringRef::try_from(value).ok()?.as_str().to_string(),
        _ => return None,
    })
}
