//! `/chat/{room}`: a room's messages, live.

mod group;
mod live;
mod rows;
mod scroll;

use super::{
    api::{RoomPage, room_page},
    client::use_chat,
    rooms::{CallButtons, presence_word},
};
use crate::{
    model::{
        Seq, UserId,
        room::RoomKind,
        user::{Person, Presence},
    },
    people::{use_people, use_viewer},
    ui::{
        again::{Failed, ask_again_online},
        icon::{Glyph, Icon},
        time::LocalClock,
        wait::Pending,
    },
};
use group::GroupButton;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::{use_params_map, use_query_map};
use live::LiveRoom;
use rows::{RowView, rows};

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
    ask_again_online(page);
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
                                <Failed failure asked=page />
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
                <h1 dir="auto">{title.clone()}</h1>
                <RoomStatus kind=room.kind with=room.with.clone() />
            </div>
            {match room.with.clone() {
                Some(person) => view! { <CallButtons person /> }.into_any(),
                None => view! { <GroupButton room=room.id title=title.clone() /> }.into_any(),
            }}
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
            let here = here + usize::try_from(people.unlisted()).unwrap_or(0);
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
