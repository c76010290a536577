//! Sound and notifications of incoming calls.

use crate::{
    calls::client::{ringer::is_do_not_disturb, use_calls},
    ui::{browser, browser_apis},
};
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::NotificationPermission;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum NotificationState {
    /// Or unsupported.
    #[default]
    Unknown,
    Unasked,
    Granted,
    Denied,
}

fn notification_state() -> NotificationState {
    match browser_apis::notification_permission() {
        None => NotificationState::Unknown,
        Some(NotificationPermission::Granted) => NotificationState::Granted,
        Some(NotificationPermission::Denied) => NotificationState::Denied,
        Some(_) => NotificationState::Unasked,
    }
}

/// Requires a user gesture.
fn request_permission(then: impl FnOnce(NotificationState) + 'static) {
    spawn_local(async move {
        browser_apis::request_notification_permission().await;
        then(notification_state());
    });
}

const ASKED_STORAGE_KEY: &str = "rialto_ring_asked";

/// Asks once per browser: people who never open Settings would miss calls while the page is hidden.
#[component]
pub fn NotificationPrompt() -> impl IntoView {
    let open = RwSignal::new(false);
    Effect::new(move || {
        open.set(
            notification_state() == NotificationState::Unasked
                && browser::local_storage_get(ASKED_STORAGE_KEY).is_none(),
        );
    });
    let answered = move || {
        browser::local_storage_set(ASKED_STORAGE_KEY, "yes");
        open.set(false);
    };
    let notify = move |_| {
        answered();
        request_permission(|_| ());
    };
    view! {
        <Show when=move || open.get()>
            <section class="ring-question" aria-labelledby="ring-question">
                <p id="ring-question">"Get notified of calls while this tab is in the background?"</p>
                <div class="toolbar">
                    <button type="button" class="button small primary" on:click=notify>
                        "Notify me"
                    </button>
                    <button type="button" class="button small" on:click=move |_| answered()>
                        "No, thanks"
                    </button>
                </div>
            </section>
        </Show>
    }
}

/// The settings of incoming calls.
#[component]
pub fn NotificationSettings() -> impl IntoView {
    let ringer = use_calls().ringer();
    let quiet = RwSignal::new(false);
    let notifies = RwSignal::new(NotificationState::Unknown);
    let is_hydrated = RwSignal::new(false);
    Effect::new(move || {
        quiet.set(is_do_not_disturb());
        notifies.set(notification_state());
        is_hydrated.set(true);
    });
    let change = move |event| {
        let checked = event_target_checked(&event);
        ringer.set_do_not_disturb(checked);
        quiet.set(checked);
    };
    let on_ask = move |_| {
        request_permission(move |answer| {
            let _ = notifies.try_set(answer);
        });
    };
    view! {
        <section class="card stack" aria-labelledby="call-ringing">
            <h2 id="call-ringing">"Incoming calls"</h2>
            <label class="choice">
                <input type="checkbox" prop:checked=quiet disabled=move || !is_hydrated.get() on:change=change />
                <span>"Do not disturb: show calls in this browser without sound or notifications"</span>
            </label>
            <div role="status">
                {move || match notifies.get() {
                    NotificationState::Unknown => ().into_any(),
                    NotificationState::Unasked => {
                        view! {
                            <button type="button" class="button" on:click=on_ask>
                                "Notify me when this tab is in the background"
                            </button>
                        }
                            .into_any()
                    }
                    NotificationState::Granted => {
                        view! {
                            <p class="quiet-text">"You get notified of calls when this tab is in the background."</p>
                        }
                            .into_any()
                    }
                    NotificationState::Denied => {
                        view! {
                            <p class="quiet-text">
                                "Your browser blocks notifications from this site. Allow them in the site settings next to the address."
                            </p>
                        }
                            .into_any()
                    }
                }}
            </div>
        </section>
    }
}
