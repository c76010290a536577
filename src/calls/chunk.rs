//! The lazily loaded chunk: nearly all of the client, and the dock.

use super::{
    client::{CallsClient, lazy::CallsChunk},
    view::{
        dock::{self, Dock},
        keyboard_shortcuts,
    },
};
use crate::ui::lazy::lazy_chunk;
use leptos::prelude::*;

lazy_chunk! {
    /// Functions of the chunk, passed by the app to
    /// [`CallsLoader::provide`](super::client::lazy::CallsLoader::provide).
    pub static CALLS_CHUNK in calls: CallsChunk = CallsChunk {
        start_client: |calls, frames| {
            calls.activate(frames);
            keyboard_shortcuts::listen_for_shortcuts(calls);
        },
        open_preview: CallsClient::open_preview,
        render_dock: || view! { <Dock /> }.into_any(),
        status_text: dock::status_text,
    };
}
