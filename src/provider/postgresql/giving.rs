//! How a login is given its password: as what the server is to keep of it, or, where the server object says so, as its text.
//!
//! A server may look at new passwords (`check_password_hook`: PostgreSQL's passwordcheck, credcheck, a vendor's own). Of a verifier it
//! sees next to nothing, and some refuse that. There is no SQLSTATE for it: credcheck answers 28000, earlier XX000, passwordcheck 22023,
//! each of which means something else as well. So what a refusal is about is tried out: the same change without a password, which is
//! never committed.

use zeroize::Zeroizing;

use super::call::{BEGIN, Call};
use super::errors::{SqlStep, sqlstate_of};
use super::task::Task;
use crate::domain::password::Password;
use crate::provider::{ErrorClass, RemoteError};

/// A change of a role that gives it a password.
pub(super) struct Giving {
    /// The statement, password included.
    pub(super) sql: Zeroizing<String>,
    /// The same without a password, which needs the same rights.
    without: String,
    is_text: bool,
}

impl Giving {
    /// `statement` is what to say before PASSWORD, and what to try alone if that is refused.
    pub(super) async fn new(
        call: &Call<'_>,
        task: Task<'_>,
        statement: String,
        password: &Password,
    ) -> Result<Self, RemoteError> {
        let is_text = call.facts().sends_plaintext && !passes_for_a_hash(password.reveal());
        let given = match is_text {
            true => {
                keep_out_of_the_log(call).await?;
                literal(password.reveal())
            }
            false => Zeroizing::new(format!("'{}'", task.verifier(call, password))),
        };
        Ok(Self {
            sql: joined(&[&statement, " PASSWORD ", &given]),
            without: statement,
            is_text,
        })
    }

    /// Says of a refusal whether it is for the password's sake. Whatever was begun is undone.
    pub(super) async fn explained(&self, call: &Call<'_>, step: SqlStep, error: RemoteError) -> RemoteError {
        let Some(code) = sqlstate_of(&error).filter(|code| may_be_for_the_password(&error, code)) else {
            return error;
        };
        if !would_do(call, step, &self.without).await {
            return error;
        }
        // Also what somebody else was changing at the same time is refused so, once.
        if code.starts_with("XX") && would_do(call, step, &self.sql).await {
            return error;
        }
        let what = format!("SQLSTATE {code}: {}", self.refusal(&code));
        RemoteError::new(call.operation, ErrorClass::Invalid, &what)
    }

    fn refusal(&self, code: &str) -> &'static str {
        match (code, self.is_text) {
            ("42501", _) => {
                "the server takes this change without a password only: either its vendor has a role for who may set passwords, which \
                 the operator's login is no member of (Amazon RDS: rds_password), or it does not like the password"
            }
            (_, true) => {
                "the server takes this change without a password, and not with this one: its check of passwords (passwordcheck, \
                 credcheck, or the vendor's own) refuses it, or the username with it; spec.password says how passwords are made"
            }
            (_, false) => {
                "the server takes this change without a password, and not with a hashed one: its check of passwords (credcheck, or \
                 the vendor's own) wants to see the text, or refuses the password as it is. An administrator can have the text sent: \
                 spec.postgresql.sendPlaintextPasswords of the server object"
            }
        }
    }
}

/// Whether the server takes a statement in place of all that was said in the transaction, which is not to be committed any more.
async fn would_do(call: &Call<'_>, step: SqlStep, statement: &str) -> bool {
    let sql = joined(&["ROLLBACK; ", BEGIN, "; ", statement]);
    call.change(step, &sql).await.is_ok()
}

/// Whether a refusal may be for the sake of the password: what was refused for a reason that cannot be it is not tried again.
fn may_be_for_the_password(error: &RemoteError, code: &str) -> bool {
    match error.class {
        // Characters that the encoding of the database does not have.
        ErrorClass::Invalid => !matches!(code, "22021" | "22P05"),
        ErrorClass::Busy => code.starts_with("XX"),
        _ => false,
    }
}

/// Whether PostgreSQL would take a text for what it keeps of another password, and nobody could log in with it.
fn passes_for_a_hash(text: &str) -> bool {
    let is_md5 = |hex: &str| hex.len() == 32 && hex.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
    text.starts_with("SCRAM-SHA-256$") || text.strip_prefix("md5").is_some_and(is_md5)
}

/// Has the server log nothing of what is said in this transaction, as far as the operator's login may say so: as a superuser or, since
/// PostgreSQL 15, where it was given SET on the parameter. And has it keep nothing but a SCRAM verifier.
async fn keep_out_of_the_log(call: &Call<'_>) -> Result<(), RemoteError> {
    let may = match call.facts().version >= 150_000 {
        true => "has_parameter_privilege(p.name, 'SET')",
        false => "current_setting('is_superuser') = 'on'",
    };
    let sql = format!(
        "SELECT set_config(p.name, p.value, true) FROM (VALUES ('password_encryption', 'scram-sha-256'), \
           ('log_statement', 'none'), ('log_min_error_statement', 'panic'), ('log_min_duration_statement', '-1'), \
           ('log_min_duration_sample', '-1'), ('log_transaction_sample_rate', '0'), \
           ('pg_stat_statements.track_utility', 'off')) p (name, value) \
         WHERE p.name = 'password_encryption' OR {may}"
    );
    call.query(&sql, &[]).await.map(drop)
}

/// Like [`super::text::literal`], and leaves no copy behind.
fn literal(text: &str) -> Zeroizing<String> {
    let mut quoted = Zeroizing::new(String::with_capacity(4 + 2 * text.len()));
    quoted.push_str(if text.contains('\\') { " E'" } else { "'" });
    for c in text.chars() {
        if matches!(c, '\'' | '\\') {
            quoted.push(c);
        }
        quoted.push(c);
    }
    quoted.push('\'');
    quoted
}

/// Made with all the room that it takes: what grows leaves copies behind.
fn joined(parts: &[&str]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| text.push_str(part));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::postgresql::text;

    #[test]
    fn a_password_is_quoted_like_any_text() {
        for password in ["plain", "it's", "a\\'b", "''", "\\\\", "ü🦀", ""] {
            assert_eq!(*literal(password), text::literal(password), "{password}");
        }
    }

    #[test]
    fn what_grows_would_leave_copies_behind() {
        let odd = "'\\".repeat(64);
        let quoted = literal(&odd);
        assert!(quoted.len() <= 4 + 2 * odd.len());
        let all = joined(&["ALTER ROLE x", " PASSWORD ", &quoted]);
        assert_eq!(all.capacity(), all.len());
    }

    #[test]
    fn what_postgresql_takes_for_a_hash_is_not_sent_as_text() {
        let hash = format!("md5{}", "0af".repeat(11).split_at(32).0);
        assert!(passes_for_a_hash(&hash) && passes_for_a_hash("SCRAM-SHA-256$4096:x$y:z"));
        let upper = hash.replace('a', "A");
        for text in [&hash[..34], &upper, "md5", "SCRAM-SHA-256", "secret"] {
            assert!(!passes_for_a_hash(text), "{text}");
        }
    }

    #[test]
    fn only_what_may_be_for_the_password_is_tried_out() {
        let of = |class, code| may_be_for_the_password(&RemoteError::new("x", class, ""), code);
        for (class, code) in [
            (ErrorClass::Invalid, "28000"),
            (ErrorClass::Invalid, "22023"),
            (ErrorClass::Invalid, "42501"),
            (ErrorClass::Invalid, "0A000"),
            (ErrorClass::Busy, "XX000"),
        ] {
            assert!(of(class, code), "{code}");
        }
        for (class, code) in [
            (ErrorClass::Unauthorized, "28000"),
            (ErrorClass::Invalid, "22P05"),
            (ErrorClass::Busy, "55P03"),
            (ErrorClass::Conflict, "42710"),
            (ErrorClass::Unreachable { after: None }, "53300"),
        ] {
            assert!(!of(class, code), "{code}");
        }
    }
}
