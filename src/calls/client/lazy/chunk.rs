//! What the rest of the program has of the lazily loaded code.

use crate::{
    calls::client::{CallsClient, state::CallTarget},
    model::call::Media,
    protocol::ws::ServerFrame,
};
use leptos::prelude::*;

/// Functions of the lazily loaded code.
#[derive(Debug, Clone, Copy)]
pub struct CallsChunk {
    /// Starts the client with the frames that arrived before it.
    pub start_client: fn(CallsClient, Vec<ServerFrame>),
    /// Opens the preview of a call that is about to start.
    pub open_preview: fn(CallsClient, CallTarget, Media),
    /// Renders the dock.
    pub render_dock: fn() -> AnyView,
    /// The text that screen readers announce.
    pub status_text: fn() -> Memo<String>,
}
