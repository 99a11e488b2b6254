//! What most tests begin with: a remote side, an operator, a server object; and users on it.

use std::time::Duration;

use serde_json::Value;

use super::{Operator, Options, Outcome, PATIENCE, TOKEN, Vendor, World, eventually};

/// The server object of tests that need no more than one.
pub const SERVER: &str = "orders";

/// Longer than the operator is silent while something is still to be done: a refresh, a lag, a request's life.
const QUIET: Duration = Duration::from_millis(2500);

impl World {
    /// Starts the remote side, with switches of the simulator, and an operator, and applies the server object
    /// [`SERVER`].
    pub async fn set_up(&self, switches: &[&str]) -> Outcome<(Vendor, Operator)> {
        self.set_up_with(switches, Options::default()).await
    }

    /// The same with an operator that is started in another way.
    pub async fn set_up_with(&self, switches: &[&str], options: Options) -> Outcome<(Vendor, Operator)> {
        let (vendor, operator) = tokio::try_join!(self.start_vendor(switches), self.start_operator(options))?;
        self.apply_server(SERVER, &vendor).await?;
        Ok((vendor, operator))
    }

    /// Applies a PostgresServer of this name for the vendor, with its credentials.
    pub async fn apply_server(&self, name: &str, vendor: &Vendor) -> Outcome {
        self.apply_server_with(name, vendor, "").await
    }

    /// The same with more in its spec: one line, `allowAdoption: false`, or more lines, indented by two.
    pub async fn apply_server_with(&self, name: &str, vendor: &Vendor, more: &str) -> Outcome {
        self.apply_credentials(name, vendor, TOKEN).await?;
        self.apply(&self.server_manifest(name, vendor, more)).await
    }

    /// Applies the Secrets that a PostgresServer of this name refers to, with this token or password.
    pub async fn apply_credentials(&self, name: &str, vendor: &Vendor, secret: &str) -> Outcome {
        self.apply(&vendor.credentials(name, secret)?).await
    }

    /// A PostgresServer for a vendor, as a manifest. What is looked at now and then is looked at often, unless `more`
    /// says otherwise.
    pub fn server_manifest(&self, name: &str, vendor: &Vendor, more: &str) -> String {
        self.manifest(name, vendor, Some("allowAdoption: true"), more)
    }

    /// The same, with this line unless `more` says otherwise.
    fn manifest(&self, name: &str, vendor: &Vendor, usually: Option<&str>, more: &str) -> String {
        let (spec, port) = (vendor.spec(name), vendor.postgres().port());
        let connection = format!("connection: {{port: {port}, database: postgres, sslmode: verify-full}}");
        let usual = [
            connection.as_str(),
            "refreshInterval: 1s",
            "verifyInterval: 1s",
            "limits: {requestsPerMinute: 6000}",
        ];
        let is_said = |line: &str| more.contains(&line[..=line.find(':').unwrap_or_default()]);
        let usual: Vec<&str> = usual
            .into_iter()
            .chain(usually)
            .filter(|line| !is_said(line))
            .collect();
        let usual = usual.join("\n  ");
        format!(
            "
apiVersion: pguser.dev/v1alpha1
kind: PostgresServer
metadata: {{name: {name}}}
spec:
  {spec}
  {usual}
  {more}
"
        )
    }

    /// Applies the ClusterPostgresServer of this test, which has the name of its namespace; for an operator with the
    /// options of [`Options::with_cluster_servers`].
    pub async fn apply_cluster_server(&self, vendor: &Vendor, more: &str) -> Outcome {
        let name = self.namespace();
        let credentials = vendor.credentials(name, TOKEN)?;
        self.apply_in(self.operator_namespace(), &credentials).await?;
        // Of these, tests are about what they say themselves.
        let manifest = self
            .manifest(name, vendor, None, more)
            .replace("kind: PostgresServer", "kind: ClusterPostgresServer");
        let labelled = format!("metadata: {{labels: {{pguser-test: {name}}}, ");
        self.apply(&manifest.replace("metadata: {", &labelled)).await
    }

    /// Applies a Secret with an API token.
    pub async fn apply_token(&self, name: &str, token: &str) -> Outcome {
        self.apply(&format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: {name}}}, stringData: {{token: {token}}}}}"
        ))
        .await
    }

    /// Applies a PostgresUser of this name, the smallest there is.
    pub async fn apply_user(&self, name: &str, server: &str) -> Outcome {
        self.apply(&user_manifest(name, server, "")).await
    }

    /// Applies a PostgresUser on [`SERVER`] with more in its spec: one line, or more lines indented by two.
    pub async fn apply_user_with(&self, name: &str, more: &str) -> Outcome {
        self.apply(&user_manifest(name, SERVER, more)).await
    }

    /// Applies a Secret with a password of the user's own.
    pub async fn apply_password(&self, name: &str, password: &str) -> Outcome {
        let password = Value::from(password);
        self.apply(&format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: {name}}}, stringData: {{password: {password}}}}}"
        ))
        .await
    }

    /// Makes a user on [`SERVER`], waits until it is Ready and logs in with its Secret. Gives its password.
    pub async fn ready_user(&self, name: &str) -> Outcome<String> {
        self.apply_user(name, SERVER).await?;
        self.user_ready(name).await?;
        self.login_of(name).await?;
        self.password_of(name).await
    }

    /// Logs in with the Secret of a PostgresUser, and is who it should be.
    pub async fn login_of(&self, name: &str) -> Outcome {
        let secret = format!("{name}-postgres");
        let user = self.login_with_secret(&secret).await?;
        assert_eq!(user, self.key_of(name, "username").await?);
        Ok(())
    }

    /// Waits until the Secret of a PostgresUser logs in.
    pub async fn logs_in_eventually(&self, name: &str) -> Outcome {
        eventually(&format!("the login of {name}"), PATIENCE, async || {
            self.login_of(name).await
        })
        .await
    }

    /// A key of the Secret of a PostgresUser.
    pub async fn key_of(&self, name: &str, key: &str) -> Outcome<String> {
        let secret = self.secret(&format!("{name}-postgres")).await?;
        let secret = secret.ok_or(format!("{name} has no Secret"))?;
        Ok(secret
            .get(key)
            .ok_or(format!("the Secret of {name} has no key {key}"))?
            .clone())
    }

    /// The password in the Secret of a PostgresUser.
    pub async fn password_of(&self, name: &str) -> Outcome<String> {
        self.key_of(name, "password").await
    }

    /// Waits until the password in the Secret of a PostgresUser is another one, and gives it.
    pub async fn other_password(&self, name: &str, before: &str) -> Outcome<String> {
        eventually(
            &format!("another password of {name}"),
            PATIENCE,
            async || match self.password_of(name).await? {
                password if password == before => Err("it is the same".into()),
                password => Ok(password),
            },
        )
        .await
    }

    /// Waits until PostgreSQL takes, or does not take, a password.
    pub async fn accepts_eventually(&self, user: &str, password: &str, expected: bool) -> Outcome {
        eventually(
            &format!("the answer {expected} to a login of {user}"),
            PATIENCE,
            async || match self.postgres().accepts(user, password).await? {
                answer if answer == expected => Ok(()),
                answer => Err(format!("it is {answer}").into()),
            },
        )
        .await
    }

    /// Waits until a condition of a PostgresUser has a status and a reason.
    pub async fn user_is(&self, name: &str, condition: &str, status: &str, reason: &str) -> Outcome<String> {
        self.object_is("PostgresUser", name, condition, status, reason)
            .await
    }

    /// Waits until a condition of a server object has a status and a reason; gives its message.
    pub async fn server_is(&self, name: &str, status: &str, reason: &str) -> Outcome<String> {
        self.object_is("PostgresServer", name, "Ready", status, reason)
            .await
    }

    async fn object_is(
        &self,
        kind: &str,
        name: &str,
        condition: &str,
        status: &str,
        reason: &str,
    ) -> Outcome<String> {
        eventually(
            &format!("{kind} {name} to be {condition}={status} {reason}"),
            PATIENCE,
            async || match self.condition(kind, name, condition).await? {
                Some(found) if found.status == status && found.reason == reason => Ok(found.message),
                found => Err(format!("{found:?}").into()),
            },
        )
        .await
    }

    /// Waits until a PostgresUser no longer has a condition.
    pub async fn user_is_not(&self, name: &str, condition: &str) -> Outcome {
        eventually(
            &format!("the end of {condition} on {name}"),
            PATIENCE,
            async || match self.condition("PostgresUser", name, condition).await? {
                None => Ok(()),
                found => Err(format!("{found:?}").into()),
            },
        )
        .await
    }

    /// Waits until the operator has written nothing for a while, as it does once all is settled.
    pub async fn quiet(&self, operator: &Operator) -> Outcome {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mark = self.mark()?;
            tokio::time::sleep(QUIET).await;
            let writes = self.writes_since(mark, operator)?;
            if writes.is_empty() {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                return Err(format!("the operator goes on writing: {writes:?}").into());
            }
        }
    }

    /// Applies manifests with kubectl, as a person or a pipeline does.
    pub async fn kubectl_apply(&self, manifests: &str, flags: &[&str]) -> Outcome<String> {
        let file = self.dir().join("manifests.yaml");
        std::fs::write(&file, manifests)?;
        let file = file.to_string_lossy();
        self.kubectl(&[&["apply", "--filename", &file], flags].concat())
            .await
    }

    /// Watches for a while that something stays true.
    pub async fn stays(
        &self,
        what: &str,
        time: Duration,
        mut check: impl AsyncFnMut() -> Outcome,
    ) -> Outcome {
        let end = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < end {
            check()
                .await
                .map_err(|error| format!("it was to stay true that {what}: {error}"))?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

/// A PostgresUser, as a manifest.
pub fn user_manifest(name: &str, server: &str, more: &str) -> String {
    format!(
        "
apiVersion: pguser.dev/v1alpha1
kind: PostgresUser
metadata: {{name: {name}}}
spec:
  serverRef: {{name: {server}}}
  {more}
"
    )
}
