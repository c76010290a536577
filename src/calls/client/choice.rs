//! Which microphone, camera and speaker: what there is, what was chosen, and what was just connected.
//!
//! The choice is kept in this browser. Where the chosen device is not there, the browser takes another one.

use super::{media, problem::Device};
use crate::ui::browser;
use js_sys::{Array, Object, Reflect};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{MediaDeviceInfo, MediaDeviceKind};

/// Where the browser keeps what was chosen.
const KEPT: &str = "rialto_devices";

/// What can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What is heard of oneself.
    Microphone,
    /// What is seen of oneself.
    Camera,
    /// Where the others are heard.
    Speaker,
}

/// A device that is there (W3C Media Capture and Streams, `MediaDeviceInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What it is.
    pub kind: Kind,
    /// What the browser calls it, on this site.
    pub id: String,
    /// What people call it. Empty before the browser was allowed to use one.
    pub label: String,
}

/// What is done with the sound of the microphone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Treatment {
    /// Noise around is taken out.
    Noise,
    /// What comes from the speaker is taken out.
    Echo,
    /// Soft is made louder, and loud softer.
    Gain,
}

/// What was chosen. What was not is the browser's choice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Chosen {
    microphone: Option<String>,
    camera: Option<String>,
    speaker: Option<String>,
    /// Treatments that are not wanted.
    raw_noise: bool,
    raw_echo: bool,
    raw_gain: bool,
}

/// The devices that there are, and the choice among them. A handle: copy it freely.
#[derive(Debug, Clone, Copy)]
pub struct Choices {
    known: RwSignal<Vec<Known>>,
    chosen: RwSignal<Chosen>,
    fresh: RwSignal<Option<Known>>,
    /// Whether this browser lets a page say where it is heard.
    speakers: RwSignal<bool>,
}

impl Kind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Microphone, Self::Camera, Self::Speaker];

    /// What it is called where it is chosen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Microphone => "Microphone",
            Self::Camera => "Camera",
            Self::Speaker => "Speaker",
        }
    }
}

impl From<Device> for Kind {
    fn from(device: Device) -> Self {
        match device {
            Device::Microphone => Self::Microphone,
            Device::Camera => Self::Camera,
        }
    }
}

impl Treatment {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Noise, Self::Echo, Self::Gain];

    /// What it is called where it is chosen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Noise => "Suppress noise",
            Self::Echo => "Cancel echo",
            Self::Gain => "Even out the volume",
        }
    }

    /// What a constraint of it is called (W3C Media Capture and Streams section 4.3.8).
    fn constraint(self) -> &'static str {
        match self {
            Self::Noise => "noiseSuppression",
            Self::Echo => "echoCancellation",
            Self::Gain => "autoGainControl",
        }
    }
}

impl Chosen {
    fn of(&self, kind: Kind) -> Option<&String> {
        match kind {
            Kind::Microphone => self.microphone.as_ref(),
            Kind::Camera => self.camera.as_ref(),
            Kind::Speaker => self.speaker.as_ref(),
        }
    }

    pub(super) fn choose(&mut self, kind: Kind, id: Option<String>) {
        match kind {
            Kind::Microphone => self.microphone = id,
            Kind::Camera => self.camera = id,
            Kind::Speaker => self.speaker = id,
        }
    }

    fn raw(&mut self, treatment: Treatment) -> &mut bool {
        match treatment {
            Treatment::Noise => &mut self.raw_noise,
            Treatment::Echo => &mut self.raw_echo,
            Treatment::Gain => &mut self.raw_gain,
        }
    }

    fn is_wanted(&self, treatment: Treatment) -> bool {
        !self.clone().raw(treatment).to_owned()
    }

    /// What the browser is asked for.
    pub(super) fn microphone(&self) -> JsValue {
        let constraints = Object::new();
        for treatment in Treatment::ALL {
            set(
                &constraints,
                treatment.constraint(),
                &self.is_wanted(treatment).into(),
            );
        }
        self.name_device(&constraints, Kind::Microphone);
        constraints.into()
    }

    /// The same for pictures, which are one of many or not. Wishes, not demands: a camera that can do less is welcome.
    pub(super) fn camera(&self, one_of_many: bool) -> JsValue {
        let constraints = Object::new();
        let (width, height) = if one_of_many { (640, 360) } else { (1280, 720) };
        for (name, value) in [("width", width), ("height", height), ("frameRate", 30)] {
            set(&constraints, name, &ideal(&value.into()));
        }
        self.name_device(&constraints, Kind::Camera);
        constraints.into()
    }

    /// Demanded, not wished for: a browser weighs wishes, and takes another camera that makes larger pictures.
    fn name_device(&self, constraints: &Object, kind: Kind) {
        if let Some(id) = self.of(kind) {
            let exact = Object::new();
            set(&exact, "exact", &id.into());
            set(constraints, "deviceId", &exact);
        }
    }

    /// Whether a microphone or a camera was chosen.
    pub(super) fn names_devices(&self) -> bool {
        self.microphone.is_some() || self.camera.is_some()
    }

    /// The same, with whichever devices the browser chooses.
    pub(super) fn without_devices(&self) -> Self {
        Self {
            microphone: None,
            camera: None,
            ..self.clone()
        }
    }
}

fn ideal(value: &JsValue) -> JsValue {
    let ideal = Object::new();
    set(&ideal, "ideal", value);
    ideal.into()
}

fn set(object: &Object, name: &str, value: &JsValue) {
    // Setting a field of a plain object that was just made cannot fail.
    let _ = Reflect::set(object, &name.into(), value);
}

impl Choices {
    pub(super) fn new() -> Self {
        Self {
            known: RwSignal::default(),
            chosen: RwSignal::default(),
            fresh: RwSignal::default(),
            speakers: RwSignal::default(),
        }
    }

    /// Remembers what was chosen, and follows what is connected. Browser only, once.
    pub(super) fn listen(self) {
        if let Some(kept) = browser::local_get(KEPT)
            && let Ok(chosen) = serde_json::from_str(&kept)
        {
            self.chosen.set(chosen);
        }
        self.speakers.set(can_choose_speaker());
        let Ok(devices) = media::devices() else {
            return;
        };
        let change = Closure::<dyn Fn()>::new(move || self.look(true));
        devices.set_ondevicechange(Some(change.into_js_value().unchecked_ref()));
    }

    /// What there is of a kind, as far as the browser tells: it names none before it was allowed to use one.
    #[must_use]
    pub fn known(&self, kind: Kind) -> Vec<Known> {
        if kind == Kind::Speaker && !self.speakers.get() {
            return Vec::new();
        }
        self.known.with(|known| {
            known
                .iter()
                .filter(|it| it.kind == kind && !it.label.is_empty())
                .cloned()
                .collect()
        })
    }

    /// What was chosen of a kind; none where the browser chooses.
    #[must_use]
    pub fn chosen(&self, kind: Kind) -> Option<String> {
        self.chosen.with(|chosen| chosen.of(kind).cloned())
    }

    /// Whether the sound of the microphone is treated so.
    #[must_use]
    pub fn is_wanted(&self, treatment: Treatment) -> bool {
        self.chosen.with(|chosen| chosen.is_wanted(treatment))
    }

    /// A device that was just connected, and is not used yet.
    #[must_use]
    pub fn fresh(&self) -> Signal<Option<Known>> {
        self.fresh.into()
    }

    /// It is not wanted.
    pub fn forget_fresh(&self) {
        self.fresh.set(None);
    }

    pub(super) fn now(self) -> Chosen {
        self.chosen.get_untracked()
    }

    pub(super) fn choose(self, kind: Kind, id: Option<String>) {
        self.chosen.update(|chosen| chosen.choose(kind, id));
        self.fresh.set(None);
        self.keep();
    }

    pub(super) fn want(self, treatment: Treatment, wanted: bool) {
        self.chosen
            .update(|chosen| *chosen.raw(treatment) = !wanted);
        self.keep();
    }

    fn keep(self) {
        if let Ok(text) = serde_json::to_string(&self.chosen.get_untracked()) {
            browser::local_set(KEPT, &text);
        }
    }

    /// Asks the browser what there is. `offer` says that something new is to be offered. Browser only.
    pub(super) fn look(self, offer: bool) {
        spawn_local(async move {
            let Some(list) = list().await else { return };
            let before = self.known.get_untracked();
            if offer {
                let fresh = newcomer(&before, &list);
                if fresh.is_some() {
                    self.fresh.set(fresh);
                }
            }
            let gone = |fresh: &Known| !list.iter().any(|it| it.id == fresh.id);
            if self
                .fresh
                .with_untracked(|fresh| fresh.as_ref().is_some_and(gone))
            {
                self.fresh.set(None);
            }
            if before != list {
                self.known.set(list);
            }
        });
    }
}

/// What was not there before. Of several the first; nothing while nothing was known, and none of the names by which a system means
/// whichever device it uses anyway.
fn newcomer(before: &[Known], now: &[Known]) -> Option<Known> {
    if before.iter().all(|it| it.label.is_empty()) {
        return None;
    }
    now.iter()
        .filter(|it| {
            !it.label.is_empty() && !matches!(it.id.as_str(), "default" | "communications")
        })
        .find(|it| {
            !before
                .iter()
                .any(|known| known.kind == it.kind && known.id == it.id)
        })
        .cloned()
}

async fn list() -> Option<Vec<Known>> {
    let asked = media::devices().ok()?.enumerate_devices().ok()?;
    let list: Array = JsFuture::from(asked).await.ok()?.unchecked_into();
    Some(
        list.iter()
            .filter_map(|info| known(&info.unchecked_into()))
            .collect(),
    )
}

fn known(info: &MediaDeviceInfo) -> Option<Known> {
    let kind = match info.kind() {
        MediaDeviceKind::Audioinput => Kind::Microphone,
        MediaDeviceKind::Videoinput => Kind::Camera,
        MediaDeviceKind::Audiooutput => Kind::Speaker,
        _ => return None,
    };
    Some(Known {
        kind,
        id: info.device_id(),
        label: info.label(),
    })
}

/// Whether a page may say where it is heard (W3C Audio Output Devices).
fn can_choose_speaker() -> bool {
    let prototype = || {
        let window = web_sys::window()?;
        let element = Reflect::get(&window, &"HTMLMediaElement".into()).ok()?;
        Reflect::get(&element, &"prototype".into()).ok()
    };
    prototype().is_some_and(|it| Reflect::has(&it, &"setSinkId".into()).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(kind: Kind, id: &str) -> Known {
        Known {
            kind,
            id: id.to_owned(),
            label: format!("The {id}"),
        }
    }

    #[test]
    fn what_is_just_connected_is_offered_and_nothing_else_is() {
        let built_in = device(Kind::Microphone, "built-in");
        let headset = device(Kind::Microphone, "headset");
        let fresh = newcomer(
            std::slice::from_ref(&built_in),
            &[
                device(Kind::Microphone, "default"),
                built_in.clone(),
                headset.clone(),
            ],
        );
        assert_eq!(fresh, Some(headset.clone()));
        assert_eq!(
            newcomer(
                &[built_in.clone(), headset],
                std::slice::from_ref(&built_in)
            ),
            None,
            "something was taken away"
        );
        assert_eq!(
            newcomer(&[], &[built_in]),
            None,
            "the first look finds nothing new"
        );
    }

    #[test]
    fn a_choice_is_kept_and_a_page_of_another_version_can_read_it() {
        let mut chosen = Chosen::default();
        chosen.choose(Kind::Camera, Some("front".to_owned()));
        *chosen.raw(Treatment::Noise) = true;
        let text = serde_json::to_string(&chosen).unwrap();
        assert_eq!(serde_json::from_str::<Chosen>(&text).unwrap(), chosen);
        let older: Chosen = serde_json::from_str(r#"{"camera":"front","more":1}"#).unwrap();
        assert_eq!(older.of(Kind::Camera).map(String::as_str), Some("front"));
        assert!(older.is_wanted(Treatment::Noise) && !chosen.is_wanted(Treatment::Noise));
    }
}
