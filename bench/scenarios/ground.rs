//! The floor, measured: tried with several numbers at once, then run with the one that was best.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    floor::Floor,
    others::Moment,
    scenarios::{Bench, limit},
    stand::{SERVER, Stand, spell},
    support::{Outcome, Provider},
    users::{Reached, names},
};

/// How many are tried at once.
const AT_ONCE: [usize; 4] = [4, 8, 16, 32];

/// With how many users that is tried.
const TRIAL: usize = 80;

/// Up to how many users the floor is run more than once, and how often.
const FEW: usize = 150;
const TRIES: usize = 3;

/// How long the floor goes on once the last user is as it should be.
const AFTERWARDS: Duration = Duration::from_millis(500);

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

/// How many users the floor makes, and deletes, at once.
#[derive(Debug, Clone, Copy)]
struct AtOnce {
    create: usize,
    delete: usize,
}

impl Bench<'_> {
    /// Measures the floor, unless that is not wanted, or was done with as many users as it is run with.
    pub async fn floor(
        &mut self,
        provider: Provider,
        users: usize,
        known: Option<Rates>,
    ) -> Outcome<Option<Rates>> {
        let needed = ["floor", "create", "delete", "dates"];
        let needed = needed.into_iter().any(|name| self.config.wants(name));
        if !needed || (users > MOST && known.is_some()) {
            return Ok(None);
        }
        let users = users.min(MOST);
        let stand = Stand::new(self.environment, provider, "floor", false).await?;
        let at_once = best(&stand, users.min(TRIAL)).await?;
        let moment = Moment::now();
        let rates = match users > FEW {
            true => once(&stand, at_once, &names("floor", users)).await?,
            false => middle(&stand, at_once, users).await?,
        };
        let others = moment.others_since();
        self.table.disturbed(others);
        let meter = stand.meter().await?;
        once(&stand, at_once, &names("counted", 1)).await?;
        let costs = stand.read(&meter).await?;
        let mut rows = self.table.rows(provider, users, "floor");
        rows.show("made a second", rates.create, "/s").note(format!(
            "{} at once; others had {others:.0} % of the machine",
            at_once.create
        ));
        rows.show("deleted a second", rates.delete, "/s")
            .note(format!("{} at once", at_once.delete));
        rows.show("writes for one user's life", costs.all_writes() as f64, "")
            .note(spell(&costs.writes));
        stand.close().await?;
        Ok(Some(rates))
    }
}

/// How many at once are best.
async fn best(stand: &Stand, users: usize) -> Outcome<AtOnce> {
    let both = |count| AtOnce {
        create: count,
        delete: count,
    };
    // The first users that an API server ever sees take it longer.
    once(stand, both(AT_ONCE[0]), &names("first", TRIAL / 2)).await?;
    let (mut best, mut most) = (
        both(AT_ONCE[0]),
        Rates {
            create: 0.0,
            delete: 0.0,
        },
    );
    for count in AT_ONCE {
        let rates = once(stand, both(count), &names(&format!("trial{count}"), users)).await?;
        eprintln!(
            "  the floor with {count} at once: {:.1}/s made, {:.1}/s deleted",
            rates.create, rates.delete
        );
        if rates.create > most.create {
            (best.create, most.create) = (count, rates.create);
        }
        if rates.delete > most.delete {
            (best.delete, most.delete) = (count, rates.delete);
        }
    }
    Ok(best)
}

/// What is in the middle of several runs: few users are soon done, and anything disturbs that.
async fn middle(stand: &Stand, at_once: AtOnce, users: usize) -> Outcome<Rates> {
    let (mut create, mut delete) = (Vec::new(), Vec::new());
    for number in 0..TRIES {
        let rates = once(stand, at_once, &names(&format!("floor{number}"), users)).await?;
        create.push(rates.create);
        delete.push(rates.delete);
    }
    create.sort_by(f64::total_cmp);
    delete.sort_by(f64::total_cmp);
    Ok(Rates {
        create: create[TRIES / 2],
        delete: delete[TRIES / 2],
    })
}

/// Makes and deletes these users.
async fn once(stand: &Stand, at_once: AtOnce, names: &[String]) -> Outcome<Rates> {
    let floor = Floor::start(stand, at_once.create).await?;
    let started = Instant::now();
    stand.users.make(names, &json!({"name": SERVER})).await?;
    let made = stand
        .users
        .until(names, limit(names.len()), |seen| seen.ready)
        .await;
    let create = rate(made, started)?;
    // The last Events follow.
    tokio::time::sleep(AFTERWARDS).await;
    drop(floor);
    let floor = Floor::start(stand, at_once.delete).await?;
    let started = Instant::now();
    stand.users.delete(names).await?;
    let gone = stand
        .users
        .until(names, limit(names.len()), |seen| seen.gone)
        .await;
    let delete = rate(gone, started)?;
    drop(floor);
    Ok(Rates { create, delete })
}

fn rate(reached: Reached, started: Instant) -> Outcome<f64> {
    match reached.all() {
        true => Ok(reached.count as f64 / reached.last.duration_since(started).as_secs_f64()),
        false => Err(format!("the floor came to {} of {}", reached.count, reached.wanted).into()),
    }
}
