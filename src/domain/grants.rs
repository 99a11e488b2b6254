//! What a PostgresUser may ask for besides a login: what its server's provider knows of, and what the server object
//! allows.

use super::parameters;
use super::plan::Invalid;
use super::role::RoleOptions;
use super::username;
use crate::api::{Allowed, Attribute, PostgresUserSpec, PostgresqlUser, Reason};

/// Who asks whom.
#[derive(Debug, Clone, Copy)]
pub struct Grants<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// `spec.postgresql.allowed` of the server object.
    pub allowed: Option<&'a Allowed>,
    /// The PostgresUser's namespace.
    pub namespace: &'a str,
    /// `spec.limits.connectionsPerLogin` of the server object.
    pub connections: Option<i32>,
}

fn invalid(message: String) -> Invalid {
    Invalid {
        reason: Reason::InvalidSettings,
        message,
    }
}

impl Grants<'_> {
    /// Why a spec asks for what this provider does not have, if it does.
    pub fn misplaced(&self, spec: &PostgresUserSpec) -> Option<Invalid> {
        self.foreign(spec).map(invalid)
    }

    /// Why a spec asks for more than is allowed, if it does. What is allowed of it is given all the same.
    ///
    /// The message quotes no pattern of the server object: it may name other teams.
    pub fn beyond(&self, spec: &PostgresUserSpec) -> Option<Invalid> {
        let sql = spec.postgresql.as_ref()?;
        self.too_much(sql).map(invalid)
    }

    /// Whether the provider knows of attributes and memberships.
    pub fn has_roles(&self) -> bool {
        self.provider == "postgresql"
    }

    /// What of the options is allowed.
    pub fn within(&self, options: RoleOptions) -> RoleOptions {
        let (mut member_of, mut config) = (options.member_of, options.config);
        let attributes = self.allowed.map(|it| &it.attributes);
        config.retain(|name, _| self.may_set(name));
        let has = |attribute| attributes.is_some_and(|all| all.contains(&attribute));
        member_of.retain(|role| self.matches(role, self.roles()));
        let named = |role: &&String| self.roles().is_some_and(|all| all.contains(role));
        RoleOptions {
            named: member_of.iter().filter(named).cloned().collect(),
            member_of,
            config,
            create_database: options.create_database && has(Attribute::CreateDatabase),
            create_role: options.create_role && has(Attribute::CreateRole),
            connection_limit: match self.connections {
                Some(most) if options.connection_limit < 0 => most,
                Some(most) => options.connection_limit.min(most),
                None => options.connection_limit,
            },
            ..options
        }
    }

    /// Whether what a login owns may go to this role.
    pub fn may_reassign_to(&self, role: &str) -> bool {
        self.matches(role, self.heirs())
    }

    /// Whether that role is named in full.
    pub fn names_reassign_to(&self, role: &str) -> bool {
        self.heirs().is_some_and(|all| all.iter().any(|one| one == role))
    }

    /// Whether a login that has power over others may be taken over.
    pub fn names_for_adoption(&self, username: &str) -> bool {
        let names = self.allowed.map(|it| it.adoption.as_slice());
        names.is_some_and(|all| all.iter().any(|one| one == username))
    }

    fn may_set(&self, parameter: &str) -> bool {
        let patterns = self.allowed.map(|it| it.config.as_slice()).unwrap_or_default();
        patterns
            .iter()
            .any(|pattern| parameters::matches(pattern, parameter))
    }

    fn roles(&self) -> Option<&[String]> {
        self.allowed.map(|it| it.roles.as_slice())
    }

    fn heirs(&self) -> Option<&[String]> {
        self.allowed.map(|it| it.reassign_owned_to.as_slice())
    }

    fn foreign(&self, spec: &PostgresUserSpec) -> Option<String> {
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
        (spec.postgresql.is_some() && !self.has_roles()).then(|| of("spec.postgresql", "postgresql"))
    }

    fn too_much(&self, sql: &PostgresqlUser) -> Option<String> {
        let attribute = |name, wanted: bool, attribute| {
            let has = self.allowed.is_some_and(|it| it.attributes.contains(&attribute));
            (wanted && !has).then(|| refusal(&format!("{name} is true"), "attributes"))
        };
        let role = sql
            .member_of
            .iter()
            .find(|role| !self.matches(role, self.roles()));
        role.map(|role| refusal(&format!("memberOf has {role:?}"), "roles"))
            .or_else(|| attribute("createDatabase", sql.create_database, Attribute::CreateDatabase))
            .or_else(|| attribute("createRole", sql.create_role, Attribute::CreateRole))
            .or_else(|| {
                let parameter = sql.config.keys().find(|name| !self.may_set(name))?;
                Some(refusal(&format!("config has {parameter:?}"), "config"))
            })
            .or_else(|| {
                let reassign_to = sql.reassign_owned_to.as_ref()?;
                (!self.may_reassign_to(reassign_to))
                    .then(|| refusal(&format!("reassignOwnedTo is {reassign_to:?}"), "reassignOwnedTo"))
            })
            .or_else(|| {
                let most = self.connections.filter(|most| sql.connection_limit > *most)?;
                Some(format!(
                    "spec.postgresql.connectionLimit is {}, more than the {most} connections that the server object allows \
                     to a login (spec.limits.connectionsPerLogin): ask for fewer, or ask whoever keeps the server object",
                    sql.connection_limit
                ))
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
            connections: None,
        };
        grants.beyond(&spec(postgresql)).map(|invalid| invalid.message)
    }

    #[test]
    fn nothing_is_allowed_that_the_server_object_does_not_name() {
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        for asked in [
            r#"{"memberOf": ["readers"]}"#,
            r#"{"createDatabase": true}"#,
            r#"{"createRole": true}"#,
            r#"{"reassignOwnedTo": "heir"}"#,
            r#"{"config": {"search_path": "app"}}"#,
            r#"{"config": {"app.tenant": "7"}}"#,
        ] {
            assert!(refused(json("{}"), json(asked)).is_some(), "{asked}");
            let all = r#"{"roles": ["read*"], "attributes": ["CreateDatabase", "CreateRole"], "reassignOwnedTo": ["heir"],
                "config": ["search_path", "app.*"]}"#;
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
    fn what_is_not_allowed_is_left_out_of_what_is_given() {
        let allowed: Allowed = serde_json::from_value(serde_json::json!({
            "roles": ["app_*", "owner"], "attributes": ["CreateDatabase"],
        }))
        .unwrap();
        let grants = Grants {
            provider: "postgresql",
            allowed: Some(&allowed),
            namespace: "shop",
            connections: Some(10),
        };
        let asked = RoleOptions {
            member_of: ["app_read", "owner", "other"].map(str::to_string).into(),
            create_database: true,
            create_role: true,
            ..RoleOptions::default()
        };
        let given = grants.within(asked.clone());
        assert_eq!(given.member_of, ["app_read", "owner"].map(str::to_string).into());
        assert_eq!(given.named, ["owner".to_string()].into(), "named in full");
        assert!(given.create_database && !given.create_role);
        assert_eq!(
            given.connection_limit, 10,
            "who asks for no limit gets the most there is"
        );
        let few = RoleOptions {
            connection_limit: 3,
            ..asked
        };
        assert_eq!(grants.within(few).connection_limit, 3);
        let message = grants
            .beyond(&spec(serde_json::json!({"connectionLimit": 11})))
            .unwrap()
            .message;
        assert!(message.contains("connectionsPerLogin"), "{message}");
    }

    #[test]
    fn settings_of_another_provider_are_refused_and_not_passed_over() {
        let grants = Grants {
            provider: "ionos",
            allowed: None,
            namespace: "shop",
            connections: None,
        };
        let message = grants.misplaced(&spec(serde_json::json!({}))).unwrap().message;
        assert!(
            message.contains("spec.postgresql") && message.contains("ionos"),
            "{message}"
        );
    }
}
