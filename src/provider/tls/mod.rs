//! Whose certificates are trusted: one answer for every connection that leaves this process.

mod algorithms;
mod certificate;
mod p521;
mod stream;
mod verifier;

pub(super) use stream::{Secured, UNBINDABLE, Unsecured, as_is, secure};

use std::borrow::Cow;
use std::error::Error as StdError;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use thiserror::Error;

use verifier::{Fault, Verifier};

use super::bundle::{self, BundleError};

/// Why no trust could be set up.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TrustError {
    /// A bundle of authorities that cannot be read.
    #[error("the bundle of authorities cannot be read: {0}")]
    Bundle(#[from] BundleError),
    /// Neither the platform nor an extra bundle has a certificate to trust.
    #[error("no CA certificate is trusted: the platform has none and no extra CA bundle is given")]
    Empty,
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// The certificate authorities that are trusted: the platform's and the administrator's own.
///
/// Cheap to clone; made once, since reading the platform's takes milliseconds.
#[derive(Debug, Clone)]
pub struct Trust {
    roots: Arc<RootCertStore>,
    /// Those that were named, as they are: one of them may be a server's own certificate. The platform's are not.
    given: Arc<[CertificateDer<'static>]>,
}

/// How much a PostgreSQL server's certificate is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// To be of a trusted authority, for the host.
    Name,
    /// To be of a trusted authority, for whichever host.
    Authority,
    /// Nothing.
    Nothing,
}

impl Trust {
    /// The platform's authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured) and those in these PEM
    /// bundles. Authorities of the platform that cannot be read are left out, those of a bundle are an error.
    pub fn load(extra_ca: &[Vec<u8>]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::debug!(%error, "a trusted certificate of the platform cannot be read");
        }
        roots.add_parsable_certificates(native.certs);
        let mut given = Vec::new();
        for bundle in extra_ca {
            given.append(&mut bundle::add(&mut roots, bundle)?);
        }
        if roots.is_empty() {
            return Err(TrustError::Empty);
        }
        Ok(Self::of(roots, given))
    }

    /// The authorities in this PEM bundle and no others.
    pub fn only(bundle: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        let given = bundle::add(&mut roots, bundle)?;
        Ok(Self::of(roots, given))
    }

    fn of(roots: RootCertStore, given: Vec<CertificateDer<'static>>) -> Self {
        Self {
            roots: Arc::new(roots),
            given: given.into(),
        }
    }

    /// These authorities, and those of a PEM bundle.
    ///
    /// # Errors
    /// If the bundle is not PEM, or holds no certificate.
    pub fn and(&self, bundle: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::clone(&self.roots);
        let mut given = self.given.to_vec();
        given.append(&mut bundle::add(&mut roots, bundle)?);
        Ok(Self::of(roots, given))
    }

    /// Whether a certificate is itself one of the authorities that were named.
    fn is_given(&self, certificate: &CertificateDer<'_>) -> bool {
        self.given.iter().any(|given| given == certificate)
    }

    /// A client configuration: TLS 1.2 and 1.3, the certificate and the name in it verified, no client
    /// certificate, no early data. Each has session tickets of its own, so that two tenants share none.
    pub fn client_config(&self) -> Result<ClientConfig, TrustError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError::Setup(error.to_string()))?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth())
    }

    /// The same for PostgreSQL servers, whose certificates are of more kinds, and whose logins are bound to them besides.
    pub(super) fn for_postgres(&self, asked: Asked) -> Result<ClientConfig, TrustError> {
        let provider = algorithms::provider();
        let verifier = Verifier {
            trust: (asked != Asked::Nothing).then(|| self.clone()),
            by_name: asked == Asked::Name,
            provider: Arc::clone(&provider),
        };
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError::Setup(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth())
    }
}

/// The TLS error behind an error, in words of our own; the library's text quotes names in the certificate, which the other side
/// chose.
pub(super) fn describe(error: &(dyn StdError + 'static)) -> Option<Cow<'static, str>> {
    let said = match find::<rustls::Error>(error)? {
        rustls::Error::InvalidCertificate(reason) => return Some(describe_certificate(reason)),
        rustls::Error::AlertReceived(AlertDescription::HandshakeFailure) => {
            "the TLS handshake failed: server and operator have no cipher or signature in common. A certificate's key has to be RSA, \
             ECDSA with P-256, P-384 or P-521, or Ed25519"
        }
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
        | rustls::Error::PeerIncompatible(_) => {
            "the TLS handshake failed: the server does not speak TLS 1.2 or 1.3 with a cipher that is secure"
        }
        _ => "the TLS handshake failed",
    };
    Some(said.into())
}

fn describe_certificate(reason: &CertificateError) -> Cow<'static, str> {
    let said = match reason {
        CertificateError::UnknownIssuer => "the certificate's issuer is not trusted",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the certificate has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another name"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is not for servers (extendedKeyUsage)"
        }
        CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id,
            ..
        } if signature_algorithm_id.starts_with(certificate::RSASSA_PSS_DER) => {
            "the certificate, or one of an authority between, is signed by RSASSA-PSS with another hash than SHA-256, SHA-384 and \
             SHA-512, or with a salt that is not as long as the hash (openssl: -sigopt rsa_pss_saltlen:digest)"
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "the certificate, or one of an authority between, is signed by an algorithm that is not supported"
        }
        CertificateError::Other(other) => match other.0.downcast_ref::<Fault>() {
            Some(fault) => return fault.to_string().into(),
            None => "the certificate is not valid",
        },
        _ => "the certificate is not valid",
    };
    said.into()
}

/// Looks for an error of this type behind another one, inside I/O errors too.
pub(super) fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // The source of an I/O error that wraps another is that one's source, so the inner one would be missed.
        next = match error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
