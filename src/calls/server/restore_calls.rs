//! Restores the open calls after a restart or on a new leader.

use super::{
    call_task::CallTask,
    group_call_task::GroupCallTask,
    monotonic_clock::MonotonicClock,
    open_calls::GroupCallEntry,
    registry::{COMMAND_QUEUE_CAPACITY, CallRegistry},
    stored_call::call_from_row,
    view::Parties,
};
use crate::server::{clock, error::Result};
use std::sync::Arc;
use tokio::sync::mpsc;

impl CallRegistry {
    pub(super) async fn restore_calls(self: &Arc<Self>) -> Result<()> {
        // Group calls first, so that calls ringing for participants wait.
        self.restore_group_calls().await?;
        let mut rows = self.table.app.store.list_open_calls().await?;
        // Answered calls first, so that the same calls wait as before.
        rows.sort_by_key(|row| (row.state.is_unanswered(), row.started_at));
        for row in rows {
            let Some(parties) =
                Parties::find(&self.table.app.store, row.caller, row.callee).await?
            else {
                continue;
            };
            let clock = MonotonicClock::starting_at(clock::now());
            let call = call_from_row(&row, self.table.timeouts, clock.now());
            let (command_tx, command_rx) = mpsc::channel(COMMAND_QUEUE_CAPACITY);
            self.table.lock().add(&call, command_tx);
            let task = CallTask::new(self.table.clone(), call, parties, clock);
            self.table.tasks.spawn(task.run(command_rx));
        }
        Ok(())
    }

    async fn restore_group_calls(self: &Arc<Self>) -> Result<()> {
        self.table.app.store.delete_ended_guest_links().await?;
        for row in self.table.app.store.list_open_group_calls().await? {
            let group =
                GroupCallTask::restore(self.table.clone(), row, self.table.group_limits).await?;
            let (command_tx, command_rx) = mpsc::channel(COMMAND_QUEUE_CAPACITY);
            {
                let mut open = self.table.lock();
                let call = group.call();
                let entry = GroupCallEntry {
                    room: call.room,
                    command_tx,
                };
                open.group_calls.insert(call.id, entry);
                open.group_call_by_room.insert(call.room, call.id);
                for member in &call.participants {
                    open.call_by_user.entry(member.user).or_insert(call.id);
                }
            }
            self.table.tasks.spawn(group.run(command_rx));
        }
        Ok(())
    }
}
