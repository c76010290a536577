//! One transaction of the event log, which locks its streams.

use super::AppendRequest;
use crate::{
    model::{
        MessageId, Millis, Seq, StoryId,
        message::{Content, Message, RoomEvent},
        room::ReadCursor,
        story::Story,
    },
    protocol::{failure::Failure, sse},
    server::{
        clock,
        error::{Error, Result},
        event_log::{NewMessage, NewStory},
        live::EncodedEvent,
        random,
        store::{EventRow, LockedRows, NewEvent, PostedMessage, Store, Stream, Tx},
    },
};
use std::collections::{BTreeMap, HashMap, HashSet};

#[derive(Debug)]
pub(super) enum AppendOutcome {
    Message(PostedMessage),
    Story(Box<Story>),
    ReadCursor(Option<ReadCursor>),
    /// Another node has locked the stream; nothing was written.
    Locked,
    /// The entry breaks a rule; the others are committed.
    Rejected(Failure),
}

/// Whether an entry that the store already has was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EarlierCommit {
    Published,
    /// From an attempt with unknown outcome. Subscribers skip an event they have.
    MaybeUnpublished,
}

#[derive(Debug)]
pub(super) struct CommittedEvents {
    pub(super) events: Vec<EncodedEvent>,
    pub(super) rows: Vec<NewEvent>,
}

pub(super) struct Batch<'a> {
    store: &'a Store,
    pub(super) tx: Tx,
    at: Millis,
    earlier: EarlierCommit,
    /// Newest sequence of each locked stream.
    heads: BTreeMap<Stream, Seq>,
    pub(super) locked_elsewhere: HashSet<Stream>,
    /// Messages of this batch, and those committed earlier.
    posted: HashMap<MessageId, PostedMessage>,
    messages: Vec<Message>,
    /// Index into `messages`, and media type.
    attachments: Vec<(usize, String)>,
    events: Vec<NewEvent>,
    written_events: Vec<NewEvent>,
    republished_events: Vec<NewEvent>,
}

impl<'a> Batch<'a> {
    pub(super) async fn begin(
        store: &'a Store,
        entries: &[AppendRequest],
        earlier: EarlierCommit,
        locked: LockedRows,
    ) -> Result<Self> {
        let mut streams: Vec<_> = entries.iter().filter_map(AppendRequest::stream).collect();
        streams.sort_unstable();
        streams.dedup();
        let ids: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                AppendRequest::Message(new, _) => Some(new.id),
                AppendRequest::Story(..) | AppendRequest::ReadCursor { .. } => None,
            })
            .collect();
        let mut tx = store.begin_append().await?;
        let heads = store.lock_streams(&mut tx, &streams, locked).await?;
        streams.retain(|stream| !heads.contains_key(stream));
        let locked_elsewhere = match locked {
            LockedRows::Wait => HashSet::new(),
            LockedRows::Skip => store.list_heads(&streams).await?.into_keys().collect(),
        };
        let posted = store.list_posted_messages(&mut tx, &ids).await?;
        Ok(Self {
            store,
            tx,
            at: clock::now(),
            earlier,
            heads,
            locked_elsewhere,
            posted,
            messages: Vec::with_capacity(ids.len()),
            attachments: Vec::new(),
            events: Vec::with_capacity(entries.len()),
            written_events: Vec::new(),
            republished_events: Vec::new(),
        })
    }

    /// The caller adds read cursors after all events.
    pub(super) async fn add(&mut self, entry: &AppendRequest) -> Result<AppendOutcome> {
        match entry {
            AppendRequest::Message(new, _) => self.add_message(new),
            AppendRequest::Story(new, _) => self.add_story(new).await,
            AppendRequest::ReadCursor {
                room, user, seq, ..
            } => {
                // So that the batch's messages are counted.
                self.write_events().await?;
                let cursor = self
                    .store
                    .update_read_cursor(&mut self.tx, *room, *user, *seq)
                    .await?;
                Ok(AppendOutcome::ReadCursor(cursor))
            }
        }
    }

    fn add_message(&mut self, new: &NewMessage) -> Result<AppendOutcome> {
        if let Some(earlier) = self.posted.get(&new.id).copied() {
            if earlier.author != new.author.id || earlier.room != new.room {
                return Ok(AppendOutcome::Rejected(Failure::invalid(
                    "That message id is taken.",
                )));
            }
            if self.earlier == EarlierCommit::MaybeUnpublished {
                self.republished_events
                    .push(message_event(&build_message(new, earlier))?);
            }
            return Ok(AppendOutcome::Message(earlier));
        }
        let stream = Stream::Room(new.room);
        if self.locked_elsewhere.contains(&stream) {
            return Ok(AppendOutcome::Locked);
        }
        let Some(head) = self.heads.get_mut(&stream) else {
            return Ok(AppendOutcome::Rejected(Failure::not_found("That room")));
        };
        *head += 1;
        let seq = *head;
        let posted = PostedMessage {
            room: new.room,
            author: new.author.id,
            seq,
            at: self.at,
        };
        let message = build_message(new, posted);
        self.posted.insert(new.id, posted);
        if let Some(media_type) = &new.media_type {
            self.attachments
                .push((self.messages.len(), media_type.clone()));
        }
        self.events.push(message_event(&message)?);
        self.messages.push(message);
        Ok(AppendOutcome::Message(posted))
    }

    pub(super) async fn republish_if_committed(&mut self, entry: &AppendRequest) -> Result<()> {
        match entry {
            AppendRequest::Message(new, _) => {
                if let Some(earlier) = self.posted.get(&new.id).copied()
                    && earlier.author == new.author.id
                    && earlier.room == new.room
                {
                    self.republished_events
                        .push(message_event(&build_message(new, earlier))?);
                }
            }
            AppendRequest::Story(new, _) => {
                if let Some(request) = &new.request_id
                    && let Some(story) = self
                        .store
                        .find_story_by_request(&mut self.tx, request)
                        .await?
                {
                    self.republished_events.push(story_event(&story)?);
                }
            }
            AppendRequest::ReadCursor { .. } => {}
        }
        Ok(())
    }

    async fn add_story(&mut self, new: &NewStory) -> Result<AppendOutcome> {
        if self.locked_elsewhere.contains(&Stream::News) {
            return Ok(AppendOutcome::Locked);
        }
        let Some(seq) = self.heads.get(&Stream::News).map(|head| head + 1) else {
            return Err(Error::corrupt("the news stream is missing"));
        };
        if let Some(request) = &new.request_id {
            // Also finds a story of this transaction.
            let earlier = self
                .store
                .find_story_by_request(&mut self.tx, request)
                .await?;
            if let Some(earlier) = earlier {
                if self.earlier == EarlierCommit::MaybeUnpublished {
                    self.republished_events.push(story_event(&earlier)?);
                }
                return Ok(AppendOutcome::Story(Box::new(earlier)));
            }
        }
        self.heads.insert(Stream::News, seq);
        let id = StoryId(random::new_id());
        let slug = self.find_free_slug(&new.slug, seq, id).await?;
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
        self.events.push(story_event(&story)?);
        Ok(AppendOutcome::Story(Box::new(story)))
    }

    async fn find_free_slug(&mut self, slug: &str, seq: Seq, id: StoryId) -> Result<String> {
        if !self.store.is_slug_taken(&mut self.tx, slug).await? {
            return Ok(slug.to_owned());
        }
        let numbered = format!("{slug}-{seq}");
        if !self.store.is_slug_taken(&mut self.tx, &numbered).await? {
            return Ok(numbered);
        }
        Ok(format!("{slug}-{id}"))
    }

    async fn write_events(&mut self) -> Result<()> {
        if self.events.is_empty() {
            return Ok(());
        }
        let (store, tx) = (self.store, &mut self.tx);
        store.create_messages(tx, &self.messages).await?;
        for (at, media_type) in &self.attachments {
            let message = &self.messages[*at];
            if let Content::File { file } = &message.content {
                store
                    .create_attachment(tx, message, file, media_type)
                    .await?;
            }
        }
        store.create_events(tx, &self.events, self.at).await?;
        store.update_heads(tx, &self.heads).await?;
        self.messages.clear();
        self.attachments.clear();
        self.written_events.append(&mut self.events);
        Ok(())
    }

    pub(super) async fn commit(mut self) -> Result<CommittedEvents> {
        self.write_events().await?;
        // An event that cannot be published must not be committed.
        let events = self.republished_events.iter().chain(&self.written_events);
        let events = events
            .map(|new| EncodedEvent::encode(new.stream, &new.row))
            .collect::<Result<_, _>>()?;
        self.tx.commit().await?;
        let rows = self
            .republished_events
            .into_iter()
            .chain(self.written_events)
            .collect();
        Ok(CommittedEvents { events, rows })
    }
}

fn message_event(message: &Message) -> Result<NewEvent> {
    let event = RoomEvent::Message {
        message: message.clone(),
    };
    Ok(NewEvent {
        stream: Stream::Room(message.room),
        row: EventRow {
            seq: message.seq,
            payload: serde_json::to_string(&event)?,
        },
        kind: event.kind(),
    })
}

fn story_event(story: &Story) -> Result<NewEvent> {
    Ok(NewEvent {
        stream: Stream::News,
        row: EventRow {
            seq: story.seq,
            payload: serde_json::to_string(story)?,
        },
        kind: sse::STORY_EVENT,
    })
}

fn build_message(new: &NewMessage, posted: PostedMessage) -> Message {
    Message {
        id: new.id,
        room: new.room,
        seq: posted.seq,
        author: new.author.clone(),
        at: posted.at,
        content: new.content.clone(),
    }
}
