//! `GET /ws`: the life of a WebSocket (RFC 6455), from the handshake to the close. `GET /call/{token}/ws` is the same for a guest to one call,
//! who is told nothing but of that call and can say nothing else.
//!
//! One task a connection, one loop: it reads a frame, lets the system it is for handle it, and says what that answers. What
//! others have to tell the client goes past this task: whoever publishes pushes into the connection's outlet, which a shard
//! writes. During a replay the outlet is corked, so a replay is written before what happened after it.

mod client_session;
mod handshake;

pub(super) use handshake::{upgrade, upgrade_guest};

use super::{Systems, websocket::WebSocketReader};
use crate::{
    model::{CallId, ClientId, user::Person},
    protocol::{
        close::CloseCode,
        ws::{ClientFrame, RoomCursor},
    },
    server::{
        clock,
        http_server::TakenSocket,
        live::{Connection, ConnectionEnd, Disconnect, SendQueue, frame},
        metrics,
    },
};
use axum::body::Bytes;
use client_session::ClientSession;
use futures::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::time::{interval, sleep, timeout};
use tungstenite::Message;

/// How long a client may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a close may take: for what is half written, the close frame and the answer to it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// A page that loads anew is gone for a moment; others are not told of gaps shorter than this.
const OFFLINE_DELAY: Duration = Duration::from_secs(3);
/// How often a crowd is told how many they are, if that changes.
const CROWD_INTERVAL: Duration = Duration::from_secs(2);
/// Nothing heard for this many heartbeats: the client is gone. Browsers let a hidden page speak once a minute only.
const MAX_MISSED_HEARTBEATS: u32 = 6;

/// Whose a connection is to be.
struct Identity {
    person: Person,
    /// The hash of the token of their session, or of a guest's.
    token_hash: String,
    /// The call of a guest.
    guest_of: Option<CallId>,
}

/// Says that the session has ended, and nothing else.
async fn reject_signed_out(systems: Arc<Systems>, taken: TakenSocket, head: Bytes) {
    let send_queue = SendQueue::new(&systems.app.flusher, systems.app.config.queue_bytes);
    let mut socket = WebSocketReader::new(taken, &send_queue);
    let over = ConnectionEnd::Closed(CloseCode::SignedOut);
    let _ = timeout(
        CLOSE_TIMEOUT,
        Box::pin(close_websocket(&mut socket, &send_queue, head, over)),
    )
    .await;
    send_queue.abort();
}

async fn run_connection(systems: Arc<Systems>, taken: TakenSocket, head: Bytes, who: Identity) {
    let app = &systems.app;
    let send_queue = SendQueue::new(&app.flusher, app.config.queue_bytes);
    let mut socket = WebSocketReader::new(taken, &send_queue);
    // What only happens once is in boxes, so that the task of a connection that waits is small.
    let end = match Box::pin(start_session(&systems, &mut socket, &send_queue, head, who)).await {
        Ok(mut session) => {
            // A bug that panics ends this connection; the person must not stay "here" for it.
            let over = AssertUnwindSafe(session.run(&mut socket))
                .catch_unwind()
                .await;
            let over = over.unwrap_or(ConnectionEnd::Disconnected);
            let disconnect = disconnect_kind(over, session.disconnect);
            Box::pin(on_disconnect(
                &session.systems,
                &session.connection,
                disconnect,
            ))
            .await;
            over
        }
        Err(over) => over,
    };
    if end == ConnectionEnd::Closed(CloseCode::TooSlow) {
        app.metrics
            .count_slow_reader(metrics::ConnectionLabels::WEBSOCKET);
    }
    // Past the time the socket is cut, which is all there is left to do.
    let _ = timeout(
        CLOSE_TIMEOUT,
        Box::pin(close_websocket(&mut socket, &send_queue, Bytes::new(), end)),
    )
    .await;
    send_queue.abort();
}

/// From the end of the handshake to the end of the welcome.
async fn start_session(
    systems: &Arc<Systems>,
    socket: &mut WebSocketReader,
    send_queue: &Arc<SendQueue>,
    head: Bytes,
    who: Identity,
) -> Result<ClientSession, ConnectionEnd> {
    send_queue.send(head).await?;
    let hello = timeout(HELLO_TIMEOUT, read_hello(socket)).await;
    let hello = hello.unwrap_or(Err(ConnectionEnd::Closed(CloseCode::NoHello)))?;
    let connection = Connection::new(
        hello.client,
        who.person,
        who.token_hash,
        hello.visible,
        send_queue.clone(),
    );
    let connection = connection.as_guest_of(who.guest_of);
    let mut session = ClientSession::new(systems.clone(), Arc::new(connection), send_queue.clone());
    let welcomed = AssertUnwindSafe(session.welcome(&hello.cursors))
        .catch_unwind()
        .await;
    match welcomed.unwrap_or(Err(ConnectionEnd::Disconnected)) {
        Ok(()) => Ok(session),
        Err(over) => {
            on_disconnect(
                systems,
                &session.connection,
                disconnect_kind(over, session.disconnect),
            )
            .await;
            Err(over)
        }
    }
}

/// A page whose session has ended does not come back, however it was going.
fn disconnect_kind(end: ConnectionEnd, otherwise: Disconnect) -> Disconnect {
    if end == ConnectionEnd::Closed(CloseCode::SignedOut) {
        Disconnect::Left
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

async fn read_hello(socket: &mut WebSocketReader) -> Result<Hello, ConnectionEnd> {
    const NO_HELLO: ConnectionEnd = ConnectionEnd::Closed(CloseCode::NoHello);
    loop {
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
            }) => Ok(Hello {
                client,
                cursors,
                visible,
            }),
            Ok(_) | Err(_) => Err(NO_HELLO),
        };
    }
}

/// Ends the connections from which nothing is heard, and tells them how many they are. One timer each for all of them.
pub(super) async fn run_timers(systems: Arc<Systems>) {
    let live = &systems.app.connections;
    let beat = systems.app.config.heartbeat_interval();
    let silence = beat * MAX_MISSED_HEARTBEATS;
    let silence = i64::try_from(silence.as_millis()).unwrap_or(i64::MAX);
    let (mut due, mut crowd) = (interval(beat), interval(CROWD_INTERVAL));
    loop {
        tokio::select! {
            _ = due.tick() => live.close_silent(clock::now().saturating_sub(silence)),
            _ = crowd.tick() => live.publish_crowd(),
        }
    }
}

/// The page's connection is gone: its calls and, if it does not come back soon, the others are told.
pub(super) async fn on_disconnect(
    systems: &Arc<Systems>,
    connection: &Arc<Connection>,
    disconnect: Disconnect,
) {
    if !systems.app.connections.unregister(connection, disconnect) {
        return;
    }
    systems
        .calls
        .on_client_disconnected(connection, disconnect)
        .await;
    let (live, person) = (systems.app.connections.clone(), connection.person.clone());
    tokio::spawn(async move {
        sleep(OFFLINE_DELAY).await;
        live.publish_presence(&person);
    });
}

/// Sends a close frame behind what is half written, and behind `last`, and waits for the client to answer it. A client that reads on is
/// told; one that never does is dropped.
async fn close_websocket(
    socket: &mut WebSocketReader,
    send_queue: &Arc<SendQueue>,
    last: Bytes,
    end: ConnectionEnd,
) {
    match end {
        // What the library answered to the client's close is in the outlet.
        ConnectionEnd::Disconnected => send_queue.finish(Bytes::new()).await,
        ConnectionEnd::Closed(code) => {
            send_queue.close(code);
            let last = [last, frame::encode_close(code)].concat();
            send_queue.finish(last.into()).await;
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
