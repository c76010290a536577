//! Restores the open calls after a restart or on a new leader.

use super::{
    call_task::CallTask,
    group_call_task::GroupCallTask,
    leader_term::LeaderTerm,
    monotonic_clock::MonotonicClock,
    open_calls::GroupCallEntry,
    outcome_message,
    registry::{COMMAND_QUEUE_CAPACITY, CallRegistry},
    stored_call::call_from_row,
    view::Parties,
};
use crate::{
    model::{Millis, call::State},
    server::{clock, error::Result, store::CallRow},
};
use std::sync::Arc;
use tokio::sync::mpsc;

/// How long an unposted outcome is looked for, in milliseconds.
const UNPOSTED_OUTCOME_AGE: Millis = 7 * 24 * 60 * 60 * 1_000;

impl CallRegistry {
    pub(super) async fn restore_calls(self: &Arc<Self>, term: &LeaderTerm) -> Result<()> {
        self.post_missing_outcomes(term).await?;
        // Group calls first, so that calls ringing for participants wait.
        self.restore_group_calls(term).await?;
        let mut rows = self.table.app.store.list_open_calls().await?;
        // Answered calls first, so that the same calls wait as before.
        rows.sort_by_key(|row| (row.state.is_unanswered(), row.started_at));
        for row in rows {
            let Some(parties) = self.find_parties(&row).await? else {
                continue;
            };
            let clock = MonotonicClock::starting_at(clock::now());
            let call = call_from_row(&row, self.table.timeouts, clock.now());
            let (command_tx, command_rx) = mpsc::channel(COMMAND_QUEUE_CAPACITY);
            self.table.lock().add(&call, false, command_tx);
            let task = CallTask::new(self.table.clone(), term.clone(), call, parties, clock);
            self.table.spawn(term.clone(), task.run(command_rx));
        }
        Ok(())
    }

    async fn find_parties(&self, row: &CallRow) -> Result<Option<Parties>> {
        Parties::find(&self.table.app.store, row.caller, row.callee).await
    }

    /// A leader stores the end of a call before it posts the outcome.
    async fn post_missing_outcomes(&self, term: &LeaderTerm) -> Result<()> {
        let (table, since) = (&self.table, clock::now() - UNPOSTED_OUTCOME_AGE);
        for row in table.app.store.list_unposted_calls(since).await? {
            let State::Ended { outcome } = row.state else {
                continue;
            };
            if let Some(parties) = self.find_parties(&row).await? {
                let mut call = call_from_row(&row, table.timeouts, clock::now());
                call.ended_at = row.ended_at;
                outcome_message::post(&table.app, &parties, &call, outcome).await?;
            }
        }
        for row in table.app.store.list_unposted_group_calls(since).await? {
            let (table, limits) = (table.clone(), table.group_limits);
            let group = GroupCallTask::restore(table, term.clone(), row, limits).await?;
            group.post_outcome(group.call()).await?;
        }
        Ok(())
    }

    async fn restore_group_calls(self: &Arc<Self>, term: &LeaderTerm) -> Result<()> {
        // The outcomes, with the guests' names, are posted by now.
        self.table.app.store.delete_ended_guest_links().await?;
        for row in self.table.app.store.list_open_group_calls().await? {
            let (table, limits) = (self.table.clone(), self.table.group_limits);
            let group = GroupCallTask::restore(table, term.clone(), row, limits).await?;
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
            self.table.spawn(term.clone(), group.run(command_rx));
        }
        Ok(())
    }
}
