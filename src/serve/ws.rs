//! `GET /ws`: the life of a WebSocket (RFC 6455), from the handshake to the close.
//!
//! One task a connection, one loop: it reads a frame, lets the system it is for handle it, writes what that answers, and
//! writes what others have queued. While it handles a frame nothing is taken from the queue, so a replay is written before
//! what happened after it. Whoever publishes only ever touches the queue; when that passes its bound, the write that is under
//! way is given up and the connection is closed with the documented code.

use super::Systems;
use crate::{
    model::{ClientId, RoomId, Seq, limits, user::Presence},
    protocol::{
        SUBPROTOCOL,
        close::CloseCode,
        failure::Failure,
        upload::HEADER_BYTES,
        ws::{ClientFrame, ErrorCode, RoomCursor, ServerFrame},
    },
    server::{
        Error, Result, clock, http,
        live::{Connection, Ended, Frame},
        session::{self, Signed},
    },
};
use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket},
    },
    http::{HeaderMap, header},
    response::Response,
};
use futures::{FutureExt, SinkExt, StreamExt};
use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// How long a client may take to say hello.
const HELLO: Duration = Duration::from_secs(10);
/// How long one write to a socket may take.
const WRITE: Duration = Duration::from_secs(30);
/// How long a close may take: for what is half written, the close frame and the answer to it.
const CLOSE: Duration = Duration::from_secs(10);
/// A page that loads anew is gone for a moment; others are not told of gaps shorter than this.
const RELOAD: Duration = Duration::from_secs(3);
/// Nothing heard for this many heartbeats: the client is gone. Browsers let a hidden page speak once a minute only.
const SILENT_HEARTBEATS: u32 = 6;
/// A client whose frames are refused this often has a bug, or means harm.
const MOST_ERRORS: u32 = 200;
/// The most one message may have: a chunk of an upload with its header, with room to tell a larger text frame off in words.
const MESSAGE_BYTES: usize = 2 * limits::CHUNK_BYTES + HEADER_BYTES;

/// The handshake: only from our own pages, only with a session, only in our subprotocol.
pub(super) async fn upgrade(
    State(systems): State<Arc<Systems>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response> {
    if !http::is_same_origin(&headers) {
        let reason = "Connections are taken from this site's own pages only.".to_owned();
        return Err(Failure::NotAllowed { reason }.into());
    }
    let signed = session::signed(&systems.app, &headers)
        .await?
        .ok_or(Failure::NotSignedIn)?;
    let offered = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok());
    if !offered
        .flat_map(|value| value.split(','))
        .any(|protocol| protocol.trim() == SUBPROTOCOL)
    {
        return Err(Failure::invalid(format!("The subprotocol has to be {SUBPROTOCOL}.")).into());
    }
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        // The library would set aside and zero 128 KiB for each connection; frames are small and the buffer grows.
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_message_size(MESSAGE_BYTES)
        .max_frame_size(MESSAGE_BYTES);
    Ok(upgrade.on_upgrade(move |socket| live(systems, socket, signed)))
}

/// Why a connection is over.
enum Over {
    /// The socket broke, or the client closed it.
    Lost,
    /// The server closes it.
    Close(CloseCode),
}

impl From<Ended> for Over {
    fn from(Ended(code): Ended) -> Self {
        Self::Close(code)
    }
}

async fn live(systems: Arc<Systems>, mut socket: WebSocket, signed: Signed) {
    // Held to the end, so that a shutdown waits for the close frame.
    let _counted = systems.sockets.token();
    let hello = match timeout(HELLO, hello(&mut socket)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(Over::Lost)) => return,
        Ok(Err(Over::Close(code))) => return close(socket, code).await,
        Err(_) => return close(socket, CloseCode::NoHello).await,
    };
    let queue_bytes = systems.app.config.queue_bytes;
    let connection = Connection::new(
        hello.client,
        signed.person,
        signed.session,
        hello.visible,
        queue_bytes,
    );
    let mut page = Page {
        systems: systems.clone(),
        connection: Arc::new(connection),
        socket,
        replayed: HashMap::new(),
        errors: 0,
    };
    let whole = async {
        match page.welcome(&hello.cursors).await {
            Ok(()) => page.run().await,
            Err(over) => over,
        }
    };
    // A bug that panics ends this connection; the person must not stay "here" for it.
    let over = AssertUnwindSafe(whole).catch_unwind().await;
    let over = over.unwrap_or(Over::Lost);
    let Page {
        connection, socket, ..
    } = page;
    leave(&systems, &connection).await;
    if let Over::Close(code) = over {
        close(socket, code).await;
    }
}

/// What a client begins with.
struct Hello {
    client: ClientId,
    cursors: Vec<RoomCursor>,
    visible: bool,
}

async fn hello(socket: &mut WebSocket) -> Result<Hello, Over> {
    loop {
        let text = match socket.recv().await {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(Message::Binary(_))) => return Err(Over::Close(CloseCode::NoHello)),
            Some(Ok(Message::Close(_))) | None => return Err(Over::Lost),
            Some(Err(why)) => return Err(broken(why)),
        };
        return match serde_json::from_str(&text) {
            Ok(ClientFrame::Hello {
                client,
                cursors,
                visible,
            }) => Ok(Hello {
                client,
                cursors,
                visible,
            }),
            Ok(_) | Err(_) => Err(Over::Close(CloseCode::NoHello)),
        };
    }
}

/// A message over the bound is told apart from a socket that broke.
fn broken(why: axum::Error) -> Over {
    match why.into_inner().downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => Over::Close(CloseCode::TooBig),
        Some(_) | None => Over::Lost,
    }
}

/// The page's connection is gone: its calls and, if it does not come back soon, the others are told.
async fn leave(systems: &Arc<Systems>, connection: &Arc<Connection>) {
    if !systems.app.live.close(connection) {
        return;
    }
    systems.calls.closed(connection).await;
    let (live, person) = (systems.app.live.clone(), connection.person.clone());
    tokio::spawn(async move {
        sleep(RELOAD).await;
        live.tell_presence(&person);
    });
}

/// Sends a close frame behind what is half written, and waits for the client to answer it. A client that reads on is told;
/// one that never does is dropped.
async fn close(mut socket: WebSocket, code: CloseCode) {
    let frame = CloseFrame {
        code: code.code(),
        reason: Utf8Bytes::from_static(code.reason()),
    };
    let farewell = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            // What still comes in has to be read, or the system would reset the connection under the close frame.
            while let Some(Ok(_)) = socket.next().await {}
            if code == CloseCode::TooBig {
                // The rest of that message cannot be read: the client is given its time to hear why.
                std::future::pending::<()>().await;
            }
        }
    };
    // Past the time the socket is dropped, which is all there is left to do.
    let _ = timeout(CLOSE, farewell).await;
}

/// A page that has said hello.
struct Page {
    systems: Arc<Systems>,
    connection: Arc<Connection>,
    socket: WebSocket,
    /// The newest event that was replayed, a room: the queue may hold it again.
    replayed: HashMap<RoomId, Seq>,
    errors: u32,
}

impl Page {
    /// Hears everything from now on, then says what there is and what was missed.
    async fn welcome(&mut self, cursors: &[RoomCursor]) -> Result<(), Over> {
        let app = self.systems.app.clone();
        let person = self.connection.person.clone();
        if !app.live.open(&self.connection, []) {
            return Err(Over::Close(CloseCode::NoHello));
        }
        // A sign-out since the handshake found nothing to close; from here on it does.
        let still = app
            .store
            .find_session(&self.connection.session, clock::now())
            .await
            .map_err(unavailable)?;
        if still.is_none() {
            return Err(Over::Close(CloseCode::SignedOut));
        }
        let rooms = app.store.list_rooms(person.id).await.map_err(unavailable)?;
        for room in &rooms {
            app.live.join(person.id, room.id);
        }
        app.live.tell_presence(&person);
        // Read again: what was committed in between is in the summaries, in the queue, or in both.
        let rooms = app.store.list_rooms(person.id).await.map_err(unavailable)?;
        let mut people = app.live.people();
        people.retain(|present| present.presence != Presence::Gone);
        let heartbeat = u32::try_from(app.config.heartbeat().as_millis()).unwrap_or(u32::MAX);
        let (limits, build) = (app.config.limits(), app.build.clone());
        self.reply(vec![ServerFrame::Welcome {
            user: person,
            rooms,
            people,
            limits,
            heartbeat,
            build,
        }])
        .await?;
        for cursor in cursors {
            self.resume(cursor).await?;
        }
        self.systems.calls.opened(&self.connection).await;
        Ok(())
    }

    async fn resume(&mut self, cursor: &RoomCursor) -> Result<(), Over> {
        let replies = self.systems.chat.resume(&self.connection, cursor).await;
        if let Some(ServerFrame::Event { room, seq, .. }) = replies.last() {
            self.replayed.insert(*room, *seq);
        }
        self.reply(replies).await
    }

    async fn run(&mut self) -> Over {
        let silence = self.systems.app.config.heartbeat() * SILENT_HEARTBEATS;
        let mut heard = Instant::now();
        loop {
            let step = tokio::select! {
                frames = self.connection.queue.take() => match frames {
                    Ok(frames) => self.deliver(frames).await,
                    Err(ended) => Err(ended.into()),
                },
                message = self.socket.recv() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(message)) => self.handle(message).await,
                        Some(Err(why)) => Err(broken(why)),
                        None => Err(Over::Lost),
                    }
                }
                () = tokio::time::sleep_until(heard + silence) => Err(Over::Close(CloseCode::Silent)),
            };
            if let Err(over) = step {
                return over;
            }
        }
    }

    /// Writes what others queued, without what was replayed already.
    async fn deliver(&mut self, frames: impl IntoIterator<Item = Frame>) -> Result<(), Over> {
        let replayed = std::mem::take(&mut self.replayed);
        let is_new = |frame: &Frame| match frame.event {
            Some((room, seq)) => replayed.get(&room).is_none_or(|newest| seq > *newest),
            None => true,
        };
        let texts: Vec<_> = frames
            .into_iter()
            .filter(is_new)
            .map(|frame| frame.text)
            .collect();
        self.replayed = replayed;
        self.write(texts).await
    }

    async fn reply(&mut self, frames: Vec<ServerFrame>) -> Result<(), Over> {
        let texts = frames.iter().map(|frame| Frame::from(frame).text).collect();
        self.write(texts).await
    }

    /// Writes in one go; gives up when the queue ends meanwhile, since then the client does not read.
    async fn write(&mut self, texts: Vec<Utf8Bytes>) -> Result<(), Over> {
        let socket = &mut self.socket;
        let writing = async {
            for text in texts {
                socket.feed(Message::Text(text)).await?;
            }
            socket.flush().await
        };
        tokio::select! {
            written = writing => written.map_err(|_| Over::Lost),
            ended = self.connection.queue.ended() => Err(ended.into()),
            () = sleep(WRITE) => Err(Over::Close(CloseCode::TooSlow)),
        }
    }

    async fn handle(&mut self, message: Message) -> Result<(), Over> {
        match message {
            Message::Text(text) => match parse(&text) {
                Ok(frame) => self.dispatch(frame).await,
                Err((code, reason)) => self.refuse(code, reason).await,
            },
            Message::Binary(bytes) => {
                let replies = self.systems.chat.chunk(&self.connection, &bytes).await;
                self.answer(replies).await
            }
            Message::Ping(_) | Message::Pong(_) => Ok(()),
            Message::Close(_) => Err(Over::Lost),
        }
    }

    async fn dispatch(&mut self, frame: ClientFrame) -> Result<(), Over> {
        let (systems, from) = (self.systems.clone(), self.connection.clone());
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

    async fn answer(&mut self, replies: Vec<ServerFrame>) -> Result<(), Over> {
        if replies
            .iter()
            .any(|reply| matches!(reply, ServerFrame::Error { .. }))
        {
            self.errors += 1;
        }
        self.reply(replies).await?;
        if self.errors > MOST_ERRORS {
            Err(Over::Close(CloseCode::TooManyErrors))
        } else {
            Ok(())
        }
    }

    async fn refuse(&mut self, code: ErrorCode, reason: String) -> Result<(), Over> {
        let call = None;
        self.answer(vec![ServerFrame::Error { code, reason, call }])
            .await
    }
}

fn unavailable(error: Error) -> Over {
    tracing::error!(%error, "a connection could not be welcomed");
    Over::Close(CloseCode::GoingAway)
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
