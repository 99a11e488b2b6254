//! What signatures are made with, as far as they can be checked.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::signature::{
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    UnparsedPublicKey,
};
use rustls::SignatureScheme;
use rustls::crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

use super::certificate::RSASSA_PSS_DER;
use super::p521::P521;

/// What PostgreSQL servers are spoken to with: what the TLS library has, and besides that P-521 for the key exchange, and
/// certificates with keys for RSASSA-PSS alone.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = crypto::aws_lc_rs::default_provider();
        provider.kx_groups.push(&P521);
        provider.signature_verification_algorithms = with_pss(&provider.signature_verification_algorithms);
        Arc::new(provider)
    });
    Arc::clone(&PROVIDER)
}

/// Made once, since the library wants what lives for ever.
fn with_pss(usual: &WebPkiSupportedAlgorithms) -> WebPkiSupportedAlgorithms {
    let all = usual
        .all
        .iter()
        .chain(PSS.iter().flat_map(|(_, algorithms)| *algorithms));
    let mapping = usual.mapping.iter().chain(PSS);
    WebPkiSupportedAlgorithms {
        all: all.copied().collect::<Vec<_>>().leak(),
        mapping: mapping.copied().collect::<Vec<_>>().leak(),
    }
}

/// The schemes `rsa_pss_pss_sha256` to `rsa_pss_pss_sha512` of TLS (RFC 8446, section 4.2.3).
static PSS: &[(SignatureScheme, &[&dyn SignatureVerificationAlgorithm])] = &[
    (
        SignatureScheme::Unknown(0x0809),
        &[&Pss {
            signature: alg_id::RSA_PSS_SHA256,
            parameters: &RSA_PSS_2048_8192_SHA256,
        }],
    ),
    (
        SignatureScheme::Unknown(0x080a),
        &[&Pss {
            signature: alg_id::RSA_PSS_SHA384,
            parameters: &RSA_PSS_2048_8192_SHA384,
        }],
    ),
    (
        SignatureScheme::Unknown(0x080b),
        &[&Pss {
            signature: alg_id::RSA_PSS_SHA512,
            parameters: &RSA_PSS_2048_8192_SHA512,
        }],
    ),
];

/// RSASSA-PSS by a key that is for nothing else.
#[derive(Debug)]
struct Pss {
    signature: AlgorithmIdentifier,
    parameters: &'static RsaParameters,
}

impl SignatureVerificationAlgorithm for Pss {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(self.parameters, public_key)
            .verify(message, signature)
            .map_err(|_| InvalidSignature)
    }

    /// id-RSASSA-PSS without parameters (RFC 4055, section 1.2): the key may be used with any hash.
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        AlgorithmIdentifier::from_slice(RSASSA_PSS_DER)
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}
