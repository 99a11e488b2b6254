//! From an async function to a trial.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use libtest_mimic::{Failed, Trial};

use super::{Handle, Outcome, Provider, World};

/// How long a trial may take. The longest takes a minute and a half, on a busy machine.
const LIMIT: Duration = Duration::from_secs(400);

/// Makes trials of functions in the calling module: `trials!(environment; first, second)`.
macro_rules! trials {
    ($environment:expr; $($name:ident),* $(,)?) => {
        $crate::support::trials!($environment, $crate::support::Provider::Ionos; $($name),*)
    };
    ($environment:expr, $provider:expr; $($name:ident),* $(,)?) => {
        vec![$($crate::support::trial($environment, $provider, module_path!(), stringify!($name), $name)),*]
    };
}
pub(crate) use trials;

/// The same for each provider: `drift::first`, `drift::first [scalingo]`, …
macro_rules! trials_everywhere {
    ($environment:expr; $($name:ident),* $(,)?) => {
        $crate::support::Provider::ALL
            .into_iter()
            .flat_map(|provider| $crate::support::trials!($environment, provider; $($name),*))
    };
}
pub(crate) use trials_everywhere;

/// A trial that runs `test` in a world of its own. If it fails, the world's logs are kept and their place is said.
pub fn trial<F>(environment: &Handle, provider: Provider, module: &str, name: &str, test: F) -> Trial
where
    F: AsyncFnOnce(&World) -> Outcome + Send + 'static,
{
    let module = module.split_once("::").map_or("", |(_, module)| module);
    let (environment, name) = (environment.clone(), name.to_owned());
    Trial::test(format!("{module}::{name}{}", provider.suffix()), move || {
        let environment = environment.get();
        environment.runtime().block_on(async {
            let world = World::new(&environment, &name, provider).await;
            let mut world = world.map_err(Failed::from)?;
            // Within the runtime, so the future is polled by hand rather than by a nested block_on.
            let outcome = tokio::time::timeout(LIMIT, catch(test(&world))).await;
            let outcome = outcome.unwrap_or_else(|_| Err(format!("it has not ended within {LIMIT:?}")));
            match &outcome {
                Ok(()) => world.clean_up().await,
                Err(_) => world.report().await,
            }
            outcome.map_err(Failed::from)
        })
    })
}

/// Awaits a test, and takes a panic for a failure, so that the world can still say what it knows.
async fn catch(test: impl Future<Output = Outcome>) -> Result<(), String> {
    let mut test = std::pin::pin!(test);
    let poll = std::future::poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| test.as_mut().poll(context))) {
            Ok(std::task::Poll::Pending) => std::task::Poll::Pending,
            Ok(std::task::Poll::Ready(outcome)) => {
                std::task::Poll::Ready(outcome.map_err(|error| error.to_string()))
            }
            Err(panic) => std::task::Poll::Ready(Err(message(&*panic))),
        }
    });
    poll.await
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("with something that is no text"))
}
