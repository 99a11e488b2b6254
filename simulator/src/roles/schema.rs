//! The simulator's own database and tables.

use tokio_postgres::Config;

use super::{DATABASE, RoleError, connect, quote};

/// The tables. Not comments on roles: those belong to whoever manages a role by SQL.
pub const TABLES: &str = r#"
CREATE TABLE IF NOT EXISTS settings (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE IF NOT EXISTS users (
    name text COLLATE "C" PRIMARY KEY,
    origin text NOT NULL,
    created_ms bigint NOT NULL,
    created_by text,
    modified_ms bigint NOT NULL,
    modified_by text,
    -- Which role this row is about; a role dropped and made again by SQL is another one.
    role_oid bigint,
    -- To notice a password that was changed by SQL.
    seen_hash text,
    password_print text,
    visible boolean NOT NULL DEFAULT true,
    pending text,
    pending_due_ms bigint,
    pending_verifier text
);
ALTER TABLE users ADD COLUMN IF NOT EXISTS read_only boolean NOT NULL DEFAULT false;
"#;

/// Makes the database where it is missing. Role names may be any text, whatever the server's locale, hence UTF8 and C.
pub async fn create_database(admin: &Config) -> Result<(), RoleError> {
    let start = admin.get_dbname().unwrap_or("postgres").to_owned();
    let client = connect(admin, &start).await?;
    let found = client
        .query_opt(
            "SELECT 1 FROM pg_database WHERE datname = $1::text::name",
            &[&DATABASE],
        )
        .await?;
    if found.is_none() {
        let create = format!(
            "CREATE DATABASE {} ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
            quote(DATABASE)
        );
        client.batch_execute(&create).await?;
    }
    Ok(())
}
