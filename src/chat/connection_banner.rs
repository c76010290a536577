//! The banner for a lost WebSocket connection.

use super::client::use_chat;
use crate::{
    protocol::close::CloseCode,
    ui::{
        browser,
        reconnect::ReconnectingClient,
        socket::{SocketStatus, use_socket},
    },
};
use leptos::prelude::*;

/// Says that the connection is lost, with a button.
#[component]
pub fn ConnectionBanner() -> impl IntoView {
    let socket = use_socket();
    let chat = use_chat();
    let text = move || match socket.status().get() {
        SocketStatus::Idle | SocketStatus::Connecting | SocketStatus::Connected => None,
        SocketStatus::Reconnecting if socket.is_refused_for_now() => {
            Some("Too many pages are open. Close some of them; this one then connects by itself.")
        }
        SocketStatus::Reconnecting if !chat.has_outbox_entries() => {
            Some("You are offline. Rialto reconnects automatically; you can keep writing.")
        }
        SocketStatus::Reconnecting => {
            Some("You are offline. Your messages are saved and will be sent when you reconnect.")
        }
        SocketStatus::Closed(code) if code == CloseCode::SignedOut.code() => {
            Some("You were signed out. Reload the page to sign in again.")
        }
        SocketStatus::Closed(code) if code == CloseCode::ForeignOrigin.code() => Some(
            "The server does not know this page's address. Ask its operator to look into the server's log, which says what to set.",
        ),
        SocketStatus::Closed(_) => Some("This page is no longer connected. Reload it to continue."),
    };
    view! {
        <div class="link-state" role="status">
            {move || {
                text()
                    .map(|text| {
                        let retry = move |_| socket.retry_now();
                        view! {
                            <p class="notice warn">
                                <span class="notice-body">{text}</span>
                                <Show
                                    when=move || socket.status().get() == SocketStatus::Reconnecting
                                    fallback=|| {
                                        view! {
                                            <button type="button" class="button small" on:click=|_| browser::reload()>
                                                "Reload"
                                            </button>
                                        }
                                    }
                                >
                                    <button type="button" class="button small" on:click=retry>
                                        "Try now"
                                    </button>
                                </Show>
                            </p>
                        }
                    })
            }}
        </div>
    }
}
