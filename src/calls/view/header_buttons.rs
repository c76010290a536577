//! Buttons in the head of a call, of two or of many.

use super::dock_size::use_dock_expanded;
use crate::ui::icon::{Glyph, Icon};
use leptos::prelude::*;

/// Opens and closes something below the head. Hidden where the call is shown small.
#[component]
pub fn PanelButton(
    /// What it opens.
    label: &'static str,
    /// How it looks.
    glyph: Glyph,
    /// Whether that is open.
    open: RwSignal<bool>,
) -> impl IntoView {
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

/// Makes the call small, or large again.
#[component]
pub fn ResizeButton() -> impl IntoView {
    let is_expanded = use_dock_expanded();
    let label = move || {
        if is_expanded.get() {
            "Make the call small"
        } else {
            "Make the call large"
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
