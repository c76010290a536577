//! The microphone and the camera of this page: what is on, what is asked for, and what stands in the way.

use super::{
    level::{self, Ear, Meter},
    media::{self, Opened, Source, Wanted},
    problem::{Device, Problem},
};
use crate::ui::browser;
use leptos::prelude::*;
use std::cell::RefCell;
use wasm_bindgen_futures::spawn_local;
use web_sys::{MediaStream, MediaStreamTrack};

/// Whether a device is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Power {
    /// Closed: its light is off.
    #[default]
    Off,
    /// The browser is asked for it; perhaps it asks the person.
    Asking,
    /// Open.
    On,
}

/// The devices of this page. A handle: copy it freely.
#[derive(Debug, Clone, Copy)]
pub struct Devices {
    microphone: RwSignal<Power>,
    camera: RwSignal<Power>,
    muted: RwSignal<bool>,
    /// How loud the microphone is, from 0 to 100.
    level: RwSignal<u8>,
    ear: RwSignal<Ear>,
    microphone_problem: RwSignal<Option<Problem>>,
    camera_problem: RwSignal<Option<Problem>>,
}

/// What is open. Lives outside the reactive graph, because it holds handles of the browser, and is never touched on the server.
#[derive(Default)]
struct Sources {
    microphone: Option<Source>,
    camera: Option<Source>,
    meter: Option<Meter>,
    /// Counts meters: who looks at a former one stops.
    meters: u32,
    /// Counts releases: what was asked for before the last one is given back at once when it comes.
    generation: u32,
}

thread_local! {
    static SOURCES: RefCell<Sources> = RefCell::default();
}

fn sources<T>(then: impl FnOnce(&mut Sources) -> T) -> T {
    SOURCES.with_borrow_mut(then)
}

impl Sources {
    fn of(&mut self, device: Device) -> &mut Option<Source> {
        match device {
            Device::Microphone => &mut self.microphone,
            Device::Camera => &mut self.camera,
        }
    }
}

impl Devices {
    pub(super) fn new() -> Self {
        Self {
            microphone: RwSignal::default(),
            camera: RwSignal::default(),
            muted: RwSignal::default(),
            level: RwSignal::default(),
            ear: RwSignal::default(),
            microphone_problem: RwSignal::default(),
            camera_problem: RwSignal::default(),
        }
    }

    /// Whether a device is open.
    #[must_use]
    pub fn power(&self, device: Device) -> Signal<Power> {
        self.power_of(device).into()
    }

    /// Whether the other one hears: the microphone is open and not muted.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.microphone.get() == Power::On && !self.muted.get()
    }

    /// Whether the microphone is open, and muted. Browser only.
    #[must_use]
    pub fn is_muted(&self) -> bool {
        self.microphone.get_untracked() == Power::On && self.muted.get_untracked()
    }

    /// How loud the microphone is, from 0 to 100, whether it is muted or not.
    #[must_use]
    pub fn level(&self) -> Signal<u8> {
        self.level.into()
    }

    /// Whether somebody talks while they are muted.
    #[must_use]
    pub fn is_talking_muted(&self) -> bool {
        self.ear.with(|ear| ear.is_talking_muted())
    }

    /// Whether the microphone is on and hears nothing at all.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.ear.with(|ear| ear.is_silent())
    }

    /// Whether the other one sees: the camera is open.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        self.camera.get() == Power::On
    }

    /// Why a device cannot be used, if it was asked for and cannot.
    #[must_use]
    pub fn problem(&self, device: Device) -> Signal<Option<Problem>> {
        self.problem_of(device).into()
    }

    /// Mutes or unmutes; with no microphone open, asks for one. Browser only.
    pub fn toggle_microphone(self) {
        match self.microphone.get_untracked() {
            Power::On => self.mute(!self.muted.get_untracked()),
            Power::Asking => {}
            Power::Off => {
                self.muted.set(false);
                self.open(Wanted {
                    microphone: true,
                    camera: false,
                });
            }
        }
    }

    /// Turns the camera off, its light with it, or on again. Browser only.
    pub fn toggle_camera(self) {
        match self.camera.get_untracked() {
            Power::On => self.close(Device::Camera),
            Power::Asking => {}
            Power::Off => self.open(Wanted {
                microphone: false,
                camera: true,
            }),
        }
    }

    /// Asks for what is wanted and not open yet. Browser only.
    pub(super) fn open(self, wanted: Wanted) {
        let wanted = Wanted {
            microphone: wanted.microphone && self.microphone.get_untracked() == Power::Off,
            camera: wanted.camera && self.camera.get_untracked() == Power::Off,
        };
        if wanted == Wanted::default() {
            return;
        }
        for device in [Device::Microphone, Device::Camera]
            .into_iter()
            .filter(|device| wanted.has(*device))
        {
            self.power_of(device).set(Power::Asking);
            self.problem_of(device).set(None);
        }
        let generation = sources(|sources| sources.generation);
        spawn_local(async move {
            let opened = media::open(wanted, move |device| self.lost(device)).await;
            // Dropped, what comes too late is stopped.
            if sources(|sources| sources.generation) == generation {
                self.take(opened);
            }
        });
    }

    /// Closes the camera, and forgets what stood in its way. One that was only asked for is given back when it comes. Browser
    /// only.
    pub(super) fn close_camera(self) {
        self.close(Device::Camera);
        self.problem_of(Device::Camera).set(None);
    }

    fn take(self, opened: Opened) {
        for (device, result) in [
            (Device::Microphone, opened.microphone),
            (Device::Camera, opened.camera),
        ] {
            // It was closed before it came: dropped, it is stopped.
            if self.power_of(device).get_untracked() == Power::Off {
                continue;
            }
            match result {
                None => {}
                Some(Ok(source)) => {
                    let is_microphone = device == Device::Microphone;
                    let mut meters = 0;
                    if is_microphone {
                        source.track().set_enabled(!self.muted.get_untracked());
                        let meter = Meter::new(source.track());
                        meters = sources(|sources| {
                            sources.meter = meter;
                            sources.meters += 1;
                            sources.meters
                        });
                    }
                    sources(|sources| *sources.of(device) = Some(source));
                    self.power_of(device).set(Power::On);
                    if is_microphone {
                        self.measure(meters);
                    }
                }
                Some(Err(problem)) => {
                    self.power_of(device).set(Power::Off);
                    self.problem_of(device).set(Some(problem));
                }
            }
        }
    }

    /// Closes both, lights off, and forgets what stood in the way. Browser only.
    pub(super) fn release(self) {
        sources(|sources| {
            *sources = Sources {
                generation: sources.generation + 1,
                meters: sources.meters,
                ..Sources::default()
            };
        });
        for device in [Device::Microphone, Device::Camera] {
            self.power_of(device).set(Power::Off);
            self.problem_of(device).set(None);
        }
        self.muted.set(false);
    }

    /// What is sent of a device. Browser only.
    pub(super) fn track(device: Device) -> Option<MediaStreamTrack> {
        sources(|sources| {
            sources
                .of(device)
                .as_ref()
                // Not `.clone()`, which JavaScript has as well: it makes a second track that mutes and stops by itself.
                .map(|source| Clone::clone(source.track()))
        })
    }

    /// What the camera sees, to be shown to oneself; none while it is off. Browser only.
    #[must_use]
    pub fn picture(self) -> Option<MediaStream> {
        let track = Self::track(Device::Camera)?;
        // An empty stream can always be made.
        let stream = MediaStream::new().ok()?;
        stream.add_track(&track);
        Some(stream)
    }

    /// Looks how loud it is, now and then, for as long as the microphone is open.
    fn measure(self, meters: u32) {
        let level = sources(|sources| {
            if sources.meters != meters {
                return Some(None);
            }
            sources.meter.as_ref().map(|meter| Some(meter.level()))
        });
        let Some(level) = level else {
            self.level.set(0);
            self.ear.set(Ear::default());
            return;
        };
        // Another one is looked at now.
        let Some(level) = level else { return };
        let muted = self.muted.get_untracked();
        let mut ear = self.ear.get_untracked();
        let before = ear;
        ear.hear(level, muted);
        // What nobody could see change is not told.
        if ear != before {
            self.ear.set(ear);
        }
        let percent = level::percent(level);
        if percent != self.level.get_untracked() {
            self.level.set(percent);
        }
        browser::after(level::EVERY, move || self.measure(meters));
    }

    fn mute(self, muted: bool) {
        if let Some(track) = Self::track(Device::Microphone) {
            track.set_enabled(!muted);
        }
        self.muted.set(muted);
    }

    fn close(self, device: Device) {
        sources(|sources| {
            *sources.of(device) = None;
            if device == Device::Microphone {
                sources.meter = None;
            }
        });
        self.power_of(device).set(Power::Off);
    }

    fn lost(self, device: Device) {
        self.close(device);
        self.problem_of(device).set(Some(Problem::Lost));
    }

    fn power_of(self, device: Device) -> RwSignal<Power> {
        match device {
            Device::Microphone => self.microphone,
            Device::Camera => self.camera,
        }
    }

    fn problem_of(self, device: Device) -> RwSignal<Option<Problem>> {
        match device {
            Device::Microphone => self.microphone_problem,
            Device::Camera => self.camera_problem,
        }
    }
}

impl Wanted {
    fn has(self, device: Device) -> bool {
        match device {
            Device::Microphone => self.microphone,
            Device::Camera => self.camera,
        }
    }
}
