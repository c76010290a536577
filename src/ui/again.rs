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
pub fn ask_again_online<T>(asked: Resource<Result<T, Failure>>)
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let socket = use_socket();
    Effect::new(move |has_asked: Option<bool>| {
        let failed = asked
            .map(|found| found.as_ref().is_err_and(passes))
            .unwrap_or(false);
        let online = socket.is_online();
        if online && failed && has_asked != Some(true) {
            asked.refetch();
        }
        online && failed
    });
}

/// Why something could not be had, and a button to ask again where that may help.
#[component]
pub fn Failed<T>(
    /// Why.
    failure: Failure,
    /// What is asked for again.
    asked: Resource<Result<T, Failure>>,
) -> impl IntoView
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let again = passes(&failure).then(|| {
        view! {
            <button type="button" class="button small" on:click=move |_| asked.refetch()>
                "Try again"
            </button>
        }
    });
    view! {
        <Notice kind=NoticeKind::Error>
            <p>{failure.to_string()}</p>
            {again}
        </Notice>
    }
}

/// Whether the same question may be answered later.
fn passes(failure: &Failure) -> bool {
    match failure {
        Failure::Unavailable | Failure::Unreachable => true,
        Failure::NotSignedIn
        | Failure::NotAllowed { .. }
        | Failure::NotFound { .. }
        | Failure::Invalid { .. }
        | Failure::TooFast => false,
    }
}
