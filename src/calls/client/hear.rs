//! What the server says of calls.

use super::{
    CallsClient,
    again::path_of,
    board::Board,
    others::{self, ONLY},
};
use crate::{
    model::{
        call::{
            group::{GroupView, Part},
            rooms::RoomCalls,
        },
        message::{Content, RoomEvent},
    },
    protocol::ws::{ErrorCode, ServerFrame},
    ui::browser,
};
use leptos::prelude::*;

/// How long the server is given after a reconnect to tell which calls go on in rooms, in milliseconds: a node that has just started knows
/// it after five seconds.
const TOLD_ANEW: i32 = 6_000;

impl CallsClient {
    pub(super) fn hear(self, frame: &ServerFrame) {
        match frame {
            ServerFrame::Welcome { .. } => self.back(),
            ServerFrame::Call { call } => {
                // Before this page takes its time to show it.
                if let (Some(leg), Some(peer)) = (&call.leg, others::of(call.id, ONLY)) {
                    peer.renew(&leg.ice_servers);
                    if call.state.is_answered() {
                        peer.answered(&leg.ice_servers);
                    }
                }
                self.change(|board| board.heard(call, browser::now()));
            }
            ServerFrame::Signal { call, signal, from } => {
                if let Some(peer) = others::of(*call, from.unwrap_or(ONLY)) {
                    peer.hear(signal.clone());
                }
            }
            ServerFrame::GroupCall { group } => self.hear_group(group),
            ServerFrame::Error {
                code,
                reason,
                call: Some(call),
            } => {
                if self.change(|board| board.refused(*call, *code, reason, browser::now())) {
                    self.trouble.set(Some(reason.clone()));
                }
                if *code == ErrorCode::Unavailable {
                    self.follow_up_soon();
                }
            }
            ServerFrame::Event {
                event: RoomEvent::Message { message },
                ..
            } => {
                if matches!(message.content, Content::Call { .. }) {
                    self.over.update(|over| *over = over.wrapping_add(1));
                }
            }
            ServerFrame::Error { call: None, .. }
            | ServerFrame::People { .. }
            | ServerFrame::Pong { .. }
            | ServerFrame::Resumed { .. }
            | ServerFrame::Sent { .. }
            | ServerFrame::Refused { .. }
            | ServerFrame::UploadReady { .. }
            | ServerFrame::UploadProgress { .. }
            | ServerFrame::Room { .. }
            | ServerFrame::Read { .. }
            | ServerFrame::Presence { .. }
            | ServerFrame::Crowd { .. }
            | ServerFrame::Typing { .. } => {}
        }
    }

    /// The connection is back: everything that may have been lost with the one before is said again.
    fn back(self) {
        let connection = self.groups.try_update(RoomCalls::doubt).unwrap_or_default();
        browser::after(TOLD_ANEW, move || {
            self.groups
                .update(|groups| groups.forget_doubtful(connection));
        });
        self.say_all(self.board.with_untracked(Board::to_say));
        if let Some(call) = self.answered_call() {
            self.say(call, path_of(call));
        }
        for (_, peer) in others::all() {
            peer.resume();
        }
    }

    fn hear_group(self, group: &GroupView) {
        let mut rooms = self.groups.get_untracked();
        let group = rooms.hear(group);
        if self.groups.with_untracked(|known| *known != rooms) {
            self.groups.set(rooms);
        }
        let say = self.change(|board| board.heard_group(&group));
        self.say_all(say);
        if let Some(Part::In { ice_servers, .. }) = &group.part
            && others::call() == Some(group.id)
        {
            for (_, peer) in others::all() {
                peer.renew(ice_servers);
            }
        }
    }
}
