//! The names of the routes, as faults, the journal and the counts know them.

use serde::Serialize;

/// A route of a simulated API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum RouteName {
    /// `GET …/users`
    #[serde(rename = "users.list")]
    UsersList,
    /// `POST …/users`
    #[serde(rename = "users.create")]
    UsersCreate,
    /// `GET …/users/{username}`
    #[serde(rename = "users.get")]
    UsersGet,
    /// `PATCH …/users/{username}`
    #[serde(rename = "users.patch")]
    UsersPatch,
    /// `DELETE …/users/{username}`
    #[serde(rename = "users.delete")]
    UsersDelete,
    /// `GET /clusters/{clusterId}`
    #[serde(rename = "cluster.get")]
    ClusterGet,
    /// `GET /clusters`
    #[serde(rename = "clusters.list")]
    ClustersList,
    /// `GET …/databases`
    #[serde(rename = "databases.list")]
    DatabasesList,
    /// `GET …/databases/{name}`
    #[serde(rename = "databases.get")]
    DatabasesGet,
    /// Anything else: unknown paths and unsupported methods.
    #[serde(rename = "other")]
    Other,
}

impl RouteName {
    const ALL: [RouteName; 10] = [
        RouteName::UsersList,
        RouteName::UsersCreate,
        RouteName::UsersGet,
        RouteName::UsersPatch,
        RouteName::UsersDelete,
        RouteName::ClusterGet,
        RouteName::ClustersList,
        RouteName::DatabasesList,
        RouteName::DatabasesGet,
        RouteName::Other,
    ];

    /// The route's name.
    pub fn as_str(self) -> &'static str {
        match self {
            RouteName::UsersList => "users.list",
            RouteName::UsersCreate => "users.create",
            RouteName::UsersGet => "users.get",
            RouteName::UsersPatch => "users.patch",
            RouteName::UsersDelete => "users.delete",
            RouteName::ClusterGet => "cluster.get",
            RouteName::ClustersList => "clusters.list",
            RouteName::DatabasesList => "databases.list",
            RouteName::DatabasesGet => "databases.get",
            RouteName::Other => "other",
        }
    }

    /// Every route's name.
    pub fn list() -> Vec<&'static str> {
        Self::ALL.iter().map(|route| route.as_str()).collect()
    }

    /// Whether the route fits a pattern: its name, `group.*` or `*`.
    pub fn matches(self, pattern: &str) -> bool {
        let name = self.as_str();
        match pattern.strip_suffix('*') {
            Some("") => true,
            Some(group) => group.ends_with('.') && name.starts_with(group),
            None => name == pattern,
        }
    }

    /// Whether any route fits a pattern.
    pub fn pattern_is_known(pattern: &str) -> bool {
        Self::ALL.iter().any(|route| route.matches(pattern))
    }
}
