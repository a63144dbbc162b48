//! The HTTP edge. hyper stays in this folder: requests become values, bounded; whatever happens
//! beyond, the client gets a response.

mod body;
mod convert;
mod limit;

use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};
use tribune_api::agent::AgentCall;
use tribune_api::error::Error;
use tribune_api::gate::Gate;
use tribune_api::http::{Method, Request, Response};
use tribune_api::plan::{self, Context, Plan, PoolCall, Read};
use tribune_base::id::Index;
use tribune_base::time::Duration;
use tribune_core::{Area, Call};

use crate::handle::NodeHandle;
use crate::join;
use crate::limit::Connections;
use crate::net::{Listener, Stream};
use crate::serve::{self, Answer};

/// Everything a connection needs to answer.
#[derive(Debug)]
pub struct Api {
    /// The node.
    pub node: NodeHandle,
    /// What the API needs to know of the configuration.
    pub context: Arc<Context>,
    /// Headers every answer carries besides its own: `http_config.response_headers`.
    pub headers: Vec<(String, String)>,
    /// What clients are kept from.
    pub gate: Gate,
    /// Connections one address may have open. More are told so and closed.
    pub connections_per_client_max: Arc<AtomicUsize>,
    /// Who reads the configuration again, if there is one.
    pub reloads: Option<Reloads>,
    /// Whether this is a client agent, which has no state: what is asked of that, servers answer.
    pub forwards: Option<Patience>,
    /// The port that addresses to join have without one.
    pub join_port: u16,
    /// The same, in the pool where all datacenters meet.
    pub join_port_wan: u16,
    /// Whether answers carry a `Date`. Not in simulations: it comes from a clock that is not ours.
    pub date: bool,
}

/// Asks somebody to read the configuration again, who answers when it is in force, or with what is
/// wrong with it. One who asks while others wait is refused.
pub type Reloads = mpsc::Sender<oneshot::Sender<Result<(), String>>>;

/// How long servers may take to answer what a client agent asks them.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A question.
    pub hold_max: Duration,
    /// A change.
    pub write_max: Duration,
}

/// Accept connections and serve them, until `stop` says so and the last answer is out.
pub async fn listen<L>(listener: L, api: Arc<Api>, mut stop: watch::Receiver<bool>)
where
    L: Listener,
    L::Stream: Stream,
{
    let connections = Connections::new(Arc::clone(&api.connections_per_client_max), 0);
    let mut tasks = JoinSet::new();
    while !*stop.borrow() {
        let accepted = tokio::select! {
            biased;
            _ = stop.changed() => break,
            _ = tasks.join_next(), if !tasks.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => match connections.admit(from.ip()) {
                Some(admitted) => {
                    let (api, stop) = (Arc::clone(&api), stop.clone());
                    tasks.spawn(async move {
                        serve(stream, from, api, stop).await;
                        drop(admitted);
                    });
                }
                None => _ = tasks.spawn(limit::refuse(stream)),
            },
            Err(error) => {
                // Out of descriptors, most likely: the next one would fail as well, at once.
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    // Nobody new. Those who are being answered get their answer.
    while tasks.join_next().await.is_some() {}
}

/// Serve one connection until either side closes it, or until `stop` and the answer it waits for.
async fn serve<S: Stream>(stream: S, from: SocketAddr, api: Arc<Api>, stop: watch::Receiver<bool>) {
    let date = api.date;
    let remote = Some(from.ip());
    let service = service_fn(move |request| {
        let api = Arc::clone(&api);
        async move { Ok::<_, Infallible>(handle(request, remote, &api).await) }
    });
    let connection = http1::Builder::new()
        .title_case_headers(true) // `X-Consul-Index`, for clients that compare bytes.
        .auto_date_header(date)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut watcher = stop.clone();
    let mut stopped = pin!(watcher.changed());
    let (mut asked, mut stopping) = (false, false);
    // Not a `select!`: that would look for `stop` at every step of every connection, and all of them
    // would meet at one lock. Having looked once is enough to be woken.
    let served = poll_fn(|cx| {
        let look = !stopping && (!asked || stop.has_changed().unwrap_or(true));
        if look && stopped.as_mut().poll(cx).is_ready() {
            stopping = true;
            connection.as_mut().graceful_shutdown();
        }
        asked = true;
        connection.as_mut().poll(cx)
    })
    .await;
    if let Err(error) = served {
        debug!(%from, %error, "connection ended");
    }
}

/// The edge: whatever happens beyond it, the client gets a response.
async fn handle(
    request: hyper::Request<Incoming>,
    remote: Option<IpAddr>,
    api: &Api,
) -> hyper::Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let method = convert::method(&head.method);
    let is_value = head.uri.path().starts_with("/v1/kv/");
    let (body_max, setting) = if is_value {
        (api.context.kv_value_max as u64, "limits.kv_max_value_size")
    } else {
        (BODY_LEN_MAX, "This release, and no configuration,")
    };
    let response = match body::collect(method, body, body_max, setting).await {
        Ok(body) => {
            let request = Request {
                method,
                path: head.uri.path(),
                query: head.uri.query().unwrap_or_default(),
                token: convert::token(&head.headers),
                body,
                remote,
                forwarded_for: convert::forwarded_for(&head.headers),
                wants_text: convert::wants_text(&head.headers),
            };
            match api.gate.admit(&request) {
                Ok(()) => answer(&request, api).await.unwrap_or_else(Response::from),
                Err(refused) => refused.into(),
            }
        }
        Err(error) => error.into(),
    };
    debug!(method = %head.method, path = head.uri.path(), status = response.status, "answered");
    convert::response(response, &api.headers, method == Method::Head)
}

async fn answer(request: &Request<'_>, api: &Api) -> Result<Response, Error> {
    let plan = plan::plan(request, &api.context);
    if let Some(patience) = api.forwards {
        let (changes, patience) = match &plan {
            Plan::Answer(_) | Plan::Agent(_) | Plan::Pool(_) => return at_home(plan, api).await,
            Plan::Read(read) if read.min_index != Index(0) => (false, patience.of(read.wait)),
            Plan::Read(_) | Plan::Status(_) => (false, patience.hold_max),
            Plan::Remote(there) if there.changes => (true, patience.write_max),
            Plan::Remote(there) => (false, patience.of(there.wait)),
            Plan::Write(_) => (true, patience.write_max),
            Plan::Operator(call) => (call.changes(), patience.hold_max),
        };
        let request = if let Plan::Remote(there) = &plan {
            there.addressed(request, &api.context)
        } else {
            request.to_owned()
        };
        return api.node.call(Call::Forward { request, changes, patience }).await;
    }
    match plan {
        Plan::Answer(_) | Plan::Agent(_) | Plan::Pool(_) => at_home(plan, api).await,
        Plan::Read(mut read) => {
            read.shuffle(|| api.node.draw());
            self::read(read, api).await
        }
        Plan::Write(write) => api.node.call(Call::Write(write)).await,
        Plan::Status(call) => {
            let view = api.node.view();
            let datacenters = view.places.datacenter_names(&api.context);
            Ok(call.response(view.leader_addr.as_deref(), &view.peers, &datacenters))
        }
        Plan::Operator(call) => {
            api.node.call(Call::Operator { call, request: request.to_owned() }).await
        }
        Plan::Remote(there) => {
            let request = there.addressed(request, &api.context);
            api.node.call(Call::Across { request, there }).await
        }
    }
}

/// What every agent answers by itself.
async fn at_home(plan: Plan, api: &Api) -> Result<Response, Error> {
    match plan {
        Plan::Answer(response) => Ok(response),
        Plan::Agent(AgentCall::Reload) if api.reloads.is_some() => reload(api).await,
        Plan::Agent(call) => api.node.call(Call::Agent(call)).await,
        Plan::Pool(PoolCall::Join { address, wan }) => {
            let (area, port) = match wan {
                false => (Area::Lan, api.join_port),
                true => (Area::Wan, api.join_port_wan),
            };
            let addrs = join::resolve(&address, port).await?;
            api.node.call(Call::Join { area, addrs }).await
        }
        Plan::Pool(PoolCall::ForceLeave { node, prune, wan }) => {
            let area = if wan { Area::Wan } else { Area::Lan };
            api.node.call(Call::ForceLeave { area, node, prune }).await
        }
        Plan::Pool(PoolCall::Fire(fire)) => api.node.call(Call::Fire(fire)).await,
        Plan::Pool(PoolCall::Keyring(call)) => api.node.call(Call::Keyring(call)).await,
        Plan::Pool(PoolCall::Events(list)) => api.node.call(Call::Events(list)).await,
        Plan::Read(_) | Plan::Write(_) | Plan::Status(_) | Plan::Operator(_) | Plan::Remote(_) => {
            unreachable!("a server's business")
        }
    }
}

async fn reload(api: &Api) -> Result<Response, Error> {
    let (done, outcome) = oneshot::channel();
    let reloads = api.reloads.as_ref().ok_or(Error::ShuttingDown)?;
    reloads.try_send(done).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => Error::Overloaded,
        mpsc::error::TrySendError::Closed(_) => Error::ShuttingDown,
    })?;
    match outcome.await {
        Ok(Ok(())) => Ok(Response::empty(200)),
        Ok(Err(text)) => Err(Error::Reload(text)),
        Err(_) => Err(Error::ShuttingDown),
    }
}

impl Patience {
    /// How long a blocking query may take that waits for so long: servers add up to a sixteenth, so
    /// that not all come back at once.
    fn of(self, wait: Duration) -> Duration {
        wait + wait / 16 + self.hold_max
    }
}

/// Most reads end here, without crossing a thread.
async fn read(read: Read, api: &Api) -> Result<Response, Error> {
    let node = &api.node;
    let answer = serve::try_read(&node.view(), node.now(), &api.context, node.shelf(), &read);
    match answer {
        Answer::Now(response) => Ok(response),
        Answer::Later(seen) => node.call(Call::Read { read, seen }).await,
    }
}

/// The longest body that is not a key's value.
const BODY_LEN_MAX: u64 = 4 << 20;

/// How long to leave the listener alone after it failed.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
