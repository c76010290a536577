//! `rialto serve`: builds and serves all systems. No other server module depends on all of them.

mod call_leader;
mod context;
pub mod doctor;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod nodes;
mod open_files;
mod page_cache;
mod page_task;
mod panics;
mod plain_forms;
mod refusals;
mod request_bodies;
mod request_limits;
mod router;
mod server_functions;
mod session_checks;
#[cfg(test)]
mod simulation;
mod telemetry;
mod websocket;
mod ws;

use crate::{
    calls::server::CallRegistry,
    chat::server::ChatService,
    news::{self, server::NewsService},
    people,
    protocol::close::CloseCode,
    server::{
        AppState, Error,
        assets::{self, Assets},
        backup::periodic,
        bus::{Inbox, Message},
        config::{Config, LogFormat},
        control,
        data_lock::{DataLock, Sharing},
        http_server::{self, Shutdown},
        random,
        rate_limit::{Amount, Bound},
        store::Term,
        store_mark,
        turn::{self, TurnRelay, address::AddressSource, credentials::TurnSecret},
    },
};
use leptos::config::get_configuration;
use std::{
    io::{self, IsTerminal},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpListener,
    sync::{Notify, Semaphore},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// Few enough to keep pages responsive while all clients reconnect.
const MAX_CONCURRENT_WELCOMES: usize = 16;
/// Per kind (WebSocket, SSE), on a node with others.
const SHUTDOWN_BATCH_SIZE: usize = 20;
const SHUTDOWN_BATCH_INTERVAL: Duration = Duration::from_millis(10);
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
const LAST_MARK_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Systems {
    pub(crate) app: Arc<AppState>,
    pub(crate) news: Arc<NewsService>,
    pub(crate) chat: ChatService,
    pub(crate) calls: Arc<CallRegistry>,
    pub(crate) welcome_permits: Semaphore,
    /// Notified when sessions may have changed.
    pub(crate) session_check: Notify,
}

/// Serves until SIGINT or SIGTERM. Prints its addresses and, without an administrator, a one-time link to become one.
///
/// # Errors
/// A message for the user, if the store cannot be opened or an address bound.
pub async fn run(mut config: Config) -> Result<(), String> {
    start_logging(config.log_format)?;
    let open_files = open_files::raise_limit();
    let connections = open_files::max_connections(open_files, &config.turn);
    let connections = Amount::AtOnce(connections);
    config
        .limits
        .set_default(Bound::AllConnections, connections);
    let started = Instant::now();
    let place = config.store.location();
    let sharing = match config.bus {
        Some(_) => Sharing::Nodes,
        None => Sharing::Exclusive,
    };
    // Held until everything in the folder is closed.
    let lock = DataLock::acquire(&config.store.data, sharing).map_err(|why| match why {
        Error::InvalidSetting(why) => why,
        why => format!(
            "the data folder {} cannot be used: {why}",
            config.store.data.display()
        ),
    })?;
    let options = get_configuration(None)
        .map_err(|why| why.to_string())?
        .leptos_options;
    let assets = Assets::read(&options, assets::is_watched());
    let (app, inbox) = AppState::new(config, assets.build.to_string())
        .await
        .map_err(|why| match why {
            Error::InvalidSetting(why) => why,
            why => format!("the store in {place} cannot be opened: {why}"),
        })?;
    panics::count(app.metrics.clone());
    let systems = build_systems(&app)
        .await
        .map_err(|why| format!("the store in {place} cannot be used: {why}"))?;
    let listener = TcpListener::bind(app.config.listen_address())
        .await
        .map_err(|why| listen_error(app.config.listen_address(), "--listen", &why))?;
    let address = listener.local_addr().map_err(|why| why.to_string())?;
    let metrics = match app.config.metrics_addr {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .map_err(|why| listen_error(address, "--metrics-addr", &why))?,
        ),
        None => None,
    };
    let relay = start_relay(&app).await?;
    write_control_file(&app, address).await;
    println!(
        "store ready in {place} ({} ms)",
        started.elapsed().as_millis()
    );
    if let Some(address) = metrics
        .as_ref()
        .and_then(|metrics| metrics.local_addr().ok())
    {
        println!("metrics on http://{address}/metrics");
    }
    if let Some(relay) = &relay {
        print_relay_urls(relay);
    }
    print_site_urls(&app, address)
        .await
        .map_err(|why| why.to_string())?;

    let router = router::router(&systems, options, assets);
    let stopping = Shutdown::default();
    let mut background = spawn_background_tasks(&systems, inbox);
    if let Some(metrics) = metrics {
        background.spawn(telemetry::serve_metrics(metrics, systems.clone()));
    }
    let calls_shutdown = CancellationToken::new();
    let call_leader = AbortOnDropHandle::new(tokio::spawn(call_leader::run(
        systems.clone(),
        calls_shutdown.clone(),
    )));
    tokio::select! {
        () = http_server::serve(listener, router, app.connection_limits(), stopping.clone()) => {}
        () = shutdown_signal() => stopping.token.cancel(),
    }
    stopping.connections.close();
    close_live_connections(&app).await;
    // Cuts off clients that do not read the close frame.
    let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, stopping.connections.wait()).await;
    calls_shutdown.cancel();
    // Stores decisions about calls.
    let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, call_leader).await;
    background.abort_all();
    if let Some(bus) = &app.bus {
        bus.broadcast(Message::Stopped);
        // Without NATS, the other nodes notice the missing heartbeats.
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, bus.flush()).await;
    }
    drop(relay);
    close_store(&app).await;
    drop(lock);
    Ok(())
}

fn spawn_background_tasks(systems: &Arc<Systems>, inbox: Option<Inbox>) -> JoinSet<()> {
    let app = &systems.app;
    let mut tasks = JoinSet::new();
    tasks.spawn(news::server::run_heartbeats(app.clone()));
    tasks.spawn(ws::run_timers(systems.clone()));
    tasks.spawn(session_checks::run(systems.clone()));
    tasks.spawn(store_mark::run(app.clone()));
    tasks.spawn(periodic::run(app.clone()));
    let sweeping = systems.clone();
    tasks.spawn(async move { sweeping.chat.run_sweeps().await });
    if let Some(inbox) = inbox {
        tasks.spawn(nodes::run(systems.clone(), inbox));
    }
    tasks
}

async fn close_store(app: &AppState) {
    let mut marked = None;
    let mark = store_mark::update(&app.store, &app.config.store.data, &mut marked);
    // The store may not answer, and an older mark does no harm.
    let _ = tokio::time::timeout(LAST_MARK_TIMEOUT, mark).await;
    app.store.close().await;
}

async fn write_control_file(app: &AppState, address: SocketAddr) {
    if let Err(why) = control::write(&app.config.store.data, address, &app.control_token).await {
        tracing::warn!(%why, "control.json could not be written; the command line publishes directly to the store");
    }
}

/// In small batches where other nodes take over, else at once.
async fn close_live_connections(app: &AppState) {
    let (mut clients, mut readers) = (
        app.connections.local_connections(),
        app.news_subscribers.send_queues(),
    );
    let most = if app.bus.is_some() {
        SHUTDOWN_BATCH_SIZE
    } else {
        usize::MAX
    };
    while !(clients.is_empty() && readers.is_empty()) {
        for client in clients.drain(..most.min(clients.len())) {
            client.close(CloseCode::GoingAway);
        }
        for reader in readers.drain(..most.min(readers.len())) {
            reader.close(CloseCode::GoingAway);
        }
        tokio::time::sleep(SHUTDOWN_BATCH_INTERVAL).await;
    }
    // Opened meanwhile.
    app.connections.close_all(CloseCode::GoingAway);
    app.news_subscribers.close_all();
}

async fn build_systems(app: &Arc<AppState>) -> Result<Arc<Systems>, Error> {
    let systems = Systems::new(app).await?;
    systems.chat.clean().await?;
    Ok(systems)
}

impl Systems {
    async fn new(app: &Arc<AppState>) -> Result<Arc<Self>, Error> {
        people::server::seed_store(app).await?;
        let calls = CallRegistry::new(app.clone());
        if app.bus.is_none() {
            // A single node always leads, from before clients connect.
            calls.become_leader(Term::Sole).await?;
        }
        Ok(Arc::new(Self {
            app: app.clone(),
            news: NewsService::new(app.clone()),
            chat: ChatService::new(app.clone()),
            calls,
            welcome_permits: Semaphore::new(MAX_CONCURRENT_WELCOMES),
            session_check: Notify::new(),
        }))
    }
}

const TURN_SECRET_SETTING: &str = "turn_secret";

async fn start_relay(app: &AppState) -> Result<Option<TurnRelay>, String> {
    let secret = match &app.config.turn.turn_secret {
        Some(secret) => secret.clone(),
        None => app
            .store
            .find_or_create_setting(TURN_SECRET_SETTING, random::new_token)
            .await
            .map_err(|why| why.to_string())?,
    };
    let secret = TurnSecret::new(&secret);
    let (store, limits, metrics) = (app.store.clone(), app.limits.clone(), app.metrics.clone());
    let (ice, turn) = turn::start(&app.config, secret, store, limits, metrics).await?;
    // Set only here, once.
    let _ = app.ice.set(ice);
    Ok(turn)
}

fn print_relay_urls(relay: &TurnRelay) {
    for url in relay.urls.iter().filter(|url| url.contains("turn")) {
        println!("TURN relay on {url}");
    }
    for (address, source) in &relay.reachable.addresses {
        match source {
            AddressSource::Configured => {}
            AddressSource::Interface => println!("  {address} is an address of this machine"),
            AddressSource::StunServer(by) => println!("  {address} is reported by {by}"),
            AddressSource::LocalOnly if address.is_loopback() => {
                println!("  {address} is reachable only from this machine, like the pages");
            }
            AddressSource::LocalOnly => println!(
                "  {address} is reachable only from the local network. For calls over the internet, set --turn-address"
            ),
        }
    }
}

async fn print_site_urls(app: &AppState, address: SocketAddr) -> Result<(), Error> {
    let (_, connections) = app.limits.usage(Bound::AllConnections);
    println!("at most {connections} connections at a time, by the limit of open files");
    println!("listening on http://{address}");
    let url = app
        .config
        .public_url
        .clone()
        .unwrap_or_else(|| format!("http://{address}"));
    if app.config.public_url.is_some() {
        println!("open {url}");
    }
    if let Some(path) = people::server::create_admin_claim_path(app).await? {
        println!(
            "one-time link to become administrator: {}{path}",
            url.trim_end_matches('/')
        );
    }
    Ok(())
}

fn listen_error(at: SocketAddr, setting: &str, why: &io::Error) -> String {
    let advice = match why.kind() {
        io::ErrorKind::AddrInUse => {
            "Another program uses this port: perhaps Rialto is already running".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => format!(
            "No network interface of this machine has that address. Use 0.0.0.0:{} for all of them",
            at.port()
        ),
        io::ErrorKind::PermissionDenied => {
            "Ports below 1024 need a permission (CAP_NET_BIND_SERVICE). Use a higher one".to_owned()
        }
        _ => "Use another address".to_owned(),
    };
    format!("cannot listen on {at}: {why}. {advice} ({setting})")
}

/// The error names the part of `RIALTO_LOG` that is no filter.
fn start_logging(format: LogFormat) -> Result<(), String> {
    use tracing_subscriber::{EnvFilter, fmt};
    // stun_proto logs that every TURN client is first rejected, to get realm and nonce (RFC 8489 section 9.2).
    let filter = match std::env::var("RIALTO_LOG") {
        Ok(filter) if !filter.trim().is_empty() => EnvFilter::try_new(&filter).map_err(|why| {
            format!("RIALTO_LOG is {filter:?}, which is no filter: {why}. Use a form like rialto=debug,warn")
        })?,
        Ok(_) | Err(_) => EnvFilter::new("rialto=info,stun_proto=off,warn"),
    };
    let log = fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal() && wants_colours())
        .with_writer(std::io::stderr);
    // Tests start more than once in a process.
    let _ = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// See no-color.org.
fn wants_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

async fn shutdown_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        // Without a handler, SIGINT ends the process anyway.
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
