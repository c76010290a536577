//! `GET /news/events`: the news as server-sent events (WHATWG HTML), from a cursor on.
//!
//! The order of things is what makes it whole: the reader's outlet is opened first, then the log is read. A story committed in
//! between is in both, and is left out of the outlet because its sequence was replayed; a story that is in neither cannot be.

use crate::{
    model::{Cursor, Epoch, Seq, limits},
    protocol::{
        close::CloseCode,
        sse::{self, Beat, Hello, Resync},
    },
    server::{
        App, Error,
        accept::{self, Taken, Takeover},
        live::{
            Ended, Outlet,
            readers::{Reading, Wish},
        },
        log::Replay,
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

/// How long the end of a stream may take to be written.
const FAREWELL: Duration = Duration::from_secs(3);
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
    Extension(connection): Extension<Takeover>,
    headers: HeaderMap,
    query: Result<Query<Asked>, QueryRejection>,
) -> Response {
    match open(&app, &headers, query).await {
        Ok((reader, replay)) => connection.take(|taken| reader.live(taken, replay)),
        Err(Refusal::Query(why)) => (StatusCode::BAD_REQUEST, why).into_response(),
        Err(Refusal::Failed(error)) => error.into_response(),
    }
}

/// The head of the answer, and the first field of the stream. Neither a cache nor a proxy that collects answers before it
/// passes them on may stand between. The body goes on to the end of the connection (RFC 9112 section 6.3).
const HEAD: &str = "HTTP/1.1 200 OK\r\n\
    content-type: text/event-stream\r\n\
    cache-control: no-store\r\n\
    x-accel-buffering: no\r\n\
    x-content-type-options: nosniff\r\n\
    connection: close\r\n\
    \r\n\
    retry: 2000\n";

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
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<(Reader, Replay), Refusal> {
    let asked = query.map_err(|why| Refusal::query(&why))?.0.checked()?;
    let wish = Wish {
        topic: asked.topic.clone(),
        beat: asked.beat,
    };
    let outlet = Outlet::new(&app.flusher, app.config.queue_bytes);
    let reading = app.readers.open(outlet.clone(), wish.clone());
    let (epoch, head) = app.log.stand(Stream::News).await?;
    let replay = match cursor(headers, &asked, &epoch) {
        None => Replay {
            epoch,
            head,
            missed: Some(Vec::new()),
        },
        Some(cursor) => app.log.replay(Stream::News, &cursor).await?,
    };
    let reader = Reader {
        app: app.clone(),
        outlet,
        wish,
        _reading: reading,
    };
    Ok((reader, replay))
}

/// What is asked for, checked.
struct Checked {
    topic: Option<Arc<str>>,
    epoch: Option<Epoch>,
    after: Option<Seq>,
    beat: bool,
}

impl Asked {
    fn checked(self) -> Result<Checked, Refusal> {
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
fn cursor(headers: &HeaderMap, asked: &Checked, stream: &Epoch) -> Option<Cursor> {
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
    let epoch = asked.epoch.clone().unwrap_or_else(|| stream.clone());
    Some(Cursor { epoch, seq })
}

/// One reader's stream.
struct Reader {
    app: Arc<App>,
    outlet: Arc<Outlet>,
    wish: Wish,
    /// What the log pushes into the outlet, it pushes for as long as this is kept.
    _reading: Reading,
}

/// Why a stream ends.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Over {
    /// The reader holds a state that cannot be gone on from, and is told where the news stand.
    Resync(Resync),
    /// The outlet ended.
    Ended(Ended),
}

impl From<Ended> for Over {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl Reader {
    /// The whole life of it, from the answer's head to the end.
    async fn live(self, taken: Taken, replay: Replay) {
        let Taken { socket, read } = taken;
        // Nothing is expected, and the buffer of a request is large beside what a reader who waits needs.
        drop(read);
        let socket = Arc::new(socket);
        self.outlet.attach(socket.clone());
        // What only happens once is in boxes, so that the task of a reader who waits is small.
        let over = match Box::pin(self.begin(replay)).await {
            Ok(()) => Over::Ended(tokio::select! {
                ended = self.outlet.ended() => ended,
                () = accept::read_to_end(&socket) => Ended::Lost,
            }),
            Err(over) => over,
        };
        // Who does not take the last words in time is cut off, which says the same less politely.
        let _ = timeout(FAREWELL, Box::pin(self.end(over))).await;
        self.outlet.abandon();
    }

    /// Says how the stream stands and what was missed, and goes on with what comes.
    async fn begin(&self, replay: Replay) -> Result<(), Over> {
        let (app, outlet) = (&self.app, &self.outlet);
        let Replay {
            epoch,
            head,
            missed,
        } = replay;
        outlet.say(Bytes::from_static(HEAD.as_bytes())).await?;
        let hello = Hello {
            epoch: epoch.clone(),
            head,
            recovered: missed.is_some(),
            build: app.build.clone(),
        };
        outlet.say(event(sse::HELLO, &hello)).await?;
        let Some(missed) = missed else {
            return Err(Over::Resync(Resync { epoch, head }));
        };
        for story in missed {
            if story.is_about(self.wish.topic.as_deref()) {
                outlet.say(story.bytes).await?;
            }
        }
        let (comment, beat) = beats(app);
        outlet.say(comment).await?;
        if self.wish.beat {
            outlet.say(beat).await?;
        }
        outlet.uncork(&[(Stream::News, head)]);
        Ok(())
    }

    /// A reader that was too slow learns that there is a hole; one that has to go because the server goes resumes by itself.
    async fn end(&self, over: Over) {
        let resync = match over {
            Over::Resync(resync) => resync,
            Over::Ended(Ended::Closed(CloseCode::TooSlow)) => {
                self.app.metrics.was_slow(metrics::Live::SSE);
                match self.app.log.stand(Stream::News).await {
                    Ok((epoch, head)) => Resync { epoch, head },
                    Err(error) => {
                        // The stream ends without a word, and the reader resumes by its cursor.
                        tracing::error!(%error, "where the news stands could not be read");
                        return;
                    }
                }
            }
            Over::Ended(_) => return,
        };
        self.outlet.farewell(event(sse::RESYNC, &resync)).await;
    }
}

/// The heartbeat as a comment, and as an event for scripts.
pub(super) fn beats(app: &App) -> (Bytes, Bytes) {
    let seconds = app.config.heartbeat().as_secs();
    (
        Bytes::from_static(b": \n\n"),
        event(sse::BEAT, &Beat { seconds }),
    )
}

/// Says to every reader, again and again, that the connection is alive. One timer for all of them.
pub async fn keep_alive(app: Arc<App>) {
    let (comment, beat) = beats(&app);
    let mut due = interval(app.config.heartbeat());
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        app.readers.beat(&comment, &beat);
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
