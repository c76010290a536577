//! `GET /ws`: the life of a WebSocket (RFC 6455), from the handshake to the close. `GET /call/{token}/ws` is the same for a guest to one call,
//! who is told nothing but of that call and can say nothing else.
//!
//! One task a connection, one loop: it reads a frame, lets the system it is for handle it, and says what that answers. What
//! others have to tell the client goes past this task: whoever publishes pushes into the connection's outlet, which a shard
//! writes. During a replay the outlet is corked, so a replay is written before what happened after it.

use super::{Systems, socket::Socket};
use crate::{
    calls::server::guests,
    model::{CallId, ClientId, Seq, limits, room::RoomSummary, user::Person},
    protocol::{
        SUBPROTOCOL,
        close::CloseCode,
        failure::Failure,
        ws::{ClientFrame, ErrorCode, RoomCursor, ServerFrame},
    },
    server::{
        Error, Result,
        accept::{Taken, Takeover},
        clock, http,
        live::{Connection, Ended, Gone, Outlet, Piece, frame},
        metrics, session,
        store::Stream,
    },
};
use axum::{
    Extension,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use axum_extra::extract::cookie::CookieJar;
use futures::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::time::{interval, sleep, timeout};
use tungstenite::{Message, handshake, protocol};

/// How long a client may take to say hello.
const HELLO: Duration = Duration::from_secs(10);
/// How long a close may take: for what is half written, the close frame and the answer to it.
const CLOSE: Duration = Duration::from_secs(3);
/// A page that loads anew is gone for a moment; others are not told of gaps shorter than this.
const RELOAD: Duration = Duration::from_secs(3);
/// How often a crowd is told how many they are, if that changes.
const CROWD: Duration = Duration::from_secs(2);
/// Nothing heard for this many heartbeats: the client is gone. Browsers let a hidden page speak once a minute only.
const SILENT_HEARTBEATS: u32 = 6;
/// A client whose frames are refused this often has a bug, or means harm.
const MOST_ERRORS: u32 = 200;

/// The handshake: only from our own pages, only with a session, only in our subprotocol.
pub(super) async fn upgrade(
    State(systems): State<Arc<Systems>>,
    Extension(connection): Extension<Takeover>,
    request: Request,
) -> Result<Response> {
    check_origin(request.headers())?;
    let signed = session::signed(&systems.app, request.headers()).await?;
    let who = signed.map(|signed| Who {
        person: signed.person,
        token_hash: signed.session,
        guest_of: None,
    });
    accept(systems, &connection, request, session::COOKIE, who)
}

/// The handshake of a guest to a call: only with a guest's cookie, and whatever else there is does not count.
pub(super) async fn upgrade_guest(
    State(systems): State<Arc<Systems>>,
    Extension(connection): Extension<Takeover>,
    request: Request,
) -> Result<Response> {
    check_origin(request.headers())?;
    let signed = guests::signed(&systems.app, request.headers()).await?;
    let who = signed.map(|(guest, token_hash)| Who {
        person: guest.person,
        token_hash,
        guest_of: Some(guest.call),
    });
    accept(systems, &connection, request, guests::COOKIE, who)
}

/// Whose a connection is to be.
struct Who {
    person: Person,
    /// The hash of the token of their session, or of a guest's.
    token_hash: String,
    /// The call of a guest.
    guest_of: Option<CallId>,
}

fn check_origin(headers: &HeaderMap) -> Result<()> {
    if http::is_same_origin(headers) {
        return Ok(());
    }
    let reason = "Connections are taken from this site's own pages only.".to_owned();
    Err(Failure::NotAllowed { reason }.into())
}

/// Accepts the handshake of somebody, or refuses it. Whoever brings a cookie that is good no more is accepted and told so with a close code:
/// a browser does not tell its page the status of a handshake, and the page would try for ever.
fn accept(
    systems: Arc<Systems>,
    connection: &Takeover,
    request: Request,
    cookie: &str,
    who: Option<Who>,
) -> Result<Response> {
    if who.is_none()
        && CookieJar::from_headers(request.headers())
            .get(cookie)
            .is_none()
    {
        return Err(Failure::NotSignedIn.into());
    }
    if !offers_subprotocol(request.headers()) {
        return Err(Failure::invalid(format!("The subprotocol has to be {SUBPROTOCOL}.")).into());
    }
    // Checks the method, the version and the key (RFC 6455 section 4.2.1).
    let Ok(mut accepted) = handshake::server::create_response(&request.map(drop)) else {
        return Ok(not_a_handshake());
    };
    let subprotocol = HeaderValue::from_static(SUBPROTOCOL);
    accepted
        .headers_mut()
        .insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    let mut head = Vec::new();
    handshake::server::write_response(&mut head, &accepted)
        .map_err(|why| Error::Internal(why.to_string()))?;
    Ok(connection.take(move |taken| async move {
        match who {
            Some(who) => live(systems, taken, head.into(), who).await,
            None => turn_away(systems, taken, head.into()).await,
        }
    }))
}

fn offers_subprotocol(headers: &HeaderMap) -> bool {
    let offered = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok());
    offered
        .flat_map(|value| value.split(','))
        .any(|protocol| protocol.trim() == SUBPROTOCOL)
}

/// What somebody is told who opens the address in a browser, say (RFC 9110 section 15.5.22).
fn not_a_handshake() -> Response {
    let headers = [
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
    ];
    let words = "This address takes WebSocket connections only (version 13).\n";
    (axum::http::StatusCode::UPGRADE_REQUIRED, headers, words).into_response()
}

/// Says that the session has ended, and nothing else.
async fn turn_away(systems: Arc<Systems>, taken: Taken, head: Bytes) {
    let outlet = Outlet::new(&systems.app.flusher, systems.app.config.queue_bytes);
    let mut socket = Socket::new(taken, &outlet);
    let over = Ended::Closed(CloseCode::SignedOut);
    let _ = timeout(CLOSE, Box::pin(close(&mut socket, &outlet, head, over))).await;
    outlet.abandon();
}

async fn live(systems: Arc<Systems>, taken: Taken, head: Bytes, who: Who) {
    let app = &systems.app;
    let outlet = Outlet::new(&app.flusher, app.config.queue_bytes);
    let mut socket = Socket::new(taken, &outlet);
    // What only happens once is in boxes, so that the task of a connection that waits is small.
    let over = match Box::pin(greet(&systems, &mut socket, &outlet, head, who)).await {
        Ok(mut page) => {
            // A bug that panics ends this connection; the person must not stay "here" for it.
            let over = AssertUnwindSafe(page.run(&mut socket)).catch_unwind().await;
            let over = over.unwrap_or(Ended::Lost);
            let gone = how_gone(over, page.gone);
            Box::pin(leave(&page.systems, &page.connection, gone)).await;
            over
        }
        Err(over) => over,
    };
    if over == Ended::Closed(CloseCode::TooSlow) {
        app.metrics.was_slow(metrics::Live::WEBSOCKET);
    }
    // Past the time the socket is cut, which is all there is left to do.
    let _ = timeout(
        CLOSE,
        Box::pin(close(&mut socket, &outlet, Bytes::new(), over)),
    )
    .await;
    outlet.abandon();
}

/// From the end of the handshake to the end of the welcome.
async fn greet(
    systems: &Arc<Systems>,
    socket: &mut Socket,
    outlet: &Arc<Outlet>,
    head: Bytes,
    who: Who,
) -> Result<Page, Ended> {
    outlet.say(head).await?;
    let hello = timeout(HELLO, hello(socket)).await;
    let hello = hello.unwrap_or(Err(Ended::Closed(CloseCode::NoHello)))?;
    let connection = Connection::new(
        hello.client,
        who.person,
        who.token_hash,
        hello.visible,
        outlet.clone(),
    );
    let connection = connection.as_guest_of(who.guest_of);
    let mut page = Page {
        systems: systems.clone(),
        connection: Arc::new(connection),
        outlet: outlet.clone(),
        errors: 0,
        gone: Gone::ForNow,
    };
    let welcomed = AssertUnwindSafe(page.welcome(&hello.cursors))
        .catch_unwind()
        .await;
    match welcomed.unwrap_or(Err(Ended::Lost)) {
        Ok(()) => Ok(page),
        Err(over) => {
            leave(systems, &page.connection, how_gone(over, page.gone)).await;
            Err(over)
        }
    }
}

/// A page whose session has ended does not come back, however it was going.
fn how_gone(over: Ended, otherwise: Gone) -> Gone {
    if over == Ended::Closed(CloseCode::SignedOut) {
        Gone::ForGood
    } else {
        otherwise
    }
}

/// What a client begins with.
struct Hello {
    client: ClientId,
    cursors: Vec<RoomCursor>,
    visible: bool,
}

async fn hello(socket: &mut Socket) -> Result<Hello, Ended> {
    const NONE: Ended = Ended::Closed(CloseCode::NoHello);
    loop {
        let text = match socket.next().await? {
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Binary(_) | Message::Frame(_) => return Err(NONE),
            Message::Close(_) => return Err(Ended::Lost),
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
            Ok(_) | Err(_) => Err(NONE),
        };
    }
}

/// Ends the connections from which nothing is heard, and tells them how many they are. One timer each for all of them.
pub(super) async fn watch(systems: Arc<Systems>) {
    let live = &systems.app.live;
    let beat = systems.app.config.heartbeat();
    let silence = beat * SILENT_HEARTBEATS;
    let silence = i64::try_from(silence.as_millis()).unwrap_or(i64::MAX);
    let (mut due, mut crowd) = (interval(beat), interval(CROWD));
    loop {
        tokio::select! {
            _ = due.tick() => live.close_silent(clock::now().saturating_sub(silence)),
            _ = crowd.tick() => live.tell_crowd(),
        }
    }
}

/// The page's connection is gone: its calls and, if it does not come back soon, the others are told.
pub(super) async fn leave(systems: &Arc<Systems>, connection: &Arc<Connection>, gone: Gone) {
    if !systems.app.live.close(connection, gone) {
        return;
    }
    systems.calls.closed(connection, gone).await;
    let (live, person) = (systems.app.live.clone(), connection.person.clone());
    tokio::spawn(async move {
        sleep(RELOAD).await;
        live.tell_presence(&person);
    });
}

/// Sends a close frame behind what is half written, and behind `last`, and waits for the client to answer it. A client that reads on is
/// told; one that never does is dropped.
async fn close(socket: &mut Socket, outlet: &Arc<Outlet>, last: Bytes, over: Ended) {
    match over {
        // What the library answered to the client's close is in the outlet.
        Ended::Lost => outlet.farewell(Bytes::new()).await,
        Ended::Closed(code) => {
            outlet.end(code);
            let last = [last, frame::close(code)].concat();
            outlet.farewell(last.into()).await;
            // The server ends the connection as soon as the client has answered (RFC 6455 section 7.1.1). After a message that was
            // too big the answer cannot be found any more.
            while let Ok(message) = socket.next().await {
                if matches!(message, Message::Close(_)) {
                    return;
                }
            }
            socket.drain().await;
        }
    }
}

/// A page that has said hello.
struct Page {
    systems: Arc<Systems>,
    connection: Arc<Connection>,
    outlet: Arc<Outlet>,
    errors: u32,
    gone: Gone,
}

impl Page {
    /// Hears everything from now on, then says what there is and what was missed.
    async fn welcome(&mut self, cursors: &[RoomCursor]) -> Result<(), Ended> {
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

    async fn run(&mut self, socket: &mut Socket) -> Ended {
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
