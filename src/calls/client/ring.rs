//! Ringing: a quiet two-tone sound and the page's title, both of which stop together.
//!
//! The sound is made with Web Audio. A browser lets a page sound only after somebody has used it; before that the title rings
//! alone, and nothing fails.

use crate::ui::browser;
use js_sys::Reflect;
use std::cell::RefCell;
use web_sys::{AudioContext, AudioContextState};

/// What rings. One a page.
#[derive(Default)]
struct Bell {
    /// Counts changes: what was planned before the last one is not done any more.
    generation: u32,
    ringing: bool,
    audio: Option<AudioContext>,
    /// The title of the page underneath, and the one that was put over it.
    title: Option<(String, String)>,
}

thread_local! {
    static BELL: RefCell<Bell> = RefCell::default();
}

fn bell<T>(then: impl FnOnce(&mut Bell) -> T) -> T {
    BELL.with_borrow_mut(then)
}

/// From the beginning of one ring to the next, in milliseconds.
const EVERY: i32 = 3_000;
/// How often the title changes, in milliseconds.
const BLINK: i32 = 1_000;
/// The two tones: pitch in hertz, and when and for how long in seconds.
const TONES: [(f32, f64, f64); 4] = [
    (523.25, 0.0, 0.35),
    (659.25, 0.4, 0.35),
    (523.25, 0.8, 0.35),
    (659.25, 1.2, 0.35),
];
/// Quiet: 1 would be as loud as it gets.
const LOUDNESS: f32 = 0.08;

/// Starts to ring for somebody; does nothing while it rings already.
pub(super) fn start(name: &str) {
    let started = bell(|bell| {
        if bell.ringing {
            return None;
        }
        bell.ringing = true;
        bell.generation += 1;
        Some(bell.generation)
    });
    if let Some(generation) = started {
        sound(generation);
        blink(generation, format!("{name} is calling"), true);
    }
}

/// Falls silent and gives the title back.
pub(super) fn stop() {
    let (audio, title) = bell(|bell| {
        bell.ringing = false;
        bell.generation += 1;
        (bell.audio.take(), bell.title.take())
    });
    if let Some(audio) = audio {
        // Closing cuts off what still sounds. There is nothing to do if it is closed already.
        let _ = audio.close();
    }
    if let (Some((page, ours)), Some(document)) = (title, document())
        && document.title() == ours
    {
        document.set_title(&page);
    }
}

fn sound(generation: u32) {
    if bell(|bell| bell.generation) != generation {
        return;
    }
    if may_sound() {
        // Without Web Audio the title rings alone.
        let _ = play();
    }
    browser::after(EVERY, move || sound(generation));
}

/// Whether somebody has used the page (HTML, "sticky activation"). A browser that cannot say decides by itself.
fn may_sound() -> bool {
    let used = || {
        let navigator = web_sys::window()?.navigator();
        let activation = Reflect::get(&navigator, &"userActivation".into())
            .ok()
            .filter(|it| !it.is_undefined())?;
        Reflect::get(&activation, &"hasBeenActive".into())
            .ok()?
            .as_bool()
    };
    used().unwrap_or(true)
}

fn play() -> Result<(), wasm_bindgen::JsValue> {
    let audio = match bell(|bell| bell.audio.clone()) {
        Some(audio) => audio,
        None => AudioContext::new()?,
    };
    bell(|bell| bell.audio = Some(audio.clone()));
    if audio.state() == AudioContextState::Suspended {
        // It comes to life when it may; until then nothing sounds.
        let _ = audio.resume()?;
    }
    let now = audio.current_time();
    for (pitch, begins, lasts) in TONES {
        let (tone, gain) = (audio.create_oscillator()?, audio.create_gain()?);
        tone.frequency().set_value(pitch);
        // Swelling and fading, because a tone that begins at full strength clicks.
        gain.gain().set_value_at_time(0.0, now + begins)?;
        gain.gain()
            .linear_ramp_to_value_at_time(LOUDNESS, now + begins + 0.05)?;
        gain.gain()
            .linear_ramp_to_value_at_time(0.0, now + begins + lasts)?;
        tone.connect_with_audio_node(&gain)?;
        gain.connect_with_audio_node(&audio.destination())?;
        tone.start_with_when(now + begins)?;
        tone.stop_with_when(now + begins + lasts)?;
    }
    Ok(())
}

/// Shows our title and the page's in turn. The page may change its own meanwhile, by navigating: that one is given back.
fn blink(generation: u32, ours: String, show: bool) {
    if bell(|bell| bell.generation) != generation {
        return;
    }
    if let Some(document) = document() {
        let now = document.title();
        bell(|bell| {
            if now != ours {
                bell.title = Some((now, ours.clone()));
            }
        });
        let page =
            bell(|bell| bell.title.as_ref().map(|(page, _)| page.clone())).unwrap_or_default();
        document.set_title(if show { &ours } else { &page });
    }
    browser::after(BLINK, move || blink(generation, ours, !show));
}

fn document() -> Option<web_sys::Document> {
    web_sys::window()?.document()
}
