//! The available devices, and the selection that this browser stores.

use super::{
    media_devices::media_devices,
    preferences::{AudioProcessing, DeviceKind, DevicePreferences},
};
use crate::ui::{browser, browser_apis};
use js_sys::Array;
use leptos::prelude::*;
use wasm_bindgen::{JsCast, prelude::Closure};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{MediaDeviceInfo, MediaDeviceKind};

const DEVICES_STORAGE_KEY: &str = "rialto_devices";

/// An available device (W3C `MediaDeviceInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    pub kind: DeviceKind,
    /// Specific to this site.
    pub id: String,
    /// Empty until the browser grants permission.
    pub label: String,
}

/// The available devices and the selection.
#[derive(Debug, Clone, Copy)]
pub struct DeviceSelection {
    devices: RwSignal<Vec<DeviceInfo>>,
    preferences: RwSignal<DevicePreferences>,
    new_device: RwSignal<Option<DeviceInfo>>,
    can_select_speaker: RwSignal<bool>,
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

    /// Browser only, once.
    pub(super) fn watch(self) {
        if let Some(stored) = browser::local_storage_get(DEVICES_STORAGE_KEY)
            && let Ok(preferences) = serde_json::from_str(&stored)
        {
            self.preferences.set(preferences);
        }
        self.can_select_speaker
            .set(browser_apis::supports_audio_output_selection());
        let Ok(devices) = media_devices() else {
            return;
        };
        let change = Closure::<dyn Fn()>::new(move || self.refresh(true));
        devices.set_ondevicechange(Some(change.into_js_value().unchecked_ref()));
    }

    /// The devices of a kind whose label is known.
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

    /// The selected device; `None` leaves it to the browser.
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

    /// A newly connected device.
    #[must_use]
    pub fn new_device(&self) -> Signal<Option<DeviceInfo>> {
        self.new_device.into()
    }

    /// Dismisses the offer of the newly connected device.
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

    pub(super) fn refresh(self, should_offer_new: bool) {
        spawn_local(async move {
            let Some(list) = enumerate_devices().await else {
                return;
            };
            let before = self.devices.get_untracked();
            if should_offer_new {
                let new_device = find_new_device(&before, &list);
                if new_device.is_some() {
                    self.new_device.set(new_device);
                }
            }
            let is_removed =
                |device: &DeviceInfo| !list.iter().any(|listed| listed.id == device.id);
            if self
                .new_device
                .with_untracked(|device| device.as_ref().is_some_and(is_removed))
            {
                self.new_device.set(None);
            }
            if before != list {
                self.devices.set(list);
            }
        });
    }
}

/// `None` if no labels were known before. Aliases for the system default are ignored.
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
        let new_device = find_new_device(
            std::slice::from_ref(&built_in),
            &[
                device(DeviceKind::Microphone, "default"),
                built_in.clone(),
                headset.clone(),
            ],
        );
        assert_eq!(new_device, Some(headset.clone()));
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
}
