//! The resources, `pguser.dev/v1alpha1`: types only. The CRDs in `crds/` are written from these by the `crd`
//! subcommand.

pub mod crd;
pub mod names;
pub mod postgres_server;
pub mod postgres_user;

pub use postgres_server::{
    ClusterPostgresServer, ClusterPostgresServerSpec, Connection, Ionos, Limits, LocalSecretRef,
    PostgresServer, PostgresServerSpec, ServerStatus, ServerUsers, SslMode, Usernames,
};
pub use postgres_user::{
    AdoptionPolicy, Binding, DeletionPolicy, Generate, OutputSecret, Ownership, PasswordSource, PostgresUser,
    PostgresUserSpec, PublishedSecret, RejectedPassword, RemoteUserRecord, SecretKeyRef, ServerKind,
    ServerRef, UserStatus,
};
