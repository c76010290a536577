//! Loading indicators. They appear after 300 ms; the delay is in the style sheet, so no timer is needed.

use leptos::prelude::*;

/// A delayed line that says what is loading, for the `fallback` of a `Suspense`.
#[component]
pub fn LoadingIndicator(
    /// What is loading, for example `"Loading the messages…"`.
    #[prop(into)]
    label: String,
) -> impl IntoView {
    view! {
        <div class="wait" role="status">
            <Spinner />
            <span>{label}</span>
        </div>
    }
}

/// A spinning ring, shown at once. The text beside it carries the meaning.
#[component]
pub fn Spinner() -> impl IntoView {
    view! { <span class="spinner" aria-hidden="true"></span> }
}
