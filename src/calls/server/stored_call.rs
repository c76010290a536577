//! Calls as the store has them.

use crate::{
    model::{
        Millis,
        call::{
            Call, Timeouts,
            group::{GroupCall, GroupCallLimits, GroupCallStart},
            state_machine::{CallStart, StoredCall},
        },
    },
    server::store::{CallRow, GroupCallRow},
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

pub(super) fn call_from_row(row: &CallRow, timeouts: Timeouts, now: Millis) -> Call {
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
    Call::restore(start, stored, timeouts, now)
}

pub(super) fn group_call_row(call: &GroupCall) -> GroupCallRow {
    GroupCallRow {
        id: call.id,
        room: call.room,
        started_by: call.started_by,
        started_at: call.started_at,
        ended_at: call.ended_at,
        next_seat: call.next_seat,
        members: call.participants.clone(),
        ever_joined: call.ever_joined.clone(),
    }
}

pub(super) fn group_call_from_row(
    row: GroupCallRow,
    limits: GroupCallLimits,
    now: Millis,
) -> GroupCall {
    let start = GroupCallStart {
        id: row.id,
        room: row.room,
        started_by: row.started_by,
    };
    let mut call = GroupCall::start(start, limits, row.started_at);
    call.participants = row.members;
    call.ever_joined = row.ever_joined;
    call.next_seat = row.next_seat;
    call.ended_at = row.ended_at;
    call.restore(now)
}
