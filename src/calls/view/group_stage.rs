//! A group call: participants, self view and controls.

use super::{
    controls::{CameraButton, DeviceProblems, MicrophoneButton, SelfView, ShareButton},
    device_picker::{DevicePicker, NewDeviceNotice},
    dock_size::use_dock_expanded,
    guest_links::GuestLinks,
    header_buttons::{PanelButton, ResizeButton},
    peer_media::{PeerAudio, PeerScreen, PeerVideo},
    stage::{CallProblemNotices, ScreenSharingNotice},
    text::state_text,
};
use crate::{
    calls::client::{
        lazy::use_calls_loader,
        peers::{PathState, PeerStatus},
        state::ActiveGroupCall,
        use_calls,
    },
    model::call::{Seat, group::ParticipantView},
    ui::{
        avatar::{Avatar, AvatarSize},
        icon::{Glyph, Icon},
        socket::{SocketStatus, use_socket},
    },
};
use leptos::prelude::*;

/// A group call from joining to leaving.
#[component]
pub fn GroupStage() -> impl IntoView {
    let calls = use_calls();
    let call_state = calls.state();
    let is_expanded = use_dock_expanded();
    let devices = RwSignal::new(false);
    let inviting = RwSignal::new(false);
    // Guests invite nobody.
    let call = Memo::new(move |_| {
        call_state.with(|state| {
            let is_guest = state
                .room()
                .is_some_and(|room| room.guest_call_id.is_some());
            let group_call = state.active_group_call().filter(|_| !is_guest);
            group_call.map(|group_call| group_call.view.id)
        })
    });
    let by_speaker = RwSignal::new(false);
    let title = Memo::new(move |_| {
        call_state.with(|state| {
            let room = state.room();
            room.map(|room| room.title.clone()).unwrap_or_default()
        })
    });
    let state = Memo::new(move |_| {
        call_state.with(|state| state_text(state, calls.path_state().get(), calls.is_online()))
    });
    let others = Memo::new(move |_| {
        call_state.with(|state| {
            state
                .active_group_call()
                .map(other_participants)
                .unwrap_or_default()
        })
    });
    let view_label = move || {
        if by_speaker.get() {
            "Grid view"
        } else {
            "Speaker view"
        }
    };
    view! {
        <section
            class="call-card call-stage call-group"
            class:is-small=move || !is_expanded.get()
            aria-label=move || format!("Call in {}", title.get())
            tabindex="-1"
        >
            <header class="call-head">
                <div class="call-who">
                    <h2 dir="auto">{title}</h2>
                    <p class="call-state">{state}</p>
                </div>
                <button
                    type="button"
                    class="icon-button call-panel-button"
                    class:is-toggled=move || by_speaker.get()
                    aria-label=view_label
                    title=view_label
                    on:click=move |_| by_speaker.update(|on| *on = !*on)
                >
                    <Icon name=Glyph::SpeakerView />
                </button>
                <Show when=move || call.get().is_some()>
                    <PanelButton label="Invite a guest" glyph=Glyph::Invite open=inviting />
                </Show>
                <PanelButton label="Devices" glyph=Glyph::Settings open=devices />
                <ResizeButton />
            </header>
            <Show when=move || devices.get()>
                <DevicePicker />
            </Show>
            {move || call.get().filter(|_| inviting.get()).map(|call| view! { <GuestLinks call /> })}
            <ul
                class="call-grid"
                role="list"
                class:by-speaker=move || by_speaker.get()
                data-people=move || others.with(Vec::len).to_string()
            >
                <For each=move || others.get() key=|participant| participant.seat let:participant>
                    <ParticipantTile seat=participant.seat others />
                </For>
                <li class="call-tile is-me">
                    <SelfView />
                    <p class="call-tile-name">"You"</p>
                </li>
            </ul>
            <DeviceProblems />
            <NewDeviceNotice />
            <ScreenSharingNotice />
            <CallProblemNotices />
            <div class="call-controls">
                <MicrophoneButton />
                <CameraButton />
                <ShareButton />
                <button type="button" class="call-button hang-up" aria-keyshortcuts="H" on:click=move |_| calls.leave()>
                    <Icon name=Glyph::PhoneDown />
                    <span>"Leave"</span>
                </button>
            </div>
        </section>
    }
}

fn other_participants(group: &ActiveGroupCall) -> Vec<ParticipantView> {
    let members = group.view.participants.iter();
    members
        .filter(|member| member.seat != group.seat)
        .cloned()
        .collect()
}

#[component]
fn ParticipantTile(seat: Seat, others: Memo<Vec<ParticipantView>>) -> impl IntoView {
    let calls = use_calls();
    let other = calls.peer_status(seat);
    let participant = Memo::new(move |_| {
        others.with(|others| others.iter().find(|other| other.seat == seat).cloned())
    });
    let peer = Memo::new(move |_| {
        participant.with(|participant| Some(participant.as_ref()?.person.clone()))
    });
    let name = Signal::derive(move || {
        participant.with(|participant| {
            participant
                .as_ref()
                .map(ParticipantView::display_name)
                .unwrap_or_default()
        })
    });
    let away = move || {
        participant.with(|participant| {
            participant
                .as_ref()
                .is_some_and(|participant| participant.is_disconnected)
        })
    };
    let speaks = move || calls.active_speaker().get() == Some(seat);
    let muted = move || {
        other.with(|other| {
            let sends = other.as_ref().and_then(|other| other.media_state);
            sends.is_some_and(|sends| !sends.microphone)
        })
    };
    let state = move || other.with(|other| connection_note(other.as_ref(), away()));
    view! {
        <li class="call-tile" class:is-speaking=speaks>
            <Show
                when=move || !calls.is_blocked(seat)
                fallback=move || {
                    view! {
                        <div class="call-theirs is-off">
                            <div class="call-their-face">
                                {move || peer.get().map(|person| view! { <Avatar person size=AvatarSize::Large /> })}
                                <p>"Blocked: you neither see nor hear each other"</p>
                            </div>
                        </div>
                    }
                }
            >
                <PeerScreen name seat />
                <PeerVideo peer name seat />
                <PeerAudio seat />
            </Show>
            <p class="call-tile-name">
                <Show when=muted>
                    <Icon name=Glyph::MicOff />
                    <span class="visually-hidden">"Muted: "</span>
                </Show>
                <bdi>{name}</bdi>
                {move || state().map(|state| view! { <span class="call-tile-state">{state}</span> })}
            </p>
        </li>
    }
}

fn connection_note(other: Option<&PeerStatus>, away: bool) -> Option<&'static str> {
    match other.map(|other| other.path_state) {
        Some(PathState::Connected) => None,
        Some(PathState::Lost) => Some("Reconnecting…"),
        Some(PathState::Connecting) if away => Some("Away"),
        Some(PathState::Connecting) | None => Some("Connecting…"),
    }
}

/// The notice of a removal from the call.
#[component]
pub fn RemovedCard() -> impl IntoView {
    let (calls, loader) = (use_calls(), use_calls_loader());
    let room = Memo::new(move |_| calls.state().with(|call_state| call_state.room().cloned()));
    // A guest whose link was revoked cannot rejoin.
    let socket_status = use_socket().status();
    let is_closed = move || matches!(socket_status.get(), SocketStatus::Closed(_));
    let rejoin = move |_| {
        if let Some(room) = room.get_untracked() {
            loader.join_group_call(room);
        }
    };
    view! {
        <section class="call-card call-ended" aria-labelledby="call-title" tabindex="-1">
            <h2 id="call-title" dir="auto">
                {move || room.with(|room| room.as_ref().map(|room| room.title.clone()))}
            </h2>
            <p class="call-outcome">
                "You are no longer in the call: you continued it on another page, it ended, or this page was disconnected for too long."
            </p>
            <div class="call-answers">
                <Show when=move || !is_closed()>
                    <button type="button" class="button primary" on:click=rejoin>
                        <Icon name=Glyph::Phone />
                        "Join again"
                    </button>
                </Show>
                <button type="button" class="button" on:click=move |_| calls.leave()>
                    "Close"
                </button>
            </div>
        </section>
    }
}
