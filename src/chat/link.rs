//! Whether the page is connected, in words.

use super::client::use_chat;
use crate::{
    protocol::close::CloseCode,
    ui::{
        browser,
        socket::{Link, use_socket},
    },
};
use leptos::prelude::*;

/// Says when messages cannot be sent, and that they will be.
#[component]
pub fn LinkState() -> impl IntoView {
    let socket = use_socket();
    let chat = use_chat();
    let text = move || match socket.link().get() {
        Link::Off | Link::Connecting | Link::Online => None,
        Link::Waiting if !chat.is_sending() => {
            Some("You are offline. Rialto reconnects by itself; you can go on writing.")
        }
        Link::Waiting => {
            Some("You are offline. Your messages are kept and will be sent when you are back.")
        }
        Link::Ended(code) if code == CloseCode::SignedOut.code() => {
            Some("You were signed out. Reload the page to sign in again.")
        }
        Link::Ended(_) => Some("This page is no longer connected. Reload it to go on."),
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
                                    when=move || socket.link().get() == Link::Waiting
                                    fallback=|| {
                                        view! {
                                            <button
                                                type="button"
                                                class="button small"
                                                on:click=|_| browser::reload()
                                            >
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
