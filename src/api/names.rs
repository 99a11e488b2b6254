//! Names that are part of the API: annotations, labels, finalizers, condition types, Secret keys.

/// Finalizer on PostgresUsers: the remote user has to be dealt with first.
pub const USER_FINALIZER: &str = "pguser.dev/remote-user";
/// Finalizer on servers: PostgresUsers still refer to it.
pub const SERVER_FINALIZER: &str = "pguser.dev/in-use";
/// Finalizer on credentials Secrets: a server with users still needs it.
pub const CREDENTIALS_FINALIZER: &str = "pguser.dev/credentials-in-use";

/// On a PostgresUser: any new value asks for a new password.
pub const ROTATE: &str = "pguser.dev/rotate";
/// On a PostgresUser: who claims which remote user, written with the finalizer before anything is sent.
pub const CLAIM: &str = "pguser.dev/claim";
/// On a PostgresUser: its username, to let it go although its remote user could not be dealt with.
pub const FORCE_FINALIZE: &str = "pguser.dev/force-finalize";
/// On a server: the installation whose claims this installation may take over (after a restore).
pub const TAKE_OVER_FROM: &str = "pguser.dev/take-over-from";
/// On a server: any new value asks for a refresh at once.
pub const REFRESH: &str = "pguser.dev/refresh";

/// On an output Secret: the UID of the PostgresUser that it belongs to.
pub const SECRET_USER_UID: &str = "pguser.dev/user-uid";
/// On an output Secret: the namespaced name of the PostgresUser that it belongs to.
pub const SECRET_USER: &str = "pguser.dev/user";
/// On an output Secret: which remote user it logs in as (`provider/endpoint/cluster/username`).
pub const SECRET_REMOTE: &str = "pguser.dev/remote-identity";
/// On an output Secret: its PostgresUser was deleted with `deletionPolicy: Retain`.
pub const SECRET_RETAINED: &str = "pguser.dev/retained";
/// On an output Secret: which of its labels and annotations are from its PostgresUser's spec, to be removed with it.
pub const SECRET_FROM_SPEC: &str = "pguser.dev/from-spec";

/// On a Pod template: when it was last restarted, as `kubectl rollout restart` has it.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
/// On a Pod template, with the UID of a PostgresUser after it: the publication that it was last restarted for.
pub const RESTARTED_FOR: &str = "restarted-for.pguser.dev/";

/// On a journal: the server object that it belongs to.
pub const JOURNAL_SERVER: &str = "pguser.dev/server";
/// On a journal: how many entries it has.
pub const JOURNAL_ENTRIES: &str = "pguser.dev/entries";

/// Label on a record of kept logins: what stands together, as a digest.
pub const KEPT_SHELF: &str = "pguser.dev/kept-of";
/// On a record of kept logins: the namespace of the PostgresUsers that they belonged to.
pub const KEPT_NAMESPACE: &str = "pguser.dev/kept-namespace";
/// On a record of kept logins: which piece this is, counted up.
pub const KEPT_PIECE: &str = "pguser.dev/kept-piece";
/// On a record of kept logins: how many of its namespace and server object had to make room for newer ones.
pub const KEPT_DROPPED: &str = "pguser.dev/kept-dropped";
/// On the record of earlier versions: where its lines are now.
pub const KEPT_MOVED: &str = "pguser.dev/moved";

/// Label on everything the operator makes.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const OPERATOR: &str = "pguser-operator";
/// Label on journals and other objects in the operator's namespace: what they are.
pub const COMPONENT: &str = "pguser.dev/component";

/// The output Secret's type, in the words of Service Binding for Kubernetes.
pub const SECRET_TYPE: &str = "servicebinding.io/postgresql";

/// The annotations that are read of PostgresUsers and server objects, and of Secrets' metadata.
pub const READ: &[&str] = &[
    ROTATE,
    CLAIM,
    FORCE_FINALIZE,
    TAKE_OVER_FROM,
    REFRESH,
    SECRET_USER_UID,
    SECRET_USER,
    SECRET_REMOTE,
    SECRET_RETAINED,
    SECRET_FROM_SPEC,
    JOURNAL_SERVER,
    JOURNAL_ENTRIES,
];
