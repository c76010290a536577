//! Presence as a dot that differs by shape as well as colour.

use crate::model::user::Presence;
use leptos::prelude::*;

/// The dot, with a text for screen readers; it always keeps its space.
#[component]
pub fn PresenceDot(#[prop(into)] presence: Signal<Presence>) -> impl IntoView {
    view! {
        <span class=move || class(presence.get())></span>
        <span class="visually-hidden">{move || presence_label(presence.get())}</span>
    }
}

fn class(presence: Presence) -> &'static str {
    match presence {
        Presence::Online => "presence-dot here",
        Presence::Away => "presence-dot away",
        Presence::Offline => "presence-dot gone",
    }
}

/// `"online"`, `"away"` or `"offline"`.
#[must_use]
pub fn presence_label(presence: Presence) -> &'static str {
    match presence {
        Presence::Online => "online",
        Presence::Away => "away",
        Presence::Offline => "offline",
    }
}
