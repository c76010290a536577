//! Handling of the server's frames about calls.

use super::{
    CallsClient,
    peers::SOLE_PEER,
    state::machine::{ClientCallMachine, NO_WEBRTC_REASON},
};
use crate::{
    model::{
        call::{
            CallView, EndReason, Side,
            group::{GroupCallView, Participation},
            known_group_calls::CONFIRMATION_TIMEOUT,
        },
        message::{Content, RoomEvent},
    },
    protocol::ws::{ErrorCode, Refusal, ServerFrame},
    ui::browser,
};
use leptos::prelude::*;

impl CallsClient {
    pub(super) fn on_frame(self, frame: &ServerFrame) {
        match frame {
            ServerFrame::Welcome { settings, .. } => {
                self.apply_settings(settings);
                self.on_welcome();
            }
            ServerFrame::Settings { settings } => self.apply_settings(settings),
            ServerFrame::Call { call } => {
                // First, because rendering the call takes time.
                if let (Some(config), Some(peer)) =
                    (&call.rtc_config, self.peer_in_call(call.id, SOLE_PEER))
                {
                    peer.renew_ice_servers(&config.ice_servers);
                    if call.state.is_answered() {
                        peer.start_connecting(&config.ice_servers);
                    }
                }
                self.update_machine(|machine| {
                    machine.apply_call_view(call, browser::monotonic_now());
                });
                if let Some(reason) = call.end_reason {
                    self.explain_end(call, reason);
                }
            }
            ServerFrame::Signal { call, signal, from } => {
                if let Some(peer) = self.peer_in_call(*call, from.unwrap_or(SOLE_PEER)) {
                    peer.receive_signal(signal.clone());
                }
            }
            ServerFrame::GroupCall { group } => self.on_group_call(group),
            ServerFrame::Error(Refusal {
                code,
                reason,
                call: Some(call),
                ..
            }) => {
                if self.update_machine(|machine| {
                    machine.apply_refusal(*call, *code, reason, browser::monotonic_now())
                }) {
                    self.error_message.set(Some(reason.clone()));
                }
                if *code == ErrorCode::Unavailable {
                    self.schedule_early_retransmit();
                }
            }
            ServerFrame::Event {
                event: RoomEvent::Message { message },
                ..
            } => {
                if matches!(message.content, Content::Call { .. }) {
                    self.ended_count
                        .update(|count| *count = count.wrapping_add(1));
                }
            }
            ServerFrame::Pong { .. } => self.on_reply(),
            ServerFrame::Error(Refusal { call: None, .. })
            | ServerFrame::People { .. }
            | ServerFrame::Resumed { .. }
            | ServerFrame::Sent { .. }
            | ServerFrame::Refused(_)
            | ServerFrame::UploadReady { .. }
            | ServerFrame::UploadProgress { .. }
            | ServerFrame::Room { .. }
            | ServerFrame::Read { .. }
            | ServerFrame::Presence { .. }
            | ServerFrame::Crowd { .. }
            | ServerFrame::Typing { .. } => {}
        }
    }

    fn explain_end(self, call: &CallView, reason: EndReason) {
        let is_shown = self
            .state
            .with_untracked(|state| state.ended_call().is_some_and(|ended| ended.id == call.id));
        if is_shown {
            let text = end_reason_text(reason, call.side, call.peer().name.as_str());
            self.error_message.set(Some(text));
        }
    }

    /// Repeats what may be lost with the previous connection.
    fn on_welcome(self) {
        self.cancel_postponed_retransmit();
        let connection = self.update_machine(|machine| machine.group_calls.mark_unconfirmed());
        browser::run_after(CONFIRMATION_TIMEOUT, move || {
            self.update_machine(|machine| machine.group_calls.remove_unconfirmed(connection));
        });
        self.send_actions(
            self.machine
                .with_untracked(ClientCallMachine::actions_on_reconnect),
        );
        if let Some(call) = self.answered_call_id() {
            self.send_action(call, self.path_action(call));
        }
        for (_, peer) in self.all_peers() {
            peer.on_signaling_restored();
        }
    }

    fn on_group_call(self, group: &GroupCallView) {
        let action = self.update_machine(|machine| machine.apply_group_view(group));
        self.send_actions(action);
        if let Some(Participation::In { ice_servers, .. }) = &group.participation
            && self.peers.with_or_default(|peers| peers.call_id()) == Some(group.id)
        {
            for (_, peer) in self.all_peers() {
                peer.renew_ice_servers(ice_servers);
            }
        }
    }
}

fn end_reason_text(reason: EndReason, side: Side, other: &str) -> String {
    match (reason, side) {
        (EndReason::CannotAnswer, Side::Caller) => format!(
            "{other}'s browser cannot make calls. Send a message, or ask them to use another browser."
        ),
        (EndReason::CannotAnswer, Side::Callee) => NO_WEBRTC_REASON.to_owned(),
    }
}
