//! Which certificates a PostgreSQL server may have.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use thiserror::Error as ErrorText;

use super::Trust;
use super::certificate::Certificate;

/// What is wrong with a certificate, where the TLS library has no word for it.
#[derive(Debug, Clone, PartialEq, Eq, ErrorText)]
pub(super) enum Fault {
    /// It has a common name at most. Authorities do not vouch for these.
    #[error(
        "the certificate has no subjectAltName, and a CN is no name that counts: make it anew with `{0}`, where file names \
         are yours"
    )]
    NoAlternativeName(String),
    /// It says that it is an authority's.
    #[error(
        "the certificate is an authority's (CA:TRUE), and not itself one of the authorities that are given: give the server one \
         with CA:FALSE, or name this one as the authority"
    )]
    Authority,
    /// It is of an older version than 3.
    #[error(
        "the certificate is of X.509 version 1 and not itself one of the authorities that are given, so that it cannot be \
         verified: make it anew with `{0}`, where file names are yours"
    )]
    Version1(String),
}

/// How much is asked of a certificate. The server always proves that it has the certificate's key, so that binding a login to
/// the certificate binds it to that server.
#[derive(Debug)]
pub(super) struct Verifier {
    /// Whom it has to be from, if from anybody in particular.
    pub(super) trust: Option<Trust>,
    /// Whether it has to be for the host.
    pub(super) by_name: bool,
    pub(super) provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// A certificate that somebody has signed.
    fn issued(
        &self,
        trust: &Trust,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let certificate = Certificate::read(end_entity);
        if let Some(it) = certificate.as_ref().filter(|it| !it.has_extensions()) {
            return Err(fault(Fault::Version1(mending(it, host))));
        }
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let verified =
            verify_server_cert_signed_by_trust_anchor(&parsed, &trust.roots, intermediates, now, algorithms);
        match (verified, &certificate) {
            (Err(Error::InvalidCertificate(CertificateError::Other(_))), Some(it)) if it.is_authority() => {
                return Err(fault(Fault::Authority));
            }
            (verified, _) => verified?,
        }
        match self.by_name {
            true => alternative_name(&parsed, certificate.as_ref(), host),
            false => Ok(()),
        }
    }

    /// A certificate that is itself one of the given authorities, byte for byte: nobody has to vouch for it.
    fn given(
        &self,
        end_entity: &CertificateDer<'_>,
        host: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let certificate = Certificate::read(end_entity).ok_or(CertificateError::BadEncoding)?;
        certificate.is_good_for_servers(now)?;
        if !self.by_name {
            return Ok(());
        }
        if certificate.has_extensions() {
            return alternative_name(
                &ParsedCertificate::try_from(end_entity)?,
                Some(&certificate),
                host,
            );
        }
        // It has no room for another name, and whoever gave it has seen this one.
        let name = certificate.common_name().unwrap_or_default();
        match name.eq_ignore_ascii_case(&host.to_str()) {
            true => Ok(()),
            false => Err(CertificateError::NotValidForName.into()),
        }
    }

    /// Whether the certificate's key has signed a handshake, where the TLS library cannot tell; none where it can.
    fn beyond_library(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
        first_only: bool,
    ) -> Option<Result<HandshakeSignatureValid, Error>> {
        let certificate = Certificate::read(der).filter(|it| it.is_beyond_library(signature.scheme))?;
        let algorithms = &self.provider.signature_verification_algorithms;
        let signed = (signature.scheme, signature.signature());
        let verified = certificate.has_signed(message, signed, algorithms, first_only);
        Some(
            verified
                .map(|()| HandshakeSignatureValid::assertion())
                .map_err(Error::from),
        )
    }
}

/// Whether it is for the host, by the names that count.
fn alternative_name(
    parsed: &ParsedCertificate<'_>,
    certificate: Option<&Certificate>,
    host: &ServerName<'_>,
) -> Result<(), Error> {
    match certificate.filter(|it| !it.has_alternative_names()) {
        Some(it) => Err(fault(Fault::NoAlternativeName(mending(it, host)))),
        None => verify_server_name(parsed, host),
    }
}

/// The command that makes a certificate as it should be, in place of this one.
fn mending(certificate: &Certificate, host: &ServerName<'_>) -> String {
    let kind = match host {
        ServerName::IpAddress(_) => "IP",
        _ => "DNS",
    };
    let host = host.to_str();
    // A CN has 64 characters at most.
    let subject = if host.len() > 64 { "server" } else { &host };
    let named = format!("-key server.key -subj /CN={subject} -addext subjectAltName={kind}:{host}");
    match certificate.names_itself_as_issuer() {
        true => format!("openssl req -x509 {named} -days 365 -out server.crt"),
        false => format!(
            "openssl req -new {named} | openssl x509 -req -CA ca.crt -CAkey ca.key -copy_extensions copy -days 365 -out server.crt"
        ),
    }
}

fn fault(fault: Fault) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(fault))))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.trust {
            Some(trust) if trust.is_given(end_entity) => self.given(end_entity, host, now)?,
            Some(trust) => self.issued(trust, end_entity, intermediates, host, now)?,
            None => {}
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.beyond_library(message, der, signature, false)
            .unwrap_or_else(|| verify_tls12_signature(message, der, signature, algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let beyond = match is_of_old(signature.scheme) {
            true => None,
            false => self.beyond_library(message, der, signature, true),
        };
        beyond.unwrap_or_else(|| verify_tls13_signature(message, der, signature, algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Whether TLS 1.3 takes a scheme in certificates alone, and in no handshake (RFC 8446, section 4.2.3).
fn is_of_old(scheme: SignatureScheme) -> bool {
    use SignatureScheme::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512};
    matches!(scheme, RSA_PKCS1_SHA256 | RSA_PKCS1_SHA384 | RSA_PKCS1_SHA512)
}
