//! The watches of ConfigMaps with authorities: by name and by metadata alone.
//!
//! A cluster may have thousands of ConfigMaps, and some of them change every few seconds. So each name that a server object refers
//! to has a watch of its own, in all of the namespaces that are looked after; only where there are many names is all of it
//! watched, since each watch is a connection.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::config_maps::ConfigMapKey;
use super::context::Context;
use super::server::reconcile;
use super::watch::{self, PER_PAGE};
use crate::api::Lean;
use crate::controller::api_error;

/// How many names are watched one by one in a scope.
const MOST_NAMES: usize = 8;

/// How often it is looked which ConfigMaps are still referred to.
const TIDIED_EVERY: Duration = Duration::from_secs(240);

/// What one watch is of: a namespace, or an empty one for all, and the one name in it, if it is not of all names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Selection {
    scope: String,
    name: Option<String>,
}

impl Selection {
    fn covers(&self, (namespace, name): &ConfigMapKey) -> bool {
        let in_scope = self.scope.is_empty() || self.scope == *namespace;
        in_scope && self.name.as_ref().is_none_or(|it| it == name)
    }
}

/// The watches that tell of all of these, where these namespaces are looked after.
fn selections(scopes: &[String], places: &[ConfigMapKey]) -> Vec<Selection> {
    let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (namespace, name) in places {
        let scope = scopes.iter().find(|it| it.is_empty() || *it == namespace);
        if let Some(scope) = scope {
            names.entry(scope).or_default().insert(name);
        }
    }
    let all = names.into_iter().flat_map(|(scope, names)| {
        let names: Vec<Option<&str>> = match names.len() > MOST_NAMES {
            true => vec![None],
            false => names.into_iter().map(Some).collect(),
        };
        names.into_iter().map(move |name| Selection {
            scope: scope.to_string(),
            name: name.map(str::to_string),
        })
    });
    all.collect()
}

/// Watches what server objects refer to, until it is told to stop.
pub async fn watch(context: Arc<Context>, scopes: Vec<String>, stop: CancellationToken) {
    let mut watches: HashMap<Selection, DropGuard> = HashMap::new();
    loop {
        let wanted = selections(&scopes, &context.config_maps.places());
        watches.retain(|selection, _| wanted.contains(selection));
        for selection in wanted {
            let begun = || begin(context.clone(), selection.clone(), &stop);
            watches.entry(selection.clone()).or_insert_with(begun);
        }
        tokio::select! {
            () = context.config_maps.more.notified() => {}
            () = tokio::time::sleep(TIDIED_EVERY) => tidy(&context),
            () = stop.cancelled() => return,
        }
    }
}

/// Forgets what no server object refers to any more.
fn tidy(context: &Context) {
    let servers = context.server_objects().into_iter();
    let places = servers.filter_map(|object| reconcile::ca_config_map(&object, context));
    context.config_maps.keep_only(&places.collect());
}

fn begin(context: Arc<Context>, selection: Selection, stop: &CancellationToken) -> DropGuard {
    let end = stop.child_token();
    let guard = end.clone().drop_guard();
    tokio::spawn(async move {
        tokio::select! {
            () = follow(&context, &selection) => {}
            () = end.cancelled() => {}
        }
    });
    guard
}

async fn follow(context: &Context, selection: &Selection) {
    let api: Api<Lean<PartialObjectMeta<ConfigMap>>> = match selection.scope.is_empty() {
        true => Api::all(context.client.clone()),
        false => Api::namespaced(context.client.clone(), &selection.scope),
    };
    let name = selection.name.as_ref();
    let fields = name.map(|name| format!("metadata.name={name}"));
    let events = watch::watch(api, &context.unread, PER_PAGE, fields.as_deref());
    futures::pin_mut!(events);
    let (mut listed, mut failing) = (BTreeSet::new(), false);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                failing = false;
                apply(context, selection, &mut listed, event);
            }
            Err(watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(
                        error = api_error::api(&error),
                        ?selection,
                        "authorities in ConfigMaps cannot be watched: changes show when the server object is looked at"
                    );
                }
            }
            Err(_) => {}
        }
    }
}

/// Tells the server objects whose ConfigMaps have changed.
fn apply(
    context: &Context,
    selection: &Selection,
    listed: &mut BTreeSet<ConfigMapKey>,
    event: watcher::Event<PartialObjectMeta<ConfigMap>>,
) {
    let note = |map: &PartialObjectMeta<ConfigMap>, is_there: bool| {
        let place = place(map);
        let version = map.meta().resource_version.as_deref().filter(|_| is_there);
        if context.config_maps.note(&place, version) {
            tell(context, &place);
        }
        place
    };
    match event {
        watcher::Event::Init => listed.clear(),
        watcher::Event::InitApply(map) => drop(listed.insert(note(&map, true))),
        watcher::Event::Apply(map) => drop(note(&map, true)),
        watcher::Event::Delete(map) => drop(note(&map, false)),
        watcher::Event::InitDone => {
            for place in context.config_maps.places() {
                let is_gone = selection.covers(&place) && !listed.contains(&place);
                if is_gone && context.config_maps.note(&place, None) {
                    tell(context, &place);
                }
            }
            listed.clear();
        }
    }
}

fn place(map: &PartialObjectMeta<ConfigMap>) -> ConfigMapKey {
    (map.namespace().unwrap_or_default(), map.name_any())
}

fn tell(context: &Context, place: &ConfigMapKey) {
    for object in context.server_objects() {
        if reconcile::ca_config_map(&object, context).as_ref() == Some(place) {
            context.dispatch.server(&object.key());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(namespace: &str, name: &str) -> ConfigMapKey {
        (namespace.to_string(), name.to_string())
    }

    fn selected(scopes: &[&str], places: &[ConfigMapKey]) -> Vec<(String, Option<String>)> {
        let scopes: Vec<String> = scopes.iter().map(|it| it.to_string()).collect();
        let all = selections(&scopes, places).into_iter();
        all.map(|it| (it.scope, it.name)).collect()
    }

    #[test]
    fn each_name_has_a_watch_in_all_that_is_looked_after_and_nothing_else_has() {
        let places = [at("a", "bundle"), at("b", "bundle"), at("b", "other")];
        let name = |name: &str| Some(name.to_string());
        assert_eq!(selected(&[""], &[]), []);
        assert_eq!(
            selected(&[""], &places),
            [(String::new(), name("bundle")), (String::new(), name("other"))]
        );
        assert_eq!(
            selected(&["a", "b"], &places[..2]),
            [
                ("a".to_string(), name("bundle")),
                ("b".to_string(), name("bundle"))
            ]
        );
        assert_eq!(
            selected(&["a"], &places[1..]),
            [],
            "what is not looked after is not watched"
        );
    }

    #[test]
    fn many_names_share_one_watch() {
        let many: Vec<ConfigMapKey> = (0..=MOST_NAMES)
            .map(|n| at("a", &format!("bundle-{n}")))
            .collect();
        assert_eq!(selected(&["a"], &many[1..]).len(), MOST_NAMES);
        assert_eq!(selected(&["a"], &many), [("a".to_string(), None)]);
    }
}
