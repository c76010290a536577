//! The sidebar: rooms and people.

use super::{
    api::{CreateRoom, OpenDirectRoom},
    client::use_chat,
};
use crate::{
    model::{
        RoomId, UserId,
        call::Media,
        room::RoomKind,
        text_limit::TextLimit,
        user::{Person, Presence},
    },
    people::{UnlistedCount, use_call_actions, use_presence, use_viewer},
    protocol::failure::Failure,
    ui::{
        avatar::Avatar,
        form::{ActionFailure, Field, SubmitButton, on_answer},
        icon::{Glyph, Icon},
        rejected_form::rejected_value,
        role_mark::RoleMark,
        time::LocalClock,
    },
};
use leptos::{either::Either, html, prelude::*};
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate, use_params_map, use_query_map},
};
use server_fn::ServerFn;

/// The rooms and the people present.
#[component]
pub fn RoomList(me: Person) -> impl IntoView {
    let (chat, people) = (use_chat(), use_presence());
    let notification_prompt = use_call_actions().notification_prompt;
    let public = chat.rooms.ids(RoomKind::Public);
    let viewer = use_viewer();
    let direct = chat.rooms.direct_ids(viewer);
    let listed = people.others(me.id);
    let others = Memo::new(move |_| {
        let mut others = listed.get();
        others.retain(|id| !viewer.has_blocked(*id));
        others
    });
    let params = use_params_map();
    let no_room = move || params.with(|params| params.get_str("room").is_none());
    let nobody = move || others.with(Vec::is_empty);
    let open_direct = ServerAction::<OpenDirectRoom>::new();
    open_answered_room(open_direct);
    view! {
        <nav class="chat-rooms" aria-label="Rooms and people">
            {move || no_room().then(|| view! { <h1 class="visually-hidden">"Chat"</h1> })}
            <section>
                <h2 class="rooms-heading">"Rooms"</h2>
                <ul class="room-list">
                    <For each=move || public.get() key=|id| *id let:id>
                        <RoomLink id />
                    </For>
                </ul>
                {me.role.can_create_rooms().then(|| view! { <NewRoom /> })}
            </section>
            <Show when=move || direct.with(|rooms| !rooms.is_empty())>
                <section>
                    <h2 class="rooms-heading">"Direct"</h2>
                    <ul class="room-list">
                        <For each=move || direct.get() key=|id| *id let:id>
                            <RoomLink id />
                        </For>
                    </ul>
                </section>
            </Show>
            <section>
                <h2 class="rooms-heading">"People here"</h2>
                <ActionFailure action=open_direct />
                <ul class="people-list">
                    <For each=move || others.get() key=|id| *id let:id>
                        <PersonRow id open_direct />
                    </For>
                </ul>
                <UnlistedCount />
                <Show when=nobody>
                    <p class="quiet-text small-text nobody">
                        "Nobody else is here right now. Send someone a link to this page."
                    </p>
                </Show>
            </section>
            {notification_prompt.run(())}
        </nav>
    }
}

/// Never replaced: the user may be about to follow it.
#[component]
fn RoomLink(id: RoomId) -> impl IntoView {
    let (rooms, people, params) = (use_chat().rooms, use_presence(), use_params_map());
    let slug = rooms.property(id, |room| room.slug.clone());
    let title = rooms.property(id, |room| room.title.clone());
    let unread = rooms.property(id, |room| room.unread);
    let other_person = rooms.property(id, |room| room.other_person.clone());
    let is_current = move || {
        slug.with(|slug| params.with(|params| params.get_str("room") == Some(slug.as_str())))
    };
    let call_actions = use_call_actions();
    let has_call = Memo::new(move |_| {
        call_actions
            .group_calls
            .with(|calls| calls.ongoing_in_room(id).is_some())
    });
    let mark = move || match other_person.get() {
        Some(person) => {
            let presence = people.presence_of(person.id);
            Either::Left(view! { <Avatar person presence /> })
        }
        None => Either::Right(view! { <Icon name=Glyph::Room /> }),
    };
    view! {
        <li>
            <a
                class="room-link"
                class:unread=move || { unread.get() > 0 }
                href=move || format!("/chat/{}", slug.get())
                aria-current=move || is_current().then_some("page")
            >
                {mark}
                <span class="room-title" dir="auto">
                    {title}
                </span>
                <Show when=move || has_call.get()>
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

/// The number of unread messages; nothing for zero.
#[component]
pub fn UnreadCount(
    /// Above 99 it shows as "99+".
    count: i64,
) -> impl IntoView {
    (count > 0).then(|| {
        let shown = if count > 99 {
            "99+".to_owned()
        } else {
            count.to_string()
        };
        view! { <span class="badge">{shown} <span class="visually-hidden">" unread"</span></span> }
    })
}

/// Unread messages in all rooms.
#[component]
pub fn UnreadBadge() -> impl IntoView {
    let (chat, clock) = (use_chat(), expect_context::<LocalClock>());
    // The room list arrives after the navigation is rendered.
    let count = move || {
        if clock.is_hydrated() {
            chat.rooms.unread()
        } else {
            0
        }
    };
    view! { {move || view! { <UnreadCount count=count() /> }} }
}

/// Opens the room whose slug is the answer, unless the reader went elsewhere. Browser only.
pub(super) fn open_answered_room<S>(action: ServerAction<S>)
where
    S: ServerFn<Error = Failure, Output = Option<String>> + Clone + Send + Sync + 'static,
{
    let (navigate, here) = (use_navigate(), use_location().pathname);
    let submitted_at = StoredValue::new(String::new());
    Effect::new(move || {
        if action.input().with(Option::is_some) {
            submitted_at.set_value(here.get_untracked());
        }
    });
    on_answer(action, move |_, answer| {
        let is_here = submitted_at.with_value(|at| here.with_untracked(|here| here == at));
        if let Ok(Some(slug)) = answer
            && is_here
        {
            navigate(&format!("/chat/{slug}"), NavigateOptions::default());
        }
    });
}

#[component]
fn NewRoom() -> impl IntoView {
    let create = ServerAction::<CreateRoom>::new();
    open_answered_room(create);
    let query = use_query_map();
    let rejected = rejected_value(CreateRoom::PATH, "name");
    // The failure of a refused form is shown inside.
    let was_rejected = rejected.is_some();
    let is_refused = move || {
        was_rejected || query.with(|query| query.get_str("__path") == Some(CreateRoom::PATH))
    };
    let details = NodeRef::<html::Details>::new();
    let form = NodeRef::<html::Form>::new();
    Effect::new(move || {
        if create
            .value()
            .with(|created| matches!(created, Some(Ok(_))))
            && let (Some(details), Some(form)) = (details.get(), form.get())
        {
            details.set_open(false);
            form.reset();
        }
    });
    view! {
        <details class="new-room" open=is_refused node_ref=details>
            <summary>
                <Icon name=Glyph::Plus />
                "New room"
            </summary>
            <ActionForm action=create node_ref=form attr:class="form">
                <ActionFailure action=create />
                <input type="hidden" name="wants_slug" value="true" />
                <Field
                    label="Name"
                    name="name"
                    id="new-room-name"
                    required=true
                    value=rejected.unwrap_or_default()
                    limit=TextLimit::ROOM_NAME
                    hint="Everyone will see this room."
                />
                <SubmitButton pending=create.pending() pending_text="Creating…" path=CreateRoom::PATH>
                    "Create room"
                </SubmitButton>
            </ActionForm>
        </details>
    }
}

#[component]
fn PersonRow(
    id: UserId,
    /// Shared by all rows.
    open_direct: ServerAction<OpenDirectRoom>,
) -> impl IntoView {
    let people = use_presence();
    let (person, presence) = (people.person(id), people.presence_of(id));
    let is_opening = move || {
        let input = open_direct.input();
        input.with(|input| input.as_ref().is_some_and(|input| input.with == id))
    };
    let row = move |person: Person| {
        let name = person.name.to_string();
        let (label, face) = (format!("Message {name}"), person.clone());
        view! {
            <ActionForm action=open_direct attr:class="person-name">
                <input type="hidden" name="with" value=id.to_string() />
                <input type="hidden" name="wants_slug" value="true" />
                <button
                    type="submit"
                    class="person-button"
                    aria-label=label
                    aria-busy=move || is_opening().then_some("true")
                >
                    <Avatar person=face presence />
                    <span class="room-title" dir="auto">
                        {name}
                    </span>
                    <RoleMark role=person.role />
                </button>
            </ActionForm>
            <CallButtons person />
        }
    };
    view! { <li class="person-row">{move || person.get().map(row)}</li> }
}

/// Voice and video call buttons, enabled after hydration.
#[component]
pub fn CallButtons(person: Person) -> impl IntoView {
    let call_actions = use_call_actions();
    let clock = expect_context::<LocalClock>();
    let button = move |media, label, glyph| {
        let person = person.clone();
        view! {
            <button
                type="button"
                class="icon-button"
                aria-label=format!("{label} {}", person.name)
                disabled=move || !clock.is_hydrated()
                on:click=move |_| call_actions.start_call.run((person.clone(), media))
            >
                <Icon name=glyph />
            </button>
        }
    };
    view! {
        <span class="call-buttons" class:is-live=move || clock.is_hydrated()>
            {button(Media::Voice, "Call", Glyph::Phone)}
            {button(Media::Video, "Video call", Glyph::Video)}
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
