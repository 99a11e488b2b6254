//! Whom the contract is tried with, and in what they differ.

use pguser_operator::provider::{Capabilities, Creator, ErrorClass, RemoteUser, ionos, postgresql, scalingo};

/// A provider, in one of the ways in which it can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    Ionos,
    Scalingo(Shape),
    Postgresql(Admin),
}

/// How Scalingo answers about a user: the vendor's clients and its documents disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    Rooted,
    Unrooted,
}

/// What the operator's own login may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Admin {
    Superuser,
    Createrole,
}

/// A call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Create,
    Set,
    Delete,
    List,
    Get,
}

impl Op {
    pub const MUTATIONS: [Op; 3] = [Op::Create, Op::Set, Op::Delete];
}

/// On which side of the commit something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

impl Subject {
    pub const ALL: [Subject; 5] = [
        Subject::Ionos,
        Subject::Scalingo(Shape::Rooted),
        Subject::Scalingo(Shape::Unrooted),
        Subject::Postgresql(Admin::Superuser),
        Subject::Postgresql(Admin::Createrole),
    ];

    pub fn name(self) -> &'static str {
        match self {
            Subject::Ionos => "ionos",
            Subject::Scalingo(Shape::Rooted) => "scalingo rooted",
            Subject::Scalingo(Shape::Unrooted) => "scalingo unrooted",
            Subject::Postgresql(Admin::Superuser) => "postgresql superuser",
            Subject::Postgresql(Admin::Createrole) => "postgresql createrole",
        }
    }

    pub fn capabilities(self) -> &'static Capabilities {
        match self {
            Subject::Ionos => &ionos::CAPABILITIES,
            Subject::Scalingo(_) => &scalingo::CAPABILITIES,
            Subject::Postgresql(_) => &postgresql::CAPABILITIES,
        }
    }

    /// Whether it is an API of a vendor, which the simulator speaks.
    pub fn is_api(self) -> bool {
        !self.is_sql()
    }

    pub fn is_sql(self) -> bool {
        matches!(self, Subject::Postgresql(_))
    }

    pub fn is_scalingo(self) -> bool {
        matches!(self, Subject::Scalingo(_))
    }

    /// What a name that is taken may be answered with; sure to change nothing.
    pub fn taken(self) -> &'static [ErrorClass] {
        match self {
            // With the simulator's usual switches; the others are tried as well.
            Subject::Ionos | Subject::Scalingo(_) => &[ErrorClass::Invalid],
            Subject::Postgresql(_) => &[ErrorClass::Conflict],
        }
    }

    /// What is known of a mutation when the connection is lost.
    pub fn lost(self, when: When) -> ErrorClass {
        match (self, when) {
            // Before COMMIT is sent nothing can have happened, and whoever speaks SQL knows that.
            (Subject::Postgresql(_), When::Before) => UNREACHABLE,
            _ => UNKNOWN,
        }
    }

    /// Whether a user that the operator has made looks like one.
    pub fn is_ours(self, user: &RemoteUser) -> bool {
        match self {
            Subject::Ionos => matches!(user.creator, Creator::Account(_)),
            Subject::Scalingo(_) => user.creator == Creator::Unknown,
            Subject::Postgresql(_) => user.mark() == Some(&crate::case::mark(crate::case::OWNER)),
        }
    }

    /// The class of errors that cannot come from it.
    pub fn never(self) -> &'static [&'static str] {
        match self {
            // A server without a connection to spare refuses the connection itself.
            Subject::Postgresql(_) => &["rate_limited"],
            _ => &[],
        }
    }
}

pub const UNKNOWN: ErrorClass = ErrorClass::Unknown { after: None };
pub const UNREACHABLE: ErrorClass = ErrorClass::Unreachable { after: None };

// Why a test says nothing about a subject.

pub fn without_marks(subject: Subject) -> Option<&'static str> {
    (!subject.capabilities().marks).then_some("has no marks")
}

pub fn by_sql(subject: Subject) -> Option<&'static str> {
    subject.is_sql().then_some("speaks SQL, not HTTP")
}

pub fn by_http(subject: Subject) -> Option<&'static str> {
    subject.is_api().then_some("speaks HTTP, not SQL")
}

pub fn without_tokens(subject: Subject) -> Option<&'static str> {
    (!subject.is_scalingo()).then_some("has no tokens that expire")
}

pub fn without_pages(subject: Subject) -> Option<&'static str> {
    (subject != Subject::Ionos).then_some("lists have one page")
}

pub fn without_read_only(subject: Subject) -> Option<&'static str> {
    (!subject.is_scalingo()).then_some("has no users that only read")
}

pub fn without_a_status(subject: Subject) -> Option<&'static str> {
    (!subject.is_scalingo()).then_some("has no database that can be stopped by itself")
}

pub fn with_every_right(subject: Subject) -> Option<&'static str> {
    (subject != Subject::Postgresql(Admin::Createrole)).then_some("has no privileges to lose one by one")
}

pub fn without_bounds(subject: Subject) -> Option<&'static str> {
    subject
        .is_sql()
        .then_some("PostgreSQL takes any password; the bounds are for what is generated")
}

pub fn without_busy(subject: Subject) -> Option<&'static str> {
    (!subject.capabilities().turns_busy).then_some("is never busy for a while")
}
