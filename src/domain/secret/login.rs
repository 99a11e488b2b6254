//! One login, written in the ways that applications read.

use zeroize::Zeroizing;

use super::escape::{dotnet, percent, percent_in_path, pgpass};
use crate::api::{ChannelBinding, SslMode};
use crate::domain::connection::ConnectionDetails;
use crate::domain::password::Password;

/// The longest bundle of authorities that is published: there is one in each user's Secret.
pub const LONGEST_CA: usize = 32 * 1024;

/// How to connect, as whom, and with what.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// Where to.
    pub details: &'a ConnectionDetails,
    /// As whom.
    pub username: &'a str,
    /// With what.
    pub password: &'a Password,
    /// The folder where Pods mount the Secret, if that is known.
    pub mount: Option<&'a str>,
}

impl<'a> Login<'a> {
    /// The authorities, in PEM, if they are published.
    pub fn ca(&self) -> Option<&'a str> {
        let ca = self.details.ca.as_deref();
        let ca = ca.filter(|ca| ca.len() <= LONGEST_CA)?;
        std::str::from_utf8(ca).ok()
    }

    /// The file that has the authorities in a Pod, if both are known.
    pub fn ca_file(&self) -> Option<String> {
        let folder = self.mount.filter(|_| self.ca().is_some())?;
        Some(format!("{}/ca.crt", folder.trim_end_matches('/')))
    }

    /// The same where `sslmode` has clients look at it. Where it does not, naming the file would have some of them look all the
    /// same: libpq takes `require` for `verify-ca` then.
    pub fn root_certificate(&self) -> Option<String> {
        let verifies = matches!(self.details.sslmode, SslMode::VerifyCa | SslMode::VerifyFull);
        self.ca_file().filter(|_| verifies)
    }

    /// `host:port`, as a URI has it.
    fn authority(&self) -> String {
        let ConnectionDetails { host, port, .. } = self.details;
        match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{}:{port}", *percent(host)),
        }
    }

    /// `username:password@host:port`.
    fn credentials(&self) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "{}:{}@{}",
            *percent(self.username),
            *percent(self.password.reveal()),
            self.authority(),
        ))
    }

    /// The rest of a query, after a parameter that says how TLS is used.
    fn and_root_certificate(&self) -> String {
        let file = self.root_certificate();
        file.map_or(String::new(), |file| format!("&sslrootcert={}", *percent(&file)))
    }

    /// What the server object says of channel binding, if it says anything.
    pub fn binding(&self) -> Option<&'static str> {
        self.details.channel_binding.map(ChannelBinding::as_str)
    }

    /// The same as the rest of a query, by this name.
    fn and_binding(&self, name: &str) -> String {
        let binding = self.binding();
        binding.map_or_else(String::new, |binding| format!("&{name}={binding}"))
    }

    /// As libpq and most others read it.
    pub fn uri(&self) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "postgresql://{}/{}?sslmode={}{}{}",
            *self.credentials(),
            *percent(&self.details.database),
            self.details.sslmode.as_str(),
            self.and_root_certificate(),
            self.and_binding("channel_binding"),
        ))
    }

    /// As pgjdbc reads it, which takes no `user:password@`.
    pub fn jdbc(&self) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "jdbc:postgresql://{}/{}?user={}&password={}&sslmode={}{}{}",
            self.authority(),
            *percent(&self.details.database),
            *percent(self.username),
            *percent(self.password.reveal()),
            self.details.sslmode.as_str(),
            self.and_root_certificate(),
            self.and_binding("channelBinding"),
        ))
    }

    /// As libpq's password file has it: one line, with its end.
    pub fn pgpass(&self) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "{}:{}:{}:{}:{}\n",
            *pgpass(&self.details.host),
            self.details.port,
            *pgpass(&self.details.database),
            *pgpass(self.username),
            *pgpass(self.password.reveal()),
        ))
    }

    /// As Npgsql reads it.
    pub fn dotnet(&self) -> Zeroizing<String> {
        let sslmode = match self.details.sslmode {
            SslMode::Disable => "Disable",
            SslMode::Allow => "Allow",
            SslMode::Prefer => "Prefer",
            SslMode::Require => "Require",
            SslMode::VerifyCa => "VerifyCA",
            SslMode::VerifyFull => "VerifyFull",
        };
        let file = self.root_certificate();
        let file = file.map_or(String::new(), |file| {
            format!(";Root Certificate={}", *dotnet(&file))
        });
        let binding = match self.details.channel_binding {
            None => "",
            Some(ChannelBinding::Disable) => ";Channel Binding=Disable",
            Some(ChannelBinding::Prefer) => ";Channel Binding=Prefer",
            Some(ChannelBinding::Require) => ";Channel Binding=Require",
        };
        Zeroizing::new(format!(
            "Host={};Port={};Database={};Username={};Password={};SSL Mode={sslmode}{file}{binding}",
            *dotnet(&self.details.host),
            self.details.port,
            *dotnet(&self.details.database),
            *dotnet(self.username),
            *dotnet(self.password.reveal()),
        ))
    }

    /// As SQLAlchemy reads it for psycopg.
    pub fn psycopg(&self) -> Zeroizing<String> {
        let (path, parameter) = self.database_of_sqlalchemy("dbname");
        Zeroizing::new(format!(
            "postgresql+psycopg://{}/{path}?{parameter}sslmode={}{}{}",
            *self.credentials(),
            self.details.sslmode.as_str(),
            self.and_root_certificate(),
            self.and_binding("channel_binding"),
        ))
    }

    /// As SQLAlchemy reads it for asyncpg, which has the mode as `ssl`, and takes the file of authorities by PGSSLROOTCERT alone.
    pub fn asyncpg(&self) -> Zeroizing<String> {
        let (path, parameter) = self.database_of_sqlalchemy("database");
        Zeroizing::new(format!(
            "postgresql+asyncpg://{}/{path}?{parameter}ssl={}",
            *self.credentials(),
            self.details.sslmode.as_str(),
        ))
    }

    /// The database as a URL's path, or as a parameter of this name: SQLAlchemy decodes paths only from 2.1 on, and a path of dots is
    /// another one to readers of URLs.
    fn database_of_sqlalchemy(&self, parameter: &str) -> (String, String) {
        let database = self.details.database.as_str();
        let encoded = percent(database);
        match *encoded == database && !matches!(database, "." | "..") {
            true => (encoded.to_string(), String::new()),
            false => (String::new(), format!("{parameter}={}&", *encoded)),
        }
    }

    /// As node-postgres reads it. Left to itself it takes each `sslmode` but `disable` for `verify-full`; with `uselibpqcompat` it
    /// takes those that do not verify as libpq does, but never goes without TLS, and wants a file for `verify-ca`.
    pub fn node(&self) -> Zeroizing<String> {
        let file = self.root_certificate();
        let mode = match self.details.sslmode {
            SslMode::Disable => "sslmode=disable",
            SslMode::Allow | SslMode::Prefer => "uselibpqcompat=true&sslmode=prefer",
            SslMode::Require => "uselibpqcompat=true&sslmode=require",
            SslMode::VerifyCa if file.is_some() => "uselibpqcompat=true&sslmode=verify-ca",
            SslMode::VerifyCa | SslMode::VerifyFull => "sslmode=verify-full",
        };
        Zeroizing::new(format!(
            "postgresql://{}/{}?{mode}{}",
            *self.credentials(),
            *percent_in_path(&self.details.database),
            self.and_root_certificate(),
        ))
    }
}
