//! What could not be had while the server was away: it is asked for again when the server is back, or when the reader says so.

use super::{
    notice::{Notice, NoticeKind},
    socket::use_socket,
};
use crate::protocol::failure::Failure;
use leptos::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

/// Asks again for what could not be had, once each time the connection is there. Whatever fails although it is there is left to
/// the reader: asking on would only add to the server's trouble.
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

/// Why something could not be had, and a button to ask again where that may help.
#[component]
pub fn FetchFailure<T>(
    /// Why.
    failure: Failure,
    /// What is asked for again.
    resource: Resource<Result<T, Failure>>,
) -> impl IntoView
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
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

/// Whether the same question may be answered later.
fn is_transient(failure: &Failure) -> bool {
    match failure {
        Failure::Unavailable | Failure::Unreachable => true,
        Failure::NotSignedIn
        | Failure::NotAllowed { .. }
        | Failure::NotFound { .. }
        | Failure::Invalid { .. }
        | Failure::RateLimited => false,
    }
}
