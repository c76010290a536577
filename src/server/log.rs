//! The log: an event is committed, then fanned out, in sequence. The only way in which anything that others see changes.
//!
//! Appending runs in a task of its own, so that a request that is dropped between the commit and the fan-out (a closed tab, a
//! timeout) cannot keep a committed event from those who wait for it.

use super::{
    clock,
    error::Result,
    live::{Live, NewsItem, Readers},
    secret,
    store::{EventRow, Posted, Store, Stream, Tx},
};
use crate::{
    model::{
        MessageId, Millis, RoomId, Seq, StoryId,
        message::{Attachment, Content, Message, RoomEvent},
        story::{Story, StoryDraft},
        stream::{Cursor, Resume, resume},
        user::Person,
    },
    protocol::{failure::Failure, sse, ws::ServerFrame},
    server::Error,
};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::Mutex;

/// What the author of a message gives.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// The idempotency id.
    pub id: MessageId,
    /// Where to.
    pub room: RoomId,
    /// Who writes. The caller has checked that they are a member.
    pub author: Person,
    /// What.
    pub content: Content,
    /// What the bytes of a [`Content::File`] were found to be.
    pub media_type: Option<String>,
}

/// What whoever publishes a story gives.
#[derive(Debug, Clone)]
pub struct NewStory {
    /// What was typed, checked.
    pub draft: StoryDraft,
    /// The body as sanitised HTML.
    pub html: String,
    /// The beginning of the body as plain text.
    pub summary: String,
    /// The address it would like to have.
    pub slug: String,
    /// The shown name of who publishes.
    pub byline: String,
    /// Makes a repeated request harmless.
    pub request_id: Option<String>,
}

/// What a resume is answered: where the stream stands, and what was missed if all of it can be told.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The stream's epoch.
    pub epoch: crate::model::Epoch,
    /// The newest sequence, of the stream or, when recovered, of the last event replayed.
    pub head: Seq,
    /// Everything after the cursor, oldest first; none when the cursor cannot be resumed from.
    pub missed: Option<Vec<EventRow>>,
}

/// The log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log {
    store: Store,
    live: Arc<Live>,
    readers: Arc<Readers>,
    /// Held from a commit to the end of its fan-out, so that events go out in the order of their sequences.
    order: Arc<Mutex<()>>,
}

impl Log {
    /// A log over a store, fanning out to these.
    #[must_use]
    pub fn new(store: Store, live: Arc<Live>, readers: Arc<Readers>) -> Self {
        Self {
            store,
            live,
            readers,
            order: Arc::default(),
        }
    }

    /// Commits a message and sends it to its room. A repeated id is answered with its first result.
    ///
    /// # Errors
    /// When the store fails; [`Failure::Invalid`] when the id belongs to a message of somebody else or of another room.
    pub async fn post(&self, new: NewMessage) -> Result<Posted> {
        let log = self.clone();
        in_a_task(async move { log.post_now(new).await }).await
    }

    async fn post_now(&self, new: NewMessage) -> Result<Posted> {
        let _in_order = self.order.lock().await;
        if let Some(earlier) = self.store.find_posted(new.id).await? {
            return if earlier.author == new.author.id && earlier.room == new.room {
                Ok(earlier)
            } else {
                Err(Failure::invalid("That message id is taken.").into())
            };
        }
        let at = clock::now();
        let stream = Stream::Room(new.room);
        let mut tx = self.store.begin().await?;
        let seq = self.store.next_seq(&mut tx, stream).await?;
        let message = Message {
            id: new.id,
            room: new.room,
            seq,
            author: new.author,
            at,
            content: new.content,
        };
        self.store.create_message(&mut tx, &message).await?;
        if let (Content::File { file }, Some(media_type)) = (&message.content, &new.media_type) {
            self.attach(&mut tx, &message, file, media_type).await?;
        }
        let posted = Posted {
            room: message.room,
            author: message.author.id,
            seq,
            at,
        };
        let event = RoomEvent::Message { message };
        let row = EventRow {
            seq,
            payload: serde_json::to_string(&event)?,
        };
        self.store
            .create_event(&mut tx, stream, &row, event.kind(), at)
            .await?;
        tx.commit().await?;
        self.live.to_room(
            posted.room,
            &ServerFrame::Event {
                room: posted.room,
                seq,
                event,
            },
        );
        Ok(posted)
    }

    async fn attach(
        &self,
        tx: &mut Tx,
        message: &Message,
        file: &Attachment,
        media_type: &str,
    ) -> Result<()> {
        self.store
            .create_attachment(tx, message.id, message.room, file, media_type, message.at)
            .await
    }

    /// Commits a story and sends it to every reader. A repeated request id is answered with its first result.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn publish(&self, new: NewStory) -> Result<Story> {
        let log = self.clone();
        in_a_task(async move { log.publish_now(new).await }).await
    }

    async fn publish_now(&self, new: NewStory) -> Result<Story> {
        let _in_order = self.order.lock().await;
        let at: Millis = clock::now();
        let mut tx = self.store.begin().await?;
        let seq = self.store.next_seq(&mut tx, Stream::News).await?;
        if let Some(request) = &new.request_id
            && let Some(earlier) = self.store.find_story_by_request(&mut tx, request).await?
        {
            return Ok(earlier);
        }
        let id = StoryId(secret::id());
        let slug = self.free_slug(&mut tx, new.slug, seq, id).await?;
        let story = Story {
            id,
            slug,
            headline: new.draft.headline,
            summary: new.summary,
            html: new.html,
            topic: new.draft.topic,
            urgency: new.draft.urgency,
            byline: new.byline,
            at,
            seq,
        };
        self.store
            .create_story(&mut tx, &story, &new.draft.body, new.request_id.as_deref())
            .await?;
        let row = EventRow {
            seq,
            payload: serde_json::to_string(&story)?,
        };
        self.store
            .create_event(&mut tx, Stream::News, &row, sse::STORY, at)
            .await?;
        tx.commit().await?;
        self.readers.send(&NewsItem {
            seq,
            topic: story.topic.as_str().into(),
            event: story_event(&row),
        });
        Ok(story)
    }

    /// The address it would like to have, or one near it that nobody has.
    async fn free_slug(&self, tx: &mut Tx, slug: String, seq: Seq, id: StoryId) -> Result<String> {
        if !self.store.is_slug_taken(tx, &slug).await? {
            return Ok(slug);
        }
        let numbered = format!("{slug}-{seq}");
        if !self.store.is_slug_taken(tx, &numbered).await? {
            return Ok(numbered);
        }
        Ok(format!("{slug}-{id}"))
    }

    /// What somebody missed in a stream, all of it or nothing.
    ///
    /// # Errors
    /// When the store fails or the stream does not exist.
    pub async fn replay(&self, stream: Stream, cursor: &Cursor, most: Seq) -> Result<Replay> {
        let state = self.store.find_stream(stream).await?;
        let Resume::Recovered { after } =
            resume(&state.epoch, state.head, state.oldest, cursor, most)
        else {
            return Ok(Replay {
                epoch: state.epoch,
                head: state.head,
                missed: None,
            });
        };
        let missed = self.store.list_events(stream, after, most).await?;
        let head = missed.last().map_or(after, |event| event.seq);
        // The last word before saying "recovered": what was read is what comes after the cursor, without a hole.
        let whole = missed
            .iter()
            .zip(after + 1..)
            .all(|(event, seq)| event.seq == seq);
        Ok(Replay {
            epoch: state.epoch,
            head,
            missed: whole.then_some(missed),
        })
    }
}

/// A story's event in `text/event-stream` form. The payload is JSON on one line, so it needs one `data:` field.
#[must_use]
pub fn story_event(row: &EventRow) -> Bytes {
    Bytes::from(format!(
        "event: {}\nid: {}\ndata: {}\n\n",
        sse::STORY,
        row.seq,
        row.payload
    ))
}

async fn in_a_task<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    tokio::spawn(work)
        .await
        .map_err(|lost| Error::Internal(lost.to_string()))?
}
