//! PostgresUsers as they are kept between two looks at them.
//!
//! There may be ten thousand, a few of which are looked at at a time. What is asked of all of them is at hand; the rest is packed,
//! in a third of the room that it takes as an object: its many short texts, each in a piece of memory of its own, are most of that.

use std::borrow::Cow;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};

use kube::Resource;
use kube::api::ObjectMeta;
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Predicate, predicates, watcher};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::api::{ClusterPostgresServer, PostgresServer, PostgresUser, Readable};
use crate::objects::{ServerKey, UserRef, placement};

/// A kind of objects, as it is kept.
pub trait AtRest:
    From<Self::Awake> + Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
    /// As it is worked with.
    type Awake: Resource<DynamicType = ()> + Readable + Clone + Debug + Send;

    /// Changes with whatever of it is worth a reconciliation.
    fn news(&self) -> u64;
}

impl AtRest for PostgresServer {
    type Awake = Self;

    fn news(&self) -> u64 {
        news_of(self)
    }
}

impl AtRest for ClusterPostgresServer {
    type Awake = Self;

    fn news(&self) -> u64 {
        news_of(self)
    }
}

/// The event of a watch, as the stores are told of it.
pub fn to_rest<K: AtRest>(event: watcher::Event<K::Awake>) -> watcher::Event<K> {
    use watcher::Event;
    match event {
        Event::Apply(object) => Event::Apply(object.into()),
        Event::Delete(object) => Event::Delete(object.into()),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(object.into()),
        Event::InitDone => Event::InitDone,
    }
}

/// A PostgresUser that nobody looks at.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "PostgresUser")]
pub struct UserAtRest {
    /// Name, namespace, UID and version: what kube's stores and queues look at.
    metadata: ObjectMeta,
    /// Hashes of the server objects that it has to do with.
    servers: [u64; 3],
    news: u64,
    rest: Rest,
}

#[derive(Debug, Clone)]
enum Rest {
    Packed(Box<[u8]>),
    /// What would not be read as it was written.
    Whole(Arc<PostgresUser>),
}

/// What texts of PostgresUsers are made of as a rule: what is in here is packed as a reference to it.
static TYPICAL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let typical: Vec<PostgresUser> = serde_json::from_str(include_str!("typical.json")).unwrap_or_default();
    let texts = typical.iter().filter_map(|user| serde_json::to_vec(user).ok());
    texts.flatten().collect()
});

impl From<PostgresUser> for UserAtRest {
    /// Labels and owners are for others to look at, and may be many.
    fn from(mut user: PostgresUser) -> Self {
        user.metadata.labels = None;
        user.metadata.owner_references = None;
        let meta = &user.metadata;
        Self {
            metadata: ObjectMeta {
                name: meta.name.clone(),
                namespace: meta.namespace.clone(),
                uid: meta.uid.clone(),
                resource_version: meta.resource_version.clone(),
                ..ObjectMeta::default()
            },
            servers: placement::concerned(&user).map(|server| server.map_or(0, hash_of)),
            news: news_of(&user),
            rest: match pack(&user) {
                Some(packed) => Rest::Packed(packed),
                None => Rest::Whole(Arc::new(user)),
            },
        }
    }
}

impl AtRest for UserAtRest {
    type Awake = PostgresUser;

    fn news(&self) -> u64 {
        self.news
    }
}

impl UserAtRest {
    /// The PostgresUser, as it was.
    pub fn wake(&self) -> PostgresUser {
        match &self.rest {
            Rest::Packed(packed) => unpack(packed).expect("it was unpacked before it was kept"),
            Rest::Whole(user) => (**user).clone(),
        }
    }

    /// Its name and namespace.
    pub fn reference(&self) -> UserRef {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        UserRef::new(name).within(self.metadata.namespace.as_deref().unwrap_or_default())
    }

    /// Its UID.
    pub fn uid(&self) -> Option<&str> {
        self.metadata.uid.as_deref()
    }

    /// Whether it may have to do with a server object; whoever needs to be sure looks at it.
    pub fn may_concern(&self, server: &ServerKey) -> bool {
        self.servers.contains(&hash_of(server))
    }
}

/// What is meant, among those at rest.
pub fn named<K: AtRest>(reference: &ObjectRef<K::Awake>) -> ObjectRef<K> {
    let name = ObjectRef::new(&reference.name);
    match &reference.namespace {
        Some(namespace) => name.within(namespace),
        None => name,
    }
}

fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The predicates are kube's.
fn news_of<K: Resource<DynamicType = ()>>(object: &K) -> u64 {
    let of_spec = Predicate::combine(predicates::generation, predicates::finalizers);
    let of_metadata = Predicate::combine(predicates::annotations, predicates::labels);
    hash_of(Predicate::combine(of_spec, of_metadata).hash_property(object))
}

/// None if it could not be unpacked again.
fn pack(user: &PostgresUser) -> Option<Box<[u8]>> {
    let text = serde_json::to_vec(user).ok()?;
    let packed = lz4_flex::block::compress_prepend_size_with_dict(&text, &TYPICAL);
    unpack(&packed)?;
    Some(packed.into_boxed_slice())
}

fn unpack(packed: &[u8]) -> Option<PostgresUser> {
    let text = lz4_flex::block::decompress_size_prepended_with_dict(packed, &TYPICAL).ok()?;
    serde_json::from_slice(&text).ok()
}

impl Resource for UserAtRest {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        PostgresUser::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        PostgresUser::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        PostgresUser::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        PostgresUser::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn typical() -> Vec<PostgresUser> {
        serde_json::from_str(include_str!("typical.json")).unwrap()
    }

    /// With names, ids and digests of its own.
    fn another() -> PostgresUser {
        let own = [
            ("checkout", "orders-42-worker"),
            (
                "498ae72f-411f-11eb-9d07-046c59cc737e",
                "0f1e2d3c-5b4a-4978-8695-a4b3c2d1e0f9",
            ),
            (
                "87ead918-2fec-41ad-a165-569e0240f85d",
                "f705c309-a641-4d2d-8841-205dcbbf0067",
            ),
            (
                "29d87028-2c02-4043-8927-8349229be93e",
                "b1946ac9-2492-4d23-a7ee-0cc175b9c0f1",
            ),
            (
                "035c7afcd2887200f71614e7b2e8e3e6e1997b9af5786b91c05785908bbb4172",
                "dadc0678863b40951f7b5117bbffc1f5831cfd83672982535977b4b359dc344b",
            ),
            (
                "4c47b471967c103c7c60160ec491e0c9784aa4b474571c18084229574b2e349f",
                "885b2f321f765046f076203ed6568514036a42758723fb3bc2b37602e6630718",
            ),
        ];
        let typical = include_str!("typical.json").to_string();
        let text = own
            .iter()
            .fold(typical, |text, (from, to)| text.replace(from, to));
        serde_json::from_str::<Vec<_>>(&text).unwrap().remove(1)
    }

    #[test]
    fn what_wakes_is_what_was_put_to_rest() {
        for mut user in typical().into_iter().chain([another()]) {
            user.metadata.labels = None;
            let at_rest = UserAtRest::from(user.clone());
            assert!(matches!(at_rest.rest, Rest::Packed(_)));
            assert_eq!(
                serde_json::to_value(at_rest.wake()).unwrap(),
                serde_json::to_value(&user).unwrap()
            );
            assert_eq!(at_rest.reference(), UserRef::from_obj(&user));
        }
    }

    #[test]
    fn a_user_at_rest_takes_little_room() {
        let UserAtRest { rest, .. } = UserAtRest::from(another());
        let Rest::Packed(packed) = rest else {
            panic!("it is not packed");
        };
        assert!(packed.len() < 500, "{} bytes", packed.len());
        assert!(size_of::<UserAtRest>() < 450, "{} bytes", size_of::<UserAtRest>());
    }

    #[test]
    fn what_others_write_to_it_takes_no_room() {
        let mut user = another();
        let many = (0..10_000).map(|number| (format!("example.com/label-{number}"), format!("{number:x}")));
        user.metadata.labels = Some(many.collect());
        let UserAtRest {
            rest: Rest::Packed(packed),
            ..
        } = UserAtRest::from(user)
        else {
            panic!("it is not packed");
        };
        assert!(packed.len() < 500, "{} bytes", packed.len());
    }

    #[test]
    fn it_tells_of_the_servers_that_it_has_to_do_with() {
        let mut user = another();
        let before = ServerKey::of(&user.spec.server_ref, "shop");
        user.spec.server_ref.name = "elsewhere".to_string();
        let now = ServerKey::of(&user.spec.server_ref, "shop");
        let at_rest = UserAtRest::from(user);
        assert!(at_rest.may_concern(&before) && at_rest.may_concern(&now));
        let other = ServerKey::of(
            &serde_json::from_value(json!({"name": "another"})).unwrap(),
            "shop",
        );
        assert!(!at_rest.may_concern(&other));
    }

    #[test]
    fn a_wish_is_news_and_a_status_is_not() {
        let (user, mut wished, mut reported) = (another(), another(), another());
        wished
            .metadata
            .annotations
            .get_or_insert_default()
            .insert("pguser.dev/rotate".to_string(), "1".to_string());
        reported.status = None;
        let [user, wished, reported] = [user, wished, reported].map(|it| UserAtRest::from(it).news());
        assert!(user != wished && user == reported);
    }
}
