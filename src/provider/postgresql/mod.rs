#![allow(missing_docs)]
use super::gate::Gate;
use super::*;
#[derive(Debug)]
pub struct Postgresql;
impl Provider for Postgresql {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }
    async fn cluster(&self) -> Result<Answer<Cluster>, RemoteError> {
        unimplemented!()
    }
    async fn list(&self) -> Result<Answer<Listing>, RemoteError> {
        unimplemented!()
    }
    async fn get(&self, _: &str) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        unimplemented!()
    }
    async fn create(&self, _: &Order<'_>, _: &Password) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        unimplemented!()
    }
    async fn set_password(
        &self,
        _: &Order<'_>,
        _: &Password,
    ) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        unimplemented!()
    }
    async fn configure(&self, _: &Order<'_>) -> Result<Answer<Option<RemoteUser>>, RemoteError> {
        unimplemented!()
    }
    async fn delete(&self, _: &Order<'_>) -> Result<Answer<()>, RemoteError> {
        unimplemented!()
    }
}

pub const CAPABILITIES: Capabilities = Capabilities {
    name: "postgresql",
    marks: true,
    ..Capabilities::PLAIN
};
#[derive(Debug)]
pub struct PostgresqlConfig {
    pub host: String,
    pub port: u16,
    pub database: String,
    pub sslmode: crate::api::SslMode,
    pub ca: Option<Vec<u8>>,
    pub username: String,
    pub password: Password,
    pub installation: String,
}
#[derive(Debug, Clone)]
pub struct PostgresqlSettings {}
impl Postgresql {
    pub fn new(_: PostgresqlConfig, _: &PostgresqlSettings, _: Gate) -> Result<Self, RemoteError> {
        unimplemented!()
    }
}
