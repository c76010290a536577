//! A timeline as rows: messages, day headings and the marker before unread messages.

use crate::{
    chat::message::MessageView,
    model::{Millis, Seq, UserId, message::Message, user::Person},
    ui::time::{LocalClock, LocalTime, TimeStyle},
};
use leptos::prelude::*;

/// Maximum time between grouped messages of one author, in milliseconds.
const CONTINUATION_WINDOW: Millis = 5 * 60 * 1_000;
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Row {
    /// The heading of a day.
    Day { number: i64, at: Millis },
    /// The marker before the first unread message.
    UnreadMarker,
    Message {
        message: Message,
        is_continuation: bool,
    },
}

impl Row {
    /// The `<For>` key of a row; everything that changes its appearance is part of it.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Day { number, .. } => format!("day {number}"),
            Self::UnreadMarker => "new".to_owned(),
            Self::Message {
                message,
                is_continuation: grouped,
            } => format!("{} {grouped}", message.id),
        }
    }
}

/// The messages that arrived while the reader was away: after `from`, up to and including `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnreadRange {
    pub(super) from: Seq,
    pub(super) to: Seq,
    /// The reader, whose own messages do not count as unread.
    pub(super) reader: UserId,
}

impl UnreadRange {
    fn contains(&self, message: &Message) -> bool {
        message.seq > self.from && message.seq <= self.to && message.author.id != self.reader
    }
}

/// Turns messages into rows, with a heading for each day and a marker before the first message in `missed`.
pub(super) fn rows(
    messages: &[Message],
    clock: LocalClock,
    missed: Option<UnreadRange>,
) -> Vec<Row> {
    let mut rows = Vec::with_capacity(messages.len() + 8);
    let mut day = None;
    let mut marked = false;
    let mut above: Option<&Message> = None;
    for message in messages {
        let number = clock.day_number(message.at);
        let new_day = day != Some(number);
        if new_day {
            rows.push(Row::Day {
                number,
                at: message.at,
            });
            day = Some(number);
        }
        let new = !marked && missed.is_some_and(|missed| missed.contains(message));
        if new {
            rows.push(Row::UnreadMarker);
            marked = true;
        }
        let grouped =
            !new_day && !new && above.is_some_and(|above| is_continuation(above, message));
        rows.push(Row::Message {
            message: message.clone(),
            is_continuation: grouped,
        });
        above = Some(message);
    }
    rows
}

/// Whether a message written now by `me` would be grouped with `last`.
pub(super) fn is_mine_and_recent(last: &Message, me: UserId, clock: LocalClock) -> bool {
    let now = clock.now();
    let same_day = now.is_some_and(|now| {
        clock.day_number(now) == clock.day_number(last.at) && now - last.at < CONTINUATION_WINDOW
    });
    last.author.id == me && same_day && !last.content.is_system_message()
}

fn is_continuation(above: &Message, message: &Message) -> bool {
    let is_call = |message: &Message| message.content.is_system_message();
    above.author.id == message.author.id
        && message.at - above.at < CONTINUATION_WINDOW
        && !is_call(above)
        && !is_call(message)
}

#[component]
pub(super) fn RowView(row: Row, me: UserId, with: Option<Person>) -> impl IntoView {
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
            message,
            is_continuation,
        } => view! { <MessageView message me is_continuation with /> }.into_any(),
    }
}
