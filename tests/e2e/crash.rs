//! The operator is killed at every side effect there is, and started again: no password is lost (I1), none is
//! published that does not work (I2), nothing is left over (I4), and all goes on as if nothing had been (I5).
//!
//! The trials are made by a loop, of flows, crash points and sides. They need the operator built with the feature
//! `failpoints`.

use std::path::PathBuf;

use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{Fate, Handle, Options, Outcome, Provider, SERVER, Scene, World, pause, trial};

/// What the operator is at when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Creation,
    Rotation,
    /// Another setting of the role.
    Configuration,
    Deletion,
}

#[derive(Debug, Clone)]
struct Case {
    flow: Flow,
    point: &'static str,
    side: &'static str,
    occurrence: usize,
    /// What becomes of the request that is under way, if it is not just answered.
    fate: Option<Fate>,
}

impl Flow {
    /// What there is of it on a provider.
    fn all(provider: Provider) -> Vec<Flow> {
        match provider {
            Provider::Postgresql => vec![
                Flow::Creation,
                Flow::Rotation,
                Flow::Configuration,
                Flow::Deletion,
            ],
            _ => vec![Flow::Creation, Flow::Rotation, Flow::Deletion],
        }
    }

    /// Which crash points it reaches, and how often.
    fn points(self) -> &'static [(&'static str, usize)] {
        match self {
            Flow::Configuration => &[("journal-write", 2), ("remote-configure", 1)],
            Flow::Creation => &[
                ("claim", 1),
                ("journal-write", 2),
                ("remote-create", 1),
                ("secret-write", 1),
                ("status-write", 1),
            ],
            Flow::Rotation => &[
                ("journal-write", 2),
                ("remote-patch", 1),
                ("secret-write", 1),
                ("status-write", 1),
            ],
            Flow::Deletion => &[
                ("journal-write", 2),
                ("remote-delete", 1),
                ("secret-delete", 1),
                ("finalizer-remove", 1),
            ],
        }
    }

    fn request(self) -> (&'static str, &'static str) {
        match self {
            Flow::Creation => ("users.create", "remote-create"),
            Flow::Rotation => ("users.patch", "remote-patch"),
            Flow::Configuration => ("users.configure", "remote-configure"),
            Flow::Deletion => ("users.delete", "remote-delete"),
        }
    }
}

/// Later than the first look at what there is while the operator is dead.
const LATE: Fate = Fate::CommittedLate(1200);

impl Case {
    fn all(provider: Provider) -> Vec<Case> {
        let at_points = Flow::all(provider).into_iter().flat_map(|flow| {
            let points = flow.points().iter();
            points.flat_map(move |(point, times)| {
                (1..=*times).flat_map(move |occurrence| {
                    ["before", "after"].map(|side| Case {
                        flow,
                        point,
                        side,
                        occurrence,
                        fate: None,
                    })
                })
            })
        });
        let with_lost_answers = Flow::all(provider).into_iter().flat_map(|flow| {
            [Fate::AnswerLost, LATE].map(|fate| Case {
                flow,
                point: flow.request().1,
                side: "after",
                occurrence: 1,
                fate: Some(fate),
            })
        });
        at_points.chain(with_lost_answers).collect()
    }

    fn name(&self) -> String {
        let Case {
            flow,
            point,
            side,
            occurrence,
            fate,
        } = self;
        let fate = match fate {
            None | Some(Fate::Slow) => "",
            Some(Fate::AnswerLost) => "_whose_answer_is_lost",
            Some(Fate::CommittedLate(_)) => "_that_is_committed_late",
        };
        let flow = format!("{flow:?}").to_lowercase();
        format!("a_{flow}_survives_a_crash_{side}_{point}_{occurrence}{fate}").replace('-', "_")
    }
}

pub fn trials(environment: &Handle) -> Vec<Trial> {
    if !cfg!(feature = "failpoints") {
        return Vec::new();
    }
    let trials = Provider::ALL.into_iter().flat_map(|provider| {
        let cases = Case::all(provider).into_iter();
        cases.map(move |case| {
            let name = case.name();
            trial(environment, provider, module_path!(), &name, async move |world| {
                run(world, &case).await
            })
        })
    });
    trials.collect()
}

async fn run(world: &World, case: &Case) -> Outcome {
    let vendor = world.start_vendor(&[]).await?;
    let operator = world.start_operator(Options::quick()).await?;
    world.apply_server(SERVER, &vendor).await?;
    let mut scene = Scene {
        world,
        vendor,
        operator,
    };
    world.wait_for("PostgresServer", SERVER, "Ready", "True").await?;
    let before = match case.flow {
        Flow::Creation => None,
        _ => Some(scene.make_user("webshop").await?),
    };
    world.journal_empty().await?;
    pause(300).await;
    let mark = crash_at(&mut scene, case).await?;
    let route = case.flow.request().0;
    if let Some(fate) = case.fate {
        scene.vendor.strike(route, fate).await?;
    }
    begin(world, case.flow).await?;
    scene
        .operator
        .exit()
        .await
        .map_err(|error| format!("{} was not reached: {error}", case.name()))?;
    assert!(mark.exists(), "the operator ended, but not at the crash point");
    while_it_is_dead(world, case, before.as_deref()).await?;

    scene
        .operator
        .reconfigure(|options| options.env("PGUSER_FAILPOINT", ""));
    scene.operator.restart().await?;
    let before = before.as_deref().unwrap_or_default();
    match case.flow {
        Flow::Creation => drop(world.user_works("webshop").await?),
        Flow::Rotation => drop(world.rotated("webshop", before).await?),
        Flow::Configuration => world.role_is("webshop", "rolconnlimit", "7").await?,
        Flow::Deletion => world.user_gone("webshop", before).await?,
    }
    in_order(&scene, case).await
}

/// Starts the operator anew, to be killed at the case's crash point; and gives the file that tells that it was.
async fn crash_at(scene: &mut Scene<'_>, case: &Case) -> Outcome<PathBuf> {
    let mark = scene.world.dir().join("crashed");
    let point = format!("{}:{}:{}", case.point, case.side, case.occurrence);
    let file = mark.to_string_lossy().into_owned();
    scene.operator.reconfigure(|options| {
        options
            .env("PGUSER_FAILPOINT", &point)
            .env("PGUSER_FAILPOINT_MARK", &file)
    });
    scene.operator.restart().await?;
    // A first look at the server, so that what is counted is what the flow does.
    scene.operator.has_listed().await?;
    Ok(mark)
}

async fn begin(world: &World, flow: Flow) -> Outcome {
    match flow {
        Flow::Creation => world.apply_user("webshop", SERVER).await,
        Flow::Rotation => world.rotate("webshop", "1").await,
        Flow::Configuration => {
            let spec = json!({"spec": {"postgresql": {"connectionLimit": 7}}});
            world.merge("PostgresUser", "webshop", spec).await
        }
        Flow::Deletion => world.delete("PostgresUser", "webshop").await,
    }
}

/// What has to be true at every instant.
async fn while_it_is_dead(world: &World, case: &Case, before: Option<&str>) -> Outcome {
    if case.flow == Flow::Deletion {
        return Ok(());
    }
    // Twice, as a late commit may come between.
    for _ in 0..2 {
        let published = world.password("webshop").await?;
        let staged = world.journal_entries().await?;
        let staged = staged.iter().filter_map(|entry| entry["password"].as_str());
        let staged: Vec<String> = staged.map(str::to_owned).collect();
        // A late commit may come between any two of these questions.
        let is_there = world.postgres().has_role("webshop").await?;
        let mut works = Vec::new();
        for password in published.iter().chain(&staged) {
            works.push(world.postgres().accepts("webshop", password).await?);
        }
        if is_there {
            assert!(works.contains(&true), "I1: no password that works can be read");
        }
        if published.is_some() {
            let changing = case.flow == Flow::Rotation && !staged.is_empty();
            assert!(works[0] || changing, "I2: the Secret does not log in");
        } else {
            assert!(before.is_none(), "the Secret is gone");
        }
        if case.fate == Some(LATE) {
            pause(1300).await;
        }
    }
    Ok(())
}

/// One user and no other, nothing left in the journal, and no more writes.
async fn in_order(scene: &Scene<'_>, case: &Case) -> Outcome {
    let world = scene.world;
    let expected: &[&str] = match case.flow {
        Flow::Deletion => &[],
        _ => &["webshop"],
    };
    world.journal_empty().await?;
    assert_eq!(world.roles().await?, expected);
    scene.vendor.executed("users.create", 1).await?;
    if case.flow != Flow::Deletion {
        assert_eq!(world.login_with_secret("webshop-postgres").await?, "webshop");
        let password = world.password("webshop").await?;
        pause(2500).await;
        assert_eq!(world.password("webshop").await?, password, "it goes on changing");
        assert_eq!(world.login_with_secret("webshop-postgres").await?, "webshop");
    }
    Ok(())
}
