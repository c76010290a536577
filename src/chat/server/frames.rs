//! Handlers of the WebSocket frames of chat.

use super::uploads::Uploads;
use crate::{
    model::{
        MessageId, RoomId, Seq,
        message::{Content, MessageText},
    },
    protocol::{
        failure::Failure,
        upload::{Chunk, ChunkError},
        ws::{ErrorCode, Refusal, RoomCursor, ServerFrame},
    },
    server::{
        AppState, Error, Result,
        event_log::{NewMessage, Replay},
        live::{Connection, EncodedEvent},
        store::Stream,
    },
};
use std::sync::Arc;

/// The chat service behind the WebSocket, one per process.
#[derive(Debug)]
pub struct ChatService {
    app: Arc<AppState>,
    uploads: Uploads,
}

#[derive(Debug)]
pub struct ResumeReply {
    pub reply: ServerFrame,
    /// The missed events, to send after the reply in this order.
    pub missed: Vec<EncodedEvent>,
    /// `None` unless all missed events are included.
    pub replayed_to: Option<(Stream, Seq)>,
}

impl ChatService {
    #[must_use]
    pub fn new(app: Arc<AppState>) -> Self {
        let uploads = Uploads::new(app.clone());
        Self { app, uploads }
    }

    /// Removes abandoned partial uploads.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read or a file not removed.
    pub async fn clean(&self) -> Result<()> {
        self.uploads.clean().await
    }

    /// Resumes a room. The caller subscribes the connection first: later events wait in its queue.
    pub async fn resume(&self, from: &Connection, at: &RoomCursor) -> ResumeReply {
        match self.replay(from, at).await {
            Ok(resumed) => resumed,
            Err(error) => ResumeReply {
                reply: error_frame(error, ErrorCode::NoSuchRoom),
                missed: Vec::new(),
                replayed_to: None,
            },
        }
    }

    async fn replay(&self, from: &Connection, at: &RoomCursor) -> Result<ResumeReply> {
        let room = at.room;
        self.check_member(from, room).await?;
        let stream = Stream::Room(room);
        let Replay {
            epoch,
            head,
            missed,
        } = self.app.event_log.replay(stream, &at.cursor).await?;
        Ok(ResumeReply {
            reply: ServerFrame::Resumed {
                room,
                recovered: missed.is_some(),
                epoch,
                head,
            },
            replayed_to: missed.is_some().then_some((stream, head)),
            missed: missed.unwrap_or_default(),
        })
    }

    /// Commits a text message. Replies with `sent` or `refused`.
    pub async fn send(
        &self,
        from: &Connection,
        id: MessageId,
        room: RoomId,
        text: MessageText,
    ) -> Vec<ServerFrame> {
        if !self.app.send_rate.allow(from.person.id) {
            return vec![rate_limited_frame(id)];
        }
        let commit = async {
            self.check_member(from, room).await?;
            let content = Content::Text { text };
            self.app
                .event_log
                .post_message(NewMessage {
                    id,
                    room,
                    author: from.person.clone(),
                    content,
                    media_type: None,
                })
                .await
        };
        match commit.await {
            Ok(posted) => vec![ServerFrame::Sent {
                id,
                room,
                seq: posted.seq,
                at: posted.at,
            }],
            Err(error) => vec![refused_frame(id, error)],
        }
    }

    /// Replies with the offset to start at, `sent` or `refused`.
    pub async fn announce_upload(
        &self,
        from: &Connection,
        id: MessageId,
        room: RoomId,
        name: &str,
        size: u64,
    ) -> Vec<ServerFrame> {
        let announced = async {
            self.check_member(from, room).await?;
            self.uploads
                .announce(&from.person, id, room, name, size)
                .await
        };
        vec![
            announced
                .await
                .unwrap_or_else(|error| refused_frame(id, error)),
        ]
    }

    /// Handles a binary frame: a chunk of an upload.
    pub async fn receive_chunk(&self, from: &Connection, frame: &[u8]) -> Vec<ServerFrame> {
        let chunk = match Chunk::decode(frame) {
            Ok(chunk) => chunk,
            Err(why) => {
                let code = match why {
                    ChunkError::Malformed => ErrorCode::Malformed,
                    ChunkError::TooLarge => ErrorCode::TooLarge,
                };
                return vec![ServerFrame::Error(Refusal::new(code, why.to_string()))];
            }
        };
        vec![
            self.uploads
                .receive(&from.person, chunk)
                .await
                .unwrap_or_else(|error| refused_frame(chunk.id, error)),
        ]
    }

    /// Removes an upload and its partial file.
    pub async fn cancel_upload(&self, from: &Connection, id: MessageId) {
        self.uploads.forget(from.person.id, id).await;
    }

    /// Moves a read cursor forward and sends it to all pages of that user.
    pub async fn mark_read(&self, from: &Connection, room: RoomId, seq: Seq) -> Vec<ServerFrame> {
        match self
            .app
            .event_log
            .update_read_cursor(room, from.person.id, seq)
            .await
        {
            Ok(Some((seq, unread))) => {
                self.app
                    .connections
                    .send_to_user(from.person.id, &ServerFrame::Read { room, seq, unread });
                Vec::new()
            }
            Ok(None) => vec![error_frame(
                Failure::not_found("That room").into(),
                ErrorCode::NoSuchRoom,
            )],
            Err(error) => vec![error_frame(error, ErrorCode::Unavailable)],
        }
    }

    /// Sends a typing indicator to the other members.
    pub async fn broadcast_typing(&self, from: &Connection, room: RoomId) -> Vec<ServerFrame> {
        if let Err(error) = self.check_member(from, room).await {
            return vec![error_frame(error, ErrorCode::NoSuchRoom)];
        }
        let frame = ServerFrame::Typing {
            room,
            person: from.person.clone(),
        };
        self.app
            .connections
            .send_to_room(room, frame, Some(from.person.id));
        Vec::new()
    }

    async fn check_member(&self, from: &Connection, room: RoomId) -> Result<()> {
        // Only members are subscribed; the store also knows memberships just created elsewhere.
        if self.app.connections.is_subscribed(from, room)
            || self.app.store.is_member(room, from.person.id).await?
        {
            Ok(())
        } else {
            Err(Failure::not_found("That room").into())
        }
    }
}

fn rate_limited_frame(id: MessageId) -> ServerFrame {
    let reason = "You are sending too fast. Wait a moment, then retry.";
    ServerFrame::Refused(Refusal {
        id: Some(id),
        ..Refusal::new(ErrorCode::RateLimited, reason)
    })
}

fn refused_frame(id: MessageId, error: Error) -> ServerFrame {
    ServerFrame::Refused(Refusal {
        id: Some(id),
        ..refusal(error, ErrorCode::NoSuchRoom)
    })
}

fn error_frame(error: Error, missing: ErrorCode) -> ServerFrame {
    ServerFrame::Error(refusal(error, missing))
}

/// `missing` is the code for an object that does not exist or is not visible.
fn refusal(error: Error, missing: ErrorCode) -> Refusal {
    let failure = error.into_failure();
    Refusal::new(code_of(&failure, missing), failure.to_string())
}

fn code_of(failure: &Failure, missing: ErrorCode) -> ErrorCode {
    match failure {
        Failure::NotSignedIn | Failure::NotAllowed { .. } | Failure::NotFound { .. } => missing,
        Failure::Invalid { .. } => ErrorCode::Invalid,
        Failure::RateLimited => ErrorCode::RateLimited,
        Failure::Unavailable | Failure::Unreachable => ErrorCode::Unavailable,
    }
}
