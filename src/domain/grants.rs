//! What a PostgresUser may ask for besides a login: what its server's provider knows of, and what the server object
//! allows.

use super::plan::Invalid;
use super::username;
use crate::api::{Allowed, Attribute, PostgresUserSpec, PostgresqlUser};

/// Who asks whom.
#[derive(Debug, Clone, Copy)]
pub struct Grants<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// `spec.postgresql.allowed` of the server object.
    pub allowed: Option<&'a Allowed>,
    /// The PostgresUser's namespace.
    pub namespace: &'a str,
}

impl Grants<'_> {
    /// Why a spec asks for too much, if it does.
    ///
    /// The message quotes no pattern of the server object: it may name other teams.
    pub fn check(&self, spec: &PostgresUserSpec) -> Option<Invalid> {
        let message = self
            .misplaced(spec)
            .or_else(|| spec.postgresql.as_ref().and_then(|sql| self.too_much(sql)))?;
        Some(Invalid {
            reason: "InvalidSettings",
            message,
        })
    }

    /// Whether what a login owns may go to this role.
    pub fn may_inherit(&self, role: &str) -> bool {
        self.matches(role, self.allowed.map(|it| it.reassign_owned_to.as_slice()))
    }

    fn misplaced(&self, spec: &PostgresUserSpec) -> Option<String> {
        let of = |field: &str, provider: &str| {
            format!(
                "{field} is set, but the server's provider is {}, which has no such thing: remove it, or choose a server \
                 of the provider {provider}",
                self.provider
            )
        };
        let read_only = spec.scalingo.as_ref().is_some_and(|it| it.read_only);
        if read_only && self.provider != "scalingo" {
            return Some(of("spec.scalingo.readOnly", "scalingo"));
        }
        (spec.postgresql.is_some() && self.provider != "postgresql")
            .then(|| of("spec.postgresql", "postgresql"))
    }

    fn too_much(&self, sql: &PostgresqlUser) -> Option<String> {
        let attribute = |name, wanted: bool, attribute| {
            let has = self.allowed.is_some_and(|it| it.attributes.contains(&attribute));
            (wanted && !has).then(|| refusal(&format!("{name} is true"), "attributes"))
        };
        let roles = self.allowed.map(|it| it.roles.as_slice());
        let role = sql.member_of.iter().find(|role| !self.matches(role, roles));
        role.map(|role| refusal(&format!("memberOf has {role:?}"), "roles"))
            .or_else(|| attribute("createDatabase", sql.create_database, Attribute::CreateDatabase))
            .or_else(|| attribute("createRole", sql.create_role, Attribute::CreateRole))
            .or_else(|| {
                let heir = sql.reassign_owned_to.as_ref()?;
                (!self.may_inherit(heir))
                    .then(|| refusal(&format!("reassignOwnedTo is {heir:?}"), "reassignOwnedTo"))
            })
    }

    /// PostgreSQL's own roles are matched by nothing but their full names: `*` must not give away
    /// `pg_execute_server_program`.
    fn matches(&self, role: &str, patterns: Option<&[String]>) -> bool {
        let patterns = patterns.unwrap_or_default();
        match role.starts_with("pg_") {
            true => patterns.iter().any(|pattern| pattern == role),
            false => patterns
                .iter()
                .any(|pattern| username::matches(pattern, role, self.namespace)),
        }
    }
}

fn refusal(what: &str, field: &str) -> String {
    format!(
        "spec.postgresql.{what}, which the server object does not allow (spec.postgresql.allowed.{field}): remove it, or \
         ask whoever keeps the server object"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(postgresql: serde_json::Value) -> PostgresUserSpec {
        serde_json::from_value(serde_json::json!({"serverRef": {"name": "s"}, "postgresql": postgresql}))
            .unwrap()
    }

    fn refused(allowed: serde_json::Value, postgresql: serde_json::Value) -> Option<String> {
        let allowed: Allowed = serde_json::from_value(allowed).unwrap();
        let grants = Grants {
            provider: "postgresql",
            allowed: Some(&allowed),
            namespace: "shop",
        };
        grants.check(&spec(postgresql)).map(|invalid| invalid.message)
    }

    #[test]
    fn nothing_is_allowed_that_the_server_object_does_not_name() {
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        for asked in [
            r#"{"memberOf": ["readers"]}"#,
            r#"{"createDatabase": true}"#,
            r#"{"createRole": true}"#,
            r#"{"reassignOwnedTo": "heir"}"#,
        ] {
            assert!(refused(json("{}"), json(asked)).is_some(), "{asked}");
            let all = r#"{"roles": ["read*"], "attributes": ["CreateDatabase", "CreateRole"], "reassignOwnedTo": ["heir"]}"#;
            assert_eq!(refused(json(all), json(asked)), None, "{asked}");
        }
    }

    #[test]
    fn patterns_speak_of_the_users_own_namespace_and_never_of_the_servers_own_roles() {
        let allowed = serde_json::json!({"roles": ["{namespace}_*", "*", "pg_read_all_data"]});
        let asks = |role: &str| refused(allowed.clone(), serde_json::json!({"memberOf": [role]}));
        assert_eq!(asks("shop_readers"), None);
        assert_eq!(asks("pg_read_all_data"), None);
        let message = asks("pg_execute_server_program").unwrap();
        assert!(message.contains("spec.postgresql.allowed.roles"), "{message}");
    }

    #[test]
    fn settings_of_another_provider_are_refused_and_not_passed_over() {
        let grants = Grants {
            provider: "ionos",
            allowed: None,
            namespace: "shop",
        };
        let message = grants.check(&spec(serde_json::json!({}))).unwrap().message;
        assert!(
            message.contains("spec.postgresql") && message.contains("ionos"),
            "{message}"
        );
    }
}
