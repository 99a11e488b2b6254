//! A bare IONOS API: users in memory, on loopback, as cheap as can be. It behaves well unless it is told otherwise, and
//! remembers when it was asked for what.

mod answer;
mod store;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{Method, StatusCode, Uri, header::RETRY_AFTER},
    response::{IntoResponse as _, Response},
};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{CLUSTER_ID, Outcome};

use self::store::Store;

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    List,
    Get,
    Create,
    Patch,
    Delete,
    Cluster,
    Other,
}

impl Route {
    /// Every route, in the order of tables.
    pub const ALL: [Route; 7] = [
        Route::Create,
        Route::Patch,
        Route::Delete,
        Route::Get,
        Route::List,
        Route::Cluster,
        Route::Other,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Route::List => "list",
            Route::Get => "get",
            Route::Create => "create",
            Route::Patch => "patch",
            Route::Delete => "delete",
            Route::Cluster => "cluster",
            Route::Other => "other",
        }
    }

    /// Whether it changes something.
    pub fn changes(self) -> bool {
        matches!(self, Route::Create | Route::Patch | Route::Delete)
    }
}

/// A call that was answered.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// What was asked.
    pub route: Route,
    /// When it arrived, and when it was begun: later, where calls are served one by one.
    pub arrived: Instant,
    /// When its serving began.
    pub begun: Instant,
    /// When it was answered.
    pub ended: Instant,
    /// What was answered.
    pub status: u16,
    /// Whether the cluster was BUSY when it arrived.
    pub busy: bool,
}

/// How it behaves. The default is: at once, and well.
#[derive(Debug, Clone, Default)]
pub struct Behaviour {
    /// How long each call takes.
    pub delay: Duration,
    /// Whether calls are served one after another.
    pub one_by_one: bool,
    /// How long each change makes the cluster BUSY.
    pub busy: Duration,
    /// Whether each third call is refused, with this many seconds to wait.
    pub refuse_a_third: Option<u64>,
    /// Until when nothing but 503 is answered.
    pub down_until: Option<Instant>,
    /// Whether dates have milliseconds.
    pub milliseconds: bool,
    /// How long a deleted user is still shown.
    pub lingering: Duration,
}

/// A running API. It ends with this.
pub struct Api {
    shared: Arc<Shared>,
    address: SocketAddr,
    _ends: DropGuard,
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    store: Mutex<Store>,
    calls: Mutex<Vec<Call>>,
    busy_until: Mutex<Option<Instant>>,
    one_by_one: tokio::sync::Mutex<()>,
}

impl Api {
    /// Starts one, without users but for one of the system's.
    pub async fn start() -> Outcome<Api> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            behaviour: Mutex::default(),
            store: Mutex::new(Store::new(format!("http://{address}{}", path()))),
            calls: Mutex::default(),
            busy_until: Mutex::default(),
            one_by_one: tokio::sync::Mutex::default(),
        });
        let router = Router::new().fallback(serve).with_state(shared.clone());
        let ends = CancellationToken::new();
        // It ends with its token.
        drop(serve_apart(listener.into_std()?, router, ends.clone())?);
        Ok(Api {
            shared,
            address,
            _ends: ends.drop_guard(),
        })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of its users.
    pub fn users_url(&self) -> String {
        format!("http://{}{}/users", self.address, path())
    }

    /// From now on it behaves like this.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
    }

    /// Who was made, in this order.
    pub fn made(&self) -> Vec<String> {
        self.shared.store.lock().unwrap().made().to_vec()
    }

    /// The password that a user was given last.
    pub fn password(&self, name: &str) -> Option<String> {
        self.shared
            .store
            .lock()
            .unwrap()
            .password(name)
            .map(str::to_owned)
    }

    /// A place in the log of its calls, to count from.
    pub fn mark(&self) -> usize {
        self.shared.calls.lock().unwrap().len()
    }

    /// What it was asked since.
    pub fn since(&self, mark: usize) -> Vec<Call> {
        self.shared.calls.lock().unwrap()[mark..].to_vec()
    }
}

/// Serves on a thread that does nothing else, so that what the bench itself does delays no answer.
fn serve_apart(
    listener: std::net::TcpListener,
    router: Router,
    ends: CancellationToken,
) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let serving = async move {
        let listener = TcpListener::from_std(listener).expect("a listener of tokio's");
        tokio::select! {
            _ = axum::serve(listener, router) => {}
            () = ends.cancelled() => {}
        }
    };
    std::thread::Builder::new()
        .name("api".to_string())
        .spawn(move || runtime.block_on(serving))
}

/// How often each route was called: `create 100, list 3`.
pub fn by_route(calls: &[Call]) -> Vec<(&'static str, usize)> {
    let count = |route: Route| calls.iter().filter(|call| call.route == route).count();
    let all = Route::ALL.into_iter().map(|route| (route.name(), count(route)));
    all.filter(|(_, count)| *count > 0).collect()
}

fn path() -> String {
    format!("/databases/postgresql/clusters/{CLUSTER_ID}")
}

async fn serve(State(shared): State<Arc<Shared>>, method: Method, uri: Uri, body: Bytes) -> Response {
    let arrived = Instant::now();
    let behaviour = shared.behaviour.lock().unwrap().clone();
    let turn = match behaviour.one_by_one {
        true => Some(shared.one_by_one.lock().await),
        false => None,
    };
    let begun = Instant::now();
    if !behaviour.delay.is_zero() {
        tokio::time::sleep(behaviour.delay).await;
    }
    let request = answer::Request::read(&method, &uri, &path());
    let busy = shared.is_busy();
    let response = match shared.refusal(&behaviour) {
        Some(refusal) => refusal,
        None => shared.answer(&behaviour, &request, &body),
    };
    shared.calls.lock().unwrap().push(Call {
        route: request.route,
        arrived,
        begun,
        ended: Instant::now(),
        status: response.status().as_u16(),
        busy,
    });
    drop(turn);
    response
}

impl Shared {
    fn is_busy(&self) -> bool {
        self.busy_until
            .lock()
            .unwrap()
            .is_some_and(|until| Instant::now() < until)
    }

    /// A refusal that is nothing to do with what was asked.
    fn refusal(&self, behaviour: &Behaviour) -> Option<Response> {
        if behaviour.down_until.is_some_and(|until| Instant::now() < until) {
            return Some(answer::error(StatusCode::SERVICE_UNAVAILABLE));
        }
        let seconds = behaviour.refuse_a_third?;
        let number = self.calls.lock().unwrap().len();
        let mut response = answer::error(StatusCode::TOO_MANY_REQUESTS);
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
        (number % 3 == 2).then_some(response)
    }

    fn answer(&self, behaviour: &Behaviour, request: &answer::Request, body: &[u8]) -> Response {
        if request.route == Route::Cluster {
            return answer::cluster(self.is_busy()).into_response();
        }
        let response = answer::users(&mut self.store.lock().unwrap(), behaviour, request, body);
        if request.route.changes() && response.status().is_success() && !behaviour.busy.is_zero() {
            *self.busy_until.lock().unwrap() = Some(Instant::now() + behaviour.busy);
        }
        response
    }
}
