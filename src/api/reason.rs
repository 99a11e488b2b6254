//! The reasons of conditions and Events, as one list: who ends what they tell of, and what to do about it.
//!
//! The names are part of the API: alerts and scripts compare them. docs/postgresuser.md has them with their meaning.

use std::fmt;

/// Who ends what a reason tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// It ends by itself.
    Nobody,
    /// The operator goes on as soon as something is put right.
    Mend,
    /// A person must decide.
    Person,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// Who ends it.
    pub who: Who,
    /// In which way.
    pub what: &'static str,
}

/// Defines the enum, its words, and its advice from one table.
macro_rules! reasons {
    (
        advised { $($name:ident $who:ident $what:literal;)* }
        others { $($(#[doc = $meaning:literal])+ $other:ident;)* }
    ) => {
        /// Why a condition is as it is, or why an Event was made.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $(#[doc = concat!("What to do: ", $what, ".")] $name,)*
            $($(#[doc = $meaning])+ $other,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &[Reason] = &[$(Reason::$name,)* $(Reason::$other,)*];

            /// As conditions and Events have it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$name => stringify!($name),)*
                    $(Reason::$other => stringify!($other),)*
                }
            }

            /// What to do about it. None for what only server objects and Events tell.
            pub const fn advice(self) -> Option<Advice> {
                match self {
                    $(Reason::$name => Some(Advice { who: Who::$who, what: $what }),)*
                    $(Reason::$other => None,)*
                }
            }
        }
    };
}

reasons! {
    advised {
        Published Nobody "nothing: all is as it should be";
        Suspended Nobody "set spec.suspend to false when the operator is to go on";
        Pending Nobody "wait: the operator has not looked at it yet; if that lasts, see whether it runs";
        Observing Nobody "wait: the operator is looking";
        Checking Nobody "wait: the operator is looking";
        Creating Nobody "wait: the login is being made";
        Adopting Nobody "wait: the login is being taken over";
        SettingPassword Nobody "wait: the password is being set";
        Retiring Nobody "wait: the login in whose place another one was published is being retired";
        Configuring Nobody "wait: attributes and memberships are being set";
        Recreating Nobody "wait: the login was deleted on the server and comes back with the same password";
        Moving Nobody "wait: the login is being taken over by the other server object";
        Queued Nobody "wait: the server's users are changed a few at a time";
        RequestFailed Nobody "wait if the vendor has trouble; else ask the vendor about this login";
        Waiting Nobody "wait some minutes: a request of an object that is gone may still arrive";
        Publishing Nobody "wait: the Secret is being written";
        Confirming Nobody "wait: seconds, or about two minutes after a lost answer";
        ClusterBusy Nobody "wait until the server takes changes again";
        NotInEffect Nobody "wait: the password is sent again until it takes effect";
        Throttled Nobody "wait: the server's API asks for patience";
        Unreachable Nobody "wait if the vendor is down; else look at DNS, proxies and network policies";
        ServerNotReady Nobody "look at the server object: it is being prepared or deleted, or lacks a host";
        Deleting Nobody "wait; kubectl pguser explain-delete says for what";
        ServerNotFound Mend "create the server object, or have a ClusterPostgresServer select this namespace";
        Unauthorized Mend "put working credentials into the server's credentials Secret";
        CredentialsNotFound Mend "create the server's credentials Secret again";
        CANotFound Mend "create the Secret or ConfigMap with certificates that the server object names";
        InvalidCredentials Mend "put the missing keys into the server's credentials Secret";
        ClusterNotFound Mend "check the cluster's id on the server object, and whose token it uses";
        UnexpectedAnswer Mend "look at the error code in the message";
        PasswordNotFound Mend "create the Secret or key that spec.password.secretRef names";
        RetirementBlocked Mend "the message says what keeps the login of before from being retired: put that right, and it is tried again within a minute";
        RestartForbidden Mend "have an administrator set restartWorkloads.enabled=true in the chart, or add the component deploy/components/restarts";
        RestartRefused Mend "mend what refuses the change of the workload that the message names";
        NotVerified Mend "let the operator reach the server as clients do, or set spec.verification: Auto on the server object";
        PasswordOverdue Person "write another password into the Secret that spec.password.secretRef names, or set spec.suspend: false";
        AddressRefused Person "correct spec.connection of the server object: at its address the password is refused";
        InvalidRotation Person "correct spec.rotation as the message says";
        AlreadyExists Person "take the login over with kubectl pguser adopt; or choose another name in a new object";
        Conflict Person "the message says who else wants this login; after a fight over the password stop the other \
      side, then kubectl pguser rotate";
        Unclaimed Person "if the login is this object's, delete it on the server; if not, kubectl pguser release";
        Restored Person "have an administrator set pguser.dev/take-over-from on the server object; or delete the copy";
        RemoteChanged Person "point serverRef, or the server object, back to the cluster that the login is on";
        SecretConflict Person "delete or rename the Secret that has the output's name";
        SecretTerminating Person "see to the finalizers of the output Secret that the message names";
        WriteRefused Person "mend what the Kubernetes API names in the message: a quota, a policy, an immutable Secret";
        ChangeTooLarge Person "make shorter what the message names";
        InvalidUsername Person "make another PostgresUser with a name that the server object takes";
        InvalidPassword Person "change spec.password, or the Secret that it names, as the message says";
        TooManyLogins Person "delete a PostgresUser that is not needed, or ask whoever keeps the server object for more";
        InvalidSettings Person "change spec.postgresql or spec.secret, or what the server object allows, as the message says";
        Undecodable Person "mend the field that the message names, or install a version of the operator that can read it";
        SettingsRejected Person "change spec.postgresql, or mend what the message names and kubectl pguser rotate";
        Rejected Person "change spec.password or the Secret that it names; or kubectl pguser rotate";
        EndpointNotAllowed Person "have an administrator add the address with --allow-endpoint";
        InvalidEndpoint Person "mend the server object's address, as the message says";
        DeletionBlocked Person "kubectl pguser explain-delete says what is in the way, and the ways out";
    }
    others {
        /// The server has answered.
        Reachable;
        /// The server has not answered yet.
        Connecting;
        /// The server object is being deleted, and is still needed.
        InUse;
        /// The server object names no provider.
        InvalidSpec;
        /// The journal of the server object cannot be read.
        JournalNotReady;
        /// The Kubernetes API does not let the operator read.
        ReadRefused;
        /// Deletions were accepted and do not take effect.
        StillThere;
        /// A deletion was accepted and does not take effect.
        DeletionNotInEffect;
        /// What is published works, and a change is under way.
        Progressing;
        /// A login with the Secret's content has worked.
        LoginSucceeded;
        /// A login could not be tried.
        Unverifiable;
        /// A login with the Secret's content was refused.
        LoginRefused;
        /// The login is gone from the server.
        LoginDeleted;
        /// The login was kept, as asked for.
        LoginRetained;
        /// The object was let go by annotation.
        LoginAbandoned;
        /// The login is not this object's any more.
        LoginLeft;
        /// The remote cluster is gone, and the login with it.
        ClusterGone;
        /// Settings of a login went with it.
        ParametersLost;
        /// Workloads that use the Secret were restarted.
        WorkloadsRestarted;
        /// A workload that is to be restarted is not there.
        WorkloadNotFound;
    }
}

impl Reason {
    /// The reason of this name; none for one that this version does not know.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|reason| reason.as_str() == name).copied()
    }

    /// For how long it holds a deletion up, where that is worth saying: docs/deletion.md in one line each.
    pub const fn holds_deletion(self) -> Option<&'static str> {
        Some(match self {
            Reason::Unauthorized | Reason::CredentialsNotFound => "until working credentials are there",
            Reason::Unreachable | Reason::Throttled => "until the API answers",
            Reason::ClusterNotFound => {
                "five minutes, if these credentials have seen the cluster before; else until it is found"
            }
            Reason::ServerNotFound | Reason::ServerNotReady => "until the server object is there",
            Reason::RemoteChanged => "until the server object names the cluster that the login is on",
            Reason::Rejected => "tried again every minute; often the login still owns databases or tables",
            Reason::Unclaimed => "until a person has looked whether the login is this object's",
            Reason::ClusterBusy => "until the cluster takes changes again",
            _ => return None,
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The reasons in the first columns of the tables below a heading.
    fn documented(heading: &str) -> BTreeSet<String> {
        let text = include_str!("../../docs/postgresuser.md");
        let section = text
            .split("\n### ")
            .find(|part| part.starts_with(heading))
            .unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let cells = rows.filter_map(|row| row.split(" | ").next());
        let words = cells.flat_map(|cell| cell.split(", ").map(|word| word.trim_matches('`').to_string()));
        words.collect()
    }

    fn known(who: Who) -> BTreeSet<String> {
        let is_of = |reason: &&Reason| reason.advice().is_some_and(|advice| advice.who == who);
        Reason::ALL.iter().filter(is_of).map(Reason::to_string).collect()
    }

    #[test]
    fn every_documented_reason_has_advice_of_the_documented_kind() {
        assert_eq!(documented("Reasons that need nobody"), known(Who::Nobody));
        assert_eq!(
            documented("Reasons that end when something is put right"),
            known(Who::Mend)
        );
        assert_eq!(documented("Reasons that stall"), known(Who::Person));
    }

    #[test]
    fn a_reason_is_found_by_its_name() {
        for reason in Reason::ALL {
            assert_eq!(Reason::named(reason.as_str()), Some(*reason));
        }
        assert_eq!(Reason::named("Whatever"), None);
    }

    #[test]
    fn every_reason_that_holds_a_deletion_has_a_time() {
        let text = include_str!("../../docs/deletion.md");
        let section = text
            .split("## What it waits for")
            .nth(1)
            .unwrap()
            .split("\n## ")
            .next()
            .unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let cells = rows.filter_map(|row| row.split([':', '|']).next());
        let words = cells.flat_map(|cell| cell.split(", ").map(|it| it.trim().trim_matches('`').to_string()));
        let documented: BTreeSet<String> = words.collect();
        let known: BTreeSet<String> = Reason::ALL
            .iter()
            .filter(|reason| reason.holds_deletion().is_some())
            .map(Reason::to_string)
            .collect();
        let missing: Vec<_> = documented.difference(&known).collect();
        assert!(
            documented.len() > 8 && missing.is_empty(),
            "{documented:?} lacks {missing:?}"
        );
    }
}
