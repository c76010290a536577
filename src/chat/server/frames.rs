//! Handlers of the WebSocket frames of chat.

use super::{
    permissions::check_may_write,
    refusals::{chunk_refusal, rate_limit_refusal, refusal_in, refused_frame, with_backoff},
    send_order::SendOrder,
    uploads::Uploads,
};
use crate::{
    model::{
        MessageId, RoomId, Seq,
        message::{Content, MessageText},
        room::RoomKind,
    },
    protocol::{
        failure::Failure,
        upload::Chunk,
        ws::{Refusal, RoomCursor, ServerFrame},
    },
    server::{
        AppState, Result,
        event_log::{NewMessage, Replay},
        live::{Connection, EncodedEvent},
        rate_limit::{Bound, Charge, Key},
        store::{PostedMessage, Stream},
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
    /// To send after the reply, in this order.
    pub missed: Vec<EncodedEvent>,
    /// `None` if events are missing.
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

    /// As [`Self::clean`], now and every hour. Never ends.
    pub async fn run_sweeps(&self) {
        self.uploads.run_sweeps().await;
    }

    /// Resumes a room. The caller subscribes the connection first: later events wait in its queue.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] of the cursor.
    pub async fn resume(&self, from: &Connection, at: &RoomCursor) -> Result<ResumeReply, Refusal> {
        self.replay(from, at)
            .await
            .map_err(|error| refusal_in(at.room, error))
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
        order: &mut SendOrder,
        id: MessageId,
        room: RoomId,
        text: MessageText,
    ) -> Vec<ServerFrame> {
        let refusals = match order.admit(room, id) {
            Ok(refusals) => refusals,
            Err(refusal) => return vec![refused_frame(id, refusal)],
        };
        match self.post_text(from, id, room, text).await {
            Ok(posted) => vec![ServerFrame::Sent {
                id,
                room,
                seq: posted.seq,
                at: posted.at,
            }],
            Err(refusal) => {
                let refusal = with_backoff(refusal, refusals);
                order.hold(room, id, &refusal, refusals + 1);
                vec![refused_frame(id, refusal)]
            }
        }
    }

    async fn post_text(
        &self,
        from: &Connection,
        id: MessageId,
        room: RoomId,
        text: MessageText,
    ) -> Result<PostedMessage, Refusal> {
        self.take_message(from, room)?;
        let commit = async {
            self.check_member(from, room).await?;
            self.check_block(from, room, id).await?;
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
        commit.await.map_err(|error| refusal_in(room, error))
    }

    fn take_message(&self, from: &Connection, room: RoomId) -> Result<(), Refusal> {
        let message = Charge::new(Bound::Messages, Key::Person(from.person.id));
        let taken = self.app.limits.take([message]);
        taken.map_err(|exceeded| rate_limit_refusal(exceeded.wait, room))
    }

    /// Replies with the offset to start at, `refused`, or `sent` if the whole file is here.
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
            self.check_block(from, room, id).await?;
            self.uploads
                .announce(&from.person, id, room, name, size)
                .await
        };
        vec![
            announced
                .await
                .unwrap_or_else(|error| refused_frame(id, refusal_in(room, error))),
        ]
    }

    /// Handles a chunk of an upload.
    pub async fn receive_chunk(&self, from: &Connection, frame: &[u8]) -> Vec<ServerFrame> {
        let chunk = match Chunk::decode(frame) {
            Ok(chunk) => chunk,
            Err(why) => return vec![chunk_refusal(why)],
        };
        vec![
            self.uploads
                .receive(&from.person, chunk)
                .await
                .unwrap_or_else(|refusal| refused_frame(chunk.id, refusal)),
        ]
    }

    /// Removes an upload.
    pub async fn cancel_upload(&self, from: &Connection, id: MessageId) {
        self.uploads.forget(from.person.id, id).await;
    }

    /// Moves a read cursor forward, and tells the user's pages.
    pub async fn mark_read(&self, from: &Connection, room: RoomId, seq: Seq) -> Vec<ServerFrame> {
        match self
            .app
            .event_log
            .update_read_cursor(room, from.person.id, seq)
            .await
        {
            Ok(Some(cursor)) => {
                self.app
                    .connections
                    .send_to_user(from.person.id, &ServerFrame::read(room, cursor));
                Vec::new()
            }
            Ok(None) => {
                let missing = Failure::not_found("That room").into();
                vec![ServerFrame::Error(refusal_in(room, missing))]
            }
            Err(error) => vec![ServerFrame::Error(refusal_in(room, error))],
        }
    }

    /// Sends a typing indicator to the other members.
    pub async fn broadcast_typing(&self, from: &Connection, room: RoomId) -> Vec<ServerFrame> {
        if let Err(error) = self.check_member(from, room).await {
            return vec![ServerFrame::Error(refusal_in(room, error))];
        }
        // Nobody learns of a block.
        let is_direct = self.app.connections.room_kind(room) == Some(RoomKind::Direct);
        if is_direct
            && !matches!(
                self.app
                    .store
                    .find_block_in_room(room, from.person.id)
                    .await,
                Ok(None)
            )
        {
            return Vec::new();
        }
        let key = Key::PersonInRoom(from.person.id, room);
        if self
            .app
            .limits
            .take([Charge::new(Bound::Typing, key)])
            .is_err()
        {
            // The earlier one still shows.
            return Vec::new();
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

    /// Only direct rooms have blocks, and only they wait for the store.
    async fn check_block(&self, from: &Connection, room: RoomId, id: MessageId) -> Result<()> {
        match self.app.connections.room_kind(room) {
            Some(RoomKind::Public) => Ok(()),
            // A room without a subscriber on this node was just created elsewhere.
            Some(RoomKind::Direct) | None => {
                check_may_write(&self.app, room, from.person.id, id).await
            }
        }
    }

    async fn check_member(&self, from: &Connection, room: RoomId) -> Result<()> {
        // The store also knows memberships just created elsewhere.
        if self.app.connections.is_subscribed(from, room)
            || self.app.store.is_member(room, from.person.id).await?
        {
            Ok(())
        } else {
            Err(Failure::not_found("That room").into())
        }
    }
}
