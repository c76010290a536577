//! `GET /news/events`: the news as server-sent events (WHATWG HTML), from a cursor on.
//!
//! The order of things is what makes it whole: the reader's queue is opened first, then the log is read. A story committed in
//! between is in both, and is left out of the queue because its sequence was replayed; a story that is in neither cannot be.

use crate::{
    model::{Cursor, Epoch, Seq, limits, story::Story},
    protocol::{
        close::CloseCode,
        sse::{self, Beat, Hello, Resync},
    },
    server::{
        App, Error,
        live::{Ended, NewsItem, Queue},
        log::{Replay, story_event},
        store::{EventRow, Stream, StreamState},
    },
};
use axum::{
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, convert::Infallible, sync::Arc};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// What a browser that reconnects by itself should wait, in milliseconds.
const RETRY: u32 = 2_000;
/// An epoch is at most this long, in bytes.
const EPOCH_BYTES: usize = 32;
/// The header in which a browser that reconnects by itself says how far it came.
const LAST_EVENT_ID: &str = "last-event-id";

/// The query of `GET /news/events`, as text: what is empty counts as not asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// Only this topic.
    topic: String,
    /// The epoch that the cursor belongs to.
    epoch: String,
    /// The cursor: everything after this sequence.
    after: String,
    /// `true`: heartbeats are also sent as an event, for scripts, which cannot see comments.
    beat: String,
}

pub(super) async fn events(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    query: std::result::Result<Query<Asked>, QueryRejection>,
) -> Response {
    match open(&app, &headers, query).await {
        Ok(reader) => {
            let body =
                Body::from_stream(futures::stream::unfold(reader, |mut reader| async move {
                    let bytes = reader.next().await?;
                    Some((Ok::<Bytes, Infallible>(bytes), reader))
                }));
            (HEADERS, body).into_response()
        }
        Err(Refusal::Query(why)) => (StatusCode::BAD_REQUEST, why).into_response(),
        Err(Refusal::Failed(error)) => error.into_response(),
    }
}

/// Neither a cache nor a proxy that collects answers before it passes them on may stand between.
const HEADERS: [(header::HeaderName, HeaderValue); 3] = [
    (
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    ),
];

/// Why there is no stream.
enum Refusal {
    /// What was asked makes no sense, in words.
    Query(String),
    /// The store failed.
    Failed(Error),
}

impl Refusal {
    fn query(why: impl std::fmt::Display) -> Self {
        Self::Query(format!(
            "This address was not understood: {why}.\n\
             What can be asked: /news/events?topic=TEXT&epoch=TEXT&after=NUMBER&beat=true, all of it or none.\n"
        ))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

async fn open(
    app: &Arc<App>,
    headers: &HeaderMap,
    query: std::result::Result<Query<Asked>, QueryRejection>,
) -> std::result::Result<Reader, Refusal> {
    let asked = query.map_err(|why| Refusal::query(&why))?.0.checked()?;
    let queue = app.readers.open(app.config.queue_bytes);
    let state = app.store.find_stream(Stream::News).await?;
    let replay = match cursor(headers, &asked, &state) {
        None => Replay {
            epoch: state.epoch,
            head: state.head,
            missed: Some(Vec::new()),
        },
        Some(cursor) => {
            app.log
                .replay(Stream::News, &cursor, app.config.replay_events)
                .await?
        }
    };
    Ok(Reader::new(app, queue, replay, asked.topic, asked.beat))
}

/// What is asked for, checked.
struct Checked {
    topic: Option<Arc<str>>,
    epoch: Option<Epoch>,
    after: Option<Seq>,
    beat: bool,
}

impl Asked {
    fn checked(self) -> std::result::Result<Checked, Refusal> {
        let given = |text: String| Some(text).filter(|text| !text.trim().is_empty());
        let topic = given(self.topic).map(|topic| topic.trim().into());
        if topic
            .as_ref()
            .is_some_and(|topic: &Arc<str>| topic.chars().count() > limits::TOPIC_CHARS)
        {
            return Err(Refusal::query(format!(
                "a topic has {} characters at most",
                limits::TOPIC_CHARS
            )));
        }
        let epoch = given(self.epoch);
        if epoch
            .as_ref()
            .is_some_and(|epoch| epoch.len() > EPOCH_BYTES)
        {
            return Err(Refusal::query(format!(
                "an epoch has {EPOCH_BYTES} bytes at most"
            )));
        }
        let after = given(self.after)
            .map(|after| after.trim().parse())
            .transpose();
        let after = after.map_err(|_| {
            Refusal::query("\"after\" is a whole number, the id of the last event seen")
        })?;
        let beat = given(self.beat).map(|beat| beat.parse()).transpose();
        let beat = beat
            .map_err(|_| Refusal::query("\"beat\" is true or false"))?
            .unwrap_or(false);
        Ok(Checked {
            topic,
            epoch: epoch.map(Epoch),
            after,
            beat,
        })
    }
}

/// How far the reader came. What a browser says by itself on reconnecting is newer than what its address says.
///
/// Who names no epoch takes the stream to be the one it knows, as a plain `EventSource` does; the epoch in `hello` tells it when
/// that was wrong. A header that is no number is a cursor that nothing can be resumed from: refusing it with a status would end
/// a browser's reconnecting for good.
fn cursor(headers: &HeaderMap, asked: &Checked, state: &StreamState) -> Option<Cursor> {
    const NOWHERE: Seq = -1;
    let last = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty());
    let seq = match last {
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(NOWHERE),
        None => asked.after?,
    };
    let epoch = asked.epoch.clone().unwrap_or_else(|| state.epoch.clone());
    Some(Cursor { epoch, seq })
}

/// One reader's stream, as far as it was not sent yet.
struct Reader {
    app: Arc<App>,
    /// Pushed to by the log, taken from here; ended by the log when it passes its bound and by a shutdown.
    queue: Arc<Queue<NewsItem>>,
    topic: Option<Arc<str>>,
    /// Ready to go out.
    ready: VecDeque<Bytes>,
    /// Read from the log, to go out after what is ready.
    missed: std::vec::IntoIter<EventRow>,
    /// What the queue holds up to here is left out: it was replayed, or is older than the reader wants.
    sent: Seq,
    heartbeat: Interval,
    beat: bool,
    state: Phase,
}

/// Whether more will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Live,
    Over,
}

impl Reader {
    fn new(
        app: &Arc<App>,
        queue: Arc<Queue<NewsItem>>,
        replay: Replay,
        topic: Option<Arc<str>>,
        beat: bool,
    ) -> Self {
        let Replay {
            epoch,
            head,
            missed,
        } = replay;
        let recovered = missed.is_some();
        let hello = Hello {
            epoch: epoch.clone(),
            head,
            recovered,
            build: app.build.clone(),
        };
        let retry = Bytes::from(format!("retry: {RETRY}\n"));
        let mut ready = VecDeque::from([retry, event(sse::HELLO, &hello)]);
        if !recovered {
            ready.push_back(event(sse::RESYNC, &Resync { epoch, head }));
        }
        let mut heartbeat = interval(app.config.heartbeat());
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            app: app.clone(),
            queue,
            topic,
            ready,
            missed: missed.unwrap_or_default().into_iter(),
            sent: head,
            heartbeat,
            beat,
            state: if recovered { Phase::Live } else { Phase::Over },
        }
    }

    /// The next bytes; none when the stream is over. Asked for only when the socket can take them.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            if self.state == Phase::Over {
                return None;
            }
            if let Some(row) = self.missed.next() {
                if self.wants_row(&row) {
                    return Some(story_event(&row));
                }
                continue;
            }
            tokio::select! {
                taken = self.queue.take() => match taken {
                    Ok(items) => self.take(items),
                    Err(Ended(why)) => self.end(why).await,
                },
                _ = self.heartbeat.tick() => self.beat(),
            }
        }
    }

    fn take(&mut self, items: VecDeque<NewsItem>) {
        for item in items {
            let wanted = self.topic.as_ref().is_none_or(|topic| *topic == item.topic);
            if wanted && item.seq > self.sent {
                self.ready.push_back(item.event);
            }
        }
    }

    fn wants_row(&self, row: &EventRow) -> bool {
        let Some(topic) = &self.topic else {
            return true;
        };
        match serde_json::from_str::<Story>(&row.payload) {
            Ok(story) => story.topic == **topic,
            Err(error) => {
                tracing::error!(seq = row.seq, %error, "a story's event cannot be read");
                false
            }
        }
    }

    fn beat(&mut self) {
        self.ready.push_back(Bytes::from_static(b": \n\n"));
        if self.beat {
            let seconds = self.app.config.heartbeat().as_secs();
            self.ready.push_back(event(sse::BEAT, &Beat { seconds }));
        }
    }

    /// A reader that was too slow learns that there is a hole; one that has to go because the server goes resumes by itself.
    async fn end(&mut self, why: CloseCode) {
        self.state = Phase::Over;
        if why != CloseCode::TooSlow {
            return;
        }
        match self.app.store.find_stream(Stream::News).await {
            Ok(StreamState { epoch, head, .. }) => self
                .ready
                .push_back(event(sse::RESYNC, &Resync { epoch, head })),
            // The stream ends without a word, and the reader resumes by its cursor.
            Err(error) => tracing::error!(%error, "where the news stands could not be read"),
        }
    }
}

/// An event without an id, so that the reader's cursor stays where it is.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    // Serialising our own structs of text and numbers cannot fail, and JSON has no line breaks outside of strings.
    let json = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {json}\n\n"))
}

#[cfg(test)]
mod tests;
