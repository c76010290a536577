//! Device preferences, and their constraints (W3C Media Capture and Streams).

use super::problem::CaptureDevice;
use js_sys::{Object, Reflect};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;

/// Kind of a selectable device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    Microphone,
    Camera,
    Speaker,
}

/// Processing of the microphone's audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioProcessing {
    NoiseSuppression,
    EchoCancellation,
    AutoGainControl,
}

/// The browser chooses whatever is not set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct DevicePreferences {
    microphone: Option<String>,
    camera: Option<String>,
    speaker: Option<String>,
    #[serde(rename = "raw_noise")]
    is_noise_suppression_off: bool,
    #[serde(rename = "raw_echo")]
    is_echo_cancellation_off: bool,
    #[serde(rename = "raw_gain")]
    is_auto_gain_control_off: bool,
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

    /// W3C Media Capture and Streams section 4.3.8.
    fn constraint(self) -> &'static str {
        match self {
            Self::NoiseSuppression => "noiseSuppression",
            Self::EchoCancellation => "echoCancellation",
            Self::AutoGainControl => "autoGainControl",
        }
    }
}

impl DevicePreferences {
    pub(super) fn device_id(&self, kind: DeviceKind) -> Option<&String> {
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

    pub(super) fn processing_off_mut(&mut self, processing: AudioProcessing) -> &mut bool {
        match processing {
            AudioProcessing::NoiseSuppression => &mut self.is_noise_suppression_off,
            AudioProcessing::EchoCancellation => &mut self.is_echo_cancellation_off,
            AudioProcessing::AutoGainControl => &mut self.is_auto_gain_control_off,
        }
    }

    pub(super) fn is_processing_on(&self, processing: AudioProcessing) -> bool {
        !self.clone().processing_off_mut(processing).to_owned()
    }

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

    /// Smaller in a group call; `ideal`, so that a weaker camera still opens.
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

    /// `exact`: with `ideal`, the browser may prefer a camera with larger frames.
    fn require_device(&self, constraints: &Object, kind: DeviceKind) {
        if let Some(id) = self.device_id(kind) {
            let exact = Object::new();
            set_property(&exact, "exact", &id.into());
            set_property(constraints, "deviceId", &exact);
        }
    }

    pub(super) fn has_selected_device(&self) -> bool {
        self.microphone.is_some() || self.camera.is_some()
    }

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
    // Setting a new object's field cannot fail.
    let _ = Reflect::set(object, &name.into(), value);
}

#[cfg(test)]
mod tests {
    use super::*;

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
