//! Loading indicators, shown after 300 ms by the style sheet.

use leptos::prelude::*;

/// What is loading, for a `Suspense`.
#[component]
pub fn LoadingIndicator(
    /// "Loading the messages…".
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

/// A ring, not announced.
#[component]
pub fn Spinner() -> impl IntoView {
    view! { <span class="spinner" aria-hidden="true"></span> }
}
