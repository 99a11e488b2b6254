//! The names of the routes, as faults, the journal and the counts know them.

use serde::Serialize;

/// A route. What two APIs have in common has one name; which API it was is said beside it.
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
    /// `POST …/users/{username}/reset_password`
    #[serde(rename = "users.reset")]
    UsersReset,
    /// `GET /clusters/{clusterId}`
    #[serde(rename = "cluster.get")]
    ClusterGet,
    /// `GET /clusters`
    #[serde(rename = "clusters.list")]
    ClustersList,
    /// `GET …/databases`
    #[serde(rename = "databases.list")]
    DatabasesList,
    /// `GET …/databases/{name}`, or `{id}`: of IONOS one in the cluster, of Scalingo the one that users are made on.
    #[serde(rename = "databases.get")]
    DatabasesGet,
    /// `POST /v1/tokens/exchange`
    #[serde(rename = "tokens.exchange")]
    TokensExchange,
    /// `GET /v1/regions`
    #[serde(rename = "regions.list")]
    RegionsList,
    /// `GET /v1/users/self`
    #[serde(rename = "account.get")]
    AccountGet,
    /// `GET /v1/apps/{app}`
    #[serde(rename = "apps.get")]
    AppsGet,
    /// `GET /v1/apps/{app}/variables`
    #[serde(rename = "apps.variables")]
    AppsVariables,
    /// `GET /v1/apps/{app}/addons`
    #[serde(rename = "addons.list")]
    AddonsList,
    /// `GET /v1/apps/{app}/addons/{id}`
    #[serde(rename = "addons.get")]
    AddonsGet,
    /// `POST /v1/apps/{app}/addons/{id}/token`
    #[serde(rename = "addons.token")]
    AddonsToken,
    /// Anything else: unknown paths and unsupported methods.
    #[serde(rename = "other")]
    Other,
}

impl RouteName {
    const ALL: [RouteName; 19] = [
        RouteName::UsersList,
        RouteName::UsersCreate,
        RouteName::UsersGet,
        RouteName::UsersPatch,
        RouteName::UsersDelete,
        RouteName::UsersReset,
        RouteName::ClusterGet,
        RouteName::ClustersList,
        RouteName::DatabasesList,
        RouteName::DatabasesGet,
        RouteName::TokensExchange,
        RouteName::RegionsList,
        RouteName::AccountGet,
        RouteName::AppsGet,
        RouteName::AppsVariables,
        RouteName::AddonsList,
        RouteName::AddonsGet,
        RouteName::AddonsToken,
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
            RouteName::UsersReset => "users.reset",
            RouteName::ClusterGet => "cluster.get",
            RouteName::ClustersList => "clusters.list",
            RouteName::DatabasesList => "databases.list",
            RouteName::DatabasesGet => "databases.get",
            RouteName::TokensExchange => "tokens.exchange",
            RouteName::RegionsList => "regions.list",
            RouteName::AccountGet => "account.get",
            RouteName::AppsGet => "apps.get",
            RouteName::AppsVariables => "apps.variables",
            RouteName::AddonsList => "addons.list",
            RouteName::AddonsGet => "addons.get",
            RouteName::AddonsToken => "addons.token",
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
