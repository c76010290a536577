//! Ringing: sound, page title, icons, badge and a system notification.
//!
//! Of a browser's pages, the holder of a Web Lock (Web Locks API) plays the sound; if it closes, the next takes over.

use crate::ui::{browser, browser_apis, browser_state::BrowserState};
use futures::channel::oneshot;
use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
use wasm_bindgen_futures::{JsFuture, future_to_promise, spawn_local};
use web_sys::{
    AudioContext, AudioContextState, Notification, NotificationOptions, NotificationPermission,
};

/// The ringer of a client.
#[derive(Debug, Clone, Copy)]
pub struct Ringer(BrowserState<RingerState>);

#[derive(Default)]
struct RingerState {
    /// Incremented on start and stop, which ends former timers.
    generation: u32,
    is_ringing: bool,
    audio: Option<AudioContext>,
    lock: RingLock,
    notification: Option<Notification>,
    /// The page's own title, and the one that replaces it.
    title: Option<(String, String)>,
}

#[derive(Default)]
enum RingLock {
    #[default]
    NotHeld,
    /// Dropping the value cancels the request.
    Requested(oneshot::Sender<()>),
    Held(#[expect(dead_code, reason = "to be dropped")] Option<oneshot::Sender<()>>),
}

const RING_LOCK_NAME: &str = "rialto-ring";
const DO_NOT_DISTURB_STORAGE_KEY: &str = "rialto_do_not_disturb";
const IDLE_ICON_PATH: &str = "/favicon.svg";
const RINGING_ICON_PATH: &str = "/favicon-ringing.svg";

/// Milliseconds between the starts of two rings.
const RING_INTERVAL: i32 = 3_000;
/// Milliseconds.
const TITLE_BLINK_INTERVAL: i32 = 1_000;
/// Pitch in hertz, start and duration in seconds.
const TONES: [(f32, f64, f64); 4] = [
    (523.25, 0.0, 0.35),
    (659.25, 0.4, 0.35),
    (523.25, 0.8, 0.35),
    (659.25, 1.2, 0.35),
];
/// 1 is full volume.
const RING_GAIN: f32 = 0.08;

/// Whether calls ring without sound or notifications. Browser only.
pub fn is_do_not_disturb() -> bool {
    browser::local_storage_get(DO_NOT_DISTURB_STORAGE_KEY).as_deref() == Some("on")
}

impl Ringer {
    pub(super) fn new() -> Self {
        Self(BrowserState::default())
    }

    /// Sets do-not-disturb. Browser only.
    pub fn set_do_not_disturb(self, enabled: bool) {
        browser::local_storage_set(
            DO_NOT_DISTURB_STORAGE_KEY,
            if enabled { "on" } else { "off" },
        );
        if enabled {
            self.stop_alerts();
        }
    }

    pub(super) fn start(self, name: &str, call_kind: &str) {
        let started = self.0.with_or_default(|ringer| {
            if ringer.is_ringing {
                return None;
            }
            ringer.is_ringing = true;
            ringer.generation += 1;
            Some(ringer.generation)
        });
        if let Some(generation) = started {
            self.ring_repeatedly(generation);
            let title = format!("{name} is calling");
            self.show_notification(&title, call_kind);
            mark_icons(true);
            self.blink_title(generation, title, true);
        }
    }

    pub(super) fn stop(self) {
        let title = self.0.with_or_default(|ringer| {
            ringer.is_ringing = false;
            ringer.generation += 1;
            ringer.title.take()
        });
        self.stop_alerts();
        mark_icons(false);
        if let (Some((page, ringing_title)), Some(document)) = (title, document())
            && document.title() == ringing_title
        {
            document.set_title(&page);
        }
    }

    fn stop_alerts(self) {
        let (audio, notification, lock) = self.0.with_or_default(|ringer| {
            (
                ringer.audio.take(),
                ringer.notification.take(),
                std::mem::take(&mut ringer.lock),
            )
        });
        drop(lock);
        if let Some(audio) = audio {
            // Closing stops the sound, and fails only if already closed.
            let _ = audio.close();
        }
        if let Some(notification) = notification {
            notification.close();
        }
    }

    fn ring_repeatedly(self, generation: u32) {
        if self.0.with_or_default(|ringer| ringer.generation) != generation {
            return;
        }
        if can_play_sound() && !is_do_not_disturb() {
            if self
                .0
                .with_or_default(|ringer| matches!(ringer.lock, RingLock::Held(_)))
            {
                // Without Web Audio, the page rings silently.
                let _ = self.play_tones();
            } else if self
                .0
                .with_or_default(|ringer| matches!(ringer.lock, RingLock::NotHeld))
            {
                self.request_ring_lock(generation);
            }
        }
        browser::run_after(RING_INTERVAL, move || self.ring_repeatedly(generation));
    }

    /// Without Web Locks, every page plays the sound.
    fn request_ring_lock(self, generation: u32) {
        let (release, released) = oneshot::channel::<()>();
        self.0
            .with_or_default(|ringer| ringer.lock = RingLock::Requested(release));
        let granted = move |_: JsValue| -> Promise {
            let is_current = self.0.with_or_default(|ringer| {
                let current = ringer.generation == generation;
                if current && let RingLock::Requested(release) = std::mem::take(&mut ringer.lock) {
                    ringer.lock = RingLock::Held(Some(release));
                }
                current
            });
            if is_current {
                let _ = self.play_tones();
            }
            // Holds the lock until the sender is dropped.
            future_to_promise(async move {
                let _ = released.await;
                Ok(JsValue::UNDEFINED)
            })
        };
        let granted = Closure::once_into_js(granted);
        let requested = browser_apis::request_lock(RING_LOCK_NAME, granted.unchecked_ref());
        spawn_local(async move {
            let is_refused = match requested {
                Some(requested) => JsFuture::from(requested).await.is_err(),
                None => true,
            };
            if is_refused {
                self.ring_without_lock(generation);
            }
        });
    }

    fn ring_without_lock(self, generation: u32) {
        let is_current = self.0.with_or_default(|ringer| {
            let is_current = ringer.generation == generation;
            if is_current {
                ringer.lock = RingLock::Held(None);
            }
            is_current
        });
        if is_current {
            let _ = self.play_tones();
        }
    }

    /// Pages share a tag, so only one notification is visible.
    fn show_notification(self, title: &str, call_kind: &str) {
        let is_allowed =
            browser_apis::notification_permission() == Some(NotificationPermission::Granted);
        if browser::is_visible() || is_do_not_disturb() || !is_allowed {
            return;
        }
        let options = NotificationOptions::new();
        options.set_body(call_kind);
        options.set_tag(RING_LOCK_NAME);
        options.set_require_interaction(true);
        // Some browsers show notifications only through a service worker.
        if let Ok(notification) = Notification::new_with_options(title, &options) {
            let focus = Closure::<dyn Fn()>::new(|| {
                if let Some(window) = web_sys::window() {
                    // A browser may refuse the focus.
                    let _ = window.focus();
                }
            });
            notification.set_onclick(Some(focus.into_js_value().unchecked_ref()));
            self.0
                .with_or_default(|ringer| ringer.notification = Some(notification));
        }
    }

    fn play_tones(self) -> Result<(), JsValue> {
        let audio = match self.0.with_or_default(|ringer| ringer.audio.clone()) {
            Some(audio) => audio,
            None => browser_apis::audio_context().ok_or(JsValue::UNDEFINED)?,
        };
        self.0
            .with_or_default(|ringer| ringer.audio = Some(audio.clone()));
        if audio.state() == AudioContextState::Suspended {
            // Silent until the browser allows it.
            let _ = audio.resume()?;
        }
        let now = audio.current_time();
        for (pitch, begins, lasts) in TONES {
            let (tone, gain) = (audio.create_oscillator()?, audio.create_gain()?);
            tone.frequency().set_value(pitch);
            // An abrupt start clicks.
            gain.gain().set_value_at_time(0.0, now + begins)?;
            gain.gain()
                .linear_ramp_to_value_at_time(RING_GAIN, now + begins + 0.05)?;
            gain.gain()
                .linear_ramp_to_value_at_time(0.0, now + begins + lasts)?;
            tone.connect_with_audio_node(&gain)?;
            gain.connect_with_audio_node(&audio.destination())?;
            tone.start_with_when(now + begins)?;
            tone.stop_with_when(now + begins + lasts)?;
        }
        Ok(())
    }

    /// A title set meanwhile by navigation is restored later.
    fn blink_title(self, generation: u32, ringing_title: String, show: bool) {
        if self.0.with_or_default(|ringer| ringer.generation) != generation {
            return;
        }
        if let Some(document) = document() {
            let now = document.title();
            self.0.with_or_default(|ringer| {
                if now != ringing_title {
                    ringer.title = Some((now, ringing_title.clone()));
                }
            });
            let page = self
                .0
                .with_or_default(|ringer| ringer.title.as_ref().map(|(page, _)| page.clone()))
                .unwrap_or_default();
            document.set_title(if show { &ringing_title } else { &page });
        }
        browser::run_after(TITLE_BLINK_INTERVAL, move || {
            self.blink_title(generation, ringing_title, !show);
        });
    }
}

/// Also marks the installed site's icon (W3C Badging API).
fn mark_icons(ringing: bool) {
    let Some(document) = document() else { return };
    let icon = document
        .query_selector("link[rel=icon][type='image/svg+xml']")
        .ok()
        .flatten();
    let address = if ringing {
        RINGING_ICON_PATH
    } else {
        IDLE_ICON_PATH
    };
    if let Some(icon) = icon
        && icon.get_attribute("href").as_deref() != Some(address)
    {
        // Setting a valid attribute cannot fail.
        let _ = icon.set_attribute("href", address);
        browser_apis::set_app_badge(ringing);
    }
}

/// Web Audio needs a user gesture (HTML, "sticky activation"); true if the browser cannot tell.
fn can_play_sound() -> bool {
    browser_apis::has_been_active().unwrap_or(true)
}

fn document() -> Option<web_sys::Document> {
    web_sys::window()?.document()
}
