//! What a test runs against: a PostgreSQL, and a simulator of the vendors' APIs on it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::runtime::Runtime;

use crate::servers::{
    Outcome, PATIENCE, Postgres, Simulator, end_on_signals, eventually, new_folder, wait_if_ending,
};

/// For one test at a time.
pub struct Stage {
    pub postgres: Postgres,
    pub simulator: Simulator,
}

impl Stage {
    /// Makes it as if nobody had been here.
    pub async fn clean(&self) -> Outcome {
        self.simulator.no_faults().await?;
        eventually("the last requests to end", PATIENCE, async || {
            self.is_idle().await
        })
        .await?;
        self.postgres.sql(GOODBYE).await?;
        let everything = json!({"users": true});
        self.simulator.admin("POST", "reset", Some(everything)).await?;
        self.simulator.admin("DELETE", "journal", None).await?;
        self.postgres.sql(NOBODY).await?;
        Ok(())
    }

    /// A request that nobody waits for any more may still be on its way, and would meet the next test's users.
    async fn is_idle(&self) -> Outcome {
        let journal = self.simulator.journal().await?;
        match journal.iter().all(|entry| entry["done"] == true) {
            true => Ok(()),
            false => Err("requests are under way".into()),
        }
    }
}

/// Ends all sessions but the superuser's, which are the simulator's.
const GOODBYE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
    WHERE usename <> 'postgres' OR application_name = 'test'";

/// Drops every role that somebody has made, and what it owns.
const NOBODY: &str = "DO $$ DECLARE r record; BEGIN \
      FOR r IN SELECT oid, rolname FROM pg_roles WHERE oid >= 16384 \
          AND EXISTS (SELECT FROM pg_shdepend d WHERE d.refobjid = pg_roles.oid) LOOP \
        EXECUTE format('REASSIGN OWNED BY %I TO postgres', r.rolname); \
        EXECUTE format('DROP OWNED BY %I', r.rolname); \
      END LOOP; \
      FOR r IN SELECT rolname FROM pg_roles WHERE oid >= 16384 LOOP \
        EXECUTE format('DROP ROLE %I', r.rolname); \
      END LOOP; \
    END $$";

/// All stages there are, and where they are.
pub struct Theatre {
    runtime: Runtime,
    folder: Mutex<Option<PathBuf>>,
    idle: Mutex<Vec<Stage>>,
    count: AtomicU32,
}

impl Theatre {
    pub fn new() -> Arc<Self> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        Arc::new(Self {
            runtime: runtime.worker_threads(2).enable_all().build().unwrap(),
            folder: Mutex::default(),
            idle: Mutex::default(),
            count: AtomicU32::new(0),
        })
    }

    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Makes the folder for everybody's files.
    pub fn open(&self) -> Outcome {
        // Nobody has installed one before; where somebody has, it is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = new_folder("pguser-contract")?;
        self.runtime.spawn(end_on_signals(folder.clone()));
        *self.folder.lock().unwrap() = Some(folder);
        Ok(())
    }

    /// A stage that nobody uses, or a new one.
    pub async fn stage(&self) -> Outcome<Stage> {
        let idle = self.idle.lock().unwrap().pop();
        match idle {
            Some(stage) => Ok(stage),
            None => self.build().await,
        }
    }

    async fn build(&self) -> Outcome<Stage> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.lock().unwrap().clone().unwrap();
        let folder = folder.join(number.to_string());
        std::fs::create_dir_all(&folder)?;
        let postgres = Postgres::start(&folder.join("postgres")).await?;
        let simulator = Simulator::start(&folder, &postgres, &[]).await?;
        Ok(Stage { postgres, simulator })
    }

    pub fn give_back(&self, stage: Stage) {
        self.idle.lock().unwrap().push(stage);
    }

    /// Takes all down. The logs stay if tests failed, or if that is wanted.
    pub fn close(&self, failed: bool) {
        wait_if_ending();
        let stages = std::mem::take(&mut *self.idle.lock().unwrap());
        let _inside = self.runtime.enter();
        drop(stages);
        let Some(folder) = self.folder.lock().unwrap().take() else {
            return;
        };
        if failed || std::env::var_os("PGUSER_TEST_KEEP").is_some() {
            eprintln!("logs are in {}", folder.display());
        } else {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
