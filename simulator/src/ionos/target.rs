//! What a request is aimed at. Paths are split as they were escaped and decoded afterwards, so that a username with a
//! slash stays one segment.

use hyper::Method;
use percent_encoding::percent_decode_str;

use crate::{answer::Call, route::RouteName};

/// A segment of the path that is not UTF-8 once decoded.
#[derive(Debug, PartialEq, Eq)]
pub struct BadEscape;

/// What the path names.
#[derive(Debug, PartialEq, Eq)]
pub enum Resource {
    /// `/clusters`
    Clusters,
    /// `/clusters/{id}`
    Cluster(String),
    /// `/clusters/{id}/users`
    Users(String),
    /// `/clusters/{id}/users/{username}`
    User(String, String),
    /// `/clusters/{id}/databases`
    Databases(String),
    /// `/clusters/{id}/databases/{name}`
    Database(String, String),
    /// Nothing that this API has.
    Unknown,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// List the clusters.
    ListClusters,
    /// Get the cluster.
    GetCluster,
    /// List the users.
    ListUsers,
    /// Create a user.
    CreateUser,
    /// Get this user.
    GetUser(&'a str),
    /// Patch this user.
    PatchUser(&'a str),
    /// Delete this user.
    DeleteUser(&'a str),
    /// List the databases.
    ListDatabases,
    /// Get this database.
    GetDatabase(&'a str),
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
            ["clusters"] => Resource::Clusters,
            ["clusters", id] if !id.is_empty() => Resource::Cluster(own(id)),
            ["clusters", id, "users"] => Resource::Users(own(id)),
            ["clusters", id, "users", name] if !name.is_empty() => Resource::User(own(id), own(name)),
            ["clusters", id, "databases"] => Resource::Databases(own(id)),
            ["clusters", id, "databases", name] if !name.is_empty() => Resource::Database(own(id), own(name)),
            _ => Resource::Unknown,
        })
    }

    /// The cluster that it is part of.
    pub fn cluster_id(&self) -> Option<&str> {
        match self {
            Resource::Clusters | Resource::Unknown => None,
            Resource::Cluster(id) | Resource::Users(id) | Resource::Databases(id) => Some(id),
            Resource::User(id, _) | Resource::Database(id, _) => Some(id),
        }
    }

    /// The methods that it has, as the Allow header lists them.
    pub fn methods(&self) -> &'static str {
        match self {
            Resource::Users(_) => "GET, POST",
            Resource::User(..) => "GET, PATCH, DELETE",
            Resource::Unknown => "",
            _ => "GET",
        }
    }

    /// What a method does here, if it does anything.
    pub fn operation(&self, method: &Method) -> Option<Operation<'_>> {
        Some(match (self, method.as_str()) {
            (Resource::Clusters, "GET") => Operation::ListClusters,
            (Resource::Cluster(_), "GET") => Operation::GetCluster,
            (Resource::Users(_), "GET") => Operation::ListUsers,
            (Resource::Users(_), "POST") => Operation::CreateUser,
            (Resource::User(_, name), "GET") => Operation::GetUser(name),
            (Resource::User(_, name), "PATCH") => Operation::PatchUser(name),
            (Resource::User(_, name), "DELETE") => Operation::DeleteUser(name),
            (Resource::Databases(_), "GET") => Operation::ListDatabases,
            (Resource::Database(_, name), "GET") => Operation::GetDatabase(name),
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
    /// Scheme, host and base path as the caller used them.
    pub base_url: String,
}

impl Target {
    /// Where this request goes.
    pub fn of(call: &Call, base_path: &str) -> Target {
        let base_path = base_path.trim_end_matches('/');
        let inside = call
            .path
            .strip_prefix(base_path)
            .filter(|rest| rest.starts_with('/'));
        let (prefix, path) = match inside {
            Some(rest) => (base_path, rest),
            None => ("", call.path.as_str()),
        };
        let resource = Resource::parse(path);
        let operation = resource
            .as_ref()
            .ok()
            .and_then(|resource| resource.operation(&call.method));
        Target {
            route: operation.map_or(RouteName::Other, route_name),
            base_url: format!("{}{prefix}", call.origin()),
            resource,
        }
    }

    /// The user in the path.
    pub fn username(&self) -> Option<&str> {
        match &self.resource {
            Ok(Resource::User(_, name)) => Some(name),
            _ => None,
        }
    }
}

fn route_name(operation: Operation<'_>) -> RouteName {
    match operation {
        Operation::ListClusters => RouteName::ClustersList,
        Operation::GetCluster => RouteName::ClusterGet,
        Operation::ListUsers => RouteName::UsersList,
        Operation::CreateUser => RouteName::UsersCreate,
        Operation::GetUser(_) => RouteName::UsersGet,
        Operation::PatchUser(_) => RouteName::UsersPatch,
        Operation::DeleteUser(_) => RouteName::UsersDelete,
        Operation::ListDatabases => RouteName::DatabasesList,
        Operation::GetDatabase(_) => RouteName::DatabasesGet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_slash_does_not_split() {
        assert_eq!(
            Resource::parse("/clusters/c/users/we%20ird%2Fna%25me"),
            Ok(Resource::User("c".to_owned(), "we ird/na%me".to_owned()))
        );
        assert_eq!(Resource::parse("/clusters/c/users/a/b"), Ok(Resource::Unknown));
        assert_eq!(Resource::parse("/clusters/c/users/"), Ok(Resource::Unknown));
        assert_eq!(Resource::parse("/clusters/c/users/%FF"), Err(BadEscape));
        assert_eq!(
            Resource::parse("/clusters/c/users/a+b%F0%9F%90%98"),
            Ok(Resource::User("c".to_owned(), "a+b🐘".to_owned()))
        );
    }

    #[test]
    fn the_base_path_is_optional_and_kept_in_links() {
        let call = |path: &str| Call {
            method: Method::GET,
            path: path.to_owned(),
            query: None,
            headers: [(hyper::header::HOST, "h:1".parse().expect("a host"))]
                .into_iter()
                .collect(),
            body: bytes::Bytes::new(),
        };
        let with = Target::of(
            &call("/databases/postgresql/clusters/c/users"),
            "/databases/postgresql",
        );
        assert_eq!(with.resource, Ok(Resource::Users("c".to_owned())));
        assert_eq!(with.base_url, "http://h:1/databases/postgresql");
        let without = Target::of(&call("/clusters/c/users"), "/databases/postgresql");
        assert_eq!(without.route, RouteName::UsersList);
        assert_eq!(without.base_url, "http://h:1");
    }
}
