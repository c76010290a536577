//! The newest messages of a room, live: committed and pending messages, and the read cursor.

use super::{
    group_call::GroupCallCard,
    rows::{Row, RowView, UnreadRange, is_mine_and_recent, rows},
    timeline_scroll::TimelineScroll,
};
use crate::{
    chat::{
        api::{RoomHistory, find_room_history},
        client::{ChatClient, use_chat},
        composer::Composer,
        message::PendingMessageView,
    },
    model::{RoomId, Seq, UserId, outbox::Delivery, timeline::Timeline, user::Person},
    ui::{
        icon::{Glyph, Icon},
        notice::{Notice, NoticeKind},
        page_visibility::use_page_visibility,
        socket::use_socket,
        time::LocalClock,
    },
};
use leptos::{ev, prelude::*, task::spawn_local};
use leptos_use_resize_observer::use_resize_observer;

/// The newest messages of a room, updated live, with the composer.
#[component]
pub(super) fn LiveRoom(page: RoomHistory, me: Person, title: String) -> impl IntoView {
    let (chat, socket) = (use_chat(), use_socket());
    let myself = me.clone();
    let me = me.id;
    let clock = expect_context::<LocalClock>();
    let room = page.room.id;
    let slug = page.room.slug.clone();
    let with = page.room.other_person.clone();
    let timeline = chat.open_timeline(&page);
    let scroll = TimelineScroll::new();
    let unread_range = RwSignal::new(UnreadRange {
        from: page.room.read_seq,
        to: page.room.head,
        reader: me,
    });

    let all_rows = {
        let timeline = timeline.clone();
        Memo::new(move |_| {
            timeline.with(|timeline| rows(timeline.messages(), clock, Some(unread_range.get())))
        })
    };
    let is_empty = move || all_rows.with(Vec::is_empty) && chat.outbox_entries(room).is_empty();

    // Fetches events since the server's answer: the socket may have connected before this timeline existed.
    Effect::new(move || {
        if socket.is_connected() {
            chat.catch_up(socket, room);
        }
    });
    follow_timeline(chat, scroll, room, timeline.clone(), unread_range);

    let waiting = {
        let timeline = timeline.clone();
        move || {
            let goes_on = timeline.with(|timeline| {
                timeline
                    .messages()
                    .last()
                    .is_some_and(|last| is_mine_and_recent(last, me, clock))
            });
            let waiting = chat.outbox_entries(room).into_iter().enumerate();
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
    let to_end = Callback::new(move |()| scroll.scroll_to_end(true));
    view! {
        <div
            class="timeline"
            role="log"
            tabindex="0"
            aria-label="Messages"
            node_ref=scroll.view
            on:scroll=move |_| scroll.on_scroll()
        >
            {move || {
                has_older
                    .get()
                    .map(|oldest| {
                        view! {
                            <OlderMessages
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
                    <h2>"No messages yet"</h2>
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
                <PendingMessageView outgoing me=myself.clone() is_continuation=grouped />
            </For>
            <div id="latest"></div>
        </div>
        <GroupCallCard room title=title.clone() />
        <div class="below-timeline">
            <JumpToLatest room me scroll timeline />
            <TypingLine room />
        </div>
        <Composer room slug title form_message_id=page.form_message_id on_sent=to_end />
    }
}

/// The button that scrolls to the end, with the number of unread messages there.
#[component]
fn JumpToLatest(
    room: RoomId,
    me: UserId,
    scroll: TimelineScroll,
    timeline: ArcRwSignal<Timeline>,
) -> impl IntoView {
    let chat = use_chat();
    let below = move || {
        let read = chat.room(room).map_or(0, |summary| summary.read_seq);
        timeline.with(|timeline| {
            timeline
                .messages()
                .iter()
                .rev()
                .take_while(|message| message.seq > read)
                .filter(|message| message.author.id != me)
                .count()
        })
    };
    view! {
        <Show when=move || !scroll.is_at_end.get()>
            <button type="button" class="pill jump" on:click=move |_| scroll.scroll_to_end(true)>
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
    }
}

/// Keeps the view at the end, sends the read cursor, and starts a new unread range when the page is hidden.
fn follow_timeline(
    chat: ChatClient,
    scroll: TimelineScroll,
    room: RoomId,
    timeline: ArcRwSignal<Timeline>,
    unread_range: RwSignal<UnreadRange>,
) {
    let socket = use_socket();
    // A banner, an on-screen keyboard or a smaller window resizes the view: it stays at the end.
    use_resize_observer(scroll.view, move |_, _| {
        if scroll.is_at_end.get_untracked() {
            scroll.scroll_to_end(false);
        }
    });
    let is_visible = use_page_visibility();
    Effect::new({
        let timeline = timeline.clone();
        move || {
            timeline.track();
            let _ = chat.outbox_entries(room);
            if scroll.is_at_end.get_untracked() {
                scroll.scroll_to_end(false);
            }
        }
    });
    Effect::new({
        let timeline = timeline.clone();
        move || {
            let seen = timeline.with(|timeline| timeline.cursor().seq);
            if scroll.is_at_end.get() && is_visible.get() && socket.is_connected() && seen > 0 {
                chat.mark_read(socket, room, seen);
            }
        }
    });
    Effect::new(move |was_visible: Option<bool>| {
        let now = is_visible.get();
        let seen = timeline.with_untracked(|timeline| timeline.cursor().seq);
        match (was_visible, now) {
            (Some(true), false) => {
                unread_range.update(|missed| (missed.from, missed.to) = (seen, Seq::MAX));
            }
            (Some(false), true) => unread_range.update(|missed| missed.to = seen),
            (Some(true) | None, true) | (Some(false) | None, false) => {}
        }
        now
    });
}

/// Loads the previous page of history. It is a link, so it works before hydration.
#[component]
fn OlderMessages(
    slug: String,
    oldest: Seq,
    timeline: ArcRwSignal<Timeline>,
    scroll: TimelineScroll,
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
            match find_room_history(slug, Some(oldest)).await {
                Ok(page) => scroll.preserve_position(|| {
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

/// The typing indicator. Its height is reserved, so that nothing shifts.
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
