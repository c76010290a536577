//! The writer of the log: group commit.
//!
//! While one transaction is made durable, what arrives meanwhile gathers and becomes the next one. An entry that the store
//! refuses takes nobody with it: its group is then committed entry by entry.

use crate::{
    model::{
        MessageId, Millis, RoomId, Seq, StoryId, UserId,
        message::{Content, Message, RoomEvent},
        story::Story,
    },
    protocol::{failure::Failure, sse},
    server::{
        clock,
        error::{Error, Result},
        live::Event,
        log::{Fanout, NewMessage, NewStory},
        secret,
        store::{EventRow, NewEvent, Posted, Store, Stream, Tx},
    },
};
use futures::FutureExt;
use std::{
    collections::{BTreeMap, HashMap},
    panic::AssertUnwindSafe,
};
use tokio::sync::{mpsc, oneshot};

/// The most entries in one transaction.
const GROUP: usize = 128;

/// Where the result of an append goes. Nobody may be left to hear it.
pub(super) type Answer<T> = oneshot::Sender<Result<T>>;

/// Something to append.
#[derive(Debug)]
pub(super) enum Append {
    /// A message to its room.
    Message(NewMessage, Answer<Posted>),
    /// A story to the news.
    Story(NewStory, Answer<Story>),
    /// How far a member has read, which is no event.
    Read {
        room: RoomId,
        user: UserId,
        seq: Seq,
        /// Where their cursor is now, and how many messages stand after it.
        answer: Answer<Option<(Seq, i64)>>,
    },
}

impl Append {
    fn stream(&self) -> Option<Stream> {
        match self {
            Self::Message(new, _) => Some(Stream::Room(new.room)),
            Self::Story(..) => Some(Stream::News),
            Self::Read { .. } => None,
        }
    }

    fn fail(self, error: Error) {
        // Whoever asked may have left.
        match self {
            Self::Message(_, answer) => drop(answer.send(Err(error))),
            Self::Story(_, answer) => drop(answer.send(Err(error))),
            Self::Read { answer, .. } => drop(answer.send(Err(error))),
        }
    }

    fn finish(self, done: Done) {
        match (self, done) {
            (Self::Message(_, answer), Done::Message(posted)) => drop(answer.send(Ok(posted))),
            (Self::Story(_, answer), Done::Story(story)) => drop(answer.send(Ok(*story))),
            (Self::Read { answer, .. }, Done::Read(read)) => drop(answer.send(Ok(read))),
            (entry, Done::Refused(failure)) => entry.fail(failure.into()),
            (entry, Done::Message(_) | Done::Story(_) | Done::Read(_)) => {
                entry.fail(Error::Internal("an answer of another kind".to_owned()));
            }
        }
    }
}

/// What became of one entry of a group that was committed.
#[derive(Debug)]
enum Done {
    Message(Posted),
    Story(Box<Story>),
    Read(Option<(Seq, i64)>),
    /// It breaks a rule; the others of its group are committed.
    Refused(Failure),
}

/// The one task that writes to the log.
#[derive(Debug)]
pub(super) struct Writer {
    store: Store,
    fanout: Fanout,
}

impl Writer {
    pub(super) fn new(store: Store, fanout: Fanout) -> Self {
        Self { store, fanout }
    }

    /// Appends until nobody is left who could ask.
    pub(super) async fn run(self, mut appends: mpsc::Receiver<Append>) {
        let mut group = Vec::with_capacity(GROUP);
        while appends.recv_many(&mut group, GROUP).await > 0 {
            // A bug that panics costs this group its answers, not everybody theirs from then on.
            let appended = AssertUnwindSafe(self.append(&mut group));
            if appended.catch_unwind().await.is_err() {
                tracing::error!("a group of appends was lost to a panic");
            }
            group.clear();
        }
    }

    async fn append(&self, group: &mut Vec<Append>) {
        match self.commit(group).await {
            Ok(done) => self.finish(group.drain(..), done),
            Err(Error::Store(sqlx::Error::Database(_))) if group.len() > 1 => {
                for entry in group.drain(..) {
                    match self.commit(std::slice::from_ref(&entry)).await {
                        Ok(done) => self.finish([entry], done),
                        Err(error) => entry.fail(error),
                    }
                }
            }
            Err(error) => {
                let reason = error.to_string();
                for entry in group.drain(..) {
                    entry.fail(Error::Internal(reason.clone()));
                }
            }
        }
    }

    fn finish(&self, entries: impl IntoIterator<Item = Append>, (done, told): Committed) {
        // First to all, then to those who asked: an author who hears "sent" finds it said.
        for event in &told {
            self.fanout.tell(event);
        }
        for (entry, done) in entries.into_iter().zip(done) {
            entry.finish(done);
        }
    }

    /// Commits all of it as one transaction, or nothing.
    async fn commit(&self, entries: &[Append]) -> Result<Committed> {
        let mut group = Group::begin(&self.store, entries).await?;
        let mut done = Vec::with_capacity(entries.len());
        for entry in entries {
            done.push(match entry {
                Append::Message(new, _) => group.message(new)?,
                Append::Story(new, _) => group.story(new).await?,
                Append::Read {
                    room, user, seq, ..
                } => Done::Read(
                    self.store
                        .update_read(&mut group.tx, *room, *user, *seq)
                        .await?,
                ),
            });
        }
        let told = group.commit().await?;
        Ok((done, told))
    }
}

/// What became of each entry, and what is told, both in order.
type Committed = (Vec<Done>, Vec<Event>);

/// A transaction that is being filled.
struct Group<'a> {
    store: &'a Store,
    tx: Tx,
    at: Millis,
    /// The streams that are written to, by their newest sequence. Locked by this transaction.
    heads: BTreeMap<Stream, Seq>,
    /// What was committed before under the ids of this group, and what this group writes.
    posted: HashMap<MessageId, Posted>,
    messages: Vec<Message>,
    /// By message: what its file was found to be.
    attachments: Vec<(usize, String)>,
    events: Vec<NewEvent>,
}

impl<'a> Group<'a> {
    async fn begin(store: &'a Store, entries: &[Append]) -> Result<Self> {
        let mut streams: Vec<_> = entries.iter().filter_map(Append::stream).collect();
        // Always in the same order: two writers that lock two streams each cannot wait for one another.
        streams.sort_unstable();
        streams.dedup();
        let ids: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                Append::Message(new, _) => Some(new.id),
                Append::Story(..) | Append::Read { .. } => None,
            })
            .collect();
        let mut tx = store.begin().await?;
        let mut heads = BTreeMap::new();
        for stream in streams {
            if let Some(head) = store.lock_stream(&mut tx, stream).await? {
                heads.insert(stream, head);
            }
        }
        let posted = store.list_posted(&mut tx, &ids).await?;
        Ok(Self {
            store,
            tx,
            at: clock::now(),
            heads,
            posted,
            messages: Vec::with_capacity(ids.len()),
            attachments: Vec::new(),
            events: Vec::with_capacity(entries.len()),
        })
    }

    fn message(&mut self, new: &NewMessage) -> Result<Done> {
        if let Some(earlier) = self.posted.get(&new.id) {
            let same = earlier.author == new.author.id && earlier.room == new.room;
            return Ok(if same {
                Done::Message(*earlier)
            } else {
                Done::Refused(Failure::invalid("That message id is taken."))
            });
        }
        let stream = Stream::Room(new.room);
        let Some(head) = self.heads.get_mut(&stream) else {
            return Ok(Done::Refused(Failure::not_found("That room")));
        };
        *head += 1;
        let seq = *head;
        let posted = Posted {
            room: new.room,
            author: new.author.id,
            seq,
            at: self.at,
        };
        let message = Message {
            id: new.id,
            room: new.room,
            seq,
            author: new.author.clone(),
            at: self.at,
            content: new.content.clone(),
        };
        self.posted.insert(new.id, posted);
        if let Some(media_type) = &new.media_type {
            self.attachments
                .push((self.messages.len(), media_type.clone()));
        }
        self.messages.push(message.clone());
        let event = RoomEvent::Message { message };
        self.events.push(NewEvent {
            stream,
            row: EventRow {
                seq,
                payload: serde_json::to_string(&event)?,
            },
            kind: event.kind(),
        });
        Ok(Done::Message(posted))
    }

    async fn story(&mut self, new: &NewStory) -> Result<Done> {
        let Some(seq) = self.heads.get(&Stream::News).map(|head| head + 1) else {
            return Err(Error::corrupt("there is no stream of the news"));
        };
        if let Some(request) = &new.request_id {
            // Also finds what this very transaction has written.
            let earlier = self
                .store
                .find_story_by_request(&mut self.tx, request)
                .await?;
            if let Some(earlier) = earlier {
                return Ok(Done::Story(Box::new(earlier)));
            }
        }
        self.heads.insert(Stream::News, seq);
        let id = StoryId(secret::id());
        let slug = self.free_slug(&new.slug, seq, id).await?;
        let draft = &new.draft;
        let story = Story {
            id,
            slug,
            headline: draft.headline.clone(),
            summary: new.summary.clone(),
            html: new.html.clone(),
            topic: draft.topic.clone(),
            urgency: draft.urgency,
            byline: new.byline.clone(),
            at: self.at,
            seq,
        };
        self.store
            .create_story(&mut self.tx, &story, &draft.body, new.request_id.as_deref())
            .await?;
        self.events.push(NewEvent {
            stream: Stream::News,
            row: EventRow {
                seq,
                payload: serde_json::to_string(&story)?,
            },
            kind: sse::STORY,
        });
        Ok(Done::Story(Box::new(story)))
    }

    /// The address it would like to have, or one near it that nobody has.
    async fn free_slug(&mut self, slug: &str, seq: Seq, id: StoryId) -> Result<String> {
        if !self.store.is_slug_taken(&mut self.tx, slug).await? {
            return Ok(slug.to_owned());
        }
        let numbered = format!("{slug}-{seq}");
        if !self.store.is_slug_taken(&mut self.tx, &numbered).await? {
            return Ok(numbered);
        }
        Ok(format!("{slug}-{id}"))
    }

    /// Writes what was gathered and commits. What is then to be told.
    async fn commit(mut self) -> Result<Vec<Event>> {
        // Encoded first: what cannot be told is not committed either.
        let events = self.events.iter();
        let told = events
            .map(|new| Event::encode(new.stream, &new.row))
            .collect::<Result<_, _>>()?;
        let (store, tx) = (self.store, &mut self.tx);
        store.create_messages(tx, &self.messages).await?;
        for (at, media_type) in &self.attachments {
            let message = &self.messages[*at];
            if let Content::File { file } = &message.content {
                store
                    .create_attachment(tx, message.id, message.room, file, media_type, message.at)
                    .await?;
            }
        }
        store.create_events(tx, &self.events, self.at).await?;
        for (stream, head) in &self.heads {
            store.update_head(tx, *stream, *head).await?;
        }
        self.tx.commit().await?;
        Ok(told)
    }
}

#[cfg(test)]
mod tests;
