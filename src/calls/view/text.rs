//! Sentences about the state of a call.

use crate::{
    calls::client::{
        peers::PathState,
        state::{ActiveGroupCall, CallTarget, ClientCallState},
    },
    model::{
        Millis,
        call::{CallView, State, outcome_text},
    },
};

/// The state of the call; `online` says whether the server is reachable.
#[must_use]
pub fn state_text(call_state: &ClientCallState, path: PathState, online: bool) -> String {
    match call_state {
        ClientCallState::Idle => String::new(),
        ClientCallState::Preview(preview) => match &preview.target {
            CallTarget::Person(with) => format!("Call {}?", with.name),
            CallTarget::Room(room) => format!("Join the call in {}?", room.title),
        },
        ClientCallState::Joining { room, .. } if online => {
            format!("Joining the call in {}…", room.title)
        }
        ClientCallState::Joining { .. } => {
            "No connection to the server. You will join when it is back.".to_owned()
        }
        ClientCallState::InGroup(group_call) => group_call_text(group_call),
        ClientCallState::Removed(room) => {
            format!("You are no longer in the call in {}.", room.title)
        }
        ClientCallState::Starting { callee: with, .. } if online => {
            format!("Calling {}…", with.name)
        }
        ClientCallState::Starting { .. } => {
            "No connection to the server. The call will start when it is back.".to_owned()
        }
        ClientCallState::Ringing(view) => incoming_text(view),
        ClientCallState::Answering(_) if online => "Answering…".to_owned(),
        ClientCallState::Answering(_) => {
            "No connection to the server. The call will be answered when it is back.".to_owned()
        }
        ClientCallState::InCall(active_call) => in_call_text(&active_call.view, path, online),
        ClientCallState::Ended(ended_call) => outcome_text(
            ended_call.outcome,
            ended_call.side,
            ended_call.media,
            ended_call.duration,
        ),
    }
}

fn group_call_text(group: &ActiveGroupCall) -> String {
    match group.view.participants.len() {
        0 | 1 => "Nobody else is here yet".to_owned(),
        people => format!("{people} people"),
    }
}

fn in_call_text(view: &CallView, path: PathState, online: bool) -> String {
    match (view.state, path) {
        (State::Dialing | State::Ringing, _) if !online => {
            "No connection to the server. Trying again…".to_owned()
        }
        (State::Dialing, _) => format!("Calling {}…", view.peer().name),
        (State::Ringing, _) => "Ringing…".to_owned(),
        (State::Connecting, _) => "Connecting…".to_owned(),
        // The page notices a lost path before the server.
        (State::Connected, PathState::Connecting | PathState::Connected) => "Connected".to_owned(),
        (State::Connected, PathState::Lost) | (State::Reconnecting, _) => {
            "Reconnecting…".to_owned()
        }
        (State::Ended { .. }, _) => String::new(),
    }
}

/// The caller and the kind of call.
#[must_use]
pub fn incoming_text(view: &CallView) -> String {
    format!("{} from {}", view.media.label(), view.caller.name)
}

/// A duration: `0:05`, `12:34`, `1:02:03`; at least zero.
#[must_use]
pub fn clock_text(millis: Millis) -> String {
    let seconds = millis.max(0) / 1_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_reads_like_one() {
        let texts = [-1, 5_000, 754_000, 3_723_000].map(clock_text);
        assert_eq!(texts, ["0:00", "0:05", "12:34", "1:02:03"]);
    }
}
