//! Whose certificates are trusted: one answer for every connection that leaves this process.

use std::error::Error as StdError;
use std::sync::Arc;

use rustls::{CertificateError, ClientConfig, RootCertStore};
use thiserror::Error;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::bundle::{self, BundleError};
use crate::domain::endpoint::Host;

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
pub struct Trust(Arc<RootCertStore>);

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
        for bundle in extra_ca {
            bundle::add(&mut roots, bundle)?;
        }
        if roots.is_empty() {
            return Err(TrustError::Empty);
        }
        Ok(Self(Arc::new(roots)))
    }

    /// The authorities in this PEM bundle and no others.
    pub fn only(bundle: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        bundle::add(&mut roots, bundle)?;
        Ok(Self(Arc::new(roots)))
    }

    /// The authorities themselves, for who verifies in another way.
    pub(super) fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.0)
    }

    /// These authorities, and those of a PEM bundle.
    ///
    /// # Errors
    /// If the bundle is not PEM, or holds no certificate.
    pub fn and(&self, bundle: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::clone(&self.0);
        bundle::add(&mut roots, bundle)?;
        Ok(Self(Arc::new(roots)))
    }

    /// A client configuration: TLS 1.2 and 1.3, the certificate and the name in it verified, no client
    /// certificate, no early data. Each has session tickets of its own, so that two tenants share none.
    pub fn client_config(&self) -> Result<ClientConfig, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError::Setup(error.to_string()))?
            .with_root_certificates(Arc::clone(&self.0))
            .with_no_client_auth())
    }
}

/// The TLS side of a connection to a PostgreSQL server; `stream` only says of what type it is.
pub(super) fn postgres<S>(
    config: ClientConfig,
    host: &Host,
    _stream: &S,
) -> <MakeRustlsConnect as MakeTlsConnect<S>>::TlsConnect
where
    MakeRustlsConnect: MakeTlsConnect<S, Error = std::convert::Infallible>,
{
    // A certificate names an IPv6 address without brackets.
    let name = match host {
        Host::Name(name) => name.clone(),
        Host::Ip(ip) => ip.to_string(),
    };
    match MakeRustlsConnect::new(config).make_tls_connect(&name) {
        Ok(connect) => connect,
    }
}

/// The TLS error behind an error, in fixed words; the library's own text quotes names in the certificate,
/// which the other side chose.
pub(super) fn describe(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    find::<rustls::Error>(error).map(|error| match error {
        rustls::Error::InvalidCertificate(reason) => match reason {
            CertificateError::UnknownIssuer => "the certificate's issuer is not trusted",
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the certificate is not valid yet"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the certificate is for another name"
            }
            _ => "the certificate is not valid",
        },
        _ => "the TLS handshake failed",
    })
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
