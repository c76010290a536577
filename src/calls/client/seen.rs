//! What can be seen of the calls of this page.

use super::{
    CallsClient, Path,
    board::Scene,
    devices::Devices,
    others::{self, ONLY, Other, Others},
    peer::Sends,
    safety::SafetyCode,
    stats::Quality,
    transfer::ledger::Transfer,
};
use crate::model::call::{CallView, Seat, rooms::RoomCalls};
use leptos::prelude::*;
use web_sys::MediaStream;

impl CallsClient {
    /// What is shown.
    #[must_use]
    pub fn scene(&self) -> Signal<Scene> {
        self.scene.into()
    }

    /// Somebody who calls beside what is shown.
    #[must_use]
    pub fn waiting(&self) -> Signal<Option<CallView>> {
        self.waiting.into()
    }

    /// What is known of one of the others; nothing while they are not there.
    #[must_use]
    pub fn other(&self, seat: Seat) -> Memo<Option<Other>> {
        let others = self.others;
        Memo::new(move |_| others.with(|others| others.get(&seat).cloned()))
    }

    /// How the path to the other page of a call between two stands.
    #[must_use]
    pub fn path(&self) -> Signal<Path> {
        let others = self.others;
        let only = move |others: &Others| others.get(&ONLY).map(|other| other.path);
        Signal::derive(move || others.with(only).unwrap_or_default())
    }

    /// What the other page of a call between two says that it sends; none before it said so.
    #[must_use]
    pub fn theirs(&self) -> Signal<Option<Sends>> {
        let others = self.others;
        Signal::derive(move || others.with(|others| others.get(&ONLY)?.sends))
    }

    /// How good the connection of a call between two is; none while there is none.
    #[must_use]
    pub fn quality(&self) -> Signal<Option<Quality>> {
        let others = self.others;
        Signal::derive(move || others.with(|others| others.get(&ONLY)?.quality.clone()))
    }

    /// Calls that go on in rooms.
    #[must_use]
    pub fn groups(&self) -> Signal<RoomCalls> {
        self.groups.into()
    }

    /// Who speaks, or spoke last, in a group call; nobody before anybody did.
    #[must_use]
    pub fn speaker(&self) -> Signal<Option<Seat>> {
        self.speaker.into()
    }

    /// Whether the camera's picture is not sent to somebody for now, to keep the sound.
    #[must_use]
    pub fn is_held(&self) -> Signal<bool> {
        let others = self.others;
        Signal::derive(move || others.with(|others| others.values().any(|other| other.held)))
    }

    /// What both can compare to know that nobody is between them; none before they are connected.
    #[must_use]
    pub fn safety(&self) -> Signal<Option<SafetyCode>> {
        self.safety.into()
    }

    /// Files of this call, or of the one that just ended.
    #[must_use]
    pub fn files(&self) -> Signal<Vec<Transfer>> {
        self.files.into()
    }

    /// What went wrong last in the call that is shown, in words.
    #[must_use]
    pub fn trouble(&self) -> Signal<Option<String>> {
        self.trouble.into()
    }

    /// Changes when a call of this person has ended.
    #[must_use]
    pub fn over(&self) -> Signal<u32> {
        self.over.into()
    }

    /// Microphone and camera.
    #[must_use]
    pub fn devices(&self) -> Devices {
        self.devices
    }

    /// Whether the server can be reached.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.socket.is_online()
    }

    // Not `.clone()`, which JavaScript has as well: it makes a second stream of second tracks.

    /// What is heard of one of the others. Browser only.
    #[must_use]
    pub fn sound_of(&self, seat: Seat) -> Option<MediaStream> {
        others::at(seat).map(|peer| Clone::clone(peer.sound()))
    }

    /// What is seen of one of the others. Browser only.
    #[must_use]
    pub fn picture_of(&self, seat: Seat) -> Option<MediaStream> {
        others::at(seat).map(|peer| Clone::clone(peer.picture()))
    }

    /// The screen that one of the others shares. Browser only.
    #[must_use]
    pub fn screen_of(&self, seat: Seat) -> Option<MediaStream> {
        others::at(seat).map(|peer| Clone::clone(peer.screen()))
    }
}
