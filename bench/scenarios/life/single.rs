//! Single users, deleted while nothing else is to be done.

use std::time::{Duration, Instant};

use crate::{
    api::Behaviour,
    scenarios::limit,
    support::Outcome,
    table::{Rows, Target::Below},
    users::names,
};

use super::Life;

/// How often a single deletion is tried; the one in the middle counts.
const TRIES: usize = 3;

/// How long an API that deletes at leisure still shows a user.
const LINGERING: Duration = Duration::from_secs(2);

impl Life<'_, '_> {
    /// Deletes single users that have long been Ready; then some that the API shows for a while after it has deleted them.
    pub(super) async fn one(&mut self) -> Outcome {
        let times = self.single_deletions().await?;
        single(&mut self.rows("one"), "deleted after", times);
        if self.stand.api().is_some() {
            self.behave(LINGERING);
            let times = self.single_deletions().await?;
            self.behave(Duration::ZERO);
            single(&mut self.rows("one"), "deleted after, shown for 2 s more", times);
        }
        Ok(())
    }

    fn behave(&self, lingering: Duration) {
        if let Some(api) = self.stand.api() {
            api.behave(Behaviour {
                lingering,
                ..Behaviour::default()
            });
        }
    }

    async fn single_deletions(&mut self) -> Outcome<Vec<Option<Duration>>> {
        let mut times = Vec::new();
        for _ in 0..TRIES.min(self.names.len().saturating_sub(1)) {
            let name: Vec<String> = self.names.pop().into_iter().collect();
            times.push(self.one_deleted(&name).await?);
        }
        Ok(times)
    }

    /// Deletes single users at once when they are Ready.
    pub(super) async fn young(&mut self) -> Outcome {
        let mut times = Vec::new();
        let mut ready = Vec::new();
        for name in names("young", TRIES) {
            let (name, started) = ([name], Instant::now());
            self.stand.users.make(&name, &self.stand.server_ref()).await?;
            let reached = self.stand.users.until(&name, limit(1), |seen| seen.ready).await;
            ready.push(reached.all().then(|| reached.last.duration_since(started)));
            times.push(self.one_deleted(&name).await?);
        }
        let mut rows = self.rows("young");
        single(&mut rows, "deleted after", times);
        if let Some(middle) = middle(ready) {
            rows.show("was Ready after", middle.as_secs_f64(), "s");
        }
        Ok(())
    }

    async fn one_deleted(&self, name: &[String]) -> Outcome<Option<Duration>> {
        let started = Instant::now();
        self.stand.users.delete(name).await?;
        let gone = self.stand.users.until(name, limit(1), |seen| seen.gone).await;
        Ok(gone.all().then(|| gone.last.duration_since(started)))
    }
}

fn single(rows: &mut Rows<'_>, what: &'static str, times: Vec<Option<Duration>>) {
    let all: Vec<String> = times
        .iter()
        .map(|time| time.map_or("never".to_owned(), |time| format!("{time:.2?}")))
        .collect();
    let target = Below(0.5);
    match middle(times) {
        Some(time) => rows.check(what, time.as_secs_f64(), "s", target),
        None => rows.missing(what, target),
    }
    .note(all.join(", "));
}

/// The one in the middle; none, if that one took for ever.
fn middle(mut times: Vec<Option<Duration>>) -> Option<Duration> {
    times.sort_by_key(|time| time.unwrap_or(Duration::MAX));
    times.get(times.len() / 2).copied().flatten()
}
