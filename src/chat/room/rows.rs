//! A timeline as rows: messages, day headings, unread marker.

use crate::{
    chat::message::MessageView,
    model::{MessageId, Millis, Seq, UserId, message::Message, user::Person},
    ui::time::{LocalClock, LocalTime, TimeStyle},
};
use leptos::prelude::*;

/// Maximum time between grouped messages.
const CONTINUATION_WINDOW: Millis = 5 * 60 * 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    Day {
        number: i64,
        at: Millis,
    },
    UnreadMarker,
    Message {
        id: MessageId,
        seq: Seq,
        is_continuation: bool,
    },
}

/// All that changes a row's appearance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum RowKey {
    Day(i64),
    UnreadMarker,
    Message(MessageId, bool),
}

impl Row {
    pub(super) fn key(&self) -> RowKey {
        match *self {
            Self::Day { number, .. } => RowKey::Day(number),
            Self::UnreadMarker => RowKey::UnreadMarker,
            Self::Message {
                id,
                is_continuation,
                ..
            } => RowKey::Message(id, is_continuation),
        }
    }

    /// `messages` are sorted by sequence.
    pub(super) fn find_message(self, messages: &[Message]) -> Option<Message> {
        let Self::Message { seq, .. } = self else {
            return None;
        };
        let at = messages.binary_search_by_key(&seq, |message| message.seq);
        at.ok().map(|at| messages[at].clone())
    }
}

/// Messages that arrived while the reader was away, after `from` up to and including `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnreadRange {
    pub(super) from: Seq,
    /// [`Seq::MAX`] unless the page is known to be visible.
    pub(super) to: Seq,
    /// Their own messages do not count.
    pub(super) reader: UserId,
}

impl UnreadRange {
    fn contains(&self, message: &Message) -> bool {
        message.seq > self.from && message.seq <= self.to && message.author.id != self.reader
    }

    /// Starts a range when the page is hidden and ends it when visible.
    pub(super) fn on_visibility(self, is_visible: bool, head: Seq) -> Self {
        let was_visible = self.to != Seq::MAX;
        match (was_visible, is_visible) {
            (true, false) => Self {
                from: head,
                to: Seq::MAX,
                ..self
            },
            (false, true) => Self { to: head, ..self },
            (true, true) | (false, false) => self,
        }
    }
}

/// Leaves out the messages of authors whom the reader has blocked.
pub(super) fn rows(
    messages: &[Message],
    clock: LocalClock,
    unread: Option<UnreadRange>,
    is_blocked: impl Fn(UserId) -> bool,
) -> Vec<Row> {
    let mut rows = Vec::with_capacity(messages.len() + 8);
    let mut day = None;
    let mut marked = false;
    let mut above: Option<&Message> = None;
    for message in messages
        .iter()
        .filter(|message| !is_blocked(message.author.id))
    {
        let number = clock.day_number(message.at);
        let new_day = day != Some(number);
        if new_day {
            rows.push(Row::Day {
                number,
                at: message.at,
            });
            day = Some(number);
        }
        let is_first_unread = !marked && unread.is_some_and(|unread| unread.contains(message));
        if is_first_unread {
            rows.push(Row::UnreadMarker);
            marked = true;
        }
        let is_continuation = !new_day
            && !is_first_unread
            && above.is_some_and(|above| is_continuation(above, message));
        rows.push(Row::Message {
            id: message.id,
            seq: message.seq,
            is_continuation,
        });
        above = Some(message);
    }
    rows
}

pub(super) fn is_mine_and_recent(last: &Message, me: UserId, clock: LocalClock) -> bool {
    let now = clock.now();
    let same_day = now.is_some_and(|now| {
        clock.day_number(now) == clock.day_number(last.at) && now - last.at < CONTINUATION_WINDOW
    });
    last.author.id == me && same_day && !last.content.is_system_message()
}

fn is_continuation(above: &Message, message: &Message) -> bool {
    let is_system_message = |message: &Message| message.content.is_system_message();
    above.author.id == message.author.id
        && message.at - above.at < CONTINUATION_WINDOW
        && !is_system_message(above)
        && !is_system_message(message)
}

#[component]
pub(super) fn RowView(
    row: Row,
    message: Option<Message>,
    me: UserId,
    /// Of a direct room.
    other_person: Option<Person>,
) -> impl IntoView {
    match row {
        Row::Day { at, .. } => view! {
            <h2 class="day">
                <LocalTime at style=TimeStyle::Day />
            </h2>
        }
        .into_any(),
        Row::UnreadMarker => view! {
            <p class="new-marker">
                <span>"New"</span>
            </p>
        }
        .into_any(),
        Row::Message {
            is_continuation, ..
        } => message
            .map(|message| view! { <MessageView message me is_continuation other_person /> })
            .into_any(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn what_arrives_while_the_page_is_hidden_is_unread() {
        let opened = UnreadRange {
            from: 2,
            to: 5,
            reader: UserId(Uuid::nil()),
        };
        let bounds = |range: UnreadRange| (range.from, range.to);
        assert_eq!(opened.on_visibility(true, 6), opened);
        let hidden = opened.on_visibility(false, 6);
        assert_eq!(bounds(hidden), (6, Seq::MAX));
        assert_eq!(hidden.on_visibility(false, 8), hidden);
        assert_eq!(bounds(hidden.on_visibility(true, 8)), (6, 8));
    }
}
