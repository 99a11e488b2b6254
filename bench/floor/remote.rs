//! The floor's remote calls: one for each user that is made or deleted, and by SQL a login with the new password.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::json;
use tokio_postgres::{Client, NoTls};

use crate::{
    stand::{Remote as Side, Stand},
    support::{Outcome, Postgres, TOKEN},
};

use super::writes::PASSWORD;

/// The way to the remote side.
pub enum Remote {
    Ionos { http: reqwest::Client, users: String },
    Sql(Sql),
}

/// Connections that stay open, as the operator's does, and what a login needs to know.
pub struct Sql {
    clients: Vec<Client>,
    next: AtomicUsize,
    postgres: Arc<Postgres>,
}

impl Remote {
    /// The way to a stand's remote side, for this many at once.
    pub async fn of(stand: &Stand, at_once: usize) -> Outcome<Remote> {
        if let Side::Ionos(api) = &stand.remote {
            return Ok(Remote::Ionos {
                http: reqwest::Client::builder().no_proxy().build()?,
                users: api.users_url(),
            });
        }
        let mut clients = Vec::new();
        for _ in 0..at_once {
            let (client, connection) =
                tokio_postgres::connect(&stand.world.postgres().superuser_dsn(), NoTls).await?;
            tokio::spawn(connection);
            clients.push(client);
        }
        Ok(Remote::Sql(Sql {
            clients,
            next: AtomicUsize::new(0),
            postgres: stand.world.shared_postgres(),
        }))
    }

    /// Makes a login.
    pub async fn create(&self, name: &str) -> Outcome {
        match self {
            Remote::Ionos { http, users } => {
                let body = json!({"properties": {"username": name, "password": PASSWORD}}).to_string();
                let request = http
                    .post(users)
                    .bearer_auth(TOKEN)
                    .header("content-type", "application/json");
                done(request.body(body).send().await?)
            }
            Remote::Sql(sql) => {
                let mark = "managed by pguser-operator: installation=bench object=bench";
                let statements = format!(
                    "begin; create role \"{name}\" login password '{PASSWORD}'; comment on role \"{name}\" is '{mark}'; commit"
                );
                sql.client().batch_execute(&statements).await?;
                let port = sql.postgres.port();
                sql.postgres
                    .login("localhost", port, name, PASSWORD, "postgres")
                    .await
                    .map(drop)
            }
        }
    }

    /// Deletes a login.
    pub async fn delete(&self, name: &str) -> Outcome {
        match self {
            Remote::Ionos { http, users } => done(
                http.delete(format!("{users}/{name}"))
                    .bearer_auth(TOKEN)
                    .send()
                    .await?,
            ),
            Remote::Sql(sql) => {
                let client = sql.client();
                client
                    .batch_execute(&format!("alter role \"{name}\" nologin"))
                    .await?;
                client.batch_execute(&format!("drop role \"{name}\"")).await?;
                Ok(())
            }
        }
    }
}

impl Sql {
    fn client(&self) -> &Client {
        &self.clients[self.next.fetch_add(1, Ordering::Relaxed) % self.clients.len()]
    }
}

fn done(response: reqwest::Response) -> Outcome {
    response.error_for_status().map(drop).map_err(Into::into)
}
