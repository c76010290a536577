//! A WebSocket, as a page holds it.

use super::{PATIENCE, Person, client_id, message_id, within};
use futures::{SinkExt, StreamExt};
use rialto::{
    model::{
        ClientId, Cursor, MessageId, Millis, RoomId, Seq,
        limits::Limits,
        message::{Content, Message, MessageText, RoomEvent},
        room::RoomSummary,
        user::{Person as Shown, Presence},
    },
    protocol::{
        SUBPROTOCOL,
        upload::Chunk,
        ws::{ClientFrame, ErrorCode, Present, RoomCursor, ServerFrame},
    },
};
use std::collections::VecDeque;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message as Wire,
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
pub(crate) struct Greeting {
    pub(crate) client: ClientId,
    pub(crate) cursors: Vec<RoomCursor>,
    pub(crate) visible: bool,
}

impl Default for Greeting {
    fn default() -> Self {
        Self {
            client: client_id(),
            cursors: Vec::new(),
            visible: true,
        }
    }
}

impl Greeting {
    /// A page that holds a room's messages up to here.
    pub(crate) fn from(room: RoomId, cursor: Cursor) -> Self {
        Self {
            cursors: vec![RoomCursor { room, cursor }],
            ..Self::default()
        }
    }
}

/// What a page was welcomed with.
#[derive(Debug)]
pub(crate) struct Welcome {
    pub(crate) user: Shown,
    pub(crate) rooms: Vec<RoomSummary>,
    pub(crate) people: Vec<Present>,
    pub(crate) limits: Limits,
    pub(crate) heartbeat: u32,
    pub(crate) build: String,
}

/// A page's WebSocket.
pub(crate) struct Page {
    socket: WebSocketStream<TcpStream>,
    welcome: Option<Welcome>,
    /// Every frame so far, for whoever has to find out why a test failed.
    heard: Vec<ServerFrame>,
    /// What was passed over while waiting for an acknowledgement: to be listened to next.
    passed: VecDeque<ServerFrame>,
}

/// The handshake that a page of this person's makes.
pub(crate) fn handshake(person: &Person) -> Request {
    handshake_at(person, "/ws")
}

/// The handshake that a page makes there.
pub(crate) fn handshake_at(person: &Person, path: &str) -> Request {
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
    within("the handshake", client_async(request, stream)).await
}

/// The status with which a handshake is refused; none when it is accepted.
pub(crate) async fn refusal(request: Request) -> Option<u16> {
    let address = request.uri().authority().unwrap().as_str().to_owned();
    let stream = TcpStream::connect(address).await.unwrap();
    match upgrade(request, stream).await {
        Ok(_) => None,
        Err(Error::Http(answer)) => Some(answer.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

impl Page {
    /// Connects, and does not say hello.
    pub(crate) async fn dial(person: &Person) -> Self {
        Self::try_dial(person).await.unwrap()
    }

    /// Connects, and does not say hello; an error when nobody listens.
    pub(crate) async fn try_dial(person: &Person) -> Result<Self, Error> {
        let stream = TcpStream::connect(person.address()).await?;
        stream.set_nodelay(true)?;
        Self::over(person, stream).await
    }

    /// Connects somewhere else, as a guest to a call does.
    pub(crate) async fn dial_at(person: &Person, path: &str) -> Self {
        let stream = TcpStream::connect(person.address()).await.unwrap();
        let (socket, _) = upgrade(handshake_at(person, path), stream).await.unwrap();
        Self::of(socket)
    }

    /// The same over a connection of one's own.
    pub(crate) async fn over(person: &Person, stream: TcpStream) -> Result<Self, Error> {
        let (socket, _) = upgrade(handshake(person), stream).await?;
        Ok(Self::of(socket))
    }

    /// A page over a socket that has been upgraded.
    pub(crate) fn of(socket: WebSocketStream<TcpStream>) -> Self {
        Self {
            socket,
            welcome: None,
            heard: Vec::new(),
            passed: VecDeque::new(),
        }
    }

    /// Says hello and waits for the welcome.
    pub(crate) async fn greet(&mut self, greeting: Greeting) {
        self.hello(greeting).await;
        let mut welcome = self
            .until(|frame| match frame.clone() {
                ServerFrame::Welcome {
                    user,
                    rooms,
                    limits,
                    heartbeat,
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
            .until(|frame| match frame {
                ServerFrame::People { people } => Some(people.clone()),
                _ => None,
            })
            .await;
        self.welcome = Some(welcome);
    }

    /// Says hello.
    pub(crate) async fn hello(&mut self, greeting: Greeting) {
        let Greeting {
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
    pub(crate) fn me(&self) -> &Shown {
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
        let text = Wire::text(serde_json::to_string(frame).unwrap());
        within("a send", self.socket.send(text)).await.is_ok()
    }

    /// Anything at all, as a text frame.
    pub(crate) async fn send_text(&mut self, text: &str) {
        within("a send", self.socket.send(Wire::text(text)))
            .await
            .unwrap();
    }

    /// Anything at all, as a binary frame.
    pub(crate) async fn send_bytes(&mut self, bytes: Vec<u8>) {
        within("a send", self.socket.send(Wire::binary(bytes)))
            .await
            .unwrap();
    }

    /// A frame that need not be one.
    pub(crate) async fn send_frame(&mut self, frame: Frame) {
        within("a send", self.socket.send(Wire::Frame(frame)))
            .await
            .unwrap();
    }

    pub(crate) async fn send_chunk(&mut self, id: MessageId, offset: u64, data: &[u8]) {
        self.send_bytes(Chunk { id, offset, data }.encode()).await;
    }

    /// The next frame; none when the connection is over.
    pub(crate) async fn listen(&mut self) -> Result<ServerFrame, Option<CloseFrame>> {
        if let Some(frame) = self.passed.pop_front() {
            return Ok(frame);
        }
        loop {
            match self.socket.next().await {
                Some(Ok(Wire::Text(text))) => {
                    let frame: ServerFrame =
                        serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why} in {text}"));
                    self.heard.push(frame.clone());
                    return Ok(frame);
                }
                Some(Ok(Wire::Close(why))) => return Err(why),
                Some(Ok(Wire::Ping(_) | Wire::Pong(_) | Wire::Binary(_) | Wire::Frame(_))) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// Passes over frames until there is one that something can be made of.
    pub(crate) async fn until<T>(
        &mut self,
        mut wanted: impl FnMut(&ServerFrame) -> Option<T>,
    ) -> T {
        let waiting = async {
            loop {
                let frame = self
                    .listen()
                    .await
                    .map_err(|why| format!("the connection was closed: {why:?}"))?;
                if let Some(found) = wanted(&frame) {
                    return Ok(found);
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        match found.unwrap_or_else(|_| Err(format!("nothing that fits within {PATIENCE:?}"))) {
            Ok(found) => found,
            Err(why) => panic!("{why}; heard: {:#?}", self.heard),
        }
    }

    /// The code and reason with which the server closes, whatever it still says before.
    pub(crate) async fn expect_close(&mut self) -> (u16, String) {
        let closing = async {
            loop {
                if let Err(why) = self.listen().await {
                    return why;
                }
            }
        };
        match within("the server closes", closing).await {
            Some(why) => (why.code.into(), why.reason.to_string()),
            None => panic!(
                "the connection broke without a close frame; heard: {:#?}",
                self.heard
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
    pub(crate) async fn leave(mut self) {
        // Whoever leaves does not care whether it was heard.
        let _ = self.socket.close(None).await;
    }

    /// Everything that the server has to say by now: what comes before the answer to a ping.
    pub(crate) async fn all_so_far(&mut self) -> Vec<ServerFrame> {
        let n = u32::try_from(self.heard.len()).unwrap();
        self.send(&ClientFrame::Ping { n }).await;
        let before = self.heard.len();
        self.until(|frame| {
            matches!(frame, ServerFrame::Pong { n: pong } if *pong == n).then_some(())
        })
        .await;
        self.heard[before..self.heard.len() - 1].to_vec()
    }

    /// Sends a message and waits until it is committed.
    pub(crate) async fn say(&mut self, room: RoomId, text: &str) -> Seq {
        let id = message_id();
        self.send(&send(id, room, text)).await;
        self.sent(id).await.0
    }

    /// Where and when a message was committed. What is heard before is there to be listened to afterwards: the acknowledgement
    /// and the event of a message come in either order.
    pub(crate) async fn sent(&mut self, wanted: MessageId) -> (Seq, Millis) {
        let mut passed = VecDeque::new();
        let sent = self
            .until(|frame| match frame {
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
        passed.append(&mut self.passed);
        self.passed = passed;
        sent
    }

    /// Why a message or a file was refused.
    pub(crate) async fn refused(&mut self, wanted: MessageId) -> (ErrorCode, String) {
        self.until(|frame| match frame {
            ServerFrame::Refused { id, code, reason } if *id == wanted => {
                Some((*code, reason.clone()))
            }
            ServerFrame::Sent { id, .. } if *id == wanted => panic!("taken: {frame:?}"),
            _ => None,
        })
        .await
    }

    /// Why the last frame was refused.
    pub(crate) async fn error(&mut self) -> (ErrorCode, String) {
        self.until(|frame| match frame {
            ServerFrame::Error { code, reason, .. } => Some((*code, reason.clone())),
            _ => None,
        })
        .await
    }

    /// The next message in a room.
    pub(crate) async fn message(&mut self, wanted: RoomId) -> Message {
        self.until(|frame| message_in(frame, wanted).cloned()).await
    }

    /// The next message that says just this.
    pub(crate) async fn hears(&mut self, text: &str) -> Message {
        self.until(|frame| {
            message(frame)
                .filter(|message| text_of(message) == text)
                .cloned()
        })
        .await
    }

    /// What others are next told of somebody's presence.
    pub(crate) async fn presence_of(&mut self, who: &Shown) -> Presence {
        self.until(|frame| {
            let present = presence(frame).filter(|present| present.person.id == who.id);
            present.map(|present| present.presence)
        })
        .await
    }
}

/// A frame that sends a message.
pub(crate) fn send(id: MessageId, room: RoomId, text: &str) -> ClientFrame {
    ClientFrame::Send {
        id,
        room,
        text: MessageText::new(text).unwrap(),
    }
}

/// The message in an event.
pub(crate) fn message(frame: &ServerFrame) -> Option<&Message> {
    match frame {
        ServerFrame::Event {
            event: RoomEvent::Message { message },
            ..
        } => Some(message),
        _ => None,
    }
}

/// What a frame tells of somebody's presence.
pub(crate) fn presence(frame: &ServerFrame) -> Option<&Present> {
    match frame {
        ServerFrame::Presence { present } => Some(present),
        _ => None,
    }
}

fn message_in(frame: &ServerFrame, room: RoomId) -> Option<&Message> {
    message(frame).filter(|message| message.room == room)
}

/// What a message of text says.
pub(crate) fn text_of(message: &Message) -> &str {
    match &message.content {
        Content::Text { text } => text.as_str(),
        Content::File { .. } | Content::Call { .. } | Content::GroupCall { .. } => "",
    }
}
