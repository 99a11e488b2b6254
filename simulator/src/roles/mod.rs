//! The users as they really are: login roles of a real PostgreSQL, with what the API says about them in a table.
//!
//! The table sits in a database of the simulator's own, on the same server, so that a role and its row are changed in
//! one transaction and a restart forgets nothing. What somebody does by SQL is noticed on the next look: a login role
//! without a row is an unmanaged user, and a row whose role is gone is dropped.

mod mutate;
mod observe;
mod schema;

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_postgres::{Client, Config, NoTls, error::SqlState};

pub use mutate::{DropPlan, create_sql as create_role_sql, password_sql};
pub use observe::Look;

/// The database that holds the simulator's table.
pub const DATABASE: &str = "pguser_simulator";

/// Where a user came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Made by this API.
    Api,
    /// Made by SQL.
    Unmanaged,
}

/// What has been answered already but has not reached PostgreSQL yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pending {
    /// The role is still to be made.
    Create,
    /// The password is still to be set.
    Password,
    /// The role is still to be dropped.
    Drop,
}

impl Pending {
    fn as_str(self) -> &'static str {
        match self {
            Pending::Create => "create",
            Pending::Password => "password",
            Pending::Drop => "drop",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Pending::Create, Pending::Password, Pending::Drop]
            .into_iter()
            .find(|pending| pending.as_str() == text)
    }
}

/// A user, in the API's sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The role's name.
    pub name: String,
    /// Where it came from.
    pub origin: Origin,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: i64,
    /// Who created it, if it came from the API.
    pub created_by: Option<String>,
    /// When it was last modified.
    pub modified_ms: i64,
    /// Who last modified it.
    pub modified_by: Option<String>,
    /// Whether the API shows it; a user whose role is still to be dropped may be gone from the API already.
    pub visible: bool,
    /// What has not reached PostgreSQL yet.
    pub pending: Option<Pending>,
    /// The fingerprint of the last password that came through the API.
    pub password_print: Option<String>,
    /// Whether the role exists.
    pub role_exists: bool,
    /// Whether it was made to read only.
    pub read_only: bool,
    /// How PostgreSQL keeps its password, if it has one.
    pub encryption: Option<Encryption>,
}

/// How PostgreSQL keeps a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// As this API sets it.
    Scram,
    /// As somebody may have set it by SQL.
    Md5,
}

/// A user that is to be made.
#[derive(Clone, Copy)]
pub struct NewUser<'a> {
    /// The role's name.
    pub name: &'a str,
    /// Its password; without one nobody can log in as it.
    pub password: Option<&'a NewPassword>,
    /// Whether it reads only.
    pub read_only: bool,
}

/// A password on its way into PostgreSQL.
#[derive(Clone)]
pub struct NewPassword {
    /// A SCRAM verifier. The server never sees the password, so neither can its log, and a password that looks like
    /// a hash is not taken for one.
    pub verifier: String,
    /// Its fingerprint.
    pub print: String,
}

/// Who does something, and when.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// The caller's id.
    pub by: String,
    /// The API's time, in milliseconds since 1970.
    pub at_ms: i64,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// A role of this name exists.
    #[error("the role exists")]
    Exists,
    /// No role of this name exists.
    #[error("the role does not exist")]
    Missing,
    /// PostgreSQL keeps this name for itself.
    #[error("PostgreSQL reserves the name")]
    ReservedName,
    /// Objects or grants depend on the role.
    #[error("objects depend on the role")]
    OwnsObjects,
    /// PostgreSQL failed.
    #[error("PostgreSQL: {}", describe(.0))]
    Postgres(#[source] tokio_postgres::Error),
}

/// The driver says only "db error" of what the server said.
fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => error.to_string(),
    }
}

impl From<tokio_postgres::Error> for RoleError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.code() {
            Some(code) if *code == SqlState::DUPLICATE_OBJECT || *code == SqlState::DUPLICATE_DATABASE => {
                RoleError::Exists
            }
            Some(code) if *code == SqlState::UNDEFINED_OBJECT => RoleError::Missing,
            Some(code) if *code == SqlState::RESERVED_NAME => RoleError::ReservedName,
            Some(code) if *code == SqlState::DEPENDENT_OBJECTS_STILL_EXIST => RoleError::OwnsObjects,
            _ => RoleError::Postgres(error),
        }
    }
}

/// The server, and how to reach it.
pub struct Roles {
    admin: Config,
    reader: Mutex<Option<Arc<Client>>>,
    writer: Mutex<Option<Client>>,
}

impl Roles {
    /// Connects, and makes database and tables where they are missing.
    pub async fn open(admin: &Config) -> Result<Roles, RoleError> {
        schema::create_database(admin).await?;
        let roles = Roles {
            admin: admin.clone(),
            reader: Mutex::new(None),
            writer: Mutex::new(None),
        };
        roles.reader().await?.batch_execute(schema::TABLES).await?;
        Ok(roles)
    }

    /// A connection for statements that need no transaction; they are pipelined on it.
    async fn reader(&self) -> Result<Arc<Client>, RoleError> {
        let mut held = self.reader.lock().await;
        if let Some(client) = held.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        let client = Arc::new(connect(&self.admin, DATABASE).await?);
        *held = Some(client.clone());
        Ok(client)
    }

    /// The connection for changes, one at a time; made anew if PostgreSQL was restarted meanwhile.
    async fn writer(&self) -> Result<tokio::sync::MappedMutexGuard<'_, Client>, RoleError> {
        let mut held = self.writer.lock().await;
        if held.as_ref().is_none_or(Client::is_closed) {
            *held = None;
        }
        if held.is_none() {
            *held = Some(connect(&self.admin, DATABASE).await?);
        }
        tokio::sync::MutexGuard::try_map(held, Option::as_mut).map_err(|_| RoleError::Missing)
    }

    /// A setting of the simulator's own, made by `default` (an SQL expression) the first time.
    pub async fn setting(&self, name: &str, default: &str) -> Result<String, RoleError> {
        let client = self.reader().await?;
        let insert = format!("INSERT INTO settings VALUES ($1, ({default})::text) ON CONFLICT DO NOTHING");
        client.execute(&insert, &[&name]).await?;
        Ok(client
            .query_one("SELECT value FROM settings WHERE name = $1", &[&name])
            .await?
            .get(0))
    }

    /// PostgreSQL's major version.
    pub async fn major_version(&self) -> Result<String, RoleError> {
        let row = self
            .reader()
            .await?
            .query_one(
                "SELECT (current_setting('server_version_num')::int / 10000)::text",
                &[],
            )
            .await?;
        Ok(row.get(0))
    }

    /// The superusers that can log in.
    pub async fn superusers(&self) -> Result<Vec<String>, RoleError> {
        let sql = "SELECT rolname::text FROM pg_roles WHERE rolsuper AND rolcanlogin";
        let rows = self.reader().await?.query(sql, &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// The databases of the server and their owners, without templates and the simulator's own.
    pub async fn databases(&self) -> Result<Vec<(String, String)>, RoleError> {
        let sql = "SELECT datname::text, pg_get_userbyid(datdba)::text FROM pg_database \
                   WHERE NOT datistemplate AND datname <> $1::text::name ORDER BY datname::text COLLATE \"C\"";
        let rows = self.reader().await?.query(sql, &[&DATABASE]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}

/// Opens a connection that keeps statements out of the server's log: some carry verifiers.
async fn connect(admin: &Config, database: &str) -> Result<Client, RoleError> {
    let mut config = admin.clone();
    config.dbname(database).application_name("pguser-simulator");
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(error = describe(&error), "a connection to PostgreSQL ended");
        }
    });
    let quiet = "SET log_statement = 'none'; SET log_min_duration_statement = -1; \
                 SET log_min_error_statement = 'panic'; SET client_min_messages = 'warning'";
    client.batch_execute(quiet).await?;
    Ok(client)
}

/// An identifier, quoted.
pub fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// How PostgreSQL would cut an identifier: at 63 bytes, but not within a character.
pub fn cut_identifier(name: &str) -> &str {
    let mut end = name.len().min(63);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_cut_as_postgresql_cuts_them() {
        assert_eq!(cut_identifier("benjamin"), "benjamin");
        assert_eq!(cut_identifier(&"é".repeat(40)), "é".repeat(31));
        assert_eq!(cut_identifier(&"x".repeat(64)), "x".repeat(63));
    }

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(quote(r#"a"b'c"#), r#""a""b'c""#);
    }
}
