//! Microphone and camera: asking the browser for them (W3C Media Capture and Streams), and giving them back.

use super::problem::{Device, Problem};
use js_sys::{Object, Reflect};
use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    MediaDevices, MediaStream, MediaStreamConstraints, MediaStreamTrack, MediaStreamTrackState,
};

/// A track of a device that is open. Dropped, it is stopped: the light goes off.
pub(super) struct Source {
    track: MediaStreamTrack,
    _on_ended: Closure<dyn FnMut()>,
}

impl Source {
    /// Takes charge of a track. `lost` is called if the device goes away by itself.
    fn new(track: MediaStreamTrack, lost: impl FnMut() + 'static) -> Self {
        let on_ended = Closure::new(lost);
        track.set_onended(Some(on_ended.as_ref().unchecked_ref()));
        Self {
            track,
            _on_ended: on_ended,
        }
    }

    /// The track.
    pub(super) fn track(&self) -> &MediaStreamTrack {
        &self.track
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.track.set_onended(None);
        self.track.stop();
    }
}

/// What came of asking for devices: for each one asked for, its source or why there is none.
#[derive(Default)]
pub(super) struct Opened {
    pub(super) microphone: Option<Result<Source, Problem>>,
    pub(super) camera: Option<Result<Source, Problem>>,
}

/// Which devices to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    pub(super) microphone: bool,
    pub(super) camera: bool,
}

/// Opens devices. Both are asked for in one question to the person; if that fails, each by itself, so that one that is
/// missing or refused does not cost the other.
pub(super) async fn open(wanted: Wanted, lost: impl Fn(Device) + Clone + 'static) -> Opened {
    let devices = match devices() {
        Ok(devices) => devices,
        Err(problem) => {
            return Opened {
                microphone: wanted.microphone.then_some(Err(problem)),
                camera: wanted.camera.then_some(Err(problem)),
            };
        }
    };
    if wanted.microphone
        && wanted.camera
        && let Ok(stream) = ask(&devices, wanted).await
    {
        return Opened {
            microphone: Some(source(&stream, Device::Microphone, lost.clone())),
            camera: Some(source(&stream, Device::Camera, lost)),
        };
    }
    let mut opened = Opened::default();
    if wanted.microphone {
        let stream = ask(
            &devices,
            Wanted {
                microphone: true,
                camera: false,
            },
        )
        .await;
        opened.microphone =
            Some(stream.and_then(|stream| source(&stream, Device::Microphone, lost.clone())));
    }
    if wanted.camera {
        let stream = ask(
            &devices,
            Wanted {
                microphone: false,
                camera: true,
            },
        )
        .await;
        opened.camera = Some(stream.and_then(|stream| source(&stream, Device::Camera, lost)));
    }
    opened
}

fn devices() -> Result<MediaDevices, Problem> {
    let window = web_sys::window().ok_or(Problem::Unsupported)?;
    let devices = window
        .navigator()
        .media_devices()
        .ok()
        .filter(|devices| !devices.is_undefined());
    devices.ok_or(if window.is_secure_context() {
        Problem::Unsupported
    } else {
        Problem::Insecure
    })
}

async fn ask(devices: &MediaDevices, wanted: Wanted) -> Result<MediaStream, Problem> {
    let constraints = MediaStreamConstraints::new();
    constraints.set_audio(&wanted.microphone.into());
    let picture = if wanted.camera {
        picture()
    } else {
        false.into()
    };
    constraints.set_video(&picture);
    let asked = devices
        .get_user_media_with_constraints(&constraints)
        .map_err(|error| problem(&error))?;
    JsFuture::from(asked)
        .await
        .map(JsCast::unchecked_into)
        .map_err(|error| problem(&error))
}

/// Wishes, not demands: a camera that can do less is welcome.
fn picture() -> JsValue {
    let wishes = [("width", 1280), ("height", 720), ("frameRate", 30)];
    let constraints = Object::new();
    for (name, value) in wishes {
        let ideal = Object::new();
        // Setting a field of a plain object that was just made cannot fail.
        let _ = Reflect::set(&ideal, &"ideal".into(), &value.into());
        let _ = Reflect::set(&constraints, &name.into(), &ideal);
    }
    constraints.into()
}

fn source(
    stream: &MediaStream,
    device: Device,
    lost: impl Fn(Device) + 'static,
) -> Result<Source, Problem> {
    let tracks = match device {
        Device::Microphone => stream.get_audio_tracks(),
        Device::Camera => stream.get_video_tracks(),
    };
    let track: MediaStreamTrack = tracks.get(0).dyn_into().map_err(|_| Problem::Missing)?;
    if track.ready_state() == MediaStreamTrackState::Ended {
        return Err(Problem::Lost);
    }
    Ok(Source::new(track, move || lost(device)))
}

fn problem(error: &JsValue) -> Problem {
    let name = Reflect::get(error, &"name".into())
        .ok()
        .and_then(|name| name.as_string());
    Problem::from_exception(name.as_deref().unwrap_or_default())
}
