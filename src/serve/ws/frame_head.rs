//! What a refused frame was about, read again from its text. An accepted frame is parsed once.

use crate::{
    model::{
        CallId, MessageId, RoomId,
        message::{MessageText, MessageTextError},
    },
    protocol::ws::{ErrorCode, FrameReference, MAX_REFERENCE_BYTES, Refusal, ServerFrame},
    server::live::FrameSubject,
};
use serde::{
    Deserializer,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor},
};
use std::fmt;

/// Repeats in each refusal what the frame named. A message or an upload is refused with `refused`.
pub(super) fn complete_refusals(replies: &mut [ServerFrame], text: &str) {
    for reply in replies {
        let (ServerFrame::Refused(refusal) | ServerFrame::Error(refusal)) = reply else {
            continue;
        };
        let head = FrameHead::read(text);
        head.complete(refusal);
        if head.is_post() && refusal.id.is_some() {
            *reply = ServerFrame::Refused(refusal.clone());
        }
    }
}

/// What a refusal of a call's frame repeats.
pub(super) fn read_subject(text: &str) -> Option<Box<FrameSubject>> {
    let has_any = text.contains("\"ref\"") || text.contains("\"room\"");
    has_any.then(|| {
        let head = FrameHead::read(text);
        Box::new(FrameSubject {
            room: head.room,
            reference: head.reference,
        })
    })
}

/// The `ref` of a `hello`, which is not kept.
pub(super) fn read_reference(text: &str) -> Option<FrameReference> {
    let has_reference = text.contains("\"ref\"");
    has_reference.then(|| FrameHead::read(text).reference)?
}

/// Fields that name a frame and its subject; `None` if missing or unreadable.
#[derive(Debug, Default, PartialEq, Eq)]
struct FrameHead {
    frame_type: Option<String>,
    id: Option<MessageId>,
    room: Option<RoomId>,
    call: Option<CallId>,
    reference: Option<FrameReference>,
    text: Option<String>,
}

impl FrameHead {
    /// Keeps what precedes a syntax error. Of repeated fields, the last counts.
    fn read(text: &str) -> Self {
        let mut head = Self::default();
        let _ = serde_json::Deserializer::from_str(text).deserialize_map(&mut head);
        head
    }

    fn complete(&self, refusal: &mut Refusal) {
        refusal.id = refusal.id.or(self.id);
        refusal.room = refusal.room.or(self.room);
        refusal.call = refusal.call.or(self.call);
        refusal.reference.clone_from(&self.reference);
        if refusal.code == ErrorCode::Malformed
            && let Some(why) = self.text_error()
        {
            refusal.code = ErrorCode::Invalid;
            refusal.reason = why.to_string();
        }
    }

    fn is_post(&self) -> bool {
        matches!(self.frame_type.as_deref(), Some("send" | "upload"))
    }

    /// The rule that a complete message violates.
    fn text_error(&self) -> Option<MessageTextError> {
        let is_message = self.frame_type.as_deref() == Some("send");
        let is_complete = is_message && self.id.is_some() && self.room.is_some();
        let text = self.text.as_ref().filter(|_| is_complete)?;
        MessageText::new(text).err()
    }
}

impl<'de> Visitor<'de> for &mut FrameHead {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a frame")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<String>()? {
            match name.as_str() {
                "type" => self.frame_type = read_value(&mut fields)?,
                "id" => self.id = read_value(&mut fields)?,
                "room" => self.room = read_value(&mut fields)?,
                "call" => self.call = read_value(&mut fields)?,
                "ref" => self.reference = read_value(&mut fields)?.filter(is_within_bounds),
                "text" => self.text = read_value(&mut fields)?,
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// `None` for a value of another type.
fn read_value<'de, T: DeserializeOwned, A: MapAccess<'de>>(
    fields: &mut A,
) -> Result<Option<T>, A::Error> {
    Ok(serde_json::from_value(fields.next_value()?).ok())
}

fn is_within_bounds(reference: &FrameReference) -> bool {
    match reference {
        FrameReference::Integer(_) => true,
        FrameReference::Text(text) => text.len() <= MAX_REFERENCE_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const ID: &str = "0198c5f0-0000-7000-8000-000000000001";
    const ROOM: &str = "0198c5f0-0000-7000-8000-000000000002";

    fn refuse(text: &str) -> ServerFrame {
        let mut replies = [ServerFrame::Error(Refusal::new(
            ErrorCode::Malformed,
            "invalid frame",
        ))];
        complete_refusals(&mut replies, text);
        let [reply] = replies;
        reply
    }

    fn id(text: &str) -> Uuid {
        text.parse().unwrap()
    }

    fn malformed() -> Refusal {
        Refusal::new(ErrorCode::Malformed, "invalid frame")
    }

    #[test]
    fn a_post_that_names_its_id_is_refused_by_it_and_another_frame_is_not() {
        let about_room = Refusal {
            id: Some(MessageId(id(ID))),
            room: Some(RoomId(id(ROOM))),
            ..malformed()
        };
        let fields = format!(r#""id":"{ID}","room":"{ROOM}""#);
        for post in ["send", "upload"] {
            let text = format!(r#"{{"type":"{post}",{fields}}}"#);
            assert_eq!(refuse(&text), ServerFrame::Refused(about_room.clone()));
        }
        let text = format!(r#"{{"type":"read",{fields}}}"#);
        assert_eq!(refuse(&text), ServerFrame::Error(about_room));
    }

    #[test]
    fn what_precedes_a_syntax_error_is_read() {
        let text = format!(r#"{{"type":"send","id":"{ID}","room":7,"text":"cut o"#);
        let refusal = Refusal {
            id: Some(MessageId(id(ID))),
            ..malformed()
        };
        assert_eq!(refuse(&text), ServerFrame::Refused(refusal));
    }

    #[test]
    fn what_names_nothing_is_an_error() {
        for text in [
            "",
            "[]",
            "7",
            r#"{"type":"send","id":"me"}"#,
            r#"{"type":7,"id":null}"#,
        ] {
            assert_eq!(refuse(text), ServerFrame::Error(malformed()), "{text}");
        }
    }

    #[test]
    fn a_reference_is_an_integer_or_a_short_text() {
        let reference = |json: &str| {
            let text = format!(r#"{{"ref":{json},"type":"ping"}}"#);
            match refuse(&text) {
                ServerFrame::Error(refusal) => refusal.reference,
                other => panic!("{other:?}"),
            }
        };
        let short = "a".repeat(MAX_REFERENCE_BYTES);
        assert_eq!(
            reference(&format!("\"{short}\"")),
            Some(FrameReference::Text(short.clone()))
        );
        assert_eq!(reference("-7"), Some(FrameReference::Integer(-7)));
        let too_long = format!("\"{short}a\"");
        for ignored in [
            too_long.as_str(),
            "1.5",
            "1e3",
            "null",
            "true",
            "[1]",
            "{}",
            "18446744073709551615",
        ] {
            assert_eq!(reference(ignored), None, "{ignored}");
        }
    }

    #[test]
    fn a_text_that_breaks_a_rule_is_refused_with_the_rule() {
        let text = format!(r#"{{"type":"send","id":"{ID}","room":"{ROOM}","text":" "}}"#);
        let ServerFrame::Refused(refusal) = refuse(&text) else {
            panic!("refused by its id")
        };
        assert_eq!(refusal.code, ErrorCode::Invalid);
        assert_eq!(refusal.reason, MessageTextError::Empty.to_string());
    }
}
