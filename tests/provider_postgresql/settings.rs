//! Attributes and memberships.

use std::collections::BTreeSet;

use pguser_operator::domain::role::{RoleOptions, RoleSettings};
use pguser_operator::provider::ErrorClass;

use crate::support::{ADMINS, Job, World, assert_class, assert_says, job, role, tests};

tests! {
    a_user_is_made_with_its_settings,
    what_somebody_changed_is_put_right,
    for_ever_is_infinity_and_read_as_such,
    the_ends_of_valid_until_are_kept_to_the_microsecond,
    without_options_only_login_is_put_right,
    only_our_own_grants_are_taken_back,
    a_membership_follows_the_roles_inherit,
    what_cannot_be_given_is_said,
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
        assert_eq!(role(&unchanged), role(&user));
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

async fn what_cannot_be_given_is_said(world: &World) {
    let client = world.client("clerk");
    world
        .server
        .sql("CREATE ROLE no_business_of_clerks; CREATE ROLE no_business_of_anyones SUPERUSER");
    let member = |group: &str| RoleOptions {
        member_of: groups(&[group.to_string()]),
        ..RoleOptions::default()
    };
    let job = |options| with("not_given", options);
    let made = client.create(&job(member("no_such_group")), "pLaInTeXt").await;
    assert_says(&assert_class(made, ErrorClass::Invalid), "does not exist");
    let made = client
        .create(&job(member("no_business_of_anyones")), "pLaInTeXt")
        .await;
    assert_says(&assert_class(made, ErrorClass::Invalid), "is a superuser");
    let itself = client.create(&job(member("not_given")), "pLaInTeXt").await;
    assert_says(&assert_class(itself, ErrorClass::Invalid), "circle");
    let made = client
        .create(&job(member("no_business_of_clerks")), "pLaInTeXt")
        .await;
    let database = RoleOptions {
        create_database: true,
        ..RoleOptions::default()
    };
    if world.has_admin_option() {
        assert_says(&assert_class(made, ErrorClass::Invalid), "ADMIN OPTION");
        assert!(!world.exists("not_given"));
        let made = client.create(&job(database.clone()), "pLaInTeXt").await;
        assert_says(&assert_class(made, ErrorClass::Invalid), "CREATEDB");
        world.server.sql("ALTER ROLE clerk CREATEDB");
        client.create(&job(database), "pLaInTeXt").await.unwrap();
        world.server.sql("ALTER ROLE clerk NOCREATEDB");
    } else {
        made.unwrap();
        client.configure(&job(database)).await.unwrap();
    }
    assert!(!world.exists("not_there"));
}
