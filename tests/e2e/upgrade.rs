//! The operator on what an earlier version of it has left (`tests/upgrade`): it goes on from there.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use libtest_mimic::Trial;
use serde_json::{Map, Value, json};

use crate::support::{Handle, Options, Outcome, REPOSITORY, SERVER, World, trials};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    let always = trials!(environment;
        a_status_of_an_earlier_version_is_gone_on_from,
        an_operator_with_crds_of_an_earlier_version_works_and_comes_to_rest,
    );
    let with_crashes = match cfg!(feature = "failpoints") {
        true => trials!(environment; what_an_earlier_version_has_staged_is_brought_to_its_end),
        false => Vec::new(),
    };
    always.into_iter().chain(with_crashes).collect()
}

/// The folders of the versions that are kept.
fn versions() -> Outcome<Vec<PathBuf>> {
    let folder = std::fs::read_dir(Path::new(REPOSITORY).join("tests/upgrade"))?;
    let paths = folder
        .map(|entry| Ok(entry?.path()))
        .collect::<Outcome<Vec<_>>>()?;
    let versions: Vec<PathBuf> = paths.into_iter().filter(|path| path.is_dir()).collect();
    assert!(!versions.is_empty());
    Ok(versions)
}

async fn a_status_of_an_earlier_version_is_gone_on_from(world: &World) -> Outcome {
    let (vendor, mut operator) = world.set_up(&[]).await?;
    let password = world.ready_user("checkout").await?;
    let mut lost = 0;
    for version in versions()? {
        world.quiet(&operator).await?;
        operator.terminate().await?;
        let before = world.get("v1/Secret", "checkout-postgres").await?;
        for (kind, name, plural) in [
            ("PostgresUser", "checkout", "postgresusers"),
            ("PostgresServer", SERVER, "postgresservers"),
        ] {
            let crd = std::fs::read_to_string(version.join(format!("crds/{plural}.pguser.dev.yaml")))?;
            lost += usize::from(as_stored_by(world, kind, name, &serde_saphyr::from_str(&crd)?).await?);
        }

        let mark = world.mark()?;
        operator.start()?;
        operator.ready().await?;
        operator.has_listed().await?;
        world.quiet(&operator).await?;
        world.user_ready("checkout").await?;
        let at = version.display();
        for write in world.writes_since(mark, &operator)? {
            let is_report =
                write.resource.ends_with("/status") || write.namespace == world.operator_namespace();
            assert!(is_report, "{at}: {write:?}");
        }
        assert_eq!(world.get("v1/Secret", "checkout-postgres").await?, before, "{at}");
        assert_eq!(world.password_of("checkout").await?, password, "{at}");
        world.login_of("checkout").await?;
    }
    assert!(lost > 0, "no version had less to say");
    vendor.gave("checkout", 1).await
}

/// As it is when the operator was upgraded, and its CRDs were not.
async fn an_operator_with_crds_of_an_earlier_version_works_and_comes_to_rest(world: &World) -> Outcome {
    let environment = world.environment().apart("apart").await?;
    let control_plane = environment.control_plane();
    for version in versions()? {
        control_plane
            .install_crds(&Path::new(REPOSITORY).join("crds"))
            .await?;
        let mut world = World::new(&environment, "earlier", world.provider()).await?;
        let vendor = world.start_vendor(&[]).await?;
        world
            .apply_server_with(SERVER, &vendor, "refreshInterval: 24h\n  verifyInterval: 24h")
            .await?;
        control_plane.install_crds(&version.join("crds")).await?;
        let operator = world.start_operator(Options::default()).await?;
        let password = world.ready_user("checkout").await?;
        world.quiet(&operator).await?;
        world.rotate("checkout", "now").await?;
        world.rotated("checkout", &password).await?;
        world.quiet(&operator).await?;
        let mut today = status_schema(Path::new(REPOSITORY))?;
        // Only who asks for memberships has these.
        let record = today.pointer_mut("/properties/remoteUsers/items/properties");
        let record = record.and_then(Value::as_object_mut).ok_or("no record")?;
        record.remove("memberships").ok_or("no memberships")?;
        let knows_less = lacks(&status_schema(&version)?, &today);
        let warning = "are the CRDs of an earlier version?";
        assert_eq!(
            operator.logs().contains(warning),
            knows_less,
            "{}",
            version.display()
        );
        drop(operator);
        world.clean_up().await;
    }
    Ok(())
}

/// What the CRDs in a folder know of a PostgresUser's status.
fn status_schema(folder: &Path) -> Outcome<Value> {
    let crd = std::fs::read_to_string(folder.join("crds/postgresusers.pguser.dev.yaml"))?;
    let crd: Value = serde_saphyr::from_str(&crd)?;
    Ok(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"].clone())
}

/// Whether a schema has fewer fields than another, at any depth.
fn lacks(schema: &Value, other: &Value) -> bool {
    let fields = other["properties"].as_object().into_iter().flatten();
    let mut in_fields = fields.map(|(name, other)| match schema["properties"].get(name) {
        Some(schema) => lacks(schema, other),
        None => true,
    });
    in_fields.any(|less| less) || (!other["items"].is_null() && lacks(&schema["items"], &other["items"]))
}

/// Leaves of an object's status what an API server keeps that has this CRD; whether that is less.
async fn as_stored_by(world: &World, kind: &str, name: &str, crd: &Value) -> Outcome<bool> {
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
    let api = world.api(kind);
    let mut object: DynamicObject = api.get(name).await?;
    let status = pruned(&object.data["status"], schema);
    let is_less = status != object.data["status"];
    object.data["status"] = status;
    api.replace_status(name, &PostParams::default(), &object).await?;
    Ok(is_less)
}

/// A value without the fields that a schema does not have.
fn pruned(value: &Value, schema: &Value) -> Value {
    match value {
        Value::Object(fields) if !schema["properties"].is_null() => {
            let known = fields.iter().filter_map(|(name, value)| {
                let schema = schema["properties"].get(name)?;
                Some((name.clone(), pruned(value, schema)))
            });
            Value::Object(known.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(|item| pruned(item, &schema["items"])).collect(),
        other => other.clone(),
    }
}

async fn what_an_earlier_version_has_staged_is_brought_to_its_end(world: &World) -> Outcome {
    let (vendor, mut operator) = world.set_up(&[]).await?;
    world.server_is(SERVER, "True", "Reachable").await?;
    for (number, version) in versions()?.into_iter().enumerate() {
        let name = format!("user-{number}");
        operator.reconfigure(|options| options.env("PGUSER_FAILPOINT", "remote-create:before:1"));
        operator.restart().await?;
        world.apply_user(&name, SERVER).await?;
        operator.exit().await?;

        let journal = std::fs::read_to_string(version.join("journal.yaml"))?;
        let staged = staged_by(world, &serde_saphyr::from_str(&journal)?).await?;
        operator.reconfigure(|options: Options| options.env("PGUSER_FAILPOINT", ""));
        operator.restart().await?;
        world.user_ready(&name).await?;
        assert_eq!(world.password_of(&name).await?, staged, "{}", version.display());
        world.login_of(&name).await?;
        vendor.gave(&name, 1).await?;
        world.journal_empty().await?;
    }
    Ok(())
}

/// Rewrites the one entry that is in the journal to the form of a version, of which a journal is given; its password.
async fn staged_by(world: &World, kept: &Value) -> Outcome<String> {
    let [entry]: [Value; 1] = world
        .journal_entries()
        .await?
        .try_into()
        .map_err(|all| format!("{all:?}"))?;
    let kept: Value = serde_json::from_str(kept["stringData"]["entries"].as_str().ok_or("no entries")?)?;
    let creation = kept
        .as_array()
        .and_then(|all| all.iter().find(|entry| entry["kind"] == "Create"));
    let entry = like(&entry, creation.ok_or("no creation")?);
    let password = entry["password"].as_str().ok_or("no password")?.to_owned();
    let entries = json!([entry]).to_string();

    let names = world.operator_secrets("journal").await?;
    let name = names.first().ok_or("no journal")?;
    let journal = world
        .secret_in(world.operator_namespace(), name)
        .await?
        .ok_or("no journal")?;
    let mut header: Value = serde_json::from_str(&journal["header"])?;
    // The checksum is of the other fields in this order, and of the entries.
    let fields = ["holder", "epoch", "lineage", "sequence", "next_id"];
    let fields = fields.map(|name| format!("{}:{}", json!(name), header[name]));
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(format!("{{{}}}\0{entries}", fields.join(",")).as_bytes());
    let checksum = context.finish();
    header["checksum"] = checksum
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>()
        .into();
    let change = json!({"stringData": {"header": header.to_string(), "entries": entries}});
    let secrets = world.api_in(world.operator_namespace(), "v1/Secret");
    secrets
        .patch(name, &PatchParams::default(), &Patch::Merge(change))
        .await?;
    Ok(password)
}

/// A value with the fields alone that another one has.
fn like(value: &Value, other: &Value) -> Value {
    match (value, other) {
        (Value::Object(fields), Value::Object(others)) => {
            let known = fields
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), like(value, others.get(name)?))));
            Value::Object(known.collect::<Map<_, _>>())
        }
        (value, _) => value.clone(),
    }
}
