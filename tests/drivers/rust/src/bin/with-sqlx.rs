//! Logs in with sqlx.

use std::fs;
use std::path::Path;

use pguser_drivers::{Answer, QUERY, report};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    report("sqlx", "sqlx", published, lines).await;
}

async fn published(secret: &Path) -> Answer {
    ask(fs::read_to_string(secret.join("uri"))?.parse()?).await
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
