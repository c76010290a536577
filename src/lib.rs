//! Rialto: live news, chat and video calls for a community.
//!
//! Three systems over one event log, each on its own transport:
//!
//! * [`model`]: domain types and rules, without I/O; shared by server and browser
//! * [`protocol`]: messages between server and browser
//! * [`news`]: stories over server-sent events
//! * [`chat`]: rooms and messages over a WebSocket
//! * [`calls`]: WebRTC between browsers, signalled over the WebSocket
//! * [`people`]: accounts, sessions, settings, presence
//! * [`ui`]: components and hooks for all systems
//! * [`app`]: document, routes, contexts
//! * `server`: store, event log, live connections, sessions (feature `ssr`)
//! * `serve`: assembles the systems and serves them (feature `ssr`)
//! * `fuzzing`: gives arbitrary bytes to every parser of what clients send (tests and feature `fuzzing`)
//!
//! Dependencies point one way: `app` and `serve` → systems → `ui`, `protocol`, `server` → `model`, and never between systems.
//! `docs/architecture.md` follows a message through the code.

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
#[cfg(all(feature = "ssr", any(test, feature = "fuzzing")))]
pub mod fuzzing;
pub mod model;
pub mod news;
pub mod people;
pub mod protocol;
#[cfg(feature = "ssr")]
pub mod serve;
#[cfg(feature = "ssr")]
pub mod server;
pub mod ui;

/// Entry point in the browser: hydrates the page, and resolves once the router can follow links.
#[cfg(feature = "hydrate")]
pub async fn hydrate() {
    console_error_panic_hook::set_once();
    app::pages::load_rendered_chunk().await;
    ui::hydration::hydrate(app::App).await;
}

/// Entry point in the browser where hydration fails: builds the page anew, in place of the server's elements.
#[cfg(feature = "hydrate")]
pub async fn mount() {
    console_error_panic_hook::set_once();
    app::pages::load_rendered_chunk().await;
    ui::hydration::mount(app::App, app::ROOT_ELEMENTS).await;
}
