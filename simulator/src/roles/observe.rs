//! Looking at the users, and noticing what was done to them by SQL.

use tokio_postgres::Row;

use super::{Encryption, Origin, Pending, RoleError, Roles, User};

/// Rows and roles side by side. Superusers and PostgreSQL's own `pg_` roles are nobody's users.
const LOOK: &str = r#"
SELECT u.name, u.origin, u.created_ms, u.created_by, u.modified_ms, u.modified_by, u.role_oid, u.seen_hash,
       u.password_print, u.visible, u.pending, u.read_only, r.name AS role_name, r.oid AS oid, r.hash AS hash,
       coalesce(r.kind, left(u.pending_verifier, 3)) AS kind
FROM users u
FULL JOIN (
    SELECT rolname::text COLLATE "C" AS name, oid::bigint AS oid, md5(rolpassword) AS hash,
           left(rolpassword, 3) AS kind
    FROM pg_authid
    WHERE rolcanlogin AND NOT rolsuper AND rolname !~ '^pg_'
) r ON r.name = u.name
WHERE $1::text IS NULL OR coalesce(u.name, r.name) = $1::text
"#;

/// How to look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// The API's time, for users that are seen for the first time.
    pub now_ms: i64,
    /// Whether a password changed by SQL counts as a modification.
    pub sql_password_moves: bool,
}

impl Roles {
    /// Every user, or the one of this name; sorted by name. Invisible ones are among them.
    pub async fn users(&self, name: Option<&str>, look: Look) -> Result<Vec<User>, RoleError> {
        let rows = self.reader().await?.query(LOOK, &[&name]).await?;
        let mut users = Vec::with_capacity(rows.len());
        for row in &rows {
            users.extend(self.reconcile(row, look).await?);
        }
        users.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(users)
    }

    /// What a row and its role amount to. The table is brought up to date under conditions that hold only for what was
    /// seen, so that a change by the API in between is never undone.
    async fn reconcile(&self, row: &Row, look: Look) -> Result<Option<User>, RoleError> {
        let role_name: Option<String> = row.get("role_name");
        let oid: Option<i64> = row.get("oid");
        let known_oid: Option<i64> = row.get("role_oid");
        let Some(mut user) = user(row) else {
            return Ok(match role_name {
                Some(name) => Some(self.adopt(name, oid, row, look).await?),
                None => None,
            });
        };
        if user.pending == Some(Pending::Create) {
            return Ok(Some(user));
        }
        if oid.is_none() || oid != known_oid {
            self.forget(&user.name, known_oid).await?;
            return Ok(match role_name {
                Some(name) => Some(self.adopt(name, oid, row, look).await?),
                None => None,
            });
        }
        let (seen, hash): (Option<String>, Option<String>) = (row.get("seen_hash"), row.get("hash"));
        if seen != hash && look.sql_password_moves {
            user.modified_ms = look.now_ms;
            user.modified_by = None;
            self.note_password(&user.name, seen, hash, look.now_ms).await?;
        }
        Ok(Some(user))
    }

    async fn adopt(&self, name: String, oid: Option<i64>, row: &Row, look: Look) -> Result<User, RoleError> {
        let hash: Option<String> = row.get("hash");
        let sql = "INSERT INTO users (name, origin, created_ms, modified_ms, role_oid, seen_hash) \
                   VALUES ($1, 'unmanaged', $2, $2, $3, $4) ON CONFLICT DO NOTHING";
        self.reader()
            .await?
            .execute(sql, &[&name, &look.now_ms, &oid, &hash])
            .await?;
        Ok(User {
            name,
            origin: Origin::Unmanaged,
            created_ms: look.now_ms,
            created_by: None,
            modified_ms: look.now_ms,
            modified_by: None,
            visible: true,
            pending: None,
            password_print: None,
            role_exists: true,
            read_only: false,
            encryption: encryption(row),
        })
    }

    async fn forget(&self, name: &str, oid: Option<i64>) -> Result<(), RoleError> {
        let sql = "DELETE FROM users WHERE name = $1 AND role_oid IS NOT DISTINCT FROM $2 \
                   AND pending IS DISTINCT FROM 'create'";
        self.reader().await?.execute(sql, &[&name, &oid]).await?;
        Ok(())
    }

    async fn note_password(
        &self,
        name: &str,
        seen: Option<String>,
        hash: Option<String>,
        now_ms: i64,
    ) -> Result<(), RoleError> {
        let sql = "UPDATE users SET seen_hash = $3, modified_ms = $4, modified_by = NULL \
                   WHERE name = $1 AND seen_hash IS NOT DISTINCT FROM $2";
        self.reader()
            .await?
            .execute(sql, &[&name, &seen, &hash, &now_ms])
            .await?;
        Ok(())
    }
}

/// The user that a row of the table describes, if the line has such a row.
pub(super) fn user(row: &Row) -> Option<User> {
    let name: Option<String> = row.get("name");
    let origin: Option<String> = row.get("origin");
    let pending: Option<String> = row.get("pending");
    let oid: Option<i64> = row.get("oid");
    Some(User {
        name: name?,
        origin: if origin.as_deref() == Some("api") {
            Origin::Api
        } else {
            Origin::Unmanaged
        },
        created_ms: row.get("created_ms"),
        created_by: row.get("created_by"),
        modified_ms: row.get("modified_ms"),
        modified_by: row.get("modified_by"),
        visible: row.get("visible"),
        pending: pending.as_deref().and_then(Pending::parse),
        password_print: row.get("password_print"),
        role_exists: oid.is_some(),
        read_only: row.get("read_only"),
        encryption: encryption(row),
    })
}

/// How the role's password is kept, from the beginning of what PostgreSQL keeps; anything else is a hash of the past.
fn encryption(row: &Row) -> Option<Encryption> {
    match row.get::<_, Option<String>>("kind").as_deref() {
        Some("SCR") => Some(Encryption::Scram),
        Some("md5") => Some(Encryption::Md5),
        _ => None,
    }
}
