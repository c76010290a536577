//! The dock's place on a page: the dock, or what is shown before its code is here.

use super::{
    client::{arrival::Arrival, use_calls},
    part::CALLS,
};
use crate::ui::{
    notice::{Notice, NoticeKind},
    wait::Pending,
};
use leptos::prelude::*;

/// Where calls are shown. Placed once, by the app.
#[component]
pub fn CallDock() -> impl IntoView {
    let calls = use_calls();
    let arrival = calls.arrival();
    let here = move || CALLS.get().filter(|_| arrival.get() == Arrival::Here);
    // What is put into it later is read out, so it is there from the beginning.
    view! {
        <div class="visually-hidden" role="status" aria-live="polite">
            {move || here().map(|calls| (calls.said)())}
        </div>
        {move || match here() {
            Some(calls) => (calls.dock)(),
            None => calls.is_awaited().get().then(|| view! { <Coming /> }).into_any(),
        }}
    }
}

/// For somebody who wants to call before the code for it is here, and for whom it does not come.
#[component]
fn Coming() -> impl IntoView {
    let calls = use_calls();
    let is_missing = Memo::new(move |_| calls.arrival().get() == Arrival::Missing);
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
            view! { <Pending label="Getting ready to call…" /> }.into_any()
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
                        on:click=move |_| calls.fetch_again()
                    >
                        "Try again"
                    </button>
                    <button type="button" class="button" on:click=move |_| calls.give_up()>
                        {move || if is_missing.get() { "Close" } else { "Cancel" }}
                    </button>
                </div>
            </section>
        </div>
    }
}
