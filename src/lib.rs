//! Rialto: live news, chat and video calls for a community.
//!
//! Three systems, each on the transport that fits it, over one log:
//!
//! | module | what it is |
//! |---|---|
//! | [`model`] | the nouns and their rules, no I/O, both sides |
//! | [`protocol`] | what travels between server and browser, both sides |
//! | [`news`] | stories over server-sent events |
//! | [`chat`] | rooms and messages over a WebSocket |
//! | [`calls`] | WebRTC between browsers, signalled over the WebSocket |
//! | [`people`] | accounts, sessions, settings, presence |
//! | [`ui`] | components and hooks that know none of the systems |
//! | [`app`] | the document, the routes, what every page needs |
//! | `server` | the store, the log, live connections, sessions (feature `ssr`) |
//! | `serve` | puts the systems together and serves them (feature `ssr`) |
//!
//! Dependencies point one way: `app` and `serve` → systems → `ui`, `protocol`, `server` → `model`. The systems do not know
//! one another. `docs/architecture.md` follows one message from the key press to the screens of others.

#![recursion_limit = "256"]

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

/// Where the browser begins: makes the page that the server rendered live.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    ui::hydration::hydrate(app::pages::load_rendered_chunk(), app::App);
}
