//! What keeps a user from being deleted is named once, with who can end it, and the command that is named does end it.

use std::collections::BTreeSet;

use pguser_operator::api::DeletionBlocker;
use pguser_operator::provider::{ErrorClass, RemoteError};

use crate::support::{ADMIN_PASSWORD, Client, Job, World, assert_class, assert_says, job, tests};

tests! {
    what_others_gave_is_taken_back_by_who_gave_it,
    what_others_gave_is_taken_back_by_a_superuser,
    what_was_given_in_several_databases_is_named_at_once,
    what_was_passed_on_is_taken_back_with_what_was_given,
    what_a_user_owns_is_named_and_handed_over,
    what_a_user_owns_is_named_and_dropped,
    all_is_named_where_nothing_can_be_taken_back,
    initial_privileges_are_named_and_taken_back,
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Makes a role that logs in as the administrators do, and a database that is its own.
fn make_giver(world: &World, giver: &str, database: &str) {
    world.server.sql(&format!(
        "SET password_encryption = 'scram-sha-256'; CREATE ROLE {} LOGIN PASSWORD '{ADMIN_PASSWORD}'",
        quoted(giver)
    ));
    make_database(world, database, giver);
}

fn make_database(world: &World, database: &str, owner: &str) {
    let make = format!("CREATE DATABASE {} OWNER {}", quoted(database), quoted(owner));
    world.server.sql(&make);
}

async fn refused(client: &Client, job: &Job) -> RemoteError {
    assert_class(client.delete(job).await, ErrorClass::Invalid)
}

/// What a blocker says, but for its commands.
fn said(it: &DeletionBlocker) -> String {
    let or_none = |text: &Option<String>| text.as_deref().unwrap_or("-").to_string();
    format!(
        "{}: {} of {} {} by {} ({})",
        or_none(&it.database),
        or_none(&it.privileges),
        it.kind,
        it.object,
        or_none(&it.grantor),
        it.hold
    )
}

#[track_caller]
fn assert_named(error: &RemoteError, names: &[String]) {
    let found: Vec<_> = error.blockers.iter().map(said).collect();
    let once: BTreeSet<&String> = found.iter().collect();
    let wanted: BTreeSet<&String> = names.iter().collect();
    assert_eq!(once, wanted, "{error}");
    assert_eq!(once.len(), found.len(), "{found:?}");
}

/// Says a command in the database that the blocker names.
async fn say(world: &World, person: &str, it: &DeletionBlocker, command: &str) {
    let database = it.database.as_deref().unwrap_or("postgres");
    let session = world.session(person, ADMIN_PASSWORD, database).await;
    let result = session.batch_execute(command).await;
    result.unwrap_or_else(|error| panic!("{command} as {person} in {database}: {error:?}"));
}

/// Says all commands as a superuser, each once for each database, as the plugin prints them.
async fn say_all(world: &World, error: &RemoteError, command: impl Fn(&DeletionBlocker) -> Option<String>) {
    let mut said = BTreeSet::new();
    for it in &error.blockers {
        let command = command(it).unwrap_or_else(|| panic!("no command for {it:?}"));
        if said.insert((it.database.clone(), command.clone())) {
            say(world, "boss", it, &command).await;
        }
    }
}

/// Gives a login something of every kind, and says what that is.
async fn give_everything(world: &World, giver: &str, database: &str, login: &str) -> Vec<String> {
    let (giver_sql, database_sql, login_sql) = (quoted(giver), quoted(database), quoted(login));
    let parameter = world.version >= 150_000;
    world.server.rows_in(
        database,
        &format!(
            "CREATE FOREIGN DATA WRAPPER \"far W\"; CREATE SERVER \"far s\" FOREIGN DATA WRAPPER \"far W\"; \
             ALTER SERVER \"far s\" OWNER TO {giver_sql}; GRANT USAGE ON FOREIGN DATA WRAPPER \"far W\" TO {login_sql}; \
             GRANT USAGE ON LANGUAGE plpgsql TO {login_sql}; GRANT CREATE ON TABLESPACE pg_default TO {login_sql}"
        ),
    );
    if parameter {
        world
            .server
            .sql(&format!("GRANT SET ON PARAMETER work_mem TO {login_sql}"));
    }
    let session = world.session(giver, ADMIN_PASSWORD, database).await;
    let give = format!(
        r#"CREATE SCHEMA "S x"; CREATE TYPE "S x"."Kind" AS ENUM ('a');
        CREATE TABLE "S x"."T ""1""" (id int, name text); CREATE VIEW "S x".v AS SELECT 1 AS one;
        CREATE FUNCTION "S x"."F"("char", int[], "S x"."Kind") RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION "S x"."F"() RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE PROCEDURE "S x".p(int) LANGUAGE sql AS 'SELECT 1';
        SELECT lo_create(4711);
        GRANT USAGE ON SCHEMA "S x" TO {login_sql}; GRANT USAGE ON TYPE "S x"."Kind" TO {login_sql};
        GRANT SELECT ON "S x"."T ""1""" TO {login_sql};
        GRANT UPDATE (id, name) ON "S x"."T ""1""" TO {login_sql}; GRANT SELECT ON "S x".v TO {login_sql};
        GRANT EXECUTE ON FUNCTION "S x"."F"("char", int[], "S x"."Kind") TO {login_sql};
        GRANT EXECUTE ON PROCEDURE "S x".p(int) TO {login_sql}; GRANT SELECT ON LARGE OBJECT 4711 TO {login_sql};
        GRANT CONNECT ON DATABASE {database_sql} TO {login_sql}; GRANT USAGE ON FOREIGN SERVER "far s" TO {login_sql};
        CREATE POLICY "Only mine" ON "S x"."T ""1""" TO {login_sql};
        ALTER DEFAULT PRIVILEGES IN SCHEMA "S x" GRANT SELECT ON TABLES TO {login_sql}"#
    );
    session.batch_execute(&give).await.unwrap();
    let by = |place: &str, grantor: &str, what: &str| format!("{place}: {what} by {grantor} (privileges)");
    let here = |what: &str| by(database, giver, what);
    let mut names = vec![
        by("-", giver, &format!("CONNECT of database {database_sql}")),
        by("-", "postgres", r#"CREATE of tablespace "pg_default""#),
        by(database, "postgres", r#"USAGE of foreign-data wrapper "far W""#),
        by(database, "postgres", r#"USAGE of language "plpgsql""#),
        here(r#"USAGE of foreign server "far s""#),
        here(r#"USAGE of schema "S x""#),
        here(r#"USAGE of type "S x"."Kind""#),
        here(r#"SELECT, UPDATE of table "S x"."T ""1""""#),
        here(r#"SELECT of view "S x"."v""#),
        here(r#"EXECUTE of function "S x"."F"("pg_catalog"."char", "pg_catalog"."_int4", "S x"."Kind")"#),
        here(r#"EXECUTE of procedure "S x"."p"("pg_catalog"."int4")"#),
        here("SELECT of large object 4711"),
    ];
    if parameter {
        names.push(by("-", "postgres", r#"SET of setting "work_mem""#));
    }
    names
}

/// Policies and default privileges are no blockers: the operator's login takes the role off those of anybody.
async fn given_and_taken_back(world: &World, by_the_giver: bool) {
    let client = world.client("clerk");
    let (giver, database, login) = match by_the_giver {
        true => (r#"The "Giver""#, r#"Giver's "db""#, r#"My "blocked" Login"#),
        false => (r"Another\Giver", "Another db", "it's blocked, too"),
    };
    client.create(&job(login), "pLaInTeXt").await.unwrap();
    make_giver(world, giver, database);
    let names = give_everything(world, giver, database, login).await;
    let error = refused(&client, &job(login)).await;
    assert_named(&error, &names);
    for it in &error.blockers {
        let is_giver = by_the_giver && it.grantor.as_deref() == Some(giver);
        let person = if is_giver { giver } else { "boss" };
        say(world, person, it, it.command.as_deref().unwrap()).await;
    }
    client.delete(&job(login)).await.unwrap();
    assert!(!world.exists(login));
}

async fn what_others_gave_is_taken_back_by_who_gave_it(world: &World) {
    given_and_taken_back(world, true).await;
}

async fn what_others_gave_is_taken_back_by_a_superuser(world: &World) {
    given_and_taken_back(world, false).await;
}

async fn what_was_given_in_several_databases_is_named_at_once(world: &World) {
    let client = world.client("clerk");
    let login = "given_in_several";
    client.create(&job(login), "pLaInTeXt").await.unwrap();
    for database in ["several_1", "several_2"] {
        make_database(world, database, "boss");
        let give = format!("CREATE TABLE t (); GRANT SELECT ON t TO {login}");
        world.server.rows_in(database, &give);
    }
    world
        .server
        .sql(&format!("GRANT CONNECT ON DATABASE several_1 TO {login}"));
    let error = refused(&client, &job(login)).await;
    assert_named(
        &error,
        &[
            "-: CONNECT of database \"several_1\" by boss (privileges)".to_string(),
            "several_1: SELECT of table \"public\".\"t\" by postgres (privileges)".to_string(),
            "several_2: SELECT of table \"public\".\"t\" by postgres (privileges)".to_string(),
        ],
    );
    assert_says(&error, "more is elsewhere");
    say_all(world, &error, |it| it.command.clone()).await;
    client.delete(&job(login)).await.unwrap();
}

/// A superuser takes back in the name of the owner, so this stays to whoever passed it on.
async fn what_was_passed_on_is_taken_back_with_what_was_given(world: &World) {
    let client = world.client("boss");
    let login = "passes_on";
    client.create(&job(login), "pLaInTeXt").await.unwrap();
    make_database(world, "passed_on", "boss");
    world.server.rows_in(
        "passed_on",
        &format!(
            "CREATE ROLE \"Middle man\"; CREATE ROLE third; CREATE TABLE t (); \
             GRANT SELECT ON t TO \"Middle man\" WITH GRANT OPTION; \
             SET ROLE \"Middle man\"; GRANT SELECT ON t TO {login} WITH GRANT OPTION; \
             SET ROLE {login}; GRANT SELECT ON t TO third"
        ),
    );
    let error = refused(&client, &job(login)).await;
    assert_named(
        &error,
        &["passed_on: SELECT of table \"public\".\"t\" by Middle man (privileges)".to_string()],
    );
    say_all(world, &error, |it| it.command.clone()).await;
    client.delete(&job(login)).await.unwrap();
}

/// Makes a user with something of every kind in two databases, and says what that is.
async fn make_owner(world: &World, client: &Client, login: &str, prefix: &str) -> Vec<String> {
    client.create(&job(login), "pLaInTeXt").await.unwrap();
    let (one, two, own) = (
        format!("{prefix} one"),
        format!("{prefix} two"),
        format!("{prefix} own"),
    );
    let login = quoted(login);
    for database in [&one, &two] {
        make_database(world, database, "boss");
        let make = format!(
            "CREATE SCHEMA \"S x\" AUTHORIZATION {login}; CREATE TABLE \"S x\".t (); ALTER TABLE \"S x\".t OWNER TO {login}"
        );
        world.server.rows_in(database, &make);
    }
    world.server.rows_in(
        &two,
        &format!(
            "CREATE PUBLICATION \"news P\"; ALTER PUBLICATION \"news P\" OWNER TO {login}; \
             CREATE FOREIGN DATA WRAPPER w; CREATE SERVER \"far s\" FOREIGN DATA WRAPPER w; \
             ALTER SERVER \"far s\" OWNER TO {login}; SELECT lo_create(4712); ALTER LARGE OBJECT 4712 OWNER TO {login}; \
             CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION f OWNER TO {login}"
        ),
    );
    world
        .server
        .sql(&format!("CREATE DATABASE {} OWNER {login}", quoted(&own)));
    let owned = |place: &str, what: &str| format!("{place}: - of {what} by - (owner)");
    vec![
        owned("-", &format!("database {}", quoted(&own))),
        owned(&one, "schema \"S x\""),
        owned(&one, "table \"S x\".\"t\""),
        owned(&two, "schema \"S x\""),
        owned(&two, "table \"S x\".\"t\""),
        owned(&two, "publication \"news P\""),
        owned(&two, "foreign server \"far s\""),
        owned(&two, "large object 4712"),
        owned(&two, "function \"public\".\"f\"(\"pg_catalog\".\"int4\")"),
    ]
}

async fn what_a_user_owns_is_named_and_handed_over(world: &World) {
    let client = world.client("clerk");
    let login = "My \"owner\"";
    let names = make_owner(world, &client, login, "Handed \"over\"").await;
    let error = refused(&client, &job(login)).await;
    assert_named(&error, &names);
    assert_says(&error, "it owns the database");
    say_all(world, &error, |it| it.command.clone()).await;
    client.delete(&job(login)).await.unwrap();
    let owner = world.server.rows_in(
        "Handed \"over\" two",
        "SELECT tableowner FROM pg_tables WHERE tablename = 't'",
    );
    assert_eq!(owner, [[Some("boss".to_string())]]);
}

async fn what_a_user_owns_is_named_and_dropped(world: &World) {
    let client = world.client("clerk");
    let login = "My \"last\" owner";
    let names = make_owner(world, &client, login, "Dropped").await;
    let error = refused(&client, &job(login)).await;
    assert_named(&error, &names);
    say_all(world, &error, |it| it.drop_command.clone()).await;
    client.delete(&job(login)).await.unwrap();
    let left = "SELECT 1 FROM pg_tables WHERE tablename = 't'";
    assert!(world.server.rows_in("Dropped two", left).is_empty());
    let left = "SELECT 1 FROM pg_database WHERE datname = 'Dropped own'";
    assert!(world.server.rows(left).is_empty());
}

/// PostgreSQL takes nothing back where the operator's login has, through the role, no privilege at all on the columns of
/// something that others gave: USAGE on a sequence is none, nor is DELETE on a table.
async fn all_is_named_where_nothing_can_be_taken_back(world: &World) {
    let client = world.client("clerk");
    client.create(&job("held"), "pLaInTeXt").await.unwrap();
    make_giver(world, "Holder", "holds");
    world.server.rows_in(
        "holds",
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE USER MAPPING FOR held SERVER s; \
         ALTER DEFAULT PRIVILEGES FOR ROLE held GRANT SELECT ON TABLES TO PUBLIC; \
         GRANT CREATE ON SCHEMA public TO \"Holder\"; SET ROLE \"Holder\"; \
         CREATE TABLE t (); GRANT DELETE ON t TO held; CREATE SEQUENCE q; GRANT USAGE ON SEQUENCE q TO held; \
         CREATE POLICY \"Only mine\" ON t TO held; CREATE POLICY ours ON t TO held, clerk; \
         ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO held; \
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON TYPES TO held",
    );
    let error = refused(&client, &job("held")).await;
    assert_says(&error, "SQLSTATE 42501");
    let in_holds = |what: &str| format!("holds: {what}");
    assert_named(
        &error,
        &[
            in_holds(r#"DELETE of table "public"."t" by Holder (privileges)"#),
            in_holds(r#"USAGE of sequence "public"."q" by Holder (privileges)"#),
            in_holds(r#"SELECT of default privileges FOR ROLE "Holder" by Holder (privileges)"#),
            in_holds(
                r#"USAGE of default privileges FOR ROLE "Holder" IN SCHEMA "public" by Holder (privileges)"#,
            ),
            in_holds(r#"- of default privileges FOR ROLE "held" by - (owner)"#),
            in_holds(r#"- of user mapping "held" by - (owner)"#),
            in_holds(r#"- of policy "Only mine" ON "public"."t" by Holder (policy)"#),
            in_holds(r#"- of policy "ours" ON "public"."t" by Holder (policy)"#),
        ],
    );
    // DROP OWNED ends the rest as well, so it comes last.
    let (given, owned): (Vec<_>, Vec<_>) = error.blockers.iter().partition(|it| it.grantor.is_some());
    for (person, those) in [("Holder", given), ("boss", owned)] {
        for it in those {
            say(world, person, it, it.command.as_deref().unwrap()).await;
        }
    }
    let policies = world
        .server
        .rows_in("holds", "SELECT polname, polroles::regrole[] FROM pg_policy");
    assert_eq!(
        policies,
        [[Some("ours".to_string()), Some("{clerk}".to_string())]]
    );
    client.delete(&job("held")).await.unwrap();
}

/// What the owner gave goes with DROP OWNED; what another gave does not.
async fn initial_privileges_are_named_and_taken_back(world: &World) {
    if world.version < 170_000 {
        // They keep no role from being dropped.
        return;
    }
    let client = world.client("boss");
    let login = "initially_given";
    client.create(&job(login), "pLaInTeXt").await.unwrap();
    make_database(world, "initial", "boss");
    world.server.rows_in(
        "initial",
        &format!(
            "CREATE ROLE initiator; CREATE TABLE t (); CREATE TABLE u (); \
             GRANT SELECT ON t TO initiator WITH GRANT OPTION; GRANT SELECT ON u TO {login}; \
             SET ROLE initiator; GRANT SELECT ON t TO {login}; RESET ROLE; \
             ALTER EXTENSION plpgsql ADD TABLE t; ALTER EXTENSION plpgsql ADD TABLE u"
        ),
    );
    let error = refused(&client, &job(login)).await;
    assert_named(
        &error,
        &[
            "initial: SELECT of table \"public\".\"t\" by initiator (privileges)".to_string(),
            "initial: SELECT of table \"public\".\"t\" by initiator (initial privileges)".to_string(),
        ],
    );
    say_all(world, &error, |it| it.command.clone()).await;
    client.delete(&job(login)).await.unwrap();
}
