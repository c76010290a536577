//! `GET /ws`: lifecycle of a WebSocket (RFC 6455). `GET /call/{token}/ws` is the same for guests, limited to one call.
//!
//! One task per connection reads frames and sends the replies. Publishers push directly to the send queue, which is corked during a replay.

mod client_session;
mod frame_head;
mod handshake;

#[cfg(any(test, feature = "fuzzing"))]
pub(super) use client_session::read_frame;
pub(super) use handshake::{upgrade, upgrade_guest};

use super::{Systems, websocket::WebSocketReader};
use crate::{
    model::{CallId, ClientId, user::Person},
    protocol::{
        close::{CLOSE_TIMEOUT, CloseCode},
        ws::{ClientFrame, FrameReference, RoomCursor},
    },
    server::{
        http_server::TakenSocket,
        live::{Connection, ConnectionEnd, Disconnect, Incarnation, SendQueue, frame},
        metrics,
        rate_limit::Place,
        task,
    },
};
use axum::body::Bytes;
use client_session::ClientSession;
use frame_head::read_reference;
use futures::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::time::{interval, sleep, timeout};
use tungstenite::Message;

const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// No browser sends any.
const MAX_CONTROL_FRAMES_BEFORE_HELLO: usize = 16;
/// What a client may have sent before it reads the close frame.
const MAX_MESSAGES_AFTER_CLOSE: usize = 1_024;
/// Hides page reloads.
const OFFLINE_DELAY: Duration = Duration::from_secs(3);
const CROWD_INTERVAL: Duration = Duration::from_secs(2);
/// Hidden pages' timers may fire only once a minute.
const MAX_MISSED_HEARTBEATS: u32 = 6;

pub(super) struct Identity {
    pub(super) person: Person,
    pub(super) token_hash: String,
    /// None for a user.
    pub(super) guest_of: Option<CallId>,
}

/// Closes a connection that has just been accepted.
pub(super) async fn reject(
    systems: Arc<Systems>,
    taken: TakenSocket,
    head: Bytes,
    code: CloseCode,
) {
    let send_queue = SendQueue::new(&systems.app.flusher, systems.app.config.queue_bytes);
    let mut socket = WebSocketReader::new(taken, &send_queue);
    let over = ConnectionEnd::Closed(code);
    let _ = timeout(
        CLOSE_TIMEOUT,
        Box::pin(close_websocket(&mut socket, &send_queue, head, over)),
    )
    .await;
    send_queue.abort();
}

pub(super) async fn run_connection(
    systems: Arc<Systems>,
    taken: TakenSocket,
    head: Bytes,
    who: Identity,
    _place: Place,
) {
    let app = &systems.app;
    let send_queue = SendQueue::new(&app.flusher, app.config.queue_bytes);
    let mut socket = WebSocketReader::new(taken, &send_queue);
    // Boxed, so that an idle connection's task stays small.
    let end = match Box::pin(start_session(&systems, &mut socket, &send_queue, head, who)).await {
        Ok(mut session) => {
            // After a panic the person must not remain online.
            let over = AssertUnwindSafe(session.run(&mut socket))
                .catch_unwind()
                .await;
            let over = over.unwrap_or(ConnectionEnd::Disconnected);
            let disconnect = disconnect_kind(over, session.disconnect);
            on_disconnect(&session.systems, &session.connection, disconnect);
            over
        }
        Err(over) => over,
    };
    if end == ConnectionEnd::Closed(CloseCode::TooSlow) {
        app.metrics
            .count_slow_reader(metrics::ConnectionLabels::WEBSOCKET);
    }
    // A timeout shuts the socket down without a close handshake.
    let _ = timeout(
        CLOSE_TIMEOUT,
        Box::pin(close_websocket(&mut socket, &send_queue, Bytes::new(), end)),
    )
    .await;
    send_queue.abort();
}

async fn start_session(
    systems: &Arc<Systems>,
    socket: &mut WebSocketReader,
    send_queue: &Arc<SendQueue>,
    head: Bytes,
    who: Identity,
) -> Result<ClientSession, ConnectionEnd> {
    send_queue.send(head).await?;
    let hello = timeout(HELLO_TIMEOUT, read_hello(socket)).await;
    // A stalled network delays the hello too, so the client may retry.
    let hello = hello.unwrap_or(Err(ConnectionEnd::Closed(CloseCode::HeartbeatTimeout)))?;
    let connection = Connection::new(
        hello.client,
        who.person,
        who.token_hash,
        hello.visible,
        send_queue.clone(),
    );
    let connection = connection
        .as_guest_of(who.guest_of)
        .in_incarnation(Incarnation(Some(hello.incarnation)));
    let mut session = ClientSession::new(systems.clone(), Arc::new(connection), send_queue.clone());
    let welcomed = AssertUnwindSafe(session.welcome(&hello.cursors, hello.reference))
        .catch_unwind()
        .await;
    match welcomed.unwrap_or(Err(ConnectionEnd::Disconnected)) {
        Ok(()) => Ok(session),
        Err(over) => {
            let disconnect = disconnect_kind(over, session.disconnect);
            on_disconnect(systems, &session.connection, disconnect);
            Err(over)
        }
    }
}

/// A client whose session has ended does not return.
fn disconnect_kind(end: ConnectionEnd, otherwise: Disconnect) -> Disconnect {
    if end == ConnectionEnd::Closed(CloseCode::SignedOut) {
        Disconnect::Left
    } else {
        otherwise
    }
}

struct Hello {
    client: ClientId,
    cursors: Vec<RoomCursor>,
    visible: bool,
    incarnation: u32,
    reference: Option<FrameReference>,
}

async fn read_hello(socket: &mut WebSocketReader) -> Result<Hello, ConnectionEnd> {
    const NO_HELLO: ConnectionEnd = ConnectionEnd::Closed(CloseCode::NoHello);
    for _ in 0..=MAX_CONTROL_FRAMES_BEFORE_HELLO {
        let text = match socket.next().await? {
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Binary(_) | Message::Frame(_) => return Err(NO_HELLO),
            Message::Close(_) => return Err(ConnectionEnd::Disconnected),
        };
        return match serde_json::from_str(&text) {
            Ok(ClientFrame::Hello {
                client,
                cursors,
                visible,
                incarnation,
            }) => Ok(Hello {
                client,
                cursors,
                visible,
                incarnation,
                reference: read_reference(&text),
            }),
            Ok(_) | Err(_) => Err(NO_HELLO),
        };
    }
    Err(NO_HELLO)
}

pub(super) async fn run_timers(systems: Arc<Systems>) {
    let live = &systems.app.connections;
    let beat = systems.app.config.heartbeat_interval();
    let silence = beat * MAX_MISSED_HEARTBEATS;
    let (mut due, mut crowd) = (interval(beat), interval(CROWD_INTERVAL));
    loop {
        tokio::select! {
            biased;
            _ = due.tick() => live.close_silent(silence),
            _ = crowd.tick() => live.publish_crowd(),
        }
    }
}

/// Publishes presence after a delay. Never waits.
pub(super) fn on_disconnect(
    systems: &Arc<Systems>,
    connection: &Arc<Connection>,
    disconnect: Disconnect,
) {
    if !systems.app.connections.unregister(connection, disconnect) {
        return;
    }
    systems.calls.on_client_disconnected(connection, disconnect);
    let (live, person) = (systems.app.connections.clone(), connection.person.clone());
    task::spawn(async move {
        sleep(OFFLINE_DELAY).await;
        live.publish_presence(&person);
    });
}

/// Sends `last` and a close frame, and awaits the client's (RFC 6455 section 7.1.1), up to the caller's timeout. A client that goes on sending
/// is cut off earlier.
async fn close_websocket(
    socket: &mut WebSocketReader,
    send_queue: &Arc<SendQueue>,
    last: Bytes,
    end: ConnectionEnd,
) {
    match end {
        // The queue holds the library's close reply.
        ConnectionEnd::Disconnected => send_queue.finish(Bytes::new()).await,
        ConnectionEnd::Closed(code) => {
            send_queue.close(code);
            let last = [last, frame::encode_close(code)].concat();
            send_queue.finish(last.into()).await;
            // After a message that is too big, the parser may not be asked.
            if code == CloseCode::TooBig || !await_close_frame(socket).await {
                socket.drain().await;
            }
        }
    }
}

/// Reads up to the client's close frame, or as many messages as it may have sent before it received ours. False after an invalid one.
async fn await_close_frame(socket: &mut WebSocketReader) -> bool {
    for _ in 0..MAX_MESSAGES_AFTER_CLOSE {
        match socket.next().await {
            Ok(Message::Close(_)) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    // The socket is closed under a client that goes on.
    true
}
