//! Bundles of certificate authorities in PEM, as people have them: whatever OpenSSL reads is read, and no authority vanishes
//! without a word.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;

/// Why a bundle cannot be used. Nothing of its content is in the texts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BundleError {
    /// There is no `BEGIN CERTIFICATE` in it.
    #[error("it holds no PEM certificate (-----BEGIN CERTIFICATE-----)")]
    Empty,
    /// OpenSSL's own form, whose statements about what the authority is trusted for would be lost.
    #[error(
        "block {0} is a TRUSTED CERTIFICATE, whose trust settings would be ignored: convert it with `openssl x509 -in FILE \
         -out FILE.pem`"
    )]
    Trusted(usize),
    /// A certificate has no end, or is no base64.
    #[error("certificate {0} is not well-formed PEM")]
    Malformed(usize),
    /// A certificate that is none, or that cannot be an authority.
    #[error("certificate {0} cannot be read as an X.509 certificate")]
    Unreadable(usize),
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Adds the authorities of a bundle, and returns them.
///
/// # Errors
/// If there is none in it, or one of them cannot be read: the message says which, counted from 1.
pub(super) fn add(
    roots: &mut RootCertStore,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, BundleError> {
    let pem = plain(pem);
    if let Some(place) = trusted(&pem) {
        return Err(BundleError::Trusted(place));
    }
    let blocks = pem.split(BEGIN).skip(1).enumerate();
    let found: Result<Vec<_>, _> = blocks
        .map(|(before, block)| {
            let certificate = certificate(block).ok_or(BundleError::Malformed(before + 1))?;
            roots
                .add(certificate.clone())
                .map_err(|_| BundleError::Unreadable(before + 1))?;
            Ok(certificate)
        })
        .collect();
    match found? {
        none if none.is_empty() => Err(BundleError::Empty),
        some => Ok(some),
    }
}

/// What is between a block's first line and its last one, which may be missing.
fn certificate(block: &str) -> Option<CertificateDer<'static>> {
    let (base64, _) = block.split_once(END)?;
    CertificateDer::from_pem_slice(format!("{BEGIN}\n{}\n{END}\n", base64.trim()).as_bytes()).ok()
}

/// The bundle as every reader reads it: byte order marks, an older label and blocks without a line end between them are put right.
/// Outside of its blocks a bundle may be in any encoding.
fn plain(pem: &[u8]) -> String {
    String::from_utf8_lossy(pem)
        .replace('\u{feff}', "")
        .replace("----------BEGIN ", "-----\n-----BEGIN ")
        .replace("-----BEGIN X509 CERTIFICATE-----", BEGIN)
        .replace("-----END X509 CERTIFICATE-----", END)
}

/// Which of the blocks is a TRUSTED CERTIFICATE.
fn trusted(pem: &str) -> Option<usize> {
    let (before, _) = pem.split_once("-----BEGIN TRUSTED CERTIFICATE-----")?;
    Some(before.matches("-----BEGIN ").count() + 1)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    fn authority() -> String {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    fn read(pem: &str) -> Result<usize, BundleError> {
        let mut roots = RootCertStore::empty();
        add(&mut roots, pem.as_bytes()).map(|found| found.len())
    }

    #[test]
    fn what_openssl_reads_is_read() {
        let (one, two) = (authority(), authority());
        let crl = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
        assert_eq!(read(&format!("{one}{two}")), Ok(2));
        assert_eq!(read(&format!("\u{feff}{one}\u{feff}{two}")), Ok(2));
        assert_eq!(read(&one.replace('\n', "\r\n")), Ok(1));
        assert_eq!(
            read(&format!("Subject: x\n{one}# between\n{crl}{two}after")),
            Ok(2)
        );
        assert_eq!(read(&format!("{}{}", one.trim_end(), two.trim_end())), Ok(2));
        assert_eq!(read(&one.replace(" CERTIFICATE", " X509 CERTIFICATE")), Ok(1));
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_place() {
        let one = authority();
        assert_eq!(read(""), Err(BundleError::Empty));
        assert_eq!(read("no bundle"), Err(BundleError::Empty));
        let unclosed = one.replace("-----END CERTIFICATE-----", "");
        assert_eq!(read(&format!("{one}{unclosed}")), Err(BundleError::Malformed(2)));
        assert_eq!(
            read(&format!("{one}{unclosed}{one}")),
            Err(BundleError::Malformed(2))
        );
        let cut = one.replacen("MII", "M!I", 1);
        assert_eq!(read(&format!("{one}{one}{cut}")), Err(BundleError::Malformed(3)));
        let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(read(&format!("{one}{odd}")), Err(BundleError::Unreadable(2)));
        let trusted = one.replace(" CERTIFICATE", " TRUSTED CERTIFICATE");
        assert_eq!(read(&format!("{one}{trusted}")), Err(BundleError::Trusted(2)));
    }
}
