//! The sidebar beside every room: rooms and people.

use super::{
    api::{CreateRoom, OpenDirectRoom, Sidebar, create_room, open_direct_room},
    client::use_chat,
};
use crate::{
    model::{
        RoomId,
        call::Media,
        room::{RoomKind, RoomSummary},
        user::{Person, Presence, UserName},
    },
    people::{UnlistedCount, use_call_actions, use_presence},
    ui::{
        avatar::Avatar,
        form::{Field, FormFailure, FormSubmission},
        icon::{Glyph, Icon},
        time::LocalClock,
    },
};
use leptos::{html, prelude::*};
use leptos_router::hooks::{use_params_map, use_query_map};
use server_fn::ServerFn;

#[component]
pub fn RoomList(
    /// The lists as the server rendered them.
    sidebar: Sidebar,
) -> impl IntoView {
    let (chat, people) = (use_chat(), use_presence());
    let question = use_call_actions().notification_prompt;
    let Sidebar {
        me,
        rooms,
        people: present,
    } = sidebar;
    chat.set_initial_rooms(rooms);
    people.set_initial(present);
    let of_kind = move |kind| {
        Signal::derive(move || {
            chat.rooms()
                .get()
                .into_iter()
                .filter(|room| room.kind == kind)
                .collect::<Vec<_>>()
        })
    };
    let (public, direct) = (of_kind(RoomKind::Public), of_kind(RoomKind::Direct));
    let others = {
        let me = me.id;
        move || {
            people
                .entries()
                .get()
                .into_iter()
                .filter(|present| present.person.id != me)
                .collect::<Vec<_>>()
        }
    };
    let params = use_params_map();
    let no_room = move || params.with(|params| params.get_str("room").is_none());
    let nobody = move || others().is_empty();
    let submission = FormSubmission::new();
    view! {
        <nav class="chat-rooms" aria-label="Rooms and people">
            {move || no_room().then(|| view! { <h1 class="visually-hidden">"Chat"</h1> })}
            <section>
                <h2 class="rooms-heading">"Rooms"</h2>
                <ul class="room-list">
                    <For each=move || public.get() key=room_key let:room>
                        <RoomLink room />
                    </For>
                </ul>
                {me.role.can_create_rooms().then(|| view! { <NewRoom /> })}
            </section>
            <Show when=move || direct.with(|rooms| !rooms.is_empty())>
                <section>
                    <h2 class="rooms-heading">"Direct"</h2>
                    <ul class="room-list">
                        <For each=move || direct.get() key=room_key let:room>
                            <RoomLink room />
                        </For>
                    </ul>
                </section>
            </Show>
            <section>
                <h2 class="rooms-heading">"People here"</h2>
                <FormFailure path=OpenDirectRoom::PATH submission=submission />
                <ul class="people-list">
                    <For
                        each=others
                        key=|present| (present.person.id, present.person.name.clone())
                        let:present
                    >
                        <PersonRow person=present.person submission />
                    </For>
                </ul>
                <UnlistedCount />
                <Show when=nobody>
                    <p class="quiet-text small-text nobody">"Nobody else is here right now. Send someone a link to this page."</p>
                </Show>
            </section>
            {question.run(())}
        </nav>
    }
}

/// The `<For>` key of a room. Fields that change often are not part of it, so that a link is not replaced while the
/// user is about to follow it.
fn room_key(room: &RoomSummary) -> (RoomId, Option<UserName>) {
    (
        room.id,
        room.other_person.as_ref().map(|with| with.name.clone()),
    )
}

#[component]
fn RoomLink(room: RoomSummary) -> impl IntoView {
    let (chat, params) = (use_chat(), use_params_map());
    let id = room.id;
    let title = {
        let title = room.title.clone();
        Memo::new(move |_| {
            chat.room(id)
                .map_or_else(|| title.clone(), |room| room.title)
        })
    };
    let unread = Memo::new(move |_| chat.room(id).map_or(0, |room| room.unread));
    let slug = room.slug.clone();
    let current = move || {
        params
            .with(|params| params.get_str("room") == Some(&slug))
            .then_some("page")
    };
    let people = use_presence();
    let reach = use_call_actions();
    let calls = Memo::new(move |_| {
        reach
            .group_calls
            .with(|groups| groups.ongoing_in_room(id).is_some())
    });
    let href = format!("/chat/{}", room.slug);
    let mark = match room.other_person {
        Some(with) => {
            let id = with.id;
            view! { <Avatar person=with presence=Signal::derive(move || people.presence_of(id)) /> }
                .into_any()
        }
        None => view! { <Icon name=Glyph::Room /> }.into_any(),
    };
    view! {
        <li>
            <a class="room-link" class:unread=move || { unread.get() > 0 } href=href aria-current=current>
                {mark}
                <span class="room-title" dir="auto">
                    {title}
                </span>
                <Show when=move || calls.get()>
                    <span class="room-calls">
                        <Icon name=Glyph::Video />
                        <span class="visually-hidden">"Call in progress"</span>
                    </span>
                </Show>
                {move || view! { <UnreadCount count=unread.get() /> }}
            </a>
        </li>
    }
}

/// A badge with the number of unread messages; nothing for zero.
#[component]
pub fn UnreadCount(
    /// The number of unread messages; above 99 it shows as "99+".
    count: i64,
) -> impl IntoView {
    (count > 0).then(|| {
        let shown = if count > 99 {
            "99+".to_owned()
        } else {
            count.to_string()
        };
        view! {
            <span class="badge">
                {shown} <span class="visually-hidden">" unread"</span>
            </span>
        }
    })
}

/// The number of unread messages in all rooms, for the main navigation.
#[component]
pub fn UnreadBadge() -> impl IntoView {
    let (chat, clock) = (use_chat(), expect_context::<LocalClock>());
    // The room list arrives after the navigation is rendered: no number until hydration, so that both sides match.
    let count = move || {
        if clock.is_hydrated() {
            chat.unread()
        } else {
            0
        }
    };
    view! { {move || view! { <UnreadCount count=count() /> }} }
}

#[component]
fn NewRoom() -> impl IntoView {
    let query = use_query_map();
    // Open after a refused form post, because the failure is shown inside.
    let refused = move || query.with(|query| query.get_str("__path") == Some(CreateRoom::PATH));
    let (details, form) = (
        NodeRef::<html::Details>::new(),
        NodeRef::<html::Form>::new(),
    );
    let posting = FormSubmission::new();
    let made = move || {
        if let (Some(details), Some(form)) = (details.get_untracked(), form.get_untracked()) {
            details.set_open(false);
            form.reset();
        }
    };
    let make = move |CreateRoom { name }| async move {
        create_room(name).await?;
        made();
        Ok(())
    };
    view! {
        <details class="new-room" open=refused node_ref=details>
            <summary>
                <Icon name=Glyph::Plus />
                "New room"
            </summary>
            <form
                class="form"
                method="post"
                action=CreateRoom::url()
                node_ref=form
                on:submit=move |event| posting.submit(&event, make)
            >
                <FormFailure path=CreateRoom::PATH submission=posting />
                <Field
                    label="Name"
                    name="name"
                    id="new-room-name"
                    required=true
                    maxlength=crate::model::limits::MAX_ROOM_NAME_CHARS
                    hint="Everyone will see this room."
                />
                <button class="button" type="submit">"Create room"</button>
            </form>
        </details>
    }
}

#[component]
fn PersonRow(
    person: Person,
    /// Shared by all rows: the list shows its failure above the rows.
    submission: FormSubmission,
) -> impl IntoView {
    let people = use_presence();
    let id = person.id;
    let name = person.name.to_string();
    let write = format!("Message {name}");
    view! {
        <li class="person-row">
            <form
                class="person-name"
                method="post"
                action=OpenDirectRoom::url()
                on:submit=move |event| submission.submit(&event, |OpenDirectRoom { with }| open_direct_room(with))
            >
                <input type="hidden" name="with" value=id.to_string() />
                <button type="submit" class="person-button" aria-label=write>
                    <Avatar person=person.clone() presence=Signal::derive(move || people.presence_of(id)) />
                    <span class="room-title" dir="auto">
                        {name}
                    </span>
                </button>
            </form>
            <CallButtons person />
        </li>
    }
}

/// Buttons for a voice and a video call. Shown after hydration, because calls need JavaScript.
#[component]
pub fn CallButtons(person: Person) -> impl IntoView {
    let reach = use_call_actions();
    let live = RwSignal::new(false);
    Effect::new(move || live.set(true));
    let (voice, video) = (person.clone(), person.clone());
    let (voice_label, video_label) = (
        format!("Call {}", person.name),
        format!("Video call {}", person.name),
    );
    view! {
        <span class="call-buttons" class:is-live=move || live.get()>
            <button
                type="button"
                class="icon-button"
                aria-label=voice_label
                disabled=move || !live.get()
                on:click=move |_| reach.start_call.run((voice.clone(), Media::Voice))
            >
                <Icon name=Glyph::Phone />
            </button>
            <button
                type="button"
                class="icon-button"
                aria-label=video_label
                disabled=move || !live.get()
                on:click=move |_| reach.start_call.run((video.clone(), Media::Video))
            >
                <Icon name=Glyph::Video />
            </button>
        </span>
    }
}

#[must_use]
pub fn presence_word(presence: Presence) -> &'static str {
    match presence {
        Presence::Online => "Online",
        Presence::Away => "Away",
        Presence::Offline => "Offline",
    }
}
