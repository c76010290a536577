//! Waits. What takes less than 300 ms shows nothing; what takes longer shows that it goes on. The delay is in the
//! style sheet, so that a page needs no timer for it.

use leptos::prelude::*;

/// A line that says what one is waiting for, after a moment of patience. For the `fallback` of a `Suspense`.
#[component]
pub fn LoadingIndicator(
    /// What is going on: `"Loading the messages…"`.
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

/// A ring that turns; it shows at once. What it stands for is said by the text beside it.
#[component]
pub fn Spinner() -> impl IntoView {
    view! { <span class="spinner" aria-hidden="true"></span> }
}
