//! Microphone and camera: asking the browser for them (W3C Media Capture and Streams), and giving them back.

use super::{
    choice::Chosen,
    problem::{Device, Problem},
};
use js_sys::Reflect;
use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    DisplayMediaStreamConstraints, MediaDevices, MediaStream, MediaStreamConstraints,
    MediaStreamTrack, MediaStreamTrackState,
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
    /// The camera's picture will be one of many: a small one will do.
    pub(super) one_of_many: bool,
}

impl Wanted {
    /// One of them.
    pub(super) fn only(device: Device, one_of_many: bool) -> Self {
        Self {
            microphone: device == Device::Microphone,
            camera: device == Device::Camera,
            one_of_many,
        }
    }

    pub(super) fn has(self, device: Device) -> bool {
        match device {
            Device::Microphone => self.microphone,
            Device::Camera => self.camera,
        }
    }
}

/// Opens devices. Both are asked for in one question to the person; if that fails, each by itself, so that one that is
/// missing or refused does not cost the other.
pub(super) async fn open(
    wanted: Wanted,
    chosen: &Chosen,
    lost: impl Fn(Device) + Clone + 'static,
) -> Opened {
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
        && let Ok(stream) = ask(&devices, wanted, chosen).await
    {
        return Opened {
            microphone: Some(source(&stream, Device::Microphone, lost.clone())),
            camera: Some(source(&stream, Device::Camera, lost)),
        };
    }
    let mut opened = Opened::default();
    for device in [Device::Microphone, Device::Camera] {
        if wanted.has(device) {
            let stream = ask(&devices, Wanted::only(device, wanted.one_of_many), chosen).await;
            let source = stream.and_then(|stream| source(&stream, device, lost.clone()));
            match device {
                Device::Microphone => opened.microphone = Some(source),
                Device::Camera => opened.camera = Some(source),
            }
        }
    }
    opened
}

/// A shared screen, and its sound where the browser hands that out. None when the person thought better of it.
pub(super) async fn share(
    ended: impl Fn() + Clone + 'static,
) -> Result<Option<(Source, Option<Source>)>, Problem> {
    let constraints = DisplayMediaStreamConstraints::new();
    constraints.set_video_bool(true);
    constraints.set_audio_bool(true);
    let asked = devices()?
        .get_display_media_with_constraints(&constraints)
        .map_err(|error| problem(&error))?;
    let stream: MediaStream = match JsFuture::from(asked).await {
        Ok(stream) => stream.unchecked_into(),
        Err(error) => {
            return match problem(&error) {
                Problem::Refused => Ok(None),
                problem => Err(problem),
            };
        }
    };
    let screen: MediaStreamTrack = stream
        .get_video_tracks()
        .get(0)
        .dyn_into()
        .map_err(|_| Problem::Missing)?;
    // Text is to be readable rather than smooth (W3C MediaStreamTrack Content Hints).
    let _ = Reflect::set(&screen, &"contentHint".into(), &"detail".into());
    let sound = stream.get_audio_tracks().get(0).dyn_into().ok();
    let sound = sound.map(|track| Source::new(track, || {}));
    Ok(Some((Source::new(screen, ended), sound)))
}

/// Whether this browser can share a screen: those of phones cannot. Browser only.
pub(super) fn can_share() -> bool {
    devices()
        .is_ok_and(|devices| Reflect::has(&devices, &"getDisplayMedia".into()).unwrap_or(false))
}

pub(super) fn devices() -> Result<MediaDevices, Problem> {
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

/// Asks for what was chosen, and for anything where that is not there any more.
async fn ask(
    devices: &MediaDevices,
    wanted: Wanted,
    chosen: &Chosen,
) -> Result<MediaStream, Problem> {
    match ask_once(devices, wanted, chosen).await {
        Err(Problem::Unfit | Problem::Missing) if chosen.names_devices() => {
            ask_once(devices, wanted, &chosen.without_devices()).await
        }
        result => result,
    }
}

async fn ask_once(
    devices: &MediaDevices,
    wanted: Wanted,
    chosen: &Chosen,
) -> Result<MediaStream, Problem> {
    let constraints = MediaStreamConstraints::new();
    if wanted.microphone {
        constraints.set_audio(&chosen.microphone());
    }
    if wanted.camera {
        constraints.set_video(&chosen.camera(wanted.one_of_many));
    }
    let asked = devices
        .get_user_media_with_constraints(&constraints)
        .map_err(|error| problem(&error))?;
    JsFuture::from(asked)
        .await
        .map(JsCast::unchecked_into)
        .map_err(|error| problem(&error))
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
