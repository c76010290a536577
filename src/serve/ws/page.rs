//! A page that has said hello: what it is told first, and what is made of its frames.

use crate::{
    model::{Seq, limits, room::RoomSummary},
    protocol::{
        close::CloseCode,
        ws::{ClientFrame, ErrorCode, RoomCursor, ServerFrame},
    },
    serve::{Systems, socket::Socket},
    server::{
        Error,
        live::{Connection, Ended, Gone, Outlet, Piece},
        session,
        store::Stream,
    },
};
use std::sync::Arc;
use tungstenite::{Message, protocol};

/// A client whose frames are refused this often has a bug, or means harm.
const MOST_ERRORS: u32 = 200;

/// A page that has said hello.
pub(super) struct Page {
    pub(super) systems: Arc<Systems>,
    pub(super) connection: Arc<Connection>,
    outlet: Arc<Outlet>,
    /// How many of its frames were refused.
    errors: u32,
    /// What it would be to lose it now.
    pub(super) gone: Gone,
}

impl Page {
    pub(super) fn new(
        systems: Arc<Systems>,
        connection: Arc<Connection>,
        outlet: Arc<Outlet>,
    ) -> Self {
        Self {
            systems,
            connection,
            outlet,
            errors: 0,
            gone: Gone::ForNow,
        }
    }

    /// Hears everything from now on, then says what there is and what was missed.
    pub(super) async fn welcome(&mut self, cursors: &[RoomCursor]) -> Result<(), Ended> {
        let systems = self.systems.clone();
        let app = &systems.app;
        let person = self.connection.person.clone();
        if !app.live.open(&self.connection) {
            return Err(Ended::Closed(CloseCode::NoHello));
        }
        // Given back before anything waits for the client. Closed only with the program.
        let turn = systems.welcomes.acquire().await;
        // A sign-out since the handshake found nothing to close; from here on it does.
        let still = session::holder(app, &self.connection).await;
        if still.map_err(unavailable)?.is_none() {
            return Err(Ended::Closed(CloseCode::SignedOut));
        }
        if self.connection.guest_of.is_some() {
            drop(turn);
            return self.welcome_guest().await;
        }
        let rooms = app.store.list_memberships(person.id).await;
        for (room, kind) in rooms.map_err(unavailable)? {
            app.live.hear(person.id, room, kind);
            if app.bus.is_some() {
                // From where on other nodes' events are told here.
                let stand = app.log.stand(Stream::Room(room)).await;
                stand.map_err(unavailable)?;
            }
        }
        app.live.announce_opened(&self.connection);
        app.live.tell_presence(&person);
        // Only now: what was committed in between is in the summaries, in the outlet, or in both.
        let rooms = app.store.list_rooms(person.id).await.map_err(unavailable)?;
        let (people, crowd) = (app.live.introduction(person.id), app.live.crowd());
        let welcome = self.welcome_frame(rooms, crowd);
        self.say(&[welcome]).await?;
        for piece in people {
            self.outlet.say(piece.bytes).await?;
        }
        drop(turn);
        let mut replayed = Vec::new();
        for cursor in cursors {
            replayed.extend(self.replay(cursor).await?);
        }
        self.outlet.uncork(&replayed);
        self.systems.app.live.show_groups(&self.connection);
        self.systems.calls.opened(&self.connection).await;
        Ok(())
    }

    /// There is one call, and nothing was missed.
    async fn welcome_guest(&mut self) -> Result<(), Ended> {
        let systems = self.systems.clone();
        systems.app.live.announce_opened(&self.connection);
        let welcome = self.welcome_frame(Vec::new(), 0);
        self.say(&[welcome]).await?;
        self.outlet.uncork(&[]);
        systems.calls.opened(&self.connection).await;
        Ok(())
    }

    fn welcome_frame(&self, rooms: Vec<RoomSummary>, crowd: u32) -> ServerFrame {
        let app = &self.systems.app;
        ServerFrame::Welcome {
            user: self.connection.person.clone(),
            rooms,
            crowd,
            limits: app.config.limits(),
            heartbeat: u32::try_from(app.config.heartbeat().as_millis()).unwrap_or(u32::MAX),
            build: app.build.clone(),
        }
    }

    /// Says what was missed in a room. Up to where, if that is all of it.
    async fn replay(&mut self, cursor: &RoomCursor) -> Result<Option<(Stream, Seq)>, Ended> {
        let resumed = self.systems.chat.resume(&self.connection, cursor).await;
        self.say(&[resumed.answer]).await?;
        for event in resumed.missed {
            self.outlet.say(event.bytes).await?;
        }
        Ok(resumed.upto)
    }

    async fn resume(&mut self, cursor: &RoomCursor) -> Result<(), Ended> {
        self.outlet.cork();
        let replayed = self.replay(cursor).await?;
        self.outlet.uncork(replayed.as_slice());
        Ok(())
    }

    pub(super) async fn run(&mut self, socket: &mut Socket) -> Ended {
        loop {
            let message = tokio::select! {
                over = self.outlet.ended() => return over,
                message = socket.next() => message,
            };
            self.connection.heard();
            let handled = match message {
                Ok(message) => Box::pin(self.handle(message)).await,
                Err(over) => Err(over),
            };
            if let Err(over) = handled {
                return over;
            }
        }
    }

    async fn say(&self, frames: &[ServerFrame]) -> Result<(), Ended> {
        for frame in frames {
            self.outlet.say(Piece::from(frame).bytes).await?;
        }
        Ok(())
    }

    async fn handle(&mut self, message: Message) -> Result<(), Ended> {
        match message {
            Message::Text(text) => match parse(&text) {
                Ok(frame) => self.dispatch(frame).await,
                Err((code, reason)) => self.refuse(code, reason).await,
            },
            Message::Binary(_) if self.connection.guest_of.is_some() => self.refuse_guest().await,
            Message::Binary(bytes) => {
                let replies = self.systems.chat.chunk(&self.connection, &bytes).await;
                self.answer(replies).await
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
            Message::Close(why) => {
                if why.is_some_and(|why| why.code == protocol::frame::coding::CloseCode::Away) {
                    self.gone = Gone::ForGood;
                }
                Err(Ended::Lost)
            }
        }
    }

    async fn dispatch(&mut self, frame: ClientFrame) -> Result<(), Ended> {
        let (systems, from) = (self.systems.clone(), self.connection.clone());
        if from.guest_of.is_some() && !is_for_guests(&frame) {
            return self.refuse_guest().await;
        }
        let chat = &systems.chat;
        let replies = match frame {
            ClientFrame::Hello { .. } => {
                let reason = "hello is only said once, as the first frame".to_owned();
                return self.refuse(ErrorCode::AlreadyGreeted, reason).await;
            }
            ClientFrame::Ping { n } => vec![ServerFrame::Pong { n }],
            ClientFrame::Visibility { visible } => {
                systems.app.live.set_visible(&from, visible);
                Vec::new()
            }
            ClientFrame::Resume { cursor } => return self.resume(&cursor).await,
            ClientFrame::Send { id, room, text } => chat.send(&from, id, room, text).await,
            ClientFrame::Upload {
                id,
                room,
                name,
                size,
            } => chat.upload(&from, id, room, &name, size).await,
            ClientFrame::UploadCancel { id } => {
                chat.cancel(&from, id).await;
                Vec::new()
            }
            ClientFrame::Read { room, seq } => chat.read(&from, room, seq).await,
            ClientFrame::Typing { room } => chat.typing(&from, room).await,
            ClientFrame::Call { call, action } => {
                systems.calls.act(&from, call, action).await;
                Vec::new()
            }
        };
        self.answer(replies).await
    }

    async fn answer(&mut self, replies: Vec<ServerFrame>) -> Result<(), Ended> {
        if replies
            .iter()
            .any(|reply| matches!(reply, ServerFrame::Error { .. }))
        {
            self.errors += 1;
        }
        self.say(&replies).await?;
        if self.errors > MOST_ERRORS {
            Err(Ended::Closed(CloseCode::TooManyErrors))
        } else {
            Ok(())
        }
    }

    async fn refuse_guest(&mut self) -> Result<(), Ended> {
        let reason = "a guest to a call takes part in that call, and in nothing else".to_owned();
        self.refuse(ErrorCode::NotAllowed, reason).await
    }

    async fn refuse(&mut self, code: ErrorCode, reason: String) -> Result<(), Ended> {
        let call = None;
        self.answer(vec![ServerFrame::Error { code, reason, call }])
            .await
    }
}

/// What a guest to a call may say; in the call itself the desk decides.
fn is_for_guests(frame: &ClientFrame) -> bool {
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

fn unavailable(error: Error) -> Ended {
    tracing::error!(%error, "a connection could not be welcomed");
    Ended::Closed(CloseCode::GoingAway)
}

/// Reads a text frame, or says in words why it is none.
fn parse(text: &str) -> Result<ClientFrame, (ErrorCode, String)> {
    if text.len() > limits::TEXT_FRAME_BYTES {
        let most = limits::TEXT_FRAME_BYTES;
        let reason = format!("a text frame may have {most} bytes at most");
        return Err((ErrorCode::TooLarge, reason));
    }
    match serde_json::from_str(text) {
        Ok(frame) => Ok(frame),
        Err(_) if serde_json::from_str::<ServerFrame>(text).is_ok() => {
            let reason = "that frame is only ever sent by the server".to_owned();
            Err((ErrorCode::ServerOnly, reason))
        }
        Err(why) => Err((ErrorCode::Malformed, format!("that is no frame: {why}"))),
    }
}
