//! A room's newest messages, and the read cursor.

use super::{
    group_call::GroupCallCard,
    row_pages::{RowPage, split_rows},
    rows::{Row, RowView, UnreadRange, is_mine_and_recent, rows},
    timeline_scroll::TimelineScroll,
};
use crate::{
    chat::{
        api::{RoomHistory, find_room_history},
        client::use_chat,
        composer::Composer,
        direct_room_menu::BlockedNotice,
        message::PendingMessageView,
    },
    model::{RoomId, Seq, UserId, outbox::OutboxEntry, timeline::Timeline, user::Person},
    people::use_viewer,
    ui::{
        browser_apis,
        icon::{Glyph, Icon},
        notice::{Notice, NoticeKind},
        page_visibility::use_page_visibility,
        socket::use_socket,
        time::LocalClock,
    },
};
use leptos::{either::Either, ev, prelude::*, task::spawn_local_scoped_with_cancellation};
use leptos_use_resize_observer::use_resize_observer;
use std::mem::discriminant;

#[component]
pub(super) fn LiveRoom(page: RoomHistory, me: Person) -> impl IntoView {
    let (chat, viewer) = (use_chat(), use_viewer());
    let clock = expect_context::<LocalClock>();
    let RoomHistory {
        room: summary,
        form_message_id,
        ..
    } = page;
    let (room, my_id) = (summary.id, me.id);
    let (slug, title) = (summary.slug, summary.title);
    let outgoing = Memo::new(move |_| chat.outbox_entries(room));
    let scroll = TimelineScroll::new();
    let is_visible = use_page_visibility();
    let unread_when_opened = UnreadRange {
        from: summary.read_seq,
        // Ends once the page is known to be visible.
        to: Seq::MAX,
        reader: my_id,
    };
    let unread_range = Memo::new(move |previous: Option<&UnreadRange>| {
        let range = previous.copied().unwrap_or(unread_when_opened);
        if !clock.is_hydrated() {
            return range;
        }
        let head = chat.with_timeline_untracked(room, Timeline::head);
        range.on_visibility(is_visible.get(), head.unwrap_or_default())
    });
    let all_rows = Memo::new(move |_| {
        let unread = Some(unread_range.get());
        let is_blocked = |author| viewer.has_blocked(author);
        chat.with_timeline(room, |timeline| {
            rows(timeline.messages(), clock, unread, is_blocked)
        })
        .unwrap_or_default()
    });
    let page_starts = RwSignal::new(Vec::new());
    let pages = Memo::new(move |_| {
        page_starts.with(|page_starts| all_rows.with(|rows| split_rows(rows, page_starts)))
    });
    let is_empty = move || all_rows.with(Vec::is_empty) && outgoing.with(Vec::is_empty);

    follow_timeline(room, outgoing, scroll, is_visible);

    let oldest_with_older = Memo::new(move |_| {
        chat.with_timeline(room, Timeline::oldest_with_older)
            .flatten()
    });
    let older_slug = slug.clone();
    let find_message = move |row: Row| {
        chat.with_timeline_untracked(room, |timeline| row.find_message(timeline.messages()))
            .flatten()
    };
    let other_person = summary.other_person.clone();
    let blocked_person = Memo::new(move |_| {
        let other = other_person.clone();
        other.filter(|person| viewer.has_blocked(person.id))
    });
    let show_row = Callback::new(move |row| {
        view! { <RowView row message=find_message(row) me=my_id other_person=summary.other_person.clone() /> }
            .into_any()
    });
    let on_sent = Callback::new(move |()| scroll.jump_to_end());
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
                oldest_with_older
                    .get()
                    .map(|oldest| {
                        view! { <OlderMessages room slug=older_slug.clone() oldest page_starts scroll /> }
                    })
            }}
            <Show when=is_empty>
                <div class="empty">
                    <Icon name=Glyph::Chat />
                    <h2>"No messages yet"</h2>
                    <p>"Write the first message below."</p>
                </div>
            </Show>
            <RowPage pages show_row />
            <PendingMessages room author=me outgoing />
            <div id="latest"></div>
        </div>
        <GroupCallCard room title=title.clone() />
        <div class="below-timeline">
            <JumpToLatest room me=my_id scroll />
            <TypingLine room />
        </div>
        {move || {
            if let Some(person) = blocked_person.get() {
                Either::Left(view! { <BlockedNotice person /> })
            } else {
                let (slug, title) = (slug.clone(), title.clone());
                Either::Right(view! { <Composer room slug title form_message_id on_sent /> })
            }
        }}
    }
}

/// Keeps the view at the timeline's end, and the read cursor at what is seen.
fn follow_timeline(
    room: RoomId,
    outgoing: Memo<Vec<OutboxEntry>>,
    scroll: TimelineScroll,
    is_visible: Signal<bool>,
) {
    let (chat, socket) = (use_chat(), use_socket());
    // An on-screen keyboard resizes the view.
    Effect::new(move || {
        if browser_apis::supports_resize_observer() {
            use_resize_observer(scroll.view, move |_, _| scroll.follow_end());
        }
    });
    Effect::new(move || {
        chat.with_timeline(room, |_| ());
        outgoing.track();
        scroll.follow_end();
    });
    Effect::new(move || {
        let seen = chat.with_timeline(room, Timeline::head).unwrap_or_default();
        if scroll.is_at_end.get() && is_visible.get() && socket.is_connected() && seen > 0 {
            chat.mark_read(room, seen);
        }
    });
}

#[component]
fn PendingMessages(
    room: RoomId,
    author: Person,
    outgoing: Memo<Vec<OutboxEntry>>,
) -> impl IntoView {
    let (chat, clock) = (use_chat(), expect_context::<LocalClock>());
    let author_id = author.id;
    let continues_last = Memo::new(move |_| {
        chat.with_timeline(room, |timeline| {
            let last = timeline.messages().last();
            last.is_some_and(|last| is_mine_and_recent(last, author_id, clock))
        })
        .unwrap_or_default()
    });
    let pending = move || {
        let entries = outgoing.get().into_iter().enumerate();
        entries
            .map(|(at, entry)| (entry, at > 0 || continues_last.get()))
            .collect::<Vec<_>>()
    };
    view! {
        <For
            each=pending
            key=|(entry, is_continuation)| { (entry.id, discriminant(&entry.delivery), *is_continuation) }
            let((entry, is_continuation))
        >
            <PendingMessageView entry author=author.clone() is_continuation />
        </For>
    }
}

#[component]
fn JumpToLatest(room: RoomId, me: UserId, scroll: TimelineScroll) -> impl IntoView {
    let (chat, viewer) = (use_chat(), use_viewer());
    let read_seq = chat.rooms.property(room, |room| room.read_seq);
    let unread_count = Memo::new(move |_| {
        let read_seq = read_seq.get();
        chat.with_timeline(room, |timeline| {
            let newest_first = timeline.messages().iter().rev();
            newest_first
                .take_while(|message| message.seq > read_seq)
                .map(|message| message.author.id)
                .filter(|author| *author != me && !viewer.has_blocked(*author))
                .count()
        })
        .unwrap_or_default()
    });
    view! {
        <Show when=move || !scroll.is_at_end.get()>
            <button type="button" class="pill jump" on:click=move |_| scroll.jump_to_end()>
                <Icon name=Glyph::Down />
                {move || match unread_count.get() {
                    0 => "Jump to latest".to_owned(),
                    1 => "1 new message".to_owned(),
                    count => format!("{count} new messages"),
                }}
            </button>
        </Show>
    }
}

/// A link works before hydration.
#[component]
fn OlderMessages(
    room: RoomId,
    slug: String,
    oldest: Seq,
    page_starts: RwSignal<Vec<Seq>>,
    scroll: TimelineScroll,
) -> impl IntoView {
    let chat = use_chat();
    let is_busy = RwSignal::new(false);
    let failure = RwSignal::new(None::<String>);
    let href = format!("/chat/{slug}?before={oldest}");
    let fetch = move |event: ev::MouseEvent| {
        event.prevent_default();
        if is_busy.get_untracked() {
            return;
        }
        is_busy.set(true);
        let slug = slug.clone();
        // The signals are gone once the room is left.
        spawn_local_scoped_with_cancellation(async move {
            match find_room_history(slug, Some(oldest), false).await {
                Ok(page) => scroll.preserve_position(|| {
                    page_starts.update(|page_starts| page_starts.push(oldest));
                    chat.prepend_page(room, page.messages, page.has_older);
                }),
                Err(reason) => {
                    is_busy.set(false);
                    failure.set(Some(reason.to_string()));
                }
            }
        });
    };
    view! {
        <a
            class="older button"
            href=href
            rel="external"
            aria-busy=move || is_busy.get().then_some("true")
            on:click=fetch
        >
            "Older messages"
        </a>
        {move || failure.get().map(|reason| view! { <Notice kind=NoticeKind::Error>{reason}</Notice> })}
    }
}

/// Its height is reserved, so that nothing shifts.
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
    view! {
        <p class="typing-line" aria-live="polite">
            {text}
        </p>
    }
}
