//! Opening and closing microphone, camera and screen (W3C Media Capture and Streams).

use super::{
    media_devices::media_devices,
    preferences::DevicePreferences,
    problem::{CaptureDevice, DeviceProblem},
};
use js_sys::Reflect;
use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    DisplayMediaStreamConstraints, MediaDevices, MediaStream, MediaStreamConstraints,
    MediaStreamTrack, MediaStreamTrackState,
};

/// Stopped on drop, which turns the indicator light off.
pub(super) struct LocalTrack {
    track: MediaStreamTrack,
    _on_ended: Closure<dyn FnMut()>,
}

impl LocalTrack {
    fn new(track: MediaStreamTrack, on_lost: impl FnMut() + 'static) -> Self {
        let on_ended = Closure::new(on_lost);
        track.set_onended(Some(on_ended.as_ref().unchecked_ref()));
        Self {
            track,
            _on_ended: on_ended,
        }
    }

    pub(super) fn track(&self) -> &MediaStreamTrack {
        &self.track
    }
}

impl Drop for LocalTrack {
    fn drop(&mut self) {
        self.track.set_onended(None);
        self.track.stop();
    }
}

#[derive(Default)]
pub(super) struct OpenedDevices {
    pub(super) microphone: Option<Result<LocalTrack, DeviceProblem>>,
    pub(super) camera: Option<Result<LocalTrack, DeviceProblem>>,
}

/// Which devices to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceRequest {
    pub microphone: bool,
    pub camera: bool,
    /// Smaller video is enough.
    pub is_group_call: bool,
}

impl DeviceRequest {
    pub(super) fn single(device: CaptureDevice, is_group_call: bool) -> Self {
        Self {
            microphone: device == CaptureDevice::Microphone,
            camera: device == CaptureDevice::Camera,
            is_group_call,
        }
    }

    pub(super) fn includes(self, device: CaptureDevice) -> bool {
        match device {
            CaptureDevice::Microphone => self.microphone,
            CaptureDevice::Camera => self.camera,
        }
    }
}

/// Prompts once for both; if that fails, once each, so that a missing or refused device does not block the other.
pub(super) async fn open_devices(
    request: DeviceRequest,
    preferences: &DevicePreferences,
    on_lost: impl Fn(CaptureDevice) + Clone + 'static,
) -> OpenedDevices {
    let devices = match media_devices() {
        Ok(devices) => devices,
        Err(problem) => {
            return OpenedDevices {
                microphone: request.microphone.then_some(Err(problem)),
                camera: request.camera.then_some(Err(problem)),
            };
        }
    };
    if request.microphone
        && request.camera
        && let Ok(stream) = request_stream(&devices, request, preferences).await
    {
        return OpenedDevices {
            microphone: Some(local_track(
                &stream,
                CaptureDevice::Microphone,
                on_lost.clone(),
            )),
            camera: Some(local_track(&stream, CaptureDevice::Camera, on_lost)),
        };
    }
    let mut opened = OpenedDevices::default();
    for device in [CaptureDevice::Microphone, CaptureDevice::Camera] {
        if request.includes(device) {
            let stream = request_stream(
                &devices,
                DeviceRequest::single(device, request.is_group_call),
                preferences,
            )
            .await;
            let source = stream.and_then(|stream| local_track(&stream, device, on_lost.clone()));
            match device {
                CaptureDevice::Microphone => opened.microphone = Some(source),
                CaptureDevice::Camera => opened.camera = Some(source),
            }
        }
    }
    opened
}

/// `None` if the person cancels the prompt. The second track is the audio, if the browser provides it.
pub(super) async fn capture_screen(
    on_ended: impl Fn() + Clone + 'static,
) -> Result<Option<(LocalTrack, Option<LocalTrack>)>, DeviceProblem> {
    let constraints = DisplayMediaStreamConstraints::new();
    constraints.set_video_bool(true);
    constraints.set_audio_bool(true);
    let promise = media_devices()?
        .get_display_media_with_constraints(&constraints)
        .map_err(|error| problem_from_error(&error))?;
    let stream: MediaStream = match JsFuture::from(promise).await {
        Ok(stream) => stream.unchecked_into(),
        Err(error) => {
            return match problem_from_error(&error) {
                DeviceProblem::Refused => Ok(None),
                problem => Err(problem),
            };
        }
    };
    let screen: MediaStreamTrack = stream
        .get_video_tracks()
        .get(0)
        .dyn_into()
        .map_err(|_| DeviceProblem::Missing)?;
    // Sharp text matters more than smooth motion (W3C MediaStreamTrack Content Hints).
    let _ = Reflect::set(&screen, &"contentHint".into(), &"detail".into());
    let sound = stream.get_audio_tracks().get(0).dyn_into().ok();
    let sound = sound.map(|track| LocalTrack::new(track, || {}));
    Ok(Some((LocalTrack::new(screen, on_ended), sound)))
}

/// Falls back to any device if the selected ones are gone.
async fn request_stream(
    devices: &MediaDevices,
    request: DeviceRequest,
    preferences: &DevicePreferences,
) -> Result<MediaStream, DeviceProblem> {
    match get_user_media(devices, request, preferences).await {
        Err(DeviceProblem::Overconstrained | DeviceProblem::Missing)
            if preferences.has_selected_device() =>
        {
            get_user_media(devices, request, &preferences.without_devices()).await
        }
        result => result,
    }
}

async fn get_user_media(
    devices: &MediaDevices,
    request: DeviceRequest,
    preferences: &DevicePreferences,
) -> Result<MediaStream, DeviceProblem> {
    let constraints = MediaStreamConstraints::new();
    if request.microphone {
        constraints.set_audio(&preferences.microphone_constraints());
    }
    if request.camera {
        constraints.set_video(&preferences.camera_constraints(request.is_group_call));
    }
    let promise = devices
        .get_user_media_with_constraints(&constraints)
        .map_err(|error| problem_from_error(&error))?;
    JsFuture::from(promise)
        .await
        .map(JsCast::unchecked_into)
        .map_err(|error| problem_from_error(&error))
}

fn local_track(
    stream: &MediaStream,
    device: CaptureDevice,
    on_lost: impl Fn(CaptureDevice) + 'static,
) -> Result<LocalTrack, DeviceProblem> {
    let tracks = match device {
        CaptureDevice::Microphone => stream.get_audio_tracks(),
        CaptureDevice::Camera => stream.get_video_tracks(),
    };
    let track: MediaStreamTrack = tracks
        .get(0)
        .dyn_into()
        .map_err(|_| DeviceProblem::Missing)?;
    if track.ready_state() == MediaStreamTrackState::Ended {
        return Err(DeviceProblem::Lost);
    }
    Ok(LocalTrack::new(track, move || on_lost(device)))
}

fn problem_from_error(error: &JsValue) -> DeviceProblem {
    let name = Reflect::get(error, &"name".into())
        .ok()
        .and_then(|name| name.as_string());
    DeviceProblem::from_exception(name.as_deref().unwrap_or_default())
}
