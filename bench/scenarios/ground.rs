//! The floor, measured: tried with several numbers at once, then run with the one that was best.

use std::time::Instant;

use serde_json::json;

use crate::{
    floor::Floor,
    scenarios::{Bench, limit},
    stand::{Stand, spell},
    support::{Outcome, Provider},
    users::names,
};

/// How many are tried at once.
const AT_ONCE: [usize; 4] = [4, 8, 16, 32];

/// With how many users that is tried.
const TRIAL: usize = 150;

/// The most users that the floor itself is run with; its rate does not depend on how many more there are.
const MOST: usize = 1000;

/// What the floor makes and deletes in a second.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Users made.
    pub create: f64,
    /// Users deleted.
    pub delete: f64,
}

impl Bench<'_> {
    /// Measures the floor, unless that is not wanted, or was done with as many users as it is run with.
    pub async fn floor(
        &mut self,
        provider: Provider,
        users: usize,
        known: Option<Rates>,
    ) -> Outcome<Option<Rates>> {
        let needed = ["floor", "create", "delete", "dates"]
            .into_iter()
            .any(|name| self.config.wants(name));
        if !needed || (users > MOST && known.is_some()) {
            return Ok(None);
        }
        let users = users.min(MOST);
        let stand = Stand::new(self.environment, provider, "floor", false).await?;
        // The first users that an API server ever sees take it longer.
        once(&stand, AT_ONCE[0], &names("first", TRIAL / 5)).await?;
        let mut best = (
            AT_ONCE[0],
            Rates {
                create: 0.0,
                delete: 0.0,
            },
        );
        for at_once in AT_ONCE {
            let rates = run(&stand, at_once, users.min(TRIAL)).await?;
            eprintln!(
                "  the floor with {at_once} at once: {:.1}/s made, {:.1}/s deleted",
                rates.create, rates.delete
            );
            if rates.create > best.1.create {
                best.0 = at_once;
            }
            best.1 = better(best.1, rates);
        }
        let (at_once, mut rates) = best;
        if users > TRIAL {
            rates = run(&stand, at_once, users).await?;
        }
        let mut rows = self.table.rows(provider, users, "floor");
        rows.show("made a second", rates.create, "/s")
            .note(format!("{at_once} at once"));
        rows.show("deleted a second", rates.delete, "/s");
        let meter = stand.meter().await?;
        let one = names("counted", 1);
        once(&stand, at_once, &one).await?;
        let costs = stand.read(&meter).await?;
        let writes = costs.all_writes() as f64;
        rows.show("writes for one user's life", writes, "")
            .note(spell(&costs.writes));
        stand.close().await?;
        Ok(Some(rates))
    }
}

fn better(one: Rates, other: Rates) -> Rates {
    Rates {
        create: one.create.max(other.create),
        delete: one.delete.max(other.delete),
    }
}

async fn run(stand: &Stand, at_once: usize, users: usize) -> Outcome<Rates> {
    once(stand, at_once, &names(&format!("floor{at_once}-{users}"), users)).await
}

/// Makes and deletes these users.
async fn once(stand: &Stand, at_once: usize, names: &[String]) -> Outcome<Rates> {
    let floor = Floor::start(stand, at_once).await?;
    let count = names.len();
    let started = Instant::now();
    stand.users.make(names, &json!({"name": "orders"})).await?;
    let made = stand.users.until(names, limit(count), |seen| seen.ready).await;
    let making = made.last.duration_since(started);
    let started = Instant::now();
    stand.users.delete(names).await?;
    let deleted = stand.users.until(names, limit(count), |seen| seen.gone).await;
    let deleting = deleted.last.duration_since(started);
    drop(floor);
    if !(made.all() && deleted.all()) {
        return Err(format!(
            "the floor made {} and deleted {} of {count}",
            made.count, deleted.count
        )
        .into());
    }
    let rate = |time: std::time::Duration| count as f64 / time.as_secs_f64();
    Ok(Rates {
        create: rate(making),
        delete: rate(deleting),
    })
}
