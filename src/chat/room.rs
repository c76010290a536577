//! `/chat/{room}`: a room's messages, live.

use super::{
    api::{RoomPage, room_page},
    client::{ChatClient, use_chat},
    composer::Composer,
    message::{MessageView, WaitingView},
    rooms::{CallButtons, presence_word},
};
use crate::{
    model::{
        Millis, RoomId, Seq, UserId,
        message::{Content, Message},
        outbox::Delivery,
        room::RoomKind,
        timeline::Timeline,
        user::{Person, Presence},
    },
    people::{use_people, use_viewer},
    ui::{
        icon::{Glyph, Icon},
        notice::{Notice, NoticeKind},
        socket::use_socket,
        time::{LocalClock, LocalTime, TimeStyle},
        wait::Pending,
    },
};
use leptos::{ev, html, prelude::*, task::spawn_local};
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_query_map};
use leptos_use_document_visibility::use_document_visibility;
use leptos_use_resize_observer::use_resize_observer;

/// Messages of one author within this time read as one.
const GROUP: Millis = 5 * 60 * 1_000;
/// This near to the end counts as being there, in pixels.
const NEAR: i32 = 80;

/// The page.
#[component]
pub fn RoomPageView() -> impl IntoView {
    let (chat, viewer) = (use_chat(), use_viewer());
    let (params, query) = (use_params_map(), use_query_map());
    let slug = Memo::new(move |_| params.read().get("room").unwrap_or_default());
    let before = Memo::new(move |_| {
        query
            .read()
            .get("before")
            .and_then(|before| before.parse::<Seq>().ok())
    });
    let page = Resource::new_blocking(
        move || (slug.get(), before.get(), chat.stale()),
        |(slug, before, _)| room_page(slug, before),
    );
    view! {
        <Transition fallback=|| view! { <Pending label="Loading the room" /> }>
            {move || Suspend::new(async move {
                match (page.await, viewer.person()) {
                    (Ok(page), Some(me)) => view! { <OneRoom page me /> }.into_any(),
                    (Ok(_), None) => ().into_any(),
                    (Err(failure), _) => {
                        view! {
                            <Title text="Chat" />
                            <div class="empty">
                                <Notice kind=NoticeKind::Error>{failure.to_string()}</Notice>
                                <p>
                                    <a class="button" href="/chat">"See all rooms"</a>
                                </p>
                            </div>
                        }
                            .into_any()
                    }
                }
            })}
        </Transition>
    }
}

/// A room that is made anew for every other page of it. Rebuilt in place, the elements of one room would go on in the next,
/// and what was typed for one person would stand in the field of another room.
#[component]
fn OneRoom(page: RoomPage, me: Person) -> impl IntoView {
    let first = page.messages.first().map(|message| message.seq);
    let key = (page.room.id, page.post_id, first);
    view! {
        <For each=move || [page.clone()] key=move |_| key let:page>
            <Room page me=me.clone() />
        </For>
    }
}

#[component]
fn Room(page: RoomPage, me: Person) -> impl IntoView {
    let room = page.room.clone();
    let title = room.title.clone();
    view! {
        <Title text=title.clone() />
        <header class="room-header">
            <a class="icon-button back on-phone" href="/chat" aria-label="All rooms">
                <Icon name=Glyph::Back />
            </a>
            <div class="room-heading">
                <h1>{title.clone()}</h1>
                <RoomStatus kind=room.kind with=room.with.clone() />
            </div>
            {room.with.clone().map(|person| view! { <CallButtons person /> })}
        </header>
        {if page.newest {
            view! { <LiveRoom page me title /> }.into_any()
        } else {
            view! { <OldPage page me=me.id /> }.into_any()
        }}
    }
}

/// Below a room's name: who is here, or where the other person is.
#[component]
fn RoomStatus(kind: RoomKind, with: Option<Person>) -> impl IntoView {
    let people = use_people();
    let clock = expect_context::<LocalClock>();
    let text = move || {
        if !clock.is_live() {
            // Who is here changes by the second: the first view says the same on both sides.
            match kind {
                RoomKind::Public => "Open to everybody".to_owned(),
                RoomKind::Direct => "Only the two of you".to_owned(),
            }
        } else if let Some(with) = &with {
            presence_word(people.of(with.id)).to_owned()
        } else {
            let here = people.present().with(|list| {
                list.iter()
                    .filter(|one| one.presence == Presence::Here)
                    .count()
            });
            match (kind, here) {
                (RoomKind::Direct, _) => String::new(),
                (RoomKind::Public, 0) => "Open to everybody".to_owned(),
                (RoomKind::Public, 1) => "1 person here".to_owned(),
                (RoomKind::Public, here) => format!("{here} people here"),
            }
        }
    };
    view! { <p class="room-status quiet-text small-text">{text}</p> }
}

/// A page of history, for a page that is not live: older and newer are links.
#[component]
fn OldPage(page: RoomPage, me: UserId) -> impl IntoView {
    let here = format!("/chat/{}", page.room.slug);
    let older = page
        .messages
        .first()
        .filter(|_| page.has_older)
        .map(|first| format!("{here}?before={}", first.seq));
    let clock = expect_context::<LocalClock>();
    let with = page.room.with.clone();
    view! {
        <div class="timeline" role="log" tabindex="0" aria-label="Older messages">
            {older.map(|href| view! { <a class="older button" href=href>"Older messages"</a> })}
            {move || {
                rows(&page.messages, clock, None)
                    .into_iter()
                    .map(|row| view! { <RowView row me with=with.clone() /> })
                    .collect_view()
            }}
            <a class="older button" href=here>"Back to the newest messages"</a>
        </div>
    }
}

/// One line of a timeline.
#[derive(Debug, Clone, PartialEq)]
enum Row {
    /// From here on another day.
    Day { number: i64, at: Millis },
    /// From here on unread.
    New,
    /// A message.
    Message { message: Message, grouped: bool },
}

impl Row {
    /// What makes a row the same row; anything that changes how it looks is in it.
    fn key(&self) -> String {
        match self {
            Self::Day { number, .. } => format!("day {number}"),
            Self::New => "new".to_owned(),
            Self::Message { message, grouped } => format!("{} {grouped}", message.id),
        }
    }
}

/// What came while the reader was away: after `from`, up to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Missed {
    from: Seq,
    to: Seq,
    /// Whose own messages do not count.
    reader: UserId,
}

impl Missed {
    fn holds(&self, message: &Message) -> bool {
        message.seq > self.from && message.seq <= self.to && message.author.id != self.reader
    }
}

/// A room's messages with what stands between them: days, and a line before the first message that was missed.
fn rows(messages: &[Message], clock: LocalClock, missed: Option<Missed>) -> Vec<Row> {
    let mut rows = Vec::with_capacity(messages.len() + 8);
    let mut day = None;
    let mut marked = false;
    let mut above: Option<&Message> = None;
    for message in messages {
        let number = clock.day(message.at);
        let new_day = day != Some(number);
        if new_day {
            rows.push(Row::Day {
                number,
                at: message.at,
            });
            day = Some(number);
        }
        let new = !marked && missed.is_some_and(|missed| missed.holds(message));
        if new {
            rows.push(Row::New);
            marked = true;
        }
        let grouped = !new_day && !new && above.is_some_and(|above| goes_on(above, message));
        rows.push(Row::Message {
            message: message.clone(),
            grouped,
        });
        above = Some(message);
    }
    rows
}

/// Whether what this reader writes now goes on from a message.
fn is_mine_and_recent(last: &Message, me: UserId, clock: LocalClock) -> bool {
    let now = clock.now();
    let same_day =
        now.is_some_and(|now| clock.day(now) == clock.day(last.at) && now - last.at < GROUP);
    last.author.id == me && same_day && !matches!(last.content, Content::Call { .. })
}

fn goes_on(above: &Message, message: &Message) -> bool {
    let is_call = |message: &Message| matches!(message.content, Content::Call { .. });
    above.author.id == message.author.id
        && message.at - above.at < GROUP
        && !is_call(above)
        && !is_call(message)
}

#[component]
fn RowView(row: Row, me: UserId, with: Option<Person>) -> impl IntoView {
    match row {
        Row::Day { at, .. } => view! {
            <h2 class="day">
                <LocalTime at style=TimeStyle::Day />
            </h2>
        }
        .into_any(),
        Row::New => view! {
            <p class="new-marker">
                <span>"New"</span>
            </p>
        }
        .into_any(),
        Row::Message { message, grouped } => {
            view! { <MessageView message me grouped with /> }.into_any()
        }
    }
}

/// The newest messages of a room, live.
#[component]
fn LiveRoom(page: RoomPage, me: Person, title: String) -> impl IntoView {
    let (chat, socket) = (use_chat(), use_socket());
    let myself = me.clone();
    let me = me.id;
    let clock = expect_context::<LocalClock>();
    let room = page.room.id;
    let slug = page.room.slug.clone();
    let with = page.room.with.clone();
    let timeline = chat.open(&page);
    let scroll = Scroll {
        view: NodeRef::new(),
        at_end: RwSignal::new(true),
        top: StoredValue::new(0),
    };
    let missed = RwSignal::new(Missed {
        from: page.room.read,
        to: page.room.head,
        reader: me,
    });

    let all_rows = {
        let timeline = timeline.clone();
        Memo::new(move |_| {
            timeline.with(|timeline| rows(timeline.messages(), clock, Some(missed.get())))
        })
    };
    let is_empty = move || all_rows.with(Vec::is_empty) && chat.waiting(room).is_empty();

    // What happened between the server's answer and now, if the socket was there before the page was.
    Effect::new(move || {
        if socket.is_online() {
            chat.catch_up(socket, room);
        }
    });
    follow(chat, scroll, room, timeline.clone(), missed);

    let waiting = {
        let timeline = timeline.clone();
        move || {
            let goes_on = timeline.with(|timeline| {
                timeline
                    .messages()
                    .last()
                    .is_some_and(|last| is_mine_and_recent(last, me, clock))
            });
            let waiting = chat.waiting(room).into_iter().enumerate();
            waiting
                .map(|(at, outgoing)| (outgoing, at > 0 || goes_on))
                .collect::<Vec<_>>()
        }
    };
    let has_older = {
        let timeline = timeline.clone();
        Memo::new(move |_| {
            timeline.with(|timeline| timeline.has_older.then(|| timeline.oldest()).flatten())
        })
    };
    let older_slug = slug.clone();
    let older_timeline = timeline.clone();
    let jump = Callback::new(move |()| scroll.to_end(true));
    let below = {
        let timeline = timeline.clone();
        move || {
            let read = chat.room(room).map_or(0, |summary| summary.read);
            timeline.with(|timeline| {
                timeline
                    .messages()
                    .iter()
                    .rev()
                    .take_while(|message| message.seq > read)
                    .filter(|message| message.author.id != me)
                    .count()
            })
        }
    };
    view! {
        <div
            class="timeline"
            role="log"
            tabindex="0"
            aria-label="Messages"
            node_ref=scroll.view
            on:scroll=move |_| scroll.moved()
        >
            {move || {
                has_older
                    .get()
                    .map(|oldest| {
                        view! {
                            <Older
                                slug=older_slug.clone()
                                oldest
                                timeline=older_timeline.clone()
                                scroll
                            />
                        }
                    })
            }}
            <Show when=is_empty>
                <div class="empty">
                    <Icon name=Glyph::Chat />
                    <h2>"Nothing has been said here yet"</h2>
                    <p>"Write the first message below."</p>
                </div>
            </Show>
            <For each=move || all_rows.get() key=Row::key let:row>
                <RowView row me with=with.clone() />
            </For>
            <For
                each=waiting
                key=|(waiting, grouped)| (waiting.id, waiting.delivery != Delivery::Pending, *grouped)
                let((outgoing, grouped))
            >
                <WaitingView outgoing me=myself.clone() grouped />
            </For>
            <div id="latest"></div>
        </div>
        <div class="below-timeline">
            <Show when=move || !scroll.at_end.get()>
                <button type="button" class="pill jump" on:click=move |_| jump.run(())>
                    <Icon name=Glyph::Down />
                    {
                        let below = below.clone();
                        move || match below() {
                            0 => "Jump to latest".to_owned(),
                            1 => "1 new message".to_owned(),
                            count => format!("{count} new messages"),
                        }
                    }
                </button>
            </Show>
            <TypingLine room />
        </div>
        <Composer room slug title post_id=page.post_id on_sent=jump />
    }
}

/// The scrolled view of a timeline.
#[derive(Debug, Clone, Copy)]
struct Scroll {
    view: NodeRef<html::Div>,
    at_end: RwSignal<bool>,
    /// How far down it was when it last moved, in pixels.
    top: StoredValue<i32>,
}

impl Scroll {
    /// The view moved, by the reader's doing or by ours. Being near the end is being there. Leaving it takes the reader: while
    /// rows are added the end runs away from a view that stands still, and following must not end by that.
    fn moved(self) {
        let Some(view) = self.view.get_untracked() else {
            return;
        };
        let (top, before) = (view.scroll_top(), self.top.get_value());
        self.top.set_value(top);
        let is_near = view.scroll_height() - top - view.client_height() < NEAR;
        let at_end = is_near || (self.at_end.get_untracked() && top >= before);
        if self.at_end.get_untracked() != at_end {
            self.at_end.set(at_end);
        }
    }

    /// Shows the end, once what was just added has its place.
    fn to_end(self, mark: bool) {
        if mark {
            self.at_end.set(true);
        }
        request_animation_frame(move || {
            if let Some(view) = self.view.get_untracked() {
                view.set_scroll_top(view.scroll_height());
            }
        });
    }

    /// Keeps what is being read where it is while something is put above it.
    fn keep_in_place(self, change: impl FnOnce()) {
        let before = self
            .view
            .get_untracked()
            .map(|view| view.scroll_height() - view.scroll_top());
        change();
        request_animation_frame(move || {
            if let (Some(view), Some(before)) = (self.view.get_untracked(), before) {
                view.set_scroll_top(view.scroll_height() - before);
            }
        });
    }
}

/// Follows the end while the reader is there, says how far they have read, and marks where new messages begin when they look
/// away.
fn follow(
    chat: ChatClient,
    scroll: Scroll,
    room: RoomId,
    timeline: ArcRwSignal<Timeline>,
    missed: RwSignal<Missed>,
) {
    let socket = use_socket();
    // A banner above, a keyboard below, a smaller window: who was at the end stays there.
    use_resize_observer(scroll.view, move |_, _| {
        if scroll.at_end.get_untracked() {
            scroll.to_end(false);
        }
    });
    let visible = use_document_visibility();
    let is_visible = move || visible.get() != web_sys::VisibilityState::Hidden;
    Effect::new({
        let timeline = timeline.clone();
        move || {
            timeline.track();
            let _ = chat.waiting(room);
            if scroll.at_end.get_untracked() {
                scroll.to_end(false);
            }
        }
    });
    Effect::new({
        let timeline = timeline.clone();
        move || {
            let seen = timeline.with(|timeline| timeline.cursor().seq);
            if scroll.at_end.get() && is_visible() && socket.is_online() && seen > 0 {
                chat.saw(socket, room, seen);
            }
        }
    });
    Effect::new(move |was_visible: Option<bool>| {
        let now = is_visible();
        let seen = timeline.with_untracked(|timeline| timeline.cursor().seq);
        match (was_visible, now) {
            (Some(true), false) => {
                missed.update(|missed| (missed.from, missed.to) = (seen, Seq::MAX));
            }
            (Some(false), true) => missed.update(|missed| missed.to = seen),
            (Some(true) | None, true) | (Some(false) | None, false) => {}
        }
        now
    });
}

/// Fetches the page before. A link, so that it works before the page is live.
#[component]
fn Older(
    slug: String,
    oldest: Seq,
    timeline: ArcRwSignal<Timeline>,
    scroll: Scroll,
) -> impl IntoView {
    let busy = RwSignal::new(false);
    let failed = RwSignal::new(None::<String>);
    let href = format!("/chat/{slug}?before={oldest}");
    let fetch = move |event: ev::MouseEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        let (slug, timeline) = (slug.clone(), timeline.clone());
        spawn_local(async move {
            match room_page(slug, Some(oldest)).await {
                Ok(page) => scroll.keep_in_place(|| {
                    timeline.update(|timeline| timeline.prepend(page.messages, page.has_older));
                }),
                Err(failure) => {
                    busy.try_set(false);
                    failed.try_set(Some(failure.to_string()));
                }
            }
        });
    };
    view! {
        <a
            class="older button"
            href=href
            rel="external"
            aria-busy=move || busy.get().then_some("true")
            on:click=fetch
        >
            "Older messages"
        </a>
        {move || failed.get().map(|failure| view! { <Notice kind=NoticeKind::Error>{failure}</Notice> })}
    }
}

/// Who types. Its height is always there, so that nothing moves.
#[component]
fn TypingLine(room: RoomId) -> impl IntoView {
    let chat = use_chat();
    let text = move || {
        let names: Vec<String> = chat
            .typing(room)
            .into_iter()
            .map(|person| person.name.into())
            .collect();
        match names.as_slice() {
            [] => String::new(),
            [one] => format!("{one} is typing…"),
            [one, other] => format!("{one} and {other} are typing…"),
            [_, _, ..] => "Several people are typing…".to_owned(),
        }
    };
    view! { <p class="typing-line" aria-live="polite">{text}</p> }
}
