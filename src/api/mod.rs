//! The resources, `pguser.dev/v1alpha1`: types only. The CRDs in `crds/` are written from these by the `crd`
//! subcommand.

mod bounds;
pub mod crd;
pub mod lean;
pub mod names;
pub mod postgres_server;
// KubeSchema makes its schemas from copies of the structs, which read nothing.
#[allow(dead_code)]
pub mod postgres_user;
pub mod reason;
pub mod secret_preset;
pub mod valid_until;

pub use lean::{Lean, Readable, Unread};
pub use postgres_server::{
    Allowed, Attribute, CaKeyRef, CaSource, ChannelBinding, ClusterPostgresServer, ClusterPostgresServerSpec,
    Connection, CredentialKeys, CredentialsRef, FurtherHost, Ionos, Limits, Passwords, PostgresServer,
    PostgresServerSpec, Postgresql, Scalingo, ScalingoEndpoints, ServerStatus, ServerUsers, SslMode,
    Usernames, Verification,
};
pub use postgres_user::{
    AdoptionPolicy, Binding, DeletionBlocker, DeletionPolicy, DeniedMembership, Generate, Membership,
    OutputSecret, Ownership, PasswordSource, PasswordStatus, PostgresUser, PostgresUserSpec, PostgresqlUser,
    PublishedSecret, RejectedPassword, RemoteUserRecord, Restart, RestartMode, RestartStatus, Retire,
    Rotation, ScalingoUser, SecretKeyRef, ServerKind, ServerRef, Strategy, UserStatus,
};
pub use reason::Reason;
pub use secret_preset::SecretPreset;
pub use valid_until::ValidUntil;
