//! Requests to the writer, and replies to their callers.

use super::batch::AppendOutcome;
use crate::{
    model::{RoomId, Seq, UserId, room::ReadCursor, story::Story},
    server::{
        error::{Error, Result},
        event_log::{NewMessage, NewStory},
        store::{PostedMessage, Stream},
    },
};
use tokio::sync::oneshot;

/// The caller that receives may have gone.
pub(in crate::server::event_log) type ReplySender<T> = oneshot::Sender<Result<T>>;

#[derive(Debug)]
pub(in crate::server::event_log) enum AppendRequest {
    Message(NewMessage, ReplySender<PostedMessage>),
    Story(NewStory, ReplySender<Story>),
    ReadCursor {
        room: RoomId,
        user: UserId,
        seq: Seq,
        reply: ReplySender<Option<ReadCursor>>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum LockKey {
    Stream(Stream),
    Cursor(RoomId, UserId),
}

impl AppendRequest {
    /// Sorts events first, then cursors in an order that all writers share, against deadlocks.
    pub(super) fn lock_key(&self) -> LockKey {
        match self {
            Self::Message(new, _) => LockKey::Stream(Stream::Room(new.room)),
            Self::Story(..) => LockKey::Stream(Stream::News),
            Self::ReadCursor { room, user, .. } => LockKey::Cursor(*room, *user),
        }
    }

    pub(super) fn stream(&self) -> Option<Stream> {
        match self.lock_key() {
            LockKey::Stream(stream) => Some(stream),
            LockKey::Cursor(..) => None,
        }
    }

    pub(super) fn without_caller(&self) -> Self {
        match self {
            Self::Message(new, _) => Self::Message(new.clone(), oneshot::channel().0),
            Self::Story(new, _) => Self::Story(new.clone(), oneshot::channel().0),
            Self::ReadCursor {
                room, user, seq, ..
            } => Self::ReadCursor {
                room: *room,
                user: *user,
                seq: *seq,
                reply: oneshot::channel().0,
            },
        }
    }

    pub(super) fn fail(self, error: Error) {
        match self {
            Self::Message(_, reply) => drop(reply.send(Err(error))),
            Self::Story(_, reply) => drop(reply.send(Err(error))),
            Self::ReadCursor { reply, .. } => drop(reply.send(Err(error))),
        }
    }

    pub(super) fn send_reply(self, outcome: AppendOutcome) {
        match (self, outcome) {
            (Self::Message(_, reply), AppendOutcome::Message(posted)) => {
                drop(reply.send(Ok(posted)));
            }
            (Self::Story(_, reply), AppendOutcome::Story(story)) => drop(reply.send(Ok(*story))),
            (Self::ReadCursor { reply, .. }, AppendOutcome::ReadCursor(cursor)) => {
                drop(reply.send(Ok(cursor)));
            }
            (entry, AppendOutcome::Rejected(failure)) => entry.fail(failure.into()),
            (
                entry,
                AppendOutcome::Message(_)
                | AppendOutcome::Story(_)
                | AppendOutcome::ReadCursor(_)
                | AppendOutcome::Locked,
            ) => {
                entry.fail(Error::Internal(
                    "the outcome does not match the request".to_owned(),
                ));
            }
        }
    }
}
