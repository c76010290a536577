//! Failures shown in place of a page or a part of it. A full page load then has the failure's HTTP status.

use super::notice::{Notice, NoticeKind};
use crate::protocol::failure::Failure;
use leptos::{error::Errors, prelude::*};
use serde::{Serialize, de::DeserializeOwned};

/// Sets the HTTP status of the page being rendered. Provided by the server for each request.
#[derive(Debug, Clone, Copy)]
pub struct PageStatus(pub fn(&Failure));

/// Gives the page being rendered the HTTP status of a failure. No effect in the browser.
///
/// A route with `SsrMode::Async` sends its status after everything is rendered; a streaming route would be too late.
pub fn set_page_status(failure: &Failure) {
    if let Some(PageStatus(set)) = use_context() {
        set(failure);
    }
}

/// The first of several errors, for the `fallback` of an [`ErrorBoundary`] around what only the browser loads.
///
/// A page does not use one for its own data (Leptos 0.8): on the server an error thrown after an `.await` is lost when the
/// task moves to another thread (leptos-rs/leptos#1209), in the browser its type is lost, and an error from the server is
/// never cleared.
#[component]
pub fn ErrorNotice(errors: ArcRwSignal<Errors>) -> impl IntoView {
    let text = move || errors.with(|errors| Some(errors.iter().next()?.1.to_string()));
    view! { <Notice kind=NoticeKind::Error>{text}</Notice> }
}

/// A page that could not be loaded, with a button to load it again.
#[component]
pub fn UnavailablePage<T>(
    /// What could not be loaded: "This story could not be loaded".
    heading: &'static str,
    /// The failure to show.
    failure: Failure,
    /// The resource to fetch again.
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
