//! For tests: a client of an API server that is a function.

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

/// A client whose requests a function answers with a code and a body, or not at all. What is refused gets the rest of a `Status`.
pub fn api_server(
    answer: impl Fn(&Method, Vec<u8>) -> Option<(u16, Value)> + Clone + Send + 'static,
) -> Client {
    let service = service_fn(move |request: Request<Body>| {
        let answer = answer.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap().to_vec();
            let lost = || std::io::Error::other("the connection is lost");
            let (code, mut value) = answer(&parts.method, body).ok_or_else(lost)?;
            if code >= 400 {
                value["kind"] = json!("Status");
                value["apiVersion"] = json!("v1");
                value["status"] = json!("Failure");
                value["code"] = json!(code);
                value["message"] = json!("as asked for by the test");
            }
            let body = Body::from(value.to_string().into_bytes());
            Ok::<_, std::io::Error>(Response::builder().status(code).body(body).unwrap())
        }
    });
    Client::new(service, "pguser-system")
}
