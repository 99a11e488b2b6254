//! Attributes and memberships.

use std::collections::BTreeSet;

use pguser_operator::domain::role::{FoundRole, Memberships, RoleOptions, RoleSettings};
use pguser_operator::provider::ErrorClass;

use crate::support::{ADMINS, Job, World, assert_class, assert_says, job, role, tests};

tests! {
    a_user_is_made_with_its_settings,
    what_somebody_changed_is_put_right,
    for_ever_is_infinity_and_read_as_such,
    the_ends_of_valid_until_are_kept_to_the_microsecond,
    without_options_only_login_is_put_right,
    whoever_gets_a_password_may_log_in_with_it,
    only_our_own_grants_are_taken_back,
    what_counts_as_granted_by_another_is_taken_back_and_inherits_as_asked,
    what_is_out_of_reach_is_named,
    a_membership_follows_the_roles_inherit,
    what_cannot_be_given_is_said,
    a_membership_that_was_refused_is_given_once_it_can_be,
    the_login_of_another_namespace_is_given_to_who_may_name_it,
    an_attribute_that_cannot_be_given_is_said,
    parameters_are_set_as_they_are_written,
    only_parameters_that_were_asked_for_are_put_right_and_reset,
    a_parameter_that_cannot_be_set_is_named_and_costs_no_login,
    a_login_without_admin_option_is_told_with_the_grant_that_gives_it,
}

fn with(name: &str, options: RoleOptions) -> Job {
    Job {
        settings: RoleSettings {
            options: Some(options),
            ..RoleSettings::default()
        },
        ..job(name)
    }
}

fn groups(names: &[String]) -> BTreeSet<String> {
    names.iter().cloned().collect()
}

/// Two groups in which this administrator may make members.
fn make_groups(world: &World, admin: &str, prefix: &str) -> [String; 2] {
    let names = [format!("{prefix}_{admin}_1"), format!("{prefix}_{admin} \"2\"")];
    for name in &names {
        let name = name.replace('"', "\"\"");
        world.server.sql(&format!("CREATE ROLE \"{name}\""));
        if admin == "clerk" {
            world
                .server
                .sql(&format!("GRANT \"{name}\" TO clerk WITH ADMIN OPTION"));
        }
    }
    names
}

fn some(member_of: BTreeSet<String>) -> RoleOptions {
    RoleOptions {
        member_of,
        connection_limit: 3,
        valid_until: Some("2131-02-03T04:05:06.000007Z".parse().unwrap()),
        inherit: false,
        ..RoleOptions::default()
    }
}

async fn a_user_is_made_with_its_settings(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let groups = groups(&make_groups(world, admin, "made_with"));
        let options = some(groups.clone());
        let job = with(&format!("made_with_settings_by_{admin}"), options.clone());
        let user = client.create(&job, "pLaInTeXt").await.unwrap();
        assert!(options.differences(role(&user)).is_empty(), "{user:?}");
        assert_eq!(role(&user).granted, groups);
        assert!(role(&user).granted_by_others.is_empty());
        // What it can do with them differs; that it is found as it was made does not.
        let unchanged = client.configure(&job).await.unwrap();
        let made = FoundRole {
            just_granted: Memberships::new(),
            ..role(&user).clone()
        };
        assert_eq!(role(&unchanged), &made);
        client.delete(&job).await.unwrap();
    }
}

async fn what_somebody_changed_is_put_right(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let [one, two] = make_groups(world, admin, "right");
        let name = format!("put_right_by_{admin}");
        let options = some(groups(&[one.clone(), two]));
        let job = with(&name, options.clone());
        client.create(&job, "pLaInTeXt").await.unwrap();
        world.server.sql(&format!(
            "ALTER ROLE {name} NOLOGIN CONNECTION LIMIT 9 VALID UNTIL '-infinity' INHERIT; \
             DELETE FROM pg_auth_members WHERE roleid = '{one}'::regrole AND member = '{name}'::regrole"
        ));
        let drifted = client.get(&name).await.unwrap();
        assert_eq!(
            options.differences(role(&drifted)),
            [
                "LOGIN",
                "CONNECTION LIMIT",
                "VALID UNTIL",
                "INHERIT",
                "memberships"
            ]
        );
        let right = client.configure(&job).await.unwrap();
        assert!(options.differences(role(&right)).is_empty(), "{right:?}");
        let plain = with(&name, RoleOptions::default());
        let right = client.configure(&plain).await.unwrap();
        assert!(
            RoleOptions::default().differences(role(&right)).is_empty(),
            "{right:?}"
        );
        assert!(world.logs_in(&name, "pLaInTeXt").await);
    }
}

/// PostgreSQL has two words for it: `infinity`, and none at all.
async fn for_ever_is_infinity_and_read_as_such(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let name = format!("for_ever_by_{admin}");
        let dated = with(&name, some(BTreeSet::new()));
        client.create(&dated, "pLaInTeXt").await.unwrap();
        let for_ever = with(&name, RoleOptions::default());
        let user = client.configure(&for_ever).await.unwrap();
        assert!(
            RoleOptions::default().differences(role(&user)).is_empty(),
            "{user:?}"
        );
        let shown = format!("SELECT rolvaliduntil::text FROM pg_roles WHERE rolname = '{name}'");
        assert_eq!(world.value(&shown).as_deref(), Some("infinity"));
        world.server.sql(&format!(
            "UPDATE pg_authid SET rolvaliduntil = NULL WHERE rolname = '{name}'"
        ));
        let user = client.get(&name).await.unwrap();
        assert!(
            RoleOptions::default().differences(role(&user)).is_empty(),
            "{user:?}"
        );
        assert!(world.logs_in(&name, "pLaInTeXt").await);
    }
}

/// The ends are those of the CRD.
async fn the_ends_of_valid_until_are_kept_to_the_microsecond(world: &World) {
    let client = world.client(ADMINS[0]);
    for (number, date) in [
        "0001-01-01T00:01:00Z",
        "1969-12-31T23:59:59.999999Z",
        "2131-02-03T04:05:06.000007Z",
        "9999-12-30T22:00:00Z",
    ]
    .into_iter()
    .enumerate()
    {
        let options = RoleOptions {
            valid_until: Some(date.parse().unwrap()),
            ..RoleOptions::default()
        };
        let job = with(&format!("until_{number}"), options.clone());
        let user = client.create(&job, "pLaInTeXt").await.unwrap();
        assert_eq!(
            options.differences(role(&user)),
            Vec::<&str>::new(),
            "{date}: {user:?}"
        );
        assert_eq!(role(&user).valid_until, options.valid_until);
    }
}

async fn without_options_only_login_is_put_right(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let name = format!("login_only_{admin}");
        client.create(&job(&name), "pLaInTeXt").await.unwrap();
        world
            .server
            .sql(&format!("ALTER ROLE {name} NOLOGIN CREATEDB CONNECTION LIMIT 4"));
        let user = client.configure(&job(&name)).await.unwrap();
        let role = role(&user);
        assert!(role.login && role.create_database && role.connection_limit == 4);
    }
}

async fn whoever_gets_a_password_may_log_in_with_it(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let name = format!("locked_meanwhile_{admin}");
        client.create(&job(&name), "pLaInTeXt").await.unwrap();
        world.server.sql(&format!("ALTER ROLE {name} NOLOGIN"));
        client.set(&job(&name), "pLaInTeXt-2").await.unwrap();
        assert!(world.logs_in(&name, "pLaInTeXt-2").await, "{admin}");
    }
}

async fn only_our_own_grants_are_taken_back(world: &World) {
    // A superuser's grants are all superusers' since PostgreSQL 16.
    let client = world.client("clerk");
    let [ours, theirs] = make_groups(world, "clerk", "grants");
    let name = "granted_by_two";
    let job = with(
        name,
        RoleOptions {
            member_of: groups(std::slice::from_ref(&ours)),
            ..RoleOptions::default()
        },
    );
    client.create(&job, "pLaInTeXt").await.unwrap();
    world
        .server
        .sql(&format!("GRANT \"{}\" TO {name}", theirs.replace('"', "\"\"")));
    let user = client.get(name).await.unwrap();
    assert_eq!(role(&user).granted, groups(std::slice::from_ref(&ours)));
    assert_eq!(
        role(&user).granted_by_others,
        groups(std::slice::from_ref(&theirs))
    );
    let user = client
        .configure(&with(name, RoleOptions::default()))
        .await
        .unwrap();
    assert!(role(&user).granted.is_empty());
    assert_eq!(role(&user).granted_by_others, groups(&[theirs]));
}

/// A role that may give `{prefix}_readers`, which counts as granted by it since PostgreSQL 16; the clerk is a member of it.
fn make_dba(world: &World, prefix: &str) -> [String; 2] {
    let (readers, dba) = (format!("{prefix}_readers"), format!("{prefix}_dba"));
    world
        .server
        .sql(&format!("CREATE ROLE {readers}; CREATE ROLE {dba}"));
    world.server.sql(&format!(
        "GRANT {readers} TO {dba} WITH ADMIN OPTION; GRANT {dba} TO clerk"
    ));
    [readers, dba]
}

fn applied(role: &str, grantor: Option<&str>) -> Memberships {
    [(role.to_string(), grantor.map(str::to_string))].into()
}

async fn what_counts_as_granted_by_another_is_taken_back_and_inherits_as_asked(world: &World) {
    if !world.has_admin_option() {
        return;
    }
    let client = world.client("clerk");
    let [readers, dba] = make_dba(world, "indirect");
    let name = "indirectly";
    let asked = some(groups(std::slice::from_ref(&readers)));
    let made = client
        .create(&with(name, asked.clone()), "pLaInTeXt")
        .await
        .unwrap();
    assert_eq!(role(&made).just_granted, applied(&readers, Some(&dba)));
    // This one is a DBA's own.
    world.server.sql(&format!(
        "CREATE ROLE indirect_writers; GRANT indirect_writers TO {name}"
    ));
    let inherits = || {
        world.value(&format!(
            "SELECT inherit_option::text FROM pg_auth_members WHERE member = '{name}'::regrole AND roleid = '{readers}'::regrole"
        ))
    };
    for grantor in [Some(dba.as_str()), None] {
        let known = RoleOptions {
            applied: applied(&readers, grantor),
            ..asked.clone()
        };
        for inherit in [false, true] {
            let options = RoleOptions {
                inherit,
                ..known.clone()
            };
            client.configure(&with(name, options)).await.unwrap();
            assert_eq!(
                inherits().as_deref(),
                Some(if inherit { "true" } else { "false" })
            );
        }
        let none = RoleOptions {
            member_of: BTreeSet::new(),
            ..known
        };
        let found = client.configure(&with(name, none)).await.unwrap();
        assert_eq!(
            role(&found).granted_by_others,
            groups(&["indirect_writers".to_string()])
        );
        let again = client.configure(&with(name, asked.clone())).await.unwrap();
        assert_eq!(role(&again).just_granted, applied(&readers, Some(&dba)));
    }
}

async fn what_is_out_of_reach_is_named(world: &World) {
    if !world.has_admin_option() {
        return;
    }
    let client = world.client("clerk");
    let [readers, dba] = make_dba(world, "lost");
    let name = "out_of_reach";
    let asked = some(groups(std::slice::from_ref(&readers)));
    client.create(&with(name, asked), "pLaInTeXt").await.unwrap();
    world.server.sql(&format!("REVOKE {dba} FROM clerk"));
    let none = RoleOptions {
        applied: applied(&readers, Some(&dba)),
        ..RoleOptions::default()
    };
    let refused = client.configure(&with(name, none)).await;
    let error = assert_class(refused, ErrorClass::Invalid);
    assert_says(&error, &format!("counts as granted by {dba:?}"));
    assert_says(
        &error,
        &format!(r#"REVOKE "{readers}" FROM "{name}" GRANTED BY "{dba}""#),
    );
}

async fn a_membership_follows_the_roles_inherit(world: &World) {
    if !world.has_admin_option() {
        return;
    }
    for admin in ADMINS {
        let client = world.client(admin);
        let member_of = groups(&make_groups(world, admin, "inherit")[..1]);
        let name = format!("inherits_{admin}");
        let inherits = || {
            world.value(&format!(
                "SELECT string_agg(inherit_option::text, ' ') FROM pg_auth_members WHERE member = '{name}'::regrole"
            ))
        };
        for (inherit, option) in [(true, "true"), (false, "false"), (true, "true")] {
            let options = RoleOptions {
                member_of: member_of.clone(),
                inherit,
                ..RoleOptions::default()
            };
            let job = with(&name, options);
            if !world.exists(&name) {
                client.create(&job, "pLaInTeXt").await.unwrap();
            }
            client.configure(&job).await.unwrap();
            assert_eq!(inherits().as_deref(), Some(option));
        }
    }
}

/// A login that works and is no member is worth more than none.
async fn what_cannot_be_given_is_said(world: &World) {
    let client = world.client("clerk");
    world
        .server
        .sql("CREATE ROLE no_business_of_clerks; CREATE ROLE no_business_of_anyones SUPERUSER");
    let job = |options| with("not_given", options);
    let mut groups_and_words = vec![
        ("no_such_group", "does not exist"),
        ("no_business_of_anyones", "is a superuser"),
        ("not_given", "circle"),
    ];
    if world.has_admin_option() {
        groups_and_words.push(("no_business_of_clerks", "ADMIN OPTION"));
    }
    for (group, words) in groups_and_words {
        let options = RoleOptions {
            member_of: groups(&[group.to_string()]),
            ..RoleOptions::default()
        };
        let made = client.create(&job(options.clone()), "pLaInTeXt").await.unwrap();
        assert!(role(&made).granted.is_empty(), "{group}");
        assert!(world.logs_in("not_given", "pLaInTeXt").await);
        let configured = client.configure(&job(options)).await;
        assert_says(&assert_class(configured, ErrorClass::Invalid), words);
        client
            .delete(&with("not_given", RoleOptions::default()))
            .await
            .unwrap();
    }
}

/// Its password is nobody's business meanwhile.
async fn a_membership_that_was_refused_is_given_once_it_can_be(world: &World) {
    if !world.has_admin_option() {
        return;
    }
    let client = world.client("clerk");
    world.server.sql("CREATE ROLE given_later");
    let options = RoleOptions {
        member_of: groups(&["given_later".to_string()]),
        ..RoleOptions::default()
    };
    let job = with("waits_to_be_given", options.clone());
    let made = client.create(&job, "pLaInTeXt").await.unwrap();
    assert_eq!(options.differences(role(&made)), ["memberships"]);
    let refused = assert_class(client.configure(&job).await, ErrorClass::Invalid);
    assert_says(&refused, "ADMIN OPTION");
    world.server.sql("GRANT given_later TO clerk WITH ADMIN OPTION");
    let given = client.configure(&job).await.unwrap();
    assert!(options.differences(role(&given)).is_empty(), "{given:?}");
    assert!(world.logs_in("waits_to_be_given", "pLaInTeXt").await);
}

/// Whatever was known of it when it was asked for: it may have been made since.
async fn the_login_of_another_namespace_is_given_to_who_may_name_it(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let [theirs, beyond] = ["theirs", "beyond"].map(|what| format!("{what}_of_{admin}"));
        let job_of_theirs = Job {
            owner: "another".to_string(),
            ..job(&theirs)
        };
        client.create(&job_of_theirs, "pLaInTeXt").await.unwrap();
        world
            .server
            .sql(&format!("CREATE ROLE {beyond}; GRANT {theirs} TO {beyond}"));
        if admin == "clerk" {
            world
                .server
                .sql(&format!("GRANT {beyond} TO clerk WITH ADMIN OPTION"));
        }
        for group in [theirs, beyond] {
            let name = format!("wants_{group}");
            let options = RoleOptions {
                member_of: groups(std::slice::from_ref(&group)),
                ..RoleOptions::default()
            };
            let mut asks = with(&name, options.clone());
            let made = client.create(&asks, "pLaInTeXt").await.unwrap();
            assert!(role(&made).granted.is_empty(), "{group}");
            let refused = client.configure(&asks).await;
            assert_says(
                &assert_class(refused, ErrorClass::Invalid),
                "not of this namespace",
            );
            asks.settings.own = groups(&["another".to_string()]);
            let given = client.configure(&asks).await.unwrap();
            assert_eq!(role(&given).granted, options.member_of);
            client
                .configure(&with(&name, RoleOptions::default()))
                .await
                .unwrap();
            let named = RoleOptions {
                named: options.member_of.clone(),
                ..options
            };
            let given = client.configure(&with(&name, named.clone())).await.unwrap();
            assert_eq!(role(&given).granted, named.member_of);
        }
    }
}

async fn an_attribute_that_cannot_be_given_is_said(world: &World) {
    let client = world.client("clerk");
    let database = RoleOptions {
        create_database: true,
        ..RoleOptions::default()
    };
    let job = with("no_databases", database);
    if world.has_admin_option() {
        let made = client.create(&job, "pLaInTeXt").await;
        assert_says(&assert_class(made, ErrorClass::Invalid), "CREATEDB");
        world.server.sql("ALTER ROLE clerk CREATEDB");
        client.create(&job, "pLaInTeXt").await.unwrap();
        world.server.sql("ALTER ROLE clerk NOCREATEDB");
    } else {
        client.create(&job, "pLaInTeXt").await.unwrap();
    }
    assert!(!world.exists("not_there"));
}

fn parameters(all: &[(&str, &str)]) -> RoleOptions {
    RoleOptions {
        config: all
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect(),
        ..RoleOptions::default()
    }
}

async fn parameters_are_set_as_they_are_written(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let name = format!("parameters_by_{admin}");
        let options = parameters(&[
            ("search_path", "\"$user\", App, \"My Schema\""),
            ("statement_timeout", "5s"),
            ("timezone", "Europe/Vienna"),
            ("application_name", "it's \\ a \"shop\""),
        ]);
        let made = client
            .create(&with(&name, options.clone()), "pLaInTeXt")
            .await
            .unwrap();
        assert_eq!(options.differences(role(&made)), Vec::<&str>::new(), "{made:?}");
        let session = world.session(&name, "pLaInTeXt", "postgres").await;
        for (parameter, expected) in [
            ("search_path", "\"$user\", app, \"My Schema\""),
            ("statement_timeout", "5s"),
            ("timezone", "Europe/Vienna"),
            ("application_name", "it's \\ a \"shop\""),
        ] {
            let sql = format!("SELECT current_setting('{parameter}')");
            let row = session.query_one(&sql, &[]).await.unwrap();
            assert_eq!(row.get::<_, String>(0), expected, "{parameter}");
        }
    }
}

async fn only_parameters_that_were_asked_for_are_put_right_and_reset(world: &World) {
    for admin in ADMINS {
        let client = world.client(admin);
        let name = format!("put_right_parameters_by_{admin}");
        let options = parameters(&[("search_path", "app, public"), ("statement_timeout", "5s")]);
        let job = with(&name, options.clone());
        client.create(&job, "pLaInTeXt").await.unwrap();
        world.server.sql(&format!(
            "ALTER ROLE {name} SET work_mem TO '3MB'; ALTER ROLE {name} SET search_path TO elsewhere; \
             ALTER ROLE {name} RESET statement_timeout"
        ));
        let drifted = client.get(&name).await.unwrap();
        assert_eq!(options.differences(role(&drifted)), ["configuration parameters"]);
        let right = client.configure(&job).await.unwrap();
        assert_eq!(options.differences(role(&right)), Vec::<&str>::new(), "{right:?}");
        let fewer = RoleOptions {
            applied_config: options.config.keys().cloned().collect(),
            ..parameters(&[("statement_timeout", "5s")])
        };
        assert_eq!(fewer.differences(role(&right)), ["configuration parameters"]);
        let right = client.configure(&with(&name, fewer)).await.unwrap();
        let left: Vec<_> = role(&right).config.iter().collect();
        let expected = [("statement_timeout", "5s"), ("work_mem", "3MB")];
        let expected = expected.map(|(name, value)| (name.to_string(), value.to_string()));
        assert_eq!(
            left,
            expected
                .iter()
                .map(|(name, value)| (name, value))
                .collect::<Vec<_>>()
        );
    }
}

async fn a_parameter_that_cannot_be_set_is_named_and_costs_no_login(world: &World) {
    let client = world.client("clerk");
    for (number, (parameter, value, says)) in [
        ("nonsense_of_ours", "1", "does not know it"),
        ("statement_timeout", "tomorrow", "does not take that value"),
        ("log_statement", "all", "only a superuser"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("unset_{number}");
        let job = with(&name, parameters(&[(parameter, value), ("work_mem", "3MB")]));
        client.create(&job, "pLaInTeXt").await.unwrap();
        assert!(world.logs_in(&name, "pLaInTeXt").await);
        let refused = assert_class(client.configure(&job).await, ErrorClass::Invalid);
        assert_says(&refused, says);
        assert_says(&refused, &format!("the parameter \"{parameter}\""));
        assert!(!refused.detail.contains(value), "{}", refused.detail);
    }
}

/// As after pg_upgrade from PostgreSQL 15, where nobody has ADMIN OPTION for having made a role.
async fn a_login_without_admin_option_is_told_with_the_grant_that_gives_it(world: &World) {
    if !world.has_admin_option() {
        return;
    }
    let client = world.client("clerk");
    // In characters that print, so that it can be copied.
    let job = job("made by\u{202e}15");
    client.create(&job, "pLaInTeXt").await.unwrap();
    let grantor = world
        .value("SELECT rolname FROM pg_roles WHERE oid = 10")
        .unwrap();
    world.server.sql(&format!(
        "REVOKE ADMIN OPTION FOR \"{}\" FROM clerk GRANTED BY \"{grantor}\"",
        job.username
    ));
    let grant = "GRANT U&\"made by\\202e15\" TO \"clerk\" WITH ADMIN OPTION";
    for refused in [
        client.set(&job, "aNoThEr").await.map(drop),
        client.configure(&job).await.map(drop),
        client.delete(&job).await,
    ] {
        assert_says(&assert_class(refused, ErrorClass::Invalid), grant);
    }
    assert!(world.logs_in(&job.username, "pLaInTeXt").await);
    world.server.sql(grant);
    client.set(&job, "aNoThEr").await.unwrap();
    client.delete(&job).await.unwrap();
}
