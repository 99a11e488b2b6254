//! Logs in with tokio-postgres, over TLS by rustls.

use std::fs;
use std::path::Path;

use pguser_drivers::{Answer, QUERY, introduce, report};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    introduce("tokio-postgres", "tokio-postgres");
    report("tokio-postgres", "published", published).await;
    report("tokio-postgres", "lines", lines).await;
}

async fn published(secret: &Path) -> Answer {
    let config: Config = fs::read_to_string(secret.join("uri"))?.parse()?;
    ask(config, MakeRustlsConnect::with_webpki_roots()).await
}

async fn lines(secret: &Path) -> Answer {
    // docs: tokio-postgres
    let read = |key| fs::read_to_string(secret.join(key));
    let mut config = Config::new();
    config
        .host(read("host")?)
        .port(read("port")?.parse()?)
        .dbname(read("database")?);
    config.user(read("username")?).password(read("password")?);
    config.ssl_mode(match read("sslmode")?.as_str() {
        "disable" => SslMode::Disable,
        "allow" | "prefer" => SslMode::Prefer,
        _ => SslMode::Require, // what rustls does is verify-full
    });
    let mut authorities = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(secret.join("ca.crt"))? {
        authorities.add(authority?)?;
    }
    let tls = ClientConfig::builder()
        .with_root_certificates(authorities)
        .with_no_client_auth();
    let tls = MakeRustlsConnect::new(tls);
    // end
    ask(config, tls).await
}

async fn ask(config: Config, tls: MakeRustlsConnect) -> Answer {
    let (client, connection) = config.connect(tls).await?;
    let connection = tokio::spawn(connection);
    let row = client.query_one(QUERY, &[]).await?;
    let answer = (row.try_get(0)?, row.try_get(1)?);
    drop(client);
    connection.await??;
    Ok(answer)
}
