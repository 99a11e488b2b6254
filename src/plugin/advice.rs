//! What to do about a condition's reason: docs/postgresuser.md, in one line each.

/// Who ends it.
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

/// What to do about a reason; none for one that this version does not know.
pub fn of(reason: &str) -> Option<Advice> {
    TABLE
        .iter()
        .find(|(known, ..)| *known == reason)
        .map(|(_, who, what)| Advice { who: *who, what })
}

use Who::{Mend, Nobody, Person};

const TABLE: &[(&str, Who, &str)] = &[
    ("Published", Nobody, "nothing: all is as it should be"),
    (
        "Suspended",
        Nobody,
        "set spec.suspend to false when the operator is to go on",
    ),
    (
        "Pending",
        Nobody,
        "wait: the operator has not looked at it yet; if that lasts, see whether it runs",
    ),
    ("Observing", Nobody, "wait: the operator is looking"),
    ("Checking", Nobody, "wait: the operator is looking"),
    ("Creating", Nobody, "wait: the login is being made"),
    ("Adopting", Nobody, "wait: the login is being taken over"),
    ("SettingPassword", Nobody, "wait: the password is being set"),
    (
        "Retiring",
        Nobody,
        "wait: the login in whose place another one was published is being retired",
    ),
    (
        "Configuring",
        Nobody,
        "wait: attributes and memberships are being set",
    ),
    (
        "Recreating",
        Nobody,
        "wait: the login was deleted on the server and comes back with the same password",
    ),
    (
        "Moving",
        Nobody,
        "wait: the login is being taken over by the other server object",
    ),
    (
        "Queued",
        Nobody,
        "wait: the server's users are changed a few at a time",
    ),
    (
        "RequestFailed",
        Nobody,
        "wait if the vendor has trouble; else ask the vendor about this login",
    ),
    (
        "Waiting",
        Nobody,
        "wait some minutes: a request of an object that is gone may still arrive",
    ),
    ("Publishing", Nobody, "wait: the Secret is being written"),
    (
        "Confirming",
        Nobody,
        "wait: seconds, or about two minutes after a lost answer",
    ),
    ("ClusterBusy", Nobody, "wait until the server takes changes again"),
    (
        "NotInEffect",
        Nobody,
        "wait: the password is sent again until it takes effect",
    ),
    ("Throttled", Nobody, "wait: the server's API asks for patience"),
    (
        "Unreachable",
        Nobody,
        "wait if the vendor is down; else look at DNS, proxies and network policies",
    ),
    (
        "ServerNotReady",
        Nobody,
        "look at the server object: it is being prepared or deleted, or lacks a host",
    ),
    (
        "Deleting",
        Nobody,
        "wait; kubectl pguser explain-delete says for what",
    ),
    (
        "ServerNotFound",
        Mend,
        "create the server object, or have a ClusterPostgresServer select this namespace",
    ),
    (
        "Unauthorised",
        Mend,
        "put working credentials into the server's credentials Secret",
    ),
    (
        "CredentialsNotFound",
        Mend,
        "create the server's credentials Secret again",
    ),
    (
        "CANotFound",
        Mend,
        "create the Secret or ConfigMap with certificates that the server object names",
    ),
    (
        "InvalidCredentials",
        Mend,
        "put the missing keys into the server's credentials Secret",
    ),
    (
        "ClusterNotFound",
        Mend,
        "check the cluster's id on the server object, and whose token it uses",
    ),
    ("UnexpectedAnswer", Mend, "look at the error code in the message"),
    (
        "PasswordNotFound",
        Mend,
        "create the Secret or key that spec.password.secretRef names",
    ),
    (
        "RetirementBlocked",
        Mend,
        "the message says what keeps the login of before from being retired: put that right, and it is tried again within a minute",
    ),
    (
        "RestartForbidden",
        Mend,
        "have an administrator set restartWorkloads.enabled=true in the chart, or add the component deploy/components/restarts",
    ),
    (
        "RestartRefused",
        Mend,
        "mend what refuses the change of the workload that the message names",
    ),
    (
        "NotVerified",
        Mend,
        "let the operator reach the server as clients do, or set spec.verification: Auto on the server object",
    ),
    (
        "PasswordOverdue",
        Person,
        "write another password into the Secret that spec.password.secretRef names, or set spec.suspend: false",
    ),
    (
        "AddressRefused",
        Person,
        "correct spec.connection of the server object: at its address the password is refused",
    ),
    (
        "InvalidRotation",
        Person,
        "correct spec.rotation as the message says",
    ),
    (
        "AlreadyExists",
        Person,
        "take the login over with kubectl pguser adopt; or choose another name in a new object",
    ),
    (
        "Conflict",
        Person,
        "the message says who else wants this login; after a fight over the password stop the other \
      side, then kubectl pguser rotate",
    ),
    (
        "Unclaimed",
        Person,
        "if the login is this object's, delete it on the server; if not, kubectl pguser release",
    ),
    (
        "Restored",
        Person,
        "have an administrator set pguser.dev/take-over-from on the server object; or delete the copy",
    ),
    (
        "RemoteChanged",
        Person,
        "point serverRef, or the server object, back to the cluster that the login is on",
    ),
    (
        "SecretConflict",
        Person,
        "delete or rename the Secret that has the output's name",
    ),
    (
        "SecretTerminating",
        Person,
        "see to the finalizers of the output Secret that the message names",
    ),
    (
        "WriteRefused",
        Person,
        "mend what the Kubernetes API names in the message: a quota, a policy, an immutable Secret",
    ),
    ("ChangeTooLarge", Person, "make shorter what the message names"),
    (
        "InvalidUsername",
        Person,
        "make another PostgresUser with a name that the server object takes",
    ),
    (
        "InvalidPassword",
        Person,
        "change spec.password, or the Secret that it names, as the message says",
    ),
    (
        "TooManyLogins",
        Person,
        "delete a PostgresUser that is not needed, or ask whoever keeps the server object for more",
    ),
    (
        "InvalidSettings",
        Person,
        "change spec.postgresql or spec.secret, or what the server object allows, as the message says",
    ),
    (
        "Undecodable",
        Person,
        "mend the field that the message names, or install a version of the operator that can read it",
    ),
    (
        "SettingsRejected",
        Person,
        "change spec.postgresql, or mend what the message names and kubectl pguser rotate",
    ),
    (
        "Rejected",
        Person,
        "change spec.password or the Secret that it names; or kubectl pguser rotate",
    ),
    (
        "EndpointNotAllowed",
        Person,
        "have an administrator add the address with --allow-endpoint",
    ),
    (
        "InvalidEndpoint",
        Person,
        "mend the server object's address, as the message says",
    ),
    (
        "DeletionBlocked",
        Person,
        "kubectl pguser explain-delete says what is in the way, and the ways out",
    ),
];

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
        let those = TABLE.iter().filter(|(_, it, _)| *it == who);
        those.map(|(reason, ..)| reason.to_string()).collect()
    }

    #[test]
    fn every_documented_reason_has_advice_of_the_documented_kind() {
        assert_eq!(documented("Reasons that need nobody"), known(Nobody));
        assert_eq!(
            documented("Reasons that end when something is put right"),
            known(Mend)
        );
        assert_eq!(documented("Reasons that stall"), known(Person));
    }
}
