//! A world with everything in it: a remote side, an operator, and a server `orders`.

use std::time::Duration;

use serde_json::{Value, json};

use super::{ADMIN, Operator, Options, Outcome, PATIENCE, SERVER, Simulator, Vendor, World, eventually};

/// A remote side, an operator that is ready, and a server that it looks after.
pub struct Scene<'a> {
    /// The world that it is in.
    pub world: &'a World,
    /// The remote side.
    pub vendor: Vendor,
    /// The operator.
    pub operator: Operator,
}

impl<'a> Scene<'a> {
    /// The usual one.
    pub async fn new(world: &'a World) -> Outcome<Scene<'a>> {
        Self::with(world, &[], Options::quick()).await
    }

    /// One with switches of the simulator and options of the operator.
    pub async fn with(world: &'a World, switches: &[&str], options: Options) -> Outcome<Scene<'a>> {
        let vendor = world.start_vendor(switches).await?;
        let operator = world.start_operator(options).await?;
        world.apply_server(SERVER, &vendor).await?;
        Ok(Scene {
            world,
            vendor,
            operator,
        })
    }

    /// The usual one, and a user that works; and its password.
    pub async fn with_user(world: &'a World, user: &str) -> Outcome<(Scene<'a>, String)> {
        let scene = Self::new(world).await?;
        let password = scene.make_user(user).await?;
        Ok((scene, password))
    }

    /// Makes a user and waits until it works; its password.
    pub async fn make_user(&self, name: &str) -> Outcome<String> {
        self.world.apply_user(name, SERVER).await?;
        self.world.user_works(name).await
    }
}

impl Options {
    /// As a test of crashes and deletions wants it: the shortest times that still mean something.
    pub fn quick() -> Options {
        <Options as Default>::default()
            .flag("--t-live", "2s")
            .flag("--write-window", "1s")
            .flag("--read-lag", "200ms")
            .flag("--retry-base", "200ms")
            .flag("--retry-cap", "1s")
            .flag("--busy-poll-interval", "200ms")
    }
}

impl World {
    /// Waits until a user is Ready, logs in with all that its Secret says, and returns the password.
    pub async fn user_works(&self, name: &str) -> Outcome<String> {
        self.user_ready(name).await?;
        let secret = format!("{name}-postgres");
        assert_eq!(self.login_with_secret(&secret).await?, name);
        self.password(name)
            .await?
            .ok_or_else(|| format!("Secret {secret} has no password").into())
    }

    /// The password in a user's Secret, if there is one.
    pub async fn password(&self, name: &str) -> Outcome<Option<String>> {
        let secret = self.secret(&format!("{name}-postgres")).await?;
        Ok(secret.and_then(|secret| secret.get("password").cloned()))
    }

    /// Waits until a user is gone, and checks that its login went before it.
    pub async fn user_gone(&self, name: &str, password: &str) -> Outcome {
        self.gone("PostgresUser", name, PATIENCE).await?;
        self.login_gone(name, password).await
    }

    /// Checks that there is no such login, now.
    pub async fn login_gone(&self, name: &str, password: &str) -> Outcome {
        assert!(!self.postgres().accepts(name, password).await?, "{name} logs in");
        assert!(!self.postgres().has_role(name).await?, "{name} is a role");
        Ok(())
    }

    /// What is in all journals of the world's operator.
    pub async fn journal_entries(&self) -> Outcome<Vec<Value>> {
        let namespace = self.operator_namespace();
        let names = self.operator_secrets("journal").await?;
        let mut all = Vec::new();
        for name in names {
            let secret = self.secret_in(namespace, &name).await?.unwrap_or_default();
            let entries = secret.get("entries").map_or("[]", String::as_str);
            all.extend(serde_json::from_str::<Vec<Value>>(entries)?);
        }
        Ok(all)
    }

    /// The names of the operator's own Secrets of a kind: `journal`, `credentials-for-deletion`.
    pub async fn operator_secrets(&self, component: &str) -> Outcome<Vec<String>> {
        use kube::{Api, api::ListParams};
        let secrets: Api<k8s_openapi::api::core::v1::Secret> =
            Api::namespaced(self.client().clone(), self.operator_namespace());
        let labelled = ListParams::default().labels(&format!("pguser.dev/component={component}"));
        let found = secrets.list_metadata(&labelled).await?;
        Ok(found.iter().map(kube::ResourceExt::name_any).collect())
    }

    /// Waits until nothing is left in the journals.
    pub async fn journal_empty(&self) -> Outcome {
        eventually("an empty journal", PATIENCE, async || {
            match self.journal_entries().await?.len() {
                0 => Ok(()),
                some => Err(format!("{some} entries").into()),
            }
        })
        .await
    }

    /// The roles that can log in, but for the superuser and the operator's own.
    pub async fn roles(&self) -> Outcome<Vec<String>> {
        let query = format!(
            "select rolname from pg_roles where rolcanlogin and not rolsuper and rolname <> '{ADMIN}' order by 1"
        );
        let rows = self.postgres().sql(&query).await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| row.into_iter().next())
            .collect())
    }

    /// All roles, with what PostgreSQL knows of them: whoever changes one changes this.
    pub async fn roles_as_they_are(&self) -> Outcome<Vec<Vec<String>>> {
        let query = "select oid, xmin, rolname from pg_authid order by 1";
        self.postgres().sql(query).await
    }

    /// Waits until an attribute of a role is this, as PostgreSQL writes it.
    pub async fn role_is(&self, name: &str, attribute: &str, value: &str) -> Outcome {
        let query = format!("select ({attribute})::text from pg_roles where rolname = '{name}'");
        eventually(&format!("{attribute} {value} of {name}"), PATIENCE, async || {
            let rows = self.postgres().sql(&query).await?;
            match rows == [[value]] {
                true => Ok(()),
                false => Err(format!("{rows:?}").into()),
            }
        })
        .await
    }

    /// Asks for a new password.
    pub async fn rotate(&self, name: &str, value: &str) -> Outcome {
        let change = json!({"metadata": {"annotations": {"pguser.dev/rotate": value}}});
        self.merge("PostgresUser", name, change).await
    }

    /// Asks for a rotation of a user's password which admission refuses, and sees that it says why.
    pub async fn rotation_is_refused(&self, name: &str, rotation: Value, says: &str) -> Outcome {
        let change = json!({"spec": {"rotation": rotation}});
        let refused = self.merge("PostgresUser", name, change).await;
        let refusal = refused
            .err()
            .ok_or(format!("{rotation} was admitted"))?
            .to_string();
        assert!(refusal.contains(says), "{rotation}: {refusal}");
        Ok(())
    }

    /// Asks for a rotation of a user's password which cannot be followed, and waits until a condition says why.
    pub async fn rotation_is_invalid(&self, name: &str, rotation: Value, says: &str) -> Outcome {
        let change = json!({"spec": {"rotation": rotation}});
        self.merge("PostgresUser", name, change).await?;
        let found = eventually("the message", PATIENCE, async || {
            let found = self.condition("PostgresUser", name, "Stalled").await?;
            let found = found.filter(|found| found.message.contains(says));
            found.ok_or_else(|| format!("{says} is not said").into())
        })
        .await?;
        assert_eq!(found.reason, "InvalidRotation");
        Ok(())
    }

    /// Waits until a user's password is another one and works; the new one.
    pub async fn rotated(&self, name: &str, from: &str) -> Outcome<String> {
        let password = eventually("another password", PATIENCE, async || {
            match self.password(name).await? {
                Some(password) if password != from => Ok(password),
                _ => Err("it is the old one".into()),
            }
        })
        .await?;
        assert!(
            self.postgres().accepts(name, &password).await?,
            "the new password does not work"
        );
        assert!(
            !self.postgres().accepts(name, from).await?,
            "the old password works"
        );
        Ok(password)
    }

    /// Waits until a user's deletion is blocked for a reason that its message names, with both ways out.
    pub async fn deletion_blocked(&self, name: &str, why: &str) -> Outcome {
        eventually(
            &format!("the deletion of {name} to be blocked: {why}"),
            PATIENCE,
            async || {
                let found = self.condition("PostgresUser", name, "Ready").await?;
                let found = found.ok_or("no condition yet")?;
                if found.reason != "DeletionBlocked" || !found.message.contains(why) {
                    return Err(format!("{found:?}").into());
                }
                for way in [
                    "deletionPolicy: Retain",
                    &format!("pguser.dev/force-finalize={name}"),
                ] {
                    assert!(found.message.contains(way), "{}", found.message);
                }
                Ok(())
            },
        )
        .await
    }

    /// Asks for the login of a PostgresUser to be kept when that goes.
    pub async fn retain(&self, name: &str) -> Outcome {
        let retain = json!({"spec": {"deletionPolicy": "Retain"}});
        self.merge("PostgresUser", name, retain).await
    }

    /// The record of logins that were left behind: their entries.
    pub async fn kept_users(&self) -> Outcome<Vec<Value>> {
        use kube::Api;
        let maps: Api<k8s_openapi::api::core::v1::ConfigMap> =
            Api::namespaced(self.client().clone(), self.operator_namespace());
        let kept = kube::api::ListParams::default().labels("pguser.dev/component=kept-users");
        let lines = maps.list(&kept).await?.items.into_iter();
        let lines = lines.flat_map(|map| map.data.unwrap_or_default());
        Ok(lines
            .map(|(_, text)| serde_json::from_str(&text))
            .collect::<Result<_, _>>()?)
    }

    /// Waits until something has been true of the simulator's requests: that a route has had this many.
    pub async fn requested(&self, simulator: &Simulator, route: &str, at_least: u64) -> Outcome {
        eventually(
            &format!("{at_least} requests of {route}"),
            PATIENCE,
            async || match simulator.requests(route).await? {
                some if some >= at_least => Ok(()),
                some => Err(format!("{some}").into()),
            },
        )
        .await
    }
}

/// Waits: for what must not happen there is nothing to wait for.
pub async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
