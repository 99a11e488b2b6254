//! Carrying out what was put off.

use std::{sync::Arc, time::Duration};

use crate::{
    clock,
    roles::{Pending, RoleError},
    sim::Sim,
    users::look,
};

/// Carries out pending changes when they are due, for as long as the simulator runs.
pub async fn settle_for_ever(sim: Arc<Sim>) {
    loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let due = sim.next_due_ms();
        if due.is_some_and(|due| due <= clock::real_ms())
            && let Err(error) = settle(&sim).await
        {
            tracing::warn!(error = error.to_string(), "cannot carry out pending changes");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

async fn settle(sim: &Arc<Sim>) -> Result<(), RoleError> {
    let _gate = sim.gate.lock().await;
    let before = sim.roles.users(None, look(&sim.switches())).await?;
    for settled in sim.roles.settle_due(clock::real_ms()).await? {
        let user = before
            .iter()
            .find(|user| user.name == settled.name && user.visible);
        if let (Pending::Drop, Some(user)) = (settled.pending, user) {
            sim.history().record(&settled.name, Some(user.clone()), false);
        }
    }
    let due = sim.roles.next_due_ms().await?;
    sim.set_next_due_ms(due);
    Ok(())
}
