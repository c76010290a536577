//! What of calls comes when it is needed ([`crate::ui::lazy`]): nearly all of it.

use super::{
    client::{CallsClient, state::CallTarget},
    dock::{self, Dock},
};
use crate::{model::call::Media, protocol::ws::ServerFrame, ui::lazy::lazy_chunk};
use leptos::prelude::*;

/// What the rest of the program has of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallsChunk {
    /// See [`CallsClient::begin`].
    pub start_client: fn(CallsClient, Vec<ServerFrame>),
    /// See [`CallsClient::look`].
    pub open_preview: fn(CallsClient, CallTarget, Media),
    /// The dock.
    pub render_dock: fn() -> AnyView,
    /// What is read out of it.
    pub status_text: fn() -> Memo<String>,
}

lazy_chunk! {
    /// Calls.
    pub(super) static CALLS_CHUNK in calls: CallsChunk = CallsChunk {
        start_client: CallsClient::activate,
        open_preview: CallsClient::open_preview,
        render_dock: || view! { <Dock /> }.into_any(),
        status_text: dock::status_text,
    };
}
