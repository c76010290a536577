//! A room's group call.

use crate::{
    model::{
        RoomId,
        call::group::{GroupCallView, ParticipantView},
    },
    people::use_call_actions,
    ui::{
        avatar::Avatar,
        icon::{Glyph, Icon},
        time::LocalClock,
    },
};
use leptos::prelude::*;

/// The text names every participant.
const MAX_AVATARS: usize = 6;

/// Shown while a call is ongoing.
#[component]
pub(super) fn GroupCallCard(room: RoomId, title: String) -> impl IntoView {
    let call_actions = use_call_actions();
    let group_call = Memo::new(move |_| {
        call_actions
            .group_calls
            .with(|groups| groups.ongoing_in_room(room).cloned())
    });
    let is_joined = Memo::new(move |_| call_actions.joined_room.get() == Some(room));
    let title = StoredValue::new(title);
    let text =
        move || group_call.with(|group| group.as_ref().map(participants_text).unwrap_or_default());
    let is_full = move || {
        group_call.with(|group| {
            group
                .as_ref()
                .is_some_and(|group| group.participants.len() >= group.max_participants)
        })
    };
    let is_ongoing = Memo::new(move |_| group_call.with(Option::is_some));
    view! {
        <div role="status">
            <Show when=move || is_ongoing.get()>
                <section class="group-card" aria-label="Call in this room">
                    <span class="group-faces">
                        {move || {
                            let people = group_call.get().map(|group| group.participants).unwrap_or_default();
                            people
                                .into_iter()
                                .take(MAX_AVATARS)
                                .map(|participant| view! { <Avatar person=participant.person /> })
                                .collect_view()
                        }}
                    </span>
                    <p class="group-who">{text}</p>
                    {move || {
                        if is_joined.get() {
                            view! { <p class="small-text quiet-text">"You are in this call"</p> }.into_any()
                        } else {
                            view! {
                                <button
                                    type="button"
                                    class="button small primary"
                                    disabled=is_full
                                    on:click=move |_| call_actions.join_group_call.run((room, title.get_value()))
                                >
                                    <Icon name=Glyph::Video />
                                    {move || if is_full() { "Full" } else { "Join" }}
                                </button>
                            }
                                .into_any()
                        }
                    }}
                </section>
            </Show>
        </div>
    }
}

/// Hidden while a call is ongoing.
#[component]
pub(super) fn GroupCallButton(room: RoomId, title: String) -> impl IntoView {
    let call_actions = use_call_actions();
    let clock = expect_context::<LocalClock>();
    let is_free = Memo::new(move |_| {
        call_actions
            .group_calls
            .with(|groups| groups.ongoing_in_room(room).is_none())
            && call_actions.joined_room.get() != Some(room)
    });
    let title = StoredValue::new(title);
    view! {
        <Show when=move || is_free.get()>
            <button
                type="button"
                class="icon-button"
                aria-label="Start a call in this room"
                title="Start a call in this room"
                disabled=move || !clock.is_hydrated()
                on:click=move |_| call_actions.join_group_call.run((room, title.get_value()))
            >
                <Icon name=Glyph::Video />
            </button>
        </Show>
    }
}

/// "Ada, Grace and Eve are in a call".
fn participants_text(group: &GroupCallView) -> String {
    let names: Vec<String> = group
        .participants
        .iter()
        .map(ParticipantView::display_name)
        .collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => format!("{one} is in a call"),
        [first @ .., last] => format!("{} and {last} are in a call", first.join(", ")),
    }
}
