//! A PostgresUser becomes a login, and a Secret that logs in.

use libtest_mimic::Trial;

use crate::support::{Handle, Outcome, World, trials};

pub fn trials(environment: &Handle) -> Vec<Trial> {
    trials!(environment;
        a_new_user_gets_a_secret_that_logs_in,
    )
}

async fn a_new_user_gets_a_secret_that_logs_in(world: &World) -> Outcome {
    let _setting = world.set_up(&[]).await?;
    world.ready_user("checkout").await?;
    Ok(())
}
