//! A naive broadcast with Axum: `bench-axum ADDRESS` serves `POST /publish`, `GET /events` (SSE) and `GET
//! /ws`.

use std::{convert::Infallible, env};

use anyhow::{Context, Result};
use axum::{
    Router,
    extract::{
        State,
        ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    },
    response::{Response, Sse, sse::Event},
    routing::{get, post},
    serve::ListenerExt as _,
};
use futures::{Stream, stream};
use tokio::{net::TcpListener, sync::broadcast};

type Sender = broadcast::Sender<Utf8Bytes>;

async fn publish(State(sender): State<Sender>, text: String) {
    // Fails only without subscribers.
    let _nobody = sender.send(text.into());
}

async fn events(
    State(sender): State<Sender>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = stream::unfold(sender.subscribe(), async |mut receiver| {
        loop {
            match receiver.recv().await {
                Ok(text) => return Some((Ok(Event::default().data(text.as_str())), receiver)),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    });
    Sse::new(events)
}

async fn ws(State(sender): State<Sender>, upgrade: WebSocketUpgrade) -> Response {
    let receiver = sender.subscribe();
    upgrade.on_upgrade(|socket| forward(socket, receiver))
}

async fn forward(mut socket: WebSocket, mut receiver: broadcast::Receiver<Utf8Bytes>) {
    loop {
        match receiver.recv().await {
            Ok(text) => {
                if socket.send(Message::Text(text)).await.is_err() {
                    return;
                }
            }
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let address = env::args().nth(1).context("usage: bench-axum ADDRESS")?;
    let (sender, _) = broadcast::channel(1024);
    let router = Router::new()
        .route("/publish", post(publish))
        .route("/events", get(events))
        .route("/ws", get(ws))
        .with_state(sender);
    let listener = TcpListener::bind(address).await?.tap_io(|socket| {
        // Nagle's algorithm would delay messages.
        if let Err(error) = socket.set_nodelay(true) {
            eprintln!("{error}");
        }
    });
    Ok(axum::serve(listener, router).await?)
}
