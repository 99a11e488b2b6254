//! How each thing that hangs on a role is called in SQL, and which command takes the role off it.
//!
//! A name comes from the catalogs as it is, in parts, and is quoted here: whoever makes a server object may name a server
//! that says anything, and people paste these commands.

use super::text::identifier;
use crate::domain::conditions::presentable;
use crate::domain::remote::DeletionBlocker;

/// The most characters of a command: of a longer one there is none, for half of it would be another.
const LONGEST_COMMAND: usize = 900;
/// The most characters of a name that is shown.
const LONGEST_NAME: usize = 200;

/// One thing that hangs on a role, as the catalogs have it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Dependent {
    /// The database that it is in; none for what belongs to none.
    pub(super) database: Option<String>,
    pub(super) hold: Hold,
    /// What kind of thing, as `pg_identify_object_as_address` says it.
    pub(super) kind: String,
    /// Its name, in the parts that it has.
    pub(super) names: Vec<String>,
    /// Of a function, the types of its arguments: schema and name of each. Of default privileges, the letter of what they are on.
    pub(super) arguments: Vec<String>,
    /// The role that gave what the role has; of a policy, the owner of its table.
    pub(super) grantor: Option<String>,
    /// `SELECT, UPDATE`.
    pub(super) privileges: Option<String>,
    /// The role may have passed them on.
    pub(super) passes_on: bool,
    /// The other roles of a policy.
    pub(super) others: Vec<String>,
    /// The extension that it is a member of.
    pub(super) extension: Option<String>,
    /// Some name is not UTF-8, and is there in an escaped form: it can be shown, and not be said.
    pub(super) escaped: bool,
}

/// What a role has to do with a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Hold {
    Owner,
    #[default]
    Privileges,
    Policy,
    /// Privileges that are on record as those with which an extension came.
    Initial,
}

impl Hold {
    /// By the catalog's letter.
    pub(super) fn of(letter: &str) -> Self {
        match letter {
            "o" => Hold::Owner,
            "r" => Hold::Policy,
            "i" => Hold::Initial,
            _ => Hold::Privileges,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Hold::Owner => "owner",
            Hold::Privileges => "privileges",
            Hold::Policy => "policy",
            Hold::Initial => "initial privileges",
        }
    }
}

/// Kinds of things that people call as the catalogs do.
const KINDS: &[&str] = &[
    "table",
    "view",
    "materialized view",
    "foreign table",
    "sequence",
    "schema",
    "function",
    "procedure",
    "aggregate",
    "type",
    "language",
    "large object",
    "database",
    "tablespace",
    "foreign-data wrapper",
    "policy",
    "publication",
    "subscription",
    "extension",
    "event trigger",
    "collation",
    "statistics object",
    "user mapping",
];

/// A kind as people call it. What the server says is never repeated.
fn in_words(kind: &str) -> &'static str {
    match kind {
        "server" => "foreign server",
        "parameter ACL" => "setting",
        "default acl" => "default privileges",
        _ => KINDS
            .iter()
            .copied()
            .find(|known| *known == kind)
            .unwrap_or("object"),
    }
}

/// A kind as REVOKE calls it.
fn in_revoke(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "table" | "view" | "materialized view" | "foreign table" => "TABLE",
        "large object" => "LARGE OBJECT",
        "database" => "DATABASE",
        "tablespace" => "TABLESPACE",
        "parameter ACL" => "PARAMETER",
        "server" => "FOREIGN SERVER",
        _ => return in_extension(kind),
    })
}

/// A kind as ALTER EXTENSION calls it.
fn in_extension(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "table" => "TABLE",
        "view" => "VIEW",
        "materialized view" => "MATERIALIZED VIEW",
        "foreign table" => "FOREIGN TABLE",
        "sequence" => "SEQUENCE",
        "schema" => "SCHEMA",
        "function" | "procedure" | "aggregate" => "ROUTINE",
        "type" => "TYPE",
        "language" => "LANGUAGE",
        "foreign-data wrapper" => "FOREIGN DATA WRAPPER",
        "server" => "SERVER",
        _ => return None,
    })
}

/// What default privileges are on.
fn in_default_privileges(letter: &str) -> Option<&'static str> {
    Some(match letter {
        "r" => "TABLES",
        "S" => "SEQUENCES",
        "f" => "ROUTINES",
        "T" => "TYPES",
        "n" => "SCHEMAS",
        "L" => "LARGE OBJECTS",
        _ => return None,
    })
}

impl Dependent {
    /// What is told of it: it keeps this login from being deleted.
    pub(super) fn blocker(&self, login: &str) -> DeletionBlocker {
        DeletionBlocker {
            database: self.database.as_deref().map(plain),
            kind: in_words(&self.kind).to_string(),
            object: cut(&self.object()),
            hold: self.hold.as_str().to_string(),
            privileges: self.privileges.as_deref().map(plain),
            grantor: self.grantor.as_deref().map(plain),
            command: self.printed(self.command(login)),
            drop_command: self.printed(self.drop_command(login)),
        }
    }

    fn printed(&self, command: Option<String>) -> Option<String> {
        command.filter(|it| !self.escaped && it.chars().count() <= LONGEST_COMMAND)
    }

    /// Its name as SQL has it.
    fn object(&self) -> String {
        match (self.kind.as_str(), self.names.as_slice()) {
            ("policy", [table @ .., policy]) => format!("{} ON {}", identifier(policy), dotted(table)),
            ("default acl", [role, schemas @ ..]) => {
                format!("FOR ROLE {}{}", identifier(role), in_schema(schemas))
            }
            // A number, which is no name.
            ("large object", [number]) if is_number(number) => number.clone(),
            ("function" | "procedure" | "aggregate", names) => {
                let types: Vec<_> = self.arguments.chunks(2).map(dotted).collect();
                format!("{}({})", dotted(names), types.join(", "))
            }
            (_, names) => dotted(names),
        }
    }

    /// What takes the role off it, and changes nothing else.
    fn command(&self, login: &str) -> Option<String> {
        match self.hold {
            Hold::Owner => Some(self.handed_over(login)),
            Hold::Privileges if self.kind == "default acl" => {
                let on = in_default_privileges(self.arguments.first()?)?;
                self.by_the_grantor(&format!(
                    "ALTER DEFAULT PRIVILEGES {} REVOKE ALL ON {on} FROM {}",
                    self.object(),
                    identifier(login)
                ))
            }
            Hold::Privileges => {
                let kind = in_revoke(&self.kind)?;
                let passed_on = if self.passes_on { " CASCADE" } else { "" };
                self.by_the_grantor(&format!(
                    "REVOKE ALL ON {kind} {} FROM {}{passed_on}",
                    self.object(),
                    identifier(login)
                ))
            }
            Hold::Policy => self.by_the_grantor(&self.left_to_others()),
            Hold::Initial => {
                // Coming back, it brings the privileges that it has by then.
                let member = format!("{} {}", in_extension(&self.kind)?, self.object());
                let extension = identifier(self.extension.as_deref()?);
                Some(format!(
                    "ALTER EXTENSION {extension} DROP {member}; ALTER EXTENSION {extension} ADD {member};"
                ))
            }
        }
    }

    /// GRANTED BY is for who is the grantor already.
    fn by_the_grantor(&self, statement: &str) -> Option<String> {
        let grantor = identifier(self.grantor.as_deref()?);
        Some(format!("SET ROLE {grantor}; {statement}; RESET ROLE;"))
    }

    /// REASSIGN OWNED is for all that the role owns in one database, but for what means nothing without it.
    fn handed_over(&self, login: &str) -> String {
        let alone = match self.kind.as_str() {
            "database" => "DATABASE",
            "tablespace" => "TABLESPACE",
            "subscription" => "SUBSCRIPTION",
            "default acl" | "user mapping" => return format!("DROP OWNED BY {};", identifier(login)),
            _ => return format!("REASSIGN OWNED BY {} TO CURRENT_USER;", identifier(login)),
        };
        format!("ALTER {alone} {} OWNER TO CURRENT_USER;", self.object())
    }

    fn left_to_others(&self) -> String {
        if self.others.is_empty() {
            return format!("DROP POLICY {}", self.object());
        }
        let others: Vec<_> = self.others.iter().map(|it| identifier(it)).collect();
        format!("ALTER POLICY {} TO {}", self.object(), others.join(", "))
    }

    fn drop_command(&self, login: &str) -> Option<String> {
        match (self.hold, self.kind.as_str()) {
            (Hold::Owner, "database") => Some(format!("DROP DATABASE {};", self.object())),
            (Hold::Owner, "tablespace" | "subscription" | "default acl" | "user mapping") => None,
            (Hold::Owner, _) => Some(format!("DROP OWNED BY {};", identifier(login))),
            _ => None,
        }
    }
}

fn dotted(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|it| identifier(it)).collect();
    names.join(".")
}

fn in_schema(schemas: &[String]) -> String {
    match schemas.is_empty() {
        true => String::new(),
        false => format!(" IN SCHEMA {}", dotted(schemas)),
    }
}

fn is_number(text: &str) -> bool {
    text.len() <= 10 && !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit())
}

/// A text of the server's, to be shown.
fn plain(text: &str) -> String {
    cut(&presentable(text))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: &str = "My \"app\"";

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|it| (*it).to_string()).collect()
    }

    fn given(kind: &str, names: &[&str]) -> Dependent {
        Dependent {
            database: Some("shop".to_string()),
            kind: kind.to_string(),
            names: texts(names),
            grantor: Some("The Boss".to_string()),
            privileges: Some("SELECT, UPDATE".to_string()),
            ..Dependent::default()
        }
    }

    fn owned(kind: &str, names: &[&str]) -> Dependent {
        Dependent {
            hold: Hold::Owner,
            grantor: None,
            privileges: None,
            ..given(kind, names)
        }
    }

    #[track_caller]
    fn assert_command(it: &Dependent, command: &str) {
        assert_eq!(it.blocker(LOGIN).command.as_deref(), Some(command));
    }

    #[test]
    fn what_was_given_is_taken_back_as_the_grantor() {
        let table = [
            (given("table", &["public", "T 1"]), r#"TABLE "public"."T 1""#),
            (given("view", &["s", "a\"b"]), r#"TABLE "s"."a""b""#),
            (given("schema", &["S; DROP"]), r#"SCHEMA "S; DROP""#),
            (given("database", &["shop"]), r#"DATABASE "shop""#),
            (given("parameter ACL", &["plug.in"]), r#"PARAMETER "plug.in""#),
            (given("large object", &["16404"]), "LARGE OBJECT 16404"),
            (given("server", &["far"]), r#"FOREIGN SERVER "far""#),
            (given("language", &["c"]), r#"LANGUAGE "c""#),
        ];
        for (it, what) in table {
            let command =
                format!(r#"SET ROLE "The Boss"; REVOKE ALL ON {what} FROM "My ""app"""; RESET ROLE;"#);
            assert_command(&it, &command);
            assert_eq!(it.blocker(LOGIN).drop_command, None);
        }
    }

    #[test]
    fn a_function_is_named_with_its_arguments() {
        let function = Dependent {
            arguments: texts(&["pg_catalog", "int4", "s", "My Type"]),
            passes_on: true,
            ..given("function", &["s", "f"])
        };
        assert_command(
            &function,
            r#"SET ROLE "The Boss"; REVOKE ALL ON ROUTINE "s"."f"("pg_catalog"."int4", "s"."My Type") FROM "My ""app""" CASCADE; RESET ROLE;"#,
        );
        assert_eq!(
            given("procedure", &["s", "p"]).blocker(LOGIN).object,
            r#""s"."p"()"#
        );
    }

    #[test]
    fn what_is_owned_is_handed_over_or_dropped() {
        let table = owned("table", &["public", "t"]).blocker(LOGIN);
        assert_eq!(
            (table.command.as_deref(), table.drop_command.as_deref()),
            (
                Some(r#"REASSIGN OWNED BY "My ""app""" TO CURRENT_USER;"#),
                Some(r#"DROP OWNED BY "My ""app""";"#)
            )
        );
        let database = owned("database", &["a\"b"]).blocker(LOGIN);
        assert_eq!(
            (database.command.as_deref(), database.drop_command.as_deref()),
            (
                Some(r#"ALTER DATABASE "a""b" OWNER TO CURRENT_USER;"#),
                Some(r#"DROP DATABASE "a""b";"#)
            )
        );
        assert_command(
            &owned("subscription", &["news"]),
            r#"ALTER SUBSCRIPTION "news" OWNER TO CURRENT_USER;"#,
        );
    }

    #[test]
    fn a_policy_is_left_to_its_other_roles() {
        let policy = |others: &[&str]| Dependent {
            hold: Hold::Policy,
            others: texts(others),
            ..given("policy", &["public", "t", "Only mine"])
        };
        assert_command(
            &policy(&[]),
            r#"SET ROLE "The Boss"; DROP POLICY "Only mine" ON "public"."t"; RESET ROLE;"#,
        );
        assert_command(
            &policy(&["a", "B c"]),
            r#"SET ROLE "The Boss"; ALTER POLICY "Only mine" ON "public"."t" TO "a", "B c"; RESET ROLE;"#,
        );
    }

    #[test]
    fn default_privileges_are_those_of_who_gave_them() {
        let on = |letter: &str, names: &[&str]| Dependent {
            arguments: texts(&[letter]),
            ..given("default acl", names)
        };
        assert_command(
            &on("r", &["The Boss"]),
            r#"SET ROLE "The Boss"; ALTER DEFAULT PRIVILEGES FOR ROLE "The Boss" REVOKE ALL ON TABLES FROM "My ""app"""; RESET ROLE;"#,
        );
        assert_command(
            &on("f", &["The Boss", "S"]),
            r#"SET ROLE "The Boss"; ALTER DEFAULT PRIVILEGES FOR ROLE "The Boss" IN SCHEMA "S" REVOKE ALL ON ROUTINES FROM "My ""app"""; RESET ROLE;"#,
        );
        let own = owned("default acl", &["My \"app\""]).blocker(LOGIN);
        assert_eq!(
            (own.command.as_deref(), own.drop_command),
            (Some(r#"DROP OWNED BY "My ""app""";"#), None)
        );
    }

    #[test]
    fn initial_privileges_go_as_the_member_leaves_its_extension_and_comes_back() {
        let initial = Dependent {
            hold: Hold::Initial,
            extension: Some("ext".to_string()),
            ..given("table", &["public", "t"])
        };
        assert_command(
            &initial,
            r#"ALTER EXTENSION "ext" DROP TABLE "public"."t"; ALTER EXTENSION "ext" ADD TABLE "public"."t";"#,
        );
    }

    #[test]
    fn what_cannot_be_said_rightly_has_no_command() {
        let of = |it: &Dependent| it.blocker(LOGIN).command;
        let table = given("table", &["public", "t"]);
        assert!(of(&table).is_some());
        let without = [
            given("thing of a later version", &["x"]),
            given("table", &["public", &"x".repeat(1000)]),
            Dependent {
                escaped: true,
                ..table.clone()
            },
            Dependent {
                grantor: None,
                ..table
            },
        ];
        for it in without {
            assert_eq!(of(&it), None, "{it:?}");
        }
        assert_eq!(given("weird \u{1b}", &["x"]).blocker(LOGIN).kind, "object");
    }

    #[test]
    fn a_server_that_lies_gets_nothing_said_but_names() {
        let odd = "x\"; DROP TABLE y; --\n\u{1b}[2J\\! rm";
        for kind in ["table", "large object", "function", "policy", "parameter ACL"] {
            let it = Dependent {
                arguments: texts(&[odd, odd]),
                grantor: Some(odd.to_string()),
                database: Some(odd.to_string()),
                privileges: Some(odd.repeat(50)),
                ..given(kind, &[odd, odd])
            };
            let blocker = it.blocker(odd);
            let said = blocker.command.clone().unwrap_or_default();
            assert!(!said.contains("x\"; DROP"), "{said}");
            for text in [
                Some(blocker.object),
                blocker.command,
                blocker.database,
                blocker.privileges,
            ] {
                let text = text.unwrap_or_default();
                assert!(
                    !text.contains(char::is_control) && text.chars().count() <= LONGEST_COMMAND,
                    "{text}"
                );
            }
        }
    }
}
