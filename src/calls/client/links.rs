//! Connections to the others of a call, and what they have to say.

use super::{
    CallsClient, Path,
    adaptation::Picture,
    again::path_of,
    board::{Gathered, Scene},
    others::{self, ONLY, Other},
    peer::{News, Peer},
    safety::SafetyCode,
    speaker::{self, Speaker},
    transfer::{self, ledger::Way},
};
use crate::{
    model::{
        CallId,
        call::{Action, IceServer, Seat, Side, group::Part},
    },
    ui::browser,
};
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::File;

impl CallsClient {
    /// Offers a file to the other one. Browser only.
    pub fn offer_file(self, file: File) {
        if let Some(peer) = others::at(ONLY) {
            peer.courier().offer(file);
        }
    }

    /// Wants a file that was offered. Browser only.
    pub fn accept_file(self, id: u32) {
        if let Some(peer) = others::at(ONLY) {
            peer.courier().accept(id);
        }
    }

    /// Does not want a file that was offered, or does not send one any more; or takes one that is over off the list. Browser only.
    pub fn put_away_file(self, way: Way, id: u32) {
        let is_over = self.files.with_untracked(|files| {
            let file = files.iter().find(|file| (file.way, file.id) == (way, id));
            file.is_none_or(|file| file.stage.is_over())
        });
        match others::at(ONLY) {
            Some(peer) if is_over => peer.courier().dismiss(way, id),
            Some(peer) => peer.courier().give_up(way, id),
            None => self.files.update(|files| {
                for file in files.extract_if(.., |file| (file.way, file.id) == (way, id)) {
                    transfer::release(&file);
                }
            }),
        }
    }

    pub(super) fn forget_files(self) {
        for file in self.files.get_untracked() {
            transfer::release(&file);
        }
        self.files.set(Vec::new());
    }

    /// Makes a connection to everybody there has to be one to, and closes the others.
    pub(super) fn settle_peers(self, scene: &Scene) {
        let (call, wanted, servers) = connections(scene);
        let is_new = others::call() != call;
        let (gone, missing) = others::settle(call, &wanted);
        if is_new {
            self.safety.set(None);
            self.speaker.set(None);
            if call.is_some() {
                self.forget_files();
            }
        }
        if !gone.is_empty() || !missing.is_empty() {
            self.others.update(|others| {
                others.retain(|seat, _| wanted.contains_key(seat) && !gone.contains(seat));
                others.extend(missing.iter().map(|(seat, _)| (*seat, Other::default())));
            });
        }
        if let Some(call) = call {
            for (seat, side) in &missing {
                self.prepare(call, *seat, *side, &servers);
            }
        }
        if !gone.is_empty() || !missing.is_empty() {
            self.peers.update(|peers| *peers = peers.wrapping_add(1));
        }
        if scene.answered().is_some() || scene.gathered().is_some() {
            // In a call of many each picture is one of many, and everybody makes one for each of the others.
            let most = Picture::among(wanted.len());
            for (_, peer) in others::all() {
                peer.answered(&servers);
                peer.at_most(most);
            }
        }
        if is_new && scene.gathered().is_some() {
            self.follow_speaker(call, Speaker::default());
        }
    }

    /// Gets a path ready.
    fn prepare(self, call: CallId, seat: Seat, side: Side, servers: &[IceServer]) {
        match Peer::new(side, servers, move |news| self.news(call, seat, news)) {
            Ok(peer) => others::add(seat, peer),
            Err(error) => {
                browser::warn(&format!("call: {error:?}"));
                let reason = "This browser cannot connect a call. Use a current browser, or ask who runs this site to check its list \
                              of ICE servers.";
                self.trouble.set(Some(reason.to_owned()));
            }
        }
    }

    /// Looks who speaks, now and then, for as long as the call goes on.
    fn follow_speaker(self, call: Option<CallId>, mut speaker: Speaker) {
        if others::call() != call
            || self
                .scene
                .with_untracked(|scene| scene.gathered().is_none())
        {
            return;
        }
        let levels: Vec<_> = others::all()
            .into_iter()
            .map(|(seat, peer)| (seat, peer.level().unwrap_or(0.0)))
            .collect();
        speaker.look(&levels, browser::now());
        if speaker.seat() != self.speaker.get_untracked() {
            self.speaker.set(speaker.seat());
        }
        browser::after(speaker::EVERY, move || self.follow_speaker(call, speaker));
    }

    /// The peer connection of a call has something to say.
    fn news(self, call: CallId, seat: Seat, news: News) {
        let of_two = seat == ONLY;
        match news {
            News::Say(signal) => {
                let to = Some(seat).filter(|_| !of_two);
                self.say(call, Action::Signal { signal, to });
            }
            News::Stirs => self.socket.hope(),
            News::Connected => {
                self.socket.hope();
                self.learn(seat, |other| other.path = Path::Found);
                self.trouble.set(None);
                if of_two {
                    self.find_safety_code(call);
                    self.report(call);
                }
            }
            News::Lost => {
                self.learn(seat, |other| other.path = Path::Lost);
                self.socket.suspect();
                // In a group call: what is needed to look for another path.
                if !of_two || self.answered_call() == Some(call) {
                    self.say(call, Action::Lost);
                }
            }
            News::Arrived => self.learn(seat, |other| {
                other.arrivals = other.arrivals.wrapping_add(1);
            }),
            News::Sends(sends) => self.learn(seat, |other| other.sends = Some(sends)),
            News::Quality(quality) => self.learn(seat, |other| other.quality = Some(quality)),
            News::Sending(picture) => {
                self.learn(seat, |other| other.held = picture == Picture::Held);
            }
            News::Files(files) => {
                if of_two {
                    self.files.set(files);
                }
            }
            // Before the server has heard of the answer, there is another reason why nothing comes.
            News::Trouble(_) if of_two && self.is_answering(call) => {}
            // Of several, one who cannot be reached is shown as such, and the others go on.
            News::Trouble(reason) if of_two => self.trouble.set(Some(reason.to_owned())),
            News::Trouble(_) => self.learn(seat, |other| other.path = Path::Lost),
        }
    }

    fn learn(self, seat: Seat, what: impl FnOnce(&mut Other)) {
        self.others.update(|others| {
            if let Some(other) = others.get_mut(&seat) {
                what(other);
            }
        });
    }

    /// The call between two that this page holds a side of, once the server knows who has answered.
    pub(super) fn answered_call(self) -> Option<CallId> {
        self.scene
            .with_untracked(|scene| scene.answered().map(|view| view.id))
    }

    /// Whether somebody has accepted a call here, and the server has not said that it knows.
    pub(super) fn is_answering(self, call: CallId) -> bool {
        self.scene
            .with_untracked(|scene| matches!(scene, Scene::Answering(view) if view.id == call))
    }

    /// Says that there is a path. One may be found before the server has told who answered; then it is said when it has.
    pub(super) fn report(self, call: CallId) {
        if self.answered_call() == Some(call) && path_of(call) == Action::Connected {
            self.say(call, Action::Connected);
            self.follow_up();
        }
    }

    fn find_safety_code(self, call: CallId) {
        let peer = others::of(call, ONLY);
        let Some((mine, theirs)) = peer.and_then(|peer| peer.descriptions()) else {
            return;
        };
        spawn_local(async move {
            let code = SafetyCode::of(&mine, &theirs).await;
            if others::of(call, ONLY).is_some() {
                self.safety.set(code);
            }
        });
    }
}

/// Which call there have to be connections for, to whom, and with which servers they are found.
fn connections(scene: &Scene) -> (Option<CallId>, others::Wanted, Vec<IceServer>) {
    if let Some(Gathered { view, seat, .. }) = scene.gathered() {
        let others = view.members.iter().map(|member| member.seat);
        let others = others.filter(|other| other != seat).map(|other| {
            // Whoever came later calls.
            let side = if *seat > other {
                Side::Caller
            } else {
                Side::Callee
            };
            (other, side)
        });
        let servers = match &view.part {
            Some(Part::In { ice_servers, .. }) => ice_servers.clone(),
            Some(Part::Out) | None => Vec::new(),
        };
        return (Some(view.id), others.collect(), servers);
    }
    match scene.prepared() {
        Some(view) => {
            let held = view.leg.as_ref().map(|leg| &leg.ice_servers);
            let servers = held.or(view.ice_servers.as_ref());
            let only = others::Wanted::from([(ONLY, view.side)]);
            (Some(view.id), only, servers.cloned().unwrap_or_default())
        }
        None => (None, others::Wanted::new(), Vec::new()),
    }
}
