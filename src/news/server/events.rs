//! `GET /news/events`: server-sent events (WHATWG HTML), resumed from a cursor.
//!
//! The session subscribes before it reads the log, so nothing is lost; the send queue drops what was
//! replayed.

use crate::{
    model::{Cursor, Epoch, Seq, limits},
    protocol::{
        close::CloseCode,
        failure::Failure,
        sse::{self, Heartbeat, Hello, LastEventId, Resync},
    },
    server::{
        AppState, Error,
        event_log::Replay,
        http_server::{TakenSocket, Takeover},
        live::{
            ConnectionEnd, SendQueue,
            news_subscribers::{Filter, Subscription},
        },
        metrics,
        proxy::ClientAddress,
        rate_limit::{Bound, Charge, Key},
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
/// A reader has nothing to send after its request.
const MAX_INPUT_BYTES: usize = 16 * 1024;
/// Sent by an `EventSource` that reconnects by itself.
pub(super) const LAST_EVENT_ID_HEADER: &str = "last-event-id";

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
    Extension(address): Extension<ClientAddress>,
    headers: HeaderMap,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Response {
    let stream = Charge::new(Bound::Streams, Key::address(address.0));
    let place = match app.limits.open([stream]) {
        Ok(place) => place,
        Err(exceeded) => return Error::from(Failure::from(exceeded)).into_response(),
    };
    match open_session(&app, &headers, query).await {
        Ok((reader, start)) => connection.take(async move |taken| {
            reader.run(taken, start).await;
            drop(place);
        }),
        Err(Rejection::Invalid(why)) => (StatusCode::BAD_REQUEST, why).into_response(),
        Err(Rejection::Failed(error)) => error.into_response(),
    }
}

/// Serves a stream on a socket of the simulation. A failure closes it.
#[cfg(test)]
pub(crate) async fn serve_on(app: &Arc<AppState>, taken: TakenSocket, cursor: Option<Cursor>) {
    let cursor = cursor.map(|cursor| (cursor.epoch.0, cursor.seq.to_string()));
    let (epoch, after) = cursor.unwrap_or_default();
    let query = EventsQuery {
        epoch,
        after,
        beat: "true".to_owned(),
        ..EventsQuery::default()
    };
    if let Ok((session, start)) = open_session(app, &HeaderMap::new(), Ok(Query(query))).await {
        session.run(taken, start).await;
    }
}

/// The body ends with the connection (RFC 9112 section 6.3).
const RESPONSE_HEAD: &str = "HTTP/1.1 200 OK\r\n\
    content-type: text/event-stream\r\n\
    cache-control: no-store\r\n\
    x-accel-buffering: no\r\n\
    x-content-type-options: nosniff\r\n\
    connection: close\r\n\
    \r\n\
    retry: 2000\n";

pub(super) enum Rejection {
    Invalid(String),
    Failed(Error),
}

impl Rejection {
    fn query(why: impl std::fmt::Display) -> Self {
        Self::Invalid(format!(
            "Invalid query: {why}.\n\
             Usage: /news/events?topic=TEXT&epoch=TEXT&after=NUMBER&beat=true, every parameter optional.\n"
        ))
    }

    fn last_event_id(why: impl std::fmt::Display) -> Self {
        Self::Invalid(format!(
            "Invalid Last-Event-ID: {why}.\nLeave the header out to start with new stories.\n"
        ))
    }
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

struct StreamStart {
    /// Of the client, or the newest.
    after: Seq,
    replay: Replay,
}

async fn open_session(
    app: &Arc<AppState>,
    headers: &HeaderMap,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<(SseSession, StreamStart), Rejection> {
    let asked = query.map_err(|why| Rejection::query(&why))?.0.parse()?;
    let resumed = requested_cursor(headers, &asked)?;
    let filter = Filter {
        topic: asked.topic,
        has_heartbeat_events: asked.has_heartbeat_events,
    };
    // Before subscribing: the ids of pushed events need an epoch.
    app.event_log.position(Stream::News).await?;
    let send_queue = SendQueue::new(&app.flusher, app.config.queue_bytes);
    let reading = app
        .news_subscribers
        .subscribe(send_queue.clone(), filter.clone());
    let start = find_start(app, filter.topic.as_deref(), resumed).await?;
    let reader = SseSession {
        app: app.clone(),
        queue: send_queue,
        has_heartbeat_events: filter.has_heartbeat_events,
        _subscription: reading,
    };
    Ok((reader, start))
}

async fn find_start(
    app: &AppState,
    topic: Option<&str>,
    resumed: Option<LastEventId>,
) -> Result<StreamStart, Error> {
    let (epoch, head) = app.event_log.position(Stream::News).await?;
    let Some(LastEventId { epoch: of, seq }) = resumed else {
        let missed = Some(Vec::new());
        return Ok(StreamStart {
            after: head,
            replay: Replay {
                epoch,
                head,
                missed,
            },
        });
    };
    let cursor = Cursor {
        epoch: of.unwrap_or(epoch),
        seq,
    };
    let replay = match topic {
        None => app.event_log.replay(Stream::News, &cursor).await?,
        Some(topic) => app.event_log.replay_topic(&cursor, topic).await?,
    };
    Ok(StreamStart { after: seq, replay })
}

pub(super) struct ParsedQuery {
    pub(super) topic: Option<Arc<str>>,
    /// None for the current one.
    epoch: Option<Epoch>,
    after: Option<Seq>,
    has_heartbeat_events: bool,
}

impl EventsQuery {
    pub(super) fn parse(self) -> Result<ParsedQuery, Rejection> {
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
            .is_some_and(|epoch| epoch.len() > sse::MAX_EPOCH_BYTES)
        {
            return Err(Rejection::query(format!(
                "\"epoch\" is limited to {} bytes",
                sse::MAX_EPOCH_BYTES
            )));
        }
        let after = given(self.after)
            .map(|after| {
                let why = "\"after\" must be a sequence: an integer, 0 or the last one received";
                sse::parse_seq(after.trim()).ok_or_else(|| Rejection::query(why))
            })
            .transpose()?;
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

/// `Last-Event-ID` wins over the query: a browser updates it on every reconnect.
pub(super) fn requested_cursor(
    headers: &HeaderMap,
    asked: &ParsedQuery,
) -> Result<Option<LastEventId>, Rejection> {
    let last = headers
        .get(LAST_EVENT_ID_HEADER)
        .filter(|value| !value.is_empty());
    let Some(last) = last else {
        let epoch = asked.epoch.clone();
        return Ok(asked.after.map(|seq| LastEventId { epoch, seq }));
    };
    // Latin-1 is no id either.
    let text = last.to_str().unwrap_or_default();
    let mut last: LastEventId = text.trim().parse().map_err(Rejection::last_event_id)?;
    if last.epoch.is_none() {
        last.epoch.clone_from(&asked.epoch);
    }
    Ok(Some(last))
}

struct SseSession {
    app: Arc<AppState>,
    queue: Arc<SendQueue>,
    has_heartbeat_events: bool,
    /// While held, stories are pushed into the queue.
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
    async fn run(self, taken: TakenSocket, start: StreamStart) {
        let TakenSocket {
            socket,
            read_buf: read,
        } = taken;
        // An idle session needs no buffer.
        drop(read);
        let socket = Arc::new(socket);
        self.queue.attach(socket.clone());
        // Boxed: the task of an idle session stays small.
        let end = match Box::pin(self.send_start(start)).await {
            Ok(()) => StreamEnd::QueueEnded(tokio::select! {
                biased;
                ended = self.queue.closed() => ended,
                () = socket.drain(MAX_INPUT_BYTES) => ConnectionEnd::Disconnected,
            }),
            Err(over) => over,
        };
        // A client that misses the resync resumes by its cursor.
        let _ = timeout(FINAL_WRITE_TIMEOUT, Box::pin(self.send_resync(end))).await;
        self.queue.abort();
    }

    async fn send_start(&self, start: StreamStart) -> Result<(), StreamEnd> {
        let (app, send_queue) = (&self.app, &self.queue);
        let Replay {
            epoch,
            head,
            missed,
        } = start.replay;
        send_queue
            .send(Bytes::from_static(RESPONSE_HEAD.as_bytes()))
            .await?;
        let hello = Hello {
            epoch: epoch.clone(),
            head,
            recovered: missed.is_some(),
            build: app.build.clone(),
        };
        // A client that loses the connection during the replay repeats it.
        let id = missed.as_ref().map(|_| sse::event_id(&epoch, start.after));
        send_queue
            .send(encode_event(sse::HELLO_EVENT, id, &hello))
            .await?;
        let Some(missed) = missed else {
            return Err(StreamEnd::Resync(Resync { epoch, head }));
        };
        for story in missed {
            send_queue.send(story.bytes).await?;
        }
        let (comment, beat) = encode_heartbeats(app);
        send_queue.send(comment).await?;
        if self.has_heartbeat_events {
            send_queue.send(beat).await?;
        }
        send_queue.uncork(&[(Stream::News, head)]);
        Ok(())
    }

    async fn send_resync(&self, over: StreamEnd) {
        let (id, resync) = match over {
            // A client that reconnects by itself continues from here.
            StreamEnd::Resync(resync) => {
                let id = sse::event_id(&resync.epoch, resync.head);
                (Some(id), resync)
            }
            // The client resumes from the last story that it has read.
            StreamEnd::QueueEnded(ConnectionEnd::Closed(CloseCode::TooSlow)) => {
                self.app
                    .metrics
                    .count_slow_reader(metrics::ConnectionLabels::SSE);
                match self.app.event_log.position(Stream::News).await {
                    Ok((epoch, head)) => (None, Resync { epoch, head }),
                    Err(error) => {
                        tracing::error!(%error, "the position of the news stream could not be read");
                        return;
                    }
                }
            }
            StreamEnd::QueueEnded(_) => return,
        };
        self.queue
            .finish(encode_event(sse::RESYNC_EVENT, id, &resync))
            .await;
    }
}

/// As a comment and as an event.
pub(super) fn encode_heartbeats(app: &AppState) -> (Bytes, Bytes) {
    let seconds = app.config.heartbeat_interval().as_secs();
    (
        // Without an empty line, which some clients take for the end of an event.
        Bytes::from_static(b":\n"),
        encode_event(
            sse::HEARTBEAT_EVENT,
            None,
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

/// Without an id the client's cursor stays unchanged.
fn encode_event(name: &str, id: Option<String>, data: &impl Serialize) -> Bytes {
    // Text and numbers always serialize; JSON has no line breaks outside strings.
    let json = serde_json::to_string(data).unwrap_or_default();
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Bytes::from(format!("event: {name}\n{id}data: {json}\n\n"))
}

#[cfg(test)]
mod tests;
