//! `kubectl pguser`, as a person runs it: with the rights of the shipped roles and no others.

use kube::ResourceExt as _;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::support::{
    Fate, Handle, Options, Outcome, PATIENCE, Person, SERVER, Scene, World, eventually, pause, trials,
    trials_everywhere, user_manifest,
};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    let everywhere = trials_everywhere!(environment;
        adopt_takes_over_a_login_that_exists,
        release_keeps_login_and_secret,
        orphans_are_listed_with_their_kind,
    );
    let once = trials!(environment;
        status_tells_who_is_ready_and_what_to_do,
        a_missing_right_is_named,
        rotate_changes_passwords,
        rotate_tells_what_stalls_a_user,
        kubeconfigs_are_read_as_by_kubectl,
        verify_logs_in_from_here,
        verify_tells_what_is_wrong,
        connect_becomes_psql_and_shows_the_password_nowhere,
        diff_tells_what_the_operator_would_do,
        diff_tells_what_a_manifest_would_change_and_changes_nothing,
        adopt_stops_where_it_cannot_help,
        a_cluster_server_publishes_no_names,
        explain_delete_tells_what_a_deletion_would_do,
        explain_delete_prints_ways_out_that_work,
        explain_delete_names_who_needs_a_server,
        release_deletes_nothing_while_no_operator_answers,
        release_gets_past_a_server_that_cannot_be_reached,
        without_an_operator_an_administrator_releases_what_is_settled,
        without_an_operator_what_is_under_way_is_not_released,
        an_operator_that_holds_no_lease_is_left_to_do_it,
        kubectl_finds_the_plugin_and_completes_names,
        shells_complete_names,
    );
    everywhere.chain(once).collect()
}

/// A world with a user that works, somebody who may edit its namespace, and the user's password.
async fn with_editor<'a>(world: &'a World, name: &str) -> Outcome<(Scene<'a>, Person, String)> {
    let (scene, password) = Scene::with_user(world, name).await?;
    let person = Person::with_role(world, "edit").await?;
    Ok((scene, person, password))
}

fn authority(world: &World) -> String {
    world.postgres().ca_file().display().to_string()
}

async fn annotate(world: &World, name: &str, annotation: &str, value: &str) -> Outcome {
    let change = json!({"metadata": {"annotations": {annotation: value}}});
    world.merge("PostgresUser", name, change).await
}

// ------------------------------------------------------------------------------------------------------------- status

async fn status_tells_who_is_ready_and_what_to_do(world: &World) -> Outcome {
    let (_scene, password) = Scene::with_user(world, "checkout").await?;
    let person = Person::with_role(world, "view").await?;
    world
        .user_is("checkout", "CredentialsVerified", "True", "LoginSucceeded")
        .await?;
    let table = person.pguser_ends(0, &["status"]).await?.stdout;
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let columns = [
        "NAME", "READY", "REASON", "VERIFIED", "USERNAME", "SERVER", "SECRET", "AGE",
    ];
    assert_eq!(lines[0], columns);
    assert_eq!(
        lines[1][..7],
        [
            "checkout",
            "True",
            "Published",
            "True",
            "checkout",
            SERVER,
            "checkout-postgres"
        ]
    );

    world.apply(&user_manifest("lost", "nowhere", "")).await?;
    world.user_not_ready("lost", "ServerNotFound").await?;
    let all = person.pguser_says(1, &["status"]).await?;
    let lost = all["users"]
        .as_array()
        .ok_or("no list")?
        .iter()
        .find(|user| user["name"] == "lost");
    let lost = lost.ok_or("lost is not listed")?;
    assert_eq!(
        (&lost["ready"], &lost["reason"]),
        (&json!("False"), &json!("ServerNotFound"))
    );
    assert_eq!(
        lost["server"],
        json!({"kind": "PostgresServer", "name": "nowhere"})
    );
    person.pguser_ends(0, &["status", "pguser/checkout"]).await?;
    let detail = person.pguser_ends(1, &["status", "lost"]).await?.stdout;
    assert!(
        detail.contains("Way out:") && detail.contains("create the server object"),
        "{detail}"
    );
    let names = person
        .pguser_ends(1, &["status", "--output", "name"])
        .await?
        .stdout;
    assert_eq!(
        names,
        "postgresuser.pguser.dev/checkout\npostgresuser.pguser.dev/lost\n"
    );
    let bare = person
        .pguser_ends(1, &["status", "--no-headers", "--output", "wide"])
        .await?
        .stdout;
    assert!(
        bare.starts_with("checkout ") && bare.contains("there is no PostgresServer"),
        "{bare}"
    );
    let yaml = person
        .pguser_ends(0, &["status", "checkout", "--output", "yaml"])
        .await?
        .stdout;
    let yaml: Value = serde_saphyr::from_str(&yaml)?;
    assert_eq!(yaml["users"][0]["secret"], "checkout-postgres");
    person.pguser_ends(3, &["status", "nobody"]).await?;
    person.pguser_ends(2, &["status", "secret/checkout"]).await?;
    let everywhere = Person::administrator(world)?
        .pguser(&["status", "--all-namespaces"])
        .await?
        .stdout;
    assert!(
        everywhere.starts_with("NAMESPACE") && everywhere.contains(world.namespace()),
        "{everywhere}"
    );
    person.has_not_seen(&[&password]);
    Ok(())
}

async fn a_missing_right_is_named(world: &World) -> Outcome {
    let (_scene, _) = Scene::with_user(world, "checkout").await?;
    let viewer = Person::with_role(world, "view").await?;
    let cases: [(&[&str], &str); 4] = [
        (&["status", "--all-namespaces"], "list postgresusers"),
        (&["rotate", "checkout"], "patch postgresusers in namespace"),
        (&["verify", "checkout"], "get secrets in namespace"),
        (
            &["release", "checkout", "--yes"],
            "patch postgresusers in namespace",
        ),
    ];
    for (arguments, right) in cases {
        let told = viewer.pguser_ends(3, arguments).await?.stderr;
        assert!(
            told.contains("you lack the right") && told.contains(right),
            "{arguments:?}: {told}"
        );
    }
    let user = world.get("PostgresUser", "checkout").await?.ok_or("it is gone")?;
    assert!(user.metadata.deletion_timestamp.is_none());
    Ok(())
}

// ------------------------------------------------------------------------------------------------------------- rotate

async fn rotate_changes_passwords(world: &World) -> Outcome {
    let (scene, person, first) = with_editor(world, "checkout").await?;
    let told = person
        .pguser_ends(0, &["rotate", "checkout", "--wait"])
        .await?
        .stdout;
    assert_eq!(told, "postgresuser.pguser.dev/checkout has a new password\n");
    let second = world.user_works("checkout").await?;
    assert_ne!(first, second);
    scene.make_user("reports").await?;
    person.pguser_ends(2, &["rotate"]).await?;
    person.pguser_ends(2, &["rotate", "--all"]).await?;
    assert_eq!(
        world.password_of("checkout").await?,
        second,
        "nobody had said yes"
    );
    let said = person
        .pguser_says(0, &["rotate", "--all", "--yes", "--wait"])
        .await?;
    let done: Vec<_> = said["rotations"]
        .as_array()
        .ok_or("no list")?
        .iter()
        .map(|it| &it["done"])
        .collect();
    assert_eq!(done, [&json!(true), &json!(true)]);
    let third = world.user_works("checkout").await?;
    assert_ne!(second, third);

    let suspend = json!({"spec": {"suspend": true}});
    world.merge("PostgresUser", "checkout", suspend).await?;
    world.user_is("checkout", "Ready", "True", "Suspended").await?;
    let late = person
        .pguser_ends(1, &["rotate", "checkout", "--wait", "--timeout", "2s"])
        .await?;
    assert!(late.stderr.contains("is suspended"), "{}", late.stderr);
    assert_eq!(world.password_of("checkout").await?, third);
    person.has_not_seen(&[&first, &second, &third]);
    Ok(())
}

async fn rotate_tells_what_stalls_a_user(world: &World) -> Outcome {
    let (scene, person, first) = with_editor(world, "checkout").await?;
    let body = r#"{"httpStatus":422,"messages":[{"errorCode":"paas-validation-1","message":"too weak"}]}"#;
    let fault = json!({"type": "status", "status": 422, "contentType": "application/json", "body": body});
    scene
        .vendor
        .fault(json!({"route": "users.patch", "fault": fault}))
        .await?;
    let late = person
        .pguser_ends(1, &["rotate", "checkout", "--wait", "--timeout", "15s"])
        .await?
        .stderr;
    assert!(late.contains("no new password yet. Rejected: "), "{late}");
    assert!(!late.contains("all is as it should be"), "{late}");
    assert_eq!(world.password_of("checkout").await?, first);
    person.has_not_seen(&[&first]);
    Ok(())
}

// ------------------------------------------------------------------------------------------------------- kubeconfigs

async fn kubeconfigs_are_read_as_by_kubectl(world: &World) -> Outcome {
    let (_scene, _) = Scene::with_user(world, "checkout").await?;
    let person = Person::administrator(world)?;
    let home = person.home().display().to_string();
    let file = |name: &str, text: &str| std::fs::write(person.home().join(name), text);
    file(
        "none",
        "apiVersion: v1\nkind: Config\ncurrent-context: ''\nclusters: []\nusers: []\ncontexts: []\n",
    )?;
    let plugin = env!("CARGO_BIN_EXE_kubectl-pguser");
    let admin = world.kubeconfig().display().to_string();
    let namespace = world.namespace();
    let list = format!("KUBECONFIG={home}/missing:{home}/none:{admin}");
    let status = ["status", "checkout", "--namespace", namespace];
    // Nothing answers there, so it shows whether a proxy is used.
    let nowhere = "http://127.0.0.1:1";
    let proxy = format!("HTTPS_PROXY={nowhere}");
    let variables = [list.as_str(), &proxy, "NO_PROXY=*", plugin];
    let found = person.run("env", &[&variables[..], &status].concat()).await?;
    assert_eq!(found.code, 0, "{found:?}");
    let mut proxied: Value = serde_saphyr::from_str(&std::fs::read_to_string(world.kubeconfig())?)?;
    for cluster in proxied["clusters"].as_array_mut().ok_or("no clusters")? {
        cluster["cluster"]["proxy-url"] = json!(nowhere);
    }
    file("proxied", &proxied.to_string())?;
    let proxied = format!("KUBECONFIG={home}/proxied");
    let variables = [proxied.as_str(), "NO_PROXY=*", plugin];
    let found = person.run("env", &[&variables[..], &status].concat()).await?;
    assert_eq!(found.code, 3, "{found:?}");

    let nobody = [&status[..], &["--as", "nobody", "--as-group", "nobodies"]].concat();
    let refused = person.pguser_ends(3, &nobody).await?.stderr;
    assert!(refused.contains("\"nobody\""), "{refused}");
    let context = [&status[..], &["--context", "nowhere"]].concat();
    let unknown = person.pguser_ends(3, &context).await?.stderr;
    assert!(unknown.contains("there is no context \"nowhere\""), "{unknown}");
    person
        .pguser_ends(2, &[&status[..], &["--as-group", "nobodies"]].concat())
        .await?;
    person
        .pguser_ends(0, &[&status[..], &["--request-timeout", "20"]].concat())
        .await?;

    file(
        "exec",
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\ncontexts: [{name: c, context: {cluster: c, user: \
         u}}]\ncurrent-context: c\nusers:\n- name: u\n  user:\n    exec: {apiVersion: client.authentication.k8s.io/v1, \
         command: no-such-plugin, interactiveMode: Never, installHint: ask the platform team}\n",
    )?;
    let exec = format!("{home}/exec");
    let missing = [&status[..], &["--kubeconfig", &exec]].concat();
    let missing = person.pguser_ends(3, &missing).await?.stderr;
    assert!(
        missing.contains("\"no-such-plugin\"") && missing.contains("ask the platform team"),
        "{missing}"
    );
    Ok(())
}

// ------------------------------------------------------------------------------------------------- verify and connect

async fn verify_logs_in_from_here(world: &World) -> Outcome {
    let (_scene, person, password) = with_editor(world, "checkout").await?;
    let ca = authority(world);
    let said = person
        .pguser_says(0, &["verify", "checkout", "--ca-file", &ca])
        .await?;
    assert_eq!(
        (&said["accepted"], &said["currentUser"]),
        (&json!(true), &json!("checkout"))
    );
    assert_eq!(
        (&said["sslmode"], &said["oddKeys"]),
        (&json!("verify-full"), &json!([]))
    );
    assert!(
        said["tls"].as_str().is_some_and(|tls| tls.starts_with("TLSv1.")),
        "{said}"
    );
    assert!(
        said["serverVersion"]
            .as_str()
            .is_some_and(|it| it.starts_with(char::is_numeric)),
        "{said}"
    );
    let text = person
        .pguser_ends(0, &["verify", "checkout", "--ca-file", &ca])
        .await?
        .stdout;
    assert!(
        text.contains("the login works") && text.contains("checkout-postgres"),
        "{text}"
    );
    let untrusted = person.pguser_ends(3, &["verify", "checkout"]).await?.stderr;
    assert!(untrusted.contains("issuer is not trusted"), "{untrusted}");
    // Bound to whichever certificate there is, the password is as safe.
    person
        .pguser_ends(0, &["verify", "checkout", "--sslmode", "require"])
        .await?;
    person.has_not_seen(&[&password]);
    Ok(())
}

async fn verify_tells_what_is_wrong(world: &World) -> Outcome {
    let (mut scene, person, password) = with_editor(world, "checkout").await?;
    let ca = authority(world);
    let verify = ["verify", "checkout", "--ca-file", &ca];
    // As behind a port-forward: another port is dialled, and the certificate is still asked for the Secret's host.
    let closed = [&verify[..], &["--host", "localhost", "--port", "1"]].concat();
    let closed = person.pguser_ends(3, &closed).await?.stderr;
    assert!(closed.contains("cannot be reached"), "{closed}");
    let port = world.key_of("checkout", "port").await?;
    person
        .pguser_ends(
            0,
            &[&verify[..], &["--host", "127.0.0.1", "--port", &port]].concat(),
        )
        .await?;

    scene.operator.kill();
    world
        .merge(
            "v1/Secret",
            "checkout-postgres",
            json!({"stringData": {"uri": "postgresql://elsewhere/"}}),
        )
        .await?;
    let odd = person.pguser_says(1, &verify).await?;
    assert_eq!(
        (&odd["accepted"], &odd["oddKeys"]),
        (&json!(true), &json!(["uri"]))
    );
    scene
        .vendor
        .set_password("checkout", "another-password-1")
        .await?;
    let refused = person.pguser_says(1, &verify).await?;
    assert_eq!(refused["accepted"], json!(false), "{refused}");
    world
        .merge(
            "v1/Secret",
            "checkout-postgres",
            json!({"data": {"password": null}}),
        )
        .await?;
    let damaged = person.pguser_ends(3, &verify).await?.stderr;
    assert!(damaged.contains("has no key \"password\""), "{damaged}");
    scene.operator.restart().await?;
    world.logs_in_eventually("checkout").await?;
    person.has_not_seen(&[&password]);
    Ok(())
}

async fn connect_becomes_psql_and_shows_the_password_nowhere(world: &World) -> Outcome {
    let (_scene, person, password) = with_editor(world, "checkout").await?;
    let ca = authority(world);
    let psql = [
        "connect",
        "checkout",
        "--ca-file",
        &ca,
        "--",
        "--no-psqlrc",
        "--no-password",
        "-At",
    ];
    let who = person
        .pguser_ends(0, &[&psql[..], &["-c", "select current_user"]].concat())
        .await?;
    assert_eq!(who.stdout, "checkout\n");
    // Its own exit code, and its own word where the certificate is not trusted.
    person
        .pguser_ends(1, &[&psql[..], &["-c", "select 1/0"]].concat())
        .await?;
    person
        .pguser_ends(
            2,
            &["connect", "checkout", "--", "--no-password", "-c", "select 1"],
        )
        .await?;
    // A password that is good for this server alone is offered to no other.
    let elsewhere = person
        .pguser_ends(
            2,
            &[&psql[..], &["--host", "127.0.0.1", "-c", "select 1"]].concat(),
        )
        .await?;
    assert!(
        elsewhere.stderr.contains("no password supplied"),
        "{}",
        elsewhere.stderr
    );

    let long = [&psql[..], &["-c", "select 'here'", "-c", "select pg_sleep(30)"]].concat();
    let mut child = person
        .command("kubectl-pguser", &long)
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let mut said = [0; 5];
    child
        .stdout
        .as_mut()
        .ok_or("no stdout")?
        .read_exact(&mut said)
        .await?;
    assert_eq!(&said, b"here\n");
    let process = format!("/proc/{}", child.id().ok_or("it ended")?);
    let line = String::from_utf8_lossy(&std::fs::read(format!("{process}/cmdline"))?).into_owned();
    assert!(line.contains("psql") && !line.contains(&password), "{line}");
    let environment = String::from_utf8_lossy(&std::fs::read(format!("{process}/environ"))?).into_owned();
    assert!(environment.contains("PGUSER=checkout") && !environment.contains(&password));
    child.kill().await?;

    let path = format!("PATH={}", world.dir().display());
    let plugin = env!("CARGO_BIN_EXE_kubectl-pguser");
    let missing = person.run("env", &[&path, plugin, "connect", "checkout"]).await?;
    assert!(
        missing.code == 3 && missing.stderr.contains("psql is not on PATH"),
        "{missing:?}"
    );
    person.has_not_seen(&[&password]);
    Ok(())
}

// --------------------------------------------------------------------------------------------------------------- diff

/// What `diff` finds of a user.
async fn differences(person: &Person, code: i32, name: &str) -> Outcome<Vec<String>> {
    let said = person.pguser_says(code, &["diff", name]).await?;
    assert_eq!(said["users"][0]["unknown"], json!([]), "{said}");
    let found = said["users"][0]["differences"].as_array().ok_or("no list")?;
    let text = |it: &Value| format!("{}: {}", it["what"].as_str().unwrap_or_default(), it["effect"]);
    Ok(found.iter().map(text).collect())
}

async fn diff_tells_what_the_operator_would_do(world: &World) -> Outcome {
    let (mut scene, person, password) = with_editor(world, "checkout").await?;
    world.quiet(&scene.operator).await?;
    assert_eq!(differences(&person, 0, "checkout").await?, Vec::<String>::new());
    let none = person.pguser_ends(0, &["diff"]).await?;
    assert_eq!(
        (none.stdout.as_str(), none.stderr.as_str()),
        ("", "No differences.\n")
    );

    scene.operator.kill();
    annotate(world, "checkout", "pguser.dev/rotate", "now").await?;
    world
        .apply_server_with(SERVER, &scene.vendor, "usernames: {prefix: shop_}")
        .await?;
    world
        .merge(
            "PostgresUser",
            "checkout",
            json!({"spec": {"secret": {"labels": {"a": "b"}}}}),
        )
        .await?;
    let found = differences(&person, 1, "checkout").await?.join("\n");
    for expected in [
        "spec: \"generation",
        "InvalidUsername",
        "pguser.dev/rotate=now",
        "are to be written anew",
    ] {
        assert!(found.contains(expected), "{expected}: {found}");
    }
    world
        .merge("v1/Secret", "checkout-postgres", json!({"data": {"host": null}}))
        .await?;
    let found = differences(&person, 1, "checkout").await?.join("\n");
    assert!(found.contains("these keys are to be put back: host"), "{found}");

    // The operator does as was told.
    world.apply_server(SERVER, &scene.vendor).await?;
    scene.operator.restart().await?;
    world.other_password("checkout", &password).await?;
    world.quiet(&scene.operator).await?;
    assert_eq!(differences(&person, 0, "checkout").await?, Vec::<String>::new());
    person.has_not_seen(&[&password]);
    Ok(())
}

async fn diff_tells_what_a_manifest_would_change_and_changes_nothing(world: &World) -> Outcome {
    let (scene, person, _) = with_editor(world, "checkout").await?;
    world.quiet(&scene.operator).await?;
    let file = person.home().join("users.yaml").display().to_string();
    let changed = user_manifest("checkout", SERVER, "deletionPolicy: Retain");
    std::fs::write(
        &file,
        format!("{changed}---\n{}", user_manifest("new", SERVER, "")),
    )?;
    let version = async || {
        let user = world.get("PostgresUser", "checkout").await?.ok_or("it is gone")?;
        Outcome::Ok(user.resource_version())
    };
    let before = version().await?;
    let said = person.pguser_says(1, &["diff", "--filename", &file]).await?;
    let changes = &said["users"][0]["changes"];
    assert_eq!(changes.as_array().map(Vec::len), Some(1), "{changes}");
    assert_eq!(changes[0]["field"], "spec.deletionPolicy");
    assert_eq!(
        (&changes[0]["from"], &changes[0]["to"]),
        (&json!(null), &json!("Retain"))
    );
    let new = &said["users"][1];
    assert!(
        new["changes"].to_string().contains("spec.serverRef.name"),
        "{new}"
    );
    assert!(new["differences"].to_string().contains("is to be made"), "{new}");
    assert_eq!(version().await?, before);
    assert!(world.get("PostgresUser", "new").await?.is_none());

    // The same by lists, folders, several files, and JSON.
    let folder = person.home().join("manifests");
    std::fs::create_dir_all(&folder)?;
    let one = |name: &str, policy: &str| {
        json!({"apiVersion": "pguser.dev/v1alpha1", "kind": "PostgresUser",
            "metadata": {"name": name, "namespace": world.namespace()},
            "spec": {"serverRef": {"name": SERVER}, "deletionPolicy": policy}})
    };
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [one("checkout", "Retain")]});
    std::fs::write(folder.join("list.json"), list.to_string())?;
    let two = format!("{}\n{}", one("new", "Delete"), one("newer", "Delete"));
    let several = person.home().join("several.json").display().to_string();
    std::fs::write(&several, two)?;
    let folder = folder.display().to_string();
    let said = person
        .pguser_says(1, &["diff", "-f", &folder, "-f", &several])
        .await?;
    let users = said["users"].as_array().ok_or("no list")?;
    let found: Vec<_> = users.iter().filter_map(|user| user["name"].as_str()).collect();
    assert_eq!(found, ["checkout", "new", "newer"]);
    assert_eq!(users[0]["changes"][0]["field"], "spec.deletionPolicy");

    std::fs::write(&file, user_manifest("checkout", SERVER, ""))?;
    person.pguser_ends(0, &["diff", "--filename", &file]).await?;
    std::fs::write(&file, user_manifest("checkout", SERVER, "username: other"))?;
    let refused = person
        .pguser_ends(3, &["diff", "--filename", &file])
        .await?
        .stderr;
    assert!(refused.contains("is immutable"), "{refused}");
    std::fs::write(&file, "kind: [")?;
    person.pguser_ends(2, &["diff", "--filename", &file]).await?;
    Ok(())
}

// -------------------------------------------------------------------------------------------------------------- adopt

async fn adopt_takes_over_a_login_that_exists(world: &World) -> Outcome {
    let scene = Scene::new(world).await?;
    let person = Person::with_role(world, "edit").await?;
    scene.vendor.make("legacy", "somebody-elses-password").await?;
    world.apply_user("legacy", SERVER).await?;
    world.user_not_ready("legacy", "AlreadyExists").await?;
    let asked = person.pguser_ends(2, &["adopt", "legacy"]).await?.stderr;
    assert!(
        asked.contains("exists already") && asked.contains("say --yes"),
        "{asked}"
    );
    let said = person
        .pguser_says(0, &["adopt", "legacy", "--yes", "--wait"])
        .await?;
    assert_eq!(
        (&said["adopted"], &said["username"]),
        (&json!(true), &json!("legacy"))
    );
    let password = world.user_works("legacy").await?;
    assert!(
        !world
            .postgres()
            .accepts("legacy", "somebody-elses-password")
            .await?
    );
    person.pguser_ends(0, &["adopt", "legacy"]).await?;
    person.has_not_seen(&[&password]);
    Ok(())
}

async fn adopt_stops_where_it_cannot_help(world: &World) -> Outcome {
    let scene = Scene::new(world).await?;
    let person = Person::with_role(world, "edit").await?;
    world
        .apply_server_with(SERVER, &scene.vendor, "allowAdoption: false")
        .await?;
    scene.vendor.make("legacy", "somebody-elses-password").await?;
    world.apply_user("legacy", SERVER).await?;
    world.apply(&user_manifest("lost", "nowhere", "")).await?;
    world.user_not_ready("legacy", "AlreadyExists").await?;
    world.user_not_ready("lost", "ServerNotFound").await?;
    let forbidden = person.pguser_ends(3, &["adopt", "legacy", "--yes"]).await?.stderr;
    assert!(forbidden.contains("does not allow adoption"), "{forbidden}");
    let none = person.pguser_ends(0, &["adopt", "--where-allowed"]).await?.stdout;
    assert!(none.contains("No server object allows adoption"), "{none}");
    world.apply_server("lax", &scene.vendor).await?;
    let lax = person.pguser_ends(0, &["adopt", "--where-allowed"]).await?.stdout;
    assert!(lax.contains("lax") && !lax.contains(SERVER), "{lax}");
    let nothing = person.pguser_ends(3, &["adopt", "lost", "--yes"]).await?.stderr;
    assert!(nothing.contains("there is nothing to adopt"), "{nothing}");
    let user = world.get("PostgresUser", "legacy").await?.ok_or("it is gone")?;
    assert_eq!(user.data["spec"]["adoptionPolicy"], "Refuse");
    assert!(
        world
            .postgres()
            .accepts("legacy", "somebody-elses-password")
            .await?
    );
    Ok(())
}

// ------------------------------------------------------------------------------------------------------------ orphans

async fn orphans_are_listed_with_their_kind(world: &World) -> Outcome {
    let (mut scene, password) = Scene::with_user(world, "checkout").await?;
    let administrator = Person::administrator(world)?;
    let arguments = [
        "orphans",
        "--namespace",
        world.namespace(),
        "--operator-namespace",
        world.operator_namespace(),
    ];
    let of_kind = async |code: i32, kind: &str| {
        let said = administrator.pguser_says(code, &arguments).await?;
        let all = said["orphans"].as_array().ok_or("no list")?.clone();
        let those = all.into_iter().filter(|it| it["kind"] == kind);
        Outcome::Ok(
            those
                .map(|it| it["username"].as_str().unwrap_or_default().to_owned())
                .collect::<Vec<_>>(),
        )
    };
    scene.vendor.make("stray", "somebody-elses-password").await?;
    eventually(
        "the stray login to be listed",
        PATIENCE,
        async || match of_kind(1, "Unmanaged").await? {
            names if names.contains(&"stray".to_owned()) && !names.contains(&"checkout".to_owned()) => Ok(()),
            names => Err(format!("{names:?}").into()),
        },
    )
    .await?;
    world.retain("checkout").await?;
    world.delete("PostgresUser", "checkout").await?;
    world.gone("PostgresUser", "checkout", PATIENCE).await?;
    assert_eq!(of_kind(1, "Kept").await?, ["checkout"]);

    // What is under way for a user whose finalizer was torn off.
    let slow = scene.vendor.strike("users.create", Fate::Slow).await?;
    world.apply_user("tattered", SERVER).await?;
    slow.is_under_way().await?;
    scene.operator.kill();
    world
        .merge(
            "PostgresUser",
            "tattered",
            json!({"metadata": {"finalizers": null}}),
        )
        .await?;
    world.delete("PostgresUser", "tattered").await?;
    world.gone("PostgresUser", "tattered", PATIENCE).await?;
    assert_eq!(of_kind(1, "Unsettled").await?, ["tattered"]);

    let editor = Person::with_role(world, "edit").await?;
    let partly = editor
        .pguser(&["orphans", "--operator-namespace", world.operator_namespace()])
        .await?;
    assert!(partly.code == 3 && partly.stdout.contains("stray"), "{partly:?}");
    assert!(
        partly.stderr.contains("list configmaps in namespace"),
        "{}",
        partly.stderr
    );
    administrator.has_not_seen(&[&password]);
    Ok(())
}

async fn a_cluster_server_publishes_no_names(world: &World) -> Outcome {
    let other = format!("{}-b", world.namespace());
    world.create_namespace(&other).await?;
    let vendor = world.start_vendor(&[]).await?;
    vendor.make("stray", "somebody-elses-password").await?;
    let _operator = world
        .start_operator(Options::default().with_cluster_servers(world, &other))
        .await?;
    world
        .apply_cluster_server(&vendor, "namespaceSelector: {}")
        .await?;
    let status = eventually("the cluster server to count its users", PATIENCE, async || {
        let server = world
            .get("ClusterPostgresServer", world.namespace())
            .await?
            .ok_or("it is gone")?;
        match server.data["status"]["users"]["unmanaged"].as_i64() {
            Some(1..) => Ok(server.data["status"].clone()),
            _ => Err(format!("{}", server.data["status"]).into()),
        }
    })
    .await?;
    assert!(!status.to_string().contains("stray"), "{status}");
    let arguments = [
        "orphans",
        "--server",
        world.namespace(),
        "--operator-namespace",
        world.operator_namespace(),
    ];
    let said = Person::administrator(world)?.pguser_says(1, &arguments).await?;
    assert_eq!(
        (&said["orphans"][0]["username"], &said["orphans"][0]["count"]),
        (&Value::Null, &json!(1))
    );
    Ok(())
}

// ----------------------------------------------------------------------------------------------------- explain-delete

async fn explain_delete_tells_what_a_deletion_would_do(world: &World) -> Outcome {
    let (_scene, person, _) = with_editor(world, "checkout").await?;
    let said = person.pguser_says(0, &["explain-delete", "checkout"]).await?;
    let user = &said["objects"][0];
    assert_eq!(
        (&user["deleting"], &user["blocked"]),
        (&json!(false), &json!(false))
    );
    assert!(
        user["effects"][0]
            .as_str()
            .is_some_and(|it| it.contains("is deleted")),
        "{user}"
    );
    assert_eq!(user["finalizers"][0]["finalizer"], "pguser.dev/remote-user");
    let all = person.pguser_ends(0, &["explain-delete"]).await?.stdout;
    assert!(
        all.contains("PostgresUser ") && all.contains("PostgresServer "),
        "{all}"
    );
    Ok(())
}

async fn explain_delete_prints_ways_out_that_work(world: &World) -> Outcome {
    let (scene, person, password) = with_editor(world, "checkout").await?;
    scene.vendor.accept_only("another").await?;
    world.delete("PostgresUser", "checkout").await?;
    world.deletion_blocked("checkout", "Unauthorized").await?;
    let said = person.pguser_says(1, &["explain-delete", "checkout"]).await?;
    let user = &said["objects"][0];
    assert_eq!(
        (&user["deleting"], &user["blocked"]),
        (&json!(true), &json!(true))
    );
    let waits = user["finalizers"][0]["waitsFor"].as_str().unwrap_or_default();
    assert!(
        waits.starts_with("Unauthorized") && waits.contains("until working credentials"),
        "{waits}"
    );
    let command = user["waysOut"][0]["command"].as_str().ok_or("no way out")?;
    let text = person
        .pguser_ends(1, &["explain-delete", "checkout"])
        .await?
        .stdout;
    assert!(text.contains(command) && text.contains("and blocked"), "{text}");
    let pasted = person.run("sh", &["-c", command]).await?;
    assert_eq!(pasted.code, 0, "{pasted:?}");
    world.gone("PostgresUser", "checkout", PATIENCE).await?;
    assert!(world.postgres().accepts("checkout", &password).await?);
    Ok(())
}

async fn explain_delete_names_who_needs_a_server(world: &World) -> Outcome {
    let (_scene, person, _) = with_editor(world, "checkout").await?;
    let subject = format!("server/{SERVER}");
    let before = person.pguser_ends(0, &["explain-delete", &subject]).await?.stdout;
    assert!(
        before.contains("it stays until these are gone") && before.contains("/checkout"),
        "{before}"
    );
    world.delete("PostgresServer", SERVER).await?;
    let said = person.pguser_says(1, &["explain-delete", &subject]).await?;
    let server = &said["objects"][0];
    assert_eq!(server["finalizers"][0]["finalizer"], "pguser.dev/in-use");
    let commands: Vec<_> = server["waysOut"].as_array().ok_or("no list")?.iter().collect();
    let delete = commands[0]["command"].as_str().ok_or("no command")?;
    let pasted = person.run("sh", &["-c", delete]).await?;
    assert_eq!(pasted.code, 0, "{pasted:?}");
    world.gone("PostgresServer", SERVER, PATIENCE).await
}

// ------------------------------------------------------------------------------------------------------------ release

/// Login and Secret are what they were, also after everything that garbage collection would do.
async fn is_kept(world: &World, name: &str, password: &str) -> Outcome {
    pause(2000).await;
    assert_eq!(world.password_of(name).await?, password);
    world.login_of(name).await?;
    let secret = world
        .get("v1/Secret", &format!("{name}-postgres"))
        .await?
        .ok_or("it is gone")?;
    assert!(secret.owner_references().is_empty());
    Ok(())
}

async fn release_keeps_login_and_secret(world: &World) -> Outcome {
    let (scene, person, password) = with_editor(world, "checkout").await?;
    let reports = scene.make_user("reports").await?;
    person.pguser_ends(2, &["release"]).await?;
    person.pguser_ends(2, &["release", "--all"]).await?;
    let said = person.pguser_says(0, &["release", "checkout", "--yes"]).await?;
    let released = &said["released"][0];
    assert_eq!(
        (&released["gone"], &released["username"]),
        (&json!(true), &json!("checkout"))
    );
    assert_eq!(released["secret"], "checkout-postgres");
    is_kept(world, "checkout", &password).await?;
    let kept = world.kept_users().await?;
    assert_eq!((kept.len(), &kept[0]["why"]), (1, &json!("Retained")));
    person.pguser_ends(0, &["release", "--all", "--yes"]).await?;
    world.gone("PostgresUser", "reports", PATIENCE).await?;
    is_kept(world, "reports", &reports).await?;
    person.has_not_seen(&[&password, &reports]);
    Ok(())
}

async fn release_deletes_nothing_while_no_operator_answers(world: &World) -> Outcome {
    let (mut scene, person, password) = with_editor(world, "checkout").await?;
    scene.operator.kill();
    let late = person
        .pguser_ends(1, &["release", "checkout", "--yes", "--timeout", "2s"])
        .await?;
    assert!(late.stderr.contains("nothing was deleted"), "{}", late.stderr);
    let user = world.get("PostgresUser", "checkout").await?.ok_or("it is gone")?;
    assert!(user.metadata.deletion_timestamp.is_none());
    scene.operator.restart().await?;
    person.pguser_ends(0, &["release", "checkout", "--yes"]).await?;
    is_kept(world, "checkout", &password).await
}

async fn release_gets_past_a_server_that_cannot_be_reached(world: &World) -> Outcome {
    let (scene, person, password) = with_editor(world, "checkout").await?;
    scene.vendor.stop();
    person
        .pguser_ends(0, &["release", "checkout", "--yes", "--force"])
        .await?;
    is_kept(world, "checkout", &password).await
}

async fn without_an_operator_an_administrator_releases_what_is_settled(world: &World) -> Outcome {
    let mut scene = Scene::with(world, &[], Options::quick().leader_elect()).await?;
    let password = scene.make_user("checkout").await?;
    let editor = Person::with_role(world, "edit").await?;
    let administrator = Person::administrator(world)?;
    let arguments = orphaning(world);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let refused = administrator.pguser_ends(3, &arguments).await?.stderr;
    assert!(refused.contains("an operator works"), "{refused}");
    world.journal_empty().await?;
    scene.operator.terminate().await?;
    let forbidden = editor.pguser_ends(3, &arguments).await?.stderr;
    assert!(forbidden.contains("list leases in namespace"), "{forbidden}");
    let said = administrator.pguser_says(0, &arguments).await?;
    assert_eq!(
        (&said["released"][0]["gone"], &said["released"][0]["secret"]),
        (&json!(true), &json!("checkout-postgres"))
    );
    is_kept(world, "checkout", &password).await?;
    let kept = world.kept_users().await?;
    assert_eq!((kept.len(), &kept[0]["why"]), (1, &json!("Orphaned")));
    administrator.has_not_seen(&[&password]);
    Ok(())
}

async fn without_an_operator_what_is_under_way_is_not_released(world: &World) -> Outcome {
    let (mut scene, _) = Scene::with_user(world, "checkout").await?;
    let administrator = Person::administrator(world)?;
    let slow = scene.vendor.strike("users.patch", Fate::Slow).await?;
    annotate(world, "checkout", "pguser.dev/rotate", "now").await?;
    slow.is_under_way().await?;
    scene.operator.kill();
    let arguments = orphaning(world);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let refused = administrator.pguser_ends(3, &arguments).await?.stderr;
    assert!(refused.contains("not settled (SetPassword)"), "{refused}");
    let user = world.get("PostgresUser", "checkout").await?.ok_or("it is gone")?;
    assert!(user.metadata.deletion_timestamp.is_none());
    assert_eq!(user.data["spec"]["deletionPolicy"], json!(null));
    scene.operator.restart().await?;
    world.logs_in_eventually("checkout").await
}

/// An operator that holds no Lease is noticed by what it does.
async fn an_operator_that_holds_no_lease_is_left_to_do_it(world: &World) -> Outcome {
    let (_scene, password) = Scene::with_user(world, "checkout").await?;
    world.journal_empty().await?;
    let arguments = orphaning(world);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = Person::administrator(world)?.pguser(&arguments).await?;
    let noticed = answer.code == 3 && answer.stderr.contains("an operator works on checkout");
    assert!(noticed || answer.code == 0, "{answer:?}");
    world.gone("PostgresUser", "checkout", PATIENCE).await?;
    is_kept(world, "checkout", &password).await?;
    assert_eq!(world.kept_users().await?[0]["why"], "Retained");
    Ok(())
}

/// `release --orphan` of a user, for an administrator.
fn orphaning(world: &World) -> Vec<String> {
    let words = [
        "release",
        "checkout",
        "--yes",
        "--orphan",
        "--timeout",
        "3s",
        "--namespace",
    ];
    let mut words: Vec<String> = words.map(str::to_owned).to_vec();
    words.extend([
        world.namespace().to_owned(),
        "--operator-namespace".to_owned(),
        world.operator_namespace().to_owned(),
    ]);
    words
}

// --------------------------------------------------------------------------------------------- kubectl and completion

/// Installs kubectl's script, as the document says.
async fn install_completion(person: &Person) -> Outcome {
    let script = person.pguser_ends(0, &["completion", "kubectl"]).await?.stdout;
    let file = person.home().join("kubectl_complete-pguser");
    std::fs::write(&file, script)?;
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(())
}

async fn kubectl_finds_the_plugin_and_completes_names(world: &World) -> Outcome {
    let (_scene, person, _) = with_editor(world, "checkout").await?;
    world.apply(&user_manifest("cart", SERVER, "")).await?;
    world.user_ready("cart").await?;
    let status = person
        .run("kubectl", &["pguser", "status", "--no-headers"])
        .await?;
    assert_eq!(status.code, 0, "{status:?}");
    assert!(status.stdout.contains("checkout"), "{}", status.stdout);
    let help = person.run("kubectl", &["pguser", "--help"]).await?;
    assert!(help.stdout.contains("Usage: kubectl pguser"), "{}", help.stdout);
    let listed = person.run("kubectl", &["plugin", "list"]).await?;
    assert!(listed.stdout.contains("/kubectl-pguser"), "{listed:?}");

    install_completion(&person).await?;
    let names = person
        .run("kubectl", &["__complete", "pguser", "rotate", "ch"])
        .await?;
    assert_eq!(names.stdout, "checkout\n:4\n", "{names:?}");
    let elsewhere = Person::administrator(world)?;
    let words = [
        "__complete",
        "pguser",
        "--namespace",
        world.namespace(),
        "rotate",
        "pguser/c",
    ];
    let names = elsewhere.run("kubectl", &words).await?;
    assert_eq!(names.stdout, "pguser/cart\npguser/checkout\n:4\n", "{names:?}");
    let names = person
        .run("kubectl", &["__complete", "pguser", "status", ""])
        .await?;
    assert_eq!(names.stdout, "cart\ncheckout\n:4\n", "{names:?}");
    let commands = person.run("kubectl", &["__complete", "pguser", "expl"]).await?;
    assert!(commands.stdout.starts_with("explain-delete"), "{commands:?}");
    Ok(())
}

async fn shells_complete_names(world: &World) -> Outcome {
    let (_scene, person, _) = with_editor(world, "checkout").await?;
    for shell in ["zsh", "fish"] {
        let script = person.pguser_ends(0, &["completion", shell]).await?.stdout;
        assert!(script.contains("kubectl-pguser"), "{script}");
    }
    let lines = "source <(kubectl-pguser completion bash); COMP_WORDS=(kubectl-pguser rotate ch); COMP_CWORD=2; \
                 COMP_TYPE=9; function=$(complete -p kubectl-pguser | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
                 $function kubectl-pguser ch rotate; echo \"${COMPREPLY[@]}\"";
    let reply = person.run("bash", &["-c", lines]).await?;
    assert_eq!(reply.stdout.trim(), "checkout", "{reply:?}");
    Ok(())
}
