//! The operator is killed at every side effect of a step from one login to the other: what is published works at every moment,
//! the one of before works until its overlap is over and not after that, and in the end nothing is left over.

use libtest_mimic::Trial;
use serde_json::json;

use crate::support::{
    Fate, Handle, Options, Outcome, PATIENCE, Provider, Scene, World, eventually, pause, trial,
};

/// Where the operator is killed, or what becomes of a request that it has sent.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Crash(&'static str, &'static str, usize),
    Lost(&'static str),
}

fn blows(provider: Provider) -> Vec<Blow> {
    use Blow::{Crash, Lost};
    let retire = match provider {
        Provider::Postgresql => "remote-configure",
        _ => "remote-patch",
    };
    let mut blows = vec![
        Crash("journal-write", "after", 1),
        Crash("journal-write", "after", 2),
        Crash("journal-write", "after", 3),
        Crash("remote-create", "before", 1),
        Crash("remote-create", "after", 1),
        Crash("secret-write", "before", 1),
        Crash("secret-write", "after", 1),
        Crash("status-write", "after", 1),
        Crash("status-write", "before", 2),
        Crash(retire, "before", 1),
        Crash(retire, "after", 1),
        Lost("users.create"),
    ];
    if provider != Provider::Postgresql {
        // By SQL it is the next change that is struck, whatever it does.
        blows.push(Lost("users.patch"));
    }
    blows
}

pub fn trials(environment: &Handle) -> Vec<Trial> {
    if !cfg!(feature = "failpoints") {
        return Vec::new();
    }
    let all = Provider::ALL.into_iter().flat_map(|provider| {
        blows(provider).into_iter().map(move |blow| {
            let name = match blow {
                Blow::Crash(point, side, occurrence) => {
                    format!("a_step_survives_a_crash_{side}_{point}_{occurrence}")
                }
                Blow::Lost(route) => format!("a_step_survives_a_lost_answer_of_{route}"),
            };
            let name = name.replace(['-', '.'], "_");
            trial(environment, provider, module_path!(), &name, async move |world| {
                run(world, blow).await
            })
        })
    });
    all.collect()
}

async fn published(world: &World) -> Outcome<(String, String)> {
    // In one read: two may be of before and after a step.
    let secret = world.secret("webshop-postgres").await?;
    let secret = secret.ok_or("webshop has no Secret")?;
    let key = |key: &str| secret.get(key).cloned().ok_or(format!("there is no {key}"));
    Ok((key("username")?, key("password")?))
}

async fn works(world: &World, (username, password): &(String, String)) -> Outcome<bool> {
    world.postgres().accepts(username, password).await
}

async fn run(world: &World, blow: Blow) -> Outcome {
    let mut scene = Scene::new(world).await?;
    world
        .apply_user_with("webshop", "rotation: {strategy: Alternating, overlap: 2s}")
        .await?;
    world.user_ready("webshop").await?;
    world.journal_empty().await?;
    let before = published(world).await?;
    let rotate = json!({"metadata": {"annotations": {"pguser.dev/rotate": "1"}}});
    match blow {
        Blow::Crash(point, side, occurrence) => {
            let point = format!("{point}:{side}:{occurrence}");
            scene
                .operator
                .reconfigure(|options: Options| options.env("PGUSER_FAILPOINT", &point));
            scene.operator.restart().await?;
            scene.operator.has_listed().await?;
            world.merge("PostgresUser", "webshop", rotate).await?;
            let exit = scene.operator.exit().await;
            exit.map_err(|error| format!("{point} was not reached: {error}"))?;
            assert!(
                works(world, &published(world).await?).await?,
                "what is published is refused"
            );
            scene
                .operator
                .reconfigure(|options: Options| options.env("PGUSER_FAILPOINT", ""));
            scene.operator.restart().await?;
        }
        Blow::Lost(route) => {
            let _struck = scene.vendor.strike(route, Fate::AnswerLost).await?;
            world.merge("PostgresUser", "webshop", rotate).await?;
        }
    }
    eventually(
        "the other login, and the end of the one of before",
        PATIENCE * 2,
        async || {
            let now = published(world).await?;
            assert!(works(world, &now).await?, "what is published is refused");
            let over = now.0 != before.0 && !works(world, &before).await?;
            if over {
                Ok(())
            } else {
                Err(format!("it is {}", now.0).into())
            }
        },
    )
    .await?;
    in_order(world).await
}

async fn in_order(world: &World) -> Outcome {
    world.journal_empty().await?;
    let now = published(world).await?;
    pause(1500).await;
    assert_eq!(published(world).await?, now, "it goes on changing");
    assert!(works(world, &now).await?);
    world.user_ready("webshop").await?;
    world.delete("PostgresUser", "webshop").await?;
    world.gone("PostgresUser", "webshop", PATIENCE * 2).await?;
    world.journal_empty().await?;
    for login in ["webshop", "webshop_a", "webshop_b"] {
        assert!(!world.postgres().has_role(login).await?, "{login} is left");
    }
    Ok(())
}
