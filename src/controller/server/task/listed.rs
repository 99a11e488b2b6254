//! Users as a list shows them, in the order of their names.

use std::collections::HashSet;
use std::sync::Arc;

use crate::domain::remote::RemoteUser;
use crate::domain::role::Power;

/// The user of this name.
pub fn find<'a>(users: &'a [RemoteUser], username: &str) -> Option<&'a RemoteUser> {
    let place = users.binary_search_by(|user| user.username.as_str().cmp(username));
    place.ok().map(|place| &users[place])
}

/// About how many bytes they take in memory. Roles that are alike are kept once.
pub fn bytes(users: &[RemoteUser]) -> usize {
    let mut kinds = HashSet::new();
    let roles = users.iter().filter_map(|user| user.traits.role.as_ref());
    let roles: usize = roles
        .filter(|role| kinds.insert(Arc::as_ptr(role)))
        .map(|role| role.bytes())
        .sum();
    roles + users.iter().map(RemoteUser::bytes).sum::<usize>()
}

/// How much a role gives to whoever becomes a member of it. One that is not there gives nothing.
pub fn power_of(users: &[RemoteUser], role: &str) -> Power {
    let mut seen = HashSet::new();
    let mut open = vec![role];
    let mut power = Power::Plain;
    while let Some(name) = open.pop() {
        let found = find(users, name).and_then(|user| user.traits.role.as_ref());
        let Some(found) = found.filter(|_| seen.insert(name)) else {
            continue;
        };
        power = power.max(found.own_power());
        open.extend(found.groups().map(String::as_str));
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::remote::Creator;
    use crate::domain::role::{FoundRole, Traits};

    fn role(name: &str, groups: &[&str], power: Power) -> RemoteUser {
        let found = FoundRole {
            granted_by_others: groups.iter().map(|group| (*group).to_string()).collect(),
            bypass_rls: power == Power::Over,
            unattainable: power == Power::All,
            ..FoundRole::as_created()
        };
        RemoteUser {
            username: name.to_string(),
            protected: false,
            creator: Creator::Unmanaged,
            created: None,
            modified: None,
            traits: Traits {
                role: Some(Arc::new(found)),
                ..Traits::default()
            },
        }
    }

    #[test]
    fn a_role_gives_what_it_has_and_what_it_is_a_member_of_has() {
        let users = [
            role("boss", &[], Power::All),
            role("circle-1", &["circle-2"], Power::Plain),
            role("circle-2", &["circle-1", "sees-all"], Power::Plain),
            role("deputy", &["middle"], Power::Plain),
            role("middle", &["boss", "sees-all"], Power::Plain),
            role("plain", &["gone"], Power::Plain),
            role("sees-all", &[], Power::Over),
        ];
        for (name, power) in [
            ("plain", Power::Plain),
            ("gone", Power::Plain),
            ("sees-all", Power::Over),
            ("circle-1", Power::Over),
            ("deputy", Power::All),
        ] {
            assert_eq!(power_of(&users, name), power, "{name}");
        }
    }

    #[test]
    fn what_is_kept_once_counts_once() {
        let one = role("a", &["group"], Power::Plain);
        let alike: Vec<_> = (0..100).map(|_| one.clone()).collect();
        let apart: Vec<_> = (0..100).map(|_| role("a", &["group"], Power::Plain)).collect();
        assert!(bytes(&alike) > 100 * size_of::<RemoteUser>());
        assert!(bytes(&apart) > bytes(&alike) + 99 * size_of::<FoundRole>());
    }
}
