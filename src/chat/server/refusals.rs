//! Refusals of chat frames.

use crate::{
    model::{MessageId, RoomId, backoff},
    protocol::{
        failure::Failure,
        upload::ChunkError,
        ws::{ErrorCode, Refusal, ServerFrame},
    },
    server::{Error, random},
};
use std::time::Duration;

pub(super) fn refused_frame(id: MessageId, refusal: Refusal) -> ServerFrame {
    ServerFrame::Refused(Refusal {
        id: Some(id),
        ..refusal
    })
}

pub(super) fn rate_limit_refusal(wait: Duration, room: RoomId) -> Refusal {
    let reason = "You are sending too fast. Wait a moment, then retry.";
    Refusal {
        room: Some(room),
        ..Refusal::new(ErrorCode::RateLimited, reason).with_retry_after(wait)
    }
}

pub(super) fn chunk_refusal(why: ChunkError) -> ServerFrame {
    let (code, id) = match why {
        ChunkError::Malformed => (ErrorCode::Malformed, None),
        ChunkError::TooLarge(id) => (ErrorCode::TooLarge, Some(id)),
    };
    ServerFrame::Error(Refusal {
        id,
        ..Refusal::new(code, why.to_string())
    })
}

pub(super) fn refusal_in(room: RoomId, error: Error) -> Refusal {
    let failure = error.into_failure();
    Refusal {
        room: Some(room),
        ..Refusal::new(code_of(&failure), failure.to_string())
    }
}

/// An unstored message may be sent again after a backoff with jitter.
pub(super) fn with_backoff(refusal: Refusal, refusals: u32) -> Refusal {
    match refusal.code {
        ErrorCode::Unavailable => {
            let delay_ms = backoff::retry_delay(refusals, random::fraction());
            refusal.with_retry_after(Duration::from_millis(delay_ms.into()))
        }
        _ => refusal,
    }
}

fn code_of(failure: &Failure) -> ErrorCode {
    match failure {
        Failure::NotSignedIn | Failure::NotAllowed { .. } | Failure::NotFound { .. } => {
            ErrorCode::NoSuchRoom
        }
        Failure::Invalid { .. } => ErrorCode::Invalid,
        Failure::RateLimited { .. } => ErrorCode::RateLimited,
        Failure::Unavailable | Failure::Unreachable => ErrorCode::Unavailable,
    }
}
