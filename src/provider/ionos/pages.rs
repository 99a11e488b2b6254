//! Putting a list together from its pages.

use std::collections::HashMap;

use super::wire::UserList;
use crate::provider::{Listing, RemoteUser};

/// More pages than any real list has; a server that never ends is stopped here.
const MOST_PAGES: u32 = 1000;

/// A list in the making.
///
/// A list that ends too early would make users look deleted, so an end is believed only if the page is not
/// full *and* the server's links say that there is no next one. Where either is missing, one more page is
/// asked for, and an empty one is the end. A server that contradicts itself is an error, never a partial list.
pub(super) struct Pages {
    users: Vec<RemoteUser>,
    at: HashMap<String, usize>,
    pages: u32,
    asked: u64,
    offset: u64,
}

/// What to do after a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NextPage {
    /// Ask for the page at this offset.
    Page(u64),
    /// That was the last one.
    Done,
}

impl Pages {
    /// A list whose pages are asked for with this limit.
    pub(super) fn new(asked: u64) -> Self {
        Self {
            users: Vec::new(),
            at: HashMap::new(),
            pages: 0,
            asked,
            offset: 0,
        }
    }

    /// Adds the page that was asked for last. An error is what is wrong with it, in words.
    pub(super) fn add(&mut self, page: UserList) -> Result<NextPage, &'static str> {
        self.pages += 1;
        if page.offset.0.is_some_and(|offset| offset != self.offset) {
            return Err("a page begins elsewhere than asked");
        }
        let count = page.items.len() as u64;
        let limit = page.limit.0.filter(|limit| *limit > 0).unwrap_or(self.asked);
        let full = count >= limit.min(self.asked);
        let next = page.links.as_ref().map(super::wire::Links::has_next);
        let users = page.items.into_iter().map(RemoteUser::from);
        let fresh = users.map(|user| self.merge(user)).filter(|new| *new).count();
        if count == 0 {
            return match next {
                Some(true) => Err("a page is empty and yet has a next one"),
                _ => Ok(NextPage::Done),
            };
        }
        if next == Some(false) && !full {
            return Ok(NextPage::Done);
        }
        if fresh == 0 {
            return Err("a page repeats the ones before it");
        }
        if self.pages >= MOST_PAGES {
            return Err("the list has no end");
        }
        self.offset += count;
        Ok(NextPage::Page(self.offset))
    }

    /// How many users there are so far.
    pub(super) fn users(&self) -> usize {
        self.users.len()
    }

    /// The list.
    pub(super) fn finish(self) -> Listing {
        Listing {
            users: self.users,
            pages: self.pages,
        }
    }

    /// Adds a user, or brings one that came before up to date; true if it is new. Users shift between pages
    /// when others come and go. One that was protected on either page is protected.
    fn merge(&mut self, user: RemoteUser) -> bool {
        match self.at.get(&user.username).and_then(|at| self.users.get_mut(*at)) {
            Some(known) => {
                let protected = known.protected || user.protected;
                *known = RemoteUser { protected, ..user };
                false
            }
            None => {
                self.at.insert(user.username.clone(), self.users.len());
                self.users.push(user);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(json: &str) -> UserList {
        serde_json::from_str(json).unwrap()
    }

    fn items(names: &[&str]) -> String {
        let items: Vec<_> = names
            .iter()
            .map(|name| format!(r#"{{"properties":{{"username":"{name}"}}}}"#))
            .collect();
        items.join(",")
    }

    fn linked(names: &[&str], next: bool) -> UserList {
        let next = if next {
            r#""next":"https://elsewhere.example/steal""#
        } else {
            ""
        };
        page(&format!(r#"{{"items":[{}],"_links":{{{next}}}}}"#, items(names)))
    }

    #[test]
    fn a_short_page_without_a_next_one_is_the_end() {
        let mut pages = Pages::new(3);
        assert_eq!(pages.add(linked(&["a", "b", "c"], true)), Ok(NextPage::Page(3)));
        assert_eq!(pages.add(linked(&["d"], false)), Ok(NextPage::Done));
        let list = pages.finish();
        assert_eq!((list.users.len(), list.pages), (4, 2));
    }

    #[test]
    fn a_full_page_without_a_next_one_is_asked_about_once_more() {
        let mut pages = Pages::new(2);
        assert_eq!(pages.add(linked(&["a", "b"], false)), Ok(NextPage::Page(2)));
        assert_eq!(pages.add(linked(&[], false)), Ok(NextPage::Done));
    }

    #[test]
    fn without_links_only_an_empty_page_is_the_end() {
        let mut pages = Pages::new(1000);
        let one = page(&format!(r#"{{"items":[{}]}}"#, items(&["a"])));
        assert_eq!(pages.add(one), Ok(NextPage::Page(1)));
        assert_eq!(pages.add(page(r#"{"items":[]}"#)), Ok(NextPage::Done));
    }

    #[test]
    fn a_server_that_caps_the_limit_is_followed_in_its_own_steps() {
        let mut pages = Pages::new(1000);
        let capped = page(&format!(
            r#"{{"limit":2,"_links":{{}},"items":[{}]}}"#,
            items(&["a", "b"])
        ));
        assert_eq!(pages.add(capped), Ok(NextPage::Page(2)));
    }

    #[test]
    fn a_name_on_two_pages_is_listed_once_and_stays_protected() {
        let mut pages = Pages::new(2);
        let first = r#"{"_links":{"next":"x"},"items":[{"properties":{"username":"a"}},
            {"properties":{"username":"b","system":true}}]}"#;
        pages.add(page(first)).unwrap();
        assert_eq!(pages.add(linked(&["b", "c"], true)), Ok(NextPage::Page(4)));
        let list = pages.finish();
        let names: Vec<_> = list.users.iter().map(|user| user.username.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert!(list.users[1].protected);
    }

    #[test]
    fn a_server_that_contradicts_itself_is_an_error() {
        let mut repeats = Pages::new(2);
        repeats.add(linked(&["a", "b"], true)).unwrap();
        assert!(repeats.add(linked(&["a", "b"], true)).is_err());

        let mut empty = Pages::new(2);
        assert!(empty.add(linked(&[], true)).is_err());

        let mut elsewhere = Pages::new(2);
        assert!(elsewhere.add(page(r#"{"offset":7,"items":[]}"#)).is_err());
    }

    #[test]
    fn a_list_without_end_is_an_error() {
        let mut pages = Pages::new(1);
        let ended = (0..=MOST_PAGES).find_map(|n| pages.add(linked(&[&format!("u{n}")], true)).err());
        assert_eq!(ended, Some("the list has no end"));
    }
}
