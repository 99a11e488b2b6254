//! Who may do what with the shipped roles. That the operator can do all of its work with them is shown by every
//! other test, as none has others.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::{Api, api::PostParams};
use libtest_mimic::Trial;

use crate::support::{Handle, Options, Outcome, PATIENCE, World, eventually, trials};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        a_viewer_sees_users_and_servers_and_changes_nothing,
        an_editor_asks_for_logins_and_does_not_touch_servers,
        an_administrator_of_a_namespace_connects_it_to_servers,
        the_operator_may_do_nothing_that_it_does_not_need,
        the_operator_works_under_the_shipped_policy,
    )
}

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// Whether a user may, in the world's namespace.
async fn may(world: &World, user: &str, verb: &str, resource: &str) -> Outcome<bool> {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (resource, None),
    };
    let group = match resource {
        "secrets" | "configmaps" | "pods" | "namespaces" | "serviceaccounts" => "",
        "roles" | "rolebindings" | "clusterroles" | "clusterrolebindings" => "rbac.authorization.k8s.io",
        "leases" => "coordination.k8s.io",
        _ => "pguser.dev",
    };
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            resource_attributes: Some(ResourceAttributes {
                group: Some(group.to_owned()),
                namespace: Some(world.namespace().to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(world.client().clone());
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// A user with one of Kubernetes's own roles in the world's namespace, to which ours are aggregated.
async fn tenant(world: &World, role: &str) -> Outcome<String> {
    // Grants the shipped roles, among them those that are aggregated.
    world.operator(Options::default()).await?;
    let user = format!("{}-{role}", world.namespace());
    world
        .apply(&format!(
            "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {role}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {user}}}]
"
        ))
        .await?;
    eventually("the roles to be aggregated", PATIENCE, async || {
        match may(world, &user, "get", "postgresusers").await? {
            true => Ok(()),
            false => Err("not yet".into()),
        }
    })
    .await?;
    Ok(user)
}

async fn check(world: &World, user: &str, resource: &str, verbs: &[&str], expected: bool) -> Outcome {
    for verb in verbs {
        let allowed = may(world, user, verb, resource).await?;
        assert_eq!(allowed, expected, "{user}: {verb} {resource}");
    }
    Ok(())
}

async fn a_viewer_sees_users_and_servers_and_changes_nothing(world: &World) -> Outcome {
    let user = tenant(world, "view").await?;
    for resource in ["postgresusers", "postgresservers"] {
        check(world, &user, resource, &READ, true).await?;
        check(world, &user, resource, &WRITE, false).await?;
    }
    check(world, &user, "secrets", &READ, false).await
}

async fn an_editor_asks_for_logins_and_does_not_touch_servers(world: &World) -> Outcome {
    let user = tenant(world, "edit").await?;
    check(world, &user, "postgresusers", &READ, true).await?;
    check(world, &user, "postgresusers", &WRITE, true).await?;
    check(world, &user, "postgresservers", &READ, true).await?;
    for resource in [
        "postgresservers",
        "clusterpostgresservers",
        "postgresusers/status",
    ] {
        check(world, &user, resource, &WRITE, false).await?;
    }
    Ok(())
}

async fn an_administrator_of_a_namespace_connects_it_to_servers(world: &World) -> Outcome {
    let user = tenant(world, "admin").await?;
    for resource in ["postgresusers", "postgresservers"] {
        check(world, &user, resource, &READ, true).await?;
        check(world, &user, resource, &WRITE, true).await?;
    }
    for resource in [
        "clusterpostgresservers",
        "postgresusers/status",
        "postgresservers/status",
    ] {
        check(world, &user, resource, &WRITE, false).await?;
    }
    Ok(())
}

async fn the_operator_may_do_nothing_that_it_does_not_need(world: &World) -> Outcome {
    let operator = world.operator(Options::default()).await?;
    let user = operator.user().to_owned();
    check(
        world,
        &user,
        "postgresusers",
        &["get", "list", "watch", "patch"],
        true,
    )
    .await?;
    check(
        world,
        &user,
        "postgresusers",
        &["create", "delete", "deletecollection"],
        false,
    )
    .await?;
    check(world, &user, "postgresservers", &["create", "delete"], false).await?;
    for resource in [
        "pods",
        "leases",
        "serviceaccounts",
        "roles",
        "rolebindings",
        "clusterroles",
    ] {
        check(world, &user, resource, &READ, false).await?;
        check(world, &user, resource, &WRITE, false).await?;
    }
    // To be told when one changes that a server object names: a watch of one name is a watch all the same.
    check(world, &user, "configmaps", &READ, true).await?;
    check(world, &user, "configmaps", &WRITE, false).await?;
    check(world, &user, "namespaces", &WRITE, false).await?;
    check(world, &user, "secrets", &["deletecollection"], false).await
}

/// What the policy allows and refuses is tested with the chart; here, that it holds the operators of these tests.
async fn the_operator_works_under_the_shipped_policy(world: &World) -> Outcome {
    let operator = world.operator(Options::default()).await?;
    let user = operator.user();
    let create = [
        "create",
        "secret",
        "generic",
        "foreign",
        "--dry-run=server",
        "--as",
        user,
    ];
    let words = format!("{user} may not write the Secret {}/foreign", world.namespace());
    eventually("the policy to be in force", PATIENCE, async || {
        match world.kubectl(&create).await {
            Err(error) if error.to_string().contains(&words) => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    })
    .await
}
