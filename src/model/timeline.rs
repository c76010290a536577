//! Messages of a room in the browser: history, live events and replays, without gaps or duplicates.

use super::{Cursor, Epoch, Seq, message::Message};
use serde::{Deserialize, Serialize};

/// A room's messages, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    epoch: Epoch,
    /// Every event up to here is merged.
    #[serde(rename = "seen")]
    merged_seq: Seq,
    messages: Vec<Message>,
    /// On the server.
    pub has_older: bool,
}

/// Result of merging an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeOutcome {
    Added,
    Duplicate,
    /// Messages before it are missing: resume from [`Timeline::cursor`].
    Gap,
}

impl Timeline {
    /// `messages` are oldest first; `head` is the stream's newest sequence.
    #[must_use]
    pub fn new(epoch: Epoch, head: Seq, messages: Vec<Message>, has_older: bool) -> Self {
        Self {
            epoch,
            merged_seq: head,
            messages,
            has_older,
        }
    }

    /// The cursor to resume from.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor {
            epoch: self.epoch.clone(),
            seq: self.merged_seq,
        }
    }

    /// The sequence of [`Self::cursor`].
    #[must_use]
    pub fn head(&self) -> Seq {
        self.merged_seq
    }

    /// All messages, oldest first.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The `before` of the next page of history.
    #[must_use]
    pub fn oldest(&self) -> Option<Seq> {
        self.messages.first().map(|message| message.seq)
    }

    /// As `oldest`, if there is an older page.
    #[must_use]
    pub fn oldest_with_older(&self) -> Option<Seq> {
        self.oldest().filter(|_| self.has_older)
    }

    /// Merges a live or replayed message.
    pub fn merge(&mut self, message: &Message) -> MergeOutcome {
        if message.seq <= self.merged_seq {
            return MergeOutcome::Duplicate;
        }
        if message.seq > self.merged_seq + 1 {
            return MergeOutcome::Gap;
        }
        self.merged_seq = message.seq;
        self.messages.push(message.clone());
        MergeOutcome::Added
    }

    /// Inserts an older page, without duplicates.
    pub fn prepend(&mut self, mut older: Vec<Message>, has_older: bool) {
        let first = self.oldest().unwrap_or(Seq::MAX);
        older.retain(|message| message.seq < first);
        older.append(&mut self.messages);
        self.messages = older;
        self.has_older = has_older;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        MessageId, RoomId, UserId,
        message::{Content, MessageText},
        user::{Person, Role, UserName},
    };
    use uuid::Uuid;

    fn message(seq: Seq) -> Message {
        let id = u128::try_from(seq).unwrap();
        Message {
            id: MessageId(Uuid::from_u128(id)),
            room: RoomId(Uuid::nil()),
            seq,
            author: Person {
                id: UserId(Uuid::nil()),
                name: UserName::new("Ada").unwrap(),
                role: Role::Guest,
            },
            at: 0,
            content: Content::Text {
                text: MessageText::new("hello").unwrap(),
            },
        }
    }

    fn timeline() -> Timeline {
        Timeline::new(Epoch("a".into()), 5, vec![message(4), message(5)], true)
    }

    fn seqs(timeline: &Timeline) -> Vec<Seq> {
        timeline
            .messages()
            .iter()
            .map(|message| message.seq)
            .collect()
    }

    #[test]
    fn live_events_are_added_once_and_in_order() {
        let mut timeline = timeline();
        assert_eq!(timeline.merge(&message(5)), MergeOutcome::Duplicate);
        assert_eq!(timeline.merge(&message(6)), MergeOutcome::Added);
        assert_eq!(timeline.merge(&message(6)), MergeOutcome::Duplicate);
        assert_eq!(seqs(&timeline), [4, 5, 6]);
        assert_eq!(timeline.cursor().seq, 6);
    }

    #[test]
    fn a_hole_is_reported_and_not_papered_over() {
        let mut timeline = timeline();
        assert_eq!(timeline.merge(&message(7)), MergeOutcome::Gap);
        assert_eq!(timeline.cursor().seq, 5, "a resume starts before the gap");
        assert_eq!(seqs(&timeline), [4, 5]);
    }

    #[test]
    fn an_older_page_goes_before_the_first_without_doubles() {
        let mut timeline = timeline();
        timeline.prepend(vec![message(2), message(3), message(4)], false);
        assert_eq!(seqs(&timeline), [2, 3, 4, 5]);
        assert!(!timeline.has_older);
    }
}
