//! Watches of the Kubernetes API, in which each object is read by itself.

use futures::{Stream, TryStreamExt};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};

use super::unread::{Reading, UnreadObjects};
use crate::api::{Lean, Readable};
use crate::domain::wish;

/// How many objects of other kinds than Secrets are listed at a time.
pub const PER_PAGE: u32 = 100;

/// A watch's own time limit, below what load balancers allow.
const WATCH_SECONDS: u32 = 240;

/// The longest value of an annotation that is kept: longer than any that means something. All that is asked of others is whether
/// they are the same.
const LONGEST_ANNOTATION: usize = 4096;

/// The watch of one scope, in which each object is read by itself, and without what takes room and is never looked at; with a field
/// selector, of what that selects.
///
/// A page is in memory twice, as it came and as it was read, and everybody may make objects of any size: few at a time, and fewer
/// where they are large (`runtime::pages`).
pub fn watch<K>(
    api: Api<Lean<K>>,
    unread: &UnreadObjects,
    page: u32,
    fields: Option<&str>,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + use<K>
where
    K: Resource<DynamicType = ()> + Readable + Clone + std::fmt::Debug + Send + 'static,
{
    let mut reading = Reading::new(unread.clone());
    let mut config = watcher::Config::default().timeout(WATCH_SECONDS).page_size(page);
    config.field_selector = fields.map(str::to_string);
    watcher(api, config)
        .default_backoff()
        .map_ok(move |event| reading.plain(event))
        .modify(prune)
}

fn prune<K: Resource>(object: &mut K) {
    let annotations = object.meta_mut().annotations.iter_mut();
    let values = annotations.flat_map(|annotations| annotations.values_mut());
    for value in values.filter(|value| value.len() > LONGEST_ANNOTATION) {
        *value = wish::short(value);
    }
}
