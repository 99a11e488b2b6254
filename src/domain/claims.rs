//! Who owns a remote user that several PostgresUsers ask for.

use jiff::Timestamp;

use super::plan::Rival;

/// A PostgresUser that asks for a remote user: one of all that have the same
/// [`ExclusionKey`](super::identity::ExclusionKey).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Contender {
    /// Its UID.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When it was made, by the API server's clock.
    pub created: Timestamp,
    /// Its status records the remote user, or a journal holds an entry of it.
    pub recorded: bool,
    /// It carries a claim, through a server whose credentials have worked.
    pub claimed: bool,
}

impl Contender {
    /// How good its right is, less being better: a record, else a claim, else nothing but the wish. Between
    /// equals age decides, and then the UID, so that there is always one answer.
    fn rank(&self) -> (u8, Timestamp, &str) {
        let right = match (self.recorded, self.claimed) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        };
        (right, self.created, &self.uid)
    }
}

/// The one to whom the remote user belongs; none if nobody asks for it.
pub fn winner(contenders: &[Contender]) -> Option<&Contender> {
    contenders.iter().min_by_key(|contender| contender.rank())
}

/// The one with a better right than `me_uid`, if there is one.
///
/// It is named only to its own namespace. An object that is not among the contenders, since it is gone, has no
/// namespace to be told anything.
pub fn rival(me_uid: &str, contenders: &[Contender]) -> Option<Rival> {
    let winner = winner(contenders).filter(|winner| winner.uid != me_uid)?;
    let me = contenders.iter().find(|contender| contender.uid == me_uid);
    let may_know = me.is_some_and(|me| me.namespace == winner.namespace);
    Some(Rival {
        named: may_know.then(|| winner.name.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn contender(uid: &str, created: i64, recorded: bool, claimed: bool) -> Contender {
        Contender {
            uid: uid.to_string(),
            namespace: "shop".to_string(),
            name: format!("user-{uid}"),
            created: Timestamp::from_second(created).unwrap(),
            recorded,
            claimed,
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
        assert_eq!(
            winning(&[contender("a", 1, false, true), contender("b", 2, true, true)]),
            "b"
        );
        assert_eq!(
            winning(&[contender("a", 1, false, true), contender("b", 2, true, false)]),
            "b"
        );
    }

    #[test]
    fn a_claim_wins_over_an_older_wish() {
        assert_eq!(
            winning(&[contender("a", 1, false, false), contender("b", 2, false, true)]),
            "b"
        );
    }

    #[test]
    fn age_decides_between_equals_and_then_the_uid() {
        for (recorded, claimed) in [(true, true), (false, true), (false, false)] {
            let of = |uid, created| contender(uid, created, recorded, claimed);
            assert_eq!(winning(&[of("a", 2), of("b", 1)]), "b");
            assert_eq!(winning(&[of("b", 1), of("a", 1)]), "a");
        }
    }

    #[test]
    fn a_rival_is_named_only_in_its_own_namespace() {
        let older = contender("a", 1, true, true);
        let neighbour = contender("b", 2, false, true);
        let stranger = Contender {
            namespace: "bank".to_string(),
            ..contender("c", 3, false, true)
        };
        let all = [older, neighbour, stranger];
        assert_eq!(rival("a", &all), None);
        assert_eq!(rival("b", &all).unwrap().named.as_deref(), Some("user-a"));
        assert_eq!(rival("c", &all), Some(Rival { named: None }));
    }

    #[test]
    fn an_object_that_is_gone_has_a_rival_without_a_name() {
        assert_eq!(
            rival("gone", &[contender("a", 1, true, true)]),
            Some(Rival { named: None })
        );
    }

    proptest! {
        #[test]
        fn exactly_one_contender_has_no_rival(
            drawn in proptest::collection::vec((0..4_i64, any::<bool>(), any::<bool>()), 1..8),
            turn in 0..8_usize,
        ) {
            let mut contenders: Vec<Contender> = drawn
                .iter()
                .enumerate()
                .map(|(uid, (created, recorded, claimed))| contender(&uid.to_string(), *created, *recorded, *claimed))
                .collect();
            let before = winner(&contenders).unwrap().clone();
            let unrivalled = contenders.iter().filter(|one| rival(&one.uid, &contenders).is_none()).count();
            prop_assert_eq!(unrivalled, 1);
            contenders.rotate_left(turn % drawn.len());
            prop_assert_eq!(winner(&contenders), Some(&before));
            prop_assert!(before.recorded || contenders.iter().all(|one| !one.recorded));
        }
    }
}
