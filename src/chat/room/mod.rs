//! `/chat/{room}`: a room's newest messages, live, or an older page of its history.

mod group_call;
mod live;
mod rows;
mod timeline_scroll;

use super::{
    api::{RoomHistory, find_room_history},
    client::use_chat,
    room_list::{CallButtons, presence_word},
};
use crate::{
    model::{
        Seq, UserId,
        room::RoomKind,
        user::{Person, Presence},
    },
    people::{use_presence, use_viewer},
    ui::{
        icon::{Glyph, Icon},
        loading::LoadingIndicator,
        refetch::{FetchFailure, refetch_on_reconnect},
        time::LocalClock,
    },
};
use group_call::GroupCallButton;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_query_map};
use live::LiveRoom;
use rows::{RowView, rows};

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
        move || (slug.get(), before.get(), chat.refetch_count()),
        |(slug, before, _)| find_room_history(slug, before),
    );
    refetch_on_reconnect(page);
    view! {
        <Transition fallback=|| view! { <LoadingIndicator label="Loading the room" /> }>
            {move || Suspend::new(async move {
                match (page.await, viewer.person()) {
                    (Ok(page), Some(me)) => view! { <KeyedRoom page me /> }.into_any(),
                    (Ok(_), None) => ().into_any(),
                    (Err(failure), _) => {
                        view! {
                            <Title text="Chat" />
                            <div class="empty">
                                <FetchFailure failure resource=page />
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

/// Recreates the room's elements for each page of history. Otherwise Leptos would reuse the elements of the previous
/// room, and the text typed there would stay in the composer.
#[component]
fn KeyedRoom(page: RoomHistory, me: Person) -> impl IntoView {
    let first = page.messages.first().map(|message| message.seq);
    let key = (page.room.id, page.form_message_id, first);
    view! {
        <For each=move || [page.clone()] key=move |_| key let:page>
            <Room page me=me.clone() />
        </For>
    }
}

#[component]
fn Room(page: RoomHistory, me: Person) -> impl IntoView {
    let room = page.room.clone();
    let title = room.title.clone();
    view! {
        <Title text=title.clone() />
        <header class="room-header">
            <a class="icon-button back on-phone" href="/chat" aria-label="All rooms">
                <Icon name=Glyph::Back />
            </a>
            <div class="room-heading">
                <h1 dir="auto">{title.clone()}</h1>
                <RoomStatus kind=room.kind with=room.other_person.clone() />
            </div>
            {match room.other_person.clone() {
                Some(person) => view! { <CallButtons person /> }.into_any(),
                None => view! { <GroupCallButton room=room.id title=title.clone() /> }.into_any(),
            }}
        </header>
        {if page.is_newest {
            view! { <LiveRoom page me title /> }.into_any()
        } else {
            view! { <OlderHistory page me=me.id /> }.into_any()
        }}
    }
}

/// The line below a room's title: the number of people online, or the other person's presence.
#[component]
fn RoomStatus(kind: RoomKind, with: Option<Person>) -> impl IntoView {
    let people = use_presence();
    let clock = expect_context::<LocalClock>();
    let text = move || {
        if !clock.is_hydrated() {
            // Presence changes every second: a constant text until hydration, so that both sides match.
            match kind {
                RoomKind::Public => "Open to everyone".to_owned(),
                RoomKind::Direct => "Only the two of you".to_owned(),
            }
        } else if let Some(with) = &with {
            presence_word(people.presence_of(with.id)).to_owned()
        } else {
            let here = people.entries().with(|list| {
                list.iter()
                    .filter(|one| one.presence == Presence::Online)
                    .count()
            });
            let here = here + usize::try_from(people.unlisted_count()).unwrap_or(0);
            match (kind, here) {
                (RoomKind::Direct, _) => String::new(),
                (RoomKind::Public, 0) => "Open to everyone".to_owned(),
                (RoomKind::Public, 1) => "1 person here".to_owned(),
                (RoomKind::Public, here) => format!("{here} people here"),
            }
        }
    };
    view! { <p class="room-status quiet-text small-text">{text}</p> }
}

/// An older page of history, which is not live, with links to older and to the newest messages.
#[component]
fn OlderHistory(page: RoomHistory, me: UserId) -> impl IntoView {
    let here = format!("/chat/{}", page.room.slug);
    let older = page
        .messages
        .first()
        .filter(|_| page.has_older)
        .map(|first| format!("{here}?before={}", first.seq));
    let clock = expect_context::<LocalClock>();
    let with = page.room.other_person.clone();
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
