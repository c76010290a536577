//! The dock, or the loading state of its chunk.

use crate::{
    calls::client::lazy::{ChunkState, use_calls_loader},
    ui::{
        loading::LoadingIndicator,
        notice::{Notice, NoticeKind},
    },
};
use leptos::prelude::*;

/// The dock's place in the app.
#[component]
pub fn LazyCallDock() -> impl IntoView {
    let loader = use_calls_loader();
    let chunk = move || loader.chunk();
    // Live regions announce only later changes.
    view! {
        <div class="visually-hidden" role="status" aria-live="polite">
            {move || chunk().map(|chunk| (chunk.status_text)())}
        </div>
        {move || match chunk() {
            Some(chunk) => (chunk.render_dock)(),
            None => loader.should_show_loading().get().then(|| view! { <LoadingCard /> }).into_any(),
        }}
    }
}

/// For a call started before the chunk is loaded.
#[component]
fn LoadingCard() -> impl IntoView {
    let loader = use_calls_loader();
    let is_missing = Memo::new(move |_| loader.state().get() == ChunkState::Failed);
    let content = move || {
        if is_missing.get() {
            view! {
                <Notice kind=NoticeKind::Error>
                    "Calls could not be loaded, so you cannot make or receive calls on this page. Check your connection and try again, \
                     or reload the page."
                </Notice>
            }
            .into_any()
        } else {
            view! { <LoadingIndicator label="Loading calls…" /> }.into_any()
        }
    };
    view! {
        <div class="call-dock">
            <section class="call-card" aria-label="Call" tabindex="-1">
                {content}
                <div class="call-answers">
                    <button
                        type="button"
                        class="button primary"
                        hidden=move || !is_missing.get()
                        on:click=move |_| loader.retry()
                    >
                        "Try again"
                    </button>
                    <button type="button" class="button" on:click=move |_| loader.cancel_pending_call()>
                        {move || if is_missing.get() { "Close" } else { "Cancel" }}
                    </button>
                </div>
            </section>
        </div>
    }
}
