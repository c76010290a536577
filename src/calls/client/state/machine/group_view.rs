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
    /// Applies the server's view of a group call. Returns a hang-up if the server admitted this page to a call that it
    /// no longer wants.
    pub fn apply_group_view(&mut self, view: &GroupCallView) -> Option<(CallId, ClientAction)> {
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
            // A rejoin after leaving: this frame confirms the leave, and the reply to the join is still to come.
            (ClientCallState::Joining { .. }, Some(Participation::Out))
                if self.unconfirmed_ends.len() < ends_before => {}
            // The id belongs to a call that has ended: the person has to request a new one.
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
