//! Objects as JSON, with anything in them.

use kube::{Client, api::PostParams, core::Request};
use serde_json::{Value, json};

use super::{Outcome, World};

/// Asks for an object, and leaves out its `managedFields`: a test may have put there what no type can hold.
pub async fn object(client: &Client, request: http::Request<Vec<u8>>) -> kube::Result<Value> {
    let text = client.request_text(request).await?;
    let mut object: Value = serde_json::from_str(&text).map_err(kube::Error::SerdeError)?;
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    Ok(object)
}

/// Makes an object of ours without keeping it: what would be stored, as it was answered, or why it is refused.
pub async fn try_out(world: &World, kind: &str, name: &str, spec: &Value) -> Outcome<Result<String, String>> {
    let object = json!({
        "apiVersion": "pguser.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let request =
        Request::new(world.api(kind).resource_url()).create(&params, serde_json::to_vec(&object)?)?;
    match world.client().request_text(request).await {
        Ok(answer) => Ok(Ok(answer)),
        Err(kube::Error::Api(status)) if status.code == 422 => Ok(Err(status.message.clone())),
        Err(error) => Err(format!("{error}: {object}").into()),
    }
}

/// Gives all managed fields of an object a date that is one for the API server, and for nobody else.
pub async fn poison(world: &World, kind: &str, name: &str) -> Outcome {
    let url = world.api(kind).resource_url().to_owned();
    loop {
        let get = Request::new(&url).get(name, &Default::default())?;
        let mut object: Value = serde_json::from_str(&world.client().request_text(get).await?)?;
        for entry in object["metadata"]["managedFields"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            entry["time"] = json!("9999-12-31T23:59:59Z");
        }
        // Where dates are all that changes, nothing is written; and whoever writes gets the date of now.
        let version = object["metadata"]["resourceVersion"].clone();
        object["metadata"]["annotations"]["test.example.com/poisoned-at"] = version;
        let put = http::Request::put(format!("{url}/{name}?fieldManager=somebody"))
            .header("content-type", "application/json")
            .body(serde_json::to_vec(&object)?)?;
        match world.client().request_text(put).await {
            Ok(text) if text.contains("9999-12-31T23:59:59Z") => return Ok(()),
            Ok(_) => return Err(format!("{kind} {name} kept none of the dates").into()),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error.into()),
        }
    }
}
