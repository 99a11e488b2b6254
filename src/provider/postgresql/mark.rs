//! The mark on a role: a line of its comment that says whose it is.
//!
//! `managed by pguser-operator: installation=… object=…`. What else a comment says is people's, and stays. Everybody
//! who may connect can read comments, so the mark names nothing but ids.

use crate::domain::identity::Mark;

/// How a line begins that is a mark.
const BEGINS: &str = "managed by pguser-operator:";

/// What a role's comment says of whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Marking {
    /// Nothing.
    None,
    /// It is this one's.
    Mark(Mark),
    /// Something that begins like a mark and cannot be read, or more than one: somebody's, but not ours to touch.
    Unreadable,
}

/// Whether a text can be part of a mark.
pub(super) fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn is_mark(line: &str) -> bool {
    line.trim_start().starts_with(BEGINS)
}

fn line(mark: &Mark) -> String {
    format!("{BEGINS} installation={} object={}", mark.installation, mark.uid)
}

/// Reads a line that is a mark.
fn parse(text: &str) -> Option<Mark> {
    let rest = text.strip_prefix(BEGINS)?.strip_prefix(" installation=")?;
    let (installation, uid) = rest.split_once(" object=")?;
    (is_id(installation) && is_id(uid)).then(|| Mark {
        installation: installation.to_string(),
        uid: uid.to_string(),
    })
}

/// Reads a comment.
pub(super) fn read(comment: Option<&str>) -> Marking {
    let mut marks = comment
        .unwrap_or_default()
        .split('\n')
        .filter(|line| is_mark(line));
    match (marks.next(), marks.next()) {
        (None, _) => Marking::None,
        (Some(one), None) => parse(one).map_or(Marking::Unreadable, Marking::Mark),
        (Some(_), Some(_)) => Marking::Unreadable,
    }
}

/// A comment with this mark instead of whichever it has; without any, it gets it as its last line.
pub(super) fn write(comment: Option<&str>, mark: &Mark) -> String {
    let comment = comment.filter(|comment| !comment.is_empty());
    let Some(comment) = comment else {
        return line(mark);
    };
    let mut written = false;
    let mut lines: Vec<String> = Vec::new();
    for old in comment.split('\n') {
        match is_mark(old) {
            false => lines.push(old.to_string()),
            true if written => {}
            true => {
                lines.push(line(mark));
                written = true;
            }
        }
    }
    if !written {
        lines.push(line(mark));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(installation: &str, uid: &str) -> Mark {
        Mark {
            installation: installation.to_string(),
            uid: uid.to_string(),
        }
    }

    #[test]
    fn a_mark_is_one_line_and_nothing_less() {
        let ours = mark("4e0", "8b1");
        let text = "managed by pguser-operator: installation=4e0 object=8b1";
        assert_eq!(write(None, &ours), text);
        assert_eq!(read(Some(text)), Marking::Mark(ours.clone()));
        let adopted = format!("The shop's.\nAsk Ann.\n{text}");
        assert_eq!(write(Some("The shop's.\nAsk Ann."), &ours), adopted);
        assert_eq!(read(Some(&format!("{adopted}\nNot Bob."))), Marking::Mark(ours));
        for none in [
            None,
            Some(""),
            Some("pguser-operator"),
            Some("not managed by pguser-operator: x"),
        ] {
            assert_eq!(read(none), Marking::None, "{none:?}");
        }
        for odd in [
            format!("{text} "),
            format!(" {text}"),
            format!("{text}\r"),
            format!("{text}\n{text}"),
            "managed by pguser-operator:".to_string(),
            "managed by pguser-operator: installation= object=8b1".to_string(),
            "managed by pguser-operator: installation=4e0 object=8b1 object=9".to_string(),
        ] {
            assert_eq!(read(Some(&odd)), Marking::Unreadable, "{odd:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_nothing_else_is_lost(
            before in "(\\PC|\n){0,40}",
            installation in "[A-Za-z0-9._-]{1,40}",
            uid in "[A-Za-z0-9._-]{1,40}",
            later in "[a-f0-9-]{36}",
        ) {
            let (first, second) = (mark(&installation, &uid), mark(&installation, &later));
            let once = write(Some(&before), &first);
            prop_assert_eq!(read(Some(&once)), Marking::Mark(first));
            let begins = format!("{before}\n");
            prop_assert!(before.is_empty() || once.starts_with(&begins));
            let twice = write(Some(&once), &second);
            prop_assert_eq!(&twice, &write(Some(&before), &second));
        }

        #[test]
        fn no_comment_is_too_odd_to_read(comment in "(managed by pguser-operator:|installation=| object=|\\PC|\n){0,12}") {
            let _ = read(Some(&comment));
        }
    }
}
