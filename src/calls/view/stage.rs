//! A two-party call: the peer, the self view and the controls.

use super::{
    connection_quality::{QualityBars, QualityDetails},
    controls::{CameraButton, DeviceProblems, MicrophoneButton, SelfView, ShareButton},
    device_picker::{DevicePicker, NewDeviceNotice},
    dock_size::use_dock_expanded,
    file_transfers::{FileTransferList, SendFileButton},
    header_buttons::{PanelButton, ResizeButton},
    peer_media::{
        PeerAudio, PeerScreen, PeerVideo, VideoButtons, display_name_of, is_reconnecting,
    },
    text::{clock_text, state_text},
};
use crate::{
    calls::client::{devices::DeviceState, peers::SOLE_PEER, state::ClientCallState, use_calls},
    model::{Millis, user::Person},
    ui::{
        browser,
        icon::{Glyph, Icon},
        notice::{Notice, NoticeKind},
    },
};
use leptos::{html, prelude::*};
use std::time::Duration;

/// A call from start or answer to its end. Its elements stay the same, so that playback is not interrupted.
#[component]
pub fn Stage() -> impl IntoView {
    let calls = use_calls();
    let is_expanded = use_dock_expanded();
    let details = RwSignal::new(false);
    let peer = Memo::new(move |_| calls.state().with(peer_of));
    let devices = RwSignal::new(false);
    let pictures = NodeRef::<html::Div>::new();
    let name = Signal::derive(move || display_name_of(peer));
    let label = move || format!("Call with {}", name.get());
    view! {
        <section class="call-card call-stage" class:is-small=move || !is_expanded.get() aria-label=label tabindex="-1">
            <header class="call-head">
                <div class="call-who">
                    <h2 dir="auto">{name}</h2>
                    <CallState />
                </div>
                <QualityBars open=details />
                <PanelButton label="Devices" glyph=Glyph::Settings open=devices />
                <ResizeButton />
            </header>
            <QualityDetails open=details />
            <Show when=move || devices.get()>
                <DevicePicker />
            </Show>
            <div class="call-pictures" node_ref=pictures>
                <PeerScreen name seat=SOLE_PEER />
                <PeerVideo peer name seat=SOLE_PEER />
                <SelfView />
                <VideoButtons pictures />
            </div>
            <PeerAudio seat=SOLE_PEER />
            <DeviceProblems />
            <NewDeviceNotice />
            <ScreenSharingNotice />
            <CallProblemNotices />
            <FileTransferList />
            <div class="call-controls">
                <MicrophoneButton />
                <CameraButton />
                <ShareButton />
                <SendFileButton />
                <button type="button" class="call-button hang-up" aria-keyshortcuts="H" on:click=move |_| calls.leave()>
                    <Icon name=Glyph::PhoneDown />
                    <span>"Hang up"</span>
                </button>
            </div>
        </section>
    }
}

#[component]
fn CallState() -> impl IntoView {
    let calls = use_calls();
    let call_state = calls.state();
    let text = Memo::new(move |_| {
        call_state
            .with(|call_state| state_text(call_state, calls.path_state().get(), calls.is_online()))
    });
    let since = Memo::new(move |_| call_state.with(connected_since));
    let now = RwSignal::new(0);
    Effect::new(move || {
        if since.get().is_none() {
            return;
        }
        now.set(browser::monotonic_now());
        let tick = move || now.set(browser::monotonic_now());
        if let Ok(ticking) = set_interval_with_handle(tick, Duration::from_secs(1)) {
            on_cleanup(move || ticking.clear());
        }
    });
    view! {
        <p class="call-state" class:is-lost=move || is_reconnecting(&calls)>
            <span>{text}</span>
            {move || {
                since
                    .get()
                    .map(|since| view! { <span class="call-time">{move || clock_text(now.get() - since)}</span> })
            }}
        </p>
    }
}

/// Reminds the person while they share a screen.
#[component]
pub fn ScreenSharingNotice() -> impl IntoView {
    let devices = use_calls().devices();
    view! {
        <Show when=move || devices.screen().get() == DeviceState::On>
            <p class="call-sharing" role="status">
                <Icon name=Glyph::Screen />
                "You are sharing your screen."
            </p>
        </Show>
    }
}

/// Errors of the call, and the reconnect notice.
#[component]
pub fn CallProblemNotices() -> impl IntoView {
    let calls = use_calls();
    let error_message = calls.error_message();
    let lost = move || {
        is_reconnecting(&calls).then(|| {
            let text = "Connection lost. Reconnecting automatically…";
            view! { <Notice kind=NoticeKind::Warn>{text}</Notice> }
        })
    };
    view! {
        {move || error_message.get().map(|message| view! { <Notice kind=NoticeKind::Error>{message}</Notice> })}
        {lost}
    }
}

/// By the local clock.
fn connected_since(call_state: &ClientCallState) -> Option<Millis> {
    call_state
        .active_call()
        .and_then(|active_call| active_call.connected_since)
}

fn peer_of(call_state: &ClientCallState) -> Option<Person> {
    match call_state {
        ClientCallState::Starting { callee: with, .. } => Some(with.clone()),
        ClientCallState::Answering(view) => Some(view.peer().clone()),
        _ => call_state
            .active_call()
            .map(|active_call| active_call.view.peer().clone()),
    }
}
