//! Browser APIs that may be missing. Other modules ask this one instead of the browser.
//!
//! A private mode, a policy, an extension or an old version takes an API away: the property is missing, `undefined` or `null`, or reading
//! it throws.
//!
//! | API | without it |
//! |---|---|
//! | `RTCPeerConnection` | calls are refused in words, here and to the caller, and nothing rings |
//! | `navigator.mediaDevices` | a call has no microphone and no camera, and says why |
//! | `getDisplayMedia` | no button to share the screen |
//! | `AudioContext` | silent ringing; no level meter, and no hint that the microphone is silent |
//! | `setSinkId` | the browser chooses the speaker |
//! | `Notification` | no notifications of calls, and no question about them |
//! | `setAppBadge` | no badge on the icon of the installed site |
//! | `navigator.locks` | every page of the browser plays the ring tone |
//! | `navigator.userActivation` | a page rings before it was touched, as far as the browser allows |
//! | Picture-in-Picture, full screen | no such button |
//! | `ResizeObserver` | a timeline does not follow its end when an on-screen keyboard opens |
//! | `localStorage` | settings of this browser are forgotten with the page |
//! | `sessionStorage` | a reload loses drafts and unsent messages; a new build shows a notice and never reloads by itself |
//! | `crypto.subtle` | no safety code, and no files in calls |
//! | `navigator.clipboard` | a link to copy is selected instead |
//! | `AbortSignal.timeout` | the health check waits as long as the browser does |
//! | `Intl` | times are in UTC, in English |
//! | `EventSource`, `WebSocket` | the page shows that it is not connected |
//! | `MessageChannel` | the page is hydrated in one task |
//! | `WebAssembly` | the page stays plain HTML (`app/hydrate.js`) |
//!
//! Browser only: on the server these functions panic.

use js_sys::{Array, Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    AbortSignal, AudioContext, Clipboard, Document, Element, MediaDevices, Navigator, Notification,
    NotificationPermission, Storage, SubtleCrypto, Window,
};

/// Whether the browser can make calls (WebRTC 1.0).
#[must_use]
pub fn supports_calls() -> bool {
    window().is_some_and(|window| method(&window, "RTCPeerConnection").is_some())
}

/// `None` outside a secure context as well (W3C Media Capture and Streams).
#[must_use]
pub fn media_devices() -> Option<MediaDevices> {
    Some(property(&navigator()?, "mediaDevices")?.unchecked_into())
}

/// W3C Screen Capture. Mobile browsers do not support it.
#[must_use]
pub fn supports_screen_capture() -> bool {
    media_devices().is_some_and(|devices| method(&devices, "getDisplayMedia").is_some())
}

/// A new context (Web Audio API).
#[must_use]
pub fn audio_context() -> Option<AudioContext> {
    AudioContext::new().ok()
}

/// W3C Audio Output Devices.
#[must_use]
pub fn supports_audio_output_selection() -> bool {
    let prototype = || property(&property(&window()?, "HTMLMediaElement")?, "prototype");
    prototype().is_some_and(|prototype| method(&prototype, "setSinkId").is_some())
}

/// WHATWG Notifications; `None` without support.
#[must_use]
pub fn notification_permission() -> Option<NotificationPermission> {
    let window = window()?;
    method(&window, "Notification")?;
    Some(Notification::permission())
}

/// Asks the person; requires a user gesture.
pub async fn request_notification_permission() {
    if notification_permission().is_some()
        && let Ok(asked) = Notification::request_permission()
    {
        // Old browsers return no promise.
        let _ = JsFuture::from(Promise::resolve(&asked)).await;
    }
}

/// Whether the person has touched the page (HTML, "sticky activation"); `None` if the browser cannot tell.
#[must_use]
pub fn has_been_active() -> Option<bool> {
    property(&property(&navigator()?, "userActivation")?, "hasBeenActive")?.as_bool()
}

/// Calls `granted` with a lock, which is held until its promise settles (Web Locks API). `None` without locks; the promise may be
/// rejected.
#[must_use]
pub fn request_lock(name: &str, granted: &Function) -> Option<Promise> {
    let locks = property(&navigator()?, "locks")?;
    call(&locks, "request", &[name.into(), granted.into()])?
        .dyn_into()
        .ok()
}

/// Marks the icon of the installed site (W3C Badging API).
pub fn set_app_badge(is_shown: bool) {
    if let Some(navigator) = navigator() {
        let name = if is_shown {
            "setAppBadge"
        } else {
            "clearAppBadge"
        };
        start(&navigator, name, &[]);
    }
}

/// W3C Picture-in-Picture.
#[must_use]
pub fn supports_picture_in_picture() -> bool {
    document()
        .and_then(|document| property(&document, "pictureInPictureEnabled"))
        .is_some_and(|enabled| enabled.is_truthy())
}

/// The element in the Picture-in-Picture window.
#[must_use]
pub fn picture_in_picture_element() -> Option<Element> {
    property(&document()?, "pictureInPictureElement")?
        .dyn_into()
        .ok()
}

/// Closes the Picture-in-Picture window.
pub fn exit_picture_in_picture() {
    if let Some(document) = document() {
        start(&document, "exitPictureInPicture", &[]);
    }
}

/// WHATWG Fullscreen.
#[must_use]
pub fn supports_fullscreen() -> bool {
    document()
        .and_then(|document| property(&document, "fullscreenEnabled"))
        .is_some_and(|enabled| enabled.is_truthy())
}

/// Leaves full screen; false if nothing was in it.
#[must_use]
pub fn exit_fullscreen() -> bool {
    let Some(document) = document() else {
        return false;
    };
    let is_full = property(&document, "fullscreenElement").is_some();
    if is_full {
        start(&document, "exitFullscreen", &[]);
    }
    is_full
}

/// W3C Resize Observer.
#[must_use]
pub fn supports_resize_observer() -> bool {
    window().is_some_and(|window| method(&window, "ResizeObserver").is_some())
}

/// Kept by the browser.
#[must_use]
pub fn local_storage() -> Option<Storage> {
    Some(property(&window()?, "localStorage")?.unchecked_into())
}

/// Kept for the life of the tab.
#[must_use]
pub fn session_storage() -> Option<Storage> {
    Some(property(&window()?, "sessionStorage")?.unchecked_into())
}

/// W3C Web Cryptography. `None` outside secure contexts as well.
#[must_use]
pub fn subtle_crypto() -> Option<SubtleCrypto> {
    Some(property(&property(&window()?, "crypto")?, "subtle")?.unchecked_into())
}

/// Only secure contexts have a clipboard.
#[must_use]
pub fn clipboard() -> Option<Clipboard> {
    Some(property(&navigator()?, "clipboard")?.unchecked_into())
}

/// A signal that aborts after milliseconds.
#[must_use]
pub fn abort_after(timeout_ms: u32) -> Option<AbortSignal> {
    method(&property(&window()?, "AbortSignal")?, "timeout")?;
    Some(AbortSignal::timeout_with_u32(timeout_ms))
}

/// Whether the browser formats dates (ECMA-402).
#[must_use]
pub fn supports_date_formats() -> bool {
    let intl = window().and_then(|window| property(&window, "Intl"));
    intl.is_some_and(|intl| method(&intl, "DateTimeFormat").is_some())
}

/// Calls a method that the browser may lack, and ignores whether it succeeds.
pub fn start(object: &JsValue, name: &str, arguments: &[JsValue]) {
    let promise = call(object, name, arguments).and_then(|it| it.dyn_into::<Promise>().ok());
    if let Some(promise) = promise {
        spawn_local(async move {
            let _ = JsFuture::from(promise).await;
        });
    }
}

/// The result of a method; `None` if the browser lacks it, or if it throws.
#[must_use]
pub fn call(object: &JsValue, name: &str, arguments: &[JsValue]) -> Option<JsValue> {
    let arguments: Array = arguments.iter().collect();
    method(object, name)?.apply(object, &arguments).ok()
}

fn method(object: &impl AsRef<JsValue>, name: &str) -> Option<Function> {
    property(object, name)?.dyn_into().ok()
}

fn property(object: &impl AsRef<JsValue>, name: &str) -> Option<JsValue> {
    let value = Reflect::get(object.as_ref(), &name.into()).ok()?;
    (!value.is_undefined() && !value.is_null()).then_some(value)
}

fn window() -> Option<Window> {
    web_sys::window()
}

fn document() -> Option<Document> {
    window()?.document()
}

fn navigator() -> Option<Navigator> {
    Some(window()?.navigator())
}
