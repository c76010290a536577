//! `GET /ws`: the life of a WebSocket (RFC 6455), from the handshake to the close. `GET /call/{token}/ws` is the same for a guest to one call,
//! who is told nothing but of that call and can say nothing else.
//!
//! One task a connection, one loop: it reads a frame, lets the system it is for handle it, and says what that answers. What
//! others have to tell the client goes past this task: whoever publishes pushes into the connection's outlet, which a shard
//! writes. During a replay the outlet is corked, so a replay is written before what happened after it.

mod handshake;
mod page;

pub(super) use handshake::{upgrade, upgrade_guest};

use super::{Systems, socket::Socket};
use crate::{
    model::{CallId, ClientId, user::Person},
    protocol::{
        close::CloseCode,
        ws::{ClientFrame, RoomCursor},
    },
    server::{
        accept::Taken,
        clock,
        live::{Connection, Ended, Gone, Outlet, frame},
        metrics,
    },
};
use axum::body::Bytes;
use futures::FutureExt;
use page::Page;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::time::{interval, sleep, timeout};
use tungstenite::Message;

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

/// Whose a connection is to be.
struct Who {
    person: Person,
    /// The hash of the token of their session, or of a guest's.
    token_hash: String,
    /// The call of a guest.
    guest_of: Option<CallId>,
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
    let mut page = Page::new(systems.clone(), Arc::new(connection), outlet.clone());
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
