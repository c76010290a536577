//! How calls make themselves noticed in this browser: what is asked once, and the choices in Settings.

use crate::{
    calls::client::ringer::{is_do_not_disturb, set_do_not_disturb, supports_notifications},
    ui::browser,
};
use leptos::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Notification, NotificationPermission};

/// Whether a hidden page may say that somebody calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum NotificationState {
    /// Not known yet, or the browser knows no notifications.
    #[default]
    Unknown,
    /// Nobody was asked.
    Unasked,
    Granted,
    Denied,
}

/// As the browser says it. Browser only.
fn notification_state() -> NotificationState {
    if !supports_notifications() {
        return NotificationState::Unknown;
    }
    match Notification::permission() {
        NotificationPermission::Granted => NotificationState::Granted,
        NotificationPermission::Denied => NotificationState::Denied,
        _ => NotificationState::Unasked,
    }
}

/// Asks for the browser's question, which only a person's press may open; `then` is told how things stand after it.
fn request_permission(then: impl FnOnce(NotificationState) + 'static) {
    spawn_local(async move {
        if let Ok(asked) = Notification::request_permission() {
            // Whatever was answered, the browser knows it.
            let _ = JsFuture::from(asked).await;
        }
        then(notification_state());
    });
}

/// Where the browser keeps that this was asked.
const ASKED_STORAGE_KEY: &str = "rialto_ring_asked";

/// Asks, once in a browser, whether a page that nobody looks at may say that somebody calls. Whoever never opens the settings would
/// otherwise have missed every call that came meanwhile.
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
                <p id="ring-question">"Hear of calls while you look at something else?"</p>
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

/// The choices.
#[component]
pub fn NotificationSettings() -> impl IntoView {
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
        set_do_not_disturb(checked);
        quiet.set(checked);
    };
    let on_ask = move |_| {
        request_permission(move |answer| {
            // The page may show something else by now.
            let _ = notifies.try_set(answer);
        });
    };
    view! {
        <section class="card stack" aria-labelledby="call-ringing">
            <h2 id="call-ringing">"When somebody calls"</h2>
            <label class="choice">
                <input type="checkbox" prop:checked=quiet disabled=move || !is_hydrated.get() on:change=change />
                <span>"Do not disturb: calls are shown, but neither sound nor notify in this browser"</span>
            </label>
            <div role="status">
                {move || match notifies.get() {
                    NotificationState::Unknown => ().into_any(),
                    NotificationState::Unasked => {
                        view! {
                            <button type="button" class="button" on:click=on_ask>
                                "Notify me when this page is hidden"
                            </button>
                        }
                            .into_any()
                    }
                    NotificationState::Granted => {
                        view! { <p class="quiet-text">"You are notified of calls when this page is hidden."</p> }.into_any()
                    }
                    NotificationState::Denied => {
                        view! {
                            <p class="quiet-text">
                                "The browser does not let this page notify you. Allow it in the site's settings beside the address."
                            </p>
                        }
                            .into_any()
                    }
                }}
            </div>
        </section>
    }
}
