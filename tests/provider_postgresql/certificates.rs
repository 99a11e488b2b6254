//! Certificates as people have them, made by OpenSSL: what is sound works, what is not is refused with the reason, and with what
//! mends it where that can be said.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pguser_operator::domain::password::Password;
use pguser_operator::domain::remote::SslMode;
use pguser_operator::provider::login::{
    Certificate, LoginResult, LoginSettings, LoginTarget, Route, introduce, verify,
};
use pguser_operator::provider::postgresql::PostgresqlConfig;
use pguser_operator::provider::tls::Trust;
use pguser_operator::provider::{ErrorClass, Provider, RemoteError};
use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};
use tokio::runtime::Runtime;
use x509_cert::certificate::Version;
use x509_cert::der::asn1::BitString;
use x509_cert::der::{Decode, Encode};

use crate::connections::in_a_world_of_its_own;
use crate::support::{ADMIN_PASSWORD, Client, World, allow, pki, tests};

tests! {
    a_certificate_may_be_its_own_authority,
    a_name_in_the_cn_alone_is_refused_with_what_mends_it,
    a_certificate_of_version_1_is_good_as_its_own_authority_and_where_none_is_asked_for,
    a_certificate_may_be_signed_in_all_ways_that_openssl_signs,
    a_key_may_be_of_any_kind_that_openssl_makes_by_itself,
    a_certificate_without_a_hash_has_to_be_verified_name_and_all,
    what_is_wrong_with_a_certificate_is_said,
}

/// A certificate for `localhost`, with its key and the authority that it is from, which may be itself.
#[derive(Clone)]
struct Made {
    ca: String,
    certificate: String,
    key: String,
}

/// A folder in which OpenSSL works.
struct Workshop(PathBuf);

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Workshop {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("pguser-certificates-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    /// Runs one line.
    fn run(&self, line: &str) {
        let mut command = Command::new("sh");
        let made = command
            .args(["-e", "-c", line])
            .current_dir(&self.0)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&made.stderr)
        );
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn key(&self, kind: &str) {
        self.run(&format!("openssl genpkey -algorithm {kind} -out server.key"));
    }

    /// A certificate that the server's key has signed itself.
    fn self_signed(&self, options: &str) -> Made {
        self.run(&format!(
            "openssl req -x509 -key server.key -subj /CN=localhost -days 2 {options} -out server.crt"
        ));
        self.made("server.crt")
    }

    /// A certificate that an authority's key of this kind has signed.
    fn issued(&self, kind: &str, options: &str) -> Made {
        self.run(&format!("openssl genpkey -algorithm {kind} -out ca.key"));
        self.run("openssl req -x509 -key ca.key -subj '/CN=An authority' -days 2 -out ca.crt");
        self.run("openssl req -new -key server.key -subj /CN=localhost -out server.csr");
        std::fs::write(self.0.join("extensions"), "subjectAltName=DNS:localhost\n").unwrap();
        self.run(&format!(
            "openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 {options} -out server.crt"
        ));
        self.made("ca.crt")
    }

    fn made(&self, ca: &str) -> Made {
        Made {
            ca: self.read(ca),
            certificate: self.read("server.crt"),
            key: self.read("server.key"),
        }
    }
}

const P256: &str = "EC -pkeyopt ec_paramgen_curve:P-256";
const P521: &str = "EC -pkeyopt ec_paramgen_curve:P-521";
const RSA: &str = "RSA -pkeyopt rsa_keygen_bits:2048";
const RSA_PSS: &str = "RSA-PSS -pkeyopt rsa_keygen_bits:2048";
const NAMED: &str = "-addext subjectAltName=DNS:localhost";
const EXTENDED: &str = "-extfile extensions";

/// A server that changes its certificate.
struct Bench {
    world: World,
    runtime: Runtime,
}

impl Bench {
    fn present(&mut self, made: &Made) {
        self.world.server.present(&made.certificate, &made.key);
    }

    fn config(&self, sslmode: SslMode, ca: Option<&str>) -> PostgresqlConfig {
        PostgresqlConfig {
            sslmode,
            ca: ca.map(|ca| ca.as_bytes().to_vec()),
            ..self.world.config("boss")
        }
    }

    /// Whether the operator's own connection works.
    fn connects(&self, config: PostgresqlConfig) -> Result<(), RemoteError> {
        self.runtime.block_on(async {
            let client = Client::new(config, Duration::from_secs(20));
            client.provider.list().await.map(drop)
        })
    }

    fn settings(ca: &str) -> LoginSettings {
        LoginSettings {
            allow: allow(),
            trust: Trust::only(ca.as_bytes()).unwrap(),
            timeout: Duration::from_secs(10),
        }
    }

    fn target(&self, username: &str, password: &str) -> LoginTarget {
        LoginTarget {
            host: "localhost".to_string(),
            port: self.world.server.port,
            database: "postgres".to_string(),
            username: username.to_string(),
            password: Password::new(password),
        }
    }

    /// What becomes of the login by which a password is tried.
    fn tries(&self, ca: &str, username: &str, password: &str) -> LoginResult {
        let target = self.target(username, password);
        self.runtime.block_on(verify(&target, &Self::settings(ca)))
    }

    /// It works in all modes, and logins are tried.
    fn takes(&mut self, what: &str, made: &Made) {
        self.present(made);
        for (sslmode, ca) in [
            (SslMode::VerifyFull, Some(made.ca.as_str())),
            (SslMode::VerifyCa, Some(&made.ca)),
            (SslMode::Require, Some(&made.ca)),
            (SslMode::Require, None),
        ] {
            let result = self.connects(self.config(sslmode, ca));
            result.unwrap_or_else(|error| panic!("{what}, {sslmode:?}, {}: {error}", ca.is_some()));
        }
        assert_eq!(
            self.tries(&made.ca, "boss", ADMIN_PASSWORD),
            LoginResult::Accepted,
            "{what}"
        );
        assert_eq!(
            self.tries(&made.ca, "boss", "wrong"),
            LoginResult::Refused,
            "{what}"
        );
    }

    /// It is refused with these words, by who connects and by who tries a login.
    #[track_caller]
    fn refuses(&self, sslmode: SslMode, ca: &str, part: &str) -> String {
        let error = self.connects(self.config(sslmode, Some(ca))).unwrap_err();
        assert!(error.detail.contains(part), "{sslmode:?}: {part:?} in {error}");
        if sslmode == SslMode::VerifyFull {
            let result = self.tries(ca, "boss", ADMIN_PASSWORD);
            assert!(
                matches!(&result, LoginResult::Unverifiable { reason } if reason.contains(part)),
                "{part:?} in {result:?}"
            );
        }
        error.detail
    }
}

fn on_a_bench(test: impl FnOnce(Bench, Workshop) + Send) {
    in_a_world_of_its_own(|world, _| {
        let runtime = Runtime::new().unwrap();
        test(Bench { world, runtime }, Workshop::new());
    });
}

async fn a_certificate_may_be_its_own_authority(_: &World) {
    on_a_bench(|mut bench, workshop| {
        workshop.key(P256);
        // As PostgreSQL's manual makes it, with a name that counts: CA:TRUE.
        let made = workshop.self_signed(NAMED);
        bench.takes("CA:TRUE", &made);
        // Among others.
        let bundle = format!("{}{}{}", pki("One").ca, made.ca, pki("Two").ca);
        bench
            .connects(bench.config(SslMode::VerifyFull, Some(&bundle)))
            .unwrap();
        let elsewhere = PostgresqlConfig {
            host: "127.0.0.1".to_string(),
            ..bench.config(SslMode::VerifyFull, Some(&made.ca))
        };
        let error = bench.connects(elsewhere).unwrap_err();
        assert!(error.detail.contains("another name"), "{error}");
        bench.refuses(SslMode::VerifyCa, &pki("Another CA").ca, "CA:TRUE");

        let made = workshop.self_signed(&format!("{NAMED} -addext basicConstraints=critical,CA:FALSE"));
        bench.takes("CA:FALSE", &made);
        // The same key and names, and yet another certificate.
        let other = workshop.self_signed(NAMED);
        bench.present(&other);
        bench.refuses(SslMode::VerifyCa, &made.ca, "CA:TRUE");
    });
}

/// The command in a message, between backticks.
fn command(detail: &str) -> &str {
    detail.split('`').nth(1).unwrap()
}

async fn a_name_in_the_cn_alone_is_refused_with_what_mends_it(_: &World) {
    on_a_bench(|mut bench, workshop| {
        workshop.key(P256);
        let self_signed = workshop.self_signed("");
        bench.present(&self_signed);
        bench
            .connects(bench.config(SslMode::VerifyCa, Some(&self_signed.ca)))
            .unwrap();
        let detail = bench.refuses(
            SslMode::VerifyFull,
            &self_signed.ca,
            "subjectAltName=DNS:localhost",
        );
        workshop.run(command(&detail));
        bench.takes("mended", &workshop.made("server.crt"));

        std::fs::write(workshop.0.join("none"), "basicConstraints=CA:FALSE\n").unwrap();
        let issued = workshop.issued(P256, "-extfile none");
        bench.present(&issued);
        bench
            .connects(bench.config(SslMode::VerifyCa, Some(&issued.ca)))
            .unwrap();
        let detail = bench.refuses(SslMode::VerifyFull, &issued.ca, "subjectAltName=DNS:localhost");
        workshop.run(command(&detail));
        bench.takes("mended, from an authority", &workshop.made("ca.crt"));
    });
}

/// The same as a certificate of version 1, signed by this key. Newer versions of OpenSSL make none by themselves.
fn version_1(of: &CertificateParams, key: &KeyPair) -> String {
    let usual = of.self_signed(key).unwrap();
    let mut certificate = x509_cert::Certificate::from_der(usual.der()).unwrap();
    certificate.tbs_certificate.version = Version::V1;
    certificate.tbs_certificate.extensions = None;
    let signer = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.serialized_der()).unwrap();
    let signed = certificate.tbs_certificate.to_der().unwrap();
    let signature = signer.sign(&SystemRandom::new(), &signed).unwrap();
    certificate.signature = BitString::from_bytes(signature.as_ref()).unwrap();
    let base64 = STANDARD.encode(certificate.to_der().unwrap());
    let lines: Vec<&str> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["localhost".to_string()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

async fn a_certificate_of_version_1_is_good_as_its_own_authority_and_where_none_is_asked_for(_: &World) {
    on_a_bench(|mut bench, _| {
        let key = KeyPair::generate().unwrap();
        let of = |name: &str| {
            let certificate = version_1(&named(name), &key);
            Made {
                ca: certificate.clone(),
                certificate,
                key: key.serialize_pem(),
            }
        };
        let made = of("localhost");
        bench.takes("version 1", &made);
        // TLS 1.2 says in another way what is signed how.
        bench
            .world
            .server
            .sql("ALTER SYSTEM SET ssl_max_protocol_version = 'TLSv1.2'");
        bench.takes("version 1, TLS 1.2", &made);
        bench
            .world
            .server
            .sql("ALTER SYSTEM RESET ssl_max_protocol_version");
        let other = of("elsewhere");
        bench.present(&other);
        bench.refuses(SslMode::VerifyFull, &other.ca, "another name");
    });
}

async fn a_certificate_may_be_signed_in_all_ways_that_openssl_signs(_: &World) {
    on_a_bench(|mut bench, workshop| {
        workshop.key(RSA);
        let pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest";
        for hash in ["-sha256", "-sha384", "-sha512"] {
            let made = workshop.issued(RSA, &format!("{EXTENDED} {hash}"));
            bench.takes(&format!("RSA {hash}"), &made);
            let made = workshop.issued(RSA, &format!("{EXTENDED} {hash} {pss}"));
            bench.takes(&format!("RSA-PSS {hash}"), &made);
        }
        // With OpenSSL's own idea of a salt, and a hash that no authority would sign with.
        for options in ["-sigopt rsa_padding_mode:pss", "-sha224", "-sha1"] {
            let made = workshop.self_signed(&format!("{NAMED} {options}"));
            bench.takes(options, &made);
        }
        let made = workshop.issued(
            RSA,
            &format!("{EXTENDED} -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:50"),
        );
        bench.present(&made);
        bench.connects(bench.config(SslMode::Require, None)).unwrap();
        bench.refuses(SslMode::VerifyFull, &made.ca, "rsa_pss_saltlen:digest");

        workshop.key(P256);
        for hash in ["-sha256", "-sha384", "-sha512"] {
            let made = workshop.issued(P256, &format!("{EXTENDED} {hash}"));
            bench.takes(&format!("ECDSA {hash}"), &made);
        }
        bench.takes(
            "ECDSA with SHA-512, by itself",
            &workshop.self_signed(&format!("{NAMED} -sha512")),
        );
        bench.takes("RSA for ECDSA", &workshop.issued(RSA, EXTENDED));
    });
}

async fn a_key_may_be_of_any_kind_that_openssl_makes_by_itself(_: &World) {
    on_a_bench(|mut bench, workshop| {
        for kind in [P521, "EC -pkeyopt ec_paramgen_curve:P-384", RSA_PSS] {
            workshop.key(kind);
            bench.takes(kind, &workshop.self_signed(NAMED));
        }
        workshop.key(P521);
        bench.takes(
            "P-521, from an authority",
            &workshop.issued(P521, &format!("{EXTENDED} -sha512")),
        );
        bench
            .world
            .server
            .sql("ALTER SYSTEM SET ssl_max_protocol_version = 'TLSv1.2'");
        bench.takes("P-521, TLS 1.2", &workshop.made("ca.crt"));
        bench
            .world
            .server
            .sql("ALTER SYSTEM RESET ssl_max_protocol_version");
        workshop.key("ED448");
        let made = workshop.self_signed(NAMED);
        bench.present(&made);
        bench.refuses(SslMode::VerifyFull, &made.ca, "P-521, or Ed25519");
    });
}

async fn a_certificate_without_a_hash_has_to_be_verified_name_and_all(_: &World) {
    on_a_bench(|mut bench, workshop| {
        workshop.key("ED25519");
        for made in [workshop.self_signed(NAMED), workshop.issued("ED25519", EXTENDED)] {
            bench.present(&made);
            bench
                .connects(bench.config(SslMode::VerifyFull, Some(&made.ca)))
                .unwrap();
            for (sslmode, ca) in [
                (SslMode::VerifyCa, Some(made.ca.as_str())),
                (SslMode::Require, Some(&made.ca)),
                (SslMode::Require, None),
            ] {
                let error = bench.connects(bench.config(sslmode, ca)).unwrap_err();
                assert_eq!(error.class, ErrorClass::Unauthorized, "{error}");
                assert!(error.detail.contains("Ed25519"), "{error}");
            }
            assert_eq!(
                bench.tries(&made.ca, "boss", ADMIN_PASSWORD),
                LoginResult::Accepted
            );
            assert_eq!(bench.tries(&made.ca, "boss", "wrong"), LoginResult::Refused);
            for other in ["clear", "md5"] {
                let result = bench.tries(&made.ca, other, ADMIN_PASSWORD);
                assert!(
                    matches!(&result, LoginResult::Unverifiable { reason } if reason.contains("SCRAM-SHA-256")),
                    "{other}: {result:?}"
                );
            }
            let route = Route {
                dialled: None,
                certificate: Certificate::Any,
            };
            let target = bench.target("boss", ADMIN_PASSWORD);
            let settings = Bench::settings(&made.ca);
            let result = bench.runtime.block_on(introduce(&target, &settings, &route));
            assert!(
                matches!(&result, Err(LoginResult::Unverifiable { reason }) if reason.contains("Ed25519")),
                "{result:?}"
            );
        }
        // An authority may sign so, if the certificate itself has a hash.
        workshop.key("ED25519");
        let by_rsa = workshop.issued(RSA, EXTENDED);
        bench.takes("an Ed25519 key, signed by RSA", &by_rsa);
    });
}

async fn what_is_wrong_with_a_certificate_is_said(_: &World) {
    on_a_bench(|mut bench, workshop| {
        let key = KeyPair::generate().unwrap();
        let dated = |from: i32, to: i32| {
            let mut params = named("localhost");
            (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
            let certificate = params.self_signed(&key).unwrap().pem();
            Made {
                ca: certificate.clone(),
                certificate,
                key: key.serialize_pem(),
            }
        };
        for (from, to, part) in [(2001, 2002, "has expired"), (2998, 2999, "is not valid yet")] {
            let made = dated(from, to);
            bench.present(&made);
            bench.refuses(SslMode::VerifyFull, &made.ca, part);
            bench.refuses(SslMode::VerifyCa, &made.ca, part);
            bench.connects(bench.config(SslMode::Require, None)).unwrap();
        }
        workshop.key(P256);
        let made = workshop.self_signed(&format!("{NAMED} -addext extendedKeyUsage=clientAuth"));
        bench.present(&made);
        bench.refuses(SslMode::VerifyFull, &made.ca, "extendedKeyUsage");
        std::fs::write(workshop.0.join("authority"), "basicConstraints=CA:TRUE\n").unwrap();
        let made = workshop.issued(P256, "-extfile authority");
        bench.present(&made);
        bench.refuses(SslMode::VerifyCa, &made.ca, "CA:TRUE");
        // Of version 1, and from an authority.
        let made = Made {
            certificate: version_1(&named("localhost"), &key),
            key: key.serialize_pem(),
            ..made
        };
        bench.present(&made);
        bench.connects(bench.config(SslMode::Require, None)).unwrap();
        bench.refuses(SslMode::VerifyFull, &made.ca, "X.509 version 1");
    });
}
