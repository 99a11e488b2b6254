//! The layers point one way, what is decided is decided without doing anything, and no files import each other in a circle.
//!
//! The code is parsed, not searched: what counts is which path a name stands for, whatever it is imported as.

#![allow(clippy::panic, clippy::unwrap_used)]

mod circles;
mod modules;
mod paths;

use modules::Modules;

/// Each layer, and what its files must not name: a path, or the end of one.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "api",
        &[
            "crate::domain",
            "crate::provider",
            "crate::objects",
            "crate::controller",
            "crate::runtime",
            "crate::plugin",
            "kube::Client",
            "tokio",
        ],
    ),
    (
        "domain",
        &[
            "crate::provider",
            "crate::objects",
            "crate::controller",
            "crate::runtime",
            "crate::plugin",
            "crate::clock",
            "crate::metrics",
            "kube",
            "reqwest",
            "tokio",
            "SystemTime",
            "Instant::now",
            "Timestamp::now",
            "getrandom",
            "std::env",
            "std::fs",
            "std::net::TcpStream",
        ],
    ),
    (
        "provider",
        &[
            "crate::objects",
            "crate::controller",
            "crate::runtime",
            "crate::plugin",
            // Words that a resource has in common with the remote side are `domain`'s too; a resource as a whole is not for it.
            "crate::api::postgres_user::PostgresUser",
            "crate::api::postgres_user::PostgresUserSpec",
            "crate::api::postgres_server::PostgresServer",
            "crate::api::postgres_server::PostgresServerSpec",
            "crate::api::postgres_server::ClusterPostgresServer",
            "crate::api::postgres_server::ClusterPostgresServerSpec",
            "kube",
        ],
    ),
    (
        "objects",
        &[
            "crate::controller",
            "crate::runtime",
            "crate::plugin",
            "crate::clock",
            "crate::metrics",
            "kube::Client",
            "tokio",
            "Instant::now",
            "Timestamp::now",
        ],
    ),
    ("controller", &["crate::runtime", "crate::cli", "crate::plugin"]),
    ("runtime", &["crate::cli", "crate::plugin"]),
    // Beside `runtime`: it borrows functions of the layers below, and is no part of the operator's process.
    (
        "plugin",
        &[
            "crate::runtime::operator",
            "crate::controller::context",
            "crate::controller::run",
            "crate::controller::user",
            "crate::controller::server",
            "crate::metrics",
        ],
    ),
    // Within a layer: who works beside each other without knowing of each other.
    (
        "provider::ionos",
        &["crate::provider::scalingo", "crate::provider::postgresql"],
    ),
    (
        "provider::scalingo",
        &["crate::provider::ionos", "crate::provider::postgresql"],
    ),
    (
        "provider::postgresql",
        &[
            "crate::provider::ionos",
            "crate::provider::scalingo",
            "crate::provider::http",
        ],
    ),
    ("domain::journal", &["crate::domain::plan"]),
    ("controller::user", &["crate::controller::server::reconcile"]),
    (
        "controller::server::task",
        &["crate::controller::server::reconcile", "crate::controller::user"],
    ),
];

/// The one circle that there is: the completion of a command line asks the cluster, by the flags that the command line has.
const COMPLETION: [&str; 3] = ["plugin::cluster", "plugin::completion", "plugin::kubeconfig"];

#[test]
fn layers_point_one_way() {
    let modules = Modules::of_the_operator();
    let mut wrong = Vec::new();
    for (layer, forbidden) in FORBIDDEN {
        let members: Vec<_> = modules.within(layer).collect();
        assert!(!members.is_empty(), "there is no {layer}");
        for module in members {
            for named in modules.named_by(module) {
                let is_forbidden = |name: &&&str| paths::is_under_or_ends_with(&named, name);
                wrong.extend(
                    forbidden
                        .iter()
                        .find(is_forbidden)
                        .map(|_| format!("{} names {}", module.name(), named.join("::"))),
                );
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "layers point one way (ARCHITECTURE.md):\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_wire_types_of_a_provider_are_private_to_it() {
    let modules = Modules::of_the_operator();
    for provider in ["ionos", "scalingo"] {
        let wire = format!("crate::provider::{provider}::wire");
        for module in modules.all() {
            let is_inside = module.is_within(&format!("provider::{provider}"));
            let names_it = modules
                .named_by(module)
                .iter()
                .any(|named| paths::is_under_or_ends_with(named, &wire));
            assert!(is_inside || !names_it, "{} names {wire}", module.name());
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let found = circles::of(&Modules::of_the_operator());
    let shown: Vec<_> = found.iter().map(|circle| circle.join(", ")).collect();
    assert_eq!(shown, [COMPLETION.join(", ")]);
}

#[test]
fn a_name_is_followed_however_it_is_imported() {
    let modules = Modules::of_files(&[
        ("lib", "pub mod a; pub mod b;"),
        ("a", "pub mod inner; pub use self::inner::Thing; pub fn of() {}"),
        ("a::inner", "pub struct Thing; #[cfg(test)] mod tests { use tokio::time; }"),
        (
            "b",
            "use crate::a::{self as other, Thing}; use std::time::{Duration, Instant as Clock};
             fn f() -> Duration { other::of(); let _ = Thing; log!(\"{}\", crate::a::of()); Clock::now().elapsed() }",
        ),
    ]);
    let b = modules.within("b").next().unwrap();
    let named: Vec<String> = modules.named_by(b).iter().map(|path| path.join("::")).collect();
    for expected in [
        "crate::a::inner::Thing",
        "crate::a::of",
        "std::time::Instant::now",
    ] {
        assert!(named.iter().any(|it| it == expected), "{expected}: {named:?}");
    }
    let inner = modules.within("a::inner").next().unwrap();
    assert_eq!(modules.named_by(inner).len(), 0, "tests are not looked at");
    assert!(circles::of(&modules).is_empty());
}

#[test]
fn a_circle_is_found() {
    let modules = Modules::of_files(&[
        ("lib", "mod a; mod b; mod c;"),
        ("a", "use crate::b::B; pub struct A(B);"),
        ("b", "pub struct B; fn f() { crate::c::f() }"),
        ("c", "pub fn f() { let _: Option<crate::a::A> = None; }"),
    ]);
    assert_eq!(circles::of(&modules), [["a", "b", "c"].map(String::from)]);
}
