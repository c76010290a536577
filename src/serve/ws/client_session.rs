//! Session of a connected client.

use super::frame_head::{complete_refusals, read_subject};
use crate::{
    chat::server::SendOrder,
    model::{Seq, limits, room::RoomSummary, user::PersonalSettings},
    protocol::{
        close::CloseCode,
        upload::{Chunk, ChunkError},
        ws::{ClientFrame, ErrorCode, FrameReference, Refusal, RoomCursor, ServerFrame},
    },
    serve::{Systems, websocket::WebSocketReader},
    server::{
        Error,
        live::{Connection, ConnectionEnd, Disconnect, EncodedFrame, Registration, SendQueue},
        rate_limit::{Bound, Charge, Key},
        session,
        store::Stream,
    },
};
use std::sync::Arc;
use tokio::time::{Instant, sleep, sleep_until};
use tungstenite::{Message, protocol};

/// Rejected frames before a faulty or malicious client is disconnected.
const MAX_ERRORS: u32 = 200;
/// Of the future that handles a message: it is allocated and moved for each, so what it could do besides costs every one.
const MAX_HANDLING_BYTES: usize = 8 * 1024;
/// Of a text that is no frame.
const MAX_REASON_CHARS: usize = 300;

pub(super) struct ClientSession {
    pub(super) systems: Arc<Systems>,
    pub(super) connection: Arc<Connection>,
    send_queue: Arc<SendQueue>,
    send_order: SendOrder,
    error_count: u32,
    /// Whether the page became visible, and when that may be told.
    unpublished_visibility: Option<(Instant, bool)>,
    /// Reported if the connection ends now.
    pub(super) disconnect: Disconnect,
}

impl ClientSession {
    pub(super) fn new(
        systems: Arc<Systems>,
        connection: Arc<Connection>,
        send_queue: Arc<SendQueue>,
    ) -> Self {
        Self {
            systems,
            connection,
            send_queue,
            send_order: SendOrder::default(),
            error_count: 0,
            unpublished_visibility: None,
            disconnect: Disconnect::Lost,
        }
    }

    /// Registers the connection, then sends welcome, presence and missed events.
    pub(super) async fn welcome(
        &mut self,
        cursors: &[RoomCursor],
        reference: Option<FrameReference>,
    ) -> Result<(), ConnectionEnd> {
        let systems = self.systems.clone();
        let app = &systems.app;
        match app.connections.register(&self.connection) {
            Registration::Registered => {}
            Registration::Superseded => return Err(ConnectionEnd::Closed(CloseCode::Replaced)),
            Registration::IdTaken => return Err(ConnectionEnd::Closed(CloseCode::NoHello)),
        }
        // Released before anything is sent, which waits for the client; the semaphore is never closed.
        let permit = systems.welcome_permits.acquire().await;
        // From here on a sign-out closes this connection; an earlier one could not.
        let settings = self.revalidate_person().await?;
        let person = self.connection.person.clone();
        if self.connection.guest_of.is_some() {
            drop(permit);
            return self.welcome_guest(settings).await;
        }
        let rooms = app.store.list_memberships(person.id).await;
        for (room, kind) in rooms.map_err(end_unavailable)? {
            app.connections.subscribe(person.id, room, kind);
            if app.bus.is_some() {
                // Other nodes' events are then published here.
                let position = app.event_log.position(Stream::Room(room)).await;
                position.map_err(end_unavailable)?;
            }
        }
        app.connections.publish_connected(&self.connection);
        app.connections.publish_presence(&person);
        // After subscribing: a concurrent event is in the summaries, the send queue, or both.
        let rooms = app
            .store
            .list_rooms(person.id)
            .await
            .map_err(end_unavailable)?;
        let (people, crowd) = (
            app.connections.presence_frames(person.id),
            app.connections.crowd(),
        );
        drop(permit);
        let welcome = self.welcome_frame(rooms, crowd, settings);
        self.send_frames(&[welcome]).await?;
        for frame in people {
            self.send_queue.send(frame.bytes).await?;
        }
        let mut replayed = Vec::new();
        for cursor in cursors {
            match self.replay(cursor).await? {
                Ok(position) => replayed.extend(position),
                Err(refusal) => {
                    let reference = reference.clone();
                    let refusal = Refusal {
                        reference,
                        ..refusal
                    };
                    self.send_frames(&[ServerFrame::Error(refusal)]).await?;
                }
            }
        }
        self.send_queue.uncork(&replayed);
        self.systems
            .app
            .connections
            .send_retained_frames(&self.connection);
        self.systems.calls.on_client_connected(&self.connection);
        Ok(())
    }

    /// The name or role may have changed since the handshake. Returns the person's settings.
    async fn revalidate_person(&mut self) -> Result<PersonalSettings, ConnectionEnd> {
        let app = &self.systems.app;
        let holder = session::revalidate(app, &self.connection).await;
        let (holder, settings) = holder
            .map_err(end_unavailable)?
            .ok_or(ConnectionEnd::Closed(CloseCode::SignedOut))?;
        if holder != self.connection.person {
            let updated = app.connections.update_person(&self.connection, holder);
            self.connection = updated.ok_or(ConnectionEnd::Closed(CloseCode::Replaced))?;
        }
        Ok(settings)
    }

    /// A guest has a single call and no missed events.
    async fn welcome_guest(&mut self, settings: PersonalSettings) -> Result<(), ConnectionEnd> {
        let systems = self.systems.clone();
        systems.app.connections.publish_connected(&self.connection);
        let welcome = self.welcome_frame(Vec::new(), 0, settings);
        self.send_frames(&[welcome]).await?;
        self.send_queue.uncork(&[]);
        systems.calls.on_client_connected(&self.connection);
        Ok(())
    }

    fn welcome_frame(
        &self,
        rooms: Vec<RoomSummary>,
        crowd: u32,
        settings: PersonalSettings,
    ) -> ServerFrame {
        let app = &self.systems.app;
        ServerFrame::Welcome {
            user: self.connection.person.clone(),
            rooms,
            crowd,
            settings,
            limits: app.config.client_limits(),
            heartbeat_ms: u32::try_from(app.config.heartbeat_interval().as_millis())
                .unwrap_or(u32::MAX),
            build: app.build.clone(),
        }
    }

    /// Returns the last replayed sequence if all missed events were available, or the refusal to send.
    async fn replay(
        &mut self,
        cursor: &RoomCursor,
    ) -> Result<Result<Option<(Stream, Seq)>, Refusal>, ConnectionEnd> {
        self.wait_for(Bound::Resumes).await;
        let resumed = match self.systems.chat.resume(&self.connection, cursor).await {
            Ok(resumed) => resumed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.send_frames(&[resumed.reply]).await?;
        for event in resumed.missed {
            self.send_queue.send(event.bytes).await?;
        }
        Ok(Ok(resumed.replayed_to))
    }

    async fn resume(&mut self, cursor: &RoomCursor) -> Result<Vec<ServerFrame>, ConnectionEnd> {
        self.send_queue.cork();
        let (replayed, refusal) = match self.replay(cursor).await? {
            Ok(replayed) => (replayed, None),
            Err(refusal) => (None, Some(refusal)),
        };
        self.send_queue.uncork(replayed.as_slice());
        Ok(refusal.into_iter().map(ServerFrame::Error).collect())
    }

    pub(super) async fn run(&mut self, socket: &mut WebSocketReader) -> ConnectionEnd {
        loop {
            let publish_at = self.unpublished_visibility.map(|(due, _)| due);
            let message = tokio::select! {
                biased;
                end = self.send_queue.closed() => return end,
                () = sleep_until(publish_at.unwrap_or_else(Instant::now)), if publish_at.is_some() => {
                    self.publish_visibility();
                    continue;
                }
                message = socket.next() => message,
            };
            self.connection.mark_received();
            let handled = match message {
                Ok(message) => {
                    let handling = self.on_message(message);
                    debug_assert!(size_of_val(&handling) <= MAX_HANDLING_BYTES);
                    Box::pin(handling).await
                }
                Err(over) => Err(over),
            };
            if let Err(over) = handled {
                return over;
            }
        }
    }

    async fn send_frames(&self, frames: &[ServerFrame]) -> Result<(), ConnectionEnd> {
        for frame in frames {
            self.send_queue
                .send(EncodedFrame::from(frame).bytes)
                .await?;
        }
        Ok(())
    }

    /// The frames of all of a person's connections are counted together, whatever they say.
    fn take_frame(&self) -> Result<(), ConnectionEnd> {
        let frame = Charge::new(Bound::Frames, Key::Person(self.connection.person.id));
        let taken = self.systems.app.limits.take([frame]);
        taken.map_err(|_| ConnectionEnd::Closed(CloseCode::TooManyErrors))
    }

    /// Waits for its turn. The next frames of this client wait too, so it delays nobody else.
    async fn wait_for(&self, bound: Bound) {
        let charge = Charge::new(bound, Key::Person(self.connection.person.id));
        while let Err(exceeded) = self.systems.app.limits.take([charge]) {
            sleep(exceeded.wait).await;
        }
    }

    /// Tells the newest visibility, now or once the bound allows it.
    fn publish_visibility(&mut self) {
        let Some((_, visible)) = self.unpublished_visibility.take() else {
            return;
        };
        let app = &self.systems.app;
        let change = Charge::new(Bound::Presence, Key::Person(self.connection.person.id));
        match app.limits.take([change]) {
            Ok(()) => app.connections.set_visible(&self.connection, visible),
            Err(exceeded) => {
                self.unpublished_visibility = Some((Instant::now() + exceeded.wait, visible));
            }
        }
    }

    async fn on_message(&mut self, message: Message) -> Result<(), ConnectionEnd> {
        if matches!(message, Message::Binary(_)) {
            self.wait_for(Bound::Chunks).await;
        } else {
            self.take_frame()?;
        }
        match message {
            Message::Text(text) => {
                let mut replies = match parse_frame(&text) {
                    Ok(frame) => self.dispatch(frame, &text).await?,
                    Err(refusal) => vec![ServerFrame::Error(refusal)],
                };
                complete_refusals(&mut replies, &text);
                self.send_replies(replies).await
            }
            Message::Binary(bytes) if self.connection.guest_of.is_some() => {
                self.send_replies(vec![guest_chunk_refusal(&bytes)]).await
            }
            Message::Binary(bytes) => {
                let chat = &self.systems.chat;
                let replies = Box::pin(chat.receive_chunk(&self.connection, &bytes)).await;
                self.send_replies(replies).await
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
            Message::Close(why) => {
                if why.is_some_and(|why| why.code == protocol::frame::coding::CloseCode::Away) {
                    self.disconnect = Disconnect::Left;
                }
                Err(ConnectionEnd::Disconnected)
            }
        }
    }

    /// Returns the replies, except those of a resume, which are sent. `text` is the frame's.
    ///
    /// Everything but a message has a box of its own (`MAX_HANDLING_BYTES`).
    async fn dispatch(
        &mut self,
        frame: ClientFrame,
        text: &str,
    ) -> Result<Vec<ServerFrame>, ConnectionEnd> {
        let (systems, from) = (self.systems.clone(), self.connection.clone());
        if from.guest_of.is_some() && !is_allowed_for_guests(&frame) {
            return Ok(vec![guest_refusal()]);
        }
        let chat = &systems.chat;
        Ok(match frame {
            ClientFrame::Hello { .. } => {
                let reason = "hello must be the first frame and sent only once";
                vec![ServerFrame::Error(Refusal::new(
                    ErrorCode::DuplicateHello,
                    reason,
                ))]
            }
            ClientFrame::Ping { n } => vec![ServerFrame::Pong { n }],
            ClientFrame::Visibility { visible } => {
                if let Some((_, waiting)) = &mut self.unpublished_visibility {
                    *waiting = visible;
                } else {
                    self.unpublished_visibility = Some((Instant::now(), visible));
                    self.publish_visibility();
                }
                Vec::new()
            }
            ClientFrame::Resume { cursor } => Box::pin(self.resume(&cursor)).await?,
            ClientFrame::Send { id, room, text } => {
                let order = &mut self.send_order;
                chat.send(&from, order, id, room, text).await
            }
            ClientFrame::Upload {
                id,
                room,
                name,
                size,
            } => Box::pin(chat.announce_upload(&from, id, room, &name, size)).await,
            ClientFrame::UploadCancel { id } => {
                Box::pin(chat.cancel_upload(&from, id)).await;
                Vec::new()
            }
            ClientFrame::Read { room, seq } => Box::pin(chat.mark_read(&from, room, seq)).await,
            ClientFrame::Typing { room } => chat.broadcast_typing(&from, room).await,
            ClientFrame::Call { call, action } => {
                let from = from.answering(read_subject(text));
                Box::pin(systems.calls.handle_action(&from, call, action)).await;
                Vec::new()
            }
        })
    }

    async fn send_replies(&mut self, replies: Vec<ServerFrame>) -> Result<(), ConnectionEnd> {
        if replies.iter().any(is_counted_as_error) {
            self.error_count += 1;
        }
        self.send_frames(&replies).await?;
        if self.error_count > MAX_ERRORS {
            Err(ConnectionEnd::Closed(CloseCode::TooManyErrors))
        } else {
            Ok(())
        }
    }
}

fn guest_refusal() -> ServerFrame {
    ServerFrame::Error(not_for_guests())
}

/// Names the upload, if the chunk does.
fn guest_chunk_refusal(chunk: &[u8]) -> ServerFrame {
    match Chunk::decode(chunk) {
        Ok(Chunk { id, .. }) | Err(ChunkError::TooLarge(id)) => ServerFrame::Refused(Refusal {
            id: Some(id),
            ..not_for_guests()
        }),
        Err(ChunkError::Malformed) => guest_refusal(),
    }
}

fn not_for_guests() -> Refusal {
    let reason = "guests may only send frames of their call";
    Refusal::new(ErrorCode::NotAllowed, reason)
}

/// A correct client is refused messages and uploads, but only with the other codes.
fn is_counted_as_error(reply: &ServerFrame) -> bool {
    match reply {
        ServerFrame::Error(_) => true,
        ServerFrame::Refused(refusal) => matches!(
            refusal.code,
            ErrorCode::Malformed | ErrorCode::TooLarge | ErrorCode::NotAllowed
        ),
        _ => false,
    }
}

fn is_allowed_for_guests(frame: &ClientFrame) -> bool {
    match frame {
        ClientFrame::Hello { .. }
        | ClientFrame::Ping { .. }
        | ClientFrame::Visibility { .. }
        | ClientFrame::Call { .. } => true,
        ClientFrame::Resume { .. }
        | ClientFrame::Send { .. }
        | ClientFrame::Upload { .. }
        | ClientFrame::UploadCancel { .. }
        | ClientFrame::Read { .. }
        | ClientFrame::Typing { .. } => false,
    }
}

fn end_unavailable(error: Error) -> ConnectionEnd {
    tracing::error!(%error, "a connection could not be set up");
    ConnectionEnd::Closed(CloseCode::GoingAway)
}

/// The frame, or what a client receives for a text that is none.
#[cfg(any(test, feature = "fuzzing"))]
pub(in crate::serve) fn read_frame(text: &str) -> Result<ClientFrame, Box<ServerFrame>> {
    parse_frame(text).map_err(|refusal| {
        let mut replies = [ServerFrame::Error(refusal)];
        complete_refusals(&mut replies, text);
        let [reply] = replies;
        Box::new(reply)
    })
}

fn parse_frame(text: &str) -> Result<ClientFrame, Refusal> {
    if text.len() > limits::MAX_TEXT_FRAME_BYTES {
        let most = limits::MAX_TEXT_FRAME_BYTES;
        let reason = format!("text frames are limited to {most} bytes");
        return Err(Refusal::new(ErrorCode::TooLarge, reason));
    }
    match serde_json::from_str(text) {
        Ok(frame) => Ok(frame),
        Err(_) if serde_json::from_str::<ServerFrame>(text).is_ok() => Err(Refusal::new(
            ErrorCode::ServerOnly,
            "only the server sends this frame",
        )),
        Err(why) => Err(Refusal::new(
            ErrorCode::Malformed,
            shorten(&format!("invalid frame: {why}")),
        )),
    }
}

/// A parser repeats what it cannot read, which may be the whole frame.
fn shorten(reason: &str) -> String {
    match reason.char_indices().nth(MAX_REASON_CHARS) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_does_not_repeat_a_long_frame() {
        for unreadable in [
            format!(r#"{{"type":"{}"}}"#, "\u{ad}".repeat(30_000)),
            format!(r#"{{"type":"ping","n":"{}"}}"#, "\u{ad}".repeat(30_000)),
        ] {
            let refusal = parse_frame(&unreadable).unwrap_err();
            assert_eq!(refusal.reason.chars().count(), MAX_REASON_CHARS + 1);
        }
        let refusal = parse_frame(r#"{"type":"ping"}"#).unwrap_err();
        assert!(
            refusal.reason.ends_with("missing field `n`"),
            "{}",
            refusal.reason
        );
    }
}
