//! Which microphone, camera and speaker: what there is, what was chosen, and what was just connected.
//!
//! The choice is kept in this browser. Where the chosen device is not there, the browser takes another one.

use super::{media_devices::media_devices, problem::CaptureDevice};
use crate::ui::browser;
use js_sys::{Array, Object, Reflect};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{MediaDeviceInfo, MediaDeviceKind};

/// Where the browser keeps what was chosen.
const DEVICES_STORAGE_KEY: &str = "rialto_devices";

/// What can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// What is heard of oneself.
    Microphone,
    /// What is seen of oneself.
    Camera,
    /// Where the others are heard.
    Speaker,
}

/// A device that is there (W3C Media Capture and Streams, `MediaDeviceInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// What it is.
    pub kind: DeviceKind,
    /// What the browser calls it, on this site.
    pub id: String,
    /// What people call it. Empty before the browser was allowed to use one.
    pub label: String,
}

/// What is done with the sound of the microphone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioProcessing {
    /// Noise around is taken out.
    NoiseSuppression,
    /// What comes from the speaker is taken out.
    EchoCancellation,
    /// Soft is made louder, and loud softer.
    AutoGainControl,
}

/// What was chosen. What was not is the browser's choice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct DevicePreferences {
    microphone: Option<String>,
    camera: Option<String>,
    speaker: Option<String>,
    /// Treatments that are not wanted.
    #[serde(rename = "raw_noise")]
    is_noise_suppression_off: bool,
    #[serde(rename = "raw_echo")]
    is_echo_cancellation_off: bool,
    #[serde(rename = "raw_gain")]
    is_auto_gain_control_off: bool,
}

/// The devices that there are, and the choice among them. A handle: copy it freely.
#[derive(Debug, Clone, Copy)]
pub struct DeviceSelection {
    devices: RwSignal<Vec<DeviceInfo>>,
    preferences: RwSignal<DevicePreferences>,
    new_device: RwSignal<Option<DeviceInfo>>,
    /// Whether this browser lets a page say where it is heard.
    can_select_speaker: RwSignal<bool>,
}

impl DeviceKind {
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

impl From<CaptureDevice> for DeviceKind {
    fn from(device: CaptureDevice) -> Self {
        match device {
            CaptureDevice::Microphone => Self::Microphone,
            CaptureDevice::Camera => Self::Camera,
        }
    }
}

impl AudioProcessing {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [
        Self::NoiseSuppression,
        Self::EchoCancellation,
        Self::AutoGainControl,
    ];

    /// What it is called where it is chosen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoiseSuppression => "Suppress noise",
            Self::EchoCancellation => "Cancel echo",
            Self::AutoGainControl => "Even out the volume",
        }
    }

    /// What a constraint of it is called (W3C Media Capture and Streams section 4.3.8).
    fn constraint(self) -> &'static str {
        match self {
            Self::NoiseSuppression => "noiseSuppression",
            Self::EchoCancellation => "echoCancellation",
            Self::AutoGainControl => "autoGainControl",
        }
    }
}

impl DevicePreferences {
    fn device_id(&self, kind: DeviceKind) -> Option<&String> {
        match kind {
            DeviceKind::Microphone => self.microphone.as_ref(),
            DeviceKind::Camera => self.camera.as_ref(),
            DeviceKind::Speaker => self.speaker.as_ref(),
        }
    }

    pub(super) fn select(&mut self, kind: DeviceKind, id: Option<String>) {
        match kind {
            DeviceKind::Microphone => self.microphone = id,
            DeviceKind::Camera => self.camera = id,
            DeviceKind::Speaker => self.speaker = id,
        }
    }

    fn processing_off_mut(&mut self, treatment: AudioProcessing) -> &mut bool {
        match treatment {
            AudioProcessing::NoiseSuppression => &mut self.is_noise_suppression_off,
            AudioProcessing::EchoCancellation => &mut self.is_echo_cancellation_off,
            AudioProcessing::AutoGainControl => &mut self.is_auto_gain_control_off,
        }
    }

    fn is_processing_on(&self, treatment: AudioProcessing) -> bool {
        !self.clone().processing_off_mut(treatment).to_owned()
    }

    /// What the browser is asked for.
    pub(super) fn microphone_constraints(&self) -> JsValue {
        let constraints = Object::new();
        for treatment in AudioProcessing::ALL {
            set_property(
                &constraints,
                treatment.constraint(),
                &self.is_processing_on(treatment).into(),
            );
        }
        self.require_device(&constraints, DeviceKind::Microphone);
        constraints.into()
    }

    /// The same for pictures, which are one of many or not. Wishes, not demands: a camera that can do less is welcome.
    pub(super) fn camera_constraints(&self, is_group_call: bool) -> JsValue {
        let constraints = Object::new();
        let (width, height) = if is_group_call {
            (640, 360)
        } else {
            (1280, 720)
        };
        for (name, value) in [("width", width), ("height", height), ("frameRate", 30)] {
            set_property(&constraints, name, &ideal_constraint(&value.into()));
        }
        self.require_device(&constraints, DeviceKind::Camera);
        constraints.into()
    }

    /// Demanded, not wished for: a browser weighs wishes, and takes another camera that makes larger pictures.
    fn require_device(&self, constraints: &Object, kind: DeviceKind) {
        if let Some(id) = self.device_id(kind) {
            let exact = Object::new();
            set_property(&exact, "exact", &id.into());
            set_property(constraints, "deviceId", &exact);
        }
    }

    /// Whether a microphone or a camera was chosen.
    pub(super) fn has_selected_device(&self) -> bool {
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

fn ideal_constraint(value: &JsValue) -> JsValue {
    let ideal = Object::new();
    set_property(&ideal, "ideal", value);
    ideal.into()
}

fn set_property(object: &Object, name: &str, value: &JsValue) {
    // Setting a field of a plain object that was just made cannot fail.
    let _ = Reflect::set(object, &name.into(), value);
}

impl DeviceSelection {
    pub(super) fn new() -> Self {
        Self {
            devices: RwSignal::default(),
            preferences: RwSignal::default(),
            new_device: RwSignal::default(),
            can_select_speaker: RwSignal::default(),
        }
    }

    /// Remembers what was chosen, and follows what is connected. Browser only, once.
    pub(super) fn watch(self) {
        if let Some(stored) = browser::local_storage_get(DEVICES_STORAGE_KEY)
            && let Ok(chosen) = serde_json::from_str(&stored)
        {
            self.preferences.set(chosen);
        }
        self.can_select_speaker.set(can_select_audio_output());
        let Ok(devices) = media_devices() else {
            return;
        };
        let change = Closure::<dyn Fn()>::new(move || self.refresh(true));
        devices.set_ondevicechange(Some(change.into_js_value().unchecked_ref()));
    }

    /// What there is of a kind, as far as the browser tells: it names none before it was allowed to use one.
    #[must_use]
    pub fn devices_of_kind(&self, kind: DeviceKind) -> Vec<DeviceInfo> {
        if kind == DeviceKind::Speaker && !self.can_select_speaker.get() {
            return Vec::new();
        }
        self.devices.with(|known| {
            known
                .iter()
                .filter(|it| it.kind == kind && !it.label.is_empty())
                .cloned()
                .collect()
        })
    }

    /// What was chosen of a kind; none where the browser chooses.
    #[must_use]
    pub fn selected_id(&self, kind: DeviceKind) -> Option<String> {
        self.preferences
            .with(|chosen| chosen.device_id(kind).cloned())
    }

    /// Whether the sound of the microphone is treated so.
    #[must_use]
    pub fn is_processing_on(&self, treatment: AudioProcessing) -> bool {
        self.preferences
            .with(|chosen| chosen.is_processing_on(treatment))
    }

    /// A device that was just connected, and is not used yet.
    #[must_use]
    pub fn new_device(&self) -> Signal<Option<DeviceInfo>> {
        self.new_device.into()
    }

    /// It is not wanted.
    pub fn dismiss_new_device(&self) {
        self.new_device.set(None);
    }

    pub(super) fn current_preferences(self) -> DevicePreferences {
        self.preferences.get_untracked()
    }

    pub(super) fn select(self, kind: DeviceKind, id: Option<String>) {
        self.preferences.update(|chosen| chosen.select(kind, id));
        self.new_device.set(None);
        self.save();
    }

    pub(super) fn set_processing(self, treatment: AudioProcessing, is_on: bool) {
        self.preferences
            .update(|chosen| *chosen.processing_off_mut(treatment) = !is_on);
        self.save();
    }

    fn save(self) {
        if let Ok(text) = serde_json::to_string(&self.preferences.get_untracked()) {
            browser::local_storage_set(DEVICES_STORAGE_KEY, &text);
        }
    }

    /// Asks the browser what there is. `offer` says that something new is to be offered. Browser only.
    pub(super) fn refresh(self, should_offer_new: bool) {
        spawn_local(async move {
            let Some(list) = enumerate_devices().await else {
                return;
            };
            let before = self.devices.get_untracked();
            if should_offer_new {
                let fresh = find_new_device(&before, &list);
                if fresh.is_some() {
                    self.new_device.set(fresh);
                }
            }
            let is_removed = |fresh: &DeviceInfo| !list.iter().any(|it| it.id == fresh.id);
            if self
                .new_device
                .with_untracked(|fresh| fresh.as_ref().is_some_and(is_removed))
            {
                self.new_device.set(None);
            }
            if before != list {
                self.devices.set(list);
            }
        });
    }
}

/// What was not there before. Of several the first; nothing while nothing was known, and none of the names by which a system means
/// whichever device it uses anyway.
fn find_new_device(before: &[DeviceInfo], now: &[DeviceInfo]) -> Option<DeviceInfo> {
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

async fn enumerate_devices() -> Option<Vec<DeviceInfo>> {
    let asked = media_devices().ok()?.enumerate_devices().ok()?;
    let list: Array = JsFuture::from(asked).await.ok()?.unchecked_into();
    Some(
        list.iter()
            .filter_map(|info| device_info(&info.unchecked_into()))
            .collect(),
    )
}

fn device_info(info: &MediaDeviceInfo) -> Option<DeviceInfo> {
    let kind = match info.kind() {
        MediaDeviceKind::Audioinput => DeviceKind::Microphone,
        MediaDeviceKind::Videoinput => DeviceKind::Camera,
        MediaDeviceKind::Audiooutput => DeviceKind::Speaker,
        _ => return None,
    };
    Some(DeviceInfo {
        kind,
        id: info.device_id(),
        label: info.label(),
    })
}

/// Whether a page may say where it is heard (W3C Audio Output Devices).
fn can_select_audio_output() -> bool {
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

    fn device(kind: DeviceKind, id: &str) -> DeviceInfo {
        DeviceInfo {
            kind,
            id: id.to_owned(),
            label: format!("The {id}"),
        }
    }

    #[test]
    fn what_is_just_connected_is_offered_and_nothing_else_is() {
        let built_in = device(DeviceKind::Microphone, "built-in");
        let headset = device(DeviceKind::Microphone, "headset");
        let fresh = find_new_device(
            std::slice::from_ref(&built_in),
            &[
                device(DeviceKind::Microphone, "default"),
                built_in.clone(),
                headset.clone(),
            ],
        );
        assert_eq!(fresh, Some(headset.clone()));
        assert_eq!(
            find_new_device(
                &[built_in.clone(), headset],
                std::slice::from_ref(&built_in)
            ),
            None,
            "something was taken away"
        );
        assert_eq!(
            find_new_device(&[], &[built_in]),
            None,
            "the first look finds nothing new"
        );
    }

    #[test]
    fn a_selection_is_stored_and_a_client_of_another_version_can_read_it() {
        let mut chosen = DevicePreferences::default();
        chosen.select(DeviceKind::Camera, Some("front".to_owned()));
        *chosen.processing_off_mut(AudioProcessing::NoiseSuppression) = true;
        let text = serde_json::to_string(&chosen).unwrap();
        assert_eq!(
            serde_json::from_str::<DevicePreferences>(&text).unwrap(),
            chosen
        );
        let older: DevicePreferences =
            serde_json::from_str(r#"{"camera":"front","more":1}"#).unwrap();
        assert_eq!(
            older.device_id(DeviceKind::Camera).map(String::as_str),
            Some("front")
        );
        assert!(
            older.is_processing_on(AudioProcessing::NoiseSuppression)
                && !chosen.is_processing_on(AudioProcessing::NoiseSuppression)
        );
    }
}
