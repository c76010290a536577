//! `rialto serve`: puts the systems together and serves them. The only server module that knows all of them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`router`] | every address, in one table |
//! | [`ws`] | the life of a WebSocket, from hello to close |
//! | [`socket`] | its messages in, its frames out |
//! | [`observe`] | request ids, and metrics |
//! | [`nodes`] | other nodes: what they commit, their pages, and whether they live |
//! | [`doctor`] | what `rialto doctor` asks the running server |
//! | [`desk`] | which node holds the calls |
//! | [`assets`] | where the browser's files are |
//! | [`context`] | what pages and server functions find in their context |
//! | [`kept`] | pages that were rendered already |
//! | [`functions`] | what server functions answer, beyond what the library does |

mod assets;
mod context;
mod desk;
pub mod doctor;
mod functions;
mod kept;
mod nodes;
mod observe;
mod router;
mod socket;
mod ws;

pub use assets::Assets;

use crate::{
    calls::server::Calls,
    chat::server::Chat,
    news, people,
    protocol::close::CloseCode,
    server::{
        App, Error,
        accept::{self, Stopping},
        bus::Message,
        config::{Config, LogFormat},
        control,
        data_lock::{DataLock, Sharing},
        secret,
        turn::{self, Turn, address::Source, credentials::Secret},
    },
};
use leptos::config::{LeptosOptions, get_configuration};
use std::{
    io::IsTerminal,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How many connections are welcomed at once. After a restart everybody comes back in the same second: who waits here keeps nobody
/// from a page, and there are enough of them that one query serves many.
const WELCOMES: usize = 16;
/// How many pages, and how many readers, are sent to other nodes at once when this one stops,
const AT_ONCE: usize = 20;
/// and how long after them the next: two thousand of each a second.
const MOMENT: Duration = Duration::from_millis(10);
/// How long requests that are under way may take after the program was asked to stop.
const FAREWELL: Duration = Duration::from_secs(5);

/// The systems, put together.
#[derive(Debug)]
pub(crate) struct Systems {
    pub(crate) app: Arc<App>,
    pub(crate) chat: Chat,
    pub(crate) calls: Arc<Calls>,
    /// How many connections may be welcomed at once.
    pub(crate) welcomes: Semaphore,
}

/// Serves until the program is asked to stop.
///
/// Prints where it listens and, while nobody is an administrator, the one-time link that makes one.
///
/// # Errors
/// In words: when the store cannot be opened or the address cannot be listened on.
pub async fn run(config: Config) -> Result<(), String> {
    start_logging(config.log_format);
    let started = Instant::now();
    let place = config.store.place();
    let sharing = match config.bus {
        Some(_) => Sharing::Nodes,
        None => Sharing::Exclusive,
    };
    // Before anything in the folder is read or written, and until all of it is closed.
    let lock = DataLock::acquire(&config.store.data, sharing).map_err(|why| match why {
        Error::Setting(why) => why,
        why => format!(
            "the data folder {} cannot be used: {why}",
            config.store.data.display()
        ),
    })?;
    let hashes = assets::hashes();
    let options = leptos_options(hashes.is_some())?;
    let assets = Assets::new(&options, hashes.as_deref());
    let (app, inbox) =
        App::new(config, assets.build.to_string())
            .await
            .map_err(|why| match why {
                Error::Setting(why) => why,
                why => format!("the store in {place} cannot be opened: {why}"),
            })?;
    let systems = prepare(&app)
        .await
        .map_err(|why| format!("the store in {place}: {why}"))?;
    let listener = TcpListener::bind(app.config.listen).await.map_err(|why| {
        format!(
            "{} cannot be listened on: {why}. Is Rialto running already?",
            app.config.listen
        )
    })?;
    let address = listener.local_addr().map_err(|why| why.to_string())?;
    let metrics = match app.config.metrics_addr {
        Some(address) => Some(TcpListener::bind(address).await.map_err(|why| {
            format!("{address}, where metrics are to be read, cannot be listened on: {why}")
        })?),
        None => None,
    };
    let relay = start_relay(&app).await?;
    let control = control::write(&app.config.store.data, address, &app.control).await;
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
        introduce(relay);
    }
    greet(&app, address).await.map_err(|why| why.to_string())?;

    let router = router::router(&systems, options, assets);
    let stopping = Stopping::default();
    let alive = tokio::spawn(news::server::keep_alive(app.clone()));
    let watched = tokio::spawn(ws::watch(systems.clone()));
    let nodes = inbox.map(|inbox| tokio::spawn(nodes::run(systems.clone(), inbox)));
    let closing = CancellationToken::new();
    let desk = tokio::spawn(desk::run(systems.clone(), closing.clone()));
    let desk = AbortOnDropHandle::new(desk);
    let metrics = metrics.map(|metrics| tokio::spawn(observe::serve(metrics, systems.clone())));
    tokio::select! {
        () = accept::serve(listener, router, stopping.clone()) => {}
        () = asked_to_stop() => stopping.asked.cancel(),
    }
    stopping.open.close();
    let_go(&app).await;
    // Who does not take the close frame in time is cut off, which says the same less politely.
    let _ = tokio::time::timeout(FAREWELL, stopping.open.wait()).await;
    closing.cancel();
    // What was decided about calls is stored, unless the store is away.
    let _ = tokio::time::timeout(FAREWELL, desk).await;
    for task in [Some(alive), Some(watched), nodes, metrics]
        .into_iter()
        .flatten()
    {
        task.abort();
    }
    if let Some(bus) = &app.bus {
        bus.tell_all(Message::Stopped);
        // NATS may be away, and then the others notice that nothing is heard.
        let _ = tokio::time::timeout(FAREWELL, bus.flush()).await;
    }
    if let Err(why) = control {
        tracing::warn!(%why, "publishing from the command line goes through the store");
    }
    drop(relay);
    app.store.close().await;
    drop(lock);
    Ok(())
}

/// Ends every live connection. Where other nodes take them over, a few at a time, so that not everybody comes to them at once;
/// alone, at once, so that the program that is started again finds them sooner.
async fn let_go(app: &App) {
    let (mut pages, mut readers) = (app.live.here(), app.readers.all());
    let most = if app.bus.is_some() {
        AT_ONCE
    } else {
        usize::MAX
    };
    while !(pages.is_empty() && readers.is_empty()) {
        for page in pages.drain(..most.min(pages.len())) {
            page.end(CloseCode::GoingAway);
        }
        for reader in readers.drain(..most.min(readers.len())) {
            reader.end(CloseCode::GoingAway);
        }
        tokio::time::sleep(MOMENT).await;
    }
    // Whoever came in between.
    app.live.close_all(CloseCode::GoingAway);
    app.readers.close_all();
}

async fn prepare(app: &Arc<App>) -> Result<Arc<Systems>, Error> {
    people::server::found(app).await?;
    let chat = Chat::new(app.clone());
    chat.clean().await?;
    let calls = Calls::new(app.clone());
    if app.bus.is_none() {
        // Alone there is nobody else to hold the desk, and nobody connects before it is held.
        calls.take_over().await?;
    }
    Ok(Arc::new(Systems {
        app: app.clone(),
        chat,
        calls,
        welcomes: Semaphore::new(WELCOMES),
    }))
}

/// Under which name the store keeps the secret that credentials for the relay are made with.
const TURN_SECRET: &str = "turn_secret";

/// Starts the relay of calls, and settles what browsers are told of it.
async fn start_relay(app: &App) -> Result<Option<Turn>, String> {
    let secret = match &app.config.turn.turn_secret {
        Some(secret) => secret.clone(),
        None => app
            .store
            .find_or_create_setting(TURN_SECRET, secret::token)
            .await
            .map_err(|why| why.to_string())?,
    };
    let secret = Secret::new(&secret);
    let (ice, turn) = turn::start(&app.config, secret, app.metrics.clone()).await?;
    // It is started once.
    let _ = app.ice.set(ice);
    Ok(turn)
}

/// Says where browsers find the relay, and what there is to do if few will.
fn introduce(relay: &Turn) {
    for url in relay.urls.iter().filter(|url| url.contains("turn")) {
        println!("relay of calls on {url}");
    }
    for (address, source) in &relay.reachable.addresses {
        match source {
            Source::Set => {}
            Source::Interface => println!("  {address} is an address of this machine"),
            Source::Seen(by) => println!("  {address} is what {by} sees"),
            Source::Local if address.is_loopback() => {
                println!("  {address}: only this machine reaches it, as it does the pages");
            }
            Source::Local => println!(
                "  {address}: only the network of this machine reaches it. For calls with people elsewhere, set --turn-address"
            ),
        }
    }
}

/// Says where people find the site.
async fn greet(app: &App, address: SocketAddr) -> Result<(), Error> {
    println!("listening on http://{address}");
    let url = app
        .config
        .public_url
        .clone()
        .unwrap_or_else(|| format!("http://{address}"));
    if app.config.public_url.is_some() {
        println!("open {url}");
    }
    if let Some(path) = people::server::claim_path(app).await? {
        println!(
            "become the administrator, once: {}{path}",
            url.trim_end_matches('/')
        );
    }
    Ok(())
}

fn start_logging(format: LogFormat) {
    use tracing_subscriber::{EnvFilter, fmt};
    // Whoever asks for a relay is refused once, to learn what to sign (RFC 8489 section 9.2): no error, though that library calls it one.
    let filter = EnvFilter::try_from_env("RIALTO_LOG")
        .unwrap_or_else(|_| EnvFilter::new("rialto=info,stun_proto=off,warn"));
    let log = fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal() && wants_colours())
        .with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first.
    let _ = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}

/// Whether colours are wanted where they can be seen (no-color.org).
fn wants_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

/// Where the browser's files are: what cargo-leptos says, or what lies beside the program.
fn leptos_options(has_hashes: bool) -> Result<LeptosOptions, String> {
    let mut options = get_configuration(None)
        .map_err(|why| why.to_string())?
        .leptos_options;
    options.hash_files |= has_hashes;
    Ok(options)
}

/// SIGINT or SIGTERM.
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        // Without a handler for it, an interrupt ends the program anyway.
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
