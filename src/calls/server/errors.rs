//! Errors about calls, as frames to a client.

use crate::{
    model::CallId,
    protocol::ws::{ErrorCode, Refusal, ServerFrame},
    server::{Error, live::Connection},
};

pub(super) const UNAVAILABLE_REASON: &str =
    "The server is unavailable. The call did not change; try again.";
pub(super) const NO_SUCH_CALL_REASON: &str = "This call does not exist, or you are not part of it.";
pub(super) fn send_error(page: &Connection, call: CallId, code: ErrorCode, reason: &str) {
    page.send(&ServerFrame::Error(Refusal {
        call: Some(call),
        ..Refusal::new(code, reason)
    }));
}

pub(super) fn send_unavailable(page: &Connection, call: CallId, error: &Error) {
    tracing::error!(%call, %error, "a call could not be read or stored");
    send_error(page, call, ErrorCode::Unavailable, UNAVAILABLE_REASON);
}
