//! Guests of a group call.

use super::GroupCallTask;
use crate::{
    model::{UserId, call::group::GroupCallInput},
    protocol::ws::ServerFrame,
};
use std::collections::HashSet;

impl GroupCallTask {
    pub(super) async fn delete_guests(&self) {
        match self.table.app.store.delete_ended_guest_links().await {
            Ok(guests) => {
                for token_hash in guests {
                    self.table.app.connections.close_session(&token_hash);
                }
            }
            // The links are invalid, and deleted after the next call.
            Err(error) => {
                tracing::warn!(call = %self.call.id, %error, "guest links could not be deleted");
            }
        }
    }

    /// Revoking misses guests without a connection. With several nodes, guests get the state again, because messages between nodes may be
    /// lost.
    pub(super) async fn remove_revoked_guests(&mut self) {
        let known = match self.table.app.store.list_call_guests(self.call.id).await {
            Ok(known) => known,
            Err(error) => {
                return tracing::warn!(call = %self.call.id, %error, "guests could not be looked up");
            }
        };
        let known: HashSet<UserId> = known.into_iter().map(|(_, guest)| guest.id).collect();
        let members = self.call.participants.iter();
        let revoked = members.filter(|member| member.is_guest && !known.contains(&member.user));
        for user in revoked.map(|member| member.user).collect::<Vec<_>>() {
            let _ = self.apply_input(GroupCallInput::Leave { user }).await;
        }
        if self.table.app.bus.is_some() {
            self.notify_guests();
        }
    }

    /// False if the link was revoked meanwhile or the lookup fails.
    pub(super) async fn has_valid_link(&self, user: UserId) -> bool {
        let known = self.table.app.store.list_call_guests(self.call.id).await;
        known.is_ok_and(|known| known.iter().any(|(_, guest)| guest.id == user))
    }

    pub(super) fn has_guests(&self) -> bool {
        self.call.participants.iter().any(|member| member.is_guest)
    }

    /// Guests have no subscription to the room.
    pub(super) fn notify_guests(&self) {
        if self.has_guests() {
            let group = self.view();
            let frame = ServerFrame::GroupCall { group };
            for member in self
                .call
                .participants
                .iter()
                .filter(|member| member.is_guest)
            {
                self.table
                    .app
                    .connections
                    .send_to_client(member.client, &frame);
            }
        }
    }
}
