//! What a request is aimed at. Paths are split as they were escaped and decoded afterwards.

use hyper::Method;
use percent_encoding::percent_decode_str;

use crate::{answer::Call, route::RouteName};

/// A segment of the path that is not UTF-8 once decoded.
#[derive(Debug, PartialEq, Eq)]
pub struct BadEscape;

/// The vendor's hosts. All are served here; a path says which one it would have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// `auth.…`
    Auth,
    /// `api.{region}.…`
    Api,
    /// `db-api.{region}.…`
    Database,
}

impl Host {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Host::Auth => "auth",
            Host::Api => "api",
            Host::Database => "database",
        }
    }
}

/// What the path names.
#[derive(Debug, PartialEq, Eq)]
pub enum Resource {
    /// `/v1/tokens/exchange`
    Exchange,
    /// `/v1/regions`
    Regions,
    /// `/v1/users/self`
    Account,
    /// `/v1/apps/{app}`
    App(String),
    /// `/v1/apps/{app}/variables`
    Variables(String),
    /// `/v1/apps/{app}/addons`
    Addons(String),
    /// `/v1/apps/{app}/addons/{id}`
    Addon(String, String),
    /// `/v1/apps/{app}/addons/{id}/token`
    AddonToken(String, String),
    /// `/api/databases/{id}`
    Database(String),
    /// `/api/databases/{id}/users`
    Users(String),
    /// `/api/databases/{id}/users/{name}`
    User(String, String),
    /// `/api/databases/{id}/users/{name}/reset_password`
    ResetPassword(String, String),
    /// Nothing that this API has.
    Unknown,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Exchange an API token for a JWT.
    Exchange,
    /// List the regions.
    ListRegions,
    /// Get the caller's account.
    GetAccount,
    /// Get the app.
    GetApp,
    /// List the app's environment.
    ListVariables,
    /// List the app's addons.
    ListAddons,
    /// Get the addon.
    GetAddon,
    /// Make a token for the addon's database.
    AddonToken,
    /// Get the database.
    GetDatabase,
    /// List the users.
    ListUsers,
    /// Create a user.
    CreateUser,
    /// Set this user's password.
    PatchUser(&'a str),
    /// Have a password generated for this user.
    ResetPassword(&'a str),
    /// Delete this user.
    DeleteUser(&'a str),
}

impl Resource {
    fn parse(path: &str) -> Result<Resource, BadEscape> {
        let segments: Vec<String> = path
            .split('/')
            .skip(1)
            .map(|segment| {
                percent_decode_str(segment)
                    .decode_utf8()
                    .map(|text| text.into_owned())
            })
            .collect::<Result<_, _>>()
            .map_err(|_| BadEscape)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let own = |text: &str| text.to_owned();
        Ok(match *segments.as_slice() {
            _ if segments.contains(&"") => Resource::Unknown,
            ["v1", "tokens", "exchange"] => Resource::Exchange,
            ["v1", "regions"] => Resource::Regions,
            ["v1", "users", "self"] => Resource::Account,
            ["v1", "apps", app] => Resource::App(own(app)),
            ["v1", "apps", app, "variables"] => Resource::Variables(own(app)),
            ["v1", "apps", app, "addons"] => Resource::Addons(own(app)),
            ["v1", "apps", app, "addons", id] => Resource::Addon(own(app), own(id)),
            ["v1", "apps", app, "addons", id, "token"] => Resource::AddonToken(own(app), own(id)),
            ["api", "databases", id] => Resource::Database(own(id)),
            ["api", "databases", id, "users"] => Resource::Users(own(id)),
            ["api", "databases", id, "users", name] => Resource::User(own(id), own(name)),
            ["api", "databases", id, "users", name, "reset_password"] => {
                Resource::ResetPassword(own(id), own(name))
            }
            _ => Resource::Unknown,
        })
    }

    /// The methods that it has, as the Allow header lists them.
    pub fn methods(&self) -> &'static str {
        match self {
            Resource::Exchange | Resource::AddonToken(..) | Resource::ResetPassword(..) => "POST",
            Resource::Users(_) => "GET, POST",
            Resource::User(..) => "PATCH, DELETE",
            Resource::Unknown => "",
            _ => "GET",
        }
    }

    /// What would be missing if the answer were a 404.
    pub fn missing(&self) -> Option<&'static str> {
        match self {
            Resource::App(_) | Resource::Variables(_) | Resource::Addons(_) => Some("app"),
            Resource::Addon(..) | Resource::AddonToken(..) => Some("addon"),
            Resource::Database(_) | Resource::Users(_) => Some("database"),
            Resource::User(..) | Resource::ResetPassword(..) => Some("database_user"),
            Resource::Exchange | Resource::Regions | Resource::Account | Resource::Unknown => None,
        }
    }

    /// What a method does here, if it does anything.
    pub fn operation(&self, method: &Method) -> Option<Operation<'_>> {
        Some(match (self, method.as_str()) {
            (Resource::Exchange, "POST") => Operation::Exchange,
            (Resource::Regions, "GET") => Operation::ListRegions,
            (Resource::Account, "GET") => Operation::GetAccount,
            (Resource::App(_), "GET") => Operation::GetApp,
            (Resource::Variables(_), "GET") => Operation::ListVariables,
            (Resource::Addons(_), "GET") => Operation::ListAddons,
            (Resource::Addon(..), "GET") => Operation::GetAddon,
            (Resource::AddonToken(..), "POST") => Operation::AddonToken,
            (Resource::Database(_), "GET") => Operation::GetDatabase,
            (Resource::Users(_), "GET") => Operation::ListUsers,
            (Resource::Users(_), "POST") => Operation::CreateUser,
            (Resource::User(_, name), "PATCH") => Operation::PatchUser(name),
            (Resource::ResetPassword(_, name), "POST") => Operation::ResetPassword(name),
            (Resource::User(_, name), "DELETE") => Operation::DeleteUser(name),
            _ => return None,
        })
    }
}

/// Where a request goes.
#[derive(Debug)]
pub struct Target {
    /// The route's name, for faults and the journal.
    pub route: RouteName,
    /// What the path names.
    pub resource: Result<Resource, BadEscape>,
    /// The host that it would have gone to.
    pub host: Host,
}

impl Target {
    /// Where this request goes.
    pub fn of(call: &Call) -> Target {
        let resource = Resource::parse(&call.path);
        let operation = resource
            .as_ref()
            .ok()
            .and_then(|resource| resource.operation(&call.method));
        let host = match &resource {
            Ok(Resource::Exchange | Resource::Regions | Resource::Account) => Host::Auth,
            _ if call.path.starts_with("/api/") => Host::Database,
            _ => Host::Api,
        };
        Target {
            route: operation.map_or(RouteName::Other, route_name),
            resource,
            host,
        }
    }

    /// The user in the path.
    pub fn username(&self) -> Option<&str> {
        match &self.resource {
            Ok(Resource::User(_, name) | Resource::ResetPassword(_, name)) => Some(name),
            _ => None,
        }
    }
}

fn route_name(operation: Operation<'_>) -> RouteName {
    match operation {
        Operation::Exchange => RouteName::TokensExchange,
        Operation::ListRegions => RouteName::RegionsList,
        Operation::GetAccount => RouteName::AccountGet,
        Operation::GetApp => RouteName::AppsGet,
        Operation::ListVariables => RouteName::AppsVariables,
        Operation::ListAddons => RouteName::AddonsList,
        Operation::GetAddon => RouteName::AddonsGet,
        Operation::AddonToken => RouteName::AddonsToken,
        Operation::GetDatabase => RouteName::DatabasesGet,
        Operation::ListUsers => RouteName::UsersList,
        Operation::CreateUser => RouteName::UsersCreate,
        Operation::PatchUser(_) => RouteName::UsersPatch,
        Operation::ResetPassword(_) => RouteName::UsersReset,
        Operation::DeleteUser(_) => RouteName::UsersDelete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_slash_does_not_split() {
        assert_eq!(
            Resource::parse("/api/databases/ad-1/users/we%20ird%2Fname"),
            Ok(Resource::User("ad-1".to_owned(), "we ird/name".to_owned()))
        );
        assert_eq!(
            Resource::parse("/api/databases/ad-1/users/a/b"),
            Ok(Resource::Unknown)
        );
        assert_eq!(
            Resource::parse("/api/databases/ad-1/users/"),
            Ok(Resource::Unknown)
        );
        assert_eq!(Resource::parse("/api/databases/ad-1/users/%FF"), Err(BadEscape));
    }

    #[test]
    fn nobody_can_get_one_user() {
        let user = Resource::User("ad-1".to_owned(), "benjamin".to_owned());
        assert_eq!(user.operation(&Method::GET), None);
        assert_eq!(
            user.operation(&Method::DELETE),
            Some(Operation::DeleteUser("benjamin"))
        );
    }
}
