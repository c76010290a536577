//! Device selection: the available microphones, cameras and speakers, the preferences, and newly connected devices.
//!
//! The preferences are stored in this browser. If a selected device is missing, the browser chooses another one.

use super::{media_devices::media_devices, problem::CaptureDevice};
use crate::ui::browser;
use js_sys::{Array, Object, Reflect};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{MediaDeviceInfo, MediaDeviceKind};

/// Storage key of the preferences.
const DEVICES_STORAGE_KEY: &str = "rialto_devices";

/// The kind of a selectable device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// Audio input.
    Microphone,
    /// Video input.
    Camera,
    /// Audio output.
    Speaker,
}

/// An available device (W3C Media Capture and Streams, `MediaDeviceInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Kind of the device.
    pub kind: DeviceKind,
    /// The browser's id, specific to this site.
    pub id: String,
    /// The label. Empty until the browser grants permission.
    pub label: String,
}

/// Processing of the microphone's audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioProcessing {
    /// Reduces background noise.
    NoiseSuppression,
    /// Removes echo from the speaker.
    EchoCancellation,
    /// Levels the volume.
    AutoGainControl,
}

/// The stored preferences. Anything not set is left to the browser.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct DevicePreferences {
    microphone: Option<String>,
    camera: Option<String>,
    speaker: Option<String>,
    /// Processing options that are turned off.
    #[serde(rename = "raw_noise")]
    is_noise_suppression_off: bool,
    #[serde(rename = "raw_echo")]
    is_echo_cancellation_off: bool,
    #[serde(rename = "raw_gain")]
    is_auto_gain_control_off: bool,
}

/// The available devices and the selection among them. A `Copy` handle.
#[derive(Debug, Clone, Copy)]
pub struct DeviceSelection {
    devices: RwSignal<Vec<DeviceInfo>>,
    preferences: RwSignal<DevicePreferences>,
    new_device: RwSignal<Option<DeviceInfo>>,
    /// Whether this browser supports selecting an audio output.
    can_select_speaker: RwSignal<bool>,
}

impl DeviceKind {
    /// All kinds, in display order.
    pub const ALL: [Self; 3] = [Self::Microphone, Self::Camera, Self::Speaker];

    /// The label in the device picker.
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
    /// All options, in display order.
    pub const ALL: [Self; 3] = [
        Self::NoiseSuppression,
        Self::EchoCancellation,
        Self::AutoGainControl,
    ];

    /// The label in the device picker.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoiseSuppression => "Suppress noise",
            Self::EchoCancellation => "Cancel echo",
            Self::AutoGainControl => "Adjust volume automatically",
        }
    }

    /// The name of the constraint (W3C Media Capture and Streams section 4.3.8).
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

    fn processing_off_mut(&mut self, processing: AudioProcessing) -> &mut bool {
        match processing {
            AudioProcessing::NoiseSuppression => &mut self.is_noise_suppression_off,
            AudioProcessing::EchoCancellation => &mut self.is_echo_cancellation_off,
            AudioProcessing::AutoGainControl => &mut self.is_auto_gain_control_off,
        }
    }

    fn is_processing_on(&self, processing: AudioProcessing) -> bool {
        !self.clone().processing_off_mut(processing).to_owned()
    }

    /// Audio constraints for `getUserMedia`.
    pub(super) fn microphone_constraints(&self) -> JsValue {
        let constraints = Object::new();
        for processing in AudioProcessing::ALL {
            set_property(
                &constraints,
                processing.constraint(),
                &self.is_processing_on(processing).into(),
            );
        }
        self.require_device(&constraints, DeviceKind::Microphone);
        constraints.into()
    }

    /// Video constraints, smaller in a group call. They are `ideal`, so that a weaker camera still opens.
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

    /// `exact`, because among ideal constraints the browser may prefer another camera with larger frames.
    fn require_device(&self, constraints: &Object, kind: DeviceKind) {
        if let Some(id) = self.device_id(kind) {
            let exact = Object::new();
            set_property(&exact, "exact", &id.into());
            set_property(constraints, "deviceId", &exact);
        }
    }

    /// Whether a microphone or camera is selected.
    pub(super) fn has_selected_device(&self) -> bool {
        self.microphone.is_some() || self.camera.is_some()
    }

    /// A copy that leaves the devices to the browser.
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
    // Setting a field of a new plain object cannot fail.
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

    /// Loads the preferences and follows device changes. Browser only, once.
    pub(super) fn watch(self) {
        if let Some(stored) = browser::local_storage_get(DEVICES_STORAGE_KEY)
            && let Ok(preferences) = serde_json::from_str(&stored)
        {
            self.preferences.set(preferences);
        }
        self.can_select_speaker.set(can_select_audio_output());
        let Ok(devices) = media_devices() else {
            return;
        };
        let change = Closure::<dyn Fn()>::new(move || self.refresh(true));
        devices.set_ondevicechange(Some(change.into_js_value().unchecked_ref()));
    }

    /// The devices of a kind that have a label. Browsers hide labels until permission is granted.
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

    /// The selected device of a kind; `None` leaves the choice to the browser.
    #[must_use]
    pub fn selected_id(&self, kind: DeviceKind) -> Option<String> {
        self.preferences
            .with(|preferences| preferences.device_id(kind).cloned())
    }

    /// Whether an audio processing option is on.
    #[must_use]
    pub fn is_processing_on(&self, processing: AudioProcessing) -> bool {
        self.preferences
            .with(|preferences| preferences.is_processing_on(processing))
    }

    /// A newly connected device that is not used yet.
    #[must_use]
    pub fn new_device(&self) -> Signal<Option<DeviceInfo>> {
        self.new_device.into()
    }

    /// Dismisses the offer of a newly connected device.
    pub fn dismiss_new_device(&self) {
        self.new_device.set(None);
    }

    pub(super) fn current_preferences(self) -> DevicePreferences {
        self.preferences.get_untracked()
    }

    pub(super) fn select(self, kind: DeviceKind, id: Option<String>) {
        self.preferences
            .update(|preferences| preferences.select(kind, id));
        self.new_device.set(None);
        self.save();
    }

    pub(super) fn set_processing(self, processing: AudioProcessing, is_on: bool) {
        self.preferences
            .update(|preferences| *preferences.processing_off_mut(processing) = !is_on);
        self.save();
    }

    fn save(self) {
        if let Ok(text) = serde_json::to_string(&self.preferences.get_untracked()) {
            browser::local_storage_set(DEVICES_STORAGE_KEY, &text);
        }
    }

    /// Refreshes the device list. `should_offer_new` offers a newly connected device. Browser only.
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

/// The first newly connected device. `None` if no labels were known before; the aliases for the system default are
/// ignored.
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

/// Whether the browser supports selecting an audio output (W3C Audio Output Devices).
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
        let mut preferences = DevicePreferences::default();
        preferences.select(DeviceKind::Camera, Some("front".to_owned()));
        *preferences.processing_off_mut(AudioProcessing::NoiseSuppression) = true;
        let text = serde_json::to_string(&preferences).unwrap();
        assert_eq!(
            serde_json::from_str::<DevicePreferences>(&text).unwrap(),
            preferences
        );
        let older: DevicePreferences =
            serde_json::from_str(r#"{"camera":"front","more":1}"#).unwrap();
        assert_eq!(
            older.device_id(DeviceKind::Camera).map(String::as_str),
            Some("front")
        );
        assert!(
            older.is_processing_on(AudioProcessing::NoiseSuppression)
                && !preferences.is_processing_on(AudioProcessing::NoiseSuppression)
        );
    }
}
