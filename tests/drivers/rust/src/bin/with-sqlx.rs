//! Logs in with sqlx.

use std::fs;
use std::path::Path;

use pguser_drivers::{Answer, QUERY, introduce, report};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    introduce("sqlx", "sqlx");
    report("sqlx", "published", published).await;
    report("sqlx", "lines", lines).await;
    report("sqlx", "preset uri", preset).await;
}

async fn published(secret: &Path) -> Answer {
    ask(fs::read_to_string(secret.join("uri"))?.parse()?).await
}

async fn preset(secret: &Path) -> Answer {
    ask(fs::read_to_string(secret.join("presets/uri/uri"))?.parse()?).await
}

async fn lines(secret: &Path) -> Answer {
    // docs: sqlx
    let uri = fs::read_to_string(secret.join("uri"))?;
    let options: PgConnectOptions = uri.parse()?;
    let options = options.ssl_root_cert(secret.join("ca.crt"));
    // end
    ask(options).await
}

async fn ask(options: PgConnectOptions) -> Answer {
    let mut connection = options.connect().await?;
    let row = sqlx::query_as(QUERY).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(row)
}
