//! Rialto: live news, chat and video calls for a community.
//!
//! Three systems over one event log, each on the transport that fits it:
//!
//! | module | contents |
//! |---|---|
//! | [`model`] | domain types and their rules, without I/O; shared by server and browser |
//! | [`protocol`] | messages between server and browser; shared by both |
//! | [`news`] | stories over server-sent events |
//! | [`chat`] | rooms and messages over a WebSocket |
//! | [`calls`] | WebRTC between browsers, signalled over the WebSocket |
//! | [`people`] | accounts, sessions, settings, presence |
//! | [`ui`] | components and hooks that depend on none of the systems |
//! | [`app`] | document, routes and app-wide contexts |
//! | `server` | store, event log, live connections, sessions (feature `ssr`) |
//! | `serve` | assembles the systems and serves them (feature `ssr`) |
//!
//! Dependencies point one way: `app` and `serve` → systems → `ui`, `protocol`, `server` → `model`. The systems do not
//! depend on one another. `docs/architecture.md` follows one message from the key press to other people's screens.

#![recursion_limit = "256"]

// Server and browser must agree on it: it changes the HTML (docs/decisions/0011-type-erased-views.md). rustdoc renders none.
#[cfg(not(any(erase_components, doc)))]
compile_error!(
    "`--cfg erase_components` is missing. .cargo/config.toml sets it, but the environment variable RUSTFLAGS replaces what is set there: \
     add `--cfg erase_components` to RUSTFLAGS, or move your own flags to a [target] table of ~/.cargo/config.toml"
);

pub mod app;
pub mod calls;
pub mod chat;
pub mod model;
pub mod news;
pub mod people;
pub mod protocol;
#[cfg(feature = "ssr")]
pub mod serve;
#[cfg(feature = "ssr")]
pub mod server;
pub mod ui;

/// Entry point in the browser: hydrates the server-rendered page. Its promise resolves once links can be followed by the router.
#[cfg(feature = "hydrate")]
pub async fn hydrate() {
    console_error_panic_hook::set_once();
    app::pages::load_rendered_chunk().await;
    ui::hydration::hydrate(app::App).await;
}
