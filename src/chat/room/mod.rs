//! `/chat/{room}`: a room's newest messages, live, or an older page.

mod group_call;
mod live;
mod row_pages;
mod rows;
mod timeline_scroll;

use super::{
    api::{RoomHistory, find_room_history},
    client::use_chat,
    direct_room_menu::DirectRoomMenu,
    page::UnsentText,
    room_list::{CallButtons, presence_word},
};
use crate::{
    model::{Seq, UserId, room::RoomKind, user::Person},
    people::{use_presence, use_viewer},
    ui::{
        icon::{Glyph, Icon},
        loading::LoadingIndicator,
        refetch::{FetchFailure, refetch_on_reconnect},
        role_mark::RoleMark,
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
    let refetch_count = Memo::new(move |_| slug.with(|slug| chat.refetch_count(slug)));
    let page = Resource::new_blocking(
        move || (slug.get(), before.get(), refetch_count.get()),
        |(slug, before, _)| find_room_history(slug, before, cfg!(feature = "ssr")),
    );
    refetch_on_reconnect(page);
    view! {
        <Transition fallback=|| {
            view! { <LoadingIndicator label="Loading the room" /> }
        }>
            {move || Suspend::new(async move {
                match (page.await, viewer.person()) {
                    (Ok(mut page), Some(me)) => {
                        chat.take_newest_page(&mut page);
                        // In the resource, not in a component: views only read.
                        view! { <KeyedRoom page me /> }
                            .into_any()
                    }
                    (Ok(_), None) => ().into_any(),
                    (Err(failure), _) => {
                        view! {
                            <Title text="Chat" />
                            <UnsentText />
                            <div class="empty">
                                <FetchFailure failure resource=page />
                                <p>
                                    <a class="button" href="/chat">
                                        "See all rooms"
                                    </a>
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

/// Recreates the elements for each page: Leptos would reuse those of another room, with the text typed there.
#[component]
fn KeyedRoom(page: RoomHistory, me: Person) -> impl IntoView {
    // Every answer has its own id.
    let key = page.form_message_id;
    view! {
        <For each=move || [page.clone()] key=move |_| key let:page>
            <Room page me=me.clone() />
        </For>
    }
}

#[component]
fn Room(page: RoomHistory, me: Person) -> impl IntoView {
    let room = &page.room;
    let (id, kind, title) = (room.id, room.kind, room.title.clone());
    let other_person = room.other_person.clone();
    view! {
        <Title text=title.clone() />
        <header class="room-header">
            <a class="icon-button back on-phone" href="/chat" aria-label="All rooms">
                <Icon name=Glyph::Back />
            </a>
            <div class="room-heading">
                <h1 dir="auto">
                    {title.clone()} {other_person.as_ref().map(|person| view! { <RoleMark role=person.role /> })}
                </h1>
                <RoomStatus kind other_person=other_person.clone() />
            </div>
            {match other_person {
                Some(person) => {
                    view! {
                        <CallButtons person=person.clone() />
                        <DirectRoomMenu room=id person />
                    }
                        .into_any()
                }
                None => view! { <GroupCallButton room=id title /> }.into_any(),
            }}
        </header>
        {if page.is_newest {
            view! { <LiveRoom page me /> }.into_any()
        } else {
            view! { <OlderHistory page me=me.id /> }.into_any()
        }}
    }
}

#[component]
fn RoomStatus(kind: RoomKind, other_person: Option<Person>) -> impl IntoView {
    let people = use_presence();
    let clock = expect_context::<LocalClock>();
    let presence = other_person.map(|person| people.presence_of(person.id));
    let online_count = people.online_count();
    // Presence may differ in the browser: the text is constant until hydration.
    let text = move || match (kind, presence, clock.is_hydrated()) {
        (RoomKind::Direct, _, false) => "Only the two of you".to_owned(),
        (RoomKind::Public, _, false) => "Open to everyone".to_owned(),
        (_, Some(presence), true) => presence_word(presence.get()).to_owned(),
        (RoomKind::Direct, None, true) => String::new(),
        (RoomKind::Public, None, true) => match online_count.get() {
            0 => "Open to everyone".to_owned(),
            1 => "1 person here".to_owned(),
            count => format!("{count} people here"),
        },
    };
    view! { <p class="room-status quiet-text small-text">{text}</p> }
}

/// An older page, not live.
#[component]
fn OlderHistory(page: RoomHistory, me: UserId) -> impl IntoView {
    let newest_href = format!("/chat/{}", page.room.slug);
    let older = page
        .messages
        .first()
        .filter(|_| page.has_older)
        .map(|first| format!("{newest_href}?before={}", first.seq));
    let (clock, viewer) = (expect_context::<LocalClock>(), use_viewer());
    let other_person = page.room.other_person.clone();
    view! {
        <div class="timeline" role="log" tabindex="0" aria-label="Older messages">
            {older
                .map(|href| {
                    view! {
                        <a class="older button" href=href>
                            "Older messages"
                        </a>
                    }
                })}
            {move || {
                rows(&page.messages, clock, None, |author| viewer.has_blocked(author))
                    .into_iter()
                    .map(|row| {
                        let message = row.find_message(&page.messages);
                        view! { <RowView row message me other_person=other_person.clone() /> }
                    })
                    .collect_view()
            }}
            <a class="older button" href=newest_href>
                "Back to the newest messages"
            </a>
        </div>
    }
}
