//! Fetches failed resources again.

use super::{
    notice::{Notice, NoticeKind},
    page_failure::set_page_status,
    socket::use_socket,
};
use crate::protocol::failure::Failure;
use leptos::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

/// Refetches a failed resource once per reconnect, to spare the server.
pub fn refetch_on_reconnect<T>(resource: Resource<Result<T, Failure>>)
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let socket = use_socket();
    Effect::new(move |has_refetched: Option<bool>| {
        let failed = resource
            .map(|found| found.as_ref().is_err_and(is_transient))
            .unwrap_or(false);
        let online = socket.is_connected();
        if online && failed && has_refetched != Some(true) {
            resource.refetch();
        }
        online && failed
    });
}

/// A failure, with a retry button where that may help.
#[component]
pub fn FetchFailure<T>(failure: Failure, resource: Resource<Result<T, Failure>>) -> impl IntoView
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    set_page_status(&failure);
    let retry_button = is_transient(&failure).then(|| {
        view! {
            <button type="button" class="button small" on:click=move |_| resource.refetch()>
                "Try again"
            </button>
        }
    });
    view! {
        <Notice kind=NoticeKind::Error>
            <p>{failure.to_string()}</p>
            {retry_button}
        </Notice>
    }
}

fn is_transient(failure: &Failure) -> bool {
    match failure {
        Failure::Unavailable | Failure::Unreachable => true,
        Failure::NotSignedIn
        | Failure::NotAllowed { .. }
        | Failure::NotFound { .. }
        | Failure::Invalid { .. }
        | Failure::RateLimited { .. } => false,
    }
}
