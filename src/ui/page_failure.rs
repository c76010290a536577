//! Failures in place of a page or a part of it.

use super::notice::{Notice, NoticeKind};
use crate::protocol::failure::Failure;
use leptos::{error::Errors, prelude::*};
use serde::{Serialize, de::DeserializeOwned};

/// Sets the HTTP status, provided for each request.
#[derive(Debug, Clone, Copy)]
pub struct PageStatus(pub fn(&Failure));

/// Sets the rendered page's HTTP status. No effect in the browser.
///
/// Only `SsrMode::Async` sends the status after everything is rendered.
pub fn set_page_status(failure: &Failure) {
    if let Some(PageStatus(set)) = use_context() {
        set(failure);
    }
}

/// The first error, for an [`ErrorBoundary`] around what only the browser loads.
///
/// Not for a page's own data (Leptos 0.8): on the server an error thrown after an `.await` is lost on another thread
/// (leptos-rs/leptos#1209), in the browser its type is lost, and an error from the server is never cleared.
#[component]
pub fn ErrorNotice(errors: ArcRwSignal<Errors>) -> impl IntoView {
    let text = move || errors.with(|errors| Some(errors.iter().next()?.1.to_string()));
    view! { <Notice kind=NoticeKind::Error>{text}</Notice> }
}

/// A page that could not be loaded, with a retry button.
#[component]
pub fn UnavailablePage<T>(
    heading: &'static str,
    failure: Failure,
    resource: Resource<Result<T, Failure>>,
) -> impl IntoView
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    set_page_status(&failure);
    view! {
        <section class="empty">
            <h1>{heading}</h1>
            <p>{failure.to_string()}</p>
            <button type="button" class="button primary" on:click=move |_| resource.refetch()>
                "Try again"
            </button>
        </section>
    }
}
