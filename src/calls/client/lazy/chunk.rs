//! What the lazily loaded chunk offers the rest of the program.

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
    pub open_preview: fn(CallsClient, CallTarget, Media),
    pub render_dock: fn() -> AnyView,
    /// The text for screen readers.
    pub status_text: fn() -> Memo<String>,
}
