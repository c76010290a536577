//! Events of the event log, encoded once for all receivers.

use super::send_queue::EncodedFrame;
use crate::{
    model::{Epoch, Seq},
    protocol::sse,
    server::store::{EventRow, Stream},
};
use bytes::Bytes;
use serde::Deserialize;
use std::sync::Arc;
use tungstenite::protocol::frame::{
    Frame,
    coding::{Data, OpCode},
};

/// An encoded event; clones share the bytes.
#[derive(Debug, Clone)]
pub struct EncodedEvent {
    pub stream: Stream,
    pub seq: Seq,
    /// Of a story.
    pub topic: Option<Arc<str>>,
    /// A `text/event-stream` event for news, a WebSocket frame for a room, the payload otherwise.
    pub bytes: Bytes,
}

#[derive(Deserialize)]
struct StoryTopic {
    topic: Arc<str>,
}

impl EncodedEvent {
    /// Encodes a stored event; [`Self::in_epoch`] completes it.
    ///
    /// # Errors
    /// When a story's payload has no topic.
    pub fn encode(stream: Stream, row: &EventRow) -> serde_json::Result<Self> {
        let EventRow { seq, payload } = row;
        let (topic, bytes) = match stream {
            Stream::News => {
                let StoryTopic { topic } = serde_json::from_str(payload)?;
                // JSON on a single line fits in one `data:` field.
                let event = format!("{}data: {payload}\n\n", story_head(seq));
                (Some(topic), event.into())
            }
            Stream::Memberships => (None, payload.clone().into()),
            Stream::Room(room) => {
                // As `ServerFrame::Event`, without parsing the payload: its fields follow these two.
                let fields = payload.strip_prefix('{').unwrap_or("}");
                let text =
                    format!("{{\"type\":\"event\",\"room\":\"{room}\",\"seq\":{seq},{fields}");
                let frame = Frame::message(text, OpCode::Data(Data::Text), true);
                (None, super::frame::encode(frame))
            }
        };
        Ok(Self {
            stream,
            seq: *seq,
            topic,
            bytes,
        })
    }

    /// Adds the epoch to the `id:` of a story; other events have none.
    #[must_use]
    pub fn in_epoch(&self, epoch: &Epoch) -> Self {
        let data = match self.stream {
            Stream::News => self.bytes.strip_prefix(story_head(self.seq).as_bytes()),
            Stream::Room(_) | Stream::Memberships => None,
        };
        let Some(data) = data else {
            return self.clone();
        };
        let head = story_head(sse::event_id(epoch, self.seq));
        Self {
            bytes: [head.as_bytes(), data].concat().into(),
            ..self.clone()
        }
    }

    /// Whether a topic filter matches; `None` matches every event.
    #[must_use]
    pub fn is_about(&self, topic: Option<&str>) -> bool {
        topic.is_none_or(|topic| self.topic.as_deref() == Some(topic))
    }
}

fn story_head(id: impl std::fmt::Display) -> String {
    format!("event: {}\nid: {id}\n", sse::STORY_EVENT)
}

impl From<&EncodedEvent> for EncodedFrame {
    fn from(event: &EncodedEvent) -> Self {
        Self {
            bytes: event.bytes.clone(),
            position: Some((event.stream, event.seq)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            MessageId, RoomId, UserId,
            message::{Content, Message, MessageText, RoomEvent},
            user::{Person, Role, UserName},
        },
        protocol::ws::ServerFrame,
    };
    use uuid::Uuid;

    #[test]
    fn a_room_event_is_encoded_as_the_protocols_event_frame() {
        let room = RoomId(Uuid::from_u128(7));
        let message = Message {
            id: MessageId(Uuid::from_u128(1)),
            room,
            seq: 41,
            author: Person {
                id: UserId(Uuid::from_u128(2)),
                name: UserName::new("Ada").unwrap(),
                role: Role::Guest,
            },
            at: 5,
            content: Content::Text {
                text: MessageText::new("\"What news?\" {\n}").unwrap(),
            },
        };
        let event = RoomEvent::Message { message };
        let row = EventRow {
            seq: 41,
            payload: serde_json::to_string(&event).unwrap(),
        };
        let encoded = EncodedEvent::encode(Stream::Room(room), &row).unwrap();
        let frame = ServerFrame::Event {
            room,
            seq: 41,
            event,
        };
        assert_eq!(encoded.bytes, EncodedFrame::from(&frame).bytes);
    }

    #[test]
    fn a_story_goes_to_readers_of_its_topic_and_of_all() {
        let row = EventRow {
            seq: 3,
            payload: r#"{"headline":"News","topic":"Trade"}"#.to_owned(),
        };
        let event = EncodedEvent::encode(Stream::News, &row).unwrap();
        assert_eq!(
            event.bytes,
            "event: story\nid: 3\ndata: {\"headline\":\"News\",\"topic\":\"Trade\"}\n\n"
        );
        let complete = event.in_epoch(&Epoch("8f14e45fceea167a".into()));
        assert_eq!(
            complete.bytes,
            "event: story\nid: 8f14e45fceea167a:3\ndata: {\"headline\":\"News\",\"topic\":\"Trade\"}\n\n"
        );
        let again = complete.in_epoch(&Epoch("another".into()));
        assert_eq!(again.bytes, complete.bytes, "an epoch is added once");
        assert!(event.is_about(None) && event.is_about(Some("Trade")));
        assert!(!event.is_about(Some("Weather")));
    }

    #[test]
    fn what_is_no_story_is_not_taken_for_one() {
        let row = EventRow {
            seq: 3,
            payload: "{}".to_owned(),
        };
        assert!(EncodedEvent::encode(Stream::News, &row).is_err());
    }
}
