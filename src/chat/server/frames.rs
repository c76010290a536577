//! Frames about chat: what each asks for, and what it is answered.

use super::uploads::Uploads;
use crate::{
    model::{
        MessageId, RoomId, Seq,
        message::{Content, MessageText},
    },
    protocol::{
        failure::Failure,
        upload::{Chunk, ChunkError},
        ws::{ErrorCode, RoomCursor, ServerFrame},
    },
    server::{
        AppState, Error, Result,
        event_log::{NewMessage, Replay},
        live::{Connection, EncodedEvent},
        store::Stream,
    },
};
use std::sync::Arc;

/// The service behind the frames. One for the whole program.
#[derive(Debug)]
pub struct ChatService {
    app: Arc<AppState>,
    uploads: Uploads,
}

/// What a resume is answered.
#[derive(Debug)]
pub struct ResumeReply {
    /// Said first.
    pub reply: ServerFrame,
    /// Said then, in this order.
    pub missed: Vec<EncodedEvent>,
    /// Up to where the stream is said with it, if all that was missed is.
    pub replayed_to: Option<(Stream, Seq)>,
}

impl ChatService {
    /// A service over the shared state.
    #[must_use]
    pub fn new(app: Arc<AppState>) -> Self {
        let uploads = Uploads::new(app.clone());
        Self { app, uploads }
    }

    /// Forgets what was left of uploads that nobody goes on with.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn clean(&self) -> Result<()> {
        self.uploads.clean().await
    }

    /// Goes on in a room from a cursor. The caller has made the connection hear the room before, so what comes after the replay
    /// waits in its queue.
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

    /// A message.
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
        let done = async {
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
        match done.await {
            Ok(posted) => vec![ServerFrame::Sent {
                id,
                room,
                seq: posted.seq,
                at: posted.at,
            }],
            Err(error) => vec![refused_frame(id, error)],
        }
    }

    /// A file is announced.
    pub async fn announce_upload(
        &self,
        from: &Connection,
        id: MessageId,
        room: RoomId,
        name: &str,
        size: u64,
    ) -> Vec<ServerFrame> {
        let done = async {
            self.check_member(from, room).await?;
            self.uploads
                .announce(&from.person, id, room, name, size)
                .await
        };
        vec![done.await.unwrap_or_else(|error| refused_frame(id, error))]
    }

    /// A chunk of a file.
    pub async fn receive_chunk(&self, from: &Connection, frame: &[u8]) -> Vec<ServerFrame> {
        let chunk = match Chunk::decode(frame) {
            Ok(chunk) => chunk,
            Err(why) => {
                let code = match why {
                    ChunkError::Malformed => ErrorCode::Malformed,
                    ChunkError::TooLarge => ErrorCode::TooLarge,
                };
                return vec![ServerFrame::Error {
                    code,
                    reason: why.to_string(),
                    call: None,
                }];
            }
        };
        vec![
            self.uploads
                .receive(&from.person, chunk)
                .await
                .unwrap_or_else(|error| refused_frame(chunk.id, error)),
        ]
    }

    /// The user gave up on an upload.
    pub async fn cancel_upload(&self, from: &Connection, id: MessageId) {
        self.uploads.forget(from.person.id, id).await;
    }

    /// A member has read up to here; their other pages are told.
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

    /// Somebody types; the others in the room are told.
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
        // What it hears it is a member of; the store knows of rooms joined a moment ago, somewhere else.
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
    let reason = "That was too fast. Wait a moment, then retry.".to_owned();
    ServerFrame::Refused {
        id,
        code: ErrorCode::RateLimited,
        reason,
    }
}

/// The answer to a message or file that cannot be taken.
fn refused_frame(id: MessageId, error: Error) -> ServerFrame {
    let failure = error.into_failure();
    let code = code_of(&failure, ErrorCode::NoSuchRoom);
    ServerFrame::Refused {
        id,
        code,
        reason: failure.to_string(),
    }
}

/// The answer to any other frame that cannot be taken. `missing` says what it is that does not exist.
fn error_frame(error: Error, missing: ErrorCode) -> ServerFrame {
    let failure = error.into_failure();
    ServerFrame::Error {
        code: code_of(&failure, missing),
        reason: failure.to_string(),
        call: None,
    }
}

fn code_of(failure: &Failure, missing: ErrorCode) -> ErrorCode {
    match failure {
        Failure::NotSignedIn | Failure::NotAllowed { .. } | Failure::NotFound { .. } => missing,
        Failure::Invalid { .. } => ErrorCode::Invalid,
        Failure::RateLimited => ErrorCode::RateLimited,
        Failure::Unavailable | Failure::Unreachable => ErrorCode::Unavailable,
    }
}
