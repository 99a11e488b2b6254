//! What this API sends about users.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    roles::{Encryption, User},
    switches::{self, Switches},
};

/// What the database knows about a user.
#[derive(Debug, Serialize)]
pub struct DbmsAttributes {
    password_encryption: &'static str,
}

/// A user.
#[derive(Debug, Serialize)]
pub struct UserBody {
    /// Its name.
    pub name: String,
    read_only: bool,
    protected: bool,
    /// Only in answers that tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dbms_attributes: Option<DbmsAttributes>,
}

fn attributes(encryption: Option<Encryption>, switches: &Switches) -> Option<DbmsAttributes> {
    if switches.is(&switches::SCALINGO_DBMS_ATTRIBUTES, "absent") {
        return None;
    }
    encryption.map(|encryption| DbmsAttributes {
        password_encryption: match encryption {
            Encryption::Scram => "SCRAM-SHA-256",
            Encryption::Md5 => "MD5",
        },
    })
}

impl UserBody {
    /// A role.
    pub fn of(user: &User, protected: bool, switches: &Switches) -> UserBody {
        UserBody {
            name: user.name.clone(),
            read_only: user.read_only,
            protected,
            password: None,
            dbms_attributes: attributes(user.encryption, switches),
        }
    }

    /// A protected user that need not be a role.
    pub fn vendors(name: String, switches: &Switches) -> UserBody {
        UserBody {
            name,
            read_only: false,
            protected: true,
            password: None,
            dbms_attributes: attributes(Some(Encryption::Scram), switches),
        }
    }

    /// The same with its password.
    pub fn with_password(mut self, password: Option<String>) -> UserBody {
        self.password = password;
        self
    }

    /// Under its root key.
    pub fn rooted(&self) -> Value {
        json!({"database_user": self})
    }
}
