//! How the server's view of a group call changes the call state.

use super::ClientCallMachine;
use crate::{
    calls::client::state::{ActiveGroupCall, ClientCallState},
    model::{
        CallId,
        call::{
            ClientAction,
            group::{GroupCallView, Participation},
        },
    },
};

impl ClientCallMachine {
    /// Whether the room's current call is this one, with this page in it.
    pub(super) fn is_known_participant(&self, group_call: &ActiveGroupCall) -> bool {
        let ActiveGroupCall { view, seat, .. } = group_call;
        let known = self.group_calls.ongoing_in_room(view.room);
        known.is_some_and(|known| {
            let mut participants = known.participants.iter();
            known.id == view.id && participants.any(|member| member.seat == *seat)
        })
    }

    /// Applies the server's view. Returns a hang-up if it admits this page to an unwanted call.
    pub fn apply_group_view(&mut self, view: &GroupCallView) -> Option<(CallId, ClientAction)> {
        let view = &self.group_calls.merge_view(view);
        let is_wanted = match &self.state {
            ClientCallState::Joining { room, .. } => room.id == view.room,
            state => state.call_id() == Some(view.id),
        };
        let ends_before = self.unconfirmed_ends.len();
        match &view.participation {
            Some(Participation::Out) => self.unconfirmed_ends.retain(|(id, _)| *id != view.id),
            Some(Participation::In { .. }) if !is_wanted => {
                let action = (view.id, ClientAction::HangUp);
                if self.unconfirmed_ends.contains(&action) {
                    return None;
                }
                self.unconfirmed_ends.push(action.clone());
                return Some(action);
            }
            Some(Participation::In { .. }) | None => {}
        }
        match (&mut self.state, &view.participation) {
            (ClientCallState::Joining { room, .. }, Some(Participation::In { seat, .. }))
                if room.id == view.room =>
            {
                self.unconfirmed_ends.retain(|(id, _)| *id != view.id);
                self.state = ClientCallState::InGroup(ActiveGroupCall {
                    view: view.clone(),
                    seat: *seat,
                    room: room.clone(),
                });
            }
            // A rejoin after leaving: this frame confirms the leave; the reply to the join follows.
            (ClientCallState::Joining { .. }, Some(Participation::Out))
                if self.unconfirmed_ends.len() < ends_before => {}
            // This call has ended; the person has to request a new one.
            (ClientCallState::Joining { id, room }, Some(Participation::Out)) if *id == view.id => {
                self.state = ClientCallState::Removed(room.clone());
            }
            (ClientCallState::InGroup(group_call), Some(Participation::Out))
                if group_call.view.id == view.id =>
            {
                self.state = ClientCallState::Removed(group_call.room.clone());
                self.ring_waiting_call();
            }
            (ClientCallState::InGroup(group_call), participation)
                if group_call.view.id == view.id =>
            {
                if let Some(Participation::In { seat, .. }) = participation {
                    group_call.seat = *seat;
                }
                let participation = participation
                    .clone()
                    .or_else(|| group_call.view.participation.take());
                group_call.view = GroupCallView {
                    participation,
                    ..view.clone()
                };
            }
            _ => {}
        }
        None
    }
}
