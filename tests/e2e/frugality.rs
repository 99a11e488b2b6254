//! What the operator costs: the vendor's API and Kubernetes are asked as little as can be (I7).

use std::{
    collections::HashMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use kube::{Api, api::ListParams};
use libtest_mimic::Trial;

use crate::support::{
    AuditEvent, Handle, Operator, Options, Outcome, SERVER, Simulator, Tally, Vendor, World, eventually,
    pause, trials,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        two_hundred_users_cost_a_request_each_and_then_nothing_but_lists,
        three_hundred_users_cost_as_little_as_the_flags_that_are_shipped_promise,
        ten_refreshes_of_thousands_of_users_write_nothing,
        one_user_is_not_starved_by_a_hundred_of_another_namespace,
    )
}

const USERS: u64 = 200;

/// Longer than two hundred users take, on a busy machine.
const LONG: Duration = Duration::from_secs(150);

fn options() -> Options {
    Options::default().leader_elect()
}

/// A server that may be asked as often as it takes.
async fn server(world: &World, simulator: &Vendor) -> Outcome {
    world
        .apply_server_with(SERVER, simulator, "limits: {requestsPerMinute: 6000}")
        .await
}

fn users(from: u64, to: u64) -> String {
    (from..to).fold(String::new(), |mut text, number| {
        let _ = write!(
            text,
            "---\napiVersion: pguser.dev/v1alpha1\nkind: PostgresUser\nmetadata: {{name: user-{number}}}\nspec: \
             {{serverRef: {{name: {SERVER}}}}}\n"
        );
        text
    })
}

async fn all_ready(world: &World, namespace: &str, count: usize) -> Outcome {
    let resource = kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(
        "pguser.dev",
        "v1alpha1",
        "PostgresUser",
    ));
    let api: Api<kube::api::DynamicObject> =
        Api::namespaced_with(world.client().clone(), namespace, &resource);
    eventually(&format!("{count} users to be ready"), LONG, async || {
        let all = api.list(&ListParams::default()).await?;
        let ready = all.iter().filter(|user| {
            let conditions = user.data["status"]["conditions"].as_array();
            conditions
                .into_iter()
                .flatten()
                .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        });
        match ready.count() {
            ready if ready == count => Ok(()),
            ready => {
                tokio::time::sleep(Duration::from_millis(500)).await;
                Err(format!("{ready} are").into())
            }
        }
    })
    .await
}

type Counts = HashMap<&'static str, u64>;

const ROUTES: [&str; 6] = [
    "users.create",
    "users.list",
    "users.get",
    "users.patch",
    "users.delete",
    "cluster.get",
];

async fn counts(simulator: &Simulator) -> Outcome<Counts> {
    let counts = simulator.counts().await?;
    let of = |route: &'static str| (route, counts[route]["requests"].as_u64().unwrap_or(0));
    Ok(ROUTES.into_iter().map(of).collect())
}

fn more(after: &Counts, before: &Counts) -> Counts {
    ROUTES
        .into_iter()
        .map(|route| (route, after[route] - before[route]))
        .collect()
}

async fn two_hundred_users_cost_a_request_each_and_then_nothing_but_lists(world: &World) -> Outcome {
    let simulator = world.start_vendor(&["busy-ms=30"]).await?;
    let mut operator = world.start_operator(options()).await?;
    server(world, &simulator).await?;
    world.wait_for("PostgresServer", SERVER, "Ready", "True").await?;
    let (mark, before, started) = (world.mark()?, counts(&simulator).await?, Instant::now());
    world.apply(&users(0, USERS)).await?;
    all_ready(world, world.namespace(), usize::try_from(USERS)?).await?;
    let elapsed = started.elapsed();
    let creation = more(&counts(&simulator).await?, &before);
    println!("{USERS} users were ready after {elapsed:?}, for {creation:?}");
    let writes = world.writes_since(mark, &operator)?;
    println!("and for these writes to Kubernetes:\n{}", Tally::of(&writes));
    assert_eq!(creation["users.create"], USERS);
    assert_eq!(
        (
            creation["users.get"],
            creation["users.patch"],
            creation["users.delete"]
        ),
        (0, 0, 0)
    );
    let seconds = elapsed.as_secs();
    // Refreshes, of every second, and those that confirm.
    assert!(
        creation["users.list"] <= 2 * USERS.div_ceil(100) * (seconds + 5),
        "{creation:?}"
    );
    // A cluster that turns BUSY with every change is looked at until it is not any more: three times, if that takes 30 ms.
    assert!(
        creation["cluster.get"] <= 6 * USERS + seconds + 10,
        "{creation:?}"
    );
    world.journal_empty().await?;
    nothing_to_do_costs_lists_alone(world, &simulator, &operator).await?;
    a_restart_reads_and_writes_nothing(world, &simulator, &mut operator).await
}

async fn nothing_to_do_costs_lists_alone(
    world: &World,
    simulator: &Simulator,
    operator: &Operator,
) -> Outcome {
    pause(3000).await;
    let (mark, before) = (world.mark()?, counts(simulator).await?);
    let pages = USERS.div_ceil(100);
    world
        .requested(simulator, "users.list", before["users.list"] + 10 * pages)
        .await?;
    let cost = more(&counts(simulator).await?, &before);
    let writes = world.writes_since(mark, operator)?;
    println!(
        "ten refreshes of {USERS} users cost {cost:?}, and {} writes",
        writes.len()
    );
    assert!(cost["users.list"] <= 11 * pages, "{cost:?}");
    for route in ["users.create", "users.get", "users.patch", "users.delete"] {
        assert_eq!(cost[route], 0, "{route}: {cost:?}");
    }
    assert!(writes.is_empty(), "{}", Tally::of(&writes));
    Ok(())
}

async fn a_restart_reads_and_writes_nothing(
    world: &World,
    simulator: &Simulator,
    operator: &mut Operator,
) -> Outcome {
    let status = operator.terminate().await?;
    assert!(status.success(), "{status}");
    let (mark, before) = (world.mark()?, counts(simulator).await?);
    operator.start()?;
    operator.ready().await?;
    world
        .requested(simulator, "users.list", before["users.list"] + 6)
        .await?;
    let seen = world.audit()?.since(mark, operator.user())?;
    println!(
        "a restart with {USERS} users cost these requests of Kubernetes:\n{}",
        Tally::of(&seen)
    );
    println!("and of the vendor {:?}", more(&counts(simulator).await?, &before));
    let output = |event: &&AuditEvent| event.resource == "secrets" && event.name.ends_with("-postgres");
    assert_eq!(
        seen.iter().filter(output).count(),
        0,
        "it reads Secrets that it has published"
    );
    let mut writes = world.writes_since(mark, operator)?;
    // In its own namespace there is what it takes to lead: journals, and a copy of credentials that an earlier run may
    // have left is removed.
    writes.retain(|event| event.namespace == world.namespace());
    assert!(writes.is_empty(), "{}", Tally::of(&writes));
    Ok(())
}

/// Calls and writes for each user who is made and deleted again, on the flags that are shipped.
async fn three_hundred_users_cost_as_little_as_the_flags_that_are_shipped_promise(world: &World) -> Outcome {
    const COUNT: u64 = 300;
    let simulator = world.start_vendor(&[]).await?;
    let operator = world.start_operator(Options::as_shipped().leader_elect()).await?;
    world
        .apply_server_with(SERVER, &simulator, "limits: {requestsPerMinute: 60000}")
        .await?;
    world.wait_for("PostgresServer", SERVER, "Ready", "True").await?;
    let (mark, before, started) = (world.mark()?, counts(&simulator).await?, Instant::now());
    world.apply(&users(0, COUNT)).await?;
    all_ready(world, world.namespace(), usize::try_from(COUNT)?).await?;
    // What a change still has to settle counts as well.
    pause(7000).await;
    // Claim, Secret, status, Event.
    cost_at_most(
        world,
        &simulator,
        &operator,
        (mark, &before, started),
        COUNT,
        (4, 1),
        "made",
    )
    .await?;
    let (mark, before, started) = (world.mark()?, counts(&simulator).await?, Instant::now());
    world
        .kubectl(&["delete", "pguser", "--all", "--wait=true", "--timeout=120s"])
        .await?;
    world.journal_empty().await?;
    cost_at_most(
        world,
        &simulator,
        &operator,
        (mark, &before, started),
        COUNT,
        // The Secret's end, Event, finalizer.
        (3, 0),
        "deleted",
    )
    .await
}

/// Besides `each` write for a user, three in ten may be made twice (somebody else was faster, Events that say the same). What
/// lasts longer than two seconds, as it may on a busy machine, is one status (beyond `statuses`) and one Event more. Journal
/// writes are made together, a tenth of a second apart, so there are the fewer of them the faster it goes.
async fn cost_at_most(
    world: &World,
    simulator: &Simulator,
    operator: &Operator,
    (mark, before, started): (crate::support::Mark, &Counts, Instant),
    users: u64,
    (each, statuses): (u64, u64),
    what: &str,
) -> Outcome {
    let cost = more(&counts(simulator).await?, before);
    let mut writes = world.audit()?.since(mark, operator.user())?;
    writes.retain(|event| event.is_write() && event.resource != "leases");
    println!(
        "{users} users were {what} for {cost:?} and\n{}",
        Tally::of(&writes)
    );
    // Looks at the cluster are a third of a second apart: how many there are is a matter of how long it takes.
    let calls = cost.values().sum::<u64>() - cost["cluster.get"];
    assert!(10 * calls <= 11 * users, "{calls} calls: {cost:?}");
    let most = users / 10 + 4 * started.elapsed().as_secs();
    assert!(cost["cluster.get"] <= most, "{cost:?}");
    let count = |of: &dyn Fn(&&AuditEvent) -> bool| writes.iter().filter(of).count() as u64;
    let journal =
        count(&|event| event.resource == "secrets" && event.namespace == world.operator_namespace());
    let status = count(&|event| event.resource == "postgresusers/status");
    let lasting = status.saturating_sub(statuses * users);
    let servers = count(&|event| event.resource == "postgresservers/status");
    let others = writes.len() as u64 - journal - servers - 2 * lasting;
    assert!(
        10 * others <= (10 * each + 3) * users,
        "{others} writes:\n{}",
        Tally::of(&writes)
    );
    let most = users / 3 + 11 * started.elapsed().as_secs();
    assert!(journal <= most, "{journal} writes of the journal, at most {most}");
    Ok(())
}

/// A list of thousands of users that is read again and again says nothing new, and nothing is written.
async fn ten_refreshes_of_thousands_of_users_write_nothing(world: &World) -> Outcome {
    const FOREIGN: u64 = 2500;
    let simulator = world.start_vendor(&[]).await?;
    let roles = format!(
        "do $$ begin for n in 1..{FOREIGN} loop execute format('create role foreign_%s login', n); end loop; end $$"
    );
    world.postgres().sql(&roles).await?;
    let operator = world.start_operator(options()).await?;
    server(world, &simulator).await?;
    world.apply(&users(0, 20)).await?;
    all_ready(world, world.namespace(), 20).await?;
    world.journal_empty().await?;
    pause(3000).await;
    let (mark, before) = (world.mark()?, simulator.requests("users.list").await?);
    let pages = (FOREIGN + 20).div_ceil(1000);
    world
        .requested(&simulator, "users.list", before + 10 * pages)
        .await?;
    let writes = world.writes_since(mark, &operator)?;
    assert!(writes.is_empty(), "{}", Tally::of(&writes));
    Ok(())
}

/// Namespaces take turns: see the two as tenants of one server.
async fn one_user_is_not_starved_by_a_hundred_of_another_namespace(world: &World) -> Outcome {
    let crowd = format!("{}-crowd", world.namespace());
    world.create_namespace(&crowd).await?;
    let simulator = world.start_vendor(&["busy-ms=100"]).await?;
    let options = Options::quick().with_cluster_servers(world, &crowd);
    let _operator = world.start_operator(options).await?;
    let name = world.namespace();
    let more = "limits: {requestsPerMinute: 6000}\n  namespaceSelector: {}";
    world.apply_cluster_server(&simulator, more).await?;
    let user = |namespace: &str, user: &str| {
        format!(
            "---\napiVersion: pguser.dev/v1alpha1\nkind: PostgresUser\nmetadata: {{name: {user}, namespace: \
             {namespace}}}\nspec:\n  serverRef: {{kind: ClusterPostgresServer, name: {name}}}\n"
        )
    };
    let hundred: String = (0..100)
        .map(|number| user(&crowd, &format!("crowd-{number}")))
        .collect();
    world.apply(&hundred).await?;
    let before = simulator.requests("users.create").await?;
    world.apply(&user(world.namespace(), "single")).await?;
    world.user_ready("single").await?;
    let meanwhile = simulator.requests("users.create").await? - before;
    println!("while the single user was made, {meanwhile} requests to create were sent, of 100 waiting");
    let order: Vec<String> = simulator
        .journal()
        .await?
        .iter()
        .filter(|entry| entry["route"] == "users.create")
        .map(|entry| entry["username"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert!(order.contains(&"single".to_owned()));
    assert!(meanwhile < 20, "it waited for {meanwhile} others");
    Ok(())
}
