//! The dock's place on a page: the dock, or what is shown before its code is here.

use crate::{
    calls::client::lazy::{ChunkState, use_calls_loader},
    ui::{
        loading::LoadingIndicator,
        notice::{Notice, NoticeKind},
    },
};
use leptos::prelude::*;

/// Where calls are shown. Placed once, by the app.
#[component]
pub fn LazyCallDock() -> impl IntoView {
    let loader = use_calls_loader();
    let chunk = move || loader.chunk();
    // What is put into it later is read out, so it is there from the beginning.
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

/// For somebody who wants to call before the code for it is here, and for whom it does not come.
#[component]
fn LoadingCard() -> impl IntoView {
    let loader = use_calls_loader();
    let is_missing = Memo::new(move |_| loader.state().get() == ChunkState::Failed);
    let what = move || {
        if is_missing.get() {
            view! {
                <Notice kind=NoticeKind::Error>
                    "What calls need could not be loaded: you cannot call now, nor be called on this page. Check your connection and try again; \
                     if that does not help, load the page anew."
                </Notice>
            }
            .into_any()
        } else {
            view! { <LoadingIndicator label="Getting ready to call…" /> }.into_any()
        }
    };
    view! {
        <div class="call-dock">
            <section class="call-card" aria-label="Call" tabindex="-1">
                {what}
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
