//! What of calls comes when it is needed ([`crate::ui::part`]): nearly all of it.

use super::{
    client::{CallsClient, board::Target},
    dock::{self, Dock},
};
use crate::{model::call::Media, protocol::ws::ServerFrame, ui::part::part};
use leptos::prelude::*;

/// What the rest of the program has of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calls {
    /// See [`CallsClient::begin`].
    pub begin: fn(CallsClient, Vec<ServerFrame>),
    /// See [`CallsClient::look`].
    pub look: fn(CallsClient, Target, Media),
    /// The dock.
    pub dock: fn() -> AnyView,
    /// What is read out of it.
    pub said: fn() -> Memo<String>,
}

part! {
    /// Calls.
    pub(super) static CALLS in calls: Calls = Calls {
        begin: CallsClient::begin,
        look: CallsClient::look,
        dock: || view! { <Dock /> }.into_any(),
        said: dock::said,
    };
}
