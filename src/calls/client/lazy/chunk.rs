//! The functions of the lazily loaded chunk, as the rest of the program calls them.

use crate::{
    calls::client::{CallsClient, state::CallTarget},
    model::call::Media,
    protocol::ws::ServerFrame,
};
use leptos::prelude::*;

/// The functions of the chunk.
#[derive(Debug, Clone, Copy)]
pub struct CallsChunk {
    /// Activates the client with the buffered frames.
    pub start_client: fn(CallsClient, Vec<ServerFrame>),
    /// Opens the preview of a call that is about to start.
    pub open_preview: fn(CallsClient, CallTarget, Media),
    /// Renders the dock.
    pub render_dock: fn() -> AnyView,
    /// The text that screen readers announce.
    pub status_text: fn() -> Memo<String>,
}
