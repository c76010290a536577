//! How calls make themselves noticed in this browser: what is asked once, and the choices in Settings.

use super::client::ring::{has_notifications, is_quiet, set_quiet};
use crate::ui::browser;
use leptos::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Notification, NotificationPermission};

/// Whether a hidden page may say that somebody calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Notifying {
    /// Not known yet, or the browser knows no notifications.
    #[default]
    Unknown,
    /// Nobody was asked.
    Unasked,
    Allowed,
    Refused,
}

/// As the browser says it. Browser only.
fn notifying() -> Notifying {
    if !has_notifications() {
        return Notifying::Unknown;
    }
    match Notification::permission() {
        NotificationPermission::Granted => Notifying::Allowed,
        NotificationPermission::Denied => Notifying::Refused,
        _ => Notifying::Unasked,
    }
}

/// Asks for the browser's question, which only a person's press may open; `then` is told how things stand after it.
fn ask(then: impl FnOnce(Notifying) + 'static) {
    spawn_local(async move {
        if let Ok(asked) = Notification::request_permission() {
            // Whatever was answered, the browser knows it.
            let _ = JsFuture::from(asked).await;
        }
        then(notifying());
    });
}

/// Where the browser keeps that this was asked.
const ASKED: &str = "rialto_ring_asked";

/// Asks, once in a browser, whether a page that nobody looks at may say that somebody calls. Whoever never opens the settings would
/// otherwise have missed every call that came meanwhile.
#[component]
pub fn RingQuestion() -> impl IntoView {
    let open = RwSignal::new(false);
    Effect::new(move || {
        open.set(notifying() == Notifying::Unasked && browser::local_get(ASKED).is_none());
    });
    let answered = move || {
        browser::local_set(ASKED, "yes");
        open.set(false);
    };
    let notify = move |_| {
        answered();
        ask(|_| ());
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
pub fn RingChoices() -> impl IntoView {
    let quiet = RwSignal::new(false);
    let notifies = RwSignal::new(Notifying::Unknown);
    let live = RwSignal::new(false);
    Effect::new(move || {
        quiet.set(is_quiet());
        notifies.set(notifying());
        live.set(true);
    });
    let change = move |event| {
        let checked = event_target_checked(&event);
        set_quiet(checked);
        quiet.set(checked);
    };
    let ask = move |_| {
        ask(move |answer| {
            // The page may show something else by now.
            let _ = notifies.try_set(answer);
        });
    };
    view! {
        <section class="card stack" aria-labelledby="call-ringing">
            <h2 id="call-ringing">"When somebody calls"</h2>
            <label class="choice">
                <input type="checkbox" prop:checked=quiet disabled=move || !live.get() on:change=change />
                <span>"Do not disturb: calls are shown, but neither sound nor notify in this browser"</span>
            </label>
            <div role="status">
                {move || match notifies.get() {
                    Notifying::Unknown => ().into_any(),
                    Notifying::Unasked => {
                        view! {
                            <button type="button" class="button" on:click=ask>
                                "Notify me when this page is hidden"
                            </button>
                        }
                            .into_any()
                    }
                    Notifying::Allowed => {
                        view! { <p class="quiet-text">"You are notified of calls when this page is hidden."</p> }.into_any()
                    }
                    Notifying::Refused => {
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
