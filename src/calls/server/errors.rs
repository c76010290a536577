//! Errors about calls, as frames to a client.

use crate::{
    model::CallId,
    protocol::ws::{ErrorCode, Refusal, ServerFrame},
    server::{Error, live::Connection},
};
use std::time::Duration;

pub(super) const UNAVAILABLE_REASON: &str =
    "The server is unavailable. The call did not change; try again.";
pub(super) const NO_SUCH_CALL_REASON: &str = "This call does not exist, or you are not part of it.";
/// Between the retries of a client.
const UNAVAILABLE_RETRY_INTERVAL: Duration = Duration::from_millis(1_500);

pub(super) fn send_error(page: &Connection, call: CallId, code: ErrorCode, reason: &str) {
    let refusal = Refusal::new(code, reason);
    send_refusal(
        page,
        call,
        match code {
            ErrorCode::Unavailable => refusal.with_retry_after(UNAVAILABLE_RETRY_INTERVAL),
            _ => refusal,
        },
    );
}

pub(super) fn send_rate_limited(page: &Connection, call: CallId, reason: &str, wait: Duration) {
    let refusal = Refusal::new(ErrorCode::RateLimited, reason).with_retry_after(wait);
    send_refusal(page, call, refusal);
}

fn send_refusal(page: &Connection, call: CallId, refusal: Refusal) {
    let subject = page.subject.as_deref();
    page.send(&ServerFrame::Error(Refusal {
        call: Some(call),
        room: subject.and_then(|subject| subject.room),
        reference: subject.and_then(|subject| subject.reference.clone()),
        ..refusal
    }));
}

pub(super) fn send_unavailable(page: &Connection, call: CallId, error: &Error) {
    tracing::error!(%call, %error, "a call could not be read or stored");
    send_error(page, call, ErrorCode::Unavailable, UNAVAILABLE_REASON);
}
