//! Users are deleted, with what hangs on them, and never with what somebody might miss.

use pguser_operator::provider::ErrorClass;

use crate::support::{
    ADMIN_PASSWORD, ADMINS, Client, Job, World, assert_class, assert_says, job, role, tests,
};

tests! {
    a_user_is_deleted_once,
    the_sessions_of_a_deleted_user_are_ended,
    sessions_are_ended_without_the_roles_privileges,
    who_owns_something_is_not_deleted_and_stays_as_it_is,
    what_a_user_owns_goes_to_its_heir,
    an_heir_is_joined_for_the_moment_only,
    an_heir_that_cannot_be_is_refused_before_anything_is_done,
    what_a_user_was_given_is_taken_back_everywhere,
    a_deletion_that_is_refused_leaves_no_membership_and_ends_no_session,
    what_others_gave_only_they_or_a_superuser_take_back,
    a_refused_deletion_gives_login_back_even_after_the_gate_has_closed,
    a_database_that_takes_no_connections_is_named,
    a_deletion_that_was_broken_off_goes_on,
    a_login_that_is_to_stay_after_all_gets_login_back_and_nothing_else,
}

fn heir(name: &str, heir: &str) -> Job {
    let mut job = job(name);
    job.settings.reassign_owned_to = Some(heir.to_string());
    job
}

async fn a_user_is_deleted_once(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let job = job(&format!("deleted_by_{admin}"));
        assert_class(client.delete(&job).await, ErrorClass::NotFound);
        client.create(&job, "pLaInTeXt").await.unwrap();
        client.delete(&job).await.unwrap();
        assert!(!world.exists(&job.username));
        assert_class(client.delete(&job).await, ErrorClass::NotFound);
    }
}

async fn the_sessions_of_a_deleted_user_are_ended(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let job = job(&format!("in_session_{admin}"));
        client.create(&job, "pLaInTeXt").await.unwrap();
        let session = world.session(&job.username, "pLaInTeXt", "postgres").await;
        session.batch_execute("SELECT 1").await.unwrap();
        client.delete(&job).await.unwrap();
        assert!(session.batch_execute("SELECT 1").await.is_err(), "{admin}");
    }
}

/// Makes a database that is somebody's.
fn make_database(world: &World, database: &str, owner: &str) {
    world
        .server
        .sql(&format!("CREATE DATABASE {database} OWNER {owner}"));
    world
        .server
        .rows_in(database, &format!("ALTER SCHEMA public OWNER TO {owner}"));
}

/// Who may make itself a member of the role ends its sessions as the role, even where a membership does not inherit.
async fn sessions_are_ended_without_the_roles_privileges(world: &World) {
    world.server.sql("CREATE ROLE weak CREATEROLE NOINHERIT LOGIN");
    world.server.sql(&format!(
        "SET password_encryption = 'scram-sha-256'; ALTER ROLE weak PASSWORD '{ADMIN_PASSWORD}'"
    ));
    let client = world.client("weak");
    client.create(&job("goes_on"), "pLaInTeXt").await.unwrap();
    let session = world.session("goes_on", "pLaInTeXt", "postgres").await;
    client.delete(&job("goes_on")).await.unwrap();
    assert!(!world.exists("goes_on"));
    assert!(session.batch_execute("SELECT 1").await.is_err());
}

/// Who is a member of the roles of that test, and of whom they are: what a deletion that is refused must leave as it was. Others
/// come and go meanwhile.
fn memberships(world: &World, name: &str) -> Vec<Vec<Option<String>>> {
    world.server.rows(&format!(
        "SELECT roleid::regrole, member::regrole, grantor::regrole FROM pg_auth_members \
         WHERE roleid::regrole::text LIKE '%{name}' OR member::regrole::text LIKE '%{name}' ORDER BY 1, 2, 3"
    ))
}

/// The operator's login is not even for a moment seen to be a member, or a rule for the members of some group could lock it out.
async fn a_deletion_that_is_refused_leaves_no_membership_and_ends_no_session(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let name = format!("refused_quietly_{admin}");
        client.create(&job(&name), "pLaInTeXt").await.unwrap();
        let database = format!("quiet_{admin}");
        make_database(world, &database, "boss");
        world.server.rows_in(
            &database,
            &format!("CREATE TABLE t (); ALTER TABLE t OWNER TO {name}; CREATE TABLE u (); GRANT SELECT ON u TO {name}"),
        );
        let session = world.session(&name, "pLaInTeXt", "postgres").await;
        let before = memberships(world, &name);
        let refused = client.delete(&job(&name)).await;
        assert_class(refused, ErrorClass::Invalid);
        assert_eq!(memberships(world, &name), before, "{admin}");
        // With an heir, it is the grant by another that is in the way of all but superusers.
        let heir_name = format!("heir_of_{name}");
        client.create(&job(&heir_name), "pLaInTeXt").await.unwrap();
        let before = memberships(world, &name);
        let with_heir = heir(&name, &heir_name);
        if admin == "clerk" {
            assert_class(client.delete(&with_heir).await, ErrorClass::Invalid);
            assert_eq!(memberships(world, &name), before, "{admin}");
            session.batch_execute("SELECT 1").await.unwrap();
            assert!(world.logs_in(&name, "pLaInTeXt").await);
            world.server.rows_in(
                &database,
                &format!("REVOKE SELECT ON u FROM {name}; GRANT CREATE ON SCHEMA public TO {heir_name}"),
            );
        }
        client.delete(&with_heir).await.unwrap();
        assert!(session.batch_execute("SELECT 1").await.is_err());
        let operators = format!("pg_has_role('{admin}', '{heir_name}', 'USAGE')::text");
        let superuser = admin == "boss";
        assert_eq!(
            world.value(&format!("SELECT {operators}")).as_deref() == Some("true"),
            superuser,
            "{admin}"
        );
    }
}

/// Makes a user with something of its own in two databases.
async fn make_owner(world: &World, client: &Client, name: &str) -> [String; 2] {
    let databases = [format!("{name}_one"), format!("{name}_two")];
    client.create(&job(name), "pLaInTeXt").await.unwrap();
    for database in &databases {
        make_database(world, database, "clerk");
        world.server.rows_in(
            database,
            &format!(
                "GRANT CREATE ON DATABASE {database} TO {name}; GRANT CREATE, USAGE ON SCHEMA public TO {name}"
            ),
        );
        let session = world.session(name, "pLaInTeXt", database).await;
        session
            .batch_execute(
                "CREATE TABLE public.t (id serial, x text); INSERT INTO public.t (x) VALUES ('kept'); \
                 CREATE SCHEMA own; CREATE FUNCTION own.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; \
                 ALTER DEFAULT PRIVILEGES IN SCHEMA own GRANT SELECT ON TABLES TO PUBLIC",
            )
            .await
            .unwrap();
    }
    databases
}

async fn who_owns_something_is_not_deleted_and_stays_as_it_is(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let name = format!("owner_{admin}");
        let databases = make_owner(world, &client, &name).await;
        let session = world.session(&name, "pLaInTeXt", &databases[0]).await;
        let error = assert_class(client.delete(&job(&name)).await, ErrorClass::Invalid);
        assert_says(
            &error,
            "it owns 2 tables, views or sequences and 1 schema and 1 function",
        );
        assert_says(&error, &format!("in database \"{}\"", databases[0]));
        assert!(role(&client.get(&name).await.unwrap()).login);
        session.batch_execute("SELECT 1").await.unwrap();
    }
}

async fn what_a_user_owns_goes_to_its_heir(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let name = format!("leaves_{admin}");
        let to = format!("heir_of_{admin}");
        client.create(&job(&to), "pLaInTeXt").await.unwrap();
        let databases = make_owner(world, &client, &name).await;
        // A whole database, too, which belongs to no database.
        make_database(world, &format!("{name}_own"), &name);
        let error = assert_class(client.delete(&job(&name)).await, ErrorClass::Invalid);
        assert_says(&error, &format!("it owns the database \"{name}_own\""));
        client.delete(&heir(&name, &to)).await.unwrap();
        assert!(!world.exists(&name));
        let owner = world.value(&format!(
            "SELECT datdba::regrole FROM pg_database WHERE datname = '{name}_own'"
        ));
        assert_eq!(owner, Some(to.clone()));
        for database in databases {
            let owners = world.server.rows_in(
                &database,
                "SELECT tableowner, (SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'own') \
                 FROM pg_tables WHERE tablename = 't'",
            );
            assert_eq!(owners, [[Some(to.clone()), Some(to.clone())]]);
            let rows = world.server.rows_in(&database, "SELECT x FROM public.t");
            assert_eq!(rows, [[Some("kept".to_string())]]);
        }
    }
}

/// The operator's own login joins the heir to hand something over, and leaves it as it found it.
async fn an_heir_is_joined_for_the_moment_only(world: &World) {
    let client = world.client("clerk");
    world.server.sql("CREATE ROLE elder; CREATE ROLE stranger");
    if world.has_admin_option() {
        world.server.sql(
            "GRANT elder TO clerk WITH ADMIN OPTION; GRANT elder TO clerk WITH INHERIT FALSE, SET FALSE",
        );
    }
    let memberships = || {
        world.server.rows(
            "SELECT to_jsonb(m)::text FROM pg_auth_members m \
             WHERE 'clerk'::regrole = member AND roleid IN ('elder'::regrole, 'stranger'::regrole) ORDER BY 1",
        )
    };
    let before = memberships();
    make_owner(world, &client, "leaves_to_elder").await;
    if world.has_admin_option() {
        let refused = client.delete(&heir("leaves_to_elder", "stranger")).await;
        let error = assert_class(refused, ErrorClass::Invalid);
        assert_says(&error, "in database \"leaves_to_elder_one\": SQLSTATE 42501");
        assert_eq!(memberships(), before);
    }
    client.delete(&heir("leaves_to_elder", "elder")).await.unwrap();
    assert_eq!(memberships(), before);
}

async fn an_heir_that_cannot_be_is_refused_before_anything_is_done(world: &World) {
    let client = world.client("clerk");
    make_owner(world, &client, "no_heir").await;
    for other in ["nobody_of_this_name", "no_heir", "boss"] {
        assert_class(client.delete(&heir("no_heir", other)).await, ErrorClass::Invalid);
        assert!(role(&client.get("no_heir").await.unwrap()).login);
    }
    let theirs = Job {
        owner: "another".to_string(),
        ..job("no_heir_of_ours")
    };
    client.create(&theirs, "pLaInTeXt").await.unwrap();
    let mut mutation = heir("no_heir", "no_heir_of_ours");
    let error = assert_class(client.delete(&mutation).await, ErrorClass::Invalid);
    assert_says(&error, "not of this namespace");
    // Of no importance to who owns nothing.
    client.create(&job("no_heir_needed"), "pLaInTeXt").await.unwrap();
    client
        .delete(&heir("no_heir_needed", "nobody_of_this_name"))
        .await
        .unwrap();
    mutation.settings.reassign_is_named = true;
    client.delete(&mutation).await.unwrap();
}

async fn what_a_user_was_given_is_taken_back_everywhere(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let name = format!("given_{admin}");
        client.create(&job(&name), "pLaInTeXt").await.unwrap();
        for database in [format!("{name}_one"), format!("{name}_two")] {
            make_database(world, &database, admin);
            world.server.rows_in(
                &database,
                &format!(
                    "SET ROLE {admin}; \
                     CREATE TABLE t (); CREATE POLICY p ON t TO {name}; GRANT SELECT ON t TO {name}; \
                     GRANT CREATE ON SCHEMA public TO {name}; GRANT CONNECT ON DATABASE {database} TO {name}; \
                     ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {name}"
                ),
            );
        }
        world
            .server
            .sql(&format!("ALTER ROLE {name} SET work_mem = '1MB'"));
        client.delete(&job(&name)).await.unwrap();
        assert!(!world.exists(&name));
        let left = world.server.rows_in(&format!("{name}_two"), "SELECT 1 FROM t");
        assert!(left.is_empty());
    }
}

async fn what_others_gave_only_they_or_a_superuser_take_back(world: &World) {
    let client = world.client("clerk");
    let name = "given_by_others";
    client.create(&job(name), "pLaInTeXt").await.unwrap();
    make_database(world, "of_others", "boss");
    world.server.rows_in(
        "of_others",
        &format!(
            "CREATE TABLE t (); GRANT SELECT ON t TO {name}; GRANT CREATE ON DATABASE of_others TO {name}"
        ),
    );
    let error = assert_class(client.delete(&job(name)).await, ErrorClass::Invalid);
    assert_says(&error, "in database \"of_others\": ");
    assert_says(&error, r#"SELECT on table "public"."t" by "postgres""#);
    // It stays, and whoever decides to keep it keeps a login.
    assert!(role(&client.get(name).await.unwrap()).login);
    world
        .server
        .rows_in("of_others", &format!("REVOKE SELECT ON t FROM {name}"));
    let error = assert_class(client.delete(&job(name)).await, ErrorClass::Invalid);
    assert_says(&error, "privileges on the database \"of_others\"");
    world.client("boss").delete(&job(name)).await.unwrap();
}

async fn a_refused_deletion_gives_login_back_even_after_the_gate_has_closed(world: &World) {
    let client = world.client("clerk");
    let name = "refused_late";
    let databases = make_owner(world, &client, name).await;
    world.server.rows_in(
        &databases[1],
        &format!("CREATE TABLE of_others (); GRANT SELECT ON of_others TO {name}"),
    );
    let other = world.session("boss", ADMIN_PASSWORD, &databases[1]).await;
    let lock = "BEGIN; LOCK TABLE public.t IN ACCESS SHARE MODE";
    other.batch_execute(lock).await.unwrap();
    client.create(&job("keeper_of_late"), "pLaInTeXt").await.unwrap();
    let mutation = heir(name, "keeper_of_late");
    let in_between = async {
        while world
            .server
            .rows_in("postgres", "SELECT 1 FROM pg_locks WHERE NOT granted")
            .is_empty()
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        client.gate.close();
        other.batch_execute("ROLLBACK").await.unwrap();
    };
    let (result, ()) = tokio::join!(client.delete(&mutation), in_between);
    assert_class(result, ErrorClass::Invalid);
    assert!(role(&client.get(name).await.unwrap()).login);
}

async fn a_database_that_takes_no_connections_is_named(world: &World) {
    let client = world.client("boss");
    client.create(&job("shut_out"), "pLaInTeXt").await.unwrap();
    world.server.sql("CREATE DATABASE \"shut \"\"1\"\"\"");
    world
        .server
        .rows_in("shut \"1\"", "CREATE TABLE t (); GRANT SELECT ON t TO shut_out");
    world
        .server
        .sql("ALTER DATABASE \"shut \"\"1\"\"\" ALLOW_CONNECTIONS false");
    let error = assert_class(client.delete(&job("shut_out")).await, ErrorClass::Invalid);
    assert_says(
        &error,
        "in database \"shut \\\"1\\\"\", which takes no connections",
    );
    assert!(role(&client.get("shut_out").await.unwrap()).login);
    world
        .server
        .sql("ALTER DATABASE \"shut \"\"1\"\"\" ALLOW_CONNECTIONS true");

    // One where the operator's login may not connect to says nothing of its password.
    let clerk = world.client("clerk");
    clerk.create(&job("shut_out_2"), "pLaInTeXt").await.unwrap();
    world.server.rows_in(
        "shut \"1\"",
        "REVOKE CONNECT ON DATABASE \"shut \"\"1\"\"\" FROM PUBLIC",
    );
    world
        .server
        .rows_in("shut \"1\"", "GRANT SELECT ON t TO shut_out_2");
    let error = assert_class(clerk.delete(&job("shut_out_2")).await, ErrorClass::Invalid);
    assert_says(&error, "in database \"shut \\\"1\\\"\": SQLSTATE 42501");
    client.delete(&job("shut_out")).await.unwrap();
    client.delete(&job("shut_out_2")).await.unwrap();
}

async fn a_deletion_that_was_broken_off_goes_on(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let name = format!("half_gone_{admin}");
        let databases = make_owner(world, &client, &name).await;
        // Somebody uses a table in the second database, so that it is not handed over.
        let other = world.session("boss", ADMIN_PASSWORD, &databases[1]).await;
        other
            .batch_execute("BEGIN; LOCK TABLE public.t IN ACCESS SHARE MODE")
            .await
            .unwrap();
        let hasty = Client::new(world.config(admin), std::time::Duration::from_secs(3));
        let to = &format!("keeper_of_{name}");
        client.create(&job(to), "pLaInTeXt").await.unwrap();
        let error = assert_class(hasty.delete(&heir(&name, to)).await, ErrorClass::Busy);
        assert_says(
            &error,
            &format!("in database \"{}\": SQLSTATE 55P03", databases[1]),
        );
        // It may yet be kept on purpose: nothing was taken from it.
        let owner = "SELECT relowner::regrole::text FROM pg_class WHERE relname = 't'";
        assert_eq!(world.server.rows_in(&databases[0], owner), [[Some(name.clone())]]);
        assert!(role(&client.get(&name).await.unwrap()).login);
        assert!(world.logs_in(&name, "pLaInTeXt").await);
        other.batch_execute("ROLLBACK").await.unwrap();
        hasty.delete(&heir(&name, to)).await.unwrap();
        assert!(!world.exists(&name));
    }
}

/// The operator's process ended after the first step of a deletion, and then the login was to be kept.
async fn a_login_that_is_to_stay_after_all_gets_login_back_and_nothing_else(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let name = format!("kept_after_all_{admin}");
        client.create(&job(&name), "pLaInTeXt").await.unwrap();
        let by_hand = format!("ALTER ROLE {name} NOLOGIN CONNECTION LIMIT 7");
        world.server.sql(&by_hand);
        assert!(!role(&client.get(&name).await.unwrap()).login);
        let mut job = job(&name);
        job.settings = Default::default();
        client.configure(&job).await.unwrap();
        let found = client.get(&name).await.unwrap();
        assert!(role(&found).login);
        assert_eq!(role(&found).connection_limit, 7, "{admin}");
        assert!(world.logs_in(&name, "pLaInTeXt").await);
    }
}
