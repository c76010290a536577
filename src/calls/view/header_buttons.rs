//! Buttons in the header of a call.

use super::dock_size::use_dock_expanded;
use crate::ui::icon::{Glyph, Icon};
use leptos::prelude::*;

/// Toggles a panel; hidden while the call is minimized.
#[component]
pub fn PanelButton(label: &'static str, glyph: Glyph, open: RwSignal<bool>) -> impl IntoView {
    view! {
        <button
            type="button"
            class="icon-button call-panel-button"
            aria-label=label
            title=label
            aria-expanded=move || open.get().to_string()
            on:click=move |_| open.update(|open| *open = !*open)
        >
            <Icon name=glyph />
        </button>
    }
}

/// Minimizes or expands the call.
#[component]
pub fn ResizeButton() -> impl IntoView {
    let is_expanded = use_dock_expanded();
    let label = move || {
        if is_expanded.get() {
            "Minimise call"
        } else {
            "Expand call"
        }
    };
    view! {
        <button
            type="button"
            class="icon-button call-resize"
            aria-label=label
            on:click=move |_| is_expanded.update(|large| *large = !*large)
        >
            <Icon name=Glyph::Shrink />
            <Icon name=Glyph::Expand />
        </button>
    }
}
