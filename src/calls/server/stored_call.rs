//! Calls as the store has them.

use crate::{
    model::{
        Millis,
        call::{
            Call, Timeouts,
            state_machine::{CallStart, StoredCall},
        },
    },
    server::store::CallRow,
};

pub(super) fn call_row(call: &Call) -> CallRow {
    CallRow {
        id: call.id,
        room: call.room,
        caller: call.caller,
        callee: call.callee,
        media: call.media,
        state: call.state,
        caller_client: call.caller_client,
        callee_client: call.callee_client,
        started_at: call.started_at,
        answered_at: call.answered_at,
        connected_at: call.connected_at,
        ended_at: call.ended_at,
    }
}

pub(super) fn call_from_row(row: &CallRow, patience: Timeouts, now: Millis) -> Call {
    let start = CallStart {
        id: row.id,
        room: row.room,
        caller: row.caller,
        caller_client: row.caller_client,
        callee: row.callee,
        media: row.media,
    };
    let stored = StoredCall {
        state: row.state,
        callee_client: row.callee_client,
        started_at: row.started_at,
        answered_at: row.answered_at,
        connected_at: row.connected_at,
    };
    Call::restore(start, stored, patience, now)
}
