//! Panics of handlers: counted, and answered in words.

use super::refusals::refuse;
use crate::{protocol::failure::Failure, server::metrics::Metrics};
use axum::{body::Body, extract::Request, http::StatusCode, middleware::Next, response::Response};
use futures::FutureExt;
use std::{
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

/// Counts every panic of the process, before it is printed.
pub(super) fn count(metrics: Arc<Metrics>) {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        metrics.panics.inc();
        print(panic);
    }));
}

/// Answers 500 when a handler panics. Its connection goes on.
pub(super) async fn catch_panics(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let asked = Request::from_parts(parts.clone(), Body::empty());
    let handled = next.run(Request::from_parts(parts, body));
    let handled = AssertUnwindSafe(handled).catch_unwind().await;
    handled.unwrap_or_else(|_| {
        refuse(
            &asked,
            StatusCode::INTERNAL_SERVER_ERROR,
            Failure::Unavailable,
        )
    })
}
