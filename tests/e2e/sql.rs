//! What only a PostgreSQL has that is spoken to in SQL: attributes, memberships, marks, what a role owns.

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::support::{
    ADMIN, Handle, Operator, Options, Outcome, PATIENCE, Person, Postgres, Provider, SERVER, TOKEN, Vendor,
    World, eventually, trials,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment, Provider::Postgresql;
        attributes_and_memberships_are_as_the_spec_asks,
        infinity_takes_the_place_of_a_date_and_is_no_difference,
        what_the_server_object_does_not_allow_is_refused,
        a_user_that_comes_to_ask_for_too_much_keeps_its_login,
        attributes_changed_outside_are_put_right,
        parameters_are_kept_as_the_spec_asks_and_reset_when_it_does_not,
        parameters_that_are_lost_with_a_login_are_told,
        memberships_changed_outside_are_put_right,
        a_membership_that_is_not_asked_for_any_more_ends,
        a_membership_that_cannot_be_given_is_told_and_given_once_it_can,
        an_adopted_role_stays_as_it_is_unless_the_spec_says_otherwise,
        a_login_with_power_over_others_is_adopted_only_by_name,
        patterns_give_away_no_power_over_others,
        what_is_taken_off_the_list_is_revoked,
        what_no_pattern_covers_any_more_is_told_and_revoked_once_the_server_object_changes,
        a_pattern_gives_nobody_the_login_of_another_namespace,
        a_user_without_connections_keeps_nobody_from_being_verified,
        a_login_asks_for_no_more_connections_than_it_may,
        names_that_are_not_utf_8_stop_nobody_and_are_not_touched,
        a_password_changed_outside_is_seen_where_the_catalog_may_be_read,
        a_role_that_owns_objects_is_not_deleted_and_a_condition_names_them,
        what_a_role_owns_goes_to_its_heir_when_it_is_deleted,
        explain_delete_prints_the_commands_that_take_back_what_others_gave,
        a_deletion_that_cannot_be_finished_leaves_a_login_that_works,
        sessions_of_a_deleted_user_are_ended,
        a_login_that_was_renamed_is_neither_made_anew_nor_forgotten,
        a_role_of_another_installation_is_neither_adopted_nor_deleted,
        a_role_that_another_installation_took_over_is_left_to_it,
        a_new_password_of_the_administrator_is_taken_from_the_secret,
        a_secret_of_another_tool_is_read_by_the_keys_that_the_spec_names,
        the_authority_may_be_in_a_config_map,
        a_config_map_with_authorities_is_watched,
        a_login_is_tried_by_the_authority_that_the_server_object_names,
        a_role_with_a_mark_that_cannot_be_read_is_left_alone,
        an_address_at_which_another_server_answers_is_not_published,
        an_unencrypted_connection_has_to_be_allowed,
        a_server_is_found_at_another_of_its_addresses,
        no_password_is_in_the_servers_log,
    )
}

// -------------------------------------------------------------------------------------------------------- settings

/// Makes roles to be a member of, which the operator may give.
async fn groups(world: &World, names: &[&str]) -> Outcome {
    for name in names {
        let sql = format!("create role {name} nologin; grant {name} to {ADMIN} with admin option");
        world.postgres().sql(&sql).await?;
    }
    Ok(())
}

/// A server that allows these things.
async fn set_up(world: &World, allowed: Value) -> Outcome<(Vendor, Operator)> {
    let (vendor, operator) = world.set_up(&[]).await?;
    world
        .postgres()
        .sql(&format!("alter role {ADMIN} createdb"))
        .await?;
    groups(world, &["readers", "writers"]).await?;
    allow(world, allowed).await?;
    Ok((vendor, operator))
}

async fn allow(world: &World, allowed: Value) -> Outcome {
    let spec = json!({"spec": {"postgresql": {"allowed": allowed}}});
    world.merge("PostgresServer", SERVER, spec).await
}

fn everything() -> Value {
    json!({"roles": ["readers", "writers"], "config": ["search_path"], "attributes": ["CreateDatabase", "CreateRole"], "reassignOwnedTo": ["heir"]})
}

async fn ask(world: &World, settings: &str) -> Outcome {
    let more = format!("postgresql: {{{settings}}}");
    world.apply_user_with("checkout", &more).await
}

/// Waits until a role is a member of these and no others.
async fn member_of(world: &World, name: &str, groups: &str) -> Outcome {
    let query = format!(
        "select coalesce(string_agg(distinct roleid::regrole::text, ' ' order by roleid::regrole::text), '') from \
         pg_auth_members where member = '{name}'::regrole and roleid <> '{ADMIN}'::regrole"
    );
    eventually(
        &format!("{name} to be a member of {groups:?}"),
        PATIENCE,
        async || {
            let rows = world.postgres().sql(&query).await?;
            match rows == [[groups]] {
                true => Ok(()),
                false => Err(format!("{rows:?}").into()),
            }
        },
    )
    .await
}

async fn attributes_and_memberships_are_as_the_spec_asks(world: &World) -> Outcome {
    let _setting = set_up(world, everything()).await?;
    ask(
        world,
        "memberOf: [readers], connectionLimit: 5, validUntil: '2100-01-01T00:00:00Z', createDatabase: true",
    )
    .await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await?;
    world.role_is("checkout", "rolconnlimit", "5").await?;
    let until = "rolvaliduntil at time zone 'UTC'";
    world.role_is("checkout", until, "2100-01-01 00:00:00").await?;
    member_of(world, "checkout", "readers").await?;
    let uri = world.key_of("checkout", "uri").await?;
    world
        .postgres()
        .psql(&uri, "create database mine")
        .await
        .map(drop)
}

async fn infinity_takes_the_place_of_a_date_and_is_no_difference(world: &World) -> Outcome {
    let (_vendor, operator) = set_up(world, everything()).await?;
    ask(world, "validUntil: infinity").await?;
    world.user_ready("checkout").await?;
    world.quiet(&operator).await?;
    let until = "rolvaliduntil at time zone 'UTC'";
    ask(world, "validUntil: '2100-01-01T01:00:00.1234567+01:00'").await?;
    world
        .role_is("checkout", until, "2100-01-01 00:00:00.123456")
        .await?;
    ask(world, "validUntil: infinity").await?;
    world.role_is("checkout", "rolvaliduntil", "infinity").await?;
    world.user_ready("checkout").await?;
    world.quiet(&operator).await?;
    world.login_of("checkout").await
}

async fn what_the_server_object_does_not_allow_is_refused(world: &World) -> Outcome {
    let _setting = set_up(world, json!({})).await?;
    for (settings, field) in [
        ("memberOf: [readers]", "allowed.roles"),
        ("memberOf: [pg_read_server_files]", "allowed.roles"),
        ("createDatabase: true", "allowed.attributes"),
        ("createRole: true", "allowed.attributes"),
        ("reassignOwnedTo: postgres", "allowed.reassignOwnedTo"),
        ("config: {search_path: app}", "allowed.config"),
    ] {
        ask(world, settings).await?;
        eventually(&format!("{settings} to be refused"), PATIENCE, async || {
            let found = world.user_not_ready("checkout", "InvalidSettings").await?;
            match found.message.contains(field) {
                true => Ok(()),
                false => Err(found.message.into()),
            }
        })
        .await?;
    }
    assert!(!world.postgres().has_role("checkout").await?);
    ask(world, "memberOf: [readers], createDatabase: true").await?;
    allow(world, everything()).await?;
    world.user_ready("checkout").await?;
    member_of(world, "checkout", "readers").await
}

async fn a_user_that_comes_to_ask_for_too_much_keeps_its_login(world: &World) -> Outcome {
    let (_vendor, operator) = set_up(world, json!({"roles": ["readers"]})).await?;
    ask(world, "memberOf: [readers]").await?;
    world.user_ready("checkout").await?;
    ask(world, "memberOf: [readers, writers], createRole: true").await?;
    world
        .user_is("checkout", "Stalled", "True", "InvalidSettings")
        .await?;
    world.user_ready("checkout").await?;
    world.quiet(&operator).await?;
    world.login_of("checkout").await?;
    member_of(world, "checkout", "readers").await?;
    world.role_is("checkout", "rolcreaterole", "false").await
}

async fn attributes_changed_outside_are_put_right(world: &World) -> Outcome {
    let (_vendor, operator) = set_up(world, everything()).await?;
    ask(world, "connectionLimit: 5").await?;
    world.user_ready("checkout").await?;
    let password = world.password_of("checkout").await?;
    for (change, attribute, value) in [
        ("connection limit 1", "rolconnlimit", "5"),
        (
            "valid until '2001-01-01'",
            "rolvaliduntil is null or rolvaliduntil = 'infinity'",
            "true",
        ),
        ("createdb", "rolcreatedb", "false"),
        ("createrole", "rolcreaterole", "false"),
        ("noinherit", "rolinherit", "true"),
        ("nologin", "rolcanlogin", "true"),
    ] {
        let sql = format!("alter role checkout {change}");
        world.postgres().sql(&sql).await?;
        world
            .role_is("checkout", attribute, value)
            .await
            .map_err(|error| format!("{change}: {error}"))?;
    }
    world.quiet(&operator).await?;
    world.user_ready("checkout").await?;
    assert_eq!(world.password_of("checkout").await?, password);
    world.login_of("checkout").await
}

async fn parameters_are_kept_as_the_spec_asks_and_reset_when_it_does_not(world: &World) -> Outcome {
    let (_vendor, operator) = set_up(world, json!({"config": ["search_path", "statement_timeout"]})).await?;
    world.postgres().sql("create schema app").await?;
    ask(
        world,
        "config: {search_path: 'app, public', statement_timeout: 30s}",
    )
    .await?;
    world.user_ready("checkout").await?;
    let uri = world.key_of("checkout", "uri").await?;
    let effective = async |parameter: &str| world.postgres().psql(&uri, &format!("show {parameter}")).await;
    assert_eq!(effective("search_path").await?.trim(), "app, public");
    let config = "array_to_string(rolconfig, '; ')";
    let all = "search_path=app, public; statement_timeout=30s";
    world.role_is("checkout", config, all).await?;
    for change in ["set search_path to public", "reset all"] {
        world
            .postgres()
            .sql(&format!("alter role checkout {change}"))
            .await?;
        // In the order in which they were set.
        let is_right = "array_length(rolconfig, 1) = 2 and 'search_path=app, public' = any(rolconfig)";
        world.role_is("checkout", is_right, "true").await?;
    }
    // What somebody else has set is their business.
    world
        .postgres()
        .sql("alter role checkout set work_mem to '3MB'")
        .await?;
    ask(world, "config: {search_path: app}").await?;
    world
        .role_is("checkout", config, "search_path=app; work_mem=3MB")
        .await?;
    world.user_ready("checkout").await?;
    world.quiet(&operator).await?;
    // What is taken off the server object's list is reset, and so is what the spec does not have any more.
    allow(world, json!({"config": ["statement_timeout"]})).await?;
    world
        .user_is("checkout", "Stalled", "True", "InvalidSettings")
        .await?;
    world.role_is("checkout", config, "work_mem=3MB").await?;
    allow(world, json!({"config": ["search_path"]})).await?;
    world
        .role_is("checkout", "'search_path=app' = any(rolconfig)", "true")
        .await?;
    world.apply_user_with("checkout", "").await?;
    world.role_is("checkout", config, "work_mem=3MB").await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await
}

async fn parameters_that_are_lost_with_a_login_are_told(world: &World) -> Outcome {
    let (_vendor, operator) = set_up(world, json!({"config": ["search_path"]})).await?;
    ask(world, "config: {search_path: app}").await?;
    world.user_ready("checkout").await?;
    let password = world.password_of("checkout").await?;
    world
        .postgres()
        .sql("alter role checkout set work_mem to '3MB'; alter role checkout set app.key to 'sEcReT'")
        .await?;
    // What nobody has seen, nobody can tell of.
    refresh(world, "seen").await?;
    world.quiet(&operator).await?;
    world.postgres().sql("drop role checkout").await?;
    refresh(world, "dropped").await?;
    let told = eventually("what is lost to be told", PATIENCE, async || {
        let events = world.events().await?;
        let told = events.into_iter().find(|event| event.contains("ParametersLost"));
        told.ok_or_else(|| "not yet".into())
    })
    .await?;
    assert!(
        told.contains("spec.postgresql.config: app.key, work_mem."),
        "{told}"
    );
    assert!(
        !told.contains("sEcReT") && !told.contains("search_path"),
        "{told}"
    );
    world.accepts_eventually("checkout", &password, true).await?;
    world
        .role_is("checkout", "array_to_string(rolconfig, '; ')", "search_path=app")
        .await?;
    world.user_ready("checkout").await?;
    Ok(())
}

async fn memberships_changed_outside_are_put_right(world: &World) -> Outcome {
    let (_vendor, operator) = set_up(world, everything()).await?;
    ask(world, "memberOf: [readers]").await?;
    world.user_ready("checkout").await?;
    let by_admin = format!("set role {ADMIN}; grant writers to checkout; revoke readers from checkout");
    world.postgres().sql(&by_admin).await?;
    member_of(world, "checkout", "readers").await?;
    // What somebody else has granted is their business.
    groups(world, &["auditors"]).await?;
    world.postgres().sql("grant auditors to checkout").await?;
    world.quiet(&operator).await?;
    member_of(world, "checkout", "auditors readers").await?;
    world.login_of("checkout").await
}

async fn a_membership_that_is_not_asked_for_any_more_ends(world: &World) -> Outcome {
    let _setting = set_up(world, everything()).await?;
    ask(world, "memberOf: [readers, writers]").await?;
    world.user_ready("checkout").await?;
    member_of(world, "checkout", "readers writers").await?;
    let password = world.password_of("checkout").await?;
    ask(world, "memberOf: [writers]").await?;
    member_of(world, "checkout", "writers").await?;
    world.apply_user_with("checkout", "").await?;
    member_of(world, "checkout", "").await?;
    world.user_ready("checkout").await?;
    assert_eq!(world.password_of("checkout").await?, password);
    Ok(())
}

async fn refresh(world: &World, value: &str) -> Outcome {
    let refresh = json!({"metadata": {"annotations": {"pguser.dev/refresh": value}}});
    world.merge("PostgresServer", SERVER, refresh).await
}

/// The login is made all the same; who mends what was in the way need not rotate a password for it.
async fn a_membership_that_cannot_be_given_is_told_and_given_once_it_can(world: &World) -> Outcome {
    let (_vendor, operator) = set_up(world, json!({"roles": ["later"]})).await?;
    ask(world, "memberOf: [later], connectionLimit: 7").await?;
    world.user_ready("checkout").await?;
    let message = world
        .user_is("checkout", "Stalled", "True", "SettingsRejected")
        .await?;
    assert!(message.contains("does not exist"), "{message}");
    world.login_of("checkout").await?;
    let password = world.key_of("checkout", "password").await?;
    world.role_is("checkout", "rolconnlimit", "7").await?;
    groups(world, &["later"]).await?;
    refresh(world, "once").await?;
    member_of(world, "checkout", "later").await?;
    world.user_is_not("checkout", "Stalled").await?;
    assert_eq!(world.key_of("checkout", "password").await?, password);
    world.quiet(&operator).await
}

async fn an_adopted_role_stays_as_it_is_unless_the_spec_says_otherwise(world: &World) -> Outcome {
    let (vendor, operator) = set_up(world, everything()).await?;
    vendor.make("checkout", "somebody-elses-password").await?;
    let sql = "alter role checkout createdb connection limit 9; grant readers to checkout; \
        comment on role checkout is 'ask Ann'";
    world.postgres().sql(sql).await?;
    world.apply_user_with("checkout", "adoptionPolicy: Adopt").await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await?;
    world.quiet(&operator).await?;
    world.role_is("checkout", "rolconnlimit", "9").await?;
    world.role_is("checkout", "rolcreatedb", "true").await?;
    member_of(world, "checkout", "readers").await?;
    let comment = comment(world, "checkout").await?;
    assert!(comment.starts_with("ask Ann\nmanaged by"), "{comment}");

    let more = "adoptionPolicy: Adopt\n  postgresql: {connectionLimit: 3}";
    world.apply_user_with("checkout", more).await?;
    world.role_is("checkout", "rolconnlimit", "3").await?;
    world.role_is("checkout", "rolcreatedb", "false").await
}

async fn a_login_with_power_over_others_is_adopted_only_by_name(world: &World) -> Outcome {
    let (vendor, operator) = set_up(world, json!({})).await?;
    for (name, attribute) in [("dba", "createrole"), ("auditor", "bypassrls")] {
        vendor.make(name, "somebody-elses-password").await?;
        let sql = format!("alter role {name} {attribute}");
        world.postgres().sql(&sql).await?;
        world.apply_user_with(name, "adoptionPolicy: Adopt").await?;
        let found = world.user_not_ready(name, "AlreadyExists").await?;
        assert!(
            found.message.contains("spec.postgresql.allowed.adoption"),
            "{}",
            found.message
        );
    }
    world.quiet(&operator).await?;
    assert!(world.postgres().accepts("dba", "somebody-elses-password").await?);
    allow(world, json!({"adoption": ["dba"]})).await?;
    world.user_ready("dba").await?;
    world.login_of("dba").await?;
    assert!(
        world
            .postgres()
            .accepts("auditor", "somebody-elses-password")
            .await?
    );
    Ok(())
}

/// Waits until a membership is refused, and why.
async fn refused(world: &World, name: &str, words: &str) -> Outcome {
    eventually(&format!("{name} to hear of {words:?}"), PATIENCE, async || {
        let found = world.condition("PostgresUser", name, "Stalled").await?;
        match found {
            Some(found) if found.message.contains(words) => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    })
    .await
}

async fn patterns_give_away_no_power_over_others(world: &World) -> Outcome {
    let (_vendor, operator) = set_up(world, json!({"roles": ["*"]})).await?;
    groups(world, &["bosses", "friends_of_bosses"]).await?;
    let sql = "alter role bosses createrole; grant bosses to friends_of_bosses; \
        create role root_like nologin superuser; create role copier nologin replication";
    world.postgres().sql(sql).await?;
    world.apply_user_with("checkout", "").await?;
    world.user_ready("checkout").await?;
    for (role, words) in [
        ("bosses", "name it in full"),
        ("friends_of_bosses", "name it in full"),
        (ADMIN, "nobody is made a member of it"),
        ("root_like", "nobody is made a member of it"),
        ("copier", "nobody is made a member of it"),
    ] {
        ask(world, &format!("memberOf: [{role}, readers]")).await?;
        refused(world, "checkout", words).await?;
        world.user_ready("checkout").await?;
        // What is allowed of it is given.
        member_of(world, "checkout", "readers").await?;
    }
    // Who begins with such a wish gets a login, and nothing else.
    world
        .apply_user_with("newcomer", &format!("postgresql: {{memberOf: [{ADMIN}]}}"))
        .await?;
    refused(world, "newcomer", "nobody is made a member of it").await?;
    member_of(world, "newcomer", "").await?;
    // In full it may be named, unless it gives everything away.
    ask(world, "memberOf: [bosses]").await?;
    refused(world, "checkout", "name it in full").await?;
    allow(world, json!({"roles": ["*", "bosses", ADMIN]})).await?;
    member_of(world, "checkout", "bosses").await?;
    world.user_is_not("checkout", "Stalled").await?;
    world.quiet(&operator).await?;
    member_of(world, "newcomer", "").await?;
    world.login_of("newcomer").await?;
    world.login_of("checkout").await
}

/// As after an upgrade from a version whose patterns covered such roles: the membership is there, by the operator's own grant.
async fn what_no_pattern_covers_any_more_is_told_and_revoked_once_the_server_object_changes(
    world: &World,
) -> Outcome {
    let (_vendor, mut operator) = set_up(world, json!({"roles": ["*"]})).await?;
    groups(world, &["bosses"]).await?;
    ask(world, "memberOf: [bosses, readers]").await?;
    world.user_ready("checkout").await?;
    member_of(world, "checkout", "bosses readers").await?;
    let password = world.password_of("checkout").await?;
    operator.kill();
    world.postgres().sql("alter role bosses createrole").await?;
    operator.restart().await?;
    refused(world, "checkout", "name it in full").await?;
    world.user_ready("checkout").await?;
    world
        .stays(
            "the membership is left",
            std::time::Duration::from_secs(2),
            async || member_of(world, "checkout", "bosses readers").await,
        )
        .await?;
    let noted = world.get("PostgresUser", "checkout").await?.ok_or("no user")?;
    let noted = &noted.data["status"]["deniedMemberships"];
    assert_eq!(noted[0]["role"], "bosses", "{noted}");
    world.quiet(&operator).await?;
    // An annotation is no change of what the server object says.
    refresh(world, "once").await?;
    world.quiet(&operator).await?;
    member_of(world, "checkout", "bosses readers").await?;
    let changed = json!({"spec": {"refreshInterval": "11m"}});
    world.merge("PostgresServer", SERVER, changed).await?;
    member_of(world, "checkout", "readers").await?;
    assert_eq!(world.password_of("checkout").await?, password);
    world.login_of("checkout").await?;
    allow(world, json!({"roles": ["*", "bosses"]})).await?;
    member_of(world, "checkout", "bosses readers").await?;
    world.user_is_not("checkout", "Stalled").await
}

async fn a_pattern_gives_nobody_the_login_of_another_namespace(world: &World) -> Outcome {
    let (vendor, _operator, other) = crate::adoption::two_namespaces(world).await?;
    let allowed = "namespaceSelector: {}";
    world.apply_cluster_server(&vendor, allowed).await?;
    let name = world.namespace();
    let patterns = json!({"spec": {"postgresql": {"allowed": {"roles": ["*"]}}}});
    world.merge("ClusterPostgresServer", name, patterns).await?;
    crate::adoption::user_of_cluster_server(world, &other, "theirs", "").await?;
    world.user_in(&other, "theirs", "True", "Published").await?;
    for user in ["ours", "checkout"] {
        crate::adoption::user_of_cluster_server(world, name, user, "").await?;
        world.user_ready(user).await?;
    }
    let member = |roles: Value| json!({"spec": {"postgresql": {"memberOf": roles}}});
    world
        .merge("PostgresUser", "checkout", member(json!(["ours", "theirs"])))
        .await?;
    refused(world, "checkout", "is not of this namespace").await?;
    member_of(world, "checkout", "ours").await?;
    let named = json!({"spec": {"postgresql": {"allowed": {"roles": ["*", "theirs"]}}}});
    world.merge("ClusterPostgresServer", name, named).await?;
    member_of(world, "checkout", "ours theirs").await
}

async fn what_is_taken_off_the_list_is_revoked(world: &World) -> Outcome {
    let (_vendor, operator) = set_up(world, everything()).await?;
    ask(world, "memberOf: [readers, writers], createDatabase: true").await?;
    world.user_ready("checkout").await?;
    member_of(world, "checkout", "readers writers").await?;
    let password = world.password_of("checkout").await?;
    allow(world, json!({"roles": ["readers"], "attributes": null})).await?;
    member_of(world, "checkout", "readers").await?;
    world.role_is("checkout", "rolcreatedb", "false").await?;
    world
        .user_is("checkout", "Stalled", "True", "InvalidSettings")
        .await?;
    world.user_ready("checkout").await?;
    world.quiet(&operator).await?;
    assert_eq!(world.password_of("checkout").await?, password);
    world.login_of("checkout").await?;
    allow(world, everything()).await?;
    member_of(world, "checkout", "readers writers").await?;
    world.user_is_not("checkout", "Stalled").await
}

/// PostgreSQL finds out that a login has used up its connections once the password was right.
async fn a_user_without_connections_keeps_nobody_from_being_verified(world: &World) -> Outcome {
    let _setting = set_up(world, json!({})).await?;
    world
        .apply_user_with("idle", "postgresql: {connectionLimit: 0}")
        .await?;
    for name in ["idle", "checkout"] {
        if name == "checkout" {
            world.apply_user(name, SERVER).await?;
        }
        world
            .user_is(name, "CredentialsVerified", "True", "LoginSucceeded")
            .await?;
        world.user_ready(name).await?;
    }
    world.login_of("checkout").await
}

async fn a_login_asks_for_no_more_connections_than_it_may(world: &World) -> Outcome {
    let _setting = set_up(world, json!({})).await?;
    let limits = json!({"spec": {"limits": {"connectionsPerLogin": 7}}});
    world.merge("PostgresServer", SERVER, limits).await?;
    ask(world, "connectionLimit: 8").await?;
    let found = world.user_not_ready("checkout", "InvalidSettings").await?;
    assert!(
        found.message.contains("spec.limits.connectionsPerLogin"),
        "{}",
        found.message
    );
    ask(world, "connectionLimit: 3").await?;
    world.role_is("checkout", "rolconnlimit", "3").await?;
    world.apply_user("modest", SERVER).await?;
    world.user_ready("modest").await?;
    world.role_is("modest", "rolconnlimit", "7").await?;
    world.login_of("modest").await
}

/// Made from a database of another encoding: a name and a comment that no text can hold.
async fn names_that_are_not_utf_8_stop_nobody_and_are_not_touched(world: &World) -> Outcome {
    let postgres = world.postgres();
    postgres
        .sql("create database latin template template0 encoding 'LATIN1' locale 'C'")
        .await?;
    let socket = format!(
        "host={} port={} user=postgres dbname=latin",
        postgres.socket_dir().display(),
        postgres.port()
    );
    let made = "create role \"müller\" login; create role commented login; \
        comment on role commented is 'für alle'";
    let encoding = [("PGCLIENTENCODING", "UTF8")];
    postgres.psql_with(&socket, made, &encoding).await?;
    let (vendor, operator) = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    // As clients say it, there is no such login yet; and that of the other bytes stays as it is.
    world.apply_user_with("umlaut", "username: müller").await?;
    world.user_ready("umlaut").await?;
    world.login_of("umlaut").await?;
    world
        .apply_user_with("commented", "adoptionPolicy: Adopt")
        .await?;
    let found = world.user_not_ready("commented", "AlreadyExists").await?;
    assert!(
        found.message.contains("never changed or adopted"),
        "{}",
        found.message
    );
    world.quiet(&operator).await?;
    let left = "select count(*) from pg_roles where octet_length(rolname) = 6 and rolname like 'm%'";
    assert_eq!(world.postgres().sql(left).await?, [["1"]]);
    drop(vendor);
    world.login_of("checkout").await
}

async fn comment(world: &World, name: &str) -> Outcome<String> {
    let query = format!("select shobj_description('{name}'::regrole, 'pg_authid')");
    let rows = world.postgres().sql(&query).await?;
    Ok(rows.into_iter().flatten().next().unwrap_or_default())
}

// ----------------------------------------------------------------------------------------------------------- drift

/// By what PostgreSQL keeps of the password; a login would be tried in an hour.
async fn a_password_changed_outside_is_seen_where_the_catalog_may_be_read(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    let grant = format!("grant select on pg_authid to {ADMIN}");
    world.postgres().sql(&grant).await?;
    // An open connection does not know yet.
    vendor.cut();
    let rarely = json!({"spec": {"verifyInterval": "168h"}});
    world.merge("PostgresServer", SERVER, rarely).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    let user = world.get("PostgresUser", "checkout").await?.ok_or("no user")?;
    assert!(user.data["status"]["remoteUsers"][0]["passwordStamp"].is_string());

    vendor.set_password("checkout", "changed-outside").await?;
    world.accepts_eventually("checkout", &password, true).await?;
    world.quiet(&operator).await?;
    assert_eq!(world.password_of("checkout").await?, password);
    let rotate = json!({"metadata": {"annotations": {"pguser.dev/rotate": "1"}}});
    world.merge("PostgresUser", "checkout", rotate).await?;
    world.other_password("checkout", &password).await?;
    world.quiet(&operator).await?;
    world.login_of("checkout").await
}

// -------------------------------------------------------------------------------------------------------- deletion

async fn blocked(world: &World) -> Outcome<String> {
    eventually("the deletion to be blocked", PATIENCE, async || {
        let found = world.condition("PostgresUser", "checkout", "Ready").await?;
        match found.filter(|found| found.reason == "DeletionBlocked") {
            Some(found) => Ok(found.message),
            None => Err("it is not".into()),
        }
    })
    .await
}

const OWNED: &str = "create table t (); alter table t owner to checkout; \
    create schema s authorization checkout; create table s.u ()";

async fn a_role_that_owns_objects_is_not_deleted_and_a_condition_names_them(world: &World) -> Outcome {
    let (_vendor, mut operator) = set_up(world, everything()).await?;
    let password = world.ready_user("checkout").await?;
    world.postgres().sql(OWNED).await?;
    world
        .postgres()
        .sql("create database theirs owner checkout")
        .await?;
    world.delete("PostgresUser", "checkout").await?;
    let message = blocked(world).await?;
    for words in [
        "the database \"theirs\"",
        "1 table, view or sequence and 1 schema",
        "in database \"postgres\"",
    ] {
        assert!(message.contains(words), "{message}");
    }
    assert!(world.postgres().accepts("checkout", &password).await?);
    world
        .postgres()
        .sql("reassign owned by checkout to postgres")
        .await?;
    // It would be tried again by itself after a minute.
    operator.restart().await?;
    world.user_gone("checkout", &password).await
}

async fn what_a_role_owns_goes_to_its_heir_when_it_is_deleted(world: &World) -> Outcome {
    let _setting = set_up(world, everything()).await?;
    groups(world, &["heir"]).await?;
    let grant =
        format!("grant create on database postgres to heir; grant create on database postgres to {ADMIN}");
    world.postgres().sql(&grant).await?;
    let password = world.ready_user("checkout").await?;
    world.postgres().sql(OWNED).await?;
    world.delete("PostgresUser", "checkout").await?;
    blocked(world).await?;
    let heir = json!({"spec": {"postgresql": {"reassignOwnedTo": "heir"}}});
    world.merge("PostgresUser", "checkout", heir).await?;
    world.user_gone("checkout", &password).await?;
    let owner = "select relowner::regrole::text from pg_class where relname = 't'";
    assert_eq!(world.postgres().sql(owner).await?, [["heir"]]);
    let owner = "select nspowner::regrole::text from pg_namespace where nspname = 's'";
    assert_eq!(world.postgres().sql(owner).await?, [["heir"]]);
    Ok(())
}

async fn explain_delete_prints_the_commands_that_take_back_what_others_gave(world: &World) -> Outcome {
    let (_vendor, mut operator) = set_up(world, everything()).await?;
    let password = world.ready_user("checkout").await?;
    let postgres = world.postgres();
    let given = r#"create role "The Giver"; create schema "S x" authorization "The Giver"; set role "The Giver";
        create table "S x".t (); grant usage on schema "S x" to checkout; grant select on "S x".t to checkout"#;
    postgres.sql(given).await?;
    world.delete("PostgresUser", "checkout").await?;
    let message = blocked(world).await?;
    assert!(
        message.contains(r#"SELECT on table "S x"."t" by "The Giver""#),
        "{message}"
    );

    let person = Person::with_role(world, "view").await?;
    let said = person.pguser_says(1, &["explain-delete", "checkout"]).await?;
    let ways = said["objects"][0]["waysOut"].as_array().ok_or("no ways out")?;
    let text = |way: &Value, key: &str| way[key].as_str().unwrap_or_default().to_string();
    let in_psql = ways
        .iter()
        .filter(|way| text(way, "what").starts_with("in psql, "));
    let commands: Vec<_> = in_psql
        .map(|way| (text(way, "what"), text(way, "command")))
        .collect();
    assert_eq!(commands.len(), 2, "{said}");
    let printed = person
        .pguser_ends(1, &["explain-delete", "checkout"])
        .await?
        .stdout;
    for (what, command) in commands {
        assert!(
            what.contains(r#"database "postgres", as "The Giver" or a superuser"#),
            "{what}"
        );
        assert!(printed.contains(&what) && printed.contains(&command), "{printed}");
        postgres.psql(&postgres.superuser_dsn(), &command).await?;
    }
    // It would be tried again by itself after a minute.
    operator.restart().await?;
    world.user_gone("checkout", &password).await
}

/// Something hangs on the role in a database that the operator may not enter.
async fn a_deletion_that_cannot_be_finished_leaves_a_login_that_works(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    let postgres = world.postgres();
    postgres.sql("create database closed").await?;
    postgres
        .sql("revoke connect on database closed from public; grant connect on database closed to checkout")
        .await?;
    let granted = "grant usage on schema public to checkout";
    let closed = postgres
        .superuser_dsn()
        .replace("dbname=postgres", "dbname=closed");
    postgres.psql(&closed, granted).await?;
    world.delete("PostgresUser", "checkout").await?;
    let message = blocked(world).await?;
    assert!(message.contains("closed"), "{message}");
    assert!(postgres.accepts("checkout", &password).await?);

    world.retain("checkout").await?;
    world.gone("PostgresUser", "checkout", PATIENCE).await?;
    assert_eq!(world.login_with_secret("checkout-postgres").await?, "checkout");
    Ok(())
}

async fn sessions_of_a_deleted_user_are_ended(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    let uri = world.key_of("checkout", "uri").await?;
    let session = async {
        let slept = world.postgres().psql(&uri, "select pg_sleep(60)").await;
        assert!(slept.is_err(), "the session went on");
        Outcome::Ok(())
    };
    let deletion = async {
        let query = "select 1 from pg_stat_activity where usename = 'checkout' and wait_event = 'PgSleep'";
        eventually("the session", PATIENCE, async || {
            match world.postgres().sql(query).await?.is_empty() {
                false => Ok(()),
                true => Err("there is none".into()),
            }
        })
        .await?;
        world.delete("PostgresUser", "checkout").await?;
        world.user_gone("checkout", &password).await
    };
    let both = async { tokio::try_join!(session, deletion) };
    tokio::time::timeout(PATIENCE, both).await??;
    Ok(())
}

// ----------------------------------------------------------------------------------------------------------- marks

const STRANGER: &str = "00000000-0000-0000-0000-00000000feed";

/// It has our mark and its password under another name, so it goes on logging in.
async fn a_login_that_was_renamed_is_neither_made_anew_nor_forgotten(world: &World) -> Outcome {
    let (_vendor, mut operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    world.postgres().sql("alter role checkout rename to lost").await?;
    refresh(world, "renamed").await?;
    let command = r#"ALTER ROLE "lost" RENAME TO "checkout""#;
    let message = world.user_not_ready("checkout", "Conflict").await?.message;
    assert!(message.contains(command), "{message}");
    let made = "select count(*)::text from pg_roles where rolname = 'checkout'";
    assert_eq!(world.postgres().sql(made).await?, [["0"]]);

    world.delete("PostgresUser", "checkout").await?;
    let message = blocked(world).await?;
    assert!(message.contains(command), "{message}");
    assert!(world.postgres().accepts("lost", &password).await?);
    world.postgres().sql("alter role lost rename to checkout").await?;
    // It would be tried again by itself after a minute.
    operator.restart().await?;
    world.user_gone("checkout", &password).await
}

/// Says of a role that another installation has it.
async fn mark_for_another(world: &World, name: &str) -> Outcome {
    let mark = format!("managed by pguser-operator: installation={STRANGER} object=8b1");
    let sql = format!("comment on role {name} is '{mark}'");
    world.postgres().sql(&sql).await.map(drop)
}

async fn a_role_of_another_installation_is_neither_adopted_nor_deleted(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    vendor.make("legacy", "somebody-elses-password").await?;
    mark_for_another(world, "legacy").await?;
    let before = world.roles_as_they_are().await?;
    world.apply_user_with("legacy", "adoptionPolicy: Adopt").await?;
    let found = world.user_not_ready("legacy", "Conflict").await?;
    assert!(found.message.contains(STRANGER), "{}", found.message);
    world.quiet(&operator).await?;
    world.delete("PostgresUser", "legacy").await?;
    world.gone("PostgresUser", "legacy", PATIENCE).await?;
    assert_eq!(world.roles_as_they_are().await?, before);

    // An administrator says that the other installation is no more.
    let allowed = json!({"metadata": {"annotations": {"pguser.dev/take-over-from": STRANGER}}});
    world.merge("PostgresServer", SERVER, allowed).await?;
    world.apply_user_with("legacy", "adoptionPolicy: Adopt").await?;
    world.user_ready("legacy").await?;
    world.login_of("legacy").await
}

async fn a_role_that_another_installation_took_over_is_left_to_it(world: &World) -> Outcome {
    let (_vendor, operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    mark_for_another(world, "checkout").await?;
    world.user_not_ready("checkout", "Conflict").await?;
    world.delete("PostgresUser", "checkout").await?;
    world.gone("PostgresUser", "checkout", PATIENCE).await?;
    assert!(world.postgres().accepts("checkout", &password).await?);
    assert_eq!(world.kept_users().await?[0]["why"], "NotOurs");
    Ok(())
}

// -------------------------------------------------------------------------------------------------- the connection

/// As Crunchy's operator makes them, with a line end as `echo` leaves it.
async fn a_secret_of_another_tool_is_read_by_the_keys_that_the_spec_names(world: &World) -> Outcome {
    let vendor = world.start_vendor(&[]).await?;
    let _operator = world.start_operator(Options::default()).await?;
    world.apply_credentials(SERVER, &vendor, TOKEN).await?;
    let data = json!({"user": ADMIN, "pass": format!("{TOKEN}\n"), "verifier": "nobodys-business"});
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs"}, "stringData": data});
    world.apply(&secret.to_string()).await?;
    let manifest = |reference: &str| {
        let usual = format!("credentialsSecretRef: {{name: {SERVER}-credentials}}");
        let written = world.server_manifest(SERVER, &vendor, "");
        assert!(written.contains(&usual), "{written}");
        written.replace(&usual, &format!("credentialsSecretRef: {reference}"))
    };
    world.apply(&manifest("{name: theirs}")).await?;
    let message = world.server_is(SERVER, "False", "InvalidCredentials").await?;
    for expected in [
        "lacks username, password",
        "has pass, user, verifier",
        "credentialsSecretRef.keys",
    ] {
        assert!(message.contains(expected), "{expected}: {message}");
    }
    for value in [TOKEN, ADMIN, "nobodys-business"] {
        assert!(!message.contains(value), "{message}");
    }
    let foreign = manifest("{name: theirs, keys: {token: pass}}");
    let refused = world.apply(&foreign).await.unwrap_err().to_string();
    assert!(
        refused.contains("this provider reads username and password"),
        "{refused}"
    );
    let unknown = manifest("{name: theirs, keys: {login: user}}");
    assert!(world.apply(&unknown).await.is_err(), "an unknown key was taken");

    world
        .apply(&manifest(
            "{name: theirs, keys: {username: user, password: pass}}",
        ))
        .await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    world.ready_user("checkout").await?;
    world.login_of("checkout").await
}

async fn a_new_password_of_the_administrator_is_taken_from_the_secret(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    vendor.accept_only("another-password").await?;
    world.server_is(SERVER, "False", "Unauthorized").await?;
    world.apply_user("latecomer", SERVER).await?;
    world.user_not_ready("latecomer", "Unauthorized").await?;
    world.user_ready("checkout").await?;
    world
        .apply_credentials(SERVER, &vendor, "another-password")
        .await?;
    world.user_ready("latecomer").await?;
    world.login_of("latecomer").await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    let leaks = world.leaks(&[&password, "another-password", TOKEN]).await?;
    assert!(leaks.is_empty(), "{leaks:?}");
    Ok(())
}

async fn the_authority_may_be_in_a_config_map(world: &World) -> Outcome {
    let (_vendor, _operator) = world.set_up(&[]).await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    let from = |key: &str| {
        let reference = json!({"name": "authorities", "key": key});
        json!({"spec": {"postgresql": {"ca": {"secretKeyRef": null, "configMapKeyRef": reference}}}})
    };
    let right = std::fs::read_to_string(world.postgres().ca_file())?;
    let wrong = std::fs::read_to_string(another_authority(world)?)?;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "authorities"},
        "data": {"wrong.crt": wrong, "right.crt": right}});
    world.apply(&map.to_string()).await?;
    world.merge("PostgresServer", SERVER, from("wrong.crt")).await?;
    world.server_is(SERVER, "False", "Unreachable").await?;
    world.merge("PostgresServer", SERVER, from("right.crt")).await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    world.ready_user("checkout").await?;
    // Who connects can verify the server with what the Secret holds.
    assert_eq!(world.key_of("checkout", "ca.crt").await?, right);
    let uri = world.key_of("checkout", "uri").await?;
    let uri = uri.replace("sslmode=require", "sslmode=verify-full");
    let file = world.dir().join("published-ca.crt");
    std::fs::write(&file, world.key_of("checkout", "ca.crt").await?)?;
    let uri = format!("{uri}&sslrootcert={}", file.display());
    world.postgres().psql(&uri, "select 1").await.map(drop)
}

/// Nothing but the ConfigMap changes, and nobody looks at the server object for an hour.
async fn a_config_map_with_authorities_is_watched(world: &World) -> Outcome {
    let (_vendor, _operator) = world.set_up(&[]).await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    let right = std::fs::read_to_string(world.postgres().ca_file())?;
    let wrong = std::fs::read_to_string(another_authority(world)?)?;
    let map = |name: &str, ca: &str| {
        let data = json!({"ca.crt": ca});
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}).to_string()
    };
    let name = async |name: &str| {
        let ca = json!({"secretKeyRef": null, "configMapKeyRef": {"name": name}});
        world
            .merge(
                "PostgresServer",
                SERVER,
                json!({"spec": {"postgresql": {"ca": ca}}}),
            )
            .await
    };
    // It need not be there yet; what was trusted before is until then.
    name("authorities").await?;
    world.apply(&map("authorities", &wrong)).await?;
    world.server_is(SERVER, "False", "Unreachable").await?;
    world.apply(&map("authorities", &right)).await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    world.ready_user("checkout").await?;
    // Another one from now on.
    world.apply(&map("others", &right)).await?;
    name("others").await?;
    world.apply(&map("others", "no certificate")).await?;
    let message = world.server_is(SERVER, "False", "InvalidEndpoint").await?;
    assert!(message.contains("BEGIN CERTIFICATE"), "{message}");
    world.apply(&map("others", &right)).await?;
    world.server_is(SERVER, "True", "Reachable").await.map(drop)
}

/// The certificate of an authority that has signed nothing here.
fn another_authority(world: &World) -> Outcome<std::path::PathBuf> {
    let file = world.dir().join("another-ca.crt");
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args([
            "-days",
            "2",
            "-subj",
            "/CN=another CA",
            "-keyout",
            "/dev/null",
            "-out",
        ])
        .arg(&file)
        .output()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(file)
}

async fn an_address_at_which_another_server_answers_is_not_published(world: &World) -> Outcome {
    let other = Postgres::start(&world.dir().join("pg-2")).await?;
    let authorities = [world.postgres().ca_file(), other.ca_file()].map(std::fs::read_to_string);
    let bundle = world.dir().join("both.pem");
    std::fs::write(&bundle, authorities.into_iter().collect::<Result<String, _>>()?)?;
    let options = Options::default().flag("--extra-ca", &bundle.to_string_lossy());
    let (_vendor, operator) = world.set_up_with(&[], options).await?;
    let password = world.ready_user("checkout").await?;
    let to = async |port: u16| {
        let connection = json!({"spec": {"connection": {"port": port}}});
        world.merge("PostgresServer", SERVER, connection).await
    };
    to(other.port()).await?;
    world
        .user_is("checkout", "Stalled", "True", "AddressRefused")
        .await?;
    world.user_ready("checkout").await?;
    world.quiet(&operator).await?;
    assert_eq!(
        world.key_of("checkout", "port").await?,
        world.postgres().port().to_string()
    );
    assert_eq!(world.password_of("checkout").await?, password);
    world.login_of("checkout").await?;
    // The login is made there, too: it has moved in earnest.
    let sql = format!("create role checkout login password '{password}'");
    other.sql(&sql).await?;
    let refresh = json!({"metadata": {"annotations": {"pguser.dev/refresh": "1"}}});
    world.merge("PostgresServer", SERVER, refresh).await?;
    eventually("the new address", PATIENCE, async || {
        match world.key_of("checkout", "port").await? == other.port().to_string() {
            true => Ok(()),
            false => Err("it names the one before".into()),
        }
    })
    .await?;
    to(world.postgres().port()).await?;
    world.user_ready("checkout").await?;
    assert_eq!(world.password_of("checkout").await?, password);
    Ok(())
}

async fn an_unencrypted_connection_has_to_be_allowed(world: &World) -> Outcome {
    let (_vendor, mut operator) = world.set_up(&[]).await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    let clear = json!({"spec": {"postgresql": {"sslmode": "disable"}}});
    world.merge("PostgresServer", SERVER, clear).await?;
    let message = world.server_is(SERVER, "False", "InvalidEndpoint").await?;
    assert!(message.contains("--allow-insecure-postgresql"), "{message}");
    operator.reconfigure(|options| options.switch("--allow-insecure-postgresql"));
    operator.restart().await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    world.ready_user("checkout").await.map(drop)
}

async fn a_server_is_found_at_another_of_its_addresses(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    let identity = async || {
        let object = world.get("PostgresServer", SERVER).await?;
        Outcome::Ok(object.unwrap().data["status"]["identity"].clone())
    };
    let before = identity().await?;
    let hosts = |further: Value| json!({"spec": {"postgresql": {"hosts": further}}});
    let forbidden = hosts(json!([{"host": "192.0.2.7"}]));
    world.merge("PostgresServer", SERVER, forbidden).await?;
    let message = world.server_is(SERVER, "False", "EndpointNotAllowed").await?;
    assert!(message.contains("192.0.2.7:5432"), "{message}");

    let further = hosts(json!([{"host": "localhost", "port": world.postgres().port()}]));
    world.merge("PostgresServer", SERVER, further).await?;
    vendor.stop();
    world.ready_user("checkout").await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    assert_eq!(identity().await?, before);
    Ok(())
}

async fn no_password_is_in_the_servers_log(world: &World) -> Outcome {
    for setting in [
        "log_statement = 'all'",
        "log_min_duration_statement = 0",
        "log_min_messages = debug2",
    ] {
        let sql = format!("alter system set {setting}");
        world.postgres().sql(&sql).await?;
    }
    world.postgres().sql("select pg_reload_conf()").await?;
    let _setting = world.set_up(&[]).await?;
    let first = world.ready_user("checkout").await?;
    let rotate = json!({"metadata": {"annotations": {"pguser.dev/rotate": "1"}}});
    world.merge("PostgresUser", "checkout", rotate).await?;
    let second = world.other_password("checkout", &first).await?;
    let own = "a-password-of-ones-own";
    world.apply_password("mine", own).await?;
    world
        .apply_user_with("checkout", "password: {secretRef: {name: mine}}")
        .await?;
    world.accepts_eventually("checkout", own, true).await?;
    world.postgres().sql("drop role checkout").await?;
    world.accepts_eventually("checkout", own, true).await?;
    world.delete("PostgresUser", "checkout").await?;
    world.gone("PostgresUser", "checkout", PATIENCE).await?;

    let log = std::fs::read_to_string(world.postgres().socket_dir().join("log"))?;
    assert!(log.contains("CREATE ROLE \"checkout\"") && log.contains("SCRAM-SHA-256$"));
    for password in [first.as_str(), &second, own] {
        assert!(!log.contains(password), "a password is in PostgreSQL's log");
    }
    Ok(())
}

async fn a_login_is_tried_by_the_authority_that_the_server_object_names(world: &World) -> Outcome {
    let stranger = rcgen::generate_simple_self_signed(vec!["elsewhere.example".to_owned()])?;
    let file = world.dir().join("stranger.pem");
    std::fs::write(&file, stranger.cert.pem())?;
    let options = Options::default().flag("--extra-ca", &file.to_string_lossy());
    let _setting = world.set_up_with(&[], options).await?;
    world.ready_user("checkout").await?;
    let verified = world
        .wait_for("PostgresUser", "checkout", "CredentialsVerified", "True")
        .await?;
    assert_eq!(verified.reason, "LoginSucceeded");
    Ok(())
}

async fn a_role_with_a_mark_that_cannot_be_read_is_left_alone(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    let outside = "create role checkout login password 'theirs-theirs-theirs-theirs'; comment on role checkout is \
                   'managed by pguser-operator: who knows'";
    world.postgres().sql(outside).await?;
    world.apply_user_with("checkout", "adoptionPolicy: Adopt").await?;
    let found = world.user_not_ready("checkout", "Conflict").await?;
    assert!(found.message.contains("cannot be read"), "{}", found.message);
    world
        .accepts_eventually("checkout", "theirs-theirs-theirs-theirs", true)
        .await?;
    world.delete("PostgresUser", "checkout").await?;
    world.gone("PostgresUser", "checkout", PATIENCE).await?;
    assert!(world.postgres().has_role("checkout").await?);
    Ok(())
}
