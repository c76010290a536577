//! A WebSocket client of the chat.

use super::{Browser, WAIT_TIMEOUT, client_id, message_id, with_timeout};
use futures::{SinkExt, StreamExt};
use rialto::{
    model::{
        ClientId, Cursor, MessageId, Millis, RoomId, Seq,
        limits::Limits,
        message::{Content, Message, MessageText, RoomEvent},
        room::RoomSummary,
        user::{Person, PersonalSettings, Presence},
    },
    protocol::{
        SUBPROTOCOL,
        upload::Chunk,
        ws::{ClientFrame, ErrorCode, PersonPresence, RoomCursor, ServerFrame},
    },
};
use std::collections::VecDeque;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message as WsMessage,
        client::IntoClientRequest,
        handshake::client::{Request, Response},
        protocol::{
            CloseFrame,
            frame::{Frame, coding::CloseCode},
        },
    },
};

#[derive(Clone)]
pub(crate) struct HelloFrame {
    pub(crate) client: ClientId,
    pub(crate) cursors: Vec<RoomCursor>,
    pub(crate) visible: bool,
    pub(crate) incarnation: u32,
}

impl Default for HelloFrame {
    fn default() -> Self {
        Self {
            client: client_id(),
            cursors: Vec::new(),
            visible: true,
            incarnation: 0,
        }
    }
}

impl HelloFrame {
    /// Resumes a room after this cursor.
    pub(crate) fn with_cursor(room: RoomId, cursor: Cursor) -> Self {
        Self {
            cursors: vec![RoomCursor { room, cursor }],
            ..Self::default()
        }
    }
}

/// Of `welcome` and the first `people`.
#[derive(Debug)]
pub(crate) struct Welcome {
    pub(crate) user: Person,
    pub(crate) rooms: Vec<RoomSummary>,
    pub(crate) people: Vec<PersonPresence>,
    pub(crate) settings: PersonalSettings,
    pub(crate) limits: Limits,
    pub(crate) heartbeat: u32,
    pub(crate) build: String,
}

pub(crate) struct WsClient {
    socket: WebSocketStream<TcpStream>,
    welcome: Option<Welcome>,
    /// Printed when a test fails.
    received: Vec<ServerFrame>,
    /// Skipped while waiting for an acknowledgement; read before the socket.
    deferred: VecDeque<ServerFrame>,
}

/// For `/ws`, with this browser's cookies.
pub(crate) fn handshake_request(browser: &Browser) -> Request {
    handshake_request_at(browser, "/ws")
}

pub(crate) fn handshake_request_at(browser: &Browser, path: &str) -> Request {
    let mut request = format!("ws://{}{path}", browser.address())
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("origin", browser.url("").parse().unwrap());
    headers.insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
    if let Some(cookie) = browser.cookie_at(path) {
        headers.insert("cookie", cookie);
    }
    request
}

/// The server may refuse.
pub(crate) async fn upgrade(
    request: Request,
    stream: TcpStream,
) -> Result<(WebSocketStream<TcpStream>, Response), Error> {
    with_timeout("the opening handshake", client_async(request, stream)).await
}

/// `None` when the handshake is accepted.
pub(crate) async fn handshake_error_status(request: Request) -> Option<u16> {
    let address = request.uri().authority().unwrap().as_str().to_owned();
    let stream = TcpStream::connect(address).await.unwrap();
    match upgrade(request, stream).await {
        Ok(_) => None,
        Err(Error::Http(response)) => Some(response.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

impl WsClient {
    /// Sends no `hello`.
    pub(crate) async fn open_socket(browser: &Browser) -> Self {
        Self::try_open_socket(browser).await.unwrap()
    }

    /// As [`Self::open_socket`], which may be refused.
    pub(crate) async fn try_open_socket(browser: &Browser) -> Result<Self, Error> {
        let stream = TcpStream::connect(browser.address()).await?;
        stream.set_nodelay(true)?;
        Self::open_socket_over(browser, stream).await
    }

    /// Another path, as a call guest.
    pub(crate) async fn open_socket_at(browser: &Browser, path: &str) -> Self {
        let stream = TcpStream::connect(browser.address()).await.unwrap();
        let (socket, _) = upgrade(handshake_request_at(browser, path), stream)
            .await
            .unwrap();
        Self::from_socket(socket)
    }

    pub(crate) async fn open_socket_over(
        browser: &Browser,
        stream: TcpStream,
    ) -> Result<Self, Error> {
        let (socket, _) = upgrade(handshake_request(browser), stream).await?;
        Ok(Self::from_socket(socket))
    }

    pub(crate) fn from_socket(socket: WebSocketStream<TcpStream>) -> Self {
        Self {
            socket,
            welcome: None,
            received: Vec::new(),
            deferred: VecDeque::new(),
        }
    }

    /// Waits for `welcome` and `people`.
    pub(crate) async fn exchange_hello(&mut self, hello: HelloFrame) {
        self.send_hello(hello).await;
        let mut welcome = self
            .wait_for(|frame| match frame.clone() {
                ServerFrame::Welcome {
                    user,
                    rooms,
                    limits,
                    settings,
                    heartbeat_ms: heartbeat,
                    build,
                    ..
                } => Some(Welcome {
                    user,
                    rooms,
                    people: Vec::new(),
                    settings,
                    limits,
                    heartbeat,
                    build,
                }),
                _ => None,
            })
            .await;
        welcome.people = self
            .wait_for(|frame| match frame {
                ServerFrame::People { people } => Some(people.clone()),
                _ => None,
            })
            .await;
        self.welcome = Some(welcome);
    }

    pub(crate) async fn send_hello(&mut self, hello: HelloFrame) {
        let HelloFrame {
            client,
            cursors,
            visible,
            incarnation,
        } = hello;
        self.send(&ClientFrame::Hello {
            client,
            cursors,
            visible,
            incarnation,
        })
        .await;
    }

    pub(crate) fn welcome(&self) -> &Welcome {
        self.welcome.as_ref().expect("the server sent welcome")
    }

    /// From `welcome`.
    pub(crate) fn me(&self) -> &Person {
        &self.welcome().user
    }

    /// From `welcome`.
    pub(crate) fn settings(&self) -> &PersonalSettings {
        &self.welcome().settings
    }

    /// Of `welcome`, by slug.
    pub(crate) fn room(&self, slug: &str) -> &RoomSummary {
        let rooms = &self.welcome().rooms;
        rooms
            .iter()
            .find(|room| room.slug == slug)
            .unwrap_or_else(|| panic!("no room {slug} in {rooms:#?}"))
    }

    /// The room `general` always exists.
    pub(crate) fn general(&self) -> RoomId {
        self.room("general").id
    }

    pub(crate) async fn send(&mut self, frame: &ClientFrame) {
        self.send_text(&serde_json::to_string(frame).unwrap()).await;
    }

    /// False when the connection is closed.
    pub(crate) async fn try_send(&mut self, frame: &ClientFrame) -> bool {
        let text = WsMessage::text(serde_json::to_string(frame).unwrap());
        with_timeout("a send", self.socket.send(text)).await.is_ok()
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        with_timeout("a send", self.socket.send(WsMessage::text(text)))
            .await
            .unwrap();
    }

    pub(crate) async fn send_binary(&mut self, bytes: Vec<u8>) {
        with_timeout("a send", self.socket.send(WsMessage::binary(bytes)))
            .await
            .unwrap();
    }

    /// Possibly invalid.
    pub(crate) async fn send_raw_frame(&mut self, frame: Frame) {
        with_timeout("a send", self.socket.send(WsMessage::Frame(frame)))
            .await
            .unwrap();
    }

    pub(crate) async fn send_chunk(&mut self, id: MessageId, offset: u64, data: &[u8]) {
        self.send_binary(Chunk { id, offset, data }.encode()).await;
    }

    /// False when the connection is closed.
    pub(crate) async fn try_send_chunk(&mut self, id: MessageId, data: &[u8]) -> bool {
        let chunk = WsMessage::binary(
            Chunk {
                id,
                offset: 0,
                data,
            }
            .encode(),
        );
        with_timeout("a send", self.socket.send(chunk))
            .await
            .is_ok()
    }

    /// An error with the close frame, if any, when the connection is closed.
    pub(crate) async fn next_frame(&mut self) -> Result<ServerFrame, Option<CloseFrame>> {
        if let Some(frame) = self.deferred.pop_front() {
            return Ok(frame);
        }
        loop {
            match self.socket.next().await {
                Some(Ok(WsMessage::Text(text))) => {
                    let frame: ServerFrame =
                        serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why} in {text}"));
                    self.received.push(frame.clone());
                    return Ok(frame);
                }
                Some(Ok(WsMessage::Close(why))) => return Err(why),
                Some(Ok(
                    WsMessage::Ping(_)
                    | WsMessage::Pong(_)
                    | WsMessage::Binary(_)
                    | WsMessage::Frame(_),
                )) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// Skips frames until `wanted` returns a value.
    pub(crate) async fn wait_for<T>(
        &mut self,
        mut wanted: impl FnMut(&ServerFrame) -> Option<T>,
    ) -> T {
        let waiting = async {
            loop {
                let frame = self
                    .next_frame()
                    .await
                    .map_err(|why| format!("the connection was closed: {why:?}"))?;
                if let Some(found) = wanted(&frame) {
                    return Ok(found);
                }
            }
        };
        let found = tokio::time::timeout(WAIT_TIMEOUT, waiting).await;
        match found.unwrap_or_else(|_| Err(format!("no matching frame within {WAIT_TIMEOUT:?}"))) {
            Ok(found) => found,
            Err(why) => panic!("{why}; received: {:#?}", self.received),
        }
    }

    /// Skips the frames before.
    pub(crate) async fn expect_close(&mut self) -> (u16, String) {
        let closing = async {
            loop {
                if let Err(why) = self.next_frame().await {
                    return why;
                }
            }
        };
        match with_timeout("the server closes", closing).await {
            Some(why) => (why.code.into(), why.reason.to_string()),
            None => panic!(
                "the connection ended without a close frame; received: {:#?}",
                self.received
            ),
        }
    }

    /// The frames before the server's close frame can still be read.
    pub(crate) async fn close_with(&mut self, code: CloseCode) {
        let reason = "".into();
        let frame = CloseFrame { code, reason };
        self.socket.close(Some(frame)).await.unwrap();
    }

    /// The bytes of the connection, for a client that breaks its rules.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.socket.into_inner()
    }

    /// As a page that is closed.
    pub(crate) async fn close(mut self) {
        // It may already be closed.
        let _ = self.socket.close(None).await;
    }

    /// Every frame before the pong of a ping.
    pub(crate) async fn frames_until_pong(&mut self) -> Vec<ServerFrame> {
        let n = u32::try_from(self.received.len()).unwrap();
        self.send(&ClientFrame::Ping { n }).await;
        let before = self.received.len();
        self.wait_for(|frame| {
            matches!(frame, ServerFrame::Pong { n: pong } if *pong == n).then_some(())
        })
        .await;
        self.received[before..self.received.len() - 1].to_vec()
    }

    /// Waits for the acknowledgement.
    pub(crate) async fn send_message(&mut self, room: RoomId, text: &str) -> Seq {
        let id = message_id();
        self.send(&message_frame(id, room, text)).await;
        self.wait_for_ack(id).await.0
    }

    /// Sequence and time. Skipped frames stay readable: acknowledgement and event arrive in either order.
    pub(crate) async fn wait_for_ack(&mut self, wanted: MessageId) -> (Seq, Millis) {
        let mut passed = VecDeque::new();
        let sent = self
            .wait_for(|frame| match frame {
                ServerFrame::Sent { id, seq, at, .. } if *id == wanted => Some((*seq, *at)),
                ServerFrame::Refused(refusal) if refusal.id == Some(wanted) => {
                    panic!("{refusal:?}")
                }
                _ => {
                    passed.push_back(frame.clone());
                    None
                }
            })
            .await;
        passed.append(&mut self.deferred);
        self.deferred = passed;
        sent
    }

    /// Of a message or an upload.
    pub(crate) async fn wait_for_refusal(&mut self, wanted: MessageId) -> (ErrorCode, String) {
        self.wait_for(|frame| match frame {
            ServerFrame::Refused(refusal) if refusal.id == Some(wanted) => {
                Some((refusal.code, refusal.reason.clone()))
            }
            ServerFrame::Sent { id, .. } if *id == wanted => panic!("accepted: {frame:?}"),
            _ => None,
        })
        .await
    }

    pub(crate) async fn wait_for_error(&mut self) -> (ErrorCode, String) {
        self.wait_for(|frame| match frame {
            ServerFrame::Error(refusal) => Some((refusal.code, refusal.reason.clone())),
            _ => None,
        })
        .await
    }

    pub(crate) async fn next_message(&mut self, wanted: RoomId) -> Message {
        self.wait_for(|frame| as_message_in(frame, wanted).cloned())
            .await
    }

    /// The next message with exactly this text.
    pub(crate) async fn wait_for_text(&mut self, text: &str) -> Message {
        self.wait_for(|frame| {
            as_message(frame)
                .filter(|message| text_of(message) == text)
                .cloned()
        })
        .await
    }

    pub(crate) async fn next_presence_of(&mut self, who: &Person) -> Presence {
        self.wait_for(|frame| {
            let present = as_presence(frame).filter(|present| present.person.id == who.id);
            present.map(|present| present.presence)
        })
        .await
    }
}

pub(crate) fn message_frame(id: MessageId, room: RoomId, text: &str) -> ClientFrame {
    ClientFrame::Send {
        id,
        room,
        text: MessageText::new(text).unwrap(),
    }
}

pub(crate) fn as_message(frame: &ServerFrame) -> Option<&Message> {
    match frame {
        ServerFrame::Event {
            event: RoomEvent::Message { message },
            ..
        } => Some(message),
        _ => None,
    }
}

pub(crate) fn as_presence(frame: &ServerFrame) -> Option<&PersonPresence> {
    match frame {
        ServerFrame::Presence { entry: present } => Some(present),
        _ => None,
    }
}

fn as_message_in(frame: &ServerFrame, room: RoomId) -> Option<&Message> {
    as_message(frame).filter(|message| message.room == room)
}

/// Empty for any other content.
pub(crate) fn text_of(message: &Message) -> &str {
    match &message.content {
        Content::Text { text } => text.as_str(),
        Content::File { .. } | Content::Call { .. } | Content::GroupCall { .. } => "",
    }
}
