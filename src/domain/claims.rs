//! Who owns a remote user that several PostgresUsers ask for.

use std::sync::Arc;

use jiff::Timestamp;

use super::identity::{ExclusionKey, RemoteIdentity};
use super::plan::Rival;

/// A PostgresUser that asks for a remote user: one of all that have the same
/// [`ExclusionKey`](super::identity::ExclusionKey).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Contender {
    /// Its UID.
    pub uid: Arc<str>,
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// When it was made, by the API server's clock.
    pub created: Timestamp,
    /// By what it asks.
    pub right: Right,
}

/// By what a PostgresUser asks for a remote user, the best right first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Its status records the remote user, or a journal holds an entry of it.
    Record,
    /// It carries a claim to this remote user, the server object admits it and what it asks for, and that object's
    /// credentials have worked: whoever writes an object can write all of this but the last two.
    Claim,
    /// Nothing but its spec, which stands in nobody's way.
    Wish,
}

/// What one PostgresUser contends for on a remote cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contended {
    /// The cluster.
    pub identity: RemoteIdentity,
    /// Its logins' names, `spec.username` first, each with the right that it has to it.
    pub names: Vec<(String, Right)>,
}

impl Contended {
    /// One login.
    pub fn one(key: ExclusionKey, right: Right) -> Self {
        Self {
            identity: key.identity,
            names: vec![(key.username, right)],
        }
    }

    /// The right to one of the names.
    pub fn right(&self, username: &str) -> Right {
        let found = self.names.iter().find(|(name, _)| name == username);
        found.map_or(Right::Wish, |(_, right)| *right)
    }
}

impl Right {
    /// Whether it counts against others.
    pub fn counts(self) -> bool {
        self != Right::Wish
    }
}

/// The one to whom the remote user belongs; none if nobody has a right to it yet.
///
/// The better right wins, between equals age decides, and then the UID, so that there is always one answer.
pub fn winner(contenders: &[Contender]) -> Option<&Contender> {
    let entitled = contenders.iter().filter(|contender| contender.right.counts());
    entitled.min_by_key(|contender| (contender.right, contender.created, &contender.uid))
}

/// The one with a better right than `me_uid`, if there is one.
///
/// It is named only to its own namespace. An object that is not among the contenders, since it is gone, has no
/// namespace to be told anything.
pub fn rival(me_uid: &str, contenders: &[Contender]) -> Option<Rival> {
    let winner = winner(contenders).filter(|winner| *winner.uid != *me_uid)?;
    let me = contenders.iter().find(|contender| *contender.uid == *me_uid);
    let may_know = me.is_some_and(|me| me.namespace == winner.namespace);
    Some(Rival {
        named: may_know.then(|| winner.name.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RIGHTS: [Right; 3] = [Right::Record, Right::Claim, Right::Wish];

    fn contender(uid: &str, created: i64, right: Right) -> Contender {
        Contender {
            uid: uid.into(),
            namespace: "shop".into(),
            name: format!("user-{uid}").into(),
            created: Timestamp::from_second(created).unwrap(),
            right,
        }
    }

    fn winning(contenders: &[Contender]) -> &str {
        &winner(contenders).unwrap().uid
    }

    #[test]
    fn nobody_owns_what_nobody_asks_for() {
        assert_eq!(winner(&[]), None);
        assert_eq!(rival("a", &[]), None);
    }

    #[test]
    fn a_recorded_owner_wins_over_an_older_claim() {
        let all = [contender("a", 1, Right::Claim), contender("b", 2, Right::Record)];
        assert_eq!(winning(&all), "b");
    }

    #[test]
    fn a_wish_stands_in_nobodys_way_however_old_it_is() {
        let all = [contender("a", 1, Right::Wish), contender("b", 2, Right::Claim)];
        assert_eq!(winning(&all), "b");
        let wishes = [contender("a", 1, Right::Wish), contender("b", 2, Right::Wish)];
        assert_eq!(rival("b", &wishes), None);
        assert!(rival("a", &all).is_some());
    }

    #[test]
    fn age_decides_between_equals_and_then_the_uid() {
        for right in [Right::Record, Right::Claim] {
            let of = |uid, created| contender(uid, created, right);
            assert_eq!(winning(&[of("a", 2), of("b", 1)]), "b");
            assert_eq!(winning(&[of("b", 1), of("a", 1)]), "a");
        }
    }

    #[test]
    fn a_rival_is_named_only_in_its_own_namespace() {
        let older = contender("a", 1, Right::Record);
        let neighbour = contender("b", 2, Right::Claim);
        let stranger = Contender {
            namespace: "bank".into(),
            ..contender("c", 3, Right::Claim)
        };
        let all = [older, neighbour, stranger];
        assert_eq!(rival("a", &all), None);
        assert_eq!(rival("b", &all).unwrap().named.as_deref(), Some("user-a"));
        assert_eq!(rival("c", &all), Some(Rival { named: None }));
    }

    #[test]
    fn an_object_that_is_gone_has_a_rival_without_a_name() {
        assert_eq!(
            rival("gone", &[contender("a", 1, Right::Record)]),
            Some(Rival { named: None })
        );
    }

    proptest! {
        #[test]
        fn one_of_those_with_a_right_has_no_rival_whatever_others_wish(
            drawn in proptest::collection::vec((0..4_i64, 0..3_usize), 1..8),
            turn in 0..8_usize,
        ) {
            let mut contenders: Vec<Contender> = drawn
                .iter()
                .enumerate()
                .map(|(uid, (created, right))| contender(&uid.to_string(), *created, RIGHTS[*right]))
                .collect();
            let before = winner(&contenders).cloned();
            let entitled = contenders.iter().filter(|one| one.right.counts());
            let unrivalled = entitled.clone().filter(|one| rival(&one.uid, &contenders).is_none()).count();
            prop_assert_eq!(unrivalled, entitled.count().min(1));
            contenders.rotate_left(turn % drawn.len());
            prop_assert_eq!(winner(&contenders).cloned(), before.clone());
            contenders.retain(|one| one.right.counts());
            prop_assert_eq!(winner(&contenders).cloned(), before);
        }
    }
}
