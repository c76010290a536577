//! Whether somebody is here, as a dot whose shape says it as well as its colour.

use crate::model::user::Presence;
use leptos::prelude::*;

/// The dot, with its meaning in words for a screen reader. It keeps its place when it is not shown.
#[component]
pub fn PresenceDot(
    /// Whose being here it shows.
    #[prop(into)]
    presence: Signal<Presence>,
) -> impl IntoView {
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

/// In words: `"here"`, `"away"`, `"not here"`.
#[must_use]
pub fn presence_label(presence: Presence) -> &'static str {
    match presence {
        Presence::Online => "here",
        Presence::Away => "away",
        Presence::Offline => "not here",
    }
}
