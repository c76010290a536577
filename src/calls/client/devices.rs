//! The microphone, the camera and the shared screen of this page: what is on, what is asked for, and what stands in the way.

use super::{
    choice::{Choices, Kind, Treatment},
    feed::Feed,
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
    screen: RwSignal<Power>,
    muted: RwSignal<bool>,
    /// Changes with what is sent from now on.
    tracks: RwSignal<u32>,
    choices: Choices,
    /// What just happened to a device, in words.
    note: RwSignal<Option<String>>,
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
    screen: Option<Source>,
    screen_sound: Option<Source>,
    meter: Option<Meter>,
    /// The camera's picture is one of many.
    one_of_many: bool,
    /// Counts exchanges of the microphone and of the camera: what was asked for before the last one comes too late.
    exchanges: (u32, u32),
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

    fn exchanges_of(&mut self, device: Device) -> &mut u32 {
        match device {
            Device::Microphone => &mut self.exchanges.0,
            Device::Camera => &mut self.exchanges.1,
        }
    }
}

impl Devices {
    pub(super) fn new() -> Self {
        Self {
            microphone: RwSignal::default(),
            camera: RwSignal::default(),
            screen: RwSignal::default(),
            muted: RwSignal::default(),
            tracks: RwSignal::default(),
            choices: Choices::new(),
            note: RwSignal::default(),
            level: RwSignal::default(),
            ear: RwSignal::default(),
            microphone_problem: RwSignal::default(),
            camera_problem: RwSignal::default(),
        }
    }

    /// Follows what is connected. Browser only, once.
    pub(super) fn listen(self) {
        self.choices.listen();
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

    /// Whether a screen is shared.
    #[must_use]
    pub fn screen(&self) -> Signal<Power> {
        self.screen.into()
    }

    /// Changes with what is sent from now on.
    #[must_use]
    pub fn tracks(&self) -> Signal<u32> {
        self.tracks.into()
    }

    /// Which devices there are, and which were chosen.
    #[must_use]
    pub fn choices(&self) -> Choices {
        self.choices
    }

    /// What just happened to a device, in words.
    #[must_use]
    pub fn note(&self) -> Signal<Option<String>> {
        self.note.into()
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
                    ..Wanted::default()
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
                camera: true,
                one_of_many: sources(|sources| sources.one_of_many),
                ..Wanted::default()
            }),
        }
    }

    /// Whether this browser can share a screen. Browser only.
    #[must_use]
    pub fn can_share() -> bool {
        media::can_share()
    }

    /// Shares a screen, a window or a tab: which, the browser asks. Or stops. Browser only.
    pub fn toggle_screen(self) {
        match self.screen.get_untracked() {
            Power::On => self.stop_sharing(),
            Power::Asking => {}
            Power::Off => self.share(),
        }
    }

    fn share(self) {
        self.screen.set(Power::Asking);
        self.note.set(None);
        let generation = sources(|sources| sources.generation);
        spawn_local(async move {
            let shared = media::share(move || self.stop_sharing()).await;
            if sources(|sources| sources.generation) != generation {
                return;
            }
            match shared {
                Ok(Some((screen, sound))) => {
                    sources(|sources| {
                        sources.screen = Some(screen);
                        sources.screen_sound = sound;
                    });
                    self.screen.set(Power::On);
                    self.changed();
                }
                Ok(None) => self.screen.set(Power::Off),
                Err(_) => {
                    self.screen.set(Power::Off);
                    self.note.set(Some(
                        "The screen could not be shared: the browser or the system does not let it be seen. Allow the browser to record \
                         the screen in the system's settings, then share again."
                            .to_owned(),
                    ));
                }
            }
        });
    }

    fn stop_sharing(self) {
        sources(|sources| (sources.screen, sources.screen_sound) = (None, None));
        self.screen.set(Power::Off);
        self.changed();
    }

    /// Uses this device from now on, also where another one is in use. None: whichever the browser chooses. Browser only.
    pub fn choose(self, kind: Kind, id: Option<String>) {
        self.choices.choose(kind, id);
        self.note.set(None);
        match kind {
            Kind::Microphone => self.exchange(Device::Microphone),
            Kind::Camera => self.exchange(Device::Camera),
            // Whatever sounds follows the choice by itself.
            Kind::Speaker => {}
        }
    }

    /// Treats the sound of the microphone so, or not. Browser only.
    pub fn treat(self, treatment: Treatment, wanted: bool) {
        self.choices.want(treatment, wanted);
        self.exchange(Device::Microphone);
    }

    /// Opens a device anew, with what was chosen by now, if it is open. The former one is closed first: a phone opens one camera at a time.
    /// The other one hears and sees nothing of it but a moment of silence.
    fn exchange(self, device: Device) {
        if self.power_of(device).get_untracked() != Power::On {
            return;
        }
        Self::drop_source(device);
        let chosen = self.choices.now();
        let asked = sources(|sources| {
            *sources.exchanges_of(device) += 1;
            (sources.generation, *sources.exchanges_of(device))
        });
        spawn_local(async move {
            let lost = move |device| self.lost(device);
            let opened = media::open(
                Wanted::only(device, sources(|sources| sources.one_of_many)),
                &chosen,
                lost,
            )
            .await;
            let now = sources(|sources| (sources.generation, *sources.exchanges_of(device)));
            let current = now == asked;
            if current && self.power_of(device).get_untracked() == Power::On {
                self.take(opened);
            }
        });
    }

    /// Asks for what is wanted and not open yet. Browser only.
    pub(super) fn open(self, wanted: Wanted) {
        let wanted = Wanted {
            microphone: wanted.microphone && self.microphone.get_untracked() == Power::Off,
            camera: wanted.camera && self.camera.get_untracked() == Power::Off,
            ..wanted
        };
        if !wanted.microphone && !wanted.camera {
            return;
        }
        if wanted.camera {
            sources(|sources| sources.one_of_many = wanted.one_of_many);
        }
        // What was connected long before is not news.
        self.choices.forget_fresh();
        for device in [Device::Microphone, Device::Camera]
            .into_iter()
            .filter(|device| wanted.has(*device))
        {
            self.power_of(device).set(Power::Asking);
            self.problem_of(device).set(None);
        }
        let chosen = self.choices.now();
        let generation = sources(|sources| sources.generation);
        spawn_local(async move {
            let opened = media::open(wanted, &chosen, move |device| self.lost(device)).await;
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
                Some(Ok(source)) => self.put(device, source),
                Some(Err(problem)) => {
                    self.power_of(device).set(Power::Off);
                    self.problem_of(device).set(Some(problem));
                    self.changed();
                }
            }
        }
        // Now that one may be used, the browser says what they are called.
        self.choices.look(false);
    }

    fn put(self, device: Device, source: Source) {
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
        self.changed();
        if is_microphone {
            self.measure(meters);
        }
    }

    /// Something else is sent from now on.
    fn changed(self) {
        self.tracks
            .update(|tracks| *tracks = tracks.wrapping_add(1));
    }

    /// Closes all of it, lights off, and forgets what stood in the way. Browser only.
    pub(super) fn release(self) {
        sources(|sources| {
            *sources = Sources {
                generation: sources.generation + 1,
                meters: sources.meters,
                exchanges: sources.exchanges,
                ..Sources::default()
            };
        });
        for device in [Device::Microphone, Device::Camera] {
            self.power_of(device).set(Power::Off);
            self.problem_of(device).set(None);
        }
        self.screen.set(Power::Off);
        self.note.set(None);
        self.choices.forget_fresh();
        self.muted.set(false);
        self.changed();
    }

    /// What is sent. Browser only.
    pub(super) fn track(feed: Feed) -> Option<MediaStreamTrack> {
        sources(|sources| {
            let source = match feed {
                Feed::Microphone => &sources.microphone,
                Feed::Camera => &sources.camera,
                Feed::Screen => &sources.screen,
                Feed::ScreenSound => &sources.screen_sound,
            };
            source
                .as_ref()
                // Not `.clone()`, which JavaScript has as well: it makes a second track that mutes and stops by itself.
                .map(|source| Clone::clone(source.track()))
        })
    }

    /// What the camera sees, to be shown to oneself; none while it is off. Browser only.
    #[must_use]
    pub fn picture(self) -> Option<MediaStream> {
        let track = Self::track(Feed::Camera)?;
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
        if let Some(track) = Self::track(Feed::Microphone) {
            track.set_enabled(!muted);
        }
        self.muted.set(muted);
    }

    fn close(self, device: Device) {
        Self::drop_source(device);
        self.power_of(device).set(Power::Off);
        self.changed();
    }

    fn drop_source(device: Device) {
        sources(|sources| {
            *sources.of(device) = None;
            if device == Device::Microphone {
                sources.meter = None;
            }
        });
    }

    /// A device went away by itself: another one takes its place if there is one, and both is said.
    fn lost(self, device: Device) {
        Self::drop_source(device);
        let mut chosen = self.choices.now();
        chosen.choose(device.into(), None);
        let generation = sources(|sources| sources.generation);
        spawn_local(async move {
            let lost = move |device| self.lost(device);
            let mut opened = media::open(
                Wanted::only(device, sources(|sources| sources.one_of_many)),
                &chosen,
                lost,
            )
            .await;
            let current = sources(|sources| sources.generation) == generation;
            if !current || self.power_of(device).get_untracked() != Power::On {
                return;
            }
            let result = match device {
                Device::Microphone => opened.microphone.take(),
                Device::Camera => opened.camera.take(),
            };
            if let Some(Ok(source)) = result {
                let name = source.track().label();
                self.put(device, source);
                self.note.set(Some(device.replaced_text(&name)));
            } else {
                self.close(device);
                self.note.set(None);
                self.problem_of(device).set(Some(Problem::Lost));
            }
            self.choices.look(false);
        });
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
