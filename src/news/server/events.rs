//! `GET /news/events`: server-sent events (WHATWG HTML), resumed from a cursor.
//!
//! The session subscribes before it reads the log, so nothing is lost; the send queue drops what was
//! replayed.

use crate::{
    model::{Cursor, Epoch, Seq, limits},
    protocol::{
        close::CloseCode,
        sse::{self, Heartbeat, Hello, Resync},
    },
    server::{
        AppState, Error,
        event_log::Replay,
        http_server::{self, TakenSocket, Takeover},
        live::{
            ConnectionEnd, SendQueue,
            news_subscribers::{Filter, Subscription},
        },
        metrics,
        store::Stream,
    },
};
use axum::{
    Extension,
    body::Bytes,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval, timeout};

const FINAL_WRITE_TIMEOUT: Duration = Duration::from_secs(3);
const MAX_EPOCH_BYTES: usize = 32;
/// Sent by an `EventSource` that reconnects by itself.
const LAST_EVENT_ID_HEADER: &str = "last-event-id";

/// Empty parameters count as absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EventsQuery {
    topic: String,
    epoch: String,
    /// Only later stories are sent.
    after: String,
    /// `true` repeats heartbeats as events: scripts cannot see comments.
    beat: String,
}

pub(super) async fn events(
    State(app): State<Arc<AppState>>,
    Extension(connection): Extension<Takeover>,
    headers: HeaderMap,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Response {
    match open_session(&app, &headers, query).await {
        Ok((reader, replay)) => connection.take(|taken| reader.run(taken, replay)),
        Err(Rejection::Query(why)) => (StatusCode::BAD_REQUEST, why).into_response(),
        Err(Rejection::Failed(error)) => error.into_response(),
    }
}

/// Head and first field. No caching, no proxy buffering; the body ends with the connection (RFC 9112 section
/// 6.3).
const RESPONSE_HEAD: &str = "HTTP/1.1 200 OK\r\n\
    content-type: text/event-stream\r\n\
    cache-control: no-store\r\n\
    x-accel-buffering: no\r\n\
    x-content-type-options: nosniff\r\n\
    connection: close\r\n\
    \r\n\
    retry: 2000\n";

enum Rejection {
    Query(String),
    Failed(Error),
}

impl Rejection {
    fn query(why: impl std::fmt::Display) -> Self {
        Self::Query(format!(
            "Invalid query: {why}.\n\
             Usage: /news/events?topic=TEXT&epoch=TEXT&after=NUMBER&beat=true, every parameter optional.\n"
        ))
    }
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

async fn open_session(
    app: &Arc<AppState>,
    headers: &HeaderMap,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<(SseSession, Replay), Rejection> {
    let asked = query.map_err(|why| Rejection::query(&why))?.0.parse()?;
    let filter = Filter {
        topic: asked.topic.clone(),
        has_heartbeat_events: asked.has_heartbeat_events,
    };
    let send_queue = SendQueue::new(&app.flusher, app.config.queue_bytes);
    let reading = app
        .news_subscribers
        .subscribe(send_queue.clone(), filter.clone());
    let (epoch, head) = app.event_log.position(Stream::News).await?;
    let replay = match parse_cursor(headers, &asked, &epoch) {
        None => Replay {
            epoch,
            head,
            missed: Some(Vec::new()),
        },
        Some(cursor) => app.event_log.replay(Stream::News, &cursor).await?,
    };
    let reader = SseSession {
        app: app.clone(),
        queue: send_queue,
        filter,
        _subscription: reading,
    };
    Ok((reader, replay))
}

struct ParsedQuery {
    topic: Option<Arc<str>>,
    epoch: Option<Epoch>,
    after: Option<Seq>,
    has_heartbeat_events: bool,
}

impl EventsQuery {
    fn parse(self) -> Result<ParsedQuery, Rejection> {
        let given = |text: String| Some(text).filter(|text| !text.trim().is_empty());
        let topic = given(self.topic).map(|topic| topic.trim().into());
        if topic
            .as_ref()
            .is_some_and(|topic: &Arc<str>| topic.chars().count() > limits::MAX_TOPIC_CHARS)
        {
            return Err(Rejection::query(format!(
                "\"topic\" is limited to {} characters",
                limits::MAX_TOPIC_CHARS
            )));
        }
        let epoch = given(self.epoch);
        if epoch
            .as_ref()
            .is_some_and(|epoch| epoch.len() > MAX_EPOCH_BYTES)
        {
            return Err(Rejection::query(format!(
                "\"epoch\" is limited to {MAX_EPOCH_BYTES} bytes"
            )));
        }
        let after = given(self.after)
            .map(|after| after.trim().parse())
            .transpose();
        let after = after.map_err(|_| {
            Rejection::query("\"after\" must be an integer, the id of the last event received")
        })?;
        let beat = given(self.beat).map(|beat| beat.parse()).transpose();
        let beat = beat
            .map_err(|_| Rejection::query("\"beat\" must be true or false"))?
            .unwrap_or(false);
        Ok(ParsedQuery {
            topic,
            epoch: epoch.map(Epoch),
            after,
            has_heartbeat_events: beat,
        })
    }
}

/// `Last-Event-ID` wins over `after`: a browser updates it on every reconnect.
///
/// Without an epoch it is of the current stream; the epoch in `hello` reveals a mismatch. A malformed header
/// becomes a cursor that cannot be resumed: an error status would end the browser's reconnects.
fn parse_cursor(headers: &HeaderMap, asked: &ParsedQuery, stream: &Epoch) -> Option<Cursor> {
    const UNRESUMABLE_SEQ: Seq = -1;
    let last = headers
        .get(LAST_EVENT_ID_HEADER)
        .filter(|value| !value.is_empty());
    let seq = match last {
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(UNRESUMABLE_SEQ),
        None => asked.after?,
    };
    let epoch = asked.epoch.clone().unwrap_or_else(|| stream.clone());
    Some(Cursor { epoch, seq })
}

struct SseSession {
    app: Arc<AppState>,
    queue: Arc<SendQueue>,
    filter: Filter,
    /// While held, the event log pushes stories into the queue.
    _subscription: Subscription,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum StreamEnd {
    /// The client receives the current position.
    Resync(Resync),
    QueueEnded(ConnectionEnd),
}

impl From<ConnectionEnd> for StreamEnd {
    fn from(ended: ConnectionEnd) -> Self {
        Self::QueueEnded(ended)
    }
}

impl SseSession {
    async fn run(self, taken: TakenSocket, replay: Replay) {
        let TakenSocket {
            socket,
            read_buf: read,
        } = taken;
        // The client sends nothing more; an idle session saves the buffer.
        drop(read);
        let socket = Arc::new(socket);
        self.queue.attach(socket.clone());
        // Boxed: the task of an idle session stays small.
        let end = match Box::pin(self.send_replay(replay)).await {
            Ok(()) => StreamEnd::QueueEnded(tokio::select! {
                ended = self.queue.closed() => ended,
                () = http_server::drain_until_closed(&socket) => ConnectionEnd::Disconnected,
            }),
            Err(over) => over,
        };
        // A client that does not read it in time resumes by its cursor.
        let _ = timeout(FINAL_WRITE_TIMEOUT, Box::pin(self.send_resync(end))).await;
        self.queue.abort();
    }

    async fn send_replay(&self, replay: Replay) -> Result<(), StreamEnd> {
        let (app, send_queue) = (&self.app, &self.queue);
        let Replay {
            epoch,
            head,
            missed,
        } = replay;
        send_queue
            .send(Bytes::from_static(RESPONSE_HEAD.as_bytes()))
            .await?;
        let hello = Hello {
            epoch: epoch.clone(),
            head,
            recovered: missed.is_some(),
            build: app.build.clone(),
        };
        send_queue
            .send(encode_event(sse::HELLO_EVENT, &hello))
            .await?;
        let Some(missed) = missed else {
            return Err(StreamEnd::Resync(Resync { epoch, head }));
        };
        for story in missed {
            if story.is_about(self.filter.topic.as_deref()) {
                send_queue.send(story.bytes).await?;
            }
        }
        let (comment, beat) = encode_heartbeats(app);
        send_queue.send(comment).await?;
        if self.filter.has_heartbeat_events {
            send_queue.send(beat).await?;
        }
        send_queue.uncork(&[(Stream::News, head)]);
        Ok(())
    }

    /// For a slow client. After a shutdown clients resume by their cursor.
    async fn send_resync(&self, over: StreamEnd) {
        let resync = match over {
            StreamEnd::Resync(resync) => resync,
            StreamEnd::QueueEnded(ConnectionEnd::Closed(CloseCode::TooSlow)) => {
                self.app
                    .metrics
                    .count_slow_reader(metrics::ConnectionLabels::SSE);
                match self.app.event_log.position(Stream::News).await {
                    Ok((epoch, head)) => Resync { epoch, head },
                    Err(error) => {
                        tracing::error!(%error, "the position of the news stream could not be read");
                        return;
                    }
                }
            }
            StreamEnd::QueueEnded(_) => return,
        };
        self.queue
            .finish(encode_event(sse::RESYNC_EVENT, &resync))
            .await;
    }
}

/// As a comment, and as an event for scripts.
pub(super) fn encode_heartbeats(app: &AppState) -> (Bytes, Bytes) {
    let seconds = app.config.heartbeat_interval().as_secs();
    (
        Bytes::from_static(b": \n\n"),
        encode_event(
            sse::HEARTBEAT_EVENT,
            &Heartbeat {
                interval_seconds: seconds,
            },
        ),
    )
}

/// One timer for all subscribers.
pub async fn run_heartbeats(app: Arc<AppState>) {
    let (comment, beat) = encode_heartbeats(&app);
    let mut due = interval(app.config.heartbeat_interval());
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        app.news_subscribers.send_heartbeat(&comment, &beat);
    }
}

/// Without an id, which leaves the client's cursor unchanged.
fn encode_event(name: &str, data: &impl Serialize) -> Bytes {
    // Text and numbers always serialise; JSON has no line breaks outside strings.
    let json = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {json}\n\n"))
}

#[cfg(test)]
mod tests;
