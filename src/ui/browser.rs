//! Browser APIs, for effects and event handlers only: on the server they panic or do nothing.

use super::browser_apis;
use crate::model::Millis;
use futures::channel::oneshot;
use uuid::{NoContext, Timestamp, Uuid};
use wasm_bindgen::{JsCast, prelude::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Event, EventTarget, RequestCache, RequestInit, Response};

/// Milliseconds since 1970-01-01T00:00:00Z by this device's clock, which may be set: for shown or stored times.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "a time fits into 53 bits")]
pub fn now() -> Millis {
    js_sys::Date::now() as Millis
}

/// Milliseconds since the page was opened (W3C High Resolution Time), for durations. Most browsers stop it during sleep.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "a page is not open for that long"
)]
pub fn monotonic_now() -> Millis {
    let performance = web_sys::window().and_then(|window| window.performance());
    performance.map_or(0, |performance| performance.now() as Millis)
}

/// Creates a UUID of version 7 (RFC 9562).
#[must_use]
pub fn new_uuid() -> Uuid {
    let (seconds, millis) = (now() / 1_000, now() % 1_000);
    let nanos = u32::try_from(millis).unwrap_or(0) * 1_000_000;
    Uuid::new_v7(Timestamp::from_unix(
        NoContext,
        u64::try_from(seconds).unwrap_or(0),
        nanos,
    ))
}

/// In `0.0..1.0`, for jitter; not for secrets.
#[must_use]
pub fn random() -> f64 {
    js_sys::Math::random()
}

/// Runs a function after a delay in milliseconds.
pub fn run_after(millis: i32, then: impl FnOnce() + 'static) {
    let then = Closure::once_into_js(then);
    if let Some(window) = web_sys::window() {
        // `setTimeout` fails only without a function.
        let _ = window
            .set_timeout_with_callback_and_timeout_and_arguments_0(then.unchecked_ref(), millis);
    }
}

/// Waits for milliseconds.
pub async fn sleep(millis: u32) {
    let (sender, closed) = oneshot::channel::<()>();
    run_after(i32::try_from(millis).unwrap_or(i32::MAX), move || {
        drop(sender);
    });
    let _ = closed.await;
}

/// Whether a `HEAD` request succeeds within a timeout in milliseconds.
pub async fn is_healthy(path: &str, timeout_ms: u32) -> bool {
    let request_init = RequestInit::new();
    request_init.set_method("HEAD");
    request_init.set_cache(RequestCache::NoStore);
    request_init.set_signal(browser_apis::abort_after(timeout_ms).as_ref());
    let Some(window) = web_sys::window() else {
        return false;
    };
    let answer = JsFuture::from(window.fetch_with_str_and_init(path, &request_init)).await;
    answer.is_ok_and(|answer| answer.unchecked_into::<Response>().ok())
}

/// Reads a value; `None` also without storage.
#[must_use]
pub fn session_storage_get(key: &str) -> Option<String> {
    browser_apis::session_storage()?.get_item(key).ok()?
}

/// Stores a value for the life of the tab; failures are ignored.
pub fn session_storage_set(key: &str, value: &str) {
    if let Some(storage) = browser_apis::session_storage() {
        let _ = storage.set_item(key, value);
    }
}

/// Removes a value.
pub fn session_storage_remove(key: &str) {
    if let Some(storage) = browser_apis::session_storage() {
        let _ = storage.remove_item(key);
    }
}

/// Reads a value; `None` also without storage.
#[must_use]
pub fn local_storage_get(key: &str) -> Option<String> {
    browser_apis::local_storage()?.get_item(key).ok()?
}

/// Stores a value; failures are ignored.
pub fn local_storage_set(key: &str, value: &str) {
    if let Some(storage) = browser_apis::local_storage() {
        let _ = storage.set_item(key, value);
    }
}

/// Whether the page is visible (Page Visibility, WHATWG HTML).
#[must_use]
pub fn is_visible() -> bool {
    web_sys::window()
        .and_then(|window| window.document())
        .is_none_or(|document| document.visibility_state() != web_sys::VisibilityState::Hidden)
}

/// SHA-256 (FIPS 180-4) of an `ArrayBuffer` or a view of one. `None` outside secure contexts.
pub async fn sha256(data: &js_sys::Object) -> Option<Vec<u8>> {
    let asked = browser_apis::subtle_crypto()?
        .digest_with_str_and_buffer_source("SHA-256", data)
        .ok()?;
    let hash = wasm_bindgen_futures::JsFuture::from(asked).await.ok()?;
    Some(js_sys::Uint8Array::new(&hash).to_vec())
}

/// Tells the listeners of a field that its text was changed, which only typing does by itself.
pub fn dispatch_input(field: &EventTarget) {
    if let Ok(event) = Event::new("input") {
        let _ = field.dispatch_event(&event);
    }
}

/// Reloads the page.
pub fn reload() {
    if let Some(window) = web_sys::window() {
        let _ = window.location().reload();
    }
}

/// Logs to the console. Messages must not contain user data.
pub fn warn(message: &str) {
    leptos::logging::warn!("{message}");
}

/// The user agent string, or an empty one.
#[must_use]
pub fn user_agent() -> String {
    web_sys::window()
        .and_then(|window| window.navigator().user_agent().ok())
        .unwrap_or_default()
}
