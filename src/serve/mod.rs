//! `rialto serve`: puts the systems together and serves them. The only server module that knows all of them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`router`] | every address, in one table |
//! | [`ws`] | the life of a WebSocket, from hello to close |
//! | [`socket`] | its messages in, its frames out |
//! | [`context`] | what pages and server functions find in their context |
//! | [`functions`] | what server functions answer, beyond what the library does |

mod context;
mod functions;
mod router;
mod socket;
mod ws;

pub use context::BuildId;

use crate::{
    calls::server::Calls,
    chat::server::Chat,
    news, people,
    protocol::close::CloseCode,
    server::{
        App, Error,
        accept::{self, Stopping},
        config::Config,
        secret,
    },
};
use leptos::config::{LeptosOptions, get_configuration};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration, time::Instant};
use tokio::{net::TcpListener, sync::Semaphore};

/// How many connections are welcomed at once. After a restart everybody comes back in the same second: who waits here keeps nobody
/// from a page, and there are enough of them that one query serves many.
const WELCOMES: usize = 64;
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
    start_logging();
    let started = Instant::now();
    let data = config.store.data.clone();
    let options = leptos_options()?;
    let app = App::new(config, build_id())
        .await
        .map_err(|why| format!("the store in {} cannot be opened: {why}", data.display()))?;
    let systems = prepare(&app)
        .await
        .map_err(|why| format!("the store in {}: {why}", data.display()))?;
    let listener = TcpListener::bind(app.config.listen).await.map_err(|why| {
        format!(
            "{} cannot be listened on: {why}. Is Rialto running already?",
            app.config.listen
        )
    })?;
    let address = listener.local_addr().map_err(|why| why.to_string())?;
    let control = write_control(&app, &data, address).await;
    println!(
        "store ready in {} ({} ms)",
        data.display(),
        started.elapsed().as_millis()
    );
    greet(&app, address).await.map_err(|why| why.to_string())?;

    let router = router::router(&systems, options);
    let stopping = Stopping::default();
    let alive = tokio::spawn(news::server::keep_alive(app.clone()));
    let watched = tokio::spawn(ws::watch(systems.clone()));
    tokio::select! {
        () = accept::serve(listener, router, stopping.clone()) => {}
        () = asked_to_stop() => stopping.asked.cancel(),
    }
    stopping.open.close();
    app.live.close_all(CloseCode::GoingAway);
    app.readers.close_all();
    // Who does not take the close frame in time is cut off, which says the same less politely.
    let _ = tokio::time::timeout(FAREWELL, stopping.open.wait()).await;
    alive.abort();
    watched.abort();
    if let Err(why) = control {
        tracing::warn!(%why, "publishing from the command line goes through the store");
    }
    app.store.close().await;
    Ok(())
}

async fn prepare(app: &Arc<App>) -> Result<Arc<Systems>, Error> {
    people::server::found(app).await?;
    let chat = Chat::new(app.clone());
    chat.clean().await?;
    let calls = Calls::new(app.clone());
    calls.restore().await?;
    Ok(Arc::new(Systems {
        app: app.clone(),
        chat,
        calls,
        welcomes: Semaphore::new(WELCOMES),
    }))
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

/// Lets the command line on this machine publish through this server: only who may read the data may read this.
async fn write_control(app: &App, data: &Path, address: SocketAddr) -> Result<(), Error> {
    use std::os::unix::fs::OpenOptionsExt;
    let control =
        serde_json::json!({ "address": format!("http://{address}"), "token": app.control });
    let path = data.join("control.json");
    let write = move || {
        let mut options = std::fs::OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        serde_json::to_writer(file, &control).map_err(std::io::Error::other)
    };
    Ok(tokio::task::spawn_blocking(write)
        .await
        .map_err(|lost| Error::Internal(lost.to_string()))??)
}

fn start_logging() {
    use tracing_subscriber::{EnvFilter, fmt};
    let filter = EnvFilter::try_from_env("RIALTO_LOG")
        .unwrap_or_else(|_| EnvFilter::new("rialto=info,warn"));
    // A second start in one process (tests) keeps the first.
    let _ = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}

/// Where the browser's files are: what cargo-leptos says, or what lies beside the program.
fn leptos_options() -> Result<LeptosOptions, String> {
    let mut options = get_configuration(None)
        .map_err(|why| why.to_string())?
        .leptos_options;
    if hash_file().is_some() {
        options.hash_files = true;
    }
    Ok(options)
}

/// What cargo-leptos wrote beside the program: the hashes in the names of the browser's files.
fn hash_file() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    std::fs::read_to_string(program.with_file_name("hash.txt")).ok()
}

/// Two builds that serve the same browser files are the same build to a page.
fn build_id() -> String {
    let files = hash_file().unwrap_or_default();
    let whole = secret::hash(&format!("{} {files}", env!("CARGO_PKG_VERSION")));
    whole.get(..12).unwrap_or_default().to_owned()
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
