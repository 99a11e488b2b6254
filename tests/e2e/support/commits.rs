//! Commits that wait: how the answer to a change by SQL is lost, or comes late.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{ADMIN, Outcome, PATIENCE, Postgres, eventually, wire::Wire};

/// Long enough for a commit that does not wait.
const AT_ONCE: Duration = Duration::from_millis(300);

/// From now on commits wait, as for a standby that is not there: they are on disk, and show to nobody yet.
async fn hold(postgres: &Postgres) -> Outcome {
    set_standby(postgres, "nobody").await?;
    eventually("commits to wait", PATIENCE, async || {
        let commit = postgres.sql("select pg_logical_emit_message(true, 'probe', '')");
        match tokio::time::timeout(AT_ONCE, commit).await {
            Err(_) => Ok(()),
            Ok(_) => Err("they do not".into()),
        }
    })
    .await
}

/// All that waits is done.
async fn release(postgres: &Postgres) -> Outcome {
    set_standby(postgres, "").await
}

async fn set_standby(postgres: &Postgres, name: &str) -> Outcome {
    // Two requests, as the first may not be part of a transaction.
    let set = format!("alter system set synchronous_standby_names = '{name}'");
    postgres.sql(&set).await?;
    postgres.sql("select pg_reload_conf()").await.map(drop)
}

/// The operator's next commit waits, its connection is cut if it is to be, and after a while the commit is done. Tells
/// when it waits.
pub async fn delay_next(
    postgres: &Arc<Postgres>,
    wire: &Arc<Wire>,
    cut: bool,
    pause: Duration,
) -> Outcome<watch::Receiver<bool>> {
    hold(postgres).await?;
    let (postgres, wire) = (postgres.clone(), wire.clone());
    let (waits, waiting) = watch::channel(false);
    tokio::spawn(async move {
        if tokio::time::timeout(PATIENCE, until_one_waits(&postgres))
            .await
            .is_ok()
        {
            if cut {
                wire.cut();
            }
            let _ = waits.send(true);
            tokio::time::sleep(pause).await;
        }
        if let Err(error) = release(&postgres).await {
            eprintln!("commits go on waiting: {error}");
        }
    });
    Ok(waiting)
}

async fn until_one_waits(postgres: &Postgres) {
    let query =
        format!("select 1 from pg_stat_activity where usename = '{ADMIN}' and wait_event = 'SyncRep'");
    while !matches!(postgres.sql(&query).await, Ok(rows) if !rows.is_empty()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
