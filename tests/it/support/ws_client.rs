//! A WebSocket, as a page holds it.

use super::{Browser, WAIT_TIMEOUT, client_id, message_id, with_timeout};
use futures::{SinkExt, StreamExt};
use rialto::{
    model::{
        ClientId, Cursor, MessageId, Millis, RoomId, Seq,
        limits::Limits,
        message::{Content, Message, MessageText, RoomEvent},
        room::RoomSummary,
        user::{Person, Presence},
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

/// How a page says hello.
#[derive(Clone)]
pub(crate) struct HelloFrame {
    pub(crate) client: ClientId,
    pub(crate) cursors: Vec<RoomCursor>,
    pub(crate) visible: bool,
}

impl Default for HelloFrame {
    fn default() -> Self {
        Self {
            client: client_id(),
            cursors: Vec::new(),
            visible: true,
        }
    }
}

impl HelloFrame {
    /// A page that holds a room's messages up to here.
    pub(crate) fn with_cursor(room: RoomId, cursor: Cursor) -> Self {
        Self {
            cursors: vec![RoomCursor { room, cursor }],
            ..Self::default()
        }
    }
}

/// What a page was welcomed with.
#[derive(Debug)]
pub(crate) struct Welcome {
    pub(crate) user: Person,
    pub(crate) rooms: Vec<RoomSummary>,
    pub(crate) people: Vec<PersonPresence>,
    pub(crate) limits: Limits,
    pub(crate) heartbeat: u32,
    pub(crate) build: String,
}

/// A page's WebSocket.
pub(crate) struct WsClient {
    socket: WebSocketStream<TcpStream>,
    welcome: Option<Welcome>,
    /// Every frame so far, for whoever has to find out why a test failed.
    received: Vec<ServerFrame>,
    /// What was passed over while waiting for an acknowledgement: to be listened to next.
    deferred: VecDeque<ServerFrame>,
}

/// The handshake that a page of this person's makes.
pub(crate) fn handshake_request(person: &Browser) -> Request {
    handshake_request_at(person, "/ws")
}

/// The handshake that a page makes there.
pub(crate) fn handshake_request_at(person: &Browser, path: &str) -> Request {
    let mut request = format!("ws://{}{path}", person.address())
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("origin", person.url("").parse().unwrap());
    headers.insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
    if let Some(cookie) = person.cookie_at(path) {
        headers.insert("cookie", cookie);
    }
    request
}

/// Makes a handshake, which the server may refuse.
pub(crate) async fn upgrade(
    request: Request,
    stream: TcpStream,
) -> Result<(WebSocketStream<TcpStream>, Response), Error> {
    with_timeout("the handshake", client_async(request, stream)).await
}

/// The status with which a handshake is refused; none when it is accepted.
pub(crate) async fn handshake_error_status(request: Request) -> Option<u16> {
    let address = request.uri().authority().unwrap().as_str().to_owned();
    let stream = TcpStream::connect(address).await.unwrap();
    match upgrade(request, stream).await {
        Ok(_) => None,
        Err(Error::Http(answer)) => Some(answer.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

impl WsClient {
    /// Connects, and does not say hello.
    pub(crate) async fn open_socket(person: &Browser) -> Self {
        Self::try_open_socket(person).await.unwrap()
    }

    /// Connects, and does not say hello; an error when nobody listens.
    pub(crate) async fn try_open_socket(person: &Browser) -> Result<Self, Error> {
        let stream = TcpStream::connect(person.address()).await?;
        stream.set_nodelay(true)?;
        Self::open_socket_over(person, stream).await
    }

    /// Connects somewhere else, as a guest to a call does.
    pub(crate) async fn open_socket_at(person: &Browser, path: &str) -> Self {
        let stream = TcpStream::connect(person.address()).await.unwrap();
        let (socket, _) = upgrade(handshake_request_at(person, path), stream)
            .await
            .unwrap();
        Self::from_socket(socket)
    }

    /// The same over a connection of one's own.
    pub(crate) async fn open_socket_over(
        person: &Browser,
        stream: TcpStream,
    ) -> Result<Self, Error> {
        let (socket, _) = upgrade(handshake_request(person), stream).await?;
        Ok(Self::from_socket(socket))
    }

    /// A page over a socket that has been upgraded.
    pub(crate) fn from_socket(socket: WebSocketStream<TcpStream>) -> Self {
        Self {
            socket,
            welcome: None,
            received: Vec::new(),
            deferred: VecDeque::new(),
        }
    }

    /// Says hello and waits for the welcome.
    pub(crate) async fn exchange_hello(&mut self, greeting: HelloFrame) {
        self.send_hello(greeting).await;
        let mut welcome = self
            .wait_for(|frame| match frame.clone() {
                ServerFrame::Welcome {
                    user,
                    rooms,
                    limits,
                    heartbeat_ms: heartbeat,
                    build,
                    ..
                } => Some(Welcome {
                    user,
                    rooms,
                    people: Vec::new(),
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

    /// Says hello.
    pub(crate) async fn send_hello(&mut self, greeting: HelloFrame) {
        let HelloFrame {
            client,
            cursors,
            visible,
        } = greeting;
        self.send(&ClientFrame::Hello {
            client,
            cursors,
            visible,
        })
        .await;
    }

    pub(crate) fn welcome(&self) -> &Welcome {
        self.welcome.as_ref().expect("the page was welcomed")
    }

    /// Who the server says that this page belongs to.
    pub(crate) fn me(&self) -> &Person {
        &self.welcome().user
    }

    /// A room as it was when the page was welcomed, by the last part of its address.
    pub(crate) fn room(&self, slug: &str) -> &RoomSummary {
        let rooms = &self.welcome().rooms;
        rooms
            .iter()
            .find(|room| room.slug == slug)
            .unwrap_or_else(|| panic!("no room {slug} in {rooms:#?}"))
    }

    /// The room that is always there.
    pub(crate) fn general(&self) -> RoomId {
        self.room("general").id
    }

    pub(crate) async fn send(&mut self, frame: &ClientFrame) {
        self.send_text(&serde_json::to_string(frame).unwrap()).await;
    }

    /// The same, for a connection that may be gone: false when it is.
    pub(crate) async fn try_send(&mut self, frame: &ClientFrame) -> bool {
        let text = WsMessage::text(serde_json::to_string(frame).unwrap());
        with_timeout("a send", self.socket.send(text)).await.is_ok()
    }

    /// Anything at all, as a text frame.
    pub(crate) async fn send_text(&mut self, text: &str) {
        with_timeout("a send", self.socket.send(WsMessage::text(text)))
            .await
            .unwrap();
    }

    /// Anything at all, as a binary frame.
    pub(crate) async fn send_binary(&mut self, bytes: Vec<u8>) {
        with_timeout("a send", self.socket.send(WsMessage::binary(bytes)))
            .await
            .unwrap();
    }

    /// A frame that need not be one.
    pub(crate) async fn send_raw_frame(&mut self, frame: Frame) {
        with_timeout("a send", self.socket.send(WsMessage::Frame(frame)))
            .await
            .unwrap();
    }

    pub(crate) async fn send_chunk(&mut self, id: MessageId, offset: u64, data: &[u8]) {
        self.send_binary(Chunk { id, offset, data }.encode()).await;
    }

    /// The next frame; none when the connection is over.
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

    /// Passes over frames until there is one that something can be made of.
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
        match found.unwrap_or_else(|_| Err(format!("nothing that fits within {WAIT_TIMEOUT:?}"))) {
            Ok(found) => found,
            Err(why) => panic!("{why}; heard: {:#?}", self.received),
        }
    }

    /// The code and reason with which the server closes, whatever it still says before.
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
                "the connection broke without a close frame; heard: {:#?}",
                self.received
            ),
        }
    }

    /// Begins to close the connection with a code. What is still to come can be read.
    pub(crate) async fn close_with(&mut self, code: CloseCode) {
        let reason = "".into();
        let frame = CloseFrame { code, reason };
        self.socket.close(Some(frame)).await.unwrap();
    }

    /// Closes as a page that goes away does.
    pub(crate) async fn close(mut self) {
        // Whoever leaves does not care whether it was heard.
        let _ = self.socket.close(None).await;
    }

    /// Everything that the server has to say by now: what comes before the answer to a ping.
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

    /// Sends a message and waits until it is committed.
    pub(crate) async fn send_message(&mut self, room: RoomId, text: &str) -> Seq {
        let id = message_id();
        self.send(&message_frame(id, room, text)).await;
        self.wait_for_ack(id).await.0
    }

    /// Where and when a message was committed. What is heard before is there to be listened to afterwards: the acknowledgement
    /// and the event of a message come in either order.
    pub(crate) async fn wait_for_ack(&mut self, wanted: MessageId) -> (Seq, Millis) {
        let mut passed = VecDeque::new();
        let sent = self
            .wait_for(|frame| match frame {
                ServerFrame::Sent { id, seq, at, .. } if *id == wanted => Some((*seq, *at)),
                ServerFrame::Refused { id, code, reason } if *id == wanted => {
                    panic!("refused: {code:?} {reason}")
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

    /// Why a message or a file was refused.
    pub(crate) async fn wait_for_refusal(&mut self, wanted: MessageId) -> (ErrorCode, String) {
        self.wait_for(|frame| match frame {
            ServerFrame::Refused { id, code, reason } if *id == wanted => {
                Some((*code, reason.clone()))
            }
            ServerFrame::Sent { id, .. } if *id == wanted => panic!("taken: {frame:?}"),
            _ => None,
        })
        .await
    }

    /// Why the last frame was refused.
    pub(crate) async fn wait_for_error(&mut self) -> (ErrorCode, String) {
        self.wait_for(|frame| match frame {
            ServerFrame::Error { code, reason, .. } => Some((*code, reason.clone())),
            _ => None,
        })
        .await
    }

    /// The next message in a room.
    pub(crate) async fn next_message(&mut self, wanted: RoomId) -> Message {
        self.wait_for(|frame| as_message_in(frame, wanted).cloned())
            .await
    }

    /// The next message that says just this.
    pub(crate) async fn wait_for_text(&mut self, text: &str) -> Message {
        self.wait_for(|frame| {
            as_message(frame)
                .filter(|message| text_of(message) == text)
                .cloned()
        })
        .await
    }

    /// What others are next told of somebody's presence.
    pub(crate) async fn next_presence_of(&mut self, who: &Person) -> Presence {
        self.wait_for(|frame| {
            let present = as_presence(frame).filter(|present| present.person.id == who.id);
            present.map(|present| present.presence)
        })
        .await
    }
}

/// A frame that sends a message.
pub(crate) fn message_frame(id: MessageId, room: RoomId, text: &str) -> ClientFrame {
    ClientFrame::Send {
        id,
        room,
        text: MessageText::new(text).unwrap(),
    }
}

/// The message in an event.
pub(crate) fn as_message(frame: &ServerFrame) -> Option<&Message> {
    match frame {
        ServerFrame::Event {
            event: RoomEvent::Message { message },
            ..
        } => Some(message),
        _ => None,
    }
}

/// What a frame tells of somebody's presence.
pub(crate) fn as_presence(frame: &ServerFrame) -> Option<&PersonPresence> {
    match frame {
        ServerFrame::Presence { entry: present } => Some(present),
        _ => None,
    }
}

fn as_message_in(frame: &ServerFrame, room: RoomId) -> Option<&Message> {
    as_message(frame).filter(|message| message.room == room)
}

/// What a message of text says.
pub(crate) fn text_of(message: &Message) -> &str {
    match &message.content {
        Content::Text { text } => text.as_str(),
        Content::File { .. } | Content::Call { .. } | Content::GroupCall { .. } => "",
    }
}
