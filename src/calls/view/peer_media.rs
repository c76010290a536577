//! Video, screen and audio of a remote participant.

use crate::{
    calls::client::{
        CallsClient, MediaState,
        devices::preferences::DeviceKind,
        peers::{PathState, PeerStatus, SOLE_PEER},
        use_calls,
    },
    model::{
        call::{Seat, State},
        user::Person,
    },
    ui::{
        avatar::{Avatar, AvatarSize},
        browser_apis,
        icon::{Glyph, Icon},
        notice::{Notice, NoticeKind},
    },
};
use leptos::{html, html::ElementType, prelude::*};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, prelude::Closure};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Element, HtmlMediaElement, HtmlVideoElement, MediaStream};

pub(super) fn display_name_of(peer: Memo<Option<Person>>) -> String {
    peer.with(|with| {
        with.as_ref()
            .map(|with| with.name.to_string())
            .unwrap_or_default()
    })
}

/// Setting an unchanged stream would restart playback. The element lets go of the stream, and of the Picture-in-Picture window, once that
/// has ended; of the window also while the peer sends nothing, because it would show the last frame.
fn bind_video_stream(
    video: NodeRef<html::Video>,
    stream: impl Fn() -> Option<MediaStream> + 'static,
    is_sent: impl Fn() -> bool + 'static,
) {
    Effect::new(move || {
        let stream = stream();
        if let Some(video) = video.get()
            && video.src_object() != stream
        {
            video.set_src_object(stream.as_ref());
        }
    });
    Effect::new(move || {
        let is_sent = is_sent();
        if let Some(video) = video.get()
            && !is_sent
        {
            close_picture_in_picture_of(&video);
        }
    });
    release_on_cleanup(video);
}

/// Of an element that leaves the page.
pub(super) fn release_on_cleanup<E>(element: NodeRef<E>)
where
    E: ElementType,
    E::Output: JsCast + Clone + AsRef<HtmlMediaElement> + 'static,
{
    Effect::new(move || {
        if let Some(element) = element.get() {
            let element = SendWrapper::new(element);
            on_cleanup(move || {
                let element: &HtmlMediaElement = (*element).as_ref();
                close_picture_in_picture_of(element);
                element.set_src_object(None);
            });
        }
    });
}

fn close_picture_in_picture_of(video: &Element) {
    if browser_apis::picture_in_picture_element().as_ref() == Some(video) {
        browser_apis::exit_picture_in_picture();
    }
}

/// True if the stream was set, which needs an audio track. In Chromium, an element with an empty stream keeps its time at zero when audio
/// arrives, which looks like blocked playback.
fn bind_audio_stream(audio: &HtmlMediaElement, stream: Option<&MediaStream>) -> bool {
    let stream = stream.filter(|stream| stream.get_audio_tracks().length() > 0);
    if audio.src_object().as_ref() == stream {
        return false;
    }
    audio.set_src_object(stream);
    stream.is_some()
}

/// A peer's camera video, or the name and the reason for none.
#[component]
pub fn PeerVideo(peer: Memo<Option<Person>>, name: Signal<String>, seat: Seat) -> impl IntoView {
    let calls = use_calls();
    let other = calls.peer_status(seat);
    let arrivals = tracks_revision(other);
    let video = NodeRef::<html::Video>::new();
    // Before the first report, video may arrive at any moment.
    let seen =
        move || media_state(other).is_none_or(|sends| sends.camera && !sends.is_video_paused);
    let stream = move || {
        // An unread memo tracks nothing.
        let _ = arrivals.get();
        calls.remote_video(seat)
    };
    bind_video_stream(video, stream, seen);
    let silent = move || media_state(other).is_some_and(|sends| !sends.microphone);
    let why = move || {
        media_state(other).and_then(|sends| {
            if !sends.camera {
                Some("Camera off")
            } else if sends.is_video_paused {
                Some("Video paused: slow connection")
            } else {
                None
            }
        })
    };
    view! {
        <div
            class="call-theirs"
            class:is-off=move || !seen()
            class:is-frozen=move || is_peer_reconnecting(&calls, seat, other)
        >
            <video
                node_ref=video
                class="call-their-video"
                autoplay
                playsinline
                prop:muted=true
                aria-label=move || format!("{}'s camera", name.get())
            ></video>
            <div class="call-their-face">
                {move || peer.get().map(|person| view! { <Avatar person size=AvatarSize::Large /> })}
                {move || why().map(|why| view! { <p>{why}</p> })}
            </div>
            {move || {
                silent()
                    .then(|| {
                        view! {
                            <p class="call-their-mute">
                                <Icon name=Glyph::MicOff />
                                {name.get()}
                                " is muted"
                            </p>
                        }
                    })
            }}
        </div>
    }
}

/// The screen shared by a peer.
#[component]
pub fn PeerScreen(name: Signal<String>, seat: Seat) -> impl IntoView {
    let calls = use_calls();
    let other = calls.peer_status(seat);
    let arrivals = tracks_revision(other);
    let video = NodeRef::<html::Video>::new();
    let shares = Memo::new(move |_| media_state(other).is_some_and(|sends| sends.screen));
    let stream = move || {
        let _ = arrivals.get();
        calls.remote_screen(seat).filter(|_| shares.get())
    };
    bind_video_stream(video, stream, move || shares.get());
    view! {
        <div class="call-screen" hidden=move || !shares.get()>
            <video
                node_ref=video
                autoplay
                playsinline
                prop:muted=true
                aria-label=move || format!("{}'s screen", name.get())
            ></video>
        </div>
    }
}

/// A peer's audio, on the selected speaker. Browsers may require a user gesture.
#[component]
pub fn PeerAudio(seat: Seat) -> impl IntoView {
    let calls = use_calls();
    let arrivals = tracks_revision(calls.peer_status(seat));
    let audio = NodeRef::<html::Audio>::new();
    let blocked = RwSignal::new(false);
    let play = move || {
        let Some(playing) = audio.get_untracked().and_then(|audio| audio.play().ok()) else {
            return;
        };
        spawn_local(async move {
            let refused = JsFuture::from(playing).await.err();
            let name = refused
                .and_then(|why| js_sys::Reflect::get(&why, &"name".into()).ok()?.as_string());
            // Other errors mean a replaced or removed stream.
            let _ = blocked.try_set(name.as_deref() == Some("NotAllowedError"));
        });
    };
    Effect::new(move || {
        let _ = arrivals.get();
        if let Some(audio) = audio.get()
            && bind_audio_stream(&audio, calls.remote_audio(seat).as_ref())
        {
            play();
        }
    });
    Effect::new(move || {
        let speaker_id = calls.devices().selection().selected_id(DeviceKind::Speaker);
        if let Some(audio) = audio.get() {
            set_audio_output(&audio, &speaker_id.unwrap_or_default());
        }
    });
    release_on_cleanup(audio);
    view! {
        <audio node_ref=audio autoplay></audio>
        <Show when=move || blocked.get()>
            <div class="call-blocked">
                <Notice kind=NoticeKind::Warn>
                    <p>"Your browser blocked the sound."</p>
                    <button type="button" class="button" on:click=move |_| play()>
                        "Play sound"
                    </button>
                </Notice>
            </div>
        </Show>
    }
}

/// W3C Audio Output Devices; empty selects the default.
fn set_audio_output(element: &HtmlMediaElement, speaker: &str) {
    browser_apis::start(element, "setSinkId", &[speaker.into()]);
}

/// Full-screen and picture-in-picture buttons, for the shared screen or else the video.
#[component]
pub fn VideoButtons(
    /// Shown in full screen.
    pictures: NodeRef<html::Div>,
) -> impl IntoView {
    let calls = use_calls();
    let can_fill = RwSignal::new(false);
    let can_float = RwSignal::new(false);
    Effect::new(move || {
        can_fill.set(browser_apis::supports_fullscreen());
        can_float.set(browser_apis::supports_picture_in_picture());
    });
    let fill = move |_| {
        if !browser_apis::exit_fullscreen()
            && let Some(pictures) = pictures.get_untracked()
        {
            browser_apis::start(&pictures, "requestFullscreen", &[]);
        }
    };
    let float = move |_| {
        let Some(pictures) = pictures.get_untracked() else {
            return;
        };
        let which = if calls
            .remote_media_state()
            .get_untracked()
            .is_some_and(|sends| sends.screen)
        {
            ".call-screen video"
        } else {
            ".call-their-video"
        };
        let video = pictures.query_selector(which).ok().flatten();
        if let Some(video) = video.and_then(|video| video.dyn_into::<HtmlVideoElement>().ok()) {
            toggle_picture_in_picture(&video);
        }
    };
    let is_seen = move || {
        calls
            .remote_media_state()
            .get()
            .is_some_and(|sends| sends.screen || (sends.camera && !sends.is_video_paused))
    };
    view! {
        <div class="call-picture-buttons" hidden=move || !is_seen()>
            <button
                type="button"
                class="icon-button"
                aria-label="Picture-in-picture"
                title="Picture-in-picture"
                hidden=move || !can_float.get()
                on:click=float
            >
                <Icon name=Glyph::PictureInPicture />
            </button>
            <button
                type="button"
                class="icon-button"
                aria-label="Full screen"
                title="Full screen"
                hidden=move || !can_fill.get()
                on:click=fill
            >
                <Icon name=Glyph::FullScreen />
            </button>
        </div>
    }
}

fn toggle_picture_in_picture(video: &HtmlVideoElement) {
    if browser_apis::picture_in_picture_element().is_some() {
        browser_apis::exit_picture_in_picture();
    } else if video.ready_state() == HtmlMediaElement::HAVE_NOTHING {
        // A browser opens no window for a video without metadata.
        let opened = video.clone();
        let open = move || browser_apis::start(&opened, "requestPictureInPicture", &[]);
        let open = Closure::once_into_js(open);
        video.set_onloadedmetadata(Some(open.unchecked_ref()));
    } else {
        browser_apis::start(video, "requestPictureInPicture", &[]);
    }
}

/// For two-party calls.
pub(super) fn is_reconnecting(calls: &CallsClient) -> bool {
    let path = calls.path_state().get();
    calls.state().with(|call_state| {
        call_state.active_call().is_some_and(|active_call| {
            active_call.view.state == State::Reconnecting
                || (active_call.view.state == State::Connected && path == PathState::Lost)
        })
    })
}

fn is_peer_reconnecting(calls: &CallsClient, seat: Seat, other: Memo<Option<PeerStatus>>) -> bool {
    if seat == SOLE_PEER {
        return is_reconnecting(calls);
    }
    other.with(|other| {
        other
            .as_ref()
            .is_some_and(|other| other.path_state == PathState::Lost)
    })
}

fn media_state(other: Memo<Option<PeerStatus>>) -> Option<MediaState> {
    other.with(|other| other.as_ref()?.media_state)
}

fn tracks_revision(other: Memo<Option<PeerStatus>>) -> Memo<u32> {
    Memo::new(move |_| other.with(|other| other.as_ref().map_or(0, |other| other.tracks_version)))
}
