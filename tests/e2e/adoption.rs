//! Users that were there before, and users that several want: nobody is robbed (I3).

use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{
    ADMIN, Handle, Operator, Options, Outcome, PATIENCE, Provider, SERVER, Vendor, World, trials,
    trials_everywhere,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    let everywhere = trials_everywhere!(environment;
        a_user_that_exists_is_refused,
        a_user_that_exists_is_adopted_where_the_spec_says_so,
        a_user_that_exists_is_adopted_once_the_spec_says_so,
        nobody_is_adopted_where_the_server_object_forbids_it,
        a_system_user_is_never_adopted,
        an_adopted_user_is_deleted_where_the_spec_says_so,
        what_was_there_before_its_object_stays_when_that_goes,
        a_refused_user_is_left_when_its_object_goes,
        two_objects_cannot_have_one_user,
        two_objects_that_come_at_once_cannot_have_one_user,
        a_user_goes_to_the_next_when_its_owner_goes,
        two_server_objects_do_not_make_two_users_of_one,
        a_conflict_does_not_name_another_namespace,
        a_cluster_server_allows_no_adoption_unless_it_says_so,
        a_secret_of_somebody_else_is_not_touched,
    );
    // Scalingo shows neither dates nor makers.
    let by_date_or_mark = [Provider::Ionos, Provider::Postgresql];
    let by_date_or_mark = by_date_or_mark.into_iter().flat_map(|provider| {
        trials!(environment, provider; a_user_that_was_made_again_by_somebody_else_is_left_to_them)
    });
    let once = trials!(environment;
        a_user_made_by_sql_is_adopted_like_any_other,
        a_cluster_server_serves_the_namespaces_that_it_selects,
        a_secret_of_another_user_is_not_touched,
        a_secret_that_somebody_put_in_the_place_of_ours_is_not_touched,
    );
    everywhere.chain(by_date_or_mark).chain(once).collect()
}

const PASSWORD: &str = "somebody-elses-password";

async fn is_untouched(world: &World, username: &str) -> Outcome {
    assert!(
        world.postgres().accepts(username, PASSWORD).await?,
        "{username} does not log in with the old password any more"
    );
    Ok(())
}

// -------------------------------------------------------------------------------------- users that were there before

async fn a_user_that_exists_is_refused(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    vendor.make("legacy", PASSWORD).await?;
    world.apply_user("legacy", SERVER).await?;
    let found = world.user_not_ready("legacy", "AlreadyExists").await?;
    assert!(
        found.message.contains("set spec.adoptionPolicy: Adopt"),
        "{}",
        found.message
    );
    world
        .user_is("legacy", "Stalled", "True", "AlreadyExists")
        .await?;
    world.quiet(&operator).await?;
    assert!(world.secret("legacy-postgres").await?.is_none());
    is_untouched(world, "legacy").await
}

async fn adopt(world: &World, name: &str) -> Outcome {
    world.apply_user_with(name, "adoptionPolicy: Adopt").await
}

async fn is_adopted(world: &World, username: &str) -> Outcome {
    world.user_ready(username).await?;
    world.login_of(username).await?;
    assert!(!world.postgres().accepts(username, PASSWORD).await?);
    let user = world.get("PostgresUser", username).await?.ok_or("no user")?;
    assert_eq!(user.data["status"]["remoteUsers"][0]["ownership"], "Adopted");
    Ok(())
}

async fn a_user_that_exists_is_adopted_where_the_spec_says_so(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    vendor.make("legacy", PASSWORD).await?;
    adopt(world, "legacy").await?;
    is_adopted(world, "legacy").await?;
    vendor.had("users.patch", 1).await
}

async fn a_user_that_exists_is_adopted_once_the_spec_says_so(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    vendor.make("legacy", PASSWORD).await?;
    world.apply_user("legacy", SERVER).await?;
    world.user_not_ready("legacy", "AlreadyExists").await?;
    adopt(world, "legacy").await?;
    is_adopted(world, "legacy").await
}

async fn a_user_made_by_sql_is_adopted_like_any_other(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    vendor.make_by_sql("legacy", PASSWORD).await?;
    world.apply_user("legacy", SERVER).await?;
    world.user_not_ready("legacy", "AlreadyExists").await?;
    adopt(world, "legacy").await?;
    is_adopted(world, "legacy").await
}

async fn nobody_is_adopted_where_the_server_object_forbids_it(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    world
        .apply_server_with(SERVER, &vendor, "allowAdoption: false")
        .await?;
    vendor.make("legacy", PASSWORD).await?;
    adopt(world, "legacy").await?;
    let found = world.user_not_ready("legacy", "AlreadyExists").await?;
    assert!(
        found
            .message
            .contains("does not allow adoption (spec.allowAdoption)"),
        "{}",
        found.message
    );
    world.quiet(&operator).await?;
    is_untouched(world, "legacy").await?;
    world.apply_server(SERVER, &vendor).await?;
    is_adopted(world, "legacy").await
}

/// Of the vendor; and who may do more than the operator, or as much.
async fn a_system_user_is_never_adopted(world: &World) -> Outcome {
    let switches = ["reserved-names=postgres,admin,standby,backup-agent"];
    let (vendor, operator) = world.set_up(&switches).await?;
    let mut protected = vec!["backup-agent"];
    if world.provider() == Provider::Postgresql {
        protected.push(ADMIN);
        let sql = "create role \"backup-agent\" login superuser";
        world.postgres().sql(sql).await?;
    }
    let before = world.roles_as_they_are().await?;
    for (number, username) in protected.iter().enumerate() {
        let name = format!("user-{number}");
        let more = format!("username: {username}\n  adoptionPolicy: Adopt");
        world.apply_user_with(&name, &more).await?;
        let found = world.user_not_ready(&name, "AlreadyExists").await?;
        assert!(found.message.contains("system user"), "{}", found.message);
        world.quiet(&operator).await?;
        world.delete("PostgresUser", &name).await?;
        world.gone("PostgresUser", &name, PATIENCE).await?;
    }
    assert_eq!(world.roles_as_they_are().await?, before);
    vendor.had("users.patch", 0).await?;
    vendor.had("users.delete", 0).await
}

async fn what_was_there_before_its_object_stays_when_that_goes(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    vendor.make("legacy", PASSWORD).await?;
    adopt(world, "legacy").await?;
    is_adopted(world, "legacy").await?;
    let secret = world
        .get("v1/Secret", "legacy-postgres")
        .await?
        .ok_or("no Secret")?;
    assert_eq!(secret.metadata.owner_references.unwrap_or_default(), []);
    world.delete("PostgresUser", "legacy").await?;
    world.gone("PostgresUser", "legacy", PATIENCE).await?;
    world.login_of("legacy").await?;
    vendor.had("users.delete", 0).await
}

async fn an_adopted_user_is_deleted_where_the_spec_says_so(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    vendor.make("legacy", PASSWORD).await?;
    world
        .apply_user_with("legacy", "adoptionPolicy: Adopt\n  deletionPolicy: Delete")
        .await?;
    is_adopted(world, "legacy").await?;
    world.delete("PostgresUser", "legacy").await?;
    world.gone("PostgresUser", "legacy", PATIENCE).await?;
    assert!(!world.postgres().has_role("legacy").await?);
    Ok(())
}

async fn a_refused_user_is_left_when_its_object_goes(world: &World) -> Outcome {
    let (vendor, _operator) = world.set_up(&[]).await?;
    vendor.make("legacy", PASSWORD).await?;
    world.apply_user("legacy", SERVER).await?;
    world.user_not_ready("legacy", "AlreadyExists").await?;
    world.delete("PostgresUser", "legacy").await?;
    world.gone("PostgresUser", "legacy", PATIENCE).await?;
    is_untouched(world, "legacy").await?;
    vendor.had("users.delete", 0).await?;
    // Nothing is left of its wish either.
    world
        .apply_user_with("heir", "username: legacy\n  adoptionPolicy: Adopt")
        .await?;
    world.user_ready("heir").await?;
    world.login_of("heir").await
}

async fn a_user_that_was_made_again_by_somebody_else_is_left_to_them(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    vendor.make_again("checkout", PASSWORD).await?;
    let found = world.user_not_ready("checkout", "Conflict").await?;
    assert!(
        found.message.contains("made again by somebody else"),
        "{}",
        found.message
    );
    world.quiet(&operator).await?;
    is_untouched(world, "checkout").await?;
    world.delete("PostgresUser", "checkout").await?;
    world.gone("PostgresUser", "checkout", PATIENCE).await?;
    is_untouched(world, "checkout").await
}

// ------------------------------------------------------------------------------------------- users that several want

async fn two_objects_cannot_have_one_user(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    world.apply_user_with("first", "username: shared").await?;
    world.user_ready("first").await?;
    let password = world.password_of("first").await?;
    world
        .apply_user_with("second", "username: shared\n  adoptionPolicy: Adopt")
        .await?;
    let found = world.user_not_ready("second", "Conflict").await?;
    assert!(found.message.contains("PostgresUser first"), "{}", found.message);
    world.quiet(&operator).await?;
    assert!(world.secret("second-postgres").await?.is_none());

    world.delete("PostgresUser", "second").await?;
    world.gone("PostgresUser", "second", PATIENCE).await?;
    world.login_of("first").await?;
    assert_eq!(world.password_of("first").await?, password);
    vendor.had("users.patch", 0).await?;
    vendor.had("users.delete", 0).await
}

async fn two_objects_that_come_at_once_cannot_have_one_user(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    tokio::try_join!(
        world.apply_user_with("first", "username: shared"),
        world.apply_user_with("second", "username: shared"),
    )?;
    let (winner, loser) = tokio::select! {
        ready = world.user_ready("first") => { ready?; ("first", "second") }
        ready = world.user_ready("second") => { ready?; ("second", "first") }
    };
    world.user_not_ready(loser, "Conflict").await?;
    world.quiet(&operator).await?;
    world.login_of(winner).await?;
    assert!(world.secret(&format!("{loser}-postgres")).await?.is_none());
    vendor.had("users.create", 1).await?;
    vendor.had("users.patch", 0).await
}

async fn a_user_goes_to_the_next_when_its_owner_goes(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    world.apply_user_with("first", "username: shared").await?;
    world.user_ready("first").await?;
    world.apply_user_with("second", "username: shared").await?;
    world.user_not_ready("second", "Conflict").await?;
    world.delete("PostgresUser", "first").await?;
    world.gone("PostgresUser", "first", PATIENCE).await?;
    world.user_ready("second").await?;
    world.login_of("second").await
}

async fn two_server_objects_do_not_make_two_users_of_one(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    world.apply_server("same", &vendor).await?;
    world.apply_user_with("first", "username: shared").await?;
    world.user_ready("first").await?;
    let more = "username: shared\n  adoptionPolicy: Adopt";
    world
        .apply(&crate::support::user_manifest("second", "same", more))
        .await?;
    world.user_not_ready("second", "Conflict").await?;
    world.quiet(&operator).await?;
    world.delete("PostgresUser", "second").await?;
    world.gone("PostgresUser", "second", PATIENCE).await?;
    world.login_of("first").await?;
    vendor.had("users.patch", 0).await?;
    vendor.had("users.delete", 0).await
}

// -------------------------------------------------------------------------------------------------- cluster servers

/// A vendor, an operator that looks after this test's cluster servers, and another namespace.
pub async fn two_namespaces(world: &World) -> Outcome<(Vendor, Operator, String)> {
    let other = format!("{}-other", world.namespace());
    world.create_namespace(&other).await?;
    let options = Options::default().with_cluster_servers(world, &other);
    let vendor = world.start_vendor(&[]).await?;
    let operator = world.start_operator(options).await?;
    Ok((vendor, operator, other))
}

/// Applies a PostgresUser of the ClusterPostgresServer in a namespace.
pub async fn user_of_cluster_server(world: &World, namespace: &str, name: &str, more: &str) -> Outcome {
    let server = world.namespace();
    world
        .apply(&format!(
            "
apiVersion: pguser.dev/v1alpha1
kind: PostgresUser
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  serverRef: {{kind: ClusterPostgresServer, name: {server}}}
  {more}
"
        ))
        .await
}

async fn a_conflict_does_not_name_another_namespace(world: &World) -> Outcome {
    let (vendor, _operator, other) = two_namespaces(world).await?;
    world
        .apply_cluster_server(&vendor, "namespaceSelector: {}\n  allowAdoption: true")
        .await?;
    user_of_cluster_server(world, world.namespace(), "first", "username: shared").await?;
    world.user_ready("first").await?;
    user_of_cluster_server(
        world,
        &other,
        "second",
        "username: shared\n  adoptionPolicy: Adopt",
    )
    .await?;
    let message = world.user_in(&other, "second", "False", "Conflict").await?;
    assert!(
        message.contains("a PostgresUser of another namespace") && !message.contains("first"),
        "{message}"
    );
    world
        .api_in(&other, "PostgresUser")
        .delete("second", &Default::default())
        .await?;
    world.login_of("first").await?;
    vendor.had("users.delete", 0).await?;
    vendor.had("users.patch", 0).await
}

async fn a_cluster_server_serves_the_namespaces_that_it_selects(world: &World) -> Outcome {
    let (vendor, _operator, other) = two_namespaces(world).await?;
    let ours = format!(
        "namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {}}}}}",
        world.namespace()
    );
    world.apply_cluster_server(&vendor, &ours).await?;
    user_of_cluster_server(world, world.namespace(), "checkout", "").await?;
    user_of_cluster_server(world, &other, "stranger", "").await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await?;
    let message = world
        .user_in(&other, "stranger", "False", "ServerNotFound")
        .await?;
    assert!(message.contains("there is no ClusterPostgresServer"), "{message}");

    // By its label the other namespace is let in, and out again, which stops everything but deletion.
    world
        .apply_cluster_server(
            &vendor,
            "namespaceSelector: {matchLabels: {pguser-tenant: 'yes'}}",
        )
        .await?;
    let label = |value: serde_json::Value| json!({"metadata": {"labels": {"pguser-tenant": value}}});
    world.merge("v1/Namespace", &other, label(json!("yes"))).await?;
    world.user_in(&other, "stranger", "True", "Published").await?;
    world.merge("v1/Namespace", &other, label(json!(null))).await?;
    world
        .api_in(&other, "PostgresUser")
        .delete("stranger", &Default::default())
        .await?;
    crate::support::eventually("the end of the stranger's role", PATIENCE, async || {
        match world.postgres().has_role("stranger").await? {
            false => Ok(()),
            true => Err("it is there".into()),
        }
    })
    .await
}

async fn a_cluster_server_allows_no_adoption_unless_it_says_so(world: &World) -> Outcome {
    let (vendor, _operator, other) = two_namespaces(world).await?;
    vendor.make("legacy", PASSWORD).await?;
    world
        .apply_cluster_server(&vendor, "namespaceSelector: {}")
        .await?;
    user_of_cluster_server(world, &other, "legacy", "adoptionPolicy: Adopt").await?;
    world.user_in(&other, "legacy", "False", "AlreadyExists").await?;
    is_untouched(world, "legacy").await?;
    world
        .apply_cluster_server(&vendor, "namespaceSelector: {}\n  allowAdoption: true")
        .await?;
    world.user_in(&other, "legacy", "True", "Published").await?;
    Ok(())
}

// --------------------------------------------------------------------------------------------------- foreign Secrets

async fn a_secret_of_somebody_else_is_not_touched(world: &World) -> Outcome {
    let (vendor, operator) = world.set_up(&[]).await?;
    let theirs =
        "{apiVersion: v1, kind: Secret, metadata: {name: checkout-postgres}, stringData: {mine: untouched}}";
    world.apply(theirs).await?;
    let before = world.get("v1/Secret", "checkout-postgres").await?;
    world.apply_user("checkout", SERVER).await?;
    let found = world.user_not_ready("checkout", "SecretConflict").await?;
    assert!(
        found.message.contains("not made by this operator"),
        "{}",
        found.message
    );
    world.quiet(&operator).await?;
    assert_eq!(world.get("v1/Secret", "checkout-postgres").await?, before);
    vendor.had("users.create", 0).await?;

    world.delete("v1/Secret", "checkout-postgres").await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await
}

async fn a_secret_of_another_user_is_not_touched(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    world.apply_user_with("first", "secret: {name: db}").await?;
    world.user_ready("first").await?;
    let before = world.get("v1/Secret", "db").await?;
    world.apply_user_with("second", "secret: {name: db}").await?;
    let found = world.user_not_ready("second", "SecretConflict").await?;
    assert!(found.message.contains("/first"), "{}", found.message);
    world.delete("PostgresUser", "second").await?;
    world.gone("PostgresUser", "second", PATIENCE).await?;
    assert_eq!(world.get("v1/Secret", "db").await?, before);
    assert!(!world.postgres().has_role("second").await?);
    world.login_with_secret("db").await.map(drop)
}

async fn a_secret_that_somebody_put_in_the_place_of_ours_is_not_touched(world: &World) -> Outcome {
    let (_simulator, operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    world.quiet(&operator).await?;
    world.apply_user_with("checkout", "suspend: true").await?;
    world.user_is("checkout", "Ready", "True", "Suspended").await?;
    world.delete("v1/Secret", "checkout-postgres").await?;
    world
        .apply("{apiVersion: v1, kind: Secret, metadata: {name: checkout-postgres}, stringData: {mine: untouched}}")
        .await?;
    world.apply_user_with("checkout", "suspend: false").await?;
    world.user_not_ready("checkout", "SecretConflict").await?;
    let theirs = world.secret("checkout-postgres").await?.unwrap_or_default();
    assert_eq!(theirs.keys().collect::<Vec<_>>(), ["mine"]);

    world.delete("v1/Secret", "checkout-postgres").await?;
    world.user_ready("checkout").await?;
    world.login_of("checkout").await?;
    assert_ne!(world.password_of("checkout").await?, password);
    Ok(())
}
