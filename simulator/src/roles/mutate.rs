//! Changing users. The caller holds the cluster's gate, so that changes of one cluster come one after another.
//!
//! A change either reaches PostgreSQL at once, in one transaction with its row, or is put off: then the row says what
//! is pending and when it is due, and [`Roles::settle_due`] carries it out.

use tokio_postgres::{Client, Transaction};

use super::{NewPassword, NewUser, Pending, RoleError, Roles, Stamp, connect, quote};

/// What has become of a pending change.
#[derive(Debug, PartialEq, Eq)]
pub struct Settled {
    /// The user.
    pub name: String,
    /// What was pending.
    pub pending: Pending,
    /// Whether PostgreSQL took it.
    pub done: bool,
}

/// How a user is dropped.
#[derive(Debug, Clone, Copy)]
pub struct DropPlan {
    /// When the role goes; at once if `None`.
    pub due_ms: Option<i64>,
    /// Whether the API shows the user until then.
    pub visible: bool,
    /// Whether its objects go with it.
    pub cascade: bool,
}

impl Roles {
    /// Makes a user; at `due_ms` if there is one.
    pub async fn create(
        &self,
        user: NewUser<'_>,
        stamp: &Stamp,
        due_ms: Option<i64>,
    ) -> Result<(), RoleError> {
        let NewUser {
            name,
            password,
            read_only,
        } = user;
        let mut client = self.writer().await?;
        let tx = client.transaction().await?;
        let verifier = password.map(|password| password.verifier.as_str());
        match due_ms {
            None => tx.batch_execute(&create_sql(name, verifier, read_only)).await?,
            Some(_) if role_exists(&tx, name).await? => return Err(RoleError::Exists),
            // Try it, so that PostgreSQL has its say about the name before the answer.
            Some(_) => {
                let attempt = format!(
                    "SAVEPOINT s; {}; ROLLBACK TO SAVEPOINT s",
                    create_sql(name, verifier, read_only)
                );
                tx.batch_execute(&attempt).await?;
            }
        }
        let insert = "INSERT INTO users (name, origin, created_ms, created_by, modified_ms, modified_by, \
                      password_print, pending, pending_due_ms, pending_verifier, read_only) \
                      VALUES ($1, 'api', $2, $3, $2, $3, $4, $5, $6, $7, $8)";
        let print = password.map(|password| password.print.as_str());
        let pending = due_ms.map(|_| Pending::Create.as_str());
        let kept = due_ms.and(verifier);
        tx.execute("DELETE FROM users WHERE name = $1", &[&name]).await?;
        tx.execute(
            insert,
            &[
                &name,
                &stamp.at_ms,
                &stamp.by,
                &print,
                &pending,
                &due_ms,
                &kept,
                &read_only,
            ],
        )
        .await?;
        if due_ms.is_none() {
            note_role(&tx, name).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Sets a password; at `due_ms` if there is one. Without a stamp the user does not count as modified.
    pub async fn set_password(
        &self,
        name: &str,
        password: &NewPassword,
        stamp: Option<&Stamp>,
        due_ms: Option<i64>,
    ) -> Result<(), RoleError> {
        let mut client = self.writer().await?;
        let tx = client.transaction().await?;
        match due_ms {
            None => {
                settle_one(&tx, name).await?;
                tx.batch_execute(&password_sql(name, &password.verifier)).await?;
                note_role(&tx, name).await?;
            }
            Some(due_ms) => {
                let sql = "UPDATE users SET pending = coalesce(pending, 'password'), pending_due_ms = $2, \
                           pending_verifier = $3 WHERE name = $1";
                tx.execute(sql, &[&name, &due_ms, &password.verifier]).await?;
            }
        }
        tx.execute(
            "UPDATE users SET password_print = $2 WHERE name = $1",
            &[&name, &password.print],
        )
        .await?;
        if let Some(stamp) = stamp {
            let sql = "UPDATE users SET modified_ms = $2, modified_by = $3 WHERE name = $1";
            tx.execute(sql, &[&name, &stamp.at_ms, &stamp.by]).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Drops a user.
    pub async fn drop_user(&self, name: &str, plan: DropPlan) -> Result<(), RoleError> {
        if plan.cascade {
            self.drop_owned(name).await?;
        }
        let mut client = self.writer().await?;
        let tx = client.transaction().await?;
        settle_one(&tx, name).await?;
        match plan.due_ms {
            None => {
                tx.batch_execute(&format!("DROP ROLE {}", quote(name))).await?;
                tx.execute("DELETE FROM users WHERE name = $1", &[&name]).await?;
            }
            Some(due_ms) => {
                let attempt = format!("SAVEPOINT s; DROP ROLE {}; ROLLBACK TO SAVEPOINT s", quote(name));
                tx.batch_execute(&attempt).await?;
                let sql =
                    "UPDATE users SET pending = 'drop', pending_due_ms = $2, visible = $3 WHERE name = $1";
                tx.execute(sql, &[&name, &due_ms, &plan.visible]).await?;
            }
        }
        Ok(tx.commit().await?)
    }

    /// Carries out a user's pending change now, whenever it is due.
    pub async fn settle(&self, name: &str) -> Result<Option<Settled>, RoleError> {
        let mut client = self.writer().await?;
        settle_or_give_up(&mut client, name).await
    }

    /// Carries out every pending change that is due.
    pub async fn settle_due(&self, now_ms: i64) -> Result<Vec<Settled>, RoleError> {
        let mut client = self.writer().await?;
        let due = "SELECT name FROM users WHERE pending IS NOT NULL AND pending_due_ms <= $1 ORDER BY pending_due_ms";
        let rows = client.query(due, &[&now_ms]).await?;
        let mut settled = Vec::new();
        for row in rows {
            settled.extend(settle_or_give_up(&mut client, row.get(0)).await?);
        }
        Ok(settled)
    }

    /// When the next pending change is due.
    pub async fn next_due_ms(&self) -> Result<Option<i64>, RoleError> {
        let sql = "SELECT min(pending_due_ms) FROM users WHERE pending IS NOT NULL";
        Ok(self.reader().await?.query_one(sql, &[]).await?.get(0))
    }

    /// Runs SQL against a role as an outsider would, past the table.
    pub async fn outside(&self, sql: &str) -> Result<(), RoleError> {
        Ok(self.writer().await?.batch_execute(sql).await?)
    }

    /// Drops what a role owns in every database, and what was granted to it.
    pub async fn drop_owned(&self, name: &str) -> Result<(), RoleError> {
        let sql = "SELECT DISTINCT d.datname::text FROM pg_shdepend s \
                   JOIN pg_database d ON d.oid = s.dbid AND d.datallowconn \
                   JOIN pg_roles r ON s.refclassid = 'pg_authid'::regclass AND s.refobjid = r.oid \
                   WHERE r.rolname = $1::text::name";
        for row in self.reader().await?.query(sql, &[&name]).await? {
            let client = connect(&self.admin, row.get(0)).await?;
            client
                .batch_execute(&format!("DROP OWNED BY {} CASCADE", quote(name)))
                .await?;
        }
        // Databases and tablespaces are no part of DROP OWNED.
        self.outside(&format!("REASSIGN OWNED BY {} TO CURRENT_USER", quote(name)))
            .await
    }
}

/// The statement that makes a login role. One that only reads is a member of PostgreSQL's own role for that.
pub fn create_sql(name: &str, verifier: Option<&str>, read_only: bool) -> String {
    let password = verifier
        .map(|verifier| format!(" PASSWORD '{verifier}'"))
        .unwrap_or_default();
    let member = if read_only {
        " IN ROLE pg_read_all_data"
    } else {
        ""
    };
    format!("CREATE ROLE {} LOGIN{password}{member}", quote(name))
}

/// The statement that sets a password. A verifier has no character that would need escaping.
pub fn password_sql(name: &str, verifier: &str) -> String {
    format!("ALTER ROLE {} PASSWORD '{verifier}'", quote(name))
}

async fn role_exists(tx: &Transaction<'_>, name: &str) -> Result<bool, RoleError> {
    let sql = "SELECT 1 FROM pg_roles WHERE rolname = $1::text::name";
    Ok(tx.query_opt(sql, &[&name]).await?.is_some())
}

/// Writes down which role, with which password, the row is about.
async fn note_role(tx: &Transaction<'_>, name: &str) -> Result<(), RoleError> {
    let sql = "UPDATE users SET role_oid = r.oid::bigint, seen_hash = md5(r.rolpassword) FROM pg_authid r \
               WHERE users.name = $1 AND r.rolname = $1::text::name";
    tx.execute(sql, &[&name]).await?;
    Ok(())
}

/// Carries out a pending change; one that PostgreSQL refuses is given up, as a vendor's failed job would be.
async fn settle_or_give_up(client: &mut Client, name: &str) -> Result<Option<Settled>, RoleError> {
    let tx = client.transaction().await?;
    match settle_one(&tx, name).await {
        Ok(pending) => {
            tx.commit().await?;
            Ok(pending.map(|pending| Settled {
                name: name.to_owned(),
                pending,
                done: true,
            }))
        }
        Err(error) => {
            tx.rollback().await?;
            tracing::warn!(error = error.to_string(), "a pending change was given up");
            let sql = "UPDATE users SET pending = NULL, pending_due_ms = NULL, pending_verifier = NULL, \
                       visible = true WHERE name = $1 AND pending IS NOT NULL";
            client.execute(sql, &[&name]).await?;
            Ok(None)
        }
    }
}

async fn settle_one(tx: &Transaction<'_>, name: &str) -> Result<Option<Pending>, RoleError> {
    let sql = "SELECT pending, pending_verifier, read_only FROM users \
               WHERE name = $1 AND pending IS NOT NULL FOR UPDATE";
    let Some(row) = tx.query_opt(sql, &[&name]).await? else {
        return Ok(None);
    };
    let Some(pending) = Pending::parse(row.get(0)) else {
        return Ok(None);
    };
    let verifier: Option<&str> = row.get(1);
    let statement = match pending {
        Pending::Create => create_sql(name, verifier, row.get(2)),
        Pending::Password => password_sql(name, verifier.unwrap_or_default()),
        Pending::Drop => format!("DROP ROLE IF EXISTS {}", quote(name)),
    };
    tx.batch_execute(&statement).await?;
    if pending == Pending::Drop {
        tx.execute("DELETE FROM users WHERE name = $1", &[&name]).await?;
        return Ok(Some(pending));
    }
    let clear =
        "UPDATE users SET pending = NULL, pending_due_ms = NULL, pending_verifier = NULL WHERE name = $1";
    tx.execute(clear, &[&name]).await?;
    note_role(tx, name).await?;
    Ok(Some(pending))
}
